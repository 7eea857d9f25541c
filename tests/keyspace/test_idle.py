"""Keys that end when nobody asks for them, and times to live that are jittered."""

from __future__ import annotations

import random

import pytest

from cachestorm import MISSING, Cache, ManualClock
from cachestorm.errors import ArgumentError, CommandSyntaxError, InvalidTtlError


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock)


def test_each_hit_puts_the_end_off(cache: Cache, clock: ManualClock) -> None:
    cache.set("a", 1, idle=10)
    for _ in range(5):
        clock.advance(9)
        assert cache.get("a") == 1
    assert cache.ttl("a") == 10
    clock.advance(10)
    assert cache.get("a") is None
    assert cache.exists("a") == 0
    cache._check()


def test_the_time_to_live_is_the_latest_end(cache: Cache, clock: ManualClock) -> None:
    cache.set("a", 1, ttl=25, idle=10)
    for elapsed in (9, 18, 24):
        clock.advance(elapsed - (clock.now_ms() - 1_700_000_000_000) / 1000)
        assert cache.get("a") == 1
    assert cache.pttl("a") == 1000
    clock.advance(1)
    assert cache.get("a") is None


def test_reaping_lets_a_key_be_that_was_hit(cache: Cache, clock: ManualClock) -> None:
    for number in range(1000):
        cache.set(f"k{number}", number, idle=10)
    clock.advance(9)
    hit = range(0, 1000, 3)
    for number in hit:
        cache.get(f"k{number}")
    clock.advance(5)
    while cache.reap():
        pass
    assert sorted(cache.keys()) == sorted(f"k{number}" for number in hit)
    cache._check()
    clock.advance(20)
    while cache.reap():
        pass
    assert len(cache) == 0
    cache._check()


def test_looking_at_it_is_no_hit(cache: Cache, clock: ManualClock) -> None:
    cache.set("a", 1, idle=10)
    clock.advance(9)
    assert (
        cache.exists("a") == 1 and cache.ttl("a") == 1 and cache.peek("a") == 1
        if hasattr(cache, "peek")
        else cache.ttl("a") == 1
    )
    clock.advance(1)
    assert cache.get("a") is None


@pytest.mark.parametrize("change", ["set", "expire", "persist"])
def test_a_new_deadline_ends_it(cache: Cache, clock: ManualClock, change: str) -> None:
    cache.set("a", 1, idle=10)
    if change == "set":
        cache.set("a", 2)
    elif change == "expire":
        cache.expire("a", 100)
    else:
        assert cache.persist("a")
    clock.advance(50)
    assert cache.get("a") in (1, 2)
    cache._check()


def test_it_goes_with_the_key(cache: Cache, clock: ManualClock) -> None:
    cache.set("a", 1, idle=10)
    cache.rename("a", "b")
    cache.copy("b", "c")
    cache.set("b", 2, keepttl=True)
    for _ in range(3):
        clock.advance(9)
        assert cache.get("b") == 2 and cache.get("c") == 1
    assert cache.incr("b") == 3
    cache._check()
    clock.advance(10)
    assert cache.get("b", MISSING) is MISSING
    cache.flushdb()
    cache._check()
    assert cache.stats().used_memory == 0


def test_an_eviction_passes_a_key_by_that_was_hit(clock: ManualClock) -> None:
    cache = Cache(clock=clock, max_entries=2)
    cache.set("a", 1, idle=10)
    cache.set("b", 1)
    clock.advance(9)
    cache.get("a")
    clock.advance(5)
    cache.set("c", 1)
    assert cache.exists("a") == 1
    cache._check()


def test_a_jitter_spreads_what_was_set_together(cache: Cache) -> None:
    for number in range(200):
        cache.set(f"k{number}", number, ttl=100, ttl_jitter=0.5)
    left = [cache.pttl(f"k{number}") for number in range(200)]
    assert all(50_000 <= ms <= 100_000 for ms in left if isinstance(ms, int))
    assert len(set(left)) > 100
    cache.set("a", 1, ttl_jitter=0.5)
    assert cache.ttl("a") is None


def test_what_cannot_be_meant_is_refused(cache: Cache) -> None:
    for idle in (0, -1, float("nan"), "soon"):
        with pytest.raises(InvalidTtlError):
            cache.set("a", 1, idle=idle)
    for jitter in (-0.1, 1.0, float("nan")):
        with pytest.raises(ArgumentError):
            cache.set("a", 1, ttl=10, ttl_jitter=jitter)
    for unfit in ("0.5", True):
        with pytest.raises(TypeError):
            cache.set("a", 1, ttl=10, ttl_jitter=unfit)
    with pytest.raises(CommandSyntaxError):
        cache.set("a", 1, idle=10, keepttl=True)
    assert len(cache) == 0


def test_at_random(cache: Cache, clock: ManualClock) -> None:
    """Against a model of when each key ends."""
    source = random.Random(5)
    ends: dict[str, tuple[float, float, float]] = {}  # idle, hard end, last hit
    for _ in range(3000):
        key = f"k{source.randrange(20)}"
        now = clock.now_ms() / 1000
        idle, hard, hit = ends.get(key, (0.0, 0.0, 0.0))
        alive = key in ends and now < min(hit + idle, hard)
        action = source.random()
        if action < 0.3:
            idle, ttl = source.randrange(1, 20), source.randrange(1, 60)
            cache.set(key, 1, ttl=ttl, idle=idle)
            ends[key] = (idle, now + ttl, now)
        elif action < 0.4:
            assert cache.delete(key) == int(alive)
            ends.pop(key, None)
        elif action < 0.8:
            assert (cache.get(key) is not None) == alive
            if alive:
                ends[key] = (idle, hard, now)
        elif action < 0.9:
            left = cache.pttl(key, MISSING)
            assert left == (round((min(hit + idle, hard) - now) * 1000) if alive else MISSING)
        else:
            clock.advance(source.random() * 5)
            cache.reap()
    cache._check()


def test_one_that_was_put_off_within_its_second_is_reaped_all_the_same() -> None:
    clock = ManualClock(1_000_000_000_000)
    cache = Cache(clock=clock)
    for number in range(10):
        cache.set(f"k{number}", number, idle=0.3)
    clock.advance(0.1)
    for number in range(10):
        cache.get(f"k{number}")
    clock.advance(5)
    while cache.reap():
        pass
    assert len(cache) == 0
    cache._check()


def test_the_time_since_the_last_hit_is_told_of_a_key_with_an_idle_time() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock, policy="allkeys-lfu")
    cache.set("k", 1, idle=60)
    clock.advance(31.5)
    assert cache.object_idletime("k") == 31
    cache.get("k")
    clock.advance(2)
    assert cache.execute("OBJECT", "IDLETIME", "k") == 2
    cache.set("other", 1)
    with pytest.raises(ArgumentError, match="An LFU maxmemory policy is selected"):
        cache.object_idletime("other")
