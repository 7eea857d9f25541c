"""The eviction policy: what keeps an order over the entries of a keyspace.

One object a keyspace. The keyspace tells it what enters, moves and leaves; the store
asks it for a victim while it holds the lock. It never removes anything itself.

1. A hit costs one field write, done by the keyspace and not by a call: `entry.heat`
   becomes the upper bits of the count of accesses (`heat_shift` zero or more: recency),
   or is counted up to `heat_cap` (`heat_shift` -1: frequency).
2. A policy with `hears` False is told of nothing but `resized`, so that it costs nothing.
3. `victim` is bounded: it looks at a fixed number of entries.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from cachestorm.entry import Entry

# Stamps of recency are 15 bits wide, so that they fit into `Entry.heat`.
STAMP_MASK: Final = 0x7FFF
NEVER_SHIFT: Final = 62


@mypyc_attr(allow_interpreted_subclasses=True)
class Policy:
    """The interface, and the policy that gives no victim: `noeviction`."""

    def __init__(self) -> None:
        self.hears: bool = False
        self.heat_shift: i64 = NEVER_SHIFT
        self.heat_cap: i64 = 0

    def admitted(self, entry: Entry) -> None:
        """A new entry stands at the end of the dense array."""

    def moved(self, entry: Entry, former_index: i64) -> None:
        """An entry took another place in the dense array."""

    def removed(self, entry: Entry, evicted: bool) -> None:
        """An entry is about to leave; its index still holds."""

    def replaced(self, entry: Entry, copy: Entry) -> None:
        """A copy of an entry took its place, with its index and its heat."""

    def resized(self, dense: list[Entry]) -> None:
        """The number of entries doubled or halved since the last call."""

    def cleared(self) -> None:
        """All entries left at once."""

    def victim(self, dense: list[Entry], accesses: i64, now_ms: i64) -> Entry | None:
        """The entry to evict next, or None where the policy gives none.

        Args:
            dense: the keyspace's entries; not empty.
            accesses: the keyspace's count of hits and admissions.
            now_ms: an entry that is expired by then is the best of victims.
        """
        return None
