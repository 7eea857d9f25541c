"""The hash commands in process: what Python sees, and what no server could compare."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from cachestorm import MISSING, Cache, ManualClock
from cachestorm.errors import (
    ArgumentError,
    ArityError,
    CommandSyntaxError,
    InvalidTtlError,
    WrongTypeError,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock)


def test_hset_takes_one_field_or_a_mapping_or_both(cache: Cache) -> None:
    assert cache.hset("h", "a", 1) == 1
    assert cache.hset("h", mapping={"b": 2, "c": 3}) == 2
    assert cache.hset("h", "d", 4, {"a": 0}) == 1
    assert cache.hgetall("h") == {"a": 0, "b": 2, "c": 3, "d": 4}


def test_hset_without_a_field_is_refused(cache: Cache) -> None:
    with pytest.raises(ArityError, match="wrong number of arguments for 'hset' command"):
        cache.hset("h")
    with pytest.raises(ArityError):
        cache.hset("h", "field")
    assert not cache.exists("h")


def test_a_number_and_bytes_name_the_field_that_the_wire_would(cache: Cache) -> None:
    cache.hset("h", 1, "one")
    cache.hset("h", b"1.5", "more")
    assert cache.hmget("h", "1", 1.5) == ["one", "more"]


def test_a_value_is_kept_as_it_was_given(cache: Cache) -> None:
    value = {"an": ["object"]}
    cache.hset("h", "f", value)
    assert value is cache.hget("h", "f")
    cache._check()


def test_a_stored_none_is_told_from_a_missing_field(cache: Cache) -> None:
    cache.hset("h", "f", None)
    assert cache.hget("h", "f", "default") is None
    assert cache.hget("h", "g", "default") == "default"
    assert cache.hmget("h", "f", "g", default="-") == [None, "-"]


def test_an_object_that_grows_in_a_hash_leaves_the_accounts_right(cache: Cache) -> None:
    value: list[int] = []
    cache.hset("h", "f", value)
    value.extend(range(10_000))
    cache._check()
    cache.hdel("h", "f")
    cache._check()
    assert not cache.exists("h")


def test_hincrby_leaves_an_int_and_hincrbyfloat_a_float(cache: Cache) -> None:
    cache.hset("h", "n", b"41")
    assert cache.hincrby("h", "n") == 42
    assert cache.hget("h", "n") == 42
    cache.hset("h", "z", 0.1)
    assert cache.hincrbyfloat("h", "z", 0.2) == 0.3


def test_a_refused_increment_changes_nothing(cache: Cache) -> None:
    cache.hset("h", "f", "word")
    with pytest.raises(ValueError, match="hash value is not an integer"):
        cache.hincrby("h", "f")
    with pytest.raises(ArgumentError, match="value is NaN or Infinity"):
        cache.hincrbyfloat("new", "f", float("inf"))
    assert cache.hgetall("h") == {"f": "word"}
    assert not cache.exists("new")


def test_a_field_that_is_due_is_never_seen(cache: Cache, clock: ManualClock) -> None:
    cache.hset("h", mapping={"a": 1, "b": 2, "c": 3})
    assert cache.hexpire("h", 10, "a", "b", "nope") == [1, 1, -2]
    clock.advance(10)
    assert cache.hlen("h") == 1
    assert cache.hkeys("h") == ["c"]
    assert cache.hgetall("h") == {"c": 3}
    assert cache.hget("h", "a") is None
    assert not cache.hexists("h", "b")
    assert cache.hset("h", "a", 1) == 1
    cache._check()


def test_a_hash_whose_last_field_is_due_is_gone(cache: Cache, clock: ManualClock) -> None:
    cache.hset("h", "a", 1)
    cache.hexpire("h", 1, "a")
    clock.advance(1)
    assert cache.hgetall("h") == {}
    assert not cache.exists("h")
    cache._check()


@pytest.mark.parametrize(
    "look",
    [
        lambda cache: cache.exists("h"),
        lambda cache: "h" in cache,
        lambda cache: cache.type("h") != "none",
        lambda cache: cache.keys(),
        lambda cache: cache.scan()[1],
        lambda cache: cache.randomkey(),
        lambda cache: cache.tagkeys("t"),
        lambda cache: cache.tags("h"),
        lambda cache: cache.get("h"),
        lambda cache: cache.ttl("h", MISSING) is None,
        lambda cache: cache.copy("h", "other"),
        lambda cache: cache.memory_usage("h"),
        lambda cache: cache.invalidate("t"),
    ],
)
@pytest.mark.parametrize("tags", [[], ["t"]])
def test_no_command_shows_a_hash_whose_fields_are_all_due(
    cache: Cache, clock: ManualClock, look: Callable[[Cache], object], tags: list[str]
) -> None:
    cache.hset("h", mapping={"a": 1, "b": 2})
    if tags:
        cache.addtag("h", *tags)
    cache.hexpire("h", 100, "a")
    cache.hexpire("h", 10, "b")
    cache.hexpire("h", 9, "a")
    clock.advance(9)
    cache._check()
    assert cache.exists("h") == 1
    clock.advance(1)
    assert not look(cache)
    cache._check()
    assert not cache.exists("h")
    assert len(cache) == 0
    assert cache.why("h")["cause"].value == "expired"


def test_a_key_of_spent_fields_may_be_written_anew(cache: Cache, clock: ManualClock) -> None:
    cache.hset("h", "a", 1)
    cache.hexpire("h", 1, "a")
    clock.advance(1)
    assert cache.set("h", "text", nx=True)
    assert cache.get("h") == "text"
    cache._check()


def test_a_copy_has_the_fields_that_are_left(cache: Cache, clock: ManualClock) -> None:
    cache.hset("h", mapping={"a": 1, "b": 2})
    cache.hexpire("h", 1, "a")
    clock.advance(1)
    assert cache.copy("h", "other")
    assert cache.memory_usage("h") == cache.memory_usage("other")
    assert cache.hgetall("other") == {"b": 2}


@pytest.mark.parametrize("ttl", [90, 90.0, timedelta(minutes=1.5), "90s"])
def test_a_field_lives_for_seconds_a_timedelta_or_a_spelled_duration(
    cache: Cache, ttl: object
) -> None:
    cache.hset("h", "f", 1)
    assert cache.hexpire("h", ttl, "f") == [1]
    assert cache.httl("h", "f") == [90]
    assert cache.hpttl("h", "f") == [90_000]


def test_a_field_lives_until_a_point_in_time(cache: Cache) -> None:
    cache.hset("h", "f", 1)
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    assert cache.hexpireat("h", moment, "f") == [1]
    assert [int(moment.timestamp())] == cache.hexpiretime("h", "f")
    assert cache.hpexpireat("h", 4_000_000_000_123, "f") == [1]
    assert cache.hpexpiretime("h", "f") == [4_000_000_000_123]


def test_hset_takes_a_deadline_away_and_hincrby_keeps_it(cache: Cache) -> None:
    cache.hset("h", mapping={"a": 1, "b": 1})
    cache.hexpire("h", 10, "a", "b")
    cache.hincrby("h", "a")
    cache.hset("h", "b", 2)
    assert cache.httl("h", "a", "b") == [10, -1]


def test_a_negative_time_to_live_is_refused_and_zero_removes(cache: Cache) -> None:
    cache.hset("h", "f", 1)
    with pytest.raises(InvalidTtlError, match="invalid expire time in 'hexpire' command"):
        cache.hexpire("h", -1, "f")
    assert cache.hexpire("h", 0, "f") == [2]
    assert not cache.exists("h")


def test_conditions_that_exclude_each_other_are_refused(cache: Cache) -> None:
    cache.hset("h", "f", 1)
    with pytest.raises(ArgumentError, match="NX and XX, GT or LT"):
        cache.hexpire("h", 1, "f", nx=True, gt=True)
    with pytest.raises(ArgumentError, match="GT and LT"):
        cache.hexpire("h", 1, "f", gt=True, lt=True)
    assert cache.httl("h", "f") == [-1]


def test_hsetex_sets_values_with_a_time_to_live(cache: Cache, clock: ManualClock) -> None:
    assert cache.hsetex("h", "a", 1, {"b": 2}, ttl=10)
    assert cache.hsetex("h", mapping={"c": 3})
    assert cache.httl("h", "a", "b", "c") == [10, 10, -1]
    clock.advance(10)
    assert cache.hgetall("h") == {"c": 3}


def test_hsetex_without_a_time_to_live_takes_it_away_or_keeps_it(cache: Cache) -> None:
    cache.hsetex("h", mapping={"a": 1, "b": 1}, ttl="5m")
    cache.hsetex("h", "a", 2)
    cache.hsetex("h", "b", 2, keepttl=True)
    assert cache.httl("h", "a", "b") == [-1, 300]
    assert cache.hgetall("h") == {"a": 2, "b": 2}


def test_hsetex_sets_all_fields_or_none(cache: Cache) -> None:
    assert not cache.hsetex("h", "a", 1, xx=True)
    assert cache.hsetex("h", "a", 1, nx=True)
    assert not cache.hsetex("h", "a", 2, nx=True)
    assert not cache.hsetex("h", mapping={"a": 2, "b": 2}, fnx=True)
    assert not cache.hsetex("h", mapping={"a": 2, "b": 2}, fxx=True)
    assert cache.hgetall("h") == {"a": 1}
    assert cache.hsetex("h", "a", 3, fxx=True, xx=True)
    assert cache.hsetex("h", "b", 3, fnx=True)
    assert cache.hgetall("h") == {"a": 3, "b": 3}
    assert not cache.hsetex("new", "a", 1, fxx=True)
    assert not cache.exists("new")


def test_hsetex_with_a_deadline_that_is_over_leaves_no_field(cache: Cache) -> None:
    cache.hset("h", "a", ["an object"])
    assert cache.hsetex("h", mapping={"a": ["another"], "b": 1}, ttl=0)
    assert not cache.exists("h")
    assert cache.hsetex("h", "a", ["an object"], ttl=0)
    assert not cache.exists("h")
    cache._check()


def test_hsetex_refuses_what_excludes_each_other(cache: Cache) -> None:
    for options in (
        {"nx": True, "xx": True},
        {"fnx": True, "fxx": True},
        {"keepttl": True, "ttl": 5},
    ):
        with pytest.raises(CommandSyntaxError):
            cache.hsetex("h", "a", 1, **options)
    with pytest.raises(ArityError):
        cache.hsetex("h")
    with pytest.raises(InvalidTtlError, match="invalid expire time in 'hsetex' command"):
        cache.hsetex("h", "a", 1, ttl=-1)
    assert not cache.exists("h")


def test_hgetex_gives_values_and_another_time_to_live(cache: Cache) -> None:
    cache.hset("h", mapping={"a": 1, "b": None})
    assert cache.hgetex("h", "a", "b", "c", ttl=10, default="-") == [1, None, "-"]
    assert cache.httl("h", "a", "b", "c") == [10, 10, -2]
    assert cache.hgetex("h", "a", persist=True) == [1]
    assert cache.hgetex("h", "a", "b") == [1, None]
    assert cache.httl("h", "a", "b") == [-1, 10]
    assert cache.hgetex("none", "a", ttl=10) == [None]
    with pytest.raises(InvalidTtlError, match="invalid expire time in 'hgetex' command"):
        cache.hgetex("h", "a", ttl=-1)
    with pytest.raises(CommandSyntaxError):
        cache.hgetex("h", "a", ttl=1, persist=True)


def test_hgetex_with_a_deadline_that_is_over_takes_the_fields(cache: Cache) -> None:
    cache.hset("h", mapping={"a": ["an object"], "b": 2})
    assert cache.hgetex("h", "a", "a", ttl=0) == [["an object"], None]
    cache._check()
    assert cache.hgetex("h", "b", ttl=0) == [2]
    assert not cache.exists("h")


def test_a_scan_misses_no_field_that_stays(cache: Cache) -> None:
    stays = {f"stays{number}": number for number in range(500)}
    cache.hset("h", mapping=stays)
    cache.hset("h", mapping={f"goes{number}": number for number in range(500)})
    cursor, seen, step = 0, {}, 0
    while True:
        cursor, page = cache.hscan("h", cursor, count=20)
        seen.update(page)
        cache.hdel("h", *[f"goes{number}" for number in range(step * 20, step * 20 + 20)])
        cache.hset("h", f"new{step}", step)
        step += 1
        if cursor == 0:
            break
    assert stays.items() <= seen.items()


def test_hrandfield_draws_different_fields_or_the_same_again(cache: Cache) -> None:
    cache.hset("h", mapping={str(number): number for number in range(100)})
    assert len(set(cache.hrandfield("h", 10))) == 10
    assert len(set(cache.hrandfield("h", 90))) == 90
    assert len(set(cache.hrandfield("h", 1000))) == 100
    assert len(cache.hrandfield("h", -1000)) == 1000
    assert all(name == str(value) for name, value in cache.hrandfield("h", 5, withvalues=True))
    assert cache.hrandfield("h") in cache.hkeys("h")


def test_a_new_hash_lives_as_long_as_the_namespace_says(clock: ManualClock) -> None:
    cache = Cache(clock=clock, default_ttl=60)
    cache.hset("h", "f", 1)
    assert cache.ttl("h") == 60
    clock.advance(60)
    assert cache.hgetall("h") == {}


def test_tags_and_time_to_live_stay_when_a_field_changes(cache: Cache) -> None:
    cache.hset("h", "f", 1)
    cache.addtag("h", "t")
    cache.expire("h", 60)
    cache.hset("h", "g", 1)
    assert cache.tags("h") == ["t"]
    assert cache.ttl("h") == 60


def test_another_kind_of_value_is_refused(cache: Cache) -> None:
    cache.set("s", "text")
    with pytest.raises(WrongTypeError):
        cache.hset("s", "f", 1)
    with pytest.raises(WrongTypeError):
        cache.hgetall("s")


def test_a_finalizer_in_a_hash_may_enter_the_cache(cache: Cache) -> None:
    class Nosy:
        def __del__(self) -> None:
            seen.append(cache.hgetall("h"))

    seen: list[object] = []
    cache.hset("h", "f", Nosy())
    cache.hset("h", "f", 1)
    assert seen == [{"f": 1}]
    cache.hset("h", "f", Nosy())
    cache.hdel("h", "f")
    assert seen == [{"f": 1}, {}]


def test_fields_are_given_and_deleted_in_one_step(cache: Cache) -> None:
    cache.hset("h", mapping={"a": 1, "b": 2})
    assert cache.hgetdel("h", "a", "a", "none", default="-") == [1, "-", "-"]
    assert cache.hgetall("h") == {"b": 2}
    assert cache.hgetdel("h", "b") == [2]
    assert "h" not in cache
    assert cache.hgetdel("h", "b") == [None]
    cache._check()
