"""RDB values: the payloads that Redis and Valkey make with DUMP, read only.

Strings, lists, sets, sorted sets and hashes, in every encoding that versions 2.6 to 9.1 have
given them. What a cache cannot store (streams, modules) is refused.

    type      one byte, what follows; strings, and counts of them, as `rdb.c` has them
    version   two bytes, the low one first
    CRC-64    eight bytes, the low one first, of all before

1. Text and numbers come back as `bytes`, as a client would have written them; fields and
   members as `str`.
2. All that compressed strings expand to is no longer than one string may be.

Source: `rdb.c`, `rdb.h` and `cluster.c` of Redis 7.2 and Valkey 9.1.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_le
from mypy_extensions import i64

from cachestorm.codec import LONGEST_STRING, parse_float, text_of
from cachestorm.entry import STRING
from cachestorm.errors import NotAFloatError, PayloadError
from cachestorm.payload.crc64 import crc64
from cachestorm.payload.entry_snapshot import (
    Loaded,
    add_field,
    add_member,
    loaded,
    row_of,
    sorted_set_of,
)
from cachestorm.payload.lzf import unpacked
from cachestorm.payload.packed import intset, listpack, ziplist
from cachestorm.payload.reader import Reader
from cachestorm.values.hash import Hash
from cachestorm.values.list import ListValue
from cachestorm.values.ranking import Row
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import SortedSet

FOOTER_BYTES: Final = 10
# Redis up to 8, and the first one that is Valkey's alone
NEWEST_REDIS: Final = 12
VALKEY: Final = 80

_STRING: Final = 0
_LIST: Final = 1
_SET: Final = 2
_ZSET_OF_DIGITS: Final = 3
_HASH: Final = 4
_ZSET: Final = 5
_LIST_ZIPLIST: Final = 10
_SET_INTSET: Final = 11
_ZSET_ZIPLIST: Final = 12
_HASH_ZIPLIST: Final = 13
_LIST_OF_ZIPLISTS: Final = 14
_HASH_LISTPACK: Final = 16
_ZSET_LISTPACK: Final = 17
_LIST_OF_LISTPACKS: Final = 18
_SET_LISTPACK: Final = 20
_HASH_WITH_DEADLINES: Final = 22  # Valkey's; Redis 7.4 has used the number otherwise

_LENGTH_32: Final = 0x80
_LENGTH_64: Final = 0x81
_INT8: Final = 0xC0
_INT16: Final = 0xC1
_INT32: Final = 0xC2
_LZF: Final = 0xC3

# of a sorted set of digits, in the place of their number
_NAN: Final = 253
_INFINITY: Final = 254
_MINUS_INFINITY: Final = 255
# of a list of listpacks: an element that stands alone, or a listpack
_PLAIN: Final = 1
_PACKED: Final = 2


def is_sound(payload: bytes) -> bool:
    """Whether version and check sum at the end are what they should be. O(n)."""
    size: i64 = len(payload)
    if size < FOOTER_BYTES:
        return False
    version = _version_of(payload)
    if version > NEWEST_REDIS and version != VALKEY:
        return False
    return crc64(payload, size - 8) == read_i64_le(payload, size - 8)


def read_payload(payload: bytes) -> Loaded:
    """The value of a payload that is sound.

    Raises:
        PayloadError: for anything that is not a value, or none that a cache has.
    """
    reader = RdbReader(payload, 0, len(payload) - FOOTER_BYTES)
    entry = read_value(reader, reader.byte(), _version_of(payload) >= VALKEY)
    if not reader.is_done():
        raise PayloadError()
    return entry


def read_value(reader: RdbReader, kind: i64, is_valkey: bool) -> Loaded:
    """A value of a type, which is the byte before it, or in a file before its key.

    Raises:
        PayloadError: for anything that is not a value, or none that a cache has.
    """
    entry: Loaded
    if kind == _STRING:
        entry = Loaded(STRING, reader.string())
    elif kind in (_LIST, _LIST_OF_ZIPLISTS, _LIST_OF_LISTPACKS):
        entry = loaded(_list(reader, kind))
    elif kind == _LIST_ZIPLIST:
        elements = ListValue()
        _push_all(elements, ziplist(reader.string()))
        entry = loaded(elements)
    elif kind == _SET:
        entry = loaded(_set(reader))
    elif kind == _SET_INTSET:
        entry = loaded(_set_of(intset(reader.string())))
    elif kind == _SET_LISTPACK:
        entry = loaded(_set_of(listpack(reader.string())))
    elif kind in (_ZSET, _ZSET_OF_DIGITS):
        entry = loaded(_sorted_set(reader, kind == _ZSET_OF_DIGITS))
    elif kind == _ZSET_ZIPLIST:
        entry = loaded(_sorted_set_of(ziplist(reader.string())))
    elif kind == _ZSET_LISTPACK:
        entry = loaded(_sorted_set_of(listpack(reader.string())))
    elif kind == _HASH:
        entry = loaded(_hash(reader, False))
    elif kind == _HASH_ZIPLIST:
        entry = loaded(_hash_of(ziplist(reader.string())))
    elif kind == _HASH_LISTPACK:
        entry = loaded(_hash_of(listpack(reader.string())))
    elif kind == _HASH_WITH_DEADLINES and is_valkey:
        entry = loaded(_hash(reader, True))
    else:
        raise PayloadError()
    return entry


def _version_of(payload: bytes) -> i64:
    at: i64 = len(payload) - FOOTER_BYTES
    low: i64 = payload[at]
    high: i64 = payload[at + 1]
    return low | high << 8


class RdbReader(Reader):
    """Reads lengths and strings as RDB spells them.

    Attributes:
        expanded: how many bytes have come out of compressed strings.
    """

    def __init__(self, data: bytes, at: i64, end: i64) -> None:
        super().__init__(data, at, end)
        self.expanded: i64 = 0

    def length(self) -> i64:
        """A length or a number of things; not a string that is encoded."""
        return self._length(self.byte())

    def _length(self, head: i64) -> i64:
        if head < 0x40:
            return head
        if head < 0x80:
            return (head & 0x3F) << 8 | self.byte()
        if head == _LENGTH_32:
            return self.big(4)
        if head == _LENGTH_64 and self.byte() == 0:
            return self.big(7)
        # a length of more than 56 bits is a lie
        raise PayloadError()

    def string(self) -> bytes:
        """A string in any of its encodings; a number as digits."""
        head = self.byte()
        if head < 0xC0:
            return self.take(self._length(head))
        if head == _INT8:
            return b"%d" % int(self.signed(1))
        if head == _INT16:
            return b"%d" % int(self.signed(2))
        if head == _INT32:
            return b"%d" % int(self.signed(4))
        if head != _LZF:
            raise PayloadError()
        packed_size = self.length()
        size = self.length()
        if size > LONGEST_STRING - self.expanded:
            raise PayloadError()
        self.expanded += size
        return unpacked(self.take(packed_size), size)

    def digits(self) -> float:
        """A score as it is spelled in a sorted set of digits."""
        size = self.byte()
        if size == _INFINITY:
            return float("inf")
        if size == _MINUS_INFINITY:
            return float("-inf")
        if size == _NAN:
            raise PayloadError()
        return _score(self.take(size))


def _score(raw: bytes) -> float:
    try:
        return parse_float(raw)
    except NotAFloatError as error:
        raise PayloadError() from error


def _list(reader: RdbReader, kind: i64) -> ListValue:
    elements = ListValue()
    count = reader.length()
    while count > 0:
        if kind == _LIST:
            elements.push(reader.string(), False)
        elif kind == _LIST_OF_ZIPLISTS:
            _push_all(elements, ziplist(reader.string()))
        else:
            form = reader.length()
            if form == _PLAIN:
                elements.push(reader.string(), False)
            elif form == _PACKED:
                _push_all(elements, listpack(reader.string()))
            else:
                raise PayloadError()
        count -= 1
    return elements


def _push_all(elements: ListValue, found: list[bytes]) -> None:
    for element in found:
        elements.push(element, False)


def _set(reader: RdbReader) -> SetValue:
    members = SetValue()
    count = reader.length()
    while count > 0:
        add_member(members, text_of(reader.string()))
        count -= 1
    return members


def _set_of(found: list[bytes]) -> SetValue:
    members = SetValue()
    for member in found:
        add_member(members, text_of(member))
    return members


def _sorted_set(reader: RdbReader, of_digits: bool) -> SortedSet:
    rows: list[Row] = []
    count = reader.length()
    while count > 0:
        member = text_of(reader.string())
        rows.append(row_of(member, reader.digits() if of_digits else reader.double()))
        count -= 1
    return sorted_set_of(rows)


def _sorted_set_of(found: list[bytes]) -> SortedSet:
    rows: list[Row] = []
    size: i64 = len(found)
    if size % 2 != 0:
        raise PayloadError()
    at: i64 = 0
    while at < size:
        rows.append(row_of(text_of(found[at]), _score(found[at + 1])))
        at += 2
    return sorted_set_of(rows)


def _hash(reader: RdbReader, is_timed: bool) -> Hash:
    fields = Hash()
    count = reader.length()
    while count > 0:
        field = text_of(reader.string())
        add_field(fields, field, reader.string())
        if is_timed:
            deadline = reader.int64()
            # -1 for never
            if deadline > 0:
                fields.expire(field, deadline)
            elif deadline != -1:
                raise PayloadError()
        count -= 1
    return fields


def _hash_of(found: list[bytes]) -> Hash:
    fields = Hash()
    size: i64 = len(found)
    if size % 2 != 0:
        raise PayloadError()
    at: i64 = 0
    while at < size:
        add_field(fields, text_of(found[at]), found[at + 1])
        at += 2
    return fields
