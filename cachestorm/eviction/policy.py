"""The eviction policy: what keeps an order over the entries of a keyspace.

One object a keyspace. The keyspace tells it what enters, moves and leaves; the store
asks it for a victim while it holds the lock. It never removes anything itself.

1. A hit costs one field write, done by the keyspace and not by a call: `entry.access` becomes
   the upper bits of the count of accesses (`access_shift` zero or more: recency), or is counted
   from `first_access` up to `access_cap` (`access_shift` -1: frequency). Only a policy that has
   given an entry an access above its cap is told of each hit of that entry.
2. An overwrite of a live key is a hit. `peek` and its callers are not.
3. A policy with `hears` False is told of nothing but `resized`, so that it costs nothing;
   one with `hears_deadlines` False nothing of deadlines.
4. `victim` is bounded: it looks at a fixed number of entries.
5. An entry whose value is in a colder tier is among the keyspace's entries, and no victim. What
   is said of capacity and of weights is said of the others.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, trait

from cachestorm.entry import Entry

# Stamps of recency are 15 bits wide, so that they fit into `Entry.access`.
STAMP_MASK: Final = 0x7FFF
NEVER_SHIFT: Final = 62


@trait
class Scales:
    """Who can say what an entry weighs and how much was asked for: the keyspace."""

    def weight_at(self, index: i64) -> i64:
        """Bytes that the entry at a place of the dense array takes; 1 if only entries count."""
        raise NotImplementedError

    def absent_count(self) -> i64:
        """How many entries have their values elsewhere: none of them is a victim."""
        raise NotImplementedError

    def access_count(self) -> i64:
        """Hits and admissions so far."""
        raise NotImplementedError

    def mean_weight(self) -> i64:
        """What an entry takes on the average; 1 if only entries count."""
        raise NotImplementedError


class Policy:
    """The interface, and the policy that gives no victim: `noeviction`."""

    def __init__(self) -> None:
        self.hears: bool = False
        self.hears_deadlines: bool = False
        self.access_shift: i64 = NEVER_SHIFT
        self.access_cap: i64 = 0
        self.first_access: i64 = 0
        # what the keyspace is to be asked for weights by
        self.scales: Scales | None = None

    def weighed_by(self, scales: Scales) -> None:
        """A keyspace takes the policy over, with all its entries."""
        self.scales = scales

    def admitted(self, entry: Entry) -> None:
        """A new entry stands at the end of the dense array, or where one was that left."""

    def hit(self, entry: Entry) -> None:
        """An entry whose access is above the cap was used."""

    def moved(self, entry: Entry, former_index: i64) -> None:
        """The last entry of the dense array took the place of one that left."""

    def removed(self, entry: Entry, evicted: bool) -> None:
        """An entry is about to leave; its index still holds."""

    def demoted(self, entry: Entry) -> None:
        """The value of an entry is about to leave memory: it stays, and is no victim now."""

    def promoted(self, entry: Entry) -> None:
        """The value of an entry that was `demoted` is back, as that of a newcomer."""

    def replaced(self, entry: Entry, copy: Entry) -> None:
        """A copy of an entry took its place, with its index and its access."""

    def dated(self, entry: Entry) -> None:
        """An entry got its first deadline, or lost its last."""

    def resized(self, dense: list[Entry], capacity: i64) -> None:
        """The number of entries doubled or halved, or the keyspace became half full.

        Args:
            dense: the keyspace's entries.
            capacity: about how many will fill it, by what they weigh so far; 0 without
                a limit.
        """

    def cleared(self, dense: list[Entry]) -> None:
        """All entries left at once.

        Args:
            dense: the new array of the keyspace.
        """

    def dismissed(self, dense: list[Entry]) -> None:
        """Another policy takes its place: every access is to be what it says, without it."""

    def victim(
        self, dense: list[Entry], accesses: i64, now_ms: i64, kept: Entry | None
    ) -> Entry | None:
        """The entry to evict next, or None where the policy gives none.

        Args:
            dense: the keyspace's entries; not empty.
            accesses: the keyspace's count of hits and admissions.
            now_ms: an entry that is expired by then is the best of victims.
            kept: an entry that is not a victim: the write is about it.
        """
        return None

    def is_settled(self, size: i64) -> bool:
        """Whether `victim` makes nothing now that the garbage collector would track.

        Args:
            size: the number of entries.
        """
        return True

    def frequency(self, entry: Entry) -> i64:
        """What OBJECT FREQ tells of an entry, or -1 where frequency is not what counts."""
        return -1

    def is_wonder(self, entry: Entry) -> bool:
        """Whether nobody has asked for an entry but who wrote it, as far as is known."""
        return False

    def hit_ratios(self) -> dict[float, float]:
        """About the hit ratio, lately, at parts and multiples of the present capacity.

        Returns:
            From 0 to 1 by factor, ascending; empty where it is not known.
        """
        return {}

    def _check(self, dense: list[Entry]) -> None:
        """Asserts all invariants. O(everything)."""
