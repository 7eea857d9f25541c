"""The journal: writes what is recorded into a file.

Called by the store as it gives its latch back, and by whoever writes a snapshot. It reaches the
system through `disk.py`. Compiled, for it derives from what is told of every change.

1. Who has changed something returns when it is in the file, under `always` when it is on the
   disk. Who finds another one writing waits, and mostly finds its own written as well: so many
   threads share one `fsync`.
2. Visits are written in the order in which they ended, those of one moment as one frame. A
   file ends with a whole frame, or the process has died: what a failed write has left is
   taken off again.
3. If nothing can be written, what was to be written is kept, and the write that found out
   raises a DurabilityError. Until it works again, writes that need room are refused before they
   change anything (`budget.py`), and every other one tries again. What leaves on its own, which
   a read may be the first to notice, raises nothing.
4. What is not known to be on the disk is kept in memory, up to MOST_UNSYNCED_BYTES, and forced
   when it is more: an `fsync` that has failed tells nothing of what it has lost, so all of that
   is written again before the next one.
5. A server that answers many requests at once has them written together: within `hold` nothing
   of its thread is written, `flush` does it; or it lets go, and has those of many connections
   written by one `flush`.
6. Replicas are fed what is written, as it is spelled. One without a file is for them alone.
7. A process that was forked has its parent's file, and never writes to it.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from _thread import RLock, get_ident
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

from librt.strings import BytesWriter
from mypy_extensions import i64

from cachestorm.durability.disk import DISK, Disk
from cachestorm.durability.frames import HEADER, frame_of, frame_of_run, write_plain_record
from cachestorm.durability.recording import Aside, Recording, Run, Visit
from cachestorm.errors import ConfigError, DurabilityError, of_a_parent

SYNCS: Final = ("always", "everysec", "no")
MOST_UNSYNCED_BYTES: Final = 64 << 20
# so many visits are one frame, if they are of the same millisecond and written at once
MOST_TOGETHER: Final = 64
# a global that is not final is looked up at every call
_is_owned: Final[Callable[[RLock], bool]] = RLock._is_owned  # type: ignore[attr-defined]

_log = logging.getLogger("cachestorm")


class Switch(Visit):
    """Among the visits: what comes after it goes to another file."""

    def __init__(self, path: str) -> None:
        super().__init__(0, [])
        self.path: Final = path


class Journal(Recording):
    """A recording that is written.

    Attributes:
        path: of the file that is written to; empty for none.
        sync: when it is forced to the disk, one of SYNCS.
        size: of the file.
        number: of the last frame.
        synced: that of the last frame that is known to be on the disk.
        error: why nothing could be written at the last attempt; None if it could.
        is_lost: whether the file was deleted or moved, or the folder that it is in.
        unsaid: how many values were left out because nothing can spell them.
        feed: is called with each frame that is not for one alone, by whoever writes.
    """

    def __init__(self, path: str, number: int, sync: str, disk: Disk = DISK) -> None:
        super().__init__()
        if sync not in SYNCS:
            raise ConfigError(f"aof_sync is one of {', '.join(SYNCS)}, not {sync!r}")
        self.path = path
        self.sync = sync
        self.is_strict = sync == "always"
        self.number = number
        self.synced = number
        self.error: OSError | None = None
        self.unsaid = 0
        self.feed: Callable[[bytes], object] | None = None
        self._disk: Final = disk
        self._pid = os.getpid()
        self._writing: Final = threading.Lock()
        self._writer = 0
        # who holds it is asked for less than the number of the thread is
        self._holding: Final = RLock()
        # keeps the file from being closed while it is synced
        self._syncing: Final = threading.Lock()
        self._unwritten = bytearray()
        # written, and not known to be on the disk: what begins at _synced_bytes
        self._unsynced: list[bytearray] = []
        self._unsynced_bytes = 0
        self._synced_bytes = 0
        self._written = number
        # it may have lost what is not synced
        self._is_doubtful = False
        # nobody finds it under its path
        self.is_lost: bool = False
        # the last frame that says so of those before it
        self._witness = number
        self._file = -1
        self._take(path)

    @property
    def unwritten_bytes(self) -> int:
        """How much is kept that could not be written."""
        return len(self._unwritten)

    @property
    def unsynced_bytes(self) -> int:
        """How much is kept that is not known to be on the disk."""
        return self._unsynced_bytes

    @property
    def is_forced(self) -> bool:
        """Whether all that was recorded is on the disk, but for what only says so."""
        changed = self.number - 1 if self._witness == self.number else self.number
        return not self.visits and not self._unwritten and self.synced >= changed

    # -- writing

    def hold(self) -> None:
        if not _is_owned(self._holding):
            # if another thread does, nothing of this one is held back
            self._holding.acquire(False)
        self.is_owed = False

    def joins(self, space: str, key: str, value: object) -> bool:
        return super().joins(space, key, value) and _is_owned(self._holding)

    def commit(self, is_owed: bool) -> None:
        if not _is_owned(self._holding):
            try:
                self._write()
            except DurabilityError:
                if is_owed:
                    raise

    def let_go(self) -> None:
        if _is_owned(self._holding):
            self._holding.release()

    def flush(self) -> None:
        self.let_go()
        # another thread that has taken the visits may not have forced them to the disk yet
        if self.visits or self._unwritten or (self.is_strict and self._unsynced):
            self._write()

    def _write(self) -> None:
        if self._writer == get_ident():
            # an object that is being spelled has written: that comes next
            return
        if os.getpid() != self._pid:
            self._forget()
            raise DurabilityError(of_a_parent(self.path))
        with self._writing:
            self._writer = get_ident()
            try:
                self._write_visits()
            finally:
                self._writer = 0

    def _forget(self) -> None:
        """In a child process: drops what the parent has to write, and what it has not."""
        self._run = None
        self.visits.clear()

    def _write_visits(self) -> None:
        unsaid: list[str] = []
        visits = self.visits
        while visits:
            visit = visits[0]
            count = 1
            if isinstance(visit, Run):
                self.close_run(visit)
                self._add(frame_of_run(self.number + 1, self.synced, visit), True)
            elif isinstance(visit, Switch):
                self._switch(visit)
            elif isinstance(visit, Aside):
                self._spell_aside(visit, unsaid)
            elif visit.records:
                count = self._spell_some(visit, unsaid)
            for _ in range(count):
                visits.popleft()
        self._put_out()
        if self.sync == "always" or self._unsynced_bytes > MOST_UNSYNCED_BYTES:
            self._sync_file()
        if unsaid:
            self._tell_unsaid(unsaid)

    def _spell_some(self, first: Visit, unsaid: list[str]) -> int:
        """Spells the visits of one moment as one frame. Returns how many these were."""
        visits, at_ms, records, count = self.visits, first.at_ms, [*first.records], 1
        most = min(len(visits), MOST_TOGETHER)
        while count < most:
            visit = visits[count]
            if type(visit) is not Visit or visit.at_ms != at_ms:
                break
            records += visit.records
            count += 1
        self._spell(first if count == 1 else Visit(at_ms, records), unsaid)
        return count

    def _spell(self, visit: Visit, unsaid: list[str]) -> None:
        frame = frame_of(self.number + 1, self.synced, visit, unsaid)
        self._add(frame, not isinstance(visit, Aside))

    def _add(self, frame: bytes, is_for_all: bool) -> None:
        """Adds a frame to what is to be written."""
        self.number += 1
        if self.path:
            self._unwritten += frame
        else:
            self._written = self.synced = self.number
        if self.feed is not None and is_for_all:
            self.feed(frame)

    def spell_plain(
        self, out: BytesWriter, key: str, value: object, expires_at_ms: i64
    ) -> None:
        write_plain_record(out, key, value, expires_at_ms)

    def _spell_aside(self, visit: Aside, unsaid: list[str]) -> None:
        if visit.take is None:
            self._spell(visit, unsaid)
        else:
            visit.take(frame_of(0, 0, visit, unsaid) if visit.records else b"")

    def _switch(self, switch: Switch) -> None:
        self._put_out()
        with suppress(DurabilityError):
            self.find_file()
        if not self.is_lost:
            self._sync_file()
        former = self._file
        try:
            self._take(switch.path)
        except OSError as error:
            # it goes on in the file that there is; who wanted the other one sees that
            _log.error("%s cannot be written: %s", switch.path, error.strerror)
            return
        if former >= 0:
            self._disk.close(former)

    def _put_out(self) -> None:
        """Writes the frames that are ready."""
        data = self._unwritten
        if not data:
            return
        number = self.number
        try:
            self._write_at(data, self.size)
        except OSError as error:
            with suppress(OSError):
                self._disk.truncate(self._file, self.size)
            self._fail(error)
        self.size += len(data)
        self._unsynced_bytes += len(data)
        # in this order: who finds nothing in either takes it for forced
        self._unsynced.append(data)
        self._unwritten = bytearray()
        self._written = number
        self._recover()

    def _write_at(self, data: bytearray, offset: int) -> None:
        done = 0
        while done < len(data):
            # let go also where a traceback would keep it: more is to be added to the data
            with memoryview(data) as view, view[done:] as rest:
                size = self._disk.write(self._file, rest, offset + done)
                if size == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                done += size

    def _fail(self, error: OSError) -> NoReturn:
        if self.error is None:
            _log.error("%s cannot be written: %s", self.path, error.strerror)
        self.error = error
        self.failure = f"{self.path} cannot be written: {error.strerror}"
        raise DurabilityError(
            f"{self.failure}. What was changed is in memory, and is written once that works"
        )

    def _recover(self) -> None:
        is_sound = not self._is_doubtful and not self.is_lost and not self._unwritten
        if self.error is not None and is_sound:
            self.error = None
            self.failure = ""
            _log.warning("%s can be written again", self.path)

    def _sync_file(self) -> None:
        with self._syncing:
            self._find_file()
            if not self._unsynced:
                return
            # in this order: another thread may be adding to them
            number = self._written
            count = len(self._unsynced)
            try:
                if self._is_doubtful:
                    self._write_again(count)
                self._disk.sync(self._file)
            except OSError as error:
                self._is_doubtful = True
                self._fail(error)
            size = sum(map(len, self._unsynced[:count]))
            del self._unsynced[:count]
            self._unsynced_bytes -= size
            self._synced_bytes += size
            self.synced = number
            self._is_doubtful = False
            self._recover()

    def find_file(self) -> None:
        """Finds out whether what is written can be found again.

        Raises:
            DurabilityError: if the file was deleted or moved.
        """
        with self._syncing:
            self._find_file()

    def _find_file(self) -> None:
        if not self.path:
            return
        try:
            self.is_lost = not self._disk.is_there(self._file, self.path)
        except OSError as error:
            self.is_lost = True
            self._fail(error)
        if self.is_lost:
            self._fail(FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
        self._recover()

    def rename(self, path: str, name: str) -> None:
        """Gives the file that it was switched to another path.

        Raises:
            OSError: if that fails, as where it could not be switched.
        """
        with self._syncing:
            self._disk.rename(path, name)
            self.path = name

    def _write_again(self, count: int) -> None:
        offset = self._synced_bytes
        for data in self._unsynced[:count]:
            self._write_at(data, offset)
            offset += len(data)

    def force(self) -> None:
        """Writes all there is, and forces it to the disk.

        Raises:
            DurabilityError: if that fails.
        """
        self.flush()
        self._sync_file()

    def force_by(self, sync: str) -> None:
        """Has it forced to the disk at other times: SYNCS."""
        with self._writing:
            self.sync = sync
            self.is_strict = sync == "always"

    def testify(self) -> None:
        """Writes a frame that says of all before it that it is on the disk, unless one does.

        So a frame that is damaged later is told from one that was torn.

        Raises:
            DurabilityError: if it cannot be written.
        """
        with self._writing:
            if not self.path or self._witness == self.number or self.synced != self.number:
                return
            if os.getpid() != self._pid:
                return
            self._spell(Visit(int(time.time() * 1000), []), [])
            self._witness = self.number
            self._put_out()

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
        self.append(Switch(path))

    def close(self) -> None:
        """Writes all there is, and lets the file go.

        Raises:
            DurabilityError: if that fails; the file is let go nevertheless.
        """
        try:
            self.force()
            self.testify()
            self._sync_file()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Lets the file go as it is."""
        with self._syncing:
            file, self._file = self._file, -1
            if file >= 0:
                self._disk.close(file)

    def _take(self, path: str) -> None:
        """Has what comes go to a file, at its end; one that is new has its header then.

        All that is in it is on the disk, and so is its name.
        """
        disk = self._disk
        if not path:
            with self._syncing:
                self._file = -1
                self.path = ""
                self.size = 0
            return
        file = disk.open(path)
        try:
            size = disk.size(file)
            if size <= len(HEADER):
                # also where it seems to be there: to force it to the disk may have failed
                size = disk.write(file, HEADER, 0)
                if size < len(HEADER):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            disk.sync(file)
            disk.sync_folder(path)
        except BaseException:
            disk.close(file)
            raise
        with self._syncing:
            self._file = file
            self.path = path
            self.is_lost = False
            self.size = self._synced_bytes = size
            self._unsynced = []
            self._unsynced_bytes = 0
            self._is_doubtful = False

    def forked(self) -> None:
        # one without a file has nobody to feed in a child, and nobody to tell
        if self.path:
            self.failure = of_a_parent(self.path)

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0:
            self._disk.close(self._file)
