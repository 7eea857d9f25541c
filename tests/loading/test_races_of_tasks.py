"""Races of tasks on asyncio and trio, in an order that the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import trio
from scenes import Caller, Source, settled, until, waiting

from cachestorm import Cache, ManualClock
from cachestorm.loading import current_load
from cachestorm.loading.engine import loading_of
from cachestorm.loading.notes import MOST_NOTES


async def _await(awaitable: Any) -> Any:
    return await awaitable


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock)


async def until_waiting(cache: Cache, number: int) -> None:
    while waiting(cache, "k") != number:
        await asyncio.sleep(0)


def test_each_who_inherits_a_load_may_be_cancelled_in_turn(cache: Cache) -> None:
    began: list[int] = []

    async def main() -> Any:
        go = asyncio.Event()

        async def load() -> int:
            began.append(1)
            await go.wait()
            return len(began)

        tasks = [asyncio.create_task(_await(cache.aget_or_set("k", load))) for _ in range(5)]
        await until_waiting(cache, 4)
        for left in (3, 2, 1):
            leader = next(task for task in tasks if not task.done())
            # the first who was woken leads now, and the others wait for it
            leading = loading_of(cache).flights["k"]
            leader.cancel()
            await asyncio.wait([leader])
            while loading_of(cache).flights.get("k") in (None, leading):
                await asyncio.sleep(0)
            await until_waiting(cache, left)
        go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    got = asyncio.run(main())
    assert [type(each) for each in got[:3]] == [asyncio.CancelledError] * 3
    assert got[3:] == [4, 4]
    settled(cache)


def test_when_all_are_cancelled_the_next_call_loads(cache: Cache) -> None:
    async def main() -> Any:
        async def load() -> None:
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(_await(cache.aget_or_set("k", load))) for _ in range(4)]
        await until_waiting(cache, 3)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return await cache.aget_or_set("k", lambda: "new")

    assert asyncio.run(main()) == "new"
    settled(cache)


def test_cancelling_a_task_that_leads_hands_over_to_a_thread(cache: Cache) -> None:
    source = Source("of the thread", is_open=True)

    async def main() -> Any:
        async def load() -> None:
            await asyncio.Event().wait()

        leader = asyncio.create_task(_await(cache.aget_or_set("k", load)))
        while not loading_of(cache).flights:
            await asyncio.sleep(0)
        thread = Caller(lambda: cache.get_or_set("k", source))
        await until_waiting(cache, 1)
        leader.cancel()
        await asyncio.wait([leader])
        return await asyncio.to_thread(thread.result)

    assert asyncio.run(main()) == "of the thread"
    settled(cache)


def test_cancelling_one_who_waits_harms_no_other_under_trio(cache: Cache) -> None:
    source = Source("v")
    got: list[Any] = []

    async def ask() -> None:
        got.append(await cache.aget_or_set("k", source))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as cancelled:
                    cancelled.start_soon(ask)
                    while waiting(cache, "k") < 2:
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
            assert waiting(cache, "k") == 1
            source.let_go()

    leader = Caller(lambda: cache.get_or_set("k", source))
    source.has_begun()
    trio.run(main)
    assert (leader.result(), got, source.calls) == ("v", ["v"], 1)
    settled(cache)


def test_a_thread_that_would_block_the_trio_loop_of_the_leader_loads_alone(
    cache: Cache,
) -> None:
    got: list[Any] = []

    async def main() -> None:
        go = trio.Event()

        async def load() -> str:
            await go.wait()
            return "task"

        async def lead() -> None:
            got.append(await cache.aget_or_set("k", load))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lead)
            while not loading_of(cache).flights:
                await trio.lowlevel.checkpoint()
            got.append(cache.get_or_set("k", lambda: "thread"))
            go.set()

    trio.run(main)
    assert got == ["thread", "task"]
    settled(cache)


# -- refreshes


def refreshed(cache: Cache, clock: ManualClock, options: dict[str, Any], after: float) -> None:
    """Many ask while one load runs beside them: all are served, and nobody else loads."""
    source = Source("new")
    cache.get_or_set("k", lambda: "old", **options)
    clock.advance(after)
    got = [cache.get_or_set("k", source, **options) for _ in range(5)]
    source.has_begun()
    got += [cache.get_or_set("k", source, **options) for _ in range(5)]
    assert (got, source.calls) == (["old"] * 10, 1)
    source.let_go()
    settled(cache)
    assert (cache.get_or_set("k", source, **options), source.calls) == ("new", 1)


@pytest.mark.parametrize(
    ("options", "after"),
    [({"ttl": 10, "eager": 0.5}, 6), ({"ttl": 10, "stale": 60}, 20)],
    ids=["eager", "stale"],
)
def test_one_load_refreshes_what_many_ask_for(
    cache: Cache, clock: ManualClock, options: dict[str, Any], after: float
) -> None:
    refreshed(cache, clock, options, after)


def test_one_early_load_refreshes_what_many_ask_for(cache: Cache, clock: ManualClock) -> None:
    loading = loading_of(cache)
    source = Source("new")
    options: dict[str, Any] = {"ttl": 10, "early": 1.0}
    cache.get_or_set("k", lambda: "old", **options)
    note = loading.notes.get("k")
    assert note is not None
    # ln(2) times this is more than what is left of the time to live
    note.load_ms = 20_000.0
    loading.random = lambda: 0.5
    got = [cache.get_or_set("k", source, **options) for _ in range(5)]
    source.has_begun()
    got += [cache.get_or_set("k", source, **options) for _ in range(5)]
    assert (got, source.calls) == (["old"] * 10, 1)
    source.let_go()
    settled(cache)
    loading.random = lambda: 0.0
    assert (cache.get_or_set("k", source, **options), source.calls) == ("new", 1)


def test_an_invalidation_beats_a_refresh_in_the_background(
    cache: Cache, clock: ManualClock
) -> None:
    source = Source("outdated", "new")
    options: dict[str, Any] = {"ttl": 10, "stale": 60, "tags": ["t"]}
    cache.get_or_set("k", lambda: "old", **options)
    clock.advance(20)
    assert cache.get_or_set("k", source, **options) == "old"
    source.has_begun()
    cache.invalidate("t")
    source.let_go()
    settled(cache)
    assert cache.get("k") is None
    assert cache.get_or_set("k", source, **options) == "new"


def test_a_task_is_served_the_stale_value_after_a_soft_timeout(
    cache: Cache, clock: ManualClock
) -> None:
    options: dict[str, Any] = {"ttl": 10, "stale_if_error": 60, "soft_timeout": 0.001}

    async def main() -> Any:
        go = asyncio.Event()

        async def load() -> str:
            await go.wait()
            return "new"

        got = [await cache.aget_or_set("k", load, **options) for _ in range(3)]
        go.set()
        while not cache.exists("k"):
            await asyncio.sleep(0)
        return [*got, cache.get("k")]

    cache.get_or_set("k", lambda: "old", **options)
    clock.advance(20)
    assert asyncio.run(main()) == ["old", "old", "old", "new"]
    settled(cache)


def test_a_source_that_fails_is_not_asked_by_tasks_before_the_throttle_has_passed(
    cache: Cache, clock: ManualClock
) -> None:
    source = Source(ValueError(), "new", is_open=True)
    options: dict[str, Any] = {"ttl": 10, "stale_if_error": 600, "throttle": 30}

    async def ask() -> list[Any]:
        return [await cache.aget_or_set("k", source, **options) for _ in range(3)]

    cache.get_or_set("k", lambda: "old", **options)
    clock.advance(20)
    assert (asyncio.run(ask()), source.calls) == (["old"] * 3, 1)
    clock.advance(30)
    assert (asyncio.run(ask()), source.calls) == (["new"] * 3, 2)


# -- what the page says beside


def test_ten_thousand_stale_values_are_kept_and_not_one_more(cache: Cache) -> None:
    for number in range(MOST_NOTES + 5):
        cache.get_or_set(f"k{number}", lambda: "v", ttl=10, stale=60)
    assert (MOST_NOTES, len(loading_of(cache).notes)) == (10_000, 10_000)


def _call(cache: Cache, loader: Callable[..., Any]) -> Any:
    return cache.get_or_set("k", loader)


def _acall(cache: Cache, loader: Callable[..., Any]) -> Any:
    return asyncio.run(_await(cache.aio.get_or_set("k", loader)))


@pytest.mark.parametrize("call", [_call, _acall])
def test_code_that_a_loader_calls_finds_the_same_context(
    cache: Cache, call: Callable[..., Any]
) -> None:
    def load(context: Any) -> bool:
        return current_load() is context

    assert call(cache, load) is True
    assert current_load() is None


def test_who_has_a_timeout_waits_for_the_load_of_one_who_has_none(cache: Cache) -> None:
    source = Source("v")
    leader = Caller(lambda: cache.get_or_set("k", source))
    source.has_begun()
    others = [Caller(lambda: cache.get_or_set("k", source, timeout=60)) for _ in range(8)]
    until(lambda: waiting(cache, "k") == 8)
    source.let_go()
    assert {caller.result() for caller in [leader, *others]} == {"v"}
    assert source.calls == 1
    settled(cache)
