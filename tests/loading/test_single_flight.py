"""One load for all who ask, whatever becomes of whoever leads it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
from scenes import Caller, Source, settled, until, waiting

from cachestorm import MISSING, Cache
from cachestorm.errors import ArgumentError, InvalidTtlError
from cachestorm.loading import LoadTimeoutError
from cachestorm.loading.engine import loading_of


def test_many_threads_ask_and_one_loads() -> None:
    cache, source = Cache(), Source(7)
    callers = [Caller(lambda: cache.get_or_set("k", source)) for _ in range(64)]
    until(lambda: waiting(cache, "k") == 63)
    source.let_go()
    assert [caller.result() for caller in callers] == [7] * 64
    assert source.calls == 1
    settled(cache)


def test_an_error_reaches_all_who_wait_and_leaves_nothing_behind() -> None:
    cache, source = Cache(), Source(ValueError("x"))
    callers = [Caller(lambda: cache.get_or_set("k", source)) for _ in range(8)]
    until(lambda: waiting(cache, "k") == 7)
    source.let_go()
    assert [type(caller.error()) for caller in callers] == [ValueError] * 8
    assert source.calls == 1
    settled(cache)
    assert cache.get_or_set("k", lambda: 5) == 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_thread_that_leads_hands_over_to_another(
    error: type[BaseException],
) -> None:
    cache, source = Cache(), Source(error(), 9)
    leader = Caller(lambda: cache.get_or_set("k", source))
    source.has_begun()
    other = Caller(lambda: cache.get_or_set("k", source))
    until(lambda: waiting(cache, "k") == 1)
    source.let_go()
    assert type(leader.error()) is error
    assert other.result() == 9
    settled(cache)


def test_a_key_that_landed_between_look_and_lead_is_not_loaded_again() -> None:
    cache = Cache()
    loading = loading_of(cache)
    join = loading._join

    def late(*arguments: Any) -> Any:
        if not cache.exists("k"):
            cache.set("k", 1)
        return join(*arguments)

    loading._join = late  # type: ignore[method-assign]
    assert cache.get_or_set("k", lambda: 2) == 1
    settled(cache)


def test_a_load_of_the_same_key_inside_its_loader_loads_alone() -> None:
    cache = Cache()
    depth: list[int] = []

    def load() -> int:
        depth.append(1)
        return 1 if len(depth) == 3 else cache.get_or_set("k", load) + 1

    assert cache.get_or_set("k", load) == 3
    settled(cache)


def test_two_threads_that_load_what_the_other_is_loading_both_come_back() -> None:
    cache = Cache()
    both = threading.Barrier(2)

    def load(other: str) -> Callable[[], str]:
        def run() -> str:
            both.wait(60)
            return cache.get_or_set(other, lambda: f"{other} alone")

        return run

    callers = [
        Caller(lambda: cache.get_or_set("a", load("b"))),
        Caller(lambda: cache.get_or_set("b", load("a"))),
    ]
    assert sorted(caller.result() for caller in callers) in (
        # whichever asks last finds that it would close the cycle
        ["a alone", "a alone"],
        ["b alone", "b alone"],
        ["a alone", "b alone"],
    )
    settled(cache)


def test_a_cycle_of_waits_through_a_third_is_seen() -> None:
    cache = Cache()
    ring = threading.Barrier(3)

    def load(other: str) -> Callable[[], str]:
        def run() -> str:
            ring.wait(60)
            return cache.get_or_set(other, lambda: "alone")

        return run

    pairs = [("a", "b"), ("b", "c"), ("c", "a")]
    callers = [
        Caller(lambda key=key, other=other: cache.get_or_set(key, load(other)))  # type: ignore[misc]
        for key, other in pairs
    ]
    assert [caller.result() for caller in callers] == ["alone"] * 3
    settled(cache)


def test_a_child_task_that_waits_for_its_own_parent_loads_alone() -> None:
    cache = Cache()

    async def load() -> str:
        (found,) = await asyncio.gather(cache.aget_or_set("k", lambda: "child"))
        return f"parent of {found}"

    assert asyncio.run(_await(cache.aget_or_set("k", load))) == "parent of child"
    settled(cache)


async def _await(awaitable: Any) -> Any:
    return await awaitable


def test_a_thread_that_would_block_the_loop_of_the_leader_loads_alone() -> None:
    cache = Cache()

    async def main() -> list[Any]:
        go = asyncio.Event()

        async def load() -> str:
            await go.wait()
            return "task"

        leader = asyncio.create_task(_await(cache.aget_or_set("k", load)))
        await asyncio.sleep(0)
        assert loading_of(cache).flights
        blocking = cache.get_or_set("k", lambda: "thread")
        go.set()
        return [blocking, await leader]

    assert asyncio.run(main()) == ["thread", "task"]
    settled(cache)


def test_two_loops_that_block_on_each_others_tasks_both_come_back() -> None:
    cache = Cache()
    both = threading.Barrier(2)

    async def main(mine: str, other: str) -> list[Any]:
        go = asyncio.Event()

        async def load() -> str:
            await go.wait()
            return mine

        leader = asyncio.create_task(_await(cache.aget_or_set(mine, load)))
        await asyncio.sleep(0)
        both.wait(60)
        blocking = cache.get_or_set(other, lambda: "alone")
        go.set()
        return [blocking, await leader]

    callers = [
        Caller(lambda: asyncio.run(main("a", "b"))),
        Caller(lambda: asyncio.run(main("b", "a"))),
    ]
    got = [caller.result() for caller in callers]
    assert "alone" in (got[0][0], got[1][0])
    assert [each[1] for each in got] == ["a", "b"]
    settled(cache)


def test_a_thousand_tasks_ask_and_one_loads() -> None:
    cache, calls = Cache(), []

    async def main() -> list[Any]:
        go = asyncio.Event()

        async def load() -> int:
            calls.append(1)
            await go.wait()
            return 3

        tasks = [asyncio.create_task(_await(cache.aget_or_set("k", load))) for _ in range(1000)]
        while waiting(cache, "k") < 999:
            await asyncio.sleep(0)
        go.set()
        return list(await asyncio.gather(*tasks))

    assert asyncio.run(main()) == [3] * 1000
    assert len(calls) == 1
    settled(cache)


def test_threads_and_tasks_wait_for_one_load_together() -> None:
    cache, source = Cache(), Source(4)
    thread = Caller(lambda: cache.get_or_set("k", source))
    source.has_begun()
    on_asyncio = Caller(lambda: asyncio.run(_await(cache.aget_or_set("k", source))))
    on_trio = Caller(lambda: trio.run(_await, cache.aget_or_set("k", source)))
    until(lambda: waiting(cache, "k") == 2)
    source.let_go()
    assert [thread.result(), on_asyncio.result(), on_trio.result()] == [4, 4, 4]
    assert source.calls == 1
    settled(cache)


def test_threads_wait_for_a_load_that_a_task_leads() -> None:
    cache = Cache()
    threads: list[Caller] = []

    async def load() -> int:
        threads.extend(Caller(lambda: cache.get_or_set("k", lambda: 0)) for _ in range(4))
        while waiting(cache, "k") < 4:
            await asyncio.sleep(0)
        return 8

    assert asyncio.run(_await(cache.aget_or_set("k", load))) == 8
    assert [thread.result() for thread in threads] == [8] * 4
    settled(cache)


def test_cancelling_one_who_waits_harms_no_other() -> None:
    cache = Cache()

    async def main() -> list[Any]:
        go = asyncio.Event()

        async def load() -> int:
            await go.wait()
            return 2

        tasks = [asyncio.create_task(_await(cache.aget_or_set("k", load))) for _ in range(3)]
        while waiting(cache, "k") < 2:
            await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        assert waiting(cache, "k") == 1
        go.set()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    first, second, third = asyncio.run(main())
    assert (first, type(second), third) == (2, asyncio.CancelledError, 2)
    settled(cache)


def test_cancelling_the_leader_hands_over() -> None:
    cache, calls = Cache(), []

    async def main() -> list[Any]:
        go = asyncio.Event()

        async def load() -> int:
            calls.append(1)
            await go.wait()
            return len(calls)

        tasks = [asyncio.create_task(_await(cache.aget_or_set("k", load))) for _ in range(3)]
        while waiting(cache, "k") < 2:
            await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        go.set()
        return list(await asyncio.gather(*tasks[1:]))

    assert asyncio.run(main()) == [2, 2]
    settled(cache)


def test_cancelling_the_leader_hands_over_under_trio() -> None:
    cache, calls = Cache(), []
    got: list[int] = []

    async def main() -> None:
        go = trio.Event()

        async def load() -> int:
            calls.append(1)
            await go.wait()
            return len(calls)

        async def ask() -> None:
            got.append(await cache.aget_or_set("k", load))

        async with trio.open_nursery() as others:
            with trio.CancelScope() as leading:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ask)
                    while not calls:
                        await trio.lowlevel.checkpoint()
                    others.start_soon(ask)
                    others.start_soon(ask)
                    while waiting(cache, "k") < 2:
                        await trio.lowlevel.checkpoint()
                    leading.cancel()
            go.set()

    trio.run(main)
    assert got == [2, 2]
    settled(cache)


def test_a_loop_that_is_closed_in_the_middle_of_a_load_lets_others_go_on() -> None:
    cache = Cache()
    loop = asyncio.new_event_loop()

    async def load() -> int:
        await asyncio.Event().wait()
        return 1

    task = loop.create_task(_await(cache.aget_or_set("k", load)))
    loop.run_until_complete(asyncio.sleep(0))
    waiter = Caller(lambda: cache.get_or_set("k", lambda: 2))
    until(lambda: waiting(cache, "k") == 1)
    loop.close()
    assert waiter.result() == 2
    assert cache.get("k") == 2
    del task


def test_a_load_inside_a_transaction_waits_for_nobody() -> None:
    cache, source = Cache(), Source("other")
    leader = Caller(lambda: cache.get_or_set("k", source))
    source.has_begun()
    with cache.transaction():
        got = cache.get_or_set("k", lambda: "mine", timeout=5)
    source.let_go()
    assert (got, leader.result()) == ("mine", "other")
    assert cache.get("k") == "mine"
    settled(cache)


def test_whoever_waits_too_long_gets_an_error_and_the_load_goes_on() -> None:
    cache, source = Cache(), Source(6)
    with pytest.raises(LoadTimeoutError):
        cache.get_or_set("k", source, timeout=0.01)
    assert waiting(cache, "k") == 0
    source.let_go()
    until(lambda: cache.get("k") == 6)
    settled(cache)


def test_a_task_that_waits_too_long_gets_an_error_and_the_load_goes_on() -> None:
    cache = Cache()

    async def main() -> Any:
        go = asyncio.Event()

        async def load() -> int:
            await go.wait()
            return 6

        with pytest.raises(LoadTimeoutError):
            await cache.aget_or_set("k", load, timeout=0.01)
        go.set()
        while not cache.exists("k"):
            await asyncio.sleep(0)

    asyncio.run(main())
    settled(cache)


def test_a_timeout_under_trio_leaves_the_load_going_on() -> None:
    cache = Cache()

    async def main() -> None:
        go = trio.Event()

        async def load() -> int:
            await go.wait()
            return 6

        with pytest.raises(LoadTimeoutError):
            await cache.aget_or_set("k", load, timeout=0.01)
        go.set()
        while not cache.exists("k"):
            await trio.sleep(0.001)

    trio.run(main)
    settled(cache)


def test_a_loader_that_exits_in_a_thread_of_its_own_is_told_to_its_caller() -> None:
    cache = Cache()
    with pytest.raises(SystemExit):
        cache.get_or_set("k", Source(SystemExit(), is_open=True), timeout=10)
    settled(cache)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_loader_that_forks_lands_in_both_processes() -> None:
    cache, other = Cache(), Source(1)
    Caller(lambda: cache.get_or_set("other", other))
    other.has_begun()

    def load() -> int:
        return os.fork()

    child = cache.get_or_set("k", load)
    if child == 0:
        # the load of the other thread stayed behind: here nobody waits for it
        fine = cache.get("k") == 0 and cache.get_or_set("other", lambda: 2, timeout=5) == 2
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    other.let_go()
    until(lambda: cache.get("other") == 1)
    assert cache.get("k") == child
    settled(cache)


def test_a_coroutine_function_is_refused_where_nobody_awaits() -> None:
    async def load() -> int:
        return 1

    with pytest.raises(TypeError, match="aget_or_set"):
        Cache().get_or_set("k", load)


def test_a_loader_that_is_no_coroutine_function_is_fine_where_one_awaits() -> None:
    assert asyncio.run(_await(Cache().aget_or_set("k", lambda: 1))) == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"early": -1}, ArgumentError),
        ({"early": float("nan")}, ArgumentError),
        ({"eager": 0}, ArgumentError),
        ({"eager": 2}, ArgumentError),
        ({"stale": 0}, InvalidTtlError),
        ({"ttl": -1}, InvalidTtlError),
        ({"timeout": "soon"}, InvalidTtlError),
        ({"soft_timeout": 1}, ArgumentError),
        ({"cache_errors": ValueError}, ArgumentError),
        ({"cache_errors": KeyboardInterrupt, "negative_ttl": 1}, TypeError),
        ({"tags": "users"}, TypeError),
        ({"colour": "red"}, TypeError),
    ],
)
def test_options_that_are_none_are_refused(options: dict[str, Any], error: type) -> None:
    cache = Cache()
    with pytest.raises(error):
        cache.get_or_set("k", lambda: 1, **options)
    assert cache.keys() == []


def test_what_is_stored_as_none_is_there() -> None:
    cache = Cache()
    assert cache.get_or_set("k", lambda: None) is None
    assert cache.get_or_set("k", lambda: 1) is None


def test_many_keys_are_loaded_by_one_call() -> None:
    cache, calls = Cache(), []
    cache.set("b", "old")

    def load(keys: list[str]) -> dict[str, str]:
        calls.append(keys)
        return {key: key.upper() for key in keys if key != "c"}

    got = cache.get_or_set_many(["a", "b", "c", "d", "a"], load, ttl=60, tags=["t"])
    assert got == {"a": "A", "b": "old", "d": "D"}
    assert calls == [["a", "c", "d"]]
    assert cache.tagkeys("t") == ["a", "d"]
    settled(cache)


def test_batches_that_overlap_load_each_key_once() -> None:
    cache, go, calls = Cache(), threading.Event(), []

    def load(keys: list[str]) -> dict[str, str]:
        calls.extend(keys)
        assert go.wait(60)
        return dict.fromkeys(keys, "v")

    first = Caller(lambda: cache.get_or_set_many(["a", "b"], load))
    until(lambda: len(calls) == 2)
    second = Caller(lambda: cache.get_or_set_many(["b", "c"], load))
    until(lambda: len(calls) == 3)
    single = Caller(lambda: cache.get_or_set("a", lambda: "mine"))
    until(lambda: waiting(cache, "a") == 1)
    go.set()
    assert first.result() == {"a": "v", "b": "v"}
    assert second.result() == {"b": "v", "c": "v"}
    assert (single.result(), calls) == ("v", ["a", "b", "c"])
    settled(cache)


def test_whoever_waits_for_a_key_that_a_batch_does_not_find_loads_it() -> None:
    cache, go = Cache(), threading.Event()

    def load(keys: list[str]) -> dict[str, str]:
        assert go.wait(60)
        return {}

    batch = Caller(lambda: cache.get_or_set_many(["a"], load))
    until(lambda: loading_of(cache).flights)
    single = Caller(lambda: cache.get_or_set("a", lambda: "mine"))
    until(lambda: waiting(cache, "a") == 1)
    go.set()
    assert (batch.result(), single.result()) == ({}, "mine")
    settled(cache)


def test_a_batch_that_fails_leaves_nothing_behind() -> None:
    cache = Cache()

    def load(keys: list[str]) -> dict[str, str]:
        raise ValueError

    with pytest.raises(ValueError):
        cache.get_or_set_many(["a", "b"], load)
    with pytest.raises(TypeError):
        cache.get_or_set_many(["a"], lambda keys: keys)  # type: ignore[arg-type, return-value]
    assert cache.keys() == []
    settled(cache)


def test_many_keys_are_loaded_by_one_await() -> None:
    async def load(keys: list[str]) -> dict[str, str]:
        return {key: key.upper() for key in keys}

    got = asyncio.run(_await(Cache().aget_or_set_many(["a", "b"], load)))
    assert got == {"a": "A", "b": "B"}


def test_a_value_that_finds_no_room_is_given_and_not_kept() -> None:
    cache = Cache(max_memory="1kb", policy="noeviction")
    value = "x" * 5000
    assert cache.get_or_set("k", lambda: value) == value
    assert cache.get("k", MISSING) is MISSING
    settled(cache)
