"""Strings, many at once: MGET, MSET, MSETNX and MSETEX, each in one step.

Called by users and plans, and by `mapping.py`. What is written replaces a key as a whole.

Source: MSETEX is Valkey 9.1's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final, Generic, overload

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.commands.edge import Edge, enter, enter_for_all
from cachestorm.declare.declaration import Declaration
from cachestorm.errors import ExcludingOptionsError
from cachestorm.keyspace.holdings import size_of
from cachestorm.markers import UNSET
from cachestorm.operations.lifetimes import deadline_of, plain_ttl
from cachestorm.operations.names import checked_tags, exact_key, keys_of, named_pairs
from cachestorm.operations.reply_size import ReplySize
from cachestorm.operations.string_values import is_whole, whole
from cachestorm.typevars import D, V
from cachestorm.values.weights import box

command: Final = partial(Declaration, group="string")

_UNSET: Final = UNSET


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class ManyStrings(Edge, Generic[V]):
    """Strings, read and written many at a time."""

    @overload
    def mget(self, *keys: str | Iterable[str]) -> list[V | None]: ...
    @overload
    def mget(self, *keys: str | Iterable[str], default: D) -> list[V | D]: ...
    @command(
        "MGET key [key ...]",
        complexity="O(N) in the keys",
        fast=True,
        reply="stored_all",
        tips="request_policy:multi_shard",
        summary="Return the values of many keys.",
    )
    def mget(self, *keys: str | Iterable[str], default: object = None) -> list[Any]:
        """The values of keys in order, `default` for each that is missing or a container."""
        names = keys_of(keys)
        found: list[Any] = []
        space = enter_for_all(self, names)
        try:
            size = ReplySize(space)
            for name in names:
                entry = space.find(name)
                if entry is None or not is_whole(entry):
                    found.append(default)
                else:
                    size.take(size_of(entry.kind, space.value(entry)))
                    found.append(whole(space, entry))
        finally:
            space.leave()
        if self._forms is not None:
            return [self._give(value, default) for value in found]
        return found

    @command(
        "MSET key:ow-update value [key value ...]",
        complexity="O(N) in the keys",
        grows=True,
        reply="ok",
        tips="request_policy:multi_shard response_policy:all_succeeded",
        summary="Set the values of many keys in one step.",
    )
    def mset(self, mapping: Mapping[str, V] | Iterable[tuple[str, V]]) -> bool:
        """Sets many keys in one step; nobody sees half of it.

        Args:
            mapping: a mapping, or pairs of key and value.
        """
        return self._put_many(mapping, _UNSET, (), False)

    @command(
        "MSETNX key:ow-insert value [key value ...]",
        complexity="O(N) in the keys",
        grows=True,
        summary="Set the values of many keys in one step, if none of them exists.",
    )
    def msetnx(self, mapping: Mapping[str, V] | Iterable[tuple[str, V]]) -> bool:
        """Sets many keys in one step if all are missing. Returns whether it did."""
        return self._put_many(mapping, _UNSET, (), True)

    @command(
        "MSETEX numkeys:pair-count key:ow-update value [key value ...] [NX | XX] "
        "[EX ttl:seconds | PX ttl:milliseconds | EXAT ttl:unix-seconds | "
        "PXAT ttl:unix-milliseconds | KEEPTTL]",
        complexity="O(N) in the keys",
        grows=True,
        tips="request_policy:multi_shard response_policy:all_succeeded",
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
        names, values = self._pairs(mapping)
        ttl = plain_ttl(ttl)
        space = enter(self)
        try:
            deadline = deadline_of(ttl, "msetex", space, space.shared.now_ms())
            kept: dict[str, i64] = {}
            for name in names:
                entry = space.peek(name)
                if (nx and entry is not None) or (xx and entry is None):
                    return False
                if keepttl and entry is not None:
                    kept[name] = entry.expires_at_ms
            space.put_all(names, values, deadline)
            for name, deadline in kept.items():
                entry = space.peek(name)
                if entry is not None:
                    space.set_expiry(entry, deadline)
            return True
        finally:
            space.leave()

    def _put_many(
        self, mapping: object, ttl: object, tags: Iterable[str], only_new: bool
    ) -> bool:
        names, values = self._pairs(mapping)
        checked = checked_tags(tags) if tags else None
        ttl = plain_ttl(ttl)
        space = enter(self)
        try:
            deadline = deadline_of(ttl, "set", space, space.shared.now_ms())
            if only_new:
                for name in names:
                    if space.peek(name) is not None:
                        return False
            space.put_all(names, values, deadline, checked)
            return True
        finally:
            space.leave()

    def _pairs(self, mapping: object) -> tuple[list[str], list[object]]:
        """The exact keys of a mapping, or of pairs, and beside them the values, boxed."""
        names: list[str] = []
        values: list[object] = []
        forms = self._forms
        for name, value in named_pairs(mapping):
            names.append(exact_key(name))
            values.append(box(value) if forms is None else forms.take(value))
        return names, values
