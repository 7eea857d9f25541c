"""Every public method of the containers, called at random: what their tests are made of."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, cast

from cachestorm.values.buffer import Buffer
from cachestorm.values.container import Container
from cachestorm.values.hash import Hash
from cachestorm.values.list import ListValue
from cachestorm.values.placed import Placed, Touched
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import SortedSet
from cachestorm.values.weights import box

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


def record_some(container: Container, chance: Chance) -> None:
    """Spells some of its elements; buffers have none."""
    if not isinstance(container, Buffer):
        first, end = container.first_place(), container.end_place()
        start = chance.randint(first, end)
        assert container.records_of(start, chance.randint(start, end)) is not None


COMMON: dict[str, Call] = {
    "apply": apply,
    "replay": lambda each, chance: each.replay(records_of_another(each, chance)),
    "bulk": lambda each, chance: each.bulk(),
    "encoding": lambda each, chance: each.encoding(),
    "copy": lambda each, chance: each.copy(),
    "twin": lambda each, chance: each.twin(),
    "copy_some": copy_some,
    "first_place": lambda each, chance: each.first_place(),
    "end_place": lambda each, chance: each.end_place(),
    "records_of": record_some,
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


def add_member(members: SortedSet, chance: Chance) -> None:
    member = name(chance)
    if members.find(member) < 0:
        members.add(member, chance.choice(SCORES))


def rescore(members: SortedSet, chance: Chance) -> None:
    member = name(chance)
    place = members.find(member)
    if place >= 0:
        members.rescore(place, member, chance.choice(SCORES))


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
        "is_told_whole": lambda each, chance: each.is_told_whole(),
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
        "in_order": lambda each, chance: each.in_order(),
        "is_told_whole": lambda each, chance: each.is_told_whole(),
        "some": lambda each, chance: each.some(*span(each, chance)),
    },
    SortedSet: {
        "follow": follow,
        "unfollow": unfollow,
        "put": lambda each, chance: each.put(name(chance), chance.choice(SCORES)),
        "add": add_member,
        "rescore": rescore,
        "find": lambda each, chance: each.find(name(chance)),
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
        # by their places, not as they came
        order = [container.field_at(place) for place in range(len(container))]
    elif isinstance(container, SetValue):
        order = container.members()
    elif isinstance(container, SortedSet):
        order = container.rows()
    return content_of(container), order
