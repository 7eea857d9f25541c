"""Replaying: does again, in a store, what frames say.

Called as a cache is made, before anybody else knows its store, and by a replica all the time.
Calls the keyspaces.

1. All of it is done in transactions, in which the time is that of the frame: what had expired
   then expires again, and what had not does not, however long ago it was. Between them nobody
   reaps anything, for whom it would be too late.
2. Limits are not looked at. Whoever loads sets them when all is there.
3. Hits are not recorded. So nothing is idle until all is there; the load is a hit of each key.
4. A record about a key that is not there does nothing: in the middle of a snapshot its image
   is still to come.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_le
from mypy_extensions import i64, u8

from cachestorm.durability.frames import (
    BODY_HEAD,
    Extras,
    read_notes,
    read_texts,
)
from cachestorm.durability.recording import (
    COMPLETE,
    DEADLINE,
    DELTA,
    FLUSHED,
    GIVEN,
    GONE,
    IMAGE,
    INVALIDATED,
    LINKED,
    PARTS,
    REFERS,
    SETTINGS,
    SOFTENED,
    SPACE_IS,
    SWAPPED,
    TAGS_ARE,
    TAKEN,
    UNLINKED,
    VALUE,
)
from cachestorm.entry import BUFFER, DEMOTED, KIND_MASK, STRING, Entry, kind_of
from cachestorm.errors import PayloadError
from cachestorm.events import Cause
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import DEFAULT, Store
from cachestorm.keyspace.tiering import Reference
from cachestorm.payload.reader import Reader
from cachestorm.payload.records import (
    read_held,
    read_plain_head,
    read_text,
    read_value,
)
from cachestorm.values.container import Container
from cachestorm.values.forms import Forms
from cachestorm.values.list import ListValue

_DELETED: Final = Cause.DELETED
_RENAMED: Final = Cause.RENAMED


class Replay:
    """What is known from one frame to the next.

    Attributes:
        completed: how many snapshots have ended among the frames.
        references: how many values were in colder tiers.
        unknown_tier: one that values are in, and the store has not; 0 for none.
    """

    def __init__(self, store: Store, forms: Forms | None, is_live: bool = False) -> None:
        self._store: Final = store
        # whether what is invalidated is left to be reaped, as others are served meanwhile
        self._is_live: Final = is_live
        # without any, what a codec has made is refused, and said to be that
        self._forms: Final = forms or Forms(None, False, None, None, False)
        self.completed: i64 = 0
        self.references: i64 = 0
        self.unknown_tier: i64 = 0
        self._space: Keyspace = store.space(DEFAULT)
        self._space.suspend_limits()
        # what a key that moves had: its kind and its value, or where that is
        self._has_moved: bool = False
        self._kind: u8 = 0
        self._moved: object = None
        self._reference: Reference | None = None

    def apply(self, body: bytes) -> None:
        """Does what a frame says.

        Raises:
            PayloadError: if it says what there is not; then a part is done.
        """
        self._store.go_to(read_i64_le(body, 8))
        reader = Reader(body, BODY_HEAD, len(body))
        reader.forms = self._forms
        while not reader.is_done():
            self._apply(reader.byte(), reader)

    def _apply(self, what: i64, reader: Reader) -> None:
        space = self._space
        if what == IMAGE:
            key = read_text(reader)
            if not self._put_plain(key, reader):
                self._put(key, Extras(reader), reader)
        elif what == VALUE:
            entry = space.peek(read_text(reader))
            held = read_held(reader)
            if entry is not None:
                space.forgo(entry)
                space.change(entry, held, "set")
        elif what == DELTA:
            entry = space.peek(read_text(reader))
            kind = reader.byte()
            notes = read_notes(reader, kind)
            if entry is not None:
                self._change(entry, kind, notes)
        elif what == GONE:
            # a stale one too, which is absent for all but a loader
            entry = space.entries.get(read_text(reader))
            if entry is not None:
                space.remove(entry, _DELETED)
        elif what == DEADLINE:
            entry = space.peek(read_text(reader))
            deadline = reader.count()
            idle = Extras(reader).idle()
            if entry is not None:
                space.set_expiry(entry, deadline)
                if idle is not None:
                    space.set_idle(entry.key, idle)
        elif what == SPACE_IS:
            self._space = self._store.space(read_text(reader))
            # what was evicted for a quota is recorded; to evict again would be a loss
            self._space.suspend_limits()
        elif what == TAGS_ARE:
            entry = space.peek(read_text(reader))
            tags = read_texts(reader)
            if entry is not None:
                space.keep_tags(entry, tags)
        elif what == TAKEN:
            self._take(space.peek(read_text(reader)))
        elif what == GIVEN:
            key = read_text(reader)
            self._give(key, Extras(reader), reader)
        elif what == REFERS:
            self._refer(read_text(reader), reader)
        elif what == COMPLETE:
            self.completed += 1
        elif what == PARTS:
            key = read_text(reader)
            self._put(key, Extras(reader), reader, space.peek(key) is not None)
        else:
            self._apply_to_tags(what, reader)

    def _apply_to_tags(self, what: i64, reader: Reader) -> None:
        """Does what a record says of a tag, or of a namespace."""
        space = self._space
        if what == INVALIDATED:
            job = space.doom([read_text(reader)])
            if not self._is_live:
                _reap(space, job.sequence)
        elif what == SOFTENED:
            space.soften({read_text(reader): ""})
        elif what == LINKED:
            parent = read_text(reader)
            space.link_tags(parent, read_text(reader))
        elif what == UNLINKED:
            parent = read_text(reader)
            space.unlink_tags(parent, read_text(reader))
        elif what == FLUSHED:
            space.flush()
        elif what == SWAPPED:
            other = self._store.space(read_text(reader))
            other.suspend_limits()
            _reap(space, self._store.sequence)
            _reap(other, self._store.sequence)
            space.swap(other)
        elif what == SETTINGS:
            ttl_ms = reader.count()
            space.configure(ttl_ms, reader.count())
        else:
            raise PayloadError()

    def _put_plain(self, key: str, reader: Reader) -> bool:
        """Puts a scalar or an object without tags. Returns whether it was one."""
        at = reader.at
        # mostly there are no extras
        if reader.byte() == 0:
            deadline = read_plain_head(reader)
            if deadline >= 0:
                held = read_held(reader)
                kind = kind_of(held)
                space = self._space
                now = self._store.now_ms()
                if not space.put_plain(key, held, kind, deadline, now, True):
                    space.put(key, held, kind, deadline, None, None, "restore")
                return True
        reader.at = at
        return False

    def _put(self, key: str, extras: Extras, reader: Reader, is_there: bool = False) -> None:
        """Puts an image; does nothing but to read it where the key is there."""
        loaded = read_value(reader)
        if is_there:
            return
        value = loaded.value
        if isinstance(value, ListValue) and extras.is_placed:
            value.place_at(extras.generation, extras.first)
        idle = extras.idle()
        self._space.put(
            key, value, loaded.kind, loaded.expires_at_ms, loaded.tags, idle, "restore"
        )

    def _change(self, entry: Entry, kind: i64, notes: list[object]) -> None:
        space = self._space
        if space.brought(entry) is None:
            return
        value = space.value(entry)
        if kind == BUFFER and not isinstance(value, Container):
            if not isinstance(value, bytes):
                raise PayloadError()
            value = space.buffered(entry, value, len(value))
        if not isinstance(value, Container) or entry.kind != kind:
            raise PayloadError()
        before = value.size_bytes
        value.replay(notes)
        space.changed(entry, value.size_bytes - before, "restore")

    def _take(self, entry: Entry | None) -> None:
        self._has_moved = False
        if entry is not None:
            space = self._space
            self._kind = entry.kind & KIND_MASK
            if entry.kind >= DEMOTED and not self._is_live:
                self._reference = space.reference_of(entry)
                space.forgo(entry)
            else:
                space.brought(entry)
            self._has_moved = entry.index >= 0
            if self._has_moved:
                self._moved = space.value(entry)
                space.remove(entry, _RENAMED)

    def _give(self, key: str, extras: Extras, reader: Reader) -> None:
        image = read_value(reader)
        moved, reference = self._moved, self._reference
        self._moved = self._reference = None
        if self._has_moved:
            self._has_moved = False
            idle = extras.idle()
            kind = STRING if reference is not None else self._kind
            entry = self._space.put(
                key, moved, kind, image.expires_at_ms, image.tags, idle, "restore"
            )
            if reference is not None:
                self._point(entry, self._kind, reference)

    def _refer(self, key: str, reader: Reader) -> None:
        kind = u8(reader.byte())
        tier = reader.byte()
        place = reader.count()
        size = reader.count()
        reference = Reference(tier, place, size, reader.count())
        extras = Extras(reader)
        image = read_value(reader)
        idle = extras.idle()
        entry = self._space.put(
            key, b"", STRING, image.expires_at_ms, image.tags, idle, "restore"
        )
        self.references += 1
        self._point(entry, kind, reference)

    def _point(self, entry: Entry, kind: u8, reference: Reference) -> None:
        if entry.index < 0:
            # it has expired meanwhile
            return
        try:
            self._space.refer(entry, kind, reference)
        except KeyError:
            # who only looks at files has no tiers, and needs no value
            self.unknown_tier = reference.tier


def _reap(space: Keyspace, sequence: i64) -> None:
    while not space.reap_doomed(sequence):
        pass


def settle(store: Store, now_ms: i64) -> None:
    """Has the idle times of all that was loaded begin. O(their number)."""
    for space in store.spaces():
        for key, idle in space.expiry.idle.items():
            idle.hit_at_ms = now_ms
            space.expiry.move(space.entries[key], idle.deadline_ms())


def arm(store: Store) -> None:
    """Has every container keep a diary from now on. O(N)."""
    for space in store.spaces():
        for held in space.values:
            if isinstance(held, Container):
                held.diary = []
