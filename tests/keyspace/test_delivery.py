"""Who delivers, and how long a write waits for listeners that are slow, stuck or broken."""

from __future__ import annotations

import logging
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from cachestorm import Cache, Cause, Effect
from cachestorm.keyspace.effects import LONGEST_WAIT_S, MOST_WAITING_BYTES

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
        self.heard.append(effect.version)


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


def in_threads(count: int, work: Callable[[int], None]) -> None:
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a thread hangs"
    assert failures == []


def taken_s(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_one_write_waits_for_a_listener_that_is_stuck_and_the_next_do_not(
    stuck: tuple[Cache, Stuck],
) -> None:
    cache, listener = stuck
    assert taken_s(lambda: cache.set("k", 1)) >= LONGEST_WAIT_S
    assert cache.get("k") == 1
    took = [taken_s(lambda number=number: cache.set(f"k{number}", 1)) for number in range(100)]
    # a machine that stands still makes a few of them slow, and no more
    assert statistics.median(took) < LONGEST_WAIT_S / 2
    listener.free.set()
    # what was left behind is told by who was stuck
    while len(listener.heard) < 102:
        time.sleep(0.001)
    assert listener.heard == sorted(listener.heard)
    assert cache._store.effects.waiting_bytes() == 0


def test_what_waits_for_a_listener_that_is_stuck_is_bounded(
    stuck: tuple[Cache, Stuck],
) -> None:
    cache, listener = stuck
    cache.set("k", 1)
    count = 0
    while cache._store.effects.waiting_bytes() <= MOST_WAITING_BYTES:
        cache.set(f"k{count}", VALUE)
        count += 1
    assert count > 10
    threading.Timer(LONGEST_WAIT_S / 10, listener.free.set).start()
    cache.set("one too many", VALUE)
    # it has waited until it was told itself
    assert cache._store.effects.waiting_bytes() == 0
    assert len(listener.heard) == count + 3
    assert sorted(listener.heard) == listener.heard


def test_no_write_waits_for_ever(stuck: tuple[Cache, Stuck]) -> None:
    cache, _listener = stuck
    cache.set("large", bytes(MOST_WAITING_BYTES + 1))
    assert taken_s(lambda: cache.set("k", 1)) >= LONGEST_WAIT_S
    assert cache.get("k") == 1


def test_a_listener_may_wait_for_a_thread_that_writes() -> None:
    cache = Cache()
    heard: list[str] = []

    def wait_for_another(effect: Effect) -> None:
        heard.append(effect.key)
        if effect.key == "first":
            other = threading.Thread(target=lambda: cache.set("second", 2))
            other.start()
            other.join(60)
            assert not other.is_alive()

    cache.listen(wait_for_another)
    cache.set("first", 1)
    assert heard == ["first", "second"]


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


def test_a_thread_tells_no_effect_that_was_recorded_after_its_own() -> None:
    cache = Cache()
    tellers: dict[str, int] = {}
    writers: dict[str, int] = {}

    def note(effect: Effect) -> None:
        tellers[effect.key] = threading.get_ident()
        time.sleep(0.0001)

    def write(number: int) -> None:
        for turn in range(200):
            key = f"{number}:{turn}"
            writers[key] = threading.get_ident()
            cache.set(key, turn)
            # it has been told when the write returns
            assert key in tellers

    cache.listen(note)
    in_threads(4, write)
    versions = {key: cache._space.entries[key].version for key in writers}
    last: dict[int, int] = {}
    for key in sorted(writers, key=lambda key: versions[key], reverse=True):
        last.setdefault(writers[key], versions[key])
    assert all(versions[key] <= last[tellers[key]] for key in writers)
    assert not cache._store.effects._waiting


def test_of_many_threads_that_write_no_more_effects_wait_than_there_are_threads() -> None:
    # With the test above: no write waits for more calls than that. How long those take is a
    # matter of `make bench BENCH=listeners`, for a scheduler may stop any thread for a while.
    cache = Cache()
    threads = 4
    waiting: list[int] = []

    def listener(effect: Effect) -> None:
        time.sleep(0.0001)
        waiting.append(len(cache._store.effects._queue))

    def write(number: int) -> None:
        for turn in range(2_000 // threads):
            cache.set(f"{number}:{turn}", turn)

    cache.listen(listener)
    in_threads(threads, write)
    assert len(waiting) == 2_000
    assert 1 <= max(waiting) < threads


def test_a_listener_that_raises_anything_takes_nothing_from_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    cache = Cache()
    heard: list[str] = []
    errors = [ValueError("no"), SystemExit(1), GeneratorExit()]

    def broken(effect: Effect) -> None:
        raise errors.pop(0)

    cache.listen(broken)
    cache.listen(lambda effect: heard.append(effect.key))
    with caplog.at_level(logging.ERROR, "cachestorm"):
        for key in ("a", "b", "c"):
            cache.set(key, 1)
    assert heard == ["a", "b", "c"]
    assert [record.name for record in caplog.records] == ["cachestorm"] * 3
    assert "a listener of a cache raised" in caplog.text


def test_an_interrupt_of_a_listener_is_raised_when_all_is_told() -> None:
    cache = Cache()
    heard: list[str] = []

    def interrupted(effect: Effect) -> None:
        if effect.key == "a":
            raise KeyboardInterrupt

    cache.listen(interrupted)
    cache.listen(lambda effect: heard.append(effect.key))
    with pytest.raises(KeyboardInterrupt):
        cache.mset({"a": 1, "b": 2})
    assert heard == ["a", "b"]
    assert not cache._store.latch.locked()
    cache.set("c", 3)
    assert heard == ["a", "b", "c"]
    cache._check()


def test_a_listener_that_interrupts_long_work_does_not_free_the_lock_twice() -> None:
    cache = Cache(max_memory="64mb")
    cache.mset({f"k{number}": number for number in range(2000)})
    holders: list[bool] = []

    def interrupted(key: str, value: object, cause: Cause) -> None:
        raise KeyboardInterrupt

    cache.on_removed(interrupted, [Cause.EVICTED])
    with pytest.raises(KeyboardInterrupt):
        cache.max_entries = 1
    holders.append(cache._store.latch.locked())
    assert holders == [False]
    cache._check()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_while_others_deliver_leaves_a_child_that_delivers(
    stuck: tuple[Cache, Stuck],
) -> None:
    cache, listener = stuck
    cache.set("left behind", 1)
    child = os.fork()
    if child == 0:
        listener.free.set()
        cache.set("child", 1)
        told = len(listener.heard)
        os._exit(0 if told == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_listeners_that_write_in_many_threads_are_told_all_in_order() -> None:
    cache = Cache()
    versions: list[int] = []

    def write_again(effect: Effect) -> None:
        versions.append(effect.version)
        if not effect.key.startswith("again"):
            cache.set(f"again {effect.key}", 1)

    def write(number: int) -> None:
        for turn in range(500):
            cache.set(f"{number}:{turn}", turn)

    cache.listen(write_again)
    in_threads(4, write)
    assert len(versions) == 4000
    assert versions == sorted(versions)
    assert cache._store.effects.waiting_bytes() == 0
