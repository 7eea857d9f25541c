"""The codecs: how a connected cache keeps objects, as its user has asked for.

Called by `connect`.
"""

from __future__ import annotations

from typing import Any

from cachestorm.envelope import Envelope
from cachestorm.errors import CodecError
from cachestorm.values.forms import codec_of


class _Given:
    """A codec by its name or as a user's object."""

    def __init__(self, codec: object) -> None:
        self._encode, self._decode = codec_of(codec)

    def encode(self, value: Any) -> bytes:
        encoded = self._encode(value)
        if not isinstance(encoded, bytes):
            raise CodecError(f"encode of the codec gives bytes, not {encoded!r}")
        return encoded

    def decode(self, data: bytes) -> Any:
        return self._decode(data)


def envelope_of(codec: object) -> Envelope:
    """An envelope with a codec, given as to `Cache`; None for JSON.

    Raises:
        ConfigError: for what is no codec.
    """
    return Envelope(None if codec is None else _Given(codec))
