"""Blocking pops: they take something from the first of some keys that holds any, or wait.

Long commands, made by BLPOP and its like. One that finds nothing joins the waiting table
(`keyspace/waiting.py`) and sleeps. Whoever puts something there serves it: takes the elements
on its behalf, in the same visit, and wakes it.

1. What was taken for one that is abandoned before it has told its caller goes back to where it
   came from, and so to the next who waits; for that there is always room. What was moved stays
   where it was moved to.
2. The keys are looked at in their order, when it begins and when it is served. One that holds
   another kind then is an error, as in Redis 7.2; that a key comes to hold another kind serves
   nobody.
3. In a transaction it does not wait.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import ceil
from typing import Final

from mypy_extensions import u8

from cachestorm.codec import INT64_MAX
from cachestorm.entry import LIST, ZSET, Entry
from cachestorm.errors import ArgumentError, CacheStormError, OutOfMemoryError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.waiting import Waiter
from cachestorm.operations.containers import entry_of
from cachestorm.operations.list_ends import move_held, pop_held, push_held
from cachestorm.operations.long_command import LongCommand
from cachestorm.operations.rows import Scored, add_scores, pop_scored
from cachestorm.values.weights import unbox


def wake_time(timeout: float | None) -> float:
    """When a wait of so many seconds ends, as `time.monotonic` counts; 0 for never.

    Args:
        timeout: None or 0: it never ends.

    Raises:
        ArgumentError: for a negative timeout, or one beyond 64 bits of milliseconds.
        TypeError: for what is no number.
    """
    if timeout is None:
        return 0.0
    if not isinstance(timeout, (int, float)):
        raise TypeError(f"a timeout is a number of seconds, not {timeout!r}")
    if timeout != timeout:
        raise ArgumentError("timeout is not a float or out of range")
    if abs(timeout) * 1000.0 > INT64_MAX:
        raise ArgumentError(f"timeout is {'negative' if timeout < 0.0 else 'out of range'}")
    timeout_ms = ceil(timeout * 1000.0)
    if timeout_ms < 0:
        raise ArgumentError("timeout is negative")
    return 0.0 if timeout_ms == 0 else time.monotonic() + timeout_ms / 1000.0


class BlockingPop(LongCommand):
    """A command that takes something, and waits while there is nothing.

    Args:
        space: where.
        kind: of what it takes from: LIST or ZSET.
        keys: which, in the order in which they are looked at.
        ends_at: when it gives up, by `wake_time`.
        default: its value then.
    """

    def __init__(
        self, space: Keyspace, kind: u8, keys: list[str], ends_at: float, default: object
    ) -> None:
        super().__init__(space)
        self._kind: Final[u8] = kind
        self._keys: Final = keys
        self._ends_at: Final = ends_at
        self._value = default
        self._waiter: Waiter | None = None
        # served, and not yet told to the caller
        self._is_undelivered: bool = False
        self._error: Exception | None = None

    def _take(self) -> bool:
        """Takes what there is, and makes it the value. Returns whether there was anything.

        Raises:
            CacheStormError: what it is refused with.
        """
        raise NotImplementedError

    def _give_back(self) -> None:
        """Puts back what was taken.

        Raises:
            CacheStormError: if there is no place for it any more.
        """
        raise NotImplementedError

    def _work(self) -> Iterator[None]:
        if self._take():
            return
        waiter = Waiter(self._kind, self._keys, self._serve, self.wake, self.unblock)
        self._waiter = waiter
        self._space.wait(waiter)
        while waiter.lines and not self.is_unblocked:
            self._sleep(self._ends_at)
            yield
        self._is_undelivered = False
        if self._error is not None:
            raise self._error

    def _serve(self) -> bool:
        is_gone = self.is_gone
        if self.is_unblocked or (is_gone is not None and is_gone()):
            return True
        try:
            is_over = self._take()
        except Exception as error:
            # whoever put something has no part in it
            self._error = error
            return True
        self._is_undelivered = is_over
        return is_over

    def _drop(self) -> None:
        super()._drop()
        waiter = self._waiter
        if waiter is None:
            return
        self._waiter = None
        self._space.end_wait(waiter)
        if self._is_undelivered:
            self._is_undelivered = False
            try:
                try:
                    self._give_back()
                except OutOfMemoryError:
                    self._space.beyond_limits(self._give_back)
            except CacheStormError:
                # the key holds another kind by now: there is nobody to tell
                return


class PoppingFirst(BlockingPop):
    """A pop from the first of its keys that holds anything.

    Args:
        first: from the left end or the lowest scores; else from the other end.
        count: at most so many; 0 for one, that is not a list.
    """

    def __init__(
        self,
        space: Keyspace,
        kind: u8,
        keys: list[str],
        ends_at: float,
        first: bool,
        count: int,
    ) -> None:
        super().__init__(space, kind, keys, ends_at, None)
        self._first: Final = first
        self._count: Final = count
        self._key: str = ""

    def _take(self) -> bool:
        for key in self._keys:
            entry = entry_of(self._space, key, self._kind)
            if entry is not None:
                self._key = key
                self._value = self._popped(entry, max(self._count, 1))
                return True
        return False

    def _popped(self, entry: Entry, count: int) -> object:
        """The value of the command, after taking what it is made of and keeping it."""
        raise NotImplementedError


class PoppingElements(PoppingFirst):
    """BLPOP, BRPOP and BLMPOP."""

    def __init__(
        self, space: Keyspace, keys: list[str], ends_at: float, left: bool, count: int
    ) -> None:
        super().__init__(space, LIST, keys, ends_at, left, count)
        self._held: list[object] = []

    def _popped(self, entry: Entry, count: int) -> object:
        held = pop_held(self._space, entry, count, self._first)
        self._held = held
        if self._count == 0:
            return (self._key, unbox(held[0]))
        return (self._key, [unbox(each) for each in held])

    def _give_back(self) -> None:
        push_held(self._space, self._key, self._held[::-1], self._first)


class PoppingRows(PoppingFirst):
    """BZPOPMIN, BZPOPMAX and BZMPOP."""

    def __init__(
        self, space: Keyspace, keys: list[str], ends_at: float, lowest: bool, count: int
    ) -> None:
        super().__init__(space, ZSET, keys, ends_at, lowest, count)
        self._rows: Scored = []

    def _popped(self, entry: Entry, count: int) -> object:
        rows = pop_scored(self._space, entry, count, self._first)
        self._rows = rows
        if self._count == 0:
            return (self._key, rows[0][0], rows[0][1])
        return (self._key, rows)

    def _give_back(self) -> None:
        rows = [(score, member) for member, score in self._rows]
        # a member that has come again since then keeps its newer score
        add_scores(self._space, self._key, rows, True, False, False, False, False, False)


class MovingElement(BlockingPop):
    """BLMOVE and BRPOPLPUSH."""

    def __init__(
        self,
        space: Keyspace,
        source: str,
        destination: str,
        from_left: bool,
        to_left: bool,
        ends_at: float,
        default: object,
    ) -> None:
        super().__init__(space, LIST, [source], ends_at, default)
        self._destination: Final = destination
        self._from_left: Final = from_left
        self._to_left: Final = to_left

    def _take(self) -> bool:
        entry = entry_of(self._space, self._keys[0], LIST)
        if entry is None:
            return False
        self._value = unbox(
            move_held(self._space, entry, self._destination, self._from_left, self._to_left)
        )
        return True

    def _give_back(self) -> None:
        """Nothing: what was moved is not lost."""
