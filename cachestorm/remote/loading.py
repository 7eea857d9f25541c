"""Loading from afar: values on a server that are made when they are missing, once for all.

One `RemoteLoading` a connected cache; the twin of `loading/engine.py`, run by the same
drivers. Threads and tasks of this process wait for a flight, other processes for the lease
(`leases.py`) that its leader holds.

1. A caller joins a flight only while its lease is there: one that came after an invalidation,
   by whatever process, loads anew.
2. Who is inside of a load waits LEASE_S at most for another process, which may wait for him.
3. What is to be known of a value that has ended is kept beside it, on the server
   (`shadows.py`): whatever outdates the one takes the other.
4. A source that has failed, while there was a stale value, is left alone for a while by all
   processes: nobody has the lease then (`leases.FAILED`).
"""

from __future__ import annotations

import math
import os
import random
import secrets
import time
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Final

from cachestorm.codec import text_of
from cachestorm.errors import CacheStormError
from cachestorm.loading.context import LoadContext, at_work, running
from cachestorm.loading.flight import (
    FAILED,
    FLYING,
    GATE,
    GIVEN_UP,
    LANDED,
    Flight,
    begin_wait,
    closes_cycle,
    end_wait,
    inside,
)
from cachestorm.loading.leading import (
    Course,
    Leading,
    Loader,
    ManyLoader,
    Run,
    Start,
    Wait,
)
from cachestorm.loading.options import Options
from cachestorm.loading.waiters import Waiter
from cachestorm.markers import MISSING, UNSET
from cachestorm.remote import leases
from cachestorm.remote.forks import tell_of_forks
from cachestorm.remote.leases import Asked, Renewals
from cachestorm.remote.refusals import UnsupportedError
from cachestorm.remote.shadows import (
    has_waited,
    note_of,
    patience_s_of,
    served_for,
    shadow_of,
)
from cachestorm.remote.steps import Course as Steps

if TYPE_CHECKING:
    from cachestorm.remote.connected import ConnectedCache

_FIRST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 0.2


class RemoteLoading(Leading):
    """The loads of one connected cache.

    Attributes:
        flights: those of this process, by key.
        names: of memoized functions, and how many have had each.
    """

    def __init__(self, cache: ConnectedCache) -> None:
        self._cache: Final = cache
        self.flights: dict[str, Flight] = {}
        self._tokens: dict[Flight, bytes] = {}
        self.names: Final[dict[str, int]] = {}
        tell_of_forks(self)
        self._renewals: Final = Renewals(cache._wire.send)
        self._drawn: Final = secrets.token_hex(8)
        # between 0 and 1, for early refreshes; a test gives another
        self.random: Callable[[], float] = random.random

    @property
    def scope(self) -> str:
        """What makes a number of this process one that no other has."""
        return f"{self._drawn}.{os.getpid()}."

    def accept(self, options: Options) -> None:
        """Refuses what would not be the same on a server.

        Raises:
            UnsupportedError: for errors that are to be kept.
        """
        if options.errors:
            raise UnsupportedError(
                "cache_errors needs a cache in this process: "
                f"{self._cache.address.shown} keeps values, and no exceptions"
            )

    # -- one key

    def fetch(
        self,
        cache: Any,
        key: str,
        loader: Loader,
        options: Options,
        waiter: Callable[[], Waiter],
        blocks: bool,
        fresh: bool = False,
    ) -> Course:
        """The value of a key, loaded if it is missing: see `Loading.fetch`."""
        self.accept(options)
        began_at = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        if not fresh:
            found = yield from self._looked(key, loader, options, blocks)
            if found is not MISSING:
                yield from self._lend_from(key, options, blocks)
                return found
        takes_over = fresh
        while True:
            token = secrets.token_hex(16).encode()
            asked = yield from self._asked(key, token, options, blocks, takes_over)
            takes_over = fresh
            shadow = asked.shadow
            if asked.raw is not None and not fresh:
                if asked.is_taken:
                    yield from self._given_back(key, token, blocks)
                yield from self._lend_from(key, options, blocks)
                return self._cache._envelope.loads(asked.raw)
            has_failed = asked.holder == leases.FAILED
            if shadow is not None and not fresh and shadow.is_servable(options, has_failed):
                if asked.is_taken:
                    yield from self._begin_refresh(key, loader, options, token, asked, blocks)
                yield from self._lend_from(
                    key, options, blocks, text_of(self._cache._courses.shadow_key(key))
                )
                return shadow.value
            if has_failed:
                # it is left alone by those who have something to serve meanwhile
                takes_over = True
                continue
            joined = None
            if asked.is_taken:
                flight = self._open(key, options, token)
                lead = self._leader(flight, loader, options, asked, blocks, running.get())
                if not options.is_detached or not (yield Start(lead, True, flight)):
                    try:
                        return (yield from lead())
                    except Exception as error:
                        served = served_for(shadow, options, error)
                        if served is MISSING:
                            raise
                        return served
                joined = waiter()
                with GATE:
                    has_ended = flight.state != FLYING
                    begin_wait(flight, joined, inside(running.get()), blocks)
                if has_ended:
                    joined.wake()
            else:
                present, joined, is_cycle = self._join(key, asked, waiter, blocks)
                waited_s = time.monotonic() - began_at
                is_inside = running.get() is not None
                if is_cycle or (joined is None and is_inside and waited_s > leases.LEASE_S):
                    return (yield from self._load_alone(key, loader, options, blocks))
                if joined is None:
                    # another process loads it
                    if has_waited(key, options, began_at, shadow):
                        assert shadow is not None
                        return shadow.value
                    yield Wait(waiter(), pause_s)
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                    continue
                assert present is not None
                flight = present
            try:
                patience_s = patience_s_of(options, shadow)
                is_over = yield from self.sit(flight, joined, patience_s, began_at)
            finally:
                end_wait(flight, joined, inside(running.get()), blocks)
            if not is_over and has_waited(key, options, began_at, shadow):
                assert shadow is not None
                return shadow.value
            if flight.state == LANDED:
                if flight.value is MISSING:
                    fresh = True
                    continue
                self.lend(flight.tags, options)
                return flight.value
            if flight.error is not None and (flight.state == FAILED or asked.is_taken):
                served = served_for(shadow, options, flight.error)
                if served is not MISSING:
                    return served
                raise flight.error.with_traceback(flight.traceback)

    def _looked(
        self, key: str, loader: Loader, options: Options, blocks: bool
    ) -> Generator[Run | Wait | Start, Any, Any]:
        """The value that is there, which may be loaded anew beside the caller."""
        if not options.judges_hits:
            reader = self._cache.get if blocks else self._cache.aio.get
            return (yield Run(lambda: reader(key, MISSING)))
        try:
            course = leases.look(self._cache._courses, key)
            raw, left_ms, shadow = yield self._step(course, blocks)
        except CacheStormError as error:
            if not self._cache._absence.ignores(error):
                raise
            return MISSING
        if raw is None:
            return MISSING
        if shadow is not None and shadow.is_due(left_ms, options, self.random()):
            token = secrets.token_hex(16).encode()
            asked = yield from self._asked(key, token, options, blocks, False)
            if asked.is_taken:
                yield from self._begin_refresh(key, loader, options, token, asked, blocks)
        return self._cache._envelope.loads(raw)

    def _begin_refresh(
        self,
        key: str,
        loader: Loader,
        options: Options,
        token: bytes,
        asked: Asked,
        blocks: bool,
    ) -> Generator[Run | Wait | Start, Any, None]:
        """Loads a key beside the caller, who has its lease."""
        flight = self._open(key, options, token)
        lead = self._leader(flight, loader, options, asked, blocks, None)
        if not (yield Start(lead, False, flight)):
            self.close(flight)
            flight.end(GIVEN_UP)
            yield from self._given_back(key, token, blocks)

    def _step(self, course: Steps, blocks: bool) -> Run:
        """Steps for the server, as a driver runs them."""
        runner: Any = self._cache._run if blocks else self._cache.aio._run
        return Run(lambda: runner(course))

    def _asked(
        self, key: str, token: bytes, options: Options, blocks: bool, fresh: bool
    ) -> Generator[Run, Any, Asked]:
        envelope = self._cache._envelope if options.keeps_notes else None
        course = leases.ask_lease(
            self._cache._courses, key, token, options.tags, fresh, envelope
        )
        try:
            asked: Asked = yield self._step(course, blocks)
        except CacheStormError as error:
            if not self._cache._absence.ignores(error):
                raise
            return self._asked_here(key, token)
        return asked

    def _asked_here(self, key: str, token: bytes) -> Asked:
        """What this process would say, where the server does not."""
        with GATE:
            flight = self.flights.get(key)
            holder = None if flight is None else self._tokens.get(flight)
        return Asked(holder is None, holder or token, None)

    def _open(self, key: str, options: Options, token: bytes) -> Flight:
        flight = Flight(key, options.tags, 0)
        with GATE:
            self.flights[key] = flight
            self._tokens[flight] = token
        self._renewals.begin(self._cache._courses.lease_key(key), token)
        return flight

    def close(self, flight: Flight) -> None:
        """Forgets a flight."""
        with GATE:
            if self.flights.get(flight.key) is flight:
                del self.flights[flight.key]
            token = self._tokens.pop(flight, None)
        if token is not None:
            self._renewals.end(token)

    def _join(
        self, key: str, asked: Asked, waiter: Callable[[], Waiter], blocks: bool
    ) -> tuple[Flight | None, Waiter | None, bool]:
        """The flight of this process that has the lease, a waiter, and whether of a cycle."""
        within = inside(running.get())
        with GATE:
            flight = self.flights.get(key)
            if flight is None or self._tokens.get(flight) != asked.holder:
                return None, None, False
            if closes_cycle(flight, within, blocks):
                return flight, None, True
            made = waiter()
            begin_wait(flight, made, within, blocks)
            return flight, made, False

    # -- leading

    def _leader(
        self,
        flight: Flight,
        loader: Loader,
        options: Options,
        asked: Asked,
        blocks: bool,
        parent: LoadContext | None,
    ) -> Callable[[], Course]:
        def lead() -> Course:
            return self._lead(flight, loader, options, asked, blocks, parent)

        return lead

    def _lead(
        self,
        flight: Flight,
        loader: Loader,
        options: Options,
        asked: Asked,
        blocks: bool,
        parent: LoadContext | None,
    ) -> Course:
        token = self._tokens[flight]
        shadow = asked.shadow
        throttle_ms = 0
        try:
            self.take_lead(flight, blocks)
            note = None if shadow is None else note_of(shadow)
            context = LoadContext(self, flight, options, note, parent)
            began_at = time.monotonic()
            try:
                value = yield from self._called(context, loader)
            except Exception as error:
                if served_for(shadow, options, error) is not MISSING:
                    throttle_ms = options.throttle_ms
                raise
            load_ms = math.ceil((time.monotonic() - began_at) * 1000)
            yield from self._landed(flight, value, options, context, asked.raw, blocks, load_ms)
        except BaseException as error:
            self.close(flight)
            flight.end(FAILED if isinstance(error, Exception) else GIVEN_UP, error=error)
            if not isinstance(error, GeneratorExit):
                # beside the caller, who may have been cancelled
                back = self._backer(flight, token, blocks, throttle_ms)
                yield Start(back, False, flight)
            raise
        self.lend(flight.tags, options)
        return value

    def _given_back(
        self,
        key: str,
        token: bytes,
        blocks: bool,
        throttle_ms: int = 0,
        tags: tuple[str, ...] = (),
    ) -> Course:
        course = leases.give_back(self._cache._courses, key, token, throttle_ms, tags)
        try:
            yield self._step(course, blocks)
        except CacheStormError:
            # it ends by itself
            return

    def _called(self, context: LoadContext, loader: Loader) -> Course:
        outer = running.get()
        running.set(context)
        at_work.append(None)
        try:
            return (yield Run(lambda: loader(context)))
        finally:
            self.left(context, outer)

    def _landed(
        self,
        flight: Flight,
        value: Any,
        options: Options,
        context: LoadContext,
        before: bytes | None,
        blocks: bool,
        load_ms: int = 0,
    ) -> Generator[Run, Any, None]:
        """Keeps a value, if it is to be kept, and tells all who wait."""
        flight.tags = self.tags_of(value, options, context)
        token = self._tokens[flight]
        if self.is_kept(value, options, context):
            ttl = context.ttl
            if value is None and options.negative_ttl is not UNSET and not context.has_ttl:
                ttl = options.negative_ttl
            tags = list(flight.tags)
            courses = self._cache._courses
            shadow = shadow_of(options, context, ttl, load_ms)
            course = leases.land(courses, flight.key, token, before, value, ttl, tags, shadow)
        else:
            course = leases.give_back(self._cache._courses, flight.key, token)
        try:
            yield self._step(course, blocks)
        except CacheStormError as error:
            if not self._cache._absence.ignores(error):
                raise
        self.close(flight)
        flight.end(LANDED, value)

    def _load_alone(self, key: str, loader: Loader, options: Options, blocks: bool) -> Course:
        """Runs a loader for one caller; what it gives is not kept."""
        flight = Flight(key, options.tags, 0)
        self.take_lead(flight, blocks)
        context = LoadContext(self, flight, options, None, running.get())
        value = yield from self._called(context, loader)
        self.lend(self.tags_of(value, options, context), options)
        return value

    def fetch_many(
        self,
        cache: Any,
        keys: Iterable[str],
        loader: ManyLoader,
        options: Options,
        waiter: Callable[[], Waiter],
        blocks: bool,
    ) -> Course:
        """The values of many keys, those that are missing loaded by one call."""
        from cachestorm.remote.batches import fetch_many

        return (yield from fetch_many(self, cache, keys, loader, options, waiter, blocks))

    def _backer(
        self, flight: Flight, token: bytes, blocks: bool, throttle_ms: int = 0
    ) -> Callable[[], Course]:
        return lambda: self._given_back(flight.key, token, blocks, throttle_ms, flight.tags)

    # -- tags for the load that this one is part of

    def _lend_from(
        self, key: str, options: Options, blocks: bool, where: str | None = None
    ) -> Generator[Run, Any, None]:
        load = running.get()
        if load is None or load.home is not self or not options.propagate:
            return
        try:
            tags = yield self._step(self._cache._courses.known_tags(where or key), blocks)
        except CacheStormError as error:
            if not self._cache._absence.ignores(error):
                raise
            # it would be kept without them
            load.keep = False
            return
        self.lend(tuple(tags), options)

    def forked(self) -> None:
        """In a child process: the flights of other threads will never end there."""
        self.flights = {}
        self._tokens = {}
