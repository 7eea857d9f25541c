"""LZF: the compression of strings in Redis' payloads, as far as reading needs it.

Source: Marc Lehmann, LibLZF, `lzf_d.c`.

1. What comes out is as long as was said, or PayloadError; memory grows with what was
   really unpacked, never by what was said.
"""

from __future__ import annotations

from mypy_extensions import i64

from cachestorm.errors import PayloadError


def unpacked(packed: bytes, size: i64) -> bytes:
    """The string that was packed.

    Args:
        packed: a row of literal runs and of references to what came before.
        size: how long the string is said to be.

    Raises:
        PayloadError: if the bytes are not LZF, or of another length.
    """
    out = bytearray()
    at: i64 = 0
    end: i64 = len(packed)
    done: i64 = 0
    while at < end:
        control: i64 = packed[at]
        at += 1
        if control < 32:
            run = control + 1
            if run > end - at or run > size - done:
                raise PayloadError()
            out += packed[at : at + run]
            at += run
            done += run
            continue
        length = control >> 5
        if length == 7:
            if at >= end:
                raise PayloadError()
            more: i64 = packed[at]
            length += more
            at += 1
        length += 2
        if at >= end:
            raise PayloadError()
        low: i64 = packed[at]
        at += 1
        back = ((control & 0x1F) << 8 | low) + 1
        if back > done or length > size - done:
            raise PayloadError()
        start = done - back
        if back >= length:
            out += out[start : start + length]
        else:
            # it refers to what it makes itself: a pattern that is repeated
            pattern = out[start:done]
            out += (pattern * (length // back + 1))[:length]
        done += length
    if done != size:
        raise PayloadError()
    return bytes(out)
