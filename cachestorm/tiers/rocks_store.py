"""A blob store in RocksDB, by `rocksdict`: see `blob_store.py` for what it owes.

1. No write-ahead log: a warm tier begins empty. So a value is written to the SSD once, and once
   more where it outlives a compaction.
2. Blobs arrive compressed where it pays, so RocksDB compresses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
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
from cachestorm.tiers.blob_store import ROCKSDB, keep_for_ever

WRITE_BUFFER_BYTES: Final = 16 << 20
# the values that are asked for again go to memory: there is little to gain from more of it here
BLOCK_CACHE_BYTES: Final = 8 << 20
BLOOM_BITS: Final = 10


class RocksStore:
    """Blobs under their places, the high byte first."""

    def __init__(self, folder: str) -> None:
        self._folder: Final = folder
        self.writes = 0
        self._numbers: Final = count(1)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(WRITE_BUFFER_BYTES)
        options.set_max_write_buffer_number(3)
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

    def forked(self) -> None:
        # never closed: it would wait for threads that stayed behind
        keep_for_ever(self._db)

    def close(self) -> None:
        try:
            self._db.close()
        except DbClosedError:
            return


def _name(place: int) -> bytes:
    return place.to_bytes(8, "big")
