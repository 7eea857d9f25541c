"""The flight: one load under way, and all who wait for it, threads and tasks alike.

Made and ended by the engine. `GATE` is the one lock of all flights of this process: it is held
for a few steps, never while code of a user runs, and may be taken while the lock of a store
is held, never the other way round.

1. A flight ends once: landed with a value, failed with an error, or given up, in which case
   those who wait try again, and one of them leads the next.
2. A caller that would close a cycle of waits does not wait. Who waits for whom: a flight awaits
   another when code inside its loader does (the context says what is inside of what), and every
   flight that is led in a thread awaits what that thread is blocked on.
"""

from __future__ import annotations

import os
from _thread import RLock, get_ident
from typing import TYPE_CHECKING, Any, Final

from cachestorm.markers import MISSING

if TYPE_CHECKING:
    from types import TracebackType

    from cachestorm.loading.context import LoadContext
    from cachestorm.loading.waiters import Waiter

# reentrant, as a finalizer may run, and load, while this thread holds it
GATE: Final = RLock()

FLYING: Final = "flying"
LANDED: Final = "landed"
FAILED: Final = "failed"
GIVEN_UP: Final = "given up"


class Flight:
    """A load under way.

    Attributes:
        key: what is loaded.
        tags: those that are known; all of them once it has landed.
        started: the number of the last effect before it began.
        void_at: the number of the first effect that makes it worthless; 0 for none.
        state: FLYING, LANDED, FAILED or GIVEN_UP.
        value: what it landed with.
        error: what it failed with.
        traceback: where: raising an error adds to its own, once for each who waited.
        thread: in which thread it is led; 0 while that is not known.
        is_blocking: whether its loader keeps that thread from doing anything else.
        loop: the loop of asyncio that runs its loader, if one does.
    """

    __slots__ = (
        "__weakref__",
        "awaits",
        "error",
        "is_blocking",
        "key",
        "loop",
        "started",
        "state",
        "tags",
        "thread",
        "traceback",
        "value",
        "void_at",
        "waiters",
    )

    def __init__(self, key: str, tags: tuple[str, ...], started: int) -> None:
        self.key = key
        self.tags = tags
        self.started = started
        self.void_at = 0
        self.state = FLYING
        self.value: Any = MISSING
        self.error: BaseException | None = None
        self.traceback: TracebackType | None = None
        self.thread = 0
        self.is_blocking = False
        self.loop: Any = None
        self.waiters: dict[Waiter, None] = {}
        self.awaits: dict[Flight, int] = {}

    def is_lost(self) -> bool:
        """Whether it can never end, as the loop that ran it has been closed."""
        return self.loop is not None and self.state == FLYING and self.loop.is_closed()

    def end(self, state: str, value: Any = MISSING, error: BaseException | None = None) -> None:
        """Ends it, and wakes all who wait; nothing if it has ended."""
        with GATE:
            if self.state != FLYING:
                return
            self.state = state
            self.value = value
            self.error = error
            self.traceback = None if error is None else error.__traceback__
            waiters = list(self.waiters)
            self.waiters.clear()
        for waiter in waiters:
            waiter.wake()


# what the thread of that number waits for
_blocked: dict[int, Flight] = {}


def inside(load: LoadContext | None) -> list[Flight]:
    """The flights that a load is part of, itself first."""
    found = []
    while load is not None:
        found.append(load.flight)
        load = load.parent
    return found


def closes_cycle(flight: Flight, within: list[Flight], blocks: bool) -> bool:
    """Whether waiting for a flight would close a cycle of waits. The caller holds GATE.

    Args:
        within: the flights that he is part of.
        blocks: whether he is a thread that would do nothing else meanwhile.
    """
    thread = get_ident()
    seen = {flight}
    ahead = [flight]
    while ahead:
        each = ahead.pop()
        if each in within or (each.thread == thread and (blocks or each.is_blocking)):
            return True
        following = list(each.awaits)
        blocked_on = _blocked.get(each.thread)
        if blocked_on is not None:
            following.append(blocked_on)
        for other in following:
            if other not in seen:
                seen.add(other)
                ahead.append(other)
    return False


def begin_wait(flight: Flight, waiter: Waiter, within: list[Flight], blocks: bool) -> None:
    """Notes that somebody waits for a flight. The caller holds GATE."""
    flight.waiters[waiter] = None
    for each in within:
        each.awaits[flight] = each.awaits.get(flight, 0) + 1
    if blocks:
        _blocked[get_ident()] = flight


def end_wait(flight: Flight, waiter: Waiter, within: list[Flight], blocks: bool) -> None:
    """Takes back what `begin_wait` noted."""
    with GATE:
        flight.waiters.pop(waiter, None)
        for each in within:
            left = each.awaits.get(flight, 0) - 1
            if left > 0:
                each.awaits[flight] = left
            else:
                each.awaits.pop(flight, None)
        if blocks:
            _blocked.pop(get_ident(), None)


def _after_in_child() -> None:
    global GATE
    # other threads stayed behind, maybe in the middle of these few steps
    GATE._at_fork_reinit()  # type: ignore[attr-defined]
    _blocked.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
