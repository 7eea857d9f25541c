"""Returns: a wire reply back into what the command's method returns in process.

The way back of `replies`, for a client that calls a cache elsewhere as if it were here. The
type that the method says it returns leads it, as it is written anyway: `list[str] | None`.

1. It reads what RESP2, RESP3 and JSON make of a wire value: text for a number, a flat array
   for pairs, 1 for True, `{"base64": "..."}` for bytes.
2. A stored value comes back as its bytes, which the codec decodes.
3. A field name that is not UTF-8 does not survive JSON, whose objects have text for names.
4. A command whose reply says less than its method has a reason in `local`, and no way back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import UnionType
from typing import Final, cast, get_args, get_origin

from cachestorm.codec import bytes_of, parse_float, text_of
from cachestorm.declare.bound import Bound
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.parameters import return_type
from cachestorm.declare.wire_values import Members, Pairs, Status, Verbatim
from cachestorm.errors import DeclarationError

_NONE: Final = type(None)
# Options that make pairs of names.
_EXTRAS: Final = ("withscores", "withscore", "withvalues")


class Returns:
    """How the replies of one command are read.

    Raises:
        DeclarationError: for a command that has no way back.
    """

    def __init__(self, declaration: Declaration) -> None:
        if declaration.local or not declaration.method:
            reason = declaration.local or "it is not a method"
            raise DeclarationError(f"{declaration.name} is not read back: {reason}")
        self._reply = declaration.reply
        self._type = return_type(declaration.function)

    def read(
        self,
        wire: object,
        bound: Bound,
        default: object = None,
        decode: Callable[[bytes], object] | None = None,
    ) -> object:
        """What the method would have returned.

        Args:
            wire: the reply, as a client has parsed it.
            bound: the call that it answers.
            default: what a stored value that is not there is.
            decode: makes a stored value of its bytes; None: they are left as they are.
        """
        if self._reply == "pttl" and wire in (-1, -2):
            return None if wire == -1 else default
        if self._reply == "set" and not bound.given("get"):
            return wire is not None
        if self._reply == "ok":
            return True
        return _Reading(bound, default, decode).read(self._typed(bound), wire)

    def _typed(self, bound: Bound) -> object:
        """The type of this call's value, where that of the method says too little."""
        if self._reply == "pttl":
            return int
        if self._reply == "taken" and bound.given("count"):
            return list[object] | None
        if self._reply == "fields":
            if bound.given("withvalues"):
                return list[tuple[str, object]]
            return list[str] if bound.given("count") else str | None
        if self._reply == "scan_pairs":
            if bound.given("novalues"):
                return tuple[int, list[str]]
            return tuple[int, dict[str, object]]
        if self._reply == "scan_scores":
            if bound.given("noscores"):
                return tuple[int, list[str]]
            return tuple[int, list[tuple[str, float]]]
        return self._type


class _Reading:
    def __init__(
        self, bound: Bound, default: object, decode: Callable[[bytes], object] | None
    ) -> None:
        self._default = default
        self._decode = decode
        self._has_extras = any([bound.given(name) for name in _EXTRAS])

    def read(self, kind: object, wire: object) -> object:
        if isinstance(wire, (Status, Verbatim)):
            wire = wire.text
        if kind is object:
            if wire is None:
                return self._default
            return _bytes(wire) if self._decode is None else self._decode(_bytes(wire))
        origin = get_origin(kind)
        inner = get_args(kind)
        if isinstance(kind, UnionType):
            if wire is None:
                return self._default if object in inner else None
            return self.read(self._chosen(inner, wire), wire)
        if origin is list:
            if get_origin(inner[0]) is tuple:
                width = len(get_args(inner[0]))
                return [self.read(inner[0], row) for row in _rows(wire, width)]
            return [self.read(inner[0], item) for item in _items(wire)]
        if origin is set:
            return {self.read(inner[0], item) for item in _items(wire)}
        if origin is tuple:
            parts = zip(inner, _items(wire), strict=True)
            return tuple([self.read(part, item) for part, item in parts])
        if origin is dict:
            rows = list(wire.items()) if isinstance(wire, dict) else _rows(wire, 2)
            return {_text(name): self.read(inner[1], item) for name, item in rows}
        return _scalar(kind, wire)

    def _chosen(self, kinds: tuple[object, ...], wire: object) -> object:
        """The member of a union that a reply is of; with extras the last of several lists."""
        is_many = isinstance(wire, (list, Members, Pairs))
        fitting = [
            kind
            for kind in kinds
            if kind is not _NONE and (get_origin(kind) is not None) == is_many
        ]
        if float in fitting:
            return int if isinstance(wire, int) else float
        return fitting[-1 if self._has_extras else 0]


def _items(wire: object) -> list[object]:
    return list(wire.items if isinstance(wire, Members) else cast("Iterable[object]", wire))


def _rows(wire: object, width: int) -> list[tuple[object, ...]]:
    """Rows, which RESP2 has in one flat array."""
    if isinstance(wire, Pairs):
        return [*wire.items]
    items = _items(wire)
    if items and not isinstance(items[0], list):
        return [tuple(items[at : at + width]) for at in range(0, len(items), width)]
    return [tuple(cast("list[object]", item)) for item in items]


def _scalar(kind: object, wire: object) -> object:
    if kind is bool:
        return wire in (1, True)
    if kind is int:
        return int(cast("int | bytes | str", wire))
    if kind is float:
        return float(wire) if isinstance(wire, (int, float)) else parse_float(_bytes(wire))
    return _text(wire) if kind is str else _bytes(wire)


def _bytes(wire: object) -> bytes:
    if isinstance(wire, bytes):
        return wire
    if isinstance(wire, dict):
        from base64 import b64decode

        return b64decode(wire["base64"])
    return bytes_of(str(wire))


def _text(wire: object) -> str:
    return wire if isinstance(wire, str) else text_of(_bytes(wire))
