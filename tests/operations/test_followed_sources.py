"""Results of large sets and sorted sets while somebody writes to these all the time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.operations.long_command import LongCommand, Unfinished
from cachestorm.operations.optimistic_result import OptimisticResult
from cachestorm.values.placed import MOST_TOUCHED

COUNT = 10_000
NAMES = [f"m{number:06d}" for number in range(2 * COUNT)]
Call = Callable[[Cache], object]

SETS: dict[str, Call] = {
    "SUNIONSTORE": lambda cache: cache.sunionstore("to", "a", "b"),
    "SINTERSTORE": lambda cache: cache.sinterstore("to", "a", "b"),
    "SDIFFSTORE": lambda cache: cache.sdiffstore("to", "a", "b"),
    "SDIFFSTORE into a source": lambda cache: cache.sdiffstore("b", "a", "b"),
    "SUNION": lambda cache: cache.sunion("a", "b"),
    "SINTER": lambda cache: cache.sinter("a", "b"),
    "SDIFF": lambda cache: cache.sdiff("a", "b"),
    "SINTERCARD": lambda cache: cache.sintercard(["a", "b"]),
    "SINTERCARD LIMIT": lambda cache: cache.sintercard(["a", "b"], limit=4900),
}
SCORES: dict[str, Call] = {
    "ZUNIONSTORE": lambda cache: cache.zunionstore("to", ["a", "b"], [2, 3]),
    "ZINTERSTORE": lambda cache: cache.zinterstore("to", ["a", "b"], aggregate="MIN"),
    "ZDIFFSTORE": lambda cache: cache.zdiffstore("to", ["a", "b"]),
    "ZUNION": lambda cache: cache.zunion(["a", "b"], aggregate="MAX", withscores=True),
    "ZINTER": lambda cache: cache.zinter(["a", "b"], withscores=True),
    "ZDIFF": lambda cache: cache.zdiff(["a", "b"], withscores=True),
    "ZINTERCARD": lambda cache: cache.zintercard(["a", "b"], limit=4900),
}
COMBINED: dict[str, Callable[[dict[str, float], dict[str, float]], dict[str, float]]] = {
    "ZUNION": lambda a, b: {
        each: max(a.get(each, -1e9), b.get(each, -1e9)) for each in {**a, **b}
    },
    "ZINTER": lambda a, b: {each: a[each] + b[each] for each in a if each in b},
    "ZDIFF": lambda a, b: {each: a[each] for each in a if each not in b},
}
CALLS = {**SETS, **SCORES}
# what took place when the sources had been read, which was before its last slice
READ_EARLIER = ("ZUNION", "ZINTER", "ZDIFF")


def filled(name: str) -> Cache:
    cache = Cache()
    # by size, sums are made in the same order all the time
    one, other = NAMES[:COUNT], NAMES[COUNT // 2 :]
    if name in SETS:
        cache.sadd("a", *one)
        cache.sadd("b", *other)
    else:
        cache.zadd("a", {each: float(at * 7919 % 1000) for at, each in enumerate(one)})
        cache.zadd("b", {each: float(-at) for at, each in enumerate(other)})
    return cache


def handed_over(cache: Cache, call: Call) -> LongCommand:
    with pytest.raises(Unfinished) as caught:
        call(cache.serving_others())
    return caught.value.long_command


def attempts_of(command: LongCommand) -> int:
    assert isinstance(command, OptimisticResult)
    return int(command._attempts)


def write(name: str, cache: Cache, chance: random.Random) -> None:
    """A few of everything that changes a source in place."""
    key = chance.choice("ab")
    for _ in range(chance.randrange(1, 30)):
        member = chance.choice(NAMES)
        if name in SETS:
            if chance.random() < 0.5:
                cache.sadd(key, member, f"new{chance.random()}")
            else:
                cache.srem(key, member, chance.choice(NAMES))
        elif chance.random() < 0.5:
            cache.zadd(key, {member: chance.randrange(9), f"new{chance.random()}": 1.0})
        else:
            cache.zrem(key, member, chance.choice(NAMES))
    dice = chance.random()
    if dice < 0.1:
        cache.expire(key, 1000)
    elif dice < 0.2:
        cache.addtag(key, f"t{dice}")
    elif dice < 0.3 and name in SETS:
        cache.spop(key, 40)
    elif dice < 0.3:
        cache.zpopmin(key, 40)


def sources_of(name: str, cache: Cache) -> dict[str, Any]:
    """What the sources hold, as plain Python has it."""
    if name in SETS:
        return {key: cache.smembers(key) for key in "ab"}
    return {key: dict(cache.zrange(key, 0, -1, withscores=True)) for key in "ab"}


def holding(name: str, sources: dict[str, Any]) -> Cache:
    """A cache of such sources."""
    cache = Cache()
    for key, found in sources.items():
        if name in SETS:
            cache.sadd(key, *found)
        else:
            cache.zadd(key, found)
    return cache


def held(name: str, cache: Cache) -> list[object]:
    if name in SETS:
        return [cache.smembers(key) for key in ("a", "b", "to")]
    return [cache.zrange(key, 0, -1, withscores=True) for key in ("a", "b", "to")]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [name for name in CALLS if name not in READ_EARLIER])
def test_it_comes_to_what_the_sources_hold_at_its_end_and_begins_once(
    name: str, seed: int
) -> None:
    chance = random.Random(f"{name} {seed}")
    cache = filled(name)
    command = handed_over(cache, CALLS[name])
    done = False
    while not done:
        write(name, cache, chance)
        sources = sources_of(name, cache)
        done = command.step()
    twin = holding(name, sources)
    assert command.result() == CALLS[name](twin)
    assert held(name, cache) == held(name, twin)
    # where so many were enough that are no more, it begins again
    assert attempts_of(command) == 1 or "LIMIT" in name or name == "ZINTERCARD"
    cache._check()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", READ_EARLIER)
def test_what_only_reads_comes_to_what_the_sources_held_at_one_moment(
    name: str, seed: int
) -> None:
    chance = random.Random(f"{name} {seed}")
    cache = filled(name)
    command = handed_over(cache, CALLS[name])
    moments = [sources_of(name, cache)]
    done = False
    while not done:
        write(name, cache, chance)
        moments.append(sources_of(name, cache))
        done = command.step()
    result = command.result()
    assert isinstance(result, list)
    assert result == sorted(result, key=lambda pair: (pair[1], pair[0]))
    assert dict(result) in [COMBINED[name](each["a"], each["b"]) for each in moments]
    cache._check()


@pytest.mark.parametrize("name", CALLS)
def test_nobody_is_followed_when_it_has_ended_or_was_abandoned(name: str) -> None:
    cache = filled(name)
    values = [cache._space.value(cache._space.entries[key]) for key in "ab"]
    command = handed_over(cache, CALLS[name])
    assert all(value._followers for value in values)  # type: ignore[attr-defined]
    command.abandon()
    assert [value._followers for value in values] == [None, None]  # type: ignore[attr-defined]
    CALLS[name](cache)
    assert [value._followers for value in values] == [None, None]  # type: ignore[attr-defined]


def test_two_at_once_both_follow() -> None:
    cache = filled("SUNIONSTORE")
    union = handed_over(cache, lambda view: view.sunionstore("union", "a", "b"))
    both = handed_over(cache, lambda view: view.sinterstore("both", "a", "b"))
    cache.srem("a", NAMES[9000])
    cache.sadd("b", "new")
    while not union.step():
        cache.sadd("a", "new")
    while not both.step():
        pass
    assert cache.smembers("union") == cache.sunion("a", "b")
    assert cache.smembers("both") == cache.sinter("a", "b")
    assert [attempts_of(union), attempts_of(both)] == [1, 1]


def test_it_begins_again_when_more_was_touched_than_is_worth_looking_at() -> None:
    cache = filled("SUNIONSTORE")
    command = handed_over(cache, SETS["SUNIONSTORE"])
    cache.sadd("a", *(f"new{number}" for number in range(MOST_TOUCHED + 1)))
    while not command.step():
        pass
    assert attempts_of(command) == 2
    assert cache.smembers("to") == cache.sunion("a", "b")


@pytest.mark.parametrize(
    "change",
    [
        lambda cache: cache.delete("a"),
        lambda cache: cache.rename("a", "c"),
        lambda cache: cache.set("to", b"v"),
        lambda cache: cache.zremrangebyrank("a", 0, -2),
        lambda cache: cache.swapdb(0, 1),
    ],
)
def test_what_is_exchanged_as_a_whole_begins_again(change: Call) -> None:
    cache = filled("ZUNIONSTORE")
    command = handed_over(cache, SCORES["ZUNIONSTORE"])
    change(cache)
    sources = sources_of("ZUNIONSTORE", cache)
    while not command.step():
        pass
    assert command.result() == len({**sources["a"], **sources["b"]})
    cache._check()


def change_some(kind: str, cache: Cache, chance: random.Random, names: list[str]) -> None:
    """A few of everything that changes a set or a hash in place, and its key."""
    for _ in range(chance.randrange(1, 20)):
        name = chance.choice(names)
        if kind == "set":
            if chance.random() < 0.5:
                cache.srem("a", name)
            else:
                cache.sadd("a", name, f"new{chance.random()}")
            continue
        match chance.randrange(6):
            case 0:
                cache.hdel("a", name)
            case 1:
                cache.hset("a", f"new{chance.random()}", 1)
            case 2:
                cache.hexpire("a", chance.randrange(100, 1000), name)
            case 3:
                cache.hpersist("a", name)
            case 4:
                cache.hset("a", name, [chance.random()])
            case _:
                cache.hincrby("a", "counter", 1)
    if chance.random() < 0.3:
        cache.addtag("a", f"t{chance.randrange(3)}")
        cache.remtag("a", f"t{chance.randrange(3)}")


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", ["set", "hash"])
def test_a_copy_is_what_its_source_is_at_its_end_and_begins_once(kind: str, seed: int) -> None:
    chance = random.Random(f"{kind} {seed}")
    names = [f"m{number:06d}" for number in range(40_000)]
    cache = Cache(clock=ManualClock())
    if kind == "set":
        cache.sadd("a", *names)
    else:
        cache.hset("a", mapping=dict.fromkeys(names, 0))
    command = handed_over(cache, lambda view: view.copy("a", "to"))
    slices = 0
    done = False
    while not done:
        change_some(kind, cache, chance, names)
        done = command.step()
        slices += 1
    assert command.result() is True
    assert slices > 1
    assert attempts_of(command) == 1
    if kind == "set":
        assert cache.smembers("to") == cache.smembers("a")
    else:
        fields = cache.hkeys("a")
        assert cache.hgetall("to") == cache.hgetall("a")
        assert cache.httl("to", *fields) == cache.httl("a", *fields)
    assert cache.tags("to") == cache.tags("a")
    assert cache._space.value(cache._space.entries["a"])._followers is None  # type: ignore[attr-defined]
    cache._check()
