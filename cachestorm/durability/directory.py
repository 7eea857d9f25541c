"""The data directory: a base and the journals after it, for one process at a time.

Opened by a cache that is made with `data_dir=`; asked by the commands that save. Calls the
journal, the snapshot and the store.

    lock               held by the process that has the directory open
    00000007.base      a journal that begins with the images of all keys
    00000008.journal   what came after it

1. The files are numbered in the order in which they were begun. To start: the last base, and
   all after it. What is before it is left from a crash, and goes.
2. To begin anew: the next file is begun, and everything goes there, images as well. Once these
   are complete and on the disk, it is renamed to a base, and what is before it goes. A crash
   at any moment leaves files that say the same.
3. The last file is appended to, base or journal.
4. A thread looks once a second: it forces to the disk what is there under `everysec`, tries
   again what could not be written, and begins anew when the files have grown to twice what they
   were after the last time.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import weakref
from contextlib import suppress
from typing import Final, cast

from cachestorm.durability.journal import Journal, sync_folder
from cachestorm.durability.snapshot import Loading, record_all
from cachestorm.errors import DurabilityError
from cachestorm.keyspace.forks import Keeper
from cachestorm.keyspace.store import Store
from cachestorm.values.forms import Forms

FIRST_BYTES: Final = 64 << 20
LOOK_S: Final = 1.0
COPIED_BYTES: Final = 1 << 20

_NAME: Final = re.compile(r"(\d{8,})\.(base|journal)")
_log = logging.getLogger("cachestorm")


class DataDirectory:
    """A directory that is open.

    Attributes:
        path: of the directory.
        journal: what is written to.
        is_rewriting: whether it is being begun anew.
        saved_at: when it was last, in seconds since 1970; when it was opened, before that.
        saved_number: how many frames there were then.
        save_s: how long that took; -1 before the first time.
        save_error: why the last attempt failed; None if it did not.
        base_bytes: how much there was after the last time.
        rewrite_bytes: with fewer than that it is not begun anew by itself.
        most_bytes: with so many more than after the last time it is; 0: any number.
        interval_s: after that long it is, if anything was changed; 0: never.
    """

    def __init__(self, store: Store, forms: Forms | None, path: str, sync: str) -> None:
        self.path: Final = os.path.abspath(path)
        self.is_rewriting = False
        self.saved_at = time.time()
        self.save_s = -1.0
        self.save_error: DurabilityError | None = None
        self.rewrite_bytes = FIRST_BYTES
        self.most_bytes = 0
        self.interval_s = 0.0
        # the last snapshot: its file, and how much of that
        self._base = ""
        self._complete_bytes = 0
        self._rewriting: Final = threading.Lock()
        self._ending: Final = threading.Event()
        # a compiled object takes no weak reference, so what keeps it does
        self._keeper: Final = weakref.ref(cast(Keeper, store.latch.keeper))
        try:
            os.makedirs(self.path, exist_ok=True)
            self._lock = locked(self.path)
        except OSError as error:
            raise DurabilityError(
                f"{self.path} cannot be used as data directory: {error.strerror}"
            ) from error
        try:
            loading = Loading(store, forms)
            self.journal: Final = self._load(loading, store, sync)
        except BaseException:
            os.close(self._lock)
            self._lock = -1
            raise
        self.base_bytes = self.size()
        self.saved_number = self.journal.number
        store.enter()
        try:
            store.record_by(self.journal)
        finally:
            store.leave()
        # what is evicted is recorded
        loading.limit()
        self._thread: Final = threading.Thread(
            target=_look_after, args=(weakref.ref(self), self._ending), daemon=True
        )
        self._thread.name = "cachestorm-journal"
        self._thread.start()

    def _load(self, loading: Loading, store: Store, sync: str) -> Journal:
        _, current, before = segment_files(self.path)
        for path in before:
            os.remove(path)
        began_at = time.monotonic()
        last = path_of(self.path, 1, "journal")
        with loading:
            for path in current:
                last = path
                segment = loading.read(path, may_be_torn=path == current[-1])
                if segment.tail is not None:
                    _log.warning(
                        "%s: a torn write of %d bytes at its end, offset %d, is cut off",
                        last,
                        segment.tail.lost,
                        segment.tail.offset,
                    )
                    os.truncate(last, segment.tail.offset)
            loading.arm()
        if loading.frames:
            took_s = time.monotonic() - began_at
            keys = int(store.entry_count)
            _log.info(
                "%s: %d keys loaded in %.1f s (%d a second)",
                self.path,
                keys,
                took_s,
                keys / max(took_s, 0.001),
            )
        return Journal(last, loading.number, sync)

    def size(self) -> int:
        """How many bytes its files have. O(files)."""
        size = 0
        with os.scandir(self.path) as found:
            for each in found:
                if _NAME.fullmatch(each.name):
                    with suppress(FileNotFoundError):
                        size += each.stat().st_size
        return size

    @property
    def sync(self) -> str:
        """When the journal is forced to the disk."""
        return self.journal.sync

    def rewrite(self) -> None:
        """Begins the journal anew with a snapshot, while others go on writing.

        Raises:
            DurabilityError: if it is being done already, or fails. Nothing is lost then.
        """
        keeper = self._keeper()
        if keeper is None or not self._rewriting.acquire(blocking=False):
            raise DurabilityError("a snapshot is being written already")
        began_at = time.monotonic()
        self.is_rewriting = True
        try:
            self._rewrite(cast(Store, keeper.store))
        except OSError as error:
            self.save_error = DurabilityError(f"{self.path}: {error.strerror}")
            raise self.save_error from error
        except DurabilityError as error:
            self.save_error = error
            raise
        else:
            self.save_error = None
            self.saved_at = time.time()
            self.saved_number = self.journal.number
            self.save_s = time.monotonic() - began_at
        finally:
            self.is_rewriting = False
            self._rewriting.release()

    def _rewrite(self, store: Store) -> None:
        number = segment_files(self.path)[0] + 1
        begun = path_of(self.path, number, "journal")
        store.enter()
        try:
            # before any change of this visit is recorded
            self.journal.is_walked = True
            self.journal.switch(begun)
        finally:
            store.leave()
        record_all(store, self.journal)
        self.journal.force()
        # others may have written after the end of the snapshot: whole frames
        self._complete_bytes = self.journal.size
        complete = path_of(self.path, number, "base")
        os.rename(begun, complete)
        self.journal.path = complete
        self._base = complete
        sync_folder(complete)
        for path in segment_files(self.path)[2]:
            os.remove(path)
        self.base_bytes = self.size()

    def copy_to(self, path: str) -> None:
        """Copies the last snapshot to a file, which is there whole or not at all.

        Raises:
            DurabilityError: if it cannot be written.
        """
        unfinished = f"{path}.{os.getpid()}.tmp"
        try:
            with (
                self._rewriting,
                open(self._base, "rb") as base,
                open(unfinished, "wb") as copy,
            ):
                left = self._complete_bytes
                while left > 0:
                    piece = base.read(min(left, COPIED_BYTES))
                    copy.write(piece)
                    left -= len(piece)
                copy.flush()
                os.fsync(copy.fileno())
            os.replace(unfinished, path)
            sync_folder(path)
        except OSError as error:
            with suppress(OSError):
                os.remove(unfinished)
            raise DurabilityError(f"{path} cannot be written: {error.strerror}") from error

    def look(self) -> None:
        """What is to be done once a second."""
        journal = self.journal
        with suppress(DurabilityError):
            if journal.sync == "no":
                journal.flush()
            else:
                journal.force()
            if self._is_due():
                self.rewrite()

    def _is_due(self) -> bool:
        size = self.size()
        grown = size - self.base_bytes
        return (
            (size >= self.rewrite_bytes and grown >= self.base_bytes)
            or (self.most_bytes != 0 and grown >= self.most_bytes)
            or (grown > 0 and 0 < self.interval_s <= time.time() - self.saved_at)
        )

    def rewrite_soon(self) -> None:
        """Does what `rewrite` does, in a thread of its own.

        Raises:
            DurabilityError: if it is being done already.
        """
        if self.is_rewriting:
            raise DurabilityError("a snapshot is being written already")
        # before the thread has begun: who asks next is told
        self.is_rewriting = True
        threading.Thread(target=self._rewrite_aside, name="cachestorm-snapshot").start()

    def _rewrite_aside(self) -> None:
        try:
            self.rewrite()
        except DurabilityError as error:
            _log.error("%s: no snapshot: %s", self.path, error)

    def close(self, store: Store) -> None:
        """Writes all there is, and gives the directory back."""
        self._ending.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        with self._rewriting:
            store.enter()
            try:
                store.record_by(None)
            finally:
                store.leave()
            try:
                self.journal.close()
            finally:
                lock, self._lock = self._lock, -1
                os.close(lock)

    def __del__(self) -> None:
        if getattr(self, "_lock", -1) >= 0:
            os.close(self._lock)


def _look_after(reference: weakref.ref[DataDirectory], ending: threading.Event) -> None:
    while not ending.wait(LOOK_S):
        directory = reference()
        if directory is None:
            return
        try:
            directory.look()
        except Exception:
            _log.exception("%s is not looked after", directory.path)
        del directory


def segment_files(path: str) -> tuple[int, list[str], list[str]]:
    """The number of the last file of a data directory, those that count, those before them."""
    found = [_NAME.fullmatch(name) for name in os.listdir(path)]
    files = sorted((int(each[1]), each[2]) for each in found if each is not None)
    base = max((number for number, kind in files if kind == "base"), default=0)
    current = [path_of(path, *each) for each in files if each[0] >= base]
    before = [path_of(path, *each) for each in files if each[0] < base]
    return files[-1][0] if files else 0, current, before


def path_of(folder: str, number: int, kind: str) -> str:
    """The path of a file by its number: a `base` or a `journal`."""
    return os.path.join(folder, f"{number:08d}.{kind}")


def locked(path: str) -> int:
    """The lock file of a data directory, locked.

    Raises:
        DurabilityError: if another process has it, or this one.
    """
    lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        import fcntl
    except ImportError:
        return lock
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise DurabilityError(
            f"{path} is open in another cache: one process may have it at a time, and one "
            f"cache of it; close() that one, or share it through a server"
        ) from error
    return lock
