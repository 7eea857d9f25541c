"""A plain new key in a full cache: it is put in one step, and gets its victim's place."""

from __future__ import annotations

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.entry import STRING
from cachestorm.errors import OutOfMemoryError
from cachestorm.events import Cause
from cachestorm.keyspace.keyspace import Keyspace

SIZE = 40


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return full(clock, b"value")


def full(clock: ManualClock, value: object, ttl: object = None) -> Cache:
    """A cache of SIZE keys that next to each write finds full."""
    cache = Cache(max_entries=SIZE, clock=clock)
    for number in range(2 * SIZE):
        cache.set(f"old:{number}", value, ttl)
    return cache


def in_a_step(space: Keyspace, key: str) -> bool:
    """Puts a key as a compiled caller does that does not hold the latch."""
    return space.put_plain(key, b"new", STRING, 0, 0, False)


def test_a_victim_gives_its_place_to_the_new_key(cache: Cache) -> None:
    space = cache._space
    places = {entry.key: entry.index for entry in space.dense}
    assert in_a_step(space, "new")
    (left,) = set(places) - set(space.entries)
    assert places[left] == space.entries["new"].index
    del places[left]
    assert places == {entry.key: entry.index for entry in space.dense if entry.key != "new"}
    assert (cache.why(left) or {})["cause"] == Cause.EVICTED
    assert cache.get("new") == b"new"
    assert cache.stats().evicted == SIZE + 1
    cache._check()


def test_as_many_leave_as_the_new_key_is_heavy(clock: ManualClock) -> None:
    cache = Cache(max_memory="64kb", clock=clock)
    space = cache._space
    for number in range(1000):
        cache.set(f"old:{number}", b"x" * 50)
    keys = len(cache)
    assert space.put_plain("new", b"x" * 3000, STRING, 0, 0, True)
    assert keys - 5 > len(cache)
    assert 64 * 1024 >= cache.stats().used_memory
    assert cache.exists("new")
    cache._check()


@pytest.mark.parametrize("value", [[1, 2], {"a": object()}])
def test_a_value_with_a_finalizer_is_not_let_go_of_without_the_latch(
    clock: ManualClock, value: object
) -> None:
    cache = full(clock, value)
    before = cache.keys("*")
    assert not in_a_step(cache._space, "new")
    assert before == cache.keys("*")
    assert cache.stats().evicted == SIZE
    # the policy is not asked again for whom it has chosen
    condemned = cache._space._condemned
    assert condemned is not None
    chosen = condemned.key
    cache.set("new", b"new")
    assert not cache.exists(chosen)
    assert len(cache) == SIZE
    cache._check()


def test_whoever_was_chosen_and_has_left_is_chosen_no_more(clock: ManualClock) -> None:
    cache = full(clock, [1])
    assert not in_a_step(cache._space, "new")
    condemned = cache._space._condemned
    assert condemned is not None
    cache.delete(condemned.key)
    cache.set("a", 1)
    assert len(cache) == SIZE
    cache.set("b", 1)
    assert len(cache) == SIZE
    assert cache.stats().evicted == SIZE + 1
    cache._check()


def test_a_flush_forgets_who_was_chosen(clock: ManualClock) -> None:
    cache = full(clock, [1])
    assert not in_a_step(cache._space, "new")
    cache.flushdb()
    for number in range(2 * SIZE):
        cache.set(f"key:{number}", number)
    assert len(cache) == SIZE
    cache._check()


def test_what_is_due_goes_before_any_victim(clock: ManualClock) -> None:
    cache = full(clock, b"value", 10)
    clock.advance(12)
    assert not in_a_step(cache._space, "new")
    cache.set("new", 1)
    assert cache.stats().evicted == SIZE
    assert cache.stats().expired > 0
    cache._check()


def test_another_namespace_may_have_to_give_room(cache: Cache) -> None:
    other = cache.namespace("other")
    other.set("key", 1)
    assert not in_a_step(cache._space, "new")
    cache.set("new", 1)
    assert len(cache) + len(other) == SIZE
    cache._check()


def test_a_value_that_can_never_fit_evicts_nobody(clock: ManualClock) -> None:
    cache = Cache(max_memory=4096, clock=clock)
    for number in range(100):
        cache.set(f"old:{number}", b"x")
    keys = cache.keys("*")
    assert not cache._space.put_plain("new", b"x" * 5000, STRING, 0, 0, False)
    assert keys == cache.keys("*")


def test_flags_and_none_are_plain_as_well(clock: ManualClock) -> None:
    cache = full(clock, True)
    assert in_a_step(cache._space, "new")
    cache.set("new", None)
    cache.set("new", False)
    assert cache.get("new", "missing") is False
    assert cache.type("new") == "object"
    cache.set("new", [1])
    assert cache.get("new") == [1]
    cache.set("new", 2)
    assert (cache.get("new"), cache.type("new")) == (2, "string")
    cache._check()


def test_a_victim_that_was_remembered_is_forgotten_with_its_policy(clock: ManualClock) -> None:
    cache = Cache(max_entries=SIZE, policy="allkeys-lru", clock=clock)
    for number in range(SIZE):
        cache.set(f"old:{number}", b"value", tags=["t"])
    # a victim with tags cannot go without the latch: it is to go next
    assert not in_a_step(cache._space, "new")
    cache.policy = "noeviction"
    with pytest.raises(OutOfMemoryError):
        cache.set("new", b"new")
    assert len(cache) == SIZE
