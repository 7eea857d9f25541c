"""The level: one tier, with its engine, what lies in it, and what it has done.

Made by `warm.py` and `cold.py`, called by `tiers.py` and `moving.py`. Calls an engine
(`blob_store.py`) and makes values of bytes (`blobs.py`). It knows nothing of namespaces.

1. What it counts and what lies in it changes under the latch; the engine is called without it,
   but to read what a command asks for.
2. Where a data directory names values, what it may name is not deleted but `held`, until files
   are complete that do not: see `keeping.py`.
3. After a refused write nothing is to be written for RETRY_S, and after FAILED_READS reads in a
   row that got no answer none is tried: what is asked for then is a miss at once.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cachestorm.entry import Entry
from cachestorm.errors import CodecError, DurabilityError, PayloadError
from cachestorm.keyspace.tiering import (
    COLD,
    TIER_BITS,
    Demoted,
    Held,
    Reference,
    place_in,
    tier_of,
)
from cachestorm.tiers.blob_store import BlobStore
from cachestorm.tiers.blobs import HEADER, sealed, unsealed, value_of
from cachestorm.tiers.tier_stats import TierStats
from cachestorm.values.forms import Forms

# How long nothing goes to an engine after it has refused a write, or has not answered.
RETRY_S: Final = 5.0
FAILED_READS: Final = 3
# So many values that were released are worth a write, or as many bytes as so many batches have;
# before that they are deleted with the next batch.
RELEASED: Final = 1024
RELEASED_BATCHES: Final = 4
# A larger value stays out of every tier.
MOST_VALUE_BYTES: Final = 1 << 30
# A level is nearly full with less than one in so many bytes left, or two batches.
NEARLY: Final = 16
# more than any place
ALL: Final = 1 << 62
# How much of the queue may be nobody's any more, beside half of it.
SLACK: Final = 1024
QUEUE_STEP: Final = 4
# of so many the next one is chosen that is driven out
LOOKED: Final = 8

_log = logging.getLogger("cachestorm")


class Level:
    """One tier.

    Args:
        name, tier: what it is called, and by which number.
        blobs: its engine.
        path: where that is.
        max_bytes: what the values may take; 0 for no limit.
        batch_bytes: how much is worth a write.
        give_back: ends it.

    Attributes:
        demotions, promotions: values that came here, and that went back into memory.
        hits: reads that found a value here.
        losses: values that were damaged or gone; their entries went.
        unanswered: reads that got no answer.
        unfit: values that have no exact form in bytes, or are too large, and were evicted.
        skipped: values that were evicted as it could not keep up.
        passed_over: values nobody had asked for, evicted for what is here and was asked for.
        failures: writes that the engine has refused.
        used_bytes: what the values that are named take.
        count: how many there are.
        written_bytes: what was written so far.
        queue: what is here, the first to come first; in there may be some that are not any
        more. condemned: those that go next, before these. released: places whose values are
        nobody's any more. released_bytes: of these.
        is_full: whether nothing more fits.
        written_until, synced_until: up to which place all was written, and is on the disk.
        named_until: up to which place files may name values; 0 for none.
        complete_until: up to which they name all.
        is_kept: whether it outlives the process, by a data directory.
        held: what is nobody's any more, but may be named: bytes by place. held_bytes: of all.
        retry_at: when something may be written again, as `time.monotonic` counts.
    """

    def __init__(
        self,
        name: str,
        tier: int,
        blobs: BlobStore,
        path: str,
        max_bytes: int,
        batch_bytes: int,
        give_back: Callable[[], object],
    ) -> None:
        self.name: Final = name
        self.tier: Final = tier
        self.blobs = blobs
        self.path: Final = path
        self.max_bytes: Final = max_bytes
        self.batch_bytes: Final = batch_bytes
        self.give_back = give_back
        self.most_value_bytes: Final = min(max_bytes or MOST_VALUE_BYTES, MOST_VALUE_BYTES)
        self.demotions = 0
        self.promotions = 0
        self.hits = 0
        self.losses = 0
        self.unanswered = 0
        self.unfit = 0
        self.skipped = 0
        self.passed_over = 0
        self.failures = 0
        self.used_bytes = 0
        self.count = 0
        self.written_bytes = 0
        self.queue: Final[deque[Demoted]] = deque()
        self.condemned: Final[deque[Demoted]] = deque()
        self.released: list[int] = []
        self.released_bytes = 0
        self.is_full = False
        self.written_until = 0
        self.synced_until = 0
        self.named_until = 0
        self.complete_until = 0
        self.held: dict[int, int] = {}
        self.held_bytes = 0
        self.is_kept = False
        # whether former runs may have left something that no file names
        self.has_others = True
        self.retry_at = 0.0
        self._turns = 0
        # reads of the engine, and what they took
        self._reads = 0
        self._read_s = 0.0
        self._read_bytes = 0
        self._unanswered_in_a_row = 0
        self.reads_again_at = 0.0

    def accepts(self) -> bool:
        """Whether something may be written."""
        return not self.is_full and (self.retry_at == 0.0 or time.monotonic() >= self.retry_at)

    def be_kept(self, name: str) -> None:
        """What was kept under a name is here. All of it is taken for named until `end_load`."""
        self.is_kept = True
        self.synced_until = self.named_until = ALL

    def end(self) -> None:
        """All that is here is named, and it is about to be closed."""

    # -- without the latch

    def read(self, demoted: Demoted, place: int, forms: Forms | None) -> Held | None:
        """What is at a place, or None: it is damaged, or not here, or there is no answer."""
        blob = self.blob_of(place)
        if blob is None:
            return None
        try:
            found = value_of(place >> TIER_BITS, blob, forms)
        except (PayloadError, CodecError) as error:
            if demoted.entry is not None and demoted.place == place:
                _log.warning(
                    "a value in the %s tier %s is lost: %s", self.name, self.path, error
                )
            # else `keeps` would take it for one that got no answer
            self._unanswered_in_a_row = 0
            return None
        self.hits += 1
        return Held(found.kind, found.value)

    def blob_of(self, place: int) -> bytes | None:
        """The bytes of a value, or None."""
        if self.reads_again_at != 0.0 and time.monotonic() < self.reads_again_at:
            self.unanswered += 1
            return None
        began = time.perf_counter()
        try:
            blob = self.blobs.get(place >> TIER_BITS)
        except DurabilityError as error:
            self._note_unanswered(error)
            return None
        self._unanswered_in_a_row = 0
        self.reads_again_at = 0.0
        if blob is not None:
            self._reads += 1
            self._read_s += time.perf_counter() - began
            self._read_bytes += len(blob)
        return blob

    def body_at(self, place: int) -> bytes | None:
        """The body of a value, as another level takes it; None if it cannot be read."""
        blob = self.blob_of(place)
        try:
            return None if blob is None else unsealed(place >> TIER_BITS, blob)
        except PayloadError:
            self._unanswered_in_a_row = 0
            return None

    def _note_unanswered(self, error: DurabilityError) -> None:
        self.unanswered += 1
        self._unanswered_in_a_row += 1
        # a disk says at once that it cannot read one value, and can read others: what it is not
        # asked for would be lost
        if self.tier == COLD and self._unanswered_in_a_row >= FAILED_READS:
            self.reads_again_at = time.monotonic() + RETRY_S
        _log.warning("the %s tier %s does not answer: %s", self.name, self.path, error)

    def keeps(self) -> bool:
        """Whether a value that could not be read just now may be there another time."""
        return self.tier == COLD and self._unanswered_in_a_row != 0

    def write(self, bodies: Sequence[bytes], released: list[int]) -> Sequence[int] | None:
        """Writes some values and deletes others.

        Returns:
            Where they are; None if it was refused. What was released is kept then, to be
            deleted when something is written again.
        """
        places = self.blobs.places([len(body) + HEADER - 1 for body in bodies])
        blobs = [
            (place, sealed(place, body)) for place, body in zip(places, bodies, strict=True)
        ]
        try:
            self.blobs.write(blobs, released)
        except DurabilityError as error:
            _log.error("the %s tier %s refuses to write: %s", self.name, self.path, error)
            self.failures += 1
            self.retry_at = time.monotonic() + RETRY_S
            self.released.extend(released)
            return None
        self.retry_at = 0.0
        self.written_bytes += sum(len(blob) for _, blob in blobs)
        if places:
            self.written_until = places[-1]
            if self.blobs.is_synced:
                self.synced_until = places[-1]
        return places

    def sync(self) -> None:
        """Has what was written be on the disk. If that fails, files name no more of it."""
        until = self.written_until
        try:
            self.blobs.sync()
        except DurabilityError as error:
            _log.error("the %s tier %s cannot be synced: %s", self.name, self.path, error)
        else:
            self.synced_until = max(self.synced_until, until)

    # -- with it

    def keep(self, demoted: Demoted, place: int, size: int, is_new: bool = True) -> None:
        """A value is here from now on; or at another place, if it is not new."""
        self.demotions += is_new
        self.used_bytes += size
        self.count += 1
        demoted.size_bytes = size
        demoted.place = place_in(self.tier, place)
        if demoted.entry is None:
            self.forget(demoted)
        elif is_new:
            self.queue.append(demoted)

    def forget(self, demoted: Demoted) -> None:
        """A value that is here is nobody's any more, or has gone to another tier."""
        self.used_bytes -= demoted.size_bytes
        self.count -= 1
        self.is_full = False
        place = int(demoted.place >> TIER_BITS)
        if place <= self.named_until:
            self.held[place] = int(demoted.size_bytes)
            self.held_bytes += demoted.size_bytes
        else:
            self.release([place], int(demoted.size_bytes))
        self._tidy()

    def release(self, places: Iterable[int], size_bytes: int) -> None:
        """What is at some places is nobody's any more, and no file names it."""
        self.released.extend(places)
        self.released_bytes += size_bytes

    def take_released(self) -> list[int]:
        """What was released so far, for who deletes it."""
        released, self.released = self.released, []
        self.released_bytes = 0
        return released

    def adopt(self, entry: Entry, reference: Reference) -> Demoted:
        """Stands for a value that is here from a former run."""
        place, size = int(reference.place), int(reference.size_bytes)
        if place in self.held:
            # another file names it, or it goes by another name
            self.held_bytes -= self.held.pop(place)
        else:
            self.blobs.adopt(place, size + HEADER - 1, int(reference.offset))
        demoted = Demoted(place_in(self.tier, place), entry)
        demoted.size_bytes = size
        self.used_bytes += size
        self.count += 1
        self.queue.append(demoted)
        return demoted

    def reference_of(self, demoted: Demoted) -> Reference | None:
        """By what a file is to name a value that is here; None if it may not be on the disk."""
        place = int(demoted.place >> TIER_BITS)
        if place > self.synced_until:
            return None
        self.named_until = max(self.named_until, place)
        return Reference(self.tier, place, int(demoted.size_bytes), self.blobs.offset_of(place))

    def _tidy(self) -> None:
        """Takes what is not here any more out of the queue, a few at a time.

        One full turn leaves it in order.
        """
        if self._turns == 0 and len(self.queue) > 2 * self.count + SLACK:
            self._turns = len(self.queue)
        for _ in range(QUEUE_STEP):
            if self._turns == 0 or not self.queue:
                self._turns = 0
                return
            self._turns -= 1
            first = self.queue.popleft()
            if self.holds(first):
                self.queue.append(first)

    def holds(self, demoted: Demoted) -> bool:
        """Whether a value is somebody's, and here."""
        return demoted.entry is not None and tier_of(demoted.place) == self.tier

    def is_worth_a_write(self) -> bool:
        """Whether so much was released that it is to be deleted."""
        return (
            len(self.released) >= RELEASED
            or self.released_bytes >= RELEASED_BATCHES * self.batch_bytes
        )

    def is_nearly_full(self) -> bool:
        """Whether the next batch or two drive out what is here."""
        room = min(2 * self.batch_bytes, self.max_bytes // NEARLY)
        return self.max_bytes != 0 and self.used_bytes > self.max_bytes - room

    def passes_over(self, is_wonder: bool) -> bool:
        """Whether a value is not to come here, which is full; else the first to come is to go.

        What was read since it came, or since it was looked at, has another turn, and drives out
        a newcomer that nobody has asked for.
        """
        for _ in range(LOOKED):
            if not self.queue:
                return False
            first = self.queue.popleft()
            if not self.holds(first):
                continue
            if first.hits == 0:
                self.condemned.append(first)
                return False
            first.hits = 0
            self.queue.append(first)
            if is_wonder:
                self.passed_over += 1
                return True
        return False

    def first_to_go(self) -> deque[Demoted]:
        """The line in which the next one is that is to be evicted."""
        return self.condemned or self.queue

    def here(self) -> list[Demoted]:
        """All that is somebody's, and here. O(n)."""
        return [each for each in (*self.condemned, *self.queue) if self.holds(each)]

    def stats(self, pending: int = 0, waiting: int = 0) -> TierStats:
        """What it holds and has done.

        Args:
            pending: bytes that are on their way here.
            waiting: of so many values.
        """
        return TierStats(
            engine=self.blobs.engine,
            path=self.path,
            values=self.count + waiting,
            used=self.used_bytes,
            max_size=self.max_bytes,
            pending=pending,
            disk=self.blobs.size_bytes(),
            demotions=self.demotions,
            promotions=self.promotions,
            hits=self.hits,
            losses=self.losses,
            unanswered=self.unanswered,
            unfit=self.unfit,
            skipped=self.skipped,
            passed_over=self.passed_over,
            failures=self.failures,
            written=self.written_bytes,
            writes=self.blobs.writes,
            read=self._read_bytes,
            reads=self._reads,
            read_us=round(self._read_s / max(self._reads, 1) * 1e6, 1),
        )
