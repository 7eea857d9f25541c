"""The connected cache: the methods of `Cache`, answered by a server.

Made by `cachestorm.connect`. Its methods are made from the declarations and from `Courses`, so
that none can be forgotten; what a server cannot answer is an UnsupportedError that says why.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, Final, ParamSpec, TypeVar, cast, overload

from cachestorm.cache import Cache
from cachestorm.cache_like import AsyncCacheLike, CacheLike
from cachestorm.capabilities import Capabilities
from cachestorm.envelope import Envelope
from cachestorm.errors import CacheStormError, InvalidKeyError
from cachestorm.loading import calls
from cachestorm.locks.lock import Lock
from cachestorm.markers import MISSING, UNSET
from cachestorm.memoizing.decorator import memoize
from cachestorm.memoizing.memoized import Memoized
from cachestorm.operations.names import exact_key
from cachestorm.remote.absence import RAISE, Absence
from cachestorm.remote.address import Address
from cachestorm.remote.connected_lock import ConnectedLock
from cachestorm.remote.connected_stats import ConnectedStats, stats_of
from cachestorm.remote.courses import Courses
from cachestorm.remote.loading import RemoteLoading
from cachestorm.remote.made_methods import (
    awaited,
    complete,
    course_of,
    dressed,
    set_plainly,
    threaded,
)
from cachestorm.remote.recovery import LIMIT
from cachestorm.remote.steps import Course
from cachestorm.remote.wires import async_wire_to, wire_to

PAGE: Final = 256

T = TypeVar("T")
P = ParamSpec("P")


class ConnectedCache(CacheLike[Any]):
    """A cache on a server, for threads: see `cachestorm.connect`.

    Attributes:
        address: where the server is.
    """

    def __init__(
        self,
        address: Address,
        envelope: Envelope,
        namespace: str | None = None,
        *,
        on_error: object = RAISE,
        max_pending: int = LIMIT,
    ) -> None:
        self.address: Final = address
        self._envelope: Final = envelope
        self._absence: Final = Absence(on_error, address.shown)
        self._max_pending: Final = max_pending
        self._wire: Final = wire_to(address, namespace, max_pending, self._absence.is_ignored)
        self._courses: Final = Courses(
            envelope, address.shown, self._wire.cluster, self._wire.named
        )
        self._wire.asking = self._courses
        self._wire.recovery.beside = self._courses.beside
        self._aio: AsyncConnectedCache | None = None
        self.loading: Final = RemoteLoading(self)

    # -- as a whole

    @property
    def name(self) -> str:
        """The namespace, if it was asked for by name; else the database of the address."""
        return self._wire.namespace or "default"

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do; it is asked once."""
        found: Capabilities = self._run(self._courses.asked(assumes=False))
        return found

    @property
    def aio(self) -> AsyncConnectedCache:
        """The same with methods that are awaited, on asyncio."""
        if self._aio is None:
            self._aio = self._make_aio()
        return self._aio

    def _make_aio(self) -> AsyncConnectedCache:
        return AsyncConnectedCache(self)

    def namespace(self, name: str) -> ConnectedCache:
        """The same of another namespace: see `Cache.namespace`.

        On Redis, Valkey and their clusters it is the beginning of its keys, which
        `capabilities.namespaces_apart` tells.

        Raises:
            NamespaceError: for a name that a `Cache` refuses, too.
            UnsupportedError: for that of a database, such as `db1`, if the server has none.
        """
        self._run(self._courses.asked(assumes=self._absence.is_ignored))
        return self._space(name)

    def _space(self, name: str) -> ConnectedCache:
        """The same, without asking the server whether it has one."""
        Cache().namespace(name)
        sibling = self._sibling(str.__str__(name))
        known = self._courses.capabilities
        if known is not None:
            sibling._courses.learn(known)
        return sibling

    def _sibling(self, name: str) -> ConnectedCache:
        return ConnectedCache(
            self.address,
            self._envelope,
            name,
            on_error=self._absence.on_error,
            max_pending=self._max_pending,
        )

    def stats(self) -> ConnectedStats:
        """What this process has counted; nothing is asked of the server."""
        return stats_of(None, self._absence, self._wire.recovery)

    def close(self) -> None:
        """Closes the connections; they are opened again when they are needed."""
        self._wire.close()

    def __enter__(self) -> ConnectedCache:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ConnectedCache {self.address.shown}>"

    def _run(self, course: Course) -> Any:
        return self._wire.run(course)

    def _call(self, name: str, *args: Any, **options: Any) -> Any:
        try:
            return self._wire.run(course_of(name, self._courses, args, options))
        except CacheStormError as error:
            return self._absence.answer(error, name, args, options)

    # -- values that are made when they are missing, and locks

    def get_or_set(
        self,
        key: str,
        loader: Callable[..., T],
        ttl: object = UNSET,
        *,
        tags: Iterable[str] | Callable[[T], Iterable[str]] = (),
        **options: Any,
    ) -> T:
        """See `Cache.get_or_set`; once for all processes."""
        return cast(T, calls.get_or_set(self._as_cache(), key, loader, ttl, tags, options))

    async def aget_or_set(
        self,
        key: str,
        loader: Callable[..., Any],
        ttl: object = UNSET,
        *,
        tags: Iterable[str] | Callable[[Any], Iterable[str]] = (),
        **options: Any,
    ) -> Any:
        """See `Cache.aget_or_set`."""
        return await calls.aget_or_set(self._as_cache(), key, loader, ttl, tags, options)

    def get_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Mapping[str, T]],
        ttl: object = UNSET,
        *,
        tags: Iterable[str] | Callable[[T], Iterable[str]] = (),
        **options: Any,
    ) -> dict[str, T]:
        """See `Cache.get_or_set_many`."""
        return calls.get_or_set_many(self._as_cache(), keys, loader, ttl, tags, options)

    async def aget_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Any],
        ttl: object = UNSET,
        *,
        tags: Iterable[str] | Callable[[Any], Iterable[str]] = (),
        **options: Any,
    ) -> dict[str, Any]:
        """See `Cache.aget_or_set_many`."""
        cache = self._as_cache()
        return await calls.aget_or_set_many(cache, keys, loader, ttl, tags, options)

    @overload
    def memoize(self, function: Callable[P, T], /) -> Memoized[P, T]: ...
    @overload
    def memoize(
        self,
        function: None = None,
        /,
        *,
        key: str | Callable[..., str] | None = None,
        ttl: object = UNSET,
        tags: Iterable[str] | Callable[[Any], Iterable[str]] = (),
        typed: bool = False,
        ignore: Iterable[str] = (),
        **options: Any,
    ) -> Callable[[Callable[P, T]], Memoized[P, T]]: ...
    def memoize(
        self,
        function: Any = None,
        /,
        *,
        key: Any = None,
        ttl: object = UNSET,
        tags: Any = (),
        typed: bool = False,
        ignore: Iterable[str] = (),
        **options: Any,
    ) -> Any:
        """See `Cache.memoize`; results are shared by all processes that memoize it there."""
        cache = self._as_cache()
        return memoize(cache, function, key, ttl, tags, typed, ignore, options)

    def lock(self, key: str, ttl: object = 30, *, reentrant: bool = False) -> Lock:
        """See `Cache.lock`; a lock among all processes."""
        return ConnectedLock(self, key, ttl, reentrant)

    # what is made of values as they are given: nothing, they come from a server
    _forms: Final = None

    def _as_cache(self) -> Any:
        """Itself, for code that is written for a `Cache` and works for both."""
        return self

    # -- values; what is asked most, without a course

    def get(self, key: str, default: Any = None) -> Any:
        """See `Cache.get`."""
        try:
            reply = self._wire.send("GET", exact_key(key))
        except CacheStormError as error:
            if not self._absence.ignores(error):
                raise
            return default
        return default if reply is None else self._envelope.loads(reply)

    # -- as a mapping

    def scan_iter(
        self, match: str | None = None, count: int = PAGE, type: str | None = None
    ) -> Iterator[str]:
        """See `Cache.scan_iter`."""
        cursor = 0
        while True:
            cursor, keys = self._call("scan", cursor, match, count, type)
            yield from keys
            if cursor == 0:
                return

    def items(self) -> Iterator[tuple[str, Any]]:
        """See `Cache.items`."""
        keys = self._call("keys")
        for start in range(0, len(keys), PAGE):
            yield from self._call("get_many", keys[start : start + PAGE]).items()

    def values(self) -> Iterator[Any]:
        """See `Cache.values`."""
        for item in self.items():
            yield item[1]

    def modify(
        self,
        key: str,
        function: Callable[[Any], Any],
        *,
        ttl: object = UNSET,
        tags: Any = UNSET,
    ) -> Any:
        """See `Cache.modify`."""
        return self._call("modify", key, function, ttl=ttl, tags=tags)

    def __getitem__(self, key: str) -> Any:
        value = self.get(key, MISSING)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        if self._call("delete", key) == 0:
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        try:
            return bool(self._call("exists", key) == 1)
        except InvalidKeyError:
            return False

    def __len__(self) -> int:
        return int(self._call("dbsize"))

    def __bool__(self) -> bool:
        # an empty cache is still a cache
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._call("keys"))


class AsyncConnectedCache(AsyncCacheLike[Any]):
    """A cache on a server, for tasks: every method is awaited."""

    def __init__(self, cache: ConnectedCache) -> None:
        self.cache: Final = cache
        self._courses: Final = cache._courses
        self._wire: Final = async_wire_to(cache._wire)
        self._wire.asking = self._courses

    @property
    def name(self) -> str:
        """The namespace: see `ConnectedCache.name`."""
        return self.cache.name

    def namespace(self, name: str) -> AsyncConnectedCache:
        """The same of another namespace: see `ConnectedCache.namespace`.

        Nothing is asked of the server yet: what it cannot do is raised by the first call.
        """
        return self.cache._space(name).aio

    async def capabilities(self) -> Capabilities:
        """What the server can do; it is asked once."""
        found: Capabilities = await self._run(self._courses.asked(assumes=False))
        return found

    async def close(self) -> None:
        """Closes the connections of the running loop."""
        await self._wire.close()

    async def __aenter__(self) -> AsyncConnectedCache:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncConnectedCache {self.cache.address.shown}>"

    async def _run(self, course: Course) -> Any:
        return await self._wire.run(course)

    async def _call(self, name: str, *args: Any, **options: Any) -> Any:
        try:
            return await self._run(course_of(name, self._courses, args, options))
        except CacheStormError as error:
            return self.cache._absence.answer(error, name, args, options)

    def effects(self, *args: Any, **options: Any) -> Any:
        """Refused: effects are of a cache in this process.

        Raises:
            UnsupportedError: always.
        """
        raise self._courses.refused("effects")

    async def stats(self) -> ConnectedStats:
        """See `ConnectedCache.stats`."""
        return self.cache.stats()

    async def get_or_set(
        self, key: str, loader: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        """See `Cache.aget_or_set`."""
        return await self.cache.aget_or_set(key, loader, *args, **options)

    async def get_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Any],
        *args: Any,
        **options: Any,
    ) -> dict[str, Any]:
        """See `Cache.aget_or_set_many`."""
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
        try:
            return await self._run(self._courses.modify(key, function, ttl=ttl, tags=tags))
        except CacheStormError as error:
            if not self.cache._absence.ignores(error):
                raise
        value = function(None)
        return await value if inspect.isawaitable(value) else value

    async def items(self) -> Iterator[tuple[str, Any]]:
        """See `Cache.items`."""
        keys = await self._call("keys")
        found: dict[str, Any] = {}
        for start in range(0, len(keys), PAGE):
            found.update(await self._call("get_many", keys[start : start + PAGE]))
        return iter(found.items())

    async def values(self) -> Iterator[Any]:
        """See `Cache.values`."""
        return (value for _, value in await self.items())

    def lock(self, key: str, ttl: object = 30, *, reentrant: bool = False) -> Lock:
        """A lock for `async with`, or `await lock.aacquire()`: see `Cache.lock`."""
        return self.cache.lock(key, ttl, reentrant=reentrant)

    async def scan_iter(
        self, match: str | None = None, count: int = PAGE, type: str | None = None
    ) -> AsyncIterator[str]:
        """See `Cache.scan_iter`; for `async for`."""
        cursor = 0
        while True:
            cursor, keys = await self._call("scan", cursor, match, count, type)
            for key in keys:
                yield key
            if cursor == 0:
                return


ConnectedCache.set = dressed(set_plainly, "set", "ConnectedCache")  # type: ignore[method-assign]
complete(ConnectedCache, threaded)
complete(AsyncConnectedCache, awaited)
