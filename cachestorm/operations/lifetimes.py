"""Lifetimes: what a user says about time, as milliseconds, deadlines and conditions.

Called by the commands: durations are read before they take the latch, deadlines worked out
under it.
"""

from __future__ import annotations

from typing import Final, cast

from librt.random import random
from mypy_extensions import i64

from cachestorm.codec import is_int64
from cachestorm.declare.kinds import Lifetime
from cachestorm.errors import ArgumentError, InvalidTtlError
from cachestorm.keyspace.expiry import Idle
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.markers import UNSET

_UNSET: Final = UNSET

# About thirty thousand years: no sum with a wall clock overflows.
MANY_SECONDS: Final = 1_000_000_000_000


def by_the_clock(lifetime: Lifetime, space: Keyspace) -> Lifetime:
    """What a lifetime means by the cache's clock, which may be ahead of the system's."""
    if not lifetime.absolute:
        return lifetime
    ahead: int = space.shared.clock.ahead_ms()
    return Lifetime(lifetime.ms + ahead, True) if ahead else lifetime


def plain_ttl(ttl: object) -> object:
    """A time to live in a form that `deadline_of` reads under the latch without a user's code.

    Raises:
        InvalidTtlError, TypeError: as `milliseconds_of`.
    """
    if type(ttl) is int or ttl is None or ttl is _UNSET or isinstance(ttl, Lifetime):
        return ttl
    milliseconds = milliseconds_of(ttl)
    if milliseconds <= 0:
        raise _not_positive(ttl)
    return Lifetime(milliseconds, False)


def _not_positive(ttl: object) -> InvalidTtlError:
    return InvalidTtlError(f"a time to live is positive, or None for never, not {ttl!r}")


def deadline_of(ttl: object, command: str, space: Keyspace, now_ms: i64) -> i64:
    """The deadline that a time to live means; 0 for never.

    Args:
        ttl: seconds, a `timedelta`, a duration like `"5m"`, a `Lifetime` of the wire,
            None for never, or UNSET for the namespace's default.
        command: whose refusal it is.
        space: the namespace.

    Raises:
        InvalidTtlError: if it is not positive or ends beyond 64 bits.
    """
    if type(ttl) is int and 0 < ttl < MANY_SECONDS:
        return now_ms + ttl * 1000
    if ttl is _UNSET:
        return space.default_deadline(now_ms)
    if ttl is None:
        return 0
    if isinstance(ttl, Lifetime):
        lifetime: int = by_the_clock(ttl, space).ms if ttl.ms > 0 else ttl.ms
        absolute = ttl.absolute
    else:
        lifetime = milliseconds_of(ttl)
        absolute = False
        if lifetime <= 0:
            raise _not_positive(ttl)
    if lifetime > 0:
        # a sum of Python's integers: what a user gave may not fit into 64 bits
        start: int = 0 if absolute else now_ms
        deadline = lifetime + start
        if is_int64(deadline):
            return deadline
    raise InvalidTtlError(f"invalid expire time in '{command}' command")


class Lasting:
    """How long a key is to last: a time to live, an idle time, a jitter.

    Attributes:
        is_default: none of them was given.
        deadline_ms: when it ends, once begun; 0 for never.
        idle: what the keyspace keeps of an idle time.

    Raises:
        InvalidTtlError: if the idle time is not positive.
        ArgumentError: for a jitter below 0, or of 1 and more.
        TypeError: for a jitter that is not a number.
    """

    def __init__(self, ttl: object, idle: object = None, jitter: object = None) -> None:
        share = 0.0
        if jitter is not None:
            if isinstance(jitter, bool) or not isinstance(jitter, (float, int)):
                raise TypeError(f"ttl_jitter is a share from 0 up to 1, not {jitter!r}")
            if not 0.0 <= jitter < 1.0:
                raise ArgumentError(f"ttl_jitter is a share from 0 up to 1, not {jitter!r}")
            share = float(jitter)
        idle_ms: int = 0
        if idle is not None:
            idle_ms = milliseconds_of(idle)
            if not 0 < idle_ms < MANY_SECONDS * 1000:
                raise InvalidTtlError(f"an idle time is positive, or None, not {idle!r}")
        self._ttl: Final = plain_ttl(ttl)
        self._idle_ms: Final = idle_ms
        self._jitter: Final = share
        self.is_default: Final = ttl is _UNSET and idle_ms == 0 and share == 0.0
        self.deadline_ms: i64 = 0
        self.idle: Idle | None = None

    def begin(self, command: str, space: Keyspace, now_ms: i64) -> None:
        """Works out the deadline, from now on.

        Raises:
            InvalidTtlError: as `deadline_of`.
        """
        deadline = deadline_of(self._ttl, command, space, now_ms)
        if self._jitter != 0.0 and deadline > now_ms:
            span: int = deadline - now_ms
            spared: int = int(span * self._jitter * random())
            deadline -= spared
        if self._idle_ms != 0:
            self.idle = Idle(self._idle_ms, deadline, now_ms)
            deadline = self.idle.deadline_ms()
        self.deadline_ms = deadline


def milliseconds_of(ttl: object) -> int:
    """Milliseconds of a duration given in Python; at least 1 if it is positive at all.

    Raises:
        InvalidTtlError: for a `str` that spells no duration, NaN, and what is infinite in
            milliseconds.
        TypeError: for anything that is not a duration.
    """
    if isinstance(ttl, bool):
        raise TypeError("a time to live is a number of seconds, not a bool")
    if isinstance(ttl, int):
        return ttl * 1000
    if isinstance(ttl, float):
        span = ttl * 1000.0
        if span - span != 0.0:
            raise InvalidTtlError(f"a time to live cannot be {ttl}")
        milliseconds = int(span)
        return 1 if milliseconds == 0 and ttl > 0.0 else milliseconds
    if isinstance(ttl, str):
        return _spelled(ttl)
    total = getattr(ttl, "total_seconds", None)
    if total is None:
        raise TypeError(f"a time to live is seconds, a timedelta or '5m', not {ttl!r}")
    return milliseconds_of(cast(float, total()))


def in_milliseconds(ttl: object) -> object:
    """A time to live for the methods that redis-py counts in milliseconds.

    A bare positive number becomes a `Lifetime`, at least 1 as in `milliseconds_of`; anything
    else is given back as it is.
    """
    if isinstance(ttl, bool):
        return ttl
    if isinstance(ttl, int):
        return Lifetime(int(ttl), False) if ttl > 0 else ttl
    if isinstance(ttl, float) and ttl > 0.0 and ttl - ttl == 0.0:
        return Lifetime(max(int(ttl), 1), False)
    return ttl


_UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

# No duration that fits into 64 bits is spelled longer.
_LONGEST_SPELLING: Final = 40


def _spelled(text: str) -> int:
    if len(text) > _LONGEST_SPELLING:
        raise InvalidTtlError(f"a str of {len(text)} characters is not a duration")
    for unit, size in _UNITS_MS.items():
        number = text.removesuffix(unit).strip()
        if number != text.strip() and number.isascii() and number.isdigit():
            return int(number) * size
    if text.isascii() and text.isdigit():
        return int(text) * 1000
    raise InvalidTtlError(f"{text!r} is not a duration: write 10ms, 5s, 5m, 2h, 7d or seconds")


class Only:
    """The conditions of EXPIRE, HEXPIRE and related commands.

    Raises:
        ArgumentError: for conditions that exclude each other.
    """

    def __init__(self, nx: bool, xx: bool, gt: bool, lt: bool) -> None:
        if nx and (xx or gt or lt):
            raise ArgumentError(
                "NX and XX, GT or LT options at the same time are not compatible"
            )
        if gt and lt:
            raise ArgumentError("GT and LT options at the same time are not compatible")
        self._nx = nx
        self._xx = xx
        self._gt = gt
        self._lt = lt

    def allows(self, present_ms: int, next_ms: int) -> bool:
        """Whether a deadline may replace the present one, which is 0 for never."""
        if self._nx:
            return present_ms == 0
        if self._xx and present_ms == 0:
            return False
        if self._gt:
            return present_ms != 0 and next_ms > present_ms
        if self._lt:
            return present_ms == 0 or next_ms < present_ms
        return True


def positive_span(ttl: object, name: str) -> Lifetime:
    """A time to live from now on, in any of the forms that `milliseconds_of` reads.

    Raises:
        InvalidTtlError: if it is not positive, and for anything that is not a time.
    """
    milliseconds = milliseconds_of(ttl)
    if milliseconds <= 0:
        raise InvalidTtlError(f"invalid expire time in '{name}' command")
    return Lifetime(milliseconds, False)


def named_span(span: object, name: str) -> Lifetime:
    """As `positive_span`, for an argument that only Python has, and that a refusal names."""
    milliseconds = milliseconds_of(span)
    if milliseconds <= 0:
        raise InvalidTtlError(f"{name} is a positive time, or None, not {span!r}")
    return Lifetime(milliseconds, False)


def moment_of(when: object, unit_ms: int) -> Lifetime:
    """The point in time that a number of units since 1970, or a `datetime`, means.

    Raises:
        InvalidTtlError: for NaN and what is infinite.
        TypeError: for anything else.
    """
    if isinstance(when, Lifetime):
        return when
    stamp = getattr(when, "timestamp", None)
    number = when
    if stamp is not None:
        number = stamp()
        unit_ms = 1000
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise TypeError(f"a deadline is a number since 1970 or a datetime, not {when!r}")
    if isinstance(number, int):
        return Lifetime(int(number) * unit_ms, True)
    moment = number * unit_ms
    if moment - moment != 0.0:
        raise InvalidTtlError(f"a deadline cannot be {when}")
    return Lifetime(round(moment), True)


def lifetime_of(when: object, unit_ms: int, absolute: bool, name: str) -> Lifetime:
    """What the time of a field means, in Python or on the wire; not a negative one.

    Args:
        unit_ms: of a bare number.
        absolute: a point in time, else from now on.

    Raises:
        InvalidTtlError: for a negative one, and for anything that is not a time.
    """
    lifetime = moment_of(when, unit_ms) if absolute else _span_of(when, unit_ms)
    if lifetime.ms < 0:
        raise InvalidTtlError(f"invalid expire time in '{name}' command")
    return lifetime


def _span_of(when: object, unit_ms: int) -> Lifetime:
    if isinstance(when, Lifetime):
        return when
    if isinstance(when, bool) or not isinstance(when, (int, float)):
        return Lifetime(milliseconds_of(when), False)
    if isinstance(when, int):
        return Lifetime(int(when) * unit_ms, False)
    span = when * unit_ms
    if span - span != 0.0:
        raise InvalidTtlError(f"a time to live cannot be {when}")
    return Lifetime(int(span), False)
