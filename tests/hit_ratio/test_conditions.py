"""The judge's conditions: deadlines, and sizes with a limit in bytes."""

from __future__ import annotations

import pytest

from cachestorm.replay import zipf_trace
from tests.benchmarks.hit_ratio import conditions
from tests.benchmarks.hit_ratio.conditions import DEADLINES, LIVES, SIZES, life_of, size_of
from tests.benchmarks.hit_ratio.contestants import WARM, run_reference, spelt
from tests.benchmarks.hit_ratio.references import FIXED
from tests.benchmarks.hit_ratio.references.by_bytes import BY_BYTES

KEYS = zipf_trace(12_000, 2_000, seed=7)


@pytest.mark.parametrize("capacity", [10, 50, 330])
@pytest.mark.parametrize("name", BY_BYTES)
def test_where_all_sizes_are_equal_bytes_are_keys(name: str, capacity: int) -> None:
    by_keys, by_bytes = FIXED[name](capacity), BY_BYTES[name](capacity * 100)
    assert [by_keys.request(key) for key in KEYS] == [
        by_bytes.request(key, 100) for key in KEYS
    ]


@pytest.mark.parametrize("name", BY_BYTES)
def test_no_reference_holds_more_bytes_than_its_limit(name: str) -> None:
    reference = BY_BYTES[name](20_000)
    for key in KEYS:
        reference.request(key, size_of(key))
        sizes = reference._sizes  # type: ignore[attr-defined]
        assert 20_000 >= sum(sizes.values())
        assert sizes[key] == size_of(key)


@pytest.mark.parametrize("name", FIXED)
def test_deadlines_cost_hits(name: str) -> None:
    lasting = run_reference(name, KEYS, 200)
    dying = conditions.run_reference(DEADLINES, name, KEYS, 200)
    assert 0 < dying.early < dying.hits < lasting.hits


def test_lives_and_sizes_are_spread() -> None:
    lives = [life_of(key) for key in range(3000)]
    assert all(800 < lives.count(life) < 1200 for life in LIVES)
    sizes = [size_of(key) for key in range(9000)]
    assert all(800 < sum(16 << n <= size < 32 << n for size in sizes) < 1200 for n in range(9))


@pytest.mark.parametrize("condition", [DEADLINES, SIZES])
@pytest.mark.parametrize("policy", ["adaptive", "allkeys-lru"])
def test_a_cache_is_as_good_as_lru_there(condition: str, policy: str) -> None:
    lru = conditions.run_reference(condition, "LRU", KEYS, 200)
    ours = conditions.run_own(condition, policy, KEYS, spelt(KEYS), 200)
    assert ours.early <= ours.hits
    assert lru.hits - len(KEYS) * 0.03 < ours.hits


def test_early_hits_are_those_of_the_first_requests() -> None:
    early = conditions.run_reference(SIZES, "LRU", KEYS, 100).early
    # the limit follows from all keys of a trace
    reference = BY_BYTES["LRU"](conditions.limit(KEYS, 100))
    first = KEYS[: WARM * 100]
    assert early == sum(reference.request(key, conditions.charge_of(key)) for key in first)
