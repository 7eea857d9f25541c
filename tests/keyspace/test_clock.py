"""The clock, when that of the system is set back.

Compiled code reads the system's clock without asking Python, so nothing can stand in for it:
a clock here is told that it has been ahead, which is what one sees that is set back.
"""

from __future__ import annotations

import pytest

from cachestorm import Cache
from cachestorm.clock import Clock

AN_HOUR_MS = 3_600_000


class Steady:
    """In place of `time.monotonic`: seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> Steady:
    steady = Steady()
    monkeypatch.setattr("cachestorm.clock.monotonic", steady)
    return steady


def set_back(clock: Clock) -> None:
    """The system's clock is an hour behind what it was."""
    clock._latest_ms = clock.now_ms() + AN_HOUR_MS


def test_a_key_expires_in_time_after_the_clock_was_set_back(steady: Steady) -> None:
    clock = Clock()
    cache = Cache(clock=clock)
    set_back(clock)
    cache.set("new", 1, ttl=60)
    steady.seconds += 59
    assert cache.get("new") == 1
    assert 0 < (cache.ttl("new") or 0) <= 1
    steady.seconds += 2
    assert cache.get("new") is None


def test_what_has_expired_stays_so_when_the_clock_is_set_back(steady: Steady) -> None:
    clock = Clock()
    cache = Cache(clock=clock)
    cache.set("old", 1, ttl=AN_HOUR_MS // 1000 - 60)
    set_back(clock)
    for _ in range(10):
        assert cache.get("old") is None
        steady.seconds += 1


def test_a_clock_never_goes_back_and_goes_on_at_every_jump(steady: Steady) -> None:
    clock = Clock()
    for _ in range(3):
        set_back(clock)
        before = clock.now_ms()
        for second in range(1, 4):
            steady.seconds += 1
            assert clock.now_ms() == before + 1000 * second
        # what passes by the system's clock is no part of the next jump
        steady.seconds += 500


def test_a_clock_goes_by_that_of_the_system_once_it_is_not_behind(steady: Steady) -> None:
    clock = Clock()
    now = clock.now_ms()
    clock._latest_ms = now + 50
    steady.seconds -= 1
    while clock.now_ms() == now + 50:
        pass
    assert now + 50 < clock.now_ms() < now + 10_000
