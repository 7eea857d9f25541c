"""Sizes of memory as people write them: `"2gb"`, `"64MiB"`, or a number of bytes.

Read by `Cache` and by the configuration; written by INFO and the doctor. Units are
1024-based, in any case, with or without the `i`.
"""

from __future__ import annotations

from typing import Final

from cachestorm.codec import INT64_MAX
from cachestorm.errors import ConfigError

# More than any size in bytes has.
_MOST_DIGITS: Final = 40
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(size: object) -> int:
    """Bytes of a size.

    Raises:
        ConfigError: for an invalid size, a negative one, or one beyond 64 bits.

    Examples:
        >>> parse_size("2gb"), parse_size("64 KiB"), parse_size(100)
        (2147483648, 65536, 100)
    """
    if isinstance(size, bool) or not isinstance(size, (int, str)):
        raise ConfigError(f"a size is bytes or like '256mb', not {size!r}")
    if isinstance(size, int):
        return _checked(int(size))
    text = size.strip().lower()
    digits = text.rstrip("bikmgt ")
    unit = text[len(digits) :].strip().removesuffix("b").removesuffix("i")
    if len(digits) <= _MOST_DIGITS and digits.isascii() and digits.isdigit() and unit in _UNITS:
        return _checked(int(digits) * _UNITS[unit])
    raise ConfigError(f"{size[:40]!r} is not a size: write bytes, or 64kb, 256mb, 2gb, 1tb")


def _checked(size: int) -> int:
    if size < 0:
        raise ConfigError(f"a size is not negative: {size}")
    if size > INT64_MAX:
        raise ConfigError("a size fits into 64 bits")
    return size


def human_bytes(size: int) -> str:
    """A size as Redis shows it to people.

    Examples:
        >>> [human_bytes(size) for size in (512, 1536, 3 * 1024**3)]
        ['512B', '1.50K', '3.00G']
    """
    if size < 1024:
        return f"{size}B"
    amount = size / 1024
    units = "KMGTP"
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units = units[1:]
    return f"{amount:.2f}{units[0]}"
