"""The writes: one way in, and what changes a live entry in place.

Called by commands, which hold the latch.

1. `put` is the only way in; what it does in one step for a plain value, `put_plain` does.
   They know dict, dense arrays, expiry, tags, accounts, policy and effects.
2. Room is made before anything has changed: a write that is refused has done nothing.
3. Every write raises the version of its entry, and is told if somebody listens.
4. The tags of an entry only grow. With fewer of them a copy takes its place, and what it was
   is a shell in their lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mypy_extensions import i64, u8

from cachestorm.codec import checked_text, is_ascii
from cachestorm.entry import BUFFER, DEMOTED, HASH, STRING, Entry, kind_of
from cachestorm.errors import OutOfMemoryError
from cachestorm.events import EXPIRY, NEW, PUT, REPLACED, Cause
from cachestorm.keyspace.budget import NOWHERE
from cachestorm.keyspace.expiry import Idle
from cachestorm.keyspace.holdings import ENTRY_BYTES, IDLE_BYTES, KEY_DEADLINE_BYTES, size_of
from cachestorm.keyspace.plain_writes import PlainWrites
from cachestorm.keyspace.removals import FIELD_ROUNDS
from cachestorm.keyspace.tag_index import LINK_BYTES
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.keyspace.tiering import Demoted
from cachestorm.keyspace.waiting import Waiting
from cachestorm.values.buffer import Buffer
from cachestorm.values.weights import unbox, weigh

_EXPIRED: Final = Cause.EXPIRED
_INVALIDATED: Final = Cause.INVALIDATED
_RENAMED: Final = Cause.RENAMED
_REPLACED: Final = Cause.REPLACED


class Writes(PlainWrites):
    """Holdings that entries are put into and changed in."""

    def put(
        self,
        key: str,
        value: object,
        kind: u8,
        expires_at_ms: i64 = 0,
        tags: list[str] | None = None,
        idle: Idle | None = None,
        event: str = "set",
        deadline_event: str = "expire",
    ) -> Entry:
        """Creates a key or replaces all of it: value, deadline and tags.

        Args:
            key: any `str`; it is checked when it is new.
            value: a scalar, a `Boxed` or a container, as `kind` says.
            expires_at_ms: 0 for never; where that has come, the key is gone at once.
            tags: checked tags without duplicates.
            idle: its own, if it has an idle time; `expires_at_ms` is its deadline then.
            event: what the write is called, a name of `events.CLASSES`.
            deadline_event: what it is called that it has a deadline; "" if that is not new.

        Raises:
            InvalidKeyError: for a key that has no bytes.
            OutOfMemoryError: if there is no room and no victim; nothing has changed.
        """
        size = size_of(kind, value)
        extra: i64 = 0
        if expires_at_ms != 0:
            extra += KEY_DEADLINE_BYTES
        if idle is not None:
            extra += IDLE_BYTES
        entry = self.peek(key)
        if entry is None:
            is_wide = not is_ascii(key)
            if is_wide:
                key = checked_text(key)
            charge = size + ENTRY_BYTES + weigh(key)
            if self._is_bounded():
                self._make_room_with(tags, charge + extra, 1, None)
            stale = self.entries.get(key)
            if stale is not None:
                self.remove(stale, _INVALIDATED)
            if is_wide:
                self.wide_keys += 1
            entry = self._admit(key, value, kind, charge, NOWHERE)
            if self.interest & NEW:
                self.emit(NEW, "new", key)
        else:
            index: int = entry.index
            delta = size - size_of(entry.kind, self.values[index])
            if self._is_bounded():
                self._make_room_with(tags, delta + extra, 0, entry)
                index = entry.index
            former = self.values[index]
            self.shared.sequence += 1
            if self.interest & REPLACED and unbox(former) is not unbox(value):
                self.tell_removal(REPLACED, "overwritten", key, _REPLACED, former)
            self.shared.drop_later(former)
            former_kind = entry.kind
            self.values[index] = value
            entry.kind = kind
            if former_kind >= DEMOTED:
                self._unname(entry, former)
                self._returned(entry)
            if delta != 0:
                self.charge(delta)
            if entry.tags is not None:
                if tags is not None and tag_names_of(entry) == tags:
                    tags = None
                else:
                    entry = self._renew(entry)
            self._count_access(entry)
            entry.version = self.shared.sequence
            self.set_idle(key, None)
        if expires_at_ms != entry.expires_at_ms:
            self._file(entry, expires_at_ms)
        if idle is not None:
            self.set_idle(key, idle)
        if kind == HASH and self._volatile_fields(entry) is not None:
            self._field_rounds = FIELD_ROUNDS
        if tags:
            self.charge(self.tags.link(entry, tags))
        if self.interest & PUT:
            self.tell(PUT, event, entry, value)
        if expires_at_ms != 0 and self.interest & EXPIRY and deadline_event != "":
            self.tell(EXPIRY, deadline_event, entry, value)
        if self.waiting is not None:
            self._ready(self.waiting, kind, key)
        if expires_at_ms != 0 and expires_at_ms <= self.shared.now_ms():
            self.remove(entry, _EXPIRED)
        return entry

    def _ready(self, waiting: Waiting, kind: u8, key: str) -> None:
        """Has those served who wait for such a value at a key, as the latch is given back."""
        line = waiting.lines.get((kind, key))
        if line is not None:
            self.shared.ready.append(line)

    def put_all(
        self,
        keys: list[str],
        values: list[object],
        expires_at_ms: i64,
        tags: list[str] | None = None,
    ) -> None:
        """Puts many keys one after the other, all or none.

        Args:
            keys: checked, as `exact_key` gives them.
            values: scalars and `Boxed` values, in the order of their keys.
            tags: of each of them.

        Raises:
            OutOfMemoryError: if there is no room and no victim for all of them.
        """
        if not tags and self._fit_surely(keys, values):
            now: i64 = 0 if expires_at_ms == 0 else self.shared.now_ms()
            for at, key in enumerate(keys):
                value = values[at]
                kind = kind_of(value)
                if not self.put_plain(key, value, kind, expires_at_ms, now, True):
                    self.put(key, value, kind, expires_at_ms)
            return
        need, new_entries = self._needed(keys, values, expires_at_ms, tags)
        while self._is_bounded():
            sequence = self.shared.sequence
            self._make_room(need, new_entries)
            if self.shared.sequence == sequence:
                break
            # one that was evicted may be among those that are to be written
            need, new_entries = self._needed(keys, values, expires_at_ms, tags)
        self._has_room = True
        try:
            for at, key in enumerate(keys):
                value = values[at]
                self.put(key, value, kind_of(value), expires_at_ms, tags)
        finally:
            self._has_room = False

    def move(self, entry: Entry, target: Writes) -> None:
        """Moves all of a live entry to another namespace, in which its key is free.

        Raises:
            OutOfMemoryError: if there is no room and no victim; it has stayed.
        """
        key = entry.key
        value = self.value(entry)
        kind = entry.kind
        deadline = entry.expires_at_ms
        tags = tag_names_of(entry)
        idle = self.idle_of(entry)
        # it must not be evicted to make room for itself
        self.remove(entry, _RENAMED, "move_from")
        try:
            target.put(key, value, kind, deadline, tags, idle, "move_to", "")
        except OutOfMemoryError:
            self._has_room = True
            try:
                self.put(key, value, kind, deadline, tags, idle, "move_to", "")
            finally:
                self._has_room = False
            raise

    def beyond_limits(self, put_back: Callable[[], None]) -> None:
        """Has what was there before put back, though there is no room for it by now."""
        self._has_room = True
        try:
            put_back()
        finally:
            self._has_room = False

    def _fit_surely(self, keys: list[str], values: list[object]) -> bool:
        """Whether all of these fit even if all of them are new; the keys are checked."""
        if self.shared.recorder is not None:
            return False
        if not self._is_bounded():
            return True
        need: i64 = 0
        for at, key in enumerate(keys):
            need += weigh(key) + weigh(values[at]) + ENTRY_BYTES + KEY_DEADLINE_BYTES
        return not self._is_short_of(need, len(keys))

    def _needed(
        self,
        keys: list[str],
        values: list[object],
        expires_at_ms: i64,
        tags: list[str] | None,
    ) -> tuple[i64, i64]:
        """How many bytes and entries come in addition, when all of these are put."""
        # of a key that is there twice the last value stays
        held = dict(zip(keys, values, strict=True))
        need: i64 = 0
        if tags and held:
            # what makes a tag is paid once, a link to it by each key
            need = self.tags.cost(tags) + LINK_BYTES * len(tags) * (len(held) - 1)
        new_entries: i64 = 0
        for key, value in held.items():
            entry = self.peek(key)
            if entry is None:
                need += weigh(checked_text(key)) + ENTRY_BYTES + weigh(value)
                new_entries += 1
            else:
                need += weigh(value) - size_of(entry.kind, self.value(entry))
            if expires_at_ms != 0:
                need += KEY_DEADLINE_BYTES
        return need, new_entries

    def rename(self, entry: Entry, key: str) -> None:
        """Moves all of a live entry to another checked key; what that held is gone.

        Raises:
            OutOfMemoryError: if the name is longer, and there is no room and no victim;
                nothing has changed.
        """
        need = weigh(key) - weigh(entry.key)
        if need > 0 and self._is_bounded():
            self._make_room_for(entry, need)
        value = self.value(entry)
        kind = entry.kind
        deadline = entry.expires_at_ms
        tags = tag_names_of(entry)
        idle = self.idle_of(entry)
        self.remove(entry, _RENAMED)
        self._has_room = True
        try:
            self.put(key, value, kind, deadline, tags, idle, "rename_to", "")
        finally:
            self._has_room = False

    # -- in place

    def change(self, entry: Entry, value: object, event: str) -> None:
        """Gives a live string a new scalar; deadline and tags stay.

        Raises:
            OutOfMemoryError: if it grows, and there is no room and no victim.
        """
        index: int = entry.index
        delta = weigh(value) - size_of(entry.kind, self.values[index])
        if delta > 0 and self._is_bounded():
            self._make_room_for(entry, delta)
            index = entry.index
        self.shared.drop_later(self.values[index])
        self.values[index] = value
        entry.kind = STRING
        self.charge(delta)
        self._written(entry, event)

    def buffered(self, entry: Entry, raw: bytes, length: int) -> Buffer:
        """Turns the scalar of a live STRING entry, whose bytes are given, into a buffer.

        Nobody is told: it is the same value, but for zero bytes that it may grow by.

        Args:
            length: how long it is to be at least. Room is made for all of that at once, so
                that what is refused has not become a buffer.

        Raises:
            OutOfMemoryError: if there is no room and no victim; nothing has changed.
        """
        buffer = Buffer(raw)
        index: int = entry.index
        before = weigh(self.values[index])
        need = buffer.size_bytes - before + buffer.most_growth(length)
        if need > 0 and self._is_bounded():
            self._make_room_for(entry, need)
            index = entry.index
        buffer.grow(length)
        self.values[index] = buffer
        entry.kind = BUFFER
        self.charge(buffer.size_bytes - before)
        return buffer

    def grow(self, entry: Entry, buffer: Buffer, length: int) -> None:
        """Makes the buffer of a live entry at least that long.

        Raises:
            OutOfMemoryError: if there is no room and no victim; nothing has changed.
        """
        need = buffer.most_growth(length)
        if need > 0 and self._is_bounded():
            self._make_room_for(entry, need)
        before = buffer.size_bytes
        buffer.grow(length)
        self.charge(buffer.size_bytes - before)

    def set_expiry(self, entry: Entry, expires_at_ms: i64) -> None:
        """Gives an entry another deadline; 0 for never. An idle time ends."""
        self.set_idle(entry.key, None)
        self._file(entry, expires_at_ms)
        self.shared.sequence += 1
        entry.version = self.shared.sequence
        if self.interest & EXPIRY:
            event = "persist" if expires_at_ms == 0 else "expire"
            self.tell(EXPIRY, event, entry, None)

    def _renew(self, entry: Entry) -> Entry:
        """Puts an untagged copy into the place of an entry, which leaves a shell.

        Returns:
            The copy. Its version is yet to be raised.
        """
        self.charge(-self.tags.unlink(entry))
        copy = Entry(entry.key, entry.index, entry.kind, entry.version)
        copy.expires_at_ms = entry.expires_at_ms
        copy.access = entry.access
        copy.taps = entry.taps
        index: int = entry.index
        self.dense[index] = copy
        self.entries[copy.key] = copy
        if copy.expires_at_ms != 0:
            self.expiry.replace(copy)
        if self.policy.hears:
            self.policy.replaced(entry, copy)
        if copy.kind >= DEMOTED:
            demoted = self.values[index]
            assert isinstance(demoted, Demoted)
            demoted.entry = copy
        entry.index = -1
        return copy
