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
   again what could not be written, and has another one begin anew when the files have grown to
   twice what they were after the last time.
5. Without a journal nothing is written but snapshots, each under another name until it is
   complete; the last one as the directory is closed.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple, cast

from cachestorm.durability.disk import DISK, Disk
from cachestorm.durability.frames import HEADER
from cachestorm.durability.journal import SYNCS, Journal
from cachestorm.durability.segments import Segment
from cachestorm.durability.snapshot import Loading, record_all, save
from cachestorm.errors import ConfigError, DurabilityError
from cachestorm.keyspace.forks import Keeper
from cachestorm.keyspace.store import Store
from cachestorm.values.forms import Forms

FIRST_BYTES: Final = 64 << 20
LOOK_S: Final = 1.0
COPIED_BYTES: Final = 1 << 20
# after a snapshot that has failed, the next one that nobody asks for is taken so much later
RETRY_S: Final = 60.0

_NO_SNAPSHOT: Final = (
    "Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. "
    "Commands that may modify the data set are disabled, because this instance is configured "
    "to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error "
    "option). Please check the Redis logs for details about the RDB error."
)
_NAME: Final = re.compile(r"(\d{8,})\.(base|journal)")
_log = logging.getLogger("cachestorm")


class Progress(NamedTuple):
    """How far a directory has been loaded.

    Attributes:
        done, total: bytes of its files.
        keys: how many are there.
    """

    done: int
    total: int
    keys: int


class DataDirectory:
    """A directory that is open, once it has been loaded.

    Args:
        store: whose directory it is; empty.
        forms: what the cache does with objects.
        sync: when the journal is forced to the disk, one of `always`, `everysec` and `no`.
        aof: whether there is a journal at all.

    Attributes:
        path: of the directory.
        journal: what is written to; None without one, and before the load.
        progress: of the load.
        is_rewriting: whether it is being begun anew.
        is_scheduled: whether it is to be once that has ended.
        saves_at_end: whether a snapshot is taken as it is closed, where there is no journal.
        saved_at: when it was last, in seconds since 1970; when it was opened, before that.
        saved_sequence: what the store had changed by then.
        began_at: when the one that is under way began.
        save_s: how long the last one took; -1 before the first time.
        save_error: why the last attempt failed; None if it did not.
        saves: how many have succeeded.
        base_bytes: how much there was after the last time.
        rewrite_bytes: with fewer than that it is not begun anew by itself.
        most_bytes: with so many more than after the last time it is; 0: any number.
        interval_s: after that long it is, if anything was changed; 0: never.

    Raises:
        DurabilityError: if the directory cannot be used, or is open already.
    """

    def __init__(
        self,
        store: Store,
        forms: Forms | None,
        path: str,
        sync: str,
        aof: bool = True,
        disk: Disk = DISK,
    ) -> None:
        self.path: Final = os.path.abspath(path)
        self.journal: Journal | None = None
        self.progress = Progress(0, 0, 0)
        self.is_rewriting = False
        self.is_scheduled = False
        self.saves_at_end = True
        self.saved_at = self.began_at = time.time()
        self.save_s = -1.0
        self.save_error: DurabilityError | None = None
        self.saves = 0
        self.rewrite_bytes = FIRST_BYTES
        self.most_bytes = 0
        self.interval_s = 0.0
        self.base_bytes = 0
        self.saved_sequence = 0
        self._disk: Final = disk
        self._sync = sync
        self._aof: Final = aof
        self._tried_at = 0.0
        # the last snapshot: its file, and how much of that
        self._base = ""
        self._complete_bytes = 0
        self._rewriting: Final = threading.Lock()
        # True ends the thread, False has it force what there is
        self._bell: Final[SimpleQueue[bool]] = SimpleQueue()
        # called once what there was is on the disk
        self._waiting: Final[deque[Callable[[], object]]] = deque()
        self._threads: Final[list[threading.Thread]] = []
        # a compiled object takes no weak reference, so what keeps it does
        self._keeper: Final = weakref.ref(cast(Keeper, store.latch.keeper))
        self._loading: Loading | None = None
        self._lock = -1
        if sync not in SYNCS:
            raise ConfigError(f"aof_sync is one of {', '.join(SYNCS)}, not {sync!r}")
        try:
            os.makedirs(self.path, exist_ok=True)
            self._lock = locked(self.path)
            self._loading = Loading(store, forms, disk)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> DurabilityError:
        return DurabilityError(
            f"{self.path} cannot be used as data directory: {error.strerror}"
        )

    def load(self) -> None:
        """Reads what is there into the store, which is kept here from then on.

        Raises:
            DurabilityError: if the files are damaged, or cannot be read; the directory is
                given back then.
        """
        for _ in self.loading():
            pass

    def loading(self) -> Iterator[Progress]:
        """Does what `load` does, a few milliseconds at a time.

        Raises:
            DurabilityError: as `load`.
        """
        keeper, loading = self._keeper(), self._loading
        if keeper is None or loading is None:
            raise DurabilityError(f"{self.path} is loaded once")
        self._loading = None
        store = cast(Store, keeper.store)
        is_loaded = False
        try:
            yield from self._load(loading, store)
            self._attach(loading, store)
            is_loaded = True
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            if not is_loaded:
                self.give_back()

    def _load(self, loading: Loading, store: Store) -> Iterator[Progress]:
        disk = self._disk
        _, current, before = segment_files(self.path, disk)
        for path in before:
            disk.remove(path)
        sizes = disk.names(self.path)
        total = sum(sizes[os.path.basename(path)] for path in current)
        done = 0
        began_at = time.monotonic()
        self._base = path_of(self.path, 1, "journal")
        open_ended = may_be_torn(current, sizes)
        for path in current:
            self._base = path
            segment = Segment(path, loading.number, path in open_ended, disk)
            for _ in loading.slices(segment):
                at = done + segment.offset
                self.progress = Progress(at, total, int(store.entry_count))
                yield self.progress
            done += sizes[os.path.basename(path)]
            if path.endswith("base") and not loading.is_complete:
                # it was named so when it was complete, and on the disk
                raise segment.damaged("it ends before the snapshot does")
            if segment.tail is not None:
                self._cut(segment)
        loading.finish(goes_on=self._aof)
        keys = int(store.entry_count)
        self.progress = Progress(done, total, keys)
        if loading.frames:
            took_s = time.monotonic() - began_at
            _log.info(
                "%s: %d keys loaded in %.1f s (%d a second)",
                self.path,
                keys,
                took_s,
                keys / max(took_s, 0.001),
            )

    def _cut(self, segment: Segment) -> None:
        tail = segment.tail
        assert tail is not None
        _log.warning(
            "%s: a torn write of %d bytes at its end, offset %d, is cut off",
            segment.path,
            tail.lost,
            tail.offset,
        )
        file = self._disk.open(segment.path)
        try:
            self._disk.truncate(file, tail.offset)
            self._disk.sync(file)
        finally:
            self._disk.close(file)

    def _attach(self, loading: Loading, store: Store) -> None:
        """Has what comes written, and looks after it."""
        if self._aof:
            self.journal = Journal(self._base, loading.number, self._sync, self._disk)
        self.base_bytes = self.size()
        store.enter()
        try:
            if self._aof:
                store.record_by(self.journal)
            self.saved_sequence = int(store.sequence)
        finally:
            store.leave()
        # what is evicted is recorded
        loading.limit()
        thread = threading.Thread(
            target=_look_after, args=(weakref.ref(self), self._bell), daemon=True
        )
        thread.name = "cachestorm-journal"
        self._threads.append(thread)
        thread.start()

    def size(self) -> int:
        """How many bytes its files have. O(files)."""
        found = self._disk.names(self.path)
        return sum(size for name, size in found.items() if _NAME.fullmatch(name))

    @property
    def sync(self) -> str:
        """When the journal is forced to the disk; empty without one."""
        return self._sync if self._aof else ""

    @property
    def changes(self) -> int:
        """How much has changed since the last snapshot."""
        keeper = self._keeper()
        if keeper is None:
            return 0
        return int(cast(Store, keeper.store).sequence) - self.saved_sequence

    def refusal(self) -> str:
        """Why writes are to be refused, in Redis' words; empty if they are not."""
        journal = self.journal
        if journal is None:
            return _NO_SNAPSHOT if self.save_error is not None else ""
        error = journal.error
        return "" if error is None else f"Errors writing to the AOF file: {error.strerror}"

    def force_by(self, sync: str) -> None:
        """Has the journal forced to the disk at other times: SYNCS."""
        self._sync = sync
        if self.journal is not None:
            self.journal.force_by(sync)

    def force(self) -> None:
        """Returns when all that was written before is on the disk, by a snapshot if need be.

        Raises:
            DurabilityError: if that fails.
        """
        if self.journal is None:
            self.rewrite()
        else:
            self.journal.force()

    def is_forced(self) -> bool:
        """Whether all that was written before is on the disk."""
        journal = self.journal
        return journal is not None and journal.is_forced

    def when_forced(self, call: Callable[[], object]) -> None:
        """Has something called, by another thread, once what was written before is forced.

        It is forced at once, whatever `sync` says; if that fails, when it works again.
        """
        self._waiting.append(call)
        self._bell.put(False)

    def force_for_others(self) -> None:
        """Does what was asked of `when_forced`."""
        waiting = len(self._waiting)
        if waiting == 0 or self.journal is None:
            return
        try:
            self.journal.force()
        except DurabilityError:
            return
        for _ in range(waiting):
            self._waiting.popleft()()

    def rewrite(self) -> None:
        """Begins the journal anew with a snapshot, while others go on writing.

        Raises:
            DurabilityError: if it is being done already, or fails. Nothing is lost then.
        """
        keeper = self._keeper()
        if keeper is None or not self._rewriting.acquire(blocking=False):
            raise DurabilityError("a snapshot is being written already")
        self._tried_at = began_at = time.monotonic()
        self.began_at = time.time()
        self.is_rewriting = True
        try:
            store = cast(Store, keeper.store)
            self._check_room(store)
            # no more than that is certain to be in it
            sequence = int(store.sequence)
            if self.journal is None:
                self._rewrite_whole(store)
            else:
                self._rewrite(store, self.journal)
        except OSError as error:
            self.save_error = DurabilityError(f"{self.path}: {error.strerror}")
            raise self.save_error from error
        except DurabilityError as error:
            self.save_error = error
            raise
        else:
            self.save_error = None
            self.saves += 1
            self.saved_at = time.time()
            self.saved_sequence = sequence
            self.save_s = time.monotonic() - began_at
        finally:
            self.is_rewriting = False
            self._rewriting.release()

    def _check_room(self, store: Store) -> None:
        """Refuses a snapshot that cannot fit: half of one would leave room for nothing else."""
        need = int(store.used_bytes)
        if self.journal is not None:
            # all that is there is in the files as well
            need = min(need, self.size())
        free = self._disk.free_bytes(self.path)
        if need > free:
            raise DurabilityError(
                f"{self.path}: a snapshot takes up to {need} bytes, and {free} are free"
            )

    def _rewrite(self, store: Store, journal: Journal) -> None:
        number = segment_files(self.path, self._disk)[0] + 1
        begun = path_of(self.path, number, "journal")
        store.enter()
        try:
            # before any change of this visit is recorded
            journal.is_walked = True
            journal.switch(begun)
        finally:
            store.leave()
        record_all(store, journal, begun)
        journal.force()
        # others may have written after the end of the snapshot: whole frames
        self._complete_bytes = journal.size
        complete = path_of(self.path, number, "base")
        self._disk.rename(begun, complete)
        journal.path = complete
        self._begin_with(complete)

    def _rewrite_whole(self, store: Store) -> None:
        number = segment_files(self.path, self._disk)[0] + 1
        complete = path_of(self.path, number, "base")
        save(store, complete, self._disk)
        self._complete_bytes = self._disk.names(self.path)[os.path.basename(complete)]
        self._begin_with(complete)

    def _begin_with(self, base: str) -> None:
        self._base = base
        self._disk.sync_folder(base)
        for path in segment_files(self.path, self._disk)[2]:
            self._disk.remove(path)
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
            self._disk.sync_folder(path)
        except OSError as error:
            with suppress(OSError):
                os.remove(unfinished)
            raise DurabilityError(f"{path} cannot be written: {error.strerror}") from error

    def look(self) -> None:
        """What is to be done once a second."""
        journal = self.journal
        if journal is not None:
            with suppress(DurabilityError):
                if journal.sync == "no":
                    journal.flush()
                else:
                    journal.force()
                    journal.testify()
        self.force_for_others()
        if self._is_due():
            with suppress(DurabilityError):
                self.rewrite_soon()

    def _is_due(self) -> bool:
        if self.is_rewriting:
            return False
        if self.is_scheduled:
            return True
        if self.save_error is not None and time.monotonic() < self._tried_at + RETRY_S:
            return False
        is_late = 0 < self.interval_s <= time.time() - self.saved_at and self.changes > 0
        if self.journal is None:
            return is_late
        size = self.size()
        grown = size - self.base_bytes
        return (
            is_late
            or (size >= self.rewrite_bytes and grown >= self.base_bytes)
            or (self.most_bytes != 0 and grown >= self.most_bytes)
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
        self.is_scheduled = False
        thread = threading.Thread(target=self._rewrite_aside, name="cachestorm-snapshot")
        self._threads[1:] = [thread]
        thread.start()

    def _rewrite_aside(self) -> None:
        try:
            self.rewrite()
        except DurabilityError as error:
            _log.error("%s: no snapshot: %s", self.path, error)

    def wait(self) -> None:
        """Returns when no snapshot is being written in a thread of its own."""
        for thread in self._threads[1:]:
            thread.join()

    def close(self, store: Store) -> None:
        """Writes all there is, and gives the directory back.

        Raises:
            DurabilityError: if it cannot be written; the directory is given back nevertheless.
        """
        self._bell.put(True)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        try:
            if self.journal is not None:
                self._close_journal(store, self.journal)
            elif self._threads and self.saves_at_end and self.changes > 0:
                self.rewrite()
        finally:
            self.give_back()

    def _close_journal(self, store: Store, journal: Journal) -> None:
        with self._rewriting:
            store.enter()
            try:
                store.record_by(None)
            finally:
                store.leave()
            journal.close()

    def give_back(self) -> None:
        """Gives the directory back, as it is."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def __del__(self) -> None:
        if getattr(self, "_lock", -1) >= 0:
            self.give_back()


def _look_after(reference: weakref.ref[DataDirectory], bell: SimpleQueue[bool]) -> None:
    looks_at = time.monotonic() + LOOK_S
    while True:
        is_ending, is_rung = False, True
        try:
            is_ending = bell.get(timeout=max(looks_at - time.monotonic(), 0.0))
        except Empty:
            is_rung = False
        directory = reference()
        if is_ending or directory is None:
            return
        try:
            if is_rung:
                directory.force_for_others()
            else:
                looks_at = time.monotonic() + LOOK_S
                directory.look()
        except Exception:
            _log.exception("%s is not looked after", directory.path)
        del directory


def segment_files(path: str, disk: Disk = DISK) -> tuple[int, list[str], list[str]]:
    """The number of the last file of a data directory, those that count, those before them."""
    found = [_NAME.fullmatch(name) for name in disk.names(path)]
    files = sorted((int(each[1]), each[2]) for each in found if each is not None)
    base = max((number for number, kind in files if kind == "base"), default=0)
    current = [path_of(path, *each) for each in files if each[0] >= base]
    before = [path_of(path, *each) for each in files if each[0] < base]
    return files[-1][0] if files else 0, current, before


def may_be_torn(current: list[str], sizes: dict[str, int]) -> list[str]:
    """Of the files that count, those that were written to last.

    Args:
        sizes: bytes by name.

    Returns:
        The last one; and where nothing was written to that but its head, those before it as
        well: it was begun, and then the disk has failed.
    """
    found: list[str] = []
    for path in reversed(current):
        found.append(path)
        if sizes[os.path.basename(path)] > len(HEADER):
            break
    return found


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
