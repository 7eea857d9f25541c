"""The blob store: what a warm tier asks of an engine, and the choice of one.

Called from any thread, and never with the latch held but to read what a command asks for. An
engine keeps bytes by number, and knows nothing of keys, of versions or of the store.

1. A number is given to one value and never again. So an engine never has two values of a
   number, and there is none that is out of date.
2. What `write` was given is found by `get` as soon as it has returned; it need not survive a
   crash, since a warm tier begins empty.
3. Whatever an engine raises leaves here as a DurabilityError.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from cachestorm.errors import ConfigError

ROCKSDB: Final = "rocksdb"
SQLITE: Final = "sqlite"
ENGINES: Final = (ROCKSDB, SQLITE)


class BlobStore(Protocol):
    """Bytes by number, in a folder of its own. Every method may be called by any thread."""

    @property
    def engine(self) -> str:
        """Its name, one of ENGINES."""

    def write(self, blobs: Sequence[tuple[int, bytes]], deleted: Sequence[int]) -> None:
        """Keeps some and deletes others, all or nothing; to delete a missing one is fine.

        Raises:
            DurabilityError: if it cannot be written.
        """

    def get(self, number: int) -> bytes | None:
        """What is kept under a number, or None.

        Raises:
            DurabilityError: if it cannot be read.
        """

    def numbers(self) -> Iterator[int]:
        """All that are kept, ascending; of those that are written meanwhile some or none."""

    def size_bytes(self) -> int:
        """About what it takes on the disk."""

    def forked(self) -> None:
        """In a child process, which uses it no more: its end must not harm the parent."""

    def close(self) -> None:
        """Lets go of the folder. Whatever is called afterwards raises DurabilityError."""


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
