"""Ranges of a sorted set: returned, counted, stored, removed.

A trait of its own beneath `SortedSets`. A range is worked out as ranks first, from one to
below another, whatever it is given by; then all of them are cut, turned around, removed
and stored alike (see `ranges`). A missing key is an empty sorted set.
"""

from __future__ import annotations

from functools import partial
from typing import Final, Literal, cast, overload

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import Edge, enter_for
from cachestorm.declare.declaration import Declaration
from cachestorm.entry import ZSET
from cachestorm.operations.containers import entry_of, sorted_set_at
from cachestorm.operations.long_ranges import RemovingRange, StoringRange
from cachestorm.operations.names import exact_count, exact_int, exact_key
from cachestorm.operations.optimistic_result import PLAIN
from cachestorm.operations.ranges import Range, index_range, lex_range, range_of, score_range
from cachestorm.operations.rows import Scored, members_of, remove_ranks, scored
from cachestorm.values.ranking import Row

command: Final = partial(Declaration, group="sorted-set")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class SortedSetRanges(Edge):
    """ZRANGE, ZCOUNT, ZREMRANGEBYRANK and related commands."""

    @command(
        "ZCOUNT key min:score-bound max:score-bound",
        complexity="O(log N)",
        fast=True,
        summary="Return the number of members of a sorted set in a range of scores.",
    )
    def zcount(self, key: str, min: object, max: object) -> int:
        """How many members score from `min` to `max`.

        Args:
            min, max: numbers, or spelled as on the wire: "(1.5" excludes, "-inf", "+inf".
        """
        within = score_range(min, max)
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            if entry is None:
                return 0
            first, last = within.ranks(sorted_set_at(space, entry))
            return last - first
        finally:
            self._leave()

    @command(
        "ZLEXCOUNT key min:lex-bound max:lex-bound",
        complexity="O(log N)",
        fast=True,
        summary="Return the number of members of a sorted set in a range of bytes.",
    )
    def zlexcount(self, key: str, min: object, max: object) -> int:
        """How many members are from `min` to `max` in the order of bytes.

        Args:
            min, max: spelled as on the wire: "[a" includes, "(a" excludes, "-", "+".
        """
        within = lex_range(min, max)
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            if entry is None:
                return 0
            first, last = within.ranks(sorted_set_at(space, entry))
            return last - first
        finally:
            self._leave()

    @overload
    def zrange(
        self,
        key: str,
        start: object = 0,
        stop: object = -1,
        *,
        byscore: bool = False,
        bylex: bool = False,
        rev: bool = False,
        offset: int | None = None,
        count: int | None = None,
        withscores: Literal[False] = False,
    ) -> list[str]: ...
    @overload
    def zrange(
        self,
        key: str,
        start: object = 0,
        stop: object = -1,
        *,
        byscore: bool = False,
        bylex: bool = False,
        rev: bool = False,
        offset: int | None = None,
        count: int | None = None,
        withscores: Literal[True],
    ) -> Scored: ...
    @command(
        "ZRANGE key start:bound stop:bound [BYSCORE | BYLEX] [REV] [LIMIT offset "
        "count] [WITHSCORES]",
        complexity="O(log N + M) for M returned members",
        reply="scored",
        once="BYSCORE BYLEX REV",
        summary="Return the members of a sorted set in a range of ranks, scores or bytes.",
    )
    def zrange(
        self,
        key: str,
        start: object = 0,
        stop: object = -1,
        *,
        byscore: bool = False,
        bylex: bool = False,
        rev: bool = False,
        offset: int | None = None,
        count: int | None = None,
        withscores: bool = False,
    ) -> list[str] | Scored:
        """The members in a range.

        Args:
            start, stop: ranks, both included, negative ones from the end; with `byscore`
                scores, "(1.5" excludes; with `bylex` "[a", "(a", "-" or "+".
            rev: from the highest to the lowest; bounds are given in this order, too.
            offset, count: leave out so many, return at most so many (negative: all);
                only for scores and bytes.
            withscores: pairs of member and score instead of members.

        Raises:
            CommandSyntaxError: for options that do not go together.
        """
        offset = exact_count(offset)
        count = exact_count(count)
        within = range_of(start, stop, byscore, bylex, rev, offset, count, withscores)
        rows = self._slice_rows(key, within)
        return scored(rows) if withscores else members_of(rows)

    def _slice_rows(self, key: str, within: Range) -> list[Row]:
        if type(key) is not str:
            key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            return [] if entry is None else within.rows(sorted_set_at(space, entry))
        finally:
            self._leave()

    @command(
        "ZRANGESTORE dst:ow-update src:key min:bound max:bound [BYSCORE | BYLEX] [REV] "
        "[LIMIT offset count]",
        complexity="O(log N + M) for M stored members",
        grows=True,
        once="BYSCORE BYLEX REV",
        summary="Store a range of a sorted set at a key.",
    )
    def zrangestore(
        self,
        dst: str,
        src: str,
        min: object = 0,
        max: object = -1,
        *,
        byscore: bool = False,
        bylex: bool = False,
        rev: bool = False,
        offset: int | None = None,
        count: int | None = None,
    ) -> int:
        """Stores what `zrange` returns in place of whatever is there; how many members."""
        within = range_of(min, max, byscore, bylex, rev, offset, count, False)
        source = exact_key(src)
        destination = exact_key(dst)
        return cast(
            int, self._run_on([source], StoringRange(self._space, source, within, destination))
        )

    @overload
    def zrevrange(
        self,
        key: str,
        start: int = 0,
        stop: int = -1,
        *,
        withscores: Literal[False] = False,
    ) -> list[str]: ...
    @overload
    def zrevrange(
        self,
        key: str,
        start: int = 0,
        stop: int = -1,
        *,
        withscores: Literal[True],
    ) -> Scored: ...
    @command(
        "ZREVRANGE key start stop [WITHSCORES]",
        complexity="O(log N + M) for M returned members",
        reply="scored",
        deprecated="6.2.0",
        instead="`ZRANGE` with the `REV` argument",
        summary="Return the members of a sorted set in a range of ranks, highest first.",
    )
    def zrevrange(
        self, key: str, start: int = 0, stop: int = -1, *, withscores: bool = False
    ) -> list[str] | Scored:
        """The members from rank `start` to `stop`, counted from the highest score."""
        start = exact_int(start)
        stop = exact_int(stop)
        rows = self._slice_rows(key, index_range(start, stop).reversed())
        return scored(rows) if withscores else members_of(rows)

    @overload
    def zrangebyscore(
        self,
        key: str,
        min: object,
        max: object,
        *,
        withscores: Literal[False] = False,
        offset: int = 0,
        count: int = -1,
    ) -> list[str]: ...
    @overload
    def zrangebyscore(
        self,
        key: str,
        min: object,
        max: object,
        *,
        withscores: Literal[True],
        offset: int = 0,
        count: int = -1,
    ) -> Scored: ...
    @command(
        "ZRANGEBYSCORE key min:score-bound max:score-bound [WITHSCORES] [LIMIT offset count]",
        complexity="O(log N + M) for M returned members",
        reply="scored",
        deprecated="6.2.0",
        instead="`ZRANGE` with the `BYSCORE` argument",
        summary="Return the members of a sorted set in a range of scores.",
    )
    def zrangebyscore(
        self,
        key: str,
        min: object,
        max: object,
        *,
        withscores: bool = False,
        offset: int = 0,
        count: int = -1,
    ) -> list[str] | Scored:
        """The members that score from `min` to `max`; else as `zrange` by score."""
        offset = exact_int(offset)
        count = exact_int(count)
        within = score_range(min, max).limited(offset, count)
        rows = self._slice_rows(key, within)
        return scored(rows) if withscores else members_of(rows)

    @overload
    def zrevrangebyscore(
        self,
        key: str,
        max: object,
        min: object,
        *,
        withscores: Literal[False] = False,
        offset: int = 0,
        count: int = -1,
    ) -> list[str]: ...
    @overload
    def zrevrangebyscore(
        self,
        key: str,
        max: object,
        min: object,
        *,
        withscores: Literal[True],
        offset: int = 0,
        count: int = -1,
    ) -> Scored: ...
    @command(
        "ZREVRANGEBYSCORE key max:score-bound min:score-bound [WITHSCORES] [LIMIT "
        "offset count]",
        complexity="O(log N + M) for M returned members",
        reply="scored",
        deprecated="6.2.0",
        instead="`ZRANGE` with the `REV` and `BYSCORE` arguments",
        summary="Return the members of a sorted set in a range of scores, highest first.",
    )
    def zrevrangebyscore(
        self,
        key: str,
        max: object,
        min: object,
        *,
        withscores: bool = False,
        offset: int = 0,
        count: int = -1,
    ) -> list[str] | Scored:
        """The members that score from `max` down to `min`; else as `zrange` by score."""
        offset = exact_int(offset)
        count = exact_int(count)
        within = score_range(min, max).limited(offset, count).reversed()
        rows = self._slice_rows(key, within)
        return scored(rows) if withscores else members_of(rows)

    @command(
        "ZRANGEBYLEX key min:lex-bound max:lex-bound [LIMIT offset count]",
        complexity="O(log N + M) for M returned members",
        deprecated="6.2.0",
        instead="`ZRANGE` with the `BYLEX` argument",
        summary="Return the members of a sorted set in a range of bytes.",
    )
    def zrangebylex(
        self, key: str, min: object, max: object, *, offset: int = 0, count: int = -1
    ) -> list[str]:
        """The members from `min` to `max` in the order of bytes, if all score the same."""
        offset = exact_int(offset)
        count = exact_int(count)
        return members_of(self._slice_rows(key, lex_range(min, max).limited(offset, count)))

    @command(
        "ZREVRANGEBYLEX key max:lex-bound min:lex-bound [LIMIT offset count]",
        complexity="O(log N + M) for M returned members",
        deprecated="6.2.0",
        instead="`ZRANGE` with the `REV` and `BYLEX` arguments",
        summary="Return the members of a sorted set in a range of bytes, last first.",
    )
    def zrevrangebylex(
        self, key: str, max: object, min: object, *, offset: int = 0, count: int = -1
    ) -> list[str]:
        """The members from `max` down to `min` in the order of bytes, if all score the same."""
        offset = exact_int(offset)
        count = exact_int(count)
        return members_of(
            self._slice_rows(key, lex_range(min, max).limited(offset, count).reversed())
        )

    @command(
        "ZREMRANGEBYRANK key:rw-delete start stop",
        complexity="O(M*log N) for M removed members",
        summary="Remove the members of a sorted set in a range of ranks.",
    )
    def zremrangebyrank(self, key: str, start: int, stop: int) -> int:
        """Removes the members from `start` to `stop`. Returns how many there were."""
        start = exact_int(start)
        stop = exact_int(stop)
        return self._remove_rows(key, index_range(start, stop))

    @command(
        "ZREMRANGEBYSCORE key:rw-delete min:score-bound max:score-bound",
        complexity="O(M*log N) for M removed members",
        summary="Remove the members of a sorted set in a range of scores.",
    )
    def zremrangebyscore(self, key: str, min: object, max: object) -> int:
        """Removes the members from `min` to `max`. Returns how many there were."""
        return self._remove_rows(key, score_range(min, max))

    @command(
        "ZREMRANGEBYLEX key:rw-delete min:lex-bound max:lex-bound",
        complexity="O(M*log N) for M removed members",
        summary="Remove the members of a sorted set in a range of bytes.",
    )
    def zremrangebylex(self, key: str, min: object, max: object) -> int:
        """Removes the members from `min` to `max`. Returns how many there were."""
        return self._remove_rows(key, lex_range(min, max))

    def _remove_rows(self, key: str, within: Range) -> int:
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            if entry is None:
                return 0
            scores = sorted_set_at(space, entry)
            first, last = within.ranks(scores)
            if last - first <= PLAIN:
                return len(remove_ranks(space, entry, first, last, within.removal))
        finally:
            self._leave()
        return cast(int, self._run(RemovingRange(space, key, within)))
