"""The reaper: a thread, a task, and none."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.errors import ConfigError

KEYS = 3000


def due(clock: ManualClock) -> Cache:
    """A cache full of keys that are due and not yet reaped."""
    cache = Cache(clock=clock)
    for number in range(KEYS):
        cache.set(f"k{number}", number, ttl=1)
    clock.advance(5)
    assert len(cache) == KEYS
    return cache


def until_empty(cache: Cache) -> None:
    gives_up_at = time.monotonic() + 30
    while len(cache) and time.monotonic() < gives_up_at:
        time.sleep(0.001)
    assert len(cache) == 0


def test_a_thread_lets_go_of_what_is_due() -> None:
    cache = due(ManualClock())
    reaper = cache.reaper(every=0.001)
    assert not reaper.is_running
    with reaper:
        assert reaper.is_running
        until_empty(cache)
    assert not reaper.is_running
    reaper.stop()
    cache._check()


def test_a_task_lets_go_of_what_is_due_and_lets_others_run() -> None:
    cache = due(ManualClock())
    turns = 0

    async def watch() -> None:
        nonlocal turns
        async with cache.reaper(every=0.001) as reaper:
            while len(cache):
                turns += 1
                await asyncio.sleep(0)
            assert reaper.is_running
        assert not reaper.is_running

    asyncio.run(asyncio.wait_for(watch(), 60))
    assert turns > 2
    cache._check()


def test_it_keeps_no_cache_alive() -> None:
    cache = due(ManualClock())
    cache.reaper(every=0.001).start()
    named = [each for each in threading.enumerate() if each.name == "cachestorm-reaper"]
    assert len(named) == 1
    del cache
    gc.collect()
    named[0].join(30)
    assert not named[0].is_alive()


@pytest.mark.parametrize("every", [0, -1, float("nan")])
def test_a_rest_is_positive(every: float) -> None:
    with pytest.raises(ConfigError):
        Cache().reaper(every)


def test_a_listener_in_its_thread_may_stop_it() -> None:
    cache = Cache()
    reaper = cache.reaper(every=0.001)
    failures: list[BaseException] = []

    def listener(key: str, value: object, cause: object) -> None:
        try:
            reaper.stop()
        except BaseException as failure:
            failures.append(failure)

    cache.on_removed(listener)
    # due after it was set, so that only the reaper meets it
    cache.set("a", 1, ttl=0.05)
    reaper.start()
    gives_up_at = time.monotonic() + 30
    while reaper.is_running and time.monotonic() < gives_up_at:
        time.sleep(0.001)
    assert not reaper.is_running
    assert not failures
    with reaper:
        assert reaper.is_running
