"""A listener that is slow: what waits for it is bounded, and nobody waits for it for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cachestorm import Cache, Effect
from cachestorm.events import LONGEST_WAIT_S, MOST_WAITING_BYTES

VALUE = b"v" * (MOST_WAITING_BYTES // 20)


class Stuck:
    """A listener that stays in its first call until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.free = threading.Event()
        self.heard: list[object] = []

    def __call__(self, effect: Effect) -> None:
        self.entered.set()
        assert self.free.wait(60)
        self.heard.append(effect.sequence)


@pytest.fixture
def stuck() -> Iterator[tuple[Cache, Stuck]]:
    """A cache whose listener is stuck, in a thread of its own."""
    cache = Cache()
    listener = Stuck()
    cache.listen(listener)
    teller = threading.Thread(target=lambda: cache.set("first", 1))
    teller.start()
    assert listener.entered.wait(60)
    yield cache, listener
    listener.free.set()
    teller.join(60)
    assert not teller.is_alive()


def taken_s(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_a_write_waits_for_a_listener_that_is_far_behind(stuck: tuple[Cache, Stuck]) -> None:
    cache, listener = stuck
    count = 0
    while cache._store.effects.waiting_bytes() + len(VALUE) < MOST_WAITING_BYTES:
        cache.set(f"k{count}", VALUE)
        count += 1
    assert count > 10
    threading.Timer(LONGEST_WAIT_S / 10, listener.free.set).start()
    cache.set("one too many", VALUE)
    # it has waited until there was room, and all is told in order
    assert cache._store.effects.waiting_bytes() <= MOST_WAITING_BYTES
    while len(listener.heard) < count + 2:
        time.sleep(0.001)
    assert sorted(listener.heard) == listener.heard
    assert cache._store.effects.waiting_bytes() == 0


def test_no_write_waits_for_ever(stuck: tuple[Cache, Stuck]) -> None:
    cache, _listener = stuck
    cache.set("large", bytes(MOST_WAITING_BYTES + 1))
    assert taken_s(lambda: cache.set("k", 1)) >= LONGEST_WAIT_S
    assert cache.get("k") == 1


def test_a_listener_that_writes_does_not_wait_for_itself() -> None:
    cache = Cache()
    heard: list[str] = []
    waits: list[float] = []

    def write_again(effect: Effect) -> None:
        heard.append(effect.key)
        if effect.key == "first":
            waits.append(taken_s(lambda: cache.set("large", bytes(MOST_WAITING_BYTES + 1))))

    cache.listen(write_again)
    cache.set("first", 1)
    assert heard == ["first", "large"]
    assert waits[0] < LONGEST_WAIT_S
    assert cache._store.effects.waiting_bytes() == 0
