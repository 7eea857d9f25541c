"""The table: 64-bit words found by a hash, which grows without one long step.

Held by the sketch and by the ghost, who know what the bits of a word mean.

1. All parts have the same number of words, a power of two. While there is one part it
   doubles; from `PART` words on, parts are added one by one.
2. A hash finds the same content after the table has grown: a new part begins as a copy of the
   part that was used instead until then.

Source: Litwin: Linear hashing, a new tool for file and table addressing (1980).
"""

from __future__ import annotations

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

# To copy so much takes some tenths of a millisecond.
PART_BITS: Final = 15
PART: Final = 1 << PART_BITS


class Table:
    """Words in parts.

    Args:
        words: at least so many.
    """

    def __init__(self, words: i64) -> None:
        size: i64 = 8
        while size < words and size < PART:
            size <<= 1
        self.parts: vec[vec[i64]] = vec[vec[i64]]([vec[i64]([0] * size)])
        self.part_words: i64 = size
        # selects a part, of as many as there will be when their number is a power of two
        self._mask: i64 = 0
        while self.size() < words:
            self.grow()

    def size(self) -> i64:
        """How many words there are."""
        return self.part_words * len(self.parts)

    def part(self, selector: i64) -> vec[i64]:
        """The part of a hash.

        Args:
            selector: those bits of the hash that do not say where in the part.
        """
        number = selector & self._mask
        if number >= len(self.parts):
            number &= self._mask >> 1
        return self.parts[number]

    def grow(self) -> None:
        """Doubles the one part, or adds another."""
        size = self.part_words
        if size < PART:
            words = self.parts[0]
            doubled = vec[i64]([0] * (size * 2))
            for index in range(size):
                doubled[index] = words[index]
                doubled[index + size] = words[index]
            self.parts[0] = doubled
            self.part_words = size * 2
            return
        number: i64 = len(self.parts)
        if number > self._mask:
            self._mask = self._mask * 2 + 1
        origin = self.parts[number & (self._mask >> 1)]
        copy = vec[i64]([0] * size)
        for index in range(size):
            copy[index] = origin[index]
        self.parts = append(self.parts, copy)
