"""Clients that write, read and invalidate while slots move and nodes fail."""

from __future__ import annotations

import pytest
from keyed_simulation import play_with_keys

from cachestorm import COMPILED

# nothing of what is played is compiled: once is enough
SEEDS = 40 if COMPILED else 300
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_and_nothing_outlives_its_invalidation(part: int) -> None:
    seeds = range(part, SEEDS, PARTS)
    simulations = [play_with_keys(seed, 3 + seed % 2, 60) for seed in seeds]
    # what it is about has happened
    assert sum(each.moved for each in simulations) > len(seeds)
    assert sum(each.redirected for each in simulations) > len(seeds)
    if not COMPILED:
        assert sum(each.escaped for each in simulations) > 0


def test_a_request_that_its_target_has_not_survived_is_not_answered_later() -> None:
    # its reply came when the same keys were sent again, which then looked like deleted ones
    play_with_keys(70_777, 3, 60)
