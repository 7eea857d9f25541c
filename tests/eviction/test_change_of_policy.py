"""A policy that is changed while a cache runs: all keys stay, and the limits hold."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.errors import ConfigError, OutOfMemoryError
from cachestorm.eviction.policies import POLICIES
from cachestorm.eviction.sampled import MOST_SAMPLES

LIMIT = 200
HOT = 40


def warm(cache: Cache, volatile: int = 2) -> None:
    """Fills a cache to its limit; the keys below HOT were used often, and last.

    Args:
        volatile: one key in so many has a deadline.
    """
    draw = random.Random(1)
    for number in range(LIMIT):
        ttl = None if (number + 1) % volatile else 1000
        cache.set(f"key:{number}", b"x" * draw.randrange(60), ttl)
    access(cache)


def access(cache: Cache) -> None:
    for _ in range(20):
        for number in range(HOT):
            cache.get(f"key:{number}")


def press(cache: Cache, name: str = "new") -> None:
    for number in range(LIMIT // 2):
        cache.set(f"{name}:{number}", number, 1000)


@pytest.mark.parametrize(("before", "after"), list(permutations(POLICIES, 2)))
def test_all_keys_stay_and_the_limits_hold_afterwards(before: str, after: str) -> None:
    cache = Cache(max_entries=LIMIT, policy=before, clock=ManualClock())
    other = cache.namespace("other")
    warm(cache)
    if before != "noeviction":
        press(cache)
        other.set("k", 1, 1000)
    names = {*cache.keys()}
    values = cache.mget(*sorted(names))
    cache.policy = after
    cache._check()
    assert after == cache.policy
    assert names == {*cache.keys()}
    assert values == cache.mget(*sorted(names))
    if after == "noeviction":
        with pytest.raises(OutOfMemoryError):
            press(cache, "newer")
    else:
        press(cache, "newer")
        press(other, "newer")
        assert cache.stats().evicted > LIMIT // 2
    assert len(cache) + len(other) == LIMIT
    cache._check()
    cache.policy = before
    cache._check()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("allkeys-lru", "volatile-lru"),
        ("allkeys-lfu", "volatile-lfu"),
        ("allkeys-lfu", "adaptive"),
        ("adaptive", "allkeys-lfu"),
        ("adaptive", "volatile-lfu"),
        ("volatile-lru", "allkeys-lru"),
    ],
)
def test_what_both_know_of_past_hits_is_kept(before: str, after: str) -> None:
    cache = Cache(max_entries=LIMIT, policy=before, sample_size=16, clock=ManualClock())
    warm(cache, volatile=1)
    if before == "adaptive":
        # its order, with sampled keys, is only made under pressure
        press(cache)
        access(cache)
    hot = [f"key:{number}" for number in range(HOT) if cache.exists(f"key:{number}")]
    cache.policy = after
    press(cache, "newer")
    assert cache.exists(*hot) > 0.75 * len(hot)
    cache._check()


def test_a_volatile_policy_finds_the_deadlines_that_were_there_before() -> None:
    cache = Cache(max_entries=LIMIT, policy="allkeys-random", clock=ManualClock())
    warm(cache)
    lasting = [f"key:{number}" for number in range(0, LIMIT, 2)]
    cache.policy = "volatile-ttl"
    press(cache)
    assert len(lasting) == cache.exists(*lasting)
    cache._check()


def test_a_change_in_a_transaction_is_part_of_it() -> None:
    cache = Cache(max_entries=LIMIT)
    with cache.transaction():
        warm(cache)
        cache.policy = "allkeys-lru"
        press(cache)
    cache._check()


def test_namespaces_that_are_made_later_go_by_it_too() -> None:
    cache = Cache(max_entries=LIMIT)
    cache.policy = "noeviction"
    late = cache.namespace("late")
    warm(late)
    with pytest.raises(OutOfMemoryError):
        press(late)


def test_an_unknown_one_is_refused_and_nothing_has_changed() -> None:
    cache = Cache(max_entries=LIMIT, policy="allkeys-lfu")
    warm(cache)
    accesses = [entry.access for entry in cache._space.dense]
    with pytest.raises(ConfigError, match="unknown eviction policy 'lru'"):
        cache.policy = "lru"
    with pytest.raises(ConfigError, match="a sample has 1 to 64 entries, not 0"):
        cache.sample_size = 0
    assert (cache.policy, cache.sample_size) == ("allkeys-lfu", 8)
    assert accesses == [entry.access for entry in cache._space.dense]


def test_the_size_of_a_sample_can_be_changed_alone() -> None:
    cache = Cache(max_entries=LIMIT, policy="allkeys-lru")
    warm(cache)
    accesses = [entry.access for entry in cache._space.dense]
    cache.sample_size = MOST_SAMPLES
    assert cache.sample_size == MOST_SAMPLES
    assert accesses == [entry.access for entry in cache._space.dense]
    hot = [f"key:{number}" for number in range(HOT)]
    press(cache)
    # by chance, the worst of so many is never among the best fifth
    assert cache.exists(*hot) == HOT


def test_what_draws_no_sample_keeps_all_that_it_learned() -> None:
    cache = Cache(max_entries=LIMIT)
    warm(cache)
    press(cache)
    learned = cache._space.policy
    cache.sample_size = 20
    cache.policy = "adaptive"
    assert cache._space.policy is learned
