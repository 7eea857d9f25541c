"""The load of many keys at once: one call of a loader for all that are missing.

A course of the engine. Keys that others are loading are waited for after the caller's own have
landed, so that two batches that overlap never wait for each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cachestorm.loading.context import LoadContext, at_work, running
from cachestorm.loading.engine import Loading
from cachestorm.loading.flight import FAILED, GATE, GIVEN_UP, LANDED, Flight
from cachestorm.loading.leading import Course, ManyLoader, Run, Start, Wait
from cachestorm.loading.options import Options
from cachestorm.loading.waiters import Waiter
from cachestorm.markers import MISSING
from cachestorm.operations.names import exact_key, many

if TYPE_CHECKING:
    from cachestorm.cache import Cache


def fetch_many(
    loading: Loading,
    cache: Cache,
    keys: Iterable[str],
    loader: ManyLoader,
    options: Options,
    waiter: Callable[[], Waiter],
    blocks: bool,
) -> Course:
    """The values of many keys, those that are missing loaded by one call.

    A key that the loader does not give is left out, and not kept.
    """
    names = list(dict.fromkeys(exact_key(key) for key in many(keys, "keys")))
    found: dict[str, Any] = {}
    missing = []
    for name, value in zip(names, cache.mget(*names, default=MISSING) if names else []):
        if value is MISSING:
            missing.append(name)
        else:
            loading._lend_from(cache, name, options)
            found[name] = value
    others = []
    flights = []
    if missing:
        loading.listen()
        with GATE:
            for name in missing:
                if loading._present(name) is not None:
                    others.append(name)
                else:
                    flight = loading.log.open(name, options.tags)
                    loading.flights[name] = flight
                    flights.append(flight)
    if flights:
        found.update((yield from _lead(loading, cache, flights, loader, options, blocks)))
    for name in others:
        value = yield from loading.fetch(
            cache, name, one(loader, name), options, waiter, blocks
        )
        if value is not MISSING:
            found[name] = value
    return {name: found[name] for name in names if name in found}


def one(loader: ManyLoader, key: str) -> Callable[[LoadContext], Any]:
    """A loader of one of the keys."""

    def load(context: LoadContext) -> Any:
        given = loader([key])
        if isinstance(given, Mapping):
            return given.get(key, MISSING)

        async def later() -> Any:
            return (await given).get(key, MISSING)

        return later()

    return load


def _lead(
    loading: Loading,
    cache: Cache,
    flights: list[Flight],
    loader: ManyLoader,
    options: Options,
    blocks: bool,
) -> Generator[Run | Wait | Start, Any, dict[str, Any]]:
    outer = running.get()
    contexts = []
    context = outer
    for flight in flights:
        loading.take_lead(flight, blocks)
        context = LoadContext(loading, flight, options, None, context)
        contexts.append(context)
    running.set(context)
    at_work.append(None)
    began_at = time.monotonic()
    ended = 0
    try:
        try:
            given = yield Run(lambda: loader([flight.key for flight in flights]))
        finally:
            running.set(outer)
            at_work.pop()
        given = loading.checked_mapping(given)
        load_ms = (time.monotonic() - began_at) * 1000.0
        values = {}
        # what was lent to one of them was lent to all
        lent = contexts[-1].tags
        for flight, context in zip(flights, contexts):
            value = given.get(flight.key, MISSING)
            context.lend(lent)
            loading.settle(cache, flight, value, options, context, load_ms)
            flight.end(LANDED, value)
            ended += 1
            if value is not MISSING:
                values[flight.key] = value
                loading.lend(flight.tags, options)
        return values
    except BaseException as error:
        state = FAILED if isinstance(error, Exception) else GIVEN_UP
        for flight in flights[ended:]:
            loading._forget(flight)
            flight.end(state, error=error)
        raise
