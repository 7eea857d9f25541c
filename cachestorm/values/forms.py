"""The forms of values: what a cache with `codec=`, `copy=` and so on does as they come and go.

A cache has one `Forms`, or None if it stores values as they are given. Called by commands
before they take the lock and after they have given it back: what is called here is a user's.

1. This is about objects: bytes, texts, numbers, None and bools cannot be changed by anybody,
   and are stored as they are.
2. The form of an object is made when it is written and travels in a `Boxed`. `take` makes it,
   `give` opens it. Clients on the wire never get there: they see the bytes of `Stored.wire`.
3. So a codec decodes only what this cache has encoded. What the wire writes is bytes and stays
   bytes: nothing that a client sends is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from mypy_extensions import i64

from cachestorm.codec import Stored, json_of, object_of, to_wire
from cachestorm.errors import ArgumentError, CodecError, ConfigError, MutatedValueError
from cachestorm.values.weights import BOX_WEIGHT, Boxed, box, is_scalar, unbox, weigh

# what a form takes beside its bytes
STORED_WEIGHT: Final = 64
CODECS: Final = ("json", "msgpack", "pickle")

# what a user's encode returns is looked at, and may be anything
Encode = Callable[[object], object]
Decode = Callable[[bytes], object]


class Encoded(Stored):
    """An object as the bytes that a codec has made of it; each reader gets one of its own."""

    def __init__(self, raw: bytes, decode: Decode) -> None:
        self._raw: Final = raw
        self._decode: Final = decode

    def load(self) -> object:
        try:
            return self._decode(self._raw)
        except CodecError:
            raise
        except Exception as error:
            raise CodecError(f"the codec cannot decode what it has encoded: {error}") from error

    def wire(self) -> bytes:
        return self._raw


class Copied(Stored):
    """An object that nobody else has; each reader gets a copy of it."""

    def __init__(self, value: object, copy: Callable[[object], object]) -> None:
        self._value: Final = value
        self._copy: Final = copy

    def load(self) -> object:
        return self._copy(self._value)

    def wire(self) -> bytes:
        return to_wire(self._value)


class Watched(Stored):
    """An object as it was given, and a fingerprint of what it was like then."""

    def __init__(self, value: object, raises: bool) -> None:
        self._value: Final = value
        self._raises: Final = raises
        self._fingerprint: bytes = _fingerprint(value)

    def load(self) -> object:
        value = self._value
        found = _fingerprint(value)
        if found != self._fingerprint:
            shown = f"{value!r:.200}"
            error = MutatedValueError(
                f"a stored {type(value).__name__} was changed outside of the cache: {shown}"
            )
            if self._raises:
                raise error
            import logging

            # once for each change
            self._fingerprint = found
            logging.getLogger("cachestorm").warning("%s", error, stack_info=True)
        return value

    def wire(self) -> bytes:
        return to_wire(self._value)


class Forms:
    """What a cache does with values beyond storing them.

    Attributes:
        is_opening: whether reads have to go through `give`.
    """

    def __init__(
        self,
        codec: object,
        copy: object,
        decode: object,
        weigher: object,
        detect_mutation: object,
    ) -> None:
        self._encode: Encode | None = None
        self._decode: Decode | None = None
        self._copy: Callable[[object], object] | None = _copy_of(copy)
        self._encoding: Final = _encoding_of(decode)
        self._weigher: Callable[[object], object] | None = None
        self._watches: Final = _is_flag_or_log(detect_mutation)
        self._raises: Final = detect_mutation is True
        if codec is not None:
            self._encode, self._decode = codec_of(codec)
        if weigher is not None:
            if not callable(weigher):
                raise TypeError(f"a weigher is called, which {weigher!r} cannot be")
            self._weigher = weigher
        if self._watches and (codec is not None or self._copy is not None):
            raise ConfigError("detect_mutation has nothing to detect with codec or copy")
        if self._copy is not None and codec is not None:
            raise ConfigError("copy and codec exclude each other: a codec makes copies")
        self.is_opening: Final[bool] = (
            codec is not None or self._copy is not None or self._encoding != "" or self._watches
        )

    def take(self, value: object) -> object:
        """A value as the store is to hold it.

        Raises:
            ArgumentError: for MISSING and UNSET, and a weigher that gives no size.
            CodecError: for what the codec cannot encode.
        """
        if is_scalar(value):
            return value
        size: i64 = -1
        if self._weigher is not None:
            size = _size_from(self._weigher, value)
        encode = self._encode
        decode = self._decode
        copy = self._copy
        stored: object = value
        if encode is not None and decode is not None:
            # it refuses what stands for no value
            raw = _encoded(encode, _checked(value))
            stored = Encoded(raw, decode)
            if size < 0:
                size = weigh(raw) + STORED_WEIGHT
        elif copy is not None:
            stored = Copied(copy(_checked(value)), copy)
        elif self._watches:
            stored = Watched(_checked(value), self._raises)
        if size < 0:
            held = box(value)
            if stored is value:
                return held
            return Boxed(stored, cast(Boxed, held).size_bytes + STORED_WEIGHT)
        return Boxed(_checked(stored), size + BOX_WEIGHT)

    def held(self, raw: bytes) -> object:
        """What the store is to hold of an object, from the bytes that the codec made of it.

        Raises:
            CodecError: if there is no codec now.
        """
        decode = self._decode
        if decode is None:
            raise CodecError("it was encoded by a codec: make the cache with the same codec=")
        return Boxed(Encoded(raw, decode), weigh(raw) + STORED_WEIGHT + BOX_WEIGHT)

    def give(self, value: object) -> object:
        """A stored value as the caller gets it.

        Raises:
            CodecError: for what the codec cannot decode.
            MutatedValueError: for an object that was changed.
        """
        if isinstance(value, Stored):
            return value.load()
        if self._encoding != "" and type(value) is bytes:
            return value.decode(self._encoding, "surrogateescape")
        return value

    def fresh(self, value: object) -> object:
        """What a reader would get had the value been stored: for one that a loader has made."""
        if self._encode is None and self._copy is None:
            return self.give(value)
        return self.give(unbox(self.take(value)))


def forms_of(
    codec: object, copy: object, decode: object, weigher: object, detect_mutation: object
) -> Forms | None:
    """What a cache does with values; None if it does nothing.

    Raises:
        ConfigError: for a codec, an encoding or a combination that there is not.
        TypeError: for what is of the wrong type.
    """
    if (
        codec is None
        and copy is False
        and decode is None
        and weigher is None
        and detect_mutation is False
    ):
        return None
    return Forms(codec, copy, decode, weigher, detect_mutation)


def opened(found: object) -> object:
    """A list of what SORT has found, in which whole values may be, with the objects."""
    if not isinstance(found, list):
        return found
    return [each.load() if isinstance(each, Stored) else each for each in found]


def _checked(value: object) -> object:
    # `box` knows what stands for no value; the size that it finds is not wanted here
    from cachestorm.markers import MISSING, UNSET

    if value is MISSING or value is UNSET:
        raise ArgumentError(f"{value!r} stands for no value: it cannot be stored")
    return value


def _size_from(weigher: Callable[[object], object], value: object) -> i64:
    size = weigher(value)
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 62:
        raise ArgumentError(f"a weigher gives a size in bytes, not {size!r}")
    return size


def _encoded(encode: Encode, value: object) -> bytes:
    raw: object = None
    try:
        raw = encode(value)
    except CodecError:
        raise
    except Exception as error:
        raise CodecError(
            f"the codec cannot encode a value of type {type(value).__name__}: {error}"
        ) from error
    if type(raw) is not bytes:
        raise CodecError(f"the codec encodes into bytes, not {type(raw).__name__}")
    return raw


def codec_of(codec: object) -> tuple[Encode, Decode]:
    """How a codec, given by its name or as an object, encodes and decodes.

    Raises:
        ConfigError: for what is none.
    """
    if codec == "json":
        return json_of, object_of
    if codec == "pickle":
        return _pickle_codec()
    if codec == "msgpack":
        return _msgpack_codec()
    encode: Any = getattr(codec, "encode", None)
    decode: Any = getattr(codec, "decode", None)
    if isinstance(codec, str) or not (callable(encode) and callable(decode)):
        raise ConfigError(
            f"codec is one of {', '.join(CODECS)}, or an object with encode and decode, "
            f"not {codec!r}"
        )
    return encode, decode


def _pickle_codec() -> tuple[Encode, Decode]:
    import pickle

    return partial_of(pickle.dumps, protocol=pickle.HIGHEST_PROTOCOL), pickle.loads


def _msgpack_codec() -> tuple[Encode, Decode]:
    try:
        import msgpack  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise ConfigError(
            "codec='msgpack' needs the package msgpack: pip install 'cachestorm[msgpack]'"
        ) from error
    return msgpack.packb, partial_of(msgpack.unpackb, strict_map_key=False)


def partial_of(function: Any, **settings: object) -> Any:
    """A function with some of its arguments."""
    from functools import partial

    return partial(function, **settings)


def _copy_of(copy: object) -> Callable[[object], object] | None:
    if copy is False:
        return None
    if copy is True:
        from copy import deepcopy

        return deepcopy
    if not callable(copy):
        raise TypeError(f"copy is True, False, or a function that copies, not {copy!r}")
    return copy


def _encoding_of(decode: object) -> str:
    if decode is None:
        return ""
    if not isinstance(decode, str):
        raise TypeError(f"decode is the name of an encoding, such as 'utf-8', not {decode!r}")
    import codecs

    try:
        return codecs.lookup(decode).name
    except LookupError as error:
        raise ConfigError(f"decode is an encoding, such as 'utf-8', not {decode!r}") from error


def _is_flag_or_log(detect_mutation: object) -> bool:
    if not (detect_mutation is True or detect_mutation is False or detect_mutation == "log"):
        raise ConfigError(f"detect_mutation is True, False or 'log', not {detect_mutation!r}")
    return detect_mutation is not False


def _fingerprint(value: object) -> bytes:
    """What changes with an object; nothing for one that cannot be pickled."""
    import hashlib
    import pickle

    try:
        raw = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:
        return b""
    return hashlib.blake2b(raw, digest_size=16).digest()
