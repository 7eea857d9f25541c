"""Small sets and hashes are in the order of real servers, whatever has come and gone."""

from __future__ import annotations

import random

import pytest
from comparison import Ours, Theirs
from real_servers import RealServer


def a_change(chance: random.Random) -> list[bytes]:
    """Adds or removes one member or two: integers, and now and then a word."""
    members = []
    for _ in range(chance.choice((1, 1, 2))):
        is_word = chance.random() < 0.15
        members.append(
            b"w%d" % chance.randrange(3) if is_word else b"%d" % chance.randrange(-9, 30)
        )
    return [chance.choice((b"SADD", b"SADD", b"SREM")), b"s", *members]


@pytest.mark.parametrize("seed", range(10))
def test_integers_are_in_the_order_of_valkey_after_words_have_left(
    valkey: RealServer, seed: int
) -> None:
    chance = random.Random(seed)
    theirs, ours = Theirs(valkey, False), Ours(False)
    try:
        theirs.run([[b"FLUSHALL"]])
        for _ in range(60):
            calls = [a_change(chance), [b"SMEMBERS", b"s"], [b"OBJECT", b"ENCODING", b"s"]]
            assert ours.run(calls) == theirs.run(calls)
            ours.cache._check()
    finally:
        theirs.close()


def test_a_copy_keeps_the_order(valkey: RealServer) -> None:
    theirs, ours = Theirs(valkey, False), Ours(False)
    calls = [
        [b"DEL", b"a", b"b"],
        [b"SADD", b"a", b"5", b"3", b"w", b"1"],
        [b"SREM", b"a", b"w"],
        [b"COPY", b"a", b"b"],
        [b"SADD", b"b", b"0"],
        [b"SMEMBERS", b"b"],
    ]
    try:
        assert ours.run(calls) == theirs.run(calls)
    finally:
        theirs.close()


@pytest.mark.parametrize("size", [100, 129, 512, 513])
def test_a_hash_is_scanned_as_a_listpack_as_long_as_it_is_one(
    real_server: RealServer, size: int
) -> None:
    theirs, ours = Theirs(real_server, False), Ours(False)
    pairs = [b"%s%d" % (kind, at) for at in range(size) for kind in (b"f", b"v")]
    calls = [
        [b"DEL", b"h"],
        [b"HSET", b"h", *pairs],
        [b"HDEL", b"h", b"f5", b"f70"],
        [b"HSET", b"h", b"f5", b"again"],
        [b"OBJECT", b"ENCODING", b"h"],
    ]
    if size <= 512:
        calls += [[b"HSCAN", b"h", b"0"], [b"HGETALL", b"h"], [b"HKEYS", b"h"]]
    else:
        # a real one has become a hash table for good
        calls.remove([b"HDEL", b"h", b"f5", b"f70"])
    try:
        assert ours.run(calls) == theirs.run(calls)
        (scan,) = ours.run([[b"HSCAN", b"h", b"0"]])
        assert (scan.value[0].value == b"0") == (size <= 512)
    finally:
        theirs.close()
