"""Long rankings: rows in parts are ranked as a `SortedList` ranks them."""

from __future__ import annotations

from random import Random

import pytest

from cachestorm.values.long_ranking import (
    MOST_ROWS,
    LongRanking,
    PartedRows,
    Row,
    SortedRows,
)

COUNT = 4 * MOST_ROWS


def rows_of(draw: Random, count: int, scores: int) -> list[Row]:
    """Rows in no order, of a few scores or of many."""
    return [(float(draw.randrange(scores)), f"m{number}") for number in range(count)]


def ranks_alike(parted: LongRanking, oracle: LongRanking, draw: Random) -> None:
    """Asserts that both have the same rows, and find them alike."""
    parted._check()
    count = len(oracle)
    assert len(parted) == count
    assert parted.slice(0, count) == oracle.slice(0, count)
    for _ in range(20):
        probe = (float(draw.randrange(-1, 60)), f"m{draw.randrange(COUNT)}")
        assert parted.place(probe) == oracle.place(probe)
        if count:
            place = draw.randrange(count)
            stop = draw.randrange(place, count + 1)
            assert parted.at(place) == oracle.at(place)
            assert parted.slice(place, stop) == oracle.slice(place, stop)


@pytest.mark.parametrize("scores", [1, 50, 1_000_000])
def test_rows_that_come_and_go_are_ranked_as_in_a_sorted_list(scores: int) -> None:
    draw = Random(scores)
    rows = rows_of(draw, COUNT, scores)
    first = sorted(rows[: COUNT // 2])
    parted, oracle = PartedRows(first.copy()), SortedRows(first.copy())
    ranks_alike(parted, oracle, draw)
    for number, row in enumerate(rows[COUNT // 2 :]):
        parted.add(row)
        oracle.add(row)
        if number % 100 == 0:
            ranks_alike(parted, oracle, draw)
    ranks_alike(parted, oracle, draw)
    draw.shuffle(rows)
    for number, row in enumerate(rows):
        parted.remove(row)
        oracle.remove(row)
        if number % 150 == 0:
            ranks_alike(parted, oracle, draw)
    assert len(parted) == 0
    assert parted.place((1.0, "m")) == 0
    parted.add((1.0, "m"))
    assert parted.slice(0, 1) == [(1.0, "m")]


def test_all_rows_may_go_from_one_end() -> None:
    rows = [(float(number), "m") for number in range(COUNT)]
    parted = PartedRows(rows.copy())
    for left in range(COUNT, 0, -1):
        assert parted.at(0) == rows[COUNT - left]
        parted.remove(parted.at(0))
    parted._check()
    assert len(parted) == 0


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (0, COUNT), (10, COUNT - 48), (MOST_ROWS // 2, MOST_ROWS), (COUNT - 5, COUNT)],
)
def test_what_is_cut_out_leaves_the_others_in_their_order(start: int, stop: int) -> None:
    draw = Random(7)
    rows = sorted(rows_of(draw, COUNT, 50))
    parted, oracle = PartedRows(rows.copy()), SortedRows(rows.copy())
    ranks_alike(parted, oracle, draw)
    parted.cut(start, stop)
    oracle.cut(start, stop)
    ranks_alike(parted, oracle, draw)
    parted.add((0.5, "new"))
    oracle.add((0.5, "new"))
    ranks_alike(parted, oracle, draw)


def test_rows_that_come_after_all_are_taken_as_they_are() -> None:
    draw = Random(9)
    rows = [(float(number), "m") for number in range(COUNT)]
    parted, oracle = PartedRows(rows[:1000]), SortedRows(rows[:1000])
    for start in range(1000, COUNT, 1000):
        parted.append(rows[start : start + 1000])
        oracle.append(rows[start : start + 1000])
    ranks_alike(parted, oracle, draw)
    # one that is given as a longer part is cut in two as it grows
    for number in range(1000, COUNT, 7):
        parted.add((number + 0.5, "m"))
        oracle.add((number + 0.5, "m"))
    ranks_alike(parted, oracle, draw)


def test_an_emptied_ranking_takes_rows_again() -> None:
    parted = PartedRows([(1.0, "a")])
    parted.remove((1.0, "a"))
    parted.append([(2.0, "b"), (3.0, "c")])
    parted.add((2.5, "d"))
    parted._check()
    assert parted.slice(0, 3) == [(2.0, "b"), (2.5, "d"), (3.0, "c")]
