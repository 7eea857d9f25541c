"""What a cache is made or listened to with, and refuses at once instead of failing later."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.errors import ArgumentError, ConfigError
from cachestorm.events import Cause


@pytest.mark.parametrize("count", [1.5, True, "8", None, 0])
def test_a_sample_is_a_number_of_entries(count: int) -> None:
    with pytest.raises((ConfigError, TypeError)):
        Cache(policy="allkeys-lru", sample_size=count)
    cache = Cache(policy="allkeys-lru")
    with pytest.raises((ConfigError, TypeError)):
        cache.sample_size = count
    assert 8 == cache.sample_size


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
    with pytest.raises(TypeError, match="causes are of Cause"):
        Cache().on_removed(print, causes=causes)


@pytest.mark.parametrize("seconds", [-1, -0.001, float("inf"), float("nan")])
def test_a_clock_moves_forward_only(seconds: float) -> None:
    clock = ManualClock(1000)
    with pytest.raises(ArgumentError):
        clock.advance(seconds)
    assert 1000 == clock.now_ms()


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_cache_says_why_it_cannot_be_copied(way: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="lives in one process"):
        way(Cache())
