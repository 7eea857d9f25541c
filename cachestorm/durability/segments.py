"""Segments: the files of a data directory, read frame by frame.

Called by whoever loads or checks; knows files, and of frames only where they begin and end, and
what each says of those before it.

1. A frame counts if its checksum is right and its number is the next one. A right checksum
   with another number is no torn write: a file is missing, or is of another directory.
2. Every frame says which was the last one that was on the disk when it was written. A frame
   that is wrong although a later one says that it was on the disk is damaged: nothing is
   guessed, and nothing behind it is used.
3. What is wrong in the last file without such a witness was never known to be on the disk: a
   crash has torn it, or the machine has lost its power before it was there. The file is good up
   to there. What comes behind it was not acknowledged either under `always`.
4. A base without the record that ends its images is damaged, as it was complete when it got
   its name; whoever loads it looks after that.
5. In any file but the last that was written to, whatever is wrong is damage: it was on the
   disk as a whole before the next one was begun.
"""

from __future__ import annotations

import os
import re
from binascii import crc32
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from cachestorm.durability.disk import DISK, Disk
from cachestorm.durability.frames import BODY_HEAD, FRAME_HEAD, HEADER, LAG_AT, MAGIC
from cachestorm.errors import DamagedFileError, DurabilityError

_LEAST: Final = FRAME_HEAD + BODY_HEAD
_WINDOW_BYTES: Final = 1 << 20
# how many low bytes of its number are free when a frame is looked for
_FREE_BYTES: Final = 3


class Tail(NamedTuple):
    """Where a file ends that is torn.

    Attributes:
        offset: up to where it is good.
        lost: how many bytes are behind that.
    """

    offset: int
    lost: int


def is_snapshot(path: str) -> bool:
    """Whether a file begins as a snapshot does, of whichever version.

    Raises:
        DurabilityError: if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise DurabilityError(f"{path} cannot be read: {error.strerror}") from error


class Segment:
    """One file, while it is read.

    Attributes:
        path: of the file.
        number: that of the last frame read; 0 before the first of all.
        offset: where the next one begins.
        tail: what is torn off its end, once all is read; None for nothing.
    """

    def __init__(self, path: str, number: int, may_be_torn: bool, disk: Disk = DISK) -> None:
        self.path: Final = path
        self.number = number
        self.offset = 0
        self.tail: Tail | None = None
        self._may_be_torn: Final = may_be_torn
        self._disk: Final = disk

    def bodies(self) -> Iterator[bytes]:
        """The frames' bodies, in order.

        Raises:
            DamagedFileError: where the file is damaged.
            DurabilityError: if it is of another version, or is no journal.
            OSError: if it cannot be read.
        """
        with self._disk.reader(self.path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
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
                if len(body) < BODY_HEAD or crc32(body) != int.from_bytes(head[4:], "little"):
                    self._end_here(file, size)
                    return
                number = int.from_bytes(body[:8], "little")
                if self.number not in (0, number - 1):
                    raise self.damaged(
                        f"frame {number} comes after frame {self.number}: a file between them "
                        "is missing, or this one is of another directory"
                    )
                self.number = number
                yield body
                self.offset += FRAME_HEAD + length

    def damaged(self, reason: str) -> DamagedFileError:
        """What there is to say of a frame that cannot be used: the one read last."""
        return DamagedFileError(self.path, self.offset, reason)

    def _end_here(self, file: BinaryIO, size: int) -> None:
        reason = "a frame is not what its checksum says"
        if not self._may_be_torn:
            raise self.damaged(reason)
        for offset, synced in self._later_frames(file, size):
            if synced > self.number:
                raise self.damaged(
                    f"{reason}, and the one at {offset} says that it was on the disk"
                )
        self.tail = Tail(self.offset, size - self.offset)

    def _later_frames(self, file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
        """Where whole frames are behind a wrong one, and up to which each knew all synced."""
        high = self.number >> 8 * _FREE_BYTES
        patterns = [
            # a length and a number, neither of which is 0, around a checksum
            re.compile(
                rb"(?s)(?=(?!\0{4}).{8}(?!\0{3}).{3}"
                + re.escape(each.to_bytes(8 - _FREE_BYTES, "little"))
                + rb")"
            )
            for each in (high, high + 1)
        ]
        at = self.offset + 1
        while at <= size - _LEAST:
            file.seek(at)
            window = file.read(_WINDOW_BYTES + _LEAST)
            places = [
                found.start() for pattern in patterns for found in pattern.finditer(window)
            ]
            begun, at = at, at + max(len(window) - _LEAST, 0) + 1
            for place in sorted(places):
                offset = begun + place
                if offset >= at:
                    break
                found = self._frame_at(file, offset, size)
                if found is not None:
                    yield offset, found[1]
                    # what lies within it is no frame
                    at = offset + found[0]
                    break

    def _frame_at(self, file: BinaryIO, offset: int, size: int) -> tuple[int, int] | None:
        """The length of a frame, and what it knew all synced up to; None if there is none."""
        file.seek(offset)
        head = file.read(_LEAST)
        length = int.from_bytes(head[:4], "little")
        number = int.from_bytes(head[FRAME_HEAD : FRAME_HEAD + 8], "little")
        # those between have had a place each
        most = self.number + 1 + (offset - self.offset) // _LEAST
        if not (BODY_HEAD <= length <= size - offset - FRAME_HEAD):
            return None
        if not self.number < number <= most:
            return None
        body = head[FRAME_HEAD:] + file.read(length - BODY_HEAD)
        if crc32(body) != int.from_bytes(head[4:FRAME_HEAD], "little"):
            return None
        lag = int.from_bytes(body[LAG_AT:BODY_HEAD], "little")
        return FRAME_HEAD + length, number - lag

    def _refuse_head(self, head: bytes, size: int) -> None:
        # it is on the disk before the first frame comes
        is_begun = HEADER.startswith(head) or not any(head)
        if size <= len(HEADER) and is_begun:
            # had there been more, the numbers of the next file would tell
            self.tail = Tail(0, size) if self._may_be_torn and size else None
            return
        if head.startswith(MAGIC) and len(head) == len(HEADER) and head[-1:] == HEADER[-1:]:
            raise DurabilityError(
                f"{self.path} is of version {head[len(MAGIC)]} of the format, which this "
                f"version of CacheStorm does not know"
            )
        raise DamagedFileError(
            self.path, 0, "it does not begin as a journal does", "see whether it is one"
        )
