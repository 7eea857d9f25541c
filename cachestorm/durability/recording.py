"""The recording: what each visit of the store has changed, for a journal to write down.

Told by the namespaces, with the latch held; `frames.py` makes bytes of it, `journal.py` writes
them. Nothing here calls the store.

1. What is recorded is the state that a change has led to, never the request: a value, an
   absolute deadline, the elements that have gone. A container records what its diary has noted,
   or all of itself if it has kept none so far; from then on it keeps one.
2. The records of one visit are one `Visit`. It is replayed whole or not at all: a transaction,
   and the two sides of RENAME, are not torn apart.
3. A record shares nothing that the store changes. So it is made into bytes later, without the
   latch, where the codecs and objects of a user may run. A visit that has put a short scalar
   and done nothing else, which is the commonest, is spelled as it ends, behind others of its
   moment: a `Run`. One that is put in a single step joins a run that there is.
4. A key that moves is recorded by its names, and its value is not. While somebody walks over
   the store it is, as the walk may have met neither of them.
5. A large container is recorded in parts by who walks over the store, in several visits: first
   that it is there, then its elements, as what is put into it. Whoever replays that has all of
   it already, from what came before, or none: so nothing is lost where the parts break off.
6. Keys that an invalidation or a flush takes along have no record of their own.
"""

from __future__ import annotations

from _thread import RLock
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from librt.strings import BytesWriter
from mypy_extensions import i64, u8

from cachestorm.codec import is_ascii
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
from cachestorm.keyspace.latch import STEPS_ARE_ATOMIC
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
PARTS: Final = 19

# What is longer is not spelled while the latch is held.
SHORT_BYTES: Final = 1 << 12
# What is longer is a run that nothing more joins.
RUN_BYTES: Final = 1 << 13


class Record:
    """One change.

    Attributes:
        what: which, IMAGE to PARTS.
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


# of a visit that has no others; nobody adds to it
_NO_RECORDS: Final[list[Record]] = []


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


class Run(Visit):
    """Visits of one moment, each of which has put a short scalar, spelled one after the other.

    Attributes:
        space: the namespace.
        out: their records. Bytes are nothing that the garbage collector would have to look at.
    """

    def __init__(self, at_ms: i64, space: str) -> None:
        super().__init__(at_ms, _NO_RECORDS)
        self.space: Final = space
        self.out: Final[BytesWriter] = BytesWriter()


class Recording(Recorder):
    """The records of the visit that is under way, and the visits that nobody has written yet.

    Attributes:
        walkers: how many snapshots walk over the store.
        swaps: how many exchanges of namespaces have come in their way, ever.
        visits: what is to be written, the oldest first. `append` adds to it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.walkers: i64 = 0
        self.swaps: i64 = 0
        self.visits: Final[deque[Visit]] = deque()
        # the last one among them, while more may join it
        self._run: Run | None = None
        # held while something joins it, or it is closed, where that takes more than one step
        self._joining: Final = RLock()
        self._records: list[Record] = []
        # the first record, while it is the only one and can be spelled at once
        self._has_plain: bool = False
        self._plain_space: str = ""
        self._plain_key: str = ""
        self._plain_value: object = None
        self._plain_deadline_ms: i64 = 0
        # what is to be called behind what this visit has changed
        self._calls: list[Callable[[bytes], object]] = []
        # of those, whether any is of what somebody has asked for
        self._owes: bool = False

    def end_visit(self, now_ms: i64) -> bool:
        self.is_dirty = False
        owes = self._owes
        self._owes = False
        if owes:
            self.is_owed = True
        records = self._records
        if self._has_plain:
            self._has_plain = False
            if STEPS_ARE_ATOMIC:
                self._join_or_begin(now_ms)
            else:
                with self._joining:
                    self._join_or_begin(now_ms)
        elif records:
            self._records = []
            self.append(Visit(now_ms, records))
        if self._calls:
            self._append_calls(now_ms)
        return owes

    def _join_or_begin(self, now_ms: i64) -> None:
        """Spells what was put behind others of its moment."""
        key, value, deadline_ms = self._plain_key, self._plain_value, self._plain_deadline_ms
        self._plain_value = None
        if _is_spelled_in_a_step(key, value):
            self.spell_plain(self._open_run(now_ms).out, key, value, deadline_ms)
            return
        out = BytesWriter()
        self.spell_plain(out, key, value, deadline_ms)
        self._open_run(now_ms).out.write(out.getvalue())

    def _open_run(self, now_ms: i64) -> Run:
        """A run that what was put can join, in the step in which it is asked for."""
        run = self._run
        if (
            run is None
            or run.at_ms != now_ms
            or run.space != self._plain_space
            or len(run.out) >= RUN_BYTES
        ):
            run = Run(now_ms, self._plain_space)
            self.append(run)
            self._run = run
        return run

    def append(self, visit: Visit) -> None:
        """Has a visit written behind all others. The caller holds the latch."""
        self._run = None
        self.visits.append(visit)

    def close_run(self, run: Run) -> None:
        """Has nothing more join a run, which is about to be written."""
        if STEPS_ARE_ATOMIC:
            if self._run is run:
                self._run = None
            return
        with self._joining:
            if self._run is run:
                self._run = None

    def _append_calls(self, now_ms: i64) -> None:
        calls = self._calls
        self._calls = []
        for call in calls:
            self.append(Aside(now_ms, [], call))

    def call_behind(self, call: Callable[[bytes], object]) -> None:
        """Has something called, with nothing, behind what this visit has changed so far.

        It comes before whatever the next visit changes, and is not written.
        """
        self._calls.append(call)
        self.is_dirty = True

    def set_aside(self, now_ms: i64, take: Callable[[bytes], object] | None) -> None:
        """Has what this visit has recorded so far given to one alone: see `Aside`."""
        self._unfold()
        self.append(Aside(now_ms, self._records, take))
        self._records = []
        if take is not None:
            self._owes = False

    def add(self, what: u8, space: str, key: str) -> Record:
        """Records a change. The caller says more about it in what it gets."""
        self._unfold()
        record = Record(what, space, key)
        self._records.append(record)
        self.is_dirty = True
        self._owes = True
        return record

    def spell_plain(
        self, out: BytesWriter, key: str, value: object, expires_at_ms: i64
    ) -> None:
        """Writes the record of a scalar that was put. It runs no code of a user's."""
        raise NotImplementedError

    def joins(self, space: str, key: str, value: object) -> bool:
        run = self._run
        return (
            run is not None
            and run.space == space
            and len(run.out) < RUN_BYTES
            and _is_short_scalar(value)
            and _is_spelled_in_a_step(key, value)
        )

    def join(self, key: str, value: object, expires_at_ms: i64) -> None:
        run = self._run
        assert run is not None
        self.spell_plain(run.out, key, value, expires_at_ms)
        self.is_owed = True

    def _unfold(self) -> None:
        """Has the first record be one like all others."""
        if self._has_plain:
            self._has_plain = False
            record = Record(IMAGE, self._plain_space, self._plain_key)
            record.value = self._plain_value
            record.number = self._plain_deadline_ms
            self._records.append(record)
            self._plain_value = None

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
            if not self._is_put_with(space, entry, idle):
                record = self.add(DEADLINE, space, entry.key)
                record.number = entry.expires_at_ms
                record.idle = idle
        elif kind == TAGS:
            record = self.add(TAGS_ARE, space, entry.key)
            record.value = _tags(entry)

    def put_plain(self, space: str, key: str, value: object, expires_at_ms: i64) -> None:
        if self._records or self._has_plain or not _is_short_scalar(value):
            record = self.add(IMAGE, space, key)
            record.value = value
            record.number = expires_at_ms
            return
        self._has_plain = True
        self._plain_space = space
        self._plain_key = key
        self._plain_value = value
        self._plain_deadline_ms = expires_at_ms
        self.is_dirty = True
        self._owes = True

    def _is_put_with(self, space: str, entry: Entry, idle: Idle | None) -> bool:
        """Whether the last record is that a key was put, with the deadline that it has."""
        self._unfold()
        if not self._records:
            return False
        last = self._records[-1]
        if (last.what != IMAGE and last.what != GIVEN) or last.key != entry.key:
            return False
        image, former = last.image, last.idle
        deadline = last.number if image is None else image.expires_at_ms
        if deadline != entry.expires_at_ms or last.space != space:
            return False
        if idle is None or former is None:
            return idle is former
        return idle.idle_ms == former.idle_ms and idle.ends_at_ms == former.ends_at_ms

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

    def begin_parts(
        self, space: str, entry: Entry, held: Container, place: i64, idle: Idle | None
    ) -> None:
        """Records all of an entry, but of its elements only the one at a place.

        The others are to come, by `part`. Where it is replayed and the key is there already, it
        does nothing.
        """
        some = held.twin()
        some.replay(held.records_of(place, place + 1))
        record = self.add(PARTS, space, entry.key)
        record.idle = idle
        record.kind = entry.kind
        record.image = snapshot_of(entry.kind, some, entry.expires_at_ms, _tags(entry))
        if held.diary is None:
            held.diary = []
        if isinstance(some, ListValue):
            record.number = some.generation
            record.second = some.first()

    def part(self, space: str, entry: Entry, held: Container, start: i64, stop: i64) -> None:
        """Records the elements at the places from `start` up to `stop`. O(stop - start)."""
        record = self.add(DELTA, space, entry.key)
        # on its way to a colder tier it is still the same
        record.kind = entry.kind & KIND_MASK
        record.value = held.records_of(start, stop)

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


def _is_short_scalar(value: object) -> bool:
    kind = type(value)
    if kind is bytes:
        return len(cast(bytes, value)) <= SHORT_BYTES
    if kind is str:
        return len(cast(str, value)) <= SHORT_BYTES
    return kind is int or kind is float


def _is_spelled_in_a_step(key: str, value: object) -> bool:
    """Whether nothing else can run meanwhile, nor find a part of the record.

    To spell anything else may raise within a codec, or make a tuple: the garbage collector may
    begin then, a finalizer run, and another thread write what there is.
    """
    return type(value) is bytes and is_ascii(key)


def _tags(entry: Entry) -> list[str]:
    return [] if entry.tags is None else tag_names_of(entry)
