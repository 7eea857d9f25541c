"""The ranking: rows of (score, spelling) in order, found by row and by rank.

Made and changed by the sorted set alone. Short ones are a plain sorted list; a long one is
a `SortedList`, which is imported when the first ranking grows long.

1. Rows compare as tuples: by score, then by spelling.
2. A spelling is a `str` whose code points order as the member's bytes do: an ASCII member
   itself, otherwise its UTF-8 bytes read as Latin-1. So there is no second string for most
   members, and no comparison in Python.

Source: Grant Jenks, sortedcontainers, "Implementation Details" (a list of lists with a
positional index).
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from typing import Final, Protocol

from mypy_extensions import i64

Row = tuple[float, str]

SHORT_ROWS: Final = 1024


class _Long(Protocol):
    """What is used of a `sortedcontainers.SortedList`."""

    def __len__(self) -> int: ...
    def __getitem__(self, place: int) -> Row: ...
    def __delitem__(self, places: slice) -> None: ...
    def add(self, row: Row) -> None: ...
    def remove(self, row: Row) -> None: ...
    def bisect_left(self, row: Row) -> int: ...
    def islice(self, start: int, stop: int) -> object: ...


class Ranking:
    """Rows in order. Complexities are O(log n) where nothing else is said."""

    def __init__(self) -> None:
        self._short: list[Row] = []
        self._long: _Long | None = None

    def __len__(self) -> int:
        if self._long is None:
            return len(self._short)
        return len(self._long)

    def add(self, row: Row) -> None:
        """Adds a row that is not there yet."""
        if self._long is not None:
            self._long.add(row)
            return
        insort(self._short, row)
        if len(self._short) > SHORT_ROWS:
            self._long = _lengthened(self._short)
            self._short = []

    def append(self, rows: list[Row]) -> None:
        """Adds rows in order that come after all that are there. O(rows), but for the memory.

        Args:
            rows: not more than `SHORT_ROWS`; they are kept.
        """
        if not rows:
            return
        if self._long is None:
            self._short += rows
            if len(self._short) > SHORT_ROWS:
                self._long = _lengthened(self._short)
                self._short = []
            return
        # no public method adds what is in order already without a comparison with all
        parts = vars(self._long)
        parts["_lists"].append(rows)
        parts["_maxes"].append(rows[-1])
        parts["_len"] += len(rows)
        parts["_index"].clear()

    def fill(self, rows: list[Row]) -> None:
        """Adds rows in any order to a ranking that is empty. O(n log n), and fast."""
        ordered = sorted(rows)
        if len(ordered) > SHORT_ROWS:
            self._long = _lengthened(ordered)
        else:
            self._short = ordered

    def remove(self, row: Row) -> None:
        """Removes a row that is there."""
        if self._long is not None:
            self._long.remove(row)
        else:
            del self._short[bisect_left(self._short, row)]

    def cut(self, start: i64, stop: i64) -> None:
        """Removes the rows from `start` up to but not including `stop`.

        O(rows + n / 1000): faster than one by one where they are not few.
        """
        if self._long is None:
            del self._short[start:stop]
            return
        # no public method takes many out without looking for each, or sorting the others
        parts = vars(self._long)
        lists: list[list[Row]] = parts["_lists"]
        left: list[list[Row]] = []
        before: i64 = 0
        for rows in lists:
            size = i64(len(rows))
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
        """How many rows are before this one, whether it is there or not."""
        if self._long is not None:
            return self._long.bisect_left(row)
        return bisect_left(self._short, row)

    def at(self, place: i64) -> Row:
        """The row at a place in range."""
        if self._long is not None:
            return self._long[place]
        return self._short[place]

    def slice(self, start: i64, stop: i64) -> list[Row]:
        """The rows from `start` up to but not including `stop`. O(log n + rows)."""
        if self._long is not None:
            return list(self._long.islice(start, stop))  # type: ignore[call-overload, no-any-return]
        return self._short[start:stop]

    def take_apart(self) -> list[object]:
        """Empties it, and gives the lists that held its rows."""
        parts: list[object] = [self._short]
        if self._long is not None:
            # no public method gives it up in parts
            parts.append(vars(self._long)["_lists"])
        self._short = []
        self._long = None
        return parts

    def copy(self) -> Ranking:
        """An independent ranking of the same rows. O(n)."""
        twin = Ranking()
        if self._long is not None:
            twin._long = _lengthened(self.slice(0, len(self._long)))
        else:
            twin._short = self._short.copy()
        return twin

    def _check(self) -> None:
        assert self._long is None or not self._short
        rows = self.slice(0, len(self))
        assert all(before < after for before, after in itertools.pairwise(rows))


def _lengthened(rows: list[Row]) -> _Long:
    # here and not at the top: the import takes longer than all of ours together
    from sortedcontainers import SortedList  # type: ignore[import-untyped, unused-ignore]

    long: _Long = SortedList(rows)
    return long
