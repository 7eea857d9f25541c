"""The tiers of a cache: take the values that it demotes, and fetch them again.

Made by `settings.py`, called by the namespaces and, as the latch is given back, by the shared
state. Calls the levels (`level.py`), makes bytes of values (`blobs.py`), and has `moving.py`
carry values from one level to the next. `reading_ahead.py` and `keeping.py` are parts of it.

    namespace --take--> pending --settle--> on its way --> warm --> cold
                           |                    |            |       |
                           +------ read, withdraw, release --+-------+

1. Demoting a value is a matter of memory: it is `pending`, and nothing waits for a disk. Who
   gives the latch back when enough is pending writes a batch of that, without the latch, before
   the call returns. So nothing can run away: who fills a cache also empties it.
2. What is pending or on its way is found there. A container is copied into a snapshot under the
   latch before it is on its way, since its entry may get it back meanwhile.
3. A value that has no form in bytes, or that an engine refuses, is evicted after all. After a
   refusal the next level takes what comes, and where there is none it is evicted.
4. For a server other threads do it: one writes, as long as no more than MOST_PENDING_BYTES are
   pending, and a few of them fetch what commands are going to ask for.
5. Nobody waits for a cold tier but who asks for what is there: another thread writes to it, and
   when it cannot keep up what is demoted is evicted.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, cast

from cachestorm.entry import Entry
from cachestorm.errors import of_a_parent
from cachestorm.keyspace.forks import Keeper
from cachestorm.keyspace.recorder import Refusing
from cachestorm.keyspace.store import Store
from cachestorm.keyspace.tiering import (
    COLD,
    PENDING,
    TIER_BITS,
    Demoted,
    Held,
    Reference,
    Tiering,
    place_in,
    tier_of,
)
from cachestorm.payload.entry_snapshot import EntrySnapshot, snapshot_of
from cachestorm.tiers.blobs import body_of
from cachestorm.tiers.cold import ColdLevel
from cachestorm.tiers.keeping import Keeping
from cachestorm.tiers.leaving import evict, evict_all, fit, latched, released_of
from cachestorm.tiers.level import RELEASED, Level
from cachestorm.tiers.moving import Mover
from cachestorm.tiers.reading_ahead import ReadingAhead
from cachestorm.tiers.tier_stats import TierStats
from cachestorm.tiers.waiting import Pending
from cachestorm.tiers.warm import WarmLevel
from cachestorm.values.forms import Forms

# So many values that are pending are worth a write to an SSD.
BATCH: Final = 128
# With so much pending nobody goes on before it is less; and nothing more goes to a cold tier.
MOST_PENDING_BYTES: Final = 8 << 20

_log = logging.getLogger("cachestorm")


class Tiers(Tiering):
    """The colder tiers of one cache.

    Args:
        store: whose values they are.
        forms: what the cache does with objects.
        warm, cold: one of them at least.
    """

    def __init__(
        self,
        store: Store,
        forms: Forms | None,
        warm: WarmLevel | None = None,
        cold: ColdLevel | None = None,
    ) -> None:
        super().__init__()
        self.levels: Final[list[Level]] = [each for each in (warm, cold) if each is not None]
        self.warm: Final = warm
        self.cold: Final = cold
        self._by_tier: Final = {level.tier: level for level in self.levels}
        self._forms: Final = forms
        # a compiled object takes no weak reference, so what keeps it does
        self._keeper: Final = weakref.ref(cast(Keeper, store.latch.keeper))
        self._number = 0
        # by place, the oldest first; changed under the latch
        self._pending: dict[int, Pending] = {}
        self.pending_bytes = 0
        # what a thread writes at the moment; found there until the engine has it
        self._on_its_way: dict[int, Pending] = {}
        # what commands have had fetched that have not run yet
        self.ahead: Final = ReadingAhead(self.read)
        self._keeping: Final = Keeping(self.levels)
        self._is_loading = False
        self._writer: ThreadPoolExecutor | None = None
        self._abandoned: Final[list[deque[Demoted]]] = []
        self._settling: threading.Lock = threading.Lock()
        self._settler = 0
        self._is_flushing = False
        # whether the writer's thread is going to settle
        self._is_asked_for = False
        self.is_open = True
        self._pid = os.getpid()
        self.mover: Final = (
            None if cold is None else Mover(self, warm, cold, self._take_cold_batch)
        )

    def stats(self) -> dict[str, TierStats]:
        """What each holds and has done, by its name. The caller holds the latch."""
        target = self._target() or self.levels[0]
        waiting = len(self._pending) + len(self._on_its_way)
        return {
            level.name: level.stats(self.pending_bytes, waiting)
            if level is target
            else level.stats()
            for level in self.levels
        }

    # -- what the namespaces ask, with the latch held but for `read`

    def _target(self) -> Level | None:
        """Where a value goes that is demoted now; None if nothing takes it."""
        for level in self.levels:
            if level.accepts():
                return level
        return None

    def takes(self, kind: int, held: object) -> bool:
        if not self.is_open or self._pid != os.getpid():
            return False
        level = self._target()
        if level is not None and level.tier == COLD and self.pending_bytes > MOST_PENDING_BYTES:
            level.skipped += 1
            return False
        return level is not None

    def passes_over(self, is_wonder: bool) -> bool:
        return self.levels[-1].passes_over(is_wonder)

    def take(self, entry: Entry, kind: int, held: object, size: int) -> Demoted:
        self._number += 1
        place = place_in(PENDING, self._number)
        demoted = Demoted(place, entry)
        self._pending[place] = Pending(demoted, place, kind, held, size)
        self.pending_bytes += size
        if self._is_worth_a_write(self._target()):
            self.is_due = True
        return demoted

    def _is_worth_a_write(self, level: Level | None) -> bool:
        if self._is_flushing or level is None:
            return True
        return self.pending_bytes >= level.batch_bytes or (
            level is self.warm and len(self._pending) >= BATCH
        )

    def read(self, demoted: Demoted) -> Held | None:
        fetched = self.ahead.fetched.get(id(demoted))
        if fetched is not None and (fetched.held is not None or fetched.place == demoted.place):
            return fetched.held
        while True:
            place = demoted.place
            # in the order in which a value goes: it is never between two of them
            waiting = self._pending.get(place) or self._on_its_way.get(place)
            if waiting is not None:
                return Held(waiting.kind, waiting.value)
            level = self._by_tier.get(tier_of(place))
            found = None
            # an engine survives no fork: in the child its values are lost
            if level is not None and self._pid == os.getpid():
                found = level.read(demoted, place, self._forms)
            if found is not None or demoted.place == place:
                return found

    def withdraw(self, demoted: Demoted) -> Held | None:
        found = self.read(demoted)
        if found is not None:
            self.returned(demoted)
        return found

    def returned(self, demoted: Demoted) -> None:
        # a container changes from now on
        self.ahead.fetched.pop(id(demoted), None)
        level = self._by_tier.get(tier_of(demoted.place)) or self.levels[0]
        level.promotions += 1

    def keeps(self, demoted: Demoted) -> bool:
        level = self._by_tier.get(tier_of(demoted.place))
        return level is not None and level.keeps()

    def name_of(self, demoted: Demoted) -> str:
        level = self._by_tier.get(tier_of(demoted.place)) or self._target() or self.levels[0]
        return level.name

    def fetch(self, wanted: list[Demoted], done: Callable[[], object]) -> None:
        self.ahead.fetch(wanted, done)

    def read_ahead(self, wanted: list[Demoted]) -> None:
        self.ahead.read_ahead(wanted)

    def has_read(self, demoted: Demoted) -> bool:
        return id(demoted) in self.ahead.fetched

    def forget(self, wanted: list[Demoted]) -> None:
        self.ahead.forget(wanted)

    def release(self, demoted: Demoted) -> None:
        waiting = self._pending.pop(demoted.place, None)
        if waiting is not None:
            self.pending_bytes -= waiting.size
            return
        level = self._by_tier.get(tier_of(demoted.place))
        if level is not None:
            level.forget(demoted)
            if level.is_worth_a_write():
                self.is_due = True
        # of what is on its way, its writer sees that it has no entry any more

    def abandon(self, line: deque[Demoted]) -> None:
        # taken over as it is: a flush takes no time
        self._abandoned.append(line)
        self.is_due = True

    def lost(self, demoted: Demoted) -> None:
        level = self._by_tier.get(tier_of(demoted.place)) or self.levels[0]
        level.losses += 1

    def has(self, tier: str) -> bool:
        """Whether there is such a tier."""
        return any(level.name == tier for level in self.levels)

    def send(self, demoted: Demoted, tier: str) -> bool:
        """Has a value go to a tier that is chosen. The caller holds the latch.

        Returns:
            Whether it is there, or on its way there.
        """
        if tier == "cold" and self.mover is not None:
            self.mover.ask(demoted)
            self.is_due = True
            return True
        return self.name_of(demoted) == tier

    def forked(self) -> None:
        self._settling = threading.Lock()
        self._settler = 0
        self.ahead.forked()
        self._writer = None
        self._is_asked_for = False
        self._abandoned.clear()
        for level in self.levels:
            level.take_released()
            level.blobs.forked()
        if self.mover is not None:
            self.mover.forked()
        store = self._store()
        if store is not None and store.recorder is None:
            store.record_by(Refusing(of_a_parent(self.levels[0].path)))

    # -- what a data directory asks

    def be_kept(self, name: str) -> None:
        self._is_loading = True
        for level in self.levels:
            level.be_kept(name)

    def adopt(self, entry: Entry, reference: Reference) -> Demoted | None:
        return self._by_tier[reference.tier].adopt(entry, reference)

    def end_load(self) -> None:
        self._keeping.end_load()
        self._is_loading = False
        self.is_due = True

    def sync(self) -> None:
        self._keeping.sync()

    def begin_naming(self) -> None:
        self._keeping.begin_naming()

    def end_naming(self, is_complete: bool) -> None:
        self._keeping.end_naming(is_complete)
        self.is_due = True

    def reference_of(self, demoted: Demoted) -> Reference | None:
        level = self._by_tier.get(tier_of(demoted.place))
        return None if level is None or not level.is_kept else level.reference_of(demoted)

    def is_named(self, demoted: Demoted) -> bool:
        level = self._by_tier.get(tier_of(demoted.place))
        return level is not None and demoted.place >> TIER_BITS <= level.complete_until

    def wants_naming(self) -> bool:
        return self._keeping.wants_naming()

    # -- without the latch

    def flush(self) -> None:
        """Writes all that is pending, however little it is. The caller holds no latch."""
        self._is_flushing = True
        try:
            self.is_due = True
            self._settle_here(threading.get_ident(), True)
            store = self._store()
            if self.mover is not None and store is not None:
                self.mover.work(store, True)
        finally:
            self._is_flushing = False

    def _store(self) -> Store | None:
        keeper = self._keeper()
        return None if keeper is None else cast(Store, keeper.store)

    def settle(self) -> None:
        thread = threading.get_ident()
        is_idle = self._is_loading or not self.is_open or self._pid != os.getpid()
        if is_idle or self._settler == thread:
            # within it: what a codec or a listener does with the cache
            return
        if self.warm is None or (
            self.is_background and self.pending_bytes <= MOST_PENDING_BYTES
        ):
            self._settle_elsewhere()
            return
        self._settle_here(thread, self.pending_bytes > MOST_PENDING_BYTES)

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
        self._settle_here(threading.get_ident(), True)

    def _settle_here(self, thread: int, waits: bool) -> None:
        if not self._settling.acquire(blocking=waits):
            return
        try:
            self._settler = thread
            store = self._store()
            while store is not None and self.is_due and self.is_open:
                self._settle(store)
        finally:
            self._settler = 0
            self._settling.release()

    def _settle(self, store: Store) -> None:
        self.is_due = False
        self._release_abandoned(store)
        warm = self.warm
        is_short = False
        if warm is not None:
            written = warm.written_bytes
            goes_on = True
            while goes_on:
                # what the cold tier takes, its mover writes
                is_target = self.cold is None or self._target() is not self.cold
                batch = self._next_batch(store, warm) if is_target else []
                # a value that goes back to memory is no reason for a write of its own
                is_worth_it = batch or self._is_flushing or warm.is_worth_a_write()
                released = released_of(store, warm) if is_worth_it else []
                goes_on = bool(batch or released)
                if goes_on and not self.write(store, warm, batch, released):
                    break
            is_short = warm.written_bytes != written and warm.is_short_of_disk()
            if self.mover is None and is_short:
                warm.is_full = True
            fit(store, warm)
        if self.mover is not None:
            self.mover.call(store, is_short)
        coldest = self.levels[-1]
        with latched(store):
            self.is_full = coldest.is_nearly_full()
            if store.max_bytes != 0 and store.used_bytes > store.max_bytes:
                store.limit(store.max_bytes, store.max_entries)

    def _release_abandoned(self, store: Store) -> None:
        while self._abandoned:
            with latched(store):
                line = self._abandoned[-1]
                for _ in range(min(RELEASED, len(line))):
                    demoted = line.popleft()
                    if demoted.entry is not None:
                        demoted.entry = None
                        self.release(demoted)
                if not line:
                    self._abandoned.pop()

    def is_worth_a_cold_write(self) -> bool:
        """Whether so much is pending that it is to go to the cold tier."""
        return self._target() is self.cold and self._is_worth_a_write(self.cold)

    def _take_cold_batch(self, store: Store) -> bool:
        """Writes a batch of what is pending to the cold tier. Returns whether there was one."""
        cold = self.cold
        assert cold is not None
        if self._target() is not cold:
            return False
        batch = self._next_batch(store, cold)
        return bool(batch) and self.write(store, cold, batch, [])

    def _next_batch(self, store: Store, level: Level) -> list[tuple[Pending, EntrySnapshot]]:
        """Puts the oldest that are pending on their way, if they are worth it."""
        batch: list[tuple[Pending, EntrySnapshot]] = []
        size = 0
        most = BATCH if level is self.warm else 1 << 20
        with latched(store):
            if not self._is_worth_a_write(level):
                return batch
            while self._pending and size < level.batch_bytes and len(batch) < most:
                waiting = next(iter(self._pending.values()))
                self._on_its_way[waiting.place] = waiting
                del self._pending[waiting.place]
                self.pending_bytes -= waiting.size
                size += waiting.size
                batch.append((waiting, snapshot_of(waiting.kind, waiting.value, 0, [])))
        return batch

    def write(
        self,
        store: Store,
        level: Level,
        batch: list[tuple[Pending, EntrySnapshot]],
        released: list[int],
    ) -> bool:
        """Writes a batch and deletes what was released. Returns whether that could be done."""
        bodies: list[bytes] = []
        written: list[Pending] = []
        leaving: list[Pending] = []
        for waiting, snapshot in batch:
            body = self._body_of(snapshot)
            if body is None or len(body) > level.most_value_bytes:
                leaving.append(waiting)
            else:
                bodies.append(body)
                written.append(waiting)
        places = level.write(bodies, released)
        with latched(store):
            level.unfit += len(leaving)
            if places is None:
                # what cannot go anywhere is evicted
                leaving = [waiting for waiting, _ in batch]
                if self._target() is None:
                    leaving += self._pending.values()
            else:
                for waiting, body, place in zip(written, bodies, places, strict=True):
                    level.keep(waiting.demoted, place, len(body))
            for waiting in leaving:
                evict(store, waiting.demoted)
            for waiting, _ in batch:
                del self._on_its_way[waiting.place]
        return places is not None

    def _body_of(self, snapshot: EntrySnapshot) -> bytes | None:
        try:
            return body_of(snapshot)
        except Exception:  # a user's code: a codec, a copy
            _log.exception("a value cannot go to a colder tier")
            return None

    # -- the end

    def close(self, store: Store) -> None:
        """Gives all back; what is there is evicted. Nothing if that has happened."""
        with self._settling:
            if not self.is_open:
                return
            self.is_open = False
        self.ahead.close()
        if self._writer is not None:
            self._writer.shutdown()
        if self.mover is not None:
            self.mover.close()
        self._keeping.end()
        evict_all(store)
        store.tiering = None
        if isinstance(store.recorder, Refusing):
            with latched(store):
                store.record_by(None)
        for level in self.levels:
            level.give_back()
