"""The blob store: what a tier asks of an engine, and the choice of one.

Called from any thread, and never with the latch held but to read what a command asks for. An
engine keeps bytes by places, and knows nothing of keys, of versions or of the store.

1. A place is given to one value and never again. So an engine never has two values of one, and
   there is none that is out of date.
2. What `write` was given is found by `get` as soon as it has returned; it need not survive a
   crash, since a tier begins empty.
3. Whatever an engine raises leaves here as a DurabilityError.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Final, Protocol

from cachestorm.errors import ConfigError

ROCKSDB: Final = "rocksdb"
SQLITE: Final = "sqlite"
ENGINES: Final = (ROCKSDB, SQLITE)


class BlobStore(Protocol):
    """Bytes, where nothing else is. Every method may be called by any thread.

    Attributes:
        writes: how many requests have written or deleted.
    """

    writes: int

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

    def forked(self) -> None:
        """In a child process, which uses it no more: its end must not harm the parent."""

    def close(self) -> None:
        """Lets go of what it has. Whatever is called afterwards raises DurabilityError."""


def keep_for_ever(held: object) -> None:
    """Has an object never be freed, in a process that must not end what another one uses."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))


def open_store(engine: str | None, folder: str) -> BlobStore:
    """A store in a folder that is there and empty.

    Args:
        engine: which; None for RocksDB where `rocksdict` is installed, else sqlite3.

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

    return SqliteStore(folder)
