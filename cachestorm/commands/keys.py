"""The family of keys: what works on a key whatever its value is.

1. Questions about a key (`ttl`, `type`, `exists`) are not accesses: they do not change its
   access count.
2. Names never show a dead key; `dbsize` counts what is not yet reaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final, cast

from librt.random import randrange
from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import bytes_of
from cachestorm.commands.edge import Edge, enter, enter_for, enter_for_all
from cachestorm.declare.declaration import Declaration
from cachestorm.entry import kind_name
from cachestorm.errors import (
    ArgumentError,
    CommandSyntaxError,
    ExcludingOptionsError,
    NoSuchKeyError,
)
from cachestorm.events import Cause
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.shared_state import LOOK
from cachestorm.keyspace.store import database_name
from cachestorm.markers import MISSING
from cachestorm.operations.copying import Copying
from cachestorm.operations.counting import CountingKeys
from cachestorm.operations.long_command import LongCommand
from cachestorm.operations.names import exact_int, exact_key, keys_of
from cachestorm.patterns import matches

command: Final = partial(Declaration, group="generic")

_MISSING: Final = MISSING
_DELETED: Final = Cause.DELETED


# How often RANDOMKEY draws in vain.
MOST_DRAWS: Final = 1024


class Walking(LongCommand):
    """KEYS: a walk over the dense array from its end down, as SCAN's is."""

    def __init__(self, space: Keyspace, pattern: str) -> None:
        super().__init__(space)
        self._pattern: Final = _pattern_of(pattern)

    def _work(self) -> Iterator[None]:
        found: list[str] = []
        cursor = _walk(self._space, 0, LOOK, self._pattern, None, found)
        while cursor:
            yield
            cursor = _walk(self._space, int(cursor), LOOK, self._pattern, None, found)
        # an entry that moved while the lock was free may have been met twice
        self._value = list(dict.fromkeys(found))


class Drawing(LongCommand):
    """RANDOMKEY: dead keys that are drawn are reaped, and there may be many.

    Stale ones stay. Where many draws have met none that is live, the keys are walked.
    """

    def _work(self) -> Iterator[None]:
        space = self._space
        met: i64 = 0
        while space.dense:
            key = space.dense[randrange(i64(len(space.dense)))].key
            if space.peek(key) is not None:
                self._value = key
                return
            met += 1
            if met % LOOK == 0:
                yield
            if met >= MOST_DRAWS and space.tags.softened:
                break
        admitted: i64 = -1
        # what comes during a walk comes behind it
        while admitted != space.admitted:
            admitted = space.admitted
            place: i64 = len(space.dense)
            while place > 0:
                place -= 1
                if place < len(space.dense) and space.is_live(space.dense[place]):
                    self._value = space.dense[place].key
                    return
                if place % LOOK == 0:
                    yield


def _check_pattern(pattern: object) -> None:
    if not isinstance(pattern, str):
        raise TypeError(f"a pattern is a str, not {pattern!r}")


def _pattern_of(match: str | None) -> bytes | None:
    return None if match is None or match == "*" else bytes_of(match)


def _walk(
    space: Keyspace,
    cursor: int,
    count: int,
    pattern: bytes | None,
    wanted: str | None,
    found: list[str],
) -> i64:
    """Adds the fitting ones of the next `count` keys. Returns the next cursor."""
    left: int = len(space.dense)  # a cursor and a count may be beyond 63 bits
    if 0 < cursor < left:
        left = cursor
    place: i64 = left
    end: i64 = 0
    if count < left:
        end = left - count
    while place > end:
        place -= 1
        entry = space.dense[place]
        if not space.is_live(entry):
            continue
        if wanted is not None and kind_name(entry) != wanted:
            continue
        if pattern is None or matches(pattern, bytes_of(entry.key)):
            found.append(entry.key)
    return place


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Keys(Edge):
    """DEL, EXPIRE, SCAN, COPY and related commands."""

    # -- being there

    @command(
        "UNLINK key:rm-delete [key ...]",
        complexity="O(1) a key",
        fast=True,
        tips="request_policy:multi_shard response_policy:agg_sum",
        summary="Delete keys; their values are freed outside of the lock, as with DEL.",
    )
    @command(
        "DEL key:rm-delete [key ...]",
        complexity="O(1) a key",
        tips="request_policy:multi_shard response_policy:agg_sum",
        summary="Delete keys.",
    )
    def delete(self, *keys: str | Iterable[str]) -> int:
        """Deletes keys, by name or in lists. Returns how many were there."""
        names = keys_of(keys)
        space = enter(self)
        try:
            deleted = 0
            for name in names:
                entry = space.peek(name)
                if entry is not None:
                    space.remove(entry, _DELETED)
                    deleted += 1
                else:
                    space.note_absent(name)
            return deleted
        finally:
            self._leave()

    @command(
        "EXISTS key:ro [key ...]",
        complexity="O(1) a key",
        fast=True,
        tips="request_policy:multi_shard response_policy:agg_sum",
        summary="Count the keys that exist; one named twice counts twice.",
    )
    def exists(self, *keys: str | Iterable[str]) -> int:
        """How many of the named keys exist; one named twice counts twice."""
        names = keys_of(keys)
        space = enter(self)
        try:
            found = 0
            for name in names:
                if space.peek(name) is not None:
                    found += 1
            return found
        finally:
            self._leave()

    @command(
        "TOUCH key:ro [key ...]",
        complexity="O(1) a key",
        fast=True,
        tips="request_policy:multi_shard response_policy:agg_sum",
        summary="Count the keys that exist, and count this as an access to each.",
    )
    def touch(self, *keys: str | Iterable[str]) -> int:
        """How many of the named keys exist; each is accessed."""
        names = keys_of(keys)
        space = enter_for_all(self, names)
        try:
            found = 0
            for name in names:
                if space.find(name) is not None:
                    found += 1
            return found
        finally:
            self._leave()

    @command(
        "TYPE key:ro",
        complexity="O(1)",
        fast=True,
        reply="status",
        summary="Return the kind of value a key holds.",
    )
    def type(self, key: str) -> str:
        """`string`, `object`, `hash`, `list`, `set`, `zset`, or `none`."""
        key = exact_key(key)
        space = enter(self)
        try:
            entry = space.peek(key)
            return "none" if entry is None else kind_name(entry)
        finally:
            self._leave()

    # -- names

    @command(
        "KEYS pattern",
        complexity="O(N) in the keys of the namespace",
        flags="@dangerous",
        tips="nondeterministic_output_order request_policy:all_shards",
        summary="Return all keys that match a pattern.",
    )
    def keys(self, pattern: str = "*") -> list[str]:
        """All live keys that match a glob pattern: a walk in slices, as `scan` is in pages.

        Raises:
            TypeError: for a pattern that is not a `str`.
        """
        _check_pattern(pattern)
        return cast("list[str]", self._run(Walking(self._space, pattern)))

    @command(
        "SCAN cursor [MATCH pattern] [COUNT count:scan-count] [TYPE type:string]",
        complexity="O(1) a call, O(N) for a whole walk",
        reply="scan",
        tips="nondeterministic_output request_policy:special response_policy:special",
        summary="Walk the keys a page at a time.",
    )
    def scan(
        self,
        cursor: int = 0,
        match: str | None = None,
        count: int = 10,
        type: str | None = None,
    ) -> tuple[int, list[str]]:
        """One page of a walk over the keys.

        A key that is there from the start of the walk to its end is given at least once,
        and may be given twice; walk until the cursor is 0 again.

        Args:
            cursor: 0 to begin, then what the call before gave.
            match: a glob pattern.
            count: how many keys to look at.
            type: only keys that hold this kind of value.

        Returns:
            The next cursor and a page of keys.
        """
        cursor = exact_int(cursor)
        count = exact_int(count)
        if count < 1:
            raise CommandSyntaxError()
        return self._scan(cursor, match, count, type)

    def _scan(
        self, cursor: int, match: str | None, count: int, kind: str | None
    ) -> tuple[int, list[str]]:
        if match is not None:
            _check_pattern(match)
        pattern = _pattern_of(match)
        if kind is not None and not isinstance(kind, str):
            raise TypeError(f"a type is a str, not {kind!r}")
        wanted = None if kind is None else kind.lower()
        found: list[str] = []
        space = enter(self)
        try:
            place = _walk(space, cursor, count, pattern, wanted, found)
            return int(place), found
        finally:
            self._leave()

    @command(
        "RANDOMKEY",
        complexity="O(1)",
        tips="nondeterministic_output request_policy:all_shards response_policy:special",
        summary="Return a random key.",
    )
    def randomkey(self) -> str | None:
        """A random live key; None if there is none."""
        return cast("str | None", self._run(Drawing(self._space)))

    @command(
        "DBSIZE",
        group="server",
        complexity="O(1)",
        fast=True,
        flags="@keyspace",
        tips="request_policy:all_shards response_policy:agg_sum",
        summary="Count the keys of the namespace.",
    )
    def dbsize(self) -> int:
        """How many keys there are; those that are due and not yet reaped count.

        Keys that a soft invalidation has made stale do not. Where reaping has not followed one
        up yet, they are counted first: O(1) for each of them, once.
        """
        space = self._space
        tags = space.tags
        if tags.stale == 0 and not tags.uncounted:
            return len(space.dense)
        return cast(int, self._run(CountingKeys(space)))

    # -- moving

    @command(
        "RENAME key:rw-access-delete newkey:ow-update",
        complexity="O(1)",
        reply="ok",
        summary="Give a key another name, with its time to live and its tags.",
    )
    def rename(self, key: str, newkey: str) -> bool:
        """Renames a key; what the new name held is gone, tags and all.

        Raises:
            NoSuchKeyError: if the key is missing.
        """
        return self._rename(key, newkey, False)

    @command(
        "RENAMENX key:rw-access-delete newkey:ow-insert",
        complexity="O(1)",
        fast=True,
        summary="Rename a key if the new name is free.",
    )
    def renamenx(self, key: str, newkey: str) -> bool:
        """Renames a key if the new name is free. Returns whether it did.

        Raises:
            NoSuchKeyError: if the key is missing.
        """
        return self._rename(key, newkey, True)

    def _rename(self, key: str, newkey: str, only_new: bool) -> bool:
        key = exact_key(key)
        newkey = exact_key(newkey)
        space = enter_for(self, key)
        try:
            entry = space.peek_value(key)
            if entry is None:
                raise NoSuchKeyError()
            if only_new and space.peek(newkey) is not None:
                return False
            if key == newkey:
                return True
            space.rename(entry, newkey)
            return True
        finally:
            self._leave()

    @command(
        "COPY source:key destination:ow-update [DB database] [REPLACE]",
        complexity="O(N) in the elements of the value",
        grows=True,
        summary="Copy a key with its time to live and its tags.",
    )
    def copy(
        self,
        source: str,
        destination: str,
        database: int | None = None,
        *,
        replace: bool = False,
    ) -> bool:
        """Copies a key: value, time to live and tags.

        Args:
            database: the number of the namespace `db<n>` to copy into; 0 is `default`.
            replace: also if the destination exists.

        Returns:
            Whether it was copied.

        Raises:
            ArgumentError: if source and destination are the same, or for a number that
                is not a database.
        """
        source = exact_key(source)
        destination = exact_key(destination)
        name = "" if database is None else database_name(database)
        space = enter_for(self, source)
        try:
            target = space if database is None else self._store.space(name)
            if target is space and source == destination:
                raise ArgumentError("source and destination objects are the same")
        finally:
            self._leave()
        copying = Copying(space, source, target, destination, replace)
        return cast(bool, self._run(copying))

    @command(
        "MOVE key:rw-access-update db:database",
        complexity="O(1)",
        fast=True,
        summary="Move a key into another namespace, with its time to live and its tags.",
    )
    def move(self, key: str, db: int) -> bool:
        """Moves a key: value, time to live and tags.

        Args:
            db: the number of the namespace `db<n>` to move into; 0 is `default`.

        Returns:
            Whether it was moved; not if it is missing here, or taken there.

        Raises:
            ArgumentError: for this namespace, or for a number that is not a database.
            OutOfMemoryError: if there is no room there; nothing has changed.
        """
        key = exact_key(key)
        name = database_name(db)
        space = enter_for(self, key)
        try:
            target = self._store.space(name)
            if target is space:
                raise ArgumentError("source and destination objects are the same")
            entry = space.find(key)
            if entry is None or target.peek(key) is not None:
                return False
            space.move(entry, target)
            return True
        finally:
            self._leave()

    # -- emptying

    @command(
        "FLUSHDB [ASYNC | SYNC]",
        group="server",
        complexity="O(1) for the caller",
        writes=True,
        reply="ok",
        once="ASYNC SYNC",
        flags="@keyspace @dangerous",
        tips="request_policy:all_shards response_policy:all_succeeded",
        summary="Remove all keys, tags and links of the namespace.",
    )
    def flushdb(self, *, async_: bool = False, sync: bool = False) -> bool:
        """Empties this namespace. Memory is freed in steps, in either mode."""
        if async_ and sync:
            raise ExcludingOptionsError("async_=True and sync=True exclude each other")
        space = enter(self)
        try:
            space.flush()
            return True
        finally:
            self._leave()

    @command(
        "FLUSHALL [ASYNC | SYNC]",
        group="server",
        complexity="O(1) a namespace",
        writes=True,
        reply="ok",
        once="ASYNC SYNC",
        flags="@keyspace @dangerous",
        tips="request_policy:all_shards response_policy:all_succeeded",
        summary="Remove all keys, tags and links of all namespaces.",
    )
    def flushall(self, *, async_: bool = False, sync: bool = False) -> bool:
        """Empties every namespace, not only this one: that is `clear`, or `flushdb`."""
        if async_ and sync:
            raise ExcludingOptionsError("async_=True and sync=True exclude each other")
        enter(self)
        try:
            self._store.flush_all()
            return True
        finally:
            self._leave()
