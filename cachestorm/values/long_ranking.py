"""Long rankings: rows of (score, spelling) in order, where there are too many for one list.

Used by `Ranking` alone, which has made sure that a row it adds is not there, and that one it
removes is. Compiled, the rows are in parts; interpreted, in a `SortedList`, whose search is C.

1. Rows compare as tuples: by score, then by spelling.
2. Parts: each is a list of at most `MOST_ROWS` rows in order, unless it was given as a longer
   one. None is empty. `tops` has the last score of each, so that a search compares numbers.
3. Which ranks a part has, is worked out when somebody asks, and then kept up to date in
   a binary indexed tree until the number of parts changes.

Source: Grant Jenks, sortedcontainers, "Implementation Details"; Peter Fenwick, "A New Data
Structure for Cumulative Frequency Tables", 1994.
"""

from __future__ import annotations

from typing import Final, Protocol

from librt.vecs import vec
from mypy_extensions import i64

Row = tuple[float, str]

COMPILED: Final = not __file__.endswith(".py")
MOST_ROWS: Final = 512
# Parts that come to fewer are joined.
FEW_ROWS: Final = 128


class LongRanking:
    """What both have in common. Complexities are O(log n) where nothing else is said."""

    def __len__(self) -> int:
        raise NotImplementedError

    def add(self, row: Row) -> None:
        """Adds a row that is not there yet."""
        raise NotImplementedError

    def append(self, rows: list[Row]) -> None:
        """Adds rows in order that come after all that are there; they are kept. O(1)."""
        raise NotImplementedError

    def remove(self, row: Row) -> None:
        """Removes a row that is there."""
        raise NotImplementedError

    def cut(self, start: i64, stop: i64) -> None:
        """Removes the rows from `start` up to but not including `stop`. O(parts + rows)."""
        raise NotImplementedError

    def place(self, row: Row) -> i64:
        """How many rows are before this one, whether it is there or not."""
        raise NotImplementedError

    def at(self, place: i64) -> Row:
        """The row at a place in range."""
        raise NotImplementedError

    def slice(self, start: i64, stop: i64) -> list[Row]:
        """The rows from `start` up to but not including `stop`. O(log n + rows)."""
        raise NotImplementedError

    def take_apart(self) -> list[list[Row]]:
        """The lists that hold its rows; it is not used any more."""
        raise NotImplementedError

    def _check(self) -> None:
        """Asserts what must hold beside the order."""


def lengthened(rows: list[Row]) -> LongRanking:
    """A long ranking of rows in order."""
    return PartedRows(rows) if COMPILED else SortedRows(rows)


class PartedRows(LongRanking):
    """Rows in parts.

    Args:
        rows: in order.
    """

    def __init__(self, rows: list[Row]) -> None:
        self._parts: list[list[Row]] = []
        self._tops: list[float] = []
        self._count: i64 = 0
        # the tree: at `i`, the rows of the parts from `i & (i + 1)` to `i`; empty if unknown
        self._sums: vec[i64] = vec[i64]()
        size: i64 = MOST_ROWS // 2
        start: i64 = 0
        while start < len(rows):
            self.append(rows[start : start + size])
            start += size

    def __len__(self) -> int:
        return self._count

    def add(self, row: Row) -> None:
        at = self._part_of(row)
        part = self._parts[at]
        place = _place_in(part, row)
        part.insert(place, row)
        self._count += 1
        size: i64 = len(part)
        if place == size - 1:
            self._tops[at] = row[0]
        if size > MOST_ROWS:
            half = size >> 1
            self._parts.insert(at + 1, part[half:])
            self._tops.insert(at + 1, self._tops[at])
            del part[half:]
            self._tops[at] = part[half - 1][0]
            self._sums = vec[i64]()
        elif len(self._sums) != 0:
            self._count_in(at, 1)

    def append(self, rows: list[Row]) -> None:
        if rows:
            self._parts.append(rows)
            self._tops.append(rows[-1][0])
            self._count += len(rows)
            self._sums = vec[i64]()

    def remove(self, row: Row) -> None:
        at = self._part_of(row)
        part = self._parts[at]
        del part[_place_in(part, row)]
        self._count -= 1
        size: i64 = len(part)
        if size != 0:
            self._tops[at] = part[size - 1][0]
        if size < FEW_ROWS and self._join(at):
            self._sums = vec[i64]()
        elif len(self._sums) != 0:
            self._count_in(at, -1)

    def cut(self, start: i64, stop: i64) -> None:
        left: list[list[Row]] = []
        before: i64 = 0
        for rows in self._parts:
            size: i64 = len(rows)
            if stop <= before or start >= before + size:
                left.append(rows)
            else:
                kept = rows[: max(start - before, 0)] + rows[min(stop - before, size) :]
                if kept:
                    left.append(kept)
            before += size
        self._parts = left
        self._tops = [rows[-1][0] for rows in left]
        self._count -= stop - start
        self._sums = vec[i64]()

    def place(self, row: Row) -> i64:
        if self._count == 0:
            return 0
        at = self._part_of(row)
        return self._before(at) + _place_in(self._parts[at], row)

    def at(self, place: i64) -> Row:
        at, within = self._found(place)
        return self._parts[at][within]

    def slice(self, start: i64, stop: i64) -> list[Row]:
        if start >= stop:
            return []
        at, within = self._found(start)
        rows = self._parts[at][within : within + (stop - start)]
        missing: i64 = stop - start - len(rows)
        while missing > 0:
            at += 1
            part = self._parts[at]
            if len(part) <= missing:
                rows += part
                missing -= len(part)
            else:
                rows += part[:missing]
                missing = 0
        return rows

    def take_apart(self) -> list[list[Row]]:
        return self._parts

    def _part_of(self, row: Row) -> i64:
        """The part that a row is in, or is to be in."""
        score, spelling = row
        parts = self._parts
        tops = self._tops
        low: i64 = 0
        high: i64 = len(tops) - 1
        if high < 0:
            # all rows have gone since it grew long
            parts.append([])
            tops.append(0.0)
            self._sums = vec[i64]()
            return 0
        while low < high:
            middle = (low + high) >> 1
            top = tops[middle]
            if top < score or (top == score and parts[middle][-1][1] < spelling):
                low = middle + 1
            else:
                high = middle
        return low

    def _join(self, at: i64) -> bool:
        """Joins a small part with one beside it, if both are small. Returns whether it did."""
        parts = self._parts
        size: i64 = len(parts[at])
        if size == 0:
            del parts[at]
            del self._tops[at]
            return True
        if at + 1 == len(parts):
            at -= 1
        if at < 0 or len(parts[at]) + len(parts[at + 1]) > 2 * FEW_ROWS:
            return False
        parts[at] += parts[at + 1]
        del parts[at + 1]
        del self._tops[at]
        return True

    # -- the tree: `i | (i + 1)` is the next node that has the rows of `i` as well

    def _index(self) -> None:
        """Works out which ranks the parts have. O(parts)."""
        if len(self._sums) != 0:
            return
        count: i64 = len(self._parts)
        sums = vec[i64]([0] * count)
        at: i64 = 0
        while at < count:
            sums[at] += len(self._parts[at])
            up = at | (at + 1)
            if up < count:
                sums[up] += sums[at]
            at += 1
        self._sums = sums

    def _count_in(self, at: i64, change: i64) -> None:
        """Notes that a part has more or fewer rows."""
        sums = self._sums
        count: i64 = len(sums)
        while at < count:
            sums[at] += change
            at |= at + 1

    def _before(self, at: i64) -> i64:
        """How many rows are in the parts before one."""
        self._index()
        sums = self._sums
        total: i64 = 0
        at -= 1
        while at >= 0:
            total += sums[at]
            at = (at & (at + 1)) - 1
        return total

    def _found(self, place: i64) -> tuple[i64, i64]:
        """The part of the row at a place, and where in it that is."""
        self._index()
        sums = self._sums
        count: i64 = len(sums)
        step: i64 = 1
        while step << 1 <= count:
            step <<= 1
        at: i64 = 0
        while step > 0:
            if at + step <= count and sums[at + step - 1] <= place:
                place -= sums[at + step - 1]
                at += step
            step >>= 1
        return at, place

    def _check(self) -> None:
        assert len(self._tops) == len(self._parts)
        assert self._count == sum(len(part) for part in self._parts)
        assert all(part for part in self._parts)
        assert self._tops == [part[-1][0] for part in self._parts]
        before = 0
        for at, part in enumerate(self._parts):
            assert self._before(at) == before
            assert self._found(before) == (at, 0)
            before += len(part)


def _place_in(rows: list[Row], row: Row) -> i64:
    """How many of some rows in order are before one."""
    score, spelling = row
    low: i64 = 0
    high: i64 = len(rows)
    while low < high:
        middle = (low + high) >> 1
        other, name = rows[middle]
        if other < score or (other == score and name < spelling):
            low = middle + 1
        else:
            high = middle
    return low


class _SortedList(Protocol):
    """What is used of a `sortedcontainers.SortedList`."""

    def __len__(self) -> int: ...
    def __getitem__(self, place: int) -> Row: ...
    def add(self, row: Row) -> None: ...
    def remove(self, row: Row) -> None: ...
    def bisect_left(self, row: Row) -> int: ...
    def islice(self, start: int, stop: int) -> object: ...


class SortedRows(LongRanking):
    """Rows in a `SortedList`.

    Args:
        rows: in order.
    """

    def __init__(self, rows: list[Row]) -> None:
        # here and not at the top: the import takes longer than all of ours together
        from sortedcontainers import SortedList  # type: ignore[import-untyped, unused-ignore]

        self._rows: _SortedList = SortedList(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Row) -> None:
        self._rows.add(row)

    def append(self, rows: list[Row]) -> None:
        # no public method adds what is in order already without a comparison with all
        parts = vars(self._rows)
        parts["_lists"].append(rows)
        parts["_maxes"].append(rows[-1])
        parts["_len"] += len(rows)
        parts["_index"].clear()

    def remove(self, row: Row) -> None:
        self._rows.remove(row)

    def cut(self, start: i64, stop: i64) -> None:
        # no public method takes many out without looking for each, or sorting the others
        parts = vars(self._rows)
        lists: list[list[Row]] = parts["_lists"]
        left: list[list[Row]] = []
        before: i64 = 0
        for rows in lists:
            size: i64 = len(rows)
            if stop <= before or start >= before + size:
                left.append(rows)
            else:
                kept = rows[: max(start - before, 0)] + rows[min(stop - before, size) :]
                if kept:
                    left.append(kept)
            before += size
        lists[:] = left
        parts["_maxes"][:] = [rows[-1] for rows in left]
        parts["_len"] -= int(stop - start)
        parts["_index"].clear()

    def place(self, row: Row) -> i64:
        return self._rows.bisect_left(row)

    def at(self, place: i64) -> Row:
        return self._rows[place]

    def slice(self, start: i64, stop: i64) -> list[Row]:
        return list(self._rows.islice(start, stop))  # type: ignore[call-overload, no-any-return]

    def take_apart(self) -> list[list[Row]]:
        # no public method gives it up in parts
        parts: list[list[Row]] = vars(self._rows)["_lists"]
        return parts
