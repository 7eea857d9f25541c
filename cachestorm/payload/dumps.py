r"""Dumps: the payload of DUMP and RESTORE, an entry's value in sealed bytes.

Asked by the commands. Its own are written and read, those of Redis and Valkey are read:

    \xc5CS    three bytes that no value of Redis begins with
    version   one byte
    value     as `records.py` has it, without a deadline
    CRC-32    four bytes, the low one first, of all before

1. Whatever is given, what comes out is a value or PayloadError, with Redis' text: the seal is
   looked at first, the value then.
"""

from __future__ import annotations

from binascii import crc32
from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from cachestorm.errors import PayloadError
from cachestorm.payload.entry_snapshot import EntrySnapshot, Loaded
from cachestorm.payload.reader import Reader
from cachestorm.payload.records import VERSION, read_value, write_value

MARK: Final = b"\xc5CS"
_HEAD_BYTES: Final = 4
_SEAL_BYTES: Final = 4
_BROKEN_SEAL: Final = "DUMP payload version or checksum are wrong"


def dumped(snapshot: EntrySnapshot) -> bytes:
    """The payload of an entry's kind, value and tags. O(n).

    Raises:
        CodecError: for an object that the codec has no form for.
    """
    out = BytesWriter()
    out.write(MARK)
    out.append(VERSION)
    write_value(out, snapshot)
    body = out.getvalue()
    return body + crc32(body).to_bytes(_SEAL_BYTES, "little")


def restored(payload: bytes) -> Loaded:
    """What a payload holds, ours or one of Redis or Valkey. O(n).

    Raises:
        PayloadError: for anything else.
    """
    size: i64 = len(payload)
    if payload[:3] != MARK:
        # here and not at the top: few programs ever meet a payload of Redis
        from cachestorm.payload.rdb import is_sound, read_payload

        if not is_sound(payload):
            raise PayloadError(_BROKEN_SEAL)
        return read_payload(payload)
    end = size - _SEAL_BYTES
    if end < _HEAD_BYTES or payload[3] != VERSION:
        raise PayloadError(_BROKEN_SEAL)
    if crc32(payload[:end]) != int.from_bytes(payload[end:], "little"):
        raise PayloadError(_BROKEN_SEAL)
    reader = Reader(payload, _HEAD_BYTES, end)
    entry = read_value(reader)
    if not reader.is_done():
        raise PayloadError()
    return entry
