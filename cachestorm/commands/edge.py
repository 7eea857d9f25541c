"""The edge: where a public method enters the store and leaves it.

Every family of commands is a trait on top of this one. A method takes the latch here,
works on its keyspace, and gives the latch back here, whatever happens in between.

1. What a user may have written (iterables, codecs, weighers, listeners, finalizers) runs
   before `_enter` or after `_leave`, never between them. One exception: commands that compare
   elements (LPOS, LREM, LINSERT, SORT, HINCRBY) spell objects as JSON in between, and a
   subclass of `dict` or `list` may have its own `items` or `__iter__` called there.
2. A method calls undecorated helpers of its family, not another public method: the latch
   is not re-entrant.
"""

from __future__ import annotations

import time
from typing import Final, cast

from librt.random import random
from mypy_extensions import i64, mypyc_attr, trait, u8

from cachestorm.codec import INT64_MAX, checked_text, to_wire
from cachestorm.commands.errand import Errand, Unfinished
from cachestorm.declare.kinds import Lifetime
from cachestorm.entry import BUFFER, OBJECT, STRING, Entry
from cachestorm.errors import ArgumentError, InvalidTtlError, WrongTypeError
from cachestorm.keyspace.commons import PAUSE_S
from cachestorm.keyspace.expiry import Idle
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import Hold, Store
from cachestorm.markers import UNSET
from cachestorm.values.buffer import SHORTEST, Buffer

_UNSET: Final = UNSET
# About thirty thousand years: no sum with a wall clock overflows.
MANY_SECONDS: Final = 1_000_000_000_000


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Edge:
    """What the families of commands stand on: one keyspace of one store."""

    _store: Store
    _space: Keyspace
    # keeps the namespace while this view is alive
    _hold: Hold
    # whether the caller does the slices of an errand himself
    _serves_others: bool

    def _enter(self) -> Keyspace:
        self._store.enter()
        return self._space

    def _leave(self) -> None:
        self._store.leave()

    def _run(self, errand: Errand) -> object:
        """Runs an errand to its end; in a transaction, without a pause.

        Raises:
            Unfinished: after the first slice, on a view that serves others.
        """
        if errand.step():
            return errand.result()
        pauses = not self._store.in_transaction()
        if pauses and self._serves_others:
            errand.hold = self._hold
            raise Unfinished(errand)
        try:
            while True:
                if pauses:
                    time.sleep(PAUSE_S)
                if errand.step():
                    return errand.result()
        except BaseException:
            errand.abandon()
            raise


def exact_key(key: object) -> str:
    """A key as an exact `str`.

    Raises:
        TypeError: for anything that is no `str`.
    """
    if not isinstance(key, str):
        raise TypeError(f"a key is a str, not {type(key).__name__}")
    return checked_text(key)


def kind_of(value: object) -> u8:
    """STRING for what string commands work on, OBJECT for everything else."""
    kind = type(value)
    if kind is bytes or kind is str or kind is int or kind is float:
        return STRING
    return OBJECT


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
        lifetime: int = ttl.ms
        absolute = ttl.absolute
    else:
        lifetime = milliseconds_of(ttl)
        absolute = False
    if lifetime > 0:
        # a sum of Python's integers: what a user gave may not fit into 64 bits
        start: int = 0 if absolute else now_ms
        deadline = lifetime + start
        if deadline <= INT64_MAX:
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
    """

    def __init__(self, ttl: object, idle: object = None, jitter: float = 0.0) -> None:
        if not 0.0 <= jitter < 1.0:
            raise ArgumentError(f"ttl_jitter is a share from 0 up to 1, not {jitter!r}")
        idle_ms: int = 0
        if idle is not None:
            idle_ms = milliseconds_of(idle)
            if not 0 < idle_ms < MANY_SECONDS * 1000:
                raise InvalidTtlError("invalid idle time in 'set' command")
        self._ttl: Final = ttl
        self._idle_ms: Final = idle_ms
        self._jitter: Final = jitter
        self.is_default: Final = ttl is _UNSET and idle_ms == 0 and jitter == 0.0
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
        TypeError: for anything that is no duration.
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
        raise InvalidTtlError(f"a str of {len(text)} characters is no duration")
    for unit, size in _UNITS_MS.items():
        number = text.removesuffix(unit).strip()
        if number != text.strip() and number.isascii() and number.isdigit():
            return int(number) * size
    if text.isascii() and text.isdigit():
        return int(text) * 1000
    raise InvalidTtlError(f"{text!r} is no duration: write 10ms, 5s, 5m, 2h, 7d or seconds")


def scalar(space: Keyspace, entry: Entry) -> object:
    """The scalar that a string entry holds; of a buffer a copy.

    Raises:
        WrongTypeError: if the key holds anything else.
    """
    if entry.kind == STRING:
        return space.value(entry)
    if entry.kind != BUFFER:
        raise WrongTypeError()
    return cast(Buffer, space.value(entry)).whole()


def wire_scalar(space: Keyspace, entry: Entry | None) -> bytes:
    """The bytes of a string entry; nothing for a missing one. O(n) for a buffer.

    Raises:
        WrongTypeError: if the key holds anything else.
    """
    if entry is None:
        return b""
    return to_wire(scalar(space, entry))


def length_of(space: Keyspace, entry: Entry | None) -> int:
    """The length in bytes of a string; 0 for a missing one.

    Raises:
        WrongTypeError: if the key holds anything else.
    """
    if entry is not None and entry.kind == BUFFER:
        return len(cast(Buffer, space.value(entry)))
    return len(wire_scalar(space, entry))


def part_of(space: Keyspace, entry: Entry | None, start: int, stop: int) -> bytes:
    """The bytes of a string from `start` up to but not including `stop`, as far as they go.

    Raises:
        WrongTypeError: if the key holds anything else.
    """
    if entry is not None and entry.kind == BUFFER:
        return cast(Buffer, space.value(entry)).part(start, stop)
    return wire_scalar(space, entry)[start:stop]


def buffer_of(space: Keyspace, entry: Entry | None, length: int) -> Buffer | None:
    """The string of a key as a buffer at least that long, to be changed in place.

    Whoever changes it calls `Keyspace.changed` then.

    Returns:
        None if it is, and would be, short: it is to be written as a whole. So is the first
        value of a key that is missing.

    Raises:
        WrongTypeError: if the key holds anything else.
        OutOfMemoryError: if there is no room and no victim; no byte has changed.
    """
    if entry is None:
        return None
    if entry.kind != BUFFER:
        raw = wire_scalar(space, entry)
        if max(len(raw), length) < SHORTEST:
            return None
        return space.buffered(entry, raw, length)
    buffer = cast(Buffer, space.value(entry))
    if length > len(buffer):
        space.grow(entry, buffer, length)
    return buffer


def keep_scalar(space: Keyspace, key: str, entry: Entry | None, value: object) -> None:
    """Stores a scalar that was worked out from what the key held.

    Args:
        entry: of the key, which keeps its time to live and tags; None writes the key as a
            whole, whether it is there or not.

    Raises:
        OutOfMemoryError: if there is no room and no victim; nothing has changed.
    """
    if entry is not None:
        space.change(entry, value)
        return
    space.put(key, value, STRING, space.default_deadline())
