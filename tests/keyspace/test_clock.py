"""The clock, when that of the system is set back.

Compiled code reads the system's clock without asking Python, so nothing can stand in for it:
a clock here is told that it has been ahead, which is what one sees that is set back.
"""

from __future__ import annotations

import time

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
        # what passes by the system's clock is not part of the next jump
        steady.seconds += 500


def test_a_clock_goes_by_that_of_the_system_once_it_is_not_behind(steady: Steady) -> None:
    clock = Clock()
    now = clock.now_ms()
    clock._latest_ms = now + 50
    steady.seconds -= 1
    while clock.now_ms() == now + 50:
        pass
    assert now + 50 < clock.now_ms() < now + 10_000


BY_A_MOMENT = {
    "SET EXAT": lambda cache, at: cache.execute("SET", "k", "v", "EXAT", at // 1000),
    "SET PXAT": lambda cache, at: cache.execute("SET", "k", "v", "PXAT", at),
    "GETEX": lambda cache, at: (cache.set("k", 1), cache.execute("GETEX", "k", "PXAT", at)),
    "EXPIREAT": lambda cache, at: (cache.set("k", 1), cache.expireat("k", at / 1000)),
    "PEXPIREAT": lambda cache, at: (cache.set("k", 1), cache.pexpireat("k", at)),
    "RESTORE": lambda cache, at: (
        cache.set("from", 1),
        cache.restore("k", at, cache.dump("from"), absttl=True),
    ),
}
FIELD_BY_A_MOMENT = {
    "HPEXPIREAT": lambda cache, at: (cache.hset("h", "f", 1), cache.hpexpireat("h", at, "f")),
    "HSETEX": lambda cache, at: cache.execute("HSETEX", "h", "PXAT", at, "FIELDS", 1, "f", "v"),
    "HGETEX": lambda cache, at: (
        cache.hset("h", "f", 1),
        cache.execute("HGETEX", "h", "PXAT", at, "FIELDS", 1, "f"),
    ),
}
# between two looks at the system's clock
A_MOMENT_MS = 5_000


@pytest.mark.parametrize("way", BY_A_MOMENT)
def test_a_point_in_time_is_one_by_the_clock_of_the_system(steady: Steady, way: str) -> None:
    clock = Clock()
    cache = Cache(clock=clock)
    set_back(clock)
    at = int(time.time() * 1000) + 60_000
    BY_A_MOMENT[way](cache, at)
    assert 60_000 - A_MOMENT_MS < (cache.pttl("k") or 0) <= 61_000
    assert abs(cache.pexpiretime("k") - at) < A_MOMENT_MS
    steady.seconds += 50
    assert cache.exists("k") == 1
    steady.seconds += 12
    assert cache.exists("k") == 0
    BY_A_MOMENT[way](cache, int(time.time() * 1000) - 5_000)
    assert cache.exists("k") == 0


@pytest.mark.parametrize("way", FIELD_BY_A_MOMENT)
def test_so_is_that_of_a_field(steady: Steady, way: str) -> None:
    clock = Clock()
    cache = Cache(clock=clock)
    set_back(clock)
    at = int(time.time() * 1000) + 60_000
    FIELD_BY_A_MOMENT[way](cache, at)
    assert 60_000 - A_MOMENT_MS < cache.hpttl("h", "f")[0] <= 61_000
    assert abs(cache.hpexpiretime("h", "f")[0] - at) < A_MOMENT_MS
    steady.seconds += 62
    assert cache.hexists("h", "f") is False


def test_what_is_there_keeps_its_time_left_and_its_moment_moves(steady: Steady) -> None:
    clock = Clock()
    cache = Cache(clock=clock)
    clock._latest_ms = clock.now_ms() + AN_HOUR_MS
    clock.now_ms()
    cache.set("k", 1, ttl=100)
    moment = cache.pexpiretime("k")
    assert abs(moment - int(time.time() * 1000) - 100_000) < A_MOMENT_MS
    assert cache.pexpiretime("k") == moment


def test_a_clock_that_was_not_set_back_is_ahead_of_nothing(steady: Steady) -> None:
    clock = Clock()
    assert clock.ahead_ms() == 0
    set_back(clock)
    ahead = clock.ahead_ms()
    assert abs(ahead - AN_HOUR_MS) < A_MOMENT_MS
    assert clock.ahead_ms() == ahead
    set_back(clock)
    assert clock.ahead_ms() > ahead + AN_HOUR_MS - A_MOMENT_MS
