"""The hash family: maps from field to value at one key, fields with deadlines of their own.

A field is a `str`; `bytes` and numbers are spelled as on the wire. A value is any object
and is kept as given. Every method raises WrongTypeError for a key that holds another kind.

1. `find_hash` is how each of them reaches a hash: it lets go of the fields that are due, so
   that none is ever seen after its deadline.
2. A write to a field takes its deadline away, as SET does for a key; HINCRBY and
   HINCRBYFLOAT keep it.

Source: the commands are Redis 7.2's; those on deadlines of fields are Valkey 9.1's.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import INT64_MAX, INT64_MIN, bytes_of, parse_float, parse_int, to_wire
from cachestorm.commands.arithmetic import float_sum
from cachestorm.commands.containers import (
    SCAN_COUNT,
    admit,
    drawn,
    drawn_places,
    entry_of,
    name_of,
    names_of,
    pairs_of,
    settle,
    walk_start,
    walk_stop,
)
from cachestorm.commands.edge import Edge, exact_key, milliseconds_of
from cachestorm.declare.declaration import command
from cachestorm.declare.kinds import Lifetime
from cachestorm.entry import HASH, Entry
from cachestorm.errors import ArgumentError, ArityError, InvalidTtlError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.markers import UNSET
from cachestorm.patterns import matches
from cachestorm.values.hash import NEVER, Hash
from cachestorm.values.weights import box

_UNSET: Final = UNSET

# What HEXPIRE and its kin answer for each field, HTTL and its kin where there is no time.
NO_FIELD: Final = -2
NO_DEADLINE: Final = -1
UNMET: Final = 0
DONE: Final = 1
REMOVED: Final = 2


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Hashes(Edge):
    """Maps from field to value."""

    @command(
        "HSET key field value [field value ...]",
        group="hash",
        since="0.1",
        complexity="O(N) in the fields",
        writes=True,
        grows=True,
        fast=True,
        summary="Set the values of fields of a hash.",
    )
    def hset(
        self, key: str, field: object = UNSET, value: object = UNSET, mapping: object = ()
    ) -> int:
        """Sets one field, or all of a mapping, or both.

        Args:
            mapping: a mapping, or pairs of field and value.

        Returns:
            How many of the fields are new.
        """
        rows = _rows(mapping)
        if field is not _UNSET:
            if value is _UNSET:
                raise ArityError("hset")
            rows.insert(0, (name_of(field), box(value)))
        return self._put_fields(key, rows, "hset")

    @command(
        "HMSET key field value [field value ...]",
        group="hash",
        since="0.1",
        complexity="O(N) in the fields",
        writes=True,
        grows=True,
        fast=True,
        reply="ok",
        summary="Set the values of fields of a hash; an older name of HSET.",
    )
    def hmset(self, key: str, mapping: object) -> bool:
        """Sets all fields of a mapping. Returns True."""
        self._put_fields(key, _rows(mapping), "hmset")
        return True

    def _put_fields(self, key: str, rows: list[tuple[str, object]], name: str) -> int:
        if type(key) is not str:
            key = exact_key(key)
        if not rows:
            raise ArityError(name)
        space = self._enter()
        try:
            space.make_room_for_growth()
            entry = find_hash(space, key)
            if entry is None:
                made = Hash()
                for field, held in rows:
                    made.change(field, held)
                admit(space, key, made, HASH)
                return len(made)
            fields = hash_at(space, entry)
            before = fields.size_bytes
            added = 0
            for field, held in rows:
                if fields.put(field, held):
                    added += 1
            settle(space, entry, fields, before)
            return added
        finally:
            self._leave()

    @command(
        "HSETNX key field value",
        group="hash",
        since="0.1",
        complexity="O(1)",
        writes=True,
        grows=True,
        fast=True,
        summary="Set the value of a field of a hash only when the field doesn't exist.",
    )
    def hsetnx(self, key: str, field: object, value: object) -> bool:
        """Sets a field only if it is missing. Returns whether it was set."""
        key = exact_key(key)
        name = name_of(field)
        held = box(value)
        space = self._enter()
        try:
            space.make_room_for_growth()
            entry = find_hash(space, key)
            if entry is not None and name in hash_at(space, entry):
                return False
            _set(space, entry, key, name, held)
            return True
        finally:
            self._leave()

    @command(
        "HGET key field",
        group="hash",
        since="0.1",
        complexity="O(1)",
        fast=True,
        reply="stored",
        summary="Return the value of a field of a hash.",
    )
    def hget(self, key: str, field: object, default: object = None) -> object:
        """The value of a field.

        Args:
            default: what to give for a missing one.
        """
        return self._get_field(key, field, default)

    def _get_field(self, key: str, field: object, default: object) -> object:
        if type(key) is not str:
            key = exact_key(key)
        name = name_of(field)
        space = self._enter()
        try:
            entry = find_hash(space, key)
            return default if entry is None else hash_at(space, entry).get(name, default)
        finally:
            self._leave()

    @command(
        "HMGET key field [field ...]",
        group="hash",
        since="0.1",
        complexity="O(N) in the fields",
        fast=True,
        reply="stored_all",
        summary="Return the values of fields of a hash.",
    )
    def hmget(self, key: str, *fields: object, default: object = None) -> list[object]:
        """The values of fields in order, `default` for each that is missing."""
        key = exact_key(key)
        names = names_of(fields)
        space = self._enter()
        try:
            entry = find_hash(space, key)
            if entry is None:
                return [default] * len(names)
            found = hash_at(space, entry)
            return [found.get(name, default) for name in names]
        finally:
            self._leave()

    @command(
        "HGETALL key",
        group="hash",
        since="0.1",
        complexity="O(N) in the size of the hash",
        reply="mapping",
        summary="Return all fields and values of a hash.",
    )
    def hgetall(self, key: str) -> dict[str, object]:
        """All fields with their values; empty for a missing key."""
        key = exact_key(key)
        space = self._enter()
        try:
            entry = find_hash(space, key)
            return {} if entry is None else hash_at(space, entry).items()
        finally:
            self._leave()

    @command(
        "HKEYS key",
        group="hash",
        since="0.1",
        complexity="O(N) in the size of the hash",
        summary="Return all fields of a hash.",
    )
    def hkeys(self, key: str) -> list[str]:
        """All fields; empty for a missing key."""
        key = exact_key(key)
        space = self._enter()
        try:
            entry = find_hash(space, key)
            return [] if entry is None else hash_at(space, entry).fields()
        finally:
            self._leave()

    @command(
        "HVALS key",
        group="hash",
        since="0.1",
        complexity="O(N) in the size of the hash",
        reply="stored_all",
        summary="Return all values of a hash.",
    )
    def hvals(self, key: str) -> list[object]:
        """All values; empty for a missing key."""
        key = exact_key(key)
        space = self._enter()
        try:
            entry = find_hash(space, key)
            return [] if entry is None else hash_at(space, entry).values()
        finally:
            self._leave()

    @command(
        "HLEN key",
        group="hash",
        since="0.1",
        complexity="O(1)",
        fast=True,
        summary="Return the number of fields of a hash.",
    )
    def hlen(self, key: str) -> int:
        """How many fields there are."""
        key = exact_key(key)
        space = self._enter()
        try:
            entry = find_hash(space, key)
            return 0 if entry is None else len(hash_at(space, entry))
        finally:
            self._leave()

    @command(
        "HEXISTS key field",
        group="hash",
        since="0.1",
        complexity="O(1)",
        fast=True,
        summary="Tell whether a field of a hash exists.",
    )
    def hexists(self, key: str, field: object) -> bool:
        """Whether there is such a field."""
        key = exact_key(key)
        name = name_of(field)
        space = self._enter()
        try:
            entry = find_hash(space, key)
            return entry is not None and name in hash_at(space, entry)
        finally:
            self._leave()

    @command(
        "HSTRLEN key field",
        group="hash",
        since="0.1",
        complexity="O(1)",
        fast=True,
        summary="Return the length of the value of a field in bytes.",
    )
    def hstrlen(self, key: str, field: object) -> int:
        """The length of a value's wire bytes; 0 for a missing field."""
        return len(to_wire(self._get_field(key, field, b"")))

    @command(
        "HDEL key field [field ...]",
        group="hash",
        since="0.1",
        complexity="O(N) in the given fields",
        writes=True,
        fast=True,
        summary="Delete fields of a hash, and the hash when none is left.",
    )
    def hdel(self, key: str, *fields: object) -> int:
        """Deletes fields. Returns how many there were."""
        key = exact_key(key)
        names = names_of(fields)
        space = self._enter()
        try:
            entry = find_hash(space, key)
            if entry is None:
                return 0
            found = hash_at(space, entry)
            before = found.size_bytes
            removed = 0
            for name in names:
                if found.remove(name):
                    removed += 1
            if removed:
                settle(space, entry, found, before)
            return removed
        finally:
            self._leave()

    @command(
        "HINCRBY key field increment",
        group="hash",
        since="0.1",
        complexity="O(1)",
        writes=True,
        grows=True,
        fast=True,
        summary="Increment the integer value of a field of a hash by a number.",
    )
    def hincrby(self, key: str, field: object, increment: int = 1) -> int:
        """Adds to the integer of a field, which counts as 0 while missing.

        Returns:
            The new value, which is stored as an `int`.

        Raises:
            NotAnIntegerError: if the value is no integer of 64 bits.
            ArgumentError: if the sum would not fit into 64 bits.
        """
        key = exact_key(key)
        name = name_of(field)
        increment = parse_int(increment)
        space = self._enter()
        try:
            space.make_room_for_growth()
            entry = find_hash(space, key)
            number = 0
            if entry is not None:
                former = hash_at(space, entry).get(name, 0)
                number = parse_int(_spelled(former), "hash value is not an integer")
            total = number + increment
            if not INT64_MIN <= total <= INT64_MAX:
                raise ArgumentError("increment or decrement would overflow")
            _set(space, entry, key, name, total)
            return total
        finally:
            self._leave()

    @command(
        "HINCRBYFLOAT key field increment:double",
        group="hash",
        since="0.1",
        complexity="O(1)",
        writes=True,
        grows=True,
        fast=True,
        reply="bulk",
        summary="Increment the number in a field of a hash by a floating point number.",
    )
    def hincrbyfloat(self, key: str, field: object, increment: float = 1.0) -> float:
        """Adds to the number of a field, which counts as 0 while missing.

        Returns:
            The new value, which is stored as a `float`.

        Raises:
            NotAFloatError: if the value is no number.
            ArgumentError: if the increment or the sum is not finite.
        """
        key = exact_key(key)
        name = name_of(field)
        increment = parse_float(increment)
        if increment - increment != 0.0:
            raise ArgumentError("value is NaN or Infinity")
        space = self._enter()
        try:
            space.make_room_for_growth()
            entry = find_hash(space, key)
            number = 0.0
            if entry is not None:
                former = hash_at(space, entry).get(name, 0)
                number = parse_float(_spelled(former), "hash value is not a float")
            total = float_sum(number, increment)
            _set(space, entry, key, name, total)
            return total
        finally:
            self._leave()

    @command(
        "HRANDFIELD key [count [WITHVALUES]]",
        group="hash",
        since="0.1",
        complexity="O(N) in the returned fields",
        reply="fields",
        summary="Return fields of a hash drawn at random.",
    )
    def hrandfield(
        self, key: str, count: int | None = None, *, withvalues: bool = False
    ) -> object:
        """Fields drawn at random.

        Args:
            count: how many different ones; if negative, as many, each drawn by itself.
            withvalues: pairs of field and value instead of fields.

        Returns:
            Without a count one field, None for a missing key; with one a list.
        """
        key = exact_key(key)
        if count is not None and abs(count) > (INT64_MAX // 2 if withvalues else INT64_MAX):
            raise ArgumentError(_out_of_range(withvalues))
        space = self._enter()
        try:
            entry = find_hash(space, key)
            if entry is None:
                return None if count is None else []
            fields = hash_at(space, entry)
            length = i64(len(fields))
            if count is None:
                return fields.field_at(drawn(length))
            places = drawn_places(count, length)
            if withvalues:
                return [(fields.field_at(at), fields.value_at(at)) for at in places]
            return [fields.field_at(at) for at in places]
        finally:
            self._leave()

    @command(
        "HSCAN key cursor [MATCH match:pattern] [COUNT count:scan-count] [NOVALUES]",
        group="hash",
        since="0.1",
        complexity="O(1) a step, O(N) for a whole iteration",
        reply="scan_pairs",
        summary="Iterate over the fields and values of a hash.",
    )
    def hscan(
        self,
        key: str,
        cursor: int = 0,
        match: str | None = None,
        count: int = SCAN_COUNT,
        *,
        novalues: bool = False,
    ) -> tuple[int, object]:
        """One step of an iteration, in which no field that stays is missed.

        Args:
            cursor: 0 at first, then what the last step returned.
            match: only fields that match this glob.
            count: how many fields to look at.
            novalues: a list of fields instead of a dict.

        Returns:
            The next cursor, 0 at the end; and what was found.
        """
        key = exact_key(key)
        glob = None if match is None else bytes_of(match)
        fields: list[str] = []
        values: list[object] = []
        stop: i64 = 0
        space = self._enter()
        try:
            entry = find_hash(space, key)
            if entry is not None:
                found = hash_at(space, entry)
                length = i64(len(found))
                place = walk_start(cursor, length, count)
                stop = walk_stop(place, count, length)
                while place > stop:
                    place -= 1
                    field = found.field_at(place)
                    if glob is None or matches(glob, bytes_of(field)):
                        fields.append(field)
                        values.append(found.value_at(place))
        finally:
            self._leave()
        return stop, fields if novalues else dict(zip(fields, values))

    # -- deadlines of fields

    @command(
        "HEXPIRE key ttl:seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        group="hash",
        since="0.1",
        complexity="O(N) in the given fields",
        writes=True,
        fast=True,
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
            key, ttl, fields, "hexpire", 1000, False, _Only(nx, xx, gt, lt)
        )

    @command(
        "HPEXPIRE key ttl:milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        group="hash",
        since="0.1",
        complexity="O(N) in the given fields",
        writes=True,
        fast=True,
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
        return self._expire_fields(
            key, ttl, fields, "hpexpire", 1, False, _Only(nx, xx, gt, lt)
        )

    @command(
        "HEXPIREAT key ttl:unix-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
        group="hash",
        since="0.1",
        complexity="O(N) in the given fields",
        writes=True,
        fast=True,
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
            key, ttl, fields, "hexpireat", 1000, True, _Only(nx, xx, gt, lt)
        )

    @command(
        "HPEXPIREAT key ttl:unix-milliseconds [NX | XX | GT | LT] "
        "FIELDS numfields field [field ...]",
        group="hash",
        since="0.1",
        complexity="O(N) in the given fields",
        writes=True,
        fast=True,
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
            key, ttl, fields, "hpexpireat", 1, True, _Only(nx, xx, gt, lt)
        )

    def _expire_fields(
        self,
        key: str,
        when: object,
        fields: tuple[object, ...],
        name: str,
        unit_ms: int,
        absolute: bool,
        only: _Only,
    ) -> list[int]:
        key = exact_key(key)
        names = names_of(fields)
        lifetime = _lifetime(when, unit_ms, absolute)
        if lifetime.ms < 0:
            raise InvalidTtlError(f"invalid expire time in '{name}' command")
        space = self._enter()
        try:
            now_ms = space.commons.now_ms()
            deadline = lifetime.expires_at_ms(now_ms, name, True)
            entry = find_hash(space, key)
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
                settle(space, entry, found, before)
            return answers
        finally:
            self._leave()

    @command(
        "HPERSIST key FIELDS numfields:field-count field [field ...]",
        group="hash",
        since="0.1",
        complexity="O(N) in the given fields",
        writes=True,
        fast=True,
        summary="Take away the deadlines of fields of a hash.",
    )
    def hpersist(self, key: str, *fields: object) -> list[int]:
        """Takes deadlines away.

        Returns:
            For each field -2 if it is missing, -1 if it has no deadline, else 1.
        """
        key = exact_key(key)
        names = names_of(fields)
        space = self._enter()
        try:
            entry = find_hash(space, key)
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
                settle(space, entry, found, before)
            return answers
        finally:
            self._leave()

    @command(
        "HTTL key FIELDS numfields:field-count field [field ...]",
        group="hash",
        since="0.1",
        complexity="O(N) in the given fields",
        fast=True,
        summary="Return the time that fields of a hash have left in seconds.",
    )
    def httl(self, key: str, *fields: object) -> list[int]:
        """Seconds that fields have left; -1 without a deadline, -2 for a missing field."""
        return self._field_deadlines(key, fields, 1000, False)

    @command(
        "HPTTL key FIELDS numfields:field-count field [field ...]",
        group="hash",
        since="0.1",
        complexity="O(N) in the given fields",
        fast=True,
        summary="Return the time that fields of a hash have left in milliseconds.",
    )
    def hpttl(self, key: str, *fields: object) -> list[int]:
        """Milliseconds that fields have left; else as `httl`."""
        return self._field_deadlines(key, fields, 1, False)

    @command(
        "HEXPIRETIME key FIELDS numfields:field-count field [field ...]",
        group="hash",
        since="0.1",
        complexity="O(N) in the given fields",
        fast=True,
        summary="Return the deadline of fields of a hash in seconds since 1970.",
    )
    def hexpiretime(self, key: str, *fields: object) -> list[int]:
        """Deadlines of fields in seconds since 1970; else as `httl`."""
        return self._field_deadlines(key, fields, 1000, True)

    @command(
        "HPEXPIRETIME key FIELDS numfields:field-count field [field ...]",
        group="hash",
        since="0.1",
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
        space = self._enter()
        try:
            entry = find_hash(space, key)
            if entry is None:
                return [NO_FIELD] * len(names)
            found = hash_at(space, entry)
            now_ms = space.commons.now_ms()
            answers: list[int] = []
            for field in names:
                deadline = found.deadline_ms(field)
                if deadline == 0:
                    answers.append(NO_DEADLINE if field in found else NO_FIELD)
                elif absolute:
                    answers.append(deadline // unit_ms)
                else:
                    answers.append((deadline - now_ms + unit_ms // 2) // unit_ms)
            return answers
        finally:
            self._leave()


class _Only:
    """The conditions of HEXPIRE and its kin.

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


def find_hash(space: Keyspace, key: str) -> Entry | None:
    """The entry of a hash without the fields that are due; None where none is left."""
    entry = entry_of(space, key, HASH)
    if entry is None:
        return None
    fields = hash_at(space, entry)
    if fields.next_due_ms != NEVER:
        before = fields.size_bytes
        if fields.purge(space.commons.now_ms()) != 0:
            settle(space, entry, fields, before)
            if len(fields) == 0:
                return None
    return entry


def hash_at(space: Keyspace, entry: Entry) -> Hash:
    """The hash of an entry that `find_hash` returned."""
    return cast(Hash, space.values[i64(entry.index)])


def _set(space: Keyspace, entry: Entry | None, key: str, field: str, held: object) -> None:
    """Sets one field and keeps its deadline; makes the hash if need be."""
    if entry is None:
        made = Hash()
        made.change(field, held)
        admit(space, key, made, HASH)
        return
    fields = hash_at(space, entry)
    before = fields.size_bytes
    fields.change(field, held)
    settle(space, entry, fields, before)


def _rows(mapping: object) -> list[tuple[str, object]]:
    """Fields and held values of a mapping or of pairs."""
    return [(name_of(field), box(value)) for field, value in pairs_of(mapping)]


def _spelled(value: object) -> object:
    """A value as its number is read from: itself, or its bytes if it is no number."""
    return value if type(value) is int else to_wire(value)


def _lifetime(when: object, unit_ms: int, absolute: bool) -> Lifetime:
    """What a time means, in Python or on the wire."""
    if isinstance(when, Lifetime):
        return when
    if isinstance(when, (int, float)) and not isinstance(when, bool):
        if isinstance(when, float) and when - when != 0.0:
            raise InvalidTtlError(f"a time cannot be {when}")
        return Lifetime(int(when * unit_ms), absolute)
    if absolute:
        timestamp = getattr(when, "timestamp", None)
        if timestamp is None:
            raise TypeError(f"a deadline is a datetime or a number, not {when!r}")
        return Lifetime(int(cast(float, timestamp()) * 1000.0), True)
    return Lifetime(milliseconds_of(when), False)


def _out_of_range(pairs: bool) -> str:
    if pairs:
        return "value is out of range"
    return f"value is out of range, value must between {-INT64_MAX} and {INT64_MAX}"
