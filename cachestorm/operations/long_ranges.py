"""Long ranges: ZRANGESTORE, and ZREMRANGEBY* of more rows than one step should take.

Long commands, made by the sorted-set commands.

1. What is left of a sorted set lies in the same order in its dense list, so that a scan that
   is on its way misses none: a row only ever moves towards the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mypy_extensions import i64

from cachestorm.entry import ZSET
from cachestorm.errors import WrongTypeError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.containers import replace, settle, sorted_set_at
from cachestorm.operations.optimistic_result import PIECE, OptimisticResult
from cachestorm.operations.ranges import Range
from cachestorm.values.sorted_set import SortedSet


class _OfRange(OptimisticResult):
    """What is made of a range of one sorted set."""

    def __init__(self, space: Keyspace, key: str, within: Range) -> None:
        super().__init__(space, [key])
        self._within: Final = within

    def _found(self) -> SortedSet:
        """The sorted set that was seen, or an empty one."""
        entry = self._seen[0]
        if entry is None:
            return SortedSet()
        if entry.kind != ZSET:
            raise WrongTypeError()
        return sorted_set_at(self._space, entry)


class StoringRange(_OfRange):
    """ZRANGESTORE. Its result: how many members."""

    def __init__(self, space: Keyspace, key: str, within: Range, destination: str) -> None:
        super().__init__(space, key, within)
        self._destination: Final = destination

    def _work(self) -> Iterator[None]:
        found = self._found()
        made = SortedSet()
        self._made = made
        start, stop = self._within.limits(found)
        while start < stop:
            made.append(found.slice(start, min(start + PIECE, stop)))
            start += PIECE
            yield
        self._value = len(made)
        replace(self._space, self._destination, made, ZSET, "zrangestore")
        self._give_away()


class RemovingRange(_OfRange):
    """ZREMRANGEBYRANK and others like it. Its result: how many members were removed."""

    def _work(self) -> Iterator[None]:
        found = self._found()
        first, last = self._within.ranks(found)
        length = i64(len(found))
        self._value = int(last - first)
        if first == last:
            return
        left = SortedSet()
        self._made = left
        lowest = found.slice(first, first + 1)[0]
        highest = found.slice(last - 1, last)[0]
        start: i64 = 0
        while start < length:
            rows = found.some(start, start + PIECE)
            left.place([row for row in rows if row < lowest or row > highest])
            start += PIECE
            yield
        start = 0
        while start < first:
            left.rank_last(found.slice(start, min(start + PIECE, first)))
            start += PIECE
            yield
        start = last
        while start < length:
            left.rank_last(found.slice(start, min(start + PIECE, length)))
            start += PIECE
            yield
        entry = self._seen[0]
        assert entry is not None
        before = found.size_bytes
        found.exchange(left, first, last)
        settle(self._space, entry, found, before, self._within.removal)
