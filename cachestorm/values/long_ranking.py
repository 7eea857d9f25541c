"""Long rankings: rows of (score, spelling) in order, where there are too many for one list.

Used by `Ranking` alone, which has made sure that a row it adds is not there, and that one it
removes is. Compiled, the rows are in parts; interpreted, in a `SortedList`, whose search is C.

1. Rows compare as tuples: by score, then by spelling.
2. Parts: each is a list of at most `MOST_ROWS` rows in order, unless it was given as a longer
   one. None is empty. Their scores, and the last score of each, stand once more in arrays of
   plain numbers, so that a search looks at no object but where scores are equal.
3. A row is one object, in the ranking and with who has added it. Compiled code takes a tuple of
   known types apart and makes another one where it passes it on: so what keeps a row takes
   it as an `object`.
4. Which ranks a part has, is worked out when somebody asks, and then kept up to date in
   a binary indexed tree until the number of parts changes.

Source: Grant Jenks, sortedcontainers, "Implementation Details"; Peter Fenwick, "A New Data
Structure for Cumulative Frequency Tables", 1994.
"""

from __future__ import annotations

from typing import Final, Protocol, cast

from librt.vecs import append, pop, vec
from mypy_extensions import i64

Row = tuple[float, str]

COMPILED: Final = not __file__.endswith(".py")
MOST_ROWS: Final = 256
# Parts that come to fewer are joined.
FEW_ROWS: Final = 64


class LongRanking:
    """What both have in common. Complexities are O(log n) where nothing else is said."""

    def __len__(self) -> int:
        raise NotImplementedError

    def add(self, row: object) -> None:
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


class Part:
    """Rows in order.

    Attributes:
        rows: the rows, of which nobody else may change any.
        scores: of the rows.

    Args:
        rows: in order; they are kept.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.rows: list[object] = cast("list[object]", rows)
        self.scores: vec[float] = vec[float]([row[0] for row in rows])

    def place(self, row: Row) -> i64:
        """How many rows are before one. O(log n)."""
        score, spelling = row
        scores = self.scores
        low: i64 = 0
        high: i64 = len(scores)
        while low < high:
            middle = (low + high) >> 1
            if scores[middle] < score:
                low = middle + 1
            else:
                high = middle
        rows = self.rows
        high = len(scores)
        if low == high or scores[low] != score:
            return low
        while low < high:
            middle = (low + high) >> 1
            if scores[middle] == score and cast(Row, rows[middle])[1] < spelling:
                low = middle + 1
            else:
                high = middle
        return low

    def last(self) -> Row:
        """The last row."""
        return cast(Row, self.rows[-1])

    def put(self, place: i64, row: object) -> None:
        """Puts a row at a place in order."""
        self.rows.insert(place, row)
        self.scores = _inserted(self.scores, place, cast(Row, row)[0])

    def drop(self, place: i64) -> None:
        """Removes the row at a place."""
        self.rows.pop(place)
        self.scores, _gone = pop(self.scores, place)


class PartedRows(LongRanking):
    """Rows in parts.

    Args:
        rows: in order.
    """

    def __init__(self, rows: list[Row]) -> None:
        self._parts: list[Part] = []
        self._tops: vec[float] = vec[float]()
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

    def add(self, row: object) -> None:
        known = cast(Row, row)
        at = self._part_of(known)
        part = self._parts[at]
        place = part.place(known)
        part.put(place, row)
        self._count += 1
        size: i64 = len(part.rows)
        if place == size - 1:
            self._tops[at] = known[0]
        if size > MOST_ROWS:
            half = size >> 1
            rows = cast("list[Row]", part.rows)
            self._parts[at] = Part(rows[:half])
            self._parts.insert(at + 1, Part(rows[half:]))
            self._tops = _inserted(self._tops, at, rows[half - 1][0])
            self._sums = vec[i64]()
        elif len(self._sums) != 0:
            self._count_in(at, 1)

    def append(self, rows: list[Row]) -> None:
        if rows:
            self._parts.append(Part(rows))
            self._tops = append(self._tops, rows[-1][0])
            self._count += len(rows)
            self._sums = vec[i64]()

    def remove(self, row: Row) -> None:
        at = self._part_of(row)
        part = self._parts[at]
        part.drop(part.place(row))
        self._count -= 1
        size: i64 = len(part.scores)
        if size != 0:
            self._tops[at] = part.scores[size - 1]
        if size < FEW_ROWS and self._join(at):
            self._sums = vec[i64]()
        elif len(self._sums) != 0:
            self._count_in(at, -1)

    def cut(self, start: i64, stop: i64) -> None:
        left: list[Part] = []
        before: i64 = 0
        for part in self._parts:
            rows = cast("list[Row]", part.rows)
            size: i64 = len(rows)
            if stop <= before or start >= before + size:
                left.append(part)
            else:
                kept = rows[: max(start - before, 0)] + rows[min(stop - before, size) :]
                if kept:
                    left.append(Part(kept))
            before += size
        self._parts = left
        self._tops = vec[float]([part.last()[0] for part in left])
        self._count -= stop - start
        self._sums = vec[i64]()

    def place(self, row: Row) -> i64:
        if self._count == 0:
            return 0
        at = self._part_of(row)
        return self._before(at) + self._parts[at].place(row)

    def at(self, place: i64) -> Row:
        at, within = self._found(place)
        return cast(Row, self._parts[at].rows[within])

    def slice(self, start: i64, stop: i64) -> list[Row]:
        if start >= stop:
            return []
        at, within = self._found(start)
        rows = cast("list[Row]", self._parts[at].rows[within : within + (stop - start)])
        missing: i64 = stop - start - len(rows)
        while missing > 0:
            at += 1
            part = cast("list[Row]", self._parts[at].rows)
            if len(part) <= missing:
                rows += part
                missing -= len(part)
            else:
                rows += part[:missing]
                missing = 0
        return rows

    def take_apart(self) -> list[list[Row]]:
        return [cast("list[Row]", part.rows) for part in self._parts]

    def _part_of(self, row: Row) -> i64:
        """The part that a row is in, or is to be in."""
        score, spelling = row
        parts = self._parts
        tops = self._tops
        low: i64 = 0
        high: i64 = len(tops) - 1
        if high < 0:
            # all rows have gone since it grew long
            parts.append(Part([]))
            self._tops = append(tops, 0.0)
            self._sums = vec[i64]()
            return 0
        while low < high:
            middle = (low + high) >> 1
            top = tops[middle]
            if top < score or (top == score and parts[middle].last()[1] < spelling):
                low = middle + 1
            else:
                high = middle
        return low

    def _join(self, at: i64) -> bool:
        """Joins a small part with one beside it, if both are small. Returns whether it did."""
        parts = self._parts
        size: i64 = len(parts[at].rows)
        if size == 0:
            del parts[at]
            self._tops, _gone = pop(self._tops, at)
            return True
        if at + 1 == len(parts):
            at -= 1
        if at < 0 or len(parts[at].rows) + len(parts[at + 1].rows) > 2 * FEW_ROWS:
            return False
        parts[at] = Part(cast("list[Row]", parts[at].rows + parts[at + 1].rows))
        del parts[at + 1]
        self._tops, _gone = pop(self._tops, at)
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
            sums[at] += len(self._parts[at].rows)
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
        parts = self._parts
        assert self._count == sum(len(part.rows) for part in parts)
        assert all(part.rows for part in parts)
        assert list(self._tops) == [part.last()[0] for part in parts]
        before = 0
        for at, part in enumerate(parts):
            assert list(part.scores) == [cast(Row, row)[0] for row in part.rows]
            assert self._before(at) == before
            assert self._found(before) == (at, 0)
            before += len(part.rows)


def _inserted(numbers: vec[float], place: i64, number: float) -> vec[float]:
    """An array with a number more, at a place; the one that is given is used up."""
    numbers = append(numbers, number)
    at: i64 = len(numbers) - 1
    while at > place:
        numbers[at] = numbers[at - 1]
        at -= 1
    numbers[place] = number
    return numbers


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

    def add(self, row: object) -> None:
        self._rows.add(cast(Row, row))

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
