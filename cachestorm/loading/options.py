"""The options of a load: read once, refused at once, and then facts.

Made by `Face.get_or_set` and its variants, and once for each memoized function; read by the
engine.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from cachestorm.declare.kinds import Lifetime
from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm.markers import UNSET, Unset
from cachestorm.operations.lifetimes import milliseconds_of, named_span
from cachestorm.operations.names import checked_tags

# what a source that has failed is spared, where a stale value can be served meanwhile
THROTTLE_S = 1.0

TagSource = Iterable[str] | Callable[[Any], Iterable[str]]


class LoadTimeoutError(CacheStormError, TimeoutError):
    """A load took longer than its caller was ready to wait. It goes on, and is kept."""

    code = "TIMEOUT"
    http_status = 504


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a value is loaded and kept. Durations have been read: milliseconds, or seconds.

    Attributes:
        ttl: how long the value is fresh; None for ever, UNSET as the namespace has it.
        tags: those that are known before the load.
        tags_of: those that follow from the value.
        stale_ms: how long after that it may be served while it is loaded anew.
        error_ms: how long after that it may be served when the loader fails.
        early: how eagerly it is loaded anew before its end; 0 for not at all.
        eager: after which share of its time to live; 1 for not before its end.
        negative_ttl: the time to live of None.
        errors: exceptions that are kept as well, for `negative_ttl`.
        cache_if: whether to keep a value.
        timeout_s: how long a caller waits before it gives up.
        soft_timeout_s: how long a caller waits before it takes the stale value.
        throttle_ms: how long a source that has failed is not asked.
        propagate: whether tags are lent to the load that this one is part of.
    """

    ttl: Lifetime | Unset | None = UNSET
    tags: tuple[str, ...] = ()
    tags_of: Callable[[Any], Iterable[str]] | None = None
    stale_ms: int = 0
    error_ms: int = 0
    early: float = 0.0
    eager: float = 1.0
    negative_ttl: Lifetime | Unset | None = UNSET
    errors: tuple[type[Exception], ...] = ()
    cache_if: Callable[[Any], bool] | None = None
    timeout_s: float | None = None
    soft_timeout_s: float | None = None
    throttle_ms: int = 0
    propagate: bool = True

    @property
    def judges_hits(self) -> bool:
        """Whether a value that is there may still be loaded anew."""
        return self.early > 0.0 or self.eager < 1.0

    @property
    def keeps_notes(self) -> bool:
        """Whether more is kept of a load than its value."""
        return self.judges_hits or self.stale_ms > 0 or self.error_ms > 0

    @property
    def is_detached(self) -> bool:
        """Whether a caller may leave before the load has ended, which then needs its own."""
        return self.timeout_s is not None or self.soft_timeout_s is not None


def options_of(
    ttl: object = UNSET,
    tags: TagSource = (),
    stale: object = None,
    stale_if_error: object = None,
    early: float = 0.0,
    eager: float = 1.0,
    negative_ttl: object = UNSET,
    cache_errors: Iterable[type[Exception]] | type[Exception] = (),
    cache_if: Callable[[Any], bool] | None = None,
    timeout: object = None,
    soft_timeout: object = None,
    throttle: object = THROTTLE_S,
    propagate: bool = True,
) -> Options:
    """Reads the options as a user gives them.

    Raises:
        ArgumentError: for options that are out of range, or mean nothing together.
        InvalidTtlError: for a duration that is none, or not positive.
        TypeError: for what is of the wrong type.
    """
    if not early >= 0.0:
        raise ArgumentError(f"early is 0 or more, not {early!r}")
    if not 0.0 < eager <= 1.0:
        raise ArgumentError(f"eager is a share of the time to live, 0 to 1, not {eager!r}")
    errors = (cache_errors,) if isinstance(cache_errors, type) else tuple(cache_errors)
    for each in errors:
        if not issubclass(each, Exception):
            raise TypeError(f"cache_errors are classes of exceptions, not {each!r}")
    if errors and negative_ttl is UNSET:
        raise ArgumentError("cache_errors needs negative_ttl: how long an error is kept")
    if soft_timeout is not None and stale is None and stale_if_error is None:
        raise ArgumentError("soft_timeout needs stale or stale_if_error: what to serve then")
    known: tuple[str, ...] = ()
    tags_of = None
    if callable(tags):
        tags_of = tags
    else:
        known = tuple(checked_tags(tags))
    stale_ms = _span_ms(stale, "stale")
    return Options(
        ttl=_lifetime(ttl),
        tags=known,
        tags_of=tags_of,
        stale_ms=stale_ms,
        # what may be served during a load may be served as well when it fails
        error_ms=max(_span_ms(stale_if_error, "stale_if_error"), stale_ms),
        early=early,
        eager=eager,
        negative_ttl=_lifetime(negative_ttl, "negative_ttl"),
        errors=errors,
        cache_if=cache_if,
        timeout_s=_seconds(timeout, "timeout"),
        soft_timeout_s=_seconds(soft_timeout, "soft_timeout"),
        throttle_ms=milliseconds_of(throttle),
        propagate=propagate,
    )


def options_by_name(ttl: object, tags: TagSource, options: dict[str, Any]) -> Options:
    """As `options_of`, which also refuses names that no option has."""
    unknown = set(options) - _NAMES
    if unknown:
        raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
    return options_of(ttl, tags, **options)


_NAMES: Final = frozenset(inspect.signature(options_of).parameters)


def _lifetime(ttl: object, name: str = "ttl") -> Lifetime | Unset | None:
    if ttl is None or isinstance(ttl, Unset):
        return ttl
    return named_span(ttl, name)


def _span_ms(span: object, name: str) -> int:
    return 0 if span is None else named_span(span, name).ms


def _seconds(span: object, name: str) -> float | None:
    return None if span is None else named_span(span, name).ms / 1000
