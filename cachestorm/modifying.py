"""Modifying: a value made from the one before, without holding the lock meanwhile.

Called by `Cache.modify`.

1. The key is watched before it is read. The lock is taken again to write, and what was made
   is written only if nothing has touched the key since; otherwise all begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from cachestorm.commands.watch_list import WatchList
from cachestorm.markers import UNSET

if TYPE_CHECKING:
    from cachestorm.cache import Cache


def modify(
    cache: Cache, key: str, function: Callable[[object], object], ttl: object, tags: object
) -> object:
    """What `Cache.modify` does; UNSET for a time to live or tags that are to stay."""
    while True:
        watched = WatchList()
        watched.add(cache, [key])
        is_made = False
        try:
            was_there = cache.exists(key) == 1
            names: Iterable[str] = cache.tags(key) if tags is UNSET else tags  # type: ignore[assignment]
            value = function(cache.get(key))
            is_made = True
        finally:
            if not is_made:
                watched.end()
        with cache.transaction():
            if not watched.end():
                stays = ttl is UNSET and was_there
                cache.set(key, value, ttl, keepttl=stays, tags=names)
                return value
