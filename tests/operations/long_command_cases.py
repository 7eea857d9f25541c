"""Long commands, each with what to fill, how to call it, and what plain Python says it does."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from cachestorm import Cache
from cachestorm.errors import WrongTypeError
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
