"""The slot index: which entries of a namespace are in which hash slot of a cluster.

Made once a server of a cluster says so (`slot_keys.py`); there is none without a cluster.
Told by the keyspace of entries that come, leave and are replaced by a copy.

Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, "Key
distribution model". `binascii.crc_hqx` is its CRC16.
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import Final

from mypy_extensions import i64

from cachestorm.codec import bytes_of
from cachestorm.entry import Entry
from cachestorm.keyspace.latch import COMPILED
from cachestorm.keyspace.roster import SWEEP, Roster
from cachestorm.values.bulk import Bulk

SLOTS: Final = 16384
# of a key that is longer `crc_hqx` is faster
LONG_BYTES: Final = 64
_BRACE: Final = 0x7B


def slot_of(key: bytes) -> int:
    """The hash slot of a key: of what is in its first braces, if that is anything.

    Examples:
        >>> slot_of(b"foo"), slot_of(b"{user1000}.following"), slot_of(b"{}foo")
        (12182, 3443, 9500)
    """
    if COMPILED:
        # most keys are short, and have no braces
        crc = _crc16_of_plain(key)
        if crc >= 0:
            return crc & (SLOTS - 1)
    begin = key.find(b"{")
    if begin >= 0:
        end = key.find(b"}", begin + 1)
        if end > begin + 1:
            key = key[begin + 1 : end]
    return crc_hqx(key, 0) & (SLOTS - 1)


def _crc16_of_plain(key: bytes) -> i64:
    """The CRC16 of a key; -1 for one that is long, or has a brace.

    Compiled it takes a third of what the calls of `find` and `crc_hqx` do.
    """
    size: i64 = len(key)
    if size > LONG_BYTES:
        return -1
    crc: i64 = 0
    place: i64 = 0
    while place < size:
        byte: i64 = key[place]
        if byte == _BRACE:
            return -1
        high: i64 = (crc >> 8) ^ byte
        high ^= high >> 4
        crc = ((crc << 8) ^ (high << 12) ^ (high << 5) ^ high) & 0xFFFF
        place += 1
    return crc


class SlotIndex(Bulk):
    """The entries of one namespace by slot.

    Attributes:
        rosters: of the slots that have entries.
    """

    def __init__(self) -> None:
        self.rosters: dict[int, Roster] = {}

    def bulk(self) -> i64:
        return len(self.rosters)

    def take_apart(self) -> list[object]:
        parts: list[object] = [self.rosters]
        self.rosters = {}
        return parts

    def add(self, entry: Entry) -> None:
        """Takes an entry in. O(1)."""
        slot = slot_of(bytes_of(entry.key))
        roster = self.rosters.get(slot)
        if roster is None:
            roster = Roster()
            self.rosters[slot] = roster
        roster.members.append(entry)
        roster.size += 1

    def remove(self, key: str) -> None:
        """Counts one less where a key was, whose entry is a shell by now. O(1)."""
        slot = slot_of(bytes_of(key))
        roster = self.rosters[slot]
        roster.size -= 1
        if roster.size == 0:
            del self.rosters[slot]
        else:
            roster.sweep()

    def replace(self, copy: Entry) -> None:
        """Takes in a copy of an entry that is a shell by now. O(1)."""
        roster = self.rosters[slot_of(bytes_of(copy.key))]
        roster.members.append(copy)
        roster.sweep()

    def count(self, slot: int) -> i64:
        """How many entries a slot has, those included that are dead and not yet reaped."""
        roster = self.rosters.get(slot)
        if roster is None:
            return 0
        return roster.size

    def newest(self, slot: int, most: i64) -> list[Entry]:
        """The last entries of a slot, live or not, at least `most` if there are as many.

        O(most): there are as many shells at most as there are entries.
        """
        roster = self.rosters.get(slot)
        if roster is None:
            return []
        members = roster.members
        found: list[Entry] = []
        place: i64 = len(members)
        while place > 0 and i64(len(found)) < most:
            place -= 1
            if members[place].index >= 0:
                found.append(members[place])
        return found

    def entries(self, slot: int) -> list[Entry]:
        """The entries of a slot, live or not."""
        roster = self.rosters.get(slot)
        if roster is None:
            return []
        return [entry for entry in roster.members if entry.index >= 0]

    def _check(self, entries: dict[str, Entry]) -> None:
        found = 0
        for slot, roster in self.rosters.items():
            live = self.entries(slot)
            assert len(live) == roster.size > 0
            assert len(roster.members) <= 2 * roster.size + SWEEP
            for entry in live:
                assert entries[entry.key] is entry
                assert slot_of(bytes_of(entry.key)) == slot
            found += len(live)
        assert found == len(entries)
