"""The store: the namespaces of one cache under one latch and one memory limit.

Made by `Cache`; its keyspaces are what commands work on. Adds to the shared state what needs
all keyspaces at once: names, limits, steps of reaping.

1. A name has one keyspace object as long as anybody can reach it: it has keys or settings of
   its own, or a view of it is alive, which keeps a `NamespaceReference`. One that nobody can
   reach is forgotten: at once when it is deleted, otherwise when as many new ones have been
   made. The default and the databases stay.
2. The cache's limit evicts in a keyspace drawn at random by number of entries, so that
   a victim comes from anywhere; a quota evicts inside its namespace. Among many keyspaces
   it is drawn by a census, which is good for as many draws as there is an eighth of all
   entries: what has shrunk since is drawn as seldom as it should be, what has grown more so.
"""

from __future__ import annotations

import weakref
from typing import Final

from librt.random import Random
from mypy_extensions import i64, mypyc_attr

from cachestorm.clock import Clock
from cachestorm.codec import checked_text
from cachestorm.errors import ArgumentError, NamespaceError
from cachestorm.events import READS
from cachestorm.eviction.policies import make_policy
from cachestorm.eviction.sampled import Sampled
from cachestorm.keyspace.effects import Listening, Tap
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.recorder import Recorder
from cachestorm.keyspace.removals import REAP_STEP
from cachestorm.keyspace.shared_state import SharedState

DEFAULT: Final = "default"
LONGEST_NAME: Final = 128
DATABASES: Final = 16
# At a time, beside the databases.
MOST_SPACES: Final = 10_000
# With fewer than so many nobody looks for those that can be given back.
FEW_SPACES: Final = 64
# So many are all asked how many entries they reference, for every victim.
FEW_TO_WALK: Final = 8

_NUMBERED: Final = frozenset({DEFAULT, *(f"db{number}" for number in range(1, DATABASES))})


# not compiled: there are weak references to it
@mypyc_attr(native_class=False)
class NamespaceReference:
    """What every view of a namespace has of it: while it is alive, the keyspace stays."""


def database_name(number: object) -> str:
    """The namespace that SELECT calls by a number: 0 is the default, n is `db<n>`.

    Raises:
        ArgumentError: for a number that is not a database.
        TypeError: for anything that is not an `int`.
    """
    if not isinstance(number, int):
        raise TypeError(f"a database is a number from 0 to {DATABASES - 1}, not {number!r}")
    # a bool is the number that it is, and no method of a class of a user's runs here
    number = int.__int__(number)
    if not 0 <= number < DATABASES:
        raise ArgumentError("DB index is out of range")
    return DEFAULT if number == 0 else f"db{number}"


class Store(SharedState):
    """All keyspaces of one cache."""

    def __init__(
        self,
        clock: Clock,
        max_bytes: int,
        max_entries: int,
        policy: str,
        sample_size: int,
        hot_keys: bool,
    ) -> None:
        super().__init__(clock, max_bytes, max_entries)
        self._hot_keys: Final = hot_keys
        self.policy_name: str = policy
        self.sample_size: int = sample_size
        self._random: Final = Random()
        self._spaces: Final[dict[str, Keyspace]] = {}
        self._references: Final[weakref.WeakValueDictionary[str, NamespaceReference]] = (
            weakref.WeakValueDictionary()
        )
        # of the namespaces that the cache was made with
        self.kept: Final[list[NamespaceReference]] = []
        # how many there are when the next look is taken for those to give back
        self._crowd: int = FEW_SPACES
        # the census: those that held entries, and how many these and all before them held
        self._census: list[Keyspace] = []
        self._ends: list[int] = []
        # for how many draws it is still good
        self._draws: i64 = 0
        # what those that were given back had counted
        self._past: Final[dict[str, int]] = {}
        # what keeps this cache on disk: see `cachestorm/durability/directory.py`
        self.directory: object = None
        # by namespace, what loads values into it: see `cachestorm/loading/engine.py`
        self.loadings: Final[dict[str, object]] = {}
        self.space(DEFAULT).listed = True

    def space(self, name: str) -> Keyspace:
        """The keyspace of a namespace, made on demand.

        A caller that keeps it beyond this visit gets a `reference` to it in the same one.

        Raises:
            NamespaceError: for a name that is not 1 to 128 printable characters without
                spaces, or when there are `MOST_SPACES`.
        """
        space = self._spaces.get(name)
        if space is None:
            name = _checked_name(name)
            if name not in _NUMBERED and len(self._spaces) >= self._crowd:
                self._give_back()
            policy = make_policy(self.policy_name, self.sample_size)
            space = Keyspace(self, name, policy, self._hot_keys)
            self._spaces[name] = space
        return space

    def reference(self, space: Keyspace) -> NamespaceReference:
        """What keeps a keyspace from being given back, for as long as it is referred to."""
        reference = self._references.get(space.name)
        if reference is None:
            reference = NamespaceReference()
            self._references[space.name] = reference
        return reference

    def _give_back(self) -> None:
        """Forgets the keyspaces that nobody can reach. O(N), which as many new ones share.

        Raises:
            NamespaceError: if all places are taken.
        """
        for space in list(self._spaces.values()):
            if not (self._is_kept(space) or space.name in self._references):
                self._forget(space)
        count = len(self._spaces)
        if count >= MOST_SPACES:
            raise NamespaceError(f"there are {MOST_SPACES} namespaces, and no more can be")
        self._crowd = min(max(2 * count, FEW_SPACES), MOST_SPACES)

    def _is_kept(self, space: Keyspace) -> bool:
        """Whether it holds something or has settings, or its name is one of those that stay."""
        return (
            len(space.dense) != 0
            or space.used_bytes != 0
            or space.tags.bulk() != 0
            or space.max_bytes != 0
            or space.default_ttl_ms != 0
            or space.name in _NUMBERED
        )

    def _forget(self, space: Keyspace) -> None:
        for what, count in counted(space).items():
            self._past[what] = self._past.get(what, 0) + count
        del self._spaces[space.name]
        self.loadings.pop(space.name, None)
        # it must not keep what is forgotten
        self._census = []
        self._draws = 0

    def listed(self) -> list[Keyspace]:
        """The namespaces there are.

        The default, those that hold something or have settings, and those that somebody
        has a view of and made by name or wrote to; a deleted one from the next write on.
        """
        return [space for space in self._spaces.values() if self._is_listed(space)]

    def _is_listed(self, space: Keyspace) -> bool:
        if space.dense or space.name == DEFAULT:
            return True
        return space.listed and (
            space.used_bytes != 0
            or space.max_bytes != 0
            or space.default_ttl_ms != 0
            or space.name in self._references
        )

    def found(self, name: str) -> Keyspace:
        """The namespace of a name, if it is one of those `listed`. O(1).

        Raises:
            NamespaceError: if there is none of that name.
        """
        space = self._spaces.get(name)
        if space is None or not self._is_listed(space):
            raise NamespaceError("namespace not found")
        return space

    def drop(self, name: str) -> None:
        """Deletes a namespace. O(1) for the caller.

        Raises:
            NamespaceError: if there is none of that name, or it is the default.
        """
        if name == DEFAULT:
            raise NamespaceError("cannot delete default namespace")
        space = self.found(name)
        space.flush()
        space.book = self.ledger.open_book()
        space.listed = False
        space.configure(0, 0)
        if not (self._is_kept(space) or name in self._references):
            self._forget(space)

    def listen(self, listening: Listening) -> None:
        """Adds a listener; it is told of every effect from now on."""
        self.effects.listen(listening)
        self._attend()

    def unlisten(self, listener: object) -> None:
        """Takes a listener away; one that was never added is ignored."""
        self.effects.unlisten(listener)
        self._attend()

    def tap(self, tap: Tap) -> None:
        """Keeps effects as they are recorded. The caller holds the latch."""
        self.effects.taps = [*self.effects.taps, tap]
        self._attend()

    def untap(self, tap: Tap) -> None:
        """Ends what `tap` began. The caller holds the latch."""
        self.effects.taps = [each for each in self.effects.taps if each is not tap]
        self._attend()

    def spaces(self) -> list[Keyspace]:
        """All keyspaces, whether they hold anything or not."""
        return list(self._spaces.values())

    def record_by(self, recorder: Recorder | None) -> None:
        """Has all that changes recorded from now on. The caller holds the latch."""
        self.recorder = recorder
        self._attend()

    def _attend(self) -> None:
        interest: i64 = 0
        for space in self._spaces.values():
            space.attend()
            interest |= space.interest
        self.tell_reads(interest & READS != 0)

    def flush_all(self) -> None:
        """Empties every keyspace. O(1) a namespace for the caller."""
        for space in self._spaces.values():
            space.flush()

    def random_index(self, size: i64) -> i64:
        """A random position below `size`."""
        return self._random.randrange(size)

    def uncounted(self) -> list[Keyspace]:
        """The namespaces in which stale entries have not been counted yet."""
        return [space for space in self._spaces.values() if space.tags.uncounted]

    def stats(self) -> dict[str, int]:
        """Counts over all keyspaces; `Cache.store_stats` says which."""
        keys = expires = tags = namespaces = 0
        hits = misses = sets = expired = evicted = invalidated = 0
        # one walk without objects of its own: whoever asks for metrics asks for this
        for space in self._spaces.values():
            keys += space.key_count()
            expires += space.volatile_count()
            tags += space.tag_count()
            namespaces += self._is_listed(space)
            hits += space.hits
            misses += space.misses
            sets += space.admitted
            expired += space.expired
            evicted += space.evicted
            invalidated += space.invalidated
        past = self._past
        return {
            "keys": keys,
            "expires": expires,
            "tags": tags,
            "namespaces": namespaces,
            "hits": past.get("hits", 0) + hits,
            "misses": past.get("misses", 0) + misses,
            "sets": past.get("sets", 0) + sets,
            "expired": past.get("expired", 0) + expired,
            "evicted": past.get("evicted", 0) + evicted,
            "invalidated": past.get("invalidated", 0) + invalidated,
            "refused": int(self.refused),
            "used_memory": int(self.used_bytes),
            "peak_memory": int(self.peak_bytes),
            "max_memory": int(self.max_bytes),
        }

    def make_room(self, need: i64) -> None:
        if need > self.max_bytes:
            raise self.refusal(need)
        while self.used_bytes + need > self.max_bytes:
            self.evict()

    def evict(self, is_for_places: bool = False) -> None:
        if not self._evict(is_for_places):
            raise self.refusal()

    def _evict(self, is_for_places: bool) -> bool:
        if self.entry_count == 0:
            return False
        if self._drawn().evict(is_for_places):
            return True
        for space in self._spaces.values():
            if space.evict(is_for_places):
                return True
        return False

    def _drawn(self) -> Keyspace:
        """A keyspace drawn at random by number of entries, of which there are some.

        O(log N) in the keyspaces, amortised.
        """
        place: i64 = 0
        if len(self._spaces) <= FEW_TO_WALK:
            place = self._random.randrange(self.entry_count)
            for space in self._spaces.values():
                place -= len(space.dense)
                if place < 0:
                    return space
        while True:
            if self._draws == 0:
                self._take_census()
            self._draws -= 1
            ends = self._ends
            low: i64 = 0
            high: i64 = len(ends) - 1
            place = self._random.randrange(ends[high])
            while low < high:
                middle = (low + high) >> 1
                if place < ends[middle]:
                    high = middle
                else:
                    low = middle + 1
            space = self._census[low]
            # the last of the entries that were counted, so many as have left, stand for none
            if ends[low] - place <= len(space.dense):
                return space
            self._draws >>= 1

    def _take_census(self) -> None:
        """Counts the entries of all keyspaces. O(N)."""
        census: list[Keyspace] = []
        ends: list[int] = []
        end: i64 = 0
        for space in self._spaces.values():
            if space.dense:
                end += len(space.dense)
                census.append(space)
                ends.append(int(end))
        self._census = census
        self._ends = ends
        draws = self.entry_count >> 3
        most: i64 = 4 * len(census)
        if draws > most:
            draws = most
        self._draws = draws + 1

    def limit(self, max_bytes: i64, max_entries: i64) -> None:
        """Sets the limits, 0 for none, and evicts what is beyond them, in slices.

        Where the policy finds no victim, what is there stays, and writes are refused.
        """
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        if self.resting != 0:
            return
        evicted: i64 = 0
        while self._is_beyond_limits():
            is_for_places = self.max_entries != 0 and self.entry_count > self.max_entries
            if not self._evict(is_for_places):
                return
            evicted += 1
            if evicted % REAP_STEP == 0 and not self.transaction:
                self.breathe()

    def suspend_limits(self) -> bool:
        self.limit(self.max_bytes, self.max_entries)
        self.has_room = True
        return not self._is_beyond_limits()

    def resume_limits(self) -> None:
        self.has_room = False
        self.limit(self.max_bytes, self.max_entries)

    def rest(self) -> None:
        """Has no key removed for its time to live, nor because of a limit that is set anew."""
        self.enter()
        try:
            self.resting += 1
        finally:
            self.leave()

    def end_rest(self) -> None:
        """Ends one `rest`, and evicts what is beyond the limits."""
        self.enter()
        try:
            self.resting -= 1
            self.limit(self.max_bytes, self.max_entries)
        finally:
            self.leave()

    def go_by(self, name: str, sample_size: int) -> None:
        """Changes the eviction policy of all namespaces, with their entries in place. O(N).

        Raises:
            ConfigError: for a policy or a sample that is none; nothing has changed.
        """
        fresh = make_policy(name, sample_size)
        if name != self.policy_name or isinstance(fresh, Sampled):
            for space in self._spaces.values():
                space.go_by(make_policy(name, sample_size))
        self.policy_name = name
        self.sample_size = sample_size

    def _is_beyond_limits(self) -> bool:
        return (self.max_bytes != 0 and self.used_bytes > self.max_bytes) or (
            self.max_entries != 0 and self.entry_count > self.max_entries
        )

    def let_go(self) -> i64:
        """One step of reaping, and one of lazy freeing. The caller does not hold the latch.

        Returns:
            How much was met; 0 when nothing is left to do.
        """
        self.enter()
        try:
            met = self.reap()
        finally:
            self.leave()
        return met + self.sweep()

    def reap(self, limit: i64 = REAP_STEP) -> i64:
        """One step of reaping in every keyspace.

        Returns:
            How many entries were met; 0 when nothing is left to do.
        """
        met: i64 = 0
        for space in self._spaces.values():
            met += space.reap_step()
            if met >= limit:
                break
        return met

    def forked(self) -> None:
        super().forked()
        # a pop for somebody who stayed behind would be lost
        for space in self._spaces.values():
            space.waiting = None

    def _check(self) -> None:
        """Asserts all invariants of all keyspaces. O(everything)."""
        used: i64 = 0
        count: i64 = 0
        for name, space in self._spaces.items():
            assert space.name == name
            space._check()
            used += space.used_bytes
            count += len(space.dense)
        assert used == self.used_bytes
        assert count == self.entry_count
        for name in list(self._references):
            assert name in self._spaces
        self.ledger._check()


def counted(space: Keyspace) -> dict[str, int]:
    """What a keyspace has counted since it was made."""
    return {
        "hits": int(space.hits),
        "misses": int(space.misses),
        "sets": int(space.admitted),
        "expired": int(space.expired),
        "evicted": int(space.evicted),
        "invalidated": int(space.invalidated),
    }


def _checked_name(name: str) -> str:
    text = checked_text(name)
    if not 0 < len(text) <= LONGEST_NAME or not text.isprintable() or " " in text:
        raise NamespaceError(
            "a namespace's name is 1 to 128 printable characters without spaces"
        )
    return text


def rss_bytes() -> int:
    """The resident set of this process, or 0 where the platform does not tell."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * 4096
    except (OSError, ValueError, IndexError):
        return 0
