"""The ghost: which keys left the window lately, in about four bytes an entry.

Told by the queues of what they drop, and asked by them whether a newcomer was here.

1. A slot is a fingerprint of eight bits and the epoch in which it was written. A key has
   one slot; a later one that shares it takes it.
2. It remembers about as many keys as there are entries: an epoch is an eighth of that,
   and what is eight epochs old is forgotten.
3. It may take one key in some hundreds for another that was here. It does no harm: that
   key enters by the better door.
"""

from __future__ import annotations

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

EPOCHS_KEPT: Final = 8
EPOCH_MASK: Final = 0x7F
SLOT_BITS: Final = 15
SLOT_MASK: Final = 0x7FFF


class Ghost:
    """A direct-mapped set of fingerprints that ages.

    Args:
        entries: about how many keys it is to remember.
    """

    def __init__(self, entries: i64) -> None:
        slots: i64 = 8
        while slots < entries * 2:
            slots <<= 1
        # four slots a word, so that a word is never negative
        self._words: vec[i64] = vec[i64]([0] * (slots >> 2))
        self._mask: i64 = slots - 1
        self._epoch: i64 = EPOCHS_KEPT
        self._left: i64 = 0
        self.kept: i64 = entries

    def add(self, hashed: i64) -> None:
        """Remembers a key. The hash is not negative."""
        if self._left <= 0:
            self._epoch = (self._epoch + 1) & EPOCH_MASK
            self._left = self.kept // EPOCHS_KEPT + 1
        self._left -= 1
        self._write(hashed & self._mask, ((hashed >> 40) & 0xFF) << 7 | self._epoch)

    def take(self, hashed: i64) -> bool:
        """Whether a key is remembered; it is then forgotten."""
        slot = hashed & self._mask
        shift = (slot & 3) * SLOT_BITS
        found = (self._words[slot >> 2] >> shift) & SLOT_MASK
        if found >> 7 != (hashed >> 40) & 0xFF:
            return False
        if (self._epoch - found) & EPOCH_MASK >= EPOCHS_KEPT:
            return False
        self._write(slot, (self._epoch - EPOCHS_KEPT) & EPOCH_MASK)
        return True

    def double(self) -> None:
        """Makes room for twice the keys; what is remembered stays so."""
        words = self._words
        size: i64 = len(words)
        doubled = vec[i64]([0] * (size * 2))
        for index in range(size):
            doubled[index] = words[index]
            doubled[index + size] = words[index]
        self._words = doubled
        self._mask = size * 8 - 1

    def _write(self, slot: i64, value: i64) -> None:
        shift = (slot & 3) * SLOT_BITS
        words = self._words
        word = words[slot >> 2]
        words[slot >> 2] = word + ((value - ((word >> shift) & SLOT_MASK)) << shift)
