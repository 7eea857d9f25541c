"""The leading of flights: what is the same for loads into a store and onto a server.

A base class of `Loading` and of its remote twin: who leads, what a value's tags are, and how
callers wait.
"""

from __future__ import annotations

import time
from _thread import get_ident
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cachestorm.loading.context import LoadContext, at_work, running
from cachestorm.loading.flight import FLYING, GIVEN_UP, Flight
from cachestorm.loading.notes import tags_in
from cachestorm.loading.options import Options
from cachestorm.loading.waiters import Waiter, running_loop
from cachestorm.markers import MISSING
from cachestorm.operations.names import checked_tags

# how often those who wait look whether the flight can still end
LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """What a driver is to do: call, and await what is awaitable. Gives the result."""

    call: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """What a driver is to do: sleep. Gives whether the waiter was woken."""

    waiter: Any
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Start:
    """What a driver is to do: run a course beside the caller. Gives whether it could."""

    course: Callable[[], Course]
    # whether the caller waits for it
    is_awaited: bool
    # what it is about, and what is given up if it cannot be started
    flight: Flight


Loader = Callable[[LoadContext], Any]
ManyLoader = Callable[[list[str]], Any]
Course = Generator[Run | Wait | Start, Any, Any]


class Leading(ABC):
    """What leads flights."""

    @abstractmethod
    def close(self, flight: Flight) -> None:
        """Forgets a flight."""

    def take_lead(self, flight: Flight, blocks: bool) -> None:
        """Notes who leads a flight: this thread, or a task of the loop that it runs."""
        flight.thread = get_ident()
        flight.is_blocking = blocks
        flight.loop = None if blocks else running_loop()

    def left(self, context: LoadContext, outer: LoadContext | None) -> None:
        """Notes that a loader has come to its end."""
        if running.get() is context:
            # else the garbage collector ends a task that was left, inside of something else
            running.set(outer)
        at_work.pop()

    def tags_of(self, value: Any, options: Options, context: LoadContext) -> tuple[str, ...]:
        """The tags of a value: of the call, found in it, and those that the loader gave."""
        tags: list[str] = [*options.tags]
        if options.tags_of is not None:
            tags += checked_tags(options.tags_of(value))
        return tags_in([*tags, *context.tags])

    def is_kept(self, value: Any, options: Options, context: LoadContext) -> bool:
        """Whether a value is to be kept."""
        keep = context.keep and value is not MISSING
        if keep and options.cache_if is not None:
            keep = bool(options.cache_if(value))
        return keep

    def checked_mapping(self, given: Any) -> Mapping[str, Any]:
        """What a loader of many keys gave.

        Raises:
            TypeError: if it is no mapping.
        """
        if not isinstance(given, Mapping):
            raise TypeError(f"a loader of many keys gives a mapping, not {given!r}")
        return given

    def lend(self, tags: tuple[str, ...], options: Options) -> None:
        """Lends tags to the load that the code at hand is part of."""
        load = running.get()
        if load is not None and load.home is self and tags and options.propagate:
            load.lend(tags)

    def sit(
        self, flight: Flight, waiter: Waiter, patience_s: float | None, began_at: float
    ) -> Generator[Wait, bool, bool]:
        """Waits for a flight. Returns whether it has ended, and not the caller's patience."""
        while True:
            left = None
            if patience_s is not None:
                left = began_at + patience_s - time.monotonic()
                if left <= 0.0:
                    return flight.state != FLYING
            look = LOOK_S if flight.loop is not None and flight.thread != get_ident() else left
            if left is not None and look is not None:
                look = min(look, left)
            if (yield Wait(waiter, look)):
                return True
            if flight.is_lost():
                self.close(flight)
                flight.end(GIVEN_UP)
                return True
