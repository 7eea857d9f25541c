"""The shared state: what all keyspaces of one cache share, and the accounts of its memory.

Written under the latch by keyspaces; the store above it makes and drops keyspaces.

1. `leave` is the only way to release the latch. What left the store meanwhile is in the list
   `to_drop`, and is dropped after the release: a finalizer may enter the cache.
2. What is large is freed lazily instead. A `leave` frees a step of it, unless the last step was
   a moment ago: so a share of the time goes into that, however many calls there are. Each also
   frees whatever exceeds the bound of what may wait: the limit of memory less what the store
   holds, or `MOST_PENDING_BYTES` without a limit. So memory cannot run away from a program that
   makes and drops large values in a loop, and nobody else waits for any of it.
3. Who waits for what a visit has put is served before the latch is released, and woken after
   that.
4. Time stands still between `enter` and `leave`.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from librt.time import time as wall_time
from mypy_extensions import i64

from cachestorm.channels import Broker
from cachestorm.clock import Clock, ManualClock
from cachestorm.entry import Entry
from cachestorm.errors import OutOfMemoryError, ReentrancyError
from cachestorm.keyspace.effects import Effects
from cachestorm.keyspace.latch import STEPS_ARE_ATOMIC, Latch
from cachestorm.keyspace.lazy_free import REAPING_STEP, SMALL, STEP, LazyFree
from cachestorm.keyspace.ledger import Ledger
from cachestorm.keyspace.misses import Misses
from cachestorm.keyspace.recorder import Recorder
from cachestorm.keyspace.tiering import Tiering
from cachestorm.keyspace.waiting import Line, Waiter
from cachestorm.values.container import Container
from cachestorm.values.weights import is_shared

MOST_PENDING_BYTES: Final = 1 << 30
# After a step of lazy freeing, so many times as long goes to what the calls are for.
REST: Final = 4.0
# How long a thread that works in slices sleeps between two of them. A sleep of nothing gives
# up the interpreter's lock and takes it back before anybody who waits for it wakes up.
PAUSE_S: Final = 0.00005
# So many entries, or tags of them, are a piece of long work, and a slice of it at most.
LOOK: Final = 256
SLICE: Final = 8192


class SharedState:
    """What all keyspaces of one cache share, and its budget of memory."""

    def __init__(self, clock: Clock, max_bytes: int, max_entries: int) -> None:
        self.latch: Final = Latch()
        self.clock: Final = clock
        # whether nothing else can run while it is asked
        self.has_plain_clock: Final = type(clock) is Clock or type(clock) is ManualClock
        self.effects: Final = Effects()
        self.ledger: Final = Ledger()
        self.missed: Final = Misses()
        self.broker: Final = Broker()
        # what writes a journal of all that changes; None without one
        self.recorder: Recorder | None = None
        # where values go that do not fit; None without colder tiers
        self.tiering: Tiering | None = None
        # the number of the last write: entries and effects have it for their version
        self.sequence: i64 = 0
        # whom the effects of this visit are to be put down to; 0 for nobody in particular
        self.origin: i64 = 0
        self.used_bytes: i64 = 0
        self.entry_count: i64 = 0
        self.max_bytes: i64 = max_bytes
        self.max_entries: i64 = max_entries
        self.peak_bytes: i64 = 0
        # what the process held when a server began to serve these keys; 0 without one
        self.startup_bytes: i64 = 0
        # what one reply may hold; 0: by the limit of memory
        self.max_reply_bytes: i64 = 0
        # writes that found no room; the size of the largest that could never fit
        self.refused: i64 = 0
        self.largest_refused_bytes: i64 = 0
        # of tags, hard or soft, each tag of a cascade
        self.invalidations: i64 = 0
        # whether a transaction holds the latch; `_depth` counts those nested in it
        self.transaction: bool = False
        self._depth: i64 = 0
        # what is published of what happens, in Redis' letters, for the servers of this cache
        self.notified: str = ""
        # whether a cluster wants to know which keys are in which slot
        self.keeps_slots: bool = False
        # so many want no key removed for its time to live, or for a limit that is set
        self.resting: i64 = 0
        # whether what is written fits in any case
        self.has_room: bool = False
        # whether listeners want to be told of reads
        self._tells_reads: bool = False
        # whether what is read is given in another form, see `values/forms.py`
        self._opens_values: bool = False
        # whether a `get` has to take the latch: in a transaction, or to tell of it
        self.guarded: bool = not STEPS_ARE_ATOMIC
        # whether a command of that transaction is at work
        self._busy: bool = False
        self.to_drop: list[object] = []
        # the keys that somebody waits for, and that hold something now
        self.ready: Final[deque[Line]] = deque()
        self.lazy_free: Final = LazyFree()
        # when the last step of freeing ended, and for how long none is due
        self._swept_at: float = 0.0
        self._rest_s: float = 0.0
        # The entry that a write is about: making room for it must not evict it.
        self.pinned: Entry | None = None
        self._moment_ms: i64 = 0

    def enter(self) -> None:
        """Takes the latch; within a transaction of this thread it is held already.

        Raises:
            ReentrancyError: if this thread is inside already.
        """
        if self.transaction and self.latch.is_mine():
            self._enter_again()
            return
        self.latch.acquire()
        self._moment_ms = 0

    def _enter_again(self) -> None:
        if self._busy:
            raise ReentrancyError()
        self._busy = True

    def enter_step(self) -> None:
        """As `enter`, for an operation in the middle of which no other code can run."""
        if self.transaction and self.latch.is_mine():
            self._enter_again()
            return
        self.latch.acquire_bare()
        self._moment_ms = 0

    def leave(self) -> None:
        """Gives the latch back, then drops what left and tells the listeners."""
        if self.transaction:
            self._busy = False
            return
        if self.ready:
            self._serve()
            return
        if self.recorder is not None and self.recorder.is_dirty:
            self._leave_and_commit(self.recorder)
            return
        dead: list[object] | None = None
        if self.to_drop:
            dead = self.to_drop
            self.to_drop = []
        last = self.effects.newest
        if last is None:
            self.latch.release()
        else:
            self.effects.newest = None
            self.latch.release()
            self.effects.deliver(last)
        dropped_here(dead)
        if self.lazy_free.batches:
            self._sweep()
        if self.tiering is not None and self.tiering.is_due:
            self.tiering.settle()

    def _leave_and_commit(self, recorder: Recorder) -> None:
        """Gives the latch back, and has written what this visit has changed."""
        is_owed = recorder.end_visit(self.now_ms())
        try:
            self.leave()
        finally:
            recorder.commit(is_owed)

    def _serve(self) -> None:
        """Serves those who wait for what this visit has put, and then gives the latch back.

        What is moved for one may be what another waits for.
        """
        served: list[Waiter] = []
        try:
            while self.ready:
                self.ready.popleft().serve(served)
        finally:
            # were one left, nobody would give the latch back
            self.ready.clear()
            try:
                self.leave()
            finally:
                for waiter in served:
                    waiter.wake()

    def _sweep(self) -> None:
        waiting = self.lazy_free
        # a clock that was set back is no reason to wait
        if not 0.0 <= wall_time() - self._swept_at < self._rest_s:
            self._step(STEP)
        while waiting.size_bytes > self._most_pending():
            if waiting.sweep(REAPING_STEP) == 0:
                break
            time.sleep(PAUSE_S)

    def _step(self, room: i64) -> i64:
        """One step of freeing, after which calls free nothing for a while."""
        began_at = wall_time()
        done = self.lazy_free.sweep(room)
        self._swept_at = wall_time()
        self._rest_s = (self._swept_at - began_at) * REST
        return done

    def sweep(self) -> i64:
        """One step of lazy freeing; nothing within a transaction.

        Returns:
            How much it was, in elements.
        """
        if self.in_transaction():
            return 0
        return self._step(REAPING_STEP)

    def _most_pending(self) -> i64:
        return MOST_PENDING_BYTES if self.max_bytes == 0 else self.max_bytes - self.used_bytes

    def begin(self) -> None:
        """Takes the latch for many commands of this thread.

        Raises:
            ReentrancyError: if this thread is inside already.
        """
        if self.transaction and self.latch.is_mine():
            if self._busy:
                raise ReentrancyError()
            self._depth += 1
            return
        self.latch.acquire()
        self._moment_ms = 0
        self.transaction = True
        self.guarded = True

    def end(self) -> None:
        """Ends what `begin` began.

        Raises:
            RuntimeError: if this thread has not begun it; nothing has changed.
        """
        if not (self.transaction and self.latch.is_mine()):
            raise RuntimeError("a transaction is ended once, by the thread that began it")
        if self._depth != 0:
            self._depth -= 1
            return
        self.transaction = False
        self.tell_reads(self._tells_reads)
        self.leave()

    def tell_reads(self, wanted: bool) -> None:
        """Says whether listeners want to be told of reads, all of which take the latch then."""
        self._tells_reads = wanted
        self.guarded = wanted or self.transaction or self._opens_values or not STEPS_ARE_ATOMIC

    def open_values(self) -> None:
        """Has every `get` take the long way, on which values are given in another form."""
        self._opens_values = True
        self.tell_reads(self._tells_reads)

    def now_ms(self) -> i64:
        """The time of this visit: asked of the clock once, at its first use."""
        if self._moment_ms == 0:
            self._moment_ms = self.clock.now_ms()
        return self._moment_ms

    def go_to(self, moment_ms: i64) -> None:
        """Sets the time of a transaction: what happened once happens again as it did then."""
        self._moment_ms = moment_ms

    def time_ms(self) -> i64:
        """The time for a reader without the latch; in a transaction, that of its visit."""
        return self.now_ms() if self.transaction else self.clock.now_ms()

    def breathe(self) -> None:
        """Lets other threads in between two slices of long work; not in a transaction."""
        try:
            # a listener that was interrupted raises here, when the latch is free already
            self.leave()
            time.sleep(PAUSE_S)
        finally:
            self.enter()

    def forked(self) -> None:
        """In a child process: whatever other threads were about, they stayed behind."""
        self.has_room = False
        self.effects.forked()
        self.lazy_free.forked()
        self.ready.clear()
        self.broker.forked()
        if self.recorder is not None:
            self.recorder.forked()
        if self.tiering is not None:
            self.tiering.forked()

    def in_transaction(self) -> bool:
        """Whether this thread is inside a transaction."""
        return self.transaction and self.latch.is_mine()

    def refusal(self, size: i64 = 0) -> OutOfMemoryError:
        """What a write that finds no room is refused with, and counted.

        Args:
            size: of what could never fit; 0 for what might at another time.
        """
        self.refused += 1
        if size > self.largest_refused_bytes:
            self.largest_refused_bytes = size
        return OutOfMemoryError()

    def make_room(self, need: i64) -> None:
        """Evicts, wherever the policies find victims, until `need` more bytes fit.

        Raises:
            OutOfMemoryError: if there is no victim.
        """
        raise NotImplementedError

    def suspend_limits(self) -> bool:
        """Has what is written fit, whatever the limits, until `resume_limits`.

        Returns:
            Whether there was room before: what was beyond the limits could be evicted.
        """
        raise NotImplementedError

    def resume_limits(self) -> None:
        """Ends `suspend_limits`, and evicts what is beyond the limits by now."""
        raise NotImplementedError

    def evict(self, is_for_places: bool = False) -> None:
        """Removes one entry, wherever the policies find it.

        Args:
            is_for_places: whether a key has to leave, and not only a value.

        Raises:
            OutOfMemoryError: if there is no victim.
        """
        raise NotImplementedError

    def drop_later(self, value: object) -> None:
        """Keeps a value that may have a finalizer alive until the latch is free."""
        kind = type(value)
        if kind is bytes or kind is str or kind is int or kind is float or is_shared(value):
            return
        if isinstance(value, Container) and value.bulk() > SMALL:
            size = value.size_bytes
            self.lazy_free.add(value.take_apart(), size)
            return
        self.to_drop.append(value)


def dropped_here(value: object) -> None:
    """Marks how long a reference is held: compiled code drops it at its last use."""
