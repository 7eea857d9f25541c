"""Six promises that an early version broke, each as it was broken: by timing forced on it."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import count, pairwise

import pytest

from cachestorm import Cache
from cachestorm.keyspace.holdings import FEWEST_TAPS
from cachestorm.keyspace.hot_keys import CAPACITY


@pytest.fixture
def collector() -> Iterator[None]:
    """A collector that runs when a test says so."""
    former = gc.get_threshold()
    gc.collect()
    gc.disable()
    yield
    gc.set_threshold(*former)
    gc.enable()


class Deleting:
    """Garbage whose finalizer deletes a key."""

    def __init__(self, cache: Cache, key: str) -> None:
        self.cache = cache
        self.key = key
        self.me = self

    def __del__(self) -> None:
        self.cache.delete(self.key)


class Pausing:
    """Garbage whose finalizer gives up the interpreter's lock."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        time.sleep(0.0001)


def read_with_collection(cache: Cache, key: str, after: int) -> object:
    """Reads a key as a compiled `get` does, with a collection after so many allocations."""
    gc.set_threshold(gc.get_count()[0] + after)
    gc.enable()
    try:
        return cache._space.read(key, None)
    finally:
        gc.disable()


def test_a_read_gives_no_other_key_s_value_when_a_finalizer_removes_its_own(
    collector: None,
) -> None:
    cache = Cache()
    space = cache._space
    hot = space.hot
    assert hot is not None
    names = (f"k{number}" for number in count())
    cache.set("other", "other")
    for after in range(1, 9):
        # with so many hot keys the next one that is noted has half of them dropped
        space._tap_limit = FEWEST_TAPS
        while len(hot._counts) < CAPACITY:
            key = next(names)
            cache.set(key, key)
            while key not in hot._counts:
                space.read(key, None)
        key = next(names)
        cache.set(key, key)
        cache.set("last", "other")
        entry = space.entries[key]
        space._tap_limit = FEWEST_TAPS
        while entry.taps + 1 < FEWEST_TAPS:
            space.read(key, None)
        Deleting(cache, key)
        assert read_with_collection(cache, key, after) in (key, None)
    cache._check()


def test_a_write_waits_for_its_own_listener_and_not_for_those_of_all_others() -> None:
    cache = Cache()
    most: list[int] = []
    callers: list[int] = []

    def listener(effect: object) -> None:
        time.sleep(0.002)
        callers.append(threading.get_ident())

    def write(thread: int) -> None:
        told = [0]
        for number in range(50):
            cache.set(f"{thread}:{number}", 1)
            told.append(callers.count(threading.get_ident()))
        most.append(max(after - before for before, after in pairwise(told)))

    cache.listen(listener)
    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(callers) == 200
    # whoever had delivered those of all would have told nearly all of them in one write
    assert max(most) < 200 / 3


def test_a_reader_sees_all_of_an_mset_or_nothing_though_finalizers_run_within_it(
    collector: None,
) -> None:
    cache = Cache()
    cache.listen(lambda effect: None)
    pair = {"a": 0, "b": 0}
    cache.mset(pair)
    halves: list[tuple[object, object]] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            # b is written last: who sees it new sees the other new as well
            later, earlier = cache.get("b"), cache.get("a")
            if earlier < later:
                halves.append((earlier, later))
            earlier, later = cache.get("a"), cache.get("b")
            if later < earlier - 1:
                halves.append((earlier, later))
            with cache.transaction():
                if cache.get("a") != cache.get("b"):
                    halves.append((cache.get("a"), cache.get("b")))

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(1, 40):
        Pausing()
        gc.set_threshold(gc.get_count()[0] + number % 20 + 1)
        gc.enable()
        cache.mset({"a": number, "b": number})
        gc.disable()
    over.set()
    reader.join()
    assert halves == []


def test_a_latch_that_another_thread_has_taken_meanwhile_stays_taken() -> None:
    cache = Cache(max_memory="64mb")
    cache.mset({f"k{number}": number for number in range(2000)})
    taken, waited_for = threading.Event(), threading.Event()
    held: list[bool] = []

    def take() -> None:
        cache._store.enter()
        try:
            taken.set()
            # the other thread is on its way out, or waits for the latch by now
            waited_for.wait(60)
            time.sleep(0.05)
            held.append(cache._store.latch.is_mine())
        finally:
            cache._store.leave()

    thread = threading.Thread(target=take)

    def interrupted(key: str, value: object, cause: object) -> None:
        if taken.is_set():
            return
        thread.start()
        assert taken.wait(60)
        waited_for.set()
        raise KeyboardInterrupt

    cache.on_removed(interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.max_entries = 1
    thread.join()
    assert held == [True]
    assert not cache._store.latch.locked()
    cache._check()


def test_a_span_of_a_user_s_may_ask_the_cache_while_it_is_read() -> None:
    cache = Cache()
    cache.set("k", 1)

    class Span(timedelta):
        def total_seconds(self) -> float:
            assert cache.exists("k") == 1
            return 5.0

        @property
        def days(self) -> int:
            assert cache.exists("k") == 1
            return 0

    assert cache.setex("k", Span(seconds=5), 2) is True
    assert cache.getex("k", Span(seconds=5)) == 2


def test_no_command_destroys_a_value_that_was_softly_invalidated() -> None:
    cache = Cache()
    cache.set("k", "x" * 10_000, tags=["t"])
    cache.set("other", 1)
    assert cache.invalidate("t", soft=True) == 1
    before = int(cache._space.used_bytes)
    assert cache.get("k") is None
    assert cache.exists("k") == 0
    assert cache.mget("k", "other")[1] == 1
    assert cache.delete("k") == 0
    assert cache.randomkey() == "other"
    assert int(cache._space.used_bytes) == before
