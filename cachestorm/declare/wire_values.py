"""Wire values: what the encoders of the endpoints turn into bytes.

Made by the converters (`replies.py`) and by the commands of a connection. The encoders know
the classes here and Python's own types, and no command:

    None -> null            bool, int -> integer      list, tuple -> array
    bytes, str -> bulk      float -> double           dict -> map
"""

from __future__ import annotations

from typing import Final, cast

from cachestorm.codec import bytes_of, format_float, to_wire
from cachestorm.errors import CacheStormError


class Text:
    """Text of a kind that the protocol has beside bulk strings. Equal to one of its class."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"


class Status(Text):
    """A simple string: `+OK`."""


class Verbatim(Text):
    """Text for people: `=txt:` in RESP3, bulk in RESP2."""


class Spelled(Text):
    """A number in digits of its own: a double in RESP3, bulk in RESP2."""

    def __init__(self, number: float, text: str) -> None:
        super().__init__(text)
        self.number = number


class Members:
    """A set in RESP3, an array in RESP2."""

    def __init__(self, items: list[object]) -> None:
        self.items = items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Members) and self.items == other.items

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Members({self.items!r})"


class Pairs:
    """An array of two-element arrays in RESP3, a flat array in RESP2."""

    def __init__(self, items: list[tuple[object, object]]) -> None:
        self.items = items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pairs) and self.items == other.items

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Pairs({self.items!r})"


class NullArray:
    """`*-1` in RESP2, null in RESP3. There is one: NULL_ARRAY."""

    def __repr__(self) -> str:
        return "NULL_ARRAY"


OK: Final = Status("OK")
PONG: Final = Status("PONG")
QUEUED: Final = Status("QUEUED")
NULL_ARRAY: Final = NullArray()


def to_json(wire: object) -> object:
    """A wire value as JSON can carry it.

    Bytes that are not UTF-8 become `{"base64": "..."}`, numbers that JSON lacks their
    text ("inf"), errors `{"error": "..."}`; maps are objects, all other collections arrays.

    Examples:
        >>> to_json([b"v", OK, Pairs([("m", 1.0)])])
        ['v', 'OK', [['m', 1.0]]]
    """
    if wire is None or isinstance(wire, (bool, int)):
        return wire
    if isinstance(wire, bytes):
        try:
            return wire.decode("utf-8")
        except UnicodeDecodeError:
            import base64

            return {"base64": base64.b64encode(wire).decode("ascii")}
    if isinstance(wire, str):
        return wire if wire.isascii() else to_json(bytes_of(wire))
    if isinstance(wire, float):
        is_finite = wire - wire == 0.0
        return wire if is_finite else format_float(wire).decode("ascii")
    if isinstance(wire, (Status, Verbatim)):
        return wire.text
    if isinstance(wire, Spelled):
        return wire.number
    if isinstance(wire, (list, tuple)):
        return [to_json(item) for item in wire]
    if isinstance(wire, Members):
        return [to_json(item) for item in wire.items]
    if isinstance(wire, Pairs):
        return [[to_json(first), to_json(second)] for first, second in wire.items]
    if isinstance(wire, dict):
        return {_json_name(name): to_json(item) for name, item in wire.items()}
    if isinstance(wire, NullArray):
        return None
    # Not isinstance(wire, CacheStormError): compiled, that is false for its subclasses.
    if isinstance(wire, Exception):
        return {"error": cast(CacheStormError, wire).resp}
    return to_json(to_wire(wire))


def _json_name(name: object) -> str:
    raw = name if isinstance(name, bytes) else to_wire(name)
    return raw.decode("utf-8", "backslashreplace")
