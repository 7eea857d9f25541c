"""Counts after a soft invalidation: exact in process, and for a server within a slice."""

from __future__ import annotations

from cachestorm.cache import Cache
from cachestorm.keyspace.shared_state import SLICE

KEYS = SLICE + 1024


def made_stale() -> Cache:
    cache = Cache()
    for number in range(KEYS):
        cache.set(f"k:{number}", 1, tags=["t"])
    cache.invalidate("t", soft=True)
    return cache


def test_a_program_is_told_exact_counts() -> None:
    cache = made_stale()
    assert cache.stats().keys == 0
    assert (cache.store_stats().keys, cache.namespace_stats()["keys"]) == (0, 0)


def test_whoever_serves_others_counts_for_no_longer_than_a_slice() -> None:
    serving = made_stale().serving_others()
    looks = [
        serving.store_stats().keys,
        serving.namespace_stats()["keys"],
        serving.stats().keys,
    ]
    assert KEYS > looks[0] >= looks[1] >= looks[2]
    assert looks[0] >= KEYS - SLICE


def test_what_one_look_leaves_the_next_ones_count() -> None:
    serving = made_stale().serving_others()
    looks = 0
    while serving.store_stats().keys:
        looks += 1
        assert looks <= KEYS
    assert serving.store_stats().expires == 0
