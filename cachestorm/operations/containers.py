"""What the families of containers share: finding, growing, settling, drawing, walking.

Called by the hash, list, set and sorted-set commands, with the latch held where a keyspace
is among the arguments and before it is taken otherwise.

1. A container that is new is filled first and put into the keyspace then, so that a
   refusal for want of memory changes nothing.
2. Every change in place ends in `settle`, the only place that charges for it, removes the key
   that was emptied, and moves what left the container to the list `to_drop`.
"""

from __future__ import annotations

from typing import Final, cast

from librt.random import randrange
from mypy_extensions import i64, u8

from cachestorm.entry import Entry
from cachestorm.errors import (
    CommandSyntaxError,
    WrongTypeError,
)
from cachestorm.events import Cause
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.reply_size import ReplySize
from cachestorm.values.container import Container
from cachestorm.values.hash import Hash
from cachestorm.values.list import ListValue
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import SortedSet

SCAN_COUNT: Final = 10
SHORT: Final = 128
_DELETED: Final = Cause.DELETED


def entry_of(space: Keyspace, key: str, kind: u8) -> Entry | None:
    """The live entry of a key, None where there is none. Counts as an access.

    Raises:
        WrongTypeError: if the key holds another kind.
    """
    entry = space.find(key)
    if entry is not None and entry.kind != kind:
        raise WrongTypeError()
    return entry


def hash_at(space: Keyspace, entry: Entry) -> Hash:
    """The hash of an entry of that kind."""
    return cast(Hash, space.values[i64(entry.index)])


def list_at(space: Keyspace, entry: Entry) -> ListValue:
    """The list of an entry of that kind."""
    return cast(ListValue, space.values[i64(entry.index)])


def set_at(space: Keyspace, entry: Entry) -> SetValue:
    """The set of an entry of that kind."""
    return cast(SetValue, space.values[i64(entry.index)])


def sorted_set_at(space: Keyspace, entry: Entry) -> SortedSet:
    """The sorted set of an entry of that kind."""
    return cast(SortedSet, space.values[i64(entry.index)])


def admit(space: Keyspace, key: str, container: Container, kind: u8, event: str) -> Entry:
    """Puts a filled new container at a key where there was none.

    Args:
        event: what the command is called in `events.CLASSES`; so below.

    Raises:
        OutOfMemoryError: if there is no room and no victim.
    """
    return space.put(key, container, kind, space.default_deadline(), None, None, event)


def replace(space: Keyspace, key: str, container: Container, kind: u8, event: str) -> None:
    """Puts a result at a key in place of whatever was there; an empty one deletes it.

    Raises:
        OutOfMemoryError: if there is no room and no victim; nothing has changed.
    """
    if len(container) != 0:
        admit(space, key, container, kind, event)
        return
    entry = space.peek(key)
    if entry is not None:
        space.remove(entry, _DELETED)


def settle(
    space: Keyspace,
    entry: Entry,
    container: Container,
    size_before: i64,
    event: str,
) -> None:
    """Ends a change in place: see `Removals.changed`.

    Args:
        size_before: what the container was charged at before the change.
    """
    space.changed(entry, container.size_bytes - size_before, event)


def drawn(among: i64) -> i64:
    """A place drawn at random, from 0 up to but not including `among`."""
    return randrange(among)


def check_draw(space: Keyspace, count: int, container: Container) -> None:
    """Refuses to draw more elements, the same ones many times, than a reply may hold.

    Args:
        count: as for `drawn_places`.

    Raises:
        ReplyTooLargeError: by what an element of the container costs on the average.
    """
    if count < 0:
        average = container.size_bytes // i64(len(container))
        ReplySize(space).take_many(-count, average)


def drawn_places(count: i64, among: i64) -> list[i64]:
    """Places drawn at random.

    Args:
        count: so many different ones, all of them at most; if negative, exactly as many
            as its absolute value, drawn each by itself. O(count) either way.
        among: how many places there are, at least one.
    """
    places: list[i64] = []
    if count < 0:
        while count < 0:
            places.append(randrange(among))
            count += 1
        return places
    # not three times `count`, which may be beyond 64 bits
    if count < among // 3:
        taken: dict[i64, None] = {}
        while i64(len(taken)) < count:
            taken[randrange(among)] = None
        return list(taken)
    place: i64 = 0
    while place < among:
        places.append(place)
        place += 1
    if count >= among:
        return places
    place = 0
    while place < count:
        other = place + randrange(among - place)
        places[place], places[other] = places[other], places[place]
        place += 1
    return places[:count]


def walk_start(cursor: int, length: i64, count: int) -> i64:
    """The place below which one step of a scan begins.

    A scan walks from the end to the beginning, because a container moves what stays only
    towards the beginning. Its cursor is the number of places that are still to be seen.

    Raises:
        CommandSyntaxError: for a count below one.
    """
    if count < 1:
        raise CommandSyntaxError()
    size: int = length  # a cursor may be beyond 63 bits
    if cursor <= 0 or cursor > size:
        return length
    return cursor


def walk_stop(start: i64, count: int, length: i64) -> i64:
    """The place at which that step ends: the next cursor, 0 when the scan is complete.

    A short container is given whole, as Redis does.
    """
    left: int = start
    if count >= left or (start == length and length <= SHORT):
        return 0
    return start - count


def is_whole(start: i64, stop: i64, length: i64) -> bool:
    """Whether that step gives all there is of a short container, which Redis gives in order."""
    return stop == 0 and start == length and length <= SHORT


def folded(index: int, length: i64) -> i64:
    """An index that may count from the end (-1 is the last) as one from the beginning.

    Returns:
        From -1, for anything before the first, to the length, for anything after the last.
    """
    size: int = length  # an index may be beyond 64 bits
    if index < 0:
        index += size
        return -1 if index < 0 else index
    return length if index > size else index


def span(start: int, stop: int, length: i64) -> tuple[i64, i64]:
    """A range with both ends included, as Redis counts, as one with its end left out.

    Returns:
        The first index and the one after the last; equal where the range is empty.
    """
    first = max(folded(start, length), 0)
    last = folded(stop, length) + 1
    if last > length:
        last = length
    if first >= last:
        return 0, 0
    return first, last
