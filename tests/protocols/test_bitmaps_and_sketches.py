"""Bitmaps and HyperLogLogs, each command with every option, through every protocol."""

from __future__ import annotations

import pytest
from every_protocol import Protocol

WRONG_TYPE = "-WRONGTYPE Operation against a key holding the wrong kind of value"


@pytest.fixture(autouse=True)
def _invariants(protocol: Protocol) -> object:
    yield
    protocol.cache._check()


class TestSetbit:
    def test_it_tells_what_was_there(self, protocol: Protocol) -> None:
        protocol.gives(0, "SETBIT", "b", "1", "1")
        protocol.gives(1, "SETBIT", "b", "1", "1")
        protocol.gives("@", "GET", "b")
        protocol.gives(0, "SETBIT", "b", "20", "0")
        protocol.gives(3, "STRLEN", "b")

    def test_it_refuses_what_is_no_bit(self, protocol: Protocol) -> None:
        offset = "-ERR bit offset is not an integer or out of range"
        protocol.gives(offset, "SETBIT", "b", "4294967296", "1")
        protocol.gives(offset, "SETBIT", "b", "x", "x")
        protocol.gives("-ERR bit is not an integer or out of range", "SETBIT", "b", "0", "2")
        protocol("RPUSH", "l", "a")
        protocol.gives(WRONG_TYPE, "SETBIT", "l", "0", "1")


class TestGetbit:
    def test_bits_beyond_the_end_are_clear(self, protocol: Protocol) -> None:
        protocol("SET", "b", "a")
        protocol.gives(1, "GETBIT", "b", "1")
        protocol.gives(0, "GETBIT", "b", "0")
        protocol.gives(0, "GETBIT", "b", "4294967295")
        protocol.gives(0, "GETBIT", "nokey", "0")


class TestBitcount:
    def test_it_counts_all_or_a_range(self, protocol: Protocol) -> None:
        protocol("SET", "b", "foobar")
        protocol.gives(26, "BITCOUNT", "b")
        protocol.gives(6, "BITCOUNT", "b", "1", "1")
        protocol.gives(6, "BITCOUNT", "b", "1", "1", "BYTE")
        protocol.gives(17, "BITCOUNT", "b", "5", "30", "bit")
        protocol.gives(22, "BITCOUNT", "b", "1")
        protocol.gives("-ERR syntax error", "BITCOUNT", "b", "1", "1", "WORD")


class TestBitpos:
    def test_it_finds_in_all_or_a_range(self, protocol: Protocol) -> None:
        protocol("SETBIT", "b", "23", "0")
        protocol("SETBIT", "b", "9", "1")
        protocol.gives(9, "BITPOS", "b", "1")
        protocol.gives(0, "BITPOS", "b", "0")
        protocol.gives(-1, "BITPOS", "b", "1", "2")
        protocol.gives(-1, "BITPOS", "b", "1", "0", "0")
        protocol.gives(10, "BITPOS", "b", "0", "9", "-1", "BIT")
        protocol.gives("-ERR The bit argument must be 1 or 0.", "BITPOS", "b", "2")


class TestBitop:
    def test_it_combines(self, protocol: Protocol) -> None:
        protocol("MSET", "x", "abc", "y", "Ab")
        protocol.gives(3, "BITOP", "AND", "d", "x", "y")
        protocol.gives("Ab\0", "GET", "d")
        protocol.gives(3, "BITOP", "or", "d", "x", "y")
        protocol.gives("abc", "GET", "d")
        protocol.gives(3, "BITOP", "Xor", "d", "x", "y")
        protocol.gives(" \0c", "GET", "d")
        protocol("BITOP", "NOT", "d", "x")
        protocol.gives(3, "BITOP", "NOT", "d", "d")
        protocol.gives("abc", "GET", "d")
        protocol.gives(0, "BITOP", "OR", "d", "nokey")
        protocol.gives(0, "EXISTS", "d")

    def test_it_refuses(self, protocol: Protocol) -> None:
        text = "-ERR BITOP NOT must be called with a single source key."
        protocol.gives(text, "BITOP", "NOT", "d", "x", "y")
        protocol.gives("-ERR syntax error", "BITOP", "NAND", "d", "x")


class TestBitfield:
    def test_it_reads_and_writes_in_order(self, protocol: Protocol) -> None:
        argv = "GET u8 0 SET u8 0 255 INCRBY u4 #1 1 OVERFLOW FAIL INCRBY u8 0 100"
        protocol.gives([0, 0, 0, None], "BITFIELD", "f", *argv.split())
        argv = "OVERFLOW SAT INCRBY u8 0 100 SET i8 #1 -200 GET i8 8"
        protocol.gives([255, 0, -128], "BITFIELD", "f", *argv.split())

    def test_it_refuses(self, protocol: Protocol) -> None:
        protocol.gives("-ERR syntax error", "BITFIELD", "f", "GET", "u8")
        protocol.gives("-ERR Invalid OVERFLOW type specified", "BITFIELD", "f", "OVERFLOW", "x")
        text = (
            "-ERR Invalid bitfield type. Use something like i16 u8. "
            "Note that u64 is not supported but i64 is."
        )
        protocol.gives(text, "BITFIELD", "f", "GET", "u64", "0")

    def test_its_twin_only_reads(self, protocol: Protocol) -> None:
        protocol("SET", "f", "ab")
        protocol.gives([97, 6], "BITFIELD_RO", "f", "GET", "u8", "0", "GET", "u4", "#2")
        protocol.gives(
            "-ERR BITFIELD_RO only supports the GET subcommand",
            "BITFIELD_RO",
            "f",
            "SET",
            "u8",
            "0",
            "1",
        )


class TestHyperLogLog:
    def test_elements_are_counted(self, protocol: Protocol) -> None:
        protocol.gives(1, "PFADD", "h", "a", "b", "c")
        protocol.gives(0, "PFADD", "h", "a")
        protocol.gives(3, "PFCOUNT", "h")
        protocol.gives(1, "PFADD", "i", "c", "d")
        protocol.gives(4, "PFCOUNT", "h", "i", "nokey")
        protocol.gives("OK", "PFMERGE", "i", "h")
        protocol.gives(4, "PFCOUNT", "i")

    def test_other_strings_are_refused(self, protocol: Protocol) -> None:
        protocol("SET", "s", "x")
        text = "-WRONGTYPE Key is not a valid HyperLogLog string value."
        protocol.gives(text, "PFADD", "s", "a")
        protocol.gives(text, "PFCOUNT", "s")
        protocol.gives(text, "PFMERGE", "d", "s")

    def test_damage_is_told(self, protocol: Protocol) -> None:
        protocol("PFADD", "h", "a")
        protocol("APPEND", "h", "\0")
        protocol.gives("-INVALIDOBJ Corrupted HLL object detected", "PFCOUNT", "h")
