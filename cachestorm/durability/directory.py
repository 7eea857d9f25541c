"""The data directory: a base and the journals after it, for one process at a time.

Opened by a cache that is made with `data_dir=`; asked by the commands that save. Calls the
journal, the snapshot and the store; `folder.py` has the names of the files.

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
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, cast

from cachestorm.durability.copying import copy_files, lack_of_room
from cachestorm.durability.disk import DISK, Disk
from cachestorm.durability.folder import BASE, FIRST, JOURNAL, Folder
from cachestorm.durability.journal import SYNCS, Journal
from cachestorm.durability.recovery import Progress, recover
from cachestorm.durability.snapshot import Loading, naming, record_all, record_places, save
from cachestorm.errors import ConfigError, DurabilityError
from cachestorm.keyspace.forks import Keeper
from cachestorm.keyspace.store import Store
from cachestorm.values.forms import Forms

FIRST_BYTES: Final = 64 << 20
LOOK_S: Final = 1.0
# who loads is told so often that it goes on
LOOK_EVERY_S: Final = 0.01
# after a snapshot that has failed, the next one that nobody asks for is taken so much later
RETRY_S: Final = 60.0

_NO_SNAPSHOT: Final = (
    "Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. "
    "Commands that may modify the data set are disabled, because this instance is configured "
    "to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error "
    "option). Please check the Redis logs for details about the RDB error."
)
_log = logging.getLogger("cachestorm")


class DataDirectory:
    """A directory that is open, once it has been loaded.

    Args:
        store: whose directory it is; empty.
        forms: what the cache does with objects.
        sync: when the journal is forced to the disk, one of `always`, `everysec` and `no`.
        aof: whether there is a journal at all.

    Attributes:
        folder: where its files are.
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
        # the last snapshot: a piece of a file
        self._last = ("", 0, 0)
        self._rewriting: Final = threading.Lock()
        # True ends the thread, False has it force what there is
        self._bell: Final[SimpleQueue[bool]] = SimpleQueue()
        # called once what there was is on the disk
        self._waiting: Final[deque[Callable[[], object]]] = deque()
        self._threads: Final[list[threading.Thread]] = []
        # a compiled object takes no weak reference, so what keeps it does
        self._keeper: Final = weakref.ref(cast(Keeper, store.latch.keeper))
        self._loading: Loading | None = None
        if sync not in SYNCS:
            raise ConfigError(f"aof_sync is one of {', '.join(SYNCS)}, not {sync!r}")
        try:
            self.folder: Final = Folder(path, disk)
            self.folder.lock()
            if store.tiering is not None:
                store.tiering.be_kept(self.folder.tiers_name())
        except OSError as error:
            raise _unusable(path, error) from error
        self._loading = Loading(store, forms, disk)

    def load(self) -> None:
        """Reads what is there into the store, which is kept here from then on.

        Raises:
            DurabilityError: if the files are damaged, or cannot be read; the directory is
                given back then.
        """
        for _ in self.loading():
            pass

    def loading(self, fill: Callable[[], Iterator[None]] | None = None) -> Iterator[Progress]:
        """Does what `load` does, a few milliseconds at a time.

        Args:
            fill: puts more into the store, a slice at a time, once all is there that was kept.
                All of that is kept or nothing: it is written when it has ended.

        Raises:
            DurabilityError: as `load`; and what `fill` raises.
        """
        keeper, loading = self._keeper(), self._loading
        if keeper is None or loading is None:
            raise DurabilityError(f"{self.folder.path} is loaded once")
        self._loading = None
        store = cast(Store, keeper.store)
        is_loaded = False
        try:
            if fill is None:
                self._check_whose()
            for progress in recover(self.folder, loading, store, self._disk):
                self.progress = progress
                yield progress
            if fill is not None:
                loading.limit()
                for _ in fill():
                    yield self.progress
                with ThreadPoolExecutor(1) as aside:
                    writing = aside.submit(self._rewrite_whole, store)
                    while not wait([writing], LOOK_EVERY_S).done:
                        yield self.progress
                loading.number = writing.result()
            self._attach(loading, store)
            is_loaded = True
        except OSError as error:
            raise _unusable(self.folder.path, error) from error
        finally:
            if not is_loaded:
                self.folder.give_back()

    def _check_whose(self) -> None:
        """Refuses to begin with nothing beside data of Redis, which were to be read."""
        theirs = self.folder.files_of_redis()
        if theirs and not self.folder.found().current:
            path = self.folder.path
            raise DurabilityError(
                f"{path} holds data of Redis ({', '.join(theirs)}) and none of CacheStorm: "
                f"read it once by `cachestorm serve --data-dir {path} --import "
                f"{os.path.join(path, theirs[0])}`, or use another directory"
            )

    def _attach(self, loading: Loading, store: Store) -> None:
        """Has what comes written, and looks after it."""
        if self._aof:
            loading.arm()
            files = self.folder.found().current or [self.folder.path_of(FIRST, JOURNAL)]
            self.journal = Journal(files[-1], loading.number, self._sync, self._disk)
        self.base_bytes = self.folder.size()
        store.enter()
        try:
            if self._aof:
                store.record_by(self.journal)
            self.saved_sequence = int(store.sequence)
            if store.tiering is not None:
                store.tiering.end_load()
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

    def rewrite(self, refers: bool = True) -> None:
        """Begins the journal anew with a snapshot, while others go on writing.

        Args:
            refers: whether values in colder tiers are named only.

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
            self.folder.hold(store.tiering is not None)
            if lack := lack_of_room(self.folder, store, self.journal):
                raise DurabilityError(lack)
            # no more than that is certain to be in it
            sequence = int(store.sequence)
            if self.journal is None:
                self._rewrite_whole(store, refers)
            else:
                self._rewrite(store, self.journal, refers)
            if store.tiering is not None and not refers:
                # what has all values is read through at a start
                self.is_scheduled = True
        except OSError as error:
            self.save_error = DurabilityError(f"{self.folder.path}: {error.strerror}")
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

    def _rewrite(self, store: Store, journal: Journal, refers: bool) -> None:
        number = self.folder.found().last + 1
        begun = self.folder.path_of(number, JOURNAL)
        with naming(store, refers):
            store.enter()
            try:
                # before any change of this visit is recorded
                journal.walkers += 1
                journal.switch(begun)
            finally:
                store.leave()
            record_all(store, journal, begun, refers)
            journal.force()
            # others may have written after the end of the snapshot: whole frames
            size = journal.size
            complete = self.folder.path_of(number, BASE)
            journal.rename(begun, complete)
            self._begin_with(complete, size)

    def _rewrite_whole(self, store: Store, refers: bool = True) -> int:
        """Returns the number of the last frame of the snapshot."""
        complete = self.folder.path_of(self.folder.found().last + 1, BASE)
        with naming(store, refers):
            size, number = save(store, complete, self._disk, refers)
            self._begin_with(complete, size)
        return number

    def _begin_with(self, base: str, size: int) -> None:
        self._last = (base, 0, size)
        self._disk.sync_folder(base)
        self.folder.remove(self.folder.found().before)
        self.base_bytes = self.folder.size()

    def save_to(self, path: str, store: Store) -> None:
        """Writes all there is to a file, which is there whole or not at all.

        It is a copy: of a new snapshot, or of what there is if that does not fit there.

        Raises:
            DurabilityError: if it cannot be written, or a snapshot is being written already.
        """
        journal = self.journal
        if journal is None:
            save(store, path, self._disk)
        elif store.tiering is not None or not lack_of_room(self.folder, store, journal):
            self.rewrite(refers=False)
            with self._rewriting:
                self.folder.copy([self._last], path)
        else:
            with self._rewriting:
                copy_files(self.folder, store, journal, path)

    def look(self) -> None:
        """What is to be done once a second."""
        journal = self.journal
        if journal is not None:
            with suppress(DurabilityError):
                if journal.sync == "no":
                    journal.find_file()
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
        keeper = self._keeper()
        tiering = None if keeper is None else keeper.store.tiering
        if tiering is not None and tiering.wants_naming():
            return True
        if self.journal is None or self.journal.is_lost:
            return is_late
        size = self.folder.size()
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
            _log.error("%s: no snapshot: %s", self.folder.path, error)

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
            self.folder.give_back()

    def _close_journal(self, store: Store, journal: Journal) -> None:
        with self._rewriting:
            record_places(store, journal)
            store.enter()
            try:
                store.record_by(None)
            finally:
                store.leave()
            journal.close()


def _unusable(path: str, error: OSError) -> DurabilityError:
    reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
    return DurabilityError(f"{path} cannot be used as data directory: {reason}")


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
            _log.exception("%s is not looked after", directory.folder.path)
        del directory
