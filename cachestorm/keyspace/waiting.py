"""The waiting table: who waits for keys of a namespace to hold something.

Made by `Keyspace.wait` for the first that waits, and gone with the last; `Writes.put` says of a
key that it is ready, and `SharedState.leave` serves whoever waits for it before the latch is
given back. Everything here happens under the latch.

1. Whoever began to wait first is served first, key by key in the order in which the keys became
   ready. Nobody can take anything in between.
2. A list or a sorted set that somebody waits for has nothing left in it when the latch is given
   back, so only a key that is put makes it ready, never one that grows.
3. Who waits for several keys is in several lines, and served once. A line is not searched: who
   has left stays in it until it is met, or until most of the line have left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from mypy_extensions import i64, u8

from cachestorm.errors import CacheStormError

# Of fewer that have left nobody sweeps a line.
_FEW: Final = 8


class Waiter:
    """One who waits for the first of some keys that holds something.

    Args:
        serve: takes what there is, under the latch; whether the waiting is over. It may not
            raise.
        wake: passes the word on when that is so, after the latch has been given back.
        refuse: ends the waiting with an error; under the latch.

    Attributes:
        kind: of what is waited for: LIST or ZSET.
        keys: each once.
        lines: those it is in; none when it does not wait.
    """

    def __init__(
        self,
        kind: u8,
        keys: list[str],
        serve: Callable[[], bool],
        wake: Callable[[], None],
        refuse: Callable[[CacheStormError], None],
    ) -> None:
        self.kind: Final[u8] = kind
        self.keys: Final = list(dict.fromkeys(keys))
        self.serve: Final = serve
        self.wake: Final = wake
        self.refuse: Final = refuse
        self.lines: list[Line] = []


class Line:
    """Those who wait for one key to hold one kind of value.

    Attributes:
        waiters: in the order in which they began; those that have left among them.
        count: how many have not left.
    """

    def __init__(self, table: Waiting, kind: u8, key: str) -> None:
        self.table: Final = table
        self.kind: Final[u8] = kind
        self.key: Final = key
        self.waiters: deque[Waiter] = deque()
        self.count: i64 = 0

    def serve(self, served: list[Waiter]) -> None:
        """Serves one after the other, until nothing is left for the next.

        Args:
            served: those who are to be woken are added to it.
        """
        # within a transaction it may have come to hold something else again
        if not self.table.holds(self.key, self.kind):
            return
        while self.count != 0:
            waiter = self.waiters[0]
            if not waiter.lines:
                self.waiters.popleft()
                continue
            if not waiter.serve():
                return
            self.table.discard(waiter)
            served.append(waiter)

    def leave(self) -> None:
        """Counts one less, and forgets those who have left once they are many."""
        self.count -= 1
        if self.count == 0:
            del self.table.lines[self.kind, self.key]
        elif len(self.waiters) > 2 * self.count + _FEW:
            self.waiters = deque([waiter for waiter in self.waiters if waiter.lines])


class Waiting:
    """All who wait in one namespace.

    Args:
        holds: whether a key of the namespace holds a kind of value now.

    Attributes:
        lines: by kind and key; none is empty.
    """

    def __init__(self, holds: Callable[[str, u8], bool]) -> None:
        self.holds: Final = holds
        self.lines: Final[dict[tuple[int, str], Line]] = {}

    def add(self, waiter: Waiter) -> None:
        """Begins to wait, behind all others."""
        for key in waiter.keys:
            line = self.lines.get((waiter.kind, key))
            if line is None:
                line = Line(self, waiter.kind, key)
                self.lines[waiter.kind, key] = line
            line.waiters.append(waiter)
            line.count += 1
            waiter.lines.append(line)

    def refuse(self, refusal_of: Callable[[str], CacheStormError | None]) -> None:
        """Ends the waiting for keys that are refused from now on. O(N) in those who wait."""
        for (_, key), line in list(self.lines.items()):
            error = refusal_of(key)
            if error is not None:
                for waiter in line.waiters:
                    if waiter.lines:
                        waiter.refuse(error)

    def discard(self, waiter: Waiter) -> None:
        """Ends the waiting of one; nothing if it does not wait. O(1) a key, amortised."""
        lines = waiter.lines
        waiter.lines = []
        for line in lines:
            line.leave()

    def _check(self) -> None:
        """Asserts all invariants. O(everything)."""
        for (kind, key), line in self.lines.items():
            assert line.table is self and line.kind == kind and line.key == key
            waiting = [waiter for waiter in line.waiters if waiter.lines]
            assert len(waiting) == line.count > 0
            assert len(set(waiting)) == len(waiting)
            assert len(line.waiters) <= 2 * line.count + _FEW
            for waiter in waiting:
                assert line in waiter.lines and key in waiter.keys and waiter.kind == kind
                assert len(waiter.lines) == len(waiter.keys)
