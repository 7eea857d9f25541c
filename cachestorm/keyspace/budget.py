"""The budget: the limits of a namespace and of its cache, and eviction to keep them.

Called by `writes.py` before anything has changed, and by the shared state, whose limit may draw
its victim from any namespace. Asks the policy for victims.

1. Room is made before a write changes anything. What can never fit is refused, and nothing is
   evicted for it.
2. An entry that is due goes before the policy is asked, and so does a stale one; an entry that
   a hit has given a later deadline is not a victim because of the old one.
3. The entry that a write is about is pinned: making room for it never evicts it.
4. A plain new entry takes its victim's slot in the dense arrays, so nothing moves.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, u8

from cachestorm.entry import BUFFER, DEMOTED, HASH, OBJECT, STRING, Entry
from cachestorm.errors import DurabilityError
from cachestorm.events import EVICTED, EXPIRED, Cause
from cachestorm.eviction.policy import Policy
from cachestorm.keyspace.holdings import ENTRY_BYTES, demoted_charge, size_of
from cachestorm.keyspace.removals import Removals
from cachestorm.keyspace.shared_state import LOOK
from cachestorm.keyspace.tiering import DEMOTED_BYTES, Demoted, Reference, Tiering
from cachestorm.values.weights import is_shared

# How often the policy is asked when it names an entry whose deadline a hit has put off.
VICTIMS_ASKED: Final = 16
NOWHERE: Final = -1

_EXPIRED: Final = Cause.EXPIRED
_EVICTED: Final = Cause.EVICTED
_INVALIDATED: Final = Cause.INVALIDATED


class Budget(Removals):
    """Holdings within limits."""

    def _is_bounded(self) -> bool:
        return not self._has_room and (
            self.max_bytes != 0
            or self.shared.max_bytes != 0
            or self.shared.max_entries != 0
            or self.shared.recorder is not None
        )

    def suspend_limits(self) -> None:
        """Has what is written fit, whatever the limits, until `resume_limits`."""
        self._has_room = True

    def resume_limits(self) -> None:
        """Ends `suspend_limits`. Nothing is evicted yet."""
        self._has_room = False

    def _is_short_of(self, need: i64, new_entries: i64) -> bool:
        shared = self.shared
        return (
            (self.max_bytes != 0 and self.used_bytes + need > self.max_bytes)
            or (shared.max_bytes != 0 and shared.used_bytes + need > shared.max_bytes)
            or (
                shared.max_entries != 0
                and shared.entry_count + new_entries > shared.max_entries
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
        shared = self.shared
        if shared.recorder is not None and shared.recorder.failure != "":
            # it would be lost at a restart
            raise DurabilityError(shared.recorder.failure)
        if shared.has_room:
            return
        if (
            (self.max_bytes != 0 and need + kept > self.max_bytes)
            or (shared.max_bytes != 0 and need + kept > shared.max_bytes)
            or (shared.max_entries != 0 and new_entries > shared.max_entries)
        ):
            raise shared.refusal(need + kept)
        if self.max_bytes != 0:
            while self.used_bytes + need > self.max_bytes:
                if not self.evict():
                    raise shared.refusal()
        if shared.max_bytes != 0 and shared.used_bytes + need > shared.max_bytes:
            shared.make_room(need)
        if shared.max_entries != 0 and new_entries != 0:
            while shared.entry_count + new_entries > shared.max_entries:
                shared.evict(True)

    def _make_room_with(
        self, tags: list[str] | None, need: i64, new_entries: i64, entry: Entry | None
    ) -> None:
        """Makes room for tags as well: one that the victims took along costs more.

        Args:
            entry: which is to get them, if it is there.

        Raises:
            OutOfMemoryError: as `_make_room`.
        """
        shared = self.shared
        while True:
            sequence = shared.sequence
            total = need if tags is None else need + self.tags.cost(tags)
            if entry is None:
                self._make_room(total, new_entries)
            elif total > 0:
                self._make_room_for(entry, total)
            if tags is None or shared.sequence == sequence:
                return

    def _make_room_for(self, entry: Entry, need: i64) -> None:
        index: int = entry.index
        kept = size_of(entry.kind, self.values[index]) + ENTRY_BYTES
        kept += self.weigh_key(entry.key)
        self.shared.pinned = entry
        try:
            self._make_room(need, 0, kept)
        finally:
            self.shared.pinned = None

    def make_room_for_growth(self) -> None:
        """Refuses, or evicts for, a command that lets a container grow.

        Raises:
            OutOfMemoryError: if the limit is passed and there is no victim.
        """
        if self._is_bounded():
            self._make_room(0, 0)

    def _vacate(self, need: i64, now_ms: i64, is_latched: bool) -> i64:
        """Makes room for a new entry, if that is simple, and leaves the victim's slot open.

        Simple is that all entries are here and none is due. Without the latch, nothing may
        be freed that has a finalizer, nor made what the garbage collector tracks.

        Args:
            need: bytes that are to come.

        Returns:
            The place in the dense arrays, which the caller fills at once; or NOWHERE, when
            the new entry may still fit once `_make_room` has been asked.
        """
        shared = self.shared
        if (
            shared.entry_count != len(self.dense)
            or self.expiry.idle
            or self.expiry.may_be_due(now_ms)
            or len(self.tags.softened) != 0
            # what is evicted may go to a colder tier instead, which takes more than a step
            or shared.tiering is not None
            or shared.has_room
            or (not is_latched and self.interest & (EVICTED | EXPIRED) != 0)
            or (self.max_bytes != 0 and need > self.max_bytes)
            or (shared.max_bytes != 0 and need > shared.max_bytes)
        ):
            return NOWHERE
        while self.dense and (is_latched or self.policy.is_settled(len(self.dense))):
            victim = self._victim(now_ms)
            if victim is None:
                break
            cause = _EVICTED
            if is_latched:
                cause = self.fate(victim) or _EVICTED
            elif (
                victim.tags is not None
                or victim.expires_at_ms != 0
                or not self._is_plain(victim)
            ):
                self._condemned = victim
                break
            gap = self._detach(victim, cause, now_ms)
            if not self._is_short_of(need, 1):
                return gap
            self._fill_gap(gap)
        return NOWHERE

    def _is_plain(self, entry: Entry) -> bool:
        """Whether the value is a scalar: it has no finalizer."""
        return entry.kind == STRING or (entry.kind == OBJECT and is_shared(self.value(entry)))

    def _victim(self, now_ms: i64) -> Entry | None:
        """Whom the policy would evict next; who was chosen and has stayed, first."""
        condemned = self._condemned
        pinned = self.shared.pinned
        if condemned is not None:
            self._condemned = None
            index: i64 = int(condemned.index)
            if (
                0 <= index < len(self.dense)
                and self.dense[index] is condemned
                and condemned is not pinned
            ):
                return condemned
        return self.policy.victim(self.dense, self.hits + self.admitted, now_ms, pinned)

    def evict(self, is_for_places: bool = False) -> bool:
        """Removes an entry that is due, or else the policy's next victim; or demotes that.

        Args:
            is_for_places: whether a key has to leave: with tiers, the one whose value was the
                first to go there.

        Returns:
            False where there is neither.
        """
        if not self.dense:
            return False
        shared = self.shared
        now = shared.now_ms()
        if self.expiry.count != 0:
            due = self.expiry.due(now, 1)
            if due:
                self._put_off(due[0])
                if due[0].expires_at_ms <= now:
                    self.remove(due[0], self.fate(due[0]) or _EXPIRED)
                    return True
        if self.tags.softened:
            stale = self.tags.stale_entry(LOOK, shared.now_ms())
            if stale is not None and stale is not shared.pinned:
                self.remove(stale, self.fate(stale) or _INVALIDATED)
                return True
        if shared.tiering is not None and (
            is_for_places or 2 * self.demoted_bytes > self.used_bytes
        ):
            # else what stands for values would leave no room for any
            oldest = self.oldest_demoted()
            if oldest is not None:
                self.remove(oldest, self.fate(oldest) or _EVICTED)
                return True
        victim: Entry | None = None
        for _time in range(VICTIMS_ASKED):
            victim = self._victim(now)
            if victim is None or not self.expiry.idle or not self._put_off(victim):
                break
        if shared.tiering is not None and (victim is None or victim.kind >= DEMOTED):
            # about all that is left of values in memory is the one that must stay
            victim = self.oldest_demoted()
        if victim is None:
            return False
        tiering = shared.tiering
        if tiering is not None and not is_for_places and victim.kind < DEMOTED:
            is_over = tiering.is_full and tiering.passes_over(self.policy.is_wonder(victim))
            if not is_over and self._demote(victim):
                return True
        self.remove(victim, self.fate(victim) or _EVICTED)
        return True

    # -- colder tiers

    def _demote(self, entry: Entry) -> bool:
        """Has a live entry's value go to a colder tier, if that pays and one takes it."""
        tiering = self.shared.tiering
        kind = entry.kind
        if tiering is None or kind >= DEMOTED or self.fate(entry) is not None:
            return False
        index: int = entry.index
        held = self.values[index]
        size = size_of(kind, held)
        if size < tiering.least_bytes or not tiering.takes(kind, held):
            return False
        if kind == HASH and self._volatile_fields(entry) is not None:
            # its fields are to go when they are due
            return False
        if self.policy.hears:
            self.policy.demoted(entry)
        if kind == BUFFER:
            # a string all the same
            kind = STRING
        self._stand_in(entry, kind, tiering.take(entry, kind, held, size), size)
        return True

    def _stand_in(self, entry: Entry, kind: u8, demoted: Demoted, size: i64) -> None:
        """From now on something stands for the value, which was charged at a size."""
        index: int = entry.index
        self.values[index] = demoted
        entry.kind = kind | DEMOTED
        entry.access = 0
        self.demoted_count += 1
        self.demoted_bytes += demoted_charge(entry)
        self.demoted_line.append(demoted)
        self.charge(DEMOTED_BYTES - size)
        # what was worked out before about what entries take does not hold any more
        self.shared.sequence += 1

    def refer(self, entry: Entry, kind: u8, reference: Reference) -> bool:
        """An entry has the value that a file names, in place of an empty one.

        Returns:
            Whether that is there; else the entry has left.

        Raises:
            KeyError: if there is no such tier; nothing has changed.
        """
        tiering = self.shared.tiering
        if tiering is None:
            raise KeyError()
        demoted = tiering.adopt(entry, reference)
        if demoted is None:
            self.remove(entry, _EVICTED)
            return False
        if self.policy.hears:
            self.policy.demoted(entry)
        self._stand_in(entry, kind, demoted, size_of(entry.kind, self.value(entry)))
        return True

    def reference_of(self, entry: Entry) -> Reference | None:
        """By what a file is to name an entry's value; None if it has to have that itself."""
        demoted = self.value(entry)
        tiering = self.shared.tiering
        if not isinstance(demoted, Demoted) or tiering is None:
            return None
        return tiering.reference_of(demoted)

    def forgo(self, entry: Entry) -> None:
        """An entry gives up its value, if that is in a colder tier, for an empty one."""
        demoted = self.value(entry)
        if isinstance(demoted, Demoted):
            self._promote(entry, demoted, STRING, b"")

    def oldest_demoted(self) -> Entry | None:
        """Of those that may be evicted, the entry whose value was the first to leave memory."""
        line = self.demoted_line
        if not line or type(self.policy) is Policy:
            return None
        for _time in range(LOOK):
            while line and line[0].entry is None:
                line.popleft()
            if not line:
                return None
            entry = line[0].entry
            if entry is not None and self.is_evictable(entry):
                return entry
            line.rotate(-1)
        return None

    def is_evictable(self, entry: Entry) -> bool:
        """Whether an entry whose value is in a colder tier may be evicted."""
        # a plain policy is `noeviction`
        return (
            entry is not self.shared.pinned
            and type(self.policy) is not Policy
            and not (self.policy.hears_deadlines and entry.expires_at_ms == 0)
        )

    def brought(self, entry: Entry) -> Entry | None:
        """An entry with its value in memory; None if that is lost: then the entry has left.

        Nothing is evicted for it, so that a command may ask for several: what is over the limit
        leaves when the latch is given back.
        """
        index: int = entry.index
        demoted = self.values[index]
        tiering = self.shared.tiering
        if not isinstance(demoted, Demoted) or tiering is None:
            return entry
        found = tiering.withdraw(demoted)
        if found is None:
            self._lose(entry, tiering)
            return None
        self._promote(entry, demoted, found.kind, found.value)
        return entry

    def _lose(self, entry: Entry, tiering: Tiering) -> None:
        demoted = self.value(entry)
        assert isinstance(demoted, Demoted)
        tiering.lost(demoted)
        self.remove(entry, self.fate(entry) or _EVICTED)

    def _promote(self, entry: Entry, demoted: Demoted, kind: u8, held: object) -> None:
        index: int = entry.index
        self.charge(size_of(kind, held) - DEMOTED_BYTES)
        self._unname(entry, demoted)
        self.values[index] = held
        entry.kind = kind
        self._returned(entry)
        shared = self.shared
        if shared.max_bytes != 0 and shared.used_bytes > shared.max_bytes:
            assert shared.tiering is not None
            shared.tiering.is_due = True

    def _returned(self, entry: Entry) -> None:
        """An entry has a value in memory again: its policy takes it for a newcomer."""
        entry.access = int(self.policy.first_access)
        if self.policy.hears:
            self.policy.promoted(entry)
