"""Deadlines of the fields of a hash, and how every command reaches a hash.

A trait of its own beneath `Hashes`. No command sees a field that is due: the keyspace removes
such fields before it returns a hash, and the hash itself when none is left.

1. What is given as a time in Python is read as the command says (seconds, milliseconds, a
   point in time); the wire has read it already, as a `Lifetime`.

Source: the commands are Valkey 9.1's.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import Edge, enter_for
from cachestorm.declare.declaration import Declaration
from cachestorm.entry import HASH
from cachestorm.operations.containers import entry_of, hash_at, settle
from cachestorm.operations.lifetimes import Only, by_the_clock, lifetime_of
from cachestorm.operations.names import exact_key, names_of

command: Final = partial(Declaration, group="hash")

# What HEXPIRE and the like reply for each field, and HTTL and the like where there is no time.
NO_FIELD: Final = -2
NO_DEADLINE: Final = -1
UNMET: Final = 0
DONE: Final = 1
REMOVED: Final = 2


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class FieldDeadlines(Edge):
    """HEXPIRE, HTTL and related commands."""

    @command(
        "HEXPIRE key:rw-update ttl:seconds [NX | XX | GT | LT] FIELDS numfields field [field "
        "...]",
        complexity="O(N) in the given fields",
        fast=True,
        stray="Unsupported option {arg}",
        summary="Set the time to live of fields of a hash in seconds.",
    )
    def hexpire(
        self,
        key: str,
        ttl: object,
        *fields: object,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> list[int]:
        """Gives fields a time to live.

        Args:
            ttl: seconds, a `timedelta` or `"5m"`; zero removes the field.
            nx: only fields that have no deadline.
            xx: only fields that have one.
            gt: only if it is later than the present one.
            lt: only if it is earlier; no deadline is later than any.

        Returns:
            For each field -2 if it is missing, 0 if the condition is not met, 1 if it
            was set, 2 if it was removed because the deadline is over.

        Raises:
            InvalidTtlError: for a negative time to live, and one beyond 64 bits.
            ArgumentError: for conditions that exclude each other.
        """
        return self._expire_fields(
            key, ttl, fields, "hexpire", 1000, False, Only(nx, xx, gt, lt)
        )

    @command(
        "HPEXPIRE key:rw-update ttl:milliseconds [NX | XX | GT | LT] FIELDS numfields field "
        "[field ...]",
        complexity="O(N) in the given fields",
        fast=True,
        stray="Unsupported option {arg}",
        summary="Set the time to live of fields of a hash in milliseconds.",
    )
    def hpexpire(
        self,
        key: str,
        ttl: object,
        *fields: object,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> list[int]:
        """Gives fields a time to live in milliseconds; else as `hexpire`."""
        return self._expire_fields(key, ttl, fields, "hpexpire", 1, False, Only(nx, xx, gt, lt))

    @command(
        "HEXPIREAT key:rw-update ttl:unix-seconds [NX | XX | GT | LT] FIELDS numfields field "
        "[field ...]",
        complexity="O(N) in the given fields",
        fast=True,
        stray="Unsupported option {arg}",
        summary="Set the deadline of fields of a hash in seconds since 1970.",
    )
    def hexpireat(
        self,
        key: str,
        ttl: object,
        *fields: object,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> list[int]:
        """Gives fields a deadline, a `datetime` or seconds since 1970; else as `hexpire`."""
        return self._expire_fields(
            key, ttl, fields, "hexpireat", 1000, True, Only(nx, xx, gt, lt)
        )

    @command(
        "HPEXPIREAT key:rw-update ttl:unix-milliseconds [NX | XX | GT | LT] "
        "FIELDS numfields field [field ...]",
        complexity="O(N) in the given fields",
        fast=True,
        stray="Unsupported option {arg}",
        summary="Set the deadline of fields of a hash in milliseconds since 1970.",
    )
    def hpexpireat(
        self,
        key: str,
        ttl: object,
        *fields: object,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> list[int]:
        """Gives fields a deadline in milliseconds since 1970; else as `hexpire`."""
        return self._expire_fields(
            key, ttl, fields, "hpexpireat", 1, True, Only(nx, xx, gt, lt)
        )

    def _expire_fields(
        self,
        key: str,
        when: object,
        fields: tuple[object, ...],
        name: str,
        unit_ms: int,
        absolute: bool,
        only: Only,
    ) -> list[int]:
        key = exact_key(key)
        names = names_of(fields)
        lifetime = lifetime_of(when, unit_ms, absolute, name)
        space = enter_for(self, key)
        try:
            now_ms = space.shared.now_ms()
            deadline = by_the_clock(lifetime, space).expires_at_ms(now_ms, name, True)
            entry = entry_of(space, key, HASH)
            if entry is None:
                return [NO_FIELD] * len(names)
            found = hash_at(space, entry)
            before = found.size_bytes
            answers: list[int] = []
            for field in names:
                if field not in found:
                    answers.append(NO_FIELD)
                elif not only.allows(found.deadline_ms(field), deadline):
                    answers.append(UNMET)
                elif deadline <= now_ms:
                    found.remove(field)
                    answers.append(REMOVED)
                else:
                    found.expire(field, deadline)
                    answers.append(DONE)
            if DONE in answers or REMOVED in answers:
                event = "hexpire" if DONE in answers else "hexpired"
                settle(space, entry, found, before, event)
            return answers
        finally:
            self._leave()

    @command(
        "HPERSIST key:rw-update FIELDS numfields field [field ...]",
        complexity="O(N) in the given fields",
        fast=True,
        summary="Remove the deadlines of fields of a hash.",
    )
    def hpersist(self, key: str, *fields: object) -> list[int]:
        """Takes deadlines away.

        Returns:
            For each field -2 if it is missing, -1 if it has no deadline, else 1.
        """
        key = exact_key(key)
        names = names_of(fields)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, HASH)
            if entry is None:
                return [NO_FIELD] * len(names)
            found = hash_at(space, entry)
            before = found.size_bytes
            answers: list[int] = []
            for field in names:
                if found.persist(field):
                    answers.append(DONE)
                else:
                    answers.append(NO_DEADLINE if field in found else NO_FIELD)
            if DONE in answers:
                settle(space, entry, found, before, "hpersist")
            return answers
        finally:
            self._leave()

    @command(
        "HTTL key FIELDS numfields:field-count field [field ...]",
        complexity="O(N) in the given fields",
        fast=True,
        summary="Return the time that fields of a hash have left in seconds.",
    )
    def httl(self, key: str, *fields: object) -> list[int]:
        """Seconds that fields have left; -1 without a deadline, -2 for a missing field."""
        return self._field_deadlines(key, fields, 1000, False)

    @command(
        "HPTTL key FIELDS numfields:field-count field [field ...]",
        complexity="O(N) in the given fields",
        fast=True,
        summary="Return the time that fields of a hash have left in milliseconds.",
    )
    def hpttl(self, key: str, *fields: object) -> list[int]:
        """Milliseconds that fields have left; else as `httl`."""
        return self._field_deadlines(key, fields, 1, False)

    @command(
        "HEXPIRETIME key FIELDS numfields:field-count field [field ...]",
        complexity="O(N) in the given fields",
        fast=True,
        summary="Return the deadline of fields of a hash in seconds since 1970.",
    )
    def hexpiretime(self, key: str, *fields: object) -> list[int]:
        """Deadlines of fields in seconds since 1970; else as `httl`."""
        return self._field_deadlines(key, fields, 1000, True)

    @command(
        "HPEXPIRETIME key FIELDS numfields:field-count field [field ...]",
        complexity="O(N) in the given fields",
        fast=True,
        summary="Return the deadline of fields of a hash in milliseconds since 1970.",
    )
    def hpexpiretime(self, key: str, *fields: object) -> list[int]:
        """Deadlines of fields in milliseconds since 1970; else as `httl`."""
        return self._field_deadlines(key, fields, 1, True)

    def _field_deadlines(
        self, key: str, fields: tuple[object, ...], unit_ms: int, absolute: bool
    ) -> list[int]:
        key = exact_key(key)
        names = names_of(fields)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, HASH)
            if entry is None:
                return [NO_FIELD] * len(names)
            found = hash_at(space, entry)
            now_ms = space.shared.now_ms()
            ahead_ms: int = space.shared.clock.ahead_ms() if absolute else 0
            answers: list[int] = []
            for field in names:
                deadline = found.deadline_ms(field)
                if deadline == 0:
                    answers.append(NO_DEADLINE if field in found else NO_FIELD)
                elif absolute:
                    answers.append((deadline - ahead_ms) // unit_ms)
                else:
                    answers.append((deadline - now_ms + unit_ms // 2) // unit_ms)
            return answers
        finally:
            self._leave()
