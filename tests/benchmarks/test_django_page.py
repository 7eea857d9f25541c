"""The case of a Django page under load: what it counts, and what it concludes and draws."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import pytest

from tests.benchmarks.bars import Panel, draw
from tests.benchmarks.django_page import (
    COLUMNS,
    COST,
    FAST_THREADS,
    HITS,
    LATE,
    MEDIAN,
    PLOT,
    RATE,
    SETTINGS,
    STALE,
    THREADS,
    figures,
    serve,
    tell,
    verdicts,
)
from tests.benchmarks.django_shop import (
    CHANGES_A_SECOND,
    IN_MEMORY,
    LOCMEM,
    NO_CACHE,
    SHELVES,
    WAYS,
    Answers,
    Shelves,
    Way,
    shelf_of,
)
from tests.benchmarks.page import Page
from tests.benchmarks.sample import Sample
from tests.benchmarks.worker import Worker

pytest.importorskip("django", reason="Django is not installed")

SECONDS = 0.5
# so late that none of the changes is made
NO_CHANGE = 1000
# the one change from here on is that of the first shelf
OFTEN_ASKED_FOR = 1


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "shelves"
    path.write_bytes(bytes(Shelves.SIZE))
    return path


@pytest.fixture
def shelves(path: Path) -> Shelves:
    """Of which none has changed."""
    shelves = Shelves(str(path))
    shelves.forget()
    return shelves


@pytest.fixture(scope="module")
def worker(path: Path) -> Iterator[Worker]:
    """A process of the ways that need no server."""
    locations = {WAYS.index(way): "pages" for way in WAYS if not way.server}
    with Worker("django_shop", locations=locations, shelves=str(path)) as started:
        yield started


def answers(worker: Worker, **request: Any) -> Answers:
    return Answers(**worker.measure(begin=monotonic(), seconds=SECONDS, seeds=[0], **request))


def test_an_answer_older_than_what_was_told_is_out_of_date(
    worker: Worker, shelves: Shelves
) -> None:
    way = WAYS.index(NO_CACHE)
    worker.measure(way=way)
    for shelf in range(SHELVES):
        shelves.told[shelf] = 1
    counted = answers(worker, way=way, part=NO_CHANGE)
    assert counted.out_of_date == counted.made == len(counted.spent_us) > 0
    for shelf in range(SHELVES):
        shelves.changed[shelf] = 1
    counted = answers(worker, way=way, part=NO_CHANGE)
    assert counted.out_of_date == 0
    assert counted.made == len(counted.spent_us) > 0


@pytest.mark.parametrize("way", [LOCMEM, IN_MEMORY], ids=lambda way: way.name)
def test_pages_are_made_again_when_a_shelf_has_changed(
    worker: Worker, shelves: Shelves, way: Way
) -> None:
    place = WAYS.index(way)
    worker.measure(way=place)
    assert answers(worker, way=place, part=NO_CHANGE).made == 0
    assert not any(shelves.changed)
    assert answers(worker, way=place, part=OFTEN_ASKED_FOR).made > 0
    # nobody else writes what is true, so what was changed was told
    assert any(shelves.told)
    assert list(shelves.told) == list(shelves.changed)


def test_a_round_begins_with_all_pages_as_of_no_change(
    worker: Worker, shelves: Shelves
) -> None:
    shelves.told[0] = 1000
    for _ in range(2):
        measured = serve(IN_MEMORY, FAST_THREADS, [worker], shelves, SECONDS)
        assert list(measured) == list(COLUMNS)
        assert measured[STALE] == 0
        assert max(shelves.told) <= SECONDS * CHANGES_A_SECOND


def test_figures_are_of_all_workers_together() -> None:
    both = Answers()
    both.add(Answers([1000] * 99, made=10, out_of_date=5, cpu_us=4000.0, until=12.0))
    both.add(Answers([3000] * 101, made=10, out_of_date=0, cpu_us=6000.0, until=11.0))
    assert figures(both, begin=10.0, server_cpu_s=0.02) == {
        RATE: 100.0,
        HITS: 90.0,
        MEDIAN: 3.0,
        LATE: 3.0,
        STALE: 2.5,
        COST: 150.0,
    }


def test_with_a_pace_no_more_are_asked_for_than_are_due(worker: Worker) -> None:
    way = WAYS.index(IN_MEMORY)
    worker.measure(way=way)
    # those of one seed that are due are the same in every run
    asked = len(answers(worker, way=way, part=NO_CHANGE, pace=20).spent_us)
    due = list(accumulate(gaps(pace=20)))
    assert 0 < asked <= sum(each < SECONDS for each in due)


def gaps(pace: float) -> Iterator[float]:
    """What lies between the requests of the first seed."""
    chosen = Random(0)
    for _ in range(100):
        shelf_of(chosen)
        yield chosen.expovariate(pace)


def samples(**figures: float) -> dict[str, Sample]:
    by_name = {"rate": RATE, "hits": HITS, "late": LATE, "stale": STALE}
    return {by_name[name]: Sample([figure]) for name, figure in figures.items()}


def test_with_a_pace_hits_and_the_slowest_are_judged_and_else_how_many_are_answered() -> None:
    measured = {
        LOCMEM: samples(rate=300.0, hits=50.0, late=8.0, stale=0.0),
        IN_MEMORY: samples(rate=200.0, hits=90.0, late=8.0, stale=0.0),
    }
    reached = [found.reached for found in verdicts(THREADS, IN_MEMORY, [LOCMEM], measured)]
    assert reached == [True, False, True]
    reached = [found.reached for found in verdicts(FAST_THREADS, IN_MEMORY, [LOCMEM], measured)]
    assert reached == [False, True]
    measured[IN_MEMORY][STALE] = Sample([0.0, 0.0, 0.1])
    assert verdicts(THREADS, IN_MEMORY, [], measured)[0].reached is False


def test_what_was_not_measured_is_neither_drawn_nor_judged() -> None:
    page = Page("django-page", "", "")
    by_column = {column: Sample([1.0]) for column in COLUMNS}
    tell(page, {setting: {NO_CACHE: by_column} for setting in SETTINGS})
    assert page.verdicts == []
    assert [table.rows for table in page.tables] == [[[NO_CACHE.name, *["1.00"] * 6]]] * 4
    assert LOCMEM.name not in page.plots[PLOT]


def test_bars_are_as_long_as_their_figures() -> None:
    panels = [Panel("hits & misses", {"one": 2.0, "other": 1.0}), Panel("none", {"one": 0.0})]
    drawn = ElementTree.fromstring(draw(panels, strong=["one"], columns=2))
    name = "{http://www.w3.org/2000/svg}"
    groups = drawn.findall(f"{name}g")
    widths = [
        [float(bar.get("width", "")) for bar in group.findall(f"{name}rect")]
        for group in groups
    ]
    assert widths == [[250.0, 125.0], [0.0]]
    colours = [bar.get("fill") for bar in groups[0].findall(f"{name}rect")]
    assert len(set(colours)) == 2
    assert [text.text for text in groups[0].findall(f"{name}text")] == [
        "hits & misses",
        "one",
        "2.00",
        "other",
        "1.00",
    ]
