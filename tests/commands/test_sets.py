"""The set commands: what Python sees, the order of replies, what no server could compare."""

from __future__ import annotations

import pytest
from real_servers import RealServer, raw_replies

from cachestorm import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import ArgumentError, ArityError, InvalidKeyError, WrongTypeError
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings


@pytest.fixture
def cache() -> Cache:
    return Cache()


def test_members_are_str_whatever_they_were_given_as(cache: Cache) -> None:
    assert cache.sadd("s", 1, "two", b"three", 4.5, "1") == 4
    assert cache.smembers("s") == {"1", "two", "three", "4.5"}
    assert cache.sismember("s", b"1")


def test_a_list_of_members_stands_for_them(cache: Cache) -> None:
    assert cache.sadd("s", ["a", "b"], {"c"}) == 3
    assert cache.srem("s", ["a", "c"]) == 2


@pytest.mark.parametrize("member", [None, True, object()])
def test_what_is_no_member_is_refused_and_nothing_changes(cache: Cache, member: object) -> None:
    with pytest.raises(TypeError):
        cache.sadd("s", "a", member)
    assert not cache.exists("s")


def test_a_member_with_a_lone_surrogate_is_refused(cache: Cache) -> None:
    with pytest.raises(InvalidKeyError):
        cache.sadd("s", "\ud800")


def test_a_set_without_members_is_gone(cache: Cache) -> None:
    cache.sadd("s", "a")
    cache.srem("s", "a")
    assert not cache.exists("s")
    assert cache.smembers("s") == set()


def test_algebra_takes_missing_keys_as_empty_sets(cache: Cache) -> None:
    cache.sadd("a", 1, 2, 3)
    cache.sadd("b", 2, 3, 4)
    assert cache.sunion("a", "b", "nokey") == {"1", "2", "3", "4"}
    assert cache.sinter("a", "b") == {"2", "3"}
    assert cache.sinter("a", "nokey") == set()
    assert cache.sdiff("a", "b") == {"1"}
    assert cache.sintercard(["a", "b"]) == 2
    assert cache.sintercard(["a", "b"], limit=1) == 1


def test_algebra_needs_a_key(cache: Cache) -> None:
    with pytest.raises(ArityError, match="'sunion'"):
        cache.sunion()


def test_a_stored_result_replaces_value_tags_and_time_to_live(cache: Cache) -> None:
    cache.set("d", "text", ttl=60, tags=["t"])
    cache.sadd("a", 1, 2)
    assert cache.sunionstore("d", "a") == 2
    assert cache.smembers("d") == {"1", "2"}
    assert cache.tags("d") == []
    assert cache.ttl("d") is None
    cache._check()


def test_an_empty_result_deletes_the_destination(cache: Cache) -> None:
    cache.sadd("d", 1)
    assert cache.sinterstore("d", "nokey") == 0
    assert not cache.exists("d")


def test_a_store_over_one_of_its_sources_uses_what_it_held(cache: Cache) -> None:
    cache.sadd("a", 1, 2)
    cache.sadd("b", 2)
    assert cache.sdiffstore("a", "a", "b") == 1
    assert cache.smembers("a") == {"1"}


def test_smove_moves_once(cache: Cache) -> None:
    cache.sadd("a", 1)
    assert cache.smove("a", "b", 1)
    assert not cache.smove("a", "b", 1)
    assert cache.smembers("b") == {"1"}
    assert not cache.exists("a")
    cache._check()


def test_smove_may_evict_its_own_source_to_make_room() -> None:
    cache = Cache(max_entries=1)
    cache.sadd("a", 1, 2)
    assert cache.smove("a", "b", 1)
    assert cache.smembers("b") == {"1"}
    cache._check()


def test_a_wrong_kind_among_the_sources_is_refused_and_nothing_changes(cache: Cache) -> None:
    cache.sadd("d", "kept")
    cache.set("s", "text")
    with pytest.raises(WrongTypeError):
        cache.sinterstore("d", "nokey", "s")
    assert cache.smembers("d") == {"kept"}


def test_spop_takes_every_member_once(cache: Cache) -> None:
    cache.sadd("s", *range(100))
    popped = [cache.spop("s"), *cache.spop("s", 50), *cache.spop("s", 100)]
    assert {str(number) for number in range(100)} == set(popped)
    assert not cache.exists("s")
    assert cache.spop("s") is None
    with pytest.raises(ArgumentError, match="must be positive"):
        cache.spop("s", -1)


def test_srandmember_reaches_every_member(cache: Cache) -> None:
    cache.sadd("s", *range(5))
    assert set(cache.srandmember("s", -500)) == {"0", "1", "2", "3", "4"}
    assert len(set(cache.srandmember("s", 3))) == 3


def test_a_scan_misses_no_member_that_stays(cache: Cache) -> None:
    stays = {f"stays{number}" for number in range(500)}
    cache.sadd("s", stays, [f"goes{number}" for number in range(500)])
    cursor, seen, step = 0, set(), 0
    while True:
        cursor, page = cache.sscan("s", cursor, count=15)
        seen.update(page)
        cache.srem("s", [f"goes{number}" for number in range(step * 20, step * 20 + 20)])
        cache.sadd("s", f"new{step}")
        step += 1
        if cursor == 0:
            break
    assert stays <= seen


def test_a_scan_gives_only_what_matches(cache: Cache) -> None:
    cache.sadd("s", "apple", "avocado", "banana")
    cursor, page = cache.sscan("s", match="a*")
    assert (cursor, sorted(page)) == (0, ["apple", "avocado"])


def test_a_cursor_or_count_far_out_gives_everything(cache: Cache) -> None:
    cache.sadd("s", *range(1000))
    assert len(cache.sscan("s", 2**64 - 1, count=2**200)[1]) == 1000


SMALL_SETS = [
    "5 3 1 10 -2 100000 99999999999",
    "0 5 10 9",
    "-1 -10 0 9223372036854775807 -9223372036854775808 9223372036854775806",
    "c a b z y",
    "007 7 00 0",
    "9223372036854775808 10 9",
    "1_0 9",
    "3 x 1",
    " ".join(str(number * 7919 % 400) for number in range(400)),
    " ".join(f"m{number}" for number in range(128)),
    "10 9 11 x 3",
]


def assert_told_in_the_order_of_redis(valkey: RealServer, *lines: str) -> None:
    """Each line is answered in the same bytes."""
    session = Session(Endpoint(Cache(), REGISTRY, Settings()))
    theirs = raw_replies(valkey.port, [b"FLUSHALL", *map(str.encode, lines)])
    ours = [session.receive(f"{line}\r\n".encode()) for line in lines]
    assert ours == theirs[1:]


@pytest.mark.parametrize("members", SMALL_SETS, ids=range(len(SMALL_SETS)))
def test_a_small_set_is_told_in_the_order_of_redis(valkey: RealServer, members: str) -> None:
    assert_told_in_the_order_of_redis(
        valkey,
        f"SADD small {members}",
        "SMEMBERS small",
        "SSCAN small 0",
        "SSCAN small 0 MATCH *1*",
        "COPY small twin",
        "SMEMBERS twin",
    )


def test_a_small_set_keeps_the_order_of_redis_when_members_leave(valkey: RealServer) -> None:
    assert_told_in_the_order_of_redis(
        valkey,
        "SADD letters c a b z y",
        "SREM letters a",
        "SMEMBERS letters",
        "SADD letters a",
        "SREM letters y z",
        "SSCAN letters 0",
        "COPY letters twin",
        "SMEMBERS twin",
        "SADD mixed 5 3 x 1",
        "SREM mixed 3",
        "SMEMBERS mixed",
    )


def test_combined_sets_are_told_in_the_order_of_redis(valkey: RealServer) -> None:
    assert_told_in_the_order_of_redis(
        valkey,
        "SADD a 30 4 5 100 -7",
        "SADD b 5 1000 30 2",
        "SADD words x 30 c 5 b a",
        "SADD more d a b 30 5 x 4 -7",
        "SUNION a b",
        "SDIFF a b",
        "SINTER a b",
        "SINTER words more",
        "SINTER more words",
        "SREM more d",
        "SINTER more words a",
        "SUNIONSTORE stored words more",
        "SMEMBERS stored",
        "SDIFFSTORE stored more a",
        "SMEMBERS stored",
        "SINTERSTORE stored more words",
        "SMEMBERS stored",
    )


def test_a_small_hash_keeps_the_order_of_redis_when_fields_leave(valkey: RealServer) -> None:
    assert_told_in_the_order_of_redis(
        valkey,
        "HSET h a 1 b 2 c 3 d 4 e 5",
        "HDEL h b",
        "HGETALL h",
        "HSET h b 6 a 7",
        "HDEL h c",
        "HKEYS h",
        "HVALS h",
        "HSCAN h 0",
        "COPY h twin",
        "HGETALL twin",
    )


def test_members_come_to_python_as_a_set(cache: Cache) -> None:
    cache.sadd("s", 3, 1, 2)
    assert cache.smembers("s") == cache.execute("SMEMBERS", "s") == {"1", "2", "3"}
