"""Forks: a child process finds every cache consistent and its latch free.

Not compiled: it is asked at a fork only, and keeps weak references, which compiled
classes do not have.

1. In the child, delivery of effects and lazy freeing begin anew: the thread that was doing it
   exists only in the parent.
2. Before a fork every latch is taken, so that no thread is in the middle of a write;
   after it, parent and child give them back. All are taken or none, so that threads which
   use several caches in an order of their own do not wait for each other for ever. A
   thread that forks from inside a cache (a finalizer) skips that one.
3. A latch that is held longer than PATIENCE_S is forked as it is: the child then finds
   that cache locked, as it finds any lock that another thread held.
"""

from __future__ import annotations

import os
import time
import weakref
from _thread import get_ident
from typing import Final

from cachestorm.errors import ReentrancyError
from cachestorm.keyspace.latch import Latch
from cachestorm.keyspace.shared_state import SharedState


class Keeper:
    """Stands for a store where a weak reference to it is wanted: it lives as long."""

    def __init__(self, store: SharedState) -> None:
        self.store: Final = store


PATIENCE_S: Final = 5.0
RETRY_S: Final = 0.001
WAIT_S: Final = 0.1

_guards: Final[weakref.WeakSet[Keeper]] = weakref.WeakSet()
# by thread: several may fork at once, and each gives back what it took itself
_taken: Final[dict[int, list[Latch]]] = {}


def guard(store: SharedState) -> None:
    """Has a store's latch taken before every fork of this process, and given back after."""
    keeper = Keeper(store)
    store.latch.keeper = keeper
    _guards.add(keeper)


def _before() -> None:
    gives_up_at = time.monotonic() + PATIENCE_S
    late: list[Keeper] = []
    while True:
        # What was late is waited for while nothing is held: who only looks whether it is free
        # may never see that where threads write without end.
        keepers = late[:1] + [each for each in _keepers() if each not in late[:1]]
        first = keepers[:1] if late else []
        late = [each for each in keepers if not _take(each.store.latch, each in first)]
        if not late or time.monotonic() > gives_up_at:
            return
        _after()
        time.sleep(RETRY_S)


def _keepers() -> list[Keeper]:
    while True:
        try:
            return list(_guards)
        except RuntimeError:
            # another thread has just made a cache, which changes the set
            continue


def _take(latch: Latch, waits: bool) -> bool:
    try:
        if latch.try_acquire(WAIT_S if waits else 0.0):
            _taken.setdefault(get_ident(), []).append(latch)
            return True
    except ReentrancyError:
        return True
    return False


def _after() -> None:
    for latch in _taken.pop(get_ident(), ()):
        latch.release()


def _after_in_child() -> None:
    for keeper in _keepers():
        keeper.store.forked()
    _after()
    _taken.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
