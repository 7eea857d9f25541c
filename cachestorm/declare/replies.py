"""Replies: the values of the wire, and how a command's Python value becomes one.

A plan calls a converter by the name its declaration gives; the encoders of the endpoints
know the classes here and Python's own types, and no command:

    None -> null            bool, int -> integer      list, tuple -> array
    bytes, str -> bulk      float -> double           dict -> map

1. A converter is `(value, bound)`: what the method returned, and what was given beyond
   the required parameters, for replies whose shape an option decides.
2. It never fails on a value that the method may return, but for CodecError: a stored
   object that the codec cannot turn into bytes.
3. MISSING is "nothing there". So is None but for a stored value, which may be None and is
   the same bytes then in all replies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final, cast

from cachestorm.codec import bytes_of, format_float, to_wire
from cachestorm.declare.bound import Bound
from cachestorm.errors import CacheStormError
from cachestorm.markers import MISSING


class Status:
    """A simple string: `+OK`."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Status) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Status({self.text!r})"


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


class Verbatim:
    """Text for people: `=txt:` in RESP3, bulk in RESP2."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verbatim) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Verbatim({self.text!r})"


class Spelled:
    """A number in digits of its own: a double in RESP3, bulk in RESP2."""

    def __init__(self, number: float, text: str) -> None:
        self.number = number
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spelled) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Spelled({self.text!r})"


class NullArray:
    """`*-1` in RESP2, null in RESP3. There is one: NULL_ARRAY."""

    def __repr__(self) -> str:
        return "NULL_ARRAY"


OK: Final = Status("OK")
PONG: Final = Status("PONG")
QUEUED: Final = Status("QUEUED")
NULL_ARRAY: Final = NullArray()

Converter = Callable[[object, Bound], object]
# The converters, by name, that without options give bytes back as they are, and those that
# turn True into OK: a plan may leave these calls out.
KEEPS_BYTES: Final = frozenset({"native", "bulk", "stored"})
TRUE_IS_OK: Final = frozenset({"ok", "set"})
_CONVERTERS: Final[dict[str, Converter]] = {}


def _named(converter: Converter) -> Converter:
    name = str(getattr(converter, "__name__", ""))
    _CONVERTERS[name.rstrip("_")] = converter
    return converter


def converter_named(name: str) -> Converter | None:
    """The converter of that name; None if there is none."""
    return _CONVERTERS.get(name)


def _bulk(value: object) -> object:
    """What may be nothing at all as bytes; None: null. Not for a stored value."""
    if type(value) is bytes:
        return value
    return None if value is None or value is MISSING else to_wire(value)


def _bulks(values: object) -> list[object]:
    return [_bulk(value) for value in cast("Iterable[object]", values)]


def _stored(value: object) -> object:
    """A stored value as bytes, None among them; MISSING: null."""
    return None if value is MISSING else to_wire(value)


def _all_stored(values: object) -> list[object]:
    return [_stored(value) for value in cast("Iterable[object]", values)]


def _pairs(value: object) -> list[tuple[object, object]]:
    """Two-tuples, from an iterable of them or from a dict."""
    if isinstance(value, dict):
        return list(value.items())
    return [(first, second) for first, second in cast("Iterable[tuple[object, object]]", value)]


@_named
def native(value: object, bound: Bound) -> object:
    """The value is a wire value already: names (`str`), numbers, bools, lists of them."""
    return value


@_named
def ok(value: object, bound: Bound) -> object:
    """OK, whatever the method returned."""
    return OK


@_named
def bulk(value: object, bound: Bound) -> object:
    """A value as bytes, a float that is bulk in RESP3 among them (INCRBYFLOAT); None: null."""
    return _bulk(value)


@_named
def stored(value: object, bound: Bound) -> object:
    """A stored value that may be None, from a method with `default`; MISSING: null."""
    return _stored(value)


@_named
def stored_all(value: object, bound: Bound) -> object:
    """A list of stored values that may be None, from a method with `default` (MGET)."""
    return _all_stored(value)


@_named
def status(value: object, bound: Bound) -> object:
    """A `str` as a simple string (TYPE)."""
    return Status(str(value))


@_named
def statuses(value: object, bound: Bound) -> object:
    """A list of `str` as simple strings (OBJECT HELP)."""
    return [Status(line) for line in cast("Iterable[str]", value)]


@_named
def pong(value: object, bound: Bound) -> object:
    """PING: the message if one was given, else PONG."""
    return _bulk(value) if bound.mask else PONG


@_named
def verbatim(value: object, bound: Bound) -> object:
    """A `str` for people (INFO)."""
    return Verbatim(str(value))


@_named
def set_(value: object, bound: Bound) -> object:
    """SET: with GET the old value or null, else OK for True and null for False."""
    if bound.mask != 0 and bound.given("get"):
        return _stored(value)
    return OK if value else None


@_named
def ttl(value: object, bound: Bound) -> object:
    """Seconds as a number, rounded as Redis rounds; None (never): -1; MISSING: -2."""
    if value is MISSING:
        return -2
    return -1 if value is None else (round(cast(float, value) * 1000) + 500) // 1000


@_named
def pttl(value: object, bound: Bound) -> object:
    """Milliseconds; None (never): -1; MISSING: -2."""
    if value is MISSING:
        return -2
    return -1 if value is None else value


@_named
def members(value: object, bound: Bound) -> object:
    """An iterable of names without order (SMEMBERS, SINTER)."""
    return Members(list(cast("Iterable[object]", value)))


@_named
def mapping(value: object, bound: Bound) -> object:
    """A dict of names to stored values (HGETALL)."""
    return {name: _stored(item) for name, item in _pairs(value)}


@_named
def picked(value: object, bound: Bound) -> object:
    """One or several by count: without count a value or null, with count an array.

    For LPOP, RPOP: None in spite of a count is a null array. For SRANDMEMBER.
    """
    if not bound.given("count"):
        return _bulk(value)
    return NULL_ARRAY if value is None else _bulks(value)


@_named
def taken(value: object, bound: Bound) -> object:
    """LPOP, RPOP: without count a value, with count values; MISSING: null of either sort."""
    if not bound.given("count"):
        return _stored(value)
    return NULL_ARRAY if value is MISSING else _all_stored(value)


@_named
def drawn(value: object, bound: Bound) -> object:
    """SPOP: without count a member or null, with count a set."""
    if not bound.given("count"):
        return _bulk(value)
    return Members(list(cast("Iterable[object]", value)))


@_named
def fields(value: object, bound: Bound) -> object:
    """HRANDFIELD: a field or null; with count fields; with WITHVALUES (field, value) pairs."""
    if not bound.given("count"):
        return value
    if bound.given("withvalues"):
        return Pairs([(name, _stored(item)) for name, item in _pairs(value)])
    return list(cast("Iterable[object]", value))


@_named
def scored(value: object, bound: Bound) -> object:
    """Members; (member, score) pairs with WITHSCORES (ZRANGE, ZUNION, ZRANDMEMBER)."""
    if bound.given("withscores"):
        return Pairs(_pairs(value))
    return value


@_named
def popped(value: object, bound: Bound) -> object:
    """ZPOPMIN, ZPOPMAX: pairs with count; without, one flat (member, score) or nothing."""
    rows = _pairs(value)
    if bound.given("count"):
        return Pairs(rows)
    flat: list[object] = []
    for member, score in rows:
        flat.extend((member, score))
    return flat


@_named
def keyed(value: object, bound: Bound) -> object:
    """LMPOP: (key, elements); None: a null array."""
    if value is None:
        return NULL_ARRAY
    key, elements = cast("tuple[object, object]", value)
    return [key, _all_stored(elements)]


@_named
def keyed_scores(value: object, bound: Bound) -> object:
    """ZMPOP: (key, (member, score) rows), nested in both protocols; None: a null array."""
    if value is None:
        return NULL_ARRAY
    key, rows = cast("tuple[object, object]", value)
    return [key, [[member, score] for member, score in _pairs(rows)]]


@_named
def popped_element(value: object, bound: Bound) -> object:
    """BLPOP, BRPOP: (key, element); None: a null array."""
    if value is None:
        return NULL_ARRAY
    key, element = cast("tuple[object, object]", value)
    return [key, _stored(element)]


@_named
def popped_member(value: object, bound: Bound) -> object:
    """BZPOPMIN, BZPOPMAX: (key, member, score); None: a null array."""
    return NULL_ARRAY if value is None else list(cast("Iterable[object]", value))


@_named
def moved(value: object, bound: Bound) -> object:
    """BLMOVE, BRPOPLPUSH: a stored value that may be None; MISSING: a null array."""
    return NULL_ARRAY if value is MISSING else _stored(value)


@_named
def reasons(value: object, bound: Bound) -> object:
    """WHY: a map of names to what is known; None: null."""
    if value is None:
        return None
    known = cast("dict[str, object]", value)
    return {
        name: fact.value if isinstance(fact, Enum) else fact for name, fact in known.items()
    }


@_named
def ranked(value: object, bound: Bound) -> object:
    """ZRANK: a rank or null; WITHSCORE: (rank, score) or a null array."""
    if value is None and bound.given("withscore"):
        return NULL_ARRAY
    return value


@_named
def scan(value: object, bound: Bound) -> object:
    """(cursor, names): the cursor is a bulk string."""
    cursor, names = cast("tuple[int, object]", value)
    return [b"%d" % cursor, list(cast("Iterable[object]", names))]


@_named
def scan_pairs(value: object, bound: Bound) -> object:
    """HSCAN: (cursor, pairs or dict), flat in both protocols; NOVALUES: names."""
    cursor, rows = cast("tuple[int, object]", value)
    flat: list[object] = []
    if bound.given("novalues"):
        flat.extend(cast("Iterable[object]", rows))
    else:
        for name, item in _pairs(rows):
            flat.append(name)
            flat.append(_stored(item))
    return [b"%d" % cursor, flat]


@_named
def scan_scores(value: object, bound: Bound) -> object:
    """ZSCAN: (cursor, (member, score) rows), flat and with scores as text in both protocols.

    NOSCORES: members.
    """
    cursor, rows = cast("tuple[int, object]", value)
    flat: list[object] = []
    if bound.given("noscores"):
        flat.extend(cast("Iterable[object]", rows))
        return [b"%d" % cursor, flat]
    for member, score in _pairs(rows):
        flat.append(member)
        flat.append(format_float(cast(float, score)))
    return [b"%d" % cursor, flat]


@_named
def sort(value: object, bound: Bound) -> object:
    """SORT: how many were stored, or the values; None: null where GET may find nothing."""
    if bound.given("store") or bound.given("destination"):
        return value
    return _bulks(value) if bound.given("get") else _all_stored(value)


@_named
def distance(value: object, bound: Bound) -> object:
    """GEODIST: text with four decimals; None: null."""
    return None if value is None else _distance(cast(float, value))


@_named
def positions(value: object, bound: Bound) -> object:
    """GEOPOS: (longitude, latitude) or None, which is a null array."""
    points = cast("Iterable[tuple[float, float] | None]", value)
    return [NULL_ARRAY if point is None else _coordinates(point) for point in points]


@_named
def points(value: object, bound: Bound) -> object:
    """GEOSEARCH, GEORADIUS: members, tuples of a member and more, or how many were stored.

    A float in such a tuple is a distance, an int a score, a tuple coordinates.
    """
    return [_place(row) for row in value] if isinstance(value, list) else value


def _place(row: object) -> object:
    if not isinstance(row, tuple):
        return row
    parts: list[object] = []
    for part in row:
        if isinstance(part, float):
            parts.append(_distance(part))
        elif isinstance(part, tuple):
            parts.append(_coordinates(cast("tuple[float, float]", part)))
        else:
            parts.append(part)
    return parts


def _distance(number: float) -> object:
    digits = f"{round(number * 10000):05}"
    return f"{digits[:-4]}.{digits[-4:]}"


def _coordinates(place: tuple[float, float]) -> object:
    return [_human(place[0]), _human(place[1])]


def _human(number: float) -> Spelled:
    """A coordinate with as many of 17 decimals as are not zeros at its end."""
    text = f"{number:.17f}".rstrip("0").rstrip(".")
    return Spelled(number, "0" if text == "-0" else text)


def to_json(wire: object) -> object:
    """A wire value as JSON can carry it.

    Bytes that are not UTF-8 become `{"base64": "..."}`, numbers that JSON lacks their
    text ("inf"), errors `{"error": "..."}`; maps are objects, all other collections arrays.

    Example:
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
