"""The hash family: maps from field to value at one key, fields with deadlines of their own.

A field is a `str`; `bytes` and numbers are spelled as on the wire. A value is any object
and is kept as given. Every method raises WrongTypeError for a key that holds another kind.

1. Each of them reaches a hash by `entry_of`. By then the keyspace has removed the fields that
   are due, so none is ever seen after its deadline.
2. A write to a field takes its deadline away, as SET does for a key; HINCRBY and
   HINCRBYFLOAT keep it.

Source: the commands are Redis 7.2's; those on deadlines of fields are Valkey 9.1's.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import is_int64, parse_float, parse_int, to_wire
from cachestorm.commands.edge import enter_for
from cachestorm.commands.hash_walks import HashWalks
from cachestorm.commands.timed_fields import TimedFields, rows_of
from cachestorm.declare.declaration import Declaration
from cachestorm.entry import HASH, Entry
from cachestorm.errors import ArgumentError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.markers import UNSET
from cachestorm.operations.arithmetic import float_sum
from cachestorm.operations.containers import (
    admit,
    entry_of,
    hash_at,
    settle,
)
from cachestorm.operations.names import exact_key, name_of, names_of
from cachestorm.operations.reply_size import ReplySize
from cachestorm.values.hash import Hash
from cachestorm.values.weights import box, weigh

command: Final = partial(Declaration, group="hash")

_UNSET: Final = UNSET


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Hashes(TimedFields, HashWalks):
    """Maps from field to value."""

    @command(
        "HSET key:rw-update field value [field value ...]",
        complexity="O(N) in the fields",
        grows=True,
        fast=True,
        summary="Set the values of fields of a hash.",
    )
    def hset(
        self, key: str, field: object = UNSET, value: object = UNSET, mapping: object = None
    ) -> int:
        """Sets one field, or all of a mapping, or both.

        Args:
            mapping: a mapping, or pairs of field and value.

        Returns:
            How many of the fields are new.
        """
        if field is _UNSET or value is _UNSET or mapping is not None:
            return _put_fields(self, key, rows_of("hset", field, value, mapping))
        if type(key) is not str:
            key = exact_key(key)
        name = name_of(field)
        held = box(value)
        space = enter_for(self, key)
        try:
            space.make_room_for_growth()
            entry = entry_of(space, key, HASH)
            return 1 if _set(space, entry, key, name, held, "hset", False) else 0
        finally:
            space.leave()

    @command(
        "HSETNX key:rw-insert field value",
        complexity="O(1)",
        grows=True,
        fast=True,
        summary="Set the value of a field of a hash only when the field doesn't exist.",
    )
    def hsetnx(self, key: str, field: object, value: object) -> bool:
        """Sets a field only if it is missing. Returns whether it was set."""
        key = exact_key(key)
        name = name_of(field)
        held = box(value)
        space = enter_for(self, key)
        try:
            space.make_room_for_growth()
            entry = entry_of(space, key, HASH)
            if entry is not None and name in hash_at(space, entry):
                return False
            _set(space, entry, key, name, held, "hset")
            return True
        finally:
            space.leave()

    @command(
        "HGET key field",
        complexity="O(1)",
        fast=True,
        reply="stored",
        summary="Return the value of a field of a hash.",
    )
    def hget(self, key: str, field: object, default: object = None) -> Any:
        """The value of a field.

        Args:
            default: what to give for a missing one.
        """
        return _get_field(self, key, field, default)

    @command(
        "HMGET key field [field ...]",
        complexity="O(N) in the fields",
        fast=True,
        reply="stored_all",
        summary="Return the values of fields of a hash.",
    )
    def hmget(self, key: str, *fields: object, default: object = None) -> list[Any]:
        """The values of fields in order, `default` for each that is missing."""
        key = exact_key(key)
        names = names_of(fields)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, HASH)
            if entry is None:
                return [default] * len(names)
            found = hash_at(space, entry)
            values: list[object] = []
            size = ReplySize(space)
            for name in names:
                value = found.get(name, default)
                size.take(weigh(value))
                values.append(value)
            return values
        finally:
            space.leave()

    @command(
        "HGETALL key",
        complexity="O(N) in the size of the hash",
        reply="mapping",
        tips="nondeterministic_output_order",
        summary="Return all fields and values of a hash.",
    )
    def hgetall(self, key: str) -> dict[str, Any]:
        """All fields with their values; empty for a missing key."""
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, HASH)
            return {} if entry is None else hash_at(space, entry).items()
        finally:
            space.leave()

    @command(
        "HKEYS key",
        complexity="O(N) in the size of the hash",
        tips="nondeterministic_output_order",
        summary="Return all fields of a hash.",
    )
    def hkeys(self, key: str) -> list[str]:
        """All fields; empty for a missing key."""
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, HASH)
            return [] if entry is None else hash_at(space, entry).fields()
        finally:
            space.leave()

    @command(
        "HVALS key",
        complexity="O(N) in the size of the hash",
        reply="stored_all",
        tips="nondeterministic_output_order",
        summary="Return all values of a hash.",
    )
    def hvals(self, key: str) -> list[Any]:
        """All values; empty for a missing key."""
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, HASH)
            return [] if entry is None else hash_at(space, entry).values()
        finally:
            space.leave()

    @command(
        "HLEN key:ro",
        complexity="O(1)",
        fast=True,
        summary="Return the number of fields of a hash.",
    )
    def hlen(self, key: str) -> int:
        """How many fields there are."""
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, HASH)
            return 0 if entry is None else len(hash_at(space, entry))
        finally:
            space.leave()

    @command(
        "HEXISTS key:ro field",
        complexity="O(1)",
        fast=True,
        summary="Tell whether a field of a hash exists.",
    )
    def hexists(self, key: str, field: object) -> bool:
        """Whether there is such a field."""
        key = exact_key(key)
        name = name_of(field)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, HASH)
            return entry is not None and name in hash_at(space, entry)
        finally:
            space.leave()

    @command(
        "HSTRLEN key:ro field",
        complexity="O(1)",
        fast=True,
        summary="Return the length of the value of a field in bytes.",
    )
    def hstrlen(self, key: str, field: object) -> int:
        """The length of a value's wire bytes; 0 for a missing field."""
        return len(to_wire(_get_field(self, key, field, b"")))

    @command(
        "HDEL key:rw-delete field [field ...]",
        complexity="O(N) in the given fields",
        fast=True,
        summary="Delete fields of a hash, and the hash when none is left.",
    )
    def hdel(self, key: str, *fields: object) -> int:
        """Deletes fields. Returns how many there were."""
        key = exact_key(key)
        names = names_of(fields)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, HASH)
            if entry is None:
                return 0
            found = hash_at(space, entry)
            before = found.size_bytes
            removed = 0
            for name in names:
                if found.remove(name):
                    removed += 1
            if removed:
                settle(space, entry, found, before, "hdel")
            return removed
        finally:
            space.leave()

    @command(
        "HINCRBY key:rw-access-update field increment",
        complexity="O(1)",
        grows=True,
        fast=True,
        summary="Increment the integer value of a field of a hash by a number.",
    )
    def hincrby(self, key: str, field: object, increment: int = 1) -> int:
        """Adds to the integer of a field, which counts as 0 while missing.

        Returns:
            The new value, which is stored as an `int`.

        Raises:
            NotAnIntegerError: if the value is not an integer of 64 bits.
            ArgumentError: if the sum would not fit into 64 bits.
        """
        key = exact_key(key)
        name = name_of(field)
        increment = parse_int(increment)
        space = enter_for(self, key)
        try:
            space.make_room_for_growth()
            entry = entry_of(space, key, HASH)
            number = 0
            if entry is not None:
                former = hash_at(space, entry).get(name, 0)
                number = parse_int(_spelled(former), "hash value is not an integer")
            total = number + increment
            if not is_int64(total):
                raise ArgumentError("increment or decrement would overflow")
            _set(space, entry, key, name, total, "hincrby")
            return total
        finally:
            space.leave()

    @command(
        "HINCRBYFLOAT key:rw-access-update field increment:double",
        complexity="O(1)",
        grows=True,
        fast=True,
        reply="bulk",
        summary="Increment the number in a field of a hash by a floating point number.",
    )
    def hincrbyfloat(self, key: str, field: object, increment: float | str = 1.0) -> float:
        """Adds to the number of a field, which counts as 0 while missing.

        Returns:
            The new value, which is stored as a `float`.

        Raises:
            NotAFloatError: if the value is not a number.
            ArgumentError: if the increment or the sum is not finite.
        """
        key = exact_key(key)
        name = name_of(field)
        amount = parse_float(increment)
        if amount - amount != 0.0:
            raise ArgumentError("value is NaN or Infinity")
        space = enter_for(self, key)
        try:
            space.make_room_for_growth()
            entry = entry_of(space, key, HASH)
            number = 0.0
            if entry is not None:
                former = hash_at(space, entry).get(name, 0)
                number = parse_float(_spelled(former), "hash value is not a float")
            total = float_sum(number, amount)
            _set(space, entry, key, name, total, "hincrbyfloat")
            return total
        finally:
            space.leave()


@command(
    "HMSET key:rw-update field value [field value ...]",
    complexity="O(N) in the fields",
    grows=True,
    fast=True,
    reply="ok",
    deprecated="4.0.0",
    instead="`HSET` with multiple field-value pairs",
    summary="Set the values of fields of a hash; an older name of HSET.",
)
def hmset(cache: Hashes, key: str, mapping: object) -> bool:
    """Sets all fields of a mapping. Returns True."""
    _put_fields(cache, key, rows_of("hmset", UNSET, UNSET, mapping))
    return True


def _set(
    space: Keyspace,
    entry: Entry | None,
    key: str,
    field: str,
    held: object,
    event: str,
    keeps: bool = True,
) -> bool:
    """Sets one field, and makes the hash if need be. Returns whether the field is new.

    Args:
        keeps: the field keeps its deadline.
    """
    if entry is None:
        made = Hash()
        made.change(field, held)
        admit(space, key, made, HASH, event)
        return True
    fields = hash_at(space, entry)
    before = fields.size_bytes
    is_new = fields.change(field, held) if keeps else fields.put(field, held)
    settle(space, entry, fields, before, event)
    return is_new


def _spelled(value: object) -> object:
    """A value as its number is read from: itself, or its bytes if it is not a number."""
    return value if type(value) is int else to_wire(value)


def _put_fields(cache: Hashes, key: str, rows: list[tuple[str, object]]) -> int:
    if type(key) is not str:
        key = exact_key(key)
    space = enter_for(cache, key)
    try:
        space.make_room_for_growth()
        entry = entry_of(space, key, HASH)
        if entry is None:
            made = Hash()
            for field, held in rows:
                made.change(field, held)
            admit(space, key, made, HASH, "hset")
            return len(made)
        fields = hash_at(space, entry)
        before = fields.size_bytes
        added = 0
        for field, held in rows:
            if fields.put(field, held):
                added += 1
        settle(space, entry, fields, before, "hset")
        return added
    finally:
        space.leave()


def _get_field(cache: Hashes, key: str, field: object, default: object) -> object:
    if type(key) is not str:
        key = exact_key(key)
    name = name_of(field)
    space = enter_for(cache, key)
    try:
        entry = entry_of(space, key, HASH)
        return default if entry is None else hash_at(space, entry).get(name, default)
    finally:
        space.leave()
