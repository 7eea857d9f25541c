"""CacheStorm as a cache of cachelib, which Flask-Caching and Flask-Session use.

    cache = CacheStormCache("memory://sessions")

1. Timeouts are cachelib's: None is the default, 0 is for ever.
2. `set`, `add` and `set_many` take tags, and `invalidate_tags` deletes by them.
3. What is on a server is signed, which needs a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from cachelib import BaseCache

from cachestorm.contrib.places import open_store
from cachestorm.remote.requests import Unanswered

Timeout = int | timedelta | None


class CacheStormCache(BaseCache):  # type: ignore[misc]
    """cachelib's interface, and tags.

    Args:
        location: `memory://name` for a store in this process; `local://name` for one that the
            processes of this machine share; `redis://`, `rediss://` or `unix://` for one on a
            server.
        default_timeout: seconds, or a timedelta; 0 is for ever.
        ignore_delete_many_errors: as in cachelib.
        key_prefix: what keys and tags begin with, so that others may share the store.
        serializer: `"pickle"`, `"json"`, `"msgpack"`, a dotted path, or an object with
            `dumps` and `loads`.
        secrets: what values on a server are signed with, the first of them for new ones.
        ignore_errors: whether an error of the server counts as an empty cache.
        options: settings of `Cache`, or of redis-py's connections.

    Raises:
        ConfigError: for what is wrong with them.
    """

    def __init__(
        self,
        location: str = "memory://default",
        default_timeout: int | timedelta = 300,
        ignore_delete_many_errors: bool = True,
        *,
        key_prefix: str = "",
        serializer: object = "pickle",
        secrets: Sequence[str | bytes] = (),
        ignore_errors: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(default_timeout, ignore_delete_many_errors)
        self._prefix = key_prefix
        self._store = open_store(
            location,
            options,
            serializer=serializer,
            secrets=secrets,
            ignore_errors=ignore_errors,
        )

    def __repr__(self) -> str:
        return f"<CacheStormCache on {self._store!r}>"

    def _ttl(self, timeout: Timeout) -> int | None:
        return self._normalize_timeout(timeout) or None

    def _tags(self, tags: Iterable[str]) -> list[str]:
        if isinstance(tags, str):
            raise TypeError(f"tags must be a list of names, not the string {tags!r}")
        return [self._prefix + tag for tag in tags]

    def _keys(self, keys: Iterable[str]) -> dict[str, str]:
        """The keys as they were given, by what they are in the store."""
        return {self._prefix + key: key for key in keys}

    def get(self, key: str) -> Any:
        """The value of a key, None for a missing one."""
        return self._store.get(self._prefix + key)

    def get_many(self, *keys: str) -> list[Any]:
        """The values of many keys, None for each that is missing."""
        found = self._store.get_many([self._prefix + key for key in keys])
        return [found.get(self._prefix + key) for key in keys]

    def has(self, key: str) -> bool:
        """Whether a key is there."""
        return self._store.exists(self._prefix + key)

    def set(
        self,
        key: str,
        value: Any,
        timeout: Timeout = None,
        *,
        tags: Iterable[str] = (),
        if_unchanged: Any = None,
    ) -> bool:
        """Sets a key, and the tags that it can be invalidated by. Returns whether it was set.

        Args:
            if_unchanged: what `version_of_tags` returned; only if since then the key was not
                written, and none of the tags invalidated.

        Raises:
            pickle.PickleError: for a value that cannot be pickled.
        """
        ttl = self._ttl(timeout)
        if ttl is not None and ttl < 0:
            self._store.delete(self._prefix + key)
            return True
        names = self._tags(tags)
        return self._store.set(
            self._prefix + key, value, ttl, tags=names, if_unchanged=if_unchanged
        )

    def version_of_tags(self, *tags: str) -> Any:
        """What `set` takes as `if_unchanged`; None on a server, where that cannot be told."""
        return self._store.version_of(*self._tags(tags))

    def add(
        self, key: str, value: Any, timeout: Timeout = None, *, tags: Iterable[str] = ()
    ) -> bool:
        """Sets a key only if it is missing. Returns whether it was set."""
        ttl = self._ttl(timeout)
        if ttl is not None and ttl < 0:
            return not self.has(key)
        return self._store.add(self._prefix + key, value, ttl, tags=self._tags(tags))

    def set_many(
        self,
        mapping: Mapping[str, Any],
        timeout: Timeout = None,
        *,
        tags: Iterable[str] = (),
    ) -> list[str]:
        """Sets many keys in one step. Returns those that were set."""
        ttl = self._ttl(timeout)
        named = {self._prefix + key: value for key, value in mapping.items()}
        if ttl is not None and ttl < 0:
            self._store.delete(*named)
            return list(mapping)
        is_set = self._store.set_many(named, ttl, tags=self._tags(tags))
        return list(mapping) if is_set else []

    def delete(self, key: str) -> bool:
        """Deletes a key. Returns whether it was there."""
        return self._store.delete(self._prefix + key) == 1

    def delete_many(self, *keys: str) -> list[str]:
        """Deletes many keys in one step. Returns them: a missing one counts as deleted."""
        self._store.delete(*self._keys(keys))
        return list(keys)

    def unlink(self, *keys: str) -> list[str]:
        """The same as `delete_many`: values are always freed little by little."""
        return self.delete_many(*keys)

    def inc(self, key: str, delta: int = 1) -> Any:
        """Adds to a number; a missing key counts as 0 and gets the default timeout.

        Returns:
            The sum; None if errors of the server are ignored, and there was one.
        """
        while True:
            try:
                return self._store.incr(self._prefix + key, delta)
            except Unanswered:
                return None
            except KeyError:
                if self.add(key, delta):
                    return delta

    def dec(self, key: str, delta: int = 1) -> Any:
        """Subtracts from a number, likewise."""
        return self.inc(key, -delta)

    def clear(self) -> bool:
        """Empties the store, whatever prefix its keys have."""
        return self._store.clear()

    def invalidate_tags(self, *tags: str, dry_run: bool = False) -> int:
        """Deletes all keys with any of the tags. Returns how many; or would."""
        return self._store.invalidate(*self._tags(tags), dry_run=dry_run)
