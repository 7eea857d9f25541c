"""Fields of a hash that nobody names: drawn at random, or walked over.

Called as a part of the hash family.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal, overload

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import INT64_MAX, bytes_of
from cachestorm.commands.edge import Edge, enter_for
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.kinds import UNEVEN
from cachestorm.entry import HASH
from cachestorm.errors import ArgumentError
from cachestorm.operations.containers import (
    SCAN_COUNT,
    check_draw,
    drawn,
    drawn_places,
    entry_of,
    hash_at,
    is_whole,
    walk_start,
    walk_stop,
)
from cachestorm.operations.names import exact_count, exact_int, exact_key
from cachestorm.patterns import matches

command: Final = partial(Declaration, group="hash")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class HashWalks(Edge):
    """HRANDFIELD and HSCAN."""

    @overload
    def hrandfield(
        self, key: str, count: None = None, *, withvalues: bool = False
    ) -> str | None: ...
    @overload
    def hrandfield(
        self, key: str, count: int, *, withvalues: Literal[False] = False
    ) -> list[str]: ...
    @overload
    def hrandfield(
        self, key: str, count: int, *, withvalues: Literal[True]
    ) -> list[tuple[str, Any]]: ...
    @command(
        "HRANDFIELD key [count:draws [WITHVALUES]]",
        complexity="O(N) in the returned fields",
        reply="fields",
        once="WITHVALUES",
        tips="nondeterministic_output",
        summary="Return fields of a hash drawn at random.",
    )
    def hrandfield(
        self, key: str, count: int | None = None, *, withvalues: bool = False
    ) -> object:
        """Fields drawn at random.

        Args:
            count: how many different ones; if negative, as many, each drawn by itself.
            withvalues: pairs of field and value instead of fields.

        Returns:
            Without a count one field, None for a missing key; with one a list.
        """
        count = exact_count(count)
        key = exact_key(key)
        if count is not None and abs(count) > (INT64_MAX // 2 if withvalues else INT64_MAX):
            raise ArgumentError(_out_of_range(withvalues))
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, HASH)
            if entry is None:
                return None if count is None else []
            fields = hash_at(space, entry)
            length = i64(len(fields))
            if count is None:
                return fields.field_at(drawn(length))
            check_draw(space, count, fields)
            places = drawn_places(count, length)
            if withvalues:
                return [(fields.field_at(at), fields.value_at(at)) for at in places]
            return [fields.field_at(at) for at in places]
        finally:
            self._leave()

    @overload
    def hscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = SCAN_COUNT,
        *,
        novalues: Literal[False] = False,
    ) -> tuple[int, dict[str, Any]]: ...
    @overload
    def hscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = SCAN_COUNT,
        *,
        novalues: Literal[True],
    ) -> tuple[int, list[str]]: ...
    @command(
        "HSCAN key cursor [MATCH match:pattern] [COUNT count:scan-count] [NOVALUES]",
        complexity="O(1) a step, O(N) for a whole iteration",
        reply="scan_pairs",
        tips="nondeterministic_output",
        summary="Iterate over the fields and values of a hash.",
    )
    def hscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = SCAN_COUNT,
        *,
        novalues: bool = False,
    ) -> tuple[int, object]:
        """One step of an iteration, in which no field that stays is missed.

        Args:
            cursor: 0 at first, then what the last step returned.
            match: only fields that match this glob.
            count: how many fields to look at.
            novalues: a list of fields instead of a dict.

        Returns:
            The next cursor, 0 at the end; and what was found.
        """
        cursor = exact_int(cursor)
        count = exact_int(count)
        key = exact_key(key)
        glob = None if match is None else bytes_of(match)
        pairs: dict[str, object] = {}
        stop: i64 = 0
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, HASH)
            if entry is not None:
                found = hash_at(space, entry)
                length = i64(len(found))
                start = walk_start(cursor, length, count)
                stop = walk_stop(start, count, length)
                if is_whole(start, stop, length) or (start == length and found.is_told_whole()):
                    stop = 0
                    pairs = found.items()
                else:
                    place = start
                    while place > stop:
                        place -= 1
                        pairs[found.field_at(place)] = found.value_at(place)
        finally:
            self._leave()
        if glob is not None:
            pairs = {name: pairs[name] for name in pairs if matches(glob, bytes_of(name))}
        return stop, list(pairs) if novalues else pairs


def _out_of_range(pairs: bool) -> str:
    if pairs:
        return "value is out of range"
    return UNEVEN
