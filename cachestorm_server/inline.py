"""Inline requests: a line of words, as a person types it. Sans-IO.

Called by the reader of requests. Calls nobody.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

_QUOTE: Final = 34
_APOSTROPHE: Final = 39
_BACKSLASH: Final = 92

_HEX_DIGITS: Final = b"0123456789abcdefABCDEF"
_BLANKS: Final = b" \t\n\v\f\r"
_WORD_ENDS: Final = b" \t\n\r"
_ESCAPES: Final = {110: b"\n", 114: b"\r", 116: b"\t", 98: b"\b", 97: b"\a"}


class ProtocolError(Exception):
    """Bytes that are not RESP. The connection ends after the replies already due."""

    @property
    def resp(self) -> str:
        """The error as RESP carries it, without the leading `-`."""
        return f"ERR Protocol error: {self}"


def split_inline(line: bytes) -> list[object]:
    r"""The words of an inline request, with the quotes and escapes of Redis.

    Raises:
        ProtocolError: for a quote that is not closed, or closed inside of a word.

    Examples:
        >>> split_inline(b'''SET "a key" 'it\\'s' \\x41 "\\x41"''')
        [b'SET', b'a key', b"it's", b'\\x41', b'A']

    Source: `sdssplitargs` of Redis.
    """
    argv: list[object] = []
    at: i64 = 0
    end: i64 = len(line)
    while True:
        while at < end and line[at] in _BLANKS:
            at += 1
        if at >= end:
            return argv
        arg = bytearray()
        quote: i64 = 0
        while True:
            if at >= end:
                if quote:
                    raise ProtocolError("unbalanced quotes in request")
                break
            char: i64 = line[at]
            at += 1
            if quote == 0:
                if char in (_QUOTE, _APOSTROPHE):
                    quote = char
                elif char in _WORD_ENDS:
                    break
                else:
                    arg.append(char)
            elif char == quote:
                if at < end and line[at] not in _BLANKS:
                    raise ProtocolError("unbalanced quotes in request")
                break
            elif char == _BACKSLASH and at < end:
                if quote == _APOSTROPHE:
                    if line[at] == _APOSTROPHE:
                        char = _APOSTROPHE
                        at += 1
                    arg.append(char)
                elif _is_hex_escape(line, at):
                    arg.append(int(line[at + 1 : at + 3], 16))
                    at += 3
                else:
                    arg += _ESCAPES.get(line[at], line[at : at + 1])
                    at += 1
            else:
                arg.append(char)
        argv.append(bytes(arg))


def _is_hex_escape(line: bytes, at: i64) -> bool:
    return (
        at + 2 < len(line)
        and line[at] == 120
        and line[at + 1] in _HEX_DIGITS
        and line[at + 2] in _HEX_DIGITS
    )
