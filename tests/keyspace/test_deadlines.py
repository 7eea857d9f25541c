"""Deadlines of keys and of fields: their spellings, great numbers of them, reaping."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from cachestorm import MISSING, Cache, ManualClock
from cachestorm.errors import (
    InvalidTtlError,
)
from cachestorm.keyspace.removals import REAP_STEP


def reap_all(cache: Cache) -> int:
    turns = 0
    while cache.reap():
        turns += 1
    return turns


class TestDeadlines:
    @pytest.mark.parametrize(
        ("ttl", "seconds"),
        [
            (5, 5.0),
            (0.5, 0.5),
            (timedelta(minutes=1), 60.0),
            ("5m", 300.0),
            ("10ms", 0.01),
            ("7d", 604800.0),
        ],
    )
    def test_a_time_to_live_has_many_spellings(self, ttl: object, seconds: float) -> None:
        cache = Cache(clock=ManualClock())
        cache.set("k", 1, ttl)
        assert cache.ttl("k") == seconds

    @pytest.mark.parametrize(
        "ttl", [0, -1, 0.0, float("nan"), float("inf"), "soon", "5 weeks", 1 << 70]
    )
    def test_one_that_is_not_positive_is_refused_and_changes_nothing(self, ttl: object) -> None:
        cache = Cache()
        cache.set("k", 1, tags=["t"])
        with pytest.raises(InvalidTtlError):
            cache.set("k", 2, ttl)
        with pytest.raises(InvalidTtlError):
            cache.expire("k", ttl)
        assert cache.get("k") == 1
        assert cache.tags("k") == ["t"]
        cache._check()

    def test_a_hundred_thousand_keys_due_at_once_are_reaped_in_small_steps(self) -> None:
        clock = ManualClock()
        cache = Cache(clock=clock)
        for n in range(100_000):
            cache.set(f"k{n}", n, ttl=2000)
        clock.advance(2005)
        assert cache.get("k7", MISSING) is MISSING
        assert cache.keys() == []
        assert reap_all(cache) > 300
        assert len(cache) == 0
        assert cache.store_stats().expired == 100_000
        cache._check()

    def test_each_step_that_reaps_is_a_short_one(self) -> None:
        clock = ManualClock()
        cache = Cache(clock=clock)
        for n in range(20_000):
            cache.set(f"k{n}", n, ttl=2000, tags=["t"])
        cache.set("other", 1)
        clock.advance(2005)
        while len(cache) > 1:
            before = len(cache)
            cache.set("other", 2)
            cache.get(f"k{before}")
            cache.reap()
            # a step by the reaper, and one key that is met
            assert before - len(cache) <= REAP_STEP + 1
        cache._check()

    def test_writes_reap_what_is_due_by_themselves(self) -> None:
        clock = ManualClock()
        cache = Cache(clock=clock)
        for n in range(1000):
            cache.set(f"old{n}", n, ttl=1)
        clock.advance(10)
        for n in range(1000):
            cache.set(f"new{n}", n)
        assert len(cache) == 1000

    def test_a_namespace_has_a_default_time_to_live_for_keys_written_without_one(self) -> None:
        cache = Cache(default_ttl=60, clock=ManualClock())
        cache.set("a", 1)
        cache.set("b", 1, ttl=None)
        cache.incr("c")
        cache.mset({"d": 1})
        cache.settag("e", 1, "tag")
        assert [cache.ttl(key) for key in "abcde"] == [60.0, None, 60.0, 60.0, 60.0]
        made: dict[str, Callable[[str], object]] = {
            "append": lambda key: cache.append(key, "x"),
            "incrbyfloat": lambda key: cache.incrbyfloat(key, 1.5),
            "setbit": lambda key: cache.setbit(key, 7, 1),
            "setnx": lambda key: cache.setnx(key, 1),
            "hset": lambda key: cache.hset(key, "f", 1),
            "rpush": lambda key: cache.rpush(key, 1),
            "sunionstore": lambda key: cache.sadd("s", 1) and cache.sunionstore(key, "s"),
        }
        for key, make in made.items():
            make(key)
            assert cache.ttl(key) == 60.0


def test_methods_of_milliseconds_take_bare_numbers_in_them_as_redis_py_does() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    cache.execute("PSETEX", "k", 1500, "v")
    assert cache.pttl("k") == 1500
    assert cache.pexpire("k", 2500) is True
    assert cache.ttl("k") == 2.5
    assert cache.pexpire("k", timedelta(seconds=1)) is True
    assert cache.ttl("k") == 1.0
    assert cache.pexpireat("k", clock.now_ms() + 700) is True
    assert cache.pttl("k") == 700
    with pytest.raises(InvalidTtlError):
        cache.pexpire("k", 0)
    with pytest.raises(InvalidTtlError):
        cache.execute("PSETEX", "k", -5, "v")
    assert cache.pttl("k") == 700


class TestFieldsThatAreDue:
    def made(self, count: int, clock: ManualClock) -> Cache:
        cache = Cache(clock=clock)
        for number in range(count):
            cache.set(f"k{number}", b"v")
            cache.hset(f"h{number}", mapping={"f": 1, "g": 2})
            cache.hexpire(f"h{number}", 1, "f", "g")
        cache.hset("half", mapping={f"f{number}": 1 for number in range(2000)})
        cache.hexpire("half", 1, *[f"f{number}" for number in range(1000)])
        return cache

    def test_hashes_that_nobody_asks_for_are_reaped_when_all_their_fields_are_due(self) -> None:
        clock = ManualClock()
        cache = self.made(1500, clock)
        assert cache.reap() == 0
        clock.advance(2)
        steps = 0
        while cache.dbsize() > 1501:
            before = cache.dbsize()
            cache.reap()
            assert before - cache.dbsize() <= REAP_STEP
            steps += 1
            assert steps < 40
        while len(cache._space.value(cache._space.entries["half"])) > 1000:  # type: ignore[arg-type]
            cache.reap()
            steps += 1
            assert steps < 60
        assert cache.hlen("half") == 1000
        cache._check()

    def test_one_that_was_moved_is_met_all_the_same(self) -> None:
        clock = ManualClock()
        cache = self.made(10, clock)
        cache.rename("h1", "renamed")
        cache.copy("h2", "copied")
        cache.move("h3", 1)
        cache.swapdb(0, 2)
        clock.advance(2)
        for _ in range(10):
            cache.reap()
        assert cache.database(1).dbsize() == 0
        assert cache.database(2).dbsize() == 11
        cache._check()

    def test_the_walk_ends_when_no_field_has_a_deadline(self) -> None:
        clock = ManualClock()
        cache = self.made(10, clock)
        clock.advance(2)
        for _ in range(10):
            cache.reap()
        assert cache._space._field_rounds == 0
        cache.hexpire("half", 1, "f1500")
        assert cache._space._field_rounds != 0
