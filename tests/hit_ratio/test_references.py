"""The references do what their papers say: request by request, as slow models do."""

from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_models import MODELS, most_hits

from cachestorm.replay import zipf_trace
from tests.benchmarks.hit_ratio.references import FIXED
from tests.benchmarks.hit_ratio.references.optimum import Optimum
from tests.benchmarks.hit_ratio.traces import Trace, trace

pytestmark = pytest.mark.either_build
EVERY = pytest.mark.parametrize("name", FIXED)
KEYS = st.integers(0, 12)
TRACES = st.one_of(
    st.lists(KEYS, max_size=80),
    st.builds(lambda keys, times: keys * times, st.lists(KEYS, max_size=20), st.integers(1, 6)),
)


@pytest.fixture(scope="module")
def web12() -> Trace:
    return trace("web12")


def test_every_reference_has_a_model() -> None:
    assert list(FIXED) == list(MODELS)


@EVERY
@given(TRACES, st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_it_hits_when_its_model_hits(name: str, keys: list[int], capacity: int) -> None:
    reference = FIXED[name](capacity)
    found = []
    for key in keys:
        found.append(reference.request(key))
        assert len(reference) <= capacity
    assert MODELS[name](keys, capacity) == found


@EVERY
@pytest.mark.parametrize("capacity", [20, 105])
def test_it_hits_when_its_model_hits_on_a_long_trace(name: str, capacity: int) -> None:
    # loops and popular keys by turns, so that ghosts, estimates and ageing come into play
    keys = [
        *zipf_trace(1500, 300),
        *[key % 130 for key in range(700)],
        *zipf_trace(500, 300, 2),
    ]
    reference = FIXED[name](capacity)
    assert MODELS[name](keys, capacity) == [reference.request(key) for key in keys]


@EVERY
def test_a_cache_that_holds_every_key_misses_each_once(name: str) -> None:
    keys = zipf_trace(3000, 200)
    # W-TinyLFU's window and S3-FIFO's small queue are parts of the capacity: none evicts early
    reference = FIXED[name](200)
    assert 3000 - len(set(keys)) == sum(map(reference.request, keys))


@EVERY
def test_none_hits_more_than_the_optimum(name: str) -> None:
    keys = zipf_trace(5000, 500)
    for capacity in (1, 7, 50, 200):
        reference, optimum = FIXED[name](capacity), Optimum(capacity, keys)
        hits = sum(map(reference.request, keys))
        assert hits <= sum(map(optimum.request, keys))


@given(st.lists(st.integers(0, 5), max_size=14), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_the_optimum_hits_as_often_as_the_best_of_all_choices(
    keys: list[int], capacity: int
) -> None:
    optimum = Optimum(capacity, keys)
    hits = 0
    for key in keys:
        hits += optimum.request(key)
        assert len(optimum) <= capacity
    assert most_hits(keys, capacity) == hits


def test_lru_is_the_standard_library_s_on_a_real_trace(web12: Trace) -> None:
    for capacity in (69, 688, 3439):
        known = lru_cache(capacity)(str)
        for key in web12.keys:
            known(key)
        reference = FIXED["LRU"](capacity)
        assert known.cache_info().hits == sum(map(reference.request, web12.keys))


@pytest.mark.parametrize(
    ("name", "expected"), [("LRU", 60.02), ("SIEVE", 63.55), ("W-TinyLFU", 62.2)]
)
def test_figures_on_web12_at_688_keys_stay(web12: Trace, name: str, expected: float) -> None:
    reference = FIXED[name](688)
    percent = 100 * sum(map(reference.request, web12.keys)) / len(web12.keys)
    assert pytest.approx(percent, abs=0.05) == expected
