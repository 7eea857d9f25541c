"""Loads of many keys on a server: those that are missing are loaded by one call of a loader.

Called by `RemoteLoading`; the twin of `loading/batches.py`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

from cachestorm.loading.batches import one
from cachestorm.loading.context import LoadContext, running
from cachestorm.loading.flight import FAILED, GIVEN_UP, Flight
from cachestorm.loading.leading import Course, ManyLoader, Run, Start, Wait
from cachestorm.loading.options import Options
from cachestorm.loading.waiters import Waiter
from cachestorm.markers import MISSING
from cachestorm.operations.names import exact_key, many
from cachestorm.remote.refusals import UnsupportedError

if TYPE_CHECKING:
    from cachestorm.remote.loading import RemoteLoading


def fetch_many(
    loads: RemoteLoading,
    cache: Any,
    keys: Iterable[str],
    loader: ManyLoader,
    options: Options,
    waiter: Callable[[], Waiter],
    blocks: bool,
) -> Course:
    """The values of many keys, those that are missing loaded by one call."""
    loads.accept(options)
    if options.keeps_notes:
        raise UnsupportedError(
            "stale, stale_if_error, early and eager of many keys at once need a cache in "
            f"this process, not {loads._cache.address.shown}: ask for one key at a time"
        )
    names = list(dict.fromkeys(exact_key(key) for key in many(keys, "keys")))
    reader: Any = loads._cache.get_many if blocks else loads._cache.aio.get_many
    found: dict[str, Any] = yield Run(lambda: reader(names))
    for name in found:
        yield from loads._lend_from(name, options, blocks)
    mine: dict[Flight, bytes | None] = {}
    others = []
    for name in [name for name in names if name not in found]:
        token = secrets.token_hex(16).encode()
        asked = yield from loads._asked(name, token, options, blocks, False)
        if asked.is_taken:
            mine[loads._open(name, options, token)] = asked.raw
        else:
            others.append(name)
    if mine:
        found.update((yield from _lead_many(loads, mine, loader, options, blocks)))
    for name in others:
        each = one(loader, name)
        value = yield from loads.fetch(cache, name, each, options, waiter, blocks)
        if value is not MISSING:
            found[name] = value
    return {name: found[name] for name in names if name in found}


def _lead_many(
    loads: RemoteLoading,
    flights: dict[Flight, bytes | None],
    loader: ManyLoader,
    options: Options,
    blocks: bool,
) -> Generator[Run | Wait | Start, Any, dict[str, Any]]:
    contexts: list[LoadContext] = []
    context = running.get()
    for flight in flights:
        loads.take_lead(flight, blocks)
        context = LoadContext(loads, flight, options, None, context)
        contexts.append(context)
    tokens = {flight: loads._tokens[flight] for flight in flights}
    left = list(flights)
    values = {}
    try:
        names = [flight.key for flight in flights]
        given = yield from loads._called(contexts[-1], lambda _: loader(names))
        given = loads.checked_mapping(given)
        # what was lent to one of them was lent to all
        lent = contexts[-1].tags
        for flight, context in zip(flights, contexts):
            value = given.get(flight.key, MISSING)
            context.lend(lent)
            before = flights[flight]
            yield from loads._landed(flight, value, options, context, before, blocks)
            left.remove(flight)
            if value is not MISSING:
                values[flight.key] = value
                loads.lend(flight.tags, options)
        return values
    except BaseException as error:
        state = FAILED if isinstance(error, Exception) else GIVEN_UP
        for flight in left:
            loads.close(flight)
            flight.end(state, error=error)
        if not isinstance(error, GeneratorExit):
            for flight in left:
                back = loads._backer(flight, tokens[flight], blocks)
                yield Start(back, False, flight)
        raise
