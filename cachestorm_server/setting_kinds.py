"""Kinds of settings: how the value of one is read, and what would be right instead.

Called by the configuration with what a YAML file holds, or with text of the environment or a
flag. A kind raises ValueError or TypeError for what it cannot read; the caller says where it
was and adds `expects`. What it spells, it reads again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cachestorm.eviction.policies import POLICIES
from cachestorm.eviction.sampled import MOST_SAMPLES
from cachestorm.operations.lifetimes import milliseconds_of
from cachestorm.sizes import parse_size

_YES: Final = ("true", "yes", "on", "1")
_NO: Final = ("false", "no", "off", "0")


def _as_it_is(value: object) -> object:
    if not isinstance(value, tuple):
        return value
    return value[0] if len(value) == 1 else list(value)


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to read a value.

    Attributes:
        read: the value as the server uses it.
        expects: what would be right, in words.
        schema: the same for editors, in JSON Schema.
        spell: a value as a file would say it.
        secret: nothing that is printed may have the value.
        item: of a table, what each of its values is.
    """

    read: Callable[[object], object]
    expects: str
    schema: Mapping[str, object] = field(default_factory=dict, hash=False)
    spell: Callable[[object], object] = _as_it_is
    secret: bool = False
    item: Kind | None = None


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

    return Kind(read, f"a whole number from {least} to {most}", _integer(least, most))


def _integer(least: int, most: int) -> Mapping[str, object]:
    return {"type": "integer", "minimum": least, "maximum": most}


def one_of(names: Iterable[str]) -> Kind:
    """One of some names, in any case."""
    known = tuple(names)

    def read(raw: object) -> str:
        if raw is False and "no" in known:
            # YAML's word for false, as `yes` is for true
            return "no"
        if raw is True and "yes" in known:
            return "yes"
        if not isinstance(raw, str) or raw.strip().lower() not in known:
            raise ValueError
        return raw.strip().lower()

    return Kind(read, f"one of {', '.join(known)}", {"enum": list(known)})


def table_of(item: Kind) -> Kind:
    """Values of one kind, by names that the file chooses; as text `name=value, name=value`."""

    def read(raw: object) -> dict[str, object]:
        pairs = raw
        if isinstance(raw, str):
            words = [word.rpartition("=") for word in _words(raw)]
            if not all(equals for _, equals, _ in words):
                raise ValueError
            pairs = {name: value for name, _, value in words}
        if not isinstance(pairs, dict):
            raise ValueError
        return {str(name): item.read(value) for name, value in pairs.items()}

    def spell(value: object) -> object:
        assert isinstance(value, Mapping)
        return {name: item.spell(one) for name, one in value.items()}

    schema = {"type": "object", "additionalProperties": item.schema}
    return Kind(read, f"names, each with {item.expects}", schema, spell, item=item)


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


def _word(raw: object) -> str:
    """A text, number or switch, in Redis' words."""
    if isinstance(raw, bool):
        return "yes" if raw else "no"
    if isinstance(raw, (int, float)):
        return str(raw)
    return _text(raw)


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


def _address(raw: object) -> str:
    """A host and a port; nothing for none."""
    text = _text(raw).strip()
    if not text:
        return ""
    host, _, port = text.rpartition(" " if " " in text else ":")
    bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not bare or (":" in bare and bare == host) or not port.isdecimal():
        raise ValueError
    if not 0 < int(port) <= 65535:
        raise ValueError
    return f"{host}:{port}"


def _duration_us(raw: object) -> int:
    text = raw.strip().lower() if isinstance(raw, str) else ""
    if text.endswith(("us", "µs")) and text[:-2].strip().isdecimal():
        return int(text[:-2])
    return _duration_ms(raw) * 1000


def _decimal(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
        raise ValueError
    return float(raw)


def _spell_size(value: object) -> object:
    assert isinstance(value, int)
    return _spelled(value, (("tb", 1 << 40), ("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)))


def _spell_ms(value: object) -> object:
    assert isinstance(value, int)
    units = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
    return _spelled(value, units)


def _spell_s(value: object) -> object:
    assert isinstance(value, int)
    return _spell_ms(value * 1000)


def _spell_us(value: object) -> object:
    assert isinstance(value, int)
    return f"{value}us" if value % 1000 else _spell_ms(value // 1000)


def _spelled(value: int, units: tuple[tuple[str, int], ...]) -> object:
    """A number in the largest unit that divides it; 0 and what no unit divides as it is."""
    for unit, size in units:
        if value and value % size == 0:
            return f"{value // size}{unit}"
    return value


_STRING: Final = {"type": "string"}
_WORD_LIST: Final = {"type": ["array", "string"], "items": _STRING}
_QUANTITY: Final = {"type": ["integer", "string"]}
_TIME: Final = {"type": ["number", "string"]}

_A_DURATION: Final = "a duration: 10ms, 5s, 5m, 2h, 7d, or seconds"
_A_TEXT: Final = "a text; in quotes, if it is made of digits"

SWITCH: Final = Kind(_switch, "true or false", {"type": "boolean"})
PORT: Final = Kind(
    whole(0, 65535).read, "a port from 0 to 65535 (0: any free one)", _integer(0, 65535)
)
SAMPLES: Final = whole(1, MOST_SAMPLES)
COUNT: Final = Kind(
    whole(1, 2**31 - 1).read, "a whole number, at least 1", _integer(1, 2**31 - 1)
)
LIMIT: Final = Kind(whole(0, 2**62).read, "a whole number (0: no limit)", _integer(0, 2**62))
INTEGER: Final = whole(-(2**63), 2**63 - 1)
NUMBER: Final = Kind(_decimal, "a number", {"type": "number"})
PERCENT: Final = whole(0, 100)
SIZE: Final = Kind(_size, "a size: bytes, or 64kb, 256mb, 2gb, 1tb", _QUANTITY, _spell_size)
DURATION_US: Final = Kind(
    _duration_us, "a duration: 500us, 10ms, 5s, or seconds", _TIME, _spell_us
)
DURATION_MS: Final = Kind(_duration_ms, _A_DURATION, _TIME, _spell_ms)
DURATION_S: Final = Kind(
    _duration_s, "a duration in whole seconds: 5s, 5m, 2h, 7d, or seconds", _TIME, _spell_s
)
ADDRESSES: Final = Kind(
    _addresses, "one or more addresses: 127.0.0.1, or [127.0.0.1, '::1']", _WORD_LIST
)
ADDRESS: Final = Kind(_address, "an address: host:port, or [v6]:port", _STRING)
WORDS: Final = Kind(_words, "a list, or comma-separated words", _WORD_LIST)
TEXT: Final = Kind(_text, _A_TEXT, _STRING)
WORD: Final = Kind(
    _word, "a text, a number, yes or no", {"type": ["string", "number", "boolean"]}
)
NAME: Final = Kind(_name, "a text that is not empty", _STRING)
URL_PATH: Final = Kind(_path, "a path that starts with /: /metrics", _STRING)
FILE: Final = Kind(_file, "the path of a file", _STRING)
MODE: Final = Kind(_mode, "permissions as chmod takes them, in quotes: '0700'", _STRING)
SECRET: Final = Kind(_text, _A_TEXT, _STRING, secret=True)
POLICY: Final = one_of(POLICIES)
