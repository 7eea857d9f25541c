"""The parcels: keys as they are sent to another server, and whether they still are like that.

Called by a migration for each key, under the latch; compiled, since that is most of its work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from cachestorm.codec import bytes_of
from cachestorm.entry import HASH, Entry
from cachestorm.events import Cause
from cachestorm.keyspace.expiry import Idle
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.operations.containers import entry_of
from cachestorm.payload.dumps import dumped
from cachestorm.payload.entry_snapshot import snapshot_of

_DELETED: Final = Cause.DELETED


class Parcel:
    """A key of one namespace, as it was when it was packed.

    Attributes:
        ttl_ms: how long it has still to live; 0 for ever.
        payload: what DUMP gives.
        idle: of a key that ends when nobody asks for it.
    """

    def __init__(self, space: Keyspace, entry: Entry) -> None:
        self.space: Final = space
        self.key: Final = bytes_of(entry.key)
        self.version: i64 = entry.version
        self.ttl_ms: i64 = 0
        if entry.expires_at_ms != 0:
            self.ttl_ms = max(1, entry.expires_at_ms - space.shared.now_ms())
        snapshot = snapshot_of(entry.kind, space.value(entry), 0, tag_names_of(entry))
        self.payload: Final = dumped(snapshot)
        self.idle: Final[Idle | None] = space.idle_of(entry)

    def restore(self, name: bytes, options: list[bytes], keeps_idle: bool) -> bytes:
        """The request that has another server create the key.

        Args:
            name: of the command.
            options: that all keys are sent with.
            keeps_idle: the other server understands IDLE.
        """
        words = [name, self.key, b"%d" % self.ttl_ms, self.payload]
        words.extend(options)
        if self.idle is not None and keeps_idle:
            words.append(b"IDLE")
            words.extend(_idle_words(self.space, self.idle))
        return spelled(words)


def _idle_words(space: Keyspace, idle: Idle) -> list[bytes]:
    """How long a key outlives a hit, and how much longer it may live at all; 0 for ever."""
    ends_in_ms: i64 = 0
    if idle.ends_at_ms != 0:
        ends_in_ms = max(1, idle.ends_at_ms - space.shared.now_ms())
    return [b"%d" % idle.idle_ms, b"%d" % ends_in_ms]


def spelled(words: Sequence[bytes]) -> bytes:
    """A request, in RESP."""
    out = BytesWriter()
    out.write(b"*%d\r\n" % len(words))
    for word in words:
        out.write(b"$%d\r\n" % len(word))
        out.write(word)
        out.write(b"\r\n")
    return out.getvalue()


def packed(spaces: list[Keyspace], name: str) -> list[Parcel]:
    """What these namespaces have of a name, which in a cluster is one key in all of them."""
    parcels: list[Parcel] = []
    for space in spaces:
        entry = space.peek(name)
        if entry is not None and entry.kind == HASH:
            # not a field that is due
            entry = entry_of(space, name, HASH)
        if entry is not None:
            parcels.append(Parcel(space, entry))
    return parcels


def take_away(spaces: list[Keyspace], name: str, parcels: list[Parcel]) -> bool:
    """Removes a name that is in these namespaces as it was packed, and not else.

    Returns:
        Whether it was so.
    """
    present: list[Entry] = []
    for space in spaces:
        entry = space.peek(name)
        if entry is None:
            continue
        place = len(present)
        if place == len(parcels):
            return False
        parcel = parcels[place]
        if parcel.space is not space or parcel.version != entry.version:
            return False
        present.append(entry)
    if len(present) != len(parcels):
        return False
    for place in range(len(present)):
        parcels[place].space.remove(present[place], _DELETED)
    return True
