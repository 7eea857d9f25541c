"""How the values of a framework's cache become bytes, and who may have written them.

Called by the stores of `contrib`. Frameworks pickle what they cache, and so do their backends
here. A pickle that somebody else wrote runs their code. Therefore what leaves the process is
signed by the framework's secret.

1. In this process nothing is signed. `str`, `int` and `float` are kept as they are; all else
   is serialized, so that nobody can change what is cached.
2. On a server an integer of 64 bits is kept as its digits, so that INCR works; all else is a
   signature and what the serializer made. The signature covers the key: a value does not count
   under another one.
3. What is not signed by one of the secrets is never given to the serializer: it is missing,
   and is counted.
"""

from __future__ import annotations

import hmac
import importlib
import json
import logging
import pickle
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from cachestorm.errors import ConfigError
from cachestorm.markers import MISSING
from cachestorm.suggestions import did_you_mean

logger = logging.getLogger("cachestorm.contrib")

DIGEST = "sha256"
DIGEST_BYTES = 32
# what INCR can add to; others are serialized
LEAST, MOST = -(2**63), 2**63 - 1
# no decimal digit: tells a signed value from an integer
MARK = b"="


class Serializer(Protocol):
    """Between any value and bytes."""

    def dumps(self, value: Any, /) -> bytes:
        """A value as bytes."""

    def loads(self, data: bytes, /) -> Any:
        """The value that these bytes are."""


class PickleSerializer:
    """Any Python object that can be pickled: the default, as in the frameworks."""

    def dumps(self, value: Any, /) -> bytes:
        """A value as a pickle.

        Raises:
            pickle.PicklingError: for what cannot be pickled.
        """
        try:
            return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except (AttributeError, TypeError) as error:
            kind = type(value).__qualname__
            raise pickle.PicklingError(f"cannot pickle a value of {kind}: {error}") from error

    # no method around it: this is what a hit costs
    loads = staticmethod(pickle.loads)


class JsonSerializer:
    """What JSON has; tuples come back as lists."""

    def dumps(self, value: Any, /) -> bytes:
        """A value as JSON."""
        return json.dumps(value, separators=(",", ":")).encode()

    def loads(self, data: bytes, /) -> Any:
        """The value in a JSON text."""
        return json.loads(data)


class MsgpackSerializer:
    """What MessagePack has; tuples come back as lists. Needs the package `msgpack`."""

    def __init__(self) -> None:
        import msgpack

        self._pack = msgpack.packb
        self._unpack = msgpack.unpackb

    def dumps(self, value: Any, /) -> bytes:
        """A value as MessagePack."""
        return bytes(self._pack(value))

    def loads(self, data: bytes, /) -> Any:
        """The value in MessagePack's bytes."""
        return self._unpack(data, strict_map_key=False)


NAMED: dict[str, type[Serializer]] = {
    "pickle": PickleSerializer,
    "json": JsonSerializer,
    "msgpack": MsgpackSerializer,
}


def serializer_of(given: object) -> Serializer:
    """The serializer of a name, a dotted path, a class or an object.

    Raises:
        ConfigError: for what is none of these, or lacks `dumps` and `loads`.
    """
    made = given
    if isinstance(given, str):
        if given not in NAMED and "." not in given:
            raise ConfigError(
                f"serializer {given!r} is unknown: use 'pickle', 'json', 'msgpack', or a "
                f"dotted path{did_you_mean([given], NAMED)}"
            )
        made = NAMED.get(given) or _imported(given)
    if isinstance(made, type):
        made = made()
    if not callable(getattr(made, "dumps", None)) or not callable(getattr(made, "loads", None)):
        raise ConfigError(
            f"serializer {given!r}: use 'pickle', 'json', 'msgpack', or the dotted path of "
            "something with dumps(value) and loads(data)"
        )
    return made  # type: ignore[return-value]


def _imported(path: str) -> object:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"serializer {path!r} cannot be imported ({error}): use 'pickle', 'json', "
            "'msgpack', or a dotted path"
        ) from error


class SignedValues:
    """What a remote cache stores for a framework: integers, and signed bytes.

    Attributes:
        refused: how many values had a signature that does not fit.
    """

    def __init__(self, serializer: Serializer, secrets: Sequence[str | bytes]) -> None:
        self._serializer = serializer
        if not secrets or not all(secrets):
            raise ConfigError(
                "values on a server are signed, which needs a secret that is not empty"
            )
        self._secrets = [s.encode() if isinstance(s, str) else s for s in secrets]
        self._lock = threading.Lock()
        self.refused = 0

    def dumps(self, key: str, value: object) -> bytes | int:
        """An integer as it is; for all else the mark, a signature and the serialized value."""
        if type(value) is int and LEAST <= value <= MOST:
            return value
        data = self._serializer.dumps(value)
        return MARK + self._signature(self._secrets[0], key, data) + data

    def loads(self, key: str, stored: bytes) -> object:
        """The value in what is stored, or MISSING."""
        if stored[:1] != MARK:
            try:
                return int(stored)
            except ValueError:
                return self._refuse(key)
        signature = stored[1 : 1 + DIGEST_BYTES]
        data = stored[1 + DIGEST_BYTES :]
        for secret in self._secrets:
            if hmac.compare_digest(signature, self._signature(secret, key, data)):
                return self._serializer.loads(data)
        return self._refuse(key)

    def _refuse(self, key: str) -> object:
        with self._lock:
            self.refused += 1
        logger.warning("%r holds a value without a valid signature, which is not used", key)
        return MISSING

    @staticmethod
    def _signature(secret: bytes, key: str, data: bytes) -> bytes:
        name = key.encode("utf-8", "surrogatepass")
        return hmac.digest(secret, b"%d:%b%b" % (len(name), name, data), DIGEST)
