"""`allkeys-lru` and `volatile-lru`: the least recently used of a sample.

1. An entry's access is the access count at its last use, in steps of about a 128th of the
   number of entries, modulo 2**15. So ages are right up to some 250 times the number of
   entries; what lay untouched for longer looks younger than it is, and is met again.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.entry import Entry
from cachestorm.eviction.policy import STAMP_MASK
from cachestorm.eviction.sampled import SAMPLE_SIZE, Sampled

STEPS_A_CACHE: Final = 128


class SampledLru(Sampled):
    """Approximated LRU."""

    def __init__(
        self, volatile: bool, sample_size: i64 = SAMPLE_SIZE, seed: int | None = None
    ) -> None:
        super().__init__(volatile, sample_size, seed)
        self.access_shift = 0
        self._present: i64 = 0

    def resized(self, dense: list[Entry], capacity: i64) -> None:
        """Coarsens or refines the steps; stamps are shifted along, so order is kept."""
        shift: i64 = 0
        while (len(dense) >> shift) > STEPS_A_CACHE * 2:
            shift += 1
        change = shift - self.access_shift
        self.access_shift = shift
        if change > 0:
            for entry in dense:
                stamp: i64 = int(entry.access)
                entry.access = int(stamp >> change)
        elif change < 0:
            for entry in dense:
                past: i64 = int(entry.access)
                entry.access = int((past << -change) & STAMP_MASK)

    def victim(
        self, dense: list[Entry], accesses: i64, now_ms: i64, kept: Entry | None
    ) -> Entry | None:
        self._present = accesses >> self.access_shift
        return super().victim(dense, accesses, now_ms, kept)

    def worth(self, entry: Entry) -> i64:
        stamp: i64 = int(entry.access)
        return -((self._present - stamp) & STAMP_MASK)
