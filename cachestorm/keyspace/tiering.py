"""Tiering: what stands in memory for a value that lies in a colder tier, and who fetches it.

The namespaces call `Tiering`, which `cachestorm/tiers/` implements; a store without tiers has
none. The entry of such a value stays where it is, with its deadline and its tags: its kind has
the bit DEMOTED, and in the dense array there is a `Demoted` in place of the value.

1. A value is known by its place, which is given once. So what is found at the place that an
   entry names is its value, whatever was renamed, swapped, flushed or overwritten meanwhile;
   and what no entry names any more is garbage, and nothing else.
2. What changes what an entry holds happens under the latch; a disk is read without it where a
   caller can, and written without it always.
3. The version of an entry does not change when its value moves: nobody sees a difference.
4. With a data directory the tiers outlive the process. Its files name values by a `Reference`,
   and what they name stays where it is until files that do not name it have taken their place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from mypy_extensions import i32, i64, mypyc_attr, u8

from cachestorm.entry import Entry

# A `Demoted`, and its places in the lines of its namespace and of its tier.
DEMOTED_BYTES: Final = 64
# A value must be larger by as much than what stands for it.
LEAST_GAIN: Final = 64
# How many hits by GET bring a value back into memory from an SSD; from beyond it one does.
PROMOTING_HITS: Final = 2

# where a value is
PENDING: Final = 0
WARM: Final = 1
COLD: Final = 2
TIER_BITS: Final = 2
TIER_MASK: Final = 3


@mypyc_attr(acyclic=True)
class Demoted:
    """What stands for a value.

    Attributes:
        entry: whose value it is; None once it is not any more.
        place: in which tier it is, and where in that: see `place_in`. One number, so that who
            reads it without the latch never sees half of a move; never given to another value.
        size_bytes: what the tier keeps for it; 0 while it is on its way there.
        hits: reads that have left it there.
    """

    def __init__(self, place: i64, entry: Entry) -> None:
        self.entry: Entry | None = entry
        self.place: i64 = place
        self.size_bytes: i32 = 0
        self.hits: u8 = 0


def place_in(tier: i64, place: i64) -> i64:
    """What `Demoted.place` is for a place of a tier."""
    return place << TIER_BITS | tier


def tier_of(place: i64) -> i64:
    """Which tier a `Demoted.place` is in."""
    return place & TIER_MASK


class Held:
    """A value that was fetched, as a keyspace holds it."""

    def __init__(self, kind: u8, value: object) -> None:
        self.kind: Final[u8] = kind
        self.value: Final = value


class Reference:
    """Where a value is, as the files of a data directory say it.

    Attributes:
        tier: WARM or COLD.
        place: as the engine counts.
        size_bytes: what the tier keeps for it.
        offset: where it begins in what the engine keeps it in.
    """

    def __init__(self, tier: i64, place: i64, size_bytes: i64, offset: i64) -> None:
        self.tier: Final[i64] = tier
        self.place: Final[i64] = place
        self.size_bytes: Final[i64] = size_bytes
        self.offset: Final[i64] = offset


@mypyc_attr(allow_interpreted_subclasses=True)
class Tiering:
    """Who takes values and fetches them.

    Attributes:
        is_due: whether `settle` has something to do.
        is_background: whether `settle` has another thread do it, as the caller serves others.
        is_full: whether what comes drives something out that is there.
        least_bytes: what a value is charged at, at least, that is worth it.
    """

    def __init__(self) -> None:
        self.is_due: bool = False
        self.is_background: bool = False
        self.is_full: bool = False
        self.least_bytes: i64 = DEMOTED_BYTES + LEAST_GAIN

    def takes(self, kind: u8, held: object) -> bool:
        """Whether a value may go to a tier. The caller holds the latch."""
        raise NotImplementedError

    def passes_over(self, is_wonder: bool) -> bool:
        """Whether a value is to be evicted rather than demoted, as the tiers are full.

        Then it is counted; else another one is going to be for it. The caller holds the latch.

        Args:
            is_wonder: whether nobody has asked for it but who wrote it.
        """
        raise NotImplementedError

    def take(self, entry: Entry, kind: u8, held: object, size: i64) -> Demoted:
        """Takes a value that `takes` is true of. The caller holds the latch."""
        raise NotImplementedError

    def read(self, demoted: Demoted) -> Held | None:
        """A value. With the latch or without it; what it gives is not to be changed in place.

        Returns:
            None if it cannot be read, or is not there: without the latch, maybe because it is
            nobody's any more.
        """
        raise NotImplementedError

    def withdraw(self, demoted: Demoted) -> Held | None:
        """As `read`, for an entry that gets its value back. The caller holds the latch."""
        raise NotImplementedError

    def returned(self, demoted: Demoted) -> None:
        """An entry gets a value back that was read. The caller holds the latch."""
        raise NotImplementedError

    def keeps(self, demoted: Demoted) -> bool:
        """Whether a value that could not be read may be there another time."""
        raise NotImplementedError

    def name_of(self, demoted: Demoted) -> str:
        """What the tier is called where a value is, or is going to be."""
        raise NotImplementedError

    def fetch(self, wanted: list[Demoted], done: Callable[[], object]) -> None:
        """Has values read by another thread, and kept until `forget`. Without the latch.

        Whoever asks for the same at a time may find that the other one has dropped it.

        Args:
            done: called when all are there, or cannot be read; from any thread.
        """
        raise NotImplementedError

    def read_ahead(self, wanted: list[Demoted]) -> None:
        """As `fetch`, in this thread."""
        raise NotImplementedError

    def has_read(self, demoted: Demoted) -> bool:
        """Whether `read` is going to give what was read ahead."""
        raise NotImplementedError

    def forget(self, wanted: list[Demoted]) -> None:
        """Drops what was fetched and nobody has asked for, and empties the list."""
        raise NotImplementedError

    def release(self, demoted: Demoted) -> None:
        """A value is nobody's any more. The caller holds the latch."""
        raise NotImplementedError

    def abandon(self, line: deque[Demoted]) -> None:
        """So are all of a namespace that have an entry. The caller holds the latch."""
        raise NotImplementedError

    def lost(self, demoted: Demoted) -> None:
        """The value of an entry could not be read: it is counted, and the entry goes."""
        raise NotImplementedError

    def settle(self) -> None:
        """Writes what has been taken, and deletes what was released. Without the latch."""
        raise NotImplementedError

    def forked(self) -> None:
        """In a child process."""
        raise NotImplementedError

    # -- what a data directory asks

    def be_kept(self, name: str) -> None:
        """Values are to outlive the process: those are found that it left under a name.

        Called before anything is in a tier. Until `end_load` nothing is deleted.

        Raises:
            DurabilityError: if they cannot be used.
        """
        raise NotImplementedError

    def adopt(self, entry: Entry, reference: Reference) -> Demoted | None:
        """Stands for a value that a file names. The caller holds the latch.

        Returns:
            None if it is lost, which is counted.

        Raises:
            KeyError: if there is no such tier.
        """
        raise NotImplementedError

    def end_load(self) -> None:
        """All files have been read; what none of them names may be deleted."""
        raise NotImplementedError

    def sync(self) -> None:
        """Has what was written be on the disk, so that it can be named. Without the latch."""
        raise NotImplementedError

    def begin_naming(self) -> None:
        """Files are begun that are to say all there is. The caller holds the latch."""
        raise NotImplementedError

    def end_naming(self, is_complete: bool) -> None:
        """They are complete and those before them are gone, or it was given up."""
        raise NotImplementedError

    def reference_of(self, demoted: Demoted) -> Reference | None:
        """By what a file is to name a value; None if that has to be in the file itself."""
        raise NotImplementedError

    def is_named(self, demoted: Demoted) -> bool:
        """Whether a file may name it already."""
        raise NotImplementedError

    def wants_naming(self) -> bool:
        """Whether much is only kept because files name it."""
        raise NotImplementedError
