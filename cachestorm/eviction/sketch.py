"""The sketch: how often a key was seen lately, in about eight bytes an entry.

Fed by the queues with misses and with the hits that their hands find, and asked by them
when a newcomer contests a place.

1. An estimate is the least of four counters, each in a row of its own; so it is never
   less than what was added since it last faded, up to 15.
2. The four counters of a key lie in one block of 64 bytes: one miss of the processor's
   cache. A word holds fifteen counters of four bits; its top bits stay clear, so that a
   word is never negative and pure Python computes the same.
3. All counters are halved after `period` additions: at once while that takes some tens
   of microseconds, else a few words an addition.

Sources: Cormode, Muthukrishnan: An Improved Data Stream Summary (2005), the count-min
sketch; Einziger, Friedman, Manes: TinyLFU (2017), its fading; the block is Caffeine's.
"""

from __future__ import annotations

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

MOST_COUNTED: Final = 15
HALVES: Final = 0x0777777777777777
# Words that are halved in one go, and per addition above that.
MOST_AT_ONCE: Final = 1 << 15
WORDS_A_STEP: Final = 32
MIXER: Final = 0x5E3779B1
LOW_31: Final = 0x7FFFFFFF


class Sketch:
    """Fading counts of hashes.

    Args:
        entries: about how many keys it is to tell apart.
    """

    def __init__(self, entries: i64) -> None:
        size: i64 = 8
        while size < entries:
            size <<= 1
        self._words: vec[i64] = vec[i64]([0] * size)
        self._mask: i64 = (size >> 3) - 1
        self.period: i64 = size * 10
        self._additions: i64 = 0
        # where halving goes on, or the size when it does not
        self._hand: i64 = size

    def size(self) -> i64:
        """How many words it has: as many as entries it is made for."""
        return len(self._words)

    def add(self, hashed: i64, count: i64) -> None:
        """Counts a key so many times. The hash is not negative."""
        words = self._words
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
        if self._hand < len(words):
            self._halve_some()

    def estimate(self, hashed: i64) -> i64:
        """About how often a key was added lately, 0 to 15."""
        words = self._words
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

    def double(self) -> None:
        """Makes room for twice the entries; estimates stay as they are."""
        words = self._words
        size: i64 = len(words)
        doubled = vec[i64]([0] * (size * 2))
        for index in range(size):
            doubled[index] = words[index]
            doubled[index + size] = words[index]
        self._words = doubled
        self._mask = (size >> 2) - 1
        # what was yet to be halved is so once more, in both copies
        self._hand = size * 2

    def _halve_some(self) -> None:
        words = self._words
        size: i64 = len(words)
        end = size if size <= MOST_AT_ONCE else min(self._hand + WORDS_A_STEP, size)
        for index in range(self._hand, end):
            words[index] = (words[index] >> 1) & HALVES
        self._hand = end
