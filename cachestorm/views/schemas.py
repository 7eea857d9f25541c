"""The schemas: how a stored value becomes one of the type that a view has.

One `Schema` a type, made by `schema_of`. Called by `view.py`; calls nothing of the cache.

1. A value of the type itself is taken as it is. What the wire wrote is JSON in bytes, what a
   flat `set` wrote may be plain data: both are converted, and checked on the way.
2. msgspec and pydantic do that for their own types, and are imported only then. Everything else
   is done here, by the annotations.
3. Conversions are those that JSON needs, and no others: a list becomes a tuple or a set, a
   text a date, a UUID, a Decimal or a member of an enum, an `int` a `float`. No text becomes a
   number.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import sys
import types
import uuid
from collections.abc import Callable
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from cachestorm.errors import CacheStormError, CodecError

Check = Callable[[Any], Any]

_SEQUENCES = (list, set, frozenset)
# what JSON has as a text, and what reads it
_TEXTS: dict[type, Callable[[str], Any]] = {
    datetime.datetime: datetime.datetime.fromisoformat,
    datetime.date: datetime.date.fromisoformat,
    datetime.time: datetime.time.fromisoformat,
    uuid.UUID: uuid.UUID,
    decimal.Decimal: decimal.Decimal,
}


class ValidationError(CacheStormError, ValueError):
    """What a key holds is not of the type of the view through which it was read."""

    http_status = 409


class _MismatchError(Exception):
    """A value does not fit; `path` leads to it from the whole."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.path = ""

    def within(self, part: str) -> _MismatchError:
        self.path = part + self.path
        return self


class Schema:
    """A type, and what converts stored values to it.

    Attributes:
        kind: the type.
        shown: how messages call it.
    """

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.shown = kind.__name__ if isinstance(kind, type) else str(kind)
        # what is known to fit without a look inside
        self._class = kind if isinstance(kind, type) and not is_typeddict(kind) else None
        if _is_of(kind, "msgspec", "Struct"):
            self._convert, self._decode = _of_msgspec(kind)
        elif _is_of(kind, "pydantic", "BaseModel"):
            self._convert, self._decode = _of_pydantic(kind)
        else:
            self._convert = _check_of(kind)
            self._decode = self._from_json
        self._is_text = kind is str
        self._is_raw = kind is bytes

    def out(self, value: Any) -> Any:
        """A stored value as one of the type.

        Raises:
            _MismatchError, or what msgspec and pydantic raise: for what is none.
        """
        if self._class is not None and type(value) is self._class:
            return value
        if self._class is not None and _is_own(self._class) and isinstance(value, self._class):
            return value
        if isinstance(value, (bytes, bytearray)) and not self._is_raw:
            raw = bytes(value)
            return raw.decode("utf-8") if self._is_text else self._decode(raw)
        return self._convert(value)

    def read(self, key: str, value: Any) -> Any:
        """As `out`, for what a key holds.

        Raises:
            ValidationError: for anything that is not of the type.
        """
        try:
            return self.out(value)
        except _MismatchError as error:
            where = f" at {error.path}" if error.path else ""
            raise ValidationError(f"{key!r} holds no {self.shown}{where}: {error}") from error
        except (ValueError, TypeError, CodecError) as error:
            raise ValidationError(f"{key!r} holds no {self.shown}: {error}") from error

    def fits(self, value: Any) -> bool:
        """Whether a value is of the type, without conversion of a text."""
        if self._class is not None and _is_own(self._class):
            return isinstance(value, self._class)
        if isinstance(value, (bytes, bytearray)) and not self._is_raw:
            return False
        try:
            made = self._convert(value)
            # what had to be converted differs
            return made is value or bool(made == value)
        except (_MismatchError, ValueError, TypeError):
            return False

    def checked(self, value: Any) -> Any:
        """A value that is to be written, as it is.

        Raises:
            TypeError: for anything that is not of the type.
        """
        if not self.fits(value):
            raise TypeError(f"this view holds values of {self.shown}, not {value!r}")
        return value

    def _from_json(self, raw: bytes) -> Any:
        plain: Any = None
        try:
            try:
                plain = json.loads(raw)
            except (ValueError, RecursionError) as error:
                raise _MismatchError(f"no JSON: {error}") from error
            return self._convert(plain)
        except _MismatchError as why:
            # the wire has a text as it is: the type may be a Literal, or a union with str
            text = None if isinstance(plain, (list, dict)) else self._as_text(raw)
            if text is None:
                raise why from why.__cause__
            return text

    def _as_text(self, raw: bytes) -> str | None:
        """What is no JSON as a text, if the type may be one."""
        try:
            text = self._convert(raw.decode("utf-8"))
        except (_MismatchError, ValueError):
            return None
        return text if type(text) is str else None


@functools.cache
def _schema_of(kind: Any) -> Schema:
    return Schema(kind)


def schema_of(kind: Any) -> Schema:
    """The schema of a type.

    Raises:
        TypeError: for anything that is not a type, or one that cannot be checked.
    """
    try:
        return _schema_of(kind)
    except _MismatchError as error:
        raise TypeError(str(error)) from error
    except NameError as error:
        raise TypeError(f"the annotations of {kind!r} cannot be resolved: {error}") from error


def _is_of(kind: Any, module: str, base: str) -> bool:
    """Whether a class derives from that of a package, which it has imported then."""
    loaded = sys.modules.get(module)
    if loaded is None or not isinstance(kind, type):
        return False
    return issubclass(kind, getattr(loaded, base))


def _is_own(kind: type) -> bool:
    """Whether instances were checked by their own class when they were made."""
    return kind.__module__ != "builtins"


def _of_msgspec(kind: Any) -> tuple[Check, Check]:
    import msgspec

    decoder = msgspec.json.Decoder(kind)
    return functools.partial(msgspec.convert, type=kind), decoder.decode


def _of_pydantic(kind: Any) -> tuple[Check, Check]:
    import pydantic

    adapter = pydantic.TypeAdapter(kind)
    return adapter.validate_python, adapter.validate_json


# -- by annotations


def _check_of(kind: Any) -> Check:
    """What checks, and converts, a plain value.

    Raises:
        _MismatchError: for an annotation that says nothing that could be checked.
    """
    if kind is Any or kind is object:
        return lambda value: value
    if kind is None or kind is type(None):
        return functools.partial(_plain, type(None))
    origin = get_origin(kind)
    if origin in (Annotated, Required, NotRequired):
        return _check_of(get_args(kind)[0])
    if origin is Literal:
        return functools.partial(_literal, get_args(kind))
    if origin in (Union, types.UnionType):
        members = tuple((each, _check_of(each)) for each in get_args(kind))
        return functools.partial(_union, members)
    if origin is tuple or kind is tuple:
        return _tuple_check(get_args(kind))
    if origin in _SEQUENCES or kind in _SEQUENCES:
        inner = (get_args(kind) or (Any,))[0]
        return functools.partial(_items, origin or kind, _check_of(inner))
    if origin is dict or kind is dict:
        names, values = get_args(kind) or (Any, Any)
        return functools.partial(_dict, _check_of(names), _check_of(values))
    if not isinstance(kind, type):
        raise _MismatchError(f"a view cannot check {kind!r}")
    return _class_check(kind)


def _class_check(kind: type) -> Check:
    if _is_of(kind, "msgspec", "Struct") or _is_of(kind, "pydantic", "BaseModel"):
        return schema_of(kind).out
    if is_typeddict(kind):
        return _TypedDictCheck(kind)
    if dataclasses.is_dataclass(kind):
        return _DataclassCheck(kind)
    if issubclass(kind, enum.Enum):
        return functools.partial(_member, kind)
    if kind in _TEXTS:
        return functools.partial(_text, kind, _TEXTS[kind])
    if kind is float:
        return _float
    return functools.partial(_plain, kind)


def _plain(kind: type, value: Any) -> Any:
    if isinstance(value, kind) and (kind is not int or not isinstance(value, bool)):
        return value
    expected = "None" if kind is type(None) else kind.__name__
    raise _MismatchError(f"expected {expected}, not {value!r}")


def _float(value: Any) -> float:
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    found: float = _plain(float, value)
    return found


def _text(kind: type, parse: Callable[[str], Any], value: Any) -> Any:
    if isinstance(value, str):
        try:
            return parse(value)
        except (ValueError, decimal.InvalidOperation) as error:
            raise _MismatchError(f"expected {kind.__name__}, not {value!r}") from error
    return _plain(kind, value)


def _member(kind: type[enum.Enum], value: Any) -> Any:
    try:
        return kind(value)
    except ValueError as error:
        raise _MismatchError(f"expected {kind.__name__}, not {value!r}") from error


def _literal(allowed: tuple[Any, ...], value: Any) -> Any:
    for each in allowed:
        if type(each) is type(value) and each == value:
            return value
    raise _MismatchError(f"expected one of {', '.join(map(repr, allowed))}, not {value!r}")


def _union(members: tuple[tuple[Any, Check], ...], value: Any) -> Any:
    # the exact class first: of `float | int`, 1 is the int
    for kind, _ in members:
        if type(value) is kind:
            return value
    whys: list[str] = []
    for _, check in members:
        try:
            return check(value)
        except _MismatchError as error:
            whys.append(str(error))
    raise _MismatchError("; ".join(whys))


def _items(kind: type, check: Check, value: Any) -> Any:
    if not isinstance(value, (list, kind)):
        raise _MismatchError(f"expected {kind.__name__}, not {value!r}")
    return kind(_each(check, value))


def _each(check: Check, values: Any) -> list[Any]:
    found: list[Any] = []
    for place, value in enumerate(values):
        try:
            found.append(check(value))
        except _MismatchError as error:
            raise error.within(f"[{place}]") from None
    return found


def _tuple_check(args: tuple[Any, ...]) -> Check:
    if not args:
        return functools.partial(_items, tuple, _check_of(Any))
    if len(args) == 2 and args[1] is ...:
        return functools.partial(_items, tuple, _check_of(args[0]))
    return functools.partial(_tuple, tuple(_check_of(each) for each in args))


def _tuple(checks: tuple[Check, ...], value: Any) -> Any:
    if not isinstance(value, (list, tuple)) or len(value) != len(checks):
        raise _MismatchError(f"expected {len(checks)} elements, not {value!r}")
    return tuple(_each(lambda pair: pair[0](pair[1]), list(zip(checks, value, strict=True))))


def _dict(names: Check, values: Check, value: Any) -> Any:
    if not isinstance(value, dict):
        raise _MismatchError(f"expected dict, not {value!r}")
    found = {}
    for name, each in value.items():
        try:
            found[names(name)] = values(each)
        except _MismatchError as error:
            raise error.within(f"[{name!r}]") from None
    return found


class _Fields:
    """What a class with annotated fields and a `TypedDict` have in common."""

    # a class may refer to itself: its fields are looked at when the first value comes

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self._checks: dict[str, Check] | None = None

    def hints(self) -> dict[str, Any]:
        """The annotations of the fields that a value is made of."""
        return get_type_hints(self.kind, include_extras=True)

    def plain(self, value: Any, required: frozenset[str]) -> dict[str, Any]:
        """The fields of a dict, checked.

        Raises:
            _MismatchError: for a field that is missing, unknown, or does not fit.
        """
        if not isinstance(value, dict):
            raise _MismatchError(f"expected {self.kind.__name__}, not {value!r}")
        if self._checks is None:
            self._checks = {name: _check_of(kind) for name, kind in self.hints().items()}
        missing = sorted(required - value.keys())
        if missing:
            raise _MismatchError(f"lacks {', '.join(missing)}")
        unknown = sorted(str(name) for name in value.keys() - self._checks.keys())
        if unknown:
            raise _MismatchError(f"has no field {', '.join(unknown)}")
        found = {}
        for name, each in value.items():
            try:
                found[name] = self._checks[name](each)
            except _MismatchError as error:
                raise error.within(f".{name}") from None
        return found


class _TypedDictCheck(_Fields):
    """Checks what is to be a `TypedDict`."""

    def __call__(self, value: Any) -> Any:
        return self.plain(value, self._required())

    @functools.cache  # noqa: B019  a schema is kept as long as its type
    def _required(self) -> frozenset[str]:
        # postponed annotations hide `NotRequired` from `__required_keys__`
        origins = {name: get_origin(kind) for name, kind in self.hints().items()}
        return frozenset(
            name
            for name, origin in origins.items()
            if origin is Required
            or (origin is not NotRequired and name in self.kind.__required_keys__)
        )


class _DataclassCheck(_Fields):
    """Checks what is to be a dataclass, and makes one of a dict."""

    def hints(self) -> dict[str, Any]:
        hints = super().hints()
        return {
            field.name: hints[field.name]
            for field in dataclasses.fields(self.kind)
            if field.init
        }

    def __call__(self, value: Any) -> Any:
        if isinstance(value, self.kind):
            return value
        required = frozenset(
            field.name
            for field in dataclasses.fields(self.kind)
            if field.init
            and field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
        )
        return self.kind(**self.plain(value, required))
