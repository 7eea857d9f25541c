"""Combinations of rankings: union, intersection and difference of sorted sets.

Made by the sorted-set commands from their options, worked out under the latch. A set takes
part like a sorted set whose members all score 1.

1. Sources are taken from the smallest to the largest, except by a difference, so that
   floating point sums come out in the order in which Redis adds.
2. A product or sum that is no number counts as 0, as in Redis.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import i64

from cachestorm.entry import SET, ZSET
from cachestorm.errors import CommandSyntaxError, WrongTypeError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.values.ranking import Row
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import SortedSet, member_of, spelling

UNION: Final = "union"
INTER: Final = "inter"
SUM: Final = "SUM"
MIN: Final = "MIN"
MAX: Final = "MAX"


class _Source:
    """A sorted set, a set or nothing, with the weight of its scores."""

    def __init__(self, scores: SortedSet | None, plain: SetValue | None, weight: float) -> None:
        self._scores = scores
        self._plain = plain
        self._weight = weight

    def __len__(self) -> int:
        if self._scores is not None:
            return len(self._scores)
        return 0 if self._plain is None else len(self._plain)

    def __contains__(self, member: object) -> bool:
        if self._scores is not None:
            return member in self._scores
        return self._plain is not None and member in self._plain

    def weighted(self, member: str) -> float | None:
        """The score of a member times the weight, None if it is missing."""
        score: float | None = None
        if self._scores is not None:
            score = self._scores.score(member)
        elif self._plain is not None and member in self._plain:
            score = 1.0
        if score is None:
            return None
        product = score * self._weight
        return product if product == product else 0.0

    def members(self) -> list[str]:
        """All members, lowest score first."""
        if self._scores is not None:
            return [member_of(row) for row in self._scores.slice(0, len(self._scores))]
        return [] if self._plain is None else self._plain.members()


class Combination:
    """What ZUNION, ZINTER, ZDIFF, their STOREs and ZINTERCARD work out.

    Args:
        how: "union", "inter" or anything else for the difference.
        keys: of sorted sets and sets.
        weights: one for each key; None for 1.
        aggregate: SUM, MIN or MAX.

    Raises:
        CommandSyntaxError: for another aggregate.
    """

    def __init__(
        self, how: str, keys: list[str], weights: list[float] | None, aggregate: str
    ) -> None:
        if aggregate not in (SUM, MIN, MAX):
            raise CommandSyntaxError()
        self._how = how
        self._keys = keys
        self._weights = weights
        self._aggregate = aggregate

    def rows(self, space: Keyspace) -> list[Row]:
        """The rows of the result in order.

        Raises:
            WrongTypeError: if any of the keys holds neither a sorted set nor a set.
        """
        sources = self._sources(space)
        if self._how == UNION:
            scores = self._united(sorted(sources, key=len))
        elif self._how == INTER:
            scores = self._shared(sorted(sources, key=len))
        else:
            scores = _left_over(sources)
        rows = [(score, spelling(member)) for member, score in scores.items()]
        rows.sort()
        return rows

    def count_shared(self, space: Keyspace, limit: int) -> int:
        """How many members all of them share, at most `limit`.

        Raises:
            WrongTypeError: as `rows`.
        """
        sources = sorted(self._sources(space), key=len)
        count = 0
        for member in sources[0].members():
            if count >= limit:
                break
            if _is_in_all(member, sources):
                count += 1
        return count

    def _sources(self, space: Keyspace) -> list[_Source]:
        sources: list[_Source] = []
        for place, key in enumerate(self._keys):
            weight = 1.0 if self._weights is None else self._weights[place]
            sources.append(_source(space, key, weight))
        return sources

    def _united(self, sources: list[_Source]) -> dict[str, float]:
        scores: dict[str, float] = {}
        for source in sources:
            for member in source.members():
                score = cast(float, source.weighted(member))
                former = scores.get(member)
                scores[member] = score if former is None else self._joined(former, score)
        return scores

    def _shared(self, sources: list[_Source]) -> dict[str, float]:
        scores: dict[str, float] = {}
        smallest = sources[0]
        for member in smallest.members():
            if not _is_in_all(member, sources):
                continue
            total = cast(float, smallest.weighted(member))
            for source in sources[1:]:
                total = self._joined(total, cast(float, source.weighted(member)))
            scores[member] = total
        return scores

    def _joined(self, former: float, score: float) -> float:
        if self._aggregate == MIN:
            return score if score < former else former
        if self._aggregate == MAX:
            return score if score > former else former
        total = former + score
        return total if total == total else 0.0


def _source(space: Keyspace, key: str, weight: float) -> _Source:
    entry = space.find(key)
    if entry is None:
        return _Source(None, None, weight)
    value = space.values[i64(entry.index)]
    if entry.kind == ZSET:
        return _Source(cast(SortedSet, value), None, weight)
    if entry.kind == SET:
        return _Source(None, cast(SetValue, value), weight)
    raise WrongTypeError()


def _is_in_all(member: str, sources: list[_Source]) -> bool:
    for source in sources:
        if member not in source:
            return False
    return True


def _left_over(sources: list[_Source]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for member in sources[0].members():
        for source in sources[1:]:
            if member in source:
                break
        else:
            scores[member] = cast(float, sources[0].weighted(member))
    return scores
