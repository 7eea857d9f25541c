"""Arguments that only a program can give: other types, and numbers that no wire carries."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import pytest
from comparison import request

from cachestorm import Cache, ManualClock
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import (
    ArgumentError,
    CacheStormError,
    CodecError,
    ConfigError,
    InvalidTtlError,
    NotAFloatError,
)
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

NOW_MS = 1_700_000_000_000


class Patience(IntEnum):
    SHORT = 500


@pytest.fixture
def cache() -> Cache:
    return Cache(clock=ManualClock(NOW_MS))


class TestMilliseconds:
    @pytest.mark.parametrize("ttl", [500, 500.0, 500.9, Patience.SHORT])
    def test_a_bare_number_is_milliseconds_whatever_type_it_has(
        self, cache: Cache, ttl: float
    ) -> None:
        cache.set("k", "v")
        payload = cache.dump("k")
        assert cache.pexpire("k", ttl)
        cache.restore("r", ttl, payload)
        assert [cache.pttl(key) for key in ("k", "r")] == [500, 500]

    @pytest.mark.parametrize("offset", [500, 500.0, Patience.SHORT])
    def test_so_is_a_point_in_time(self, cache: Cache, offset: float) -> None:
        cache.set("k", "v")
        assert cache.pexpireat("k", type(offset)(offset) + NOW_MS)
        assert cache.pttl("k") == 500

    def test_one_of_a_type_of_its_own_is_as_well(self, cache: Cache) -> None:
        moment = IntEnum("Moment", {"LATER": NOW_MS + 500})
        cache.set("k", "v")
        assert cache.pexpireat("k", moment["LATER"])
        assert cache.pttl("k") == 500
        assert cache.expireat("k", NOW_MS / 1000 + 0.25)
        assert cache.pttl("k") == 250

    def test_less_than_one_is_one(self, cache: Cache) -> None:
        cache.set("p", "v")
        cache.pexpire("p", 0.25)
        assert cache.pttl("p") == 1

    @pytest.mark.parametrize("ttl", [0, 0.0, -500.0, float("nan"), float("inf")])
    def test_what_is_no_time_is_refused(self, cache: Cache, ttl: float) -> None:
        cache.set("k", "v")
        with pytest.raises(InvalidTtlError):
            cache.pexpire("k", ttl)
        assert cache.get("k") == "v" and cache.ttl("k") is None

    def test_neither_is_a_bool(self, cache: Cache) -> None:
        calls: list[Callable[[], object]] = [
            lambda: cache.pexpire("k", True),
            lambda: cache.pexpireat("k", True),
        ]
        for call in calls:
            with pytest.raises(TypeError):
                call()


class TestManyKeys:
    @pytest.mark.parametrize(
        "call",
        [
            lambda cache: cache.lmpop("queue"),
            lambda cache: cache.zmpop("queue"),
            lambda cache: cache.zunion("queue"),
            lambda cache: cache.zinter(b"queue"),
            lambda cache: cache.zunionstore("out", "queue"),
            lambda cache: cache.zintercard("queue"),
            lambda cache: cache.sintercard("queue"),
            lambda cache: cache.sort("list", get="w_*"),
        ],
    )
    def test_a_lone_str_is_not_taken_for_its_letters(
        self, cache: Cache, call: Callable[[Cache], object]
    ) -> None:
        cache.rpush("list", 1)
        with pytest.raises(TypeError):
            call(cache)

    def test_none_at_all_are_refused_as_on_the_wire(self, cache: Cache) -> None:
        with pytest.raises(ArgumentError, match="numkeys should be greater than 0"):
            cache.lmpop([])
        with pytest.raises(ArgumentError, match="numkeys should be greater than 0"):
            cache.zmpop([])

    def test_weights_are_a_list_of_numbers(self, cache: Cache) -> None:
        cache.zadd("a", {"m": 1})
        with pytest.raises(TypeError):
            cache.zunion(["a", "b"], {"a": 2, "b": 1})  # type: ignore[arg-type]
        with pytest.raises((NotAFloatError, TypeError)):
            cache.zunion(["a"], ["much"])  # type: ignore[list-item]
        assert cache.zunion({"a": 2, "b": 1}) == ["m"]


class TestDatabases:
    @pytest.mark.parametrize("number", [1.0, 1.5, "1", b"1", None])
    def test_a_database_is_an_int(self, cache: Cache, number: object) -> None:
        cache.set("k", "v")
        calls: list[Callable[[], object]] = [
            lambda: cache.database(number),  # type: ignore[arg-type]
            lambda: cache.move("k", number),  # type: ignore[arg-type]
            lambda: cache.swapdb(0, number),  # type: ignore[arg-type]
        ]
        for call in calls:
            with pytest.raises(TypeError):
                call()
        with pytest.raises(TypeError):
            cache.copy("k", "c", database=1.5)  # type: ignore[arg-type]
        assert cache.namespaces() == ["default"]

    def test_or_of_a_kind_of_int(self, cache: Cache) -> None:
        number = IntEnum("Number", {"THREE": 3})["THREE"]
        assert cache.database(number).name == "db3"
        cache.set("k", "v")
        assert cache.move("k", number)
        assert cache.database(3).get("k") == "v"
        assert cache.database(True).name == "db1"


class TestNumbersOfAnySize:
    @pytest.mark.parametrize("ttl", [1e308, 10**400, "9" * 5000, "9" * 5000 + "s", 1e30])
    def test_a_time_to_live_that_is_far_too_long(self, cache: Cache, ttl: object) -> None:
        cache.hset("h", "f", "v")
        calls: list[Callable[[], object]] = [
            lambda: cache.set("k", "v", ttl=ttl),
            lambda: cache.set("k", "v", idle=ttl),
            lambda: cache.expire("h", ttl),
            lambda: cache.hexpire("h", ttl, "f"),
        ]
        for call in calls:
            with pytest.raises(InvalidTtlError):
                call()
        assert cache.keys() == ["h"]

    @pytest.mark.parametrize("when", [float("nan"), float("inf"), 1e308])
    def test_a_point_in_time_that_is_none(self, cache: Cache, when: float) -> None:
        cache.set("k", "v")
        for call in (cache.expireat, cache.pexpireat):
            with pytest.raises(InvalidTtlError):
                call("k", when)
        assert cache.ttl("k") is None

    @pytest.mark.parametrize("size", ["9" * 5000, "9" * 30, 1 << 63, "9" * 18 + "tb"])
    def test_a_size_beyond_64_bits(self, size: int | str) -> None:
        with pytest.raises(ConfigError):
            Cache(max_memory=size)
        with pytest.raises(ConfigError):
            Cache().namespace("n", max_memory=size)

    def test_a_number_of_keys_beyond_64_bits(self) -> None:
        with pytest.raises(ConfigError):
            Cache(max_entries=1 << 63)

    @pytest.mark.parametrize("count", [(1 << 63) // 3 + 1, (1 << 64) // 3, (1 << 63) - 1])
    def test_a_number_of_draws_of_which_three_times_as_many_are_beyond_64_bits(
        self, cache: Cache, count: int
    ) -> None:
        names = [str(number) for number in range(10)]
        cache.sadd("s", *names)
        cache.hset("h", mapping=dict.fromkeys(names, 1))
        cache.zadd("z", dict.fromkeys(names, 1))
        assert names == sorted(cache.srandmember("s", count) or [])
        assert names == sorted(cache.hrandfield("h", count))  # type: ignore[call-overload]
        assert names == sorted(cache.zrandmember("z", count))  # type: ignore[call-overload]
        pairs = cache.hrandfield("h", count >> 1, withvalues=True)
        assert [(name, 1) for name in names] == sorted(pairs)  # type: ignore[call-overload]

    @pytest.mark.parametrize("number", [(1 << 63) - 1, 1 << 63, (1 << 64) - 1, 10**30])
    def test_a_cursor_and_a_count_of_a_scan(self, cache: Cache, number: int) -> None:
        cache.set("k", 1)
        cache.hset("h", "f", 1)
        cache.sadd("s", "m")
        cache.zadd("z", {"m": 1})
        assert (
            cache.scan(number)[0],
            sorted(cache.scan(number)[1]),
        ) == (0, ["h", "k", "s", "z"])
        for found in (
            cache.scan(count=number),
            cache.hscan("h", number, count=number),
            cache.sscan("s", number, count=number),
            cache.zscan("z", number, count=number),
        ):
            assert found[0] == 0 and found[1]

    @pytest.mark.parametrize("every", [float("inf"), float("nan"), 1e10, 0])
    def test_a_reaper_that_never_comes(self, cache: Cache, every: float) -> None:
        with pytest.raises(ConfigError):
            cache.reaper(every)


class TestDigitsThatPythonDoesNotWrite:
    HUGE = 10**5000

    @pytest.mark.parametrize(
        "call",
        [
            lambda cache: cache.strlen("k"),
            lambda cache: cache.getrange("k", 0, -1),
            lambda cache: cache.append("k", "x"),
            lambda cache: cache.incrbyfloat("k", 1),
            lambda cache: cache.sort("l"),
            lambda cache: cache.sort("l", alpha=True),
            lambda cache: cache.hstrlen("h", "f"),
            lambda cache: cache.hincrbyfloat("h", "f", 1),
            lambda cache: cache.sadd("s", 10**5000),
            lambda cache: cache.hset("h", 10**5000, 1),
            lambda cache: cache.zadd("z", {10**5000: 1}),
            lambda cache: cache.zadd("z", {"m": 10**5000}),
            lambda cache: cache.execute("GET", 10**5000),
            lambda cache: cache.execute("FOO", 10**5000),
        ],
    )
    def test_an_int_is_refused_where_its_digits_are_wanted(
        self, cache: Cache, call: Callable[[Cache], object]
    ) -> None:
        cache.set("k", self.HUGE)
        cache.rpush("l", self.HUGE, "x")
        cache.hset("h", "f", self.HUGE)
        with pytest.raises(CacheStormError):
            call(cache)
        assert [cache.get("k"), cache.hget("h", "f")] == [self.HUGE, self.HUGE]
        assert cache.lrange("l", 0, -1) == [self.HUGE, "x"]
        cache._check()

    def test_in_a_list_it_is_equal_to_no_bytes(self, cache: Cache) -> None:
        cache.rpush("l", self.HUGE, "x")
        assert cache.lpos("l", "x") == 1
        assert cache.lrem("l", 0, "x") == 1

    def test_one_that_is_restored_is_refused_over_the_wire(self, cache: Cache) -> None:
        cache.set("k", self.HUGE)
        session = Session(Endpoint(cache, REGISTRY, Settings()))
        payload = cache.dump("k")
        assert payload is not None
        session.receive(request([[b"RESTORE", b"r", b"0", payload]]))
        assert cache.get("r") == self.HUGE
        assert session.receive(request([[b"GET", b"r"]])).startswith(b"-ERR ")


class TestLoneSurrogates:
    @pytest.mark.parametrize(
        "call",
        [
            lambda cache: cache.strlen("k"),
            lambda cache: cache.append("k", "x"),
            lambda cache: cache.append("other", "\ud800"),
            lambda cache: cache.incr("k"),
            lambda cache: cache.keys("\ud800*"),
            lambda cache: cache.execute("\ud800"),
            lambda cache: cache.execute("SET", "k", "v", "\ud800"),
        ],
    )
    def test_a_str_without_bytes_is_refused_where_bytes_are_wanted(
        self, cache: Cache, call: Callable[[Cache], object]
    ) -> None:
        cache.set("k", "\ud800")
        with pytest.raises(CacheStormError):
            call(cache)
        assert cache.get("k") == "\ud800"
        cache._check()

    def test_it_is_no_key_and_so_not_in_a_cache(self, cache: Cache) -> None:
        assert "\ud800" not in cache
        assert cache.get("\ud800") is None

    def test_the_codec_says_so(self, cache: Cache) -> None:
        cache.set("k", "\ud800")
        with pytest.raises(CodecError, match="lone surrogate"):
            cache.getrange("k", 0, -1)


class TestNone:
    def test_none_has_no_bytes_to_append(self, cache: Cache) -> None:
        cache.set("k", "v")
        with pytest.raises(CodecError):
            cache.append("k", None)
        with pytest.raises(CodecError):
            cache.setrange("k", 1, None)
        assert cache.append("k", 1) == 2

    def test_none_is_no_pattern(self, cache: Cache) -> None:
        cache.set("k", "v")
        with pytest.raises(TypeError):
            cache.keys(None)  # type: ignore[arg-type]
        assert cache.keys() == ["k"]

    @pytest.mark.parametrize(
        "argv",
        [
            "GET k",
            "MGET k",
            "GETEX k",
            "HGET h f",
            "HMGET h f",
            "HVALS h",
            "HGETALL h",
            "HSCAN h 0",
            "HRANDFIELD h 1 WITHVALUES",
            "HGETEX h FIELDS 1 f",
            "LRANGE l 0 -1",
            "LINDEX l 0",
            "SORT l ALPHA",
            "SORT_RO l ALPHA",
            "LPOP l",
            "RPOP l 1",
            "LMPOP 1 l LEFT",
        ],
    )
    def test_a_stored_none_is_the_same_bytes_in_all_replies(
        self, cache: Cache, argv: str
    ) -> None:
        cache.set("k", None)
        cache.hset("h", "f", None)
        cache.rpush("l", None)
        session = Session(Endpoint(cache, REGISTRY, Settings()))
        assert session.receive(argv.encode() + b"\r\n").endswith(b"$4\r\nnull\r\n")


@pytest.mark.parametrize("given", [["k0", "k1"], [b"k0"], "ab", [("a", 1, 2)], [3]])
def test_what_is_no_pair_is_not_set(given: object) -> None:
    cache = Cache()
    for method in (cache.mset, cache.msetnx, cache.msetex):
        with pytest.raises(TypeError, match="pair"):
            method(given)
    assert len(cache) == 0


def test_a_tag_may_be_given_as_its_bytes() -> None:
    cache = Cache()
    cache.set("k", 1, tags=[b"t", "t", b"\xff"])
    assert cache.tags("k") == ["t", "\udcff"]
    assert cache.invalidate("t") == 1
