"""The codec: how Python values and numbers are spelled in bytes, and read back.

Called by every package that handles bytes: commands, reply encoders, endpoints. It knows no key
and no store. Numbers are read as strictly as Redis reads them and printed as Redis prints them.

1. A key, field, member or tag is an exact `str`; its bytes are UTF-8 with
   surrogateescape, which loses nothing in either direction.
2. `to_wire` encodes every value that a cache may hold, or raises CodecError: it never guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from mypy_extensions import i64

from cachestorm.errors import CodecError, InvalidKeyError, NotAFloatError, NotAnIntegerError
from cachestorm.markers import Missing, Unset

INT64_MAX: Final = 9223372036854775807
INT64_MIN: Final = -9223372036854775808
# Compiled, numbers up to 2**62 are compared in a machine's word, and greater ones as objects.
_SMALL: Final = 1 << 60
# In bytes: of any string, as in Redis.
# What a number in text has at most: 64 bits with a sign; what Redis gives to strtold.
LONGEST_INTEGER: Final = 20
LONGEST_FLOAT: Final = 5119
LONGEST_STRING: Final = 536_870_912

# Up to here a double that is whole is spelled as an integer: in replies, and as a value, which
# never gets digits that it did not come with.
_WHOLE: Final = 4611686018427387904.0
_EXACT: Final = 9007199254740992.0
COMPILED: Final = not __file__.endswith(".py")
_EXACT_DIGITS: Final = 15
_TENS: Final = [10.0**power for power in range(_EXACT_DIGITS)]
_NAN: Final = float("nan")
# from a zero in ASCII
_POINT: Final = -2
_ZERO: Final = 48
# that fit into 64 bits whatever they are
_SURE_DIGITS: Final = 18

# Called unbound, it is spared the look-up of a method.
is_ascii: Final = str.isascii


def text_of(raw: bytes) -> str:
    """The `str` that stands for these bytes as a key, field, member or tag."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """The bytes of a key, field, member or tag, or of any other `str`.

    Raises:
        CodecError: for a lone surrogate.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise CodecError("a str that holds a lone surrogate has no bytes") from error


def checked_text(name: object) -> str:
    """An exact `str` that survives the round trip through bytes.

    Args:
        name: a `str` (a subclass becomes one) or the `bytes` of one.

    Raises:
        InvalidKeyError: for lone surrogates and for escaped bytes that spell UTF-8.
        TypeError: for anything that is neither `str` nor `bytes`.
    """
    if type(name) is str:
        text = name
    elif isinstance(name, bytes):
        return text_of(name)
    elif isinstance(name, str):
        text = str.__str__(name)
    else:
        raise TypeError(f"a key, field, member or tag is a str, not {type(name).__name__}")
    if is_ascii(text):
        return text
    try:
        if text_of(bytes_of(text)) == text:
            return text
    except CodecError as error:
        raise InvalidKeyError(f"{text!r} holds a lone surrogate") from error
    raise InvalidKeyError(f"{text!r} holds escaped bytes that spell valid UTF-8")


def is_int64(number: int) -> bool:
    """Whether an integer fits into 64 bits."""
    return -_SMALL < number < _SMALL or INT64_MIN <= number <= INT64_MAX


def parse_int(raw: object, message: str = "value is not an integer or out of range") -> int:
    """A 64-bit integer, spelled the one way Redis accepts.

    Args:
        raw: `bytes` or `str` digits, or an `int` (no bool).
        message: the text of the refusal.

    Raises:
        NotAnIntegerError: for spaces, signs other than one minus, leading zeros, and
            anything beyond 64 bits.
    """
    if isinstance(raw, bytes):
        if COMPILED:
            plain = _plain_integer(raw)
            if plain >= 0:
                return plain
        # isdigit on bytes is ASCII-only, and the length keeps int() away from huge input
        size = len(raw)
        if 0 < size <= LONGEST_INTEGER:
            digits = raw[1:] if raw.startswith(b"-") else raw
            if digits.isdigit() and (not digits.startswith(b"0") or size == 1):
                number = int(raw)
                if is_int64(number):
                    return number
    elif isinstance(raw, int) and not isinstance(raw, bool):
        # no method of a class of a user's runs when it is used
        exact = raw if type(raw) is int else int.__int__(raw)
        if is_int64(exact):
            return exact
    elif isinstance(raw, str) and len(raw) <= LONGEST_INTEGER and raw.isascii():
        return parse_int(raw.encode("ascii"), message)
    raise NotAnIntegerError(message)


def _plain_integer(raw: bytes) -> i64:
    """An integer of 1 to 18 digits without a leading zero; -1 for anything else."""
    size: i64 = len(raw)
    if size == 0 or size > _SURE_DIGITS:
        return -1
    whole: i64 = 0
    at: i64 = 0
    while at < size:
        digit: i64 = raw[at]
        digit -= _ZERO
        if digit < 0 or digit > 9 or (whole == 0 and at > 0):
            return -1
        whole = whole * 10 + digit
        at += 1
    return whole


def digits_of(number: int) -> str:
    """The digits of an integer of any size, as far as Python writes them.

    Every `int` of a user that is to be spelled comes here: compiled, a format of bytes does
    not notice that Python refused, and goes on with no object at all.

    Raises:
        CodecError: for more digits than `sys.set_int_max_str_digits` allows, as a rule 4300.
    """
    try:
        return str(number)
    except ValueError as error:
        raise CodecError(str(error)) from error


def parse_float(
    raw: object, message: str = "value is not a valid float", any_size: bool = False
) -> float:
    """A double, spelled as C's strtod reads it whole; NaN is refused.

    Args:
        raw: `bytes` or `str`, or an `int` or `float`.
        message: the text of the refusal.
        any_size: what is too great or too small for a double becomes infinite or zero.

    Raises:
        NotAFloatError: for anything else, and for more characters than Redis looks at.
    """
    if type(raw) is float:
        if raw == raw:
            return raw
        raise NotAFloatError(message)
    if type(raw) is bytes:
        number = _plain_decimal(raw)
        if number == number:
            return number
    if isinstance(raw, bool):
        raise NotAFloatError(message)
    if isinstance(raw, (bytes, str)) and len(raw) > LONGEST_FLOAT:
        raise NotAFloatError(message)
    if isinstance(raw, (int, float)):
        try:
            number = float(raw)
        except OverflowError as error:
            raise NotAFloatError(message) from error
    else:
        if isinstance(raw, bytes):
            text = raw.decode("latin-1")
        elif isinstance(raw, str):
            text = raw
        else:
            raise NotAFloatError(message)
        if not text.isascii() or "_" in text or text != text.strip():
            raise NotAFloatError(message)
        try:
            number = float.fromhex(text) if "x" in text.lower() else float(text)
        except OverflowError as error:
            if not any_size:
                raise NotAFloatError(message) from error
            number = float("-inf") if text.startswith("-") else float("inf")
        except ValueError as error:
            raise NotAFloatError(message) from error
        if any_size:
            pass
        elif number - number != 0.0 or number == 0.0:
            _refuse_range_error(text, number, message)
    if number != number:
        raise NotAFloatError(message)
    return number


def _plain_decimal(raw: bytes) -> float:
    """A double of up to 15 digits, with a point perhaps; NaN for anything else.

    Such an integer and such a power of ten are exact, so their quotient is the nearest double.
    """
    size: i64 = len(raw)
    at: i64 = 1 if raw.startswith(b"-") else 0
    first = at
    if size - at > _EXACT_DIGITS or size == at:
        return _NAN
    whole: i64 = 0
    places: i64 = -1
    while at < size:
        digit: i64 = raw[at]
        at += 1
        digit -= 48
        if 0 <= digit <= 9:
            whole = whole * 10 + digit
        elif digit == _POINT and places < 0 and size - first > 1:
            places = size - at
        else:
            return _NAN
    number = float(whole)
    if places > 0:
        number /= _TENS[places]
    return -number if first == 1 else number


def _refuse_range_error(text: str, number: float, message: str) -> None:
    """Refuses what strtod calls ERANGE: digits too great or too small for a double."""
    spelled = text.lower()
    if number == 0.0:
        is_range_error = "x" not in spelled and spelled.partition("e")[0].strip("+-0.") != ""
    else:
        is_range_error = "n" not in spelled
    if is_range_error:
        raise NotAFloatError(message)


def format_float(number: float) -> bytes:
    """A double as replies spell it, scores above all, in the layout of Redis 7.2.

    1. A whole number of up to 2**62 is spelled as an integer.
    2. Any other is the shortest decimal that reads back; a very great or very small one has
       an exponent.

    Source: `d2string`, and the layout rules of `fpconv_dtoa`, which Redis and Valkey print
    doubles with.

    Examples:
        >>> [format_float(n) for n in (3.0, 0.1, 1e18, 1e21, 1e-7, float("inf"))]
        [b'3', b'0.1', b'1000000000000000000', b'1e+21', b'1e-7', b'inf']
    """
    spelled = _integral(number, _WHOLE)
    if spelled:
        return spelled
    digits, scale = _shortest(number)
    count = len(digits)
    magnitude = abs(scale + count - 1)
    if (scale >= 0 and magnitude < count + 7) or (scale < 0 and (scale > -7 or magnitude < 4)):
        text = _plain(digits, scale)
    else:
        text = digits[0] + ("." + digits[1:] if count > 1 else "")
        text += f"e{'-' if scale + count - 1 < 0 else '+'}{magnitude}"
    return (("-" if number < 0 else "") + text).encode("ascii")


def plain_float(number: float) -> bytes:
    """A double as a stored value: the shortest decimal that reads back, without an exponent.

    So what INCRBYFLOAT has left is a number to all who read one, INCR among them.

    Source: the layout of `ld2string` in Redis, which keeps no more than 17 decimals.

    Examples:
        >>> [plain_float(n) for n in (3.0, 0.1, 1e21, 1e-7, float("inf"))]
        [b'3', b'0.1', b'1000000000000000000000', b'0.0000001', b'inf']
    """
    spelled = _integral(number, _EXACT)
    if spelled:
        return spelled
    digits, scale = _shortest(number)
    return (("-" if number < 0 else "") + _plain(digits, scale)).encode("ascii")


def _integral(number: float, most: float) -> bytes:
    """A whole number of up to `most`, `inf` or `nan` as text; empty for any other number."""
    if -most <= number <= most:
        whole = int(number)
        if whole == 0 and number == 0.0:
            return b"-0" if str(number).startswith("-") else b"0"
        return b"%d" % whole if float(whole) == number else b""
    return b"" if number - number == 0.0 else str(number).encode("ascii")


def _shortest(number: float) -> tuple[str, int]:
    """The fewest digits that read back, and the power of ten they are multiplied by."""
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    scale = int(exponent or "0") - len(fraction)
    digits = (whole + fraction).lstrip("0")
    trimmed = digits.rstrip("0")
    return trimmed, scale + len(digits) - len(trimmed)


def _plain(digits: str, scale: int) -> str:
    if scale >= 0:
        return digits + "0" * scale
    point = len(digits) + scale
    if point <= 0:
        return "0." + "0" * -point + digits
    return digits[:point] + "." + digits[point:]


def sort_by_bytes(names: list[str]) -> None:
    """Sorts names in place, in the order of their bytes."""
    for name in names:
        if not name.isascii():
            names.sort(key=bytes_of)
            return
    # the same order, without a second object for each
    names.sort()


class Stored:
    """An object that a cache keeps in another form than itself: see `values/forms.py`."""

    def load(self) -> object:
        """The object, for a caller in this process. May run a user's code."""
        raise NotImplementedError

    def wire(self) -> bytes:
        """The bytes that stand for it at endpoints that speak bytes."""
        raise NotImplementedError


def to_wire(value: object) -> bytes:
    """The bytes that stand for a stored value at every endpoint that speaks bytes.

    Raises:
        CodecError: for an object that JSON cannot carry, a `str` with a lone surrogate, and
            an `int` of more digits than Python writes.
    """
    if type(value) is bytes:
        return value
    if isinstance(value, bytes):
        # a copy without its class: that may have methods of its own, which run under the latch
        return b"".join((value,))
    if isinstance(value, str):
        return bytes_of(str.__str__(value))
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int):
        return digits_of(value).encode("ascii")
    if isinstance(value, float):
        return plain_float(value)
    if isinstance(value, Stored):
        return value.wire()
    return json_of(value)


def json_of(value: object) -> bytes:
    """A value as JSON.

    Raises:
        CodecError: for what JSON cannot carry.
    """
    import json

    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_in_json)
        return text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise CodecError(
            f"a value of type {type(value).__name__} has no form in JSON: {error}"
        ) from error


def _in_json(value: object) -> object:
    """What JSON is made of instead of an object that it does not know: as views read it.

    Raises:
        TypeError: for what has no such form.
    """
    kind = type(value)
    if hasattr(kind, "__pydantic_fields__") and hasattr(kind, "model_dump"):
        dump: Callable[..., object] = kind.model_dump
        return dump(value, mode="json")
    names: list[str] = []
    if hasattr(kind, "__dataclass_fields__"):
        from dataclasses import fields

        names = [field.name for field in fields(cast(Any, kind)) if field.init]
    elif hasattr(kind, "__struct_fields__"):
        names = list(kind.__struct_fields__)
    if names:
        return {name: getattr(value, name) for name in names}
    from datetime import date, time
    from decimal import Decimal
    from enum import Enum
    from uuid import UUID

    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, Enum) and not isinstance(value, (Missing, Unset)):
        return value.value
    raise TypeError(f"Object of type {kind.__name__} is not JSON serializable")


def object_of(raw: bytes) -> object:
    """The object that `to_wire` made JSON of, as far as JSON tells: tuples become lists.

    Raises:
        CodecError: for anything that is not JSON, or nested too deeply.
    """
    import json

    try:
        found: object = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"no JSON: {error}") from error
    return found
