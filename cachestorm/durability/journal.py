"""The journal: writes what is recorded into a file.

Called by the store as it gives its latch back, and by whoever writes a snapshot. Not compiled:
what it does is mostly the system's.

1. Who has changed something returns when it is in the file, under `always` when it is on the
   disk. Who finds another one writing waits, and mostly finds its own written as well: so many
   threads share one `fsync`.
2. Visits are written in the order in which they ended. A file ends with a whole frame, or the
   process has died: what a failed write has left is taken off again.
3. If nothing can be written, what was to be written is kept, and the write that found out
   raises a DurabilityError. Until it works again, writes that need room are refused before they
   change anything (`budget.py`), and every other one tries again.
4. A server that answers many requests at once has them written together: within `hold` nothing
   of its thread is written, `flush` does it.
5. A process that was forked has its parent's file, and never writes to it.
"""

from __future__ import annotations

import logging
import os
import threading
from _thread import get_ident
from contextlib import suppress
from typing import Final

from cachestorm.durability.frames import HEADER, frame_of
from cachestorm.durability.recording import Recording, Visit
from cachestorm.errors import ConfigError, DurabilityError

SYNCS: Final = ("always", "everysec", "no")

_log = logging.getLogger("cachestorm")


class Switch(Visit):
    """Among the visits: what comes after it goes to another file."""

    def __init__(self, path: str) -> None:
        super().__init__(0, [])
        self.path: Final = path


class Journal(Recording):
    """A recording that is written.

    Attributes:
        path: of the file that is written to.
        sync: when it is forced to the disk, one of SYNCS.
        size: of the file.
        number: of the last frame.
        error: why nothing could be written at the last attempt; None if it could.
        unsaid: how many values were left out because nothing can spell them.
    """

    def __init__(self, path: str, number: int, sync: str) -> None:
        super().__init__()
        if sync not in SYNCS:
            raise ConfigError(f"aof_sync is one of {', '.join(SYNCS)}, not {sync!r}")
        self.path = path
        self.sync: Final = sync
        self.is_strict = sync == "always"
        self.number = number
        self.error: OSError | None = None
        self.unsaid = 0
        self._pid = os.getpid()
        self._writing: Final = threading.Lock()
        self._writer = 0
        self._holder = 0
        # keeps the file from being closed while it is synced
        self._syncing: Final = threading.Lock()
        self._unwritten = bytearray()
        self._is_synced = False
        self._file = -1
        self._file, self.size = _opened(path)

    @property
    def unwritten_bytes(self) -> int:
        """How much is kept that could not be written."""
        return len(self._unwritten)

    # -- writing

    def hold(self) -> None:
        self._holder = get_ident()

    def commit(self) -> None:
        if self._holder != get_ident():
            self._write()

    def flush(self) -> None:
        self._holder = 0
        if self.visits or self._unwritten:
            self._write()

    def _write(self) -> None:
        if self._writer == get_ident():
            # an object that is being spelled has written: that comes next
            return
        if os.getpid() != self._pid:
            self.visits.clear()
            raise DurabilityError(
                f"a forked process does not write to {self.path}, which belongs to its parent: "
                f"make a cache of its own after the fork, or connect to a server"
            )
        with self._writing:
            self._writer = get_ident()
            try:
                self._write_visits()
            finally:
                self._writer = 0

    def _write_visits(self) -> None:
        unsaid: list[str] = []
        while self.visits:
            visit = self.visits[0]
            if isinstance(visit, Switch):
                self._switch(visit)
            elif visit.records:
                self._unwritten += frame_of(self.number + 1, visit, unsaid)
                self.number += 1
            self.visits.popleft()
        self._put_out()
        if self.sync == "always":
            self._sync_file()
        if unsaid:
            self._tell_unsaid(unsaid)

    def _switch(self, switch: Switch) -> None:
        self._put_out()
        self._sync_file()
        try:
            file, size = _opened(switch.path)
        except OSError as error:
            # it goes on in the file that there is
            self.visits.popleft()
            raise DurabilityError(
                f"{switch.path} cannot be written: {error.strerror}"
            ) from error
        self._close_file()
        self._file, self.size, self.path = file, size, switch.path
        self._is_synced = False

    def _put_out(self) -> None:
        """Writes the frames that are ready."""
        data = self._unwritten
        if not data:
            return
        done = 0
        try:
            with memoryview(data) as view:
                while done < len(data):
                    done += os.pwrite(self._file, view[done:], self.size + done)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self.size)
            self._fail(error)
        self.size += done
        self._unwritten = bytearray()
        self._is_synced = False
        self._recover()

    def _fail(self, error: OSError) -> None:
        if self.error is None:
            _log.error("%s cannot be written: %s", self.path, error.strerror)
        self.error = error
        self.failure = f"{self.path} cannot be written: {error.strerror}"
        raise DurabilityError(
            f"{self.failure}. What was changed is in memory, and is written once that works"
        )

    def _recover(self) -> None:
        if self.error is not None:
            self.error = None
            self.failure = ""
            _log.warning("%s can be written again", self.path)

    def _sync_file(self) -> None:
        if self._is_synced:
            return
        with self._syncing:
            self._is_synced = True
            try:
                _sync(self._file)
            except OSError as error:
                self._is_synced = False
                self._fail(error)

    def force(self) -> None:
        """Writes all there is, and forces it to the disk.

        Raises:
            DurabilityError: if that fails.
        """
        self.flush()
        self._sync_file()

    def _tell_unsaid(self, unsaid: list[str]) -> None:
        if self.unsaid == 0:
            _log.warning(
                "the value of %r is not kept on disk: neither JSON nor a codec of the cache "
                "can spell it (told once)",
                unsaid[0],
            )
        self.unsaid += len(unsaid)

    # -- files

    def switch(self, path: str) -> None:
        """Has what comes from now on written to another file. The caller holds the latch."""
        self.visits.append(Switch(path))

    def close(self) -> None:
        """Writes all there is, and lets the file go."""
        try:
            self.force()
        finally:
            self._close_file()

    def _close_file(self) -> None:
        with self._syncing:
            file, self._file = self._file, -1
            if file >= 0:
                os.close(file)

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0:
            os.close(self._file)


def _opened(path: str) -> tuple[int, int]:
    """A file to write to at its end, and its size; one that is new has its header then."""
    # without append mode, as what a failed write has left is written over
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        size = os.lseek(file, 0, os.SEEK_END)
        if size < len(HEADER):
            os.pwrite(file, HEADER, 0)
            size = len(HEADER)
            sync_folder(path)
    except BaseException:
        os.close(file)
        raise
    return file, size


def _sync(file: int) -> None:
    if hasattr(os, "fdatasync"):
        os.fdatasync(file)
    else:
        os.fsync(file)


def sync_folder(path: str) -> None:
    """Forces to the disk that a file is in its folder, where the system can do that."""
    with suppress(OSError):
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
