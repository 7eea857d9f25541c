"""A blob store in an object store, by `obstore`: see `blob_store.py` for what it owes.

    <prefix>/<run>/alive              says that this run goes on, see `lease.py`
    <prefix>/<run>/<segment number>   values, one after the other

1. Small values are packed into segments of about SEGMENT_BYTES, as every request is charged
   for; a value of LARGE_BYTES is one by itself. Where each begins stays in memory, 4 bytes a
   value.
2. A segment is written once and never changed. It is deleted when nothing in it is anybody's.
   What could not be deleted is tried again at the next write.
3. Only the synchronous functions of `obstore` are used: they give the interpreter's lock away,
   and the others may end the process at its exit.
4. Its threads survive no fork: in the child every call would wait for ever, so there is none.
"""

from __future__ import annotations

import logging
import os
import threading
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count, groupby
from typing import TYPE_CHECKING, Final

import obstore
from obstore.store import LocalStore

from cachestorm.durability.disk import DISK
from cachestorm.errors import DurabilityError
from cachestorm.tiers.blob_store import first_number, keep_for_ever

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Bucket

SEGMENT_BYTES: Final = 1 << 20
LARGE_BYTES: Final = 256 << 10
INDEX_BITS: Final = 20
INDEX_MASK: Final = (1 << INDEX_BITS) - 1
# a run makes fewer segments than one in so many microseconds
US_A_SEGMENT: Final = 1000
# so many objects are deleted by one request
DELETED: Final = 500

_log = logging.getLogger("cachestorm")


class Segment:
    """What is known of one object.

    Attributes:
        ends: where each value ends.
        live, live_bytes: of the values that are somebody's.
    """

    __slots__ = ("ends", "live", "live_bytes")

    def __init__(self, sizes: Sequence[int]) -> None:
        self.ends: Final = array("I")
        end = 0
        for size in sizes:
            end += size
            self.ends.append(end)
        self.live = len(sizes)
        self.live_bytes = end

    def bounds(self, index: int) -> tuple[int, int]:
        """Where a value begins and ends."""
        return (0 if index == 0 else self.ends[index - 1]), self.ends[index]

    def size_bytes(self) -> int:
        return self.ends[-1] if self.ends else 0

    def adopt(self, index: int, start: int, end: int) -> None:
        """Somebody's value is at an index. What lies between such ones is nobody's."""
        while len(self.ends) <= index:
            self.ends.append(self.size_bytes())
        if index != 0:
            self.ends[index - 1] = start
        self.ends[index] = end
        self.live += 1
        self.live_bytes += end - start


class ObjectStore:
    """Blobs in the objects of one run.

    Args:
        bucket: of `obstore`, with the prefix of the tier.
        where: what it is called in errors.
        run: the name of the run.
        is_kept: whether another run of that name is to find what this one leaves.
    """

    def __init__(self, bucket: Bucket, where: str, run: str, is_kept: bool = False) -> None:
        self.bucket: Final = bucket
        self.where: Final = where
        self.run: Final = run
        self.writes = 0
        # of a service: it has answered when it was
        self.is_synced = not isinstance(bucket, LocalStore)
        self._is_kept: Final = is_kept
        self._first: Final = first_number() // US_A_SEGMENT
        self._numbers: Final = count(self._first)
        # of a folder, what the system may still have in memory only
        self._unsynced: list[int] = []
        self._segments: Final[dict[int, Segment]] = {}
        self._doomed: list[str] = []
        self._lock = threading.Lock()
        self._size_bytes = 0
        self._live_bytes = 0
        self._is_open = True
        self._pid: Final = os.getpid()

    @property
    def engine(self) -> str:
        return type(self.bucket).__name__.removesuffix("Store").lower()

    def places(self, sizes: Sequence[int]) -> Sequence[int]:
        places: list[int] = []
        number = index = room = 0
        for size in sizes:
            if number == 0 or size >= LARGE_BYTES or size > room or index > INDEX_MASK:
                number, index, room = next(self._numbers), 0, SEGMENT_BYTES
            places.append(number << INDEX_BITS | index)
            index += 1
            # nothing more goes to where a large one is
            room = 0 if size >= LARGE_BYTES else room - size
        return places

    def write(self, blobs: Sequence[tuple[int, bytes]], deleted: Sequence[int]) -> None:
        self._check_usable("written")
        made: list[int] = []
        try:
            for number, part in groupby(blobs, lambda blob: blob[0] >> INDEX_BITS):
                self._put(number, [blob for _, blob in part])
                made.append(number)
        except Exception as error:
            with self._lock:
                self._doomed.extend(self._doom(number) for number in made)
            raise DurabilityError(f"{self.where} cannot be written: {told(error)}") from error
        self._release(deleted)

    def _put(self, number: int, part: list[bytes]) -> None:
        self.writes += 1
        obstore.put(self.bucket, self._path(number), b"".join(part), use_multipart=False)
        segment = Segment([len(blob) for blob in part])
        with self._lock:
            self._segments[number] = segment
            self._size_bytes += segment.size_bytes()
            self._live_bytes += segment.live_bytes
        if self._is_kept and not self.is_synced:
            self._unsynced.append(number)

    def sync(self) -> None:
        while self._unsynced:
            assert isinstance(self.bucket, LocalStore)
            path = os.path.join(str(self.bucket.prefix), self._path(self._unsynced[-1]))
            try:
                # else it is deleted by now
                if os.path.exists(path):
                    file = DISK.open(path)
                    try:
                        DISK.sync(file)
                    finally:
                        DISK.close(file)
                    DISK.sync_folder(path)
            except OSError as error:
                raise DurabilityError(f"{path} cannot be written: {error.strerror}") from error
            self._unsynced.pop()

    def offset_of(self, place: int) -> int:
        return self._segments[place >> INDEX_BITS].bounds(place & INDEX_MASK)[0]

    def adopt(self, place: int, size: int, offset: int) -> None:
        number = place >> INDEX_BITS
        with self._lock:
            segment = self._segments.setdefault(number, Segment([]))
            before = segment.size_bytes()
            segment.adopt(place & INDEX_MASK, offset, offset + size)
            self._size_bytes += segment.size_bytes() - before
            self._live_bytes += size

    def discard_others(self, adopted: Sequence[int]) -> Iterator[int]:
        if not self._is_kept:
            return
        try:
            parts = obstore.list(self.bucket, self.run)
            for part in parts:
                yield self._discard_of([each["path"] for each in part])
        except DurabilityError:
            raise
        except Exception as error:
            raise DurabilityError(f"{self.where} cannot be read: {told(error)}") from error

    def _discard_of(self, paths: Sequence[str]) -> int:
        """Deletes those of some objects that former runs have left and nobody has adopted."""
        self._check_usable("written")
        others: list[str] = []
        for path in paths:
            try:
                number = int(path.rpartition("/")[2], 16)
            except ValueError:
                continue
            if number < self._first and number not in self._segments:
                others.append(self._path(number))
        if others:
            self._delete(others)
        return len(others)

    def _path(self, number: int) -> str:
        return f"{self.run}/{number:012x}"

    def get(self, place: int) -> bytes | None:
        self._check_usable("read")
        segment = self._segments.get(place >> INDEX_BITS)
        index = place & INDEX_MASK
        if segment is None or index >= len(segment.ends):
            return None
        start, end = segment.bounds(index)
        if start == end:
            return b""
        try:
            path = self._path(place >> INDEX_BITS)
            return obstore.get_range(self.bucket, path, start=start, end=end).to_bytes()
        except FileNotFoundError:
            return None
        except Exception as error:
            raise DurabilityError(f"{self.where} cannot be read: {told(error)}") from error

    def segment_of(self, place: int) -> int:
        """The number of the segment that a place is in."""
        return place >> INDEX_BITS

    def content_of(self, number: int) -> bytes:
        """All that is in a segment.

        Raises:
            DurabilityError: if it cannot be read.
        """
        self._check_usable("read")
        try:
            return obstore.get(self.bucket, self._path(number)).bytes().to_bytes()
        except Exception as error:
            raise DurabilityError(f"{self.where} cannot be read: {told(error)}") from error

    def cut(self, content: bytes, place: int) -> bytes:
        """What is at a place, of what is in its segment."""
        start, end = self._segments[place >> INDEX_BITS].bounds(place & INDEX_MASK)
        return content[start:end]

    def size_bytes(self) -> int:
        return self._size_bytes

    def sparse(self) -> set[int]:
        """The segments less than half of which is somebody's, if that is worth a look.

        It is, where they are half of all. Their values are to be written anew.
        """
        with self._lock:
            if 2 * self._live_bytes > self._size_bytes - SEGMENT_BYTES:
                return set()
            return {
                number
                for number, segment in self._segments.items()
                if 2 * segment.live_bytes < segment.size_bytes()
            }

    def _release(self, deleted: Sequence[int]) -> None:
        with self._lock:
            for place in deleted:
                segment = self._segments.get(place >> INDEX_BITS)
                if segment is None:
                    continue
                start, end = segment.bounds(place & INDEX_MASK)
                segment.live -= 1
                segment.live_bytes -= end - start
                self._live_bytes -= end - start
                if segment.live == 0:
                    self._doomed.append(self._doom(place >> INDEX_BITS))
            doomed, self._doomed = self._doomed, []
        if doomed:
            left = self._delete(doomed)
            with self._lock:
                self._doomed.extend(left)

    def _doom(self, number: int) -> str:
        segment = self._segments.pop(number)
        self._size_bytes -= segment.size_bytes()
        self._live_bytes -= segment.live_bytes
        return self._path(number)

    def _delete(self, paths: list[str]) -> list[str]:
        """Deletes objects. Returns those that could not be."""
        left = list(paths)
        try:
            while left:
                self.writes += 1
                delete(self.bucket, left[-DELETED:])
                del left[-DELETED:]
        except Exception as error:
            _log.warning("%s cannot delete: %s", self.where, told(error))
        return left

    def forked(self) -> None:
        # its end would wait for threads that stayed behind
        keep_for_ever(self.bucket)

    def _check_usable(self, what: str) -> None:
        if not self._is_open or self._pid != os.getpid():
            raise DurabilityError(f"{self.where} cannot be {what}: it is closed")

    def close(self) -> None:
        """Deletes what it has, unless that is kept. What cannot be deleted is an orphan."""
        if not self._is_open or self._pid != os.getpid():
            return
        self._is_open = False
        left = [] if self._is_kept else map(self._path, self._segments)
        self._delete([*self._doomed, *left])
        self._segments.clear()


def delete(bucket: Bucket, paths: Sequence[str]) -> None:
    """Deletes objects, those that there are not as well."""
    try:
        obstore.delete(bucket, paths)
    except FileNotFoundError:
        # of a folder, which stops at the first
        for path in paths:
            with suppress(FileNotFoundError):
                obstore.delete(bucket, path)


def told(error: Exception) -> str:
    """The first line of what an error says: those after it are for who wrote the library."""
    text = str(error).strip() or type(error).__name__
    return text.partition("\n")[0][:300]
