"""Replies: how the Python value that a command returns becomes a value of the wire.

A plan calls a converter by the name its declaration gives. What a wire value may be,
`wire_values.py` says.

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

from cachestorm.codec import format_float, to_wire
from cachestorm.declare.bound import Bound
from cachestorm.declare.wire_values import (
    NULL_ARRAY,
    OK,
    PONG,
    Members,
    Pairs,
    Spelled,
    Status,
    Verbatim,
)
from cachestorm.markers import MISSING

Converter = Callable[[object, Bound], object]
# The converters, by name, that without options give bytes back as they are, and those that
# turn True into OK: a plan may leave these calls out.
KEEPS_BYTES: Final = frozenset({"native", "bulk", "stored", "taken"})
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
