"""Typed values: what a plan does for a client whose values come and go in envelopes.

Called by plans. Such a client says what its values are: the store gets text, numbers and
objects of Python, as if the process had written them, and tells what it has in the same way.

1. Only values are in envelopes: names and members are not, nor what is appended to a value.
2. Bytes that say of themselves that they are in an envelope, and that are nothing but bytes to
   the store, come back as they came: another client has put something into them.
3. Other clients see what `to_wire` makes of a value: text, digits, JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, cast

from cachestorm.codec import Stored
from cachestorm.declare.bound import Bound
from cachestorm.declare.kinds import AS_GIVEN, Kind
from cachestorm.declare.notation import Argument, Notation
from cachestorm.declare.replies import Converter
from cachestorm.envelope import MARK, Envelope
from cachestorm.markers import MISSING

# methods whose values are appended to what is there: no envelope has a place in it
RAW: Final = frozenset({"append", "setrange"})
_ENVELOPE: Final = Envelope()
_ENCLOSING: Final[dict[str, Converter]] = {}


def opened(raw: object) -> object:
    """A value as the store is to hold it.

    Raises:
        CodecError: for an envelope that is damaged.
    """
    if not isinstance(raw, bytes):
        return raw
    value: object = _ENVELOPE.loads(raw)
    return raw if isinstance(value, bytes) and value.startswith(MARK) else value


def enclosed(value: object) -> object:
    """A value of the store as such a client is told of it; MISSING as it is.

    Raises:
        CodecError: for an object that JSON cannot carry.
    """
    if value is MISSING or (isinstance(value, bytes) and value.startswith(MARK)):
        return value
    return _ENVELOPE.dumps(value.load() if isinstance(value, Stored) else value)


class TypedValue(Kind):
    """A value in its envelope."""

    def read(self, raw: object) -> object:
        return opened(raw)


_VALUE: Final = TypedValue(AS_GIVEN.name, AS_GIVEN.docs_type)


def give_types(notation: Notation) -> None:
    """Has a notation read its values as such a client sends them."""
    _swap(notation.arguments)


def _swap(nodes: list[Argument]) -> None:
    for node in nodes:
        if node.kind is AS_GIVEN:
            node.kind = _VALUE
        _swap(node.children)


def enclosing(reply: str, converter: Converter | None) -> Converter | None:
    """The converter of a reply for such a client: the stored values in it are enclosed before.

    Args:
        reply: the name of the converter; without stored values it is the converter itself.
        converter: that of other clients.
    """
    enclose = _ENCLOSING.get(reply)
    if enclose is None or converter is None:
        return converter
    return _Enclosing(enclose, converter).convert


class _Enclosing:
    def __init__(self, enclose: Converter, converter: Converter) -> None:
        self._enclose: Final = enclose
        self._converter: Final = converter

    def convert(self, value: object, bound: Bound) -> object:
        return self._converter(self._enclose(value, bound), bound)


def _of(*replies: str) -> Callable[[Converter], Converter]:
    def register(enclose: Converter) -> Converter:
        for reply in replies:
            _ENCLOSING[reply] = enclose
        return enclose

    return register


def _all(values: object) -> list[object]:
    return [enclosed(value) for value in cast("Iterable[object]", values)]


@_of("stored", "moved")
def _one(value: object, bound: Bound) -> object:
    return enclosed(value)


@_of("stored_all")
def _several(value: object, bound: Bound) -> object:
    return _all(value)


@_of("set")
def _old(value: object, bound: Bound) -> object:
    return enclosed(value) if bound.mask != 0 and bound.given("get") else value


@_of("taken")
def _taken(value: object, bound: Bound) -> object:
    if not bound.given("count"):
        return enclosed(value)
    return value if value is MISSING else _all(value)


@_of("mapping")
def _fields(value: object, bound: Bound) -> object:
    rows = value.items() if isinstance(value, dict) else cast("Iterable[object]", value)
    return [
        (name, enclosed(item)) for name, item in cast("Iterable[tuple[object, object]]", rows)
    ]


@_of("fields")
def _drawn_fields(value: object, bound: Bound) -> object:
    return _fields(value, bound) if bound.given("withvalues") else value


@_of("scan_pairs")
def _scanned(value: object, bound: Bound) -> object:
    if bound.given("novalues"):
        return value
    cursor, rows = cast("tuple[int, object]", value)
    return cursor, _fields(rows, bound)


@_of("keyed")
def _keyed(value: object, bound: Bound) -> object:
    if value is None:
        return None
    key, elements = cast("tuple[object, object]", value)
    return key, _all(elements)


@_of("popped_element")
def _popped(value: object, bound: Bound) -> object:
    if value is None:
        return None
    key, element = cast("tuple[object, object]", value)
    return key, enclosed(element)


@_of("sort")
def _sorted(value: object, bound: Bound) -> object:
    if not isinstance(value, list):
        return value
    # of a GET that finds nothing there is nothing to enclose
    has_gets = bound.given("get")
    return [None if has_gets and item is None else enclosed(item) for item in value]
