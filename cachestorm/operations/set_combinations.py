"""Combinations of sets: union, intersection and difference.

Long commands, made by the algebra of sets.

1. The members of a union come in the order of the sets, those of an intersection in that of
   its smallest set, those of a difference in that of the first. The order of small sets is
   Redis'.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from cachestorm.entry import SET
from cachestorm.errors import WrongTypeError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.containers import replace, set_at
from cachestorm.operations.optimistic_result import PIECE, OptimisticResult
from cachestorm.values.set import SetValue, in_order_of_redis
from cachestorm.values.wide_dict import WideDict

UNION: Final = "union"
INTERSECTION: Final = "inter"
DIFFERENCE: Final = "diff"


def set_of(members: list[str]) -> SetValue:
    """A new set of these members."""
    made = SetValue()
    for member in members:
        made.add(member)
    return made


class _Combination(OptimisticResult):
    """A combination of sets on its way.

    Args:
        how: UNION, INTERSECTION or DIFFERENCE.
    """

    def __init__(self, space: Keyspace, keys: list[str], how: str) -> None:
        super().__init__(space, keys)
        self._how: Final = how
        self._sets: list[SetValue] = []

    def _take(self, members: list[str]) -> bool:
        """Takes members; whether it wants more of them."""
        raise NotImplementedError

    def _leave_out(self, member: str) -> None:
        """Takes a member out that may have been taken."""
        raise NotImplementedError

    def _combine(self) -> Iterator[None]:
        """Has all members taken, and yields after each piece, but not after the last.

        Raises:
            WrongTypeError: if any of the keys holds another kind, even where the result is
                certain before.
        """
        sets: list[SetValue] = []
        for entry in self._seen:
            if entry is not None and entry.kind != SET:
                raise WrongTypeError()
            sets.append(SetValue() if entry is None else set_at(self._space, entry))
        self._sets = sets
        self._follow()
        sources = sets
        step = PIECE
        if self._how != UNION:
            sources = [sets[0] if self._how == DIFFERENCE else _smallest(sets)]
            step = max(PIECE // len(sets), 8)
        wants_more = True
        # a piece may be a part of a set, or many small ones
        left = step
        for source in sources:
            left -= 1
            start = 0
            few = source.in_order() if len(source) <= PIECE else None
            while wants_more:
                stop = start + step
                members = source.some(start, stop) if few is None else few[start:stop]
                if not members:
                    break
                left -= len(members)
                start += len(members)
                wants_more = self._take(_kept(sets, self._how, source, members))
                if left <= 0:
                    left = step
                    yield
        if self._touched is None:
            return
        for _ in self._catch_up():
            yield
        if not wants_more and self._take([]):
            # what was enough is not any more
            for _ in self._begin_again():
                yield

    def _revise(self, name: str) -> None:
        sets = self._sets
        if self._how == UNION:
            is_in = any([name in each for each in sets])
        elif self._how == DIFFERENCE:
            is_in = name in sets[0] and bool(_kept(sets, self._how, sets[0], [name]))
        else:
            is_in = bool(_kept(sets, self._how, None, [name]))
        if is_in:
            self._take([name])
        else:
            self._leave_out(name)


class StoringSets(_Combination):
    """SUNIONSTORE, SINTERSTORE and SDIFFSTORE. Its result: how many members."""

    def __init__(self, space: Keyspace, keys: list[str], how: str, destination: str) -> None:
        super().__init__(space, keys, how)
        self._destination: Final = destination
        self._set: SetValue = SetValue()

    def _take(self, members: list[str]) -> bool:
        for member in members:
            self._set.add(member)
        return True

    def _leave_out(self, member: str) -> None:
        self._set.remove(member)

    def _work(self) -> Iterator[None]:
        made = SetValue()
        self._set = made
        self._made = made
        for _ in self._combine():
            yield
        self._value = len(made)
        replace(self._space, self._destination, made, SET, f"s{self._how}store")
        self._give_away()


class ReturningSets(_Combination):
    """SUNION, SINTER and SDIFF. Its result: a Python set."""

    def __init__(self, space: Keyspace, keys: list[str], how: str) -> None:
        super().__init__(space, keys, how)
        self._found: dict[str, object] = {}

    def _take(self, members: list[str]) -> bool:
        for member in members:
            self._found[member] = None
        return True

    def _leave_out(self, member: str) -> None:
        self._found.pop(member, None)

    def _work(self) -> Iterator[None]:
        self._found = {}
        self._keep(self._found)
        for _ in self._combine():
            yield
        self._aside = []

    def result(self) -> object:
        return set(self._found)


class OrderedSets(ReturningSets):
    """The same for a reply. Its result: a list, of few members in Redis' order.

    Redis makes a set of a union or a difference, and tells an intersection as it finds it.
    """

    def result(self) -> object:
        found = list(self._found)
        return found if self._how == INTERSECTION else in_order_of_redis(found)


class CountingSets(_Combination):
    """SINTERCARD. Its result: how many members, at most the limit."""

    def __init__(self, space: Keyspace, keys: list[str], limit: int) -> None:
        super().__init__(space, keys, INTERSECTION)
        self._limit: Final = limit
        self._found: WideDict[bool] = WideDict({})

    def _take(self, members: list[str]) -> bool:
        for member in members:
            self._found.put(member, True)
        return len(self._found) < self._limit

    def _leave_out(self, member: str) -> None:
        self._found.pop(member, True)

    def _work(self) -> Iterator[None]:
        self._found = WideDict({})
        self._keep(cast("list[object]", self._found.parts()))
        for _ in self._combine():
            yield
        self._value = min(len(self._found), self._limit)


def _smallest(sets: list[SetValue]) -> SetValue:
    smallest = sets[0]
    for each in sets:
        if len(each) < len(smallest):
            smallest = each
    return smallest


def _kept(
    sets: list[SetValue], how: str, first: SetValue | None, members: list[str]
) -> list[str]:
    """What stays of some members.

    Args:
        first: the set that they are members of.
    """
    if how == UNION:
        return members
    kept: list[str] = []
    if how == DIFFERENCE:
        for member in members:
            for each in sets[1:]:
                if member in each:
                    break
            else:
                kept.append(member)
        return kept
    for member in members:
        for each in sets:
            if each is not first and member not in each:
                break
        else:
            kept.append(member)
    return kept
