"""MEMORY USAGE: what a key is charged at, in process and beside the accounts."""

from __future__ import annotations

import pytest

from cachestorm import Cache, ManualClock


@pytest.fixture
def cache() -> Cache:
    return Cache(clock=ManualClock())


@pytest.mark.parametrize("value", [b"x" * 1000, "é", 1, 1.5, {"an": "object"}, None])
def test_the_usage_of_a_key_is_what_its_removal_refunds(cache: Cache, value: object) -> None:
    cache.set("other", 1, tags=["shared"])
    cache.set("k", value, ttl=60, tags=["shared", "alone"])
    used = cache.stats().used_memory
    usage = cache.memory_usage("k")
    cache.delete("k")
    assert used - cache.stats().used_memory == usage


def test_the_usage_of_a_container_is_all_that_it_holds(cache: Cache) -> None:
    used = cache.stats().used_memory
    cache.rpush("l", *[b"x" * 100 for _ in range(100)])
    assert cache.stats().used_memory - used == cache.memory_usage("l")
    assert cache.memory_usage("l") > 10_000
    cache.hset("h", "f", 1)
    before = cache.memory_usage("h")
    cache.hexpire("h", 60, "f")
    assert cache.memory_usage("h") > before


def test_a_missing_key_has_no_usage_and_looking_is_no_access(cache: Cache) -> None:
    assert cache.memory_usage("none") is None
    cache.set("k", 1)
    hits = cache.stats().hits
    assert cache.memory_usage("k", samples=0) == cache.memory_usage("k", 5)
    assert hits == cache.stats().hits
