"""The scoreboard: what the hit ratios of all cells say of each contestant.

Filled by the judge, by the notebook and by tests. It measures nothing.

1. A cell is a trace with a capacity. The gap of a contestant in a cell is the hit ratio of the
   best of the eight fixed references less its own, in points (hundredths); below zero it is
   better than all eight.
2. A cell with fewer requests than 20 capacities is *short*, and reported apart: hardly anything
   is evicted in it that a policy could have learnt from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.benchmarks.hit_ratio.contestants import WARM, Outcome
from tests.benchmarks.hit_ratio.references import FIXED

LRU = "LRU"


@dataclass(slots=True)
class Cell:
    """One trace with one capacity.

    Attributes:
        outcomes: by contestant; of one that draws random numbers, one for every run.
    """

    trace: str
    requests: int
    capacity: int
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)

    @property
    def is_short(self) -> bool:
        """Whether it ends before twenty capacities of requests."""
        return self.requests < WARM * self.capacity

    def ratios(self, name: str, early: bool = False) -> list[float]:
        """Hit ratios in hundredths, one for every run.

        Args:
            early: of the first twenty capacities of requests alone.
        """
        requests = min(self.requests, WARM * self.capacity) if early else self.requests
        return [
            100 * (outcome.early if early else outcome.hits) / requests
            for outcome in self.outcomes.get(name, ())
        ]

    def ratio(self, name: str) -> float | None:
        """The mean hit ratio of the runs in hundredths, or None where there was none."""
        ratios = self.ratios(name)
        return sum(ratios) / len(ratios) if ratios else None

    def best(self, early: bool = False) -> tuple[float, str]:
        """Hit ratio and name of the best of the fixed references."""
        return max(
            (self.ratios(name, early)[0], name) for name in FIXED if name in self.outcomes
        )

    def gaps(self, name: str, early: bool = False) -> list[float]:
        """How far below the best fixed reference each run is."""
        best, _ = self.best(early)
        return [best - ratio for ratio in self.ratios(name, early)]


@dataclass(frozen=True, slots=True)
class Score:
    """The gaps of one contestant over some cells; every run of a cell counts as one.

    Attributes:
        within: share of the runs whose gap is at most 1, 2 and 3 points.
        worst_at: the cell of the largest gap.
        worst_below_lru: the largest gap to LRU alone.
    """

    runs: int
    mean: float
    within: tuple[float, float, float]
    worst: float
    worst_at: str
    worst_below_lru: float


def score(name: str, cells: Iterable[Cell], early: bool = False) -> Score | None:
    """The score of a contestant over these cells; None where it ran in none of them."""
    gaps: list[tuple[float, str]] = []
    below_lru = []
    for cell in cells:
        lru = cell.ratios(LRU, early)[0]
        for gap, ratio in zip(cell.gaps(name, early), cell.ratios(name, early), strict=True):
            gaps.append((gap, f"{cell.trace}@{cell.capacity}"))
            below_lru.append(lru - ratio)
    if not gaps:
        return None
    one, two, three = (
        sum(gap <= points for gap, _ in gaps) / len(gaps) for points in (1.0, 2.0, 3.0)
    )
    worst, where = max(gaps)
    return Score(
        runs=len(gaps),
        mean=sum(gap for gap, _ in gaps) / len(gaps),
        within=(one, two, three),
        worst=worst,
        worst_at=where,
        worst_below_lru=max(below_lru),
    )
