"""Strings that are read, or compared, and changed in one step: GETDEL, DELIFEQ and GETEX.

Called by users and plans.

Source: DELIFEQ is Valkey 9.1's.
"""

from __future__ import annotations

from functools import partial
from typing import Final, Generic, overload

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import to_wire
from cachestorm.commands.edge import Edge, enter_for
from cachestorm.declare.declaration import Declaration
from cachestorm.errors import ExcludingOptionsError
from cachestorm.events import Cause
from cachestorm.markers import UNSET
from cachestorm.operations.lifetimes import deadline_of, plain_ttl
from cachestorm.operations.names import exact_key
from cachestorm.operations.string_values import length_of, whole, wire_scalar
from cachestorm.typevars import D, V

command: Final = partial(Declaration, group="string")

_UNSET: Final = UNSET
_DELETED: Final = Cause.DELETED
_EXPIRED: Final = Cause.EXPIRED


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Fetching(Edge, Generic[V]):
    """GETDEL, DELIFEQ and GETEX."""

    @overload
    def getdel(self, key: str) -> V | None: ...
    @overload
    def getdel(self, key: str, default: D) -> V | D: ...
    @command(
        "GETDEL key:rw-access-delete",
        complexity="O(1)",
        fast=True,
        reply="stored",
        summary="Return the value of a key after deleting the key.",
    )
    def getdel(self, key: str, default: object = None) -> object:
        """Deletes a key and gives back its value.

        Args:
            default: what to give for a missing key; MISSING tells it from a stored None.

        Raises:
            WrongTypeError: if the key holds a container.
        """
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            if entry is None:
                space.note_absent(key)
                return default
            value = whole(space, entry)
            space.remove(entry, _DELETED)
        finally:
            self._leave()
        return self._give(value, default)

    @command(
        "DELIFEQ key:rm-delete value",
        complexity="O(N) in the length of the value",
        fast=True,
        summary="Delete a key if it holds a value.",
    )
    def delifeq(self, key: str, value: object) -> bool:
        """Deletes a key if it holds just these bytes. Returns whether it did.

        Raises:
            WrongTypeError: if the key holds no string.
            CodecError: for what JSON cannot carry.
        """
        key = exact_key(key)
        raw = to_wire(value)
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            if entry is None or length_of(space, entry) != len(raw):
                return False
            if wire_scalar(space, entry) != raw:
                return False
            space.remove(entry, _DELETED)
            return True
        finally:
            self._leave()

    @overload
    def getex(self, key: str, ttl: object = ..., *, persist: bool = False) -> V | None: ...
    @overload
    def getex(
        self, key: str, ttl: object = ..., *, persist: bool = False, default: D
    ) -> V | D: ...
    @command(
        "GETEX key:rw-access-update [EX ttl:seconds | PX ttl:milliseconds | EXAT "
        "ttl:unix-seconds | "
        "PXAT ttl:unix-milliseconds | PERSIST]",
        complexity="O(1)",
        fast=True,
        reply="stored",
        note="RW and UPDATE because it changes the TTL",
        summary="Return the value of a key after giving it another time to live.",
    )
    def getex(
        self,
        key: str,
        ttl: object = _UNSET,
        *,
        persist: bool = False,
        default: object = None,
    ) -> object:
        """The value of a key, after giving it another time to live.

        Args:
            ttl: seconds, a `timedelta` or `"5m"`; None for never; left out, it stays.
            persist: take the time to live away.
            default: what to give for a missing key; MISSING tells it from a stored None.

        Raises:
            WrongTypeError: if the key holds a container.
            InvalidTtlError: if the time to live is not positive.
        """
        key = exact_key(key)
        if persist and ttl is not _UNSET:
            raise ExcludingOptionsError("persist=True and a time to live exclude each other")
        ttl = plain_ttl(ttl)
        space = enter_for(self, key)
        try:
            now = space.shared.now_ms()
            deadline = deadline_of(ttl, "getex", space, now)
            entry = space.find(key)
            if entry is None:
                return default
            value = whole(space, entry)
            if deadline != 0 and deadline <= now:
                space.remove(entry, _EXPIRED, "del")
            elif (persist or ttl is not _UNSET) and deadline != entry.expires_at_ms:
                space.set_expiry(entry, deadline)
        finally:
            self._leave()
        return self._give(value, default)
