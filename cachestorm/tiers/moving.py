"""The mover: carries values to the cold tier, in a thread of its own.

Made by `tiers.py`, which calls it when something may be due. Calls both levels.

1. A value goes to where it is to be, and only then, under the latch, does what stands for it
   say so, unless it is somebody else's or elsewhere by now. Then it is deleted where it was. So
   a reader finds it at any moment, and what a crash leaves behind is nobody's.
2. What the warm tier had first goes first. What was read there since it came, or since it was
   looked at, has another turn.
3. It begins before the warm tier is full. When the cold tier does not take what comes, or not
   as fast, the warm tier evicts what it had first.
4. A segment of the cold tier that is mostly garbage is written anew with what is left of it,
   once half of all that is there is garbage.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from cachestorm.errors import DurabilityError, PayloadError
from cachestorm.keyspace.store import Store
from cachestorm.keyspace.tiering import PENDING, TIER_BITS, WARM, Demoted, tier_of
from cachestorm.tiers.blobs import unsealed
from cachestorm.tiers.leaving import evict, evict_oldest, latched, released_of

if TYPE_CHECKING:
    from cachestorm.tiers.cold import ColdLevel
    from cachestorm.tiers.tiers import Tiers
    from cachestorm.tiers.warm import WarmLevel

# How much room the warm tier is to have: a part of it, several batches, and so much at most.
HEADROOM: Final = 8
BATCHES: Final = 2
MOST_HEADROOM_BYTES: Final = 64 << 20
# Values of one move at most, and how many are looked at for them at a time.
MOVED: Final = 4096
LOOKED: Final = 512
# How many segments are written anew in one go.
REWRITTEN: Final = 64

Move = tuple[Demoted, int]


class Mover:
    """Between the warm tier and the cold one, or between memory and that.

    Args:
        tiers: whose it is.
        warm: None where values go from memory to the cold tier.
        take_batch: writes a batch of what is pending to the cold tier, if there is one.
    """

    def __init__(
        self,
        tiers: Tiers,
        warm: WarmLevel | None,
        cold: ColdLevel,
        take_batch: Callable[[Store], bool],
    ) -> None:
        self._tiers: Final = tiers
        self._warm: Final = warm
        self._cold: Final = cold
        self._take_batch: Final = take_batch
        # what somebody wants there; changed under the latch
        self._asked: Final[deque[Demoted]] = deque()
        self._working = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None
        self._is_called = False
        self._is_open = True
        self._is_short_of_disk = False

    def ask(self, demoted: Demoted) -> None:
        """Has a value go to the cold tier before others. The caller holds the latch."""
        self._asked.append(demoted)

    def call(self, store: Store, is_short_of_disk: bool) -> None:
        """Has what is due done by the thread. Without the latch.

        Args:
            is_short_of_disk: whether others need what is left of the warm tier's disk.
        """
        if is_short_of_disk and self._cold.accepts():
            self._is_short_of_disk = True
        if self._is_called or not self._is_due():
            return
        self._is_called = True
        try:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "cachestorm-tier-mover")
            self._thread.submit(self._work_for_another, store)
        except RuntimeError:
            # the interpreter ends
            self._is_called = False

    def _is_due(self) -> bool:
        cold = self._cold
        return cold.accepts() and (
            bool(self._asked)
            or self._is_warm_over()
            or self._tiers.is_worth_a_cold_write()
            or cold.is_worth_a_write()
            or (cold.max_bytes != 0 and cold.used_bytes > cold.max_bytes)
        )

    def _is_warm_over(self) -> bool:
        warm = self._warm
        if warm is None:
            return False
        if self._is_short_of_disk:
            return True
        return warm.max_bytes != 0 and warm.used_bytes > warm.max_bytes - _headroom(warm)

    def _work_for_another(self, store: Store) -> None:
        self._is_called = False
        self.work(store)

    def work(self, store: Store, is_flushing: bool = False) -> None:
        """Does what is due, until nothing is or the cold tier refuses. Without the latch."""
        with self._working:
            while self._is_open and self._step(store):
                pass
            cold = self._cold
            if self._is_open and cold.accepts() and (is_flushing or cold.is_worth_a_write()):
                self._delete(store)
                self._rewrite(store)

    def _step(self, store: Store) -> bool:
        cold = self._cold
        if not cold.accepts():
            return False
        if cold.max_bytes != 0 and cold.used_bytes > cold.max_bytes:
            if not evict_oldest(store, cold):
                # none of them may be evicted
                cold.is_full = True
                return False
            return True
        if self._take_batch(store):
            return True
        return bool(self._asked or self._is_warm_over()) and self._descend(store)

    def _delete(self, store: Store) -> None:
        released = released_of(store, self._cold)
        if released:
            self._tiers.write(store, self._cold, [], released)

    # -- from warm to cold

    def _descend(self, store: Store) -> bool:
        """Moves some. Returns whether there may be more to move."""
        warm = self._warm
        is_short, self._is_short_of_disk = self._is_short_of_disk, False
        moves, looked = self._chosen(store, is_short)
        if warm is None or not moves:
            return looked != 0
        read: list[tuple[Move, bytes]] = []
        lost: list[Move] = []
        for move in moves:
            body = warm.body_at(move[1])
            if body is None:
                lost.append(move)
            else:
                read.append((move, body))
        fits = [each for each in read if len(each[1]) <= self._cold.most_value_bytes]
        places = self._write(store, fits)
        with latched(store):
            for demoted, place in lost:
                if demoted.place == place and demoted.entry is not None:
                    warm.losses += 1
                    evict(store, demoted)
            if places is None:
                warm.queue.extendleft(move[0] for move, _ in reversed(read))
                return False
            for (demoted, _), body in read:
                if len(body) > self._cold.most_value_bytes:
                    self._cold.unfit += 1
                    evict(store, demoted)
            self._note(fits, places, True)
        return True

    def _write(self, store: Store, read: Sequence[tuple[Move, bytes]]) -> Sequence[int] | None:
        released = released_of(store, self._cold)
        return self._cold.write([body for _, body in read], released)

    def _note(
        self, read: Sequence[tuple[Move, bytes]], places: Sequence[int], is_new: bool
    ) -> None:
        """Values are in the cold tier now. The caller holds the latch."""
        cold = self._cold
        for ((demoted, former), body), place in zip(read, places, strict=True):
            if demoted.entry is None or demoted.place != former:
                # it was overwritten, or is in memory again
                cold.release([place], len(body))
                continue
            if self._warm is not None and tier_of(former) == WARM:
                self._warm.forget(demoted)
            else:
                cold.forget(demoted)
            cold.keep(demoted, place, len(body), is_new)

    def _chosen(self, store: Store, is_short: bool) -> tuple[list[Move], int]:
        """What is to go next, and how many were looked at."""
        moves: list[Move] = []
        waiting: list[Demoted] = []
        size = looked = 0
        warm, batch_bytes = self._warm, self._cold.batch_bytes
        while warm is not None and size < batch_bytes and len(moves) < MOVED:
            with latched(store):
                before = looked
                for _ in range(LOOKED):
                    is_asked = bool(self._asked)
                    if not is_asked and not (
                        warm.queue and (is_short or self._is_warm_over_by(size))
                    ):
                        break
                    demoted = self._asked.popleft() if is_asked else warm.queue.popleft()
                    if tier_of(demoted.place) == PENDING:
                        # it is on its way to the warm tier, or nobody's
                        if demoted.entry is not None:
                            waiting.append(demoted)
                        continue
                    looked += 1
                    if not warm.holds(demoted):
                        continue
                    if demoted.hits != 0 and not is_asked:
                        demoted.hits = 0
                        warm.queue.append(demoted)
                        continue
                    moves.append((demoted, int(demoted.place)))
                    size += demoted.size_bytes
                    if size >= batch_bytes:
                        break
            if looked == before:
                break
        self._asked.extend(waiting)
        return moves, looked

    def _is_warm_over_by(self, size: int) -> bool:
        warm = self._warm
        if warm is None or warm.max_bytes == 0:
            return False
        # more than what it takes to be asked again, so that a move is worth the while
        return warm.used_bytes - size > warm.max_bytes - _headroom(warm) * 3 // 2

    # -- from segments that are mostly garbage

    def _rewrite(self, store: Store) -> None:
        """Writes anew what is left in such segments, which go when it has moved."""
        objects = self._cold.objects
        sparse = set(sorted(objects.sparse())[:REWRITTEN])
        if not sparse:
            return
        by_segment: dict[int, list[Move]] = {}
        left = len(self._cold.queue)
        while left > 0:
            with latched(store):
                for _ in range(min(LOOKED, left, len(self._cold.queue))):
                    demoted = self._cold.queue.popleft()
                    if not self._cold.holds(demoted):
                        continue
                    self._cold.queue.append(demoted)
                    place = int(demoted.place)
                    number = objects.segment_of(place >> TIER_BITS)
                    if number in sparse:
                        by_segment.setdefault(number, []).append((demoted, place))
            left -= LOOKED
        read: list[tuple[Move, bytes]] = []
        size = 0
        for number, moves in by_segment.items():
            try:
                content = objects.content_of(number)
            except DurabilityError:
                return
            for move in moves:
                place = move[1] >> TIER_BITS
                try:
                    body = unsealed(place, objects.cut(content, place))
                except PayloadError:
                    # whoever asks for it is told
                    continue
                read.append((move, body))
                size += len(body)
            if size >= self._cold.batch_bytes:
                if not self._anew(store, read):
                    return
                read, size = [], 0
        self._anew(store, read)
        self._delete(store)

    def _anew(self, store: Store, read: Sequence[tuple[Move, bytes]]) -> bool:
        if not read:
            return True
        places = self._write(store, read)
        if places is None:
            return False
        with latched(store):
            self._note(read, places, False)
        return True

    # -- the end

    def forked(self) -> None:
        """In a child process, which has none of it."""
        self._is_open = False
        self._working = threading.Lock()
        self._thread = None
        self._asked.clear()

    def close(self) -> None:
        """Ends what the thread does."""
        self._is_open = False
        if self._thread is not None:
            self._thread.shutdown()


def _headroom(warm: WarmLevel) -> int:
    part = max(warm.max_bytes // HEADROOM, BATCHES * warm.batch_bytes)
    return min(part, warm.max_bytes // 2, MOST_HEADROOM_BYTES)
