"""The keyspace: the entries of one namespace, with one way in and one way out.

Called by commands, which hold the latch (a compiled `look` may go without); calls the
tag index, the expiry index, the policy and the ledger, which never call back.

1. `put` is the only way in and `remove` the only way out; both know dict, dense arrays,
   expiry, tags, accounts, policy, ledger and effects, and nothing else does.
2. `entries`, `dense` and `values` agree at every step another thread could see: what
   enters is written to the arrays first and to the dict last, what leaves the other way.
3. `dense` is walked by SCAN from its end down. An entry that leaves is replaced by the
   last one, which can so be seen twice, but none that stays is ever missed.
4. An entry that is expired, invalidated or stale is dead: `find` and `peek` do not
   return it, whether or not it has been reaped yet. So is a hash whose fields are all
   due; of another hash they let go of those that are.
5. What is charged for an entry is what is refunded when it leaves.
6. A new attribute belongs to the name of the namespace or to what it holds: `swap`
   exchanges the latter, and a test asks which.
"""

from __future__ import annotations

from typing import Final

from librt.time import time as wall_time
from mypy_extensions import i64, u8

from cachestorm.codec import checked_text, is_ascii
from cachestorm.entry import BUFFER, HASH, OBJECT, STRING, Entry
from cachestorm.errors import OutOfMemoryError, WrongTypeError
from cachestorm.events import Cause
from cachestorm.eviction.policy import STAMP_MASK, Policy, Scales
from cachestorm.keyspace.commons import Commons
from cachestorm.keyspace.expiry import ExpiryIndex, Idle
from cachestorm.keyspace.hot_keys import CAPACITY, HotKeys
from cachestorm.keyspace.ledger import Ledger
from cachestorm.keyspace.tag_index import (
    HIERARCHY_BYTES,
    Doomed,
    Invalidation,
    TagIndex,
)
from cachestorm.values.buffer import Buffer
from cachestorm.values.container import Container
from cachestorm.values.hash import NEVER, Hash
from cachestorm.values.weights import unbox, weigh, weight_of_ascii

# An entry object, its slots in dict and dense arrays (amortised), and its deadline.
ENTRY_BYTES: Final = 128
DEADLINE_BYTES: Final = 48
# An idle time: an object and its place in a dict.
IDLE_BYTES: Final = 112
# How many entries one step reaps: well under a millisecond.
REAP_STEP: Final = 256
# A write in this many also does a step of reaping.
WRITES_A_STEP: Final = 32
# A slice of long work ends after so many seconds, looked at whenever so many entries have
# been met; or after so many entries (or tags of them).
SLICE_S: Final = 0.002
LOOK: Final = 64
SLICE: Final = 8192
# How many hits of a key its entry keeps to itself before the hot keys are told of them.
FEWEST_TAPS: Final = 4
MOST_TAPS: Final = 128
# So many notes may come before they are rationed.
FREE_NOTES: Final = 1024
# How often the policy is asked when it names an entry whose deadline a hit has put off.
VICTIMS_ASKED: Final = 16

_DELETED: Final = Cause.DELETED
_EXPIRED: Final = Cause.EXPIRED
_EVICTED: Final = Cause.EVICTED
_INVALIDATED: Final = Cause.INVALIDATED
_EMPTIED: Final = Cause.EMPTIED
_FLUSHED: Final = Cause.FLUSHED
_RENAMED: Final = Cause.RENAMED
_REPLACED: Final = Cause.REPLACED


def size_of(kind: u8, value: object) -> i64:
    """Bytes that a stored value is charged at."""
    if kind <= OBJECT:
        return weigh(value)
    assert isinstance(value, Container)
    return value.size_bytes


def _told(held: object) -> object:
    """A value as it is told to others: None for a container, which belongs to the store."""
    if isinstance(held, Buffer):
        return held.whole()
    return None if isinstance(held, Container) else unbox(held)


class Keyspace(Scales):
    """The keys of one namespace, their values, deadlines and tags."""

    def __init__(self, commons: Commons, name: str, policy: Policy, hot_keys: bool) -> None:
        self.commons: Final = commons
        self.name: Final = name
        self.policy: Policy = policy
        policy.weighed_by(self)
        self.entries: dict[str, Entry] = {}
        self.dense: list[Entry] = []
        self.values: list[object] = []
        self.tags: TagIndex = TagIndex()
        self.expiry: ExpiryIndex = ExpiryIndex(commons.clock.now_ms())
        self.ledger: Ledger = Ledger()
        self.listed: bool = False
        # whether the caller has made room for all that it puts
        self._has_room: bool = False
        self.used_bytes: i64 = 0
        self.max_bytes: i64 = 0
        self.default_ttl_ms: i64 = 0
        self.hits: i64 = 0
        self.misses: i64 = 0
        self.admitted: i64 = 0
        self.expired: i64 = 0
        self.evicted: i64 = 0
        self.invalidated: i64 = 0
        self._policy_size: i64 = 64
        # a copy of the policy's: it is read at every access
        self._heat_shift: i64 = policy.heat_shift
        self.hot: HotKeys | None = HotKeys(commons.clock.now_ms()) if hot_keys else None
        self._tap_limit: u8 = FEWEST_TAPS
        self._notes: i64 = 0

    # -- reading

    def read(self, key: str, default: object) -> object:
        """What a live key stores; counts as an access. Changes no structure.

        The one operation that a compiled caller may use without the latch, as it is a
        single step under the GIL.

        Raises:
            WrongTypeError: if the key holds a container.
        """
        entry = self.entries.get(key)
        if entry is not None and (
            (entry.expires_at_ms == 0 and entry.tags is None and entry.kind <= OBJECT)
            or self.is_live(entry)
        ):
            self.hits += 1
            self._heat(entry)
            index: int = entry.index
            value = self.values[index]
            if entry.kind == STRING:
                return value
            if entry.kind == OBJECT:
                return unbox(value)
            if isinstance(value, Buffer):
                return value.whole()
            raise WrongTypeError()
        self.misses += 1
        return default

    def put_plain(self, key: str, value: object, expires_at_ms: i64, now_ms: i64) -> bool:
        """Puts an untagged scalar, if that takes one step.

        A compiled caller may use it without the latch while nobody holds it: it neither
        gives up the GIL nor lets go of anything that has a finalizer.

        Args:
            now_ms: the time if the caller has looked, else 0.

        Returns:
            Whether it was done; else nothing has changed, and `put` is the way.
        """
        commons = self.commons
        if commons.effects.wanted:
            return False
        entry = self.entries.get(key)
        size = weigh(value)
        if entry is None:
            if (self.admitted + 1) % WRITES_A_STEP == 0 or not is_ascii(key):
                return False
            letters: i64 = len(key)
            charge = size + ENTRY_BYTES + weight_of_ascii(letters)
            if self._is_bounded() and self._is_short_of(charge + DEADLINE_BYTES, 1):
                return False
            entry = self._admit(key, value, STRING, charge)
            if expires_at_ms != 0:
                self._file(entry, expires_at_ms)
            return True
        if entry.kind != STRING or entry.tags is not None:
            return False
        deadline = entry.expires_at_ms
        if deadline != 0:
            if now_ms == 0:
                now_ms = commons.time_ms()
            if deadline <= now_ms or self.expiry.idle:
                return False
        index: int = entry.index
        delta = size - weigh(self.values[index])
        if delta != 0 or deadline != expires_at_ms:
            growth = delta if deadline != 0 else delta + DEADLINE_BYTES
            if growth > 0 and self._is_bounded() and self._is_short_of(growth, 0):
                return False
            self.charge(delta)
        self.values[index] = value
        if deadline != expires_at_ms:
            self._file(entry, expires_at_ms)
        self._heat(entry)
        commons.sequence += 1
        entry.version = commons.sequence
        return True

    def find(self, key: str) -> Entry | None:
        """The live entry of a key; counts as an access. A dead one is removed."""
        entry = self.peek(key)
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        self._heat(entry)
        return entry

    def peek(self, key: str) -> Entry | None:
        """The live entry of a key; no access. A dead one is removed."""
        entry = self.entries.get(key)
        if entry is None or (
            entry.expires_at_ms == 0 and entry.tags is None and entry.kind != HASH
        ):
            return entry
        cause = self.fate(entry)
        if cause is not None:
            self.remove(entry, cause)
            return None
        fields = self._mortal_fields(entry)
        if fields is not None:
            before = fields.size_bytes
            if fields.purge(self.commons.now_ms()) != 0:
                self.changed(entry, fields.size_bytes - before)
        return entry

    def _mortal_fields(self, entry: Entry) -> Hash | None:
        """The hash of an entry if some of its fields have deadlines, else None."""
        if entry.kind != HASH:
            return None
        value = self.value(entry)
        assert isinstance(value, Hash)
        return None if value.next_due_ms == NEVER else value

    def value(self, entry: Entry) -> object:
        """What is stored: a scalar, a `Boxed` object or a container."""
        index: int = entry.index
        return self.values[index]

    def is_live(self, entry: Entry) -> bool:
        """Whether an entry is neither expired, nor invalidated, nor stale."""
        if entry.expires_at_ms != 0:
            now = self.commons.time_ms()
            if entry.expires_at_ms <= now and self.expiry.deadline_ms(entry) <= now:
                return False
        fields = self._mortal_fields(entry)
        if fields is not None and fields.is_spent(self.commons.time_ms()):
            return False
        if entry.tags is None:
            return True
        return self.tags.job_of(entry) is None and not self.tags.is_stale(entry)

    def fate(self, entry: Entry) -> Cause | None:
        """Why an entry is dead, or None while it is live."""
        if entry.expires_at_ms != 0 and self.expiry.idle:
            self._put_off(entry)
        job = self.tags.job_of(entry)
        deadline = entry.expires_at_ms
        fields = self._mortal_fields(entry)
        if (
            job is not None
            and (deadline == 0 or deadline > job.at_ms)
            and (fields is None or not fields.is_spent(job.at_ms))
        ):
            return _INVALIDATED
        if deadline != 0 and deadline <= self.commons.now_ms():
            return _EXPIRED
        if fields is not None and fields.is_spent(self.commons.now_ms()):
            return _EXPIRED
        if job is not None or self.tags.is_stale(entry):
            return _INVALIDATED
        return None

    def _put_off(self, entry: Entry) -> bool:
        """Files an entry under the deadline that its last hit gave it, if that is new."""
        deadline = self.expiry.deadline_ms(entry)
        if deadline == entry.expires_at_ms:
            return False
        self.expiry.move(entry, deadline)
        return True

    def _heat(self, entry: Entry) -> None:
        if entry.expires_at_ms != 0 and self.expiry.idle:
            self.expiry.hit(entry.key, self.commons.time_ms())
        taps: u8 = entry.taps + 1
        if taps < self._tap_limit:
            entry.taps = taps
        else:
            entry.taps = 0
            self._note_hot(entry.key, taps)
        shift = self._heat_shift
        if shift >= 0:
            entry.heat = int(((self.hits + self.admitted) >> shift) & STAMP_MASK)
        elif int(entry.heat) < self.policy.heat_cap:
            entry.heat += 1
        elif int(entry.heat) > self.policy.heat_cap:
            self.policy.hit(entry)

    def _note_hot(self, key: str, taps: u8) -> None:
        if self.hot is None:
            return
        hits: int = taps
        self.hot.note(key, hits, self.commons.time_ms())
        self._notes += 1
        # a note costs as much as a few hits do: it is to be one in 64 at most
        is_dear = (self._notes - FREE_NOTES) * 64 > self.hits + self.admitted
        if is_dear and self._tap_limit < MOST_TAPS:
            self._tap_limit *= 2

    def hot_keys(self, count: int) -> list[tuple[str, int]]:
        """The keys that are hit most, lately, and how often, hottest first.

        Source: `hot_keys.py`, which says how exact the counts are.
        """
        if self.hot is None:
            return []
        now = self.commons.now_ms()
        # those that are told of late may belong before the last of these
        found: list[tuple[int, str]] = []
        for key, counted in self.hot.top(CAPACITY, now):
            entry = self.entries.get(key)
            if entry is not None and self.is_live(entry):
                taps: int = entry.taps
                found.append((-(round(counted) + taps), key))
        found.sort()
        return [(key, -counted) for counted, key in found[:count] if counted]

    # -- writing

    def put(
        self,
        key: str,
        value: object,
        kind: u8,
        expires_at_ms: i64 = 0,
        tags: list[str] | None = None,
        idle: Idle | None = None,
    ) -> Entry:
        """Creates a key or replaces all of it: value, deadline and tags.

        Args:
            key: any `str`; it is checked when it is new.
            value: a scalar, a `Boxed` or a container, as `kind` says.
            expires_at_ms: 0 for never.
            tags: checked tags without duplicates.
            idle: its own, if it has an idle time; `expires_at_ms` is its deadline then.

        Raises:
            InvalidKeyError: for a key that has no bytes.
            OutOfMemoryError: if there is no room and no victim; nothing has changed.
        """
        size = size_of(kind, value)
        extra: i64 = 0 if tags is None else self.tags.cost(tags)
        if expires_at_ms != 0:
            extra += DEADLINE_BYTES
        if idle is not None:
            extra += IDLE_BYTES
        entry = self.peek(key)
        if entry is None:
            if not is_ascii(key):
                key = checked_text(key)
            charge = size + ENTRY_BYTES + weigh(key)
            if self._is_bounded():
                self._make_room(charge + extra, 1)
            entry = self._admit(key, value, kind, charge)
        else:
            index: int = entry.index
            delta = size - size_of(entry.kind, self.values[index])
            if delta + extra > 0 and self._is_bounded():
                self._make_room_for(entry, delta + extra)
                index = entry.index
            if self.commons.effects.wanted:
                self.emit("removed", key, _REPLACED, self.values[index])
            self.commons.bury(self.values[index])
            self.values[index] = value
            entry.kind = kind
            if delta != 0:
                self.charge(delta)
            if entry.tags is not None:
                if tags is not None and self.tags.names(entry) == tags:
                    tags = None
                else:
                    entry = self._renew(entry)
            self._heat(entry)
            self.commons.sequence += 1
            entry.version = self.commons.sequence
            self._set_idle(key, None)
        if expires_at_ms != entry.expires_at_ms:
            self._file(entry, expires_at_ms)
        if idle is not None:
            self._set_idle(key, idle)
        if tags:
            self.charge(self.tags.link(entry, tags))
        if self.commons.effects.wanted:
            self.emit("put", key, value)
        return entry

    def _admit(self, key: str, value: object, kind: u8, charge: i64) -> Entry:
        commons = self.commons
        commons.sequence += 1
        entry = Entry(key, len(self.dense), kind, commons.sequence)
        self.values.append(value)
        self.dense.append(entry)
        self.entries[key] = entry
        self.listed = True
        self.admitted += 1
        commons.entry_count += 1
        self.charge(charge)
        if self._heat_shift >= 0:
            self._heat(entry)
        else:
            entry.heat = int(self.policy.first_heat)
        if self.policy.hears:
            self.policy.admitted(entry)
        if len(self.dense) > self._policy_size:
            self._resize_policy()
        if self.admitted % WRITES_A_STEP == 0:
            self.reap_step()
        return entry

    def change(self, entry: Entry, value: object) -> None:
        """Gives a live string a new scalar; deadline and tags stay.

        Raises:
            OutOfMemoryError: if it grows, and there is no room and no victim.
        """
        index: int = entry.index
        delta = weigh(value) - size_of(entry.kind, self.values[index])
        if delta > 0 and self._is_bounded():
            self._make_room_for(entry, delta)
            index = entry.index
        self.commons.bury(self.values[index])
        self.values[index] = value
        entry.kind = STRING
        self.charge(delta)
        self._written(entry)

    def buffered(self, entry: Entry, raw: bytes) -> Buffer:
        """Turns the scalar of a live STRING entry, whose bytes are given, into a buffer.

        Nobody is told: it is the same value.

        Raises:
            OutOfMemoryError: if there is no room and no victim; nothing has changed.
        """
        buffer = Buffer(raw)
        index: int = entry.index
        delta = buffer.size_bytes - weigh(self.values[index])
        if delta > 0 and self._is_bounded():
            self._make_room_for(entry, delta)
            index = entry.index
        self.values[index] = buffer
        entry.kind = BUFFER
        self.charge(delta)
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

    def make_room_for_growth(self) -> None:
        """Refuses, or evicts for, a command that lets a container grow.

        Raises:
            OutOfMemoryError: if the limit is passed and there is no victim.
        """
        if self._is_bounded():
            self._make_room(0, 0)

    def put_all(self, values: dict[str, object], kinds: list[u8], expires_at_ms: i64) -> None:
        """Puts many untagged keys, all or none.

        Args:
            values: scalars and `Boxed` values by key.
            kinds: STRING or OBJECT, in the same order.

        Raises:
            InvalidKeyError: for a key that has no bytes.
            OutOfMemoryError: if there is no room and no victim for all of them.
        """
        need: i64 = 0
        new_entries: i64 = 0
        for key, value in values.items():
            entry = self.peek(key)
            if entry is None:
                need += weigh(checked_text(key)) + ENTRY_BYTES + weigh(value)
                new_entries += 1
            else:
                need += weigh(value) - size_of(entry.kind, self.value(entry))
            if expires_at_ms != 0:
                need += DEADLINE_BYTES
        if self._is_bounded():
            self._make_room(need, new_entries)
        self._has_room = True
        try:
            for (key, value), kind in zip(values.items(), kinds, strict=True):
                self.put(key, value, kind, expires_at_ms)
        finally:
            self._has_room = False

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
        tags = self.tags.names(entry)
        idle = self.idle_of(entry)
        self.remove(entry, _RENAMED)
        self._has_room = True
        try:
            self.put(key, value, kind, deadline, tags, idle)
        finally:
            self._has_room = False

    def changed(self, entry: Entry, size_delta: i64) -> None:
        """A container was changed in place. One that is empty now is removed."""
        self.charge(size_delta)
        container = self.value(entry)
        assert isinstance(container, Container)
        if container.leaving is not None:
            self.commons.graveyard.append(container.leaving)
            container.leaving = None
        if len(container) == 0:
            self.remove(entry, _EMPTIED)
        else:
            self._written(entry)

    def _written(self, entry: Entry) -> None:
        if self.expiry.idle:
            self.expiry.hit(entry.key, self.commons.now_ms())
        self.commons.sequence += 1
        entry.version = self.commons.sequence
        if self.commons.effects.wanted:
            self.emit("changed", entry.key, self.value(entry))

    def set_expiry(self, entry: Entry, expires_at_ms: i64) -> None:
        """Gives an entry another deadline; 0 for never. An idle time ends."""
        self._set_idle(entry.key, None)
        self._file(entry, expires_at_ms)
        self.commons.sequence += 1
        entry.version = self.commons.sequence
        if self.commons.effects.wanted:
            self.emit("expiry", entry.key, int(expires_at_ms))

    def idle_of(self, entry: Entry) -> Idle | None:
        """A copy of what an entry has for an idle time."""
        idle = self.expiry.idle.get(entry.key)
        return None if idle is None else idle.copy()

    def _set_idle(self, key: str, idle: Idle | None) -> None:
        if self.expiry.idle and self.expiry.idle.pop(key, None) is not None:
            self.charge(-IDLE_BYTES)
        if idle is not None:
            self.expiry.idle[key] = idle
            self.charge(IDLE_BYTES)

    def _file(self, entry: Entry, expires_at_ms: i64) -> None:
        if entry.expires_at_ms == 0:
            if expires_at_ms != 0:
                entry.expires_at_ms = expires_at_ms
                self.expiry.add(entry)
                self.charge(DEADLINE_BYTES)
                if self.policy.hears_deadlines:
                    self.policy.dated(entry)
        elif expires_at_ms != 0:
            self.expiry.move(entry, expires_at_ms)
        else:
            self.expiry.remove(entry)
            entry.expires_at_ms = 0
            self.charge(-DEADLINE_BYTES)
            if self.policy.hears_deadlines:
                self.policy.dated(entry)

    def add_tags(self, entry: Entry, tags: list[str]) -> None:
        """Gives a live entry more tags.

        Args:
            tags: checked, without duplicates, and none that it bears.

        Raises:
            OutOfMemoryError: if there is no room and no victim.
        """
        if self._is_bounded():
            self._make_room_for(entry, self.tags.cost(tags))
        self.commons.sequence += 1
        entry.version = self.commons.sequence
        self.charge(self.tags.link(entry, tags))
        if self.commons.effects.wanted:
            self.emit("tags", entry.key, tuple(self.tags.names(entry)))

    def keep_tags(self, entry: Entry, tags: list[str]) -> None:
        """Leaves a live entry some of its tags, in their order; maybe none."""
        entry = self._renew(entry)
        self.commons.sequence += 1
        entry.version = self.commons.sequence
        if tags:
            self.charge(self.tags.link(entry, tags))
        if self.commons.effects.wanted:
            self.emit("tags", entry.key, tuple(tags))

    def _renew(self, entry: Entry) -> Entry:
        """Puts an untagged copy into the place of an entry, which leaves a shell.

        Returns:
            The copy. Its version is yet to be raised.
        """
        self.charge(-self.tags.unlink(entry))
        copy = Entry(entry.key, entry.index, entry.kind, entry.version)
        copy.expires_at_ms = entry.expires_at_ms
        copy.heat = entry.heat
        copy.taps = entry.taps
        index: int = entry.index
        self.dense[index] = copy
        self.entries[copy.key] = copy
        if copy.expires_at_ms != 0:
            self.expiry.replace(copy)
        if self.policy.hears:
            self.policy.replaced(entry, copy)
        entry.index = -1
        return copy

    # -- leaving

    def remove(self, entry: Entry, cause: Cause) -> None:
        """Takes an entry out: the one way out.

        1. It leaves dict, dense arrays, expiry index and tag index.
        2. Its charge is refunded; the policy and the ledger are told.
        3. Its value goes to the graveyard (unless it stays under another name), the effect
           to the queue.
        """
        commons = self.commons
        key = entry.key
        index: int = entry.index
        value = self.values[index]
        freed = size_of(entry.kind, value) + ENTRY_BYTES + weigh(key)
        tag: str | None = None
        if entry.tags is not None:
            if cause is _INVALIDATED:
                tag = self._count_invalidated(entry)
            freed += self.tags.unlink(entry)
        if entry.expires_at_ms != 0:
            self.expiry.remove(entry)
            freed += DEADLINE_BYTES
            self._set_idle(key, None)
        if self.policy.hears:
            self.policy.removed(entry, cause is _EVICTED)
        del self.entries[key]
        last = self.dense.pop()
        last_value = self.values.pop()
        entry.index = -1
        if last is not entry:
            self.dense[index] = last
            self.values[index] = last_value
            former: int = last.index
            last.index = index
            if self.policy.hears:
                self.policy.moved(last, former)
        # a shell may stay in the lists of its tags for a while: the key need not
        entry.key = ""
        if cause is not _RENAMED:
            commons.bury(value)
        commons.entry_count -= 1
        commons.sequence += 1
        self.charge(-freed)
        if cause is _EXPIRED:
            self.expired += 1
        elif cause is _EVICTED:
            self.evicted += 1
        elif cause is _INVALIDATED:
            self.invalidated += 1
        self.ledger.record(key, cause, commons.now_ms(), tag)
        if commons.effects.wanted:
            self.emit("removed", key, cause, value)

    def _count_invalidated(self, entry: Entry) -> str | None:
        job = self.tags.job_of(entry)
        if job is not None and not self.tags.is_stale(entry, job.sequence):
            job.removed += 1
        return self.tags.fatal_tag(entry)

    def soften(self, names: list[str]) -> i64:
        """Makes the entries of tags stale, O(1) a tag: readers miss them.

        Returns:
            How many were fresh; an entry that bears two of the tags counts twice.
        """
        self.commons.sequence += 1
        softened = self.tags.soften(names, self.commons.sequence)
        if self.commons.effects.wanted:
            for name in names:
                self.emit("softened", name, None)
        return softened

    def link_tags(self, parent: str, child: str) -> None:
        """Makes a tag the child of another.

        Raises:
            TagError: if the link would close a cycle.
            OutOfMemoryError: if there is no room and no victim.
        """
        if self._is_bounded():
            self._make_room(HIERARCHY_BYTES, 0)
        if self.tags.add_link(parent, child):
            self.charge(HIERARCHY_BYTES)
        self.commons.sequence += 1
        self.listed = True
        if self.commons.effects.wanted:
            self.emit("linked", parent, child)

    def unlink_tags(self, parent: str, child: str) -> None:
        """Takes the link between two tags away, if there is one."""
        if self.tags.remove_link(parent, child):
            self.charge(-HIERARCHY_BYTES)
        self.commons.sequence += 1
        if self.commons.effects.wanted:
            self.emit("unlinked", parent, child)

    def emit(self, name: str, key: str, detail: object, value: object = None) -> None:
        """Queues an effect. The caller has seen that somebody wants it."""
        if isinstance(detail, Buffer):
            # whoever is told must not see what becomes of it
            detail = detail.whole()
        self.commons.effects.record(
            self.commons.sequence, name, self.name, key, detail, _told(value)
        )

    # -- reaping

    def reap_step(self) -> i64:
        """Removes a bounded number of entries that are due, or invalidated.

        Returns:
            How many entries it met; fewer than `REAP_STEP` when none is left.
        """
        now = self.commons.now_ms()
        met: i64 = 0
        if self.expiry.count != 0:
            for entry in self.expiry.due(now, REAP_STEP):
                if not self._put_off(entry):
                    self.remove(entry, self.fate(entry) or _EXPIRED)
                met += 1
            met += self.expiry.moved
        if self.tags.doomed:
            met += self._reap_doomed(self.tags.doomed[0], REAP_STEP)
            if not self.tags.doomed[0].members:
                self.tags.doomed.popleft()
                met += 1
        if len(self.dense) < self._policy_size >> 2:
            self._resize_policy()
        return met

    def doom(self, names: list[str]) -> Invalidation:
        """Invalidates tags: in one step every entry that bears one is dead for all readers.

        Args:
            names: tags, each once.

        Returns:
            What counts the entries as they are reaped: see `reap_doomed`.
        """
        commons = self.commons
        commons.sequence += 1
        job = Invalidation(commons.sequence, commons.now_ms())
        self.charge(-self.tags.detach(names, job))
        if commons.effects.wanted:
            for name in names:
                self.emit("invalidated", name, None)
        return job

    def reap_doomed(self, sequence: i64) -> bool:
        """Reaps a slice of what invalidations up to a sequence number have killed.

        Earlier ones go first, so each entry is counted by the first that killed it.

        Returns:
            Whether nothing is left, and `job.removed` of each is the number of distinct
            entries that were live and are gone.
        """
        doomed = self.tags.doomed
        ends_at = wall_time() + SLICE_S
        room: i64 = SLICE
        while doomed and doomed[0].job.sequence <= sequence:
            if room <= 0 or wall_time() > ends_at:
                return False
            room -= self._reap_doomed(doomed[0], LOOK)
            if not doomed[0].members:
                doomed.popleft()
                room -= 1
        return True

    def _reap_doomed(self, doomed: Doomed, limit: i64) -> i64:
        members = doomed.members
        met: i64 = 0
        while met < limit and members:
            entry = members.pop()
            tags = entry.tags
            met += len(tags) if isinstance(tags, tuple) else 1
            if entry.index >= 0:
                self.remove(entry, self.fate(entry) or _INVALIDATED)
        return met

    def flush(self) -> None:
        """Removes all entries, tags and links. O(1) for the caller.

        What is left of them is rubble; the ledger is not told of each key.
        """
        commons = self.commons
        commons.entry_count -= len(self.dense)
        if commons.effects.flushes_wanted:
            commons.sequence += 1
            for entry in self.dense:
                cause = self.fate(entry) or _FLUSHED
                self.emit("removed", entry.key, cause, self.value(entry))
        parts: list[object] = [self.entries, self.dense, self.values, self.tags, self.expiry]
        commons.rubble.add(parts, self.used_bytes)
        self.entries = {}
        self.dense = []
        self.values = []
        self.tags = TagIndex()
        self.expiry = ExpiryIndex(commons.now_ms())
        self.charge(-self.used_bytes)
        commons.sequence += 1
        self.policy.cleared()
        if self.hot is not None:
            self.hot.clear()
        if commons.effects.wanted:
            self.emit("flushed", "", _FLUSHED)

    def swap(self, other: Keyspace) -> None:
        """Exchanges all that two namespaces hold. O(1).

        With the entries go their tags and links, deadlines, accounts and statistics, and
        what the policy and the ledger know of them. Quota and default time to live stay
        with the name; a quota that is passed now is seen to by the next write.

        Neither has anything left of an invalidation to reap.
        """
        self.entries, other.entries = other.entries, self.entries
        self.dense, other.dense = other.dense, self.dense
        self.values, other.values = other.values, self.values
        self.tags, other.tags = other.tags, self.tags
        self.expiry, other.expiry = other.expiry, self.expiry
        self.ledger, other.ledger = other.ledger, self.ledger
        self.policy, other.policy = other.policy, self.policy
        self._policy_size, other._policy_size = other._policy_size, self._policy_size
        self._heat_shift, other._heat_shift = other._heat_shift, self._heat_shift
        self.used_bytes, other.used_bytes = other.used_bytes, self.used_bytes
        self.hits, other.hits = other.hits, self.hits
        self.misses, other.misses = other.misses, self.misses
        self.admitted, other.admitted = other.admitted, self.admitted
        self.expired, other.expired = other.expired, self.expired
        self.evicted, other.evicted = other.evicted, self.evicted
        self.invalidated, other.invalidated = other.invalidated, self.invalidated
        self.hot, other.hot = other.hot, self.hot
        self._tap_limit, other._tap_limit = other._tap_limit, self._tap_limit
        self._notes, other._notes = other._notes, self._notes
        self.policy.weighed_by(self)
        other.policy.weighed_by(other)
        self.listed = True
        other.listed = True
        self.commons.sequence += 1
        if self.commons.effects.wanted:
            self.emit("swapped", other.name, None)

    # -- memory

    def charge_of(self, entry: Entry) -> i64:
        """What a live entry is charged at: what would be refunded if it left now."""
        charge = size_of(entry.kind, self.value(entry)) + ENTRY_BYTES + weigh(entry.key)
        if entry.expires_at_ms != 0:
            charge += DEADLINE_BYTES
        if entry.key in self.expiry.idle:
            charge += IDLE_BYTES
        return charge + self.tags.charge_of(entry)

    def charge(self, size: i64) -> None:
        """Adds to the account of this keyspace and of the cache."""
        self.used_bytes += size
        commons = self.commons
        commons.used_bytes += size
        if commons.used_bytes > commons.peak_bytes:
            commons.peak_bytes = commons.used_bytes

    def _is_bounded(self) -> bool:
        return not self._has_room and (
            self.max_bytes != 0 or self.commons.max_bytes != 0 or self.commons.max_entries != 0
        )

    def _is_short_of(self, need: i64, new_entries: i64) -> bool:
        commons = self.commons
        return (
            (self.max_bytes != 0 and self.used_bytes + need > self.max_bytes)
            or (commons.max_bytes != 0 and commons.used_bytes + need > commons.max_bytes)
            or (
                commons.max_entries != 0
                and commons.entry_count + new_entries > commons.max_entries
            )
        )

    def _make_room(self, need: i64, new_entries: i64, kept: i64 = 0) -> None:
        """Evicts until so much more fits.

        Args:
            need: bytes that are to come.
            new_entries: entries that are to come.
            kept: bytes of the entry that must stay.

        Raises:
            OutOfMemoryError: if it can never fit, and nobody was evicted; or if the policy
                gives no victim.
        """
        commons = self.commons
        if (
            (self.max_bytes != 0 and need + kept > self.max_bytes)
            or (commons.max_bytes != 0 and need + kept > commons.max_bytes)
            or (commons.max_entries != 0 and new_entries > commons.max_entries)
        ):
            raise OutOfMemoryError()
        if self.max_bytes != 0:
            while self.used_bytes + need > self.max_bytes:
                if not self.evict():
                    raise OutOfMemoryError()
        if commons.max_bytes != 0 and commons.used_bytes + need > commons.max_bytes:
            commons.make_room(need)
        if commons.max_entries != 0 and new_entries != 0:
            while commons.entry_count + new_entries > commons.max_entries:
                commons.evict()

    def _make_room_for(self, entry: Entry, need: i64) -> None:
        index: int = entry.index
        kept = size_of(entry.kind, self.values[index]) + ENTRY_BYTES + weigh(entry.key)
        self.commons.pinned = entry
        try:
            self._make_room(need, 0, kept)
        finally:
            self.commons.pinned = None

    def evict(self) -> bool:
        """Removes an entry that is due, or else the policy's next victim.

        Returns:
            False where there is neither.
        """
        if not self.dense:
            return False
        commons = self.commons
        now = commons.now_ms()
        if self.expiry.count != 0:
            due = self.expiry.due(now, 1)
            if due and not self._put_off(due[0]):
                self.remove(due[0], self.fate(due[0]) or _EXPIRED)
                return True
        victim: Entry | None = None
        for _ in range(VICTIMS_ASKED):
            victim = self.policy.victim(
                self.dense, self.hits + self.admitted, now, commons.pinned
            )
            if victim is None:
                return False
            if not self.expiry.idle or not self._put_off(victim):
                break
        if victim is None:
            return False
        self.remove(victim, self.fate(victim) or _EVICTED)
        return True

    def weight_at(self, index: i64) -> i64:
        if self.max_bytes == 0 and self.commons.max_bytes == 0:
            return 1
        place: int = index
        entry = self.dense[place]
        return size_of(entry.kind, self.values[place]) + ENTRY_BYTES + weigh(entry.key)

    def access_count(self) -> i64:
        return self.hits + self.admitted

    def mean_weight(self) -> i64:
        if (self.max_bytes == 0 and self.commons.max_bytes == 0) or not self.dense:
            return 1
        return self.used_bytes // len(self.dense)

    def _resize_policy(self) -> None:
        size: i64 = 64
        while size < len(self.dense):
            size <<= 1
        self._policy_size = size
        self.policy.resized(self.dense, self._capacity())
        self._heat_shift = self.policy.heat_shift

    def _capacity(self) -> i64:
        """About how many entries fill this keyspace; 0 without a limit."""
        commons = self.commons
        present: i64 = len(self.dense)
        least: i64 = 0
        if present == 0:
            return 0
        if commons.max_entries != 0:
            # keyspaces keep their shares
            least = present * commons.max_entries // commons.entry_count
        if self.max_bytes != 0:
            most = self.max_bytes // (self.used_bytes // present + 1)
            least = most if least == 0 or most < least else least
        if commons.max_bytes != 0:
            most = commons.max_bytes // (commons.used_bytes // present + 1)
            least = most if least == 0 or most < least else least
        return least

    # -- invariants

    def _check(self) -> None:
        """Asserts all invariants. O(everything)."""
        assert len(self.entries) == len(self.dense) == len(self.values)
        charged: i64 = 0
        for key, entry in self.entries.items():
            assert entry.key == key and type(key) is str
            assert self.dense[entry.index] is entry
            value = self.value(entry)
            if isinstance(value, Container):
                assert len(value) > 0, f"empty container at {key!r}"
            charged += size_of(entry.kind, value) + ENTRY_BYTES + weigh(key)
            if entry.expires_at_ms:
                charged += DEADLINE_BYTES
            if key in self.expiry.idle:
                charged += IDLE_BYTES
            assert 0 < entry.version <= self.commons.sequence
        self.expiry._check(self.entries)
        self.policy._check(self.dense)
        self.tags._check(self.entries)
        assert charged + self.tags.size_bytes(self.dense) == self.used_bytes
