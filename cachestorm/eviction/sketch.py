"""The sketch: how often a key was seen lately, in about eight bytes an entry.

Fed by the queues with misses and with the hits that their hands find, and asked by them
when a newcomer contests a place.

1. An estimate is the least of four counters, each in a row of its own; so it is never
   less than what was added since it last faded, up to 15.
2. The four counters of a key lie in one block of 64 bytes: one miss of the processor's
   cache. A word holds fifteen counters of four bits; its top bits stay clear, so that a
   word is never negative and pure Python computes the same.
3. All counters are halved after `period` additions: at once in a table of one part, which
   takes some tens of microseconds, else a few words an addition.

Sources: Cormode, Muthukrishnan: An Improved Data Stream Summary (2005), the count-min
sketch; Einziger, Friedman, Manes: TinyLFU (2017), its fading; the block is Caffeine's.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.eviction.table import PART, PART_BITS, Table

MOST_COUNTED: Final = 15
HALVES: Final = 0x0777777777777777
# Words that are halved per addition, where there are several parts.
WORDS_A_STEP: Final = 32
# The bits of a hash that say which block of a part, of eight words, is the key's.
BLOCK_BITS: Final = PART_BITS - 3
MIXER: Final = 0x5E3779B1
LOW_31: Final = 0x7FFFFFFF


class Sketch:
    """Fading counts of hashes.

    Args:
        entries: about how many keys it is to tell apart.
    """

    def __init__(self, entries: i64) -> None:
        self._table: Final = Table(entries)
        self._mask: i64 = (self._table.part_words >> 3) - 1
        self.period: i64 = self._table.size() * 10
        self._additions: i64 = 0
        # where halving goes on, or -1 when it does not
        self._hand: i64 = -1

    def size(self) -> i64:
        """How many words it has: at least as many as entries it is made for."""
        return self._table.size()

    def add(self, hashed: i64, count: i64) -> None:
        """Counts a key so many times. The hash is not negative."""
        words = self._table.part(hashed >> BLOCK_BITS)
        at = (hashed & self._mask) << 3
        bits = (((hashed ^ (hashed >> 32)) & LOW_31) * MIXER) >> 14
        for _row in range(4):
            place = at + (bits & 1)
            shift = ((((bits >> 1) & 0xFF) * 15) >> 8) << 2
            word = words[place]
            counted = (word >> shift) & 15
            more = count if counted + count <= MOST_COUNTED else MOST_COUNTED - counted
            words[place] = word + (more << shift)
            at += 2
            bits >>= 12
        self._additions += count
        if self._additions >= self.period:
            self._additions = 0
            self._hand = 0
        if self._hand >= 0:
            self._halve_some()

    def estimate(self, hashed: i64) -> i64:
        """About how often a key was added lately, 0 to 15."""
        words = self._table.part(hashed >> BLOCK_BITS)
        at = (hashed & self._mask) << 3
        bits = (((hashed ^ (hashed >> 32)) & LOW_31) * MIXER) >> 14
        least: i64 = MOST_COUNTED
        for _row in range(4):
            shift = ((((bits >> 1) & 0xFF) * 15) >> 8) << 2
            counted = (words[at + (bits & 1)] >> shift) & 15
            if counted < least:
                least = counted
            at += 2
            bits >>= 12
        return least

    def grow(self) -> None:
        """Makes room for more entries; estimates stay as they are."""
        self._table.grow()
        self._mask = (self._table.part_words >> 3) - 1

    def _halve_some(self) -> None:
        table = self._table
        words = table.parts[self._hand >> PART_BITS]
        begin = self._hand & (PART - 1)
        end = table.part_words if len(table.parts) == 1 else begin + WORDS_A_STEP
        for index in range(begin, end):
            words[index] = (words[index] >> 1) & HALVES
        self._hand += end - begin
        if self._hand >= table.size():
            self._hand = -1
