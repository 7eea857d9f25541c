"""MEMORY DOCTOR and the like: true for this store, with numbers, and with what to do."""

from __future__ import annotations

import random

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.commands.doctor import MUCH, SAMPLE, Checkup, advise, report
from cachestorm.errors import OutOfMemoryError

GB = 1 << 30


def seen(**facts: object) -> Checkup:
    """A cache with nothing to say of, but for these facts."""
    checkup = Checkup()
    checkup.policy = "adaptive"
    checkup.keys = 100_000
    checkup.volatile = 90_000
    checkup.used_bytes = 100 << 20
    checkup.max_bytes = GB
    checkup.resident_bytes = -1
    checkup.sampled = SAMPLE
    checkup.spaces = [("default", 100 << 20, 0)]
    for name, fact in facts.items():
        assert hasattr(checkup, name)
        setattr(checkup, name, fact)
    checkup.peak_bytes = checkup.peak_bytes or checkup.used_bytes
    if checkup.resident_bytes < 0:
        checkup.resident_bytes = checkup.used_bytes * 3 // 2
    if not checkup.sampled_bytes:
        # keys of about one size
        checkup.sampled_bytes = SAMPLE * (checkup.used_bytes // checkup.keys)
    return checkup


def fill(cache: Cache, count: int, size: int = 100, ttl: object = None) -> None:
    for number in range(count):
        cache.set(f"key:{number}", b"x" * size, ttl)


def test_a_healthy_cache_is_told_so() -> None:
    assert advise(seen()) == []
    assert "All is well" in report(seen())
    assert "1.00G" in report(seen())


def test_an_empty_cache_has_nothing_wrong() -> None:
    assert Cache().memory_doctor().startswith("There is nothing in this cache yet")


@pytest.mark.parametrize(
    ("facts", "argv"),
    [
        ({"refused": 3, "policy": "noeviction"}, ["3 writes", "noeviction", "adaptive"]),
        ({"refused": 7, "policy": "volatile-lru"}, ["7 writes", "90,000 of 100,000"]),
        ({"largest_refused_bytes": 2 * GB}, ["2.00G", "never fit"]),
        ({"used_bytes": GB * 97 // 100, "policy": "noeviction"}, ["97%", "will be refused"]),
        (
            {"max_entries": 100_000, "policy": "volatile-ttl", "volatile": 90},
            ["100%", "90 of 100,000 keys"],
        ),
        ({"max_bytes": 0, "volatile": 10}, ["no limit", "99,990 of 100,000", "max_memory"]),
        ({"overdue": 40_000}, ["40,000 keys", "cache.reaper()"]),
        ({"pending_bytes": 3 * MUCH}, ["192.00M", "cache.reap()"]),
        (
            {"peak_bytes": GB, "resident_bytes": GB},
            ["1.00G once", "100.00M now", "restart"],
        ),
        ({"resident_bytes": GB}, ["10.2 times", "fragmentation"]),
        ({"resident_bytes": 50 << 20}, ["only 50.00M", "swapped out"]),
        (
            {"spaces": [("big", 99 << 20, 0), ("small", 1 << 20, 0)]},
            ["namespace big", "99%", "quota"],
        ),
        ({"largest_key": ("giant", 30 << 20)}, ["'giant'", "30.00M", "30%"]),
        ({"sampled_bytes": SAMPLE * 100}, ["A few keys", "2,048 keys", "100B"]),
        (
            {"largest_tag": ("all", SAMPLE * 700), "sampled_bytes": SAMPLE * 1000},
            ["'all'", "70%"],
        ),
        (
            {"ratios": [("default", {0.5: 0.6, 1.0: 0.7, 2.0: 0.8})]},
            ["10.0 points", "from 70.0% to 80.0%"],
        ),
        (
            {"ratios": [("default", {0.5: 0.7, 1.0: 0.702, 2.0: 0.705})]},
            ["half the memory", "70.0%", "70.2%"],
        ),
    ],
)
def test_each_trouble_has_one_advice_with_its_numbers(
    facts: dict[str, object], argv: list[str]
) -> None:
    (advice,) = advise(seen(**facts))
    for arg in argv:
        assert arg in advice


@pytest.mark.parametrize(
    "facts",
    [
        {"used_bytes": GB, "peak_bytes": GB, "resident_bytes": GB},
        {"overdue": 500},
        {"pending_bytes": MUCH - 1},
        {"spaces": [("big", 99 << 20, GB), ("small", 1 << 20, 0)]},
        {"ratios": [("default", {0.5: 0.6, 1.0: 0.7, 2.0: 0.71})]},
        {"resident_bytes": 0},
        {"keys": 3, "volatile": 0, "max_bytes": 0, "used_bytes": 300},
    ],
)
def test_what_is_as_it_should_be_is_not_worth_a_word(facts: dict[str, object]) -> None:
    # a full cache that evicts does what it is for
    assert advise(seen(**facts)) == []


class TestWhatItSees:
    def test_refused_writes(self) -> None:
        cache = Cache(max_memory="200kb", policy="noeviction")
        with pytest.raises(OutOfMemoryError):
            fill(cache, 2000)
        with pytest.raises(OutOfMemoryError):
            cache.set("large", b"x" * 300_000)
        told = cache.memory_doctor()
        assert "2 writes were refused" in told
        assert "A write of 293." in told
        assert cache.store_stats().refused == 2

    def test_that_lowering_a_limit_refuses_nobody(self) -> None:
        cache = Cache(policy="volatile-lru")
        fill(cache, 100)
        cache.max_memory = 100
        assert cache.store_stats().refused == 0

    def test_keys_that_are_due(self) -> None:
        clock = ManualClock()
        cache = Cache(clock=clock)
        fill(cache, 3000, ttl=5)
        fill(cache.namespace("far"), 2000, ttl=100_000)
        clock.advance(3000)
        assert "3,000 keys are past their time" in cache.memory_doctor()
        clock.advance(200_000)
        assert "5,000 keys are past their time" in cache.memory_doctor()
        while cache.reap():
            pass
        assert cache.memory_doctor().startswith("There is nothing")

    def test_a_key_that_has_most_of_the_memory(self) -> None:
        cache = Cache(max_memory="1gb")
        fill(cache, 1000)
        cache.rpush("giant", *[b"x" * 1000] * 2000)
        assert "The key 'giant' alone takes" in cache.memory_doctor()

    def test_that_a_sample_missed_it(self) -> None:
        cache = Cache(max_memory="1gb")
        cache.rpush("giant", *[b"x" * 1000] * 60_000)
        fill(cache, 30 * SAMPLE)
        told = cache.memory_doctor()
        assert "A few keys hold most" in told or "The key 'giant'" in told

    def test_a_tag_that_nearly_all_bear(self) -> None:
        cache = Cache(max_memory="1gb")
        for number in range(5 * SAMPLE):
            cache.set(f"k{number}", b"x" * 100, tags=["all", f"t{number % 10}"])
        cache.invalidate("t3", soft=True)
        assert "The tag 'all' is borne by keys that take 100%" in cache.memory_doctor()

    def test_that_more_memory_would_help(self) -> None:
        cache = Cache(max_entries=1000)
        draw = random.Random(1)
        for _ in range(60_000):
            key = f"k{min(int(draw.expovariate(1 / 2000)), 20_000)}"
            if cache.get(key) is None:
                cache.set(key, b"x")
        ratios = cache.hit_ratios()
        assert ratios[2.0] - ratios[1.0] > 0.02
        assert f"from {ratios[1.0]:.1%} to {ratios[2.0]:.1%}" in cache.memory_doctor()

    def test_looking_is_no_access_and_changes_nothing(self) -> None:
        cache = Cache(max_memory="1gb")
        fill(cache, 5000, ttl=100)
        before = (cache.store_stats(), [entry.access for entry in cache._space.dense])
        cache.memory_doctor()
        assert before == (cache.store_stats(), [entry.access for entry in cache._space.dense])
        cache._check()


def test_the_numbers_agree_with_the_accounts() -> None:
    cache = Cache()
    fill(cache, 100)
    cache.flushdb()
    fill(cache, 10)
    stats, numbers = cache.store_stats(), cache.execute("MEMORY", "STATS")
    assert numbers["total.allocated"] == stats.used_memory
    assert numbers["peak.allocated"] == stats.peak_memory
    assert numbers["keys.count"] == 10
    assert numbers["keys.bytes-per-key"] == stats.used_memory // 10


def test_purge_lets_go_of_a_step() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    fill(cache, 100, ttl=1)
    clock.advance(5)
    cache.execute("MEMORY", "PURGE")
    assert len(cache) == 0
