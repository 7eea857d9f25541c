"""Strings that are written, or deleted, on a condition and in one step.

Called by users and plans. What is written replaces the key as a whole.

Source: both commands are Valkey 9.1's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final, Generic

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import to_wire
from cachestorm.commands.edge import Edge
from cachestorm.declare.declaration import Declaration
from cachestorm.errors import ExcludingOptionsError
from cachestorm.events import Cause
from cachestorm.markers import UNSET
from cachestorm.operations.lifetimes import deadline_of, plain_ttl
from cachestorm.operations.names import exact_key, key_values
from cachestorm.operations.string_values import kind_of, length_of, wire_scalar
from cachestorm.typevars import V
from cachestorm.values.weights import box

command: Final = partial(Declaration, group="string", writes=True)

_UNSET: Final = UNSET
_DELETED: Final = Cause.DELETED


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class ConditionalStrings(Edge, Generic[V]):
    """MSETEX and DELIFEQ."""

    @command(
        "MSETEX numkeys:pair-count key:ow-update value [key value ...] [NX | XX] "
        "[EX ttl:seconds | PX ttl:milliseconds | EXAT ttl:unix-seconds | "
        "PXAT ttl:unix-milliseconds | KEEPTTL]",
        complexity="O(N) in the keys",
        grows=True,
        summary="Set the values of many keys and their time to live in one step.",
    )
    def msetex(
        self,
        mapping: Mapping[str, V] | Iterable[tuple[str, V]],
        ttl: object = UNSET,
        *,
        keepttl: bool = False,
        nx: bool = False,
        xx: bool = False,
    ) -> bool:
        """Sets many keys in one step, with one time to live.

        Args:
            mapping: a mapping, or pairs of key and value.
            ttl: seconds, a `timedelta` or `"5m"`; None for never.
            keepttl: each key that is there keeps its own.
            nx, xx: only if all of them are missing, or only if all are there.

        Returns:
            Whether they were set: all of them or none.

        Raises:
            InvalidTtlError: if the time to live is not positive.
            OutOfMemoryError: if there is no room for all of them; nothing has changed.
        """
        if nx and xx:
            raise ExcludingOptionsError("nx=True and xx=True exclude each other")
        if keepttl and ttl is not _UNSET:
            raise ExcludingOptionsError("keepttl=True and a time to live exclude each other")
        values = {key: box(value) for key, value in key_values(mapping)}
        kinds = [kind_of(held) for held in values.values()]
        ttl = plain_ttl(ttl)
        space = self._enter()
        try:
            deadline = deadline_of(ttl, "msetex", space, space.shared.now_ms())
            kept: dict[str, i64] = {}
            for name in values:
                entry = space.peek(name)
                if (nx and entry is not None) or (xx and entry is None):
                    return False
                if keepttl and entry is not None:
                    kept[name] = entry.expires_at_ms
            space.put_all(values, kinds, deadline)
            for name, deadline in kept.items():
                entry = space.peek(name)
                if entry is not None:
                    space.set_expiry(entry, deadline)
            return True
        finally:
            self._leave()

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
        space = self._enter()
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
