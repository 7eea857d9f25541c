"""The wire: messages of the bus as bytes, and back. Sans-IO.

Called by the bus. A frame is its length, a digest and a body:

    4 bytes    length of what follows, big-endian
    32 bytes   HMAC-SHA256 of the body by the shared secret
    the rest   the body, in msgpack: version, time in milliseconds, salt, message

1. Whoever does not know the secret can make no frame. Without a secret the digest only finds
   out what was damaged, and the bus listens on this host alone.
2. A frame is good for `FRESH_MS` and once: a copy of it is refused, as is one that is late.
   Clocks may differ by as much.
3. A length is a claim: one beyond `MOST_BYTES` ends the connection before anything is read.
4. The version comes first, so that a later one can say of itself what it is; a message of a
   version that is not known is refused by name.
"""

from __future__ import annotations

import hmac
import os
from collections import deque
from hashlib import sha256
from typing import Final

import msgpack

from cachestorm_server.cluster.messages import Message, MessageError, from_plain

VERSION: Final = 1
MOST_BYTES: Final = 8 * 1024 * 1024
FRESH_MS: Final = 60_000
HEAD_BYTES: Final = 4
_DIGEST_BYTES: Final = 32
# tags are of any bytes
_ANY_BYTES: Final = "surrogateescape"


class FrameError(MessageError):
    """What came is no frame of this cluster's; its connection is no good."""


class Wire:
    """What one node writes and reads.

    Args:
        secret: what all nodes of the cluster know; may be empty.
    """

    def __init__(self, secret: str) -> None:
        self._secret: Final = secret.encode("utf-8")
        self._seen: Final[set[bytes]] = set()
        self._order: Final[deque[tuple[int, bytes]]] = deque()

    def written(self, message: Message, now_ms: int) -> bytes:
        """The frame of a message.

        Args:
            now_ms: since 1970.
        """
        parts = [VERSION, now_ms, os.urandom(12), message.to_plain()]
        body: bytes = msgpack.packb(parts, unicode_errors=_ANY_BYTES)
        return (_DIGEST_BYTES + len(body)).to_bytes(HEAD_BYTES, "big") + self._sign(body) + body

    def length(self, head: bytes) -> int:
        """How many bytes of a frame follow its first four.

        Raises:
            FrameError: for more than any frame has.
        """
        length = int.from_bytes(head, "big")
        if not _DIGEST_BYTES < length <= MOST_BYTES:
            raise FrameError(f"a frame of {length} bytes")
        return length

    def read(self, frame: bytes, now_ms: int) -> Message:
        """The message of a frame without its first four bytes.

        Raises:
            FrameError: if it is forged, damaged, late or a copy.
            MessageError: if it holds no message of a version that is known.
        """
        digest, body = frame[:_DIGEST_BYTES], frame[_DIGEST_BYTES:]
        if not hmac.compare_digest(digest, self._sign(body)):
            raise FrameError("a frame that is not signed with the secret of this cluster")
        try:
            parts = msgpack.unpackb(body, raw=False, unicode_errors=_ANY_BYTES)
        except (ValueError, msgpack.UnpackException) as error:
            raise MessageError(f"no msgpack: {error}") from error
        if not isinstance(parts, list) or not parts or type(parts[0]) is not int:
            raise MessageError("no message")
        if parts[0] != VERSION:
            raise MessageError(f"version {parts[0]} of the bus; this node speaks {VERSION}")
        if len(parts) != 4 or type(parts[1]) is not int or not isinstance(parts[2], bytes):
            raise MessageError("no message")
        self._check_fresh(parts[1], digest, now_ms)
        return from_plain(parts[3])

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, sha256)

    def _check_fresh(self, sent_ms: int, digest: bytes, now_ms: int) -> None:
        if abs(now_ms - sent_ms) > FRESH_MS:
            raise FrameError(
                f"a frame that is {abs(now_ms - sent_ms) // 1000} s off: is it a copy, or do "
                "the clocks of the nodes differ?"
            )
        while self._order and self._order[0][0] < now_ms:
            self._seen.discard(self._order.popleft()[1])
        if digest in self._seen:
            raise FrameError("a frame that has come before")
        self._seen.add(digest)
        # a copy of it would be refused as late from then on
        self._order.append((now_ms + 2 * FRESH_MS, digest))
