"""Tiered: the methods of a cache that concern colder tiers.

A trait of `Cache`. Calls the store and `cachestorm/tiers/`, which is imported when needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import Edge
from cachestorm.operations.names import exact_key

if TYPE_CHECKING:
    from cachestorm.tiers.tier_stats import TierStats
    from cachestorm.tiers.warm import WarmTier


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Tiered(Edge):
    """What is where, and what is to go there."""

    def demote(self, key: str) -> bool:
        """Has the value of a key go to the colder tier now, as eviction would.

        Returns:
            Whether it is there: not for a missing key, nor where there is no tier, nor for a
            value that is too small to gain anything, or that no tier takes.

        Example:
            >>> import tempfile
            >>> from cachestorm import Cache
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     with Cache(max_memory="64mb", warm=folder) as cache:
            ...         _ = cache.set("page", b"<html>" * 100)
            ...         cache.demote("page"), cache.object_tier("page"), cache.get("page")[:6]
            (True, 'warm', b'<html>')
        """
        key = exact_key(key)
        space = self._enter()
        try:
            entry = space.peek(key)
            return entry is not None and space.demote(entry)
        finally:
            self._leave()

    def tier_stats(self) -> dict[str, TierStats]:
        """What each colder tier holds and has done, by its name: `warm`; empty without any."""
        tier = cast("WarmTier | None", self._store.tiering)
        if tier is None:
            return {}
        self._enter()
        try:
            return {"warm": tier.stats()}
        finally:
            self._leave()
