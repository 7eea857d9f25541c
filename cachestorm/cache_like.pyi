# Written by `make docs` from the source of Cache (tests/docs/cache_like.py): do not edit.
"""A cache, wherever it is: what `Cache` and what `cachestorm.connect` gives have in common."""

import builtins
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from types import TracebackType
from typing import Any, Literal, ParamSpec, Protocol, Self, TypeVar, overload, runtime_checkable

from cachestorm.capabilities import Capabilities
from cachestorm.commands.geo import Point
from cachestorm.keyspace.version import Version
from cachestorm.locks.lock import Lock
from cachestorm.memoizing.memoized import Memoized
from cachestorm.operations.rows import Scored
from cachestorm.stats import Stats
from cachestorm.typevars import D, V

T = TypeVar("T")
P = ParamSpec("P")

@runtime_checkable
class CacheLike(Protocol[V]):
    """A cache near or far, of values of one type: for signatures of functions that take one."""

    @property
    def name(self) -> str: ...
    @property
    def aio(self) -> AsyncCacheLike[V]: ...
    @property
    def capabilities(self) -> Capabilities: ...
    def namespace(self, name: str) -> CacheLike[V]: ...
    def stats(self) -> Stats: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def add(
        self, key: str, value: V, ttl: object = ..., *, tags: Iterable[str] = ...
    ) -> bool: ...
    def addtag(self, key: str, *tags: str) -> int: ...
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
    def aget_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Mapping[str, T] | Awaitable[Mapping[str, T]]],
        ttl: object = ...,
        *,
        tags: Iterable[str] | Callable[[T], Iterable[str]] = ...,
        **options: Any,
    ) -> Awaitable[dict[str, T]]: ...
    def append(self, key: str, value: object) -> int: ...
    def bitcount(
        self, key: str, start: int | None = None, end: int | None = None, mode: str = "BYTE"
    ) -> int: ...
    def bitfield(self, key: str, *operations: Sequence[object]) -> list[int | None]: ...
    def bitop(self, operation: str, destkey: str, *keys: str) -> int: ...
    def bitpos(
        self,
        key: str,
        bit: int,
        start: int | None = None,
        end: int | None = None,
        mode: str = "BYTE",
    ) -> int: ...
    def blmove(
        self,
        source: str,
        destination: str,
        wherefrom: str = "LEFT",
        whereto: str = "RIGHT",
        timeout: float | None = None,
        default: object = None,
    ) -> Any: ...
    def blmpop(
        self,
        keys: str | Iterable[str],
        where: str = "LEFT",
        count: int = 1,
        timeout: float | None = None,
    ) -> tuple[str, list[Any]] | None: ...
    def blpop(
        self, keys: str | Iterable[str], timeout: float | None = None
    ) -> tuple[str, Any] | None: ...
    def brpop(
        self, keys: str | Iterable[str], timeout: float | None = None
    ) -> tuple[str, Any] | None: ...
    def brpoplpush(
        self,
        source: str,
        destination: str,
        timeout: float | None = None,
        default: object = None,
    ) -> Any: ...
    def bzmpop(
        self,
        keys: str | Iterable[str],
        where: str = "MIN",
        count: int = 1,
        timeout: float | None = None,
    ) -> tuple[str, Scored] | None: ...
    def bzpopmax(
        self, keys: str | Iterable[str], timeout: float | None = None
    ) -> tuple[str, str, float] | None: ...
    def bzpopmin(
        self, keys: str | Iterable[str], timeout: float | None = None
    ) -> tuple[str, str, float] | None: ...
    def clear(self) -> None: ...
    def compare_and_set(
        self,
        key: str,
        expected: object,
        value: V,
        ttl: object = ...,
        *,
        tags: Iterable[str] | None = None,
    ) -> bool: ...
    def copy(
        self,
        source: str,
        destination: str,
        database: int | None = None,
        *,
        replace: bool = False,
    ) -> bool: ...
    def dbsize(self) -> int: ...
    def decr(self, key: str, amount: object = 1) -> int: ...
    def delete(self, *keys: str | Iterable[str]) -> int: ...
    def delete_many(self, keys: Iterable[str]) -> int: ...
    def delifeq(self, key: str, value: object) -> bool: ...
    def dump(self, key: str) -> bytes | None: ...
    def exists(self, *keys: str | Iterable[str]) -> int: ...
    def expire(
        self,
        key: str,
        ttl: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> bool: ...
    def expireat(
        self,
        key: str,
        when: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> bool: ...
    @overload
    def expiretime(self, key: str) -> float | None: ...
    @overload
    def expiretime(self, key: str, default: D) -> float | D | None: ...
    def flushall(self, *, async_: bool = False, sync: bool = False) -> bool: ...
    def flushdb(self, *, async_: bool = False, sync: bool = False) -> bool: ...
    def geoadd(
        self, key: str, mapping: object, *, nx: bool = False, xx: bool = False, ch: bool = False
    ) -> int: ...
    def geohash(self, key: str, *members: object) -> list[str | None]: ...
    def geopos(self, key: str, *members: object) -> list[Point | None]: ...
    def geosearchstore(
        self,
        destination: str,
        source: str,
        member: object = None,
        longitude: float | None = None,
        latitude: float | None = None,
        unit: str = "m",
        radius: float | None = None,
        width: float | None = None,
        height: float | None = None,
        sort: str | None = None,
        count: int | None = None,
        any: bool = False,
        *,
        storedist: bool = False,
    ) -> int: ...
    @overload
    def get(self, key: str) -> V | None: ...
    @overload
    def get(self, key: str, default: D) -> V | D: ...
    def get_many(self, keys: Iterable[str]) -> dict[str, V]: ...
    def get_or_set(
        self,
        key: str,
        loader: Callable[..., T],
        ttl: object = ...,
        *,
        tags: Iterable[str] | Callable[[T], Iterable[str]] = ...,
        **options: Any,
    ) -> T: ...
    def get_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Mapping[str, T]],
        ttl: object = ...,
        *,
        tags: Iterable[str] | Callable[[T], Iterable[str]] = ...,
        **options: Any,
    ) -> dict[str, T]: ...
    def getbit(self, key: str, offset: int) -> int: ...
    @overload
    def getdel(self, key: str) -> V | None: ...
    @overload
    def getdel(self, key: str, default: D) -> V | D: ...
    @overload
    def getex(self, key: str, ttl: object = ..., *, persist: bool = False) -> V | None: ...
    @overload
    def getex(
        self, key: str, ttl: object = ..., *, persist: bool = False, default: D
    ) -> V | D: ...
    def getrange(self, key: str, start: int, end: int) -> bytes: ...
    @overload
    def getset(self, key: str, value: V) -> V | None: ...
    @overload
    def getset(self, key: str, value: V, default: D) -> V | D: ...
    def hdel(self, key: str, *fields: object) -> int: ...
    def hexists(self, key: str, field: object) -> bool: ...
    def hexpire(
        self,
        key: str,
        ttl: object,
        *fields: object,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> list[int]: ...
    def hexpireat(
        self,
        key: str,
        ttl: object,
        *fields: object,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> list[int]: ...
    def hexpiretime(self, key: str, *fields: object) -> list[int]: ...
    def hget(self, key: str, field: object, default: object = None) -> Any: ...
    def hgetall(self, key: str) -> dict[str, Any]: ...
    def hgetdel(self, key: str, *fields: object, default: object = None) -> list[Any]: ...
    def hgetex(
        self,
        key: str,
        *fields: object,
        ttl: object = ...,
        persist: bool = False,
        default: object = None,
    ) -> list[Any]: ...
    def hincrby(self, key: str, field: object, increment: int = 1) -> int: ...
    def hincrbyfloat(self, key: str, field: object, increment: float | str = 1.0) -> float: ...
    def hkeys(self, key: str) -> list[str]: ...
    def hlen(self, key: str) -> int: ...
    def hmget(self, key: str, *fields: object, default: object = None) -> list[Any]: ...
    def hotkeys(self, count: int = 10) -> list[tuple[str, int]]: ...
    def hpersist(self, key: str, *fields: object) -> list[int]: ...
    def hpexpire(
        self,
        key: str,
        ttl: object,
        *fields: object,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> list[int]: ...
    def hpexpireat(
        self,
        key: str,
        ttl: object,
        *fields: object,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> list[int]: ...
    def hpexpiretime(self, key: str, *fields: object) -> list[int]: ...
    def hpttl(self, key: str, *fields: object) -> list[int]: ...
    @overload
    def hrandfield(
        self, key: str, count: None = None, *, withvalues: bool = False
    ) -> str | None: ...
    @overload
    def hrandfield(
        self, key: str, count: int, *, withvalues: Literal[False] = False
    ) -> list[str]: ...
    @overload
    def hrandfield(
        self, key: str, count: int, *, withvalues: Literal[True]
    ) -> list[tuple[str, Any]]: ...
    @overload
    def hscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = ...,
        *,
        novalues: Literal[False] = False,
    ) -> tuple[int, dict[str, Any]]: ...
    @overload
    def hscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = ...,
        *,
        novalues: Literal[True],
    ) -> tuple[int, list[str]]: ...
    def hset(
        self, key: str, field: object = ..., value: object = ..., mapping: object = None
    ) -> int: ...
    def hsetex(
        self,
        key: str,
        field: object = ...,
        value: object = ...,
        mapping: object = None,
        ttl: object = None,
        *,
        keepttl: bool = False,
        nx: bool = False,
        xx: bool = False,
        fnx: bool = False,
        fxx: bool = False,
    ) -> bool: ...
    def hsetnx(self, key: str, field: object, value: object) -> bool: ...
    def hstrlen(self, key: str, field: object) -> int: ...
    def httl(self, key: str, *fields: object) -> list[int]: ...
    def hvals(self, key: str) -> list[Any]: ...
    def incr(self, key: str, amount: object = 1) -> int: ...
    def incrbyfloat(self, key: str, increment: float | str = 1.0) -> float: ...
    def invalidate(
        self,
        tag: str | Iterable[str],
        *tags: str,
        cascade: bool = False,
        soft: bool = False,
        dry_run: bool = False,
    ) -> int: ...
    def items(self) -> Iterator[tuple[str, V]]: ...
    def keys(self, pattern: str = "*") -> list[str]: ...
    def lindex(self, key: str, index: int, default: object = None) -> Any: ...
    def linsert(self, key: str, where: str, pivot: object, element: object) -> int: ...
    def llen(self, key: str) -> int: ...
    def lmove(
        self,
        source: str,
        destination: str,
        wherefrom: str = "LEFT",
        whereto: str = "RIGHT",
        default: object = None,
    ) -> Any: ...
    def lmpop(
        self, keys: list[str], where: str = "LEFT", count: int = 1
    ) -> tuple[str, list[Any]] | None: ...
    def lock(self, key: str, ttl: object = 30, *, reentrant: bool = False) -> Lock: ...
    @overload
    def lpop(self, key: str, count: None = None, default: object = None) -> Any: ...
    @overload
    def lpop(self, key: str, count: int) -> list[Any] | None: ...
    @overload
    def lpop(self, key: str, count: int, default: D) -> list[Any] | D: ...
    @overload
    def lpos(
        self, key: str, element: object, rank: int = 1, count: None = None, maxlen: int = 0
    ) -> int | None: ...
    @overload
    def lpos(
        self, key: str, element: object, rank: int = 1, *, count: int, maxlen: int = 0
    ) -> list[int]: ...
    @overload
    def lpos(
        self, key: str, element: object, rank: int, count: int, maxlen: int = 0
    ) -> list[int]: ...
    def lpush(self, key: str, *elements: object) -> int: ...
    def lpushx(self, key: str, *elements: object) -> int: ...
    def lrange(self, key: str, start: int = 0, stop: int = ...) -> list[Any]: ...
    def lrem(self, key: str, count: int, element: object) -> int: ...
    def lset(self, key: str, index: int, element: object) -> bool: ...
    def ltrim(self, key: str, start: int, stop: int) -> bool: ...
    @overload
    def memoize(self, function: Callable[P, T], /) -> Memoized[P, T]: ...
    @overload
    def memoize(
        self,
        function: None = None,
        /,
        *,
        key: str | Callable[..., str] | None = None,
        ttl: object = ...,
        tags: Iterable[str] | Callable[[Any], Iterable[str]] = ...,
        typed: bool = False,
        ignore: Iterable[str] = ...,
        **options: Any,
    ) -> Callable[[Callable[P, T]], Memoized[P, T]]: ...
    def memory_doctor(self) -> str: ...
    def memory_usage(self, key: str, samples: int | None = None) -> int | None: ...
    @overload
    def mget(self, *keys: str | Iterable[str]) -> list[V | None]: ...
    @overload
    def mget(self, *keys: str | Iterable[str], default: D) -> list[V | D]: ...
    def modify(
        self,
        key: str,
        function: Callable[[V | None], T],
        *,
        ttl: object = ...,
        tags: Iterable[str] | object = ...,
    ) -> T: ...
    def move(self, key: str, db: int) -> bool: ...
    def mset(self, mapping: Mapping[str, V] | Iterable[tuple[str, V]]) -> bool: ...
    def msetex(
        self,
        mapping: Mapping[str, V] | Iterable[tuple[str, V]],
        ttl: object = ...,
        *,
        keepttl: bool = False,
        nx: bool = False,
        xx: bool = False,
    ) -> bool: ...
    def msetnx(self, mapping: Mapping[str, V] | Iterable[tuple[str, V]]) -> bool: ...
    def namespacedel(self, name: str) -> bool: ...
    def namespaces(self) -> list[str]: ...
    def object_encoding(self, key: str) -> str | None: ...
    def object_freq(self, key: str) -> int | None: ...
    def object_idletime(self, key: str) -> int | None: ...
    def object_tier(self, key: str) -> str | None: ...
    def persist(self, key: str) -> bool: ...
    def pexpire(
        self,
        key: str,
        ttl: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> bool: ...
    def pexpireat(
        self,
        key: str,
        when: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> bool: ...
    @overload
    def pexpiretime(self, key: str) -> int | None: ...
    @overload
    def pexpiretime(self, key: str, default: D) -> int | D | None: ...
    def pfadd(self, key: str, *elements: object) -> bool: ...
    def pfcount(self, *keys: str) -> int: ...
    def pfmerge(self, destkey: str, *sourcekeys: str) -> bool: ...
    @overload
    def pop(self, key: str) -> V: ...
    @overload
    def pop(self, key: str, default: D) -> V | D: ...
    def popitem(self) -> tuple[str, V]: ...
    @overload
    def pttl(self, key: str) -> int | None: ...
    @overload
    def pttl(self, key: str, default: D) -> int | D | None: ...
    def publish(self, channel: object, message: object) -> int: ...
    def randomkey(self) -> str | None: ...
    def remtag(self, key: str, *tags: str) -> int: ...
    def rename(self, key: str, newkey: str) -> bool: ...
    def renamenx(self, key: str, newkey: str) -> bool: ...
    def restore(
        self,
        key: str,
        ttl: object,
        serialized_value: object,
        *,
        replace: bool = False,
        absttl: bool = False,
        idletime: int | None = None,
        frequency: int | None = None,
    ) -> bool: ...
    @overload
    def rpop(self, key: str, count: None = None, default: object = None) -> Any: ...
    @overload
    def rpop(self, key: str, count: int) -> list[Any] | None: ...
    @overload
    def rpop(self, key: str, count: int, default: D) -> list[Any] | D: ...
    def rpoplpush(self, source: str, destination: str, default: object = None) -> Any: ...
    def rpush(self, key: str, *elements: object) -> int: ...
    def rpushx(self, key: str, *elements: object) -> int: ...
    def sadd(self, key: str, *members: object) -> int: ...
    def scan(
        self,
        cursor: int = 0,
        match: str | None = None,
        count: int = 10,
        type: str | None = None,
    ) -> tuple[int, list[str]]: ...
    def scan_iter(
        self, match: str | None = None, count: int = ..., type: str | None = None
    ) -> Iterator[str]: ...
    def scard(self, key: str) -> int: ...
    def sdiff(self, *keys: str) -> builtins.set[str]: ...
    def sdiffstore(self, destination: str, *keys: str) -> int: ...
    @overload
    def set(
        self,
        key: str,
        value: V,
        ttl: object = ...,
        *,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: Literal[False] = False,
        tags: Iterable[str] = ...,
        idle: object = None,
        ttl_jitter: float | None = None,
        if_unchanged: Version | None = None,
    ) -> bool: ...
    @overload
    def set(
        self,
        key: str,
        value: V,
        ttl: object = ...,
        *,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: Literal[True],
        tags: Iterable[str] = ...,
        idle: object = None,
        ttl_jitter: float | None = None,
    ) -> V | None: ...
    @overload
    def set(
        self,
        key: str,
        value: V,
        ttl: object = ...,
        *,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool,
        tags: Iterable[str] = ...,
        idle: object = None,
        ttl_jitter: float | None = None,
    ) -> V | bool | None: ...
    def set_many(
        self,
        mapping: Mapping[str, V] | Iterable[tuple[str, V]],
        ttl: object = ...,
        *,
        tags: Iterable[str] = ...,
    ) -> bool: ...
    def setbit(self, key: str, offset: int, value: int) -> int: ...
    @overload
    def setdefault(
        self, key: str, default: None = None, ttl: object = ..., *, tags: Iterable[str] = ...
    ) -> V | None: ...
    @overload
    def setdefault(
        self, key: str, default: V, ttl: object = ..., *, tags: Iterable[str] = ...
    ) -> V: ...
    def setex(self, key: str, ttl: object, value: V) -> bool: ...
    def setnx(self, key: str, value: V) -> bool: ...
    def setrange(self, key: str, offset: int, value: object) -> int: ...
    def settag(self, key: str, value: object, *tags: str) -> bool: ...
    def sinter(self, *keys: str) -> builtins.set[str]: ...
    def sintercard(self, keys: list[str], limit: int = 0) -> int: ...
    def sinterstore(self, destination: str, *keys: str) -> int: ...
    def sismember(self, key: str, member: object) -> bool: ...
    def smembers(self, key: str) -> builtins.set[str]: ...
    def smismember(self, key: str, *members: object) -> list[bool]: ...
    def smove(self, source: str, destination: str, member: object) -> bool: ...
    @overload
    def sort(
        self,
        key: str,
        by: str | None = None,
        offset: int = 0,
        count: int = ...,
        get: Iterable[str] = ...,
        order: str = "ASC",
        *,
        alpha: bool = False,
        destination: None = None,
    ) -> list[Any]: ...
    @overload
    def sort(
        self,
        key: str,
        by: str | None = None,
        offset: int = 0,
        count: int = ...,
        get: Iterable[str] = ...,
        order: str = "ASC",
        *,
        alpha: bool = False,
        destination: str,
    ) -> int: ...
    @overload
    def spop(self, key: str, count: None = None) -> str | None: ...
    @overload
    def spop(self, key: str, count: int) -> list[str]: ...
    def spublish(self, shardchannel: object, message: object) -> int: ...
    @overload
    def srandmember(self, key: str, count: None = None) -> str | None: ...
    @overload
    def srandmember(self, key: str, count: int) -> list[str]: ...
    def srem(self, key: str, *members: object) -> int: ...
    def sscan(
        self, key: str, cursor: int = 0, match: str | None = None, count: int = ...
    ) -> tuple[int, list[str]]: ...
    def strlen(self, key: str) -> int: ...
    def sunion(self, *keys: str) -> builtins.set[str]: ...
    def sunionstore(self, destination: str, *keys: str) -> int: ...
    def swapdb(self, index1: int, index2: int) -> bool: ...
    def tag_scan(
        self, cursor: int = 0, count: int = 1000, match: str | None = None
    ) -> tuple[int, list[str]]: ...
    def tagchildren(self, tag: str) -> list[str]: ...
    def tagcount(self, tag: str) -> int: ...
    def tagkeys(self, tag: str) -> list[str]: ...
    def taglink(self, parent: str, child: str) -> bool: ...
    def taglinks(self) -> list[list[str]]: ...
    def tags(self, key: str) -> list[str]: ...
    def tagunlink(self, parent: str, child: str) -> bool: ...
    def touch(self, *keys: str | Iterable[str]) -> int: ...
    @overload
    def ttl(self, key: str) -> float | None: ...
    @overload
    def ttl(self, key: str, default: D) -> float | D | None: ...
    def type(self, key: str) -> str: ...
    def update(
        self, mapping: Mapping[str, V] | Iterable[tuple[str, V]] = ..., /, **values: V
    ) -> None: ...
    def values(self) -> Iterator[V]: ...
    @overload
    def zadd(
        self,
        key: str,
        mapping: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
        ch: bool = False,
        incr: Literal[False] = False,
    ) -> int: ...
    @overload
    def zadd(
        self,
        key: str,
        mapping: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
        ch: bool = False,
        incr: Literal[True],
    ) -> float | None: ...
    def zcard(self, key: str) -> int: ...
    def zcount(self, key: str, min: object, max: object) -> int: ...
    @overload
    def zdiff(self, keys: object, *, withscores: Literal[False] = False) -> list[str]: ...
    @overload
    def zdiff(self, keys: object, *, withscores: Literal[True]) -> Scored: ...
    @overload
    def zdiff(self, keys: object, *, withscores: bool) -> list[str] | Scored: ...
    def zdiffstore(self, destination: str, keys: object) -> int: ...
    def zincrby(self, key: str, increment: float | str, member: object) -> float: ...
    @overload
    def zinter(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: Literal[False] = False,
    ) -> list[str]: ...
    @overload
    def zinter(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: Literal[True],
    ) -> Scored: ...
    @overload
    def zinter(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: bool,
    ) -> list[str] | Scored: ...
    def zintercard(self, keys: object, limit: int = 0) -> int: ...
    def zinterstore(
        self,
        destination: str,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
    ) -> int: ...
    def zlexcount(self, key: str, min: object, max: object) -> int: ...
    def zmpop(
        self, keys: list[str], where: str = "MIN", count: int = 1
    ) -> tuple[str, Scored] | None: ...
    def zmscore(self, key: str, *members: object) -> list[float | None]: ...
    def zpopmax(self, key: str, count: int | None = None) -> Scored: ...
    def zpopmin(self, key: str, count: int | None = None) -> Scored: ...
    @overload
    def zrandmember(
        self, key: str, count: None = None, *, withscores: bool = False
    ) -> str | None: ...
    @overload
    def zrandmember(
        self, key: str, count: int, *, withscores: Literal[False] = False
    ) -> list[str]: ...
    @overload
    def zrandmember(self, key: str, count: int, *, withscores: Literal[True]) -> Scored: ...
    @overload
    def zrange(
        self,
        key: str,
        start: object = 0,
        stop: object = ...,
        *,
        byscore: bool = False,
        bylex: bool = False,
        rev: bool = False,
        offset: int | None = None,
        count: int | None = None,
        withscores: Literal[False] = False,
    ) -> list[str]: ...
    @overload
    def zrange(
        self,
        key: str,
        start: object = 0,
        stop: object = ...,
        *,
        byscore: bool = False,
        bylex: bool = False,
        rev: bool = False,
        offset: int | None = None,
        count: int | None = None,
        withscores: Literal[True],
    ) -> Scored: ...
    def zrangebylex(
        self, key: str, min: object, max: object, *, offset: int = 0, count: int = ...
    ) -> list[str]: ...
    @overload
    def zrangebyscore(
        self,
        key: str,
        min: object,
        max: object,
        *,
        withscores: Literal[False] = False,
        offset: int = 0,
        count: int = ...,
    ) -> list[str]: ...
    @overload
    def zrangebyscore(
        self,
        key: str,
        min: object,
        max: object,
        *,
        withscores: Literal[True],
        offset: int = 0,
        count: int = ...,
    ) -> Scored: ...
    def zrangestore(
        self,
        dst: str,
        src: str,
        min: object = 0,
        max: object = ...,
        *,
        byscore: bool = False,
        bylex: bool = False,
        rev: bool = False,
        offset: int | None = None,
        count: int | None = None,
    ) -> int: ...
    @overload
    def zrank(
        self, key: str, member: object, *, withscore: Literal[False] = False
    ) -> int | None: ...
    @overload
    def zrank(
        self, key: str, member: object, *, withscore: Literal[True]
    ) -> tuple[int, float] | None: ...
    def zrem(self, key: str, *members: object) -> int: ...
    def zremrangebylex(self, key: str, min: object, max: object) -> int: ...
    def zremrangebyrank(self, key: str, start: int, stop: int) -> int: ...
    def zremrangebyscore(self, key: str, min: object, max: object) -> int: ...
    @overload
    def zrevrange(
        self, key: str, start: int = 0, stop: int = ..., *, withscores: Literal[False] = False
    ) -> list[str]: ...
    @overload
    def zrevrange(
        self, key: str, start: int = 0, stop: int = ..., *, withscores: Literal[True]
    ) -> Scored: ...
    def zrevrangebylex(
        self, key: str, max: object, min: object, *, offset: int = 0, count: int = ...
    ) -> list[str]: ...
    @overload
    def zrevrangebyscore(
        self,
        key: str,
        max: object,
        min: object,
        *,
        withscores: Literal[False] = False,
        offset: int = 0,
        count: int = ...,
    ) -> list[str]: ...
    @overload
    def zrevrangebyscore(
        self,
        key: str,
        max: object,
        min: object,
        *,
        withscores: Literal[True],
        offset: int = 0,
        count: int = ...,
    ) -> Scored: ...
    @overload
    def zrevrank(
        self, key: str, member: object, *, withscore: Literal[False] = False
    ) -> int | None: ...
    @overload
    def zrevrank(
        self, key: str, member: object, *, withscore: Literal[True]
    ) -> tuple[int, float] | None: ...
    @overload
    def zscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = ...,
        *,
        noscores: Literal[False] = False,
    ) -> tuple[int, Scored]: ...
    @overload
    def zscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = ...,
        *,
        noscores: Literal[True],
    ) -> tuple[int, list[str]]: ...
    def zscore(self, key: str, member: object) -> float | None: ...
    @overload
    def zunion(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: Literal[False] = False,
    ) -> list[str]: ...
    @overload
    def zunion(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: Literal[True],
    ) -> Scored: ...
    @overload
    def zunion(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: bool,
    ) -> list[str] | Scored: ...
    def zunionstore(
        self,
        destination: str,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
    ) -> int: ...
    def __getitem__(self, key: str) -> V: ...
    def __setitem__(self, key: str, value: V) -> None: ...
    def __delitem__(self, key: str) -> None: ...
    def __contains__(self, key: object) -> bool: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...

@runtime_checkable
class AsyncCacheLike(Protocol[V]):
    """The same for tasks: what `aio` of such a cache is."""

    @property
    def name(self) -> str: ...
    async def capabilities(self) -> Capabilities: ...
    def namespace(self, name: str) -> AsyncCacheLike[V]: ...
    async def stats(self) -> Stats: ...
    async def close(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    async def get_or_set(
        self,
        key: str,
        loader: Callable[..., Any],
        ttl: object = ...,
        *,
        tags: Iterable[str] | Callable[[Any], Iterable[str]] = ...,
        **options: Any,
    ) -> Any: ...
    async def get_or_set_many(
        self,
        keys: Iterable[str],
        loader: Callable[[list[str]], Mapping[str, Any] | Awaitable[Mapping[str, Any]]],
        ttl: object = ...,
        *,
        tags: Iterable[str] | Callable[[Any], Iterable[str]] = ...,
        **options: Any,
    ) -> dict[str, Any]: ...
    async def modify(
        self,
        key: str,
        function: Callable[[Any], Any],
        *,
        ttl: object = ...,
        tags: Iterable[str] | object = ...,
    ) -> Any: ...
    def scan_iter(
        self, match: str | None = None, count: int = ..., type: str | None = None
    ) -> AsyncIterator[str]: ...
    def lock(self, key: str, ttl: object = ..., *, reentrant: bool = ...) -> Lock: ...
    async def add(
        self, key: str, value: V, ttl: object = ..., *, tags: Iterable[str] = ...
    ) -> bool: ...
    async def addtag(self, key: str, *tags: str) -> int: ...
    async def append(self, key: str, value: object) -> int: ...
    async def bitcount(
        self, key: str, start: int | None = None, end: int | None = None, mode: str = "BYTE"
    ) -> int: ...
    async def bitfield(self, key: str, *operations: Sequence[object]) -> list[int | None]: ...
    async def bitop(self, operation: str, destkey: str, *keys: str) -> int: ...
    async def bitpos(
        self,
        key: str,
        bit: int,
        start: int | None = None,
        end: int | None = None,
        mode: str = "BYTE",
    ) -> int: ...
    async def blmove(
        self,
        source: str,
        destination: str,
        wherefrom: str = "LEFT",
        whereto: str = "RIGHT",
        timeout: float | None = None,
        default: object = None,
    ) -> Any: ...
    async def blmpop(
        self,
        keys: str | Iterable[str],
        where: str = "LEFT",
        count: int = 1,
        timeout: float | None = None,
    ) -> tuple[str, list[Any]] | None: ...
    async def blpop(
        self, keys: str | Iterable[str], timeout: float | None = None
    ) -> tuple[str, Any] | None: ...
    async def brpop(
        self, keys: str | Iterable[str], timeout: float | None = None
    ) -> tuple[str, Any] | None: ...
    async def brpoplpush(
        self,
        source: str,
        destination: str,
        timeout: float | None = None,
        default: object = None,
    ) -> Any: ...
    async def bzmpop(
        self,
        keys: str | Iterable[str],
        where: str = "MIN",
        count: int = 1,
        timeout: float | None = None,
    ) -> tuple[str, Scored] | None: ...
    async def bzpopmax(
        self, keys: str | Iterable[str], timeout: float | None = None
    ) -> tuple[str, str, float] | None: ...
    async def bzpopmin(
        self, keys: str | Iterable[str], timeout: float | None = None
    ) -> tuple[str, str, float] | None: ...
    async def clear(self) -> None: ...
    async def compare_and_set(
        self,
        key: str,
        expected: object,
        value: V,
        ttl: object = ...,
        *,
        tags: Iterable[str] | None = None,
    ) -> bool: ...
    async def copy(
        self,
        source: str,
        destination: str,
        database: int | None = None,
        *,
        replace: bool = False,
    ) -> bool: ...
    async def dbsize(self) -> int: ...
    async def decr(self, key: str, amount: object = 1) -> int: ...
    async def delete(self, *keys: str | Iterable[str]) -> int: ...
    async def delete_many(self, keys: Iterable[str]) -> int: ...
    async def delifeq(self, key: str, value: object) -> bool: ...
    async def dump(self, key: str) -> bytes | None: ...
    async def exists(self, *keys: str | Iterable[str]) -> int: ...
    async def expire(
        self,
        key: str,
        ttl: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> bool: ...
    async def expireat(
        self,
        key: str,
        when: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> bool: ...
    @overload
    async def expiretime(self, key: str) -> float | None: ...
    @overload
    async def expiretime(self, key: str, default: D) -> float | D | None: ...
    async def flushall(self, *, async_: bool = False, sync: bool = False) -> bool: ...
    async def flushdb(self, *, async_: bool = False, sync: bool = False) -> bool: ...
    async def geoadd(
        self, key: str, mapping: object, *, nx: bool = False, xx: bool = False, ch: bool = False
    ) -> int: ...
    async def geohash(self, key: str, *members: object) -> list[str | None]: ...
    async def geopos(self, key: str, *members: object) -> list[Point | None]: ...
    async def geosearchstore(
        self,
        destination: str,
        source: str,
        member: object = None,
        longitude: float | None = None,
        latitude: float | None = None,
        unit: str = "m",
        radius: float | None = None,
        width: float | None = None,
        height: float | None = None,
        sort: str | None = None,
        count: int | None = None,
        any: bool = False,
        *,
        storedist: bool = False,
    ) -> int: ...
    @overload
    async def get(self, key: str) -> V | None: ...
    @overload
    async def get(self, key: str, default: D) -> V | D: ...
    async def get_many(self, keys: Iterable[str]) -> dict[str, V]: ...
    async def getbit(self, key: str, offset: int) -> int: ...
    @overload
    async def getdel(self, key: str) -> V | None: ...
    @overload
    async def getdel(self, key: str, default: D) -> V | D: ...
    @overload
    async def getex(
        self, key: str, ttl: object = ..., *, persist: bool = False
    ) -> V | None: ...
    @overload
    async def getex(
        self, key: str, ttl: object = ..., *, persist: bool = False, default: D
    ) -> V | D: ...
    async def getrange(self, key: str, start: int, end: int) -> bytes: ...
    @overload
    async def getset(self, key: str, value: V) -> V | None: ...
    @overload
    async def getset(self, key: str, value: V, default: D) -> V | D: ...
    async def hdel(self, key: str, *fields: object) -> int: ...
    async def hexists(self, key: str, field: object) -> bool: ...
    async def hexpire(
        self,
        key: str,
        ttl: object,
        *fields: object,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> list[int]: ...
    async def hexpireat(
        self,
        key: str,
        ttl: object,
        *fields: object,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> list[int]: ...
    async def hexpiretime(self, key: str, *fields: object) -> list[int]: ...
    async def hget(self, key: str, field: object, default: object = None) -> Any: ...
    async def hgetall(self, key: str) -> dict[str, Any]: ...
    async def hgetdel(self, key: str, *fields: object, default: object = None) -> list[Any]: ...
    async def hgetex(
        self,
        key: str,
        *fields: object,
        ttl: object = ...,
        persist: bool = False,
        default: object = None,
    ) -> list[Any]: ...
    async def hincrby(self, key: str, field: object, increment: int = 1) -> int: ...
    async def hincrbyfloat(
        self, key: str, field: object, increment: float | str = 1.0
    ) -> float: ...
    async def hkeys(self, key: str) -> list[str]: ...
    async def hlen(self, key: str) -> int: ...
    async def hmget(self, key: str, *fields: object, default: object = None) -> list[Any]: ...
    async def hotkeys(self, count: int = 10) -> list[tuple[str, int]]: ...
    async def hpersist(self, key: str, *fields: object) -> list[int]: ...
    async def hpexpire(
        self,
        key: str,
        ttl: object,
        *fields: object,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> list[int]: ...
    async def hpexpireat(
        self,
        key: str,
        ttl: object,
        *fields: object,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> list[int]: ...
    async def hpexpiretime(self, key: str, *fields: object) -> list[int]: ...
    async def hpttl(self, key: str, *fields: object) -> list[int]: ...
    @overload
    async def hrandfield(
        self, key: str, count: None = None, *, withvalues: bool = False
    ) -> str | None: ...
    @overload
    async def hrandfield(
        self, key: str, count: int, *, withvalues: Literal[False] = False
    ) -> list[str]: ...
    @overload
    async def hrandfield(
        self, key: str, count: int, *, withvalues: Literal[True]
    ) -> list[tuple[str, Any]]: ...
    @overload
    async def hscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = ...,
        *,
        novalues: Literal[False] = False,
    ) -> tuple[int, dict[str, Any]]: ...
    @overload
    async def hscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = ...,
        *,
        novalues: Literal[True],
    ) -> tuple[int, list[str]]: ...
    async def hset(
        self, key: str, field: object = ..., value: object = ..., mapping: object = None
    ) -> int: ...
    async def hsetex(
        self,
        key: str,
        field: object = ...,
        value: object = ...,
        mapping: object = None,
        ttl: object = None,
        *,
        keepttl: bool = False,
        nx: bool = False,
        xx: bool = False,
        fnx: bool = False,
        fxx: bool = False,
    ) -> bool: ...
    async def hsetnx(self, key: str, field: object, value: object) -> bool: ...
    async def hstrlen(self, key: str, field: object) -> int: ...
    async def httl(self, key: str, *fields: object) -> list[int]: ...
    async def hvals(self, key: str) -> list[Any]: ...
    async def incr(self, key: str, amount: object = 1) -> int: ...
    async def incrbyfloat(self, key: str, increment: float | str = 1.0) -> float: ...
    async def invalidate(
        self,
        tag: str | Iterable[str],
        *tags: str,
        cascade: bool = False,
        soft: bool = False,
        dry_run: bool = False,
    ) -> int: ...
    async def items(self) -> Iterator[tuple[str, V]]: ...
    async def keys(self, pattern: str = "*") -> list[str]: ...
    async def lindex(self, key: str, index: int, default: object = None) -> Any: ...
    async def linsert(self, key: str, where: str, pivot: object, element: object) -> int: ...
    async def llen(self, key: str) -> int: ...
    async def lmove(
        self,
        source: str,
        destination: str,
        wherefrom: str = "LEFT",
        whereto: str = "RIGHT",
        default: object = None,
    ) -> Any: ...
    async def lmpop(
        self, keys: list[str], where: str = "LEFT", count: int = 1
    ) -> tuple[str, list[Any]] | None: ...
    @overload
    async def lpop(self, key: str, count: None = None, default: object = None) -> Any: ...
    @overload
    async def lpop(self, key: str, count: int) -> list[Any] | None: ...
    @overload
    async def lpop(self, key: str, count: int, default: D) -> list[Any] | D: ...
    @overload
    async def lpos(
        self, key: str, element: object, rank: int = 1, count: None = None, maxlen: int = 0
    ) -> int | None: ...
    @overload
    async def lpos(
        self, key: str, element: object, rank: int = 1, *, count: int, maxlen: int = 0
    ) -> list[int]: ...
    @overload
    async def lpos(
        self, key: str, element: object, rank: int, count: int, maxlen: int = 0
    ) -> list[int]: ...
    async def lpush(self, key: str, *elements: object) -> int: ...
    async def lpushx(self, key: str, *elements: object) -> int: ...
    async def lrange(self, key: str, start: int = 0, stop: int = ...) -> list[Any]: ...
    async def lrem(self, key: str, count: int, element: object) -> int: ...
    async def lset(self, key: str, index: int, element: object) -> bool: ...
    async def ltrim(self, key: str, start: int, stop: int) -> bool: ...
    async def memory_doctor(self) -> str: ...
    async def memory_usage(self, key: str, samples: int | None = None) -> int | None: ...
    @overload
    async def mget(self, *keys: str | Iterable[str]) -> list[V | None]: ...
    @overload
    async def mget(self, *keys: str | Iterable[str], default: D) -> list[V | D]: ...
    async def move(self, key: str, db: int) -> bool: ...
    async def mset(self, mapping: Mapping[str, V] | Iterable[tuple[str, V]]) -> bool: ...
    async def msetex(
        self,
        mapping: Mapping[str, V] | Iterable[tuple[str, V]],
        ttl: object = ...,
        *,
        keepttl: bool = False,
        nx: bool = False,
        xx: bool = False,
    ) -> bool: ...
    async def msetnx(self, mapping: Mapping[str, V] | Iterable[tuple[str, V]]) -> bool: ...
    async def namespacedel(self, name: str) -> bool: ...
    async def namespaces(self) -> list[str]: ...
    async def object_encoding(self, key: str) -> str | None: ...
    async def object_freq(self, key: str) -> int | None: ...
    async def object_idletime(self, key: str) -> int | None: ...
    async def object_tier(self, key: str) -> str | None: ...
    async def persist(self, key: str) -> bool: ...
    async def pexpire(
        self,
        key: str,
        ttl: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> bool: ...
    async def pexpireat(
        self,
        key: str,
        when: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> bool: ...
    @overload
    async def pexpiretime(self, key: str) -> int | None: ...
    @overload
    async def pexpiretime(self, key: str, default: D) -> int | D | None: ...
    async def pfadd(self, key: str, *elements: object) -> bool: ...
    async def pfcount(self, *keys: str) -> int: ...
    async def pfmerge(self, destkey: str, *sourcekeys: str) -> bool: ...
    @overload
    async def pop(self, key: str) -> V: ...
    @overload
    async def pop(self, key: str, default: D) -> V | D: ...
    async def popitem(self) -> tuple[str, V]: ...
    @overload
    async def pttl(self, key: str) -> int | None: ...
    @overload
    async def pttl(self, key: str, default: D) -> int | D | None: ...
    async def publish(self, channel: object, message: object) -> int: ...
    async def randomkey(self) -> str | None: ...
    async def remtag(self, key: str, *tags: str) -> int: ...
    async def rename(self, key: str, newkey: str) -> bool: ...
    async def renamenx(self, key: str, newkey: str) -> bool: ...
    async def restore(
        self,
        key: str,
        ttl: object,
        serialized_value: object,
        *,
        replace: bool = False,
        absttl: bool = False,
        idletime: int | None = None,
        frequency: int | None = None,
    ) -> bool: ...
    @overload
    async def rpop(self, key: str, count: None = None, default: object = None) -> Any: ...
    @overload
    async def rpop(self, key: str, count: int) -> list[Any] | None: ...
    @overload
    async def rpop(self, key: str, count: int, default: D) -> list[Any] | D: ...
    async def rpoplpush(self, source: str, destination: str, default: object = None) -> Any: ...
    async def rpush(self, key: str, *elements: object) -> int: ...
    async def rpushx(self, key: str, *elements: object) -> int: ...
    async def sadd(self, key: str, *members: object) -> int: ...
    async def scan(
        self,
        cursor: int = 0,
        match: str | None = None,
        count: int = 10,
        type: str | None = None,
    ) -> tuple[int, list[str]]: ...
    async def scard(self, key: str) -> int: ...
    async def sdiff(self, *keys: str) -> builtins.set[str]: ...
    async def sdiffstore(self, destination: str, *keys: str) -> int: ...
    @overload
    async def set(
        self,
        key: str,
        value: V,
        ttl: object = ...,
        *,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: Literal[False] = False,
        tags: Iterable[str] = ...,
        idle: object = None,
        ttl_jitter: float | None = None,
        if_unchanged: Version | None = None,
    ) -> bool: ...
    @overload
    async def set(
        self,
        key: str,
        value: V,
        ttl: object = ...,
        *,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: Literal[True],
        tags: Iterable[str] = ...,
        idle: object = None,
        ttl_jitter: float | None = None,
    ) -> V | None: ...
    @overload
    async def set(
        self,
        key: str,
        value: V,
        ttl: object = ...,
        *,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool,
        tags: Iterable[str] = ...,
        idle: object = None,
        ttl_jitter: float | None = None,
    ) -> V | bool | None: ...
    async def set_many(
        self,
        mapping: Mapping[str, V] | Iterable[tuple[str, V]],
        ttl: object = ...,
        *,
        tags: Iterable[str] = ...,
    ) -> bool: ...
    async def setbit(self, key: str, offset: int, value: int) -> int: ...
    @overload
    async def setdefault(
        self, key: str, default: None = None, ttl: object = ..., *, tags: Iterable[str] = ...
    ) -> V | None: ...
    @overload
    async def setdefault(
        self, key: str, default: V, ttl: object = ..., *, tags: Iterable[str] = ...
    ) -> V: ...
    async def setex(self, key: str, ttl: object, value: V) -> bool: ...
    async def setnx(self, key: str, value: V) -> bool: ...
    async def setrange(self, key: str, offset: int, value: object) -> int: ...
    async def settag(self, key: str, value: object, *tags: str) -> bool: ...
    async def sinter(self, *keys: str) -> builtins.set[str]: ...
    async def sintercard(self, keys: list[str], limit: int = 0) -> int: ...
    async def sinterstore(self, destination: str, *keys: str) -> int: ...
    async def sismember(self, key: str, member: object) -> bool: ...
    async def smembers(self, key: str) -> builtins.set[str]: ...
    async def smismember(self, key: str, *members: object) -> list[bool]: ...
    async def smove(self, source: str, destination: str, member: object) -> bool: ...
    @overload
    async def sort(
        self,
        key: str,
        by: str | None = None,
        offset: int = 0,
        count: int = ...,
        get: Iterable[str] = ...,
        order: str = "ASC",
        *,
        alpha: bool = False,
        destination: None = None,
    ) -> list[Any]: ...
    @overload
    async def sort(
        self,
        key: str,
        by: str | None = None,
        offset: int = 0,
        count: int = ...,
        get: Iterable[str] = ...,
        order: str = "ASC",
        *,
        alpha: bool = False,
        destination: str,
    ) -> int: ...
    @overload
    async def spop(self, key: str, count: None = None) -> str | None: ...
    @overload
    async def spop(self, key: str, count: int) -> list[str]: ...
    async def spublish(self, shardchannel: object, message: object) -> int: ...
    @overload
    async def srandmember(self, key: str, count: None = None) -> str | None: ...
    @overload
    async def srandmember(self, key: str, count: int) -> list[str]: ...
    async def srem(self, key: str, *members: object) -> int: ...
    async def sscan(
        self, key: str, cursor: int = 0, match: str | None = None, count: int = ...
    ) -> tuple[int, list[str]]: ...
    async def strlen(self, key: str) -> int: ...
    async def sunion(self, *keys: str) -> builtins.set[str]: ...
    async def sunionstore(self, destination: str, *keys: str) -> int: ...
    async def swapdb(self, index1: int, index2: int) -> bool: ...
    async def tag_scan(
        self, cursor: int = 0, count: int = 1000, match: str | None = None
    ) -> tuple[int, list[str]]: ...
    async def tagchildren(self, tag: str) -> list[str]: ...
    async def tagcount(self, tag: str) -> int: ...
    async def tagkeys(self, tag: str) -> list[str]: ...
    async def taglink(self, parent: str, child: str) -> bool: ...
    async def taglinks(self) -> list[list[str]]: ...
    async def tags(self, key: str) -> list[str]: ...
    async def tagunlink(self, parent: str, child: str) -> bool: ...
    async def touch(self, *keys: str | Iterable[str]) -> int: ...
    @overload
    async def ttl(self, key: str) -> float | None: ...
    @overload
    async def ttl(self, key: str, default: D) -> float | D | None: ...
    async def type(self, key: str) -> str: ...
    async def update(
        self, mapping: Mapping[str, V] | Iterable[tuple[str, V]] = ..., /, **values: V
    ) -> None: ...
    async def values(self) -> Iterator[V]: ...
    @overload
    async def zadd(
        self,
        key: str,
        mapping: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
        ch: bool = False,
        incr: Literal[False] = False,
    ) -> int: ...
    @overload
    async def zadd(
        self,
        key: str,
        mapping: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
        ch: bool = False,
        incr: Literal[True],
    ) -> float | None: ...
    async def zcard(self, key: str) -> int: ...
    async def zcount(self, key: str, min: object, max: object) -> int: ...
    @overload
    async def zdiff(self, keys: object, *, withscores: Literal[False] = False) -> list[str]: ...
    @overload
    async def zdiff(self, keys: object, *, withscores: Literal[True]) -> Scored: ...
    @overload
    async def zdiff(self, keys: object, *, withscores: bool) -> list[str] | Scored: ...
    async def zdiffstore(self, destination: str, keys: object) -> int: ...
    async def zincrby(self, key: str, increment: float | str, member: object) -> float: ...
    @overload
    async def zinter(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: Literal[False] = False,
    ) -> list[str]: ...
    @overload
    async def zinter(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: Literal[True],
    ) -> Scored: ...
    @overload
    async def zinter(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: bool,
    ) -> list[str] | Scored: ...
    async def zintercard(self, keys: object, limit: int = 0) -> int: ...
    async def zinterstore(
        self,
        destination: str,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
    ) -> int: ...
    async def zlexcount(self, key: str, min: object, max: object) -> int: ...
    async def zmpop(
        self, keys: list[str], where: str = "MIN", count: int = 1
    ) -> tuple[str, Scored] | None: ...
    async def zmscore(self, key: str, *members: object) -> list[float | None]: ...
    async def zpopmax(self, key: str, count: int | None = None) -> Scored: ...
    async def zpopmin(self, key: str, count: int | None = None) -> Scored: ...
    @overload
    async def zrandmember(
        self, key: str, count: None = None, *, withscores: bool = False
    ) -> str | None: ...
    @overload
    async def zrandmember(
        self, key: str, count: int, *, withscores: Literal[False] = False
    ) -> list[str]: ...
    @overload
    async def zrandmember(
        self, key: str, count: int, *, withscores: Literal[True]
    ) -> Scored: ...
    @overload
    async def zrange(
        self,
        key: str,
        start: object = 0,
        stop: object = ...,
        *,
        byscore: bool = False,
        bylex: bool = False,
        rev: bool = False,
        offset: int | None = None,
        count: int | None = None,
        withscores: Literal[False] = False,
    ) -> list[str]: ...
    @overload
    async def zrange(
        self,
        key: str,
        start: object = 0,
        stop: object = ...,
        *,
        byscore: bool = False,
        bylex: bool = False,
        rev: bool = False,
        offset: int | None = None,
        count: int | None = None,
        withscores: Literal[True],
    ) -> Scored: ...
    async def zrangebylex(
        self, key: str, min: object, max: object, *, offset: int = 0, count: int = ...
    ) -> list[str]: ...
    @overload
    async def zrangebyscore(
        self,
        key: str,
        min: object,
        max: object,
        *,
        withscores: Literal[False] = False,
        offset: int = 0,
        count: int = ...,
    ) -> list[str]: ...
    @overload
    async def zrangebyscore(
        self,
        key: str,
        min: object,
        max: object,
        *,
        withscores: Literal[True],
        offset: int = 0,
        count: int = ...,
    ) -> Scored: ...
    async def zrangestore(
        self,
        dst: str,
        src: str,
        min: object = 0,
        max: object = ...,
        *,
        byscore: bool = False,
        bylex: bool = False,
        rev: bool = False,
        offset: int | None = None,
        count: int | None = None,
    ) -> int: ...
    @overload
    async def zrank(
        self, key: str, member: object, *, withscore: Literal[False] = False
    ) -> int | None: ...
    @overload
    async def zrank(
        self, key: str, member: object, *, withscore: Literal[True]
    ) -> tuple[int, float] | None: ...
    async def zrem(self, key: str, *members: object) -> int: ...
    async def zremrangebylex(self, key: str, min: object, max: object) -> int: ...
    async def zremrangebyrank(self, key: str, start: int, stop: int) -> int: ...
    async def zremrangebyscore(self, key: str, min: object, max: object) -> int: ...
    @overload
    async def zrevrange(
        self, key: str, start: int = 0, stop: int = ..., *, withscores: Literal[False] = False
    ) -> list[str]: ...
    @overload
    async def zrevrange(
        self, key: str, start: int = 0, stop: int = ..., *, withscores: Literal[True]
    ) -> Scored: ...
    async def zrevrangebylex(
        self, key: str, max: object, min: object, *, offset: int = 0, count: int = ...
    ) -> list[str]: ...
    @overload
    async def zrevrangebyscore(
        self,
        key: str,
        max: object,
        min: object,
        *,
        withscores: Literal[False] = False,
        offset: int = 0,
        count: int = ...,
    ) -> list[str]: ...
    @overload
    async def zrevrangebyscore(
        self,
        key: str,
        max: object,
        min: object,
        *,
        withscores: Literal[True],
        offset: int = 0,
        count: int = ...,
    ) -> Scored: ...
    @overload
    async def zrevrank(
        self, key: str, member: object, *, withscore: Literal[False] = False
    ) -> int | None: ...
    @overload
    async def zrevrank(
        self, key: str, member: object, *, withscore: Literal[True]
    ) -> tuple[int, float] | None: ...
    @overload
    async def zscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = ...,
        *,
        noscores: Literal[False] = False,
    ) -> tuple[int, Scored]: ...
    @overload
    async def zscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = ...,
        *,
        noscores: Literal[True],
    ) -> tuple[int, list[str]]: ...
    async def zscore(self, key: str, member: object) -> float | None: ...
    @overload
    async def zunion(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: Literal[False] = False,
    ) -> list[str]: ...
    @overload
    async def zunion(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: Literal[True],
    ) -> Scored: ...
    @overload
    async def zunion(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: bool,
    ) -> list[str] | Scored: ...
    async def zunionstore(
        self,
        destination: str,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
    ) -> int: ...
