"""A blob store in sqlite3, which every Python has: see `blob_store.py` for what it owes.

1. Two connections, each under a lock of its own: with a write-ahead log no reader waits for the
   writer.
2. Nothing is forced to the disk but by `sync`. A store that is kept is sound after any crash.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import count
from typing import Final

from cachestorm.errors import DurabilityError
from cachestorm.tiers.blob_store import (
    SCANNED,
    SQLITE,
    among_others,
    first_number,
    keep_for_ever,
)

FILE: Final = "values.sqlite3"


class SqliteStore:
    """Blobs in one table, by their places."""

    def __init__(self, folder: str, is_kept: bool = False) -> None:
        self._path: Final = os.path.join(folder, FILE)
        self.writes = 0
        self.is_synced = False
        self._writing: Final = threading.Lock()
        self._reading: Final = threading.Lock()
        try:
            self._writer = self._connected()
            # what is deleted leaves pages that are used again: the file does not shrink
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute(f"PRAGMA synchronous={'NORMAL' if is_kept else 'OFF'}")
            self._writer.execute(
                "CREATE TABLE IF NOT EXISTS blobs "
                "(number INTEGER PRIMARY KEY, blob BLOB NOT NULL)"
            )
            self._reader = self._connected()
            last = self._reader.execute("SELECT max(number) FROM blobs").fetchone()[0] or 0
        except sqlite3.Error as error:
            raise DurabilityError(f"{self._path} cannot be used: {error}") from error
        self._first: Final = max(first_number(), last + 1)
        self._numbers: Final = count(self._first)

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)

    @property
    def engine(self) -> str:
        return SQLITE

    def places(self, sizes: Sequence[int]) -> Sequence[int]:
        return [next(self._numbers) for _ in sizes]

    def write(self, blobs: Sequence[tuple[int, bytes]], deleted: Sequence[int]) -> None:
        try:
            with self._writing:
                self._writer.execute("BEGIN")
                try:
                    self._writer.executemany("INSERT INTO blobs VALUES (?, ?)", blobs)
                    self._writer.executemany(
                        "DELETE FROM blobs WHERE number = ?", [(each,) for each in deleted]
                    )
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise DurabilityError(f"{self._path} cannot be written: {error}") from error
        self.writes += 1

    def get(self, place: int) -> bytes | None:
        try:
            with self._reading:
                rows = self._reader.execute(
                    "SELECT blob FROM blobs WHERE number = ?", (place,)
                ).fetchall()
        except sqlite3.Error as error:
            raise DurabilityError(f"{self._path} cannot be read: {error}") from error
        return None if not rows else bytes(rows[0][0])

    def size_bytes(self) -> int:
        total = 0
        for name in (self._path, self._path + "-wal"):
            if os.path.exists(name):
                total += os.path.getsize(name)
        return total

    def sync(self) -> None:
        try:
            with self._writing:
                busy = self._writer.execute("PRAGMA wal_checkpoint(FULL)").fetchone()[0]
        except sqlite3.Error as error:
            raise DurabilityError(f"{self._path} cannot be written: {error}") from error
        if busy:
            raise DurabilityError(f"{self._path} cannot be written: it is read all the time")

    def offset_of(self, place: int) -> int:
        return 0

    def adopt(self, place: int, size: int, offset: int) -> None:
        # it is there, or it will be missed when it is asked for
        return

    def discard_others(self, adopted: Sequence[int]) -> Iterator[int]:
        after = 0
        while True:
            try:
                with self._reading:
                    rows = self._reader.execute(
                        "SELECT number FROM blobs WHERE number > ? AND number < ? "
                        "ORDER BY number LIMIT ?",
                        (after, self._first, SCANNED),
                    ).fetchall()
            except sqlite3.Error as error:
                raise DurabilityError(f"{self._path} cannot be read: {error}") from error
            if not rows:
                return
            found = [row[0] for row in rows]
            others = among_others(found, adopted)
            if others:
                self.write([], others)
            after = found[-1]
            yield len(others)

    def forked(self) -> None:
        # never closed: that would give up the parent's locks
        keep_for_ever(self._writer)
        keep_for_ever(self._reader)

    def close(self) -> None:
        with self._writing, self._reading, closing(self._writer), closing(self._reader):
            pass
