"""Fields that are read and written together with their deadlines: HGETEX and HSETEX.

A trait of its own beneath `Hashes`. Both do all of it in one step.

1. A deadline that is over removes the field at once, in the place of setting it.
2. A field that is written without a time to live has none, as with HSET.

Source: the commands are Valkey 9.1's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import enter_for
from cachestorm.commands.field_deadlines import FieldDeadlines
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.kinds import Lifetime
from cachestorm.entry import HASH
from cachestorm.errors import ArityError, CommandSyntaxError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.markers import UNSET
from cachestorm.operations.containers import admit, entry_of, hash_at, settle
from cachestorm.operations.lifetimes import by_the_clock, lifetime_of
from cachestorm.operations.names import exact_key, name_of, names_of, pairs_of
from cachestorm.values.hash import Hash
from cachestorm.values.weights import box

command: Final = partial(Declaration, group="hash")

_UNSET: Final = UNSET


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class TimedFields(FieldDeadlines):
    """HGETEX, HSETEX and HGETDEL."""

    @command(
        "HGETDEL key:rw-access-delete FIELDS numfields field [field ...]",
        complexity="O(N) in the given fields",
        writes=True,
        fast=True,
        reply="stored_all",
        summary="Return the values of fields of a hash and delete them.",
    )
    def hgetdel(self, key: str, *fields: object, default: object = None) -> list[Any]:
        """Deletes fields; the hash goes when none is left.

        Args:
            default: what to give for each that is missing.

        Returns:
            The values in order.
        """
        key = exact_key(key)
        names = names_of(fields)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, HASH)
            if entry is None:
                return [default] * len(names)
            found = hash_at(space, entry)
            before = found.size_bytes
            is_changed = False
            values: list[object] = []
            for name in names:
                values.append(found.get(name, default))
                is_changed |= found.remove(name)
            if is_changed:
                settle(space, entry, found, before, "hdel")
            return values
        finally:
            space.leave()

    @command(
        "HGETEX key:rw-access-update [EX ttl:seconds | PX ttl:milliseconds | EXAT "
        "ttl:unix-seconds | "
        "PXAT ttl:unix-milliseconds | PERSIST] FIELDS numfields field [field ...]",
        complexity="O(N) in the given fields",
        fast=True,
        reply="stored_all",
        summary="Return the values of fields of a hash after giving them another time to live.",
    )
    def hgetex(
        self,
        key: str,
        *fields: object,
        ttl: object = UNSET,
        persist: bool = False,
        default: object = None,
    ) -> list[Any]:
        """The values of fields in order, after giving the fields another time to live.

        Args:
            ttl: seconds, a `timedelta` or `"5m"`; zero removes them.
            persist: take their time to live away.
            default: what to give for each that is missing.

        Raises:
            InvalidTtlError: for a negative time to live, and one beyond 64 bits.
        """
        key = exact_key(key)
        names = names_of(fields)
        if persist and ttl is not _UNSET:
            raise CommandSyntaxError()
        lifetime = None if ttl is _UNSET else lifetime_of(ttl, 1000, False, "hgetex")
        space = enter_for(self, key)
        try:
            now_ms = space.shared.now_ms()
            deadline = _deadline(lifetime, space, "hgetex")
            entry = entry_of(space, key, HASH)
            if entry is None:
                return [default] * len(names)
            found = hash_at(space, entry)
            before = found.size_bytes
            is_changed = False
            values: list[object] = []
            for name in names:
                values.append(found.get(name, default))
                if name not in found:
                    continue
                if persist:
                    is_changed |= found.persist(name)
                elif lifetime is not None:
                    _expire(found, name, deadline, now_ms)
                    is_changed = True
            if is_changed:
                event = "hexpire" if deadline > now_ms else "hexpired"
                if persist:
                    event = "hpersist"
                settle(space, entry, found, before, event)
            return values
        finally:
            space.leave()

    @command(
        "HSETEX key:rw-insert [NX | XX] [FNX | FXX] [EX ttl:seconds | PX ttl:milliseconds | "
        "EXAT ttl:unix-seconds | PXAT ttl:unix-milliseconds | KEEPTTL] "
        "FIELDS numfields field value [field value ...]",
        complexity="O(N) in the given fields",
        grows=True,
        fast=True,
        summary="Set the values of fields of a hash and give them a time to live.",
    )
    def hsetex(
        self,
        key: str,
        field: object = UNSET,
        value: object = UNSET,
        mapping: object = None,
        ttl: object = None,
        *,
        keepttl: bool = False,
        nx: bool = False,
        xx: bool = False,
        fnx: bool = False,
        fxx: bool = False,
    ) -> bool:
        """Sets one field, or all of a mapping, or both, with a time to live.

        Args:
            mapping: a mapping, or pairs of field and value.
            ttl: seconds, a `timedelta` or `"5m"`; zero removes the fields, None is never.
            keepttl: what is there keeps its time to live.
            nx, xx: only if the key is missing, or only if it is there.
            fnx, fxx: only if none of the fields is there, or only if all of them are.

        Returns:
            Whether they were set: all of them or none.

        Raises:
            InvalidTtlError: for a negative time to live, and one beyond 64 bits.
        """
        key = exact_key(key)
        rows = rows_of("hsetex", field, value, mapping)
        if (nx and xx) or (fnx and fxx) or (keepttl and ttl is not None):
            raise CommandSyntaxError()
        lifetime = None if ttl is None else lifetime_of(ttl, 1000, False, "hsetex")
        space = enter_for(self, key)
        try:
            now_ms = space.shared.now_ms()
            deadline = _deadline(lifetime, space, "hsetex")
            space.make_room_for_growth()
            entry = entry_of(space, key, HASH)
            if (nx and entry is not None) or (xx and entry is None):
                return False
            found = Hash() if entry is None else hash_at(space, entry)
            if fnx or fxx:
                for name, _ in rows:
                    if (name in found) is fnx:
                        return False
            before = found.size_bytes
            for name, held in rows:
                if keepttl:
                    found.change(name, held)
                    continue
                found.put(name, held)
                if lifetime is not None:
                    _expire(found, name, deadline, now_ms)
            if entry is not None:
                settle(space, entry, found, before, "hset")
            elif len(found) != 0:
                entry = admit(space, key, found, HASH, "hset")
            elif found.leaving is not None:
                space.shared.drop_later(found.leaving)
            if lifetime is not None and deadline > now_ms and entry is not None:
                space.changed(entry, 0, "hexpire")
            return True
        finally:
            space.leave()


def rows_of(
    name: str, field: object, value: object, mapping: object
) -> list[tuple[str, object]]:
    """The fields and values that HSET, HSETEX and the like are given.

    Raises:
        ArityError: if there are none.
    """
    rows: list[tuple[str, object]] = []
    if field is not _UNSET:
        if value is _UNSET:
            if isinstance(field, Mapping):
                raise TypeError(f"a mapping is given by name: {name}(key, mapping={field!r})")
            raise ArityError(name)
        rows.append((name_of(field), box(value)))
    if mapping is not None:
        for each, item in pairs_of(mapping):
            rows.append((name_of(each), box(item)))
    if not rows:
        raise ArityError(name)
    return rows


def _deadline(lifetime: Lifetime | None, space: Keyspace, name: str) -> int:
    if lifetime is None:
        return 0
    now_ms: int = space.shared.now_ms()
    return by_the_clock(lifetime, space).expires_at_ms(now_ms, name, True)


def _expire(found: Hash, field: str, deadline: int, now_ms: int) -> None:
    if deadline <= now_ms:
        found.remove(field)
    else:
        found.expire(field, deadline)
