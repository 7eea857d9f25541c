"""Entry snapshots: an entry on its way into bytes, and on its way out of them.

Taken by a command under the latch, in one copy of lists; written and read without it.

1. An `EntrySnapshot` shares nothing that the store changes, so it can be written later.
2. A `Loaded` has passed every test that does not depend on the time: its container is not
   empty, no name is in it twice, no score is NaN.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, u8

from cachestorm.entry import HASH, LIST, OBJECT, SET, STRING, ZSET
from cachestorm.errors import PayloadError
from cachestorm.values.buffer import Buffer
from cachestorm.values.container import Container
from cachestorm.values.hash import Hash
from cachestorm.values.list import ListValue
from cachestorm.values.ranking import Row
from cachestorm.values.set import SetValue
from cachestorm.values.sorted_set import SortedSet, spelling
from cachestorm.values.weights import unbox


class EntrySnapshot:
    """What an entry was at one moment, but for its key.

    Attributes:
        kind: as of the entry.
        names: the fields of a hash, or the members of a set.
        values: the values of a hash in the order of `names`, the elements of a list, or
            the one scalar or object.
        rows: the rows of a sorted set.
        deadlines: of the fields of a hash that have one.
        expires_at_ms: 0 for never.
        tags: in the order of tagging.
    """

    def __init__(
        self,
        kind: u8,
        names: list[str],
        values: list[object],
        rows: list[Row],
        deadlines: dict[str, int] | None,
        expires_at_ms: i64,
        tags: list[str],
    ) -> None:
        self.kind: Final[u8] = kind
        self.names: Final = names
        self.values: Final = values
        self.rows: Final = rows
        self.deadlines: Final = deadlines
        self.expires_at_ms: Final[i64] = expires_at_ms
        self.tags: Final = tags


def snapshot_of(kind: u8, value: object, expires_at_ms: i64, tags: list[str]) -> EntrySnapshot:
    """The snapshot of what a keyspace stores. O(n), a copy of lists.

    Args:
        value: a scalar, a `Boxed` or a container.
        tags: a list that the snapshot may keep.
    """
    names: list[str] = []
    values: list[object] = []
    rows: list[Row] = []
    deadlines: dict[str, int] | None = None
    if isinstance(value, Hash):
        names = value.fields()
        values = value.values()
        deadlines = value.deadlines()
    elif isinstance(value, ListValue):
        values = value.slice(0, len(value))
    elif isinstance(value, SetValue):
        names = value.in_order()
    elif isinstance(value, SortedSet):
        rows = value.rows()
    elif isinstance(value, Buffer):
        # a string all the same; how it is kept is nobody else's business
        kind = STRING
        values.append(value.whole())
    else:
        values.append(unbox(value))
    return EntrySnapshot(kind, names, values, rows, deadlines, expires_at_ms, tags)


class Loaded:
    """What was read of an entry, in the form that a keyspace puts.

    Attributes:
        kind, value, expires_at_ms: as `Keyspace.put` takes them.
        tags: as they were written: names that nobody has checked.
    """

    def __init__(self, kind: u8, value: object) -> None:
        self.kind: u8 = kind
        self.value: object = value
        self.expires_at_ms: i64 = 0
        self.tags: list[str] | None = None

    def drop_due_fields(self, now_ms: i64) -> None:
        """Lets go of the fields of a hash that are due; maybe none is left."""
        value = self.value
        if isinstance(value, Hash):
            value.purge(now_ms)
            # it was made of bytes: nothing of a user's runs when it is let go
            value.leaving = None

    def is_empty(self) -> bool:
        """Whether it is a container with nothing in it."""
        value = self.value
        return isinstance(value, Container) and len(value) == 0


def add_field(fields: Hash, field: str, held: object) -> None:
    """Adds a field to a hash that is being read.

    Raises:
        PayloadError: if it is there already.
    """
    if not fields.change(field, held):
        raise PayloadError()


def add_member(members: SetValue, member: str) -> None:
    """Adds a member to a set that is being read.

    Raises:
        PayloadError: if it is there already.
    """
    if not members.add(member):
        raise PayloadError()


def row_of(member: str, score: float) -> Row:
    """The row of a member that was read.

    Raises:
        PayloadError: if the score is NaN.
    """
    if score != score:
        raise PayloadError()
    return score + 0.0, spelling(member)  # minus zero becomes zero


def sorted_set_of(rows: list[Row]) -> SortedSet:
    """The sorted set of rows that were read.

    Raises:
        PayloadError: if a member is in there twice.
    """
    scores = SortedSet()
    if not scores.fill(rows):
        raise PayloadError()
    return scores


def loaded(container: Container) -> Loaded:
    """A container that was read to its end.

    Raises:
        PayloadError: if it is empty.
    """
    if len(container) == 0:
        raise PayloadError()
    kind: u8 = OBJECT
    if isinstance(container, Hash):
        kind = HASH
    elif isinstance(container, ListValue):
        kind = LIST
    elif isinstance(container, SetValue):
        kind = SET
    elif isinstance(container, SortedSet):
        kind = ZSET
    return Loaded(kind, container)
