"""What takes members from the ends of sorted sets.

Called as a part of the sorted-set family; what waits for members is in `blocking.py`.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import Edge, enter_for, enter_for_all
from cachestorm.declare.declaration import Declaration
from cachestorm.entry import ZSET
from cachestorm.errors import ArgumentError, CommandSyntaxError
from cachestorm.operations.containers import entry_of
from cachestorm.operations.names import exact_count, exact_int, exact_key, keys_of
from cachestorm.operations.rows import Scored, pop_scored

command: Final = partial(Declaration, group="sorted-set")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class SortedSetPops(Edge):
    """Members, removed by the ends of their scores."""

    @command(
        "ZPOPMIN key:rw-access-delete [count:positive]",
        complexity="O(M*log N) for M returned members",
        fast=True,
        reply="popped",
        summary="Remove and return the members with the lowest scores.",
    )
    def zpopmin(self, key: str, count: int | None = None) -> Scored:
        """Removes the members of the lowest scores.

        Args:
            count: at most so many; one if left out.

        Returns:
            Pairs of member and score, lowest first.
        """
        count = exact_count(count)
        return self._pop_rows(key, count, True)

    @command(
        "ZPOPMAX key:rw-access-delete [count:positive]",
        complexity="O(M*log N) for M returned members",
        fast=True,
        reply="popped",
        summary="Remove and return the members with the highest scores.",
    )
    def zpopmax(self, key: str, count: int | None = None) -> Scored:
        """Removes the members of the highest scores.

        Args:
            count: at most so many; one if left out.

        Returns:
            Pairs of member and score, highest first.
        """
        count = exact_count(count)
        return self._pop_rows(key, count, False)

    def _pop_rows(self, key: str, count: int | None, lowest: bool) -> Scored:
        key = exact_key(key)
        if count is not None and count < 0:
            raise ArgumentError("value is out of range, must be positive")
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, ZSET)
            if entry is None:
                return []
            return pop_scored(space, entry, 1 if count is None else count, lowest)
        finally:
            self._leave()

    @command(
        "ZMPOP numkeys key:rw-access-delete [key ...] where:<MIN | MAX> [COUNT "
        "count:pop-count]",
        complexity="O(K + M*log N) for K keys and M returned members",
        reply="keyed_scores",
        once="COUNT",
        summary="Return members of the first sorted set that is not empty after removing them.",
    )
    def zmpop(
        self, keys: list[str], where: str = "MIN", count: int = 1
    ) -> tuple[str, Scored] | None:
        """Removes members from the first of many sorted sets that there is.

        Args:
            keys: in the order in which they are looked at.
            where: "MIN" or "MAX", the scores to begin with.
            count: at most so many.

        Returns:
            The key and pairs of member and score; None if there is no sorted set.
        """
        count = exact_int(count)
        names = keys_of(keys)
        side = where.upper()
        if side not in ("MIN", "MAX"):
            raise CommandSyntaxError()
        if not names:
            raise ArgumentError("numkeys should be greater than 0")
        if count < 1:
            raise ArgumentError("count should be greater than 0")
        space = enter_for_all(self, names)
        try:
            for name in names:
                entry = entry_of(space, name, ZSET)
                if entry is not None:
                    return name, pop_scored(space, entry, count, side == "MIN")
            return None
        finally:
            self._leave()
