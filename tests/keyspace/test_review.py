"""Regressions: what reviews of the store have found, each as it was reproduced."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time

import pytest

from cachestorm import Cache, CacheStormError, Effect, ManualClock
from cachestorm.errors import ConfigError, OutOfMemoryError, ReentrancyError
from cachestorm.keyspace.ledger import LONGEST_KEY
from cachestorm.keyspace.shared_state import SLICE


class Finalized:
    """A value that asks the cache something when it is let go."""

    def __init__(self, cache: Cache, outcomes: list[bool]) -> None:
        self.cache = cache
        self.outcomes = outcomes

    def __del__(self) -> None:
        try:
            self.cache.exists("k")
            self.outcomes.append(True)
        except ReentrancyError:
            self.outcomes.append(False)


def test_finalizers_of_a_large_invalidation_may_use_the_cache() -> None:
    cache = Cache()
    outcomes: list[bool] = []
    count = SLICE * 2 + 100
    for n in range(count):
        cache.set(f"k{n}", Finalized(cache, outcomes), tags=["t"])
    assert cache.invalidate("t") == count
    gc.collect()
    assert outcomes == [True] * count


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="a free-threaded interpreter's collector waits for more than one object",
)
def test_a_finalizer_in_the_middle_of_a_command_of_a_transaction_is_refused() -> None:
    cache = Cache()
    outcomes: list[object] = []

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            try:
                cache.set(f"finalizer{len(outcomes) % 7}", 1)
                cache.delete(f"k{len(outcomes) % 50}")
                outcomes.append(True)
            except ReentrancyError:
                outcomes.append(False)

    former = gc.get_threshold()
    gc.set_threshold(1)
    try:
        with cache.transaction():
            for n in range(1500):
                Cycle()
                cache.set(f"k{n % 50}", [n], ttl=60, tags=[f"t{n % 7}"])
    finally:
        gc.set_threshold(*former)
    assert outcomes
    cache._check()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_a_signal_handler_that_uses_the_cache_does_not_hang() -> None:
    cache = Cache()
    handled: list[bool] = []

    def handler(number: int, frame: object) -> None:
        try:
            cache.exists("k")
            handled.append(True)
        except ReentrancyError:
            handled.append(False)

    former = signal.signal(signal.SIGALRM, handler)
    try:
        for turn in range(400):
            signal.setitimer(signal.ITIMER_REAL, (turn % 30 + 1) * 1e-6)
            for _ in range(5):
                cache.exists("k")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert handled
    cache._check()


def test_a_rename_above_the_limit_keeps_the_key() -> None:
    cache = Cache(max_memory=4000, policy="noeviction")
    cache.set("a", 1)
    cache.rpush("l", "1")
    cache.rpush("l", *["x" * 100] * 60)
    cache.rename("a", "b")
    assert cache.get("b") == 1
    cache._check()


def test_a_write_that_can_never_fit_evicts_nobody() -> None:
    cache = Cache(max_entries=10)
    cache.mset({f"k{n}": n for n in range(10)})
    with pytest.raises(OutOfMemoryError):
        cache.mset({f"new{n}": n for n in range(11)})
    assert len(cache) == 10
    cache = Cache(max_memory=6000)
    cache.set("big", "x" * 3500)
    for n in range(8):
        cache.set(f"k{n}", n)
    with pytest.raises(OutOfMemoryError):
        cache.append("big", "y" * 2500)
    assert len(cache) == 9


def test_many_keys_that_fit_together_are_set_in_any_order() -> None:
    cache = Cache(max_memory=6000, policy="noeviction")
    cache.set("z", "x" * 4000)
    cache.mset({"a": "1", "b": "y" * 3000, "z": "s"})
    assert cache.get("z") == "s"
    cache._check()


def test_a_growing_key_among_few_finds_room_at_the_expense_of_the_others() -> None:
    for _ in range(50):
        cache = Cache(max_memory=2000)
        cache.set("old", "x" * 500)
        cache.set("new", "x" * 500)
        cache.get("new")
        cache.set("old", "x" * 1100)
        assert cache.keys() == ["old"]


def test_effects_come_in_the_order_of_their_versions() -> None:
    cache = Cache(max_entries=3)
    seen: list[int] = []
    cache.listen(lambda effect: seen.append(effect.version))
    for number in range(10):
        cache.set(f"k{number % 5}", b"x", tags=["t"])
        cache.set(f"k{number % 5}", b"y")
        cache.sadd("s", number)
    cache.delete("s", "k1", "k2")
    cache.set("k1", b"x", tags=["t"])
    cache.invalidate("t")
    assert len(seen) > 30
    assert seen == sorted(seen)


def test_no_effect_is_lost_between_threads() -> None:
    cache = Cache()
    seen: list[int] = []
    cache.listen(lambda effect: seen.append(effect.version))

    def work(number: int) -> None:
        for n in range(3000):
            cache.set(f"{number}:{n}", n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + 60
    while len(seen) < 9000 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(seen) == 9000
    assert seen == sorted(seen)


def test_an_overwrite_lets_the_old_value_go_with_a_cause() -> None:
    cache = Cache()
    cache.set("k", 1)
    seen: list[tuple[str, object]] = []

    def listener(effect: Effect) -> None:
        seen.append((effect.kind, effect.value))

    cache.listen(listener)
    cache.set("k", 2)
    assert seen == [("removed", 1), ("put", 2)]


def test_what_a_client_can_name_is_charged_or_bounded() -> None:
    cache = Cache(max_memory="100kb", policy="noeviction")
    with pytest.raises(OutOfMemoryError):
        for n in range(10_000):
            cache.taglink("root", f"t{n}")
    cache.flushdb()
    assert cache.stats().used_memory == 0
    cache._check()
    cache.set("x" * (LONGEST_KEY + 1), 1)
    cache.delete("x" * (LONGEST_KEY + 1))
    assert cache.why("x" * (LONGEST_KEY + 1)) is None


def test_a_number_to_add_fits_into_64_bits() -> None:
    cache = Cache()
    with pytest.raises(CacheStormError, match="an integer of 64 bits"):
        cache.incr("n", 1 << 70)
    assert cache.get("n") is None


def test_a_default_time_to_live_has_an_end() -> None:
    with pytest.raises(ConfigError, match="thousand years"):
        Cache(default_ttl=10**30)


def test_time_stands_still_for_every_command_of_a_transaction() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    with cache.transaction():
        cache.set("k", 1, ttl=1)
        assert cache.exists("k") == 1
        clock.advance(5)
        assert cache.get("k") == 1
        assert cache.exists("k") == 1
    assert cache.get("k") is None


@pytest.mark.parametrize("policy", ["adaptive", "allkeys-lru", "allkeys-random"])
def test_many_keys_stay_within_the_limits_though_some_of_them_are_evicted_for_the_others(
    policy: str,
) -> None:
    for _ in range(20):
        cache = Cache(max_memory=4000, policy=policy)
        cache.mset(dict.fromkeys("abcde", b"x" * 300))
        cache.mset(dict.fromkeys("abfghi", b"y" * 300))
        assert cache.stats().used_memory <= 4000
        assert cache.mget(*"abfghi") == [b"y" * 300] * 6
        cache._check()
        cache = Cache(max_entries=3, policy=policy)
        cache.mset(dict.fromkeys("abc", 1))
        cache.mset(dict.fromkeys("ad", 2))
        assert len(cache) <= 3
        assert cache.mget("a", "d") == [2, 2]


@pytest.mark.parametrize("policy", ["adaptive", "allkeys-random", "noeviction"])
def test_a_large_value_is_not_evicted_to_make_room_for_itself_elsewhere(policy: str) -> None:
    for _ in range(10):
        cache = Cache(max_memory=200_000, policy=policy)
        members = [f"member:{number}" for number in range(1000)]
        cache.sadd("s", *members)
        cache.addtag("s", "t")
        assert cache.move("s", 1)
        other = cache.database(1)
        assert other.smembers("s") == set(members)
        assert other.tags("s") == ["t"]
        assert len(cache) == 0
        cache._check()


def test_what_finds_no_room_in_another_namespace_stays_where_it_is() -> None:
    cache = Cache(max_memory=200_000, clock=ManualClock())
    cache.namespace("db1", max_memory=1000)
    members = [f"member:{number}" for number in range(1000)]
    cache.sadd("s", *members)
    cache.addtag("s", "t")
    cache.expire("s", 60)
    with pytest.raises(OutOfMemoryError):
        cache.move("s", 1)
    assert cache.smembers("s") == set(members)
    assert cache.tags("s") == ["t"]
    assert cache.ttl("s") == 60
    cache._check()


@pytest.mark.parametrize("way", ["new", "over", "addtag"])
def test_a_tag_that_the_victims_took_along_is_paid_for_again(way: str) -> None:
    tags = [f"tag:{number}" for number in range(40)]
    for seed in range(20):
        cache = Cache(max_memory=32_000, policy="allkeys-random")
        if way != "new":
            cache.set("new", b"x")
        cache.set("old", b"x", tags=tags)
        cache.set("filler", b"x" * (31_000 - cache.stats().used_memory))
        if way == "addtag":
            cache.set("new", b"x" * (500 + seed))
            cache.addtag("new", *tags)
        else:
            cache.set("new", b"x" * 8000, tags=tags)
        assert cache.stats().used_memory <= 32_000
        cache._check()


def test_many_tags_are_added_and_taken_away_in_proportion_to_their_number() -> None:
    cache = Cache()
    first = [f"first-{number}" for number in range(30_000)]
    second = [f"second-{number}" for number in range(30_000)]
    cache.set("k", "v", tags=first)
    started = time.process_time()
    assert cache.addtag("k", *second) == 30_000
    assert cache.remtag("k", *second) == 30_000
    assert time.process_time() - started < 5
    assert first == cache.tags("k")
