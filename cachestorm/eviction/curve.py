"""The curve: what the hit ratio would be at other capacities, live.

Told by the tournament of accesses to sampled keys. One shadow for each capacity, all by the
arm that is in force.

1. Where shadows are large, only some of the sampled keys take part: a curve needs fewer
   than a choice.
2. What is counted is misses. They come from many keys, so a sample tells their number
   well; a hot key that is sampled by chance, or is not, says nothing of them. The ratio is
   one less the misses by all accesses there were.
3. Old counts fade, by half while about eight capacities' worth of accesses pass.

Sources: Waldspurger and others: Cache modeling and optimization using miniature
simulations (2017); SHARDS-adj in Waldspurger, Park, Garthwaite, Ahmad: Efficient MRC
construction with SHARDS (2015), for counting against the true number of accesses.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.eviction.queues import Arm
from cachestorm.eviction.shadow import SAMPLE_SHIFT, Records, Shadow

# The capacities, as parts of the present one.
FACTORS: Final = (0.5, 1.0, 2.0)
# One sampled key in so many takes part, where a shadow has how many keys.
THINNING: Final = ((256, 4), (32, 2), (0, 1))
# Before so many accesses a capacity nothing is said.
LEAST_TOLD: Final = 2.0


class Curve:
    """Misses at several capacities.

    Args:
        ratio: one key in so many is sampled.
        size: how many sampled keys fill the present capacity.
        accesses: the keyspace's count of hits and admissions so far.
    """

    def __init__(
        self, arm: Arm, ratio: i64, size: i64, records: Records, accesses: i64
    ) -> None:
        self._thinning: Final[i64] = _thinning(size)
        self._mask: Final[i64] = ratio * self._thinning - 1
        self._ratio: Final[float] = float(ratio * self._thinning)
        self.shadows: Final = [Shadow(arm, 1, records) for _ in FACTORS]
        self._misses: Final[list[float]] = [0.0] * len(FACTORS)
        self._accesses: float = 0.0
        self._last: i64 = accesses
        # capacities' worth of accesses since it began
        self._told: float = 0.0
        self._size: i64 = 1
        self.resize(size)

    def resize(self, size: i64) -> None:
        """Goes on for more or fewer entries."""
        self._size = size
        for index in range(len(self.shadows)):
            share: int = round(FACTORS[index] * float(size) / float(self._thinning))
            share = share if share > 1 else 1
            self.shadows[index].set_capacity(share)
            self.shadows[index].expect(share)

    def restart(self, accesses: i64) -> None:
        """Goes on from another count of accesses."""
        self._last = accesses

    def access(self, record: i64, hashed: i64) -> None:
        """A sampled key was asked for."""
        if (hashed >> SAMPLE_SHIFT) & self._mask != 0:
            return
        for index in range(len(self.shadows)):
            if not self.shadows[index].access(record):
                self._misses[index] += 1.0

    def judge(self, arm: Arm, accesses: i64, fade: float) -> None:
        """Goes on by the arm that is in force, and lets old counts fade."""
        came = float(accesses - self._last)
        self._last = accesses
        self._told += came * float(self._thinning) / (float(self._size) * self._ratio)
        self._accesses = (self._accesses + came) * fade
        for index in range(len(self.shadows)):
            self._misses[index] *= fade
            if self.shadows[index].arm is not arm:
                self.shadows[index].set_arm(arm)

    def hit_ratios(self) -> dict[float, float]:
        """About the hit ratio, lately, by part of the present capacity; empty while unknown."""
        if self._told < LEAST_TOLD or self._accesses < 1.0:
            return {}
        found: dict[float, float] = {}
        most = 0.0
        for index in range(len(FACTORS)):
            ratio = 1.0 - self._misses[index] * self._ratio / self._accesses
            # a larger cache never loses in truth: what differs is the sample
            most = max(most, ratio)
            found[FACTORS[index]] = most
        return found


def _thinning(size: i64) -> i64:
    for least, thinning in THINNING:
        if size >= least:
            return thinning
    return 1
