"""The warm tier: takes the values that a cache demotes, and fetches them from an SSD.

Made by `Cache(warm=…)`, called by the namespaces and, as the latch is given back, by the shared
state. Calls an engine (`blob_store.py`) and makes bytes of values (`blobs.py`).

    namespace --take--> pending --settle--> on its way --> engine
                           |                    |             |
                           +------ read, withdraw, release ---+

1. Demoting a value is a matter of memory: it is `pending`, and nothing waits for a disk. Who
   gives the latch back when enough is pending writes a batch of that, without the latch, before
   the call returns. So nothing can run away: who fills a cache also empties it.
2. What is pending or on its way is found there. A container is copied into a snapshot under the
   latch before it is on its way, since its entry may get it back meanwhile.
3. A value that has no form in bytes, or that the engine refuses, is evicted after all.
   After a refusal nothing is demoted for RETRY_S: what has to leave is evicted.
4. For a server other threads do it: one writes, as long as no more than MOST_PENDING_BYTES are
   pending, and READERS of them fetch what commands are going to ask for.
5. The folder of values is of one process and one run. What another one has left there is not
   read: it is deleted when the directory is opened. So nothing is ever out of date.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

from cachestorm.durability.folder import Folder
from cachestorm.entry import Entry
from cachestorm.errors import CodecError, DurabilityError, PayloadError
from cachestorm.events import Cause
from cachestorm.keyspace.forks import Keeper
from cachestorm.keyspace.store import Store
from cachestorm.keyspace.tiering import WARM, Demoted, Held, Tiering
from cachestorm.payload.entry_snapshot import EntrySnapshot, snapshot_of
from cachestorm.tiers.blob_store import BlobStore, open_store
from cachestorm.tiers.blobs import blob_of, value_of
from cachestorm.tiers.leaving import end, evict, evict_slice, latched, oldest
from cachestorm.tiers.tier_stats import TierStats
from cachestorm.values.forms import Forms

FOLDER: Final = "values-"
# So much that is pending, or so many values, or so many that were released, is worth a write.
BATCH_BYTES: Final = 256 << 10
BATCH: Final = 128
# How many threads read for a server.
READERS: Final = 4
RELEASED: Final = 1024
# With so much pending nobody goes on before it is less.
MOST_PENDING_BYTES: Final = 8 << 20
# How long nothing is demoted after the engine has refused a write.
RETRY_S: Final = 5.0
# so much of the disk is left to others
FREE_BYTES: Final = 256 << 20

_log = logging.getLogger("cachestorm")

Opener = Callable[[str | None, str], BlobStore]


class Pending:
    """A value that is on its way to the engine."""

    def __init__(self, demoted: Demoted, kind: int, value: object, size: int) -> None:
        self.demoted: Final = demoted
        self.kind: Final = kind
        self.value: Final = value
        self.size: Final = size


class WarmTier(Tiering):
    """The values of one cache in a directory.

    Args:
        store: whose values they are.
        forms: what the cache does with objects.
        path: of the directory; made if it is not there.
        max_bytes: what the values may take there, by their sizes; 0 for no limit.
        engine: which, see `open_store`.

    Attributes:
        demotions, promotions: values that went to the tier, and that came back into memory.
        hits: reads that found a value there.
        losses: values that were damaged or could not be read; their entries went.
        unfit: values that have no exact form in bytes, and were evicted.
        failures: writes that the engine has refused.
        used_bytes: what the values that are named take, by their sizes.
        count: how many there are.
        written_bytes: what was written so far.

    Raises:
        ConfigError: for an engine that there is not.
        DurabilityError: if the directory cannot be used, or another cache has it.
    """

    def __init__(
        self,
        store: Store,
        forms: Forms | None,
        path: str,
        max_bytes: int = 0,
        engine: str | None = None,
        opener: Opener = open_store,
    ) -> None:
        super().__init__()
        self.path: Final = os.path.abspath(path)
        self.max_bytes: Final = max_bytes
        self.demotions = 0
        self.promotions = 0
        self.hits = 0
        self.losses = 0
        self.unfit = 0
        self.failures = 0
        self.used_bytes = 0
        self.count = 0
        self.written_bytes = 0
        # reads of the engine, and what they took
        self._reads = 0
        self._read_s = 0.0
        self._forms: Final = forms
        # a compiled object takes no weak reference, so what keeps it does
        self._keeper: Final = weakref.ref(cast(Keeper, store.latch.keeper))
        self._number = 0
        # by number, the oldest first; changed under the latch
        self._pending: dict[int, Pending] = {}
        self._pending_bytes = 0
        # what a thread writes at the moment; found there until the engine has it
        self._on_its_way: dict[int, Pending] = {}
        # what commands have had fetched that have not run yet, by number
        self._fetched: Final[dict[int, Held]] = {}
        self._fetching: threading.Lock = threading.Lock()
        self._readers: ThreadPoolExecutor | None = None
        self._writer: ThreadPoolExecutor | None = None
        self._released: list[int] = []
        self._abandoned: Final[list[deque[Demoted]]] = []
        self._settling: threading.Lock = threading.Lock()
        self._settler = 0
        self._is_flushing = False
        # whether the writer's thread is going to settle
        self._is_asked_for = False
        self._retry_at = 0.0
        self._is_full = False
        self._is_open = True
        self._pid = os.getpid()
        try:
            directory = Folder(self.path)
            # given back with the last reference to it, if it comes to nothing
            directory.lock()
            self._sweep()
            self._folder: Final = os.path.join(self.path, FOLDER + uuid.uuid4().hex)
            os.mkdir(self._folder, 0o700)
        except OSError as error:
            raise DurabilityError(
                f"{self.path} cannot be used as a warm tier: {error.strerror}"
            ) from error
        self._blobs: Final = opener(engine, self._folder)
        # for a cache that is dropped, or a program that ends, without `close`
        self._give_back: Final = weakref.finalize(
            store.latch.keeper, end, self._blobs, self._folder, directory, self._pid
        )

    def _sweep(self) -> None:
        """Deletes what another run has left."""
        with os.scandir(self.path) as found:
            for each in found:
                if each.name.startswith(FOLDER):
                    shutil.rmtree(each.path, ignore_errors=True)

    def stats(self) -> TierStats:
        """What it holds and has done."""
        return TierStats(
            engine=self._blobs.engine,
            path=self.path,
            values=self.count + len(self._pending) + len(self._on_its_way),
            used=self.used_bytes,
            max_size=self.max_bytes,
            pending=self._pending_bytes,
            disk=self._blobs.size_bytes(),
            demotions=self.demotions,
            promotions=self.promotions,
            hits=self.hits,
            losses=self.losses,
            unfit=self.unfit,
            failures=self.failures,
            written=self.written_bytes,
            read_us=round(self._read_s / max(self._reads, 1) * 1e6, 1),
        )

    # -- what the namespaces ask, with the latch held but for `read`

    def takes(self, kind: int, held: object) -> bool:
        if not self._is_open or self._is_full or self._pid != os.getpid():
            return False
        return self._retry_at == 0.0 or time.monotonic() >= self._retry_at

    def take(self, entry: Entry, kind: int, held: object, size: int) -> Demoted:
        self._number += 1
        demoted = Demoted(self._number, entry)
        self._pending[self._number] = Pending(demoted, kind, held, size)
        self._pending_bytes += size
        self.demotions += 1
        if self._pending_bytes >= BATCH_BYTES or len(self._pending) >= BATCH:
            self.is_due = True
        return demoted

    def read(self, demoted: Demoted) -> Held | None:
        number = demoted.number
        # in the order in which a value goes: it is never between two of them
        waiting = self._pending.get(number) or self._on_its_way.get(number)
        if waiting is not None:
            self.hits += 1
            return Held(waiting.kind, waiting.value)
        fetched = self._fetched.get(number)
        if fetched is not None:
            self.hits += 1
            return fetched
        if self._pid != os.getpid():
            # an engine survives no fork: in the child its values are lost
            return None
        began = time.perf_counter()
        try:
            blob = self._blobs.get(number)
            if blob is None:
                return None
            found = value_of(number, blob, self._forms)
        except (DurabilityError, PayloadError, CodecError) as error:
            if demoted.entry is not None:
                _log.warning("a value in the warm tier %s is lost: %s", self.path, error)
            return None
        self._reads += 1
        self._read_s += time.perf_counter() - began
        self.hits += 1
        return Held(found.kind, found.value)

    def withdraw(self, demoted: Demoted) -> Held | None:
        found = self.read(demoted)
        # a container changes from now on
        self._fetched.pop(demoted.number, None)
        if found is not None:
            self.promotions += 1
        return found

    def fetch(self, wanted: list[Demoted], done: Callable[[], object]) -> None:
        try:
            if self._readers is None:
                self._readers = ThreadPoolExecutor(READERS, "cachestorm-tier-reader")
            self._readers.submit(self._fetch, wanted, done)
        except RuntimeError:
            # the interpreter ends, or the tier has been closed: the command reads it itself
            done()

    def _fetch(self, wanted: list[Demoted], done: Callable[[], object]) -> None:
        try:
            self.read_ahead(wanted)
        finally:
            done()

    def read_ahead(self, wanted: list[Demoted]) -> None:
        for demoted in list(wanted):
            found = self.read(demoted)
            with self._fetching:
                # else the command has been given up
                if found is not None and wanted:
                    self.hits -= 1
                    self._fetched[demoted.number] = found

    def forget(self, wanted: list[Demoted]) -> None:
        with self._fetching:
            for demoted in wanted:
                self._fetched.pop(demoted.number, None)
            wanted.clear()

    def release(self, demoted: Demoted) -> None:
        number = demoted.number
        waiting = self._pending.pop(number, None)
        if waiting is not None:
            self._pending_bytes -= waiting.size
        elif demoted.tier == WARM:
            self._forget(demoted)
        # of what is on its way, its writer sees that it has no entry any more

    def _forget(self, demoted: Demoted) -> None:
        self.used_bytes -= demoted.size_bytes
        self.count -= 1
        self._is_full = False
        self._released.append(demoted.number)
        if len(self._released) >= RELEASED:
            self.is_due = True

    def abandon(self, line: deque[Demoted]) -> None:
        # taken over as it is: a flush takes no time
        self._abandoned.append(line)
        self.is_due = True

    def lost(self) -> None:
        self.losses += 1

    def forked(self) -> None:
        self._settling = threading.Lock()
        self._settler = 0
        self._fetching = threading.Lock()
        self._readers = self._writer = None
        self._is_asked_for = False
        self._released = []
        self._abandoned.clear()
        self._blobs.forked()

    # -- without the latch

    def flush(self) -> None:
        """Writes all that is pending, however little it is. The caller holds no latch."""
        self._is_flushing = True
        try:
            self.is_due = True
            self._settle_here(threading.get_ident())
        finally:
            self._is_flushing = False

    def settle(self) -> None:
        thread = threading.get_ident()
        if self._settler == thread or not self._is_open or self._pid != os.getpid():
            # within it: what a codec or a listener does with the cache
            return
        if self.is_background and self._pending_bytes <= MOST_PENDING_BYTES:
            self._settle_elsewhere()
            return
        self._settle_here(thread)

    def _settle_elsewhere(self) -> None:
        if self._is_asked_for:
            return
        self._is_asked_for = True
        try:
            if self._writer is None:
                self._writer = ThreadPoolExecutor(1, "cachestorm-tier-writer")
            self._writer.submit(self._settle_for_another)
        except RuntimeError:
            # the interpreter ends
            self._is_asked_for = False

    def _settle_for_another(self) -> None:
        self._is_asked_for = False
        self._settle_here(threading.get_ident())

    def _settle_here(self, thread: int) -> None:
        if not self._settling.acquire(blocking=self._pending_bytes > MOST_PENDING_BYTES):
            return
        try:
            self._settler = thread
            keeper = self._keeper()
            while keeper is not None and self.is_due and self._is_open:
                self._settle(cast(Store, keeper.store))
        finally:
            self._settler = 0
            self._settling.release()

    def _settle(self, store: Store) -> None:
        self.is_due = False
        goes_on = True
        while goes_on:
            self._release_abandoned(store)
            batch = self._next_batch(store)
            released, self._released = self._released, []
            goes_on = bool(batch or released or self._abandoned)
            if goes_on and not self._write(store, batch, released):
                return
        self._fit(store)
        with latched(store):
            if store.max_bytes != 0 and store.used_bytes > store.max_bytes:
                store.limit(store.max_bytes, store.max_entries)

    def _release_abandoned(self, store: Store) -> None:
        if not self._abandoned:
            return
        with latched(store):
            line = self._abandoned[-1]
            for _ in range(min(RELEASED, len(line))):
                demoted = line.popleft()
                if demoted.entry is not None:
                    demoted.entry = None
                    self.release(demoted)
            if not line:
                self._abandoned.pop()

    def _next_batch(self, store: Store) -> list[tuple[Pending, EntrySnapshot]]:
        """Puts the oldest that are pending on their way, if they are worth it."""
        batch: list[tuple[Pending, EntrySnapshot]] = []
        size = 0
        with latched(store):
            if not (
                self._is_flushing
                or self._pending_bytes >= BATCH_BYTES
                or len(self._pending) >= BATCH
            ):
                return batch
            while self._pending and size < BATCH_BYTES and len(batch) < BATCH:
                number = next(iter(self._pending))
                waiting = self._pending[number]
                self._on_its_way[number] = waiting
                del self._pending[number]
                self._pending_bytes -= waiting.size
                size += waiting.size
                batch.append((waiting, snapshot_of(waiting.kind, waiting.value, 0, [])))
        return batch

    def _write(
        self, store: Store, batch: list[tuple[Pending, EntrySnapshot]], released: list[int]
    ) -> bool:
        """Writes a batch and deletes what was released. Returns whether that could be done."""
        blobs: list[tuple[int, bytes]] = []
        unfit: list[Pending] = []
        for waiting, snapshot in batch:
            blob = self._blob_of(waiting, snapshot)
            if blob is None:
                unfit.append(waiting)
            else:
                blobs.append((waiting.demoted.number, blob))
        failure = ""
        try:
            self._blobs.write(blobs, released)
        except DurabilityError as error:
            failure = str(error)
        with latched(store):
            self.unfit += len(unfit)
            if failure:
                self._fail(failure, released)
                # what cannot go anywhere is evicted
                unfit = [*self._on_its_way.values(), *self._pending.values()]
            else:
                self._retry_at = 0.0
                self._note_written(blobs)
            for waiting in unfit:
                evict(store, waiting.demoted)
            self._on_its_way.clear()
        return not failure

    def _blob_of(self, waiting: Pending, snapshot: EntrySnapshot) -> bytes | None:
        try:
            return blob_of(waiting.demoted.number, snapshot)
        except Exception:  # a user's code: a codec, a copy
            _log.exception("a value cannot go to the warm tier %s", self.path)
            return None

    def _fail(self, failure: str, released: list[int]) -> None:
        _log.error("the warm tier %s refuses to write: %s", self.path, failure)
        self.failures += 1
        self._retry_at = time.monotonic() + RETRY_S
        # to be deleted when something is written again
        self._released.extend(released)

    def _note_written(self, blobs: list[tuple[int, bytes]]) -> None:
        for number, blob in blobs:
            demoted = self._on_its_way[number].demoted
            self.written_bytes += len(blob)
            demoted.size_bytes = len(blob)
            demoted.tier = WARM
            self.used_bytes += len(blob)
            self.count += 1
            if demoted.entry is None:
                self._forget(demoted)

    def _fit(self, store: Store) -> None:
        """Evicts the entries whose values were the first to come, if they take too much."""
        if self._free_bytes() < FREE_BYTES:
            self._is_full = True
        while self.max_bytes != 0 and self.used_bytes > self.max_bytes:
            with latched(store):
                space = oldest(store)
                for _ in range(BATCH):
                    entry = None if space is None else space.oldest_demoted()
                    if space is None or entry is None:
                        break
                    space.remove(entry, Cause.EVICTED)
                    if self.used_bytes <= self.max_bytes:
                        break
                if space is None:
                    # none of them may be evicted
                    self._is_full = True
                    return
            released, self._released = self._released, []
            if not self._write(store, [], released):
                return

    def _free_bytes(self) -> int:
        try:
            return shutil.disk_usage(self._folder).free
        except OSError:
            return FREE_BYTES

    # -- the end

    def close(self, store: Store) -> None:
        """Gives the directory back; what is there is evicted. Nothing if that has happened."""
        with self._settling:
            if not self._is_open:
                return
            self._is_open = False
        for pool in (self._readers, self._writer):
            if pool is not None:
                pool.shutdown()
        for space in store.spaces():
            place = len(space.dense)
            while place > 0:
                with latched(store):
                    place = evict_slice(space, min(place, len(space.dense)))
        store.tiering = None
        self._give_back()
