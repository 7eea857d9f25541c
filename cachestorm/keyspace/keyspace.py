"""The keyspace: the entries of one namespace, with one way in and one way out.

Called by commands, which hold the latch (a compiled `read` may go without). A chain of five
modules, each with the base class of the next, because compiled code calls along a chain
directly: `holdings.py` is the content, `removals.py` the way out, `budget.py` the limits,
`writes.py` the way in. This one reads, and works on whole tags.

1. `put` is the only way in and `remove` the only way out. Nothing else knows all of dict,
   dense arrays, expiry, tags, accounts, policy, ledger and effects.
2. `entries`, `dense` and `values` agree at every step another thread could see.
3. `read` and `find` return no dead entry, and nothing that belongs to one.
4. A tag is softened and linked in one step, however many entries bear it.
"""

from __future__ import annotations

from mypy_extensions import i64, u8

from cachestorm.entry import DEMOTED, KIND_MASK, OBJECT, STRING, Entry
from cachestorm.errors import WrongTypeError
from cachestorm.events import ABSENT, HIT, MISS, TAG_EVENTS, TAGS
from cachestorm.keyspace.hot_keys import CAPACITY
from cachestorm.keyspace.misses import EVERY
from cachestorm.keyspace.tag_hierarchy import HIERARCHY_BYTES
from cachestorm.keyspace.tag_nodes import Invalidation
from cachestorm.keyspace.tiering import (
    COLD,
    PENDING,
    PROMOTING_HITS,
    Demoted,
    Held,
    tier_of,
)
from cachestorm.keyspace.waiting import Waiter, Waiting
from cachestorm.keyspace.watches import Watch, Watches
from cachestorm.keyspace.writes import Writes
from cachestorm.values.buffer import Buffer
from cachestorm.values.weights import unbox


class Keyspace(Writes):
    """The keys of one namespace, their values, deadlines and tags."""

    def leave(self) -> None:
        """Gives the latch back that the caller holds; see `SharedState.leave`."""
        self.shared.leave()

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
            # before the access is counted: that may run a finalizer, which may remove the key
            index: int = entry.index
            value = self.values[index]
            kind = entry.kind
            self.hits += 1
            self._count_access(entry)
            if kind == STRING:
                return value
            if kind == OBJECT:
                return unbox(value)
            if isinstance(value, Buffer):
                return value.whole()
            if not isinstance(value, Demoted) or kind & KIND_MASK > OBJECT:
                raise WrongTypeError()
            return self._read_demoted(key, entry, value, default)
        self.misses += 1
        if self.misses & (EVERY - 1) == 1:
            self.shared.missed.note(self.book, key)
        return default

    def _read_demoted(
        self, key: str, entry: Entry, demoted: Demoted, default: object
    ) -> object:
        """What a key stores in a colder tier, with the latch or without it.

        On an SSD it stays until it is hit for the second time: what is asked for once would
        drive something out of memory that is asked for more often. From beyond it comes back at
        once, as a read of it takes longer than all that could gain.
        """
        shared = self.shared
        tiering = shared.tiering
        assert tiering is not None
        found = tiering.read(demoted)
        is_latched = shared.latch.is_mine()
        if not is_latched:
            shared.enter()
        try:
            index: i64 = int(entry.index)
            # else it was written to, deleted, or moved to memory in the meantime
            if 0 <= index < len(self.values) and self.values[index] is demoted:
                if found is None:
                    if not tiering.keeps(demoted):
                        self._lose(entry, tiering)
                else:
                    demoted.hits += 1
                    if demoted.hits >= PROMOTING_HITS or tier_of(demoted.place) == COLD:
                        tiering.returned(demoted)
                        self._promote(entry, demoted, found.kind, found.value)
            elif found is None and not is_latched:
                self.hits -= 1
                return self.read(key, default)
        finally:
            if not is_latched:
                shared.leave()
        if found is None:
            self.hits -= 1
            self.misses += 1
            return default
        return unbox(found.value)

    def peek_value(self, key: str) -> Entry | None:
        """What `peek` gives, for a caller who looks at the value: that is in memory then."""
        entry = self.peek(key)
        if entry is not None and entry.kind >= DEMOTED:
            return self.brought(entry)
        return entry

    def look(self, entry: Entry) -> Held | None:
        """What a live entry holds, for a caller who changes nothing; it stays where it is.

        Returns:
            None if it is in a colder tier, and lost there; the entry has left then.
        """
        value = self.value(entry)
        if not isinstance(value, Demoted):
            return Held(entry.kind, value)
        tiering = self.shared.tiering
        assert tiering is not None
        found = tiering.read(value)
        if found is None:
            self._lose(entry, tiering)
        return found

    def is_here(self, entry: Entry) -> bool:
        """Whether an entry that was there before room was made is still; with its value."""
        if entry.index < 0:
            return False
        return entry.kind < DEMOTED or self.brought(entry) is not None

    def wanted(self, key: str, is_whole: bool = False) -> list[Demoted]:
        """What is to be read from a disk for a key, if anything: one or none. No access.

        Args:
            is_whole: whether a container is of no use.
        """
        entry = self.entries.get(key)
        if (
            entry is not None
            and entry.kind >= DEMOTED
            and not (is_whole and entry.kind & KIND_MASK > OBJECT)
        ):
            demoted = self.value(entry)
            assert isinstance(demoted, Demoted)
            if tier_of(demoted.place) != PENDING:
                return [demoted]
        return []

    def wanted_by(self, keys: list[str], is_whole: bool = False) -> list[Demoted]:
        """What is to be read without the latch for some keys. The caller holds it.

        Nothing within a transaction, which does not give it back, nor what was read ahead.

        Args:
            is_whole: as of `wanted`.
        """
        wanted: list[Demoted] = []
        tiering = self.shared.tiering
        if tiering is None or self.shared.in_transaction():
            return wanted
        for key in keys:
            for demoted in self.wanted(key, is_whole):
                if not tiering.has_read(demoted):
                    wanted.append(demoted)
        return wanted

    def read_ahead(self, wanted: list[Demoted]) -> None:
        """Reads what `wanted_by` gave. The caller does not hold the latch."""
        tiering = self.shared.tiering
        if tiering is None:
            # it was closed meanwhile
            return
        try:
            tiering.read_ahead(wanted)
        except BaseException:
            tiering.forget(wanted)
            raise

    def bring(self, keys: list[str], wanted: list[Demoted]) -> None:
        """Has what was read ahead come to memory. The caller holds the latch."""
        tiering = self.shared.tiering
        if tiering is None:
            return
        for key in keys:
            entry = self.entries.get(key)
            if entry is not None and entry.kind >= DEMOTED and self.is_live(entry):
                demoted = self.value(entry)
                assert isinstance(demoted, Demoted)
                # else it is another value by now, or went there just now
                if tiering.has_read(demoted):
                    self.brought(entry)
        tiering.forget(wanted)

    def tier_of(self, entry: Entry) -> str:
        """Where an entry's value is: in `memory`, or in a tier."""
        value = self.value(entry)
        tiering = self.shared.tiering
        if not isinstance(value, Demoted) or tiering is None:
            return "memory"
        return tiering.name_of(value)

    def demote(self, entry: Entry) -> bool:
        """Has a live entry's value go to a colder tier. Returns whether it is in one now."""
        return entry.kind >= DEMOTED or self._demote(entry)

    def find(self, key: str) -> Entry | None:
        """The live entry of a key, its value in memory; an access. A dead one is removed."""
        entry = self.peek(key)
        if entry is not None and entry.kind >= DEMOTED:
            entry = self.brought(entry)
        if entry is None:
            self.misses += 1
            if self.misses & (EVERY - 1) == 1:
                self.shared.missed.note(self.book, key)
            if self.interest & MISS:
                self.emit(MISS, "keymiss", key)
            return None
        self.hits += 1
        if self.interest & HIT:
            self.emit(HIT, "hit", key)
        self._count_access(entry)
        return entry

    def read_and_tell(self, key: str, default: object) -> object:
        """What `read` does, for a caller who holds the latch, and tells of it."""
        misses = self.misses
        value = self.read(key, default)
        if self.misses != misses:
            if self.interest & MISS:
                self.emit(MISS, "keymiss", key)
        elif self.interest & HIT:
            self.emit(HIT, "hit", key)
        return value

    def note_absent(self, key: str) -> None:
        """Tells of the deletion of a key that is not there: no load may bring it back."""
        if self.interest & ABSENT:
            self.shared.sequence += 1
            self.emit(ABSENT, "absent", key)

    def hot_keys(self, count: int) -> list[tuple[str, int]]:
        """The keys that are hit most, lately, and how often, hottest first.

        Source: `hot_keys.py`, which says how exact the counts are.
        """
        if self.hot is None:
            return []
        now = self.shared.now_ms()
        # those that are told of late may belong before the last of these
        found: list[tuple[int, str]] = []
        for key, counted in self.hot.top(CAPACITY, now):
            entry = self.entries.get(key)
            if entry is not None and self.is_live(entry):
                taps: int = entry.taps
                found.append((-(round(counted) + taps), key))
        found.sort()
        return [(key, -counted) for counted, key in found[:count] if counted]

    # -- counts

    def key_count(self) -> int:
        """How many keys there are: those that are due and not yet reaped count, stale ones not.

        This count and those below are exact once all stale entries are counted
        (`TagIndex.count_stale`).
        """
        return int(i64(len(self.dense)) - self.tags.stale)

    def volatile_count(self) -> int:
        """How many keys have a deadline."""
        return int(self.expiry.count - self.tags.stale_volatile)

    def tag_count(self) -> int:
        """How many tags have keys."""
        return int(i64(len(self.tags.nodes)) - self.tags.hidden)

    # -- watches

    def watch(self, key: str) -> Watch:
        """Begins to watch a checked key; `unwatch` ends it."""
        was_there = self.peek(key) is not None
        watch = Watch(key, self.shared.sequence, was_there)
        if self.watches is None:
            self.watches = Watches()
        self.watches.add(watch)
        return watch

    def unwatch(self, watch: Watch) -> None:
        """Ends a watch; nothing if it has ended."""
        if self.watches is not None:
            self.watches.discard(watch)
            if not self.watches.by_key:
                self.watches = None

    def is_touched(self, watch: Watch) -> bool:
        """Whether anything that a client sees of the key has changed since the watch began."""
        # first: what is due leaves, and is noted
        entry = self.peek(watch.key)
        if watch.is_touched:
            return True
        if entry is None:
            return watch.was_there
        return not watch.was_there or entry.version > watch.since

    # -- waiting

    def wait(self, waiter: Waiter) -> None:
        """Has one served as soon as one of its keys holds something; `end_wait` ends it."""
        if self.waiting is None:
            self.waiting = Waiting(self._holds)
        self.waiting.add(waiter)

    def _holds(self, key: str, kind: u8) -> bool:
        entry = self.peek(key)
        return entry is not None and entry.kind & KIND_MASK == kind

    def end_wait(self, waiter: Waiter) -> None:
        """Ends the waiting of one; nothing if it does not wait."""
        if self.waiting is not None:
            self.waiting.discard(waiter)
            if not self.waiting.lines:
                self.waiting = None

    # -- tags

    def add_tags(self, entry: Entry, tags: list[str]) -> None:
        """Gives a live entry more tags.

        Args:
            tags: checked, without duplicates, and none that it bears.

        Raises:
            OutOfMemoryError: if there is no room and no victim.
        """
        if self._is_bounded():
            self._make_room_with(tags, 0, 0, entry)
        self.shared.sequence += 1
        entry.version = self.shared.sequence
        self.charge(self.tags.link(entry, tags))
        if self.interest & TAGS:
            self.tell(TAGS, "tags", entry, None)

    def keep_tags(self, entry: Entry, tags: list[str]) -> None:
        """Leaves a live entry some of its tags, in their order; maybe none."""
        entry = self._renew(entry)
        self.shared.sequence += 1
        entry.version = self.shared.sequence
        if tags:
            self.charge(self.tags.link(entry, tags))
        if self.interest & TAGS:
            self.tell(TAGS, "tags", entry, None)

    def soften(self, descent: dict[str, str]) -> i64:
        """Makes the entries of tags stale, O(1) a tag: readers miss them.

        Args:
            descent: the tags, each with the parent by which it was reached, or "".

        Returns:
            How many were fresh; an entry that bears two of the tags counts twice.
        """
        self.shared.sequence += 1
        self.shared.invalidations += len(descent)
        job = Invalidation(self.shared.sequence, self.shared.now_ms())
        self.shared.ledger.remember(job, descent)
        softened = self.tags.soften(descent, job)
        if self.interest & TAG_EVENTS:
            for name in descent:
                self.emit(TAG_EVENTS, "softened", name)
        return softened

    def link_tags(self, parent: str, child: str) -> None:
        """Makes a tag the child of another.

        Raises:
            TagError: if the link would close a cycle.
            OutOfMemoryError: if there is no room and no victim.
        """
        if self._is_bounded():
            self._make_room(HIERARCHY_BYTES, 0)
        if self.tags.hierarchy.add(parent, child):
            self.charge(HIERARCHY_BYTES)
        self.shared.sequence += 1
        self.listed = True
        if self.interest & TAG_EVENTS:
            self._tell_link("linked", parent, child)

    def unlink_tags(self, parent: str, child: str) -> None:
        """Takes the link between two tags away, if there is one."""
        if self.tags.hierarchy.remove(parent, child):
            self.charge(-HIERARCHY_BYTES)
        self.shared.sequence += 1
        if self.interest & TAG_EVENTS:
            self._tell_link("unlinked", parent, child)

    def _tell_link(self, event: str, parent: str, child: str) -> None:
        recorder = self.shared.recorder
        if recorder is not None:
            recorder.linked(self.name, event, parent, child)
            if self._heard & TAG_EVENTS == 0:
                return
        effect = self._effect(TAG_EVENTS, event, parent)
        effect.tags = (child,)
        self.shared.effects.record(effect)
