"""Loads that go wrong, and programs that end in the middle of one."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import trio
from scenes import Caller, Source, settled, until, waiting

from cachestorm import Cache, ManualClock
from cachestorm.loading import LoadTimeoutError
from cachestorm.loading.context import at_work
from cachestorm.loading.drivers import _tasks
from cachestorm.loading.engine import loading_of
from cachestorm.loading.flight import _blocked


async def _await(awaitable: Any) -> Any:
    return await awaitable


# -- a loader that never returns


def test_a_load_that_never_returns_holds_nobody_beyond_a_timeout() -> None:
    cache, source = Cache(), Source("late")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            cache.get_or_set("k", source, timeout=0.001)
    assert source.calls == 1
    source.let_go()
    until(lambda: cache.get("k") == "late")
    settled(cache)


@pytest.mark.parametrize(
    "end", [lambda cache: cache.delete("k"), lambda cache: cache.invalidate("t")]
)
def test_after_an_invalidation_nobody_waits_for_a_load_that_never_returns(
    end: Callable[[Cache], Any],
) -> None:
    cache, source = Cache(), Source("never")
    with pytest.raises(LoadTimeoutError):
        cache.get_or_set("k", source, tags=["t"], timeout=0.001)
    end(cache)
    assert cache.get_or_set("k", lambda: "new", tags=["t"]) == "new"
    source.let_go()
    settled(cache)
    assert cache.get("k") == "new"


# -- loops and interpreters that end


def test_a_task_that_waits_in_a_loop_that_is_closed_harms_nobody() -> None:
    cache, source = Cache(), Source("v")
    leader = Caller(lambda: cache.get_or_set("k", source))
    source.has_begun()
    loop = asyncio.new_event_loop()
    task = loop.create_task(_await(cache.aget_or_set("k", source)))
    while not waiting(cache, "k"):
        loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    other = Caller(lambda: cache.get_or_set("k", source))
    until(lambda: waiting(cache, "k") == 2)
    source.let_go()
    assert (leader.result(), other.result()) == ("v", "v")
    del task
    gc.collect()
    settled(cache)


def test_a_loop_that_is_closed_with_all_its_tasks_harms_no_later_caller() -> None:
    cache = Cache()
    loop = asyncio.new_event_loop()

    async def load() -> str:
        await asyncio.Event().wait()
        return "never"

    tasks = [loop.create_task(_await(cache.aget_or_set("k", load))) for _ in range(2)]
    while not waiting(cache, "k"):
        loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert cache.get_or_set("k", lambda: "new") == "new"
    del tasks
    gc.collect()
    settled(cache)


def test_a_load_that_is_collected_inside_of_another_leaves_that_one_its_parts() -> None:
    cache = Cache()

    async def begun() -> Any:
        left = cache.aget_or_set("left", asyncio.Event().wait)
        left.send(None)
        return left

    left = asyncio.run(begun())

    def whole() -> str:
        left.close()
        return cache.get_or_set("part", lambda: "part", tags=["t"])

    assert cache.get_or_set("whole", whole) == "part"
    assert cache.tags("whole") == ["t"]
    settled(cache)


def test_a_background_load_of_a_loop_that_ends_is_given_up() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)

    async def load() -> str:
        await asyncio.Event().wait()
        return "never"

    async def main() -> Any:
        found = await cache.aget_or_set("k", load, ttl=10, stale=60)
        await asyncio.sleep(0)
        return found

    cache.get_or_set("k", lambda: "old", ttl=10, stale=60)
    clock.advance(20)
    assert asyncio.run(main()) == "old"
    assert cache.get_or_set("k", lambda: "new", ttl=10, stale=0.001) in ("old", "new")
    settled(cache)


EXIT = """
import asyncio, threading
from cachestorm import Cache, ManualClock
clock = ManualClock()
cache = Cache(clock=clock)
began = threading.Event()

def never():
    began.set()
    threading.Event().wait()

async def anever():
    began.set()
    await asyncio.Event().wait()

cache.get_or_set("k", lambda: "old", ttl=10, stale=60)
clock.advance(20)
{body}
print("ends")
"""
BODIES = {
    "refresh": 'assert cache.get_or_set("k", never, ttl=10, stale=60) == "old"; began.wait()',
    "timeout": """
try:
    cache.get_or_set("l", never, timeout=0.01)
except TimeoutError:
    began.wait()
""",
    "task": """
async def main():
    assert await cache.aget_or_set("k", anever, ttl=10, stale=60) == "old"
    await asyncio.sleep(0)
asyncio.run(main())
assert began.is_set()
""",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_interpreter_ends_with_a_load_in_flight(body: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EXIT.format(body=body)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_process_does_not_wait_for_a_load_of_its_parent() -> None:
    cache, source = Cache(), Source("of the parent")
    caller = Caller(lambda: cache.get_or_set("k", source))
    source.has_begun()
    child = os.fork()
    if child == 0:
        loaded = cache.get_or_set("k", lambda: "of the child", timeout=10)
        os._exit(0 if loaded == "of the child" else 1)
    assert os.waitpid(child, 0)[1] == 0
    source.let_go()
    assert caller.result() == "of the parent"
    settled(cache)


# -- errors that reach many


def test_an_error_reaches_threads_and_tasks_alike() -> None:
    cache, source = Cache(), Source(ValueError("x"))
    leader = Caller(lambda: cache.get_or_set("k", source))
    source.has_begun()
    others = [
        Caller(lambda: cache.get_or_set("k", source)),
        Caller(lambda: asyncio.run(_await(cache.aget_or_set("k", source)))),
        Caller(lambda: trio.run(_await, cache.aget_or_set("k", source))),
    ]
    until(lambda: waiting(cache, "k") == 3)
    source.let_go()
    assert {type(caller.error()) for caller in [leader, *others]} == {ValueError}
    assert source.calls == 1
    settled(cache)


def test_what_is_no_key_is_refused_before_the_loader_runs() -> None:
    cache, source = Cache(), Source(1, is_open=True)
    for key in (None, 7, ["k"]):
        with pytest.raises(TypeError):
            cache.get_or_set(key, source)  # type: ignore[arg-type]
    assert source.calls == 0
    settled(cache)


# -- nothing is left behind


class Value:
    """Something that a weak reference can tell of."""


def _loaded(cache: Cache, value: Any) -> None:
    cache.get_or_set("k", lambda: value)
    cache.delete("k")


def _failed(cache: Cache, value: Any) -> None:
    def load() -> None:
        raise LookupError(value)

    with pytest.raises(LookupError):
        cache.get_or_set("k", load)


def _stale(cache: Cache, value: Any) -> None:
    cache.get_or_set("k", lambda: value, ttl=60, stale=60)
    cache.delete("k")
    # what is kept beside the store is looked through by the next load
    cache.get_or_set("l", lambda: 1)


def _cancelled(cache: Cache, value: Any) -> None:
    async def load() -> Any:
        await asyncio.Event().wait()
        return value

    async def main() -> None:
        tasks = [asyncio.create_task(_await(cache.aget_or_set("k", load))) for _ in range(3)]
        while waiting(cache, "k") < 2:
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(main())


def _timed_out(cache: Cache, value: Any) -> None:
    gate = threading.Event()

    def load() -> Any:
        gate.wait()
        return value

    with pytest.raises(LoadTimeoutError):
        cache.get_or_set("k", load, timeout=0.001)
    gate.set()
    until(lambda: cache.exists("k"))
    cache.delete("k")


def _memoized(cache: Cache, value: Any) -> None:
    function = cache.memoize(lambda x: x)
    function(value)
    function.cache_clear()


@pytest.mark.parametrize("run", [_loaded, _failed, _stale, _cancelled, _timed_out, _memoized])
def test_a_load_leaves_nothing_behind(run: Callable[[Cache, Any], None]) -> None:
    cache = Cache()
    before = len(at_work), len(_blocked), len(_tasks)
    value = Value()
    reference = weakref.ref(value)
    run(cache, value)
    del value
    settled(cache)
    # a thread that has loaded may be about to end
    until(lambda: gc.collect() >= 0 and reference() is None)
    assert (len(at_work), len(_blocked), len(_tasks)) == before
    assert not loading_of(cache).flights


def test_thousands_of_loads_take_no_memory_that_stays() -> None:
    cache = Cache()
    loading = loading_of(cache)
    for number in range(3_000):
        cache.get_or_set(f"k{number}", lambda: 1, tags=[f"t{number}"])
        cache.delete(f"k{number}")
    settled(cache)
    assert (len(loading.notes), len(loading.flights), len(loading.log.all_open())) == (0, 0, 0)
    assert cache.stats().used_memory == 0
