"""Optimistic results: worked out of large values in slices, and one step all the same.

Each command is compared with plain Python on what the keys held when its last slice ran, while
the keys are changed at random between the slices.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from long_command_cases import (
    CASES,
    COUNT,
    NAMES,
    Call,
    State,
    fill_copied,
    held,
    ranked,
    state_of,
)

from cachestorm import Cache, ManualClock
from cachestorm.errors import NotAFloatError, OutOfMemoryError, WrongTypeError
from cachestorm.keyspace.latch import HAS_GLOBAL_LOCK
from cachestorm.keyspace.lazy_free import SMALL
from cachestorm.operations.long_command import LongCommand, Unfinished
from cachestorm.operations.optimistic_result import ATTEMPTS, PLAIN, OptimisticResult
from cachestorm.values.container import Container

# of which the others are variants
CALLS = sorted(set(CASES) - {name for name in CASES if " of " in name or " from " in name})


# what follows its sources, and of these what took place before its last slice
FOLLOWING = [name for name in CALLS if name.startswith(("SUNION", "SINTER", "SDIFF", "Z"))]
FOLLOWING = [name for name in FOLLOWING if "RANGE" not in name]
READ_EARLIER = ("ZUNION", "ZINTER", "ZDIFF")


def took_place(name: str, states: list[State], result: object) -> bool:
    """Whether it is what the command comes to in one of some states."""
    for state in states:
        try:
            if result == CASES[name][2](state)[0]:
                return True
        except WrongTypeError:
            continue
    return False


def handed_over(cache: Cache, call: Call) -> LongCommand:
    with pytest.raises(Unfinished) as caught:
        call(cache.serving_others())
    return caught.value.long_command


def filled(name: str) -> Cache:
    cache = Cache(clock=ManualClock())
    CASES[name][0](cache)
    return cache


def is_as_modelled(name: str, before: State, result: object, cache: Cache) -> None:
    expected, after = CASES[name][2](before)
    assert result == expected
    assert after == state_of(cache)
    cache._check()


@pytest.mark.parametrize("name", CASES)
def test_in_slices_it_does_what_one_step_would(name: str) -> None:
    cache = filled(name)
    before = state_of(cache)
    long_command = handed_over(cache, CASES[name][1])
    assert isinstance(long_command, OptimisticResult)
    assert before == state_of(cache)
    while not long_command.step():
        pass
    is_as_modelled(name, before, long_command.result(), cache)


@pytest.mark.parametrize(
    "call",
    [lambda cache, keys: cache.sunion(*keys), lambda cache, keys: cache.zunion(keys)],
)
def test_many_small_sources_are_not_a_piece_each(
    call: Callable[[Cache, list[str]], object],
) -> None:
    # all keys are looked at before each slice, which is but a few pieces
    cache = Cache(clock=ManualClock())
    keys = [f"k{number}" for number in range(4 * PLAIN)]
    for key in keys:
        cache.sadd(key, key)
    long_command = handed_over(cache, lambda view: call(view, keys))
    assert isinstance(long_command, OptimisticResult) and long_command._pieces is not None
    assert sum(1 for _ in long_command._pieces) < len(keys) // 50
    long_command.abandon()


def young_elements() -> int:
    """How many elements the lists have that the collector has not looked at twice."""
    young = gc.get_objects(generation=0)
    if sys.version_info < (3, 14):
        young += gc.get_objects(generation=1)
    return sum(len(each) for each in young if type(each) is list and each is not young)


@pytest.mark.skipif(not HAS_GLOBAL_LOCK, reason="without it there are no generations")
@pytest.mark.parametrize("name", ["SUNIONSTORE", "ZUNIONSTORE", "SORT STORE", "COPY of a hash"])
def test_no_slice_leaves_much_for_the_collector_to_look_at(name: str) -> None:
    cache = filled(name)
    gc.collect()
    long_command = handed_over(cache, CASES[name][1])
    assert young_elements() < COUNT // 2
    while not long_command.step():
        assert young_elements() < COUNT // 2
    assert young_elements() < COUNT // 2


def test_a_program_without_a_collector_is_left_without_one() -> None:
    cache = filled("COPY of a set")
    long_command = handed_over(cache, CASES["COPY of a set"][1])
    collected: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        collected.append(phase)

    gc.disable()
    gc.callbacks.append(note)
    try:
        while not long_command.step():
            pass
    finally:
        gc.callbacks.remove(note)
        gc.enable()
    assert not collected


def change(name: str, cache: Cache, chance: random.Random) -> None:
    """Something happens to one of the keys."""
    key = chance.choice("ab")
    kind = cache.type(key)
    dice = chance.random()
    if dice < 0.05:
        cache.delete(key)
    elif dice < 0.1:
        cache.expire(key, 1)
        clock = cache._store.clock
        assert isinstance(clock, ManualClock)
        clock.advance(2)
    elif dice < 0.14:
        cache.swapdb(0, 1)
    elif dice < 0.17:
        cache.flushdb()
    elif dice < 0.2:
        cache.set(key, b"text")
    elif dice < 0.25 and cache.exists(key):
        cache.rename(key, "c")
    elif kind == "set":
        cache.sadd(key, f"new{chance.random()}")
        cache.srem(key, chance.choice(NAMES))
    elif kind == "zset":
        cache.zadd(key, {chance.choice(NAMES): chance.random()})
        cache.zrem(key, chance.choice(NAMES))
    elif kind == "list":
        cache.lset(key, chance.randrange(cache.llen(key)), chance.choice([b"7", b"8"]))
        cache.lpop(key)
    elif kind == "hash":
        cache.hset(key, chance.choice(NAMES), b"new")
        cache.hdel(key, chance.choice(NAMES))
    else:
        cache.delete("a", "b")
        CASES[name][0](cache)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CASES)
def test_it_is_one_step_whatever_others_do_meanwhile(name: str, seed: int) -> None:
    chance = random.Random(f"{name} {seed}")
    cache = filled(name)
    long_command = handed_over(cache, CASES[name][1])
    changes = 0
    states = [state_of(cache)]
    while True:
        if chance.random() < 0.6 and changes < 2 * ATTEMPTS:
            changes += 1
            change(name, cache, chance)
            states.append(state_of(cache))
        before = states[-1]
        try:
            if not long_command.step():
                continue
        except WrongTypeError:
            with pytest.raises(WrongTypeError):
                CASES[name][2](before)
            assert before == state_of(cache)
            cache._check()
            return
        if name in READ_EARLIER:
            assert took_place(name, states, long_command.result())
            assert before == state_of(cache)
            cache._check()
        else:
            is_as_modelled(name, before, long_command.result(), cache)
        return


@pytest.mark.parametrize("name", CALLS)
def test_it_comes_to_an_end_though_somebody_writes_all_the_time(name: str) -> None:
    cache = filled(name)
    before = state_of(cache)
    long_command = handed_over(cache, CASES[name][1])
    writes = 0
    done = False
    while not done:
        # which leaves the state as it is
        cache.persist("a") if writes % 2 else cache.expire("a", 100_000)
        writes += 1
        done = long_command.step()
    assert isinstance(long_command, OptimisticResult)
    assert long_command._attempts == 1 if name in FOLLOWING else writes <= ATTEMPTS
    is_as_modelled(name, before, long_command.result(), cache)


@pytest.mark.parametrize("name", CALLS)
def test_in_a_transaction_it_is_one_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = filled(name)
    before = state_of(cache)
    monkeypatch.setattr(time, "sleep", None)
    with cache.transaction():
        result = CASES[name][1](cache.serving_others())
    is_as_modelled(name, before, result, cache)


@pytest.mark.parametrize("name", CALLS)
def test_a_thread_pauses_between_the_slices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = filled(name)
    before = state_of(cache)
    locked: list[bool] = []
    monkeypatch.setattr(
        time, "sleep", lambda seconds: locked.append(cache._store.latch.locked())
    )
    result = CASES[name][1](cache)
    assert locked
    assert not any(locked)
    is_as_modelled(name, before, result, cache)


@pytest.mark.parametrize("name", CASES)
def test_one_that_is_abandoned_leaves_nothing(name: str) -> None:
    cache = filled(name)
    before = state_of(cache)
    long_command = handed_over(cache, CASES[name][1])
    long_command.step()
    if state_of(cache) != before:
        return
    long_command.abandon()
    assert before == state_of(cache)
    while cache.reap():
        pass
    assert not cache._store.lazy_free.batches
    cache._check()


@pytest.mark.parametrize("name", ["SUNIONSTORE", "ZUNIONSTORE", "COPY of a zset"])
def test_a_result_that_does_not_fit_is_refused_and_nothing_has_changed(name: str) -> None:
    cache = Cache(clock=ManualClock(), policy="noeviction")
    CASES[name][0](cache)
    cache.set("to", b"what was there")
    before = state_of(cache)
    cache.max_memory = cache._store.used_bytes + 100_000
    with pytest.raises(OutOfMemoryError):
        if name.startswith("COPY"):
            cache.copy("a", "to", replace=True)
        else:
            CASES[name][1](cache)
    assert before == state_of(cache)
    while cache.reap():
        pass
    assert not cache._store.lazy_free.batches
    cache._check()


@pytest.mark.parametrize("kind", ["set", "zset", "list", "hash"])
def test_a_long_copy_takes_all_along(kind: str) -> None:
    cache = Cache(clock=ManualClock())
    fill_copied(kind)(cache)
    assert cache.copy("a", "to", 1)
    target = cache.database(1)
    assert held(cache, "a") == held(target, "to")
    assert cache.ttl("a") == target.ttl("to")
    assert cache.tags("a") == target.tags("to")
    if kind == "hash":
        assert cache.httl("a", *NAMES[:200]) == target.httl("to", *NAMES[:200])
    one, other = (
        space.value(space.entries[key])
        for space, key in ((cache._space, "a"), (target._space, "to"))
    )
    assert isinstance(one, Container) and isinstance(other, Container)
    assert one.size_bytes == other.size_bytes
    other._check()
    cache._check()


def test_a_long_string_that_was_changed_in_place_is_copied_in_slices() -> None:
    cache = Cache()
    cache.setrange("a", 20_000_000, b"end")
    cache.setbit("a", 5, 1)
    long_command = handed_over(cache, lambda view: view.copy("a", "to"))
    while not long_command.step():
        pass
    assert long_command.result() is True
    assert cache.get("a") == cache.get("to")
    cache._check()


def test_a_search_finds_nothing_in_a_list_that_was_deleted_meanwhile() -> None:
    cache = filled("LPOS")
    # the last element is one of them, and is met in the first slice
    long_command = handed_over(cache, lambda view: view.lpos("a", -1, rank=-1, count=0))
    cache.delete("a")
    while not long_command.step():
        pass
    assert long_command.result() == []


def test_a_scan_misses_no_row_that_stays_when_a_range_is_removed() -> None:
    cache = filled("ZREMRANGEBYRANK")
    stay = {name for name, _ in ranked(dict(held(cache, "a")))[-3000:]}
    cursor, page = cache.zscan("a", 0, count=5000)
    seen = {name for name, _ in page}
    assert cache.zremrangebyrank("a", 0, -3001) == COUNT - 3000
    while cursor:
        cursor, page = cache.zscan("a", cursor, count=5000)
        seen |= {name for name, _ in page}
    assert stay <= seen


def test_what_is_small_is_one_plain_step() -> None:
    view = Cache().serving_others()
    view.sadd("a", *NAMES[:100])
    view.zadd("z", {name: 1.0 for name in NAMES[:100]})
    view.rpush("l", *NAMES[:100])
    assert view.sunionstore("to", "a", "a") == 100
    assert view.zunionstore("to", ["z", "z"]) == 100
    assert view.copy("z", "to", replace=True)
    assert view.lrem("l", 0, NAMES[5]) == 1
    assert len(view.sort("l", alpha=True)) == 99  # type: ignore[arg-type]


@pytest.mark.parametrize("how", [{"by": "nosort"}, {"alpha": True}, {}])
@pytest.mark.parametrize("kind", [list, dict.fromkeys])
def test_a_sort_leaves_the_values_of_a_user_whole(how: dict[str, Any], kind: Any) -> None:
    cache = Cache()
    mine = kind(range(SMALL + 100))
    size = len(mine)
    cache.rpush("l", *range(PLAIN + 100), mine)
    try:
        found = cache.sort("l", **how)
    except NotAFloatError:
        # it is not a number
        found = [mine]
    while cache.reap():
        pass
    assert any(len(each) == size for each in found if isinstance(each, (list, dict)))
    assert len(mine) == size
    assert len(cache.lindex("l", -1)) == size
    cache._check()
