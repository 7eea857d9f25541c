"""Records: an entry in CacheStorm's own bytes, for DUMP and for whatever keeps entries.

Written from an `EntrySnapshot`, read to a `Loaded`; pure functions of bytes, and the only place
that knows the layout, which is version 1:

    value     byte: form | flags; [deadline]; [count, tags as text]; what the form says
    form 0    element                              a scalar or an object
    form 2    count, (text, element) each;         a hash
              [count, (count: which field, deadline) each]
    form 3    count, elements                      a list
    form 4    count, texts                         a set
    form 5    count, (text, score as double) each  a sorted set
    element   byte: type; what the type says
    text      count, that many bytes of UTF-8 with surrogateescape
    deadline  milliseconds since 1970 in 8 bytes, the low one first
    count     7 bits a byte, the low ones first; the last byte is below 128

1. Numbers of forms, flags and types are for ever: a change of any is another version.
2. A type keeps `bytes`, `str`, `int`, `float`, None and bools apart, as a cache does. Other
   objects go through the codec, and come back as what JSON makes of them.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, write_f64_le, write_i64_le
from mypy_extensions import i64, u8

from cachestorm.codec import Stored, bytes_of, json_of, object_of, text_of
from cachestorm.entry import HASH, LIST, OBJECT, SET, ZSET, kind_of
from cachestorm.errors import CodecError, PayloadError
from cachestorm.payload.entry_snapshot import (
    EntrySnapshot,
    Loaded,
    add_field,
    add_member,
    loaded,
    row_of,
    sorted_set_of,
)
from cachestorm.payload.reader import Reader
from cachestorm.values.forms import Encoded
from cachestorm.values.hash import Hash
from cachestorm.values.list import ListValue
from cachestorm.values.ranking import Row
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import member_of
from cachestorm.values.weights import box

VERSION: Final = 1

_FORM_SCALAR: Final = 0
_FORM_HASH: Final = 2
_FORM_LIST: Final = 3
_FORM_SET: Final = 4
_FORM_ZSET: Final = 5
_FORMS: Final = 0x0F
_HAS_DEADLINE: Final = 0x10
_HAS_TAGS: Final = 0x20
_HAS_FIELD_DEADLINES: Final = 0x40
_FLAGS: Final = 0x70

_BYTES: Final = 0
_STR: Final = 1
_SMALL_INT: Final = 2  # zigzag: 0, -1, 1, -2, ... as a count
_INT: Final = 3  # two's complement, any number of bytes
_FLOAT: Final = 4
_NONE: Final = 5
_TRUE: Final = 6
_FALSE: Final = 7
_JSON: Final = 8
_ENCODED: Final = 9  # by a codec of the cache; never in a payload

_SMALL: Final = 1 << 48


def write_value(out: BytesWriter, snapshot: EntrySnapshot, is_own: bool = False) -> None:
    """Writes all of an entry but its key.

    Args:
        is_own: whether what a codec has made of objects is written as it is, for a cache with
            the same codec, and not as JSON.

    Raises:
        CodecError: for an object that the codec has no form for; then `out` holds a part.
    """
    kind: int = snapshot.kind
    head: i64 = _FORM_SCALAR if kind <= OBJECT else kind
    if snapshot.expires_at_ms != 0:
        head |= _HAS_DEADLINE
    if snapshot.tags:
        head |= _HAS_TAGS
    if snapshot.deadlines is not None:
        head |= _HAS_FIELD_DEADLINES
    out.append(u8(head))
    if snapshot.expires_at_ms != 0:
        write_i64_le(out, snapshot.expires_at_ms)
    if snapshot.tags:
        write_count(out, len(snapshot.tags))
        for tag in snapshot.tags:
            write_text(out, tag)
    if kind == HASH:
        _write_hash(out, snapshot)
    elif kind == LIST:
        write_count(out, len(snapshot.values))
        for value in snapshot.values:
            write_element(out, value)
    elif kind == SET:
        write_count(out, len(snapshot.names))
        for name in snapshot.names:
            write_text(out, name)
    elif kind == ZSET:
        write_count(out, len(snapshot.rows))
        for row in snapshot.rows:
            write_text(out, member_of(row))
            write_f64_le(out, row[0])
    else:
        write_element(out, snapshot.values[0], is_own)


def write_plain(out: BytesWriter, value: object, expires_at_ms: i64) -> None:
    """Writes a scalar or an object without tags as `write_value` does, for the same cache.

    Raises:
        CodecError: for an object that the codec has no form for; then `out` holds a part.
    """
    if expires_at_ms == 0:
        out.append(_FORM_SCALAR)
    else:
        out.append(_FORM_SCALAR | _HAS_DEADLINE)
        write_i64_le(out, expires_at_ms)
    write_element(out, value, True)


def read_plain_head(reader: Reader) -> i64:
    """Begins to read what `write_plain` wrote: the deadline, 0 for never; the element follows.

    Returns:
        -1 if it is another value.

    Raises:
        PayloadError: for what is no value at all.
    """
    head = reader.byte()
    if head == _FORM_SCALAR:
        return 0
    return _deadline(reader) if head == _FORM_SCALAR | _HAS_DEADLINE else -1


def read_value(reader: Reader) -> Loaded:
    """Reads what `write_value` wrote.

    Raises:
        PayloadError: for anything else.
    """
    head = reader.byte()
    form = head & _FORMS
    if head & ~(_FORMS | _FLAGS) != 0 or (head & _HAS_FIELD_DEADLINES and form != _FORM_HASH):
        raise PayloadError()
    deadline: i64 = 0
    if head & _HAS_DEADLINE:
        deadline = _deadline(reader)
    tags: list[str] | None = None
    if head & _HAS_TAGS:
        tags = []
        count = reader.count()
        while count > 0:
            tags.append(read_text(reader))
            count -= 1
    if form == _FORM_SCALAR:
        entry = _read_scalar(reader)
    elif form == _FORM_HASH:
        entry = _read_hash(reader, head & _HAS_FIELD_DEADLINES != 0)
    elif form == _FORM_LIST:
        entry = _read_list(reader)
    elif form == _FORM_SET:
        entry = _read_set(reader)
    elif form == _FORM_ZSET:
        entry = _read_sorted_set(reader)
    else:
        raise PayloadError()
    entry.expires_at_ms = deadline
    entry.tags = tags
    return entry


# -- kinds


def _write_hash(out: BytesWriter, snapshot: EntrySnapshot) -> None:
    names = snapshot.names
    values = snapshot.values
    size: i64 = len(names)
    write_count(out, size)
    place: i64 = 0
    while place < size:
        write_text(out, names[place])
        write_element(out, values[place])
        place += 1
    deadlines = snapshot.deadlines
    if deadlines is None:
        return
    write_count(out, len(deadlines))
    place = 0
    while place < size:
        due_ms = deadlines.get(names[place], 0)
        if due_ms != 0:
            write_count(out, place)
            write_i64_le(out, due_ms)
        place += 1


def _read_hash(reader: Reader, is_timed: bool) -> Loaded:
    fields = Hash()
    count = reader.count()
    while count > 0:
        field = read_text(reader)
        add_field(fields, field, box(read_element(reader)))
        count -= 1
    if is_timed:
        size: i64 = len(fields)
        count = reader.count()
        while count > 0:
            place = reader.count()
            if place >= size:
                raise PayloadError()
            fields.expire(fields.field_at(place), _deadline(reader))
            count -= 1
    return loaded(fields)


def _read_list(reader: Reader) -> Loaded:
    elements = ListValue()
    count = reader.count()
    while count > 0:
        elements.push(box(read_element(reader)), False)
        count -= 1
    return loaded(elements)


def _read_set(reader: Reader) -> Loaded:
    members = SetValue()
    count = reader.count()
    while count > 0:
        add_member(members, read_text(reader))
        count -= 1
    return loaded(members)


def _read_sorted_set(reader: Reader) -> Loaded:
    rows: list[Row] = []
    count = reader.count()
    while count > 0:
        member = read_text(reader)
        rows.append(row_of(member, reader.double()))
        count -= 1
    return loaded(sorted_set_of(rows))


def _read_scalar(reader: Reader) -> Loaded:
    held = read_held(reader)
    return Loaded(kind_of(held), held)


# -- elements


def read_held(reader: Reader) -> object:
    """Reads what `write_element` wrote, in the form that a store holds it.

    Raises:
        PayloadError: for anything else, and for what a codec has made where there is none.
    """
    forms = reader.forms
    if forms is None:
        return box(read_element(reader))
    if reader.at < reader.end and reader.data[reader.at] == _ENCODED:
        reader.skip(1)
        return forms.held(reader.take(reader.count()))
    return forms.take(read_element(reader))


def write_element(out: BytesWriter, value: object, is_own: bool = False) -> None:
    """Writes a scalar or an object, as `write_value` does.

    Raises:
        CodecError: for an object that the codec has no form for.
    """
    if isinstance(value, bytes):
        out.append(_BYTES)
        write_count(out, len(value))
        out.write(value)
    elif isinstance(value, str):
        out.append(_STR)
        # a value may be any str, unlike a name: with lone surrogates, and even with those
        # that spell UTF-8 when escaped
        raw = value.encode("utf-8", "surrogatepass")
        write_count(out, len(raw))
        out.write(raw)
    elif value is None:
        out.append(_NONE)
    elif isinstance(value, bool):
        out.append(_TRUE if value else _FALSE)
    elif isinstance(value, int):
        _write_int(out, value)
    elif isinstance(value, float):
        out.append(_FLOAT)
        write_f64_le(out, value)
    elif is_own and isinstance(value, Encoded):
        out.append(_ENCODED)
        raw = value.wire()
        write_count(out, len(raw))
        out.write(raw)
    else:
        raw = _json_of(value, is_own)
        out.append(_JSON)
        write_count(out, len(raw))
        out.write(raw)


def _json_of(value: object, is_own: bool) -> bytes:
    if not isinstance(value, Stored):
        return json_of(value)
    # opened, one that was changed by mistake would raise
    return value.wire() if is_own else json_of(value.load())


def _write_int(out: BytesWriter, value: int) -> None:
    if -_SMALL < value < _SMALL:
        small: i64 = value
        out.append(_SMALL_INT)
        write_count(out, (small << 1) ^ (small >> 63))
        return
    out.append(_INT)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    write_count(out, len(raw))
    out.write(raw)


def read_element(reader: Reader) -> object:
    """Reads what `write_element` wrote, but for what a codec has made: see `read_held`.

    Raises:
        PayloadError: for anything else.
    """
    kind = reader.byte()
    if kind == _BYTES:
        return reader.take(reader.count())
    if kind == _STR:
        return _any_text(reader.take(reader.count()))
    if kind == _SMALL_INT:
        folded = reader.count()
        return (folded >> 1) ^ -(folded & 1)
    if kind == _INT:
        return int.from_bytes(reader.take(reader.count()), "little", signed=True)
    if kind == _FLOAT:
        return reader.double()
    if kind == _NONE:
        return None
    if kind == _TRUE:
        return True
    if kind == _FALSE:
        return False
    if kind == _JSON:
        return _object(reader.take(reader.count()))
    raise PayloadError()


def _any_text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise PayloadError() from error


def _object(raw: bytes) -> object:
    try:
        value = object_of(raw)
    except CodecError as error:
        raise PayloadError() from error
    if isinstance(value, (dict, list)):
        return value
    # the codec gives JSON to nothing else
    raise PayloadError()


# -- parts


def write_count(out: BytesWriter, count: i64) -> None:
    """Writes a number that is not negative, 7 bits a byte."""
    while count >= 0x80:
        out.append(u8((count & 0x7F) | 0x80))
        count >>= 7
    out.append(u8(count))


def write_text(out: BytesWriter, text: str) -> None:
    """Writes a name."""
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError:
        raw = bytes_of(text)
    write_count(out, len(raw))
    out.write(raw)


def read_text(reader: Reader) -> str:
    """Reads what `write_text` wrote."""
    return text_of(reader.take(reader.count()))


def _deadline(reader: Reader) -> i64:
    deadline = reader.int64()
    if deadline <= 0:
        raise PayloadError()
    return deadline
