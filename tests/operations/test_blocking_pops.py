"""Blocking pops in process: threads and tasks that wait, who is served, what is not lost."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from cachestorm import Cache
from cachestorm.entry import LIST
from cachestorm.errors import ArgumentError, OutOfMemoryError, WrongTypeError
from cachestorm.keyspace.waiting import Waiter
from cachestorm.operations.blocking import BlockingPop, PoppingElements, PoppingRows
from cachestorm.operations.long_command import Unfinished

# how long a test waits for what must come
SOON_S = 60.0


def begun(cache: Cache, call: Callable[[Cache], object]) -> BlockingPop:
    """A command that waits, with nobody who carries it yet."""
    with pytest.raises(Unfinished) as caught:
        call(cache.serving_others())
    command = caught.value.long_command
    assert isinstance(command, BlockingPop)
    assert command.sleeps
    return command


def ended(command: BlockingPop) -> object:
    """The value of one that has been woken."""
    assert not command.sleeps
    assert command.step()
    return command.result()


class InAThread:
    """A call in a thread of its own, that has begun to wait."""

    def __init__(self, cache: Cache, call: Callable[[], object]) -> None:
        self._outcome: list[object] = []
        self._call = call
        waiting = waiters(cache)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        gives_up_at = time.monotonic() + SOON_S
        while waiters(cache) == waiting:
            assert time.monotonic() < gives_up_at
            time.sleep(0.001)

    def _run(self) -> None:
        try:
            self._outcome.append(self._call())
        except Exception as error:
            self._outcome.append(error)

    def ended(self) -> object:
        self._thread.join(SOON_S)
        assert not self._thread.is_alive()
        return self._outcome[0]


def waiters(cache: Cache) -> int:
    """How many wait in the namespace, once for each key."""
    waiting = cache._space.waiting
    return 0 if waiting is None else sum(int(line.count) for line in waiting.lines.values())


def test_what_is_there_is_taken_at_once() -> None:
    cache = Cache()
    cache.rpush("l", 1, "two", {"three": 3})
    cache.zadd("z", {"a": 1, "b": 2, "c": 3})
    assert cache.blpop("l") == ("l", 1)
    assert cache.brpop(["none", "l"]) == ("l", {"three": 3})
    assert cache.blmove("l", "m") == "two"
    assert cache.brpoplpush("m", "n") == "two"
    assert cache.blmpop(["l", "n"], "RIGHT", count=5) == ("n", ["two"])
    assert cache.bzpopmin("z") == ("z", "a", 1.0)
    assert cache.bzpopmax("z") == ("z", "c", 3.0)
    assert cache.bzmpop("z", "MAX", count=9) == ("z", [("b", 2.0)])
    assert cache._space.waiting is None


def test_whoever_waits_in_vain_gets_none() -> None:
    cache = Cache()
    assert cache.blpop("l", timeout=0.001) is None
    assert cache.blmpop(["l", "m"], timeout=0.001) is None
    assert cache.blmove("l", "m", timeout=0.001, default=5) == 5
    assert cache.bzpopmin("z", timeout=0.001) is None
    assert cache.bzmpop("z", timeout=0.001) is None
    assert cache._space.waiting is None


@pytest.mark.parametrize("timeout", ["1", b"1", [1]])
def test_a_timeout_that_is_no_number_is_refused_in_words(timeout: object) -> None:
    with pytest.raises(TypeError, match=r"a timeout is a number of seconds, not .*1"):
        Cache().blpop("q", timeout=timeout)  # type: ignore[arg-type]


def test_wrong_arguments_are_refused_before_anything_waits() -> None:
    cache = Cache()
    with pytest.raises(ArgumentError, match="timeout is negative"):
        cache.blpop("l", timeout=-1)
    with pytest.raises(ArgumentError, match="timeout is out of range"):
        cache.blpop("l", timeout=float("inf"))
    with pytest.raises(ArgumentError, match="timeout is not a float"):
        cache.blpop("l", timeout=float("nan"))
    with pytest.raises(ArgumentError, match="numkeys"):
        cache.blpop([])
    with pytest.raises(ArgumentError, match="count"):
        cache.blmpop("l", count=0)
    cache.set("s", "x")
    with pytest.raises(WrongTypeError):
        cache.blpop(["l", "s"])
    assert cache._space.waiting is None


def test_a_thread_is_served_by_another_in_the_order_of_waiting() -> None:
    cache = Cache()
    first = InAThread(cache, lambda: cache.blpop(["q", "r"], timeout=SOON_S))
    second = InAThread(cache, lambda: cache.brpop("q", timeout=SOON_S))
    assert cache.rpush("q", "a", "b", "c") == 3
    assert first.ended() == ("q", "a")
    assert second.ended() == ("q", "c")
    assert cache.lrange("q") == ["b"]
    cache._check()


def test_nobody_can_steal_what_somebody_waits_for() -> None:
    cache = Cache()
    command = begun(cache, lambda view: view.blpop("q"))
    cache.rpush("q", 1)
    assert cache.lpop("q") is None
    assert ended(command) == ("q", 1)


def test_a_transaction_serves_when_it_is_over_as_a_whole() -> None:
    cache = Cache()
    command = begun(cache, lambda view: view.blpop("q"))
    with cache.transaction():
        cache.rpush("q", 1)
        cache.delete("q")
        assert cache.blpop("q") is None
    assert command.sleeps
    with cache.transaction():
        cache.rpush("q", 1, 2)
        assert command.sleeps
        assert cache.blpop("q") == ("q", 1)
    assert ended(command) == ("q", 2)


def test_moves_serve_one_another_in_one_step() -> None:
    cache = Cache()
    commands = [
        begun(cache, lambda view, at=at: view.blmove(f"q{at}", f"q{at + 1}"))
        for at in range(50)
    ]
    last = begun(cache, lambda view: view.blpop("q50"))
    cache.rpush("q0", "on its way")
    assert cache.dbsize() == 0
    assert [ended(command) for command in commands] == ["on its way"] * 50
    assert ended(last) == ("q50", "on its way")
    cache._check()


@pytest.mark.parametrize("times", [1000])
def test_a_thousand_wait_for_one_key_and_half_of_them_leave(times: int) -> None:
    cache = Cache()
    commands = [begun(cache, lambda view: view.blpop("q")) for _ in range(times)]
    for command in commands[::2]:
        command.abandon()
    cache._check()
    assert waiters(cache) == times // 2
    cache.rpush("q", *range(times))
    assert [ended(command) for command in commands[1::2]] == [
        ("q", at) for at in range(times // 2)
    ]
    assert cache.llen("q") == times // 2
    assert cache._space.waiting is None
    cache._check()


def test_what_was_taken_for_one_that_has_gone_goes_to_the_next() -> None:
    cache = Cache()
    first = begun(cache, lambda view: view.blpop("q"))
    second = begun(cache, lambda view: view.blmpop("q", count=2))
    cache.rpush("q", 1)
    assert not first.sleeps
    first.abandon()
    assert ended(second) == ("q", [1])


def test_what_was_taken_for_nobody_goes_back_to_where_it_was() -> None:
    cache = Cache()
    elements = begun(cache, lambda view: view.blmpop("q", "RIGHT", count=2))
    members = begun(cache, lambda view: view.bzmpop("z", "MAX", count=2))
    cache.rpush("q", 1, {"two": 2}, 3)
    cache.zadd("z", {"a": 1, "b": 2, "c": 3})
    cache.zadd("z", {"c": 9})
    elements.abandon()
    members.abandon()
    assert cache.lrange("q") == [1, {"two": 2}, 3]
    assert cache.zrange("z", withscores=True) == [("a", 1.0), ("b", 2.0), ("c", 9.0)]
    cache._check()


def test_what_has_no_place_any_more_is_not_put_back() -> None:
    cache = Cache()
    command = begun(cache, lambda view: view.blpop("q"))
    cache.rpush("q", 1)
    cache.set("q", "a string")
    command.abandon()
    assert cache.get("q") == "a string"
    cache._check()


def test_one_that_is_unblocked_is_not_served_any_more() -> None:
    cache = Cache()
    first = begun(cache, lambda view: view.blpop("q"))
    second = begun(cache, lambda view: view.blpop("q"))
    first.unblock()
    cache.rpush("q", 1)
    assert ended(second) == ("q", 1)
    assert ended(first) is None


def test_one_that_is_served_before_its_time_is_up_keeps_what_it_has() -> None:
    cache = Cache()
    command = begun(cache, lambda view: view.blpop("q"))
    cache.rpush("q", 1)
    command.unblock()
    assert ended(command) == ("q", 1)


def test_a_destination_of_another_kind_is_an_error_of_who_waits() -> None:
    cache = Cache()
    moving = begun(cache, lambda view: view.blmove("q", "s"))
    popping = begun(cache, lambda view: view.blpop("q"))
    cache.set("s", "x")
    assert cache.rpush("q", 1) == 1
    with pytest.raises(WrongTypeError):
        moving.step()
    assert ended(popping) == ("q", 1)
    cache._check()


def test_what_has_no_room_is_an_error_of_who_waits_and_stays() -> None:
    cache = Cache(max_entries=1, policy="noeviction")
    command = begun(cache, lambda view: view.blmove("q", "m"))
    assert cache.rpush("q", 1) == 1
    with pytest.raises(OutOfMemoryError):
        command.step()
    assert cache.lrange("q") == [1]
    cache._check()


def test_a_namespace_that_is_deleted_or_swapped_is_waited_in_by_name() -> None:
    cache = Cache()
    one = cache.database(1)
    command = begun(one, lambda view: view.blpop("q"))
    one.rpush("other", 1)
    cache.namespacedel("db1")
    one.rpush("q", 1)
    assert ended(command) == ("q", 1)
    command = begun(one, lambda view: view.blpop("q"))
    cache.rpush("q", 2)
    assert command.sleeps
    cache.swapdb(0, 1)
    assert ended(command) == ("q", 2)
    assert cache.dbsize() == one.dbsize() == 0
    cache._check()


def test_a_key_of_another_kind_serves_nobody() -> None:
    cache = Cache()
    command = begun(cache, lambda view: view.blpop("q"))
    cache.zadd("q", {"a": 1})
    cache.delete("q")
    cache.sadd("q", "a")
    cache.delete("q")
    assert command.sleeps
    cache.rpush("q", 1)
    assert ended(command) == ("q", 1)


def test_a_listener_that_raises_harms_nobody_who_waits() -> None:
    cache = Cache()
    command = begun(cache, lambda view: view.blpop("q"))

    def interrupted(effect: object) -> None:
        raise KeyboardInterrupt

    cache.listen(interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.rpush("q", 1)
    cache.unlisten(interrupted)
    assert ended(command) == ("q", 1)
    assert not cache._store.latch.locked()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals of threads")
def test_an_interrupt_ends_the_waiting() -> None:
    # a test of a server in this process may have left another handler
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    cache = Cache()
    timer = threading.Timer(
        0.05, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]
    )
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        cache.blpop("q", timeout=SOON_S)
    signal.signal(signal.SIGINT, former)
    timer.join()
    assert cache._space.waiting is None
    cache.rpush("q", 1)
    assert cache.llen("q") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_begins_with_nobody_waiting() -> None:
    cache = Cache()
    thread = InAThread(cache, lambda: cache.blpop("q", timeout=SOON_S))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            cache.rpush("q", "of the child")
            cache._check()
            code = 0 if cache.llen("q") == 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    cache.rpush("q", "of the parent")
    assert thread.ended() == ("q", "of the parent")


def test_a_task_is_served_by_a_thread_and_by_another_task() -> None:
    cache = Cache()

    async def both() -> tuple[object, object]:
        first = asyncio.create_task(cache.aio.blpop("q", timeout=SOON_S))
        second = asyncio.create_task(cache.aio.bzpopmin("z"))
        await asyncio.sleep(0)
        assert waiters(cache) == 2
        thread = threading.Thread(target=cache.rpush, args=("q", 1))
        thread.start()
        await cache.aio.zadd("z", {"a": 1})
        found = await first, await second
        thread.join()
        return found

    assert asyncio.run(both()) == (("q", 1), ("z", "a", 1.0))
    assert cache._space.waiting is None


def test_a_task_waits_no_longer_than_its_timeout_and_until_it_is_cancelled() -> None:
    cache = Cache()

    async def in_vain() -> None:
        assert await cache.aio.blpop("q", timeout=0.001) is None
        task = asyncio.create_task(cache.aio.blpop("q"))
        await asyncio.sleep(0)
        assert waiters(cache) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # served and cancelled in the same turn: it goes back
        task = asyncio.create_task(cache.aio.blpop("q"))
        await asyncio.sleep(0)
        cache.rpush("q", 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cache.lrange("q") == [1]

    asyncio.run(in_vain())
    assert cache._space.waiting is None


@pytest.mark.parametrize("in_this_thread", [True, False])
def test_a_task_whose_loop_was_closed_gets_nothing_any_more(in_this_thread: bool) -> None:
    cache = Cache()
    tasks = []

    def leave_a_task() -> None:
        async def begin() -> None:
            tasks.append(asyncio.create_task(cache.aio.blpop("q")))
            await asyncio.sleep(0)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        loop.close()

    if in_this_thread:
        leave_a_task()
    else:
        thread = threading.Thread(target=leave_a_task)
        thread.start()
        thread.join()
    assert waiters(cache) == 1
    assert cache.rpush("q", "x") == 1
    # asyncio would complain of it
    tasks.pop()._log_destroy_pending = False
    assert (cache.lrange("q"), waiters(cache)) == (["x"], 0)


@pytest.mark.parametrize("is_list", [True, False])
def test_what_goes_back_finds_room_where_memory_is_full(is_list: bool) -> None:
    cache = Cache(max_memory="64kb", policy="noeviction")
    if is_list:
        command = begun(cache, lambda other: other.blmpop("q", count=2))
        cache.rpush("q", b"1" * 1000, b"2" * 1000, b"3")
    else:
        command = begun(cache, lambda other: other.bzmpop("q", count=2))
        cache.zadd("q", {"1" * 1000: 1.0, "2" * 1000: 2.0, "3": 3.0})
    cache.delete("q")
    with pytest.raises(OutOfMemoryError):
        for number in range(1000):
            cache.set(f"k{number}", b"x" * 500)
    command.abandon()
    if is_list:
        assert cache.lrange("q") == [b"1" * 1000, b"2" * 1000]
    else:
        assert cache.zrange("q", 0, -1) == ["1" * 1000, "2" * 1000]
    cache._check()


def test_each_element_comes_to_exactly_one_of_many_threads() -> None:
    cache = Cache()
    taken: list[object] = []

    def work() -> None:
        while True:
            found = cache.blpop(["a", "b"], timeout=SOON_S)
            assert found is not None
            if found[1] == "stop":
                return
            taken.append(found[1])

    workers = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for worker in workers:
        worker.start()
    for number in range(400):
        cache.rpush("ab"[number % 2], number)
    # a is looked at first, so that it is empty when one meets these
    cache.rpush("b", *["stop"] * len(workers))
    for worker in workers:
        worker.join(SOON_S)
    assert sorted(taken, key=str) == sorted(range(400), key=str)
    assert cache._space.waiting is None
    cache._check()


def test_a_line_forgets_those_who_have_left() -> None:
    cache = Cache()
    stays = Waiter(LIST, ["q"], lambda: False, lambda: None, lambda error: None)
    cache._space.wait(stays)
    for _ in range(1000):
        leaves = Waiter(LIST, ["q", "q", "r"], lambda: False, lambda: None, lambda error: None)
        cache._space.wait(leaves)
        cache._space.end_wait(leaves)
        cache._space.end_wait(leaves)
    cache._check()
    assert cache._space.waiting is not None
    assert list(cache._space.waiting.lines) == [(LIST, "q")]
    cache._space.end_wait(stays)
    assert cache._space.waiting is None


def test_a_command_that_is_abandoned_before_it_begins_leaves_nothing() -> None:
    cache = Cache()
    for command in (
        PoppingElements(cache._space, ["q"], 0.0, True, 0),
        PoppingRows(cache._space, ["z"], 0.0, True, 0),
    ):
        command.abandon()
    assert cache._space.waiting is None
