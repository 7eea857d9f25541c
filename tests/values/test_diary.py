"""The diaries of containers: replayed on a copy they give the container, to the last byte."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, cast

import pytest
from container_calls import (
    BEFORE_AND_AFTER,
    CALLS,
    COMMON,
    SCORES,
    VALUES,
    Chance,
    call_any,
    content_of,
    copy_some,
    filled,
    name,
    state_of,
)

from cachestorm import Cache, ManualClock
from cachestorm.values.buffer import SHORTEST, Buffer
from cachestorm.values.container import Container
from cachestorm.values.hash import Hash
from cachestorm.values.list import ListValue
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import FEW_ROWS, SortedSet, spelling
from cachestorm.values.weights import Boxed, box, unbox


@pytest.mark.parametrize("kind", CALLS)
def test_every_public_method_of_a_container_is_tried(kind: type[Container]) -> None:
    public = {
        each for each in dir(kind) if not each.startswith("_") and callable(getattr(kind, each))
    }
    assert public == {*COMMON, *CALLS[kind], *(BEFORE_AND_AFTER & public)}


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("kind", CALLS)
def test_a_diary_replayed_on_a_copy_gives_the_container(
    kind: type[Container], seed: int
) -> None:
    chance = random.Random(seed)
    container = filled(kind, chance)
    copy = copy_some(container, chance) if seed % 2 else container.copy()
    for _ in range(150):
        container.diary = []
        before = state_of(container)
        call_any(container, chance)
        if not container.diary:
            assert state_of(container) == before
        copy.replay(container.diary)
        assert state_of(copy) == state_of(container)
        copy._check()
        container._check()


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("kind", [Hash, SetValue])
def test_a_copy_whose_names_are_all_revised_has_what_the_container_has(
    kind: type[Hash] | type[SetValue], seed: int
) -> None:
    chance = random.Random(seed)
    container = filled(kind, chance)
    copy = container.copy()
    for _ in range(chance.choice([1, 20])):
        call_any(container, chance)
    for each in {*names_in(container), *names_in(copy)}:
        container.revise(copy, each)
    assert content_of(copy) == content_of(container)
    copy._check()


def names_in(container: Hash | SetValue) -> list[str]:
    """Its fields or members."""
    found = container.fields() if isinstance(container, Hash) else container.members()
    return list(found)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("kind", CALLS)
def test_records_that_are_older_than_the_copy_do_no_harm(
    kind: type[Container], seed: int
) -> None:
    chance = random.Random(seed)
    container = filled(kind, chance)
    container.diary = records = []
    for _ in range(chance.choice([10, 100])):
        call_any(container, chance)
    copy = container.copy()
    for _ in range(chance.choice([0, 10, 100])):
        call_any(container, chance)
    copy.replay(records)
    assert content_of(copy) == content_of(container)
    copy._check()
    copy.replay(records)
    assert content_of(copy) == content_of(container)


@pytest.mark.parametrize("kind", CALLS)
def test_a_copy_keeps_no_diary(kind: type[Container]) -> None:
    container = filled(kind, random.Random(1))
    container.diary = []
    assert container.copy().diary is None
    assert container.twin().diary is None


def test_a_change_of_one_of_many_is_one_small_record() -> None:
    fields, members, scores, elements = Hash(), SetValue(), SortedSet(), ListValue()
    for number in range(20_000):
        fields.put(f"n{number}", number)
        members.add(f"n{number}")
        scores.put(f"n{number}", float(number))
        elements.push(number, False)
    buffer = Buffer(bytes(1 << 20))
    for each in (fields, members, scores, elements, buffer):
        each.diary = []
    fields.put("n7", b"x")
    fields.expire("n7", 5)
    members.remove("n7")
    scores.put("n7", 1.5)
    scores.remove_slice(100, 19_000)
    elements.take(True)
    elements.push(b"x", True)
    elements.keep(3, 15_000)
    buffer.data[70] = 1
    buffer.wrote(70, 71)
    assert fields.diary == [("put", "n7", b"x", 0), ("due", "n7", 5)]
    assert members.diary == [("drop", "n7")]
    lowest, highest = (100.0, "n100"), (18_999.0, "n18999")
    assert scores.diary == [("put", "n7", 1.5), ("cut", lowest, highest, False)]
    assert elements.diary == [
        ("keep", 0, 1, 20_000),
        ("put", 0, 0, b"x"),
        ("keep", 0, 3, 15_000),
    ]
    assert buffer.diary == [("write", 70, b"\1")]


def test_what_fills_a_sorted_set_refuses_one_that_keeps_a_diary() -> None:
    scores = SortedSet()
    scores.diary = []
    rows = [(1.0, spelling("a"))]
    for fill in (scores.fill, scores.append, scores.place):
        with pytest.raises(AssertionError):
            fill(rows)
    assert len(scores) == 0


def test_a_diary_holds_values_as_they_are_held() -> None:
    elements = ListValue()
    elements.diary = []
    value = {"an": "object"}
    elements.push(box(value), False)
    kept = cast("tuple[object, ...]", elements.diary[0])[3]
    assert isinstance(kept, Boxed)
    assert unbox(kept) is value


# -- through the commands

KEYS = ["a", "b"]
# So many elements are worked on in slices, if that many are removed.
LONG = 34_000


class Followed:
    """A container of a cache, and a copy that follows it by its diary."""

    def __init__(self, container: Container, chance: Chance) -> None:
        self.container = container
        self.copy = copy_some(container, chance)
        self.records: list[object] = []
        container.diary = self.records

    def catch_up(self) -> None:
        """Replays what the last command noted; who took it out has left another list."""
        self.copy.replay(self.records)
        self.container.diary = self.records = []
        assert state_of(self.copy) == state_of(self.container)
        self.copy._check()


def container_of(cache: Cache, key: str) -> Container | None:
    entry = cache._space.entries.get(key)
    value = None if entry is None else cache._space.value(entry)
    return value if isinstance(value, Container) else None


def some(chance: Chance, least: int = 1, most: int = 4) -> list[str]:
    return [name(chance) for _ in range(chance.randint(least, most))]


def values(chance: Chance) -> list[Any]:
    return chance.choices(VALUES, k=chance.randint(1, 4))


Command = Callable[[Cache, str, Chance], object]

COMMANDS: dict[str, list[Command]] = {
    "hash": [
        lambda c, k, r: c.hset(k, mapping={each: r.choice(VALUES) for each in some(r)}),
        lambda c, k, r: c.hset(k, mapping={each: r.randrange(9) for each in some(r, 9, 20)}),
        lambda c, k, r: c.hsetnx(k, name(r), r.choice(VALUES)),
        lambda c, k, r: c.hdel(k, *some(r)),
        lambda c, k, r: c.hset(k, "number", r.randrange(9)),
        lambda c, k, r: c.hincrby(k, "number", 3),
        lambda c, k, r: c.hincrbyfloat(k, "number2", 1.5),
        lambda c, k, r: c.hpexpire(k, r.randint(1, 90), *some(r)),
        lambda c, k, r: c.hpexpire(k, r.randint(1, 90), *some(r, 9, 20)),
        lambda c, k, r: c.hexpireat(k, r.randint(0, 3), *some(r)),
        lambda c, k, r: c.hpersist(k, *some(r)),
        lambda c, k, r: c.hgetex(k, *some(r), ttl=0.05),
        lambda c, k, r: c.hgetex(k, *some(r), persist=True),
        lambda c, k, r: c.hsetex(
            k, mapping={each: r.choice(VALUES) for each in some(r)}, ttl=0.05
        ),
        lambda c, k, r: c.hsetex(k, mapping={each: b"kept" for each in some(r)}, keepttl=True),
    ],
    "list": [
        lambda c, k, r: c.lpush(k, *values(r)),
        lambda c, k, r: c.rpush(k, *values(r), *values(r)),
        lambda c, k, r: c.lpushx(k, *values(r)),
        lambda c, k, r: c.rpushx(k, *values(r)),
        lambda c, k, r: c.lpop(k, r.choice([None, 2, 5])),
        lambda c, k, r: c.rpop(k, r.choice([None, 2, 5])),
        lambda c, k, r: c.lmpop(KEYS, r.choice(["LEFT", "RIGHT"]), count=r.randint(1, 9)),
        lambda c, k, r: c.llen(k) and c.lset(k, r.randrange(c.llen(k)), r.choice(VALUES)),
        lambda c, k, r: c.linsert(k, r.choice(["BEFORE", "AFTER"]), b"x", r.choice(VALUES)),
        lambda c, k, r: c.lrem(k, r.randint(-2, 7), b"x"),
        lambda c, k, r: c.ltrim(k, r.randint(0, 2), r.choice([-1, -2, 20])),
        lambda c, k, r: c.lmove(k, r.choice(KEYS), *r.choices(["LEFT", "RIGHT"], k=2)),
        lambda c, k, r: c.rpoplpush(k, r.choice(KEYS)),
    ],
    "set": [
        lambda c, k, r: c.sadd(k, *some(r, 1, 9)),
        lambda c, k, r: c.srem(k, *some(r)),
        lambda c, k, r: c.spop(k, r.choice([None, 2, 9])),
        lambda c, k, r: c.smove(k, r.choice(KEYS), name(r)),
    ],
    "zset": [
        lambda c, k, r: c.zadd(k, {each: r.choice(SCORES) for each in some(r, 1, 9)}),
        lambda c, k, r: c.zadd(k, {each: r.choice(SCORES) for each in some(r)}, gt=True),
        lambda c, k, r: c.zincrby(k, r.randint(-2, 2), name(r)),
        lambda c, k, r: c.zrem(k, *some(r)),
        lambda c, k, r: c.zpopmin(k, r.choice([None, 3])),
        lambda c, k, r: c.zpopmax(k, r.choice([None, 3])),
        lambda c, k, r: c.zmpop(KEYS, r.choice(["MIN", "MAX"]), count=r.randint(1, 9)),
        lambda c, k, r: c.zremrangebyrank(k, r.randint(0, 9), r.choice([3, FEW_ROWS + 9])),
        lambda c, k, r: c.zremrangebyscore(k, 0, r.choice([0, 1])),
        lambda c, k, r: c.zremrangebylex(k, "[n1", "[n15"),
        lambda c, k, r: c.geoadd(k, {each: (r.random(), 1) for each in some(r)}),
    ],
    "string": [
        lambda c, k, r: c.setrange(k, SHORTEST + r.randrange(99), r.randbytes(r.randint(1, 9))),
        lambda c, k, r: c.setrange(k, r.randrange(99), b"within"),
        lambda c, k, r: c.append(k, r.randbytes(r.randint(1, 30))),
        lambda c, k, r: c.setbit(k, r.randrange(9 * SHORTEST), r.randint(0, 1)),
        lambda c, k, r: c.bitfield(k, ("INCRBY", "u5", r.randrange(99), 9), ("GET", "u4", 7)),
        lambda c, k, r: c.bitfield(
            k, ("SET", "i33", 8 * SHORTEST + r.randrange(99), -5), ("SET", "u1", 0, 1)
        ),
        lambda c, k, r: c.bitfield(k, ("OVERFLOW", "FAIL"), ("INCRBY", "u3", 3, 9)),
    ],
}
# Of every kind now and then: one of another name, as a whole, or a little later.
WHOLE: list[Command] = [
    lambda c, k, r: c.delete(k),
    lambda c, k, r: c.copy("a", "b", replace=True),
    lambda c, k, r: c.exists(k) and c.rename(k, r.choice(KEYS)),
    lambda c, k, r: c.expire(k, 99),
    lambda c, k, r: c.addtag(k, "t"),
]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", COMMANDS)
def test_copies_follow_what_commands_change(kind: str, seed: int) -> None:
    chance = random.Random(seed)
    clock = ManualClock(10_000_000)
    cache = Cache(clock=clock)
    following: dict[int, Followed] = {}
    for _ in range(250):
        key = chance.choice(KEYS)
        commands = WHOLE if chance.random() < 0.05 else COMMANDS[kind]
        chance.choice(commands)(cache, key, chance)
        for each in following.values():
            each.catch_up()
        if chance.random() < 0.1:
            clock.advance(0.02)
            cache.exists(*KEYS)
            for each in following.values():
                each.catch_up()
        container = container_of(cache, key)
        if container is not None and id(container) not in following and chance.random() < 0.2:
            following[id(container)] = Followed(container, chance)
    assert following
    cache._check()


def follow_long(cache: Cache, key: str, commands: list[Callable[[], object]]) -> None:
    container = container_of(cache, key)
    assert container is not None
    followed = Followed(container, random.Random(1))
    for command in commands:
        command()
        followed.catch_up()
    assert container_of(cache, key) is container


def test_copies_follow_long_lists() -> None:
    cache = Cache()
    cache.rpush("k", *[b"%d" % (number % 5) for number in range(2 * LONG)])
    cache.rpush("k", b"pivot", b"rare")
    follow_long(
        cache,
        "k",
        [
            lambda: cache.lrem("k", -LONG // 3, b"4"),
            lambda: cache.lrem("k", 0, b"rare"),
            lambda: cache.linsert("k", "AFTER", b"pivot", b"new"),
            lambda: cache.lset("k", 7, b"set"),
            lambda: cache.ltrim("k", LONG - 5, -2),
            lambda: cache.lpush("k", b"first"),
        ],
    )


def test_copies_follow_long_sorted_sets() -> None:
    cache = Cache()
    cache.zadd("k", {f"n{number}": float(number % 1000) for number in range(LONG)})
    follow_long(
        cache,
        "k",
        [
            lambda: cache.zremrangebyrank("k", 100, 9_000),
            lambda: cache.zremrangebyscore("k", 900, 905),
            lambda: cache.zadd("k", {"n5": 3.5}),
        ],
    )


def test_a_change_drains_the_diary() -> None:
    cache = Cache()
    cache.hset("k", "f", 1)
    container = container_of(cache, "k")
    assert container is not None
    container.diary = []
    cache.hset("k", "f", 2)
    assert container.diary == []
