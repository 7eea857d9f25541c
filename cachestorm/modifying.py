"""Modifying: a value made from the one before, without holding the lock meanwhile.

Called by `Cache.modify` and `AsyncCache.modify`.

1. The key is watched before it is read. The lock is taken again to write, and what was made
   is written only if nothing has touched the key since; otherwise all begins anew.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from cachestorm.commands.watch_list import WatchList
from cachestorm.markers import UNSET
from cachestorm.operations.names import exact_key

if TYPE_CHECKING:
    from cachestorm.cache import Cache


class Attempt:
    """One reading of a key and, if it is still the same by then, one writing.

    Args:
        ttl, tags: of the value that is written; UNSET for those that the key has.
    """

    def __init__(self, cache: Cache, key: str, ttl: object, tags: object) -> None:
        self._cache: Final = cache
        self._key: Final = key
        self._ttl: Final = ttl
        self._tags: object = tags
        self._was_there: bool = False
        self._watched: Final = WatchList()

    def read(self) -> object:
        """The value of the key, None if it is missing. From here on it is watched."""
        cache = self._cache
        self._watched.add(cache, [self._key])
        self._was_there = cache.exists(self._key) == 1
        if self._tags is UNSET:
            self._tags = cache.tags(self._key)
        return cache.get(self._key)

    def write(self, value: object) -> bool:
        """Sets the key, if nobody has touched it. Returns whether that is so."""
        tags: Iterable[str] = self._tags  # type: ignore[assignment]
        stays = self._ttl is UNSET and self._was_there
        with self._cache.transaction():
            if self._watched.end():
                return False
            self._cache.set(self._key, value, self._ttl, keepttl=stays, tags=tags)
            return True

    def end(self) -> None:
        """Ends the watching, if it has not ended yet."""
        self._watched.end()


def modify(
    cache: Cache, key: str, function: Callable[[Any], object], ttl: object, tags: object
) -> object:
    """What `Cache.modify` does; UNSET for a time to live or tags that are to stay.

    Raises:
        TypeError: for a coroutine function; nothing is changed.
    """
    key = exact_key(key)
    while True:
        attempt = Attempt(cache, key, ttl, tags)
        try:
            value = function(attempt.read())
            if inspect.iscoroutine(value):
                value.close()
                raise TypeError("a coroutine function is for aio.modify, which is awaited")
            if attempt.write(value):
                return value
        finally:
            attempt.end()
