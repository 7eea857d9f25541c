"""What is loaded is loaded once, and kept unless it is outdated: near and far."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from caches import SERVERS, cache_at
from real_servers import HOST
from servers import our_server

from cachestorm import MISSING, connect
from cachestorm.loading import LoadTimeoutError, current_load
from cachestorm.locks import LockError
from cachestorm.memoizing import keys
from cachestorm.remote import leases
from cachestorm.remote.refusals import UnsupportedError

PATIENCE_S = 60.0


def until(is_so: Callable[[], bool]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def never() -> Any:
    """A loader that must not be called."""
    raise AssertionError("loaded again")


class Gate:
    """A loader that a test holds up."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.calls = 0
        self.began = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> Any:
        self.calls += 1
        self.began.set()
        assert self.may_end.wait(PATIENCE_S)
        return self.value


class Caller(threading.Thread):
    """A thread that calls something, and what came of it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__()
        self._function = function
        self.result: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._function()
        except Exception as error:
            self.result = error

    def end(self) -> Any:
        """What it gave, or raised."""
        self.join(PATIENCE_S)
        assert not self.is_alive()
        return self.result


@pytest.fixture(params=["memory", *SERVERS, "typed cachestorm", "near"])
def cache(request: pytest.FixtureRequest) -> Any:
    place = "cachestorm" if request.param == "near" else request.param
    options = {"near": True} if request.param == "near" else {}
    with cache_at(place, request, **options) as cache:
        yield cache


@pytest.fixture(params=SERVERS)
def two(request: pytest.FixtureRequest) -> Any:
    """Two connected caches, as two processes have them."""
    with cache_at(request.param, request) as one, connect(one.address.url) as other:
        yield one, other


def test_a_missing_value_is_loaded_and_kept(cache: Any) -> None:
    assert cache.get_or_set("k", lambda: {"a": 1}, ttl=60) == {"a": 1}
    assert cache.get_or_set("k", never) == {"a": 1}
    assert 50 < cache.ttl("k") <= 60
    assert cache.keys() == ["k"]


def test_none_is_kept_for_its_own_time(cache: Any) -> None:
    assert cache.get_or_set("k", lambda: None, ttl=None, negative_ttl=60) is None
    assert cache.get_or_set("k", never) is None
    assert 50 < cache.ttl("k") <= 60


def test_what_need_not_be_kept_is_not(cache: Any) -> None:
    def unkept(context: Any) -> int:
        context.keep = False
        return 1

    assert cache.get_or_set("k", unkept) == 1
    assert cache.get_or_set("k", lambda: 2, cache_if=lambda value: value > 5) == 2
    assert cache.keys() == []


def test_an_error_of_a_loader_is_raised_and_leaves_nothing(cache: Any) -> None:
    def failing() -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.get_or_set("k", failing)
    until(lambda: cache.keys() == [])
    assert cache.get_or_set("k", lambda: 1) == 1


def test_many_threads_load_once(cache: Any) -> None:
    gate = Gate(1)
    callers = [Caller(lambda: cache.get_or_set("k", gate)) for _ in range(8)]
    assert gate.began.wait(PATIENCE_S)
    gate.may_end.set()
    assert [caller.end() for caller in callers] == [1] * 8
    assert gate.calls == 1


def test_two_processes_load_once(two: Any) -> None:
    one, other = two
    gate = Gate("v")
    first = Caller(lambda: one.get_or_set("k", gate))
    assert gate.began.wait(PATIENCE_S)
    second = Caller(lambda: other.get_or_set("k", never))
    gate.may_end.set()
    assert [first.end(), second.end()] == ["v", "v"]
    assert one.keys() == ["k"]


def _load_in_a_process(url: str, number: int, results: Any) -> None:
    def slow() -> int:
        time.sleep(0.2)
        return number

    with connect(url) as cache:
        results.put(cache.get_or_set("k", slow))


@pytest.mark.parametrize("place", SERVERS)
def test_processes_get_the_value_of_one_of_them(
    place: str, request: pytest.FixtureRequest
) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with cache_at(place, request) as cache:
        processes = [
            context.Process(target=_load_in_a_process, args=(cache.address.url, each, results))
            for each in range(3)
        ]
        for process in processes:
            process.start()
        found = {results.get(timeout=60) for _ in processes}
        for process in processes:
            process.join()
        assert found == {cache.get("k")}


OUTDATING: dict[str, Callable[[Any], Any]] = {
    "delete": lambda cache: cache.delete("k"),
    "del": lambda cache: cache.pop("k", None),
    "set": lambda cache: cache.set("k", "new"),
    "set and delete": lambda cache: (cache.set("k", "new"), cache.delete("k")),
    "flush": lambda cache: cache.flushdb(),
    "list": lambda cache: cache.rpush("k", 1),
}


@pytest.mark.parametrize("outdate", OUTDATING)
def test_what_is_outdated_while_it_is_loaded_is_not_kept(cache: Any, outdate: str) -> None:
    gate = Gate("old")
    caller = Caller(lambda: cache.get_or_set("k", gate))
    assert gate.began.wait(PATIENCE_S)
    OUTDATING[outdate](cache)
    there = cache.type("k"), cache.exists("k")
    gate.may_end.set()
    assert caller.end() == "old"
    assert (cache.type("k"), cache.exists("k")) == there
    assert there[0] != "string" or cache.get("k") == "new"


def test_a_call_after_the_deletion_loads_anew(two: Any) -> None:
    one, other = two
    gate = Gate("old")
    caller = Caller(lambda: one.get_or_set("k", gate))
    assert gate.began.wait(PATIENCE_S)
    other.delete("k")
    assert one.get_or_set("k", lambda: "new") == "new"
    gate.may_end.set()
    assert caller.end() == "old"
    assert one.get("k") == "new"


def test_a_lease_whose_holder_is_gone_ends(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_S", 0.3)
    one, other = two
    one._run(leases.ask_lease(one._courses, "k", b"gone", (), False))
    assert other.get_or_set("k", lambda: 1) == 1
    assert other.get("k") == 1


def test_a_lease_lasts_as_long_as_its_load(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # prolonged after a third of it, and not over if that comes late
    monkeypatch.setattr(leases, "LEASE_S", 6.0)
    one, other = two
    gate = Gate("v")
    caller = Caller(lambda: one.get_or_set("k", gate))
    assert gate.began.wait(PATIENCE_S)
    name = one._courses.lease_key("k")
    left = [one._wire.send("PTTL", name)]

    def is_prolonged() -> bool:
        left.append(one._wire.send("PTTL", name))
        return left[-1] > left[-2]

    until(is_prolonged)
    with pytest.raises(LoadTimeoutError):
        other.get_or_set("k", never, timeout=0.05)
    gate.may_end.set()
    assert caller.end() == "v"
    assert other.get("k") == "v"


def test_a_key_that_is_loaded_inside_of_its_own_load_is_no_deadlock(cache: Any) -> None:
    assert cache.get_or_set("k", lambda: cache.get_or_set("k", lambda: 1) + 1) == 2


def test_many_keys_are_loaded_by_one_call(cache: Any) -> None:
    asked = []

    def loader(keys: list[str]) -> dict[str, str]:
        asked.append(sorted(keys))
        return {key: key.upper() for key in keys if key != "c"}

    cache.set("a", "kept")
    assert cache.get_or_set_many(["a", "b", "c", "d"], loader, ttl=60) == {
        "a": "kept",
        "b": "B",
        "d": "D",
    }
    assert asked == [["b", "c", "d"]]
    assert sorted(cache.keys()) == ["a", "b", "d"]
    assert cache.ttl("d") > 50


def test_results_of_a_function_are_kept(cache: Any) -> None:
    calls = []

    @cache.memoize(key="square:{number}", ttl=60)
    def square(number: int) -> int:
        calls.append(number)
        return number * number

    assert [square(3), square(number=3), square(4)] == [9, 9, 16]
    assert calls == [3, 4]
    assert sorted(cache.keys()) == ["square:3", "square:4"]
    assert (square.cache_info().hits, square.cache_info().currsize) == (1, 2)
    assert [square.invalidate(3), square.peek(3), square.peek(4)] == [True, MISSING, 16]
    assert square.refresh(4) == 16
    assert calls == [3, 4, 4]
    square.put(10, 3)
    assert square(3) == 10
    square.cache_clear()
    assert len(cache) == 0


def test_instances_of_two_processes_are_not_the_same(two: Any) -> None:
    def page_of(cache: Any, text: str) -> Any:
        class Page:
            @cache.memoize
            def render(self) -> str:
                return text

        return Page()

    assert [page_of(cache, text).render() for cache, text in zip(two, "ab")] == ["a", "b"]


def test_tasks_load_once_and_block_nobody(cache: Any) -> None:
    calls = []

    async def course() -> Any:
        async def loader() -> int:
            calls.append(1)
            await asyncio.sleep(0.01)
            return 1

        @cache.memoize(key="f:{x}")
        async def function(x: int) -> int:
            calls.append(x)
            return x

        found = await asyncio.gather(*[cache.aget_or_set("k", loader) for _ in range(5)])
        found += [await cache.aio.get_or_set("k", loader), await function(7), await function(7)]
        found.append(await cache.aget_or_set_many(["k", "m"], lambda keys: {"m": 2}))
        return found

    assert asyncio.run(course()) == [1, 1, 1, 1, 1, 1, 7, 7, {"k": 1, "m": 2}]
    assert calls == [1, 7]


def test_a_cancelled_task_lets_another_one_load(cache: Any) -> None:
    async def course() -> Any:
        began = asyncio.Event()

        async def forever() -> Any:
            began.set()
            await asyncio.sleep(3600)

        async def one() -> int:
            return 1

        first = asyncio.create_task(cache.aget_or_set("k", forever))
        await began.wait()
        second = asyncio.create_task(cache.aget_or_set("k", one))
        await asyncio.sleep(0.01)
        first.cancel()
        return await asyncio.wait_for(second, PATIENCE_S)

    assert asyncio.run(course()) == 1


@pytest.mark.parametrize("place", ["cachestorm"])
def test_tags_outdate_a_load_and_are_lent(place: str, request: pytest.FixtureRequest) -> None:
    with cache_at(place, request) as cache:
        gate = Gate("old")
        caller = Caller(lambda: cache.get_or_set("k", gate, tags=["t"]))
        assert gate.began.wait(PATIENCE_S)
        cache.invalidate("t")
        gate.may_end.set()
        assert (caller.end(), cache.get("k")) == ("old", None)

        def page() -> str:
            context = current_load()
            assert context is not None
            context.add_tags("pages")
            return str(cache.get_or_set("part", lambda: "text", tags=["part"]))

        for _ in range(2):
            cache.delete("page")
            assert cache.get_or_set("page", page) == "text"
            assert sorted(cache.tags("page")) == ["pages", "part"]


def test_options_that_a_server_cannot_keep_are_refused(two: Any) -> None:
    options = {"cache_errors": OSError, "negative_ttl": 5}
    with pytest.raises(UnsupportedError, match="needs a cache in this process"):
        two[0].get_or_set("k", never, **options)
    with pytest.raises(UnsupportedError, match="needs a cache in this process"):
        two[0].memoize(**options)(never)
    with pytest.raises(UnsupportedError, match="ask for one key at a time"):
        two[0].get_or_set_many(["k"], never, ttl=1, stale=5)


def test_a_lock_keeps_others_out(cache: Any) -> None:
    with cache.lock("lock", ttl=30) as lock:
        assert (lock.owned(), lock.locked(), cache.lock("lock").acquire(timeout=0)) == (
            True,
            True,
            False,
        )
        lock.extend(90)
        assert cache.ttl("lock") > 80
    assert (lock.owned(), lock.locked()) == (False, False)
    assert lock.acquire()
    cache.delete("lock")
    with pytest.raises(LockError):
        lock.extend(5)
    with pytest.raises(LockError):
        lock.release()


def test_a_lock_of_two_processes_is_waited_for(two: Any) -> None:
    one, other = two
    held = one.lock("lock")
    held.acquire()
    caller = Caller(lambda: other.lock("lock").acquire(timeout=PATIENCE_S))
    held.release()
    assert caller.end() is True


def test_tasks_take_turns(cache: Any) -> None:
    async def course() -> list[int]:
        turns: list[int] = []

        async def turn(number: int) -> None:
            async with cache.aio.lock("lock", ttl=30):
                turns.append(number)
                await asyncio.sleep(0)
                turns.append(number)

        await asyncio.gather(*[turn(number) for number in range(4)])
        return turns

    turns = asyncio.run(course())
    assert turns[::2] == turns[1::2]
    assert cache.keys() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_process_waits_for_no_load_of_its_parent() -> None:
    # nothing connects to it
    cache: Any = connect("redis://127.0.0.1:1")
    cache.loading.flights["k"] = object()
    child = os.fork()
    if child == 0:
        os._exit(len(cache.loading.flights))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(cache.loading.flights) == 1


@pytest.mark.parametrize("place", ["memory", "cachestorm", "redis"])
def test_tasks_control_a_memoized_function_without_blocking(
    place: str, request: pytest.FixtureRequest
) -> None:
    async def course(cache: Any) -> list[Any]:
        @cache.memoize(ttl=60)
        async def double(number: int) -> int:
            return number * 2

        found = [await double(2), await double.apeek(2), await double.apeek(3) is MISSING]
        await double.aput(7, 3)
        found += [await double(3), (await double.acache_info()).currsize]
        found += [await double.ainvalidate(3), await double.apeek(3) is MISSING]
        await double.acache_clear()
        found += [cache.get(double.key(2)), (await double.acache_info()).currsize]
        await cache.aio.close()
        return found

    with cache_at(place, request) as cache:
        expected = [4, 4, True, 7, 2, True, True, None, 0]
        assert asyncio.run(course(cache)) == expected


def test_no_control_of_a_task_waits_in_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that waits for a server serves nobody."""
    with our_server() as server, connect(f"redis://{HOST}:{server.port}") as cache:

        class Page:
            @cache.memoize(ttl=60)
            async def render(self) -> str:
                return "page"

        async def course() -> None:
            page = Page()
            assert await page.render() == "page"
            assert await Page.render.apeek(page) == "page"
            # what was kept for it is deleted by the next call
            del page
            await Page().render()
            await Page.render.acache_info()
            await Page.render.acache_clear()
            await cache.aio.close()

        def blocked(*args: Any) -> Any:
            raise AssertionError("sent by the thread of the loop")

        monkeypatch.setattr(cache._wire, "_sent", blocked)
        monkeypatch.setattr(cache._wire, "send", blocked)
        asyncio.run(course())


def test_what_is_under_way_is_in_no_list_of_keys() -> None:
    with our_server() as server, connect(f"redis://{HOST}:{server.port}") as cache:
        gate = Gate(1)
        caller = Caller(lambda: cache.get_or_set("k", gate, tags=["t"]))
        assert gate.began.wait(PATIENCE_S)
        assert (cache.keys(), list(cache.scan_iter()), list(cache)) == ([], [], [])
        assert (cache.tagkeys("t"), cache.randomkey()) == ([], None)
        with pytest.raises(KeyError):
            cache.popitem()
        gate.may_end.set()
        assert caller.end() == 1


def test_a_function_that_was_called_with_much_asks_no_server_what_of_it_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keys, "FEW_PLACES", 8)
    with our_server() as server, connect(f"redis://{HOST}:{server.port}") as cache:

        @cache.memoize(ttl=60)
        def double(number: int) -> int:
            return number * 2

        double.cache_clear()
        asked: list[Any] = []
        exists = cache.exists
        monkeypatch.setattr(
            cache, "exists", lambda *names: asked.append(names) or exists(*names)
        )
        assert [double(number) for number in range(100)] == [2 * each for each in range(100)]
        assert asked == []
        assert [double(number) for number in range(100)] == [2 * each for each in range(100)]
        assert double.cache_info().misses == 100
