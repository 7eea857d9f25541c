"""`allkeys-lru`: evicts the least recently used of a random sample, as Redis does.

1. An entry's heat is the access count at its last use, in steps of about a 128th of the
   number of entries, modulo 2**15. So ages are right up to some 250 times the number of
   entries; what lay untouched for longer looks younger than it is, and is met again.

Source: https://redis.io/docs/latest/develop/reference/eviction/ (approximated LRU).
"""

from __future__ import annotations

from typing import Final

from librt.random import Random
from mypy_extensions import i64

from cachestorm.entry import Entry
from cachestorm.eviction.policy import STAMP_MASK, Policy

SAMPLE_SIZE: Final = 8
STEPS_A_CACHE: Final = 128


class SampledLru(Policy):
    """Approximated LRU over all entries."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__()
        self.heat_shift = 0
        self._random: Final = Random(seed)

    def resized(self, dense: list[Entry]) -> None:
        """Coarsens or refines the steps; stamps are shifted along, so order is kept."""
        shift: i64 = 0
        while (len(dense) >> shift) > STEPS_A_CACHE * 2:
            shift += 1
        change = shift - self.heat_shift
        self.heat_shift = shift
        if change > 0:
            for entry in dense:
                stamp: i64 = int(entry.heat)
                entry.heat = int(stamp >> change)
        elif change < 0:
            for entry in dense:
                past: i64 = int(entry.heat)
                entry.heat = int((past << -change) & STAMP_MASK)

    def victim(self, dense: list[Entry], accesses: i64, now_ms: i64) -> Entry | None:
        present: i64 = (accesses >> self.heat_shift) & STAMP_MASK
        size: i64 = len(dense)
        oldest: i64 = -1
        found: Entry | None = None
        for _ in range(SAMPLE_SIZE):
            entry = dense[self._random.randrange(size)]
            if entry.expires_at_ms != 0 and entry.expires_at_ms <= now_ms:
                return entry
            stamp: i64 = int(entry.heat)
            age = (present - stamp) & STAMP_MASK
            if age > oldest:
                oldest = age
                found = entry
        return found
