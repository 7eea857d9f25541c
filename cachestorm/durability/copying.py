"""Copying: the files of a data directory as one snapshot, and whether another one fits there.

Called by an open directory.
"""

from __future__ import annotations

import os

from cachestorm.durability.folder import Folder
from cachestorm.durability.frames import HEADER
from cachestorm.durability.journal import Journal
from cachestorm.durability.recording import COMPLETE
from cachestorm.keyspace.store import Store


def lack_of_room(folder: Folder, store: Store, journal: Journal | None) -> str:
    """Why a snapshot cannot fit in a directory: half of one would leave room for nothing else.

    Returns:
        The reason; empty if it fits.
    """
    need = int(store.used_bytes)
    if journal is not None:
        # all that is there is in the files as well
        need = min(need, folder.size())
    free = folder.free_bytes()
    if need <= free:
        return ""
    return f"{folder.path}: a snapshot takes up to {need} bytes, and {free} are free"


def copy_files(folder: Folder, store: Store, journal: Journal, path: str) -> None:
    """Copies all that a directory has to one file, which takes no room in the directory.

    The caller keeps others from beginning the journal anew.

    Raises:
        DurabilityError: if the file cannot be written, or not all is in the directory.
    """
    store.enter()
    try:
        # what begins with the first journal of all is complete without a base
        journal.add(COMPLETE, "", "")
    finally:
        store.leave()
    journal.force()
    *others, last = folder.found().current
    sizes = [(each, os.path.getsize(each)) for each in others]
    pieces = [(each, len(HEADER), size) for each, size in [*sizes, (last, journal.size)]]
    first, _, size = pieces[0]
    folder.copy([(first, 0, size), *pieces[1:]], path)
