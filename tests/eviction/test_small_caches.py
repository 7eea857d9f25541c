"""Small caches under `adaptive`: all of their keys take part in the tournament."""

from __future__ import annotations

from cachestorm import Cache
from cachestorm.eviction.tournament import LEAST_SAMPLED, Tournament

CAPACITY = 200


def test_a_small_cache_plays_with_every_key_and_a_large_one_with_a_sample() -> None:
    small = Tournament(LEAST_SAMPLED - 1, None)
    assert (small.ratio, small.size) == (1, LEAST_SAMPLED - 1)
    assert all(small.is_sampled(number << 48) for number in range(100))
    assert Tournament(LEAST_SAMPLED, None).ratio > 1


def test_sampling_begins_anew_only_when_the_capacity_is_another() -> None:
    small, large = Tournament(100, None), Tournament(LEAST_SAMPLED, None)
    assert small.is_fit_for(1) and small.is_fit_for(LEAST_SAMPLED)
    assert not small.is_fit_for(2 * LEAST_SAMPLED)
    assert large.is_fit_for(LEAST_SAMPLED * 3 // 4)
    assert not large.is_fit_for(100)


def test_most_of_a_loop_a_little_larger_than_a_small_cache_stays() -> None:
    cache = Cache(max_entries=CAPACITY)
    loop = [f"key:{number}" for number in range(CAPACITY * 51 // 50)]
    hits = 0
    for turn in range(30):
        for key in loop:
            if cache.get(key) is None:
                cache.set(key, True)
            elif turn >= 10:
                hits += 1
    cache._check()
    assert hits > 0.93 * 20 * len(loop)
