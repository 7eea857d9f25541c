"""The statistics: what a cache had counted at one moment.

Made by `Cache.stats` and `Cache.store_stats`. Not compiled: nobody calls it often, and what a
frozen dataclass promises is Python's own then.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Stats:
    """The counts of one namespace.

    Attributes:
        keys: how many keys it holds.
        expires: how many of them have a deadline.
        tags: how many tags have keys.
        hits: reads that found their key.
        misses: reads that did not.
        sets: keys that were created.
        expired: keys that were removed because they were due.
        evicted: keys that were removed at a limit.
        invalidated: keys that were removed with a tag.
        used_memory: what it is charged at, in bytes.
        max_memory: the limit, in bytes; 0 for none.

    Examples:
        >>> from cachestorm import Cache
        >>> cache = Cache()
        >>> cache.set("k", 1), cache.get("k"), cache.get("none")
        (True, 1, None)
        >>> stats = cache.stats()
        >>> stats.keys, stats.hits, stats.misses, stats.hit_ratio
        (1, 1, 1, 0.5)
    """

    keys: int
    expires: int
    tags: int
    hits: int
    misses: int
    sets: int
    expired: int
    evicted: int
    invalidated: int
    used_memory: int
    max_memory: int

    @property
    def hit_ratio(self) -> float:
        """The share of reads that found their key, from 0 to 1; 0.0 before the first read."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0

    def as_dict(self) -> dict[str, int]:
        """The counts by name, as for JSON."""
        return asdict(self)

    def _facts(self) -> dict[str, object]:
        return {**self.as_dict(), "hit_ratio": round(self.hit_ratio, 4)}

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={fact}" for name, fact in self._facts().items())
        return f"{type(self).__name__}({facts})"

    def _repr_html_(self) -> str:
        from cachestorm.notebooks import facts_table

        return facts_table(type(self).__name__, self._facts())


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StoreStats(Stats):
    """The counts over all namespaces of a cache.

    Attributes:
        namespaces: how many there are.
        refused: writes that found no room.
        peak_memory: the most that it was ever charged at, in bytes.
    """

    namespaces: int
    refused: int
    peak_memory: int
