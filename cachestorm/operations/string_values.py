"""What the families of strings share: the scalar of an entry, whole, in part, or changed.

Called by the string, bitmap and HyperLogLog commands, with the latch held. A string is kept
as the Python value that was given, or as a `Buffer` where it is long and was changed in place.
"""

from __future__ import annotations

from typing import cast

from cachestorm.codec import to_wire
from cachestorm.entry import BUFFER, DEMOTED, KIND_MASK, OBJECT, STRING, Entry
from cachestorm.errors import WrongTypeError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.values.buffer import SHORTEST, Buffer
from cachestorm.values.weights import unbox


def scalar(space: Keyspace, entry: Entry) -> object:
    """The scalar that a string entry holds; of a buffer a copy.

    Raises:
        WrongTypeError: if the key holds anything else.
    """
    if entry.kind == STRING:
        return space.value(entry)
    if entry.kind != BUFFER:
        raise WrongTypeError()
    return cast(Buffer, space.value(entry)).whole()


def whole(space: Keyspace, entry: Entry) -> object:
    """The value of an entry that is written and read in one piece, as it was given.

    Raises:
        WrongTypeError: if the key holds a container.
    """
    if entry.kind == OBJECT:
        return unbox(space.value(entry))
    return scalar(space, entry)


def is_whole(entry: Entry) -> bool:
    """Whether `whole` gives what an entry holds."""
    kind = entry.kind & KIND_MASK
    return kind <= OBJECT or kind == BUFFER


def seen(space: Keyspace, entry: Entry, lost: object) -> object:
    """What `whole` gives, where it is no access: a value in a colder tier stays there.

    Args:
        lost: what to give where it cannot be read; the entry has left then.

    Raises:
        WrongTypeError: if the key holds a container.
    """
    if entry.kind < DEMOTED:
        return whole(space, entry)
    if not is_whole(entry):
        raise WrongTypeError()
    found = space.look(entry)
    return lost if found is None else unbox(found.value)


def wire_scalar(space: Keyspace, entry: Entry | None) -> bytes:
    """The bytes of a string entry; nothing for a missing one. O(n) for a buffer.

    Raises:
        WrongTypeError: if the key holds anything else.
    """
    if entry is None:
        return b""
    return to_wire(scalar(space, entry))


def short_scalar(space: Keyspace, entry: Entry, longest: int) -> bytes | None:
    """The bytes of a string, unless it has more than `longest`: then nothing is copied.

    Raises:
        WrongTypeError: if the key holds anything else.
    """
    if entry.kind == BUFFER:
        buffer = cast(Buffer, space.value(entry))
        return buffer.whole() if len(buffer) <= longest else None
    value = scalar(space, entry)
    if isinstance(value, (bytes, str)) and len(value) > longest:
        return None
    raw = to_wire(value)
    return raw if len(raw) <= longest else None


def length_of(space: Keyspace, entry: Entry | None) -> int:
    """The length in bytes of a string; 0 for a missing one.

    Raises:
        WrongTypeError: if the key holds anything else.
    """
    if entry is not None and entry.kind == BUFFER:
        return len(cast(Buffer, space.value(entry)))
    if entry is None:
        return 0
    value = scalar(space, entry)
    if isinstance(value, str) and value.isascii():
        return len(value)
    return len(to_wire(value))


def part_of(space: Keyspace, entry: Entry | None, start: int, stop: int) -> bytes:
    """The bytes of a string from `start` up to but not including `stop`, as far as they go.

    Raises:
        WrongTypeError: if the key holds anything else.
    """
    if entry is not None and entry.kind == BUFFER:
        return cast(Buffer, space.value(entry)).part(start, stop)
    if entry is None:
        return b""
    value = scalar(space, entry)
    if isinstance(value, str) and value.isascii():
        return to_wire(value[start:stop])
    return to_wire(value)[start:stop]


def buffer_of(space: Keyspace, entry: Entry | None, length: int) -> Buffer | None:
    """The string of a key as a buffer at least that long, to be changed in place.

    A caller that changes it calls `Keyspace.changed` then.

    Returns:
        None if it is, and would be, short: it is to be written as a whole. So is the first
        value of a key that is missing.

    Raises:
        WrongTypeError: if the key holds anything else.
        OutOfMemoryError: if there is no room and no victim; no byte has changed.
    """
    if entry is None:
        return None
    if entry.kind != BUFFER:
        raw = wire_scalar(space, entry)
        if max(len(raw), length) < SHORTEST:
            return None
        return space.buffered(entry, raw, length)
    buffer = cast(Buffer, space.value(entry))
    if length > len(buffer):
        space.grow(entry, buffer, length)
    return buffer


def keep_scalar(
    space: Keyspace, key: str, entry: Entry | None, value: object, event: str
) -> None:
    """Stores a scalar that was worked out from what the key held.

    Args:
        entry: of the key, which keeps its time to live and tags; None writes the key as a
            whole, whether it is there or not.
        event: what the command is called in `events.CLASSES`.

    Raises:
        OutOfMemoryError: if there is no room and no victim; nothing has changed.
    """
    if entry is not None:
        space.change(entry, value, event)
        return
    space.put(key, value, STRING, space.default_deadline(), None, None, event)
