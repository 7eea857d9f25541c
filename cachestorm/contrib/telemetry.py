"""OpenTelemetry: the numbers of a cache as metrics, and its calls as spans.

Called by a program that has set up OpenTelemetry; needs the extra `otel`. Calls the public
methods of a cache, so the cache itself knows nothing of it, and pays nothing without it.

1. Metrics are observed when they are exported: nothing is counted on the way of a call.
2. Spans are of the calls that go through what `traced` gives. A key may be somebody's name, so
   it is told only if that is asked for; a value never is.

Source: https://opentelemetry.io/docs/specs/semconv/database/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import isawaitable
from typing import Any, Final, cast

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter
from opentelemetry.trace import (
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    TracerProvider,
    get_tracer,
)

from cachestorm.cache import Cache

SCOPE: Final = "cachestorm"

# of `StoreStats`: the instrument, its unit, and what it counts
_COUNTERS: Final = {
    "hits": ("cachestorm.hits", "{read}", "Reads that found their key."),
    "misses": ("cachestorm.misses", "{read}", "Reads that did not find their key."),
    "expired": ("cachestorm.keys.expired", "{key}", "Keys whose time was over."),
    "evicted": ("cachestorm.keys.evicted", "{key}", "Keys evicted at a limit."),
    "invalidated": ("cachestorm.keys.invalidated", "{key}", "Keys deleted with a tag."),
    "refused": ("cachestorm.writes.refused", "{write}", "Writes that found no room."),
}
_GAUGES: Final = {
    "keys": ("cachestorm.keys", "{key}", "Keys that there are."),
    "tags": ("cachestorm.tags", "{tag}", "Tags that have keys."),
    "used_memory": ("cachestorm.memory.usage", "By", "What the cache is charged at."),
    "max_memory": ("cachestorm.memory.limit", "By", "The limit; 0 for none."),
}


def observe(cache: Cache[Any], meter_provider: MeterProvider | None = None) -> None:
    """Exports what a cache has counted, over all of its namespaces.

    Args:
        meter_provider: None for the global one.

    Examples:
        >>> from cachestorm import Cache
        >>> observe(Cache())
    """
    meter = get_meter(SCOPE, meter_provider=meter_provider)
    for fact, (name, unit, text) in _COUNTERS.items():
        meter.create_observable_counter(name, [_reader(cache, fact)], unit, text)
    for fact, (name, unit, text) in _GAUGES.items():
        meter.create_observable_up_down_counter(name, [_reader(cache, fact)], unit, text)


def _reader(cache: Cache[Any], fact: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(cast(int, getattr(cache.store_stats(), fact)))]

    return read


class Traced:
    """A cache whose calls are spans. Everything else of it is as it is."""

    def __init__(self, cache: Cache[Any], tracer: Tracer, keys: bool) -> None:
        self._cache: Final = cache
        self._tracer: Final = tracer
        self._keys: Final = keys

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cache, name)
        if name.startswith("_") or not callable(found) or name in _NOT_CALLS:
            return found
        return self._spanned(name, found)

    def namespace(self, name: str, **settings: Any) -> Traced:
        """A view of another namespace, whose calls are spans as well."""
        return Traced(self._cache.namespace(name, **settings), self._tracer, self._keys)

    def _spanned(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        attributes = {
            "db.system.name": SCOPE,
            "db.operation.name": name,
            "db.namespace": self._cache.name,
        }
        tracer, keys = self._tracer, self._keys

        @wraps(method)
        def call(*args: Any, **named: Any) -> Any:
            span = tracer.start_span(
                f"cache {name}", kind=SpanKind.CLIENT, attributes=attributes
            )
            if keys and args and isinstance(args[0], str):
                span.set_attribute("cachestorm.key", args[0])
            try:
                result = method(*args, **named)
            except BaseException as error:
                span.record_exception(error)
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                span.end()
                raise
            if isawaitable(result):
                return _awaited(result, span)
            if name == "get":
                default = args[1] if len(args) > 1 else named.get("default")
                span.set_attribute("cachestorm.hit", result is not default)
            span.end()
            return result

        return call


async def _awaited(result: Any, span: Any) -> Any:
    try:
        return await result
    except BaseException as error:
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        span.end()


# they give something to be used later, or take a function
_NOT_CALLS: Final = frozenset(
    {"listen", "lock", "memoize", "on", "on_removed", "pipeline", "subscribe", "transaction"}
)


def traced(
    cache: Cache[Any], tracer_provider: TracerProvider | None = None, *, keys: bool = False
) -> Any:
    """A cache whose calls are spans, for the code that is to be watched.

    Args:
        tracer_provider: None for the global one.
        keys: whether a span tells the key.

    Examples:
        >>> from cachestorm import Cache
        >>> cache = traced(Cache())
        >>> cache.set("k", 1), cache.get("k")
        (True, 1)
    """
    return Traced(cache, get_tracer(SCOPE, tracer_provider=tracer_provider), keys)
