"""The flight log: which writes and invalidations happened while loads were under way.

Kept by the engine, one a namespace. It taps the effects of the store, but only while a flight
is open, or a version or a note kept, and judges a flight when it lands: a value that was read
before its key was written or deleted, or one of its tags invalidated, is not left behind.

1. An effect is tapped in the step that it is of. So a verdict that is spoken under the store's
   lock knows all that has happened; events have the version of their write for a number.
2. The log is bounded: what began before its oldest event is void.
3. What a landing flight writes itself is held only against those that began before it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from cachestorm.events import (
    ABSENT,
    CHANGED,
    DELETED,
    EMPTIED,
    EVICTED,
    EXPIRED,
    PUT,
    RENAMED,
    SPACE,
    TAG_EVENTS,
    TAGS,
    Effect,
)
from cachestorm.keyspace.effects import Tap
from cachestorm.loading.flight import Flight
from cachestorm.loading.notes import Notes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cachestorm.keyspace.store import Store

MOST_EVENTS: Final = 4096

# An entry that expires, is evicted, or is reaped after its tag was invalidated says nothing
# against what is being loaded.
_WRITTEN: Final = PUT | CHANGED | DELETED | RENAMED | EMPTIED | ABSENT
_INTEREST: Final = _WRITTEN | TAGS | EXPIRED | EVICTED | TAG_EVENTS | SPACE


class FlightLog:
    """What happened in a namespace since the oldest open flight began."""

    def __init__(self, store: Store, namespace: str, notes: Notes) -> None:
        self._store: Final = store
        self._namespace: Final = namespace
        self._notes: Final = notes
        self._open: Final[dict[str, list[Flight]]] = {}
        self._tap: Final = Tap(_INTEREST, namespace)
        self._is_listening = False
        # the number of the last event that has been forgotten, or concerned all keys
        self._floor = 0
        self._tag_events: Final[deque[tuple[int, str]]] = deque()
        # how many versions are kept; since the first of them, the last event of each key
        self._versions = 0
        self._key_events: Final[dict[str, int]] = {}
        # the number of the last of those that has been forgotten
        self._key_floor = 0

    def now(self) -> int:
        """The number of the last write there was."""
        return int(self._store.sequence)

    def open(self, key: str, tags: tuple[str, ...]) -> Flight:
        """Begins a flight: from here on nothing is missed. The caller holds GATE.

        The log is listening.
        """
        flight = Flight(key, tags, self.now())
        self._open.setdefault(key, []).append(flight)
        return flight

    def is_current(self) -> bool:
        """Whether nothing has happened that `catch_up` has not looked at."""
        return not self._tap.effects

    @property
    def is_listening(self) -> bool:
        """Whether effects are heard."""
        return self._is_listening

    def listen(self) -> None:
        """Hears effects from now on. The caller holds the store's lock, then GATE."""
        if not self._is_listening:
            self._is_listening = True
            self._floor = self.now()
            self._store.tap(self._tap)

    def close(self, flight: Flight) -> None:
        """Ends what `open` began; nothing if that was done. The caller holds GATE."""
        flights = self._open.get(flight.key)
        if flights is None or flight not in flights:
            return
        flights.remove(flight)
        if not flights:
            del self._open[flight.key]
        self._tidy()

    def hold(self) -> int:
        """Begins to note which keys change, and gives the number of the last write there was.

        `release` ends it. The caller holds GATE.
        """
        self._versions += 1
        return self.now()

    def release(self) -> None:
        """Ends what `hold` began. The caller holds GATE."""
        self._versions -= 1
        self._tidy()

    def _tidy(self) -> None:
        """Forgets what concerns nobody."""
        if not self._versions:
            self._key_events.clear()
            if not self._open:
                self._tag_events.clear()

    def all_open(self) -> list[Flight]:
        """The flights that are open."""
        return [flight for flights in self._open.values() for flight in flights]

    def is_idle(self) -> bool:
        """Whether nobody needs it. The caller holds GATE."""
        is_needed = self._open or self._versions or self._notes
        return self._is_listening and not is_needed

    def rest(self) -> None:
        """Stops listening if nobody needs it. The caller holds the store's lock, then GATE."""
        if self.is_idle():
            self._is_listening = False
            self._store.untap(self._tap)
            self._tap.effects.clear()

    def catch_up(self) -> None:
        """Looks at what has happened. The caller holds the store's lock, then GATE."""
        effects = self._tap.effects
        while effects:
            self._apply(effects.popleft())
        if self._tap.missed > self._floor:
            self._all_void(int(self._tap.missed))

    def skip(self, flight: Flight) -> None:
        """Passes over what a flight wrote itself, since `catch_up` in the same visit.

        Flights of the key that began before it are void: what they have read is older.
        """
        effects = self._tap.effects
        while effects:
            effect = effects.popleft()
            if effect.key != flight.key:
                self._apply(effect)
        for other in self._open[flight.key]:
            if other is flight:
                break
            _void(other, self.now())

    def verdict(self, flight: Flight, tags: Iterable[str]) -> int:
        """The number of the first event against a flight with these tags, 0 for none.

        The caller holds GATE and has caught up.
        """
        if flight.started < self._floor:
            return self._floor
        if self._has_slept(flight.started):
            return self.now()
        first = flight.void_at
        wanted = set(tags)
        for number, tag in self._tag_events:
            if number > flight.started and tag in wanted and (first == 0 or number < first):
                first = number
        return first

    def has_changed(self, key: str, tags: Iterable[str], since: int) -> bool:
        """Whether a key was written or deleted, or one of the tags invalidated.

        The caller holds GATE, has caught up, and was told the number by `hold`.
        """
        if since < max(self._floor, self._key_floor) or self._has_slept(since):
            return True
        if self._key_events.get(key, 0) > since:
            return True
        wanted = set(tags)
        return any(number > since and tag in wanted for number, tag in self._tag_events)

    def _has_slept(self, since: int) -> bool:
        """Whether something has happened while nobody listened.

        The last one who needed the log may have had it rest just before this one came.
        """
        return not self._is_listening and self.now() != since

    def _apply(self, effect: Effect) -> None:
        number, key, kind = int(effect.version), effect.key, effect.interest
        if kind & _WRITTEN or (kind & EXPIRED and effect.event == "del"):
            # EXPIRE with a time in the past is how some delete a key
            self._key_event(number, key)
        elif kind & EVICTED:
            self._notes.drop(key)
        elif kind & TAGS:
            self._notes.tag(key, effect.tags or ())
        elif kind & TAG_EVENTS and effect.event == "invalidated":
            self._tag_event(number, key)
            self._notes.invalidate(key)
        elif kind & TAG_EVENTS and effect.event == "softened":
            self._tag_event(number, key)
            self._notes.soften(key, int(self._store.clock.now_ms()))
        elif effect.event == "swapped" or (
            effect.event == "flushed" and effect.namespace == self._namespace
        ):
            self._all_void(number)

    def _key_event(self, number: int, key: str) -> None:
        for flight in self._open.get(key, ()):
            _void(flight, number)
        if self._versions:
            # the latest are at the end
            self._key_events.pop(key, None)
            self._key_events[key] = number
            if len(self._key_events) > MOST_EVENTS:
                self._key_floor = self._key_events.pop(next(iter(self._key_events)))
        self._notes.drop(key)

    def _tag_event(self, number: int, tag: str) -> None:
        if not self._open and not self._versions:
            return
        for flights in self._open.values():
            for flight in flights:
                if tag in flight.tags:
                    _void(flight, number)
        if len(self._tag_events) == MOST_EVENTS:
            self._floor = max(self._floor, self._tag_events.popleft()[0])
        self._tag_events.append((number, tag))

    def _all_void(self, number: int) -> None:
        self._floor = max(self._floor, number)
        for flights in self._open.values():
            for flight in flights:
                _void(flight, number)
        self._notes.clear()


def _void(flight: Flight, number: int) -> None:
    if flight.void_at == 0 and number > flight.started:
        flight.void_at = number
