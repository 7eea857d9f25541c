"""The family of deadlines: how long a key lives, whatever its value is.

1. Asking for a deadline (`ttl`) is not an access: it does not change the access count.
2. A deadline in the past deletes the key at once.
"""

from __future__ import annotations

from functools import partial
from typing import Final, overload

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import is_int64
from cachestorm.commands.edge import Edge, enter
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.kinds import Lifetime
from cachestorm.errors import InvalidTtlError
from cachestorm.events import Cause
from cachestorm.operations.lifetimes import (
    Only,
    by_the_clock,
    in_milliseconds,
    moment_of,
    positive_span,
)
from cachestorm.operations.names import exact_key
from cachestorm.typevars import D

command: Final = partial(Declaration, group="generic")

_EXPIRED: Final = Cause.EXPIRED


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Deadlines(Edge):
    """EXPIRE, TTL, PERSIST and related commands."""

    @command(
        "EXPIRE key:rw-update ttl:seconds [NX | XX | GT | LT]",
        complexity="O(1)",
        fast=True,
        stray="Unsupported option {arg}",
        summary="Give a key a time to live in seconds.",
    )
    def expire(
        self,
        key: str,
        ttl: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> bool:
        """Gives a key a time to live.

        Args:
            ttl: seconds, a `timedelta` or `"5m"`.
            nx: only if it has none.
            xx: only if it has one.
            gt: only if it would live longer; no time to live counts as forever.
            lt: only if it would live shorter.

        Returns:
            Whether it was given.

        Raises:
            InvalidTtlError: if the time to live is not positive; on the wire such a key
                is deleted.
        """
        return self._expire(key, ttl, "expire", Only(nx, xx, gt, lt))

    @command(
        "PEXPIRE key:rw-update ttl:milliseconds [NX | XX | GT | LT]",
        complexity="O(1)",
        fast=True,
        stray="Unsupported option {arg}",
        summary="Give a key a time to live in milliseconds.",
    )
    def pexpire(
        self,
        key: str,
        ttl: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> bool:
        """As `expire`; a bare number is milliseconds."""
        return self._expire(key, in_milliseconds(ttl), "pexpire", Only(nx, xx, gt, lt))

    @command(
        "EXPIREAT key:rw-update when:unix-seconds [NX | XX | GT | LT]",
        complexity="O(1)",
        fast=True,
        stray="Unsupported option {arg}",
        summary="Give a key a deadline in Unix seconds.",
    )
    def expireat(
        self,
        key: str,
        when: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> bool:
        """Gives a key a deadline. Options as `expire`.

        Args:
            when: seconds since 1970, or a `datetime`. One in the past deletes the key.
        """
        return self._expire(key, moment_of(when, 1000), "expireat", Only(nx, xx, gt, lt))

    @command(
        "PEXPIREAT key:rw-update when:unix-milliseconds [NX | XX | GT | LT]",
        complexity="O(1)",
        fast=True,
        stray="Unsupported option {arg}",
        summary="Give a key a deadline in Unix milliseconds.",
    )
    def pexpireat(
        self,
        key: str,
        when: object,
        *,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> bool:
        """As `expireat`; a bare number is milliseconds since 1970."""
        return self._expire(key, moment_of(when, 1), "pexpireat", Only(nx, xx, gt, lt))

    def _expire(self, key: str, ttl: object, name: str, only: Only) -> bool:
        key = exact_key(key)
        lifetime = ttl if isinstance(ttl, Lifetime) else positive_span(ttl, name)
        space = enter(self)
        try:
            now = space.shared.now_ms()
            # a sum of Python's integers: what a user gave may not fit into 64 bits
            start: int = 0 if lifetime.absolute else now
            wanted = by_the_clock(lifetime, space).ms + start
            # one that began before 64 bits is refused even where the sum lies within them
            if not is_int64(lifetime.ms) or not is_int64(wanted):
                raise InvalidTtlError(f"invalid expire time in '{name}' command")
            deadline: i64 = wanted
            entry = space.peek(key)
            if entry is None:
                return False
            if not only.allows(entry.expires_at_ms, wanted):
                return False
            if deadline <= now:
                space.remove(entry, _EXPIRED, "del")
            else:
                space.set_expiry(entry, deadline)
            return True
        finally:
            self._leave()

    @command(
        "PERSIST key:rw-update",
        complexity="O(1)",
        fast=True,
        summary="Remove the time to live of a key.",
    )
    def persist(self, key: str) -> bool:
        """Takes the time to live from a key. Returns whether it had one."""
        key = exact_key(key)
        space = enter(self)
        try:
            entry = space.peek(key)
            if entry is None or entry.expires_at_ms == 0:
                return False
            space.set_expiry(entry, 0)
            return True
        finally:
            self._leave()

    @overload
    def ttl(self, key: str) -> float | None: ...
    @overload
    def ttl(self, key: str, default: D) -> float | D | None: ...
    @command(
        "TTL key",
        complexity="O(1)",
        fast=True,
        reply="ttl",
        local="whole seconds on the wire; PTTL has the rest",
        tips="nondeterministic_output",
        summary="Return the time to live of a key in seconds.",
    )
    def ttl(self, key: str, default: object = None) -> object:
        """Seconds left to live as a `float`; None for a key that has no end.

        Args:
            default: what to give for a missing key; MISSING tells it from one without end.
        """
        return _seconds(self._time_left(key, default))

    @overload
    def pttl(self, key: str) -> int | None: ...
    @overload
    def pttl(self, key: str, default: D) -> int | D | None: ...
    @command(
        "PTTL key",
        complexity="O(1)",
        fast=True,
        reply="pttl",
        tips="nondeterministic_output",
        summary="Return the time to live of a key in milliseconds.",
    )
    def pttl(self, key: str, default: object = None) -> object:
        """Milliseconds left to live; else as `ttl`."""
        return self._time_left(key, default)

    def _time_left(self, key: str, default: object) -> object:
        key = exact_key(key)
        space = enter(self)
        try:
            entry = space.peek(key)
            if entry is None:
                return default
            if entry.expires_at_ms == 0:
                return None
            return int(entry.expires_at_ms - space.shared.now_ms())
        finally:
            self._leave()

    @overload
    def expiretime(self, key: str) -> float | None: ...
    @overload
    def expiretime(self, key: str, default: D) -> float | D | None: ...
    @command(
        "EXPIRETIME key",
        complexity="O(1)",
        fast=True,
        reply="ttl",
        local="whole seconds on the wire; PEXPIRETIME has the rest",
        summary="Return the deadline of a key in Unix seconds.",
    )
    def expiretime(self, key: str, default: object = None) -> object:
        """The deadline in seconds since 1970; None for a key that has none.

        Args:
            default: what to give for a missing key; MISSING tells it from one without end.
        """
        return _seconds(self._deadline_of(key, default))

    @overload
    def pexpiretime(self, key: str) -> int | None: ...
    @overload
    def pexpiretime(self, key: str, default: D) -> int | D | None: ...
    @command(
        "PEXPIRETIME key",
        complexity="O(1)",
        fast=True,
        reply="pttl",
        summary="Return the deadline of a key in Unix milliseconds.",
    )
    def pexpiretime(self, key: str, default: object = None) -> object:
        """The deadline in milliseconds since 1970; else as `expiretime`."""
        return self._deadline_of(key, default)

    def _deadline_of(self, key: str, default: object) -> object:
        key = exact_key(key)
        space = enter(self)
        try:
            entry = space.peek(key)
            if entry is None:
                return default
            if entry.expires_at_ms == 0:
                return None
            return int(entry.expires_at_ms - space.shared.clock.ahead_ms())
        finally:
            self._leave()


def _seconds(milliseconds: object) -> object:
    return milliseconds / 1000.0 if isinstance(milliseconds, int) else milliseconds
