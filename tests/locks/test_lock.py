"""Locks that are keys: for threads, tasks, and clients on the wire."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest
import trio

from cachestorm import Cache, ManualClock
from cachestorm.errors import InvalidTtlError
from cachestorm.loading.waiters import ThreadWaiter
from cachestorm.locks import LockError
from cachestorm.locks.lock import LOOK_S, _queues


def test_one_at_a_time() -> None:
    cache = Cache()
    first, second = cache.lock("k"), cache.lock("k")
    assert (first.acquire(), second.acquire(timeout=0), second.acquire(blocking=False)) == (
        True, False, False,
    )  # fmt: skip
    assert (first.owned(), second.owned(), second.locked()) == (True, False, True)
    first.release()
    assert (second.acquire(), cache.lock("k").locked()) == (True, True)


def test_the_same_object_is_taken_once_unless_it_is_reentrant() -> None:
    cache = Cache()
    plain, reentrant = cache.lock("a"), cache.lock("b", reentrant=True)
    assert (plain.acquire(), plain.acquire(timeout=0)) == (True, False)
    assert (reentrant.acquire(), reentrant.acquire()) == (True, True)
    reentrant.release()
    assert reentrant.locked() is True
    reentrant.release()
    assert reentrant.locked() is False


def test_another_thread_does_not_re_enter() -> None:
    lock = Cache().lock("k", reentrant=True)
    got: list[bool] = []
    with lock:
        thread = threading.Thread(target=lambda: got.append(lock.acquire(timeout=0)))
        thread.start()
        thread.join()
    assert got == [False]


def test_a_lock_ends_with_its_time_to_live_and_is_not_given_back_by_its_late_owner() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    late, next_one = cache.lock("k", ttl=10), cache.lock("k", ttl=10)
    late.acquire()
    clock.advance(11)
    assert next_one.acquire() is True
    with pytest.raises(LockError):
        late.release()
    with pytest.raises(LockError):
        late.extend(10)
    assert next_one.owned() is True


def test_a_lock_is_prolonged_by_its_owner() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    lock = cache.lock("k", ttl=10)
    with lock:
        clock.advance(9)
        lock.extend(10)
        clock.advance(9)
        assert lock.owned() is True
    assert cache.exists("k") == 0


def test_a_lock_that_was_never_taken_is_not_given_back() -> None:
    with pytest.raises(LockError):
        Cache().lock("k").release()


def test_clients_on_the_wire_see_the_same_lock() -> None:
    cache = Cache()
    lock = cache.lock("k", ttl=10)
    lock.acquire()
    assert cache.execute("SET", "k", b"theirs", "NX", "PX", 1000) is False
    lock.release()
    assert cache.execute("SET", "k", b"theirs", "NX", "PX", 1000) is True
    assert lock.acquire(timeout=0) is False


def test_threads_count_without_losing_any() -> None:
    cache, total = Cache(), [0]

    def run() -> None:
        for _ in range(50):
            with cache.lock("k"):
                now = total[0]
                cache.get("x")
                total[0] = now + 1

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total == [200]
    assert _queues == {}


def test_tasks_wait_for_each_other_on_asyncio_and_trio() -> None:
    cache = Cache()
    order: list[Any] = []

    async def hold(name: str, checkpoint: Any) -> None:
        async with cache.lock("k"):
            order.append(name)
            await checkpoint()
            order.append(name)

    async def on_asyncio() -> None:
        await asyncio.gather(*(hold(name, lambda: asyncio.sleep(0)) for name in "abc"))

    async def on_trio() -> None:
        async with trio.open_nursery() as nursery:
            for name in "def":
                nursery.start_soon(hold, name, trio.lowlevel.checkpoint)

    asyncio.run(on_asyncio())
    trio.run(on_trio)
    assert order[0::2] == order[1::2]
    assert sorted(order[0::2]) == list("abcdef")
    assert _queues == {}


def test_whoever_is_cancelled_while_waiting_leaves_the_queue() -> None:
    cache = Cache()

    async def main() -> bool:
        lock = cache.lock("k")
        await lock.aacquire()
        waiting = asyncio.create_task(cache.lock("k").aacquire())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        lock.release()
        return cache.lock("k").acquire(timeout=0)

    assert asyncio.run(main()) is True
    assert _queues == {}


def test_of_many_who_wait_only_the_first_looks_often() -> None:
    cache = Cache()
    held = cache.lock("k")
    held.acquire()
    courses = [cache.lock("k")._acquiring(True, None, ThreadWaiter) for _ in range(4)]
    waits = [next(course) for course in courses]
    waiters = [wait.waiter for wait in waits]
    patience = [wait.timeout_s for wait in waits]
    assert patience == pytest.approx([LOOK_S, 2 * LOOK_S, 3 * LOOK_S, 4 * LOOK_S])
    # it has looked, and stays the first
    assert courses[0].send(False).timeout_s == LOOK_S
    courses[0].close()
    assert waiters[1].wait(0) is True
    assert courses[1].send(True).timeout_s == LOOK_S
    courses[2].close()
    held.release()
    with pytest.raises(StopIteration) as end:
        courses[1].send(True)
    assert end.value.value is True
    # who takes it leaves the looking to the next
    assert waiters[3].wait(0) is True
    courses[3].close()
    assert _queues == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_waits_behind_nobody_who_stayed_in_the_parent() -> None:
    cache = Cache()
    cache.lock("k").acquire()
    course = cache.lock("k")._acquiring(True, None, ThreadWaiter)
    next(course)
    child = os.fork()
    if not child:
        os._exit(len(_queues))
    assert os.waitpid(child, 0)[1] == 0
    course.close()


def test_a_time_to_live_that_is_none_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidTtlError, match="ttl is a positive time, or None, not 0"):
        Cache().lock("k", ttl=0)


def test_repr_says_who_holds_it() -> None:
    cache = Cache()
    lock = cache.lock("k")
    shown = [repr(lock)]
    lock.acquire()
    shown += [repr(lock), repr(cache.lock("k"))]
    assert shown == [
        "<Lock 'k' in 'default': free>",
        "<Lock 'k' in 'default': held here>",
        "<Lock 'k' in 'default': held>",
    ]
