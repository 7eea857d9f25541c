"""Long lists: LREM, LINSERT and LPOS, and LTRIM of what is too long for one step.

Long commands, made by the list commands. A search goes over the list a piece at a time. A few
elements are taken out in place; for many of them, the others are gathered in a list aside,
which takes the place of the elements in one step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from mypy_extensions import i64

from cachestorm.entry import LIST, Entry
from cachestorm.errors import WrongTypeError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.containers import list_at, settle, span
from cachestorm.operations.optimistic_result import PIECE, OptimisticResult
from cachestorm.values.list import FEW, ListValue

# A list is cut at its ends in one step where no more than this goes.
LONG_LIST: Final = 32768


class _OfList(OptimisticResult):
    """What is made of one list."""

    def __init__(self, space: Keyspace, key: str) -> None:
        super().__init__(space, [key])

    def _list(self) -> ListValue:
        """The list that was seen, or an empty one."""
        entry = self._seen[0]
        if entry is None:
            return ListValue()
        if entry.kind != LIST:
            raise WrongTypeError()
        return list_at(self._space, entry)

    def _entry(self) -> Entry:
        """The entry that was seen, where a list was found."""
        entry = self._seen[0]
        assert entry is not None
        return entry


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
        space: Keyspace,
        key: str,
        wire: bytes,
        count: i64,
        limit: i64 = 0,
        rank: i64 = 1,
    ) -> None:
        super().__init__(space, key)
        self._wire: Final = wire
        self._from_right: Final = count < 0
        self._wanted: Final[i64] = -count if count < 0 else count
        self._limit: Final[i64] = limit
        self._rank: Final[i64] = rank
        self._places: list[int] = []

    def _search(self, found: ListValue) -> Iterator[None]:
        """Fills `_places`, in the order in which they are met; yields after each piece."""
        self._places = []
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


class Finding(_Searching):
    """LPOS. Its result: the indices, in the order in which they were met.

    Args:
        only_first: the result is the first index, None if there is none.
    """

    def __init__(
        self,
        space: Keyspace,
        key: str,
        wire: bytes,
        count: i64,
        limit: i64,
        rank: i64,
        only_first: bool,
    ) -> None:
        super().__init__(space, key, wire, count, limit, rank)
        self._only_first: Final = only_first

    def _work(self) -> Iterator[None]:
        for _ in self._search(self._list()):
            yield
        # they are the result, and nothing of the store
        self._aside = []
        places = self._places
        self._value = places
        if self._only_first:
            self._value = places[0] if places else None


class Inserting(_Searching):
    """LINSERT. Its result: the new length, 0 without a list, -1 without the pivot."""

    def __init__(
        self, space: Keyspace, key: str, wire: bytes, held: object, after: bool
    ) -> None:
        super().__init__(space, key, wire, 1)
        self._held: Final = held
        self._after: Final = after

    def _work(self) -> Iterator[None]:
        found = self._list()
        for _ in self._search(found):
            yield
        if not self._places:
            self._value = -1 if len(found) else 0
            return
        place: i64 = self._places[0]
        if self._after:
            place += 1
        before = found.size_bytes
        found.insert(place, self._held)
        self._value = len(found)
        settle(self._space, self._entry(), found, before, "linsert")


class Sifting(_Searching):
    """LREM. Its result: how many elements were removed."""

    def _work(self) -> Iterator[None]:
        found = self._list()
        for _ in self._search(found):
            yield
        places = self._places
        self._value = len(places)
        if not places:
            return
        left = ListValue()
        self._made = left
        if len(places) > FEW:
            if self._from_right:
                places.reverse()
            start = 0
            while start < len(found):
                found.copy_without(left, start, start + PIECE, places)
                start += PIECE
                yield
        before = found.size_bytes
        if len(places) > FEW:
            found.exchange_plucked(left, places)
        else:
            found.pluck(places)
        settle(self._space, self._entry(), found, before, "lrem")


class Trimming(_OfList):
    """LTRIM. Its result: True.

    Args:
        start, stop: as the command has them.
    """

    def __init__(self, space: Keyspace, key: str, start: int, stop: int) -> None:
        super().__init__(space, key)
        self._start: Final = start
        self._stop: Final = stop

    def _work(self) -> Iterator[None]:
        self._value = True
        found = self._list()
        left = ListValue()
        self._made = left
        first, last = span(self._start, self._stop, len(found))
        start: int = first
        end: int = last
        while start < end:
            found.copy_some(left, start, min(start + PIECE, end))
            start += PIECE
            yield
        if len(left) < len(found):
            before = found.size_bytes
            found.exchange_kept(left, first)
            settle(self._space, self._entry(), found, before, "ltrim")
