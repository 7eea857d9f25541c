"""Lazy freeing: what has left the store and is too large to be freed in one step.

Filled by keyspaces, under the latch, with containers and with all that a flush leaves; cleared
by `SharedState.leave` and by reaping, a bounded step at a time. Freeing a million elements
takes some tens of milliseconds, in which the interpreter runs no other thread.

1. What comes in was taken apart into lists and dicts. Nobody else refers to these, so that
   a step needs no latch; and it must not have it, because finalizers run in it.
2. A step is measured in work, not in elements: a small container counts with its elements, an
   object or a string with its size. A user's object is freed in one piece all the same, however
   much it refers to: only the interpreter can take it apart.
3. A finalizer that uses the cache does not begin a step within a step.
4. Bytes that wait here are no longer charged to a keyspace, but they are bounded: see
   `SharedState.leave`.
5. Several threads may free at a time, each a batch of its own. Their common counts change under
   a lock, in which nothing else runs.
"""

from __future__ import annotations

from _thread import get_ident
from typing import Final

from librt.threading import Lock
from mypy_extensions import i64

from cachestorm.values.bulk import Bulk
from cachestorm.values.container import Container
from cachestorm.values.weights import Boxed

# What holds no more than this is freed at once.
SMALL: Final = 512
# The work of a step that somebody waits for, and of one that reaping makes: a unit is
# an element, some fifty nanoseconds.
STEP: Final = 1024
REAPING_STEP: Final = 8192
# How many bytes of a string, and of an object, count as an element.
STRING_BITS: Final = 11
OBJECT_BITS: Final = 7
# What an item of a dict costs more than one of a list: its slots lie anywhere in memory.
DICT_WORK: Final = 2


class UserValues:
    """A list of a user's values: freed one by one, and never taken apart.

    In a container such values are `Boxed`; outside of one nothing else tells them from the
    store's own lists and dicts.
    """

    def __init__(self, values: list[object]) -> None:
        self.values: Final = values


class Batch:
    """What one thing left.

    Attributes:
        parts: lists, dicts, bulks, `UserValues`, and batches of what was large in it.
        size_bytes: what of it is still here, about.
    """

    def __init__(self, parts: list[object], size_bytes: i64) -> None:
        self.parts: Final = parts
        self.size_bytes: i64 = size_bytes
        count: i64 = 1
        for part in parts:
            count += count_of(part)
        self._share: Final[i64] = size_bytes // count
        # of `size_bytes`, what is not a batch within this one
        self._own_bytes: i64 = size_bytes

    def shrink(self, room: i64) -> i64:
        """Lets go of about so much. Returns how much it was."""
        done: i64 = 0
        gone: i64 = 0
        while done < room and self.parts:
            part = self.parts.pop()
            if isinstance(part, Batch):
                inner_bytes = part.size_bytes
                done += part.shrink(room - done)
                self.size_bytes -= inner_bytes - part.size_bytes
                if part.parts:
                    self.parts.append(part)
                continue
            if isinstance(part, Bulk):
                self.parts.extend(part.take_apart())
                done += 1
                continue
            before = count_of(part)
            done += self._shrink_part(part, room - done)
            gone += before - count_of(part)
            if count_of(part) != 0:
                self.parts.append(part)
        if not self.parts:
            self.size_bytes = 0
            return done
        self._shed(gone * self._share)
        return done

    def _shed(self, size: i64) -> None:
        shed = min(size, self._own_bytes)
        self._own_bytes -= shed
        self.size_bytes -= shed

    def _shrink_part(self, part: object, room: i64) -> i64:
        done: i64 = 0
        if isinstance(part, list):
            while part and done < room:
                done += self._let_go(part.pop())
        elif isinstance(part, dict):
            while part and done < room:
                done += DICT_WORK + self._let_go(part.popitem()[1])
        elif isinstance(part, UserValues):
            while part.values and done < room:
                part.values.pop()
                done += 1
        return done

    def _let_go(self, held: object) -> i64:
        """Keeps what is a batch of its own. Returns the work that it is to drop the rest."""
        if isinstance(held, (bytes, str)):
            return 1 + (len(held) >> STRING_BITS)
        if isinstance(held, Boxed):
            return 1 + (held.size_bytes >> OBJECT_BITS)
        count = count_of(held)
        if count <= SMALL:
            return 1 + count
        if isinstance(held, Container):
            # its size is known, and has nothing to do with the share of an element here
            size = held.size_bytes
            self.parts.append(Batch(held.take_apart(), size))
            self._shed(size)
            self.size_bytes += size
        else:
            self.parts.append(held)
        return 1


class LazyFree:
    """All batches of one cache.

    Attributes:
        batches: what waits, and is in nobody's hands.
    """

    def __init__(self) -> None:
        self.batches: Final[list[Batch]] = []
        # two counters, since who adds holds the latch and who lets go does not
        self._came_bytes: i64 = 0
        self._went_bytes: i64 = 0
        self._counting: Lock = Lock()
        # the threads that are in the middle of a step
        self._sweepers: Final[set[int]] = set()

    @property
    def size_bytes(self) -> i64:
        """About how much waits."""
        return self._came_bytes - self._went_bytes

    def forked(self) -> None:
        """In a child process no other thread is at work."""
        self._counting = Lock()
        self._sweepers.clear()

    def add(self, parts: list[object], size_bytes: i64) -> None:
        """Takes in what nobody else refers to. The caller holds the latch.

        Args:
            parts: lists, dicts, bulks and `UserValues`; in the first two nothing is a user's.
            size_bytes: what they were charged at.
        """
        self._came_bytes += size_bytes
        self.batches.append(Batch(parts, size_bytes))

    def sweep(self, room: i64) -> i64:
        """Frees about so much. The caller does not hold the latch.

        Returns:
            How much it was, in elements; 0 when there is nothing, or in a finalizer.
        """
        thread: int = get_ident()
        if thread in self._sweepers:
            return 0
        self._sweepers.add(thread)
        done: i64 = 0
        try:
            while done < room:
                batch = self._take()
                if batch is None:
                    break
                done += self._sweep(batch, room - done)
        finally:
            self._sweepers.discard(thread)
        return done

    def _sweep(self, batch: Batch, room: i64) -> i64:
        before = batch.size_bytes
        try:
            return batch.shrink(room)
        finally:
            went = before - batch.size_bytes
            if batch.parts:
                self.batches.append(batch)
            with self._counting:
                self._went_bytes += went

    def _take(self) -> Batch | None:
        """A batch for this thread alone."""
        try:
            return self.batches.pop()
        except IndexError:
            # there is none, or another thread was faster
            return None


def count_of(part: object) -> i64:
    """How many elements a part has."""
    if isinstance(part, UserValues):
        return len(part.values)
    if isinstance(part, (list, dict)):
        return len(part)
    if isinstance(part, Bulk):
        return part.bulk()
    return 0
