r"""Printing: a reply as text, for a person or for the next program in a pipe.

Called by the shell and by calls; calls nobody. The layout for people is that of redis-cli,
which they know. JSON is that of the HTTP endpoint; CSV is read by spreadsheets.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Final

from cachestorm.codec import bytes_of, format_float
from cachestorm.declare.wire_values import Members, Pairs, Status, Verbatim, to_json
from cachestorm_cli.client import ServerError

# how a reply is printed
PEOPLE: Final = "people"
RAW: Final = "raw"
JSON: Final = "json"
CSV: Final = "csv"

_ESCAPES: Final = {
    ord("\\"): "\\\\",
    ord('"'): '\\"',
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    ord("\a"): "\\a",
    ord("\b"): "\\b",
}


def quoted(raw: bytes) -> str:
    r"""Bytes in double quotes, with escapes for what a terminal would not show.

    Examples:
        >>> print(quoted(b'a"b\n\xff'))
        "a\"b\n\xff"
    """
    parts = []
    for byte in raw:
        if byte in _ESCAPES:
            parts.append(_ESCAPES[byte])
        else:
            parts.append(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
    return '"' + "".join(parts) + '"'


def for_people(reply: object, indent: str = "") -> str:
    """A reply as redis-cli shows it on a terminal.

    Examples:
        >>> print(for_people([b"a", 1, [None]]))
        1) "a"
        2) (integer) 1
        3) 1) (nil)
    """
    if reply is None:
        return "(nil)"
    if isinstance(reply, bool):
        return "(true)" if reply else "(false)"
    if isinstance(reply, int):
        return f"(integer) {reply}"
    if isinstance(reply, float):
        return f"(double) {format_float(reply).decode()}"
    if isinstance(reply, bytes):
        return quoted(reply)
    if isinstance(reply, Status):
        return _printable(reply.text)
    if isinstance(reply, Verbatim):
        return _printable(reply.text)
    if isinstance(reply, ServerError):
        return f"(error) {_printable(str(reply))}"
    if isinstance(reply, Pairs):
        return _numbered(
            [
                f"{for_people(name)} => {for_people(value, indent + '   ')}"
                for name, value in reply.items
            ],
            indent,
            "#",
            "(empty hash)",
        )
    items = reply.items if isinstance(reply, Members) else reply
    assert isinstance(items, list)
    width = len(str(len(items))) + 2
    mark, nothing = (
        ("~", "(empty set)") if isinstance(reply, Members) else (")", "(empty array)")
    )
    rows = [for_people(item, indent + " " * width) for item in items]
    return _numbered(rows, indent, mark, nothing)


def for_programs(reply: object) -> bytes:
    """A reply as bare bytes: elements on lines of their own, nothing for null."""
    if reply is None:
        return b""
    if isinstance(reply, bool):
        return b"true" if reply else b"false"
    if isinstance(reply, int):
        return b"%d" % reply
    if isinstance(reply, float):
        return format_float(reply)
    if isinstance(reply, bytes):
        return reply
    if isinstance(reply, (Status, Verbatim)):
        return bytes_of(reply.text)
    if isinstance(reply, ServerError):
        return bytes_of(str(reply))
    if isinstance(reply, Pairs):
        return b"\n".join(for_programs(part) for pair in reply.items for part in pair)
    items = reply.items if isinstance(reply, Members) else reply
    assert isinstance(items, list)
    return b"\n".join(for_programs(item) for item in items)


def for_json(reply: object) -> bytes:
    """A reply as one line of JSON; an error is `{"error": ...}`, a map an object.

    Examples:
        >>> for_json([b"a", 1, None])
        b'["a", 1, null]'
    """
    return json.dumps(_document(reply), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _document(reply: object) -> object:
    if isinstance(reply, ServerError):
        return {"error": str(reply)}
    if isinstance(reply, Pairs):
        return {_name(name): _document(value) for name, value in reply.items}
    if isinstance(reply, Members):
        return [_document(item) for item in reply.items]
    if isinstance(reply, list):
        return [_document(item) for item in reply]
    return to_json(reply)


def _name(name: object) -> str:
    raw = for_programs(name)
    return raw.decode("utf-8", "backslashreplace")


def for_csv(reply: object) -> bytes:
    r"""A reply as comma-separated values: a row for each pair of a map and each inner list.

    Examples:
        >>> for_csv([[b"a,b", 1], [b"c", 2]])
        b'"a,b",1\nc,2'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([[_cell(cell) for cell in row] for row in _rows(reply)])
    return text.getvalue().rstrip("\n").encode("utf-8", "surrogateescape")


def _rows(reply: object) -> list[list[object]]:
    if isinstance(reply, Pairs):
        return [[name, value] for name, value in reply.items]
    items = reply.items if isinstance(reply, Members) else reply
    if not isinstance(items, list):
        return [[items]]
    if any(isinstance(item, list) for item in items):
        return [item if isinstance(item, list) else [item] for item in items]
    return [items]


def _cell(item: object) -> str:
    if isinstance(item, (list, Members, Pairs)):
        return for_json(item).decode()
    return for_programs(item).decode("utf-8", "surrogateescape")


def formatted(reply: object, form: str) -> bytes:
    """A reply in one of the four formats, without a line end."""
    if form == JSON:
        return for_json(reply)
    if form == CSV:
        return for_csv(reply)
    if form == RAW:
        return for_programs(reply)
    return for_people(reply).encode("utf-8", "backslashreplace")


def _numbered(rows: list[str], indent: str, mark: str, nothing: str) -> str:
    if not rows:
        return nothing
    digits = len(str(len(rows)))
    lines = [f"{number:>{digits}}{mark} {row}" for number, row in enumerate(rows, 1)]
    return f"\n{indent}".join(lines)


def _printable(text: str) -> str:
    """Text with its line ends, and without what a server could do to a terminal."""
    shown = [char if char.isprintable() or char == "\n" else "" for char in text]
    return "".join(shown).rstrip("\n")
