"""The ranking: rows of (score, spelling) in order, found by row and by rank.

Made and changed by the sorted set alone. Short ones are a plain sorted list; what a long one
is, `long_ranking.py` says.

1. Rows compare as tuples: by score, then by spelling.
2. A spelling is a `str` whose code points order as the member's bytes do: an ASCII member
   itself, otherwise its UTF-8 bytes read as Latin-1. So there is no second string for most
   members, and no comparison in Python.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from typing import Any, Final, cast

from mypy_extensions import i64

from cachestorm.values.long_ranking import LongRanking, lengthened
from cachestorm.values.long_ranking import Row as Row

SHORT_ROWS: Final = 1024


class Ranking:
    """Rows in order. Complexities are O(log n) where nothing else is said."""

    def __init__(self) -> None:
        self._short: list[Row] = []
        self._long: LongRanking | None = None

    def __len__(self) -> int:
        if self._long is None:
            return len(self._short)
        return len(self._long)

    def add(self, row: object) -> None:
        """Adds a row that is not there yet; it is kept as the object that it is."""
        if self._long is not None:
            self._long.add(row)
            return
        insort(cast("list[Any]", self._short), row)
        if len(self._short) > SHORT_ROWS:
            self._long = lengthened(self._short)
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
                self._long = lengthened(self._short)
                self._short = []
            return
        self._long.append(rows)

    def fill(self, rows: list[Row]) -> None:
        """Adds rows in any order to a ranking that is empty. O(n log n), and fast."""
        ordered = sorted(rows)
        if len(ordered) > SHORT_ROWS:
            self._long = lengthened(ordered)
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
        self._long.cut(start, stop)

    def place(self, row: Row) -> i64:
        """How many rows are before this one, whether it is there or not."""
        if self._long is not None:
            return self._long.place(row)
        return bisect_left(self._short, row)

    def at(self, place: i64) -> Row:
        """The row at a place in range."""
        if self._long is not None:
            return self._long.at(place)
        return self._short[place]

    def slice(self, start: i64, stop: i64) -> list[Row]:
        """The rows from `start` up to but not including `stop`. O(log n + rows)."""
        if self._long is not None:
            return self._long.slice(start, stop)
        return self._short[start:stop]

    def take_apart(self) -> list[object]:
        """Empties it, and gives the lists that held its rows."""
        parts: list[object] = [self._short]
        if self._long is not None:
            parts.append(self._long.take_apart())
        self._short = []
        self._long = None
        return parts

    def copy(self) -> Ranking:
        """An independent ranking of the same rows. O(n)."""
        twin = Ranking()
        if self._long is not None:
            twin._long = lengthened(self.slice(0, len(self._long)))
        else:
            twin._short = self._short.copy()
        return twin

    def _check(self) -> None:
        assert self._long is None or not self._short
        if self._long is not None:
            self._long._check()
        rows = self.slice(0, len(self))
        assert all(before < after for before, after in itertools.pairwise(rows))
