"""The cache in this process, as framework backends use it: values are never shared.

Called by the backends in `contrib`. `RemoteCache` in `cachestorm.remote` is the same for one on
a server.

1. One store for each name, shared by all who ask for it in this process.
2. Values are serialized and deserialized outside of the cache's lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cachestorm.cache import Cache
from cachestorm.commands.edge import enter
from cachestorm.contrib.serializers import Serializer
from cachestorm.errors import ConfigError
from cachestorm.markers import MISSING

# kept as they are: nobody can change them
KEPT = frozenset([str, int, float])


class MemoryStore:
    """A cache whose values go through a serializer.

    Args:
        cache: where they are.
        serializer: for all that is no `str`, `int` or `float`.

    Times to live are seconds above zero; None is for ever.
    """

    def __init__(self, cache: Cache, serializer: Serializer) -> None:
        self.cache = cache
        self._read = cache.get
        self._dumps = serializer.dumps
        self._loads = serializer.loads

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self.cache)} keys>"

    def held(self, value: object) -> object:
        """What is kept of a value."""
        if type(value) in KEPT:
            return value
        held = self._dumps(value)
        if type(held) is not bytes:
            kind = type(held).__qualname__
            raise TypeError(f"dumps() of the serializer must return bytes, not {kind}")
        return held

    def given(self, held: object) -> Any:
        """The value that something is kept of."""
        return self._loads(held) if type(held) is bytes else held

    def get(self, key: str, default: object = None) -> Any:
        """The value of a key, or the default."""
        found = self._read(key, MISSING)
        if type(found) is bytes:
            return self._loads(found)
        return default if found is MISSING else found

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of many keys, by key; missing ones are left out."""
        found = self.cache.get_many(list(keys))
        return {key: self.given(held) for key, held in found.items()}

    def set(
        self,
        key: str,
        value: object,
        ttl: float | None,
        *,
        tags: Iterable[str] = (),
        if_unchanged: Any = None,
    ) -> bool:
        """Sets a key. Returns whether it was set: not if its tags were invalidated since."""
        held = self.held(value)
        if if_unchanged is None:
            return bool(self.cache.set(key, held, ttl, tags=tags))
        return bool(self.cache.set(key, held, ttl, tags=tags, if_unchanged=if_unchanged))

    def add(
        self, key: str, value: object, ttl: float | None, *, tags: Iterable[str] = ()
    ) -> bool:
        """Sets a key only if it is missing. Returns whether it was set."""
        return self.cache.add(key, self.held(value), ttl, tags=tags)

    def set_many(
        self, mapping: Mapping[str, object], ttl: float | None, *, tags: Iterable[str] = ()
    ) -> bool:
        """Sets many keys in one step. Returns whether they were set."""
        held = {key: self.held(value) for key, value in mapping.items()}
        return self.cache.set_many(held, ttl, tags=tags)

    def delete(self, *keys: str) -> int:
        """Deletes keys. Returns how many were there."""
        return self.cache.delete(*keys)

    def exists(self, key: str) -> bool:
        """Whether a key is there."""
        return key in self.cache

    def touch(self, key: str, ttl: float | None) -> bool:
        """Gives a key a new time to live. Returns whether it is there."""
        if ttl is not None:
            return bool(self.cache.expire(key, ttl))
        with self.cache.transaction():
            self.cache.persist(key)
            return key in self.cache

    def incr(self, key: str, delta: int) -> Any:
        """Adds to a number, which keeps its time to live and its tags.

        Raises:
            KeyError: if the key is missing.
            TypeError: if it holds something else.
        """
        cache = self.cache
        with cache.transaction():
            held = cache.get(key, MISSING)
            if held is MISSING:
                raise KeyError(key)
            kind = type(held)
            if kind is int:
                if type(delta) is int and -(2**63) <= held + delta < 2**63:
                    return cache.incr(key, delta)
            elif kind is not float:
                raise TypeError(f"cannot add to the value of {key!r}: it is not a number")
            total = held + delta
            cache.set(key, total, keepttl=True, tags=cache.tags(key))
            return total

    def clear(self) -> bool:
        """Empties the cache."""
        self.cache.clear()
        return True

    def invalidate(self, *tags: str, dry_run: bool = False) -> int:
        """Deletes all keys with any of the tags. Returns how many; or would."""
        return int(self.cache.invalidate(*tags, dry_run=dry_run)) if tags else 0

    def version_of(self, *tags: str) -> Any:
        """What tells `set` whether since then the key was written, or a tag invalidated."""
        return self.cache.version(tags=tags)

    def get_or_set(
        self,
        key: str,
        loader: Callable[[], object],
        ttl: float | None,
        *,
        tags: Iterable[str] = (),
    ) -> Any:
        """The value of a key, which is made by one caller for all if it is missing."""
        held = self.cache.get_or_set(key, lambda: self.held(loader()), ttl, tags=list(tags))
        return self.given(held)

    def cull(self, frequency: int) -> None:
        """Evicts one of so many entries, or everything for a frequency of 0."""
        if frequency == 0:
            self.cache.clear()
            return
        space = enter(self.cache)
        try:
            for _victim in range(len(self.cache) // frequency):
                if not space.evict():
                    break
        finally:
            self.cache._leave()

    def info(self) -> dict[str, Any]:
        """The cache's statistics."""
        return self.cache.store_stats().as_dict()

    def close(self) -> None:
        """Nothing: the store stays for others."""


class Stores:
    """The caches of this process by name.

    The first who asks for a name makes its cache, with his settings; another's must be the
    same.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, tuple[Cache, dict[str, Any]]] = {}

    def cache(self, name: str, settings: Mapping[str, Any]) -> Cache:
        """The cache of a name.

        Raises:
            ConfigError: for a setting that `Cache` refuses, or that contradicts the one the
                cache was made with.
        """
        with self._lock:
            found = self._made.get(name)
            if found is None:
                try:
                    cache = Cache(**settings)
                except TypeError as error:
                    raise ConfigError(f"memory://{name}: {error}") from error
                found = self._made[name] = (cache, dict(settings))
            cache, made_with = found
        wrong = sorted(
            setting
            for setting, value in settings.items()
            if setting not in made_with or made_with[setting] != value
        )
        if wrong:
            raise ConfigError(
                f"memory://{name} was made with other settings than {', '.join(wrong)} here: "
                "give the same to all who share it, or use another name"
            )
        return cache


STORES = Stores()
