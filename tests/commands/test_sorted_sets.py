"""The sorted-set commands in process: what Python sees, and what no server could compare."""

from __future__ import annotations

import pytest

from cachestorm import Cache
from cachestorm.errors import ArgumentError, CommandSyntaxError, WrongTypeError


@pytest.fixture
def cache() -> Cache:
    made = Cache()
    made.zadd("z", {"a": 1, "b": 2, "c": 3})
    return made


def test_zadd_takes_a_mapping_or_pairs_in_the_order_of_the_wire(cache: Cache) -> None:
    assert cache.zadd("y", {"m": 1.5}) == 1
    assert cache.zadd("y", [(2, "n"), (0.5, "m")]) == 1
    assert cache.zrange("y", withscores=True) == [("m", 0.5), ("n", 2.0)]


def test_zadd_adds_changes_or_both(cache: Cache) -> None:
    assert cache.zadd("z", {"a": 9, "d": 4}, nx=True) == 1
    assert cache.zadd("z", {"a": 9, "e": 5}, xx=True) == 0
    assert (
        cache.zadd("z", {"a": 8, "b": 7}, ch=True, lt=True)
        + cache.zadd("z", {"a": 10}, ch=True, gt=True)
        == 2
    )
    assert sorted(cache.zrange("z"), key=lambda member: ["c", "d", "a", "b"].index(member)) == [
        "c",
        "d",
        "a",
        "b",
    ]
    cache._check()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"nx": True, "xx": True}, "XX and NX options at the same time are not compatible"),
        ({"gt": True, "lt": True}, "GT, LT, and/or NX options at the same time"),
        ({"incr": True}, "INCR option supports a single increment-element pair"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    cache: Cache, options: dict[str, bool], text: str
) -> None:
    with pytest.raises(ArgumentError, match=text):
        cache.zadd("z", {"a": 5, "b": 6}, **options)
    assert cache.zrange("z", withscores=True) == [("a", 1.0), ("b", 2.0), ("c", 3.0)]


def test_a_score_that_is_no_number_is_refused(cache: Cache) -> None:
    with pytest.raises(ValueError, match="value is not a valid float"):
        cache.zadd("z", {"d": float("nan")})
    cache.zadd("z", {"i": float("inf")})
    with pytest.raises(ArgumentError, match="resulting score is not a number"):
        cache.zincrby("z", float("-inf"), "i")
    assert float("inf") == cache.zscore("z", "i")


def test_members_of_one_score_are_in_the_order_of_their_bytes() -> None:
    cache = Cache()
    members = ["a", "é", "\udc80", "\udcff", "\ue000", "\U0001f600"]
    cache.zadd("z", dict.fromkeys(members, 0))
    by_bytes = sorted(members, key=lambda member: member.encode("utf-8", "surrogateescape"))
    assert by_bytes == cache.zrange("z")
    assert by_bytes == cache.zrange("z", "-", "+", bylex=True)


def test_zrange_has_five_forms(cache: Cache) -> None:
    assert cache.zrange("z", 0, 1) == ["a", "b"]
    assert cache.zrange("z", 0, 1, rev=True) == ["c", "b"]
    assert cache.zrange("z", "(1", "+inf", byscore=True) == ["b", "c"]
    assert cache.zrange("z", 3.5, 1, byscore=True, rev=True, offset=0, count=1) == ["c"]
    assert cache.zrange("z", "(a", "[b", bylex=True) == ["b"]


@pytest.mark.parametrize("count", [4, 500, 20_000])
def test_a_range_by_bytes_where_scores_differ_is_one_piece_of_the_ranking(count: int) -> None:
    cache = Cache()
    names = [f"m{number * 7919 % count:05d}" for number in range(count)]
    cache.zadd("z", {name: float(score) for score, name in enumerate(names)})
    for low, high in (("[m00100", "[m00300"), ("-", "(m00002"), ("(m00001", "+"), ("[z", "+")):
        found = cache.zrangebylex("z", low, high)
        start = names.index(found[0]) if found else 0
        assert names[start : start + len(found)] == found
        assert len(found) == cache.zlexcount("z", low, high)
    assert count - cache.zremrangebylex("z", "[m00001", "+") == cache.zcard("z")
    cache._check()


def test_options_of_zrange_that_do_not_go_together_are_refused(cache: Cache) -> None:
    with pytest.raises(CommandSyntaxError, match="LIMIT is only supported"):
        cache.zrange("z", 0, 1, offset=0, count=1)
    with pytest.raises(CommandSyntaxError, match="WITHSCORES not supported"):
        cache.zrange("z", "-", "+", bylex=True, withscores=True)


def test_ranks_count_from_either_end(cache: Cache) -> None:
    assert cache.zrank("z", "a") == 0
    assert cache.zrevrank("z", "a") == 2
    assert cache.zrank("z", "c", withscore=True) == (2, 3.0)
    assert cache.zrank("z", "nope") is None


def test_pops_come_in_order_and_empty_the_key(cache: Cache) -> None:
    assert cache.zpopmin("z") == [("a", 1.0)]
    assert cache.zmpop(["nokey", "z"], "MAX") == ("z", [("c", 3.0)])
    assert cache.zpopmax("z", 10) == [("b", 2.0)]
    assert not cache.exists("z")
    assert cache.zmpop(["z"]) is None


def test_combinations_take_weights_aggregates_and_sets(cache: Cache) -> None:
    cache.zadd("y", {"b": 10, "d": 20})
    cache.sadd("s", "b")
    assert cache.zinter(["z", "y", "s"], withscores=True) == [("b", 13.0)]
    assert cache.zunion({"z": 1, "y": 2}) == ["a", "c", "b", "d"]
    assert cache.zinter(["z", "y"], aggregate="MIN", withscores=True) == [("b", 2.0)]
    assert cache.zdiff(["z", "y"]) == ["a", "c"]
    assert cache.zintercard(["z", "y"]) == 1
    assert cache.zdiffstore("z", ["z", "y"]) == 2
    assert cache.zrange("z") == ["a", "c"]
    cache._check()


def test_combinations_refuse_what_does_not_fit(cache: Cache) -> None:
    with pytest.raises(ArgumentError, match="at least 1 input key is needed for 'zunion'"):
        cache.zunion([])
    with pytest.raises(CommandSyntaxError):
        cache.zunion(["z"], weights=[1.0, 2.0])
    with pytest.raises(CommandSyntaxError):
        cache.zunion(["z"], aggregate="AVG")
    cache.rpush("l", 1)
    with pytest.raises(WrongTypeError):
        cache.zunionstore("d", ["z", "l"])
    assert not cache.exists("d")


def test_a_range_is_stored_or_removed(cache: Cache) -> None:
    assert cache.zrangestore("d", "z", "(1", 9, byscore=True) == 2
    assert cache.zrange("d") == ["b", "c"]
    assert cache.zremrangebyscore("z", 3, 3) == 1
    assert cache.zremrangebyrank("z", 0, 0) == 1
    assert cache.zrange("z") == ["b"]
    cache._check()


def test_a_scan_misses_no_member_that_stays_while_scores_change() -> None:
    cache = Cache()
    stays = [f"stays{number}" for number in range(500)]
    cache.zadd("z", {member: place for place, member in enumerate(stays)})
    cursor, seen, step = 0, set(), 0
    while True:
        cursor, page = cache.zscan("z", cursor, count=15)
        seen.update(member for member, _ in page)
        cache.zadd("z", {stays[(step * 37) % 500]: -step, f"new{step}": step})
        cache.zrem("z", f"new{step - 2}")
        step += 1
        if cursor == 0:
            break
    assert set(stays) <= seen


def test_a_long_sorted_set_is_like_a_short_one() -> None:
    cache = Cache()
    count = 5000
    cache.zadd("z", {f"m{number}": number * 7919 % count for number in range(count)})
    assert [float(place) for place in range(100, 200)] == [
        score for _, score in cache.zrange("z", 100, 199, withscores=True)
    ]
    assert cache.zcount("z", 1000, 2000) == 1001
    assert cache.zremrangebyrank("z", 0, 3999) == 4000
    assert [score for _, score in cache.zpopmin("z")] == [4000.0]
    cache._check()


def test_a_scan_of_a_short_collection_is_in_the_order_of_redis() -> None:
    cache = Cache()
    cache.hset("h", mapping={"b": 1, "a": 2, "c": 3})
    cache.zadd("z", {"c": 3, "b": 2, "a": 2, "d": 1})
    cache.sadd("s", "b", "a", "c")
    assert list(cache.hscan("h")[1]) == ["b", "a", "c"]
    assert cache.hscan("h", novalues=True) == (0, ["b", "a", "c"])
    assert cache.zscan("z", noscores=True, count=1) == (0, ["d", "a", "b", "c"])
    assert cache.sscan("s", count=1) == (0, ["b", "a", "c"])
