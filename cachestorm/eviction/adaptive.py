"""`adaptive`, the default: about as good as the best of LRU, LFU and their successors.

The queues keep the order of the keyspace's entries; the tournament finds out, on a
sample of the keys, by which arm they should.

1. A hit counts in `Entry.access`, up to 15, and does nothing else. An entry of a sampled
   key has a higher access, which is the number of its record; each hit of it is told.
2. Nothing is made before the keyspace is half full: a cache that never fills pays nothing.
   Then the order takes in the entries that are there, some at each newcomer, so that no step
   is long; all of them are in it before the keyspace is full. What is made grows with what
   has been taken in, not with what the limit allows.
3. The order contains exactly the entries before `_taken_in` in the dense array, but for those
   whose values are in a colder tier: to the order, such an entry has been evicted.
4. The capacity is how many entries there are when a victim is asked for. So limits in bytes, in
   entries and by quota work alike, and changing them needs no call.
5. Where the limit is in bytes, the window is narrower while newcomers are heavy, and one that
   weighs more than the victim must have been seen more often by the same factor, since it
   displaces as many.
6. Small caches play without a tournament: a sample of so few keys says nothing.

Source: see `queues.py` and `tournament.py`, and docs/eviction.md for what was measured.
"""

from __future__ import annotations

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from cachestorm.entry import DEMOTED, Entry
from cachestorm.eviction.policy import Policy, Scales
from cachestorm.eviction.queues import FIRST, MOST_HITS, Queues, extended
from cachestorm.eviction.shadow import NOWHERE
from cachestorm.eviction.table import PART
from cachestorm.eviction.tournament import ARMS, Tournament

# The access of an entry of a sampled key is its record's number and this.
SAMPLED: Final = MOST_HITS + 1
# below 1 << 62: compiled code keeps a larger constant in an object
HASH_MASK: Final = 0x3FFFFFFFFFFFFFFF
LEAST_TOURNAMENT: Final = 16
# How many entries the order takes in at once, in about a millisecond, and at each newcomer.
STEP: Final = 4096
SHARE: Final = 4
# The capacity is taken anew when it is off by more than one in so many.
TOLERANCE: Final = 32
MOST_TIMES: Final = 15
# One newcomer in so many and one is weighed, and the weight averaged over so many of these.
WEIGHED: Final = 3
RECENT: Final = 8


class EntryQueues(Queues):
    """The queues over the entries of a keyspace."""

    def __init__(self, capacity: i64, tournament: Tournament | None) -> None:
        self.dense: list[Entry] = []
        self.scales: Scales | None = None
        self.tournament: Tournament | None = tournament
        # of the keys: a hand need not touch entry and key, which lie anywhere in memory
        self._hashes: vec[i64] = vec[i64]()
        # what newcomers weighed lately, and how many come before the next is weighed
        self._newcomer: i64 = 0
        self._unweighed: i64 = 0
        super().__init__(ARMS[0], capacity, min(capacity, PART))

    def hits(self, node: i64) -> i64:
        access: i64 = int(self.dense[node - FIRST].access)
        if access >= SAMPLED:
            assert self.tournament is not None
            return self.tournament.records.live_hits[access - SAMPLED]
        return access

    def set_hits(self, node: i64, hits: i64) -> None:
        entry = self.dense[node - FIRST]
        access: i64 = int(entry.access)
        if access >= SAMPLED:
            assert self.tournament is not None
            self.tournament.records.live_hits[access - SAMPLED] = hits
        else:
            entry.access = int(hits)

    def hashed(self, node: i64) -> i64:
        return self._hashes[node]

    def admit(self, node: i64, hashed: i64) -> None:
        self._unweighed -= 1
        if self._unweighed < 0:
            self._unweighed = WEIGHED
            if self.scales is not None:
                self._weigh_in(self.scales, node - FIRST)
        if len(self._hashes) <= node:
            self._hashes = extended(self._hashes, node, 0)
            self.expect(node)
        self._hashes[node] = hashed
        super().admit(node, hashed)

    def renumber(self, node: i64, number: i64) -> None:
        self._hashes[number] = self._hashes[node]
        super().renumber(node, number)

    def _weigh_in(self, scales: Scales, index: i64) -> None:
        """Narrows the window while newcomers are heavy: its share is one of bytes."""
        self._newcomer += (scales.weight_at(index) - self._newcomer) // RECENT
        mean = scales.mean_weight()
        if self._newcomer <= mean:
            self._most_window = self._window_share
            return
        narrow = self._window_share * mean // self._newcomer
        self._most_window = narrow if narrow > 1 else 1

    def outweighs(self, node: i64, other: i64) -> i64:
        if self.scales is None:
            return 1
        heavy = self.scales.weight_at(node - FIRST)
        light = self.scales.weight_at(other - FIRST) + 1
        times = heavy // light
        if times < 1:
            return 1
        return times if times < MOST_TIMES else MOST_TIMES


def hashed(key: str) -> i64:
    """The hash of a key, not negative. It is salted, so no client can choose it."""
    found: i64 = hash(key)
    return found & HASH_MASK


class Adaptive(Policy):
    """Three clocks, three rules, and a tournament of five arms."""

    def __init__(self) -> None:
        super().__init__()
        self.access_shift = -1
        self.access_cap = MOST_HITS
        self._queues: EntryQueues | None = None
        self._tournament: Tournament | None = None
        self._taken_in: i64 = 0

    @property
    def arm(self) -> str:
        """The name of the arm that is in force; empty while there is no pressure."""
        return "" if self._queues is None else self._queues.arm.name

    def hit_ratios(self) -> dict[float, float]:
        return {} if self._tournament is None else self._tournament.curve.hit_ratios()

    def weighed_by(self, scales: Scales) -> None:
        self.scales = scales
        if self._queues is not None:
            self._queues.scales = scales
        if self._tournament is not None:
            self._tournament.weighed_by(scales)

    # -- waking up

    def resized(self, dense: list[Entry], capacity: i64) -> None:
        if capacity == 0:
            return
        queues = self._queues
        if queues is None:
            if self._present(dense) * 2 >= capacity:
                self._wake(dense, capacity)
        elif capacity > queues.capacity:
            self._fit(dense, capacity)

    def _present(self, dense: list[Entry]) -> i64:
        """How many entries have their values in memory."""
        present: i64 = len(dense)
        scales = self.scales
        # no conditional expression: compiled, it would make an object of either number
        if scales is not None:
            present -= scales.absent_count()
        return present

    def _wake(self, dense: list[Entry], capacity: i64) -> None:
        self.hears = True
        if capacity >= LEAST_TOURNAMENT:
            self._tournament = Tournament(capacity, self.scales)
        self._queues = EntryQueues(capacity, self._tournament)
        self._queues.dense = dense
        self._queues.scales = self.scales
        self._go_on(dense, STEP)

    def _go_on(self, dense: list[Entry], most: i64) -> None:
        """Takes in the next entries."""
        size: i64 = len(dense)
        last = min(self._taken_in + most, size)
        while self._taken_in < last:
            place: int = self._taken_in
            self._taken_in += 1
            if dense[place].kind < DEMOTED:
                self._take_in(dense[place])

    def _fit(self, dense: list[Entry], capacity: i64) -> None:
        queues = self._queues
        assert queues is not None
        queues.set_capacity(capacity)
        tournament = self._tournament
        if tournament is not None and tournament.is_fit_for(capacity):
            tournament.resize(capacity)
            return
        self._unsample(dense)
        self._tournament = None
        if capacity >= LEAST_TOURNAMENT:
            self._tournament = Tournament(capacity, self.scales)
            if tournament is not None:
                self._tournament.inherit(tournament)
        queues.tournament = self._tournament

    def _unsample(self, dense: list[Entry]) -> None:
        """Gives sampled entries their hits back; the records are forgotten."""
        tournament = self._tournament
        if tournament is None:
            return
        records = tournament.records
        for place, hits in zip(records.places, records.live_hits):
            if place != NOWHERE:
                dense[place].access = int(hits)

    # -- what the keyspace tells

    def admitted(self, entry: Entry) -> None:
        index: i64 = int(entry.index)
        if index < self._taken_in:
            self._take_in(entry)
            return
        assert self._queues is not None
        self._go_on(self._queues.dense, SHARE)

    def _take_in(self, entry: Entry) -> None:
        queues = self._queues
        assert queues is not None
        index: i64 = int(entry.index)
        key_hash = hashed(entry.key)
        tournament = self._tournament
        if tournament is not None and tournament.is_sampled(key_hash):
            record = tournament.records.find(key_hash)
            # two keys of one hash share a record, which belongs to the first
            if record != NOWHERE and tournament.records.places[record] == NOWHERE:
                records = tournament.records
                hits: i64 = int(entry.access)
                records.places[record] = index
                records.live_hits[record] = hits
                records.holders[record] += 1
                entry.access = int(record + SAMPLED)
                tournament.held += 1
                if hits == 0:
                    tournament.access(record)
                else:
                    # it was there before the shadows were
                    tournament.seed(record, hits)
                queues.admit(index + FIRST, key_hash)
                self._follow()
                return
        queues.admit(index + FIRST, key_hash)

    def hit(self, entry: Entry) -> None:
        tournament = self._tournament
        assert tournament is not None
        record: i64 = int(entry.access) - SAMPLED
        records = tournament.records
        if records.live_hits[record] < MOST_HITS:
            records.live_hits[record] += 1
        tournament.access(record)
        self._follow()

    def _follow(self) -> None:
        queues = self._queues
        tournament = self._tournament
        assert queues is not None and tournament is not None
        if tournament.judged:
            tournament.judged = False
            tournament.fit(tournament.held * queues.capacity // queues.count())
        best: int = tournament.best
        arm = ARMS[best]
        if queues.arm is not arm:
            queues.set_arm(arm)

    def moved(self, entry: Entry, former_index: i64) -> None:
        queues = self._queues
        assert queues is not None
        index: i64 = int(entry.index)
        if entry.kind >= DEMOTED:
            return
        if former_index >= self._taken_in:
            if index < self._taken_in:
                self._take_in(entry)
            return
        queues.renumber(former_index + FIRST, index + FIRST)
        access: i64 = int(entry.access)
        if access >= SAMPLED:
            assert self._tournament is not None
            self._tournament.records.places[access - SAMPLED] = index

    def removed(self, entry: Entry, evicted: bool) -> None:
        queues = self._queues
        assert queues is not None
        index: i64 = int(entry.index)
        if index >= self._taken_in or entry.kind >= DEMOTED:
            return
        node = index + FIRST
        access: i64 = int(entry.access)
        hits = access
        if access >= SAMPLED:
            tournament = self._tournament
            assert tournament is not None
            record = access - SAMPLED
            hits = tournament.records.live_hits[record]
            tournament.records.places[record] = NOWHERE
            tournament.held -= 1
            if not evicted:
                tournament.forget(record)
            tournament.records.release(record)
        queues.drop(node, queues.hashed(node), hits, evicted)

    def demoted(self, entry: Entry) -> None:
        self.removed(entry, True)

    def promoted(self, entry: Entry) -> None:
        index: i64 = int(entry.index)
        if index < self._taken_in:
            self._take_in(entry)

    def cleared(self, dense: list[Entry]) -> None:
        queues = self._queues
        if queues is None:
            return
        queues.clear()
        queues.dense = dense
        self._taken_in = 0
        former = self._tournament
        if former is not None:
            self._tournament = Tournament(queues.capacity, self.scales)
            self._tournament.inherit(former)
            queues.tournament = self._tournament

    def dismissed(self, dense: list[Entry]) -> None:
        self._unsample(dense)

    # -- whom to evict

    def victim(
        self, dense: list[Entry], accesses: i64, now_ms: i64, kept: Entry | None
    ) -> Entry | None:
        size: i64 = len(dense)
        capacity = self._present(dense)
        if capacity == 0:
            return None
        queues = self._queues
        if queues is None:
            self._wake(dense, capacity)
            queues = self._queues
            assert queues is not None
        queues.dense = dense
        if self._taken_in < size:
            self._go_on(dense, STEP)
            if queues.count() == 0:
                return None
        if capacity != queues.capacity and not self.is_settled(capacity):
            self._fit(dense, capacity)
        for _turn in range(4):
            node = queues.choose()
            entry = dense[node - FIRST]
            if entry is not kept:
                return entry
            queues.keep(node)
        # among a few entries the hand comes back to the one that is kept
        if dense[0] is not kept:
            return dense[0]
        return dense[1] if size > 1 else None

    def is_wonder(self, entry: Entry) -> bool:
        queues = self._queues
        index: i64 = int(entry.index)
        node = index + FIRST
        if queues is None or not queues.is_in(node) or queues.hits(node) != 0:
            return False
        # it was counted as it came
        return queues.sketch.estimate(queues.hashed(node)) <= 1

    def is_settled(self, size: i64) -> bool:
        queues = self._queues
        if queues is None or self._taken_in < size:
            return False
        off = size - queues.capacity
        return (off if off > 0 else -off) <= size // TOLERANCE

    def _check(self, dense: list[Entry]) -> None:
        queues = self._queues
        if queues is None:
            return
        held: i64 = 0
        taken_in: i64 = 0
        for entry in dense:
            index: i64 = int(entry.index)
            if index >= self._taken_in or entry.kind >= DEMOTED:
                assert not queues.is_in(index + FIRST)
                assert 0 <= entry.access <= MOST_HITS
                continue
            taken_in += 1
            assert queues.is_in(index + FIRST)
            assert queues.hashed(index + FIRST) == hashed(entry.key)
            if entry.access >= SAMPLED:
                assert self._tournament is not None
                record: i64 = int(entry.access) - SAMPLED
                assert self._tournament.records.places[record] == index
                assert self._tournament.records.hashes[record] == hashed(entry.key)
                held += 1
            else:
                assert 0 <= entry.access <= MOST_HITS
        assert queues.count() == taken_in
        if self._tournament is not None:
            assert held == self._tournament.held
            self._tournament._check(held)
        assert queues.dense is dense
        queues._check()
