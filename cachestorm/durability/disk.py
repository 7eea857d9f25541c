"""The disk: what the journal and the data directory ask of the system, in one place.

Called by whoever reads or writes their files. A test puts one in its place that loses what was
not forced to it, or fails.

1. What `write` was given is in the file, and survives this process. It survives the machine
   once `sync` has returned.
2. After a `sync` that has failed nobody knows what of that is on the disk; to try again, the
   same is written again. Linux holds what it could not write for written.
3. That a file is there, or has another name, survives the machine once `sync_folder` has
   returned.
"""

from __future__ import annotations

import os
import shutil
from typing import BinaryIO, Final

READ_BYTES: Final = 1 << 20


class Disk:
    """That of the system. Every method raises OSError where it fails."""

    def open(self, path: str) -> int:
        """A file to be written to, made if it is not there."""
        # without append mode, as what a failed write has left is written over
        return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)

    def size(self, file: int) -> int:
        """How many bytes an open file has."""
        return os.fstat(file).st_size

    def write(self, file: int, data: bytes | bytearray | memoryview, offset: int) -> int:
        """Writes at a place. Returns how much of it was written."""
        return os.pwrite(file, data, offset)

    def truncate(self, file: int, size: int) -> None:
        """Cuts off what is beyond a size."""
        os.ftruncate(file, size)

    def sync(self, file: int) -> None:
        """Forces to the disk what was written to a file."""
        if hasattr(os, "fdatasync"):
            os.fdatasync(file)
        else:
            os.fsync(file)

    def is_there(self, file: int, path: str) -> bool:
        """Whether an open file is the one that has a path; else nobody finds it again."""
        try:
            return os.path.samestat(os.stat(path), os.fstat(file))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def close(self, file: int) -> None:
        """Lets an open file go."""
        os.close(file)

    def reader(self, path: str) -> BinaryIO:
        """A file to be read from."""
        return open(path, "rb", READ_BYTES)

    def rename(self, path: str, name: str) -> None:
        """Gives a file another path, in the place of what was there."""
        os.replace(path, name)

    def remove(self, path: str) -> None:
        """Deletes a file."""
        os.remove(path)

    def names(self, folder: str) -> dict[str, int]:
        """The files of a folder with their sizes."""
        found: dict[str, int] = {}
        with os.scandir(folder) as entries:
            for each in entries:
                try:
                    found[each.name] = each.stat().st_size
                except FileNotFoundError:
                    # deleted meanwhile
                    continue
        return found

    def free_bytes(self, folder: str) -> int:
        """How much more fits."""
        return shutil.disk_usage(folder).free

    def sync_folder(self, path: str) -> None:
        """Forces to the disk that a file is in its folder, where the system can do that."""
        if os.name == "nt":
            return
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


DISK: Final = Disk()
