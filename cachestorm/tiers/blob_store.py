"""The blob store: what a tier asks of an engine, and the choice of one.

Called from any thread, and never with the latch held but to read what a command asks for. An
engine keeps bytes by places, and knows nothing of keys, of versions or of the store.

1. A place is given to one value and never again, and places ascend, from one run to the next as
   well. So an engine never has two values of one, and there is none that is out of date.
2. What `write` was given is found by `get` as soon as it has returned; it need not survive a
   crash before `sync` has returned.
3. Whatever an engine raises leaves here as a DurabilityError.
"""

from __future__ import annotations

import ctypes
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from cachestorm.errors import ConfigError

ROCKSDB: Final = "rocksdb"
SQLITE: Final = "sqlite"
ENGINES: Final = (ROCKSDB, SQLITE)
# 2020: the places of all tiers are to fit into 63 bits for a long time
EPOCH_US: Final = 1_577_836_800_000_000
# so many places are looked at at a time, for those that nobody has adopted
SCANNED: Final = 1024


class BlobStore(Protocol):
    """Bytes, where nothing else is. Every method may be called by any thread.

    Attributes:
        writes: how many requests have written or deleted.
        is_synced: whether all is on the disk as soon as it is written.
    """

    writes: int
    is_synced: bool

    @property
    def engine(self) -> str:
        """Its name."""

    def places(self, sizes: Sequence[int]) -> Sequence[int]:
        """Where blobs of so many bytes are to be, that one `write` is going to be given."""

    def write(self, blobs: Sequence[tuple[int, bytes]], deleted: Sequence[int]) -> None:
        """Keeps some at their places, and deletes others.

        All or nothing, but that what is deleted may stay until a later call.

        Args:
            blobs: all that `places` was asked about at once, in that order.

        Raises:
            DurabilityError: if it cannot be written.
        """

    def get(self, place: int) -> bytes | None:
        """What is kept at a place. Of one that was deleted, None or what was there.

        Raises:
            DurabilityError: if it cannot be read.
        """

    def size_bytes(self) -> int:
        """About what it takes."""

    def sync(self) -> None:
        """Returns when all that was written before is on the disk.

        Raises:
            DurabilityError: if that fails.
        """

    def offset_of(self, place: int) -> int:
        """What `adopt` has to be told of a place beside its size."""

    def adopt(self, place: int, size: int, offset: int) -> None:
        """Is told, before anything is written, that a blob of a former run is somebody's."""

    def discard_others(self, adopted: Sequence[int]) -> Iterator[int]:
        """Deletes what former runs have left but for what was adopted, some at a time.

        Gives how many these were. While others read and write; may be given up.

        Args:
            adopted: ascending.

        Raises:
            DurabilityError: if that fails.
        """

    def forked(self) -> None:
        """In a child process, which uses it no more: its end must not harm the parent."""

    def close(self) -> None:
        """Lets go of what it has. Whatever is called afterwards raises DurabilityError."""


def keep_for_ever(held: object) -> None:
    """Has an object never be freed, in a process that must not end what another one uses."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))


def first_number() -> int:
    """From where a run counts its places: beyond all that former runs have given.

    By the clock, and no counter that is kept: it may be an old copy of the files, or of the
    store, that is put back. A run gives fewer than a million a second.
    """
    return time.time_ns() // 1000 - EPOCH_US


def among_others(found: Sequence[int], adopted: Sequence[int]) -> list[int]:
    """Of some places, those that were not adopted; both ascend."""
    return [each for each in found if not _is_in(each, adopted)]


def _is_in(place: int, places: Sequence[int]) -> bool:
    at = bisect_left(places, place)
    return at < len(places) and places[at] == place


def open_store(engine: str | None, folder: str, is_kept: bool = False) -> BlobStore:
    """A store in a folder that is there, and empty or of a store of this engine.

    Args:
        engine: which; None for RocksDB where `rocksdict` is installed, else sqlite3.
        is_kept: whether it is to survive a crash of the machine, as far as it was synced.

    Raises:
        ConfigError: for an engine that there is not, or that is not installed.
        DurabilityError: if the folder cannot be used.
    """
    if engine is not None and engine not in ENGINES:
        raise ConfigError(
            f"the engine of a warm tier is one of {', '.join(ENGINES)}, not {engine!r}"
        )
    if engine != SQLITE:
        try:
            from cachestorm.tiers.rocks_store import RocksStore

            return RocksStore(folder)
        except ImportError as error:
            if engine == ROCKSDB:
                raise ConfigError(
                    "the engine rocksdb needs rocksdict: pip install 'cachestorm[tiers]'"
                ) from error
    from cachestorm.tiers.sqlite_store import SqliteStore

    return SqliteStore(folder, is_kept)
