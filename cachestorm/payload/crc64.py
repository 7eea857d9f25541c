"""CRC-64 as Redis computes it: the check sum at the end of its DUMP payloads.

Source: the Jones polynomial 0xad93d23594c935a9, reflected, without initial value and final
XOR; `crc64.c` of Redis gives 0xe9c6d914c4b8d9ca for "123456789".
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

# the polynomial with its bits reversed, 0x95ac9329ac4bc9b5, as a signed number
_POLYNOMIAL: Final = 0x95AC9329AC4BC9B5 - (1 << 64)
_SEVEN_BYTES: Final = 0x00FF_FFFF_FFFF_FFFF
_ALL_BUT_SIGN: Final = 0x7FFF_FFFF_FFFF_FFFF

_table: Final[list[int]] = []


def crc64(data: bytes, size: i64) -> i64:
    """The check sum of the first bytes, as a signed number. O(n)."""
    if not _table:
        _fill()
    table = _table
    crc: i64 = 0
    at: i64 = 0
    while at < size:
        byte: i64 = data[at]
        slot = (crc ^ byte) & 0xFF
        folded: i64 = table[slot]
        # a shift keeps the sign: what it brings in is masked out
        crc = folded ^ ((crc >> 8) & _SEVEN_BYTES)
        at += 1
    return crc


def _fill() -> None:
    polynomial: i64 = _POLYNOMIAL
    byte: i64 = 0
    while byte < 256:
        crc = byte
        bit: i64 = 0
        while bit < 8:
            is_odd = crc & 1 != 0
            crc = (crc >> 1) & _ALL_BUT_SIGN
            if is_odd:
                crc ^= polynomial
            bit += 1
        _table.append(crc)
        byte += 1
