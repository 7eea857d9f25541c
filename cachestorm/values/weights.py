"""Weights: what a value costs in bytes, as the interpreter's allocator rounds it.

Called by containers as they grow and by the keyspace at every write. Knows no store.

1. A scalar's weight follows from its type and length alone, so that what was charged
   at a write can be worked out again at the removal.
2. Everything else may change while it lies in a cache. Its weight is estimated once, when
   it comes in, and travels with it in a `Boxed`; `box` is to be called before the lock is
   taken, because the estimate may run a user's `__sizeof__`.
"""

from __future__ import annotations

import sys
from gc import get_referents
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    ModuleType,
    TracebackType,
)
from typing import Any, Final, cast

from mypy_extensions import i64

from cachestorm.codec import is_ascii
from cachestorm.errors import ArgumentError
from cachestorm.markers import MISSING, UNSET

BYTES_HEADER: Final = 33
# 49 and 73 up to Python 3.11, 41 and 57 since
STR_HEADER: Final[i64] = sys.getsizeof("")
# 72 and 56: with one character more than there are, which ends it
WIDE_STR_HEADER: Final[i64] = sys.getsizeof(chr(0x416)) - 4
INT_HEADER: Final = 24
SMALL_INT: Final = 1 << 60
SMALL_INT_WEIGHT: Final = 32
FLOAT_WEIGHT: Final = 32
ODD_WEIGHT: Final = 64
BOX_WEIGHT: Final = 48
SAMPLE: Final = 100

# What an object refers to and does not own.
_COMMON: Final = (
    type,
    ModuleType,
    FunctionType,
    BuiltinFunctionType,
    CodeType,
    FrameType,
    TracebackType,
)
_SEQUENCES: Final[tuple[Any, ...]] = (list, tuple, set, frozenset)


class Boxed:
    """A value that is not a scalar, with the size it was charged at."""

    def __init__(self, value: object, size_bytes: i64) -> None:
        self.value: Final = value
        self.size_bytes: i64 = size_bytes


def is_scalar(value: object) -> bool:
    """Whether the value is immutable, and its weight follows from its type and length."""
    kind = type(value)
    return (
        kind is bytes
        or kind is str
        or kind is int
        or kind is float
        or kind is bool
        or value is None
    )


def is_shared(value: object) -> bool:
    """Whether there is one such value for all: None or a bool."""
    return value is None or value is True or value is False


def box(value: object) -> object:
    """The value as the store holds it: a scalar as it is, anything else `Boxed`.

    Raises:
        ArgumentError: for MISSING and UNSET, which stand for no value.
    """
    if is_scalar(value):
        return value
    if value is MISSING or value is UNSET:
        raise ArgumentError(f"{value!r} stands for no value: it cannot be stored")
    return Boxed(value, _estimate(value) + BOX_WEIGHT)


def unbox(held: object) -> object:
    """The value that was given to `box`."""
    if isinstance(held, Boxed):
        return held.value
    return held


def weight_of_ascii(letters: i64) -> i64:
    """What `weigh` gives for an ASCII `str` of that length."""
    return (STR_HEADER + letters + 15) & -16


def weight_of_bytes(length: i64) -> i64:
    """What `weigh` gives for `bytes` of that length."""
    return (BYTES_HEADER + length + 15) & -16


def weigh(value: object) -> i64:
    """Bytes that the value occupies, rounded up to the allocator's 16.

    Exact for `bytes`, `str`, `int` and `float`; None and bools are shared and weigh nothing.
    Other objects are estimated from at most SAMPLE of the objects they hold.

    Examples:
        >>> [weigh(value) for value in (b"", b"x" * 100, "a longer key", 7, 2.5, None)]
        [48, 144, 64, 32, 32, 0]
    """
    if isinstance(value, bytes):
        return weight_of_bytes(len(value))
    if isinstance(value, str):
        letters: i64 = len(value)
        if is_ascii(value):
            return weight_of_ascii(letters)
        return (WIDE_STR_HEADER + (letters + 1) * _width(value) + 15) & -16
    if is_shared(value):
        return 0
    if isinstance(value, int):
        if -SMALL_INT < value < SMALL_INT:
            return SMALL_INT_WEIGHT
        bits: i64 = value.bit_length()
        return (INT_HEADER + (bits + 29) // 30 * 4 + 15) & -16
    if isinstance(value, float):
        return FLOAT_WEIGHT
    if isinstance(value, Boxed):
        return value.size_bytes
    return _estimate(value)


def _width(text: str) -> i64:
    """How many bytes each character of a `str` beyond ASCII takes: what its widest needs."""
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) > 2 * len(text):
        return 4
    # an encoding and not a search for the widest: that would look at one after the other
    return 2 if units[1::2].strip(b"\0") else 1


class _Walk:
    """One estimate on its way: how many more objects it may look at, and which it saw."""

    def __init__(self) -> None:
        self.left: i64 = SAMPLE
        self.seen: Final[list[int]] = []


def _estimate(value: object) -> i64:
    return _walk(value, _Walk())


def _walk(value: object, walk: _Walk) -> i64:
    if is_scalar(value) or type(value) is Boxed:
        return weigh(value)
    # at most SAMPLE objects are ever seen, so that a list does for what is a set in spirit
    if id(value) in walk.seen:
        return 0
    walk.seen.append(id(value))
    own: i64 = ODD_WEIGHT
    try:
        own = (sys.getsizeof(value) + 15) & -16
    except Exception:
        # an object that cannot tell its size is a value like any other
        pass
    # the class is asked what the object is, which may be a proxy that would do something then;
    # and the base what it holds, so that nothing of a subclass runs
    kind = type(value)
    if issubclass(kind, _COMMON):
        return own
    if issubclass(kind, dict):
        pairs = dict.items(cast("dict[object, object]", value))
        return own + _share(pairs, len(pairs), walk, True)
    for base in _SEQUENCES:
        if issubclass(kind, base):
            return own + _share(base.__iter__(value), base.__len__(value), walk, False)
    if kind is memoryview:
        return own + cast(memoryview, value).nbytes
    held = [each for each in get_referents(value) if not issubclass(type(each), _COMMON)]
    return own + _share(held, len(held), walk, False)


def _share(items: object, count: i64, walk: _Walk, pairs: bool) -> i64:
    """The weight of what is held, worked out from those that the walk may still see."""
    looked: i64 = 0
    total: i64 = 0
    try:
        for item in items:  # type: ignore[attr-defined]
            if walk.left <= 0:
                break
            walk.left -= 1
            looked += 1
            if pairs:
                name, held = cast("tuple[object, object]", item)
                total += _walk(name, walk) + _walk(held, walk)
            else:
                total += _walk(item, walk)
    except RuntimeError:
        # somebody changes it meanwhile: what has been seen stands for the rest
        pass
    if looked == 0 or looked == count:
        return total
    return total * count // looked
