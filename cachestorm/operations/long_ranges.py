"""Long ranges: ZRANGESTORE and ZREMRANGEBY* of more rows than one step should take.

Derivations, made by the sorted-set commands.

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
from cachestorm.keyspace.store import Store
from cachestorm.operations.containers import replace, settle, sorted_set_at
from cachestorm.operations.derivation import PIECE, Derivation
from cachestorm.operations.ranges import Range
from cachestorm.values.sorted_set import SortedSet


class _OfSortedSet(Derivation):
    """What is derived from a range of one sorted set."""

    def __init__(self, store: Store, space: Keyspace, key: str, within: Range) -> None:
        super().__init__(store, space, [key])
        self._within: Final = within
        self._left: SortedSet = SortedSet()
        self._count: i64 = 0

    def _found(self) -> SortedSet | None:
        """The sorted set that was seen."""
        entry = self._seen[0]
        if entry is None:
            return None
        if entry.kind != ZSET:
            raise WrongTypeError()
        return sorted_set_at(self._space, entry)

    def _start(self) -> SortedSet:
        self._left = SortedSet()
        self._made = self._left
        self._count = 0
        return self._left

    def result(self) -> object:
        return int(self._count)


class StoringRange(_OfSortedSet):
    """ZRANGESTORE. Its result: how many members."""

    def __init__(
        self, store: Store, space: Keyspace, key: str, within: Range, destination: str
    ) -> None:
        super().__init__(store, space, key, within)
        self._destination: Final = destination

    def _work(self) -> Iterator[None]:
        left = self._start()
        found = self._found()
        if found is None:
            return
        start, stop = self._within.limits(found)
        while start < stop:
            left.append(found.slice(start, min(start + PIECE, stop)))
            start += PIECE
            yield

    def _finish(self) -> None:
        self._count = len(self._left)
        replace(self._space, self._destination, self._left, ZSET)
        self._given_away()


class RemovingRange(_OfSortedSet):
    """ZREMRANGEBYRANK and its kin. Its result: how many members were removed."""

    def __init__(self, store: Store, space: Keyspace, key: str, within: Range) -> None:
        super().__init__(store, space, key, within)
        self._first: i64 = 0

    def _work(self) -> Iterator[None]:
        left = self._start()
        found = self._found()
        if found is None:
            return
        first, last = self._within.ranks(found)
        length = i64(len(found))
        self._first = first
        self._count = last - first
        if first == last:
            return
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

    def _finish(self) -> None:
        entry = self._seen[0]
        found = self._found()
        if entry is None or found is None or self._count == 0:
            return
        before = found.size_bytes
        found.exchange(self._left, self._first, self._first + self._count)
        settle(self._space, entry, found, before)
