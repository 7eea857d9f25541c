"""Frames: the bytes of a journal and of a snapshot. A frame is what one visit has changed.

Pure functions of bytes; the only place that knows the layout, which is version 1:

    file      CSJRNL, a byte for the version, a byte 10; frames
    frame     length of the body and its CRC-32, 4 bytes each, the low one first; the body
    body      number of the frame and milliseconds since 1970, 8 bytes each; how many frames
              before it the last one was that was on the disk then, 4 bytes; the low one first;
              records
    record    byte: what it says, a constant of `recording.py`; what that takes

    SPACE_IS  text                            the namespace of the records after it
    IMAGE     text, extras, value             all of a key
    VALUE     text, element                   a string in place of another
    DELTA     text, byte: kind, count, notes  what has changed in a container
    DEADLINE  text, count, extras             milliseconds, 0 for never
    TAGS_ARE  text, count, texts              all tags of a key
    GONE      text                            a key that has left
    TAKEN     text                            a key that moves
    GIVEN     text, extras, value             where it has gone; the value is None
    INVALIDATED, SOFTENED  text               a tag
    LINKED, UNLINKED       text, text         a tag and its child
    FLUSHED                                   a namespace
    SWAPPED   text                            the other namespace
    SETTINGS  count, count                    default time to live in ms, quota in bytes
    COMPLETE                                  the images of all keys are before this
    REFERS    text, byte: kind, byte: tier, count, count, count, extras, value
                                              a key whose value is in a colder tier: place,
                                              bytes and offset there; the value is None
    PARTS     text, extras, value             a key, unless it is there: a container with one of
                                              its elements; DELTAs with the others follow

    extras    byte: 1 with idle time, 2 with positions of a list;
              [count, count: idle time and latest deadline in ms]; [count, signed 8 bytes]
    note      byte: place in _NOTES; what the diary has noted, see `values/diary.py`

Text, count, element and value are those of `payload/records.py`.
"""

from __future__ import annotations

from binascii import crc32
from typing import Final, cast

from librt.strings import BytesWriter, write_f64_le, write_i64_le
from mypy_extensions import i64, u8

from cachestorm.durability.recording import (
    COMPLETE,
    DEADLINE,
    DELTA,
    FLUSHED,
    GONE,
    IMAGE,
    LINKED,
    REFERS,
    SETTINGS,
    SPACE_IS,
    TAGS_ARE,
    UNLINKED,
    VALUE,
    Record,
    Run,
    Visit,
)
from cachestorm.entry import BUFFER, HASH, LIST, SET, ZSET
from cachestorm.errors import PayloadError
from cachestorm.keyspace.expiry import Idle
from cachestorm.keyspace.tiering import Reference
from cachestorm.payload.reader import Reader
from cachestorm.payload.records import (
    read_element,
    read_text,
    write_count,
    write_element,
    write_plain,
    write_text,
    write_value,
)
from cachestorm.values import diary
from cachestorm.values.ranking import Row
from cachestorm.values.sorted_set import member_of, spelling
from cachestorm.values.weights import box, unbox

MAGIC: Final = b"CSJRNL"
HEADER: Final = MAGIC + b"\x01\n"
FRAME_HEAD: Final = 8
BODY_HEAD: Final = 20
# where the lag is in the body, and the most that it can say
LAG_AT: Final = 16
LONGEST_LAG: Final = 0xFFFF_FFFF
# A frame is no longer than that; a damaged length mostly says more.
LONGEST: Final = 0xFFFF_FFFF
# Milliseconds: later than any deadline.
NEVER: Final = 1 << 60

_HAS_IDLE: Final = 1
_HAS_POSITIONS: Final = 2
_NOTES: Final = (
    diary.PUT,
    diary.DROP,
    diary.DUE,
    diary.CUT,
    diary.KEEP,
    diary.INSERT,
    diary.PLUCK,
    diary.LENGTH,
    diary.WRITE,
)
_PUT: Final = 0
_DROP: Final = 1
_DUE: Final = 2
_CUT: Final = 3
_KEEP: Final = 4
_INSERT: Final = 5
_PLUCK: Final = 6
_LENGTH: Final = 7
_WRITE: Final = 8


# -- to bytes


def frame_of(number: int, synced: int, visit: Visit, unsaid: list[str]) -> bytes:
    """A visit as a frame. May run a user's code, as it spells objects.

    Args:
        synced: the number of the last frame that is on the disk.
        unsaid: gets the keys whose values nothing can spell; they are written as gone.
    """
    out = BytesWriter()
    lag = min(number - synced, LONGEST_LAG).to_bytes(BODY_HEAD - LAG_AT, "little")
    _begin(out, number, visit.at_ms, lag)
    try:
        _write_records(out, visit.records)
    except Exception:
        # an object of a user's may raise whatever it likes
        out = BytesWriter()
        _begin(out, number, visit.at_ms, lag)
        _write_records(out, [_sayable(record, unsaid) for record in visit.records])
    return _framed(out.getvalue())


def frame_of_run(number: int, synced: int, run: Run) -> bytes:
    """Visits that are spelled already, as a frame."""
    out = BytesWriter()
    lag = min(number - synced, LONGEST_LAG).to_bytes(BODY_HEAD - LAG_AT, "little")
    _begin(out, number, run.at_ms, lag)
    out.append(SPACE_IS)
    write_text(out, run.space)
    start, records = out.getvalue(), run.out.getvalue()
    check = crc32(records, crc32(start))
    length = len(start) + len(records)
    # none of it is copied twice
    return b"".join([length.to_bytes(4, "little"), check.to_bytes(4, "little"), start, records])


def write_plain_record(out: BytesWriter, key: str, value: object, expires_at_ms: i64) -> None:
    """Writes the IMAGE of a scalar without tags and idle time."""
    out.append(IMAGE)
    write_text(out, key)
    # no extras
    out.append(0)
    write_plain(out, value, expires_at_ms)


def _framed(body: bytes) -> bytes:
    head = len(body).to_bytes(4, "little") + crc32(body).to_bytes(4, "little")
    return head + body


def _begin(out: BytesWriter, number: i64, at_ms: i64, lag: bytes) -> None:
    write_i64_le(out, number)
    write_i64_le(out, at_ms)
    out.write(lag)


def _sayable(record: Record, unsaid: list[str]) -> Record:
    try:
        _write_record(BytesWriter(), record)
    except Exception:
        unsaid.append(record.key)
        return Record(GONE, record.space, record.key)
    return record


def _write_records(out: BytesWriter, records: list[Record]) -> None:
    space = ""
    for record in records:
        if record.space != space:
            space = record.space
            out.append(SPACE_IS)
            write_text(out, space)
        _write_record(out, record)


def _write_record(out: BytesWriter, record: Record) -> None:
    what: int = record.what
    out.append(record.what)
    if what == SETTINGS:
        write_count(out, record.number)
        write_count(out, record.second)
        return
    if what in (FLUSHED, COMPLETE):
        return
    write_text(out, record.key)
    image = record.image
    if what == REFERS:
        reference = record.value
        assert isinstance(reference, Reference)
        out.append(record.kind)
        out.append(u8(reference.tier))
        write_count(out, reference.place)
        write_count(out, reference.size_bytes)
        write_count(out, reference.offset)
    if image is not None:
        _write_extras(out, record)
        write_value(out, image, True)
    elif what == IMAGE:
        _write_extras(out, record)
        write_plain(out, unbox(record.value), record.number)
    elif what == VALUE:
        write_element(out, unbox(record.value), True)
    elif what == DELTA:
        out.append(record.kind)
        notes = cast("list[diary.Record]", record.value)
        write_count(out, len(notes))
        for note in notes:
            _write_note(out, record.kind, note)
    elif what == DEADLINE:
        write_count(out, record.number)
        _write_extras(out, record)
    elif what == TAGS_ARE:
        tags = cast("list[str]", record.value)
        write_count(out, len(tags))
        for tag in tags:
            write_text(out, tag)
    elif what in (LINKED, UNLINKED):
        write_text(out, record.other)


def _write_extras(out: BytesWriter, record: Record) -> None:
    idle = record.idle
    flags: i64 = 0
    if idle is not None:
        flags |= _HAS_IDLE
    if record.kind == LIST and record.what != REFERS:
        flags |= _HAS_POSITIONS
    out.append(u8(flags))
    if idle is not None:
        write_count(out, idle.idle_ms)
        write_count(out, idle.ends_at_ms)
    if flags & _HAS_POSITIONS:
        write_count(out, record.number)
        write_i64_le(out, record.second)


def _write_note(out: BytesWriter, kind: u8, note: diary.Record) -> None:
    place: i64 = _NOTES.index(cast(str, note[0]))
    out.append(u8(place))
    if kind == HASH:
        write_text(out, cast(str, note[1]))
        if place == _PUT:
            write_element(out, unbox(note[2]))
            write_count(out, cast(int, note[3]))
        elif place == _DUE:
            write_count(out, cast(int, note[2]))
    elif kind == SET:
        write_text(out, cast(str, note[1]))
    elif kind == ZSET:
        if place == _CUT:
            for row in (note[1], note[2]):
                _write_row(out, cast(Row, row))
            out.append(1 if note[3] else 0)
            return
        write_text(out, cast(str, note[1]))
        if place == _PUT:
            write_f64_le(out, cast(float, note[2]))
    elif kind == LIST:
        write_count(out, cast(int, note[1]))
        if place == _PUT:
            write_i64_le(out, cast(int, note[2]))
            write_element(out, unbox(note[3]))
        elif place == _KEEP:
            write_i64_le(out, cast(int, note[2]))
            write_i64_le(out, cast(int, note[3]))
        elif place == _INSERT:
            write_count(out, cast(int, note[2]))
            write_element(out, unbox(note[3]))
        else:
            places = cast("list[int]", note[2])
            write_count(out, len(places))
            for each in places:
                write_count(out, each)
    else:
        write_count(out, cast(int, note[1]))
        if place != _LENGTH:
            raw = cast(bytes, note[2])
            write_count(out, len(raw))
            out.write(raw)


def _write_row(out: BytesWriter, row: Row) -> None:
    write_text(out, member_of(row))
    write_f64_le(out, row[0])


# -- from bytes


class Extras:
    """What an image has beside its value.

    Attributes:
        idle_ms: an idle time; 0 for none.
        ends_at_ms: when the entry ends at the latest.
        is_placed: whether the next two were there.
        generation, first: the positions of a list.
    """

    def __init__(self, reader: Reader) -> None:
        flags = reader.byte()
        if flags & ~(_HAS_IDLE | _HAS_POSITIONS) != 0:
            raise PayloadError()
        self.idle_ms: i64 = 0
        self.ends_at_ms: i64 = 0
        self.is_placed: bool = flags & _HAS_POSITIONS != 0
        self.generation: i64 = 0
        self.first: i64 = 0
        if flags & _HAS_IDLE:
            self.idle_ms = reader.count()
            self.ends_at_ms = reader.count()
        if self.is_placed:
            self.generation = reader.count()
            self.first = reader.int64()

    def idle(self) -> Idle | None:
        """The idle time of an entry that is not idle while it is loaded."""
        return Idle(self.idle_ms, self.ends_at_ms, NEVER) if self.idle_ms != 0 else None


def read_texts(reader: Reader) -> list[str]:
    """A count and that many texts."""
    found: list[str] = []
    count = reader.count()
    while count > 0:
        found.append(read_text(reader))
        count -= 1
    return found


def read_notes(reader: Reader, kind: i64) -> list[object]:
    """What a diary has noted."""
    found: list[object] = []
    count = reader.count()
    while count > 0:
        found.append(_read_note(reader, kind))
        count -= 1
    return found


def _read_note(reader: Reader, kind: i64) -> diary.Record:
    place = reader.byte()
    if place >= len(_NOTES):
        raise PayloadError()
    name = _NOTES[place]
    if kind == HASH:
        field = read_text(reader)
        if place == _PUT:
            held = box(read_element(reader))
            return name, field, held, int(reader.count())
        if place == _DUE:
            return name, field, int(reader.count())
        if place == _DROP:
            return name, field
    elif kind == SET:
        if place in (_PUT, _DROP):
            return name, read_text(reader)
    elif kind == ZSET:
        if place == _CUT:
            lowest = _read_row(reader)
            highest = _read_row(reader)
            return name, lowest, highest, reader.byte() != 0
        member = read_text(reader)
        if place == _PUT:
            return name, member, reader.double()
        if place == _DROP:
            return name, member
    elif kind == LIST:
        generation = int(reader.count())
        if place == _PUT:
            position = int(reader.int64())
            return name, generation, position, box(read_element(reader))
        if place == _KEEP:
            first = int(reader.int64())
            return name, generation, first, int(reader.int64())
        if place == _INSERT:
            index = int(reader.count())
            return name, generation, index, box(read_element(reader))
        if place == _PLUCK:
            places: list[int] = []
            count = reader.count()
            while count > 0:
                places.append(int(reader.count()))
                count -= 1
            return name, generation, places
    elif kind == BUFFER:
        start = int(reader.count())
        if place == _LENGTH:
            return name, start
        if place == _WRITE:
            return name, start, reader.take(reader.count())
    raise PayloadError()


def _read_row(reader: Reader) -> Row:
    member = read_text(reader)
    return reader.double(), spelling(member)
