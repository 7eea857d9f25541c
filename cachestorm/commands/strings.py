"""The string family: scalars, and any Python object that is stored whole.

1. A whole-value write (`set` and its kin) replaces value, time to live and tags; a change
   of the value (`incr`, `append`, `setrange`) keeps both.
2. Values come in and go out by reference. What the wire writes arrives as `bytes`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from mypy_extensions import i64, mypyc_attr, trait, u8

from cachestorm.codec import INT64_MAX, INT64_MIN, parse_int, to_wire
from cachestorm.commands.edge import (
    Edge,
    deadline_of,
    exact_key,
    kind_of,
    scalar,
    wire_scalar,
)
from cachestorm.declare.declaration import command
from cachestorm.entry import OBJECT, STRING, Entry
from cachestorm.errors import (
    ArgumentError,
    CommandSyntaxError,
    NotAnIntegerError,
    WrongTypeError,
)
from cachestorm.events import Cause
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.latch import NOTHING_INTERRUPTS, STEPS_ARE_ATOMIC
from cachestorm.keyspace.tag_index import checked_tags
from cachestorm.markers import MISSING, UNSET
from cachestorm.values.weights import box, unbox

_MISSING: Final = MISSING
_UNSET: Final = UNSET
_NO_TAGS: Final[tuple[str, ...]] = ()
_DELETED: Final = Cause.DELETED
LONGEST_STRING: Final = 512 * 1024 * 1024


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Strings(Edge):
    """GET, SET and what else works on a value as a whole or on its bytes."""

    @command(
        "GET key",
        group="string",
        since="0.1",
        complexity="O(1)",
        fast=True,
        reply="stored",
        summary="Return the value of a key.",
    )
    def get(self, key: str, default: object = None) -> object:
        """The value of a key.

        Args:
            default: what to give for a missing key; MISSING tells it from a stored None.

        Raises:
            WrongTypeError: if the key holds a container.
        """
        if type(key) is not str:
            key = exact_key(key)
        if not STEPS_ARE_ATOMIC:
            return self._get_locked(key, default)
        return self._space.read(key, default)

    def _get_locked(self, key: str, default: object) -> object:
        space = self._enter()
        try:
            return space.read(key, default)
        finally:
            self._leave()

    @command(
        "SET key value [NX | XX] [GET] [EX ttl:seconds | PX ttl:milliseconds | "
        "EXAT ttl:unix-seconds | PXAT ttl:unix-milliseconds | KEEPTTL] "
        "[TAGS tags:tag [tag ...]]",
        group="string",
        since="0.1",
        complexity="O(1); O(N) in the tags where there are any",
        writes=True,
        grows=True,
        reply="set",
        summary="Set the value of a key, its time to live and its tags.",
    )
    def set(
        self,
        key: str,
        value: object,
        ttl: object = _UNSET,
        *,
        nx: bool = False,
        xx: bool = False,
        get: bool = False,
        keepttl: bool = False,
        tags: Iterable[str] = (),
    ) -> object:
        """Sets a key: value, time to live and tags in one step.

        Args:
            ttl: seconds, a `timedelta` or `"5m"`; None for never; left out, the
                namespace's default.
            nx: only if the key is missing.
            xx: only if the key is there.
            get: give back the former value, or MISSING.
            keepttl: keep the time to live that the key has.
            tags: what the key can be invalidated by.

        Returns:
            Whether it was set; with `get`, the former value or MISSING.

        Raises:
            WrongTypeError: with `get`, if the key holds a container.
            InvalidTtlError: if the time to live is not positive.
            OutOfMemoryError: if there is no room and nothing to evict.
        """
        if type(key) is not str:
            key = exact_key(key)
        kind = kind_of(value)
        held = value if kind == STRING else box(value)
        names: list[str] | None = None
        if tags is not _NO_TAGS:
            names = checked_tags(tags)
        store = self._store
        space = self._space
        if (
            NOTHING_INTERRUPTS
            and kind == STRING
            and ttl is _UNSET
            and names is None
            and not (nx or xx or get or keepttl)
            and space.default_ttl_ms == 0
            and not store.latch.locked()
            and space.overwrite(key, value)
        ):
            return True
        store.enter_step()
        try:
            if nx or xx or get or keepttl:
                return self._set_if(key, held, kind, ttl, nx, xx, get, keepttl, names)
            deadline: i64 = 0
            if ttl is not _UNSET or space.default_ttl_ms != 0:
                deadline = deadline_of(ttl, "set", space.default_ttl_ms, store.now_ms())
            space.put(key, held, kind, deadline, names)
            return True
        finally:
            store.leave()

    def _set_if(
        self,
        key: str,
        held: object,
        kind: u8,
        ttl: object,
        nx: bool,
        xx: bool,
        get: bool,
        keepttl: bool,
        names: list[str] | None,
    ) -> object:
        if (nx and xx) or (keepttl and ttl is not _UNSET):
            raise CommandSyntaxError()
        space = self._space
        deadline = deadline_of(ttl, "set", space.default_ttl_ms, space.commons.now_ms())
        entry = space.find(key) if get else space.peek(key)
        former: object = _MISSING
        if get and entry is not None:
            former = _whole(space, entry)
        done = not (nx and entry is not None) and not (xx and entry is None)
        if done:
            if keepttl and entry is not None:
                deadline = entry.expires_at_ms
            space.put(key, held, kind, deadline, names)
        return former if get else done

    @command(
        "SETNX key value",
        group="string",
        since="0.1",
        complexity="O(1)",
        writes=True,
        grows=True,
        fast=True,
        summary="Set the value of a key only when the key doesn't exist.",
    )
    def setnx(self, key: str, value: object) -> bool:
        """Sets a key only if it is missing. Returns whether it was set."""
        return bool(self._store_whole(key, value, _UNSET, "setnx", True))

    @command(
        "SETEX key ttl:seconds value",
        group="string",
        since="0.1",
        complexity="O(1)",
        writes=True,
        grows=True,
        reply="ok",
        summary="Set the value and the time to live of a key in seconds.",
    )
    def setex(self, key: str, ttl: object, value: object) -> bool:
        """Sets a key with a time to live."""
        return self._store_whole(key, value, ttl, "setex", False)

    @command(
        "PSETEX key ttl:milliseconds value",
        group="string",
        since="0.1",
        complexity="O(1)",
        writes=True,
        grows=True,
        reply="ok",
        summary="Set the value and the time to live of a key in milliseconds.",
    )
    def psetex(self, key: str, ttl: object, value: object) -> bool:
        """Sets a key with a time to live; on the wire it is in milliseconds."""
        return self._store_whole(key, value, ttl, "psetex", False)

    def _store_whole(
        self, key: str, value: object, ttl: object, name: str, only_new: bool
    ) -> bool:
        key = exact_key(key)
        kind = kind_of(value)
        held = box(value)
        space = self._enter()
        try:
            deadline = deadline_of(ttl, name, space.default_ttl_ms, space.commons.now_ms())
            if only_new and space.peek(key) is not None:
                return False
            space.put(key, held, kind, deadline)
            return True
        finally:
            self._leave()

    @command(
        "GETSET key value",
        group="string",
        since="0.1",
        complexity="O(1)",
        writes=True,
        grows=True,
        fast=True,
        reply="stored",
        summary="Return the former value of a key after setting it to a new one.",
    )
    def getset(self, key: str, value: object) -> object:
        """Sets a key and gives back its former value, or MISSING.

        Raises:
            WrongTypeError: if the key holds a container.
        """
        key = exact_key(key)
        kind = kind_of(value)
        held = box(value)
        self._enter()
        try:
            return self._set_if(key, held, kind, _UNSET, False, False, True, False, None)
        finally:
            self._leave()

    @command(
        "GETDEL key",
        group="string",
        since="0.1",
        complexity="O(1)",
        writes=True,
        fast=True,
        reply="stored",
        summary="Return the value of a key after deleting the key.",
    )
    def getdel(self, key: str) -> object:
        """Deletes a key and gives back its value, or MISSING.

        Raises:
            WrongTypeError: if the key holds a container.
        """
        key = exact_key(key)
        space = self._enter()
        try:
            entry = space.find(key)
            if entry is None:
                return _MISSING
            value = _whole(space, entry)
            space.remove(entry, _DELETED)
            return value
        finally:
            self._leave()

    @command(
        "GETEX key [EX ttl:seconds | PX ttl:milliseconds | EXAT ttl:unix-seconds | "
        "PXAT ttl:unix-milliseconds | PERSIST]",
        group="string",
        since="0.1",
        complexity="O(1)",
        writes=True,
        fast=True,
        reply="stored",
        summary="Return the value of a key after giving it another time to live.",
    )
    def getex(self, key: str, ttl: object = _UNSET, *, persist: bool = False) -> object:
        """The value of a key, or MISSING, after giving it another time to live.

        Raises:
            WrongTypeError: if the key holds a container.
            InvalidTtlError: if the time to live is not positive.
        """
        key = exact_key(key)
        if persist and ttl is not _UNSET:
            raise CommandSyntaxError()
        space = self._enter()
        try:
            deadline = deadline_of(ttl, "getex", 0, space.commons.now_ms())
            entry = space.find(key)
            if entry is None:
                return _MISSING
            value = _whole(space, entry)
            if (persist or ttl is not _UNSET) and deadline != entry.expires_at_ms:
                space.set_expiry(entry, deadline)
            return value
        finally:
            self._leave()

    @command(
        "MGET key [key ...]",
        group="string",
        since="0.1",
        complexity="O(N) in the keys",
        fast=True,
        reply="stored_all",
        summary="Return the values of many keys.",
    )
    def mget(self, *keys: str) -> list[object]:
        """The values of keys in order; MISSING for each that is missing or a container."""
        names = [exact_key(key) for key in keys]
        space = self._enter()
        try:
            found: list[object] = []
            for name in names:
                entry = space.find(name)
                if entry is None or entry.kind > OBJECT:
                    found.append(_MISSING)
                else:
                    found.append(_whole(space, entry))
            return found
        finally:
            self._leave()

    @command(
        "MSET key value [key value ...]",
        group="string",
        since="0.1",
        complexity="O(N) in the keys",
        writes=True,
        grows=True,
        reply="ok",
        summary="Set the values of many keys in one step.",
    )
    def mset(self, mapping: object) -> bool:
        """Sets many keys in one step; nobody sees half of it.

        Args:
            mapping: a mapping, or pairs of key and value.
        """
        return self._set_many(mapping, False)

    @command(
        "MSETNX key value [key value ...]",
        group="string",
        since="0.1",
        complexity="O(N) in the keys",
        writes=True,
        grows=True,
        summary="Set the values of many keys in one step, if none of them exists.",
    )
    def msetnx(self, mapping: object) -> bool:
        """Sets many keys in one step if all are missing. Returns whether it did."""
        return self._set_many(mapping, True)

    def _set_many(self, mapping: object, only_new: bool) -> bool:
        pairs = _pairs(mapping)
        space = self._enter()
        try:
            deadline = deadline_of(_UNSET, "mset", space.default_ttl_ms, space.commons.now_ms())
            if only_new:
                for name, _ in pairs:
                    if space.peek(name) is not None:
                        return False
            for name, value in pairs:
                space.put(name, box(value), kind_of(value), deadline)
            return True
        finally:
            self._leave()

    @command(
        "INCRBY key amount:integer",
        group="string",
        since="0.1",
        complexity="O(1)",
        writes=True,
        grows=True,
        fast=True,
        summary="Increment the integer value of a key by a number.",
    )
    @command(
        "INCR key",
        group="string",
        since="0.1",
        complexity="O(1)",
        writes=True,
        grows=True,
        fast=True,
        summary="Increment the integer value of a key by one.",
    )
    def incr(self, key: str, amount: int = 1) -> int:
        """Adds to the integer of a key, which counts as 0 while missing.

        Returns:
            The new value, which is stored as an `int`. TTL and tags are kept.

        Raises:
            NotAnIntegerError: if the value is no integer of 64 bits.
            ArgumentError: if the sum would not fit into 64 bits.
        """
        return self._add(key, amount)

    @command(
        "DECRBY key amount:integer",
        group="string",
        since="0.1",
        complexity="O(1)",
        writes=True,
        grows=True,
        fast=True,
        summary="Decrement the integer value of a key by a number.",
    )
    @command(
        "DECR key",
        group="string",
        since="0.1",
        complexity="O(1)",
        writes=True,
        grows=True,
        fast=True,
        summary="Decrement the integer value of a key by one.",
    )
    def decr(self, key: str, amount: int = 1) -> int:
        """Takes from the integer of a key; else as `incr`."""
        if amount == INT64_MIN:
            raise ArgumentError("decrement would overflow")
        return self._add(key, -amount)

    def _add(self, key: str, amount: int) -> int:
        if type(key) is not str:
            key = exact_key(key)
        space = self._enter()
        try:
            entry = space.find(key)
            if entry is None:
                space.put(key, amount, STRING, self._default_deadline(space))
                return amount
            value = scalar(space, entry)
            number = value if type(value) is int else parse_int(to_wire(value))
            if not INT64_MIN <= number <= INT64_MAX:
                raise NotAnIntegerError()
            total = number + amount
            if not INT64_MIN <= total <= INT64_MAX:
                raise ArgumentError("increment or decrement would overflow")
            space.change(entry, total)
            return total
        finally:
            self._leave()

    def _default_deadline(self, space: Keyspace) -> i64:
        if space.default_ttl_ms == 0:
            return 0
        return space.commons.now_ms() + space.default_ttl_ms

    @command(
        "APPEND key value",
        group="string",
        since="0.1",
        complexity="O(N) in the length",
        writes=True,
        grows=True,
        fast=True,
        summary="Append bytes to the value of a key.",
    )
    def append(self, key: str, value: object) -> int:
        """Appends the bytes of a value. Returns the new length in bytes.

        Raises:
            WrongTypeError: if the key holds no scalar.
            ArgumentError: beyond 512 MiB.
        """
        key = exact_key(key)
        tail = to_wire(value)
        space = self._enter()
        try:
            entry = space.find(key)
            if entry is None:
                space.put(key, tail, STRING, self._default_deadline(space))
                return len(tail)
            head = wire_scalar(space, entry)
            if len(head) + len(tail) > LONGEST_STRING:
                raise ArgumentError("string exceeds maximum allowed size (proto-max-bulk-len)")
            space.change(entry, head + tail)
            return len(head) + len(tail)
        finally:
            self._leave()

    @command(
        "STRLEN key",
        group="string",
        since="0.1",
        complexity="O(1)",
        fast=True,
        summary="Return the length of a value in bytes.",
    )
    def strlen(self, key: str) -> int:
        """The length of a value in bytes; 0 for a missing key."""
        key = exact_key(key)
        space = self._enter()
        try:
            return len(wire_scalar(space, space.find(key)))
        finally:
            self._leave()

    @command(
        "SUBSTR key start:integer end:integer",
        group="string",
        since="0.1",
        complexity="O(N) in the returned length",
        summary="Return a part of a value; an older name of GETRANGE.",
    )
    @command(
        "GETRANGE key start:integer end:integer",
        group="string",
        since="0.1",
        complexity="O(N) in the returned length",
        summary="Return a part of a value.",
    )
    def getrange(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, both included; negative ones count from the end."""
        key = exact_key(key)
        space = self._enter()
        try:
            whole = wire_scalar(space, space.find(key))
        finally:
            self._leave()
        size = len(whole)
        if start < 0 and end < 0 and start > end:
            return b""
        if start < 0:
            start = max(size + start, 0)
        if end < 0:
            end = max(size + end, 0)
        return whole[start : end + 1]

    @command(
        "SETRANGE key offset:integer value",
        group="string",
        since="0.1",
        complexity="O(N) in the length",
        writes=True,
        grows=True,
        summary="Overwrite a part of a value, padded with zero bytes where needed.",
    )
    def setrange(self, key: str, offset: int, value: object) -> int:
        """Overwrites the bytes from `offset` on. Returns the new length.

        Raises:
            ArgumentError: for a negative offset, or beyond 512 MiB.
        """
        key = exact_key(key)
        patch = to_wire(value)
        if offset < 0:
            raise ArgumentError("offset is out of range")
        space = self._enter()
        try:
            entry = space.find(key)
            whole = wire_scalar(space, entry)
            if not patch:
                return len(whole)
            if offset + len(patch) > LONGEST_STRING:
                raise ArgumentError("string exceeds maximum allowed size (proto-max-bulk-len)")
            padded = whole.ljust(offset, b"\0")
            joined = padded[:offset] + patch + padded[offset + len(patch) :]
            if entry is None:
                space.put(key, joined, STRING, self._default_deadline(space))
            else:
                space.change(entry, joined)
            return len(joined)
        finally:
            self._leave()


def _object(entry: Entry, value: object) -> object:
    if entry.kind == OBJECT:
        return unbox(value)
    raise WrongTypeError()


def _whole(space: Keyspace, entry: Entry) -> object:
    value = space.value(entry)
    return value if entry.kind == STRING else _object(entry, value)


def _pairs(mapping: object) -> list[tuple[str, object]]:
    items = getattr(mapping, "items", None)
    pairs = cast("Iterable[tuple[object, object]]", mapping if items is None else items())
    return [(exact_key(key), value) for key, value in pairs]
