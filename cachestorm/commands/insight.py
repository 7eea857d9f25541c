"""The family of questions about the cache itself: which keys are hot, and why a key is missing.

Asking is not an access, and changes no count.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import Edge, enter
from cachestorm.declare.declaration import Declaration
from cachestorm.entry import Entry
from cachestorm.errors import NotAnIntegerError
from cachestorm.events import Cause
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.ledger import Removal
from cachestorm.operations.names import exact_int, exact_key

command: Final = partial(Declaration, group="server", own=True)

MOST_HOT_KEYS: Final = 100


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Insight(Edge):
    """HOTKEYS and WHY."""

    @command(
        "HOTKEYS [count:integer]",
        complexity="O(1): at most 512 keys are counted",
        summary="Return the keys with the most hits lately, and their counts.",
    )
    def hotkeys(self, count: int = 10) -> list[tuple[str, int]]:
        """The keys of this namespace that are hit most, hottest first.

        Counts halve every five minutes. With N hits in all, a count is too low by at most
        N / 256, and by the hits that the key had before the cache forgot its count.

        Args:
            count: how many; never more than 100 are given.

        Raises:
            NotAnIntegerError: if it is negative.
        """
        count = exact_int(count)
        if count < 0:
            raise NotAnIntegerError()
        space = enter(self)
        try:
            return space.hot_keys(min(count, MOST_HOT_KEYS))
        finally:
            self._leave()

    def miss_causes(self) -> dict[str, float]:
        """About why reads of the whole cache have missed of late: shares by cause.

        Of the last reads that missed, one in 16 is looked at, and the last removal of its key
        that is remembered. `unknown` are keys that were never here, or left long ago.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.set("k", 1), cache.delete("k"), cache.get("k")
            (True, 1, None)
            >>> cache.miss_causes()
            {'deleted': 1.0}
        """
        space = enter(self)
        try:
            counts = space.shared.missed.causes(space.shared.ledger)
        finally:
            self._leave()
        total = sum(counts.values())
        return {cause: round(count / total, 4) for cause, count in counts.items()}

    @command(
        "WHY key:ro",
        complexity="O(1): the last 4096 removals are remembered",
        reply="reasons",
        local="its reply, a map of several types, is not read back",
        summary="Return why a key is missing, if the server remembers it.",
    )
    def why(self, key: str) -> dict[str, object] | None:
        """Why a key is missing: the last removal of it that is remembered.

        Returns:
            `cause` (a `Cause`), `at_ms` (milliseconds since 1970), `tag` (the one of the
            key's tags whose invalidation it was, else None) and `path` (the tags from the one
            that was invalidated with CASCADE down to that one; only itself, where it was not by
            a cascade, or by one over more than 4096 tags or long ago). None for a key that was
            never here, or left long ago or in a flush.

            Who did it is not remembered, since each write would have to bring it along: a
            listener (`on_removed`) is the place to note it.
        """
        key = exact_key(key)
        space = enter(self)
        try:
            # what is dead but not yet reaped is removed by this look, but for what is stale
            if space.peek(key) is not None:
                return None
            stale = space.peek_stale(key)
            if stale is None:
                removal = space.shared.ledger.latest(space.book, key)
            else:
                removal = _softening_of(space, stale)
            if removal is None:
                return None
            return {
                "cause": removal.cause,
                "at_ms": int(removal.at_ms),
                "tag": removal.tag,
                "path": removal.path(),
            }
        finally:
            self._leave()


def _softening_of(space: Keyspace, entry: Entry) -> Removal | None:
    """What would be remembered of a stale entry if it left now."""
    mark = space.tags.fatal_mark(entry)
    if mark is None or mark.softening is None:
        return None
    removal = Removal(space.book, entry.key, Cause.INVALIDATED, mark.softening.at_ms)
    removal.blame(mark)
    return removal
