"""A disk in memory that a test takes the power from, and that fails by a schedule.

What was written is seen by who reads, and on the disk only once it was synced. When the power
goes, each write that was not synced is there, not there, or there in part, whatever came before
or after it; and so is each name. A sync that fails has lost any part of what it was to write,
which the next sync does not try again, as on Linux.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from io import BytesIO
from random import Random
from typing import BinaryIO

from cachestorm.durability.disk import Disk

SECTOR = 64


class PowerCut(BaseException):
    """The machine has stopped in the middle of what it was told."""


class File:
    """A file: what is seen of it, what is on the disk, and what is between the two."""

    def __init__(self, data: bytes = b"") -> None:
        self.seen = bytearray(data)
        self.durable = bytearray(data)
        self.pending: list[tuple[int, bytes | None]] = []

    def change(self, offset: int, data: bytes | None) -> None:
        """Writes, or with None cuts off."""
        put(self.seen, offset, data)
        self.pending.append((offset, data))

    def sync(self) -> None:
        """All of it is on the disk."""
        for offset, data in self.pending:
            put(self.durable, offset, data)
        self.pending.clear()

    def lose(self, chance: Random) -> None:
        """Any part of what was pending is on the disk, in any order; the rest never will be."""
        pending = [each for each in self.pending if chance.random() < 0.7]
        if chance.random() < 0.5:
            chance.shuffle(pending)
        for offset, data in pending:
            if data is not None and chance.random() < 0.3:
                for at in range(0, len(data), SECTOR):
                    if chance.random() < 0.6:
                        put(self.durable, offset + at, data[at : at + SECTOR])
            else:
                put(self.durable, offset, data)
        self.pending.clear()


def put(target: bytearray, offset: int, data: bytes | None) -> None:
    """Changes bytes as a write does, or a cut; what is between is zeros."""
    if data is None:
        del target[offset:]
        return
    if len(target) < offset:
        target += bytes(offset - len(target))
    target[offset : offset + len(data)] = data


class SimulatedDisk(Disk):
    """A folder's files.

    Args:
        chance: decides what fails and what is lost.
        faults: how likely each call is to fail.

    Attributes:
        is_failing: whether the schedule of faults applies.
        left: so many calls are made before the power goes; None for any number.
    """

    def __init__(self, chance: Random, faults: float, files: dict[str, bytes]) -> None:
        self._chance = chance
        self._faults = faults
        self.is_failing = False
        self.left: int | None = None
        self._names = {path: File(data) for path, data in files.items()}
        self._durable_names = dict(self._names)
        self._pending_names: list[Callable[[dict[str, File]], object]] = []
        self._open: dict[int, File] = {}
        self._last = 100

    # -- what the journal asks

    def open(self, path: str) -> int:
        self._turn("open")
        file = self._names.get(path)
        if file is None:
            file = File()
            self._name(lambda names, file=file: names.__setitem__(path, file))
        self._last += 1
        self._open[self._last] = file
        return self._last

    def size(self, file: int) -> int:
        return len(self._open[file].seen)

    def write(self, file: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        size = len(data)
        if self.is_failing and self._chance.random() < self._faults:
            size = self._chance.randrange(size) if size > 1 else size
        self._open[file].change(offset, bytes(data[:size]))
        # what was written may be there, and the call have failed nevertheless
        self._turn("write")
        return size

    def truncate(self, file: int, size: int) -> None:
        self._turn("truncate")
        self._open[file].change(size, None)

    def sync(self, file: int) -> None:
        try:
            self._turn("sync")
        except OSError:
            self._open[file].lose(self._chance)
            raise
        self._open[file].sync()

    def is_there(self, file: int, path: str) -> bool:
        return self._names.get(path) is self._open[file]

    def close(self, file: int) -> None:
        del self._open[file]

    def reader(self, path: str) -> BinaryIO:
        self._turn("read")
        return BytesIO(bytes(self._names[path].seen))

    def rename(self, path: str, name: str) -> None:
        self._turn("rename")
        self._name(lambda names: names.__setitem__(name, names.pop(path)))

    def remove(self, path: str) -> None:
        self._turn("remove")
        self._name(lambda names: names.pop(path, None))

    def names(self, folder: str) -> dict[str, int]:
        return {os.path.basename(path): len(file.seen) for path, file in self._names.items()}

    def free_bytes(self, folder: str) -> int:
        return 1 << 40

    def sync_folder(self, path: str) -> None:
        self._turn("sync_folder")
        for change in self._pending_names:
            change(self._durable_names)
        self._pending_names.clear()

    # -- what the test does

    def after_power_cut(self, faults: float) -> SimulatedDisk:
        """The disk as it is found when the power is back."""
        kept = [each for each in self._pending_names if self._chance.random() < 0.5]
        for change in kept:
            try:
                change(self._durable_names)
            except KeyError:
                # a file that never was there had been given another name
                continue
        for file in self._durable_names.values():
            file.lose(self._chance)
        files = {path: bytes(file.durable) for path, file in self._durable_names.items()}
        return SimulatedDisk(self._chance, faults, files)

    def flip(self) -> None:
        """Turns over a bit of a file that has any."""
        files = [file for file in self._names.values() if file.seen]
        file = self._chance.choice(files)
        place = self._chance.randrange(len(file.seen))
        bit = 1 << self._chance.randrange(8)
        file.seen[place] ^= bit
        file.durable[:] = file.seen

    def copied(self) -> SimulatedDisk:
        """Another one with the same files, on which all is synced."""
        files = {path: bytes(file.seen) for path, file in self._names.items()}
        return SimulatedDisk(self._chance, self._faults, files)

    def _name(self, change: Callable[[dict[str, File]], object]) -> None:
        change(self._names)
        self._pending_names.append(change)

    def _turn(self, what: str) -> None:
        if self.left is not None:
            if self.left == 0:
                raise PowerCut()
            self.left -= 1
        if self.is_failing and self._chance.random() < self._faults:
            number = errno.EIO if what != "write" else self._chance.choice([5, 28])
            raise OSError(number, os.strerror(number))
