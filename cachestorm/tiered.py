"""Tiered: the methods of a cache that concern colder tiers.

A trait of `Cache`. Calls the store and `cachestorm/tiers/`, which is imported when needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import Edge, enter
from cachestorm.errors import ArgumentError
from cachestorm.keyspace.tiering import Demoted
from cachestorm.operations.names import exact_key

if TYPE_CHECKING:
    from cachestorm.tiers.tier_stats import TierStats
    from cachestorm.tiers.tiers import Tiers

TIERS: Final = ("warm", "cold")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Tiered(Edge):
    """What is where, and what is to go there."""

    def demote(self, key: str, tier: str | None = None) -> bool:
        """Has the value of a key go to a colder tier now, as eviction would.

        Args:
            tier: `"warm"` or `"cold"`; None for the first that there is.

        Returns:
            Whether it is there, or on its way: not for a missing key, nor where there is no
            such tier, nor for a value that is too small to gain anything, or that no tier
            takes, or that is in a colder one.

        Raises:
            ArgumentError: for another tier.

        Examples:
            >>> import tempfile
            >>> from cachestorm import Cache
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     with Cache(max_memory="64mb", warm=folder) as cache:
            ...         _ = cache.set("page", b"<html>" * 100)
            ...         cache.demote("page"), cache.object_tier("page"), cache.get("page")[:6]
            (True, 'warm', b'<html>')
        """
        key = exact_key(key)
        if tier is not None and tier not in TIERS:
            raise ArgumentError(f"a tier is one of {', '.join(TIERS)}, not {tier!r}")
        tiers = cast("Tiers | None", self._store.tiering)
        space = enter(self)
        try:
            entry = space.peek(key)
            if tiers is None or entry is None or (tier is not None and not tiers.has(tier)):
                return False
            if not space.demote(entry):
                return False
            return tier is None or tiers.send(cast(Demoted, space.value(entry)), tier)
        finally:
            self._leave()

    def tier_stats(self) -> dict[str, TierStats]:
        """What each colder tier holds and has done, by its name, `warm` or `cold`."""
        tiers = cast("Tiers | None", self._store.tiering)
        if tiers is None:
            return {}
        enter(self)
        try:
            return tiers.stats()
        finally:
            self._leave()
