"""The watch list: the keys that one client watches, in any of the namespaces.

Made on behalf of a connection's WATCH. It keeps the namespaces alive, so that a deleted one is
the same when it is written to again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cachestorm.commands.edge import Edge, enter
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import NamespaceReference
from cachestorm.keyspace.watches import Watch
from cachestorm.operations.names import exact_key


class _Watched:
    """One key that is watched, and where."""

    def __init__(self, space: Keyspace, reference: NamespaceReference, watch: Watch) -> None:
        self.space: Final = space
        self.reference: Final = reference
        self.watch: Final = watch


class WatchList:
    """What a client watches; all of one store."""

    def __init__(self) -> None:
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._edge: Edge | None = None

    def add(self, cache: Edge, keys: Iterable[str]) -> None:
        """Watches keys of a cache's namespace; those that are watched already from then on.

        Raises:
            InvalidKeyError: for a key that has no bytes.
        """
        names = [exact_key(key) for key in keys]
        self._edge = cache
        space = enter(cache)
        try:
            for name in names:
                place = (space.name, name)
                if place not in self._watched:
                    watch = space.watch(name)
                    self._watched[place] = _Watched(space, cache._reference, watch)
        finally:
            cache._leave()

    def end(self) -> bool:
        """Ends all watches.

        Returns:
            Whether any of the keys was touched.
        """
        edge = self._edge
        if edge is None:
            return False
        is_touched = False
        enter(edge)
        try:
            for one in self._watched.values():
                is_touched = is_touched or one.space.is_touched(one.watch)
                one.space.unwatch(one.watch)
        finally:
            edge._leave()
        self._watched = {}
        return is_touched
