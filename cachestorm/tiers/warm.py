"""The warm tier: a level in a directory on an SSD.

Called by `settings.py`.

1. A directory is of one cache at a time.
2. The folder of values in it is of one process and one run. What another one has left there is
   not read: it is deleted when the directory is opened. So nothing is ever out of date.
"""

from __future__ import annotations

import os
import shutil
import uuid
import weakref
from collections.abc import Callable
from typing import Final

from cachestorm.durability.folder import Folder
from cachestorm.errors import DurabilityError
from cachestorm.keyspace.store import Store
from cachestorm.keyspace.tiering import WARM
from cachestorm.tiers.blob_store import BlobStore, open_store
from cachestorm.tiers.level import Level

FOLDER: Final = "values-"
BATCH_BYTES: Final = 256 << 10
# so much of the disk is left to others
FREE_BYTES: Final = 256 << 20

Opener = Callable[[str | None, str], BlobStore]


class WarmLevel(Level):
    """Values in a directory.

    Args:
        store: whose values they are.
        path: of the directory; made if it is not there.
        max_bytes: what the values may take there, by their sizes; 0 for no limit.
        engine: which, see `open_store`.

    Raises:
        ConfigError: for an engine that there is not.
        DurabilityError: if the directory cannot be used, or another cache has it.
    """

    def __init__(
        self,
        store: Store,
        path: str,
        max_bytes: int = 0,
        engine: str | None = None,
        opener: Opener = open_store,
    ) -> None:
        path = os.path.abspath(path)
        try:
            directory = Folder(path)
            # given back with the last reference to it, if it comes to nothing
            directory.lock()
            _sweep(path)
            self._folder: Final = os.path.join(path, FOLDER + uuid.uuid4().hex)
            os.mkdir(self._folder, 0o700)
        except OSError as error:
            raise DurabilityError(
                f"{path} cannot be used as a warm tier: {error.strerror}"
            ) from error
        blobs = opener(engine, self._folder)
        # for a cache that is dropped, or a program that ends, without `close`; a compiled
        # object takes no weak reference, so what keeps it does
        give_back = weakref.finalize(
            store.latch.keeper, _end, blobs, self._folder, directory, os.getpid()
        )
        super().__init__("warm", WARM, blobs, path, max_bytes, BATCH_BYTES, give_back)

    def is_short_of_disk(self) -> bool:
        """Whether others need what is left of the disk."""
        try:
            return shutil.disk_usage(self._folder).free < FREE_BYTES
        except OSError:
            return False


def _sweep(path: str) -> None:
    """Deletes what another run has left."""
    with os.scandir(path) as found:
        for each in found:
            if each.name.startswith(FOLDER):
                shutil.rmtree(each.path, ignore_errors=True)


def _end(blobs: BlobStore, folder: str, directory: Folder, pid: int) -> None:
    """Gives the directory back, in the process that has it."""
    if os.getpid() != pid:
        # in a child process it is all the parent's
        return
    blobs.close()
    shutil.rmtree(folder, ignore_errors=True)
    directory.give_back()
