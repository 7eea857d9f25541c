"""CacheStorm as a region backend of dogpile.cache.

    region = make_region().configure("cachestorm", arguments={"location": "memory://regions"})

1. The region serializes, by its own `serializer`; in memory its bytes are kept as they are, and
   on a server they are signed.
2. `get_mutex` gives a lock for a key that all users of the store respect: threads in this
   process, processes on a server.
3. With `tags` keys get tags, and `region.backend.invalidate_tags` deletes by them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dogpile.cache.api import NO_VALUE, BytesBackend

from cachestorm.contrib.memory_store import MemoryStore
from cachestorm.contrib.places import open_store
from cachestorm.errors import ConfigError
from cachestorm.locks import Lock, LockError

logger = logging.getLogger("cachestorm.contrib")

LOCK_PREFIX = "_lock:"
ARGUMENTS = {"location", "ttl", "lock_ttl", "tags", "secrets", "ignore_errors", "options"}


class AsTheyAre:
    """Keeps bytes as they are: the region has serialized them."""

    def dumps(self, value: bytes, /) -> bytes:
        """The bytes."""
        return value

    def loads(self, data: bytes, /) -> bytes:
        """The bytes."""
        return data


class CacheStormBackend(BytesBackend):  # type: ignore[misc]
    """dogpile.cache's interface to a store.

    Args:
        arguments: `location` (`memory://name`, `local://name` for what the processes of this
            machine share, or the address of a server), `ttl` (seconds
            after which the store forgets a value, None for never), `lock_ttl` (seconds after
            which a lock ends by itself, 30), `tags` (a function that returns the tags of a
            key), `secrets` (for a server), `ignore_errors`, and `options`: a dict of settings
            of `Cache`, or of redis-py's connections. Others are logged and ignored.

    Raises:
        ConfigError: for what is wrong with them.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        unknown = sorted(set(arguments) - ARGUMENTS)
        if unknown:
            # dogpile.cache's suite has backends put up with them
            logger.warning("no such argument: %s; use %s", unknown, sorted(ARGUMENTS))
        self._ttl: float | None = arguments.get("ttl")
        self._lock_ttl: float = arguments.get("lock_ttl", 30)
        self._tags_of: Callable[[str], Iterable[str]] | None = arguments.get("tags")
        if self._tags_of is not None and not callable(self._tags_of):
            raise ConfigError("tags must be a function of a key that returns names")
        self._store = open_store(
            arguments.get("location", "memory://default"),
            arguments.get("options", {}),
            serializer=AsTheyAre(),
            secrets=arguments.get("secrets", ()),
            ignore_errors=arguments.get("ignore_errors", False),
        )

    def _tags(self, key: str) -> list[str]:
        return [] if self._tags_of is None else list(self._tags_of(key))

    def get_serialized(self, key: str) -> Any:
        """The bytes of a key, or NO_VALUE."""
        return self._store.get(key, NO_VALUE)

    def get_serialized_multi(self, keys: Iterable[str]) -> list[Any]:
        """The bytes of many keys, NO_VALUE for each that is missing."""
        names = list(keys)
        found = self._store.get_many(names)
        return [found.get(name, NO_VALUE) for name in names]

    def set_serialized(self, key: str, value: bytes) -> None:
        """Sets a key."""
        self._store.set(key, value, self._ttl, tags=self._tags(key))

    def set_serialized_multi(self, mapping: Mapping[str, bytes]) -> None:
        """Sets many keys; in one step, if they have no tags."""
        if self._tags_of is None:
            self._store.set_many(mapping, self._ttl)
            return
        for key, value in mapping.items():
            self.set_serialized(key, value)

    def delete(self, key: str) -> None:
        """Deletes a key, if it is there."""
        self._store.delete(key)

    def delete_multi(self, keys: Iterable[str]) -> None:
        """Deletes many keys in one step."""
        self._store.delete(*keys)

    def get_mutex(self, key: str) -> Any:
        """A lock for a key."""
        name = LOCK_PREFIX + key
        if isinstance(self._store, MemoryStore):
            return _Mutex(self._store.cache.lock(name, self._lock_ttl))
        return self._store.lock(name, self._lock_ttl)

    def invalidate_tags(self, *tags: str, dry_run: bool = False) -> int:
        """Deletes all keys with any of the tags. Returns how many; or would."""
        return self._store.invalidate(*tags, dry_run=dry_run)


class _Mutex:
    """A lock of the cache, with the methods that dogpile.cache calls."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    def acquire(self, wait: bool = True) -> bool:
        return self._lock.acquire(blocking=wait)

    def release(self) -> None:
        try:
            self._lock.release()
        except LockError:
            # it has ended by itself: what was made meanwhile is good all the same
            pass

    def locked(self) -> bool:
        return self._lock.locked()
