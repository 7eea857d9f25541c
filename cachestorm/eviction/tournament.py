"""The tournament: small shadows of the cache that show which arm would hit most.

Told by the adaptive policy of each access to a sampled key. A shadow is the engine of
the queues over keys without values, and each arm has one.

1. The arm of most hits lately is the best, where its lead is clear; hits of long ago
   fade, by half while about eight shadows' worth of accesses pass.
2. What is deleted or expires leaves the shadows too: it is nobody's merit to keep it.
3. The capacity of a shadow is the number of sampled keys that the full cache holds, which
   differs from one in `ratio` by chance. A shadow that is a little too large would hit all that
   the cache just misses, with any arm.

Source: Waldspurger, Saemundson, Ahmad, Park: Cache modeling and optimization using
miniature simulations (2017).
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.eviction.curve import Curve
from cachestorm.eviction.policy import Scales
from cachestorm.eviction.queues import S3, STACK, TINY, Arm
from cachestorm.eviction.shadow import SAMPLE_SHIFT, Records, Shadow

# A cache of fewer entries plays with all of its keys: a sample of so few could not tell a loop
# that just fits from one that just does not.
LEAST_SAMPLED: Final = 512
# A shadow of a sample holds at least so many keys.
LEAST_SHADOW: Final = 64
MOST_SHADOW: Final = 2048
MOST_RATIO: Final = 64
HALF_LIFE: Final = 8
LEAST_LEAD: Final = 2.0
LEAD: Final = 0.003

# Where it begins is the first.
ARMS: Final = (
    Arm("tiny-10", TINY, 10, 3, 10),
    Arm("s3-30", S3, 30, 0, 10),
    Arm("tiny-1", TINY, 1, 2, 5),
    Arm("s3-70", S3, 70, 0, 10),
    Arm("stack-2", STACK, 2, 0, 10),
)


class Tournament:
    """The shadows of the arms, and their scores.

    Args:
        capacity: how many entries fill the cache.
        scales: who counts all accesses.

    Attributes:
        held: how many sampled keys the cache holds.
        size: how many keys fill a shadow.
        judged: whether an access was the last of its period; who sees to it sets it back.
        best: the number of the best arm.
    """

    def __init__(self, capacity: i64, scales: Scales | None) -> None:
        ratio: i64 = 1
        if capacity >= LEAST_SAMPLED:
            while ratio < MOST_RATIO and capacity // (ratio * 2) >= LEAST_SHADOW:
                ratio *= 2
        while capacity // ratio > MOST_SHADOW:
            ratio *= 2
        self.ratio: Final[i64] = ratio
        self.records: Final = Records()
        self.size: i64 = capacity // ratio
        self.held: i64 = 0
        self.judged: bool = False
        self._shadows: Final = [Shadow(arm, self.size, self.records) for arm in ARMS]
        self._scores: Final[list[float]] = [0.0] * len(ARMS)
        self._weight: float = 0.0
        self._fade: float = 1.0
        self._period: i64 = 0
        # the share of the capacity
        self._nominal: i64 = self.size
        self._left: i64 = 0
        self.best: i64 = 0
        self._scales: Scales | None = scales
        accesses: i64 = 0 if scales is None else scales.access_count()
        self.curve: Final = Curve(ARMS[0], ratio, self.size, self.records, accesses)
        self.resize(capacity)

    def is_fit_for(self, capacity: i64) -> bool:
        """Whether the sampling still suits; else another tournament must begin."""
        if self.ratio == 1:
            return capacity < LEAST_SAMPLED * 2
        size = capacity // self.ratio
        return (
            size >= LEAST_SHADOW // 2
            and size <= MOST_SHADOW * 2
            and (self.ratio >= MOST_RATIO or size < LEAST_SHADOW * 4)
        )

    def resize(self, capacity: i64) -> None:
        """Goes on for more or fewer entries."""
        size = capacity // self.ratio
        if size < 1:
            size = 1
        self._nominal = size
        self._set_size(size)
        period = size // 4
        self._period = period if period > 16 else 16
        self._fade = 0.5 ** (float(self._period) / float(HALF_LIFE * size))

    def fit(self, size: i64) -> None:
        """Goes on with shadows of so many keys, or nearer to it.

        Args:
            size: how many of the sample the cache would hold if it were full.
        """
        size = min(max(size, self._nominal // 2, 1), self._nominal * 2)
        off = size - self.size
        if self.ratio != 1 and off != 0:
            # what is sampled comes and goes: so not all of the way at once
            self._set_size(self.size + (off + 3) // 4 if off > 0 else self.size + off // 4)

    def _set_size(self, size: i64) -> None:
        self.size = size
        for shadow in self._shadows:
            shadow.set_capacity(size)
            shadow.expect(size)
        self.curve.resize(size)

    def inherit(self, former: Tournament) -> None:
        """Begins with what an earlier one has found best."""
        self.best = former.best
        self._scores[self.best] = LEAST_LEAD

    def weighed_by(self, scales: Scales) -> None:
        """Another keyspace counts all accesses from now on."""
        self._scales = scales
        self.curve.restart(scales.access_count())

    def is_sampled(self, hashed: i64) -> bool:
        """Whether a key takes part."""
        return (hashed >> SAMPLE_SHIFT) & (self.ratio - 1) == 0

    def seed(self, record: i64, hits: i64) -> None:
        """A sampled key has been in the cache for a while, and was hit so often."""
        self.access(record)
        for shadow in self._shadows:
            shadow.seed(record, hits)

    def access(self, record: i64) -> None:
        """A sampled key was asked for: each shadow does as the cache would."""
        for index in range(len(self._shadows)):
            if self._shadows[index].access(record):
                self._scores[index] += 1.0
        self.curve.access(record, self.records.hashes[record])
        self._weight += 1.0
        self._left -= 1
        if self._left <= 0:
            self._judge()

    def forget(self, record: i64) -> None:
        """A sampled key was deleted, or has expired."""
        for shadow in self._shadows:
            shadow.forget(record)
        for shadow in self.curve.shadows:
            shadow.forget(record)

    def _judge(self) -> None:
        scores = self._scores
        best: i64 = 0
        for index in range(len(scores)):
            if scores[index] > scores[best]:
                best = index
        if scores[best] - scores[self.best] > LEAST_LEAD + LEAD * self._weight:
            self.best = best
        for index in range(len(scores)):
            scores[index] *= self._fade
        self._weight *= self._fade
        self._left = self._period
        self.judged = True
        if self._scales is not None:
            best_arm: int = self.best
            self.curve.judge(ARMS[best_arm], self._scales.access_count(), self._fade)

    def _check(self, held: i64) -> None:
        records = self.records
        holders: i64 = held
        for shadow in self._shadows + self.curve.shadows:
            shadow._check()
            holders += shadow.count()
        for hashed, number in records.numbers.items():
            assert records.hashes[number] == hashed
            assert records.holders[number] > 0
            assert self.is_sampled(hashed)
            holders -= records.holders[number]
        assert holders == 0
