"""The pause: what CLIENT PAUSE holds back, and until when. Sans-IO.

Asked by sessions and by the HTTP endpoint before they run a request. One belongs to an
endpoint, so that it holds clients, never the threads of the process.

1. What is held is run when the pause is over, in the order in which it came.
2. While there is a pause, no key of the store is removed for its time to live, and none is
   evicted because the limit was set anew: what a client reads stays what it is. A thread that
   writes beyond the limit evicts all the same.
3. A pause that is asked for within another ends with the later one, and holds all if either
   does.

Source: https://redis.io/docs/latest/commands/client-pause/, and `networking.c` of Redis 7.2.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from cachestorm.cache import Cache
from cachestorm.declare.plan import Plan
from cachestorm.errors import CacheStormError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.long_command import LongCommand
from cachestorm_server.transaction import Transaction

# They write nothing here, but would have to be told to a replica: Redis holds them as writes.
_HELD_AS_WRITES: Final = frozenset({"PFCOUNT", "PUBLISH", "SPUBLISH", "EVAL", "EVALSHA"})


class Pause:
    """What one endpoint holds back.

    Attributes:
        is_on: whether there is a pause, which may be over; `holds` looks.
        holds_all: whether it holds everything, and not only what may write.
        ends_at: as `time.monotonic` counts.
        waiting: what to call when it is over, by who waits.
    """

    def __init__(self, cache: Cache) -> None:
        self.is_on = False
        self.holds_all = False
        self.ends_at = 0.0
        self.waiting: Final[dict[object, Callable[[], object]]] = {}
        self._store: Final = cache._store

    def begin(self, seconds: float, holds_all: bool) -> None:
        """Begins a pause, or prolongs the one that there is."""
        self.end_if_due()
        self.ends_at = max(self.ends_at, time.monotonic() + seconds)
        self.holds_all = self.holds_all or holds_all
        if not self.is_on:
            self.is_on = True
            self._store.rest()

    def holds(self, plan: Plan) -> bool:
        """Whether a command has to wait."""
        if not self.is_on or self.end_if_due():
            return False
        return self.holds_all or plan.declaration.writes or plan.name in _HELD_AS_WRITES

    def holds_in(self, plan: Plan, transaction: Transaction | None) -> bool:
        """Whether a command of a client with a transaction has to wait; EXEC for all of it."""
        if plan.name == "EXEC" and transaction is not None:
            for queued, _ in transaction.requests:
                if self.holds(queued):
                    return True
        return self.holds(plan)

    def end_if_due(self) -> bool:
        """Ends a pause that is over. Returns whether there is none."""
        if self.is_on and time.monotonic() >= self.ends_at:
            self.end()
        return not self.is_on

    def end(self) -> None:
        """Ends the pause and wakes all who wait."""
        if not self.is_on:
            return
        self.is_on = self.holds_all = False
        self.ends_at = 0.0
        self._store.end_rest()
        waiting = list(self.waiting.values())
        self.waiting.clear()
        for wake in waiting:
            wake()


class Postponed(LongCommand):
    """A request that is held: when it is woken, the session answers it."""

    def __init__(self, space: Keyspace, pause: Pause) -> None:
        super().__init__(space)
        self._pause: Final = pause
        self.hold()

    def hold(self) -> None:
        """Waits for the pause to end; in its place, if it waits already."""
        self._pause.waiting[self] = self.wake
        self._sleep(self._pause.ends_at)

    def unblock(self, refusal: CacheStormError | None = None) -> None:
        # its time is up: then so is that of those who have waited for longer
        if not self._pause.end_if_due():
            self.wake()

    def _drop(self) -> None:
        super()._drop()
        self._pause.waiting.pop(self, None)
