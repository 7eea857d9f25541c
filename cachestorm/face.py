"""The Python face of a cache: the methods that follow Python's conventions, not Redis'.

A trait of `Cache`. The work is done in the packages below, which are not compiled and are
imported when they are first needed: importing CacheStorm loads neither.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, cast, overload

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import Edge
from cachestorm.markers import UNSET
from cachestorm.typevars import V

if TYPE_CHECKING:
    from redis import Redis

    from cachestorm.aio import AsyncCache
    from cachestorm.cache import Cache
    from cachestorm.capabilities import Capabilities
    from cachestorm.handles import (
        Counter,
        HashHandle,
        ListHandle,
        SetHandle,
        SortedSetHandle,
        Tag,
    )
    from cachestorm.keyspace.version import Version
    from cachestorm.locks import Lock
    from cachestorm.memoizing.memoized import Memoized
    from cachestorm.pipeline import Pipeline
    from cachestorm.subscription import Subscription
    from cachestorm.views import View

_UNSET: Final = UNSET

T = TypeVar("T")
P = ParamSpec("P")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Face(Edge, Generic[V]):
    """Handles, loading, decorators, locks, messages."""

    # -- live handles

    def as_hash(
        self, key: str, *, ttl: object = _UNSET, tags: Iterable[str] = ()
    ) -> HashHandle:
        """A key as a live mapping of fields to values.

        Args:
            ttl, tags: what a write through it gives the key when it creates it.
        """
        from cachestorm.handles.hash import HashHandle

        return HashHandle(cast("Cache", self), key, ttl, tags)

    def as_list(
        self, key: str, *, ttl: object = _UNSET, tags: Iterable[str] = ()
    ) -> ListHandle:
        """A key as a live sequence of elements; the arguments are those of `as_hash`."""
        from cachestorm.handles.list import ListHandle

        return ListHandle(cast("Cache", self), key, ttl, tags)

    def as_set(self, key: str, *, ttl: object = _UNSET, tags: Iterable[str] = ()) -> SetHandle:
        """A key as a live set of members; the arguments are those of `as_hash`."""
        from cachestorm.handles.set import SetHandle

        return SetHandle(cast("Cache", self), key, ttl, tags)

    def as_sorted_set(
        self, key: str, *, ttl: object = _UNSET, tags: Iterable[str] = ()
    ) -> SortedSetHandle:
        """A key as a live mapping of members to scores, in the order of the scores."""
        from cachestorm.handles.sorted_set import SortedSetHandle

        return SortedSetHandle(cast("Cache", self), key, ttl, tags)

    def counter(self, key: str, *, ttl: object = _UNSET, tags: Iterable[str] = ()) -> Counter:
        """A key as a live integer; the arguments are those of `as_hash`."""
        from cachestorm.handles.counter import Counter

        return Counter(cast("Cache", self), key, ttl, tags)

    def tag(self, name: str) -> Tag:
        """A tag as a live set of the keys that bear it."""
        from cachestorm.handles.tag import Tag

        return Tag(cast("Cache", self), name)

    # -- values of one type

    def view(self, kind: type[T], prefix: str = "") -> View[T]:
        """Some keys as a mapping to values of one type, which are checked on the way.

        Args:
            kind: a dataclass, a `TypedDict`, a model of msgspec or pydantic, or any type
                that is made of such and of Python's own, as `list[int]`.
            prefix: what stands before the keys of the view in the cache.

        Raises:
            TypeError: for a type that cannot be checked.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> scores = cache.view(list[int], prefix="scores:")
            >>> scores["ada"] = [3, 1]
            >>> cache["scores:ada"], list(scores)
            ([3, 1], ['ada'])
            >>> scores["ada"] = "three"
            Traceback (most recent call last):
            TypeError: this view holds values of list[int], not 'three'
        """
        from cachestorm.views.view import View

        return View(cast("Cache", self), kind, prefix)

    # -- values that are made when they are missing

    def version(self, *, tags: Iterable[str] = ()) -> Version:
        """What `set(..., if_unchanged=...)` needs to tell what has changed from here on.

        For a program that reads a source by itself: take it before that, and a value which
        was outdated meanwhile is not written. `get_or_set` does it for you.

        Args:
            tags: an invalidation of these counts, as does one of those given to `set`.

        Raises:
            TagError: for anything that is not a tag.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> before = cache.version(tags=["users"])
            >>> cache.invalidate("users")
            0
            >>> cache.set("user:1", "as it was", tags=["users"], if_unchanged=before)
            False
        """
        from cachestorm.loading.versions import version_of

        return version_of(cast("Cache", self), tags)

    def get_or_set(
        self,
        key: str,
        loader: Callable[..., T],
        ttl: object = _UNSET,
        *,
        tags: Iterable[str] | Callable[[T], Iterable[str]] = (),
        **options: Any,
    ) -> T:
        """The value of a key; if it is missing, the loader makes it, once for all who ask.

        Any number of threads and tasks may ask for a key: one of them runs its loader, the
        others wait for it. What is deleted, written or invalidated meanwhile is not
        brought back by it.

        Args:
            loader: called without arguments, or with a `LoadContext` if it has a parameter.
            ttl: as in `set`.
            tags: as in `set`; or a function that finds them in the value.
            stale: how long beyond its time to live the value may be served while one load
                of it runs in the background; also after a soft invalidation.
            stale_if_error: how long it may be served when the loader fails.
            early: above 0, some call loads the value anew before its end, the likelier the
                nearer the end and the longer a load takes; 1 is a good choice.
            eager: after this share of the time to live a call loads the value anew.
            negative_ttl: the time to live of None, and of errors that are kept.
            cache_errors: exceptions that are kept, for `negative_ttl`.
            cache_if: told of the value, says whether to keep it.
            timeout: after which the caller gets a `LoadTimeoutError`; the load goes on.
            soft_timeout: after which the caller gets the stale value; the load goes on.
            throttle: how long a source that has failed is not asked again while there
                is a stale value; a second if left out.
            propagate: False if a load that this call is part of is not to take over its tags.

        Raises:
            LoadTimeoutError: when `timeout` has passed.
            ArgumentError: for options out of range, or that need another.
            Exception: whatever the loader raises; all who wait get it.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.get_or_set("answer", lambda: 42, ttl=60)
            42
            >>> cache.get_or_set("answer", lambda: 43)
            42
        """
        from cachestorm.loading.calls import get_or_set

        return cast(T, get_or_set(cast("Cache", self), key, loader, ttl, tags, options))

    @overload
    def aget_or_set(
        self,
        key: str,
        loader: Callable[..., Awaitable[T]],
        ttl: object = ...,
        *,
        tags: Iterable[str] | Callable[[T], Iterable[str]] = ...,
        **options: Any,
    ) -> Awaitable[T]: ...
    @overload
    def aget_or_set(
        self,
        key: str,
        loader: Callable[..., T],
        ttl: object = ...,
        *,
        tags: Iterable[str] | Callable[[T], Iterable[str]] = ...,
        **options: Any,
    ) -> Awaitable[T]: ...
    def aget_or_set(
        self,
        key: str,
        loader: Callable[..., Any],
        ttl: object = _UNSET,
        *,
        tags: Iterable[str] | Callable[[Any], Iterable[str]] = (),
        **options: Any,
    ) -> Awaitable[Any]:
        """As `get_or_set`, to be awaited; the loader may be a coroutine function.

        The tasks of asyncio and trio, and threads, wait for one load together. Cancelling one
        affects no other; if it is the one that loads, another begins anew.
        """
        from cachestorm.loading.calls import aget_or_set

        return cast(
            "Awaitable[Any]", aget_or_set(cast("Cache", self), key, loader, ttl, tags, options)
        )

    def get_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Mapping[str, T]],
        ttl: object = _UNSET,
        *,
        tags: Iterable[str] | Callable[[T], Iterable[str]] = (),
        **options: Any,
    ) -> dict[str, T]:
        """The values of many keys; one call of the loader makes all that are missing.

        Args:
            loader: called with the missing keys; gives a mapping. A key that it leaves out is
                left out of the result.
            ttl, tags: as in `get_or_set`, whose other options but timeouts are taken, too.

        Examples:
            >>> from cachestorm import Cache
            >>> Cache().get_or_set_many(["a", "b"], lambda keys: {k: k.upper() for k in keys})
            {'a': 'A', 'b': 'B'}
        """
        from cachestorm.loading.calls import get_or_set_many

        found = get_or_set_many(cast("Cache", self), keys, loader, ttl, tags, options)
        return cast("dict[str, T]", found)

    def aget_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Mapping[str, T] | Awaitable[Mapping[str, T]]],
        ttl: object = _UNSET,
        *,
        tags: Iterable[str] | Callable[[T], Iterable[str]] = (),
        **options: Any,
    ) -> Awaitable[dict[str, T]]:
        """As `get_or_set_many`, to be awaited."""
        from cachestorm.loading.calls import aget_or_set_many

        found = aget_or_set_many(cast("Cache", self), keys, loader, ttl, tags, options)
        return cast("Awaitable[dict[str, T]]", found)

    # -- many calls in one step; read, change, write

    def pipeline(self, watch: Iterable[str] = ()) -> Pipeline:
        """Queues calls, and runs them in one step.

        It has the methods of the cache, each of which queues its call; `execute()` runs them
        and gives the results as a list. A call that fails fails alone, and its error is raised
        when all have run. What is not executed by the end of the block is dropped.

        Args:
            watch: keys, watched from entering the `with` block: if one of them has been touched
                by then, `execute` raises WatchError and runs nothing.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> with cache.pipeline(watch=["stock"]) as pipe:
            ...     left = cache.get("stock", 10) - 1
            ...     pipe.set("stock", left).rpush("orders", "book").execute()
            [True, 1]
        """
        from cachestorm.pipeline import pipeline

        return pipeline(cast("Cache", self), watch)

    def modify(
        self,
        key: str,
        function: Callable[[V | None], T],
        *,
        ttl: object = _UNSET,
        tags: Iterable[str] | object = _UNSET,
    ) -> T:
        """Sets a key to what a function makes of its value, as if in one step.

        The function runs outside of the lock, and again whenever somebody else has touched
        the key meanwhile: it must not change the value that it is given.

        Args:
            function: called with the value, None for a missing key; gives the new one.
            ttl: as in `set`; left out, a key that is there keeps what it has.
            tags: left out, the key keeps those that it has.

        Returns:
            The new value.

        Raises:
            WrongTypeError: for a hash, a list, a set or a sorted set.
            TypeError: for a coroutine function, which `cache.aio.modify` takes.
            Exception: whatever the function raises; nothing is changed then.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.modify("visitors", lambda names: [*(names or []), "Ada"])
            ['Ada']
        """
        from cachestorm.modifying import modify

        return cast(T, modify(cast("Cache", self), key, function, ttl, tags))

    # -- messages

    def subscribe(
        self,
        *channels: str | bytes,
        patterns: Iterable[str | bytes] = (),
        shards: Iterable[str | bytes] = (),
    ) -> Subscription:
        """The messages of some channels, for a thread or a task.

        It listens inside of `with` or `async with`; `for` and `async for` take messages.

        Args:
            channels: by name.
            patterns: glob patterns of channels, such as `"news.*"`.
            shards: shard channels, by name.

        Raises:
            ArgumentError: when there is nothing to listen to.
            TypeError: for a name that is neither `str` nor `bytes`.
        """
        from cachestorm.subscription import subscription

        return subscription(self._store.broker, channels, patterns, shards)

    # -- functions whose results are kept

    @overload
    def memoize(self, function: Callable[P, T], /) -> Memoized[P, T]: ...
    @overload
    def memoize(
        self,
        function: None = None,
        /,
        *,
        key: str | Callable[..., str] | None = None,
        ttl: object = _UNSET,
        # not of P and T: a type checker would bind them here, where it knows no function yet
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
        ttl: object = _UNSET,
        tags: Any = (),
        typed: bool = False,
        ignore: Iterable[str] = (),
        **options: Any,
    ) -> Any:
        """Keeps the results of a function, and loads each of them once.

        For functions, coroutine functions, methods, properties, class and static methods.
        Results of a method are kept by instance, which is not kept alive.

        Args:
            key: a template over the parameters, as `"user:{uid}"`, or a function of them. Left
                out, the key is made of the name of the function and the arguments.
            ttl: as in `set`.
            tags: templates over the parameters; or a function that finds them in the result.
            typed: keep results of 1, 1.0 and True apart.
            ignore: parameters that the result does not depend on.
            options: as in `get_or_set`.

        Returns:
            A function of the same signature with `key peek put refresh invalidate uncached
            cache_info cache_clear`: see `cachestorm.memoizing.Memoized`.

        Raises:
            TemplateError: for a template that names no parameter.
            TypeError: for anything that is not a function, and for a generator.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> @cache.memoize(key="square:{x}", tags=["squares"])
            ... def square(x: int) -> int:
            ...     print("once")
            ...     return x * x
            >>> square(3), square(x=3)
            once
            (9, 9)
            >>> cache.invalidate("squares")
            1
        """
        from cachestorm.memoizing.decorator import memoize

        cache = cast("Cache", self)
        return memoize(cache, function, key, ttl, tags, typed, ignore, options)

    # -- locks, and awaiting

    def lock(self, key: str, ttl: object = 30, *, reentrant: bool = False) -> Lock:
        """A lock that is a key of the cache, for threads, tasks and clients on the wire.

        Args:
            ttl: after which it ends by itself; None for never.
            reentrant: whether its owner, a thread or a task, may take the same object again.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> with cache.lock("report", ttl=30):
            ...     cache.exists("report")
            1
        """
        from cachestorm.locks.lock import Lock

        return Lock(cast("Cache", self), key, ttl, reentrant)

    # -- other clients

    def redis(self, **settings: Any) -> Redis:
        """A client of redis-py for this cache, without a server or a socket.

        It speaks the whole dialect of redis-py, with pipelines, WATCH, blocking commands and
        subscriptions, and is for code that expects such a client. Several threads may use it.

        Args:
            settings: those of a connection of redis-py and of its pool, such as
                `decode_responses=True`, `protocol=3`, `db=1` or `max_connections=10`.

        Raises:
            MissingExtraError: if the server's packages are not installed.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> client = cache.redis(decode_responses=True)
            >>> client.set("greeting", "hello", ex=60)
            True
            >>> client.get("greeting"), cache.get("greeting")
            ('hello', b'hello')
        """
        from cachestorm.providers import provider

        return cast("Redis", provider("redis", "Cache.redis()")(self, **settings))

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, as `cachestorm.connect` tells of caches elsewhere: everything.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.capabilities.server, cache.capabilities.tags
            ('memory', True)
        """
        from cachestorm.capabilities import IN_PROCESS

        return IN_PROCESS

    @property
    def aio(self) -> AsyncCache[V]:
        """The same cache with methods that are awaited, on asyncio and on trio."""
        from cachestorm.aio.async_cache import async_cache

        return async_cache(cast("Cache[V]", self))
