"""The leaving: entries go whose values cannot stay in a tier, and the tier itself.

Called by `warm.py`. Calls the store.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cachestorm.durability.folder import Folder
from cachestorm.entry import DEMOTED
from cachestorm.events import Cause
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import Store
from cachestorm.keyspace.tiering import Demoted
from cachestorm.tiers.blob_store import BlobStore

SLICE: Final = 1024


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


def evict(store: Store, demoted: Demoted) -> None:
    """Evicts the entry of a value, if it has one. The caller holds the latch."""
    entry = demoted.entry
    if entry is None:
        return
    for space in store.spaces():
        if space.entries.get(entry.key) is entry:
            space.remove(entry, space.fate(entry) or Cause.EVICTED)
            return
    # its namespace was flushed, and it is among those that are abandoned
    demoted.entry = None


def oldest(store: Store) -> Keyspace | None:
    """The namespace of the value that was the first to come, of those that may be evicted."""
    found: Keyspace | None = None
    first = 0
    for space in store.spaces():
        if space.demoted_count and space.oldest_demoted() is not None:
            number = space.demoted_line[0].number
            if found is None or number < first:
                found, first = space, number
    return found


@contextmanager
def latched(store: Store) -> Iterator[None]:
    """Holds the latch."""
    store.enter()
    try:
        yield
    finally:
        store.leave()


def end(blobs: BlobStore, folder: str, directory: Folder, pid: int) -> None:
    """Gives the directory of a tier back, in the process that has it."""
    if os.getpid() != pid:
        # in a child process it is all the parent's
        return
    blobs.close()
    shutil.rmtree(folder, ignore_errors=True)
    directory.give_back()
