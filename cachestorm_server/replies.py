"""The replies: wire values into RESP bytes. Sans-IO.

Called by a session; calls nobody. It knows no command, no store and no socket.

1. What a wire value may be, `cachestorm/declare/wire_values.py` says; here is how each is
   spelled in RESP2 and in RESP3.
2. A push is what a client is told unasked. RESP2 has no such thing: there it is an array, which
   a client takes for a push because it has subscribed.
3. A line never holds a line end: those of an error or a status become blanks.
4. The short headers are spelled beforehand; replies are mostly short.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/, and `networking.c`
of Redis 7.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from librt.strings import BytesWriter, write_i16_le
from mypy_extensions import i64

from cachestorm.codec import bytes_of, format_float
from cachestorm.declare.wire_values import (
    OK,
    Members,
    NullArray,
    Pairs,
    Spelled,
    Status,
    Verbatim,
)
from cachestorm.errors import CacheStormError, CodecError

_CRLF_WORD: Final = 0x0A0D
_CRLF: Final = b"\r\n"
_OK_LINE: Final = b"+OK\r\n"
_NULL: Final = (b"$-1\r\n", b"_\r\n")
_NULL_ARRAY: Final = (b"*-1\r\n", b"_\r\n")
_SMALL: Final = 1024
_BULK_HEADERS: Final[list[bytes]] = [b"$%d\r\n" % size for size in range(_SMALL)]
_INTEGERS: Final[list[bytes]] = [b":%d\r\n" % number for number in range(_SMALL)]
# greater ones in groups of three digits: the first, those in the middle, the last
_THOUSAND: Final = 1000
_LARGE: Final = 1_000_000_000
_BEGINNINGS: Final[list[bytes]] = [b":%d" % number for number in range(_THOUSAND)]
_MIDDLES: Final[list[bytes]] = [b"%03d" % number for number in range(_THOUSAND)]
_ENDS: Final[list[bytes]] = [b"%03d\r\n" % number for number in range(_THOUSAND)]


class Push:
    """What a client is told unasked: a push in RESP3, an array in RESP2."""

    def __init__(self, items: list[object]) -> None:
        self.items: Final = items


class Several:
    """Several replies to one request, or none."""

    def __init__(self, items: Sequence[object]) -> None:
        self.items: Final = items


class Encoded:
    """A reply that is in RESP already, in the version that the client speaks."""

    def __init__(self, data: bytes) -> None:
        self.data: Final = data


def write_reply(out: BytesWriter, reply: object, resp3: bool) -> None:
    """Appends a wire value.

    Args:
        out: where to.
        reply: what a plan's `answer` gave.
        resp3: whether the client speaks RESP3.

    Raises:
        TypeError: for anything that is not a wire value; `out` may then hold a part of it.
    """
    if isinstance(reply, bytes):
        write_bulk(out, reply)
    elif reply is OK:
        out.write(_OK_LINE)
    elif reply is None:
        out.write(_NULL[1] if resp3 else _NULL[0])
    elif isinstance(reply, int):
        if 0 <= reply < _SMALL:
            out.write(_INTEGERS[reply])
        elif 0 < reply < _LARGE:
            _write_groups(out, reply)
        else:
            _write_header(out, b":", reply)
    else:
        _write_rarer(out, reply, resp3)


def _write_groups(out: BytesWriter, number: i64) -> None:
    """Appends an integer from 1000 up to `_LARGE`."""
    thousands = number // _THOUSAND
    if thousands < _THOUSAND:
        out.write(_BEGINNINGS[thousands])
    else:
        out.write(_BEGINNINGS[thousands // _THOUSAND])
        out.write(_MIDDLES[thousands % _THOUSAND])
    out.write(_ENDS[number % _THOUSAND])


def write_bulk(out: BytesWriter, payload: bytes) -> None:
    """Appends a bulk string."""
    size: i64 = len(payload)
    if size < _SMALL:
        out.write(_BULK_HEADERS[size])
    else:
        _write_header(out, b"$", size)
    out.write(payload)
    write_i16_le(out, _CRLF_WORD)


def write_error(out: BytesWriter, text: str) -> None:
    """Appends an error without line ends around it; those inside of it become blanks.

    Args:
        out: where to.
        text: the whole of it without the leading `-`, such as `ERR syntax error`.
    """
    try:
        raw = bytes_of(text)
    except CodecError:
        raw = text.encode("utf-8", "replace")
    out.write(b"-")
    out.write(_one_line(raw.strip(_CRLF)))
    out.write(_CRLF)


def write_array(out: BytesWriter, size: i64) -> None:
    """Appends the header of an array of so many replies."""
    _write_header(out, b"*", size)


def _one_line(raw: bytes) -> bytes:
    return raw.replace(b"\r", b" ").replace(b"\n", b" ")


def _write_header(out: BytesWriter, mark: bytes, number: int) -> None:
    out.write(mark)
    out.write(str(number).encode("ascii"))
    out.write(_CRLF)


def _write_rarer(out: BytesWriter, reply: object, resp3: bool) -> None:
    if isinstance(reply, str):
        write_bulk(out, bytes_of(reply))
    elif isinstance(reply, (list, tuple)):
        _write_header(out, b"*", len(reply))
        for item in reply:
            write_reply(out, item, resp3)
    elif isinstance(reply, Status):
        out.write(b"+")
        out.write(_one_line(bytes_of(reply.text)))
        out.write(_CRLF)
    elif isinstance(reply, float):
        if resp3:
            out.write(b",")
            out.write(format_float(reply))
            out.write(_CRLF)
        else:
            write_bulk(out, format_float(reply))
    elif isinstance(reply, dict):
        if resp3:
            _write_header(out, b"%", len(reply))
        else:
            _write_header(out, b"*", 2 * len(reply))
        for key, value in reply.items():
            write_reply(out, key, resp3)
            write_reply(out, value, resp3)
    elif isinstance(reply, Members):
        _write_header(out, b"~" if resp3 else b"*", len(reply.items))
        for item in reply.items:
            write_reply(out, item, resp3)
    elif isinstance(reply, Pairs):
        _write_header(out, b"*", len(reply.items) if resp3 else 2 * len(reply.items))
        for first, second in reply.items:
            if resp3:
                out.write(b"*2\r\n")
            write_reply(out, first, resp3)
            write_reply(out, second, resp3)
    elif isinstance(reply, Verbatim):
        text = bytes_of(reply.text)
        if resp3:
            _write_header(out, b"=", len(text) + 4)
            out.write(b"txt:")
            out.write(text)
            out.write(_CRLF)
        else:
            write_bulk(out, text)
    elif isinstance(reply, Spelled):
        digits = reply.text.encode("ascii")
        if resp3:
            out.write(b",")
            out.write(digits)
            out.write(_CRLF)
        else:
            write_bulk(out, digits)
    elif isinstance(reply, NullArray):
        out.write(_NULL_ARRAY[1] if resp3 else _NULL_ARRAY[0])
    elif isinstance(reply, Push):
        _write_header(out, b">" if resp3 else b"*", len(reply.items))
        for item in reply.items:
            write_reply(out, item, resp3)
    elif isinstance(reply, Encoded):
        out.write(reply.data)
    elif isinstance(reply, Several):
        for item in reply.items:
            write_reply(out, item, resp3)
    elif isinstance(reply, CacheStormError):
        write_error(out, reply.resp)
    else:
        raise TypeError(f"a reply of type {type(reply).__name__} has no form in RESP")
