"""The diaries of containers: replayed on a copy they give the container, to the last byte."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, cast

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.values.buffer import SHORTEST, Buffer
from cachestorm.values.container import Container
from cachestorm.values.hash import Hash
from cachestorm.values.list import ListValue
from cachestorm.values.placed import Placed, Touched
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import FEW_ROWS, SortedSet, spelling
from cachestorm.values.weights import Boxed, box, unbox

NAMES = [*(f"n{number}" for number in range(60)), "é", "\udcff", ""]
VALUES: list[Any] = [
    b"x",
    b"y",
    "x",
    1,
    2.5,
    None,
    {"an": "object"},
    ["a", "list"],
    b"long" * 50,
]
SCORES = [0.0, -0.0, 1.0, 2.5, -3.0, float("inf")]

Chance = random.Random
Call = Callable[[Any, Chance], object]


def name(chance: Chance) -> str:
    return chance.choice(NAMES)


def held(chance: Chance) -> object:
    return box(chance.choice(VALUES))


def span(container: Container, chance: Chance) -> tuple[int, int]:
    """The ends of a part, which is most often short, and may be empty."""
    length = len(container)
    start = chance.randint(0, length)
    return start, min(length, start + chance.choice([0, 1, 2, length // 2, length]))


def index(container: Container, chance: Chance) -> int:
    return chance.randrange(len(container))


def copy_some(container: Container, chance: Chance) -> Container:
    """A twin that is filled in two steps."""
    twin, middle = container.twin(), chance.randint(0, len(container))
    container.copy_some(twin, 0, middle)
    container.copy_some(twin, middle, len(container))
    return twin


def records_of_another(container: Container, chance: Chance) -> list[object]:
    """What a copy has noted that went its own way; those of containers follow no other."""
    other = container.copy()
    other.diary = records = []
    for _ in range(10):
        call_any(other, chance, without={"replay", "apply"})
    return records


def apply(container: Container, chance: Chance) -> None:
    for record in records_of_another(container, chance):
        container.apply(cast("tuple[object, ...]", record))


# who follows a container, by its id
FOLLOWING: dict[int, list[Touched]] = {}


def revised(each: Container, chance: Chance) -> None:
    """Brings one name in a container to what it is in another."""
    other = each.copy()
    call_any(other, chance, {"revise", "apply", "replay"})
    assert isinstance(other, Hash | SetValue)
    other.revise(each, name(chance))


COMMON: dict[str, Call] = {
    "apply": apply,
    "replay": lambda each, chance: each.replay(records_of_another(each, chance)),
    "bulk": lambda each, chance: each.bulk(),
    "encoding": lambda each, chance: each.encoding(),
    "copy": lambda each, chance: each.copy(),
    "twin": lambda each, chance: each.twin(),
    "copy_some": copy_some,
}


def follow(container: Placed, chance: Chance) -> None:
    """Somebody follows it, and is told of all that is touched from then on."""
    touched = Touched()
    container.follow(touched)
    FOLLOWING.setdefault(id(container), []).append(touched)


def unfollow(container: Placed, chance: Chance) -> None:
    """One of them stops; or somebody who never began."""
    following = FOLLOWING.get(id(container)) or [Touched()]
    container.unfollow(following.pop())


def expire(fields: Hash, chance: Chance) -> None:
    field = name(chance)
    if field in fields:
        fields.expire(field, chance.randint(1, 1000))


def exchange_rows(scores: SortedSet, chance: Chance) -> None:
    start, stop = span(scores, chance)
    if start < stop:
        gone = scores.slice(start, stop)
        other = SortedSet()
        other.fill([row for row in scores.rows() if not gone[0] <= row <= gone[-1]])
        scores.exchange(other, start, stop)


def exchange_kept(elements: ListValue, chance: Chance) -> None:
    start, stop = span(elements, chance)
    other = elements.twin()
    elements.copy_some(other, start, stop)
    elements.exchange_kept(other, start)


def places(elements: ListValue, chance: Chance) -> list[int]:
    some = chance.randint(0, len(elements))
    return chance.sample(range(len(elements)), min(some, chance.choice([1, 3, 9])))


def exchange_plucked(elements: ListValue, chance: Chance) -> None:
    gone = sorted(places(elements, chance))
    other = ListValue()
    elements.copy_without(other, 0, len(elements), gone)
    elements.exchange_plucked(other, gone)


def wrote(buffer: Buffer, chance: Chance) -> None:
    start, stop = span(buffer, chance)
    buffer.data[start:stop] = chance.randbytes(stop - start)
    buffer.wrote(start, stop)


# How every public method is called, those that change nothing among them: which is which, is
# what the diary has to know.
CALLS: dict[type[Container], dict[str, Call]] = {
    Hash: {
        "revise": revised,
        "follow": follow,
        "unfollow": unfollow,
        "put": lambda each, chance: each.put(name(chance), held(chance)),
        "change": lambda each, chance: each.change(name(chance), held(chance)),
        "remove": lambda each, chance: each.remove(name(chance)),
        "expire": expire,
        "persist": lambda each, chance: each.persist(name(chance)),
        "purge": lambda each, chance: each.purge(chance.randint(0, 300), chance.randint(1, 4)),
        "get": lambda each, chance: each.get(name(chance)),
        "field_at": lambda each, chance: len(each) and each.field_at(index(each, chance)),
        "value_at": lambda each, chance: len(each) and each.value_at(index(each, chance)),
        "fields": lambda each, chance: each.fields(),
        "values": lambda each, chance: each.values(),
        "items": lambda each, chance: each.items(),
        "deadline_ms": lambda each, chance: each.deadline_ms(name(chance)),
        "deadlines": lambda each, chance: each.deadlines(),
        "is_spent": lambda each, chance: each.is_spent(chance.randint(0, 1000)),
    },
    ListValue: {
        "push": lambda each, chance: each.push(held(chance), chance.random() < 0.5),
        "take": lambda each, chance: len(each) and each.take(chance.random() < 0.5),
        "replace": lambda each, chance: (
            len(each) and each.replace(index(each, chance), held(chance))
        ),
        "insert": lambda each, chance: each.insert(chance.randint(0, len(each)), held(chance)),
        "keep": lambda each, chance: each.keep(*span(each, chance)),
        "remove": lambda each, chance: each.remove(b"x", chance.randint(-2, 8)),
        "pluck": lambda each, chance: each.pluck(places(each, chance)),
        "exchange_kept": exchange_kept,
        "exchange_plucked": exchange_plucked,
        "first": lambda each, chance: each.first(),
        "end": lambda each, chance: len(each) and each.end(chance.random() < 0.5),
        "at": lambda each, chance: len(each) and each.at(index(each, chance)),
        "slice": lambda each, chance: each.slice(*span(each, chance)),
        "places": lambda each, chance: each.places(b"x", 0, 0, 1),
        "places_within": lambda each, chance: each.places_within(b"x", *span(each, chance)),
        "copy_without": lambda each, chance: each.copy_without(ListValue(), 0, len(each), []),
    },
    SetValue: {
        "revise": revised,
        "follow": follow,
        "unfollow": unfollow,
        "add": lambda each, chance: each.add(name(chance)),
        "remove": lambda each, chance: each.remove(name(chance)),
        "member_at": lambda each, chance: len(each) and each.member_at(index(each, chance)),
        "members": lambda each, chance: each.members(),
        "some": lambda each, chance: each.some(*span(each, chance)),
    },
    SortedSet: {
        "follow": follow,
        "unfollow": unfollow,
        "put": lambda each, chance: each.put(name(chance), chance.choice(SCORES)),
        "remove": lambda each, chance: each.remove(name(chance)),
        "remove_slice": lambda each, chance: each.remove_slice(*span(each, chance)),
        "exchange": exchange_rows,
        "score": lambda each, chance: each.score(name(chance)),
        "rank": lambda each, chance: each.rank(name(chance)),
        "row_at": lambda each, chance: len(each) and each.row_at(index(each, chance)),
        "some": lambda each, chance: each.some(*span(each, chance)),
        "rows": lambda each, chance: each.rows(),
        "slice": lambda each, chance: each.slice(*span(each, chance)),
        "is_level": lambda each, chance: each.is_level(),
        "rank_of_score": lambda each, chance: each.rank_of_score(1.0, True),
        "rank_of_spelling": lambda each, chance: each.rank_of_spelling("n3", True),
        "scores": lambda each, chance: each.scores(),
    },
    Buffer: {
        "grow": lambda each, chance: each.grow(len(each) + chance.randint(-9, 9)),
        "wrote": wrote,
        "whole": lambda each, chance: each.whole(),
        "part": lambda each, chance: each.part(*span(each, chance)),
        "most_growth": lambda each, chance: each.most_growth(len(each) + 9),
    },
}
# What only fills a container that is new, or ends one that is gone.
BEFORE_AND_AFTER = {"take_apart", "fill", "append", "place", "place_at", "rank_last"}
# So often for each call of another method.
OFTEN = {"put": 6, "push": 6, "add": 4, "change": 3, "expire": 3, "remove": 2}


def call_any(container: Container, chance: Chance, without: set[str] = frozenset()) -> None:
    calls = {**COMMON, **CALLS[type(container)]}
    names = [each for each in calls for _ in range(OFTEN.get(each, 1)) if each not in without]
    calls[chance.choice(names)](container, chance)


def filled(kind: type[Container], chance: Chance) -> Container:
    container = Buffer(b"") if kind is Buffer else kind()
    for _ in range(chance.choice([0, 5, 100])):
        call_any(container, chance)
    return container


def content_of(container: Container) -> object:
    """What is in it; of values what they are and what they are charged at."""
    if isinstance(container, Hash):
        return container.items(), container.deadlines(), container.size_bytes
    if isinstance(container, ListValue):
        elements = container.slice(0, len(container))
        return elements, container.first(), container.generation, container.size_bytes
    if isinstance(container, SetValue):
        return set(container.members()), container.size_bytes
    if isinstance(container, SortedSet):
        return container.slice(0, len(container)), container.size_bytes
    assert isinstance(container, Buffer)
    # how much of it is charged follows from how it grew
    return container.whole()


def state_of(container: Container) -> object:
    """The same, and in which order."""
    order: object = None
    if isinstance(container, Hash):
        order = container.fields()
    elif isinstance(container, SetValue):
        order = container.members()
    elif isinstance(container, SortedSet):
        order = container.rows()
    return content_of(container), order


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
