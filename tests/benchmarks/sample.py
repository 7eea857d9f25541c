"""A sample: the rounds of one measurement of one subject, and what is said of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter_ns


@dataclass(slots=True)
class Sample:
    """Measurements of the same thing, one a round.

    Examples:
        >>> sample = Sample([31.0, 29.0, 42.0])
        >>> sample.median, sample.low, sample.high
        (31.0, 29.0, 42.0)
    """

    rounds: list[float] = field(default_factory=list)

    def add(self, measured: float) -> None:
        """Appends a round."""
        self.rounds.append(measured)

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def low(self) -> float:
        return min(self.rounds)

    @property
    def high(self) -> float:
        return max(self.rounds)


def geometric_mean(ratios: Iterable[float]) -> float:
    """The mean of ratios: that of 2 and 1/2 is 1."""
    logarithms = [math.log(ratio) for ratio in ratios]
    return math.exp(sum(logarithms) / len(logarithms))


def nanoseconds_a_call(run: Callable[[], int], at_least_ms: float) -> float:
    """Median time of one call.

    Args:
        run: makes many calls once, and returns the nanoseconds that one of them took.
        at_least_ms: how long to go on running.
    """
    passes = []
    end = perf_counter_ns() + int(at_least_ms * 1e6)
    while not passes or perf_counter_ns() < end:
        passes.append(run())
    return statistics.median(passes)
