"""The watches: keys of a namespace that somebody wants to know untouched.

Made by `Keyspace.watch`, on behalf of a client's WATCH; the keyspace tells them of removals,
flushes and swaps. Everything here happens under the latch.

1. A write costs nothing: it raises the version of its entry, and a watch is compared with that
   when somebody asks.
2. What versions cannot say is noted as it happens: a key that came and went again, or was
   exchanged with another namespace and back.
3. What a client would not see touches nothing: the removal of an entry that was dead when the
   watch began, a flush of a key that is not there.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.entry import Entry


class Watch:
    """One key that is watched.

    Attributes:
        key: which.
        since: the store's sequence number when the watch began.
        was_there: whether the key was.
        is_touched: something has happened that versions cannot say.
    """

    def __init__(self, key: str, since: i64, was_there: bool) -> None:
        self.key: Final = key
        self.since: Final = since
        self.was_there: Final = was_there
        self.is_touched: bool = False


class Watches:
    """The watches of one namespace."""

    def __init__(self) -> None:
        self.by_key: Final[dict[str, list[Watch]]] = {}

    def add(self, watch: Watch) -> None:
        """Adds a watch."""
        self.by_key.setdefault(watch.key, []).append(watch)

    def discard(self, watch: Watch) -> None:
        """Takes a watch away; nothing if it is not there."""
        found = self.by_key.get(watch.key)
        if found is not None and watch in found:
            found.remove(watch)
            if not found:
                del self.by_key[watch.key]

    def removed(self, key: str, entry: Entry) -> None:
        """Notes that an entry leaves."""
        for watch in self.by_key.get(key, []):
            if watch.was_there or entry.version > watch.since:
                watch.is_touched = True

    def touch(self, key: str) -> None:
        """Notes that what a client sees of a key has changed."""
        for watch in self.by_key.get(key, []):
            watch.is_touched = True
