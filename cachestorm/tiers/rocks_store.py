"""A blob store in RocksDB, by `rocksdict`: see `blob_store.py` for what it owes.

1. No write-ahead log: what has to survive a crash is flushed by `sync`. So a value is written
   to the SSD once, and once more where it outlives a compaction.
2. Blobs arrive compressed where it pays, so RocksDB compresses nothing.
3. `Rdict.write` keeps the interpreter's lock, also while RocksDB makes room for it; `flush`
   gives that lock back. So a buffer is handed over by `flush` before it is full: who writes
   faster than the disk takes waits there, and other threads go on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Final

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from cachestorm.errors import DurabilityError
from cachestorm.tiers.blob_store import (
    ROCKSDB,
    SCANNED,
    among_others,
    first_number,
    keep_for_ever,
)

WRITE_BUFFER_BYTES: Final = 16 << 20
WRITE_BUFFERS: Final = 4
# with so much in a buffer it is handed over to be written to the disk
HANDED_OVER_BYTES: Final = 12 << 20
# the values that are asked for again go to memory: there is little to gain from more of it here
BLOCK_CACHE_BYTES: Final = 8 << 20
BLOOM_BITS: Final = 10
# of the files of RocksDB: the one that names all that counts, and how those of values end
CURRENT: Final = "CURRENT"
VALUES: Final = ".sst"


class RocksStore:
    """Blobs under their places, the high byte first."""

    def __init__(self, folder: str) -> None:
        _refuse_without_current(folder)
        self._folder: Final = folder
        self.writes = 0
        self.is_synced = False
        # since a buffer was handed over
        self._buffered_bytes = 0
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(WRITE_BUFFER_BYTES)
        options.set_max_write_buffer_number(WRITE_BUFFERS)
        options.set_keep_log_file_num(1)
        options.set_compression_type(DBCompressionType.none())
        table = BlockBasedOptions()
        table.set_bloom_filter(BLOOM_BITS, False)
        table.set_block_cache(Cache(BLOCK_CACHE_BYTES))
        options.set_block_based_table_factory(table)
        try:
            self._db = Rdict(folder, options)
        except Exception as error:  # it has no class of its own for most of what may go wrong
            raise DurabilityError(f"{folder} cannot be used: {error}") from error
        last = self._last()
        self._first: Final = max(first_number(), last + 1)
        self._numbers: Final = count(self._first)
        self._is_new: Final = last == 0
        self._unlogged: Final = WriteOptions()
        # its stub takes the property for a method
        setattr(self._unlogged, "disable_wal", True)  # noqa: B010

    @property
    def engine(self) -> str:
        return ROCKSDB

    def places(self, sizes: Sequence[int]) -> Sequence[int]:
        return [next(self._numbers) for _ in sizes]

    def write(self, blobs: Sequence[tuple[int, bytes]], deleted: Sequence[int]) -> None:
        batch = WriteBatch(raw_mode=True)
        for place, blob in blobs:
            batch.put(_name(place), blob)
        for place in deleted:
            batch.delete(_name(place))
        try:
            self._db.write(batch, self._unlogged)
            self._buffered_bytes += sum(len(blob) for _, blob in blobs)
            if self._buffered_bytes >= HANDED_OVER_BYTES:
                self._buffered_bytes = 0
                self._db.flush(False)
        except Exception as error:
            raise DurabilityError(f"{self._folder} cannot be written: {error}") from error
        self.writes += 1

    def get(self, place: int) -> bytes | None:
        try:
            found: bytes | None = self._db.get(_name(place))
        except Exception as error:
            raise DurabilityError(f"{self._folder} cannot be read: {error}") from error
        return found

    def size_bytes(self) -> int:
        try:
            parts = [
                self._db.property_int_value(name) or 0
                for name in ("rocksdb.total-sst-files-size", "rocksdb.size-all-mem-tables")
            ]
        except DbClosedError as error:
            raise DurabilityError(f"{self._folder} is closed") from error
        return sum(parts)

    def sync(self) -> None:
        try:
            self._db.flush()
        except Exception as error:
            raise DurabilityError(f"{self._folder} cannot be written: {error}") from error

    def offset_of(self, place: int) -> int:
        return 0

    def adopt(self, place: int, size: int, offset: int) -> None:
        # it is there, or it will be missed when it is asked for
        return

    def discard_others(self, adopted: Sequence[int]) -> Iterator[int]:
        after = 0
        while not self._is_new:
            found = self._places_after(after)
            if not found:
                return
            others = among_others(found, adopted)
            if others:
                self.write([], others)
            after = found[-1]
            yield len(others)

    def _last(self) -> int:
        """The last place that there is; 0 for none."""
        try:
            names = self._db.keys(backwards=True)
            return next((_place(name) for name in names), 0)
        except Exception as error:
            raise DurabilityError(f"{self._folder} cannot be read: {error}") from error

    def _places_after(self, place: int) -> list[int]:
        """The next places of former runs."""
        try:
            # not kept: while there is an iterator, it cannot be closed
            names = islice(self._db.keys(from_key=_name(place + 1)), SCANNED)
            return [each for each in map(_place, names) if each < self._first]
        except Exception as error:
            raise DurabilityError(f"{self._folder} cannot be read: {error}") from error

    def forked(self) -> None:
        # never closed: it would wait for threads that stayed behind
        keep_for_ever(self._db)

    def close(self) -> None:
        try:
            self._db.close()
        except DbClosedError:
            return


def _refuse_without_current(folder: str) -> None:
    """Refuses files of values beside which RocksDB would begin anew, and delete them.

    Raises:
        DurabilityError: if there are some.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise DurabilityError(f"{folder} cannot be used: {error.strerror}") from error
    if CURRENT not in names and any(name.endswith(VALUES) for name in names):
        raise DurabilityError(
            f"{os.path.join(folder, CURRENT)} is missing, which says what of the files there "
            f"counts: put it back from a copy, or delete {folder}, and the values with it"
        )


def _name(place: int) -> bytes:
    return place.to_bytes(8, "big")


def _place(name: object) -> int:
    assert isinstance(name, bytes)
    return int.from_bytes(name, "big")
