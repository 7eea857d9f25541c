"""Long strings, which are changed in place, are strings like any other."""

from __future__ import annotations

import random
import re
import tracemalloc

import pytest

from cachestorm import Cache, CacheStormError, ManualClock
from cachestorm.entry import BUFFER, STRING
from cachestorm.errors import CorruptedSketchError, NotAnIntegerError, OutOfMemoryError
from cachestorm.values.buffer import SHORTEST

LONG = bytes(range(256)) * 40


@pytest.fixture
def cache() -> Cache:
    return Cache(clock=ManualClock())


@pytest.fixture
def long(cache: Cache) -> Cache:
    """A cache with a long string at `k` that was changed in place."""
    cache.set("k", LONG[:-1], ttl=60, tags=["t"])
    cache.append("k", LONG[-1:])
    assert kind_at(cache, "k") == BUFFER
    return cache


def kind_at(cache: Cache, key: str) -> int:
    return int(cache._space.entries[key].kind)


def test_only_a_long_string_becomes_a_buffer(cache: Cache) -> None:
    cache.set("k", b"x" * (SHORTEST - 2))
    cache.append("k", b"x")
    assert kind_at(cache, "k") == STRING
    cache.append("k", b"x")
    assert kind_at(cache, "k") == BUFFER
    cache.set("k", b"x")
    assert kind_at(cache, "k") == STRING
    cache._check()


def test_everything_that_reads_it_reads_bytes(long: Cache) -> None:
    assert LONG == long.get("k") == long["k"]
    assert bytes is type(long.get("k"))
    assert long.mget("k") == [LONG]
    assert len(LONG) == long.strlen("k")
    assert LONG[5:10] == long.getrange("k", 5, 9)
    assert LONG[-3:] == long.getrange("k", -3, -1)
    assert long.getrange("k", len(LONG), -1) == b""
    assert LONG[3] >> 7 == long.getbit("k", 24)
    assert long.getbit("k", len(LONG) * 8) == 0
    assert [LONG[7], 0] == long.execute(
        "BITFIELD_RO", "k", "GET", "u8", 56, "GET", "u8", len(LONG) * 8
    )
    assert sum(map(int.bit_count, LONG)) == long.bitcount("k")
    assert long.bitpos("k", 1) == 15
    assert long.type("k") == "string"
    assert long.object_encoding("k") == "raw"
    assert long.scan(0, type="string") == (0, ["k"])
    assert long.getex("k") == LONG
    long.rpush("list", "k")
    assert long.sort("list", by="nosort", get=["*"]) == [LONG]
    assert long.tags("k") == ["t"]
    assert long.ttl("k") == 60.0
    assert long.getdel("k") == LONG
    long._check()


def test_it_travels_and_its_copy_is_its_own(long: Cache) -> None:
    long.rename("k", "r")
    assert long.copy("r", "c")
    long.setrange("r", 0, "R")
    long.setrange("c", 0, "C")
    assert b"R" + LONG[1:] == long.get("r")
    assert b"C" + LONG[1:] == long.get("c")
    assert long.move("r", 1)
    assert b"R" + LONG[1:] == long.database(1).get("r")
    assert long.database(1).tags("r") == ["t"]
    long._check()


def test_what_was_read_does_not_change_any_more(long: Cache) -> None:
    before = long.get("k")
    long.setbit("k", 0, 1)
    assert before == LONG
    assert b"\x80" + LONG[1:] == long.get("k")


def test_it_is_overwritten_by_the_other_commands(long: Cache) -> None:
    with pytest.raises(NotAnIntegerError):
        long.incr("k")
    assert long.set("k", "x", get=True, keepttl=True) == LONG
    assert long.ttl("k") == 60.0
    assert long.getset("k", LONG) == "x"
    long.append("k", b"")
    assert long.delete("k") == 1
    assert long._space.used_bytes == 0
    long._check()


def test_listeners_are_told_bytes(cache: Cache) -> None:
    told: list[object] = []
    cache.set("k", LONG)
    cache.listen(lambda effect: told.append(effect.value))
    cache.setrange("k", 0, "x")
    cache.setrange("k", 1, "y")
    assert [b"x" + LONG[1:], b"xy" + LONG[2:]] == told


def test_growth_beyond_the_limit_is_refused_and_changes_nothing() -> None:
    cache = Cache(max_memory="64kb", policy="noeviction")
    cache.set("k", LONG)
    cache.setrange("k", 0, "x")
    used = cache._space.used_bytes
    for argv in (
        ["SETBIT", "k", 1 << 25, 1],
        ["SETRANGE", "k", 1 << 20, "x"],
        ["APPEND", "k", b"x" * 60_000],
        ["BITFIELD", "k", "SET", "u8", 1 << 25, 1],
    ):
        with pytest.raises(OutOfMemoryError):
            cache.execute(*argv)
    assert b"x" + LONG[1:] == cache.get("k")
    assert used == cache._space.used_bytes
    cache._check()


@pytest.mark.parametrize("value", [b"", b"short", 5])
def test_a_string_whose_growth_is_refused_has_not_become_long(value: object) -> None:
    cache = Cache(max_memory=1500, policy="noeviction")
    cache.set("k", value)
    for grow in (
        lambda: cache.setrange("k", 4090, b"x" * 3000),
        lambda: cache.setbit("k", 8 * 7000, 1),
        lambda: cache.bitfield("k", ("SET", "u8", 8 * 7000, 1)),
        lambda: cache.append("k", b"x" * 7000),
    ):
        with pytest.raises(OutOfMemoryError):
            grow()
    assert kind_at(cache, "k") == STRING
    cache.append("k", b"")
    assert cache.get("k") == (b"5" if value == 5 else value)
    cache._check()


def test_no_string_is_removed_for_being_empty(cache: Cache) -> None:
    cache.set("k", b"")
    space = cache._space
    buffer = space.buffered(space.entries["k"], b"", 0)
    space.changed(space.entries["k"], 0, "setbit")
    assert len(buffer) == 0
    assert cache.get("k") == b""


def test_growth_evicts_others_and_not_itself() -> None:
    cache = Cache(max_memory="64kb")
    cache.set("k", LONG)
    cache.set("other", b"x" * 40_000)
    cache.setrange("k", 30_000, "x")
    assert cache.exists("k")
    assert not cache.exists("other")
    cache._check()


def test_random_writes_are_those_on_bytes(cache: Cache) -> None:
    chance = random.Random(1)
    plain = bytearray(LONG)
    cache.set("k", LONG)
    for _ in range(300):
        at = chance.randrange(len(plain) + 40)
        match chance.randrange(4):
            case 0:
                tail = chance.randbytes(chance.randrange(200))
                assert len(plain) + len(tail) == cache.append("k", tail)
                plain += tail
            case 1:
                patch = chance.randbytes(chance.randrange(1, 50))
                plain.extend(bytes(max(at + len(patch) - len(plain), 0)))
                plain[at : at + len(patch)] = patch
                assert len(plain) == cache.setrange("k", at, patch)
            case 2:
                plain.extend(bytes(max(at + 1 - len(plain), 0)))
                assert plain[at] >> 7 == cache.setbit("k", at * 8, 1)
                plain[at] |= 128
            case _:
                plain.extend(bytes(max(at + 2 - len(plain), 0)))
                former = int.from_bytes(plain[at : at + 2], "big")
                plain[at : at + 2] = (77).to_bytes(2, "big")
                assert [former] == cache.bitfield("k", ("SET", "u16", at * 8, 77))
        cache._check()
    assert bytes(plain) == cache.get("k")


def test_it_is_dumped_as_a_string(long: Cache) -> None:
    payload = long.dump("k")
    assert payload is not None
    assert long.restore("other", 0, payload)
    assert long.get("other") == LONG
    assert long.tags("other") == ["t"]
    assert kind_at(long, "other") == STRING
    long._check()


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["INCR", "k"], "value is not an integer or out of range"),
        (["DECRBY", "k", 3], "value is not an integer or out of range"),
        (["INCRBYFLOAT", "k", 1.5], "value is not a valid float"),
        (["PFADD", "k", "a"], "Key is not a valid HyperLogLog string value."),
        (["PFCOUNT", "k"], "Key is not a valid HyperLogLog string value."),
        (["PFCOUNT", "k", "k"], "Key is not a valid HyperLogLog string value."),
        (["PFMERGE", "to", "k"], "Key is not a valid HyperLogLog string value."),
        (["LCS", "k", "k"], "Insufficient memory, transient memory for LCS exceeds"),
    ],
)
@pytest.mark.parametrize("spelled", ["bytes", "str", "buffer"])
def test_nothing_is_copied_only_to_be_refused(
    cache: Cache, argv: list[object], text: str, spelled: str
) -> None:
    size = 16 << 20
    cache.set("k", "1" * size if spelled == "str" else b"1" * size)
    if spelled == "buffer":
        cache.setrange("k", 0, b"2")
    tracemalloc.start()
    try:
        with pytest.raises(CacheStormError, match=re.escape(text)):
            cache.execute(*argv)
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def test_a_string_that_begins_as_a_sketch_and_is_longer_than_any_is_a_corrupted_one(
    cache: Cache,
) -> None:
    cache.pfadd("k", "a")
    cache.append("k", b"\0" * (1 << 20))
    for argv in (["PFADD", "k", "b"], ["PFCOUNT", "k"], ["PFMERGE", "to", "k"]):
        with pytest.raises(CorruptedSketchError):
            cache.execute(*argv)
    assert "to" not in cache
