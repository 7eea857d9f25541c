"""The traces of the judge: the same each time, and what their names say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.hit_ratio import traces
from tests.benchmarks.hit_ratio.traces import DATA, RECIPES, SMALLEST, Trace, recipes, trace


@pytest.mark.parametrize("name", RECIPES)
def test_a_trace_is_the_same_every_time_and_as_long_as_asked(name: str) -> None:
    first = trace(name, 5000)
    assert len(first.keys) == 5000
    assert first == trace(name, 5000)


def test_capacities_are_shares_of_the_distinct_keys_and_differ() -> None:
    assert Trace("", list(range(10_000))).capacities() == [50, 100, 500, 1000, 2500]
    assert Trace("", list(range(100))).capacities() == [SMALLEST, 25]


def test_long_traces_are_found_where_the_variable_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(traces.VARIABLE, raising=False)
    assert list(recipes()) == list(RECIPES)
    (tmp_path / "orm-night.trace.xz").symlink_to(DATA / "web07.trace.xz")
    monkeypatch.setenv(traces.VARIABLE, str(tmp_path))
    assert [*RECIPES, "orm-night"] == list(recipes())
    assert trace("web07", 5000).keys == trace("orm-night", 5000).keys


def test_a_scan_asks_for_every_other_key_once() -> None:
    keys = trace("scan", 4000).keys
    assert len(set(keys[::2])) == 2000
    assert set(keys[::2]).isdisjoint(keys[1::2])


def test_a_loop_comes_around() -> None:
    keys = trace("loop", 50_000).keys
    around = len(set(keys))
    assert keys[around:] == keys[:-around]


def test_what_is_popular_shifts() -> None:
    keys = trace("shifting", 40_000).keys
    first, last = keys[:10_000], keys[-10_000:]
    most_popular = max(set(first), key=first.count)
    assert last.count(most_popular) < first.count(most_popular) / 4
