"""Ranges of a sorted set: by rank, by score, by bytes; limited, turned around.

Made by the sorted-set commands before the latch is taken, because reading bounds may be
refused; applied to a sorted set under it. A range knows no key.

1. Whatever it is given by, a range is worked out as ranks `first` to below `last`, lowest
   score first; `reversed` and `limited` act on the result.
2. A range by bytes is of meaning where all scores are the same. Where they are not, it is
   what Redis finds in a small sorted set: the rows from the first that fits the one bound
   to the last before one that does not fit the other. In a large one it is looked for as if
   the rows were in order, which takes no longer and, as in Redis, finds anything.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.codec import parse_int
from cachestorm.declare.spans import LexBound, ScoreBound, lex_bound, score_bound
from cachestorm.errors import CommandSyntaxError
from cachestorm.operations.containers import span
from cachestorm.values.ranking import Row
from cachestorm.values.sorted_set import LISTPACK_ENTRIES, SortedSet


class Range:
    """Some rows of a sorted set, in an order.

    Attributes:
        removal: what a command that removes them is called.
    """

    def __init__(self, removal: str) -> None:
        self.removal: Final = removal
        self._rev = False
        self._offset = 0
        self._count = -1

    def reversed(self) -> Range:
        """The same range from the highest score to the lowest."""
        self._rev = True
        return self

    def limited(self, offset: int, count: int) -> Range:
        """The same range without its first `offset` rows, at most `count` of them.

        Args:
            offset: a negative one leaves nothing.
            count: a negative one is not a limit.
        """
        self._offset = offset
        self._count = count
        return self

    def ranks(self, scores: SortedSet) -> tuple[i64, i64]:
        """The ranks from the first to below the second; O(log n)."""
        raise NotImplementedError

    def limits(self, scores: SortedSet) -> tuple[i64, i64]:
        """The ranks that are left of it when it is limited; equal where nothing is."""
        first, last = self.ranks(scores)
        size: int = last - first
        if self._offset < 0 or self._offset >= size:
            return 0, 0
        kept = size - self._offset
        if 0 <= self._count < kept:
            kept = self._count
        if self._rev:
            stop: i64 = last - self._offset
            return stop - kept, stop
        start: i64 = first + self._offset
        return start, start + kept

    def rows(self, scores: SortedSet) -> list[Row]:
        """The rows in order; O(log n + rows)."""
        start, stop = self.limits(scores)
        rows = scores.slice(start, stop)
        if self._rev:
            rows.reverse()
        return rows


class _IndexRange(Range):
    def __init__(self, start: int, stop: int) -> None:
        super().__init__("zremrangebyrank")
        self._start = start
        self._stop = stop

    def ranks(self, scores: SortedSet) -> tuple[i64, i64]:
        length = i64(len(scores))
        first, last = span(self._start, self._stop, length)
        if self._rev:
            return length - last, length - first
        return first, last


class _ScoreRange(Range):
    def __init__(self, low: ScoreBound, high: ScoreBound) -> None:
        super().__init__("zremrangebyscore")
        self._low = low
        self._high = high

    def ranks(self, scores: SortedSet) -> tuple[i64, i64]:
        first = scores.rank_of_score(self._low.score, self._low.exclusive)
        last = scores.rank_of_score(self._high.score, not self._high.exclusive)
        return first, max(first, last)


class _LexRange(Range):
    def __init__(self, low: LexBound, high: LexBound) -> None:
        super().__init__("zremrangebylex")
        self._low = low
        self._high = high
        self._low_word = low.item.decode("latin-1")
        self._high_word = high.item.decode("latin-1")

    def ranks(self, scores: SortedSet) -> tuple[i64, i64]:
        length = i64(len(scores))
        if self._low.infinity > 0 or self._high.infinity < 0:
            return 0, 0
        if not scores.is_level():
            if length > LISTPACK_ENTRIES:
                return self._guess(scores, length)
            return self._walk(scores, length)
        first: i64 = 0
        last = length
        if self._low.infinity == 0:
            first = scores.rank_of_spelling(self._low_word, self._low.exclusive)
        if self._high.infinity == 0:
            last = scores.rank_of_spelling(self._high_word, not self._high.exclusive)
        return first, max(first, last)

    def _walk(self, scores: SortedSet, length: i64) -> tuple[i64, i64]:
        rows = scores.slice(0, length)
        if not self._is_above(rows[length - 1][1]) or not self._is_below(rows[0][1]):
            return 0, 0
        first: i64 = 0
        last = length
        if self._rev:
            while last > 0 and not self._is_below(rows[last - 1][1]):
                last -= 1
            first = last
            while first > 0 and self._is_above(rows[first - 1][1]):
                first -= 1
            return first, last
        while first < length and not self._is_above(rows[first][1]):
            first += 1
        last = first
        while last < length and self._is_below(rows[last][1]):
            last += 1
        return first, last

    def _guess(self, scores: SortedSet, length: i64) -> tuple[i64, i64]:
        first: i64 = 0
        last = length
        while first < last:
            middle = (first + last) // 2
            if self._is_above(scores.slice(middle, middle + 1)[0][1]):
                last = middle
            else:
                first = middle + 1
        stop = length
        while last < stop:
            middle = (last + stop) // 2
            if self._is_below(scores.slice(middle, middle + 1)[0][1]):
                last = middle + 1
            else:
                stop = middle
        return first, last

    def _is_above(self, arg: str) -> bool:
        if self._low.infinity < 0:
            return True
        return arg > self._low_word or (arg == self._low_word and not self._low.exclusive)

    def _is_below(self, arg: str) -> bool:
        if self._high.infinity > 0:
            return True
        return arg < self._high_word or (arg == self._high_word and not self._high.exclusive)


def index_range(start: object, stop: object) -> Range:
    """The rows of rank `start` to `stop`, both included, negative ones from the end.

    Raises:
        NotAnIntegerError: for a bound that is not an integer.
    """
    return _IndexRange(parse_int(start), parse_int(stop))


def score_range(low: object, high: object) -> Range:
    """The rows that score from `low` to `high`.

    Raises:
        NotAFloatError: for a bound that is not a number.
    """
    return _ScoreRange(score_bound(low), score_bound(high))


def lex_range(low: object, high: object) -> Range:
    """The rows whose members are from `low` to `high` in the order of their bytes.

    Raises:
        ArgumentError: for a bound of no valid spelling.
    """
    return _LexRange(lex_bound(low), lex_bound(high))


def range_of(
    start: object,
    stop: object,
    byscore: bool,
    bylex: bool,
    rev: bool,
    offset: int | None,
    count: int | None,
    withscores: bool,
) -> Range:
    """The range that ZRANGE's options describe.

    Raises:
        CommandSyntaxError: for options that do not go together.
        CacheStormError: for bounds that do not fit the kind of range.
    """
    if byscore and bylex:
        raise CommandSyntaxError()
    # a limit of -1 is none, and so, as in Redis, no mistake even where none is supported
    is_limited = offset is not None if count is None else count != -1
    if is_limited and not (byscore or bylex):
        raise CommandSyntaxError(
            "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
        )
    if withscores and bylex:
        raise CommandSyntaxError(
            "syntax error, WITHSCORES not supported in combination with BYLEX"
        )
    low, high = (stop, start) if rev else (start, stop)
    if byscore:
        within = score_range(low, high).limited(offset or 0, -1 if count is None else count)
    elif bylex:
        within = lex_range(low, high).limited(offset or 0, -1 if count is None else count)
    else:
        within = index_range(start, stop)
    return within.reversed() if rev else within
