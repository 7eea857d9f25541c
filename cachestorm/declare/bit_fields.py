"""Bit fields: what arguments about integers in a bitmap are read as.

Made by kinds, taken by the methods of the bitmap commands; the methods read what Python
callers give them by the same functions.
"""

from __future__ import annotations

from typing import Final

from cachestorm.codec import LONGEST_STRING, bytes_of, parse_int
from cachestorm.errors import ArgumentError, NotAnIntegerError

FURTHEST_BIT: Final = LONGEST_STRING * 8 - 1
NO_OFFSET: Final = "bit offset is not an integer or out of range"
_NO_TYPE: Final = (
    "Invalid bitfield type. Use something like i16 u8. "
    "Note that u64 is not supported but i64 is."
)


class FieldType:
    """The type of an integer in a bitmap: how many bits it has, and whether one is a sign."""

    def __init__(self, bits: int, signed: bool) -> None:
        self.bits = bits
        self.signed = signed

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FieldType)
            and self.bits == other.bits
            and self.signed == other.signed
        )

    def __hash__(self) -> int:
        return hash((self.bits, self.signed))

    def __repr__(self) -> str:
        return f"FieldType({self.bits}, signed={self.signed})"


def field_type(raw: object) -> FieldType:
    """The type that an argument spells, or that it already is.

    Raises:
        ArgumentError: with Redis' text.

    Examples:
        >>> field_type("i16")
        FieldType(16, signed=True)
    """
    if isinstance(raw, FieldType):
        return raw
    text = bytes_of(raw) if isinstance(raw, str) else raw
    if isinstance(text, bytes) and text[:1] in (b"i", b"u"):
        signed = text.startswith(b"i")
        try:
            bits = parse_int(text[1:])
        except NotAnIntegerError as error:
            raise ArgumentError(_NO_TYPE) from error
        if 1 <= bits <= (64 if signed else 63):
            return FieldType(bits, signed)
    raise ArgumentError(_NO_TYPE)


def bit_offset(raw: object, bits: int) -> int:
    """The bit that an argument names; `#n` is the n-th place of fields `bits` wide.

    Raises:
        CacheStormError: with Redis' text, also for a bit beyond the longest string.

    Examples:
        >>> bit_offset("#3", 16)
        48
    """
    text = bytes_of(raw) if isinstance(raw, str) else raw
    if isinstance(text, bytes) and text.startswith(b"#"):
        offset = parse_int(text[1:], NO_OFFSET) * bits
    else:
        offset = parse_int(text, NO_OFFSET)
    if not 0 <= offset <= FURTHEST_BIT:
        raise ArgumentError(NO_OFFSET)
    return offset
