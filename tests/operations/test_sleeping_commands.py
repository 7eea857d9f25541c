"""Long commands that sleep: woken from elsewhere, unblocked, timed out, abandoned.

The toy waits for parcels, as a command that pops from an empty list will.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator

import pytest

from cachestorm import Cache
from cachestorm.errors import CacheStormError
from cachestorm.operations.long_command import LongCommand, Unfinished
from cachestorm_server.turns import next_turn

# how long a test waits for what must come
SOON_S = 60.0


class Depot:
    """What is waited for, and who waits."""

    def __init__(self) -> None:
        self.parcels: list[bytes] = []
        self.waiting: list[Fetching] = []
        self.has_waiter = threading.Event()

    def deliver(self, *parcels: bytes) -> None:
        self.parcels.extend(parcels)
        for each in list(self.waiting):
            each.wake()


class Fetching(LongCommand):
    """Takes a parcel, and sleeps until there is one. Its result: None if none came in time."""

    def __init__(self, cache: Cache, depot: Depot, wakes_at: float = 0.0) -> None:
        super().__init__(cache._space)
        self.depot = depot
        self.until = wakes_at
        self.looks = 0

    def _work(self) -> Iterator[None]:
        self.depot.waiting.append(self)
        while not self.depot.parcels:
            self.looks += 1
            if self.is_unblocked:
                return
            self._sleep(self.until)
            self.depot.has_waiter.set()
            yield
        self._value = self.depot.parcels.pop(0)

    def _drop(self) -> None:
        super()._drop()
        if self in self.depot.waiting:
            self.depot.waiting.remove(self)


class InAThread:
    """A command run to its end by a thread of its own, as a method of `Cache` would."""

    def __init__(self, cache: Cache, command: LongCommand) -> None:
        self._cache = cache
        self._command = command
        self.outcome: list[object] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.outcome.append(self._cache._run(self._command))
        except CacheStormError as error:
            self.outcome.append(error)

    def ended(self) -> object:
        self._thread.join(SOON_S)
        assert not self._thread.is_alive()
        return self.outcome[0]


def handed_over(cache: Cache, command: LongCommand) -> None:
    with pytest.raises(Unfinished) as caught:
        cache.serving_others()._run(command)
    assert caught.value.long_command is command


def test_what_need_not_wait_does_not_sleep() -> None:
    cache, depot = Cache(), Depot()
    depot.deliver(b"one")
    assert cache._run(Fetching(cache, depot)) == b"one"
    assert depot.waiting == []


def test_a_thread_that_sleeps_is_woken_by_another_and_does_not_poll() -> None:
    cache, depot = Cache(), Depot()
    command = Fetching(cache, depot)
    thread = InAThread(cache, command)
    assert depot.has_waiter.wait(SOON_S)
    assert cache.set("k", b"others go on")
    depot.deliver(b"one")
    assert thread.ended() == b"one"
    assert command.looks == 1
    assert depot.waiting == []


def test_whoever_wakes_it_may_hold_the_latch() -> None:
    cache, depot = Cache(), Depot()
    thread = InAThread(cache, Fetching(cache, depot))
    assert depot.has_waiter.wait(SOON_S)
    with cache.transaction():
        depot.deliver(b"one")
    assert thread.ended() == b"one"


def test_of_many_that_are_woken_the_others_sleep_again() -> None:
    cache, depot = Cache(), Depot()
    commands = [Fetching(cache, depot) for _ in range(4)]
    threads = []
    for each in commands:
        depot.has_waiter.clear()
        threads.append(InAThread(cache, each))
        assert depot.has_waiter.wait(SOON_S)
    for parcel in (b"a", b"b", b"c", b"d"):
        depot.deliver(parcel)
    assert sorted(str(thread.ended()) for thread in threads) == [
        "b'a'",
        "b'b'",
        "b'c'",
        "b'd'",
    ]


def test_a_thread_is_unblocked_when_its_time_is_up() -> None:
    cache, depot = Cache(), Depot()
    command = Fetching(cache, depot, time.monotonic() + 0.01)
    assert cache._run(command) is None
    assert time.monotonic() >= command.until
    assert depot.waiting == []


def test_one_that_is_unblocked_ends_with_what_it_has() -> None:
    cache, depot = Cache(), Depot()
    command = Fetching(cache, depot)
    thread = InAThread(cache, command)
    assert depot.has_waiter.wait(SOON_S)
    command.unblock()
    assert thread.ended() is None


def test_one_that_is_unblocked_with_an_error_raises_it_and_lets_go() -> None:
    cache, depot = Cache(), Depot()
    command = Fetching(cache, depot)
    thread = InAThread(cache, command)
    assert depot.has_waiter.wait(SOON_S)
    refusal = CacheStormError("client unblocked via CLIENT UNBLOCK")
    command.unblock(refusal)
    assert thread.ended() is refusal
    assert depot.waiting == []
    assert cache.set("k", b"v")


def test_an_interrupted_thread_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    import queue

    class Interrupted:
        def put(self, item: object) -> None: ...

        def get(self, timeout: float) -> None:
            raise KeyboardInterrupt

    cache, depot = Cache(), Depot()
    monkeypatch.setattr(queue, "SimpleQueue", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache._run(Fetching(cache, depot))
    assert depot.waiting == []
    assert cache.set("k", b"v")


def test_in_a_transaction_it_does_not_wait() -> None:
    cache, depot = Cache(), Depot()
    with cache.transaction():
        assert cache._run(Fetching(cache, depot)) is None
    assert depot.waiting == []


def test_what_cannot_do_without_is_refused_in_a_transaction() -> None:
    class Stubborn(Fetching):
        def _work(self) -> Iterator[None]:
            while not self.depot.parcels:
                self._sleep()
                yield

    cache, depot = Cache(), Depot()
    with cache.transaction(), pytest.raises(RuntimeError):
        cache._run(Stubborn(cache, depot))
    assert cache.set("k", b"v")


def test_a_carrier_is_told_once_it_can_go_on() -> None:
    cache, depot = Cache(), Depot()
    command = Fetching(cache, depot)
    handed_over(cache, command)
    told: list[bool] = []
    command.notifier = lambda: told.append(command.sleeps)
    assert command.sleeps
    depot.deliver(b"one")
    assert told == [False]
    assert command.step()
    assert command.result() == b"one"


def test_a_wake_that_comes_while_it_falls_asleep_is_not_lost() -> None:
    class Overtaken(Fetching):
        def _sleep(self, wakes_at: float = 0.0) -> None:
            # after it has looked, before it sleeps
            if not self.depot.parcels:
                self.depot.deliver(b"one")
            super()._sleep(wakes_at)

    cache, depot = Cache(), Depot()
    command = Overtaken(cache, depot)
    assert cache._run(command) == b"one"
    assert command.looks == 1


def test_one_that_is_abandoned_waits_for_nothing() -> None:
    cache, depot = Cache(), Depot()
    command = Fetching(cache, depot)
    handed_over(cache, command)
    assert depot.waiting == [command]
    command.abandon()
    assert depot.waiting == []
    depot.deliver(b"one")
    assert depot.parcels == [b"one"]


def test_a_task_sleeps_until_another_thread_wakes_it_and_others_have_turns() -> None:
    cache, depot = Cache(), Depot()
    command = Fetching(cache, depot)
    handed_over(cache, command)

    async def carried() -> object:
        carrier = asyncio.create_task(next_turn(command))
        await asyncio.sleep(0)
        threading.Thread(target=depot.deliver, args=(b"one",)).start()
        await asyncio.wait_for(carrier, SOON_S)
        assert command.step()
        return command.result()

    assert asyncio.run(carried()) == b"one"
    assert command.looks == 1


def test_a_task_unblocks_it_when_its_time_is_up() -> None:
    cache, depot = Cache(), Depot()
    command = Fetching(cache, depot, time.monotonic() + 0.01)
    handed_over(cache, command)
    asyncio.run(next_turn(command))
    assert command.step()
    assert command.result() is None


def test_nothing_is_collected_on_behalf_of_a_command_that_has_slept() -> None:
    cache, depot = Cache(), Depot()
    command = Fetching(cache, depot)
    begun: list[str] = []
    threshold = gc.get_threshold()
    gc.set_threshold(0)
    gc.callbacks.append(lambda phase, info: begun.append(phase))
    try:
        assert not command.step()
        depot.deliver(b"parcel")
        assert command.step()
    finally:
        gc.callbacks.pop()
        gc.set_threshold(*threshold)
    assert (command.result(), begun) == (b"parcel", [])
