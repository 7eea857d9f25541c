"""Kinds of settings: how the value of one is read, and what would be right instead.

Called by the configuration with what a YAML file holds, or with text of the environment or a
flag. A kind raises ValueError or TypeError for what it cannot read; the caller says where it
was and adds `expects`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cachestorm.eviction.policies import POLICIES
from cachestorm.eviction.sampled import MOST_SAMPLES
from cachestorm.operations.lifetimes import milliseconds_of
from cachestorm.sizes import parse_size

_YES: Final = ("true", "yes", "on", "1")
_NO: Final = ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to read a value.

    Attributes:
        read: the value as the server uses it.
        expects: what would be right, in words.
        secret: a refusal must not repeat the value.
    """

    read: Callable[[object], object]
    expects: str
    secret: bool = False


def _number(raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.strip().isascii() and raw.strip().isdigit():
        return int(raw)
    raise ValueError


def whole(least: int, most: int) -> Kind:
    """A whole number within a range."""

    def read(raw: object) -> int:
        number = _number(raw)
        if not least <= number <= most:
            raise ValueError
        return number

    return Kind(read, f"a whole number from {least} to {most}")


def one_of(names: Iterable[str]) -> Kind:
    """One of some names, in any case."""
    known = tuple(names)

    def read(raw: object) -> str:
        if not isinstance(raw, str) or raw.strip().lower() not in known:
            raise ValueError
        return raw.strip().lower()

    return Kind(read, f"one of {', '.join(known)}")


def _switch(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = raw.strip().lower() if isinstance(raw, str) else ""
    if word not in _YES and word not in _NO:
        raise ValueError
    return word in _YES


def _size(raw: object) -> int:
    if not isinstance(raw, (int, str)):
        raise ValueError
    return parse_size(raw)


def _duration_ms(raw: object) -> int:
    duration = raw.strip() if isinstance(raw, str) else raw
    if not isinstance(duration, (int, float, str)):
        raise ValueError
    milliseconds = milliseconds_of(duration)
    if milliseconds < 0:
        raise ValueError
    return milliseconds


def _duration_s(raw: object) -> int:
    seconds, rest = divmod(_duration_ms(raw), 1000)
    if rest:
        raise ValueError
    return seconds


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError
    return raw


def _name(raw: object) -> str:
    name = _text(raw).strip()
    if not name:
        raise ValueError
    return name


def _path(raw: object) -> str:
    path = _text(raw).strip()
    if not path.startswith("/") or len(path) < 2 or set(path) & set(" {}?#"):
        raise ValueError
    return path


def _file(raw: object) -> str:
    return "" if raw is None else _text(raw).strip()


def _mode(raw: object) -> str:
    # YAML reads 0700 and 700 as different numbers: a text has one meaning
    digits = _text(raw).strip()
    if not digits.isascii() or not digits.isdigit():
        raise ValueError
    mode = int(digits, 8)
    if mode > 0o777:
        raise ValueError
    return f"{mode:04o}"


def _words(raw: object) -> tuple[str, ...]:
    parts = raw.replace(",", " ").split() if isinstance(raw, str) else raw
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError
    return tuple(part.strip() for part in parts)


def _addresses(raw: object) -> tuple[str, ...]:
    addresses = _words(raw)
    if not addresses or not all(addresses):
        raise ValueError
    return addresses


SWITCH: Final = Kind(_switch, "true or false")
PORT: Final = Kind(whole(0, 65535).read, "a port from 0 to 65535 (0: any free one)")
SAMPLES: Final = whole(1, MOST_SAMPLES)
COUNT: Final = Kind(whole(1, 2**31 - 1).read, "a whole number, at least 1")
LIMIT: Final = Kind(whole(0, 2**62).read, "a whole number (0: no limit)")
PERCENT: Final = whole(0, 100)
SIZE: Final = Kind(_size, "a size: bytes, or 64kb, 256mb, 2gb, 1tb")
DURATION_MS: Final = Kind(_duration_ms, "a duration: 10ms, 5s, 5m, 2h, 7d, or seconds")
DURATION_S: Final = Kind(_duration_s, "a duration in whole seconds: 5s, 5m, 2h, 7d, or seconds")
ADDRESSES: Final = Kind(_addresses, "one or more addresses: 127.0.0.1, or [127.0.0.1, '::1']")
WORDS: Final = Kind(_words, "a list, or comma-separated words")
TEXT: Final = Kind(_text, "a text; in quotes, if it is made of digits")
NAME: Final = Kind(_name, "a text that is not empty")
PATH: Final = Kind(_path, "a path that starts with /: /metrics")
FILE: Final = Kind(_file, "the path of a file")
MODE: Final = Kind(_mode, "permissions as chmod takes them, in quotes: '0700'")
SECRET: Final = Kind(_text, "a text; in quotes, if it is made of digits", secret=True)
POLICY: Final = one_of(POLICIES)
