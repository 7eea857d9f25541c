"""Combinations of rankings: union, intersection and difference of sorted sets.

Long commands, made by the sorted-set commands from their options. A set takes part like a
sorted set whose members all score 1.

1. Sources are taken from the smallest to the largest, except by a difference, so that
   floating point sums come out in the order in which Redis adds.
2. A product that is NaN counts as 0, and so does such a sum. But an intersection takes the
   products of all sources after the first as they are: they make a sum 0, and are neither the
   least nor the greatest. So does Redis.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from mypy_extensions import i64

from cachestorm.entry import SET, ZSET, Entry
from cachestorm.errors import CommandSyntaxError, WrongTypeError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.containers import replace
from cachestorm.operations.optimistic_result import PIECE, OptimisticResult
from cachestorm.operations.rows import members_of, scored
from cachestorm.operations.sample_sort import SampleSort
from cachestorm.values.ranking import Row
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import SortedSet, member_of, spelling
from cachestorm.values.wide_dict import WideDict

UNION: Final = "union"
INTER: Final = "inter"
SUM: Final = "SUM"
MIN: Final = "MIN"
MAX: Final = "MAX"
# what no member scores
_NO_SCORE: Final = float("nan")


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
        """The score of a member times the weight, maybe NaN; None if it is missing."""
        score: float | None = None
        if self._scores is not None:
            score = self._scores.score(member)
        elif self._plain is not None and member in self._plain:
            score = 1.0
        if score is None:
            return None
        return score * self._weight

    def some(self, start: i64, stop: i64) -> list[str]:
        """The members at some places, in no order."""
        if self._scores is not None:
            return [member_of(row) for row in self._scores.some(start, stop)]
        return [] if self._plain is None else self._plain.some(start, stop)


class Combination:
    """What ZUNION, ZINTER, ZDIFF, their STOREs and ZINTERCARD work out.

    Args:
        how: "union", "inter" or anything else for the difference.
        keys: of sorted sets and sets.
        weights: one for each key; None for 1.
        aggregate: SUM, MIN or MAX.

    Attributes:
        keys: as given.
        event: what a command that stores it is called.

    Raises:
        CommandSyntaxError: for another aggregate.
    """

    def __init__(
        self, how: str, keys: list[str], weights: list[float] | None, aggregate: str
    ) -> None:
        if aggregate not in (SUM, MIN, MAX):
            raise CommandSyntaxError()
        self._how = how
        self.keys: Final = keys
        self.event: Final = f"z{how}store" if how in (UNION, INTER) else "zdiffstore"
        self._weights = weights
        self._aggregate = aggregate

    def sources_of(self, space: Keyspace, entries: list[Entry | None]) -> list[_Source]:
        """What is combined, in the order in which that is done.

        Args:
            entries: of the keys.

        Raises:
            WrongTypeError: if any of the keys holds neither a sorted set nor a set.
        """
        found: list[_Source] = []
        for place, entry in enumerate(entries):
            weight = 1.0 if self._weights is None else self._weights[place]
            found.append(_source(space, entry, weight))
        return sorted(found, key=len) if self._how in (UNION, INTER) else found

    def add_some(
        self, sources: list[_Source], at: int, start: i64, stop: i64, scores: WideDict[float]
    ) -> None:
        """Adds to the result what the members at some places of a source come to.

        Args:
            at: which source; but for a union, that of the first is the whole result.
            scores: of the members of the result so far.
        """
        source = sources[at]
        members = source.some(start, stop)
        if self._how == UNION:
            for member in members:
                score = _number(cast(float, source.weighted(member)))
                former = scores.get(member, _NO_SCORE)
                scores.put(member, score if former != former else self._joined(former, score))
            return
        for member in members:
            found = self.score_of(sources, member)
            if found is not None:
                scores.put(member, found)

    def score_of(self, sources: list[_Source], member: str) -> float | None:
        """What a member scores in the result; None if it is not there."""
        if self._how == UNION:
            total: float | None = None
            for source in sources:
                score = source.weighted(member)
                if score is not None:
                    number = _number(score)
                    total = number if total is None else self._joined(total, number)
            return total
        if self._how != INTER:
            return None if _is_in_another(member, sources) else sources[0].weighted(member)
        if not _is_in_all(member, sources):
            return None
        added = _number(cast(float, sources[0].weighted(member)))
        for other in sources[1:]:
            added = self._joined(added, cast(float, other.weighted(member)))
        return added

    def is_in_order(self, sources: list[_Source]) -> bool:
        """Whether the sources would be combined in the same order if it were begun now."""
        if self._how not in (UNION, INTER):
            return True
        sizes = [len(source) for source in sources]
        return sizes == sorted(sizes)

    def _joined(self, former: float, score: float) -> float:
        if self._aggregate == MIN:
            return score if score < former else former
        if self._aggregate == MAX:
            return score if score > former else former
        return _number(former + score)

    def combine(self, sources: list[_Source], scores: WideDict[float]) -> Iterator[None]:
        """Works out the scores of the result, and yields after each piece.

        Args:
            scores: empty; takes them.
        """
        step = PIECE if self._how == UNION else max(PIECE // len(sources), 8)
        # a piece may be a part of a source, or many small ones
        left = step
        for at, source in enumerate(sources if self._how == UNION else sources[:1]):
            left -= 1
            start = 0
            while start < len(source):
                stop = min(start + step, len(source))
                self.add_some(sources, at, start, stop, scores)
                left -= stop - start
                start = stop
                if left <= 0:
                    left = step
                    yield


class _CombiningScores(OptimisticResult):
    """A combination of sorted sets on its way."""

    def __init__(self, space: Keyspace, combination: Combination) -> None:
        super().__init__(space, combination.keys)
        self._combination: Final = combination
        self._combined: list[_Source] = []
        self._scores: WideDict[float] = WideDict({})

    def _start(self) -> None:
        """Looks at the sources, and follows them."""
        self._combined = self._combination.sources_of(self._space, self._seen)
        self._follow()
        self._scores = WideDict({})
        self._keep(cast("list[object]", self._scores.parts()))

    def _revise(self, name: str) -> None:
        score = self._combination.score_of(self._combined, name)
        if score is None:
            self._leave_out(name)
        else:
            self._set(name, score)

    def _set(self, member: str, score: float) -> None:
        """Sets the score of a member in what has been made so far."""
        self._scores.put(member, score)

    def _leave_out(self, member: str) -> None:
        """Takes a member out of that."""
        self._scores.pop(member, _NO_SCORE)

    def _catch_up(self) -> Iterator[None]:
        for _ in super()._catch_up():
            yield
        if self._touched is not None and not self._combination.is_in_order(self._combined):
            for _ in self._begin_again():
                yield

    def _in_order(self) -> Iterator[list[Row]]:
        """Takes all scores out, and yields rows in order, or none, after each piece."""
        rows: list[Row] = []
        sort = SampleSort(rows)
        self._keep(cast("list[object]", sort.waiting))
        self._keep(cast("list[object]", sort.parts))
        for names in self._scores.parts():
            while names:
                _move_some(names, rows)
                yield []
        for _ in sort.run():
            yield []
        for at, part in enumerate(sort.parts):
            sort.parts[at] = []
            yield part


class StoringScores(_CombiningScores):
    """ZUNIONSTORE, ZINTERSTORE and ZDIFFSTORE. Its result: how many."""

    def __init__(self, space: Keyspace, combination: Combination, destination: str) -> None:
        super().__init__(space, combination)
        self._destination: Final = destination
        self._stored: SortedSet = SortedSet()

    def _set(self, member: str, score: float) -> None:
        self._stored.put(member, score)

    def _leave_out(self, member: str) -> None:
        self._stored.remove(member)

    def _work(self) -> Iterator[None]:
        made = SortedSet()
        self._stored = made
        self._made = made
        self._start()
        for _ in self._combination.combine(self._combined, self._scores):
            yield
        for rows in self._in_order():
            made.append(rows)
            yield
        for _ in self._catch_up():
            yield
        self._value = len(made)
        replace(self._space, self._destination, made, ZSET, self._combination.event)
        self._give_away()


class ReturningScores(_CombiningScores):
    """ZUNION, ZINTER and ZDIFF. Its result: members, maybe with scores."""

    def __init__(self, space: Keyspace, combination: Combination, withscores: bool) -> None:
        super().__init__(space, combination)
        self._withscores: Final = withscores
        self._rows: list[Row] = []

    def _work(self) -> Iterator[None]:
        self._rows = []
        self._keep(cast("list[object]", self._rows))
        self._start()
        for _ in self._combination.combine(self._combined, self._scores):
            yield
        for _ in self._catch_up():
            yield
        self._settle()
        for rows in self._in_order():
            self._rows.extend(rows)
            yield
        self._aside.pop(0)

    def result(self) -> object:
        return scored(self._rows) if self._withscores else members_of(self._rows)


class CountingScores(_CombiningScores):
    """ZINTERCARD. Its result: how many, at most the limit."""

    def __init__(self, space: Keyspace, combination: Combination, limit: int) -> None:
        super().__init__(space, combination)
        self._limit: Final = limit

    def _work(self) -> Iterator[None]:
        self._start()
        scores = self._scores
        is_enough = False
        for _ in self._combination.combine(self._combined, scores):
            is_enough = len(scores) >= self._limit
            if is_enough:
                break
            yield
        for _ in self._catch_up():
            yield
        if is_enough and len(scores) < self._limit:
            # what was enough is not any more
            for _ in self._begin_again():
                yield
        self._value = min(len(scores), self._limit)


def _number(score: float) -> float:
    """A score, 0 for NaN."""
    return score if score == score else 0.0


def _move_some(scores: dict[str, float], rows: list[Row]) -> None:
    """Takes some members out of a dict and makes rows of them."""
    left = min(PIECE, len(scores))
    while left > 0:
        member, score = scores.popitem()
        rows.append((score + 0.0, spelling(member)))  # minus zero becomes zero
        left -= 1


def _source(space: Keyspace, entry: Entry | None, weight: float) -> _Source:
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


def _is_in_another(member: str, sources: list[_Source]) -> bool:
    for source in sources[1:]:
        if member in source:
            return True
    return False
