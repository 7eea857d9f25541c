"""The slot index: which entries of a namespace are in which hash slot of a cluster.

Made once a server of a cluster says so (`slot_keys.py`); there is none without a cluster.
Told by the keyspace of entries that come and leave, and of those that move in its dense arrays.

1. The entries of a slot are a doubly linked chain of places in the dense arrays. So an entry
   leaves its slot without a look at any other entry, which may lie anywhere in memory, and
   without a look at its key.
2. A chain that has become empty is kept: there are as many as there are slots at most.

Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/, "Key
distribution model".
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import Final

from librt.strings import read_i64_be
from librt.vecs import append, vec
from mypy_extensions import i32, i64, mypyc_attr

from cachestorm.codec import bytes_of
from cachestorm.entry import Entry
from cachestorm.keyspace.latch import COMPILED
from cachestorm.values.bulk import Bulk

SLOTS: Final = 16384
# of a key that is longer `crc_hqx` is faster
LONG_BYTES: Final = 64
_BRACE: Final = 0x7B
# a byte of 1, in each of the eight of a word
_ONES: Final = 0x0101010101010101
_POLYNOMIAL: Final = 0x1021

# where a chain ends
_NOWHERE: Final = -1
# of a place, in the nodes: the next place of its chain, the one before it, and the slot
_PREVIOUS: Final = 1
_SLOT: Final = 2
_NODE: Final = 3


def _crc16_of_bytes() -> vec[i32]:
    """The CRC16 of each byte, then of each with a zero behind it, and so on up to seven."""
    table = vec[i32]()
    for byte in range(256):
        crc: i64 = byte << 8
        for _bit in range(8):
            crc <<= 1
            if crc > 0xFFFF:
                crc = (crc ^ _POLYNOMIAL) & 0xFFFF
        table = append(table, i32(crc))
    place: i64 = 0
    while len(table) < 8 * 256:
        shorter: i64 = i64(table[place])
        longer = (shorter << 8 & 0xFFFF) ^ i64(table[shorter >> 8])
        table = append(table, i32(longer))
        place += 1
    return table


_TABLE: Final[vec[i32]] = _crc16_of_bytes()


def slot_of(key: bytes) -> i64:
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

    Compiled it takes a sixth of what the calls of `find` and `crc_hqx` do. The bytes that do
    not fill a word come first, for zeros in front of a key would not change the sum.
    """
    size: i64 = len(key)
    if size > LONG_BYTES:
        return -1
    table = _TABLE
    crc: i64 = 0
    place: i64 = 0
    rest: i64 = size & 7
    while place < rest:
        byte: i64 = key[place]
        if byte == _BRACE:
            return -1
        crc = (crc << 8 & 0xFFFF) ^ i64(table[(crc >> 8) ^ byte])
        place += 1
    ones: i64 = _ONES
    braces = ones * _BRACE
    while place < size:
        word = read_i64_be(key, place)
        # a byte that equals a brace is zero now, and the only one that a borrow can begin at
        zero = word ^ braces
        if (zero - ones) & ~zero & (ones << 7) != 0:
            return -1
        word ^= crc << 48
        crc = (
            i64(table[0x700 + (word >> 56 & 0xFF)])
            ^ i64(table[0x600 + (word >> 48 & 0xFF)])
            ^ i64(table[0x500 + (word >> 40 & 0xFF)])
            ^ i64(table[0x400 + (word >> 32 & 0xFF)])
            ^ i64(table[0x300 + (word >> 24 & 0xFF)])
            ^ i64(table[0x200 + (word >> 16 & 0xFF)])
            ^ i64(table[0x100 + (word >> 8 & 0xFF)])
            ^ i64(table[word & 0xFF])
        )
        place += 8
    return crc


@mypyc_attr(acyclic=True)
class Chain:
    """The entries of one slot: how many there are, and the place of the latest."""

    def __init__(self) -> None:
        self.size: i64 = 0
        self.latest: i64 = _NOWHERE


class SlotIndex(Bulk):
    """The entries of one namespace by slot.

    Attributes:
        chains: of the slots that have entries, or had some.
    """

    def __init__(self) -> None:
        self.chains: dict[int, Chain] = {}
        # as long as the dense arrays have ever been
        self._nodes: vec[i32] = vec[i32]()

    def bulk(self) -> i64:
        return len(self.chains)

    def take_apart(self) -> list[object]:
        parts: list[object] = [self.chains]
        self.chains = {}
        self._nodes = vec[i32]()
        return parts

    def add(self, entry: Entry) -> None:
        """Takes in an entry that has come to its place. O(1)."""
        slot = slot_of(bytes_of(entry.key))
        chain = self.chains.get(slot)
        if chain is None:
            chain = Chain()
            self.chains[slot] = chain
        place: i64 = i64(entry.index)
        node = place * _NODE
        while i64(len(self._nodes)) <= node:
            for _field in range(_NODE):
                self._nodes = append(self._nodes, i32(_NOWHERE))
        nodes = self._nodes
        former = chain.latest
        nodes[node] = i32(former)
        nodes[node + _PREVIOUS] = i32(_NOWHERE)
        nodes[node + _SLOT] = i32(slot)
        if former != _NOWHERE:
            nodes[former * _NODE + _PREVIOUS] = i32(place)
        chain.latest = place
        chain.size += 1

    def remove(self, place: i64) -> None:
        """Leaves out the entry of a place. O(1)."""
        nodes = self._nodes
        node = place * _NODE
        following: i64 = i64(nodes[node])
        previous: i64 = i64(nodes[node + _PREVIOUS])
        chain = self.chains[int(nodes[node + _SLOT])]
        chain.size -= 1
        if previous == _NOWHERE:
            chain.latest = following
        else:
            nodes[previous * _NODE] = i32(following)
        if following != _NOWHERE:
            nodes[following * _NODE + _PREVIOUS] = i32(previous)

    def move(self, former: i64, place: i64) -> None:
        """Follows an entry that has moved to another place, which is empty. O(1)."""
        nodes = self._nodes
        node = place * _NODE
        source = former * _NODE
        following: i64 = i64(nodes[source])
        previous: i64 = i64(nodes[source + _PREVIOUS])
        slot: i64 = i64(nodes[source + _SLOT])
        nodes[node] = i32(following)
        nodes[node + _PREVIOUS] = i32(previous)
        nodes[node + _SLOT] = i32(slot)
        if previous == _NOWHERE:
            self.chains[slot].latest = place
        else:
            nodes[previous * _NODE] = i32(place)
        if following != _NOWHERE:
            nodes[following * _NODE + _PREVIOUS] = i32(place)

    def count(self, slot: int) -> i64:
        """How many entries a slot has, those included that are dead and not yet reaped."""
        chain = self.chains.get(slot)
        return 0 if chain is None else chain.size

    def entries(self, slot: int, dense: list[Entry], most: i64) -> list[Entry]:
        """The latest entries of a slot, live or not, as many as there are or `most`. O(most).

        Args:
            dense: the entries of the namespace.
        """
        found: list[Entry] = []
        chain = self.chains.get(slot)
        if chain is None:
            return found
        nodes = self._nodes
        place = chain.latest
        while place != _NOWHERE and i64(len(found)) < most:
            found.append(dense[place])
            place = i64(nodes[place * _NODE])
        return found

    def _check(self, dense: list[Entry]) -> None:
        found: set[int] = set()
        for slot, chain in self.chains.items():
            entries = self.entries(slot, dense, len(dense) + 1)
            assert len(entries) == chain.size
            previous: i64 = _NOWHERE
            for entry in entries:
                node: i64 = i64(entry.index) * _NODE
                assert dense[entry.index] is entry
                assert i64(self._nodes[node + _PREVIOUS]) == previous
                assert i64(self._nodes[node + _SLOT]) == slot
                assert slot_of(bytes_of(entry.key)) == slot
                previous = i64(entry.index)
            found.update(entry.index for entry in entries)
        assert len(found) == len(dense)
