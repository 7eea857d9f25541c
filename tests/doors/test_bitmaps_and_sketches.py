"""Bitmaps and HyperLogLogs, each command with every option, through every door."""

from __future__ import annotations

import pytest
from every_door import Door

WRONG_TYPE = "-WRONGTYPE Operation against a key holding the wrong kind of value"


@pytest.fixture(autouse=True)
def _invariants(door: Door) -> object:
    yield
    door.cache._check()


class TestSetbit:
    def test_it_tells_what_was_there(self, door: Door) -> None:
        door.gives(0, "SETBIT", "b", "1", "1")
        door.gives(1, "SETBIT", "b", "1", "1")
        door.gives("@", "GET", "b")
        door.gives(0, "SETBIT", "b", "20", "0")
        door.gives(3, "STRLEN", "b")

    def test_it_refuses_what_is_no_bit(self, door: Door) -> None:
        offset = "-ERR bit offset is not an integer or out of range"
        door.gives(offset, "SETBIT", "b", "4294967296", "1")
        door.gives(offset, "SETBIT", "b", "x", "x")
        door.gives("-ERR bit is not an integer or out of range", "SETBIT", "b", "0", "2")
        door("RPUSH", "l", "a")
        door.gives(WRONG_TYPE, "SETBIT", "l", "0", "1")


class TestGetbit:
    def test_bits_beyond_the_end_are_clear(self, door: Door) -> None:
        door("SET", "b", "a")
        door.gives(1, "GETBIT", "b", "1")
        door.gives(0, "GETBIT", "b", "0")
        door.gives(0, "GETBIT", "b", "4294967295")
        door.gives(0, "GETBIT", "nokey", "0")


class TestBitcount:
    def test_it_counts_all_or_a_range(self, door: Door) -> None:
        door("SET", "b", "foobar")
        door.gives(26, "BITCOUNT", "b")
        door.gives(6, "BITCOUNT", "b", "1", "1")
        door.gives(6, "BITCOUNT", "b", "1", "1", "BYTE")
        door.gives(17, "BITCOUNT", "b", "5", "30", "bit")
        door.gives(22, "BITCOUNT", "b", "1")
        door.gives("-ERR syntax error", "BITCOUNT", "b", "1", "1", "WORD")


class TestBitpos:
    def test_it_finds_in_all_or_a_range(self, door: Door) -> None:
        door("SETBIT", "b", "23", "0")
        door("SETBIT", "b", "9", "1")
        door.gives(9, "BITPOS", "b", "1")
        door.gives(0, "BITPOS", "b", "0")
        door.gives(-1, "BITPOS", "b", "1", "2")
        door.gives(-1, "BITPOS", "b", "1", "0", "0")
        door.gives(10, "BITPOS", "b", "0", "9", "-1", "BIT")
        door.gives("-ERR The bit argument must be 1 or 0.", "BITPOS", "b", "2")


class TestBitop:
    def test_it_combines(self, door: Door) -> None:
        door("MSET", "x", "abc", "y", "Ab")
        door.gives(3, "BITOP", "AND", "d", "x", "y")
        door.gives("Ab\0", "GET", "d")
        door.gives(3, "BITOP", "or", "d", "x", "y")
        door.gives("abc", "GET", "d")
        door.gives(3, "BITOP", "Xor", "d", "x", "y")
        door.gives(" \0c", "GET", "d")
        door("BITOP", "NOT", "d", "x")
        door.gives(3, "BITOP", "NOT", "d", "d")
        door.gives("abc", "GET", "d")
        door.gives(0, "BITOP", "OR", "d", "nokey")
        door.gives(0, "EXISTS", "d")

    def test_it_refuses(self, door: Door) -> None:
        text = "-ERR BITOP NOT must be called with a single source key."
        door.gives(text, "BITOP", "NOT", "d", "x", "y")
        door.gives("-ERR syntax error", "BITOP", "NAND", "d", "x")


class TestBitfield:
    def test_it_reads_and_writes_in_order(self, door: Door) -> None:
        words = "GET u8 0 SET u8 0 255 INCRBY u4 #1 1 OVERFLOW FAIL INCRBY u8 0 100"
        door.gives([0, 0, 0, None], "BITFIELD", "f", *words.split())
        words = "OVERFLOW SAT INCRBY u8 0 100 SET i8 #1 -200 GET i8 8"
        door.gives([255, 0, -128], "BITFIELD", "f", *words.split())

    def test_it_refuses(self, door: Door) -> None:
        door.gives("-ERR syntax error", "BITFIELD", "f", "GET", "u8")
        door.gives("-ERR Invalid OVERFLOW type specified", "BITFIELD", "f", "OVERFLOW", "x")
        text = (
            "-ERR Invalid bitfield type. Use something like i16 u8. "
            "Note that u64 is not supported but i64 is."
        )
        door.gives(text, "BITFIELD", "f", "GET", "u64", "0")

    def test_its_twin_only_reads(self, door: Door) -> None:
        door("SET", "f", "ab")
        door.gives([97, 6], "BITFIELD_RO", "f", "GET", "u8", "0", "GET", "u4", "#2")
        door.gives(
            "-ERR BITFIELD_RO only supports the GET subcommand",
            "BITFIELD_RO",
            "f",
            "SET",
            "u8",
            "0",
            "1",
        )


class TestHyperLogLog:
    def test_elements_are_counted(self, door: Door) -> None:
        door.gives(1, "PFADD", "h", "a", "b", "c")
        door.gives(0, "PFADD", "h", "a")
        door.gives(3, "PFCOUNT", "h")
        door.gives(1, "PFADD", "i", "c", "d")
        door.gives(4, "PFCOUNT", "h", "i", "nokey")
        door.gives("OK", "PFMERGE", "i", "h")
        door.gives(4, "PFCOUNT", "i")

    def test_other_strings_are_refused(self, door: Door) -> None:
        door("SET", "s", "x")
        text = "-WRONGTYPE Key is not a valid HyperLogLog string value."
        door.gives(text, "PFADD", "s", "a")
        door.gives(text, "PFCOUNT", "s")
        door.gives(text, "PFMERGE", "d", "s")

    def test_damage_is_told(self, door: Door) -> None:
        door("PFADD", "h", "a")
        door("APPEND", "h", "\0")
        door.gives("-INVALIDOBJ Corrupted HLL object detected", "PFCOUNT", "h")
