"""A reply that would be larger than it may is refused before it takes memory."""

from __future__ import annotations

import pickle
import tracemalloc

import pytest

from cachestorm import Cache
from cachestorm.codec import INT64_MAX
from cachestorm.errors import ReplyTooLargeError

LARGE = b"x" * (100 << 10)
MANY = -(1 << 40)


@pytest.fixture
def cache() -> Cache:
    cache = Cache(max_reply="1mb")
    cache.set("large", LARGE)
    cache.set("buffer", LARGE)
    cache.append("buffer", b"x")
    cache.set("object", [LARGE.decode()] * 2)
    cache.hset("h", mapping={"f": LARGE, "g": b""})
    cache.sadd("s", "a", "b")
    cache.zadd("z", {"a": 1.0, "b": 2.0})
    cache.rpush("l", *range(20))
    cache.rpush("long", *[b"y" * 2000] * 5000)
    return cache


@pytest.mark.parametrize(
    "argv",
    [
        ["SRANDMEMBER", "s", MANY],
        ["SRANDMEMBER", "s", -INT64_MAX],
        ["HRANDFIELD", "h", MANY],
        ["HRANDFIELD", "h", MANY // 2, "WITHVALUES"],
        ["HRANDFIELD", "h", -100, "WITHVALUES"],
        ["ZRANDMEMBER", "z", MANY],
        ["ZRANDMEMBER", "z", MANY // 2, "WITHSCORES"],
        ["MGET", *["large"] * 1500],
        ["MGET", *["buffer"] * 1500],
        ["MGET", *["object"] * 1500],
        ["HMGET", "h", *["f"] * 1500],
        ["SORT", "l", "BY", "nosort", "GET", "large"],
        ["SORT", "l", "BY", "nosort", "GET", "buffer*"],
        ["SORT", "l", "BY", "nosort", *["GET", "h->f"] * 20],
        ["SORT", "long", "ALPHA", *["GET", "#"] * 20],
        ["SORT", "long", "ALPHA", *["GET", "#"] * 20, "STORE", "to"],
        ["SORT_RO", "long", "ALPHA", *["GET", "#"] * 20],
    ],
    ids=str,
)
def test_a_reply_beyond_the_bound_is_refused(cache: Cache, argv: list[object]) -> None:
    if argv[1] == "l":
        # the star of a pattern stands for the element
        for number in range(20):
            cache.set(f"buffer{number}", LARGE)
            cache.append(f"buffer{number}", b"x")
            cache.set(f"large{number}", LARGE)
        argv = [f"{arg}*" if arg == "large" else arg for arg in argv]
        argv = ["h*->f" if arg == "h->f" else arg for arg in argv]
        cache.hset("h0", "f", LARGE)
        cache.copy("h0", "h1")
    tracemalloc.start()
    try:
        with pytest.raises(ReplyTooLargeError) as refusal:
            cache.execute(*argv)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert "1048576 bytes (max_reply)" in str(refusal.value)
    cache._check()


@pytest.mark.parametrize(
    "argv",
    [
        ["SRANDMEMBER", "s", -1000],
        ["SRANDMEMBER", "s", INT64_MAX],
        ["HRANDFIELD", "h", -9, "WITHVALUES"],
        ["ZRANDMEMBER", "z", -1000, "WITHSCORES"],
        ["MGET", *["large"] * 9],
        ["HMGET", "h", *["f"] * 9],
        ["SMEMBERS", "s"],
        ["LRANGE", "long", 0, -1],
    ],
    ids=str,
)
def test_a_reply_within_the_bound_or_of_what_is_there_is_given(
    cache: Cache, argv: list[object]
) -> None:
    assert cache.execute(*argv)


def test_the_bound_follows_the_limit_of_memory_unless_it_is_set() -> None:
    draws = (2 << 20) + 2
    cache = Cache()
    cache.set("k", b"x" * 1000)
    cache.sadd("s", "a")
    assert len(cache.mget(*["k"] * 1000)) == 1000
    cache.max_memory = "1mb"
    with pytest.raises(ReplyTooLargeError, match="67108864 bytes"):
        cache.srandmember("s", -draws)
    cache.max_memory = "1gb"
    assert len(cache.srandmember("s", -1000)) == 1000
    cache.max_reply = 10_000
    assert cache.max_reply == 10_000
    with pytest.raises(ReplyTooLargeError, match="10000 bytes"):
        cache.srandmember("s", -1000)


def test_the_refusal_survives_pickling() -> None:
    error = ReplyTooLargeError(5)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert error.resp.startswith("ERR the reply would hold more than 5 bytes")
