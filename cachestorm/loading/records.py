"""The records of a namespace: its flights, its notes, and the log that judges both.

The base class of the engine: what it keeps and asks, but not what it does.

1. The lock of the store is taken before GATE. A thread that holds GATE may want that lock in a
   finalizer: so no thread waits for GATE for long while it holds the store's lock.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cachestorm.loading.context import LoadContext
from cachestorm.loading.flight import GATE, Flight
from cachestorm.loading.flight_log import FlightLog
from cachestorm.loading.notes import NEVER, Note, Notes
from cachestorm.loading.options import Options
from cachestorm.markers import MISSING

if TYPE_CHECKING:
    from cachestorm.keyspace.store import Store

GATE_PATIENCE_S: Final = 0.02


class Records:
    """What is known of the loads of one namespace."""

    def __init__(self, store: Store, namespace: str) -> None:
        self._store: Final = store
        self.flights: Final[dict[str, Flight]] = {}
        self.notes: Final = Notes()
        self.log: Final = FlightLog(store, namespace, self.notes)
        # the names of memoized functions, and how many have had each
        self.names: Final[dict[str, int]] = {}
        # between 0 and 1, for early refreshes; a test gives another
        self.random: Callable[[], float] = random.random

    def now_ms(self) -> int:
        """The time of the cache."""
        return int(self._store.clock.now_ms())

    def gated(self, action: Callable[[], object]) -> bool:
        """Does something that needs GATE, in a visit to the store.

        Returns:
            Whether it was done: not while others hold GATE for long.
        """
        if not GATE.acquire(timeout=GATE_PATIENCE_S):
            return False
        try:
            action()
        finally:
            GATE.release()
        return True

    def _visited(self, action: Callable[[], object]) -> bool:
        """As `gated`, in a visit of its own."""
        self._store.enter()
        try:
            return self.gated(action)
        finally:
            self._store.leave()

    def listen(self) -> None:
        """Has the log hear what happens from now on."""
        while not self.log.is_listening:
            self._visited(self.log.listen)

    def _rest_soon(self) -> None:
        """Has the log stop listening if nobody needs it."""
        if self.log.is_idle():
            self._visited(self.log.rest)

    def _hear_all(self) -> None:
        """Looks at what has happened to keys and tags. Not exact under contention."""
        if self.log.is_listening and not self.log.is_current():
            self._visited(self.log.catch_up)

    def _close(self, flight: Flight) -> None:
        """The caller holds GATE."""
        if self.flights.get(flight.key) is flight:
            del self.flights[flight.key]
        self.log.close(flight)

    def release(self) -> None:
        """Ends what a version asked for by `log.hold`."""
        with GATE:
            self.log.release()
        self._rest_soon()

    def _forget(self, flight: Flight) -> None:
        with GATE:
            self._close(flight)
        self._rest_soon()

    def _from_note(self, key: str, options: Options, failed: bool = False) -> tuple[bool, Any]:
        """Whether a stale value may be served, and which; raises an error that was kept.

        Args:
            failed: whether the source has failed, or is late.
        """
        if not self.notes:
            return False, MISSING
        now = self.now_ms()
        self._hear_all()
        with GATE:
            note = self.notes.get(key)
            if note is None:
                return False, MISSING
            has_failed = now < note.failed_until_ms
            span = min(options.stale_ms, note.stale_ms)
            if failed or has_failed:
                span = min(options.error_ms, note.error_ms)
            if span and note.is_servable(now, span):
                return True, note.value
            if note.error is not None and has_failed and not failed:
                raise note.error.with_traceback(note.traceback)
            return False, MISSING

    def _may_ask(self, key: str) -> bool:
        with GATE:
            note = self.notes.get(key)
            return note is None or self.now_ms() >= note.failed_until_ms

    def _is_due(self, key: str, options: Options) -> bool:
        """Whether a value that is still fresh is to be loaded anew.

        Source: Vattani, Chierichetti, Lowenstein, Optimal Probabilistic Cache Stampede
            Prevention (2015): the nearer the end and the longer the load, the likelier.
        """
        with GATE:
            note = self.notes.get(key)
        if note is None or note.expires_at_ms >= NEVER:
            return False
        now = self.now_ms()
        if now < note.failed_until_ms:
            return False
        if now >= note.kept_at_ms + (note.expires_at_ms - note.kept_at_ms) * options.eager:
            return True
        if options.early == 0.0:
            return False
        lead_ms = -math.log(1.0 - self.random()) * note.load_ms * options.early
        return now + lead_ms >= note.expires_at_ms

    def _judge(self, flight: Flight) -> bool:
        """Says whether a flight is void. The caller holds the store's lock, and keeps it.

        Returns:
            Whether that could be said.
        """

        def judge() -> None:
            self.log.catch_up()
            flight.void_at = self.log.verdict(flight, flight.tags)

        return self.gated(judge)

    def _kept(
        self,
        flight: Flight,
        value: Any,
        deadline: int,
        options: Options,
        context: LoadContext,
        load_ms: float,
    ) -> None:
        """Notes what was written for a flight, in the visit in which it was judged."""

        def keep() -> None:
            self.log.skip(flight)
            self._annotate(flight, value, deadline, options, context, load_ms)

        # where that fails, the write is heard as one of anybody, and ends what is noted
        self.gated(keep)

    def _is_noted(self, options: Options, context: LoadContext) -> bool:
        """Whether more is kept of a load than its value."""
        return options.keeps_notes or context.has_mark

    def _annotate(
        self,
        flight: Flight,
        value: Any,
        deadline: int,
        options: Options,
        context: LoadContext,
        load_ms: float,
    ) -> None:
        if not self._is_noted(options, context):
            self.notes.drop(flight.key)
            return
        note = Note()
        note.value = value
        note.tags = flight.tags
        note.kept_at_ms = self.now_ms()
        note.expires_at_ms = deadline or NEVER
        note.stale_ms = context.stale_ms
        note.error_ms = context.error_ms
        keep_ms = max(context.stale_ms, context.error_ms)
        if context.has_mark and deadline:
            keep_ms = max(keep_ms, deadline - note.kept_at_ms)
        note.kept_until_ms = note.expires_at_ms + keep_ms
        note.load_ms = load_ms
        note.etag = context.etag
        note.modified = context.modified
        self.notes.put(flight.key, note, note.kept_at_ms)
