"""Recovery: what the files of a data directory say, put into a store that is empty.

Called as a directory is opened. Calls `snapshot.Loading`, which
knows what is in a file.

1. The files are read in their order, a few milliseconds at a time.
2. Nothing of them changes before all was read: one that is damaged, or of another version, is
   left as it was, and so is all that lies beside it. Then torn ends are cut off, and what a
   crash has left goes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import NamedTuple

from cachestorm.durability.disk import Disk
from cachestorm.durability.folder import Folder, refuse_gap
from cachestorm.durability.segments import Segment, Tail
from cachestorm.durability.snapshot import Loading
from cachestorm.errors import DurabilityError
from cachestorm.keyspace.store import Store

_log = logging.getLogger("cachestorm")


class Progress(NamedTuple):
    """How far a directory has been loaded.

    Attributes:
        done, total: bytes of its files.
        keys: how many are there.
    """

    done: int
    total: int
    keys: int


def recover(folder: Folder, loading: Loading, store: Store, disk: Disk) -> Iterator[Progress]:
    """Reads them all, a slice at a time: how far it is, each time, and at the end.

    Raises:
        DurabilityError: if one is missing, damaged, of another version or cannot be read.
        OSError: if a file cannot be cut off or deleted.
    """
    began_at = time.monotonic()
    found = folder.found()
    refuse_gap(found)
    done = 0
    read: list[Segment] = []
    for path in found.current:
        segment = Segment(path, loading.number, path in found.torn, disk)
        for _ in loading.slices(segment):
            yield Progress(done + segment.offset, found.total, int(store.entry_count))
        done += segment.offset
        read.append(segment)
    if loading.unknown_tier:
        name = loading.unknown_tier
        raise DurabilityError(
            f"{folder.path} names values in a {name} tier, and this cache has none: give it "
            f"the `{name}` that it had. Values that are not there any more are misses then"
        )
    for segment in read:
        if segment.tail is not None:
            _cut(folder, segment.path, segment.tail)
    folder.remove(found.before)
    loading.finish()
    keys = int(store.entry_count)
    if loading.frames:
        took_s = time.monotonic() - began_at
        _log.info(
            "%s: %d keys loaded in %.1f s (%d a second)",
            folder.path,
            keys,
            took_s,
            keys / max(took_s, 0.001),
        )
    yield Progress(found.total, found.total, keys)


def _cut(folder: Folder, path: str, tail: Tail) -> None:
    _log.warning(
        "%s: a torn write of %d bytes at its end, offset %d, is cut off",
        path,
        tail.lost,
        tail.offset,
    )
    folder.cut(path, tail.offset)
