"""Django's cache backend: `"BACKEND": "cachestorm.contrib.django.CacheStormCache"` in CACHES.

Owes all of `django.core.cache.backends.base.BaseCache`, and tags beside it.

1. LOCATION `memory://name` (the default is `memory://default`; a plain name works as well) is
   a store in this process, shared by all threads, tasks and aliases that name it. `local://`
   is shared by the processes of this machine; `redis://`, `rediss://` and `unix://` are a
   CacheStorm server, Redis or Valkey, `cluster://` is a cluster of these.
2. Timeouts are Django's: None is for ever; 0 and less is expired at once.
3. No value that is handed out is shared with the cache: they are pickled, or whatever
   OPTIONS["serializer"] says. On a server they are signed by SECRET_KEY.
4. The methods that begin with `a` are coroutines of their own: in memory they never wait, and
   on a server they use asyncio.
5. With MAX_ENTRIES a cache in memory culls as Django's own do; without it, it is limited by the
   settings of `Cache`, and evicts by its policy.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.cache.backends.base import (
    DEFAULT_TIMEOUT,
    BaseCache,
    default_key_func,
)
from django.core.exceptions import ImproperlyConfigured

from cachestorm.contrib.django.options import Options, settings_of_name
from cachestorm.contrib.memory_store import STORES, MemoryStore
from cachestorm.contrib.serializers import SignedValues
from cachestorm.errors import ConfigError
from cachestorm.markers import MISSING

if TYPE_CHECKING:
    from cachestorm.remote.address import Address
    from cachestorm.remote.async_cache import AsyncRemoteCache
    from cachestorm.remote.remote_cache import RemoteCache

LONGEST_KEY = 250

_lock = threading.Lock()
# one pool of connections a server and kind of use, though Django makes a backend a thread
_remote: dict[object, tuple[RemoteCache, AsyncRemoteCache, SignedValues]] = {}


class CacheStormCache(BaseCache):  # type: ignore[misc]
    """Django's cache on CacheStorm.

    Raises:
        ImproperlyConfigured: for a LOCATION or OPTIONS that are wrong.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        try:
            options = Options.read(location, params)
            place = options.place
            if place.name is not None:
                self._open_memory(place.name, options)
            elif place.address is not None:
                self._open_remote(place.address, options)
        except ConfigError as error:
            raise ImproperlyConfigured(str(error)) from error

    def _open_memory(self, name: str, options: Options) -> None:
        chosen = settings_of_name(name, options.place.settings)
        store = MemoryStore(STORES.cache(name, chosen), options.serializer)
        self._store: MemoryStore | RemoteCache = store
        self._memory: MemoryStore | None = store
        self._far: AsyncRemoteCache | None = None
        self._culls = options.culls

    def _open_remote(self, address: Address, options: Options) -> None:
        # redis-py is needed by those only who have a server
        from cachestorm.remote.async_cache import AsyncRemoteCache
        from cachestorm.remote.remote_cache import RemoteCache

        secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        use = (
            address.url,
            repr(sorted(address.options.items())),
            repr(sorted(options.place.settings.items())),
            options.ignores_errors,
            options.serializer_id,
            secrets,
        )
        with _lock:
            if use not in _remote:
                values = SignedValues(options.serializer, secrets)
                near = RemoteCache(address, values, ignore_errors=options.ignores_errors)
                _remote[use] = (near, AsyncRemoteCache(address, values, near.failures), values)
            self._store, self._far, self._values = _remote[use]
        self._memory = None
        self._culls = False

    def __repr__(self) -> str:
        return f"<CacheStormCache on {self._store!r}>"

    # -- keys, times and tags

    def make_and_validate_key(self, key: Any, version: int | None = None) -> str:
        """The key in the store; warns of one that memcached would refuse, as Django does."""
        if version is None:
            version = self.version
        if self.key_func is default_key_func:
            made = f"{self.key_prefix}:{version}:{key}"
        else:
            made = self.key_func(key, self.key_prefix, version)
        if (
            len(made) > LONGEST_KEY
            or not made.isascii()
            or not made.isprintable()
            or " " in made
        ):
            self.validate_key(made)
        return made

    def _ttl(self, timeout: Any) -> Any:
        if isinstance(timeout, str):
            raise TypeError(f"a timeout is a number of seconds, or None, not {timeout!r}")
        return self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout

    def _tags(self, tags: Iterable[str]) -> list[str]:
        if isinstance(tags, str):
            raise TypeError(f"tags must be a list of names, not the string {tags!r}")
        prefix = self.key_prefix
        return [f"{prefix}:{tag}" for tag in tags] if prefix else list(tags)

    def _make_room(self) -> None:
        memory = self._memory
        if memory is not None and len(memory.cache) >= self._max_entries:
            memory.cull(self._cull_frequency)

    # -- one key

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """The value of a key, or the default."""
        return self._store.get(self.make_and_validate_key(key, version), default)

    def set(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Iterable[str] = (),
    ) -> None:
        """Sets a key, and the tags that it can be invalidated by."""
        made = self.make_and_validate_key(key, version)
        ttl = self._ttl(timeout)
        if ttl is not None and ttl <= 0:
            self._check(made, value)
            self._store.delete(made)
            return
        if self._culls:
            self._make_room()
        if tags:
            self._store.set(made, value, ttl, tags=self._tags(tags))
        else:
            self._store.set(made, value, ttl)

    def _check(self, key: str, value: Any) -> None:
        """A value that is expired at once must still be one that could be stored."""
        if self._memory is not None:
            self._memory.held(value)
        else:
            self._values.dumps(key, value)

    def add(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Iterable[str] = (),
    ) -> bool:
        """Sets a key only if it is missing. Returns whether it was."""
        made = self.make_and_validate_key(key, version)
        ttl = self._ttl(timeout)
        if ttl is not None and ttl <= 0:
            self._check(made, value)
            return not self._store.exists(made)
        if self._culls:
            self._make_room()
        return self._store.add(made, value, ttl, tags=self._tags(tags))

    def touch(
        self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Gives a key a new timeout. Returns whether it is there."""
        made = self.make_and_validate_key(key, version)
        ttl = self._ttl(timeout)
        if ttl is not None and ttl <= 0:
            return self._store.delete(made) == 1
        return self._store.touch(made, ttl)

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Deletes a key. Returns whether it was there."""
        return self._store.delete(self.make_and_validate_key(key, version)) == 1

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Whether a key is there."""
        return self._store.exists(self.make_and_validate_key(key, version))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        """Adds to a number in one step; its timeout and its tags stay.

        Raises:
            ValueError: if the key is missing.
            TypeError: if it holds something else; on a server, `redis.ResponseError`.
        """
        try:
            return self._store.incr(self.make_and_validate_key(key, version), delta)
        except KeyError:
            raise ValueError(f"Key '{key}' not found") from None

    def incr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Moves a key to another version; in memory in one step, with timeout and tags.

        Raises:
            ValueError: if the key is missing.
        """
        if self._memory is None:
            return int(super().incr_version(key, delta, version))
        if version is None:
            version = self.version
        old = self.make_and_validate_key(key, version)
        new = self.make_and_validate_key(key, version + delta)
        cache = self._memory.cache
        with cache.transaction():
            if old not in cache:
                raise ValueError(f"Key '{key}' not found")
            cache.rename(old, new)
        return version + delta

    def get_or_set(
        self,
        key: Any,
        default: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Iterable[str] = (),
    ) -> Any:
        """The value of a key; if it is missing, the default, or what it returns, is set.

        In memory a default that can be called is called once for all who wait for the key.
        """
        ttl = self._ttl(timeout)
        if self._memory is None or not callable(default) or (ttl is not None and ttl <= 0):
            found = self.get(key, MISSING, version)
            if found is not MISSING:
                return found
            made = default() if callable(default) else default
            self.add(key, made, timeout, version, tags=tags)
            return self.get(key, made, version)
        if self._culls:
            self._make_room()
        name = self.make_and_validate_key(key, version)
        return self._memory.get_or_set(name, default, ttl, tags=self._tags(tags))

    # -- many keys

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """The values that are there, by the keys that were given."""
        named = {self.make_and_validate_key(key, version): key for key in keys}
        return {named[made]: value for made, value in self._store.get_many(named).items()}

    def set_many(
        self,
        data: Mapping[Any, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Iterable[str] = (),
    ) -> list[Any]:
        """Sets many keys in one step. Returns those that failed, if errors are ignored."""
        named = {self.make_and_validate_key(key, version): data[key] for key in data}
        ttl = self._ttl(timeout)
        if ttl is not None and ttl <= 0:
            self._store.delete(*named)
            return []
        if self._culls:
            for key, value in data.items():
                self.set(key, value, timeout, version, tags=tags)
            return []
        return [] if self._store.set_many(named, ttl, tags=self._tags(tags)) else list(data)

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Deletes many keys in one step."""
        self._store.delete(*[self.make_and_validate_key(key, version) for key in keys])

    def clear(self) -> bool:
        """Empties the store, whatever alias, prefix and version its keys are of."""
        return self._store.clear()

    def invalidate_tags(self, *tags: str, dry_run: bool = False) -> int:
        """Deletes all keys with any of the tags, of all versions.

        Args:
            tags: names. Aliases with a KEY_PREFIX have tags of their own.
            dry_run: only counts.

        Returns:
            How many keys were deleted, or would be.

        Raises:
            cachestorm.errors.TagError: on a server that is no CacheStorm server.
        """
        return self._store.invalidate(*self._tags(tags), dry_run=dry_run)

    def version_of_tags(self, *tags: str) -> Any:
        """What tells `set_if_unchanged` whether they were invalidated since.

        None on a server, where that cannot be told.
        """
        return self._store.version_of(*self._tags(tags))

    def set_if_unchanged(
        self, key: Any, value: Any, timeout: Any, tags: Iterable[str], before: Any
    ) -> None:
        """Sets a key, unless it was written or its tags invalidated since `before`.

        Args:
            before: what `version_of_tags` returned.
        """
        ttl = self._ttl(timeout)
        if self._memory is None or before is None or (ttl is not None and ttl <= 0):
            self.set(key, value, timeout, tags=tags)
            return
        if self._culls:
            self._make_room()
        made = self.make_and_validate_key(key)
        self._memory.set(made, value, ttl, tags=self._tags(tags), if_unchanged=before)

    def stats(self) -> dict[str, Any]:
        """The statistics of the cache in this process, or INFO of the server."""
        found = self._store.info()
        if self._memory is None:
            found["refused_signatures"] = self._values.refused
            found["ignored_errors"] = self._store.failures.ignored  # type: ignore[union-attr]
        return found

    def close(self, **kwargs: Any) -> None:
        """Django calls this after each request: the store and its connections stay."""

    # -- the same for coroutines

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """See get()."""
        if self._far is None:
            return self.get(key, default, version)
        return await self._far.get(self.make_and_validate_key(key, version), default)

    async def aset(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Iterable[str] = (),
    ) -> None:
        """See set()."""
        if self._far is None:
            return self.set(key, value, timeout, version, tags=tags)
        made = self.make_and_validate_key(key, version)
        ttl = self._ttl(timeout)
        if ttl is not None and ttl <= 0:
            self._check(made, value)
            await self._far.delete(made)
        else:
            await self._far.set(made, value, ttl, tags=self._tags(tags))

    async def aadd(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Iterable[str] = (),
    ) -> bool:
        """See add()."""
        if self._far is None:
            return self.add(key, value, timeout, version, tags=tags)
        made = self.make_and_validate_key(key, version)
        ttl = self._ttl(timeout)
        if ttl is not None and ttl <= 0:
            self._check(made, value)
            return not await self._far.exists(made)
        return await self._far.add(made, value, ttl, tags=self._tags(tags))

    async def atouch(
        self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """See touch()."""
        if self._far is None:
            return self.touch(key, timeout, version)
        made = self.make_and_validate_key(key, version)
        ttl = self._ttl(timeout)
        if ttl is not None and ttl <= 0:
            return await self._far.delete(made) == 1
        return await self._far.touch(made, ttl)

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        """See delete()."""
        if self._far is None:
            return self.delete(key, version)
        return await self._far.delete(self.make_and_validate_key(key, version)) == 1

    async def ahas_key(self, key: Any, version: int | None = None) -> bool:
        """See has_key()."""
        if self._far is None:
            return self.has_key(key, version)
        return await self._far.exists(self.make_and_validate_key(key, version))

    async def aincr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        """See incr()."""
        if self._far is None:
            return self.incr(key, delta, version)
        try:
            return await self._far.incr(self.make_and_validate_key(key, version), delta)
        except KeyError:
            raise ValueError(f"Key '{key}' not found") from None

    async def aincr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """See incr_version()."""
        if self._far is None:
            return self.incr_version(key, delta, version)
        return int(await super().aincr_version(key, delta, version))

    async def aget_or_set(
        self,
        key: Any,
        default: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Iterable[str] = (),
    ) -> Any:
        """See get_or_set(); the default is a plain function, as in Django."""
        found = await self.aget(key, MISSING, version)
        if found is not MISSING:
            return found
        made = default() if callable(default) else default
        await self.aadd(key, made, timeout, version, tags=tags)
        return await self.aget(key, made, version)

    async def aget_many(
        self, keys: Iterable[Any], version: int | None = None
    ) -> dict[Any, Any]:
        """See get_many()."""
        if self._far is None:
            return self.get_many(keys, version)
        named = {self.make_and_validate_key(key, version): key for key in keys}
        return {named[made]: value for made, value in (await self._far.get_many(named)).items()}

    async def aset_many(
        self,
        data: Mapping[Any, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Iterable[str] = (),
    ) -> list[Any]:
        """See set_many()."""
        if self._far is None:
            return self.set_many(data, timeout, version, tags=tags)
        named = {self.make_and_validate_key(key, version): data[key] for key in data}
        ttl = self._ttl(timeout)
        if ttl is not None and ttl <= 0:
            await self._far.delete(*named)
            return []
        return [] if await self._far.set_many(named, ttl, tags=self._tags(tags)) else list(data)

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """See delete_many()."""
        if self._far is None:
            return self.delete_many(keys, version)
        await self._far.delete(*[self.make_and_validate_key(key, version) for key in keys])

    async def aclear(self) -> bool:
        """See clear()."""
        return self.clear() if self._far is None else await self._far.clear()

    async def ainvalidate_tags(self, *tags: str, dry_run: bool = False) -> int:
        """See invalidate_tags()."""
        if self._far is None:
            return self.invalidate_tags(*tags, dry_run=dry_run)
        return await self._far.invalidate(*self._tags(tags), dry_run=dry_run)

    async def aclose(self, **kwargs: Any) -> None:
        """See close()."""
