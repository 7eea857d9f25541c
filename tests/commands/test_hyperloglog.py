"""The HyperLogLog commands in process, and their bytes beside those of real servers."""

from __future__ import annotations

import random

import pytest
from comparison import Theirs
from real_servers import RealServer

from cachestorm import Cache, ManualClock
from cachestorm.errors import ArityError, CorruptedSketchError, WrongTypeError
from cachestorm.values.hyperloglog import NEW, REGISTERS, packed, without_estimate


@pytest.fixture
def cache() -> Cache:
    return Cache(clock=ManualClock())


def test_elements_are_told_apart_by_their_bytes(cache: Cache) -> None:
    assert cache.pfadd("h", "a", 1, 2.5, b"b")
    assert not cache.pfadd("h", b"a", "1", "2.5", ["b", b"a"])
    assert cache.pfcount("h") == 4


def test_adding_nothing_makes_the_key_once(cache: Cache) -> None:
    assert cache.pfadd("h")
    assert not cache.pfadd("h")
    assert cache.pfcount("h") == 0


def test_counting_needs_a_key_and_takes_many(cache: Cache) -> None:
    cache.pfadd("a", 1, 2)
    cache.pfadd("b", 2, 3)
    assert cache.pfcount("a", "b", "nokey") == 3
    assert cache.pfcount(["a", "b"]) == 3
    assert cache.pfcount("nokey", "nokey2") == 0
    with pytest.raises(ArityError, match="'pfcount'"):
        cache.pfcount()


def test_counting_leaves_tags_and_time_to_live(cache: Cache) -> None:
    cache.pfadd("h", "a")
    cache.expire("h", 60)
    cache.addtag("h", "t")
    assert cache.pfcount("h") == 1
    cache.pfadd("h", "b")
    cache.pfmerge("h", "nokey")
    assert cache.ttl("h") == 60.0
    assert cache.tags("h") == ["t"]
    cache._check()


def test_merging_adds_to_the_destination(cache: Cache) -> None:
    cache.pfadd("a", *range(100))
    cache.pfadd("b", *range(50, 150))
    cache.pfadd("d", *range(1000, 1010))
    assert cache.pfmerge("d", "a", "b")
    assert abs(cache.pfcount("d") - 160) <= 4


def test_what_is_no_sketch_is_refused(cache: Cache) -> None:
    cache.set("s", "foo")
    cache.rpush("l", 1)
    for key, text in (("s", "not a valid HyperLogLog"), ("l", "wrong kind of value")):
        with pytest.raises(WrongTypeError, match=text):
            cache.pfadd(key, "a")
        with pytest.raises(WrongTypeError, match=text):
            cache.pfcount(key)
        with pytest.raises(WrongTypeError, match=text):
            cache.pfmerge("d", key)
    assert not cache.exists("d")


def test_a_sketch_that_was_tampered_with_is_refused_and_kept(cache: Cache) -> None:
    cache.pfadd("h", "a")
    cache.append("h", b"\0")
    tampered = cache.get("h")
    for call in (lambda: cache.pfcount("h"), lambda: cache.pfmerge("d", "h")):
        with pytest.raises(CorruptedSketchError, match="Corrupted HLL"):
            call()
    assert tampered == cache.get("h")


@pytest.mark.parametrize(("rank", "others"), [(50, 51), (51, 51), (50, 50)])
def test_one_of_more_elements_than_64_bits_count_is_refused(
    cache: Cache, rank: int, others: int
) -> None:
    registers = bytes([rank]) + bytes([others]) * (REGISTERS - 1)
    cache.set("h", without_estimate(packed(NEW, registers)))
    for keys in (["h"], ["h", "other"]):
        with pytest.raises(CorruptedSketchError, match="Corrupted HLL"):
            cache.pfcount(*keys)
    cache._check()


@pytest.mark.parametrize("seed", range(6))
def test_the_bytes_are_those_of_a_real_server(
    seed: int, cache: Cache, real_server: RealServer
) -> None:
    theirs = Theirs(real_server, False)
    chance = random.Random(seed)
    # from few elements to enough for all sketches to become dense
    size = [3, 30, 300, 1000, 3000, 100_000][seed]
    keys = ["a", "b", "c"]
    for _ in range(40):
        key, other = chance.sample(keys, 2)
        elements = [
            b"%d" % chance.randrange(size)
            for _ in range(chance.randrange(min(size, 900) // 3 + 1))
        ]
        argv = chance.choice(
            [
                [b"PFADD", key.encode(), *elements],
                [b"PFADD", key.encode(), *elements],
                [b"PFMERGE", key.encode(), other.encode()],
                [b"PFCOUNT", key.encode()],
                [b"PFCOUNT", key.encode(), other.encode()],
                [b"DEL", chance.choice([b"nokey", b"nokey", key.encode()])],
            ]
        )
        (reply,) = theirs.run([argv])
        answer = cache.execute(*argv)
        if reply.mark == ":":
            assert reply.value == b"%d" % int(answer), argv[:2]
        for name in keys:
            (stored,) = theirs.run([[b"GET", name.encode()]])
            ours = cache.get(name)
            assert (b"-1" if ours is None else ours) == stored.value, (argv[:2], name)
    theirs.close()
