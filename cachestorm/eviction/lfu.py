"""`allkeys-lfu` and `volatile-lfu`: the least frequently used of a sample.

1. An entry's access is the number of its hits, which fades: an entry that is drawn and
   stays loses an eighth of it. So time is told by evictions: a cache that evicts nothing
   forgets nothing, and one under pressure forgets at the speed of its pressure.

Redis keeps the logarithm of the count in eight bits and fades it by the minute. Here the
field has fifteen bits, so the count itself fits, and neither a random number nor a clock
is needed at a hit.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.entry import Entry
from cachestorm.eviction.sampled import SAMPLE_SIZE, Sampled

# A new entry is spared a few times before it must have hits of its own, as by Redis.
FIRST_HITS: Final = 5
MOST_HITS: Final = 0x7FFF
FADING: Final = 3


class SampledLfu(Sampled):
    """Approximated LFU."""

    def __init__(
        self, volatile: bool, sample_size: i64 = SAMPLE_SIZE, seed: int | None = None
    ) -> None:
        super().__init__(volatile, sample_size, seed)
        self.access_shift = -1
        self.access_cap = MOST_HITS
        self.first_access = FIRST_HITS

    def worth(self, entry: Entry) -> i64:
        hits: i64 = int(entry.access)
        return hits

    def frequency(self, entry: Entry) -> i64:
        return self.worth(entry)

    def spared(self, entry: Entry) -> None:
        hits: i64 = int(entry.access)
        entry.access = int(hits - ((hits + (1 << FADING) - 1) >> FADING))
