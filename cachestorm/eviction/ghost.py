"""The ghost: which keys left the window lately, and when, in about eight bytes an entry.

Told by the queues of what they drop, and asked by them when a newcomer was here.

1. A slot is a fingerprint of eight bits and the epoch in which it was written. A key has
   one slot; a later one that shares it takes it.
2. It remembers about twice as many keys as there are entries: an epoch is an eighth of the
   entries, and what is sixteen epochs old is forgotten.
3. It may mistake one key in some hundreds for another that was here. That does no harm: such a
   key enters the better queue.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.eviction.table import PART_BITS, Table

# How many epochs pass while as many keys leave as there are entries.
EPOCHS: Final = 8
EPOCHS_KEPT: Final = 16
NEVER: Final = -1
EPOCH_MASK: Final = 0x7F
SLOT_BITS: Final = 15
SLOT_MASK: Final = 0x7FFF
# The bits of a hash that say which slot of a part, of four a word, is the key's.
SLOT_NUMBER_BITS: Final = PART_BITS + 2


class Ghost:
    """A direct-mapped set of fingerprints that ages.

    Args:
        entries: of how many in the cache it is the ghost.

    Attributes:
        epoch: the number of the present one.
        kept: as how many entries it goes by.
    """

    def __init__(self, entries: i64) -> None:
        # four slots a word, so that a word is never negative
        self._table: Final = Table(entries)
        self._mask: i64 = self._table.part_words * 4 - 1
        self.epoch: i64 = EPOCHS_KEPT
        self._left: i64 = 0
        self.kept: i64 = entries

    def add(self, hashed: i64) -> None:
        """Remembers a key. The hash is not negative."""
        if self._left <= 0:
            self.epoch += 1
            self._left = self.kept // EPOCHS + 1
        self._left -= 1
        self._write(hashed, ((hashed >> 40) & 0xFF) << 7 | (self.epoch & EPOCH_MASK))

    def take(self, hashed: i64) -> i64:
        """How many epochs ago a key left, or NEVER; it is then forgotten."""
        slot = hashed & self._mask
        words = self._table.part(hashed >> SLOT_NUMBER_BITS)
        found = (words[slot >> 2] >> ((slot & 3) * SLOT_BITS)) & SLOT_MASK
        if found >> 7 != (hashed >> 40) & 0xFF:
            return NEVER
        age = (self.epoch - found) & EPOCH_MASK
        if age >= EPOCHS_KEPT:
            return NEVER
        self._write(hashed, (self.epoch - EPOCHS_KEPT) & EPOCH_MASK)
        return age

    def grow(self) -> None:
        """Makes room for more keys; what is remembered stays so."""
        self._table.grow()
        self._mask = self._table.part_words * 4 - 1

    def _write(self, hashed: i64, value: i64) -> None:
        slot = hashed & self._mask
        shift = (slot & 3) * SLOT_BITS
        words = self._table.part(hashed >> SLOT_NUMBER_BITS)
        word = words[slot >> 2]
        words[slot >> 2] = word + ((value - ((word >> shift) & SLOT_MASK)) << shift)
