"""The case that measures what eviction costs: what it compares, and what it concludes."""

from __future__ import annotations

import pytest

from tests.benchmarks import eviction_cost
from tests.benchmarks.eviction_cost import Measurer, verdicts, without_policy
from tests.benchmarks.hit_ratio.contestants import REFUSES, own_policies
from tests.benchmarks.hit_ratio.judge import under_judgement
from tests.benchmarks.sample import Sample


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction_cost, "FULL", 300)
    monkeypatch.setattr(eviction_cost, "ASKED", 50)
    monkeypatch.setattr(eviction_cost, "TIMES", 5)
    # either build will do here
    monkeypatch.setattr(eviction_cost, "check_build", lambda: None)


@pytest.mark.parametrize("policy", own_policies())
def test_every_policy_has_a_number_in_every_column(policy: str) -> None:
    measurer = Measurer(policy)
    columns = {
        column: measurer.measure(column, large=200, writes=50)
        for column in ("hit", "all keys", "new key, full", "new key, not half full", "slowest")
    }
    assert [len(numbers or ()) for numbers in columns.values()] == [2, 1, 1, 1, 3]
    median, most, slowest = columns["slowest"] or ()
    assert 0 < median <= most <= slowest


def test_no_policy_is_only_asked_for_what_it_can_do() -> None:
    measurer = Measurer(REFUSES)
    assert [
        measurer.measure(column) for column in ("hit", "all keys", "new key, full", "slowest")
    ] == [None] * 4
    assert measurer.measure("new key, not half full")


def test_the_cache_without_a_policy_holds_the_same_keys() -> None:
    asked = [f"key:{number % 700}" for number in range(1000)]
    resident = {f"key:{number}" for number in range(0, 600, 2)}
    plain = without_policy(asked, resident)
    assert resident == set(plain.keys("*"))


def test_verdicts_compare_with_the_goals() -> None:
    judged = under_judgement()
    samples = {
        (judged, "hit"): [Sample([2.0]), Sample([90.0])],
        (judged, "new key, full"): [Sample([200.0])],
        ("cachebox LRU", "new key, full"): [Sample([150.0])],
        ("theine", "new key, full"): [Sample([900.0])],
        (judged, "new key, not half full"): [Sample([110.0])],
        (REFUSES, "new key, not half full"): [Sample([100.0])],
        (judged, "slowest"): [Sample([1.0]), Sample([9.0]), Sample([101.0])],
    }
    reached = [verdict.reached for verdict in verdicts(samples)]
    assert reached == [True, False, True, False, False]
