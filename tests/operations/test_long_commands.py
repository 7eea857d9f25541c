"""Long commands: in slices, with others let in between, and handed over to who asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.keyspace.shared_state import LOOK, SLICE
from cachestorm.operations.long_command import LongCommand, Unfinished

COUNT = 3 * SLICE

LONG: dict[str, Callable[[Cache], object]] = {
    "INVALIDATE": lambda cache: cache.invalidate("t"),
    "KEYS": lambda cache: cache.keys("k1*"),
    "RANDOMKEY": lambda cache: cache.randomkey(),
}


def tagged(count: int = COUNT, tags: int = 1) -> Cache:
    """A cache of so many keys, in which all of LONG are long."""
    cache = Cache()
    names = ["t", *(f"t{number}" for number in range(1, tags))]
    for number in range(count):
        cache.set(f"k{number}", b"v", tags=names)
    return cache


def prepared(command: str) -> Cache:
    cache = tagged()
    if command == "RANDOMKEY":
        cache.invalidate("t", soft=True)
    return cache


def handed_over(cache: Cache, command: str) -> LongCommand:
    with pytest.raises(Unfinished) as caught:
        LONG[command](cache.serving_others())
    return caught.value.long_command


@pytest.mark.parametrize("command", LONG)
def test_a_thread_pauses_between_the_slices(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = prepared(command)
    pauses: list[bool] = []

    def sleep(seconds: float) -> None:
        # whoever waits for the interpreter wakes up only when it is given up for a time
        assert seconds > 0
        pauses.append(cache._store.latch.locked())

    monkeypatch.setattr(time, "sleep", sleep)
    LONG[command](cache)
    assert len(pauses) >= COUNT // (SLICE + LOOK)
    assert not any(pauses)


@pytest.mark.parametrize("command", LONG)
def test_a_view_that_serves_others_hands_over_what_remains(command: str) -> None:
    cache = prepared(command)
    expected = sorted(f"k{n}" for n in range(COUNT) if str(n).startswith("1"))
    long_command = handed_over(cache, command)
    steps = 1
    while not long_command.step():
        steps += 1
        assert cache.set("other", b"v")
    assert steps >= COUNT // (SLICE + LOOK)
    result = long_command.result()
    if command == "INVALIDATE":
        assert result == COUNT
    elif command == "KEYS":
        assert isinstance(result, list)
        assert sorted(result) == expected
    else:
        assert result == "other"
    cache._check()


@pytest.mark.parametrize("command", LONG)
def test_in_a_transaction_a_long_command_is_one_step(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = prepared(command)
    monkeypatch.setattr(time, "sleep", None)
    with cache.transaction():
        LONG[command](cache.serving_others())
    cache._check()


@pytest.mark.parametrize("tags", [1, 10])
def test_a_slice_of_an_invalidation_is_measured_in_tags(tags: int) -> None:
    cache = tagged(COUNT // tags, tags)
    long_command = handed_over(cache, "INVALIDATE")
    assert cache.tagcount("t") == 0
    assert cache.get("k1") is None
    left = cache.dbsize()
    while not long_command.step():
        assert left - cache.dbsize() <= (SLICE + LOOK) // tags + 1
        left = cache.dbsize()
    assert long_command.result() == COUNT // tags
    cache._check()


def test_an_invalidation_that_nobody_finishes_is_reaped_and_counted_once() -> None:
    cache = tagged()
    handed_over(cache, "INVALIDATE")
    assert 0 < cache.dbsize() < COUNT
    before = cache.stats().invalidated
    assert cache.reap() > 0
    assert cache.stats().invalidated > before
    while cache.reap():
        pass
    assert cache.dbsize() == 0
    assert cache.stats().invalidated == COUNT
    cache._check()


def test_a_swap_in_the_middle_of_an_invalidation_lets_others_in() -> None:
    cache = tagged()
    cache.set("kept", b"v")
    invalidating = handed_over(cache, "INVALIDATE")
    with pytest.raises(Unfinished) as caught:
        cache.serving_others().swapdb(1, 0)
    left = cache.dbsize()
    assert left > 1
    assert cache.get("kept") == b"v"
    swapping = caught.value.long_command
    while not swapping.step():
        assert left - cache.dbsize() <= SLICE + LOOK
        left = cache.dbsize()
    assert swapping.result() is True
    assert cache.dbsize() == 0
    assert cache.database(1).keys() == ["kept"]
    assert invalidating.step()
    assert invalidating.result() == COUNT
    cache._check()


def test_two_invalidations_at_once_count_each_key_with_the_first() -> None:
    cache = Cache()
    for number in range(COUNT):
        cache.set(f"a{number}", b"v", tags=["t", "u"])
        cache.set(f"b{number}", b"v", tags=["u"])
    first = handed_over(cache, "INVALIDATE")
    assert cache.invalidate("u") == COUNT
    assert first.step()
    assert first.result() == COUNT
    cache._check()


@pytest.mark.parametrize("flush", ["flushall", "flushdb", "namespacedel"])
def test_a_flush_in_the_middle_of_an_invalidation_does_not_change_its_count(flush: str) -> None:
    cache = Cache(clock=ManualClock()).namespace("n")
    for number in range(COUNT):
        cache.set(f"a{number}", b"v", tags=["t", "u"])
    cache.set("due", b"v", tags=["t"], ttl=1)
    cache.hset("spent", mapping={"f": b"v"})
    cache.hexpire("spent", 1, "f")
    cache.addtag("spent", "t")
    clock = cache._store.clock
    assert isinstance(clock, ManualClock)
    clock.advance(2)
    cache.taglink("t", "u")
    with pytest.raises(Unfinished) as caught:
        cache.serving_others().invalidate("t", cascade=True)
    cache.set("later", b"v", tags=["t"])
    cache.namespacedel("n") if flush == "namespacedel" else getattr(cache, flush)()
    cache.set("after", b"v", tags=["t"])
    long_command = caught.value.long_command
    while not long_command.step():
        pass
    assert long_command.result() == COUNT
    assert cache._space.invalidated == COUNT
    assert cache.keys() == ["after"]
    while cache.reap():
        pass
    cache._check()


def test_a_view_of_another_namespace_serves_others_too() -> None:
    cache = Cache()
    other = cache.serving_others().namespace("other")
    for number in range(COUNT):
        other.set(f"k{number}", b"v", tags=["t"])
    with pytest.raises(Unfinished):
        other.invalidate("t")
