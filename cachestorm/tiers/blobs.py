"""Blobs: a value in the bytes that a tier keeps, with what is needed to trust them again.

Pure functions of bytes, called by whoever writes or reads a tier.

    form      1 byte: PLAIN or ZSTD
    checksum  4 bytes, the low one first: CRC-32 of all that follows, the form and the place
    content   what `payload/records.py` makes of the value

1. A blob is of one place: found at another one it is damaged.
2. A value that would come back as something else is not written: see `is_exact`.
3. It is compressed where that saves an eighth. Without a library for zstd nothing is.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

from librt.strings import BytesWriter

from cachestorm.codec import Stored
from cachestorm.errors import CodecError, PayloadError
from cachestorm.payload.entry_snapshot import EntrySnapshot, Loaded
from cachestorm.payload.reader import Reader
from cachestorm.payload.records import read_value, write_value
from cachestorm.values.forms import Encoded, Forms

PLAIN: Final = 0
ZSTD: Final = 1
HEADER: Final = 5
# What is shorter is not worth a try.
LEAST_COMPRESSED: Final = 256
SAVING: Final = 8
LEVEL: Final = 1

Packer = Callable[[bytes], bytes]


def _zstd() -> tuple[Packer, Packer] | None:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]

        return (lambda raw: zstd.compress(raw, LEVEL)), zstd.decompress
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError:
        return None
    # its objects are not for several threads at once
    return (
        lambda raw: zstandard.ZstdCompressor(level=LEVEL).compress(raw),
        lambda raw: zstandard.ZstdDecompressor().decompress(raw),
    )


_ZSTD: Final = _zstd()


def body_of(snapshot: EntrySnapshot, compresses: bool = True) -> bytes | None:
    """The form and the content of a value, or None if it would not come back as it is.

    May run a user's code. The caller does not hold the latch.
    """
    if not is_exact(snapshot):
        return None
    out = BytesWriter()
    try:
        write_value(out, snapshot, True)
    except (CodecError, RuntimeError):
        # one that JSON does not carry, or that somebody changes meanwhile
        return None
    content = out.getvalue()
    form = PLAIN
    if compresses and _ZSTD is not None and len(content) >= LEAST_COMPRESSED:
        packed = _ZSTD[0](content)
        if len(packed) <= len(content) - len(content) // SAVING:
            form, content = ZSTD, packed
    return bytes((form,)) + content


def sealed(place: int, body: bytes) -> bytes:
    """The blob of a body that is to be at a place; HEADER - 1 bytes longer."""
    return body[:1] + _checksum(place, body[0], body[1:]) + body[1:]


def unsealed(place: int, blob: bytes) -> bytes:
    """The body of a blob that was found at a place.

    Raises:
        PayloadError: if it is damaged, or of another place.
    """
    content = blob[HEADER:]
    if len(blob) < HEADER or blob[1:HEADER] != _checksum(place, blob[0], content):
        raise PayloadError()
    return blob[:1] + content


def value_of(place: int, blob: bytes, forms: Forms | None) -> Loaded:
    """The value of a blob that was found at a place. May run a user's code: a weigher.

    Raises:
        PayloadError: if it is damaged.
    """
    body = unsealed(place, blob)
    content = body[1:]
    if body[0] == ZSTD and _ZSTD is not None:
        try:
            content = _ZSTD[1](content)
        except Exception as error:  # each library has a class of its own
            raise PayloadError() from error
    elif body[0] != PLAIN:
        raise PayloadError()
    reader = Reader(content, 0, len(content))
    reader.forms = forms
    found = read_value(reader)
    if not reader.is_done():
        raise PayloadError()
    return found


def is_exact(snapshot: EntrySnapshot) -> bool:
    """Whether a value comes back from its bytes as it was, with the same types in it.

    So it is with scalars, with what a codec has encoded, and with what JSON is made of. Any
    other object of a cache without a codec would come back as another one.
    """
    return all(_is_exact(value) for value in snapshot.values)


def _is_exact(value: object) -> bool:
    kind = type(value)
    if kind is bytes or isinstance(value, Encoded):
        return True
    if isinstance(value, Stored):
        # a copy, or what the cache has a fingerprint of: as the object that was given
        return _is_json(value.load(), 0)
    return _is_json(value, 0)


def _is_json(value: object, depth: int) -> bool:
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool or value is None:
        return True
    if depth > 100:
        return False
    if kind is list:
        return all(_is_json(each, depth + 1) for each in value)  # type: ignore[attr-defined]
    if kind is dict:
        return all(
            type(name) is str and _is_json(each, depth + 1)
            for name, each in value.items()  # type: ignore[attr-defined]
        )
    return False


def _checksum(place: int, form: int, content: bytes) -> bytes:
    found = zlib.crc32(place.to_bytes(8, "little") + bytes((form,)), zlib.crc32(content))
    return found.to_bytes(4, "little")
