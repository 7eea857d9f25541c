"""Thousands of namespaces in one cache: what is done to one of them does not grow with all."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from time import perf_counter

from cachestorm import Cache, Cause
from cachestorm.keyspace.ledger import CAPACITY, LONGEST_KEY
from cachestorm.keyspace.tag_nodes import MOST_TOLD


def least_s(work: Callable[[], object]) -> float:
    """The least time that some work takes, of seven."""
    least = 1e9
    for _ in range(7):
        began = perf_counter()
        work()
        least = min(least, perf_counter() - began)
    return least


def test_the_counts_of_one_are_found_without_a_look_at_all() -> None:
    cache = Cache()
    for n in range(5000):
        cache.namespace(f"n{n}").set("k", n)
    one = least_s(lambda: cache.namespace_stats("n4999"))
    assert one * 20 < least_s(cache.namespaces)
    assert one * 20 < least_s(cache.store_stats)


def held_bytes(work: Callable[[], object]) -> int:
    """How much more memory is in use after some work than before."""
    tracemalloc.start()
    try:
        work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_what_is_remembered_of_removals_does_not_grow_with_their_number() -> None:
    cache = Cache()

    def churn() -> None:
        for tenant in range(8):
            view = cache.namespace(f"n{tenant}")
            for n in range(CAPACITY):
                key = f"{n:0{LONGEST_KEY}}"
                view.set(key, n)
                view.delete(key)

    assert held_bytes(churn) < 2 * CAPACITY * (LONGEST_KEY + 200)
    assert cache.store_stats().used_memory == 0
    last = f"{CAPACITY - 1:0{LONGEST_KEY}}"
    assert (cache.namespace("n7").why(last) or {})["cause"] is Cause.DELETED
    assert cache.namespace("n0").why(last) is None
    cache._check()


def test_the_ways_of_old_cascades_are_forgotten() -> None:
    cache = Cache()
    for n in range(MOST_TOLD - 1):
        cache.taglink("top", f"t{n}")

    def cascade() -> None:
        for n in range(40):
            cache.set(f"k{n}", n, tags=["t0"])
            cache.invalidate("top", cascade=True)

    assert held_bytes(cascade) < 4_000_000
    assert (cache.why("k0") or {})["path"] == ["t0"]
    assert (cache.why("k39") or {})["path"] == ["top", "t0"]
    cache._check()


def test_each_namespace_remembers_its_own_removals() -> None:
    cache = Cache()
    other = cache.namespace("db1")
    cache.set("k", 1, ttl=None)
    cache.delete("k")
    assert (cache.why("k") or {})["cause"] is Cause.DELETED
    assert other.why("k") is None
    cache.swapdb(0, 1)
    assert cache.why("k") is None
    assert (other.why("k") or {})["cause"] is Cause.DELETED
    cache.namespacedel("db1")
    assert other.why("k") is None


def crowded(tenants: int) -> tuple[Cache, list[Cache]]:
    """A cache that is full, with as many namespaces as keys."""
    cache = Cache(max_entries=tenants, policy="allkeys-lru")
    views = [cache.namespace(f"n{n}") for n in range(tenants)]
    for view in views:
        view.set("k", 1)
    return cache, views


def test_an_eviction_does_not_look_at_all_namespaces() -> None:
    cache, views = crowded(4000)
    censuses: list[object] = []
    for n in range(400):
        views[n].set(f"new{n}", n)
        if not any(cache._store._census is census for census in censuses):
            censuses.append(cache._store._census)
    assert cache.store_stats().evicted == 400
    assert 1 <= len(censuses) <= 40


def test_victims_come_from_namespaces_by_their_share() -> None:
    cache = Cache(max_entries=4000, policy="allkeys-random")
    small = [cache.namespace(f"small{n}") for n in range(40)]
    large, flood = cache.namespace("large"), cache.namespace("flood")
    for n in range(2000):
        large.set(f"k{n}", n)
        small[n % 40].set(f"k{n}", n)
    for n in range(2000):
        flood.set(f"k{n}", n)
    # each of the others has lost the same part of its keys, and the flood some of its own
    mine, others = len(large), sum(len(view) for view in small)
    assert len(cache) + mine + others + len(flood) == 4000
    assert abs(mine - others) < 250
    assert 2100 < mine + others < 2800
    cache._check()


def test_what_was_flushed_since_gives_no_victim() -> None:
    cache, views = crowded(400)
    views[0].set("new", 1)
    for view in views[:390]:
        view.flushdb()
    count = cache.store_stats().keys
    cache.max_entries = count
    for n in range(20):
        views[n].set("new", n)
        assert cache.store_stats().keys == count
    cache._check()


def test_the_largest_namespaces_come_by_size_then_by_name() -> None:
    cache = Cache()
    for name, size in (("small", 10), ("b", 500), ("a", 500), ("c", 500), ("large", 2000)):
        cache.namespace(name).set("k", "x" * size)
    assert cache.largest_namespaces(3) == ["large", "a", "b"]
    assert cache.largest_namespaces(0) == []
    assert cache.largest_namespaces() == ["large", "a", "b", "c", "small", "default"]
