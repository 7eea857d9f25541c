"""The awaitable face of a cache: what `Cache.aio` returns.

Its methods are made from those of `Cache`, one coroutine function each, so that none can be
forgotten. A method in process does not wait for anything and could be called as it is: this is
for code that must not care whether it will, and for commands that work in slices.

1. A command that works in slices lets other tasks go on in between, and so does one that waits.
2. What runs code of the caller (loaders, the function of `modify`) awaits it. What only
   describes (`memoize`, `lock`, handles) is found at the cache itself, and is not awaited.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, cast

from cachestorm.aio.effects import EffectStream
from cachestorm.aio.values_away import with_values
from cachestorm.cache_like import AsyncCacheLike
from cachestorm.errors import ArgumentError
from cachestorm.events import NAMED
from cachestorm.loading.waiters import checkpoint, task_waiter
from cachestorm.markers import UNSET
from cachestorm.modifying import Attempt
from cachestorm.operations.containers import SCAN_COUNT
from cachestorm.operations.long_command import LongCommand, Unfinished
from cachestorm.operations.names import exact_key
from cachestorm.pipeline import AsyncPipeline, async_pipeline
from cachestorm.typevars import V
from cachestorm.values.forms import opened

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from cachestorm.cache import Cache
    from cachestorm.capabilities import Capabilities
    from cachestorm.locks import Lock

# what holds the lock between two calls, does nothing yet, or has another form here
_OTHERWISE: Final = frozenset(
    {
        "aget_or_set",
        "aget_or_set_many",
        "as_hash",
        "as_list",
        "as_set",
        "as_sorted_set",
        "counter",
        "database",
        "get_or_set",
        "get_or_set_many",
        "listen",
        "lock",
        "memoize",
        "modify",
        "namespace",
        "on",
        "on_removed",
        "pipeline",
        "reaper",
        "redis",
        "scan_iter",
        "serving_others",
        "subscribe",
        "tag",
        "transaction",
        "unlisten",
        "view",
    }
)


class AsyncCache(AsyncCacheLike[V]):
    """A cache whose methods are awaited; one namespace, as a `Cache` is.

    Attributes:
        cache: the cache that it is the face of.
    """

    def __init__(self, cache: Cache[V]) -> None:
        self.cache: Final = cache
        self._serving: Final = cache.serving_others()
        # not for the wire
        self._serving._forms = cache._forms
        self._serving._awaits = True

    def __reduce__(self) -> Any:
        # what the cache says of itself
        return self.cache.__reduce__()

    @property
    def name(self) -> str:
        """The namespace."""
        return self.cache.name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.cache.close()

    async def capabilities(self) -> Capabilities:
        """What it can do: see `Cache.capabilities`."""
        return self.cache.capabilities

    def namespace(self, name: str, **settings: Any) -> AsyncCache[V]:
        """The same of another namespace: see `Cache.namespace`."""
        return type(self)(self.cache.namespace(name, **settings))

    def lock(self, key: str, ttl: object = 30, *, reentrant: bool = False) -> Lock:
        """A lock for `async with`, or `await lock.aacquire()`: see `Cache.lock`."""
        return self.cache.lock(key, ttl, reentrant=reentrant)

    def redis(self, **settings: Any) -> Redis:
        """A client of redis.asyncio for this cache: see `Cache.redis`."""
        from cachestorm.providers import provider

        made = provider("async_redis", "cache.aio.redis()")
        return cast("Redis", made(self.cache, **settings))

    def effects(self, limit: int = 10_000) -> EffectStream:
        """What happens to the cache, for `async with` and then `async for`.

        Args:
            limit: how many effects may wait to be read.
        """
        return EffectStream(self.cache, limit)

    def on(self, *events: str, limit: int = 10_000) -> EffectStream:
        """Some events of this namespace, for `async with` and then `async for`.

        Args:
            events: as in `Cache.on`.
            limit: how many effects may wait to be read.

        Raises:
            ArgumentError: for another event, and for none.
        """
        if not events:
            raise ArgumentError(f"on takes one event or more of {', '.join(NAMED)}")
        return EffectStream(self.cache, limit, events)

    async def get_or_set(
        self, key: str, loader: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        """See `Cache.aget_or_set`."""
        await self._near(key)
        return await self.cache.aget_or_set(key, loader, *args, **options)

    async def get_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Mapping[str, Any] | Awaitable[Mapping[str, Any]]],
        *args: Any,
        **options: Any,
    ) -> dict[str, Any]:
        """See `Cache.aget_or_set_many`."""
        keys = [*keys] if not isinstance(keys, str) else keys
        await self._near(*keys)
        return await self.cache.aget_or_set_many(keys, loader, *args, **options)

    async def modify(
        self,
        key: str,
        function: Callable[[Any], Any],
        *,
        ttl: object = UNSET,
        tags: Iterable[str] | object = UNSET,
    ) -> Any:
        """See `Cache.modify`; the function may be a coroutine function."""
        while True:
            attempt = Attempt(self.cache, key, ttl, tags)
            try:
                value = function(attempt.read())
                if inspect.isawaitable(value):
                    value = await value
                if attempt.write(value):
                    return value
            finally:
                attempt.end()

    def pipeline(self, watch: Iterable[str] = ()) -> AsyncPipeline:
        """For `async with`, and then `await pipe.execute()`: see `Cache.pipeline`.

        Calls are queued, not awaited.
        """
        return async_pipeline(self.cache, watch)

    async def scan_iter(
        self, match: str | None = None, count: int = SCAN_COUNT, type: str | None = None
    ) -> AsyncIterator[str]:
        """See `Cache.scan_iter`; for `async for`."""
        for key in self.cache.scan_iter(match, count, type):
            yield key

    async def _near(self, *keys: str) -> None:
        """Has values come to memory that are in a colder tier."""
        if self._serving._store.tiering is not None:
            ask = partial(self._serving._bring_home, [*map(exact_key, keys)])
            await with_values(self._serving, ask)

    def __repr__(self) -> str:
        return f"<AsyncCache {self.name!r}: {len(self.cache)} keys>"

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]: ...


def _called(serving: Cache[Any], name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    if name == "get":
        # by itself it would read a tier in the loop
        serving._near([exact_key(args[0] if args else kwargs["key"])])
    return getattr(serving, name)(*args, **kwargs)


async def _finished(long_command: LongCommand) -> object:
    """The result of a command whose first slice has been done."""
    try:
        while True:
            if long_command.sleeps:
                await _woken(long_command)
            else:
                await checkpoint()
            if long_command.step():
                return long_command.result()
    except BaseException:
        long_command.abandon()
        raise


async def _woken(long_command: LongCommand) -> None:
    """Waits until a command that sleeps is woken, or its time is up."""
    waiter = task_waiter()
    long_command.is_gone = waiter.is_gone
    long_command.notifier = waiter.wake
    try:
        # it may have been woken before there was anybody to tell
        if long_command.sleeps:
            left_s: float | None = None
            if long_command.wakes_at != 0.0:
                left_s = max(long_command.wakes_at - time.monotonic(), 0.0)
            if not await waiter.wait(left_s):
                long_command.unblock()
    finally:
        long_command.notifier = None


def _awaitable(name: str, method: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def call(self: AsyncCache[Any], *args: Any, **kwargs: Any) -> Any:
        serving = self._serving
        try:
            if serving._store.tiering is None:
                return getattr(serving, name)(*args, **kwargs)
            return await with_values(serving, partial(_called, serving, name, args, kwargs))
        except Unfinished as unfinished:
            found = await _finished(unfinished.long_command)
            return found if self.cache._forms is None else opened(found)

    functools.update_wrapper(call, method, updated=())
    call.__qualname__ = f"AsyncCache.{name}"
    call.__module__ = __name__
    return call


_kinds: Final[dict[type, type[AsyncCache[Any]]]] = {}


def async_cache(cache: Cache[V]) -> AsyncCache[V]:
    """The awaitable face of a cache."""
    kind = type(cache)
    made = _kinds.get(kind)
    if made is None:
        made = _kinds.setdefault(kind, _made_for(kind))
    return made(cache)


def _made_for(kind: type[Cache]) -> type[AsyncCache[Any]]:
    """`AsyncCache` with a coroutine function for each public method of a class of caches."""
    methods = {}
    for name in dir(kind):
        method = inspect.getattr_static(kind, name)
        if callable(method) and not name.startswith("_") and name not in _OTHERWISE:
            methods[name] = _awaitable(name, method)
    return type("AsyncCache", (AsyncCache,), {**methods, "__module__": __name__})
