"""Forks: a child process finds every cache consistent and its latch free.

Not compiled: it is asked at a fork only, and keeps weak references, which compiled
classes do not have.

1. In the child, effects are delivered anew: whoever was telling listeners stayed behind.
2. Before a fork every latch is taken, so that no thread is in the middle of a write;
   after it, parent and child give them back. A thread that forks from inside a cache (a
   finalizer) skips that one.
"""

from __future__ import annotations

import os
import weakref
from typing import Final

from cachestorm.errors import ReentrancyError
from cachestorm.events import Effects
from cachestorm.keyspace.latch import Latch


class _Guard:
    """Stands for a cache in the weak set: it lives as long as the latch does."""

    def __init__(self, latch: Latch, effects: Effects) -> None:
        self.latch = latch
        self.effects = effects


_guards: Final[weakref.WeakSet[_Guard]] = weakref.WeakSet()
_taken: Final[list[Latch]] = []


def guard(latch: Latch, effects: Effects) -> None:
    """Has a latch taken before every fork of this process, and given back after it."""
    keeper = _Guard(latch, effects)
    latch.keeper = keeper
    _guards.add(keeper)


def _before() -> None:
    for keeper in sorted(_guards, key=id):
        try:
            keeper.latch.acquire()
        except ReentrancyError:
            continue
        _taken.append(keeper.latch)


def _after() -> None:
    while _taken:
        _taken.pop().release()


def _after_in_child() -> None:
    for keeper in _guards:
        keeper.effects.forked()
    _after()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
