"""Persistence: the methods of a cache that have it kept on disk.

A trait of `Cache`. Calls `cachestorm/durability/`, which is imported when it is needed.
"""

from __future__ import annotations

from os import PathLike, fspath
from typing import TYPE_CHECKING, Final, cast

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import Edge

if TYPE_CHECKING:
    from cachestorm.durability.directory import DataDirectory

EVERYSEC: Final = "everysec"


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Persistence(Edge):
    """Snapshots, and the journal of a cache with a data directory."""

    def save(self, path: str | PathLike[str] | None = None) -> None:
        """Writes all that the cache holds into a file, while others go on writing.

        What is there is consistent: the state at one moment, that of the end. `load` makes a
        cache of it. The file is there whole or not at all.

        Args:
            path: of the file; None: the data directory, whose journal begins anew.

        Raises:
            DurabilityError: if it cannot be written, or a snapshot is being written already,
                or there is neither a path nor a data directory.
        """
        from cachestorm.durability import snapshot
        from cachestorm.errors import DurabilityError

        directory = self._directory()
        if directory is None and path is None:
            raise DurabilityError("a cache without a data directory is saved to a path")
        if path is None:
            cast("DataDirectory", directory).rewrite()
        elif directory is None:
            snapshot.save(self._store, fspath(path))
        else:
            directory.save_to(fspath(path), self._store)

    def sync(self) -> None:
        """Returns when all that was written before is on the disk.

        Without a data directory there is nothing to wait for. With one, but without a journal,
        it takes a snapshot.

        Raises:
            DurabilityError: if that fails.
        """
        directory = self._directory()
        if directory is not None:
            directory.force()

    def _directory(self) -> DataDirectory | None:
        return cast("DataDirectory | None", self._store.directory)
