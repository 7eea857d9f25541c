"""The leaving: entries go whose values cannot stay in a tier.

Called by `tiers.py` and `moving.py`. Calls the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cachestorm.entry import DEMOTED
from cachestorm.events import Cause
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import Store
from cachestorm.keyspace.tiering import Demoted
from cachestorm.tiers.level import Level

SLICE: Final = 1024
# how many are evicted at a time, and how many are looked at for them
EVICTED: Final = 128


def evict_slice(space: Keyspace, place: int) -> int:
    """Evicts those of some entries whose values are elsewhere. The caller holds the latch.

    Args:
        place: below which it begins in the dense array.

    Returns:
        Where it has ended.
    """
    stop = max(place - SLICE, 0)
    while place > stop:
        place -= 1
        entry = space.dense[place]
        if entry.kind >= DEMOTED:
            space.remove(entry, space.fate(entry) or Cause.EVICTED)
    return place


def evict(store: Store, demoted: Demoted, is_asked: bool = False) -> bool:
    """Evicts the entry of a value, if it has one. The caller holds the latch.

    Args:
        is_asked: whether the policy may say no.

    Returns:
        Whether the value is nobody's now.
    """
    entry = demoted.entry
    if entry is None:
        return True
    for space in store.spaces():
        if space.entries.get(entry.key) is entry:
            if is_asked and not space.is_evictable(entry):
                return False
            space.remove(entry, space.fate(entry) or Cause.EVICTED)
            return True
    # its namespace was flushed, and it is among those that are abandoned
    return True


def evict_oldest(store: Store, level: Level) -> bool:
    """Evicts the entries whose values were the first to come to a level, until it holds enough.

    Returns:
        Whether any has left, of the first that there are.
    """
    kept: list[Demoted] = []
    gone = 0
    with latched(store):
        for _ in range(2 * EVICTED):
            if not level.queue or gone >= EVICTED or level.used_bytes <= level.max_bytes:
                break
            demoted = level.queue.popleft()
            if not level.holds(demoted):
                continue
            if evict(store, demoted, True):
                gone += 1
            else:
                kept.append(demoted)
        level.queue.extend(kept)
    return gone != 0


@contextmanager
def latched(store: Store) -> Iterator[None]:
    """Holds the latch."""
    store.enter()
    try:
        yield
    finally:
        store.leave()
