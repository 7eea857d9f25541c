"""Spans: what arguments about time, order and length are read as.

Made by kinds, taken by the methods of commands; the methods read what Python callers give
them by the same functions. Values that never change.
"""

from __future__ import annotations

from cachestorm.codec import bytes_of, is_int64, parse_float
from cachestorm.errors import ArgumentError, InvalidTtlError


class Lifetime:
    """A time to live as an endpoint spelled it: a duration, or a point in time.

    Attributes:
        ms: milliseconds, of any sign and size; a Python int, so it never wraps.
        absolute: counted from 1970 instead of from now.
    """

    def __init__(self, ms: int, absolute: bool) -> None:
        self.ms = ms
        self.absolute = absolute

    def expires_at_ms(self, now_ms: int, command: str, past: bool = False) -> int:
        """The deadline in milliseconds since 1970.

        Args:
            now_ms: the time of the command.
            command: lower-case name, for the refusal.
            past: a deadline that is over is an answer, not an error (EXPIRE deletes).

        Raises:
            InvalidTtlError: for a deadline beyond 64 bits, and unless `past`, for a time
                to live that is zero or negative.
        """
        deadline = self.ms if self.absolute else self.ms + now_ms
        if (self.ms <= 0 and not past) or not is_int64(deadline):
            raise InvalidTtlError(f"invalid expire time in '{command}' command")
        return deadline

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Lifetime)
            and self.ms == other.ms
            and self.absolute == other.absolute
        )

    def __hash__(self) -> int:
        return hash((self.ms, self.absolute))

    def __repr__(self) -> str:
        return f"Lifetime({self.ms}, absolute={self.absolute})"


class ScoreBound:
    """One end of a range of scores: `1.5`, `(1.5` (exclusive), `-inf`, `+inf`."""

    def __init__(self, score: float, exclusive: bool = False) -> None:
        self.score = score
        self.exclusive = exclusive

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ScoreBound)
            and self.score == other.score
            and self.exclusive == other.exclusive
        )

    def __hash__(self) -> int:
        return hash((self.score, self.exclusive))

    def __repr__(self) -> str:
        return f"ScoreBound({self.score}, exclusive={self.exclusive})"


class LexBound:
    """One end of a lexical range: `[a` (inclusive), `(a` (exclusive), `-`, `+`.

    Attributes:
        item: the bytes of the member; empty for `-` and `+`.
        exclusive: the member itself is out.
        infinity: -1 for `-`, 1 for `+`, else 0.
    """

    def __init__(self, item: bytes, exclusive: bool = False, infinity: int = 0) -> None:
        self.item = item
        self.exclusive = exclusive
        self.infinity = infinity

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LexBound)
            and self.item == other.item
            and self.exclusive == other.exclusive
            and self.infinity == other.infinity
        )

    def __hash__(self) -> int:
        return hash((self.item, self.exclusive, self.infinity))

    def __repr__(self) -> str:
        return f"LexBound({self.item!r}, exclusive={self.exclusive}, infinity={self.infinity})"


def score_bound(raw: object) -> ScoreBound:
    """The bound that an argument spells, or that it already is.

    Raises:
        NotAFloatError: with Redis' text.

    Examples:
        >>> score_bound("(1.5")
        ScoreBound(1.5, exclusive=True)
    """
    if isinstance(raw, ScoreBound):
        return raw
    text = bytes_of(raw) if isinstance(raw, str) else raw
    if isinstance(text, bytes) and text.startswith(b"("):
        return ScoreBound(_score(text[1:]), True)
    return ScoreBound(_score(text))


def _score(raw: object) -> float:
    # as C's strtod: blanks before a number are fine, nothing at all is 0, and so on
    if isinstance(raw, bytes) and (not raw or raw[0] in b" \t\n\v\f\r"):
        if not raw:
            return 0.0
        raw = raw.lstrip(b" \t\n\v\f\r")
    return parse_float(raw, "min or max is not a float", True)


def lex_bound(raw: object) -> LexBound:
    """The bound that an argument spells, or that it already is.

    Raises:
        ArgumentError: with Redis' text.

    Examples:
        >>> lex_bound("[a")
        LexBound(b'a', exclusive=False, infinity=0)
    """
    if isinstance(raw, LexBound):
        return raw
    text = bytes_of(raw) if isinstance(raw, str) else raw
    if isinstance(text, bytes):
        if text == b"-":
            return LexBound(b"", infinity=-1)
        if text == b"+":
            return LexBound(b"", infinity=1)
        if text.startswith(b"["):
            return LexBound(text[1:])
        if text.startswith(b"("):
            return LexBound(text[1:], True)
    raise ArgumentError("min or max not valid string range item")


def length(raw: object, name: str) -> float:
    """The length that an argument spells; `name` is what it is of: `radius`, `width`.

    Raises:
        NotAFloatError: with Redis' text.
        ArgumentError: for a negative one.
    """
    number = parse_float(raw, f"need numeric {name}")
    if number < 0.0:
        whose = name if name == "radius" else "height or width"
        raise ArgumentError(f"{whose} cannot be negative")
    return number
