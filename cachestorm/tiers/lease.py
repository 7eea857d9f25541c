"""The lease: says that a run goes on, and collects what others have left that do not.

Made by `cold.py`. Calls an object store, from a thread of its own.

1. A run keeps an object `alive` that it writes again four times in a lease.
2. A run whose `alive` has not been written for a lease has ended without deleting what it had:
   whoever looks deletes that. By the clock of the object store, which wrote both times down.
3. What a data directory keeps (KEPT) is nobody's orphan: the process may be down for a while.
4. So several caches may share a prefix, on several machines: none reads what another one has
   written, or deletes it while that one is alive. One that has slept for a lease finds misses.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import obstore
from obstore.store import LocalStore

from cachestorm.tiers.object_store import DELETED, delete, told

if TYPE_CHECKING:
    from datetime import datetime

    from obstore.store import ObjectStore as Bucket

ALIVE: Final = "alive"
# how the name begins of a run that another one goes on with
KEPT: Final = "kept-"
# how long closing waits for a request of the thread
PATIENCE_S: Final = 5.0

_log = logging.getLogger("cachestorm")


class Lease:
    """One run, while it goes on.

    Args:
        bucket: of `obstore`, with the prefix of the tier.
        where: what it is called in the log.
        run: the name of the run.
        lease_s: how long a run that says nothing is believed to go on.

    Attributes:
        orphans: objects of others that were deleted.
    """

    def __init__(self, bucket: Bucket, where: str, run: str, lease_s: float) -> None:
        self._bucket: Final = bucket
        self._where: Final = where
        self._run: Final = run
        self._lease_s: Final = lease_s
        self.orphans = 0
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Says for the first time that the run goes on, and begins to look after others.

        Raises:
            Exception: of `obstore`, if that cannot be said.
        """
        self._say()
        self.go_on()

    def go_on(self) -> None:
        """Says from now on that the run goes on."""
        self._thread = threading.Thread(
            target=self._repeat, name="cachestorm-tier-lease", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Says it no more."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)
        if self._run.startswith(KEPT):
            return
        try:
            delete(self._bucket, [f"{self._run}/{ALIVE}"])
            self._remove_folder(self._run)
        except Exception as error:
            _log.warning("%s cannot delete: %s", self._where, told(error))

    def _repeat(self) -> None:
        while not self._is_over.is_set():
            try:
                self._say()
                self.collect()
            except Exception as error:
                _log.warning("%s is not looked after: %s", self._where, told(error))
            self._is_over.wait(self._lease_s / 4)

    def _say(self) -> None:
        obstore.put(self._bucket, f"{self._run}/{ALIVE}", b"", use_multipart=False)

    def collect(self) -> None:
        """Deletes what runs have left that go on no more."""
        now = obstore.head(self._bucket, f"{self._run}/{ALIVE}")["last_modified"]
        found = obstore.list_with_delimiter(self._bucket)["common_prefixes"]
        for run in found:
            if run == self._run or run.startswith(KEPT):
                continue
            if not self._goes_on(run, now):
                self._delete_all(run)

    def _goes_on(self, run: str, now: datetime) -> bool:
        try:
            said = obstore.head(self._bucket, f"{run}/{ALIVE}")["last_modified"]
        except FileNotFoundError:
            # one that is ending, or has been collected in part; it said so as its first
            newest = [each["last_modified"] for each in self._objects(run)]
            if not newest:
                return True
            said = max(newest)
        return (now - said).total_seconds() < self._lease_s

    def _objects(self, run: str) -> Iterable[obstore.ObjectMeta]:
        for part in obstore.list(self._bucket, run):
            yield from part

    def _remove_folder(self, run: str) -> None:
        """Deletes what a folder has beside objects: those that were being written at a kill."""
        if isinstance(self._bucket, LocalStore) and self._bucket.prefix is not None:
            shutil.rmtree(os.path.join(self._bucket.prefix, run), ignore_errors=True)

    def _delete_all(self, run: str) -> None:
        paths = [each["path"] for each in self._objects(run)]
        # last, as it says whose they are
        paths.sort(key=lambda path: path.endswith(f"/{ALIVE}"))
        for first in range(0, len(paths), DELETED):
            if self._is_over.is_set():
                return
            some = paths[first : first + DELETED]
            delete(self._bucket, some)
            self.orphans += len(some)
        self._remove_folder(run)
        _log.info("%s: deleted %d objects that a run has left", self._where, len(paths))
