"""The bitmap commands in process: what Python sees, and what no server could compare."""

from __future__ import annotations

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.errors import (
    ArgumentError,
    ArityError,
    CommandSyntaxError,
    NotAnIntegerError,
    OutOfMemoryError,
    WrongTypeError,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock)


def test_a_bit_is_set_and_cleared_and_what_it_was_is_told(cache: Cache) -> None:
    assert cache.setbit("b", 9, 1) == 0
    assert cache.setbit("b", 9, True) == 1
    assert cache.get("b") == b"\x00\x40"
    assert cache.setbit("b", 9, 0) == 1
    assert cache.get("b") == b"\x00\x00"


def test_writing_a_bit_keeps_tags_and_time_to_live(cache: Cache) -> None:
    cache.set("b", "x", ttl=60, tags=["t"])
    cache.setbit("b", 100, 1)
    cache.bitfield("b", ("SET", "u8", 0, 7))
    assert cache.tags("b") == ["t"]
    assert cache.ttl("b") == 60.0


def test_a_new_bitmap_lives_as_long_as_any_new_key() -> None:
    cache = Cache(default_ttl=60, clock=ManualClock())
    cache.setbit("b", 0, 1)
    cache.bitop("NOT", "d", "b")
    assert 60.0 == cache.ttl("b") == cache.ttl("d")


@pytest.mark.parametrize("offset", [-1, 1 << 32])
def test_a_bit_that_no_string_has_is_refused(cache: Cache, offset: int) -> None:
    with pytest.raises(ArgumentError, match="bit offset"):
        cache.setbit("b", offset, 1)
    with pytest.raises(ArgumentError, match="bit offset"):
        cache.getbit("b", offset)
    with pytest.raises(ArgumentError, match="bit offset"):
        cache.bitfield("b", ("GET", "u8", offset))


def test_a_value_that_is_no_bit_is_refused(cache: Cache) -> None:
    with pytest.raises(ArgumentError, match="bit is not an integer"):
        cache.setbit("b", 0, 2)
    with pytest.raises(ArgumentError, match="must be 1 or 0"):
        cache.bitpos("b", 2)
    assert not cache.exists("b")


def test_counting_takes_a_range_of_bytes_or_bits(cache: Cache) -> None:
    cache.set("b", "foobar")
    assert cache.bitcount("b") == 26
    assert cache.bitcount("b", 1) == 22
    assert cache.bitcount("b", end=0) == 4
    assert cache.bitcount("b", 5, 30, "bit") == 17
    assert cache.bitcount("nokey", 0, -1) == 0
    with pytest.raises(CommandSyntaxError):
        cache.bitcount("b", 0, 1, "words")


def test_finding_takes_a_range_of_bytes_or_bits(cache: Cache) -> None:
    cache.set("b", b"\xff\xf0\x00")
    assert cache.bitpos("b", 0) == 12
    assert cache.bitpos("b", 1, 2) == -1
    assert cache.bitpos("b", 1, 7, 15, "BIT") + 1 == 8
    cache.set("b", b"\xff")
    assert cache.bitpos("b", 0) == 8
    assert cache.bitpos("b", 0, 0, 0) == -1


def test_a_combination_replaces_value_tags_and_time_to_live(cache: Cache) -> None:
    cache.mset({"x": b"\xff\x0f", "y": b"\xf0"})
    cache.set("d", "old", ttl=60, tags=["t"])
    assert cache.bitop("and", "d", "x", "y") == 2
    assert cache.get("d") == b"\xf0\x00"
    assert cache.ttl("d") is None
    assert cache.tags("d") == []
    assert cache.bitop("OR", "d", ["nokey", "nokey2"]) == 0
    assert not cache.exists("d")


def test_a_combination_needs_an_operation_and_a_key(cache: Cache) -> None:
    with pytest.raises(CommandSyntaxError):
        cache.bitop("NAND", "d", "x")
    with pytest.raises(ArityError, match="'bitop'"):
        cache.bitop("OR", "d")
    with pytest.raises(ArgumentError, match="single source key"):
        cache.bitop("NOT", "d", "x", "y")


def test_fields_are_tuples(cache: Cache) -> None:
    assert cache.bitfield(
        "f",
        ("SET", "u8", 0, 255),
        ("INCRBY", "u8", "#0", 10),
        ("OVERFLOW", "FAIL"),
        ["incrby", b"u8", 0, 250],
        (b"GET", "u8", 0),
    ) == [0, 9, None, 9]
    assert cache.execute("BITFIELD_RO", "f", "GET", "u8", 0, "GET", "i4", 4) == [9, -7]


@pytest.mark.parametrize(
    "operation", [(), ("GET",), ("GET", "u8"), ("SET", "u8", 0), ("FOO", "u8", 0), ("GET",) * 4]
)
def test_an_operation_that_is_none_is_refused(cache: Cache, operation: tuple[str, ...]) -> None:
    with pytest.raises(CommandSyntaxError):
        cache.bitfield("f", operation)


def test_a_field_that_is_none_is_refused_and_nothing_is_written(cache: Cache) -> None:
    for bad in (("SET", "u64", 0, 1), ("SET", 8, 0, 1), ("OVERFLOW", "x")):
        with pytest.raises(ArgumentError):
            cache.bitfield("f", ("SET", "u8", 0, 1), bad)
    with pytest.raises(NotAnIntegerError):
        cache.bitfield("f", ("SET", "u8", 0, 1), ("SET", "u8", 0, 1.5))
    assert not cache.exists("f")


def test_what_changes_nothing_keeps_the_value_that_was_given(cache: Cache) -> None:
    cache.set("n", 5)
    cache.setbit("n", 3, 1)
    cache.bitfield("n", ("SET", "u8", 0, 0x35))
    assert cache.get("n") == 5


def test_objects_have_no_bits(cache: Cache) -> None:
    cache.set("o", {"a": 1})
    with pytest.raises(WrongTypeError):
        cache.setbit("o", 0, 1)
    with pytest.raises(WrongTypeError):
        cache.bitcount("o")


def test_a_bitmap_too_long_for_the_limit_is_refused_and_charged_nothing() -> None:
    cache = Cache(max_memory="64kb", policy="noeviction")
    cache.setbit("b", 0, 1)
    for argv in (["SETBIT", "b", 1 << 25, 1], ["BITFIELD", "b", "SET", "u8", 1 << 25, 1]):
        with pytest.raises(OutOfMemoryError):
            cache.execute(*argv)
    assert cache.get("b") == b"\x80"
    cache._check()
