"""The removals: the one way out, and what takes it because an entry is dead or empty.

Called by commands, which hold the latch, and by the classes above. Tells the tag index, the
expiry index, the policy, the ledger and the listeners that an entry leaves.

1. `remove` is the only way out, with a cause; `flush` leaves all behind at once. They know
   dict, dense arrays, expiry, tags, accounts, policy, ledger and effects.
2. What leaves goes from the dict first and from the arrays last, so that they agree at every
   step another thread could see.
3. `dense` is walked by SCAN from its end down. An entry that leaves is replaced by the last
   one, which can so be seen twice, or by a new one; none that stays is ever missed.
4. A dead entry goes when it is met (`peek`), or by and by (`reap_step`). One that is only stale
   stays, absent for all but `peek_stale`, until it is written to, for SOFT_KEEP_MS, or until
   room is needed: it goes before any victim. A hash loses its due fields when it is met; while
   there are such hashes, reaping walks over all entries little by little to meet them.
5. Reaping is in steps, each well under a millisecond, or in slices; an invalidation is
   seen whole before any of it.
"""

from __future__ import annotations

from collections import deque
from typing import Final, cast

from mypy_extensions import i64

from cachestorm.codec import is_ascii
from cachestorm.entry import BUFFER, DEMOTED, HASH, Entry
from cachestorm.events import (
    CHANGED,
    FLUSHED,
    REMOVED,
    SPACE,
    TAG_EVENTS,
    Cause,
    bit_of,
    event_of,
)
from cachestorm.keyspace.capacity import Sized
from cachestorm.keyspace.expiry import ExpiryIndex
from cachestorm.keyspace.holdings import (
    ENTRY_BYTES,
    KEY_DEADLINE_BYTES,
    demoted_charge,
    size_of,
)
from cachestorm.keyspace.shared_state import LOOK
from cachestorm.keyspace.slot_index import SlotIndex
from cachestorm.keyspace.tag_index import TagIndex
from cachestorm.keyspace.tag_nodes import Doomed, Invalidation, TagMark
from cachestorm.keyspace.tiering import Demoted
from cachestorm.values.container import Container

# How many entries one step reaps: well under a millisecond.
REAP_STEP: Final = 256
# At how many entries one step looks for hashes with fields that are due, and for how many
# rounds after the last one was written: it may have moved to where a round has been.
FIELDS_STEP: Final = 1024
FIELD_ROUNDS: Final = 2
# How many of those in the line of values in colder tiers one step looks at.
LINE_STEP: Final = 4
# For how long an entry is kept that a soft invalidation has made stale.
SOFT_KEEP_MS: Final = 3_600_000

_EXPIRED: Final = Cause.EXPIRED
_EVICTED: Final = Cause.EVICTED
_INVALIDATED: Final = Cause.INVALIDATED
_EMPTIED: Final = Cause.EMPTIED
_FLUSHED: Final = Cause.FLUSHED
_RENAMED: Final = Cause.RENAMED


def drained(container: Container) -> list[object] | None:
    """What a container has noted since the last time; None if that is nothing."""
    diary = container.diary
    if not diary:
        return None
    container.diary = []
    return diary


class Removals(Sized):
    """Holdings that entries leave."""

    def remove(self, entry: Entry, cause: Cause, event: str = "") -> None:
        """Takes an entry out: the one way out.

        1. It leaves dict, dense arrays, expiry index and tag index.
        2. Its charge is refunded; the policy and the ledger are told.
        3. Its value goes to the to_drop (unless it stays under another name), the effect
           to the queue.

        Args:
            event: what it is called, where the cause does not say.
        """
        self._fill_gap(self._detach(entry, cause, self.shared.now_ms(), event))

    def _detach(self, entry: Entry, cause: Cause, now_ms: i64, event: str = "") -> i64:
        """All of `remove` but the last step: the dense arrays have a gap now.

        The caller fills it at once, with the last entry or with a new one.

        Returns:
            Where the gap is.
        """
        shared = self.shared
        key = entry.key
        if self.watches is not None:
            self.watches.removed(key, entry)
        index: int = entry.index
        value = self.values[index]
        freed = size_of(entry.kind, value) + ENTRY_BYTES + self.weigh_key(key)
        if self.wide_keys != 0 and not is_ascii(key):
            self.wide_keys -= 1
        mark: TagMark | None = None
        if entry.tags is not None:
            if cause is _INVALIDATED:
                if shared.recorder is not None and self.tags.job_of(entry) is None:
                    self.record_leaving(key)
                mark = self.tags.count_removed(entry)
            freed += self.tags.unlink(entry)
        if entry.expires_at_ms != 0:
            self.expiry.remove(entry)
            freed += KEY_DEADLINE_BYTES
            self.set_idle(key, None)
        if self.policy.hears:
            self.policy.removed(entry, cause is _EVICTED)
        if entry.kind >= DEMOTED:
            self._unname(entry, value)
        del self.entries[key]
        entry.index = -1
        if self.slots is not None:
            self.slots.remove(index)
        # a shell may stay in the lists of its tags for a while: the key need not
        entry.key = ""
        if cause is not _RENAMED:
            shared.drop_later(value)
        shared.entry_count -= 1
        shared.sequence += 1
        self.charge(-freed)
        if cause is _EVICTED:
            self.evicted += 1
        elif cause is _EXPIRED:
            self.expired += 1
        elif cause is _INVALIDATED:
            self.invalidated += 1
        shared.ledger.record(self.book, key, cause, now_ms, mark)
        if self.interest & REMOVED:
            kind = bit_of(cause)
            if self.interest & kind:
                self.tell_removal(kind, event or event_of(cause), key, cause, value)
        return index

    def _unname(self, entry: Entry, held: object) -> None:
        """An entry gives up the value in a colder tier that it has named."""
        assert isinstance(held, Demoted)
        tiering = self.shared.tiering
        assert tiering is not None
        self.demoted_count -= 1
        self.demoted_bytes -= demoted_charge(entry)
        held.entry = None
        tiering.release(held)
        self._tidy_line()

    def _tidy_line(self) -> None:
        """Takes what is nobody's any more out of the line, a few at a time.

        One full turn leaves it in order; until then its first is not the oldest.
        """
        line = self.demoted_line
        if self.demoted_turns == 0 and len(line) > 2 * self.demoted_count + REAP_STEP:
            self.demoted_turns = len(line)
        for _time in range(LINE_STEP):
            if self.demoted_turns == 0:
                return
            if not line:
                self.demoted_turns = 0
                return
            self.demoted_turns -= 1
            first = line.popleft()
            if first.entry is not None:
                line.append(first)

    def _fill_gap(self, gap: i64) -> None:
        """Puts the last entry into the place of one that has left."""
        last = self.dense.pop()
        value = self.values.pop()
        former: i64 = int(last.index)
        if former >= 0:
            self.dense[gap] = last
            self.values[gap] = value
            last.index = int(gap)
            if self.policy.hears:
                self.policy.moved(last, former)
            if self.slots is not None:
                self.slots.move(former, gap)

    def changed(self, entry: Entry, size_delta: i64, event: str) -> None:
        """Ends a change of a container in place.

        1. The keyspace is charged what it grew by, or refunded.
        2. Objects that left it go to the to_drop, and so does what its diary has noted.
        3. The key of one that is empty now is removed, unless it is a string.

        Args:
            event: what it is called, a name of `events.CLASSES`.
        """
        self.charge(size_delta)
        # compiled, each use of one that is only asserted to be a container is a check
        container = cast(Container, self.value(entry))
        if container.leaving is not None:
            self.shared.to_drop.append(container.leaving)
            container.leaving = None
        delta = drained(container)
        if delta is not None:
            # it may hold the last reference to an object
            self.shared.to_drop.append(delta)
        is_empty = len(container) == 0 and entry.kind != BUFFER
        if not is_empty or self.interest & CHANGED:
            self._written(entry, event, delta)
        if is_empty:
            self.remove(entry, _EMPTIED)
        elif entry.kind == HASH and self._volatile_fields(entry) is not None:
            self._field_rounds = FIELD_ROUNDS

    def flush(self) -> None:
        """Removes all entries, tags and links. O(1) for the caller.

        What is left is freed lazily; the ledger is not told of each key. O(N) in what an
        invalidation has still to reap: a caller that waits for its number gets all of it.
        """
        shared = self.shared
        shared.entry_count -= len(self.dense)
        if self.interest & FLUSHED:
            shared.sequence += 1
            for entry in self.dense:
                cause = self.fate(entry) or _FLUSHED
                kind = bit_of(cause)
                if self.interest & kind:
                    value = self.value(entry)
                    self.tell_removal(kind, event_of(cause), entry.key, cause, value)
        if self.watches is not None:
            self._touch_watched(self.watches)
        self._count_doomed()
        parts: list[object] = [self.entries, self.dense, self.values, self.tags, self.expiry]
        if self.slots is not None:
            parts.append(self.slots)
            self.slots = SlotIndex()
        shared.lazy_free.add(parts, self.used_bytes)
        self.entries = {}
        self.dense = []
        self.values = []
        self.tags = TagIndex()
        self.expiry = ExpiryIndex(shared.now_ms())
        self.charge(-self.used_bytes)
        self.wide_keys = 0
        if self.demoted_line:
            if shared.tiering is not None:
                shared.tiering.abandon(self.demoted_line)
            self.demoted_line = deque()
            self.demoted_count = 0
            self.demoted_bytes = 0
            self.demoted_turns = 0
        shared.sequence += 1
        self.policy.cleared(self.dense)
        if self.hot is not None:
            self.hot.clear()
        if self.interest & SPACE:
            self.emit(SPACE, "flushed", "")

    def _count_doomed(self) -> None:
        """Counts what invalidations have killed and nobody has reaped, before all is left."""
        for doomed in self.tags.doomed:
            for entry in doomed.members:
                if entry.index < 0:
                    continue
                if self.fate(entry) is _INVALIDATED:
                    self.tags.count_removed(entry)
                    self.invalidated += 1
                # once only, in however many lists it stands
                entry.index = -1

    # -- the dead

    def peek(self, key: str) -> Entry | None:
        """The live entry of a key; no access. A dead one is removed, unless it is kept."""
        entry = self.entries.get(key)
        if entry is None or (
            entry.expires_at_ms == 0
            and entry.tags is None
            and (entry.kind != HASH or self._volatile_fields(entry) is None)
        ):
            return entry
        cause = self.fate(entry)
        if cause is not None:
            if not self._is_kept(entry, cause):
                self.remove(entry, cause)
            return None
        fields = self._volatile_fields(entry)
        if fields is not None:
            before = fields.size_bytes
            if fields.purge(self.shared.now_ms()) != 0:
                self.changed(entry, fields.size_bytes - before, "hexpired")
        return entry

    def peek_stale(self, key: str) -> Entry | None:
        """The entry of a key that is live or stale, for a loader that may serve old values."""
        entry = self.peek(key)
        if entry is not None:
            return entry
        entry = self.entries.get(key)
        # one that has expired may have been left, too
        return None if entry is None or self.fate(entry) is _EXPIRED else entry

    def _is_kept(self, entry: Entry, cause: Cause) -> bool:
        """Whether a dead entry stays: a stale one, for a loader; an expired one in a rest."""
        if cause is _EXPIRED:
            return self.shared.resting != 0
        return cause is _INVALIDATED and self.tags.job_of(entry) is None

    def reap_step(self) -> i64:
        """Removes a bounded number of entries that are due, or invalidated.

        Returns:
            How many entries it met; fewer than `REAP_STEP` when none is left.
        """
        now = self.shared.now_ms()
        met: i64 = 0
        if self.expiry.count != 0 and self.shared.resting == 0:
            for entry in self.expiry.due(now, REAP_STEP):
                # what was put off may have come all the same
                self._put_off(entry)
                if entry.expires_at_ms <= now:
                    self.remove(entry, self.fate(entry) or _EXPIRED)
                met += 1
            met += self.expiry.moved
        if self.tags.doomed:
            met += self._reap_doomed(self.tags.doomed[0], REAP_STEP)
            if not self.tags.doomed[0].members:
                self.tags.doomed.popleft()
                met += 1
        if self.tags.uncounted:
            met += self.tags.count_stale(REAP_STEP)
        if self.tags.softened:
            met += self._reap_stale(now)
        if self._field_rounds != 0:
            met += self._reap_fields(now)
        if len(self.dense) < self._policy_size >> 2:
            self._resize_policy()
        return met

    def _reap_stale(self, now: i64) -> i64:
        """Removes some of the entries that have been stale for long. Returns how many."""
        met: i64 = 0
        while met < REAP_STEP:
            entry = self.tags.stale_entry(REAP_STEP, now - SOFT_KEEP_MS)
            if entry is None:
                break
            self.remove(entry, self.fate(entry) or _INVALIDATED)
            met += 1
        return met

    def _reap_fields(self, now: i64) -> i64:
        """Looks at some entries, in turn, and removes the fields that are due.

        Returns:
            How many fields and entries have gone.
        """
        met: i64 = 0
        looked: i64 = 0
        place = self._field_place
        while looked < FIELDS_STEP and met < REAP_STEP and self._field_rounds != 0:
            if place <= 0 or place > len(self.dense):
                self._field_rounds -= 1
                place = len(self.dense)
                looked += 1
                continue
            place -= 1
            looked += 1
            entry = self.dense[place]
            if entry.kind != HASH:
                continue
            fields = self._volatile_fields(entry)
            if fields is None:
                continue
            self._field_rounds = FIELD_ROUNDS
            if fields.next_due_ms > now:
                continue
            cause = self.fate(entry)
            if cause is not None:
                if not self._is_kept(entry, cause):
                    self.remove(entry, cause)
                    met += 1
                continue
            before = fields.size_bytes
            removed = fields.purge(now, REAP_STEP - met)
            if removed != 0:
                self.changed(entry, fields.size_bytes - before, "hexpired")
                met += removed
        self._field_place = place
        return met

    def doom(self, names: list[str]) -> Invalidation:
        """Invalidates tags: in one step every entry that bears one is dead for all readers.

        Args:
            names: tags, each once.

        Returns:
            What counts the entries as they are reaped: see `reap_doomed`.
        """
        shared = self.shared
        shared.sequence += 1
        shared.invalidations += len(names)
        job = Invalidation(shared.sequence, shared.now_ms())
        self.charge(-self.tags.detach(names, job))
        if self.interest & TAG_EVENTS:
            for name in names:
                self.emit(TAG_EVENTS, "invalidated", name)
        return job

    def reap_doomed(self, sequence: i64) -> bool:
        """Reaps a piece of what invalidations up to a sequence number have killed.

        Earlier ones go first, so each entry is counted by the first that killed it.

        Returns:
            Whether nothing is left, and `job.removed` of each is the number of distinct
            entries that were live and are gone.
        """
        room: i64 = LOOK
        doomed = self.tags.doomed
        while doomed and doomed[0].job.sequence <= sequence:
            if room <= 0:
                return False
            room -= self._reap_doomed(doomed[0], room)
            if not doomed[0].members:
                doomed.popleft()
                room -= 1
        return True

    def _reap_doomed(self, doomed: Doomed, limit: i64) -> i64:
        members = doomed.members
        # The keys' slots lie anywhere in memory: asked for one after the other, with nothing in
        # between, they come at the same time, and the removals below find them near.
        last: i64 = len(members)
        for place in range(max(last - limit, 0), last):
            self.entries.get(members[place].key)
        met: i64 = 0
        while met < limit and members:
            entry = members.pop()
            tags = entry.tags
            met += len(tags) if isinstance(tags, tuple) else 1
            if entry.index >= 0:
                cause = _INVALIDATED
                if entry.expires_at_ms != 0 or entry.kind == HASH:
                    # its end may have come before
                    cause = self.fate(entry) or _INVALIDATED
                self.remove(entry, cause)
        return met
