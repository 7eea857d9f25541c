"""What a cache is made or listened to with, and refuses at once instead of failing later."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.errors import ArgumentError, ConfigError
from cachestorm.events import Cause
from cachestorm.keyspace.capacity import MOST_ENTRIES


@pytest.mark.parametrize("count", [1.5, "8", None, 0])
def test_a_sample_is_a_number_of_entries(count: int) -> None:
    with pytest.raises((ConfigError, TypeError)):
        Cache(policy="allkeys-lru", sample_size=count)
    cache = Cache(policy="allkeys-lru")
    with pytest.raises((ConfigError, TypeError)):
        cache.sample_size = count
    assert cache.sample_size == 8


@pytest.mark.parametrize("clock", [1, ManualClock, "now"])
def test_a_clock_is_a_clock(clock: object) -> None:
    with pytest.raises(TypeError):
        Cache(clock=clock)  # type: ignore[arg-type]


@pytest.mark.parametrize("listener", [None, 5, "print"])
def test_a_listener_can_be_called(listener: object) -> None:
    cache = Cache()
    with pytest.raises(TypeError, match="a listener is called"):
        cache.listen(listener)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a listener is called"):
        cache.on_removed(listener)  # type: ignore[arg-type]
    assert cache.set("k", "v")


@pytest.mark.parametrize("causes", [["deleted"], "deleted", [Cause.DELETED, None]])
def test_a_cause_is_one_of_those_there_are(causes: list[Cause]) -> None:
    with pytest.raises(TypeError, match=r"causes (are of Cause|is an iterable)"):
        Cache().on_removed(print, causes=causes)


@pytest.mark.parametrize("seconds", [-1, -0.001, float("inf"), float("nan")])
def test_a_clock_moves_forward_only(seconds: float) -> None:
    clock = ManualClock(1000)
    with pytest.raises(ArgumentError):
        clock.advance(seconds)
    assert clock.now_ms() == 1000


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_cache_says_why_it_cannot_be_copied(way: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="lives in one process"):
        way(Cache())


def test_the_settings_of_a_namespace_can_be_taken_back() -> None:
    cache = Cache()
    view = cache.namespace("n", default_ttl=60, max_memory="1mb")
    assert view is not cache.namespace("n", default_ttl=None, max_memory=None)
    facts = cache.namespace_stats("n")
    assert (facts["default_ttl"], facts["max_memory"]) == (60, 1 << 20)
    cache.namespace("n", default_ttl=0, max_memory=0)
    facts = cache.namespace_stats("n")
    assert (facts["default_ttl"], facts["max_memory"]) == (0, 0)
    view.set("k", 1)
    assert view.ttl("k") is None


@pytest.mark.parametrize("ttl", [-1, 0.0, "0s", float("nan")])
def test_no_other_default_than_a_positive_one_is_taken(ttl: object) -> None:
    with pytest.raises(ValueError, match=r"default_ttl|time to live"):
        Cache().namespace("n", default_ttl=ttl)


@pytest.mark.parametrize("limit", [10**10, 1 << 62, (1 << 63) - 1])
@pytest.mark.parametrize("name", ["max_entries", "max_memory"])
def test_a_limit_that_is_never_met_is_one_all_the_same(name: str, limit: int) -> None:
    cache = Cache()
    setattr(cache, name, limit)
    # compiled, a product of two numbers of 64 bits wraps
    for n in range(1000):
        cache.set(f"k{n}", n)
        assert 100 * len(cache) < cache._space._capacity() <= MOST_ENTRIES
    assert getattr(cache, name) == limit
    assert len(cache) == 1000
    cache._check()
