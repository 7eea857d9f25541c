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

    What was read since it came, or since it was looked at, has another turn.

    Returns:
        Whether any has left, of the first that there are, or is going to the next time.
    """
    kept: list[Demoted] = []
    gone = spared = 0
    with latched(store):
        for _ in range(2 * EVICTED):
            line = level.first_to_go()
            if not line or gone >= EVICTED or level.used_bytes <= level.max_bytes:
                break
            demoted = line.popleft()
            if not level.holds(demoted):
                continue
            if demoted.hits != 0:
                demoted.hits = 0
                spared += 1
                kept.append(demoted)
            elif evict(store, demoted, True):
                gone += 1
            else:
                kept.append(demoted)
        level.queue.extend(kept)
    return gone + spared != 0


def fit(store: Store, level: Level) -> None:
    """Evicts the entries whose values were the first to come to a level that holds too much."""
    while level.max_bytes != 0 and level.used_bytes > level.max_bytes:
        if not evict_oldest(store, level):
            # none of them may be evicted
            level.is_full = True
            return
        if level.write([], released_of(store, level)) is None:
            return


def evict_all(store: Store) -> None:
    """Evicts all entries whose values are elsewhere. The caller does not hold the latch."""
    for space in store.spaces():
        place = len(space.dense)
        while place > 0:
            with latched(store):
                place = evict_slice(space, min(place, len(space.dense)))


def released_of(store: Store, level: Level) -> list[int]:
    """Takes over what was released in a level. The caller does not hold the latch."""
    with latched(store):
        return level.take_released()


@contextmanager
def latched(store: Store) -> Iterator[None]:
    """Holds the latch."""
    store.enter()
    try:
        yield
    finally:
        store.leave()
