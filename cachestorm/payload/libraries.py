"""Libraries of functions as bytes: what FUNCTION DUMP makes, and FUNCTION RESTORE reads.

The format is that of Redis, which reads what is made here; nothing is compressed.

    for each library    the byte 245, its source as a string of RDB
    version             two bytes, the low one first
    CRC-64              eight bytes, the low one first, of all before

Source: `functionDumpCommand` in `functions.c`, and `rdb.c` of Redis 7.2.
"""

from __future__ import annotations

from typing import Final

from cachestorm.errors import PayloadError
from cachestorm.payload.crc64 import crc64
from cachestorm.payload.rdb import FOOTER_BYTES, RdbReader, is_sound

_FUNCTION: Final = 245
# the first version that has functions: every Redis that knows the command reads it
_VERSION: Final = 10


def dump_libraries(codes: list[bytes]) -> bytes:
    """The payload of some libraries, by their sources."""
    parts: list[bytes] = []
    for code in codes:
        size = len(code)
        if size < 1 << 6:
            head = bytes([size])
        elif size < 1 << 14:
            head = bytes([0x40 | size >> 8, size & 0xFF])
        else:
            head = b"\x80" + size.to_bytes(4, "big")
        parts.extend([bytes([_FUNCTION]), head, code])
    parts.append(_VERSION.to_bytes(2, "little"))
    body = b"".join(parts)
    check = int(crc64(body, len(body))) & 0xFFFFFFFFFFFFFFFF
    return body + check.to_bytes(8, "little")


def read_libraries(payload: bytes) -> list[bytes]:
    """The sources of the libraries in a payload.

    Raises:
        PayloadError: for what is no such payload.
    """
    if not is_sound(payload):
        raise PayloadError("DUMP payload version or checksum are wrong")
    reader = RdbReader(payload, 0, len(payload) - FOOTER_BYTES)
    codes: list[bytes] = []
    while not reader.is_done():
        if reader.byte() != _FUNCTION:
            raise PayloadError("given type is not a function")
        codes.append(reader.string())
    return codes
