"""The case of what listeners cost: who is told of what, and what is concluded."""

from __future__ import annotations

import pytest

from cachestorm import Cache
from tests.benchmarks import listeners
from tests.benchmarks.builds import Build
from tests.benchmarks.listeners import (
    CALLS,
    CASES,
    LARGE_CALLS,
    WAITS,
    WRITERS,
    Case,
    compare,
    tell,
    verdicts,
    waits,
)
from tests.benchmarks.page import Page
from tests.benchmarks.sample import Sample

# calls of a pass on the large string, in whole turns of its bits
LARGE = LARGE_CALLS // 16 * 16
SMALL = CALLS // 16 * 16
# how many of the calls of one pass each listener is told of, in the order of the cases
TOLD = (0, 0, 0, SMALL, SMALL, 0, LARGE, LARGE, CALLS, 0, 0)


@pytest.mark.parametrize(
    ("case", "told"), list(zip(CASES, TOLD, strict=True)), ids=[case.name for case in CASES]
)
def test_a_listener_is_told_of_each_call_or_of_none(
    case: Case, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[object] = []
    monkeypatch.setattr(listeners, "nothing", lambda *effect: heard.append(effect))

    def make() -> Cache:
        cache = Cache()
        case.listen(cache)
        return cache

    time_pass = case.passes(make)
    for _ in range(2):
        heard.clear()
        assert time_pass() > 0
        assert len(heard) == told


def test_what_is_compared_has_a_time_without_and_with_the_listener() -> None:
    found = compare(CASES[0], at_least_ms=1)
    assert list(found) == ["without", "with"]
    assert min(found.values()) > 0


def test_each_write_of_each_thread_is_timed_and_told() -> None:
    found = waits(writers=4, writes=20)
    assert list(found) == list(WAITS)
    assert found["longest write"] >= found["median write"] >= 1000 * listeners.LISTENER_S
    assert found["multiple"] == pytest.approx(found["longest write"] / found["longest call"])


def costs_of(without: float, heard: float) -> listeners.Costs:
    return {case: {"without": Sample([without]), "with": Sample([heard])} for case in CASES}


def waits_of(multiple: float) -> listeners.Waits:
    return {writers: {name: Sample([multiple]) for name in WAITS} for writers in WRITERS}


def test_goals_are_of_operations_that_are_told_no_value_and_of_every_number_of_threads() -> (
    None
):
    found = verdicts(costs_of(100.0, 111.0), waits_of(6.0))
    assert [verdict.reached for verdict in found] == [False] * 4 + [False, True, True]
    found = verdicts(costs_of(100.0, 109.0), waits_of(3.0))
    assert all(verdict.reached for verdict in found)


@pytest.mark.parametrize("build", Build)
def test_the_pure_build_has_tables_and_no_goals(build: Build) -> None:
    page = Page("listeners", "", "")
    tell(page, build, costs_of(100.0, 150.0), waits_of(1.0))
    assert [len(table.rows) for table in page.tables] == [len(CASES), len(WRITERS)]
    assert page.tables[0].rows[0] == [CASES[0].name, "100", "150", "1.50"]
    assert bool(page.verdicts) is (build is Build.COMPILED)
