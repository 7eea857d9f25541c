"""Segments: the files of a data directory, read frame by frame.

Called by whoever loads or checks; knows files, and of frames only where they begin and end.

1. A frame counts if its checksum is right and its number is the next one.
2. What is wrong at the end of the last file, with no whole frame behind it, is a write that a
   crash has torn: it was never acknowledged under `always`. The file is good up to there.
3. Anything else is damage: nothing is guessed, and nothing behind it is used.
"""

from __future__ import annotations

import os
import struct
from binascii import crc32
from collections.abc import Iterator
from typing import Final, NamedTuple

from cachestorm.durability.frames import BODY_HEAD, FRAME_HEAD, HEADER, MAGIC
from cachestorm.errors import DamagedFileError, DurabilityError

_HEAD: Final = struct.Struct("<IIqq")
# How far behind a wrong frame a whole one is looked for, and by how much its number may differ.
SEARCHED_BYTES: Final = 16 << 20
SEARCHED_FRAMES: Final = 1 << 32
READ_BYTES: Final = 1 << 20


class Tail(NamedTuple):
    """Where a file ends that is torn.

    Attributes:
        offset: up to where it is good.
        lost: how many bytes are behind that.
    """

    offset: int
    lost: int


class Segment:
    """One file, while it is read.

    Attributes:
        path: of the file.
        number: that of the last frame read; 0 before the first of all.
        offset: where the next one begins.
        tail: what is torn off its end, once all is read; None for nothing.
    """

    def __init__(self, path: str, number: int, may_be_torn: bool) -> None:
        self.path: Final = path
        self.number = number
        self.offset = 0
        self.tail: Tail | None = None
        self._may_be_torn: Final = may_be_torn

    def bodies(self) -> Iterator[bytes]:
        """The frames' bodies, in order.

        Raises:
            DamagedFileError: where the file is damaged.
            DurabilityError: if it is of another version, or is no journal.
            OSError: if it cannot be read.
        """
        with open(self.path, "rb", READ_BYTES) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(len(HEADER))
            if head != HEADER:
                self._refuse_head(head, size)
                return
            self.offset = len(HEADER)
            while self.offset < size:
                head = file.read(FRAME_HEAD)
                length = int.from_bytes(head[:4], "little")
                body = b""
                # a damaged length may say gigabytes
                if BODY_HEAD <= length <= size - self.offset - FRAME_HEAD:
                    body = file.read(length)
                if not self._is_whole(head, body):
                    file.seek(self.offset)
                    self._end_at(file.read(SEARCHED_BYTES), size)
                    return
                self.number = int.from_bytes(body[:8], "little")
                yield body
                self.offset += FRAME_HEAD + length

    def damaged(self, reason: str) -> DamagedFileError:
        """What there is to say of a frame that cannot be used: the one read last."""
        return DamagedFileError(self.path, self.offset, reason)

    def _is_whole(self, head: bytes, body: bytes) -> bool:
        if len(body) < BODY_HEAD or crc32(body) != int.from_bytes(head[4:], "little"):
            return False
        return self.number == 0 or int.from_bytes(body[:8], "little") == self.number + 1

    def _end_at(self, rest: bytes, size: int) -> None:
        reason = "a frame is not what its checksum says"
        if not self._may_be_torn:
            raise self.damaged(reason)
        for at in range(1, len(rest) - FRAME_HEAD - BODY_HEAD + 1):
            length, checksum, number, _ = _HEAD.unpack_from(rest, at)
            if (
                BODY_HEAD <= length <= len(rest) - at - FRAME_HEAD
                and self.number < number <= self.number + SEARCHED_FRAMES
                and crc32(rest[at + FRAME_HEAD : at + FRAME_HEAD + length]) == checksum
            ):
                raise DamagedFileError(
                    self.path,
                    self.offset,
                    f"{reason}, and whole ones follow at {self.offset + at}",
                )
        self.tail = Tail(self.offset, size - self.offset)

    def _refuse_head(self, head: bytes, size: int) -> None:
        if self._may_be_torn and size <= len(HEADER) and HEADER.startswith(head):
            self.tail = Tail(0, size)
            return
        if head.startswith(MAGIC) and len(head) == len(HEADER) and head[-1:] == HEADER[-1:]:
            raise DurabilityError(
                f"{self.path} is of version {head[len(MAGIC)]} of the format, which this "
                f"version of CacheStorm does not know"
            )
        raise DamagedFileError(self.path, 0, "it does not begin as a journal does")
