"""The warm tier: a level in a directory on an SSD.

Called by `settings.py`.

1. A directory is of one cache at a time.
2. The folder of values in it is of one process and one run. What another one has left there is
   not read: it is deleted when the directory is opened. So nothing is ever out of date.
3. With a data directory there is a folder for that, which stays. Those of other data
   directories are left alone.
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from cachestorm.durability.folder import Folder
from cachestorm.errors import DurabilityError
from cachestorm.keyspace.store import Store
from cachestorm.keyspace.tiering import WARM
from cachestorm.tiers.blob_store import BlobStore, open_store
from cachestorm.tiers.level import Level

FOLDER: Final = "values-"
KEPT: Final = "kept-"
# in the folder of a data directory: all that is there was named when it was closed
CLEAN: Final = "clean"
BATCH_BYTES: Final = 256 << 10
# so much of the disk is left to others
FREE_BYTES: Final = 256 << 20

Opener = Callable[..., BlobStore]

_log = logging.getLogger("cachestorm")


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
            self._folder = os.path.join(path, FOLDER + uuid.uuid4().hex)
            os.mkdir(self._folder, 0o700)
        except OSError as error:
            raise DurabilityError(
                f"{path} cannot be used as a warm tier: {error.strerror}"
            ) from error
        blobs = opener(engine, self._folder)
        # for a cache that is dropped, or a program that ends, without `close`; a compiled
        # object takes no weak reference, so what keeps it does
        give_back = weakref.finalize(
            store.latch.keeper, _end, blobs, self._folder, directory, os.getpid(), True
        )
        self._keeper: Final = weakref.ref(store.latch.keeper)
        self._directory: Final = directory
        self._engine: Final = engine
        self._opener: Final = opener
        super().__init__("warm", WARM, blobs, path, max_bytes, BATCH_BYTES, give_back)

    def be_kept(self, name: str) -> None:
        engine = self._engine_of(name)
        # what was begun before anybody knew: there is nothing in it
        former = self._folder
        self.blobs.close()
        folder = os.path.join(self.path, f"{KEPT}{name}-{engine}")
        marker = os.path.join(folder, CLEAN)
        try:
            shutil.rmtree(former, ignore_errors=True)
            os.makedirs(folder, 0o700, exist_ok=True)
            self.has_others = not os.path.exists(marker) and bool(os.listdir(folder))
            with suppress(FileNotFoundError):
                os.remove(marker)
        except OSError as error:
            raise DurabilityError(
                f"{folder} cannot be used as a warm tier: {error.strerror}"
            ) from error
        self.blobs = self._opener(engine, folder, True)
        self._folder = folder
        assert isinstance(self.give_back, weakref.finalize)
        self.give_back.detach()
        self.give_back = weakref.finalize(
            self._keeper(), _end, self.blobs, folder, self._directory, os.getpid(), False
        )
        super().be_kept(name)

    def _engine_of(self, name: str) -> str:
        """That of what was kept under a name, or else that of what there is by now.

        Raises:
            DurabilityError: if another one was asked for.
        """
        kept = [each for each in os.listdir(self.path) if each.startswith(KEPT)]
        mine = [each for each in kept if each.startswith(f"{KEPT}{name}-")]
        for other in sorted(set(kept) - set(mine)):
            _log.warning(
                "%s is of another data directory, and is left alone",
                os.path.join(self.path, other),
            )
        if not mine:
            return self.blobs.engine
        engine = mine[0].rpartition("-")[2]
        if self._engine not in (None, engine):
            raise DurabilityError(
                f"{os.path.join(self.path, mine[0])} was written by the engine {engine}, not "
                f"by {self._engine}: use that, or delete the folder, and the values with it"
            )
        return engine

    def end(self) -> None:
        """Says that all that is there is named."""
        with suppress(OSError), open(os.path.join(self._folder, CLEAN), "wb"):
            pass

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


def _end(blobs: BlobStore, folder: str, directory: Folder, pid: int, is_deleted: bool) -> None:
    """Gives the directory back, in the process that has it."""
    if os.getpid() != pid:
        # in a child process it is all the parent's
        return
    blobs.close()
    if is_deleted:
        shutil.rmtree(folder, ignore_errors=True)
    directory.give_back()
