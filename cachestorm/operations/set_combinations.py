"""Combinations of sets: union, intersection and difference, in one step or in slices.

Made by the commands of the algebra of sets; what is small is combined under the latch at
once, what is large is a `Derivation`.

1. The members of a union come in the order of the sets, those of an intersection in that of
   its smallest set, those of a difference in that of the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mypy_extensions import i64

from cachestorm.entry import SET
from cachestorm.errors import WrongTypeError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import Store
from cachestorm.operations.containers import entry_of, replace, set_at
from cachestorm.operations.derivation import PIECE, Derivation
from cachestorm.values.set import SetValue

UNION: Final = "union"
INTERSECTION: Final = "intersection"
DIFFERENCE: Final = "difference"


def set_of(members: list[str]) -> SetValue:
    """A new set of these members."""
    made = SetValue()
    for member in members:
        made.add(member)
    return made


def sets_at(space: Keyspace, keys: list[str]) -> list[SetValue]:
    """The sets at keys, empty ones where there is none. Counts as an access to each.

    Raises:
        WrongTypeError: if any of the keys holds another kind, even where the result is
            certain before.
    """
    sets: list[SetValue] = []
    for key in keys:
        entry = entry_of(space, key, SET)
        sets.append(SetValue() if entry is None else set_at(space, entry))
    return sets


def work_of(sets: list[SetValue], how: str) -> i64:
    """How many members and sets are to be looked at."""
    if how == UNION:
        work = i64(len(sets))
        for each in sets:
            work += len(each)
        return work
    first = sets[0] if how == DIFFERENCE else _smallest(sets)
    return len(first) * len(sets)


def combined(sets: list[SetValue], how: str, limit: int) -> list[str]:
    """The members of a union, intersection or difference, at most so many of them."""
    if how == UNION:
        union: dict[str, None] = {}
        for each in sets:
            for member in each.members():
                union[member] = None
        return list(union)
    first = sets[0] if how == DIFFERENCE else _smallest(sets)
    return _kept(sets, how, first, 0, len(first), limit)


def _smallest(sets: list[SetValue]) -> SetValue:
    smallest = sets[0]
    for each in sets:
        if len(each) < len(smallest):
            smallest = each
    return smallest


def _kept(
    sets: list[SetValue], how: str, first: SetValue, start: i64, stop: i64, limit: int
) -> list[str]:
    """What stays of the members at some places of the set that decides."""
    kept: list[str] = []
    if how == DIFFERENCE:
        for member in first.some(start, stop):
            for each in sets[1:]:
                if member in each:
                    break
            else:
                kept.append(member)
        return kept
    for member in first.some(start, stop):
        if len(kept) >= limit:
            break
        for each in sets:
            if each is not first and member not in each:
                break
        else:
            kept.append(member)
    return kept


class _Combining(Derivation):
    """A combination of large sets on its way."""

    def __init__(self, store: Store, space: Keyspace, keys: list[str], how: str) -> None:
        super().__init__(store, space, keys)
        self._how: Final = how

    def _start(self) -> None:
        """Makes what is to take the members; what was there is no more."""
        raise NotImplementedError

    def _take(self, members: list[str]) -> bool:
        """Takes members; whether it wants more of them."""
        raise NotImplementedError

    def _work(self) -> Iterator[None]:
        self._start()
        sets: list[SetValue] = []
        for entry in self._seen:
            if entry is not None and entry.kind != SET:
                raise WrongTypeError()
            sets.append(SetValue() if entry is None else set_at(self._space, entry))
        sources = sets
        if self._how != UNION:
            sources = [sets[0] if self._how == DIFFERENCE else _smallest(sets)]
        step = PIECE if self._how == UNION else max(PIECE // len(sets), 8)
        # a piece may be a part of a set, or many small ones
        left = step
        for source in sources:
            left -= 1
            start = 0
            while start < len(source):
                stop = min(start + step, len(source))
                if self._how == UNION:
                    members = source.some(start, stop)
                else:
                    members = _kept(sets, self._how, source, start, stop, PIECE)
                if not self._take(members):
                    return
                left -= stop - start
                start = stop
                if left <= 0:
                    left = step
                    yield


class StoringSets(_Combining):
    """SUNIONSTORE, SINTERSTORE and SDIFFSTORE of what is large. Its result: how many."""

    def __init__(
        self, store: Store, space: Keyspace, keys: list[str], how: str, destination: str
    ) -> None:
        super().__init__(store, space, keys, how)
        self._destination: Final = destination
        self._set: SetValue = SetValue()
        self._count: i64 = 0

    def _start(self) -> None:
        self._set = SetValue()
        self._made = self._set

    def _take(self, members: list[str]) -> bool:
        for member in members:
            self._set.add(member)
        return True

    def _finish(self) -> None:
        self._count = len(self._set)
        replace(self._space, self._destination, self._set, SET)
        self._given_away()

    def result(self) -> object:
        return int(self._count)


class ReturningSets(_Combining):
    """SUNION, SINTER and SDIFF of what is large. Its result: a Python set."""

    def __init__(self, store: Store, space: Keyspace, keys: list[str], how: str) -> None:
        super().__init__(store, space, keys, how)
        self._found: dict[str, object] = {}

    def _start(self) -> None:
        self._found = {}
        self._keep(self._found)

    def _take(self, members: list[str]) -> bool:
        for member in members:
            self._found[member] = None
        return True

    def _finish(self) -> None:
        self._aside = []

    def result(self) -> object:
        return set(self._found)


class CountingSets(_Combining):
    """SINTERCARD of what is large. Its result: how many, at most the limit."""

    def __init__(self, store: Store, space: Keyspace, keys: list[str], limit: int) -> None:
        super().__init__(store, space, keys, INTERSECTION)
        self._limit: Final = limit
        self._count: int = 0

    def _start(self) -> None:
        self._count = 0

    def _take(self, members: list[str]) -> bool:
        self._count = min(self._count + len(members), self._limit)
        return self._count < self._limit

    def result(self) -> object:
        return self._count
