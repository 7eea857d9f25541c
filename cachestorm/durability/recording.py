"""The recording: what each visit of the store has changed, for a journal to write down.

Told by the namespaces, with the latch held; `frames.py` makes bytes of it, `journal.py` writes
them. Nothing here calls the store.

1. What is recorded is the state that a change has led to, never the request: a value, an
   absolute deadline, the elements that have gone. A container records what its diary has noted,
   or all of itself if it has kept none so far; from then on it keeps one.
2. The records of one visit are one `Visit`. It is replayed whole or not at all: a transaction,
   and the two sides of RENAME, are not torn apart.
3. A record shares nothing that the store changes. So it is made into bytes later, without the
   latch, where the codecs and objects of a user may run.
4. A key that moves is recorded by its names, and its value is not. While somebody walks over
   the store it is, as the walk may have met neither of them.
5. Keys that an invalidation or a flush takes along have no record of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from mypy_extensions import i64, u8

from cachestorm.entry import BUFFER, KIND_MASK, OBJECT, Entry
from cachestorm.events import (
    CHANGED,
    EVICTED,
    EXPIRED,
    EXPIRY,
    PUT,
    RENAMED,
    SPACE,
    TAG_EVENTS,
    TAGS,
)
from cachestorm.keyspace.expiry import Idle
from cachestorm.keyspace.recorder import GONE as LEAVES
from cachestorm.keyspace.recorder import Recorder
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.keyspace.tiering import Reference
from cachestorm.payload.entry_snapshot import EntrySnapshot, snapshot_of
from cachestorm.values.container import Container
from cachestorm.values.list import ListValue

# What a record says: numbers of the format, for ever.
SPACE_IS: Final = 1
IMAGE: Final = 2
VALUE: Final = 3
DELTA: Final = 4
DEADLINE: Final = 5
TAGS_ARE: Final = 6
GONE: Final = 7
TAKEN: Final = 8
GIVEN: Final = 9
INVALIDATED: Final = 10
SOFTENED: Final = 11
LINKED: Final = 12
UNLINKED: Final = 13
FLUSHED: Final = 14
SWAPPED: Final = 15
SETTINGS: Final = 16
COMPLETE: Final = 17
REFERS: Final = 18


class Record:
    """One change.

    Attributes:
        what: which, IMAGE to REFERS.
        space: the namespace.
        key: the key or the tag; of a swap the other namespace.
        other: the child of a link.
        kind: of the entry in an image, of the container whose delta it is.
        image: an entry as it is now; None for a scalar or an object without tags, which has
            `value` and `number`.
        value: a scalar or an object; of a delta the records of the diary; of a value in a
            colder tier its `Reference`.
        idle: what the entry has for an idle time.
        number: a deadline, a default time to live, the generation of a list.
        second: a quota, the position of the first element of a list.
    """

    def __init__(self, what: u8, space: str, key: str) -> None:
        self.what: Final[u8] = what
        self.space: Final = space
        self.key: Final = key
        self.other: str = ""
        self.kind: u8 = 0
        self.image: EntrySnapshot | None = None
        self.value: object = None
        self.idle: Idle | None = None
        self.number: i64 = 0
        self.second: i64 = 0


class Visit:
    """All that one visit has changed, and when it was."""

    def __init__(self, at_ms: i64, records: list[Record]) -> None:
        self.at_ms: Final[i64] = at_ms
        self.records: Final = records


class Aside(Visit):
    """What is not for all who get the visits.

    Attributes:
        take: is called with the frame, in its turn, or with nothing where there are no records;
            None: it is for the file alone.
    """

    def __init__(
        self, at_ms: i64, records: list[Record], take: Callable[[bytes], object] | None
    ) -> None:
        super().__init__(at_ms, records)
        self.take: Final = take


class Recording(Recorder):
    """The records of the visit that is under way, and the visits that nobody has written yet.

    Attributes:
        walkers: how many snapshots walk over the store.
        swaps: how many exchanges of namespaces have come in their way, ever.
        visits: what is to be written, the oldest first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.walkers: i64 = 0
        self.swaps: i64 = 0
        self.visits: Final[deque[Visit]] = deque()
        self._records: list[Record] = []
        # of those, whether any is of what somebody has asked for
        self._owes: bool = False

    def end_visit(self, now_ms: i64) -> bool:
        self.is_dirty = False
        owes = self._owes
        self._owes = False
        if owes:
            self.is_owed = True
        records = self._records
        if records:
            self._records = []
            self.visits.append(Visit(now_ms, records))
        return owes

    def set_aside(self, now_ms: i64, take: Callable[[bytes], object] | None) -> None:
        """Has what this visit has recorded so far given to one alone: see `Aside`."""
        self.visits.append(Aside(now_ms, self._records, take))
        self._records = []
        if take is not None:
            self._owes = False

    def add(self, what: u8, space: str, key: str) -> Record:
        """Records a change. The caller says more about it in what it gets."""
        record = Record(what, space, key)
        self._records.append(record)
        self.is_dirty = True
        self._owes = True
        return record

    # -- what has happened

    def told(
        self,
        space: str,
        kind: i64,
        event: str,
        entry: Entry,
        held: object,
        delta: object,
        idle: Idle | None,
    ) -> None:
        if kind == PUT:
            is_moved = event == "rename_to" or event == "move_to"
            if is_moved and self.walkers == 0:
                record = self.add(GIVEN, space, entry.key)
                record.image = snapshot_of(OBJECT, None, entry.expires_at_ms, _tags(entry))
                record.idle = idle
            else:
                self.image(space, entry, held, idle)
        elif kind == CHANGED:
            self._changed(space, entry, held, delta, idle)
        elif kind == EXPIRY:
            if self._records:
                last = self._records[-1]
                if (last.what == IMAGE or last.what == GIVEN) and last.key == entry.key:
                    # it was put with this deadline
                    return
            record = self.add(DEADLINE, space, entry.key)
            record.number = entry.expires_at_ms
            record.idle = idle
        elif kind == TAGS:
            record = self.add(TAGS_ARE, space, entry.key)
            record.value = _tags(entry)

    def _changed(
        self, space: str, entry: Entry, held: object, delta: object, idle: Idle | None
    ) -> None:
        if not isinstance(held, Container):
            self.add(VALUE, space, entry.key).value = held
        elif held.diary is not None:
            if delta is not None:
                record = self.add(DELTA, space, entry.key)
                record.kind = entry.kind
                record.value = delta
        elif len(held) != 0 or entry.kind == BUFFER:
            # who has emptied it tells that it has gone
            self.image(space, entry, held, idle)

    def image(self, space: str, entry: Entry, held: object, idle: Idle | None) -> None:
        """Records all of an entry. O(n), a copy of lists."""
        record = self.add(IMAGE, space, entry.key)
        # from a colder tier it is recorded as if it were in memory
        kind = entry.kind & KIND_MASK
        record.idle = idle
        record.kind = kind
        if kind <= OBJECT and entry.tags is None:
            record.value = held
            record.number = entry.expires_at_ms
            return
        record.image = snapshot_of(kind, held, entry.expires_at_ms, _tags(entry))
        if isinstance(held, Container):
            if held.diary is None:
                held.diary = []
            if isinstance(held, ListValue):
                record.number = held.generation
                record.second = held.first()

    def refer(self, space: str, entry: Entry, reference: Reference, idle: Idle | None) -> None:
        """Records all of an entry but its value, which is in a colder tier, and where."""
        record = self.add(REFERS, space, entry.key)
        record.idle = idle
        record.kind = entry.kind & KIND_MASK
        record.image = snapshot_of(OBJECT, None, entry.expires_at_ms, _tags(entry))
        record.value = reference

    def removed(self, space: str, kind: i64, key: str) -> None:
        if kind & LEAVES != 0 or (kind == RENAMED and self.walkers != 0):
            owes = self._owes
            self.add(GONE, space, key)
            if kind & (EXPIRED | EVICTED) != 0:
                self._owes = owes
        elif kind == RENAMED:
            self.add(TAKEN, space, key)

    def emitted(self, space: str, kind: i64, event: str, key: str) -> None:
        if kind == TAG_EVENTS:
            self.add(INVALIDATED if event == "invalidated" else SOFTENED, space, key)
        elif kind == SPACE:
            if event == "flushed":
                self.add(FLUSHED, space, "")
            else:
                self.add(SWAPPED, space, key)
                self.swaps += 1

    def linked(self, space: str, event: str, parent: str, child: str) -> None:
        self.add(LINKED if event == "linked" else UNLINKED, space, parent).other = child

    def configured(self, space: str, default_ttl_ms: i64, max_bytes: i64) -> None:
        record = self.add(SETTINGS, space, "")
        record.number = default_ttl_ms
        record.second = max_bytes


def _tags(entry: Entry) -> list[str]:
    return [] if entry.tags is None else tag_names_of(entry)
