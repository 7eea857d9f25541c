"""Records: keys as lines of JSON or as msgpack, and what is wrong with a line that is none.

    {"cachestorm": 1, "from": "redis://127.0.0.1:6380", "at_ms": 1764374400000}
    {"key": "page:7", "type": "string", "value": "Hello", "expires_at_ms": 1764378000000,
     "tags": ["home"]}
    {"key": "cart:7", "type": "hash", "value": {"apple": "2"}}
    {"key": "top", "type": "zset", "value": [["ada", 3.0]]}
    {"parent": "authors", "child": "author:3"}

1. The first record is the head. In JSON, bytes that are not UTF-8 are `{"base64": "..."}`.
2. msgpack has the same records one after the other, with bytes as they are.
3. A field of a hash with a deadline of its own is in `field_expires_at_ms`.
"""

from __future__ import annotations

import base64
import json
from binascii import Error as Base64Error
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import Any, BinaryIO, Final

from cachestorm.errors import CacheStormError

VERSION: Final = 1
JSON_LINES: Final = "jsonl"
MSGPACK: Final = "msgpack"
FORMATS: Final = (JSON_LINES, MSGPACK)
STRING: Final = "string"
TYPES: Final = (STRING, "hash", "list", "set", "zset", "dump")


# of an import, acknowledged together
BATCH: Final = 1000
BATCH_BYTES: Final = 4 * 1024 * 1024

_PLAIN: Final = frozenset({str, bytes})


class RecordError(CacheStormError):
    """A line or an object of a file that is no record; the text says where."""


@dataclass(slots=True)
class Record:
    """One key.

    Attributes:
        kind: its type; `dump` for those that have no form of their own here.
        value: bytes for `string` and `dump`; a list for `list` and `set`; pairs for `hash`
            (field, value) and `zset` (member, score).
        expires_at_ms: since 1970; None: never.
        field_deadlines: of fields of a hash, in milliseconds since 1970.
    """

    key: bytes
    kind: str
    value: Any
    expires_at_ms: int | None = None
    tags: Sequence[bytes] = ()
    field_deadlines: Sequence[tuple[bytes, int]] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """One link between tags."""

    parent: bytes
    child: bytes


Item = Record | Link


def format_named(name: str | None, path: str) -> str:
    """The format that is asked for, else that of a file's name.

    Raises:
        CacheStormError: for one that there is not.
    """
    if name is None:
        return MSGPACK if path.endswith((".msgpack", ".mp")) else JSON_LINES
    if name not in FORMATS:
        raise CacheStormError(f"--format is one of {', '.join(FORMATS)}, not {name!r}")
    return name


class Encoder:
    """Records to bytes."""

    def __init__(self, form: str) -> None:
        self._is_json: Final = form == JSON_LINES
        self._text: Final = _json_text if self._is_json else _as_is

    def head(self, source: str, at_ms: int) -> bytes:
        """The first record of a file."""
        return self._packed({"cachestorm": VERSION, "from": source, "at_ms": at_ms})

    def encode(self, item: Item) -> bytes:
        """One record."""
        text = self._text
        if isinstance(item, Link):
            return self._packed({"parent": text(item.parent), "child": text(item.child)})
        document: dict[str, Any] = {
            "key": text(item.key),
            "type": item.kind,
            "value": self._value(item),
        }
        if item.expires_at_ms is not None:
            document["expires_at_ms"] = item.expires_at_ms
        if item.tags:
            document["tags"] = [text(tag) for tag in item.tags]
        if item.field_deadlines:
            document["field_expires_at_ms"] = [
                [text(name), at_ms] for name, at_ms in item.field_deadlines
            ]
        return self._packed(document)

    def _value(self, item: Record) -> Any:
        text = self._text
        if item.kind in (STRING, "dump"):
            return text(item.value)
        if item.kind == "zset":
            # JSON has no infinity: its text, as Redis prints it
            return [
                [text(member), score if abs(score) != float("inf") else str(score)]
                for member, score in item.value
            ]
        if item.kind == "hash":
            pairs = [(text(name), text(value)) for name, value in item.value]
            is_object = self._is_json and all(isinstance(name, str) for name, _ in pairs)
            return dict(pairs) if is_object else pairs
        return [text(one) for one in item.value]

    def _packed(self, document: dict[str, Any]) -> bytes:
        if self._is_json:
            line = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
            return line.encode() + b"\n"
        import msgpack

        return bytes(msgpack.packb(document, use_bin_type=True))


def _as_is(raw: bytes) -> Any:
    return raw


def _json_text(raw: bytes) -> Any:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def read_batches(stream: BinaryIO, form: str) -> Iterator[tuple[list[Item], int]]:
    """The records of a file, its head left out, many at a time.

    Returns:
        Records, and the offset behind the last of them.

    Raises:
        RecordError: for a head of another version, and for anything that is no record; the
            text says which line it is. What is before it comes first.
    """
    batches = _json_batches(stream) if form == JSON_LINES else _msgpack_batches(stream)
    unit = "line" if form == JSON_LINES else "record"
    for documents, behind in batches:
        items: list[Item] = []
        try:
            for number, document, error in documents:
                if error is not None:
                    raise RecordError(f"{unit} {number} is no {form}: {error}")
                if type(document) is not dict:
                    raise RecordError(f"{unit} {number} is no object")
                if len(document) == 3 and document.get("type") == STRING:
                    # most keys: what it does not have is not looked for
                    key, value = document.get("key"), document.get("value")
                    if type(key) in _PLAIN and type(value) in _PLAIN:
                        items.append(Record(_raw(key), STRING, _raw(value)))
                        continue
                if "cachestorm" in document:
                    _check_version(document["cachestorm"], (unit, number))
                else:
                    items.append(_item(document, (unit, number)))
        except RecordError:
            # the offset is of no use: nothing goes on behind an error
            yield items, 0
            raise
        yield items, behind


# a document with its number, or what is wrong with it
_Read = tuple[int, Any, Exception | None]


def _check_version(version: object, place: tuple[str, int]) -> None:
    if version != VERSION:
        raise RecordError(
            f"{place[0]} {place[1]}: version {version} of the format is not known; this "
            f"program reads version {VERSION}"
        )


def _json_batches(stream: BinaryIO) -> Iterator[tuple[list[_Read], int]]:
    offset = number = size = 0
    lines: list[bytes] = []
    for line in stream:
        lines.append(line)
        size += len(line)
        if len(lines) >= BATCH or size >= BATCH_BYTES:
            offset += size
            yield _parsed(lines, number), offset
            number += len(lines)
            lines, size = [], 0
    if lines:
        yield _parsed(lines, number), offset + size


def _parsed(lines: list[bytes], before: int) -> list[_Read]:
    """Lines as documents: all in one call, which takes a third of the time of many."""
    try:
        documents = json.loads(b"[" + b",".join(lines) + b"]")
    except ValueError:
        documents = []
    if len(documents) == len(lines):
        return list(zip(count(before + 1), documents, repeat(None)))
    found: list[_Read] = []
    for number, line in enumerate(lines, before + 1):
        try:
            found.append((number, json.loads(line), None))
        except ValueError as error:
            if line.strip():
                found.append((number, None, error))
    return found


def _msgpack_batches(stream: BinaryIO) -> Iterator[tuple[list[_Read], int]]:
    import msgpack

    unpacker = msgpack.Unpacker(stream, raw=False, unicode_errors="surrogateescape")
    found: list[_Read] = []
    number = behind = 0
    while True:
        number += 1
        try:
            found.append((number, unpacker.unpack(), None))
        except msgpack.OutOfData:
            break
        except ValueError as error:
            found.append((number, None, error))
            break
        at = unpacker.tell()
        if len(found) >= BATCH or at - behind >= BATCH_BYTES:
            yield found, at
            found, behind = [], at
    if found:
        yield found, unpacker.tell()


def _item(document: dict[str, Any], place: tuple[str, int]) -> Item:
    try:
        if "parent" in document:
            return Link(_raw(document["parent"]), _raw(document["child"]))
        kind = document["type"]
        if kind == STRING:
            value: Any = _raw(document["value"])
        elif kind in TYPES:
            value = _read_value(kind, document["value"])
        else:
            raise RecordError(f"{_at(place)}: type {kind!r} is none of {', '.join(TYPES)}")
        deadline = document.get("expires_at_ms")
        if deadline is not None and (type(deadline) is not int or deadline < 0):
            raise RecordError(f"{_at(place)}: expires_at_ms is milliseconds since 1970")
        tags = document.get("tags")
        deadlines = document.get("field_expires_at_ms")
        return Record(
            _raw(document["key"]),
            kind,
            value,
            deadline,
            [_raw(tag) for tag in tags] if tags else (),
            [(_raw(name), int(at_ms)) for name, at_ms in deadlines] if deadlines else (),
        )
    except KeyError as error:
        raise RecordError(f"{_at(place)} lacks {error.args[0]!r}") from error
    except (TypeError, ValueError, Base64Error) as error:
        if isinstance(error, CacheStormError):
            raise
        raise RecordError(f"{_at(place)}: {error}") from error


def _at(place: tuple[str, int]) -> str:
    return f"{place[0]} {place[1]}"


def _read_value(kind: str, value: Any) -> Any:
    if kind == "dump":
        return _raw(value)
    pairs = list(value.items()) if isinstance(value, dict) else value
    if not isinstance(pairs, list) or not pairs:
        raise TypeError(f"the value of a {kind} is a list that is not empty")
    if kind == "hash":
        return [(_raw(name), _raw(each)) for name, each in pairs]
    if kind == "zset":
        return [(_raw(member), float(score)) for member, score in pairs]
    return [_raw(one) for one in pairs]


def _raw(text: Any) -> bytes:
    if isinstance(text, str):
        return text.encode("utf-8", "surrogateescape")
    if isinstance(text, bytes):
        return text
    if isinstance(text, dict) and text.keys() == {"base64"}:
        return base64.b64decode(text["base64"], validate=True)
    if type(text) in (int, float):
        return str(text).encode()
    raise TypeError(f"text or base64 is expected, not {type(text).__name__}")
