"""The folder: which files of a data directory count, and who has it.

Used by whoever opens a directory or checks one. It knows files by their names only. A forked
child lets go of what its parent has open: it never writes there, and may live longer.

    lock               held by the process that has the directory open
    00000007.base      a journal that begins with the images of all keys
    00000008.journal   what came after it
    tiers              under which name colder tiers keep values for it
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple
from uuid import uuid4
from weakref import WeakSet

from cachestorm.durability.disk import DISK, Disk
from cachestorm.durability.frames import HEADER
from cachestorm.errors import DurabilityError

BASE: Final = "base"
JOURNAL: Final = "journal"
TIERS: Final = "tiers"
LOCK: Final = "lock"
# the number of the first file of all
FIRST: Final = 1
COPIED_BYTES: Final = 1 << 20

_NAME: Final = re.compile(rf"\d{{8,}}\.({BASE}|{JOURNAL})")
_TIERS_NAME: Final = re.compile("[0-9a-f]{32}")
_OF_REDIS: Final = re.compile(r"appendonlydir|.+\.(aof|rdb)")


class Found(NamedTuple):
    """The files of a data directory, in the order in which they were begun.

    Attributes:
        last: the number of the last one; 0 for none.
        current: the paths of those that count: the last base, and all after it.
        torn: of these, the ones that were written to last: the last one; and where nothing was
            written to that but its head, those before it as well, as it was begun, and then
            the disk has failed.
        before: the paths of those that a crash has left.
        total: bytes of those that count.
    """

    last: int
    current: list[str]
    torn: list[str]
    before: list[str]
    total: int

    @property
    def gap(self) -> str:
        """The first file, if it goes on from one that is missing; else empty.

        The first of all journals has the number 1, and every other one a file before it.
        """
        first = self.current[0] if self.current else ""
        number, _, kind = os.path.basename(first).partition(".")
        return first if kind == JOURNAL and int(number) != FIRST else ""


def refuse_gap(found: Found) -> None:
    """Refuses files of which the first goes on from one that is missing.

    Raises:
        DurabilityError: if it does.
    """
    if found.gap:
        raise DurabilityError(
            f"{found.gap} goes on from a file that is missing: put that back from a copy, or "
            f"let 'cachestorm check --repair' set aside what is there"
        )


def locked(path: str, to_write: bool = True) -> int:
    """Keeps every other cache out of a directory. Returns the descriptor that does.

    Args:
        to_write: whether something is to be written there; else the directory may be one that
            nobody can write to, and -1 says that nobody has ever had it open.

    Raises:
        DurabilityError: if another process has it, or this one.
        OSError: if this process may not.
    """
    name = os.path.join(path, LOCK)
    if not to_write and not os.path.exists(name):
        return -1
    lock = os.open(name, os.O_RDWR | os.O_CREAT if to_write else os.O_RDONLY, 0o600)
    try:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass
    except BlockingIOError as error:
        os.close(lock)
        raise DurabilityError(
            f"{path} is open in another cache: one process may have it at a time, and "
            f"one cache of it; close() that one, or share it through a server"
        ) from error
    except BaseException:
        os.close(lock)
        raise
    return lock


class Folder:
    """A data directory, made if it is not there.

    Attributes:
        path: of it.

    Raises:
        OSError: if it cannot be made.
    """

    def __init__(self, path: str, disk: Disk = DISK) -> None:
        self.path: Final = os.path.abspath(path)
        self._disk: Final = disk
        self._lock = -1
        self._tiers_name = ""
        os.makedirs(self.path, exist_ok=True)

    def lock(self, to_write: bool = True) -> None:
        """Keeps every other cache out.

        Args:
            to_write: as of `locked`.

        Raises:
            DurabilityError: if another process has it, or this one.
            OSError: if this process may not.
        """
        self._lock = locked(self.path, to_write)
        _locked.add(self)

    def hold(self, has_tiers: bool) -> None:
        """Takes a folder that was made anew in the place of the one that was locked.

        Args:
            has_tiers: whether colder tiers keep values for it, which are named as before.

        Raises:
            DurabilityError: if another process has it.
            OSError: if there is none, or this process may not.
        """
        former = self._lock
        if former >= 0 and not DISK.is_there(former, os.path.join(self.path, LOCK)):
            self.lock()
            os.close(former)
        if has_tiers:
            self.tiers_name()

    def give_back(self) -> None:
        """Lets others in."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def __del__(self) -> None:
        if getattr(self, "_lock", -1) >= 0:
            self.give_back()

    def found(self) -> Found:
        """Which files are there. O(files)."""
        sizes = self._sizes()
        files = sorted((int(name.split(".")[0]), name) for name in sizes)
        base = max((number for number, name in files if name.endswith(BASE)), default=0)
        current = [name for number, name in files if number >= base]
        torn: list[str] = []
        for name in reversed(current):
            torn.append(name)
            if sizes[name] > len(HEADER):
                break
        return Found(
            files[-1][0] if files else 0,
            self._paths(current),
            self._paths(torn),
            self._paths([name for number, name in files if number < base]),
            sum(sizes[name] for name in current),
        )

    def files_of_redis(self) -> list[str]:
        """The names of what Redis or Valkey may have left there. O(files)."""
        return sorted(filter(_OF_REDIS.fullmatch, self._disk.names(self.path)))

    def tiers_name(self) -> str:
        """Under which name colder tiers keep values for this directory; made the first time.

        Raises:
            OSError: if it cannot be read or written.
        """
        path = os.path.join(self.path, TIERS)
        if TIERS not in self._disk.names(self.path):
            unfinished = path + ".tmp"
            file = self._disk.open(unfinished)
            try:
                self._disk.write(file, (self._tiers_name or uuid4().hex).encode(), 0)
                self._disk.sync(file)
            finally:
                self._disk.close(file)
            self._disk.rename(unfinished, path)
            self._disk.sync_folder(path)
        with self._disk.reader(path) as found:
            name = found.read().decode("ascii", "replace")
        if not _TIERS_NAME.fullmatch(name):
            raise OSError(errno.EINVAL, f"{path} is damaged: put the one back that it had")
        self._tiers_name = name
        return name

    def path_of(self, number: int, kind: str) -> str:
        """The path of a file by its number: a BASE or a JOURNAL."""
        return os.path.join(self.path, f"{number:08d}.{kind}")

    def size(self) -> int:
        """How many bytes its files have. O(files)."""
        return sum(self._sizes().values())

    def free_bytes(self) -> int:
        """How much more fits."""
        return self._disk.free_bytes(self.path)

    def remove(self, paths: list[str]) -> None:
        """Deletes files."""
        for path in paths:
            self._disk.remove(path)

    def cut(self, path: str, size: int) -> None:
        """Cuts off what is beyond a size."""
        file = self._disk.open(path)
        try:
            self._disk.truncate(file, size)
            self._disk.sync(file)
        finally:
            self._disk.close(file)

    def copy(self, pieces: Sequence[tuple[str, int, int]], path: str) -> None:
        """Copies pieces of files to another one, which is there whole or not at all.

        Args:
            pieces: of which file, from where and up to where.

        Raises:
            DurabilityError: if it cannot be written.
        """
        unfinished = f"{path}.{os.getpid()}.tmp"
        try:
            with open(unfinished, "wb", opener=partial(os.open, mode=0o600)) as copy:
                for source, start, stop in pieces:
                    with open(source, "rb") as whole:
                        whole.seek(start)
                        for at in range(start, stop, COPIED_BYTES):
                            copy.write(whole.read(min(stop - at, COPIED_BYTES)))
                copy.flush()
                os.fsync(copy.fileno())
            os.replace(unfinished, path)
            self._disk.sync_folder(path)
        except OSError as error:
            with suppress(OSError):
                os.remove(unfinished)
            raise DurabilityError(f"{path} cannot be written: {error.strerror}") from error

    def _sizes(self) -> dict[str, int]:
        found = self._disk.names(self.path)
        return {name: size for name, size in found.items() if _NAME.fullmatch(name)}

    def _paths(self, names: list[str]) -> list[str]:
        return [os.path.join(self.path, name) for name in names]


_locked: Final[WeakSet[Folder]] = WeakSet()


def _let_go_in_child() -> None:
    for folder in list(_locked):
        # the parent keeps it locked: the lock is that of the file both have open
        folder.give_back()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
