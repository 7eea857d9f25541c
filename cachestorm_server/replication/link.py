"""The link: what a primary sends to its replicas, as bytes.

Pure functions, and a parser without I/O. Both ends speak RESP until `FOLLOW FROM` has been
answered; from there on the primary sends messages, and the replica sends `FOLLOW ACK`, which
has no reply:

    message   byte: kind; length of the body in 4 bytes, the low one first; the body
    FULL      history (40 hex digits), offset: all that the replica has goes; images come
    CONTINUE  history, offset: what it has is good up to there, and goes on by that name
    FRAMES    frames of the journal; the offset grows by their length
    IMAGES    frames with images of keys; the offset stays
    COMPLETE  the images of all keys have come
    BEAT      offset, and whom the primary follows: run ids of 40 hex digits, the nearest first
    ASK       the replica is to say at once how far it is; with a byte, once that is on its disk
    PUBLISHED byte: kind of the channel; length of its name in 4 bytes, the low one first; its
              name; what was published
    LIBRARIES all libraries of functions that there are, as `payload/libraries.py` says

An offset is 8 bytes, the low one first. A frame is what `durability/frames.py` says.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Iterator
from typing import Final, NamedTuple

from cachestorm.channels import CHANNEL, SHARD
from cachestorm.durability.frames import BODY_HEAD, FRAME_HEAD
from cachestorm.errors import PayloadError

# The version of the messages, of the frames and of their records. A replica reads all up to its
# own.
VERSION: Final = 1

FULL: Final = 1
CONTINUE: Final = 2
FRAMES: Final = 3
IMAGES: Final = 4
COMPLETE: Final = 5
BEAT: Final = 6
ASK: Final = 7
PUBLISHED: Final = 8
LIBRARIES: Final = 9

ID_LETTERS: Final = 40
HEAD_BYTES: Final = 5
# what is longer is no message: a single key may be that large
LONGEST: Final = 0xFFFF_FFFF
_OFFSET_BYTES: Final = 8
_LENGTH_BYTES: Final = 4


class Message(NamedTuple):
    """One message.

    Attributes:
        kind: FULL to LIBRARIES.
        body: as the table says.
    """

    kind: int
    body: bytes


def message(kind: int, body: bytes = b"") -> bytes:
    """A message as bytes."""
    return bytes((kind,)) + len(body).to_bytes(HEAD_BYTES - 1, "little") + body


def request(words: list[str]) -> bytes:
    """What a replica says, in RESP."""
    raw = [word.encode("utf-8", "surrogateescape") for word in words]
    return b"*%d\r\n" % len(raw) + b"".join([b"$%d\r\n%b\r\n" % (len(a), a) for a in raw])


def place(history: str, offset: int) -> bytes:
    """The body of FULL and of CONTINUE."""
    return history.encode("ascii") + offset.to_bytes(_OFFSET_BYTES, "little")


def read_place(body: bytes) -> tuple[str, int]:
    """The history and the offset in there.

    Raises:
        PayloadError: for anything else.
    """
    if len(body) != ID_LETTERS + _OFFSET_BYTES or not body[:ID_LETTERS].isalnum():
        raise PayloadError()
    offset = int.from_bytes(body[ID_LETTERS:], "little")
    return body[:ID_LETTERS].decode("ascii", "replace"), offset


def beat(offset: int, followed: tuple[str, ...]) -> bytes:
    """The body of BEAT."""
    return offset.to_bytes(_OFFSET_BYTES, "little") + "".join(followed).encode("ascii")


def read_beat(body: bytes) -> tuple[int, tuple[str, ...]]:
    """The offset and the run ids in there.

    Raises:
        PayloadError: for anything else.
    """
    if len(body) < _OFFSET_BYTES or (len(body) - _OFFSET_BYTES) % ID_LETTERS != 0:
        raise PayloadError()
    ids = body[_OFFSET_BYTES:].decode("ascii", "replace")
    starts = range(0, len(ids), ID_LETTERS)
    offset = int.from_bytes(body[:_OFFSET_BYTES], "little")
    return offset, tuple(ids[at : at + ID_LETTERS] for at in starts)


def published(kind: int, channel: bytes, data: bytes) -> bytes:
    """The body of PUBLISHED."""
    return bytes((kind,)) + len(channel).to_bytes(_LENGTH_BYTES, "little") + channel + data


def read_published(body: bytes) -> tuple[int, bytes, bytes]:
    """The kind, the channel and the data in there.

    Raises:
        PayloadError: for anything else.
    """
    start = 1 + _LENGTH_BYTES
    end = start + int.from_bytes(body[1:start], "little")
    if len(body) < max(start, end) or body[0] not in (CHANNEL, SHARD):
        raise PayloadError()
    return body[0], body[start:end], body[end:]


def bodies(frames: bytes) -> Iterator[bytes]:
    """The bodies of whole frames.

    Raises:
        PayloadError: if they are not what their checksums say.
    """
    at = 0
    while at < len(frames):
        start = at + FRAME_HEAD
        length = int.from_bytes(frames[at : at + 4], "little")
        body = frames[start : start + length]
        if len(body) != length or length < BODY_HEAD:
            raise PayloadError()
        if crc32(body) != int.from_bytes(frames[at + 4 : start], "little"):
            raise PayloadError()
        yield body
        at = start + length


class Parser:
    """Makes messages of bytes as they come."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """What is whole by now."""
        self._data += data
        at = 0
        try:
            while len(self._data) - at >= HEAD_BYTES:
                start = at + HEAD_BYTES
                length = int.from_bytes(self._data[at + 1 : start], "little")
                if len(self._data) - start < length:
                    return
                kind, at = self._data[at], start + length
                yield Message(kind, bytes(self._data[start:at]))
        finally:
            del self._data[:at]
