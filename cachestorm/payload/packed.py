"""Packed lists: the three layouts in which Redis keeps small values in one string.

Each function takes such a string whole and gives its elements as Redis would reply them:
`bytes`, numbers as decimal digits. Anything that is not exactly such a string is refused.

Source: `listpack.c`, `ziplist.c` and `intset.c` of Redis 7.2; the comments at their top.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.errors import PayloadError
from cachestorm.payload.reader import Reader

_END: Final = 0xFF
# a header of 16 bits says so many when there are more than it can say
_UNCOUNTED: Final = 0xFFFF
_LISTPACK_HEADER: Final = 6
_ZIPLIST_HEADER: Final = 10
_INTSET_HEADER: Final = 8
_LONG_PREVIOUS: Final = 254


def listpack(raw: bytes) -> list[bytes]:
    """The elements of a listpack.

    Raises:
        PayloadError: if it is none.
    """
    reader = _opened(raw, _LISTPACK_HEADER)
    counted = reader.little(2)
    found: list[bytes] = []
    while True:
        at = reader.at
        head = reader.byte()
        if head == _END:
            break
        if head < 0x80:
            found.append(b"%d" % int(head))
        elif head < 0xC0:
            found.append(reader.take(head & 0x3F))
        elif head < 0xE0:
            number = (head & 0x1F) << 8 | reader.byte()
            found.append(b"%d" % int(number - 0x2000 if number >= 0x1000 else number))
        elif head < 0xF0:
            found.append(reader.take((head & 0x0F) << 8 | reader.byte()))
        elif head == 0xF0:
            found.append(reader.take(reader.little(4)))
        elif head == 0xF4:
            found.append(b"%d" % int(reader.int64()))
        elif head < 0xF4:
            # 0xF1 to 0xF3: numbers of two to four bytes
            found.append(b"%d" % int(reader.signed(head - 0xEF)))
        else:
            raise PayloadError()
        # the same length once more, to be read from behind
        reader.skip(_size_of_length(reader.at - at))
    return _closed(reader, counted, found)


def ziplist(raw: bytes) -> list[bytes]:
    """The elements of a ziplist, which Redis wrote before 7.0.

    Raises:
        PayloadError: if it is none.
    """
    # also the offset of the last element, which is of no use here
    reader = _opened(raw, _ZIPLIST_HEADER)
    reader.skip(4)
    counted = reader.little(2)
    found: list[bytes] = []
    while True:
        head = reader.byte()
        if head == _END:
            break
        if head == _LONG_PREVIOUS:
            reader.skip(4)
        head = reader.byte()
        if head < 0x40:
            found.append(reader.take(head))
        elif head < 0x80:
            found.append(reader.take((head & 0x3F) << 8 | reader.byte()))
        elif head == 0x80:
            found.append(reader.take(reader.big(4)))
        elif head == 0xC0:
            found.append(b"%d" % int(reader.signed(2)))
        elif head == 0xD0:
            found.append(b"%d" % int(reader.signed(4)))
        elif head == 0xE0:
            found.append(b"%d" % int(reader.int64()))
        elif head == 0xF0:
            found.append(b"%d" % int(reader.signed(3)))
        elif head == 0xFE:
            found.append(b"%d" % int(reader.signed(1)))
        elif 0xF1 <= head <= 0xFD:
            found.append(b"%d" % int(head - 0xF1))
        else:
            raise PayloadError()
    return _closed(reader, counted, found)


def intset(raw: bytes) -> list[bytes]:
    """The members of an intset.

    Raises:
        PayloadError: if it is none.
    """
    size: i64 = len(raw)
    reader = Reader(raw, 0, size)
    width = reader.little(4)
    count = reader.little(4)
    if width not in (2, 4, 8) or size != _INTSET_HEADER + width * count:
        raise PayloadError()
    found: list[bytes] = []
    while count > 0:
        number = reader.int64() if width == 8 else reader.signed(width)
        found.append(b"%d" % int(number))
        count -= 1
    return found


def _opened(raw: bytes, header: i64) -> Reader:
    """A reader behind the size in bytes that both lists begin with."""
    size: i64 = len(raw)
    reader = Reader(raw, 0, size)
    if size <= header or reader.little(4) != size:
        raise PayloadError()
    return reader


def _closed(reader: Reader, counted: i64, found: list[bytes]) -> list[bytes]:
    if not reader.is_done() or (counted != _UNCOUNTED and counted != len(found)):
        raise PayloadError()
    return found


def _size_of_length(length: i64) -> i64:
    if length < 128:
        return 1
    if length < 16384:
        return 2
    if length < 2097152:
        return 3
    return 4 if length < 268435456 else 5
