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

from cachestorm import Cache, ManualClock
from cachestorm.errors import NotAFloatError, OutOfMemoryError, WrongTypeError
from cachestorm.keyspace.latch import HAS_GLOBAL_LOCK
from cachestorm.keyspace.lazy_free import SMALL
from cachestorm.operations.long_command import LongCommand, Unfinished
from cachestorm.operations.optimistic_result import ATTEMPTS, PLAIN, OptimisticResult
from cachestorm.values.container import Container
from cachestorm.values.geohash import distance_m, point_of

COUNT = 30_000
LIST_COUNT = 60_000
NAMES = [f"m{number:06d}" for number in range(2 * COUNT)]

# what every key holds, as plain Python has it
State = dict[str, Any]
Call = Callable[[Cache], object]
# from what the keys hold, what is returned, and what the keys hold then
Model = Callable[[State], tuple[object, State]]


def fill_sets(cache: Cache) -> None:
    cache.sadd("a", *NAMES[:COUNT])
    cache.sadd("b", *NAMES[COUNT // 2 : COUNT // 2 + COUNT])


def fill_scores(cache: Cache) -> None:
    cache.zadd("a", {name: float(at * 7919 % 1000) for at, name in enumerate(NAMES[:COUNT])})
    cache.zadd("b", {name: float(-at) for at, name in enumerate(NAMES[COUNT // 2 : 2 * COUNT])})


def fill_points(cache: Cache) -> None:
    chance = random.Random(1)
    cache.geoadd(
        "a",
        {name: (chance.uniform(-10, 30), chance.uniform(35, 60)) for name in NAMES[:COUNT]},
    )


def fill_lists(cache: Cache) -> None:
    middle = [b"%d" % (number * 7919 % 5000) for number in range(LIST_COUNT)]
    cache.rpush("a", b"-2", *middle, b"-1")


def fill_hash(cache: Cache) -> None:
    cache.hset("a", mapping={name: at for at, name in enumerate(NAMES[: 2 * COUNT])})
    cache.hexpire("a", 1000, *NAMES[:100])
    cache.expire("a", 5000)
    cache.addtag("a", "t")


def fill_copied(kind: str) -> Callable[[Cache], None]:
    def fill(cache: Cache) -> None:
        {"set": fill_sets, "zset": fill_scores, "list": fill_lists, "hash": fill_hash}[kind](
            cache
        )
        if kind == "set":
            cache.sadd("a", *NAMES)
        cache.addtag("a", "t", "u")
        cache.expire("a", 5000)

    return fill


def held(cache: Cache, key: str) -> Any:
    kind = cache.type(key)
    if kind == "set":
        return cache.smembers(key)
    if kind == "zset":
        return cache.zrange(key, 0, -1, withscores=True)
    if kind == "list":
        return cache.lrange(key)
    if kind == "hash":
        return cache.hgetall(key)
    return cache.get(key)


def state_of(cache: Cache) -> State:
    return {key: held(cache, key) for key in cache}


def set_of(state: State, key: str) -> set[str]:
    found = state.get(key, set())
    if not isinstance(found, set):
        raise WrongTypeError()
    return found


def scores_of(state: State, key: str) -> dict[str, float]:
    found = state.get(key, [])
    if not isinstance(found, list) or (found and not isinstance(found[0], tuple)):
        raise WrongTypeError()
    return dict(found)


def list_of(state: State, key: str) -> list[bytes]:
    found = state.get(key, [])
    if not isinstance(found, list) or (found and isinstance(found[0], tuple)):
        raise WrongTypeError()
    return found


def nearest(state: State, count: int) -> list[str]:
    return [name for name, _ in ranked(around(state))][:count]


def farthest(state: State, count: int) -> list[tuple[str, float]]:
    return ranked(around(state))[::-1][:count]


def ranked(scores: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(scores.items(), key=lambda pair: (pair[1], pair[0]))


def put(state: State, key: str, value: Any) -> State:
    """The state with another value at a key, or without the key if there is none."""
    after = {name: each for name, each in state.items() if name != key}
    return {**after, key: value} if value else after


def storing(combine: Callable[[State], Any], key: str) -> Model:
    """What is stored at a key; the reply is how many."""

    def model(state: State) -> tuple[object, State]:
        made = combine(state)
        if isinstance(made, dict):
            made = ranked(made)
        return len(made), put(state, key, made)

    return model


def returning(combine: Callable[[State], Any]) -> Model:
    return lambda state: (combine(state), state)


def united(state: State) -> dict[str, float]:
    scores = {name: 2.0 * score for name, score in scores_of(state, "a").items()}
    for name, score in scores_of(state, "b").items():
        scores[name] = scores.get(name, 0.0) + 3.0 * score
    return scores


def shared(state: State) -> dict[str, float]:
    one, other = scores_of(state, "a"), scores_of(state, "b")
    return {name: min(score, other[name]) for name, score in one.items() if name in other}


def left_over(state: State) -> dict[str, float]:
    one, other = scores_of(state, "a"), scores_of(state, "b")
    return {name: score for name, score in one.items() if name not in other}


def without_ranks(state: State) -> tuple[object, State]:
    rows = ranked(scores_of(state, "a"))
    return len(rows[100:-100]), put(state, "a", rows[:100] + rows[100:][-100:])


def around(state: State) -> dict[str, float]:
    """How many kilometres those are away that are within 1500."""
    away = {
        name: distance_m(10.0, 45.0, *point_of(score)) / 1000.0
        for name, score in scores_of(state, "a").items()
    }
    return {name: distance for name, distance in away.items() if distance <= 1500.0}


def sifted(count: int, gone: bytes) -> Model:
    def model(state: State) -> tuple[object, State]:
        found = list(list_of(state, "a"))
        places = [place for place, element in enumerate(found) if element == gone]
        if count < 0:
            places = places[count:]
        elif count > 0:
            places = places[:count]
        out = set(places)
        left = [element for place, element in enumerate(found) if place not in out]
        return len(places), put(state, "a", left)

    return model


def inserted(state: State) -> tuple[object, State]:
    found = list(list_of(state, "a"))
    if not found:
        return 0, state
    if b"-1" not in found:
        return -1, state
    found.insert(found.index(b"-1") + 1, b"new")
    return len(found), put(state, "a", found)


def sorted_numbers(state: State) -> list[bytes]:
    return sorted(list_of(state, "a"), key=int, reverse=True)


def copied(state: State) -> tuple[object, State]:
    if "a" not in state or "to" in state:
        return False, state
    return True, put(state, "to", state["a"])


CASES: dict[str, tuple[Callable[[Cache], None], Call, Model]] = {
    "SUNIONSTORE": (
        fill_sets,
        lambda cache: cache.sunionstore("to", "a", "b"),
        storing(lambda state: set_of(state, "a") | set_of(state, "b"), "to"),
    ),
    "SINTERSTORE": (
        fill_sets,
        lambda cache: cache.sinterstore("to", "a", "b"),
        storing(lambda state: set_of(state, "a") & set_of(state, "b"), "to"),
    ),
    "SDIFFSTORE into a source": (
        fill_sets,
        lambda cache: cache.sdiffstore("a", "a", "b"),
        storing(lambda state: set_of(state, "a") - set_of(state, "b"), "a"),
    ),
    "SUNION": (
        fill_sets,
        lambda cache: cache.sunion("a", "b"),
        returning(lambda state: set_of(state, "a") | set_of(state, "b")),
    ),
    "SINTER": (
        fill_sets,
        lambda cache: cache.sinter("a", "b"),
        returning(lambda state: set_of(state, "a") & set_of(state, "b")),
    ),
    "SDIFF": (
        fill_sets,
        lambda cache: cache.sdiff("a", "b"),
        returning(lambda state: set_of(state, "a") - set_of(state, "b")),
    ),
    "SINTERCARD": (
        fill_sets,
        lambda cache: cache.sintercard(["a", "b"]),
        returning(lambda state: len(set_of(state, "a") & set_of(state, "b"))),
    ),
    "ZUNIONSTORE": (
        fill_scores,
        lambda cache: cache.zunionstore("to", ["a", "b"], [2, 3]),
        storing(united, "to"),
    ),
    "ZINTERSTORE": (
        fill_scores,
        lambda cache: cache.zinterstore("to", ["a", "b"], aggregate="MIN"),
        storing(shared, "to"),
    ),
    "ZDIFFSTORE into a source": (
        fill_scores,
        lambda cache: cache.zdiffstore("a", ["a", "b"]),
        storing(left_over, "a"),
    ),
    "ZUNION": (
        fill_scores,
        lambda cache: cache.zunion(["a", "b"], [2, 3], withscores=True),
        returning(lambda state: ranked(united(state))),
    ),
    "ZINTER": (
        fill_scores,
        lambda cache: cache.zinter(["a", "b"], aggregate="MIN"),
        returning(lambda state: [name for name, _ in ranked(shared(state))]),
    ),
    "ZDIFF": (
        fill_scores,
        lambda cache: cache.zdiff(["a", "b"]),
        returning(lambda state: [name for name, _ in ranked(left_over(state))]),
    ),
    "ZINTERCARD": (
        fill_scores,
        lambda cache: cache.zintercard(["a", "b"]),
        returning(lambda state: len(shared(state))),
    ),
    "ZRANGESTORE": (
        fill_scores,
        lambda cache: cache.zrangestore(
            "to", "a", "+inf", 3, byscore=True, rev=True, offset=7, count=25_000
        ),
        storing(
            lambda state: dict(
                [pair for pair in reversed(ranked(scores_of(state, "a"))) if pair[1] >= 3][
                    7:25_007
                ]
            ),
            "to",
        ),
    ),
    "ZREMRANGEBYRANK": (
        fill_scores,
        lambda cache: cache.zremrangebyrank("a", 100, -101),
        without_ranks,
    ),
    "GEOSEARCH": (
        fill_points,
        lambda cache: cache.geosearch(
            "a",
            longitude=10,
            latitude=45,
            radius=1500,
            unit="km",
            sort="DESC",
            count=9000,
            withdist=True,
        ),
        returning(lambda state: farthest(state, 9000)),
    ),
    "GEOSEARCH of the nearest": (
        fill_points,
        lambda cache: cache.geosearch(
            "a", longitude=10, latitude=45, radius=1500, unit="km", count=9
        ),
        returning(lambda state: nearest(state, 9)),
    ),
    "GEOSEARCHSTORE": (
        fill_points,
        lambda cache: cache.geosearchstore(
            "to", "a", longitude=10, latitude=45, radius=1500, unit="km", storedist=True
        ),
        storing(around, "to"),
    ),
    "LREM": (fill_lists, lambda cache: cache.lrem("a", 0, 7), sifted(0, b"7")),
    "LREM of five": (fill_lists, lambda cache: cache.lrem("a", 5, 7), sifted(5, b"7")),
    "LREM of the last": (fill_lists, lambda cache: cache.lrem("a", 1, -1), sifted(1, b"-1")),
    "LREM of the first": (fill_lists, lambda cache: cache.lrem("a", -1, -2), sifted(-1, b"-2")),
    "LREM from the right": (
        fill_lists,
        lambda cache: cache.lrem("a", -11, 7),
        sifted(-11, b"7"),
    ),
    "LTRIM": (
        fill_lists,
        lambda cache: cache.ltrim("a", 10, 20_000),
        lambda state: (True, put(state, "a", list_of(state, "a")[10:20_001])),
    ),
    "LPOS": (
        fill_lists,
        lambda cache: cache.lpos("a", 7, rank=2, count=0),
        returning(
            lambda state: [
                place for place, each in enumerate(list_of(state, "a")) if each == b"7"
            ][1:]
        ),
    ),
    "LPOS of the last": (
        fill_lists,
        lambda cache: cache.lpos("a", "none", rank=-1),
        # nothing is found, but a key of another kind is refused
        returning(lambda state: (list_of(state, "a"), None)[1]),
    ),
    "LINSERT": (fill_lists, lambda cache: cache.linsert("a", "AFTER", -1, b"new"), inserted),
    "SORT": (
        fill_lists,
        lambda cache: cache.sort("a", offset=3, count=500, order="DESC"),
        returning(lambda state: sorted_numbers(state)[3:503]),
    ),
    "SORT GET": (
        fill_sets,
        lambda cache: cache.sort("a", alpha=True, get=["#", "none", "#"], count=2),
        returning(
            lambda state: [
                each for name in sorted(set_of(state, "a"))[:2] for each in (name, None, name)
            ]
        ),
    ),
    "SORT STORE": (
        fill_lists,
        lambda cache: cache.sort("a", alpha=True, destination="to"),
        storing(lambda state: sorted(list_of(state, "a")), "to"),
    ),
    "SORT BY nothing STORE": (
        fill_scores,
        lambda cache: cache.sort("a", by="nosort", order="DESC", destination="to"),
        storing(lambda state: [name for name, _ in ranked(scores_of(state, "a"))][::-1], "to"),
    ),
    **{
        f"COPY of a {kind}": (fill_copied(kind), lambda cache: cache.copy("a", "to"), copied)
        for kind in ("set", "zset", "list", "hash")
    },
}
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
    long_command = handed_over(cache, CASES[name][1])
    writes = 0
    done = False
    while not done:
        cache.persist("a") if writes % 2 else cache.expire("a", 100_000)
        writes += 1
        before = state_of(cache)
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
