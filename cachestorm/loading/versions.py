"""Versions: for a program that loads by itself, what the engine does for its own flights.

`Cache.version` makes one; `Cache.set` has it judged, in the visit in which it writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from cachestorm.errors import ArgumentError, ReentrancyError
from cachestorm.keyspace.version import CURRENT, OUTDATED, UNKNOWN, Version
from cachestorm.loading.engine import loading_of
from cachestorm.loading.flight import GATE
from cachestorm.loading.records import Records
from cachestorm.operations.names import checked_tags

if TYPE_CHECKING:
    from cachestorm.cache import Cache
    from cachestorm.keyspace.keyspace import Keyspace
    from cachestorm.keyspace.store import Store


class LoggedVersion(Version):
    """A version that asks the log of the flights."""

    def __init__(self, records: Records, store: Store, name: str, tags: list[str]) -> None:
        self._records: Final = records
        self._store: Final = store
        self._name: Final = name
        self._tags: Final = tags
        with GATE:
            self._started: Final = records.log.hold()

    def judge(self, space: Keyspace, key: str, tags: list[str]) -> str:
        if space.shared is not self._store or space.name != self._name:
            raise ArgumentError(
                f"if_unchanged is of another cache or namespace ({self._name!r}): "
                f"take it by version() of the one that sets"
            )
        verdict = UNKNOWN

        def judge() -> None:
            nonlocal verdict
            log = self._records.log
            log.catch_up()
            changed = log.has_changed(key, [*self._tags, *tags], self._started)
            verdict = OUTDATED if changed else CURRENT

        self._records.gated(judge)
        return verdict

    def __reduce_ex__(self, protocol: object) -> str:
        raise TypeError("a version belongs to its cache, and is neither copied nor pickled")

    def __repr__(self) -> str:
        return f"<version {self._started} of namespace {self._name!r}>"

    def __del__(self) -> None:
        if not hasattr(self, "_started"):
            return
        try:
            self._records.release()
        except ReentrancyError:
            # collected inside of a visit: whoever uses the log next has it rest
            pass


def version_of(cache: Cache, tags: Iterable[str]) -> Version:
    """The present version of what a cache is a view of."""
    names = checked_tags(tags)
    loading = loading_of(cache)
    loading.listen()
    return LoggedVersion(loading, cache._store, cache.name, names)
