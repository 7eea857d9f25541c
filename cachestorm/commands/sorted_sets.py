"""The sorted-set family: members with scores at one key, in order.

A member is a `str`; `bytes` and numbers are spelled as on the wire. Members of the same
score are in the order of their bytes. A missing key is an empty sorted set. Every method
raises WrongTypeError for a key that holds another kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, Literal, cast, overload

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import INT64_MAX, bytes_of, is_ascii, parse_float
from cachestorm.commands.edge import enter_for
from cachestorm.commands.sorted_set_algebra import SortedSetAlgebra
from cachestorm.commands.sorted_set_pops import SortedSetPops
from cachestorm.commands.sorted_set_ranges import SortedSetRanges
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.kinds import UNEVEN
from cachestorm.entry import ZSET
from cachestorm.errors import ArgumentError, ArityError, NotAFloatError
from cachestorm.operations.containers import (
    SCAN_COUNT,
    check_draw,
    drawn,
    drawn_places,
    entry_of,
    is_whole,
    sorted_set_at,
    walk_start,
    walk_stop,
)
from cachestorm.operations.names import (
    exact_count,
    exact_int,
    exact_key,
    name_of,
    names_of,
    pairs_of,
)
from cachestorm.operations.rows import (
    Scored,
    add_scores,
    members_of,
    remove_members,
    scored,
)
from cachestorm.patterns import matches
from cachestorm.values.ranking import Row
from cachestorm.values.sorted_set import member_of

command: Final = partial(Declaration, group="sorted-set")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class SortedSets(SortedSetRanges, SortedSetAlgebra, SortedSetPops):
    """Members in order of their scores."""

    @overload
    def zadd(
        self,
        key: str,
        mapping: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
        ch: bool = False,
        incr: Literal[False] = False,
    ) -> int: ...
    @overload
    def zadd(
        self,
        key: str,
        mapping: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
        ch: bool = False,
        incr: Literal[True],
    ) -> float | None: ...
    @command(
        "ZADD key:rw-update [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
        complexity="O(log N) a member",
        grows=True,
        fast=True,
        summary="Add members to a sorted set, or change their scores.",
    )
    def zadd(
        self,
        key: str,
        mapping: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
        ch: bool = False,
        incr: bool = False,
    ) -> int | float | None:
        """Adds members or changes their scores.

        Args:
            mapping: members with their scores; or (score, member) pairs, as on the wire.
            nx: only add.
            xx: only change.
            gt, lt: change a score only to a greater or a lower one; adding goes on.
            ch: count what was changed as well.
            incr: add to the score of the one member that is given.

        Returns:
            How many members are new, with `ch` new or changed. With `incr` the score, or
            None if a condition was not met.

        Raises:
            ArgumentError: for conditions that exclude each other, more than one member
                with `incr`, and a sum that is not a number.
        """
        if type(key) is not str:
            key = exact_key(key)
        rows = _rows(mapping)
        if nx and xx:
            raise ArgumentError("XX and NX options at the same time are not compatible")
        if (gt and nx) or (lt and nx) or (gt and lt):
            raise ArgumentError("GT, LT, and/or NX options at the same time are not compatible")
        if incr and len(rows) > 1:
            raise ArgumentError("INCR option supports a single increment-element pair")
        if not rows:
            raise ArityError("zadd")
        space = enter_for(self, key)
        try:
            return add_scores(space, key, rows, nx, xx, gt, lt, ch, incr)
        finally:
            space.leave()

    @command(
        "ZINCRBY key:rw-access-update increment:score member",
        complexity="O(log N)",
        grows=True,
        fast=True,
        summary="Increment the score of a member of a sorted set.",
    )
    def zincrby(self, key: str, increment: float | str, member: object) -> float:
        """Adds to the score of a member, which counts as 0 while missing; the new score.

        Raises:
            ArgumentError: for a sum that is not a number.
        """
        rows = [(parse_float(increment), name_of(member))]
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            score = add_scores(space, key, rows, False, False, False, False, False, True)
            return cast(float, score)
        finally:
            space.leave()

    @command(
        "ZREM key:rw-delete member [member ...]",
        complexity="O(M*log N) for M members",
        fast=True,
        summary="Remove members from a sorted set, and the sorted set when none is left.",
    )
    def zrem(self, key: str, *members: object) -> int:
        """Removes members. Returns how many there were."""
        key = exact_key(key)
        names = names_of(members)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            return 0 if entry is None else remove_members(space, entry, names)
        finally:
            space.leave()

    @command(
        "ZCARD key:ro",
        complexity="O(1)",
        fast=True,
        summary="Return the number of members of a sorted set.",
    )
    def zcard(self, key: str) -> int:
        """How many members there are."""
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            return 0 if entry is None else len(sorted_set_at(space, entry))
        finally:
            space.leave()

    @command(
        "ZSCORE key member",
        complexity="O(1)",
        fast=True,
        summary="Return the score of a member of a sorted set.",
    )
    def zscore(self, key: str, member: object) -> float | None:
        """The score of a member, None if it is missing."""
        if type(key) is not str:
            key = exact_key(key)
        name = name_of(member)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            return None if entry is None else sorted_set_at(space, entry).score(name)
        finally:
            space.leave()

    @command(
        "ZMSCORE key member [member ...]",
        complexity="O(N) in the given members",
        fast=True,
        summary="Return the scores of members of a sorted set.",
    )
    def zmscore(self, key: str, *members: object) -> list[float | None]:
        """The scores of members in order, None for each that is missing."""
        key = exact_key(key)
        names = names_of(members)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            if entry is None:
                return [None] * len(names)
            found = sorted_set_at(space, entry)
            return [found.score(name) for name in names]
        finally:
            space.leave()

    @overload
    def zrank(
        self, key: str, member: object, *, withscore: Literal[False] = False
    ) -> int | None: ...
    @overload
    def zrank(
        self, key: str, member: object, *, withscore: Literal[True]
    ) -> tuple[int, float] | None: ...
    @command(
        "ZRANK key member [WITHSCORE]",
        complexity="O(log N)",
        fast=True,
        reply="ranked",
        stray="arity",
        summary="Return the rank of a member of a sorted set, counted from the lowest score.",
    )
    def zrank(
        self, key: str, member: object, *, withscore: bool = False
    ) -> int | tuple[int, float] | None:
        """How many members are before this one; None if it is missing.

        Args:
            withscore: a tuple of rank and score instead.
        """
        return self._rank_of(key, member, withscore, False)

    @overload
    def zrevrank(
        self, key: str, member: object, *, withscore: Literal[False] = False
    ) -> int | None: ...
    @overload
    def zrevrank(
        self, key: str, member: object, *, withscore: Literal[True]
    ) -> tuple[int, float] | None: ...
    @command(
        "ZREVRANK key member [WITHSCORE]",
        complexity="O(log N)",
        fast=True,
        reply="ranked",
        stray="arity",
        summary="Return the rank of a member of a sorted set, counted from the highest score.",
    )
    def zrevrank(
        self, key: str, member: object, *, withscore: bool = False
    ) -> int | tuple[int, float] | None:
        """How many members are after this one; None if it is missing.

        Args:
            withscore: a tuple of rank and score instead.
        """
        return self._rank_of(key, member, withscore, True)

    def _rank_of(
        self, key: str, member: object, withscore: bool, rev: bool
    ) -> int | tuple[int, float] | None:
        key = exact_key(key)
        name = name_of(member)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            if entry is None:
                return None
            found = sorted_set_at(space, entry)
            rank: int = found.rank(name)
            if rank < 0:
                return None
            if rev:
                rank = len(found) - 1 - rank
            return (rank, cast(float, found.score(name))) if withscore else rank
        finally:
            space.leave()

    @overload
    def zrandmember(
        self, key: str, count: None = None, *, withscores: bool = False
    ) -> str | None: ...
    @overload
    def zrandmember(
        self, key: str, count: int, *, withscores: Literal[False] = False
    ) -> list[str]: ...
    @overload
    def zrandmember(self, key: str, count: int, *, withscores: Literal[True]) -> Scored: ...
    @command(
        "ZRANDMEMBER key [count:draws [WITHSCORES]]",
        complexity="O(N) in the returned members",
        reply="scored",
        once="WITHSCORES",
        tips="nondeterministic_output",
        summary="Return members of a sorted set drawn at random.",
    )
    def zrandmember(
        self, key: str, count: int | None = None, *, withscores: bool = False
    ) -> str | list[str] | Scored | None:
        """Members drawn at random.

        Args:
            count: how many different ones; if negative, as many, each drawn by itself.
            withscores: pairs of member and score instead of members.

        Returns:
            Without a count one member, None for a missing key; with one a list.
        """
        count = exact_count(count)
        key = exact_key(key)
        if count is not None and abs(count) > (INT64_MAX // 2 if withscores else INT64_MAX):
            raise ArgumentError("value is out of range" if withscores else UNEVEN)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            if entry is None:
                return None if count is None else []
            found = sorted_set_at(space, entry)
            length = i64(len(found))
            if count is None:
                return member_of(found.row_at(drawn(length)))
            check_draw(space, count, found)
            rows = [found.row_at(at) for at in drawn_places(count, length)]
            return scored(rows) if withscores else members_of(rows)
        finally:
            space.leave()

    @overload
    def zscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = SCAN_COUNT,
        *,
        noscores: Literal[False] = False,
    ) -> tuple[int, Scored]: ...
    @overload
    def zscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = SCAN_COUNT,
        *,
        noscores: Literal[True],
    ) -> tuple[int, list[str]]: ...
    @command(
        "ZSCAN key cursor [MATCH match:pattern] [COUNT count:scan-count] [NOSCORES]",
        complexity="O(1) a step, O(N) for a whole iteration",
        reply="scan_scores",
        tips="nondeterministic_output",
        summary="Iterate over the members and scores of a sorted set.",
    )
    def zscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = SCAN_COUNT,
        *,
        noscores: bool = False,
    ) -> tuple[int, Scored | list[str]]:
        """One step of an iteration, in which no member that stays is missed.

        Args:
            cursor: 0 at first, then what the last step returned.
            match: only members that match this glob.
            count: how many members to look at.
            noscores: members instead of pairs of member and score.

        Returns:
            The next cursor, 0 at the end; and what was found: by rank in a set of up to 128
            members, in no order in a larger one.
        """
        cursor = exact_int(cursor)
        count = exact_int(count)
        key = exact_key(key)
        glob = None if match is None else bytes_of(match)
        rows: list[Row] = []
        stop: i64 = 0
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            if entry is not None:
                found = sorted_set_at(space, entry)
                length = i64(len(found))
                start = walk_start(cursor, length, count)
                stop = walk_stop(start, count, length)
                if is_whole(start, stop, length):
                    step = found.slice(0, length)
                else:
                    step = found.some(stop, start)
                    step.reverse()
                for row in step:
                    if glob is None or matches(glob, bytes_of(member_of(row))):
                        rows.append(row)
        finally:
            space.leave()
        return stop, members_of(rows) if noscores else scored(rows)


def _rows(mapping: object) -> list[tuple[float, str]]:
    """Scores and members of a mapping, or of pairs in the order of the wire."""
    if type(mapping) is not list and isinstance(mapping, Mapping):
        return [(parse_float(score), name_of(member)) for member, score in mapping.items()]
    if type(mapping) is list and _are_rows(mapping):
        # as a client's arguments come: they are not copied
        return cast("list[tuple[float, str]]", mapping)
    rows: list[tuple[float, str]] = []
    for score, member in pairs_of(mapping):
        if isinstance(score, str) and isinstance(member, (int, float)):
            raise NotAFloatError(
                f"pairs are (score, member), not {(score, member)!r}; "
                "a mapping is {member: score}"
            )
        rows.append((parse_float(score), name_of(member)))
    return rows


def _are_rows(pairs: list[object]) -> bool:
    """Whether these are tuples of scores and members that need not be looked at again."""
    for pair in pairs:
        if type(pair) is not tuple or len(pair) != 2:
            return False
        score, member = pair
        # of two that are not numbers none equals the other
        if type(score) is not float or score != score:
            return False
        if type(member) is not str or not is_ascii(member):
            return False
    return True
