"""Clients that write, read and invalidate while slots move and nodes fail."""

from __future__ import annotations

from keyed_simulation import play_with_keys

SEEDS = 40


def test_nothing_is_lost_and_nothing_outlives_its_invalidation() -> None:
    simulations = [play_with_keys(seed, 3 + seed % 2, 60) for seed in range(SEEDS)]
    # what it is about has happened
    assert sum(each.moved for each in simulations) > SEEDS
    assert sum(each.redirected for each in simulations) > SEEDS
    assert sum(each.escaped for each in simulations) > 0
