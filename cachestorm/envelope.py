"""The envelope: how values travel to a server and come back as what they were.

Called for each value that a connected cache sends or receives, and by a server for those of
a client that has asked for it (`declare/typed.py`).

1. Bytes are stored as they are, integers and plain floats as their digits, so that INCR and
   INCRBYFLOAT work and all other clients read them.
2. Everything else is marked: two bytes that text does not begin with, a letter for the
   type, and the value. Bytes that would be taken for a number or for a marked value are marked,
   too.
3. Objects are encoded by a codec, JSON unless another was asked for. Nothing is unpickled
   unless the user asked for pickle.
"""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

from cachestorm.codec import bytes_of, json_of, object_of, text_of
from cachestorm.errors import CodecError

MARK: Final = b"\xc5\x01"
_HEADER: Final = len(MARK) + 1
_STR: Final = MARK + b"s"
_BYTES: Final = MARK + b"b"
_NUMBER: Final = MARK + b"n"
_FLOAT: Final = MARK + b"f"
_OBJECT: Final = MARK + b"o"
_DIGITS: Final = re.compile(rb"(?:0|-?[1-9][0-9]{0,18})\Z")
_DECIMAL: Final = re.compile(rb"-?(?:0|[1-9][0-9]{0,16})\.[0-9]{1,20}\Z")
# what a number may begin with
_FIRST: Final = frozenset(b"-0123456789")


class ObjectCodec(Protocol):
    """Between objects and bytes."""

    def encode(self, value: Any, /) -> bytes:
        """An object as bytes."""

    def decode(self, data: bytes, /) -> Any:
        """The object again."""


class Json:
    """Objects as JSON, as far as JSON tells: tuples come back as lists."""

    def encode(self, value: Any) -> bytes:
        """An object as JSON."""
        return json_of(value)

    def decode(self, data: bytes) -> Any:
        """The object that the JSON is."""
        return object_of(data)


class Envelope:
    """Values as a server stores them.

    Args:
        codec: for everything but bytes, text and numbers; None for JSON.
    """

    def __init__(self, codec: ObjectCodec | None = None) -> None:
        self._codec: Final = codec or Json()

    def dumps(self, value: object) -> bytes:
        """A value as it is stored.

        Raises:
            CodecError: for what the codec has no form for.
        """
        kind = type(value)
        if kind is bytes:
            assert isinstance(value, bytes)
            is_plain = not value or not (value[0] in _FIRST or value.startswith(MARK))
            return value if is_plain or self._is_itself(value) else _BYTES + value
        if isinstance(value, str):
            return _STR + bytes_of(str.__str__(value))
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self.dumps(bytes(value))
        if isinstance(value, int) and not isinstance(value, bool):
            digits = b"%d" % value
            return digits if _DIGITS.match(digits) else _NUMBER + digits
        if isinstance(value, float):
            text = float.__repr__(value).encode()
            return text if _DECIMAL.match(text) else _FLOAT + text
        try:
            return _OBJECT + self._codec.encode(value)
        except CodecError:
            raise
        except Exception as error:
            raise CodecError(
                f"a value of type {kind.__name__} cannot be encoded: {error}"
            ) from error

    def _is_itself(self, value: bytes) -> bool:
        """Whether bytes that look like something else are not."""
        is_number = _DIGITS.match(value) or _DECIMAL.match(value)
        return not is_number and not value.startswith(MARK)

    def loads(self, stored: bytes) -> Any:
        """The value that is stored.

        Raises:
            CodecError: for a marked value that is damaged.
        """
        if stored[:2] == MARK:
            return self._opened(stored)
        if stored and stored[0] in _FIRST:
            if _DIGITS.match(stored):
                return int(stored)
            if _DECIMAL.match(stored):
                return float(stored)
        return stored

    def _opened(self, stored: bytes) -> Any:
        mark, rest = stored[:_HEADER], stored[_HEADER:]
        try:
            if mark == _STR:
                return text_of(rest)
            if mark == _OBJECT:
                return self._codec.decode(rest)
            if mark == _BYTES:
                return rest
            if mark == _NUMBER:
                return int(rest)
            if mark == _FLOAT:
                return float(rest)
        except CodecError:
            raise
        except Exception as error:
            raise CodecError(f"a stored value cannot be decoded: {error}") from error
        # another program's bytes that happen to begin so
        return stored
