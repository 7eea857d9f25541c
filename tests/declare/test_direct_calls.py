"""Direct calls: they come to what a call by way of slots comes to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from librt.strings import BytesWriter

from cachestorm import Cache
from cachestorm.declare.plan import Plan
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import CacheStormError
from cachestorm.markers import MISSING, UNSET
from cachestorm_server.replies import write_error, write_reply

BEFORE = [
    "SET string 5",
    "RPUSH list a b c",
    "HSET hash f 1 g 2",
    "SADD set a b",
    "ZADD zset 1 a 2 b",
]

LINES = [
    "GET string",
    "GET nothing",
    "SET string 6",
    "SET string 6 EX 100",
    "SET string 6 EX 0",
    "SET string 6 EX 100 NX",
    "SET string 6 GET",
    "SETEX string 10 7",
    "GETEX string EX 10",
    "MGET string nothing list",
    "MSET string 1",
    "MSET string 1 other 2 string 3",
    "MSET string 1 other",
    "MSETNX new 1 newer 2",
    "INCR string",
    "INCRBY string 1000000",
    "DEL string nothing list",
    "EXISTS string string",
    "EXPIRE string 10",
    "EXPIRE string 10 XX",
    "LPUSH list x",
    "LPUSH list x y z",
    "LPUSH string x y",
    "LPOP list",
    "LPOP list 2",
    "LPOP list -1",
    "RPOP list",
    "RPOP nothing",
    "LPOP nothing 1",
    "LPOP list 1 2",
    "LRANGE list 0 -1",
    "LRANGE list a 1",
    "HSET hash f v",
    "HSET hash f v h w",
    "HSET hash f v h",
    "HSET string f v",
    "HGET hash f",
    "HMGET hash f nothing",
    "HDEL hash f g",
    "SADD set c",
    "SADD set b c d",
    "SREM set a b",
    "SMISMEMBER set a x",
    "SINTER set set",
    "ZADD zset 3 a",
    "ZADD zset 1.25 c",
    "ZADD zset -0.0 c",
    "ZADD zset nan c",
    "ZADD zset x c",
    "ZADD zset NX c",
    "ZADD zset NX 3 a",
    "ZADD zset 3 a 4 c",
    "ZADD zset INCR 3 a",
    "ZADD zset INCR 3",
    "ZSCORE zset a",
    "ZMSCORE zset a nothing",
    "ZREM zset a b",
    "ZRANGE zset 0 -1 WITHSCORES",
    "GEOADD geo 13.361389 38.115556 Palermo",
    "GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    "GEOADD geo 200 38.115556 Palermo",
    "GEOADD geo CH 38.115556 Palermo",
    "SETTAG string 1 a b c",
    "SETTAG string 1 a",
    "TAGS string",
    "BITOP NOT other string",
    "BITOP AND other string string",
    "PFADD sketch a b",
    "BLPOP list nothing 1",
    "BLPOP list 1",
    "COPY string other",
    "TOUCH string list",
]


def words(line: str) -> list[object]:
    return [word.encode() for word in line.split()]


def by_slots(plan: Plan, cache: Cache, argv: list[object]) -> object:
    """The reply of a call that is made by way of slots, whatever its words are."""
    bound = plan.bind(argv)
    value = plan._call_bound(plan._answering, cache, bound, MISSING)
    return value if plan._reply is None else plan._reply(value, bound)


def filled() -> Cache:
    cache = Cache()
    for line in BEFORE:
        cache.execute(*line.split())
    return cache


def told(run: Callable[..., object], *args: object) -> bytes:
    """What a client is told: the reply to a call, or the error that refuses it."""
    out = BytesWriter()
    try:
        write_reply(out, run(*args), True)
    except CacheStormError as error:
        write_error(out, error.resp)
    return out.getvalue()


def state_of(cache: Cache) -> dict[str, bytes | None]:
    return {key: cache.dump(key) for key in sorted(cache.scan_iter())}


@pytest.mark.parametrize("line", LINES)
def test_a_direct_call_comes_to_what_a_call_by_slots_comes_to(line: str) -> None:
    argv = words(line)
    plan = REGISTRY.resolve(argv)
    direct, other = filled(), filled()
    assert told(plan.answer, direct, argv) == told(by_slots, plan, other, argv)
    assert state_of(direct) == state_of(other)


def test_a_word_that_stands_for_no_value_is_refused_as_one() -> None:
    with pytest.raises(CacheStormError, match="stands for no value"):
        Cache().execute("HSET", "hash", "field", UNSET)
