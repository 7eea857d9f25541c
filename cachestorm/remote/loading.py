"""Loading from afar: values on a server that are made when they are missing, once for all.

One `RemoteLoading` a connected cache; the twin of `loading/engine.py`, run by the same
drivers. Threads and tasks of this process wait for a flight, other processes for the lease
(`leases.py`) that its leader holds.

1. A caller joins a flight only while its lease is there: one that came after an invalidation,
   by whatever process, loads anew.
2. Who is inside of a load waits LEASE_S at most for another process, which may wait for him.
3. What needs to be known of values that have ended is refused: nobody tells a process when
   others outdate it.
"""

from __future__ import annotations

import os
import secrets
import time
import weakref
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Final

from cachestorm.errors import CacheStormError
from cachestorm.loading.batches import one
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
from cachestorm.loading.options import LoadTimeoutError, Options
from cachestorm.loading.waiters import Waiter
from cachestorm.markers import MISSING, UNSET
from cachestorm.operations.names import exact_key, many
from cachestorm.remote import leases
from cachestorm.remote.leases import Asked, Renewals
from cachestorm.remote.refusals import UnsupportedError
from cachestorm.remote.steps import Course as Steps

if TYPE_CHECKING:
    from cachestorm.remote.connected import ConnectedCache

_FIRST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 0.2
_REFUSED: Final = "stale, stale_if_error, soft_timeout, early, eager and cache_errors"


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
        _all.add(self)
        self._renewals: Final = Renewals(cache._wire.send)
        self._drawn: Final = secrets.token_hex(8)

    @property
    def scope(self) -> str:
        """What makes a number of this process one that no other has."""
        return f"{self._drawn}.{os.getpid()}."

    def accept(self, options: Options) -> None:
        """Refuses options that a server cannot keep its word on.

        Raises:
            UnsupportedError: for these.
        """
        is_soft = options.keeps_notes or options.soft_timeout_s is not None
        if is_soft or options.errors:
            raise UnsupportedError(
                f"{_REFUSED} need a cache in this process: "
                f"{self._cache.address.shown} keeps nothing beyond its end"
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
            reader = self._cache.get if blocks else self._cache.aio.get
            found = yield Run(lambda: reader(key, MISSING))
            if found is not MISSING:
                yield from self._lend_from(key, options, blocks)
                return found
        while True:
            token = secrets.token_hex(16).encode()
            asked = yield from self._asked(key, token, options, blocks, fresh)
            if asked.raw is not None and not fresh:
                if asked.is_taken:
                    yield self._step(leases.give_back(self._cache._courses, key, token), blocks)
                yield from self._lend_from(key, options, blocks)
                return self._cache._envelope.loads(asked.raw)
            joined = None
            if asked.is_taken:
                flight = self._open(key, options, token)
                lead = self._leader(flight, loader, options, asked.raw, blocks, running.get())
                if not options.is_detached or not (yield Start(lead, True, flight)):
                    return (yield from lead())
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
                    self._look_at_patience(key, options, began_at)
                    yield Wait(waiter(), pause_s)
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                    continue
                assert present is not None
                flight = present
            try:
                is_over = yield from self.sit(flight, joined, options.timeout_s, began_at)
            finally:
                end_wait(flight, joined, inside(running.get()), blocks)
            if not is_over:
                self._look_at_patience(key, options, began_at)
            if flight.state == LANDED:
                if flight.value is MISSING:
                    fresh = True
                    continue
                self.lend(flight.tags, options)
                return flight.value
            if flight.error is not None and (flight.state == FAILED or asked.is_taken):
                raise flight.error.with_traceback(flight.traceback)

    def _step(self, course: Steps, blocks: bool) -> Run:
        """Steps for the server, as a driver runs them."""
        runner: Any = self._cache._run if blocks else self._cache.aio._run
        return Run(lambda: runner(course))

    def _asked(
        self, key: str, token: bytes, options: Options, blocks: bool, fresh: bool
    ) -> Generator[Run, Any, Asked]:
        course = leases.ask_lease(self._cache._courses, key, token, options.tags, fresh)
        asked: Asked = yield self._step(course, blocks)
        return asked

    def _look_at_patience(self, key: str, options: Options, began_at: float) -> None:
        waited_s = time.monotonic() - began_at
        if options.timeout_s is not None and waited_s >= options.timeout_s:
            raise LoadTimeoutError(f"{key!r} was not loaded within {waited_s:.3g} s")

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
        before: bytes | None,
        blocks: bool,
        parent: LoadContext | None,
    ) -> Callable[[], Course]:
        def lead() -> Course:
            return self._lead(flight, loader, options, before, blocks, parent)

        return lead

    def _lead(
        self,
        flight: Flight,
        loader: Loader,
        options: Options,
        before: bytes | None,
        blocks: bool,
        parent: LoadContext | None,
    ) -> Course:
        token = self._tokens[flight]
        try:
            self.take_lead(flight, blocks)
            context = LoadContext(self, flight, options, None, parent)
            value = yield from self._called(context, loader)
            yield from self._landed(flight, value, options, context, before, blocks)
        except BaseException as error:
            self.close(flight)
            flight.end(FAILED if isinstance(error, Exception) else GIVEN_UP, error=error)
            if not isinstance(error, GeneratorExit):
                # beside the caller, who may have been cancelled
                yield Start(lambda: self._given_back(flight.key, token, blocks), False, flight)
            raise
        self.lend(flight.tags, options)
        return value

    def _given_back(self, key: str, token: bytes, blocks: bool) -> Course:
        try:
            yield self._step(leases.give_back(self._cache._courses, key, token), blocks)
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
            course = leases.land(courses, flight.key, token, before, value, ttl, tags)
        else:
            course = leases.give_back(self._cache._courses, flight.key, token)
        yield self._step(course, blocks)
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

    # -- many keys

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
        self.accept(options)
        names = list(dict.fromkeys(exact_key(key) for key in many(keys, "keys")))
        reader: Any = self._cache.get_many if blocks else self._cache.aio.get_many
        found: dict[str, Any] = yield Run(lambda: reader(names))
        for name in found:
            yield from self._lend_from(name, options, blocks)
        mine: dict[Flight, bytes | None] = {}
        others = []
        for name in [name for name in names if name not in found]:
            token = secrets.token_hex(16).encode()
            asked = yield from self._asked(name, token, options, blocks, False)
            if asked.is_taken:
                mine[self._open(name, options, token)] = asked.raw
            else:
                others.append(name)
        if mine:
            found.update((yield from self._lead_many(mine, loader, options, blocks)))
        for name in others:
            each = one(loader, name)
            value = yield from self.fetch(cache, name, each, options, waiter, blocks)
            if value is not MISSING:
                found[name] = value
        return {name: found[name] for name in names if name in found}

    def _lead_many(
        self,
        flights: dict[Flight, bytes | None],
        loader: ManyLoader,
        options: Options,
        blocks: bool,
    ) -> Generator[Run | Wait | Start, Any, dict[str, Any]]:
        contexts: list[LoadContext] = []
        context = running.get()
        for flight in flights:
            self.take_lead(flight, blocks)
            context = LoadContext(self, flight, options, None, context)
            contexts.append(context)
        tokens = {flight: self._tokens[flight] for flight in flights}
        left = list(flights)
        values = {}
        try:
            names = [flight.key for flight in flights]
            given = yield from self._called(contexts[-1], lambda _: loader(names))
            given = self.checked_mapping(given)
            # what was lent to one of them was lent to all
            lent = contexts[-1].tags
            for flight, context in zip(flights, contexts):
                value = given.get(flight.key, MISSING)
                context.lend(lent)
                before = flights[flight]
                yield from self._landed(flight, value, options, context, before, blocks)
                left.remove(flight)
                if value is not MISSING:
                    values[flight.key] = value
                    self.lend(flight.tags, options)
            return values
        except BaseException as error:
            state = FAILED if isinstance(error, Exception) else GIVEN_UP
            for flight in left:
                self.close(flight)
                flight.end(state, error=error)
            if not isinstance(error, GeneratorExit):
                for flight in left:
                    back = self._backer(flight.key, tokens[flight], blocks)
                    yield Start(back, False, flight)
            raise

    def _backer(self, key: str, token: bytes, blocks: bool) -> Callable[[], Course]:
        return lambda: self._given_back(key, token, blocks)

    # -- tags for the load that this one is part of

    def _lend_from(self, key: str, options: Options, blocks: bool) -> Generator[Run, Any, None]:
        load = running.get()
        if load is None or load.home is not self or not options.propagate:
            return
        tags = yield self._step(self._cache._courses.known_tags(key), blocks)
        self.lend(tuple(tags), options)

    def forked(self) -> None:
        """In a child process: the flights of other threads will never end there."""
        self.flights = {}
        self._tokens = {}


_all: Final[weakref.WeakSet[RemoteLoading]] = weakref.WeakSet()


def _after_in_child() -> None:
    for loading in list(_all):
        loading.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
