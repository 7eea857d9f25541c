"""Bugs that were reproduced in other caches, none of which CacheStorm has.

`docs/peers.md` names the cache that has each of them. Times are those of a manual clock.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from scenes import Caller, Source, settled, until, waiting

from cachestorm import MISSING, Cache, ManualClock
from cachestorm.locks.lock import LockError

CALLERS = 8


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock)


# -- loads


def test_an_error_of_the_call_that_loads_ends_the_wait_of_all_and_the_next_call_loads(
    cache: Cache,
) -> None:
    source = Source(ValueError("down"), "up")
    function = cache.memoize(key="k")(lambda: source())
    callers = [Caller(function) for _ in range(CALLERS)]
    until(lambda: waiting(cache, "k") == CALLERS - 1)
    source.let_go()
    assert [str(caller.error()) for caller in callers] == ["down"] * CALLERS
    assert (function(), source.calls) == ("up", 2)
    settled(cache)


def test_an_error_of_a_coroutine_is_not_given_to_later_calls(cache: Cache) -> None:
    calls: list[int] = []

    @cache.memoize
    async def function() -> str:
        calls.append(1)
        await asyncio.sleep(0)
        if len(calls) < 3:
            raise ValueError
        return "up"

    async def main() -> Any:
        for _ in range(2):
            with pytest.raises(ValueError):
                await function()
        return await function()

    assert asyncio.run(main()) == "up"
    assert len(calls) == 3


def in_threads(cache: Cache, source: Source) -> None:
    function = cache.memoize(key="k")(lambda: source())
    callers = [Caller(function) for _ in range(CALLERS)]
    until(lambda: waiting(cache, "k") == CALLERS - 1)
    source.let_go()
    assert [caller.result() for caller in callers] == ["v"] * CALLERS


def in_tasks(cache: Cache, source: Source) -> None:
    go = asyncio.Event()

    @cache.memoize(key="k")
    async def function() -> Any:
        await go.wait()
        return source()

    async def main() -> list[Any]:
        tasks = [asyncio.ensure_future(function()) for _ in range(CALLERS)]
        while waiting(cache, "k") < CALLERS - 1:
            await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*tasks)

    source.let_go()
    assert asyncio.run(main()) == ["v"] * CALLERS


@pytest.mark.parametrize("stampede", [in_threads, in_tasks])
def test_a_stampede_calls_the_function_once(
    cache: Cache, stampede: Callable[[Cache, Source], None]
) -> None:
    source = Source("v")
    stampede(cache, source)
    assert source.calls == 1


@pytest.mark.parametrize("soft", [False, True])
def test_a_load_that_began_before_an_invalidation_leaves_nothing_old(
    cache: Cache, soft: bool
) -> None:
    source = Source("old", "new")
    caller = Caller(lambda: cache.get_or_set("k", source, tags=["t"]))
    source.has_begun()
    cache.invalidate("t", soft=soft)
    source.let_go()
    assert caller.result() == "old"
    assert cache.get_or_set("k", source, tags=["t"]) == "new"
    assert cache.get("k") == "new"


# -- what is stored


def test_every_thread_sees_the_same_cache(cache: Cache) -> None:
    cache.set("k", "of the main thread")
    assert Caller(lambda: cache.get("k")).result() == "of the main thread"


def test_add_gives_the_default_time_to_live_and_takes_none_for_never(
    clock: ManualClock,
) -> None:
    cache = Cache(default_ttl=60, clock=clock)
    assert cache.add("default", 1) and cache.add("never", 1, ttl=None)
    assert (cache.ttl("default"), cache.ttl("never", MISSING)) == (60.0, None)
    clock.advance(60)
    assert cache.keys() == ["never"]


def test_a_plain_set_ends_the_old_time_to_live(cache: Cache, clock: ManualClock) -> None:
    cache.set("k", 1, ttl=10)
    cache.set("k", 2)
    clock.advance(11)
    assert cache.get("k") == 2


def test_a_key_set_after_clear_keeps_nothing_of_the_deadline_before(
    cache: Cache, clock: ManualClock
) -> None:
    cache.set("k", "old", ttl=10)
    cache.clear()
    cache.set("k", "new")
    clock.advance(11)
    cache.reap()
    assert cache.get("k") == "new"


def test_a_key_set_after_its_deletion_keeps_nothing_of_the_deadline_before(
    cache: Cache, clock: ManualClock
) -> None:
    cache.set("k", None, ttl=10)
    cache.delete("k")
    cache.set("k", "new")
    clock.advance(11)
    cache.reap()
    assert cache.get("k") == "new"


def test_deleting_a_value_of_none_counts(cache: Cache) -> None:
    cache.set("k", None, ttl=10)
    assert [cache.delete("k"), cache.delete("k")] == [1, 0]


def test_keys_without_an_end_fill_the_cache_to_its_limit() -> None:
    cache = Cache(max_entries=3)
    for number in range(5):
        cache.set(f"k{number}", number)
    assert len(cache) == 3


def test_what_never_ends_outlives_what_ends_soon(clock: ManualClock) -> None:
    cache = Cache(max_entries=100, policy="volatile-ttl", clock=clock)
    for number in range(50):
        cache.set(f"for ever {number}", number)
    for number in range(500):
        cache.set(f"an hour {number}", number, ttl=3600)
    assert len(cache.keys("for ever *")) == 50


def test_a_lock_is_not_released_by_another_owner(cache: Cache) -> None:
    owner, other = cache.lock("l"), cache.lock("l")
    assert owner.acquire(timeout=0)
    with pytest.raises(LockError):
        other.release()
    assert not other.acquire(timeout=0)
    owner.release()
    assert other.acquire(timeout=0)


def test_statistics_are_the_same_however_often_they_are_read(cache: Cache) -> None:
    cache.set("k", 1)
    cache.get("k")
    assert cache.stats() == cache.stats() == cache.stats()


def test_the_hit_ratio_of_an_empty_cache_is_zero(cache: Cache) -> None:
    function = cache.memoize(lambda x: x)
    assert cache.stats().hit_ratio == 0.0
    assert function.cache_info() == (0, 0, None, 0)


# -- tasks


def test_an_awaited_call_stays_in_the_thread_of_its_loop(cache: Cache) -> None:
    async def main() -> tuple[int, int]:
        await cache.aio.set("k", 1)
        await cache.aio.get("k")
        loaded_by = await cache.aget_or_set("thread", threading.get_ident)
        return loaded_by, threading.active_count()

    threads = threading.active_count()
    assert asyncio.run(main()) == (threading.get_ident(), threads)
