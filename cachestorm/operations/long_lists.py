"""Long lists: LREM, LTRIM, LINSERT and LPOS of what is too long for one step.

Derivations, made by the list commands. A search goes over the list a piece at a time. A few
elements are taken out in place; for many of them, the others are gathered in a list aside,
which takes the place of the elements in one step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from mypy_extensions import i64

from cachestorm.entry import LIST
from cachestorm.errors import WrongTypeError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import Store
from cachestorm.operations.containers import settle, span
from cachestorm.operations.derivation import PIECE, Derivation
from cachestorm.values.list import FEW, ListValue

# What is no longer is one plain step, of some milliseconds at most.
LONG_LIST: Final = 32768


class _OfList(Derivation):
    """What is derived from one list."""

    def __init__(self, store: Store, space: Keyspace, key: str) -> None:
        super().__init__(store, space, [key])
        self._key: Final = key

    def _list(self) -> ListValue | None:
        """The list that was seen."""
        entry = self._seen[0]
        if entry is None:
            return None
        if entry.kind != LIST:
            raise WrongTypeError()
        return cast(ListValue, self._space.value(entry))


class _Searching(_OfList):
    """A search for elements.

    Args:
        wire: what their wire bytes equal.
        count: at most so many; if negative, as many from the right; 0 for all.
        limit: compare at most so many elements; 0 for all.
        rank: leave out the first `rank - 1` matches.
    """

    def __init__(
        self,
        store: Store,
        space: Keyspace,
        key: str,
        wire: bytes,
        count: i64,
        limit: i64 = 0,
        rank: i64 = 1,
    ) -> None:
        super().__init__(store, space, key)
        self._wire: Final = wire
        self._from_right: Final = count < 0
        self._wanted: Final[i64] = -count if count < 0 else count
        self._limit: Final[i64] = limit
        self._rank: Final[i64] = rank
        self._places: list[int] = []

    def _search(self, found: ListValue) -> Iterator[None]:
        """Fills `_places`, in the order in which they are met; yields after each piece."""
        self._keep(cast("list[object]", self._places))
        left: int = self._rank - 1
        length: int = len(found)
        looks: int = length
        if 0 < self._limit < length:
            looks = self._limit
        looked = 0
        while looked < looks:
            upto = min(looked + PIECE, looks)
            if self._from_right:
                places = found.places_within(self._wire, length - upto, length - looked)
                places.reverse()
            else:
                places = found.places_within(self._wire, looked, upto)
            for place in places:
                if left > 0:
                    left -= 1
                    continue
                self._places.append(place)
                if len(self._places) == self._wanted:
                    return
            looked = upto
            yield

    def _work(self) -> Iterator[None]:
        self._places = []
        found = self._list()
        if found is not None:
            for _ in self._search(found):
                yield


class Finding(_Searching):
    """LPOS. Its result: the indices, in the order in which they were met.

    Args:
        only_first: the result is the first index, None if there is none.
    """

    def __init__(
        self,
        store: Store,
        space: Keyspace,
        key: str,
        wire: bytes,
        count: i64,
        limit: i64,
        rank: i64,
        only_first: bool,
    ) -> None:
        super().__init__(store, space, key, wire, count, limit, rank)
        self._only_first: Final = only_first

    def _finish(self) -> None:
        # they are the result, and nothing of the store
        self._aside = []

    def result(self) -> object:
        if not self._only_first:
            return self._places
        return self._places[0] if self._places else None


class Inserting(_Searching):
    """LINSERT. Its result: the new length, 0 without a list, -1 without the pivot."""

    def __init__(
        self, store: Store, space: Keyspace, key: str, wire: bytes, held: object, after: bool
    ) -> None:
        super().__init__(store, space, key, wire, 1)
        self._held: Final = held
        self._after: Final = after
        self._length: int = 0

    def _finish(self) -> None:
        entry = self._seen[0]
        found = self._list()
        if entry is None or found is None:
            self._length = 0
            return
        if not self._places:
            self._length = -1
            return
        place: i64 = self._places[0]
        if self._after:
            place += 1
        before = found.size_bytes
        found.insert(place, self._held)
        self._length = len(found)
        settle(self._space, entry, found, before)

    def result(self) -> object:
        return self._length


class Sifting(_Searching):
    """LREM. Its result: how many elements were removed."""

    def __init__(
        self, store: Store, space: Keyspace, key: str, wire: bytes, count: i64
    ) -> None:
        super().__init__(store, space, key, wire, count)
        self._left: ListValue = ListValue()
        self._count: int = 0

    def _work(self) -> Iterator[None]:
        self._places = []
        found = self._list()
        if found is None:
            return
        for _ in self._search(found):
            yield
        if len(self._places) <= FEW:
            return
        if self._from_right:
            self._places.reverse()
        self._left = ListValue()
        self._made = self._left
        start = 0
        while start < len(found):
            found.copy_without(self._left, start, start + PIECE, self._places)
            start += PIECE
            yield

    def _finish(self) -> None:
        entry = self._seen[0]
        found = self._list()
        self._count = 0
        if entry is None or found is None or not self._places:
            return
        self._count = len(self._places)
        before = found.size_bytes
        if len(self._places) > FEW:
            found.exchange_plucked(self._left, self._places)
        else:
            found.pluck(self._places)
        settle(self._space, entry, found, before)

    def result(self) -> object:
        return self._count


class Trimming(_OfList):
    """LTRIM. Its result: True.

    Args:
        start, stop: as the command has them.
    """

    def __init__(self, store: Store, space: Keyspace, key: str, start: int, stop: int) -> None:
        super().__init__(store, space, key)
        self._start: Final = start
        self._stop: Final = stop
        self._left: ListValue = ListValue()
        self._first: i64 = 0

    def _work(self) -> Iterator[None]:
        found = self._list()
        if found is None:
            return
        self._left = ListValue()
        self._made = self._left
        self._first, last = span(self._start, self._stop, len(found))
        start: int = self._first
        end: int = last
        while start < end:
            found.copy_some(self._left, start, min(start + PIECE, end))
            start += PIECE
            yield

    def _finish(self) -> None:
        entry = self._seen[0]
        found = self._list()
        if entry is None or found is None:
            return
        before = found.size_bytes
        found.exchange_kept(self._left, self._first)
        settle(self._space, entry, found, before)

    def result(self) -> object:
        return True
