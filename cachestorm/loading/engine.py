"""The engine: loads a value once for all who want it, and keeps it unless it is outdated.

One `Loading` a namespace, made at its first load. Called by `drivers.py`, for threads and tasks
alike; calls the commands of the cache as any user would, but for the landing of a value.

1. What happens is one algorithm, written as generators that yield what takes time: to run
   a loader, to wait for a flight, to start a flight of its own. A driver does that, blocking
   or awaiting, and sends the outcome back in.
2. Nobody waits while inside a transaction, nor where it would close a cycle of waits: such
   a caller loads alone.
3. An exception of a loader reaches all who wait, and leaves nothing behind. What is not an
   `Exception` (a cancellation, Ctrl-C, the end of a thread) affects only the caller that leads:
   those who wait try again.
"""

from __future__ import annotations

import os
import time
import weakref
from _thread import get_ident
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from cachestorm.commands.edge import enter
from cachestorm.entry import kind_of
from cachestorm.errors import OutOfMemoryError
from cachestorm.events import LOADED
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
from cachestorm.loading.leading import Course, Leading, Loader, ManyLoader, Run, Start, Wait
from cachestorm.loading.notes import NEVER, Note
from cachestorm.loading.options import LoadTimeoutError, Options
from cachestorm.loading.records import Records
from cachestorm.loading.waiters import Waiter
from cachestorm.markers import MISSING, UNSET
from cachestorm.operations.lifetimes import deadline_of

if TYPE_CHECKING:
    from cachestorm.cache import Cache

LANDING_TRIES: Final = 200


class Loading(Records, Leading):
    """The loads of one namespace."""

    # whether its process shares the keys with others: what makes a number unique then
    scope: Final = ""

    def accept(self, options: Options) -> None:
        """Refuses options that it cannot keep its word on: none."""

    # -- one key

    def fetch(
        self,
        cache: Cache,
        key: str,
        loader: Loader,
        options: Options,
        waiter: Callable[[], Waiter],
        blocks: bool,
        fresh: bool = False,
    ) -> Course:
        """The value of a key, loaded if it is missing.

        Args:
            waiter: makes what the caller waits with.
            blocks: whether the caller is a thread that does nothing else while it waits.
            fresh: load it in any case.
        """
        began_at = time.monotonic()
        is_inline = not options.is_detached or self._store.in_transaction()
        while True:
            if not fresh:
                found = cache.get(key, MISSING)
                if found is not MISSING:
                    if options.judges_hits and self._is_due(key, options):
                        yield from self._refresh(cache, key, loader, options)
                    self._lend_from(cache, key, options)
                    return found
            served, value = self._from_note(key, options)
            if served and not fresh:
                if self._may_ask(key):
                    yield from self._refresh(cache, key, loader, options)
                self._lend_from_note(key, options)
                return value
            flight, joined = self._join(key, options, waiter, blocks, fresh)
            leads = joined is None
            if leads:
                if not fresh:
                    # it may have landed since the look above
                    found = cache.get(key, MISSING)
                    if found is not MISSING:
                        self._forget(flight)
                        flight.end(GIVEN_UP)
                        self._lend_from(cache, key, options)
                        return found
                lead = self._leader(cache, flight, loader, options, running.get(), blocks)
                if is_inline or not (yield Start(lead, True, flight)):
                    return (yield from lead())
                joined = waiter()
                with GATE:
                    begin_wait(flight, joined, inside(running.get()), blocks)
                    has_ended = flight.state != FLYING
                if has_ended:
                    joined.wake()
            assert joined is not None
            came_at = self.log.now()
            try:
                is_over = yield from self._sit(flight, joined, options, began_at)
            finally:
                end_wait(flight, joined, inside(running.get()), blocks)
            if not is_over:
                return self._give_in(key, options, began_at)
            if flight.state == LANDED and not 0 < flight.void_at <= came_at:
                if flight.value is MISSING:
                    # a load of many keys that did not find this one
                    fresh = True
                    continue
                self.lend(flight.tags, options)
                return flight.value
            if flight.state == FAILED:
                served, value = self._from_note(key, options, failed=True)
                if served:
                    return value
                assert flight.error is not None
                raise flight.error.with_traceback(flight.traceback)
            if leads and flight.error is not None:
                # the caller's own loader did not merely fail
                raise flight.error.with_traceback(flight.traceback)

    def _join(
        self,
        key: str,
        options: Options,
        waiter: Callable[[], Waiter],
        blocks: bool,
        fresh: bool,
    ) -> tuple[Flight, Waiter | None]:
        """A flight for the caller: to wait for, with a waiter, or else to lead."""
        self.listen()
        self._hear_all()
        within = inside(running.get())
        in_transaction = self._store.in_transaction()
        with GATE:
            present = self._present(key)
            if present is not None and not fresh:
                if not in_transaction and not closes_cycle(present, within, blocks):
                    made = waiter()
                    begin_wait(present, made, within, blocks)
                    return present, made
                # alone: nobody else waits for this one
                return self.log.open(key, options.tags), None
            flight = self.log.open(key, options.tags)
            self.flights[key] = flight
        return flight, None

    def _present(self, key: str) -> Flight | None:
        """The flight of a key that is worth waiting for. The caller holds GATE."""
        flight = self.flights.get(key)
        if flight is None or flight.void_at:
            return None
        if flight.is_lost():
            self._close(flight)
            flight.end(GIVEN_UP)
            return None
        return flight

    def _sit(
        self, flight: Flight, waiter: Waiter, options: Options, began_at: float
    ) -> Generator[Wait, bool, bool]:
        """Waits for a flight. Returns whether it has ended, and not the caller's patience."""
        patience = options.timeout_s
        soft = options.soft_timeout_s
        if soft is not None and self._from_note(flight.key, options, failed=True)[0]:
            patience = soft if patience is None else min(soft, patience)
        return (yield from self.sit(flight, waiter, patience, began_at))

    def close(self, flight: Flight) -> None:
        """Forgets a flight."""
        self._forget(flight)

    def _give_in(self, key: str, options: Options, began_at: float) -> Any:
        """What a caller gets when its timeout has passed: the stale value, or an error."""
        served, value = self._from_note(key, options, failed=True)
        if served:
            self._lend_from_note(key, options)
            return value
        raise LoadTimeoutError(
            f"{key!r} was not loaded within {time.monotonic() - began_at:.3g} s"
        )

    # -- leading a flight

    def _refresh(self, cache: Cache, key: str, loader: Loader, options: Options) -> Course:
        """Loads a key beside the caller, unless that is under way."""
        self.listen()
        with GATE:
            if self._present(key) is not None:
                return
            flight = self.log.open(key, options.tags)
            self.flights[key] = flight
        if not (yield Start(self._leader(cache, flight, loader, options), False, flight)):
            self._forget(flight)
            flight.end(GIVEN_UP)

    def _leader(
        self,
        cache: Cache,
        flight: Flight,
        loader: Loader,
        options: Options,
        parent: LoadContext | None = None,
        blocks: bool = True,
    ) -> Callable[[], Course]:
        def lead() -> Course:
            return self._lead(cache, flight, loader, options, parent, blocks)

        return lead

    def _lead(
        self,
        cache: Cache,
        flight: Flight,
        loader: Loader,
        options: Options,
        parent: LoadContext | None,
        blocks: bool,
    ) -> Course:
        """Runs a loader, keeps what it gives, and tells all who wait."""
        self.take_lead(flight, blocks)
        with GATE:
            note = self.notes.get(flight.key)
        context = LoadContext(self, flight, options, note, parent)
        outer = running.get()
        running.set(context)
        at_work.append(None)
        began_at = time.monotonic()
        try:
            value = yield Run(lambda: loader(context))
        except Exception as error:
            self.left(context, outer)
            served, value = self._failed(flight, error, options)
            flight.end(FAILED, error=error)
            if served:
                return value
            raise
        except BaseException as error:
            self.left(context, outer)
            self._forget(flight)
            flight.end(GIVEN_UP, error=error)
            raise
        self.left(context, outer)
        try:
            load_ms = (time.monotonic() - began_at) * 1000.0
            self.settle(cache, flight, value, options, context, load_ms)
        except BaseException as error:
            # what the caller gave to judge a value has raised
            self._forget(flight)
            flight.end(FAILED if isinstance(error, Exception) else GIVEN_UP, error=error)
            raise
        flight.end(LANDED, value)
        self.lend(flight.tags, options)
        return value

    def settle(
        self,
        cache: Cache,
        flight: Flight,
        value: Any,
        options: Options,
        context: LoadContext,
        load_ms: float,
    ) -> None:
        """Works out the tags of a value, and whether to keep it; then lands it."""
        flight.tags = self.tags_of(value, options, context)
        keep = self.is_kept(value, options, context)
        self._land(cache, flight, value, keep, options, context, load_ms)

    def _land(
        self,
        cache: Cache,
        flight: Flight,
        value: Any,
        keep: bool,
        options: Options,
        context: LoadContext,
        load_ms: float,
    ) -> None:
        """Keeps the value of a flight, unless something has happened that outdates it."""
        ttl = context.ttl
        if value is None and options.negative_ttl is not UNSET and not context.has_ttl:
            ttl = options.negative_ttl
        kept = value if keep else None
        kind = kind_of(kept)
        held = cache._box(kept)
        noted = value
        if keep and cache._forms is not None and self._is_noted(options, context):
            # what may be served stale is not shared with the loader either
            noted = cache._forms.fresh(value)
        is_judged = False
        for attempt in range(LANDING_TRIES):
            space = enter(cache)
            try:
                is_judged = self._judge(flight)
                if is_judged and keep and not flight.void_at:
                    now = int(space.shared.now_ms())
                    deadline = int(deadline_of(ttl, "set", space, now))
                    entry = space.put(flight.key, held, kind, deadline, list(flight.tags))
                    if space.interest & LOADED and entry.key:
                        space.tell(LOADED, "loaded", entry, held)
                    self._kept(flight, noted, deadline, options, context, load_ms)
            except OutOfMemoryError:
                # there is no room to keep it, and that is all
                break
            finally:
                cache._leave()
            if is_judged:
                break
            # an effect is in the hands of another thread, which will be done with it
            time.sleep(0.0001 * min(attempt, 10))
        self._forget(flight)

    def _failed(self, flight: Flight, error: Exception, options: Options) -> tuple[bool, Any]:
        """Notes a failure. Returns whether a stale value is to be served, and which."""
        now = self.now_ms()
        keeps_error = bool(options.errors) and isinstance(error, options.errors)
        with GATE:
            note = self.notes.get(flight.key)
            if keeps_error and not flight.void_at:
                ttl = options.negative_ttl
                span = NEVER if ttl is None or ttl is UNSET else ttl.ms
                is_new = note is None
                if note is None:
                    note = Note()
                note.error, note.traceback = error, error.__traceback__
                note.failed_until_ms = now + span
                if is_new:
                    self.notes.put(flight.key, note, now)
            elif note is not None:
                note.failed_until_ms = now + options.throttle_ms
            self._close(flight)
        self._rest_soon()
        return self._from_note(flight.key, options, failed=True)

    # -- tags for the load that this one is part of

    def _lend_from(self, cache: Cache, key: str, options: Options) -> None:
        if running.get() is not None and options.propagate:
            self.lend(tuple(cache.tags(key)), options)

    def _lend_from_note(self, key: str, options: Options) -> None:
        if running.get() is not None:
            with GATE:
                note = self.notes.get(key)
            if note is not None:
                self.lend(note.tags, options)

    def fetch_many(
        self,
        cache: Cache,
        keys: Iterable[str],
        loader: ManyLoader,
        options: Options,
        waiter: Callable[[], Waiter],
        blocks: bool,
    ) -> Course:
        """The values of many keys, those that are missing loaded by one call."""
        from cachestorm.loading.batches import fetch_many

        return (yield from fetch_many(self, cache, keys, loader, options, waiter, blocks))

    def forked(self) -> None:
        """In a child process: the flights of other threads will never end there."""
        me = get_ident()
        for flight in self.log.all_open():
            if flight.thread != me:
                self._close(flight)

    def _check(self) -> None:
        """Asserts all invariants."""
        with GATE:
            self.notes._check()
            for key, flight in self.flights.items():
                assert flight.key == key
                assert flight in self.log._open[key]


def loading_of(cache: Cache) -> Loading:
    """The loads of the namespace that a cache is a view of."""
    own = getattr(cache, "loading", None)
    if own is not None:
        # a cache on a server has its own, of the same methods
        return cast(Loading, own)
    store, name = cache._store, cache.name
    found = cast("Loading | None", store.loadings.get(name))
    if found is None:
        with GATE:
            found = cast(Loading, store.loadings.setdefault(name, Loading(store, name)))
            _all.add(found)
    return found


def is_far(cache: Cache) -> bool:
    """Whether a cache is on a server, where a look takes a round trip."""
    return getattr(cache, "loading", None) is not None


_all: Final[weakref.WeakSet[Loading]] = weakref.WeakSet()


def _after_in_child() -> None:
    for loading in list(_all):
        loading.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
