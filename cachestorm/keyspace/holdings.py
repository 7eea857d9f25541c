"""The holdings: what one namespace contains, what is known of an entry, and what is charged.

What a keyspace is built on: `capacity.py`, `removals.py`, `budget.py`, `writes.py` and
`keyspace.py` each add one job to the class before. Calls the tag index, the expiry index, the
policy and the hot keys, which never call back, but for the policy that asks for weights.

1. Every attribute of a keyspace is made in `__init__`, here and in `telling.py`, before
   anything else sees `self`, so that compiled code finds it at a fixed offset and need not
   check whether it is there.
2. It belongs to the name of the namespace or to what it holds: `swap` exchanges the latter,
   and a test asks which.
3. Nothing here makes an entry come or go, but for `swap`, which exchanges all of them.
4. An entry that is expired, invalidated or stale is dead, reaped or not: `is_live` and
   `fate` say so. So is a hash whose fields are all due.
5. What is charged for an entry is what is refunded when it leaves.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from mypy_extensions import i64, u8

from cachestorm.codec import is_ascii
from cachestorm.entry import DEMOTED, HASH, KIND_MASK, OBJECT, Entry
from cachestorm.events import CHANGED, SPACE, Cause
from cachestorm.eviction.policy import STAMP_MASK, Policy, Scales
from cachestorm.keyspace.expiry import ExpiryIndex, Idle
from cachestorm.keyspace.hot_keys import HotKeys
from cachestorm.keyspace.shared_state import SharedState
from cachestorm.keyspace.slot_index import SlotIndex
from cachestorm.keyspace.tag_index import TagIndex
from cachestorm.keyspace.telling import Telling
from cachestorm.keyspace.tiering import DEMOTED_BYTES, Demoted
from cachestorm.keyspace.waiting import Waiting
from cachestorm.keyspace.watches import Watches
from cachestorm.values.container import Container
from cachestorm.values.hash import NEVER, Hash
from cachestorm.values.weights import weigh, weight_of_ascii

# An entry object, its slots in dict and dense arrays (amortised), and its deadline.
ENTRY_BYTES: Final = 128
KEY_DEADLINE_BYTES: Final = 48
# An idle time: an object and its place in a dict.
IDLE_BYTES: Final = 112
# How many hits of a key its entry keeps to itself before the hot keys are told of them.
FEWEST_TAPS: Final = 4
MOST_TAPS: Final = 128

_EXPIRED: Final = Cause.EXPIRED
_INVALIDATED: Final = Cause.INVALIDATED


def size_of(kind: u8, value: object) -> i64:
    """Bytes that a stored value is charged at."""
    if kind <= OBJECT:
        return weigh(value)
    # asked in this order, so that containers pay nothing for what lies in a colder tier
    if isinstance(value, Container):
        return value.size_bytes
    return DEMOTED_BYTES


def demoted_charge(entry: Entry) -> i64:
    """What an entry is charged at while its value is in a colder tier, but for its tags."""
    return ENTRY_BYTES + DEMOTED_BYTES + weigh(entry.key)


class Holdings(Telling, Scales):
    """The entries of one namespace, with their accounts and statistics."""

    def __init__(self, shared: SharedState, name: str, policy: Policy, hot_keys: bool) -> None:
        super().__init__(shared, name)
        self.policy: Policy = policy
        self.entries: dict[str, Entry] = {}
        self.dense: list[Entry] = []
        self.values: list[object] = []
        self.tags: TagIndex = TagIndex()
        self.expiry: ExpiryIndex = ExpiryIndex(shared.clock.now_ms())
        # None without a cluster
        self.slots: SlotIndex | None = SlotIndex() if shared.keeps_slots else None
        # under which number the ledger has the removals
        self.book: i64 = shared.ledger.open_book()
        # None while no key is watched
        self.watches: Watches | None = None
        # None while nobody waits for a key
        self.waiting: Waiting | None = None
        # how many keys are not ASCII, and so have to be looked at to know what they weigh
        self.wide_keys: i64 = 0
        self.listed: bool = False
        # whether the caller has made room for all that it puts
        self._has_room: bool = False
        self.used_bytes: i64 = 0
        self.max_bytes: i64 = 0
        self.default_ttl_ms: i64 = 0
        # of the entries whose values are in a colder tier: how many there are, what they are
        # charged at, and what stands for them, in the order in which they went; in there may be
        # some that are nobody's any more
        self.demoted_count: i64 = 0
        self.demoted_bytes: i64 = 0
        self.demoted_line: deque[Demoted] = deque()
        # how many of these a walk that takes those out has still to meet
        self.demoted_turns: i64 = 0
        self.hits: i64 = 0
        self.misses: i64 = 0
        self.admitted: i64 = 0
        self.expired: i64 = 0
        self.evicted: i64 = 0
        self.invalidated: i64 = 0
        # the rounds of a walk over all entries that are still to look for fields that are due
        self._field_rounds: i64 = 0
        self._field_place: i64 = 0
        self._policy_size: i64 = 64
        # the policy's last victim, if whoever asked for it could not remove it
        self._condemned: Entry | None = None
        # a copy of the policy's: it is read at every access
        self._access_shift: i64 = policy.access_shift
        self.hot: HotKeys | None = HotKeys(shared.clock.now_ms()) if hot_keys else None
        self._tap_limit: u8 = FEWEST_TAPS
        # last: what comes after it would not count as always there
        policy.weighed_by(self)

    def swap(self, other: Holdings) -> None:
        """Exchanges all that two namespaces hold. O(1).

        With the entries go their tags and links, deadlines, accounts and statistics, and
        what the policy and the ledger know of them. Quota and default time to live stay
        with the name; a quota that is passed now is seen to by the next write.

        Neither has anything left of an invalidation to reap.
        """
        for watches in (self.watches, other.watches):
            if watches is not None:
                self._touch_watched(watches)
                other._touch_watched(watches)
        self.entries, other.entries = other.entries, self.entries
        self.dense, other.dense = other.dense, self.dense
        self.values, other.values = other.values, self.values
        self.tags, other.tags = other.tags, self.tags
        self.expiry, other.expiry = other.expiry, self.expiry
        self.slots, other.slots = other.slots, self.slots
        self.book, other.book = other.book, self.book
        self.policy, other.policy = other.policy, self.policy
        self.wide_keys, other.wide_keys = other.wide_keys, self.wide_keys
        self._field_rounds, other._field_rounds = other._field_rounds, self._field_rounds
        self._field_place, other._field_place = other._field_place, self._field_place
        self._policy_size, other._policy_size = other._policy_size, self._policy_size
        self._condemned, other._condemned = other._condemned, self._condemned
        self._access_shift, other._access_shift = other._access_shift, self._access_shift
        self.used_bytes, other.used_bytes = other.used_bytes, self.used_bytes
        self.demoted_count, other.demoted_count = other.demoted_count, self.demoted_count
        self.demoted_bytes, other.demoted_bytes = other.demoted_bytes, self.demoted_bytes
        self.demoted_line, other.demoted_line = other.demoted_line, self.demoted_line
        self.demoted_turns, other.demoted_turns = other.demoted_turns, self.demoted_turns
        self.hits, other.hits = other.hits, self.hits
        self.misses, other.misses = other.misses, self.misses
        self.admitted, other.admitted = other.admitted, self.admitted
        self.expired, other.expired = other.expired, self.expired
        self.evicted, other.evicted = other.evicted, self.evicted
        self.invalidated, other.invalidated = other.invalidated, self.invalidated
        self.hot, other.hot = other.hot, self.hot
        self._tap_limit, other._tap_limit = other._tap_limit, self._tap_limit
        self.policy.weighed_by(self)
        other.policy.weighed_by(other)
        self.listed = True
        other.listed = True
        self.shared.sequence += 1
        self._look_for_waiting()
        other._look_for_waiting()
        if (self.interest | other.interest) & SPACE:
            self.emit(SPACE, "swapped", other.name)

    def _look_for_waiting(self) -> None:
        """Says which of the keys that somebody waits for are here."""
        if self.waiting is not None:
            for line in self.waiting.lines.values():
                entry = self.entries.get(line.key)
                if entry is not None and entry.kind & KIND_MASK == line.kind:
                    self.shared.ready.append(line)

    def _touch_watched(self, watches: Watches) -> None:
        """Notes, of those watches, which keys are here and live."""
        for key in watches.by_key:
            entry = self.entries.get(key)
            if entry is not None and self.is_live(entry):
                watches.touch(key)

    # -- one entry

    def value(self, entry: Entry) -> object:
        """What is stored: a scalar, a `Boxed` object or a container."""
        index: int = entry.index
        return self.values[index]

    def _volatile_fields(self, entry: Entry) -> Hash | None:
        """The hash of an entry if some of its fields have deadlines, else None."""
        if entry.kind != HASH:
            return None
        value = self.value(entry)
        assert isinstance(value, Hash)
        return None if value.next_due_ms == NEVER else value

    def is_live(self, entry: Entry) -> bool:
        """Whether an entry is neither expired, nor invalidated, nor stale."""
        if entry.expires_at_ms != 0:
            now = self.shared.time_ms()
            # a user's clock may have let others in, who have removed the entry
            if entry.index < 0 or (
                entry.expires_at_ms <= now and self.expiry.deadline_ms(entry) <= now
            ):
                return False
        fields = self._volatile_fields(entry)
        if fields is not None:
            now = self.shared.time_ms()
            if entry.index < 0 or fields.is_spent(now):
                return False
        if entry.tags is None:
            return True
        return self.tags.job_of(entry) is None and not self.tags.is_stale(entry)

    def fate(self, entry: Entry) -> Cause | None:
        """Why an entry is dead, or None while it is live."""
        if entry.expires_at_ms == 0 and entry.tags is None and entry.kind != HASH:
            return None
        if entry.expires_at_ms != 0 and self.expiry.idle:
            self._put_off(entry)
        job = self.tags.job_of(entry)
        deadline = entry.expires_at_ms
        fields = self._volatile_fields(entry)
        if (
            job is not None
            and (deadline == 0 or deadline > job.at_ms)
            and (fields is None or not fields.is_spent(job.at_ms))
        ):
            return _INVALIDATED
        if deadline != 0 and deadline <= self.shared.now_ms():
            return _EXPIRED
        if fields is not None and fields.is_spent(self.shared.now_ms()):
            return _EXPIRED
        if job is not None or self.tags.is_stale(entry):
            return _INVALIDATED
        return None

    # -- deadlines

    def default_deadline(self, now_ms: i64 = 0) -> i64:
        """When a key ends that is written now without a time to live; 0 for never.

        Args:
            now_ms: the time, if the caller has looked.
        """
        if self.default_ttl_ms == 0:
            return 0
        if now_ms == 0:
            now_ms = self.shared.now_ms()
        return now_ms + self.default_ttl_ms

    def _put_off(self, entry: Entry) -> bool:
        """Files an entry under the deadline that its last hit gave it, if that is new."""
        deadline = self.expiry.deadline_ms(entry)
        if deadline == entry.expires_at_ms:
            return False
        self.expiry.move(entry, deadline)
        return True

    def _file(self, entry: Entry, expires_at_ms: i64) -> None:
        if entry.expires_at_ms == 0:
            if expires_at_ms != 0:
                entry.expires_at_ms = expires_at_ms
                self.expiry.add(entry)
                self.charge(KEY_DEADLINE_BYTES)
                if self.policy.hears_deadlines:
                    self.policy.dated(entry)
        elif expires_at_ms != 0:
            self.expiry.move(entry, expires_at_ms)
        else:
            self.expiry.remove(entry)
            entry.expires_at_ms = 0
            self.charge(-KEY_DEADLINE_BYTES)
            if self.policy.hears_deadlines:
                self.policy.dated(entry)

    def idle_of(self, entry: Entry) -> Idle | None:
        """A copy of what an entry has for an idle time."""
        idle = self.expiry.idle.get(entry.key)
        return None if idle is None else idle.copy()

    def set_idle(self, key: str, idle: Idle | None) -> None:
        """Gives an entry that has a deadline an idle time, or ends it."""
        if self.expiry.idle and self.expiry.idle.pop(key, None) is not None:
            self.charge(-IDLE_BYTES)
        if idle is not None:
            self.expiry.idle[key] = idle
            self.charge(IDLE_BYTES)

    # -- accounts

    def charge(self, size: i64) -> None:
        """Adds to the account of this keyspace and of the cache."""
        self.used_bytes += size
        shared = self.shared
        shared.used_bytes += size
        if shared.used_bytes > shared.peak_bytes:
            shared.peak_bytes = shared.used_bytes

    def weigh_key(self, key: str) -> i64:
        """What a key of an entry of this keyspace weighs."""
        if self.wide_keys != 0:
            return weigh(key)
        letters: i64 = len(key)
        return weight_of_ascii(letters)

    def charge_of(self, entry: Entry) -> i64:
        """What a live entry is charged at: what would be refunded if it left now."""
        charge = size_of(entry.kind, self.value(entry)) + ENTRY_BYTES
        charge += self.weigh_key(entry.key)
        if entry.expires_at_ms != 0:
            charge += KEY_DEADLINE_BYTES
        if entry.key in self.expiry.idle:
            charge += IDLE_BYTES
        return charge + self.tags.charge_of(entry)

    # -- accesses

    def _count_access(self, entry: Entry) -> None:
        if entry.expires_at_ms != 0 and self.expiry.idle:
            self.expiry.hit(entry.key, self.shared.time_ms())
        taps: u8 = entry.taps + 1
        if taps < self._tap_limit:
            entry.taps = taps
        else:
            entry.taps = 0
            self._note_hot(entry.key, taps)
        shift = self._access_shift
        if shift >= 0:
            entry.access = int(((self.hits + self.admitted) >> shift) & STAMP_MASK)
        elif int(entry.access) < self.policy.access_cap:
            entry.access += 1
        elif int(entry.access) > self.policy.access_cap:
            self.policy.hit(entry)

    def _note_hot(self, key: str, taps: u8) -> None:
        hot = self.hot
        if hot is None:
            return
        hits: int = taps
        hot.note(key, hits, self.shared.time_ms())
        if self._tap_limit < MOST_TAPS and hot.are_dear(self.hits + self.admitted):
            self._tap_limit *= 2

    # -- what the policy is told

    def weight_at(self, index: i64) -> i64:
        if self.max_bytes == 0 and self.shared.max_bytes == 0:
            return 1
        place: int = index
        entry = self.dense[place]
        return size_of(entry.kind, self.values[place]) + ENTRY_BYTES + self.weigh_key(entry.key)

    def absent_count(self) -> i64:
        return self.demoted_count

    def access_count(self) -> i64:
        return self.hits + self.admitted

    def mean_weight(self) -> i64:
        present: i64 = len(self.dense) - self.demoted_count
        if (self.max_bytes == 0 and self.shared.max_bytes == 0) or present == 0:
            return 1
        return (self.used_bytes - self.demoted_bytes) // present

    # -- what listeners are told

    def configure(self, default_ttl_ms: i64, max_bytes: i64) -> None:
        """Gives the namespace a default time to live and a quota; 0 for none."""
        if default_ttl_ms == self.default_ttl_ms and max_bytes == self.max_bytes:
            return
        self.default_ttl_ms = default_ttl_ms
        self.max_bytes = max_bytes
        self.shared.sequence += 1
        recorder = self.shared.recorder
        if recorder is not None:
            recorder.configured(self.name, int(default_ttl_ms), int(max_bytes))
        if self._heard & SPACE:
            settings = {"default_ttl_ms": int(default_ttl_ms), "max_memory": int(max_bytes)}
            effect = self._effect(SPACE, "settings", "")
            effect.value = settings
            self.shared.effects.record(effect)

    def _written(self, entry: Entry, event: str, delta: object = None) -> None:
        if self.expiry.idle:
            self.expiry.hit(entry.key, self.shared.now_ms())
        self.shared.sequence += 1
        entry.version = self.shared.sequence
        if self.interest & CHANGED:
            self.tell(CHANGED, event, entry, self.value(entry), delta)

    # -- invariants

    def _check(self) -> None:
        """Asserts all invariants. O(everything)."""
        assert len(self.entries) == len(self.dense) == len(self.values)
        charged: i64 = 0
        demoted_count: i64 = 0
        demoted_bytes: i64 = 0
        held_by: set[int] = set()
        for key, entry in self.entries.items():
            assert entry.key == key and type(key) is str
            assert self.dense[entry.index] is entry
            value = self.value(entry)
            if isinstance(value, Container):
                assert len(value) > 0, f"empty container at {key!r}"
            assert isinstance(value, Demoted) == (entry.kind & DEMOTED != 0)
            if isinstance(value, Demoted):
                assert value.entry is entry
                held_by.add(id(value))
                demoted_count += 1
                demoted_bytes += demoted_charge(entry)
            charged += size_of(entry.kind, value) + ENTRY_BYTES + weigh(key)
            if entry.expires_at_ms:
                charged += KEY_DEADLINE_BYTES
            if key in self.expiry.idle:
                charged += IDLE_BYTES
            assert 0 < entry.version <= self.shared.sequence
            if self.waiting is not None and not self.shared.in_transaction():
                is_awaited = (int(entry.kind & KIND_MASK), key) in self.waiting.lines
                assert not (is_awaited and self.is_live(entry))
        assert self.wide_keys == sum(not is_ascii(key) for key in self.entries)
        assert (self.demoted_count, self.demoted_bytes) == (demoted_count, demoted_bytes)
        named = [id(each) for each in self.demoted_line if each.entry is not None]
        assert len(named) == demoted_count and set(named) == held_by
        if self.waiting is not None:
            self.waiting._check()
        self.expiry._check(self.entries)
        self.policy._check(self.dense)
        self.tags._check(self.entries)
        if self.slots is not None:
            self.slots._check(self.dense)
        assert charged + self.tags.size_bytes(self.dense) == self.used_bytes
