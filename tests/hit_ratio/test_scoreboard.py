"""What the judge makes of hit ratios: gaps, shares, verdicts, a page and a plot."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from cachestorm import Cache
from tests.benchmarks.hit_ratio.contestants import (
    OPTIMUM,
    PEERS,
    Outcome,
    own_policies,
    run_cache,
    run_own,
    run_peer,
    run_reference,
    spelt,
)
from tests.benchmarks.hit_ratio.judge import tell, under_judgement
from tests.benchmarks.hit_ratio.plot import draw
from tests.benchmarks.hit_ratio.references import FIXED
from tests.benchmarks.hit_ratio.remembered import Remembered
from tests.benchmarks.hit_ratio.scoreboard import Cell, score
from tests.benchmarks.hit_ratio.traces import trace
from tests.benchmarks.page import Page, draw_page

# hits of 1,000 requests
HITS = dict.fromkeys(FIXED, 300) | {"LRU": 250, "SIEVE": 400}


def cell(capacity: int = 10, **ours: int) -> Cell:
    """A cell in which SIEVE is best with 40 % and LRU has 25 %."""
    found = Cell("made up", 1000, capacity)
    for name, hits in (HITS | ours).items():
        found.outcomes[name] = [Outcome(hits // 5, hits)]
    return found


def test_the_gap_is_to_the_best_of_the_eight() -> None:
    assert cell(ours=385).best() == (40.0, "SIEVE")
    assert cell(ours=385).gaps("ours") == [1.5]
    assert cell(ours=420).gaps("ours") == [-2.0]


def test_early_requests_have_a_ratio_of_their_own() -> None:
    # 20 capacities are 200 of the 1,000 requests; 385 // 5 = 77 of their hits
    assert cell(ours=385).ratios("ours", early=True) == [38.5]
    assert cell(ours=385).gaps("ours", early=True) == [1.5]


def test_a_cell_is_short_below_twenty_capacities_of_requests() -> None:
    assert [cell(50).is_short, cell(51).is_short] == [False, True]


def test_a_score_counts_every_run() -> None:
    cells = [cell(ours=395), cell(11, ours=385), cell(12, ours=375), cell(13, ours=240)]
    cells[0].outcomes["ours"].append(Outcome(0, 410))
    found = score("ours", cells)
    assert found is not None
    assert found.runs == 5
    assert pytest.approx((0.5 + 1.5 + 2.5 + 16 - 1) / 5) == found.mean
    assert found.within == (0.4, 0.6, 0.8)
    assert (found.worst, found.worst_at, found.worst_below_lru) == (16.0, "made up@13", 1.0)


def test_who_did_not_run_has_no_score() -> None:
    assert score("nobody", [cell()]) is None


@pytest.mark.parametrize("policy", own_policies())
def test_our_policies_hit_no_more_than_the_optimum(policy: str) -> None:
    keys = trace("zipf 0.9", 5000).keys
    best = run_reference(OPTIMUM, keys, 100)
    ours = run_own(policy, spelt(keys), 100)
    assert 0 < ours.early < ours.hits <= best.hits


@pytest.mark.parametrize("peer", PEERS)
def test_peers_are_driven_alike(peer: str) -> None:
    keys = trace("zipf 0.9", 5000).keys
    try:
        found = run_peer(peer, spelt(keys), 6000)
    except ImportError as error:
        pytest.skip(str(error))
    # nothing is evicted, so each key misses once
    assert Outcome(5000 - len(set(keys)), 5000 - len(set(keys))) == found


def test_early_hits_are_those_of_the_first_twenty_capacities() -> None:
    names = [f"key:{number}" for number in (*range(10), *range(190), *range(10))]
    cache = Cache(max_entries=10, policy="allkeys-lru")
    outcome = run_cache(cache.get, cache.set, names, 10)
    assert 10 <= outcome.early <= outcome.hits
    assert outcome.early == run_own("allkeys-lru", names[:200], 10).hits == 10


def test_every_contestant_has_a_line_in_every_panel() -> None:
    cells = [cell(10, ours=350), cell(20, ours=360)]
    names = [*FIXED, "ours"]
    root = ElementTree.fromstring(draw(cells, names, "ours"))
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(names) == sorted(titles)
    # the one to look at is drawn last, on top of the others
    assert titles[-1] == "ours"


def test_the_page_says_what_came_of_the_goals() -> None:
    judged = under_judgement()
    page = Page("hit-ratio", "Hit ratios", "")
    cells = [cell(capacity) for capacity in (10, 20, 51)]
    for each in cells:
        each.trace = "web12"
        each.outcomes[judged] = [Outcome(70, 385)] * 3
    tell(page, cells)
    assert [verdict.reached for verdict in page.verdicts] == [False, True, True, True, True]
    drawn = draw_page(page, {})
    assert "Gaps in points: 2 cells" in drawn
    assert "Short cells: 1 " in drawn
    assert "](hit-ratio.svg)" in drawn


def test_what_the_references_did_is_remembered_for_their_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "deep" / "found.json"
    first = Remembered(path)
    first.put("LRU", "web12", None, {"69": [1000, 20, 30]})
    first.save()
    again = Remembered(path)
    assert again.get("LRU", "web12", None) == {"69": [1000, 20, 30]}
    assert again.get("LRU", "web12", 5000) is again.get("ARC", "web12", None) is None
    monkeypatch.setattr("tests.benchmarks.hit_ratio.remembered._digest", lambda: "changed")
    assert Remembered(path).get("LRU", "web12", None) is None
