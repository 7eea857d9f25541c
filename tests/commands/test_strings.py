"""Strings and scalars in process: what Python sees, and what no server could compare."""

from __future__ import annotations

import time

import pytest

from cachestorm import MISSING, UNSET, Cache, CacheStormError, Cause, ManualClock
from cachestorm.errors import ArgumentError, InvalidTtlError, NotAFloatError, WrongTypeError


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock)


def test_numbers_are_stored_as_pythons_own(cache: Cache) -> None:
    cache.set("n", "41", tags=["t"])
    assert cache.incr("n") == 42
    assert cache.get("n") == 42
    assert cache.incrbyfloat("n", 0.5) == 42.5
    assert cache.get("n") == 42.5
    assert cache.tags("n") == ["t"]


def test_decimal_fractions_add_up(cache: Cache) -> None:
    for _ in range(10):
        total = cache.incrbyfloat("n", 0.1)
    assert total == 1.0
    assert cache.execute("GETRANGE", "n", 0, -1) == b"1"


def test_a_sum_is_never_minus_zero(cache: Cache) -> None:
    assert str(cache.incrbyfloat("n", -0.0)) == "0.0"
    cache.set("n", "-0")
    assert str(cache.incrbyfloat("n", -0.0)) == "0.0"


def test_what_is_no_number_is_refused_and_kept(cache: Cache) -> None:
    cache.set("n", "x")
    with pytest.raises(NotAFloatError):
        cache.incrbyfloat("n", 1)
    with pytest.raises(ArgumentError, match="NaN or Infinity"):
        cache.incrbyfloat("new", float("inf"))
    assert cache.get("n") == "x"
    assert not cache.exists("new")


def test_the_common_subsequence_is_told_as_bytes_length_or_places(cache: Cache) -> None:
    cache.mset({"a": "ohmytext", "b": b"mynewtext"})
    assert cache.lcs("a", "b") == b"mytext"
    assert cache.lcs("a", "b", len=True) == 6
    assert cache.lcs("a", "b", idx=True, withmatchlen=True) == {
        "matches": [[[4, 7], [5, 8], 4], [[2, 3], [0, 1], 2]],
        "len": 6,
    }
    assert cache.lcs("a", "nokey") == b""
    cache.rpush("l", 1)
    with pytest.raises(ArgumentError, match="must contain string values"):
        cache.lcs("a", "l")


@pytest.mark.parametrize("keys", [("short", "long"), ("long", "short")])
def test_comparing_takes_time_in_proportion_to_both_lengths(
    cache: Cache, keys: tuple[str, str]
) -> None:
    cache.mset({"short": b"bca", "long": b"ab" * 500_000})
    started = time.process_time()
    assert cache.lcs(*keys, len=True) == 2
    assert cache.lcs(*keys, idx=True)["len"] == 2  # type: ignore[call-overload,index]
    assert time.process_time() - started < 5


def test_long_values_are_not_compared(cache: Cache) -> None:
    cache.mset({"a": b"x" * 20_000, "b": b"y" * 20_000})
    with pytest.raises(ArgumentError, match="Insufficient memory"):
        cache.lcs("a", "b")


def test_a_key_can_get_another_time_to_live_as_it_is_read(
    cache: Cache, clock: ManualClock
) -> None:
    cache.set("k", "v", ttl=10)
    assert cache.getex("k", 100) == "v"
    assert cache.ttl("k") == 100.0
    assert cache.getex("k", None) == "v"
    assert cache.ttl("k") is None
    with pytest.raises(InvalidTtlError):
        cache.getex("k", 0)
    assert cache.getex("nokey", 10) is None
    assert cache.getex("nokey", 10, default=MISSING) is MISSING
    past = clock.now_ms() // 1000 - 1
    assert cache.execute("GETEX", "k", "EXAT", past) == "v"
    assert cache.dbsize() == 0


def test_a_key_that_is_set_with_a_deadline_in_the_past_is_gone(
    cache: Cache, clock: ManualClock
) -> None:
    past = clock.now_ms() // 1000 - 1
    cache.set("k", "v")
    for argv in (["k", "w"], ["k", "w", "TAGS", "t"], ["new", "v"], ["object", {}, "GET"]):
        at = argv.index("TAGS") if "TAGS" in argv else len(argv)
        cache.execute("SET", *argv[:at], "EXAT", past, *argv[at:])
        assert cache.dbsize() == 0
        cache._check()
    assert cache.why("k")["cause"] is Cause.EXPIRED


def test_objects_are_read_whole_and_never_in_part(cache: Cache) -> None:
    cache.set("o", {"a": 1})
    for argv in (["APPEND", "o", "x"], ["STRLEN", "o"], ["INCRBYFLOAT", "o", "1"]):
        with pytest.raises(WrongTypeError):
            cache.execute(*argv)
    assert cache.getdel("o") == {"a": 1}


def test_a_read_gives_none_for_a_missing_key_and_default_tells_it_from_a_stored_none(
    cache: Cache,
) -> None:
    for key in "abcd":
        cache.set(key, None)
    assert cache.get("a", MISSING) is None
    assert cache.mget("a", "nokey") == [None, None]
    assert cache.mget("a", "nokey", default=MISSING) == [None, MISSING]
    assert cache.getex("a", default=MISSING) is None
    assert cache.getset("a", 1, MISSING) is None
    assert cache.getdel("b", MISSING) is None
    for read in (cache.get, cache.getdel, cache.getex):
        assert (read("nokey"), read("nokey", default=MISSING)) == (None, MISSING)
    assert cache.set("new", 1, get=True) is None
    assert (cache.getset("newer", 1), cache.getset("newest", 1, MISSING)) == (None, MISSING)
    assert cache.execute("MGET", "c", "nokey") == [None, None]


@pytest.mark.parametrize("marker", [MISSING, UNSET])
def test_what_stands_for_no_value_is_stored_nowhere(cache: Cache, marker: object) -> None:
    cache.set("k", "v")
    cache.hset("h", "f", "v")
    cache.rpush("l", "v")
    for write in (
        lambda: cache.set("k", marker),
        lambda: cache.set("k", marker, xx=True),
        lambda: cache.set("k", marker, idle=5),
        lambda: cache.setnx("new", marker),
        lambda: cache.setex("k", 5, marker),
        lambda: cache.getset("k", marker),
        lambda: cache.mset({"k": 1, "new": marker}),
        lambda: cache.msetnx({"new": marker}),
        lambda: cache.settag("k", marker, "t"),
        lambda: cache.append("k", marker),
        lambda: cache.setrange("k", 0, marker),
        lambda: cache.hset("h", "f", marker),
        lambda: cache.hset("h", mapping={"f": marker}),
        lambda: cache.hsetnx("h", "g", marker),
        lambda: cache.hsetex("h", mapping={"f": marker}),
        lambda: cache.rpush("l", marker),
        lambda: cache.lpushx("l", marker),
        lambda: cache.lset("l", 0, marker),
        lambda: cache.linsert("l", "BEFORE", "v", marker),
        lambda: cache.sadd("s", marker),
        lambda: cache.zadd("z", {marker: 1}),
        lambda: cache.__setitem__("k", marker),
    ):
        with pytest.raises((CacheStormError, TypeError)):
            write()
    with pytest.raises(ArgumentError) as caught:
        cache["k"] = marker
    assert str(caught.value) == f"{marker!r} stands for no value: it cannot be stored"
    assert (cache["k"], cache.hgetall("h"), cache.lrange("l")) == ("v", {"f": "v"}, ["v"])
    assert sorted(cache.keys()) == ["h", "k", "l"]
