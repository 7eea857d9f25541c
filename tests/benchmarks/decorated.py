"""The decorators that `decorators.py` measures: one recipe for each cache.

Each is the spelling that the cache's own documentation offers for functions that any number of
threads may call, at a size at which nothing is evicted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.benchmarks.worker import check_build

CAPACITY = 100_000
TTL_S = 3600

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
# for functions, and for coroutine functions; None for what a cache does not offer
Decorators = tuple[Decorator | None, Decorator | None]


def cachestorm() -> Decorators:
    """CacheStorm of the worker's build."""
    check_build()
    from cachestorm import Cache

    cache = Cache(max_memory="1gb")
    return cache.memoize, cache.memoize


def lru_cache() -> Decorators:
    """The floor: what Python itself has."""
    return functools.lru_cache(CAPACITY), None


def cachetools() -> Decorators:
    """Without a lock, which one thread does not need."""
    from cachetools import LRUCache, cached

    return lambda function: cached(LRUCache(CAPACITY))(function), None


def cachebox() -> Decorators:
    from cachebox import LRUCache, cached

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        decorated: Callable[..., Any] = cached(LRUCache(CAPACITY))(function)
        return decorated

    return decorate, decorate


def moka() -> Decorators:
    from moka_py import cached

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        return cached(maxsize=CAPACITY)(function)

    return decorate, decorate


def theine() -> Decorators:
    from theine import Memoize

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        decorated: Callable[..., Any] = Memoize(CAPACITY, timedelta(seconds=TTL_S))(function)
        return decorated

    return decorate, decorate


def dogpile() -> Decorators:
    from dogpile.cache import make_region

    region = make_region().configure("dogpile.cache.memory")
    return region.cache_on_arguments(), None


def cashews() -> Decorators:
    from cashews import Cache

    cache = Cache()
    cache.setup("mem://?size=100000")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        return cache(ttl=TTL_S)(function)

    return None, decorate


def aiocache() -> Decorators:
    from aiocache import cached

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        # with a time to live, each entry would be a timer of the loop
        decorated: Callable[..., Any] = cached()(function)
        return decorated

    return None, decorate


PEERS: dict[str, Callable[[], Decorators]] = {
    "functools.lru_cache": lru_cache,
    "cachetools": cachetools,
    "cachebox": cachebox,
    "moka-py": moka,
    "theine": theine,
    "dogpile.cache": dogpile,
    "cashews": cashews,
    "aiocache": aiocache,
}
