"""A cache as a mapping: what `dict` has besides `cache[key]`, and what takes many keys.

A trait of `Cache`, on top of its commands. Everything here concerns one namespace.

1. What writes or takes away is one step: nobody sees half of it.
2. Walks (`items`, `values`) show the keys that there were at their start, as far as these are
   still there. They do not count as accesses, and hold no lock between two pages.
3. A key that holds a container (a hash, a list ...) has no value that could be given as a
   whole: walks and `get_many` leave it out, and for `pop` it is a WrongTypeError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Generic, Self, cast, overload

from mypy_extensions import mypyc_attr, trait, u8

from cachestorm.commands.edge import Edge, enter
from cachestorm.entry import kind_name, kind_of
from cachestorm.entry_info import EntryInfo
from cachestorm.errors import WrongTypeError
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.keyspace.tiering import Demoted
from cachestorm.markers import MISSING, UNSET
from cachestorm.operations.lifetimes import Lasting
from cachestorm.operations.names import checked_tags, exact_key, key_values, keys_of
from cachestorm.operations.string_values import is_whole, seen, whole
from cachestorm.typevars import D, V

if TYPE_CHECKING:
    from cachestorm.cache import Cache

_UNSET: Final = UNSET
_MISSING: Final = MISSING

# How many keys a walk looks at before it lets others go on.
PAGE: Final = 256


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class WholeMapping(Edge, Generic[V]):
    """`pop`, `items`, `get_many` and their kin."""

    # -- as dict has it

    @overload
    def pop(self, key: str) -> V: ...
    @overload
    def pop(self, key: str, default: D) -> V | D: ...
    def pop(self, key: str, default: object = _MISSING) -> object:
        """Deletes a key and gives back its value.

        Args:
            default: what to give for a missing key.

        Raises:
            KeyError: for a missing key without a default.
            WrongTypeError: if the key holds a container.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache["k"] = 1
            >>> cache.pop("k"), cache.pop("k", None)
            (1, None)
        """
        value = cast("Cache", self).getdel(key, _MISSING)
        if value is not _MISSING:
            return value
        if default is _MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[str, V]:
        """Deletes a random key and gives it back with its value.

        Raises:
            KeyError: for an empty namespace.
            WrongTypeError: if the key holds a container.
        """
        cache = cast("Cache", self)
        while True:
            key = cache.randomkey()
            if key is None:
                raise KeyError("the cache is empty")
            value = cache.getdel(key, _MISSING)
            # somebody else may have been quicker
            if value is not _MISSING:
                return key, cast(V, value)

    @overload
    def setdefault(
        self, key: str, default: None = None, ttl: object = ..., *, tags: Iterable[str] = ...
    ) -> V | None: ...
    @overload
    def setdefault(
        self, key: str, default: V, ttl: object = ..., *, tags: Iterable[str] = ...
    ) -> V: ...
    def setdefault(
        self,
        key: str,
        default: object = None,
        ttl: object = _UNSET,
        *,
        tags: Iterable[str] = (),
    ) -> object:
        """The value of a key; if it is missing, it is set to the default first.

        Args:
            ttl, tags: as in `set`, if it is set.

        Raises:
            WrongTypeError: if the key holds a container.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.setdefault("k", 1), cache.setdefault("k", 2)
            (1, 1)
        """
        key = exact_key(key)
        found = cast("Cache", self)._set_with(
            key, default, Lasting(ttl), True, False, True, False, tags, _MISSING
        )
        return default if found is _MISSING else found

    def add(
        self, key: str, value: V, ttl: object = _UNSET, *, tags: Iterable[str] = ()
    ) -> bool:
        """Sets a key only if it is missing. Returns whether it was set.

        Args:
            ttl, tags: as in `set`.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.add("k", 1, ttl=60), cache.add("k", 2)
            (True, False)
        """
        key = exact_key(key)
        lasting = Lasting(ttl)
        return bool(
            cast("Cache", self)._set_with(
                key, value, lasting, True, False, False, False, tags, None
            )
        )

    def update(
        self, mapping: Mapping[str, V] | Iterable[tuple[str, V]] = (), /, **values: V
    ) -> None:
        """Sets many keys in one step, as `dict.update` does.

        Args:
            mapping: a mapping, or pairs of key and value.
            values: more of them, by keyword.

        Raises:
            OutOfMemoryError: if there is no room for all of them; nothing has changed.
        """
        pairs: dict[str, object] = dict(key_values(mapping))
        pairs.update(values)
        cast("Cache", self)._put_many(pairs, _UNSET, (), False)

    def items(self) -> Iterator[tuple[str, V]]:
        """The keys with their values, a page at a time."""
        keys = cast("Cache", self).keys()
        for start in range(0, len(keys), PAGE):
            yield from self._page(keys[start : start + PAGE])

    def values(self) -> Iterator[V]:
        """The values of the keys, a page at a time."""
        for item in self.items():
            yield item[1]

    def _page(self, keys: list[str]) -> list[tuple[str, V]]:
        """Those of the keys that are there and hold no container, with their values."""
        found: list[tuple[str, V]] = []
        wanted: list[Demoted] = []
        space = self._enter_to_see(keys, wanted)
        try:
            for key in keys:
                entry = space.peek(key)
                if entry is not None and is_whole(entry):
                    value = seen(space, entry, _MISSING)
                    if value is not _MISSING:
                        found.append((key, cast(V, value)))
        finally:
            self._leave_seen(wanted)
        if self._forms is not None:
            return [(key, cast(V, self._give(value, _MISSING))) for key, value in found]
        return found

    def clear(self) -> None:
        """Empties this namespace and no other: keys, tags and links."""
        cast("Cache", self).flushdb()

    # -- many keys

    def get_many(self, keys: Iterable[str]) -> dict[str, V]:
        """The values of many keys, by key; one that is missing, or a container, is left out.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache["a"] = 1
            >>> cache.get_many(["a", "b"])
            {'a': 1}
        """
        names = keys_of(keys)
        values = cast("Cache", self).mget(*names, default=_MISSING)
        found: dict[str, V] = {}
        for name, value in zip(names, values):
            if value is not _MISSING:
                found[name] = cast(V, value)
        return found

    def set_many(
        self,
        mapping: Mapping[str, V] | Iterable[tuple[str, V]],
        ttl: object = _UNSET,
        *,
        tags: Iterable[str] = (),
    ) -> bool:
        """Sets many keys in one step, with one time to live and the same tags.

        Args:
            mapping: a mapping, or pairs of key and value.
            ttl, tags: as in `set`, for each of them.

        Raises:
            InvalidTtlError: if the time to live is not positive.
            OutOfMemoryError: if there is no room for all of them; nothing has changed.
        """
        return cast("Cache", self)._put_many(mapping, ttl, tags, False)

    def delete_many(self, keys: Iterable[str]) -> int:
        """Deletes many keys in one step. Returns how many were there."""
        return cast("Cache", self).delete(*keys_of(keys))

    def scan_iter(
        self, match: str | None = None, count: int = PAGE, type: str | None = None
    ) -> Iterator[str]:
        """The keys, by a walk that needs no list of all of them.

        A key that is there from start to end is given at least once, and may be given twice.

        Args:
            match: a glob pattern.
            count: how many keys to look at in one step.
            type: only keys that hold this kind of value.
        """
        cache = cast("Cache", self)
        cursor, keys = cache.scan(0, match, count, type)
        yield from keys
        while cursor:
            cursor, keys = cache.scan(cursor, match, count, type)
            yield from keys

    def scan_tags(self, count: int = PAGE) -> Iterator[str]:
        """The tags that have keys, by a walk that needs no list of all of them.

        A tag that has keys from start to end is given at least once, and may be given twice.

        Args:
            count: how many tags to look at in one step.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.set("page", "...", tags=["home"])
            True
            >>> list(cache.scan_tags())
            ['home']
        """
        cache = cast("Cache", self)
        cursor, tags = cache.tag_scan(0, count)
        yield from tags
        while cursor:
            cursor, tags = cache.tag_scan(cursor, count)
            yield from tags

    # -- one key, with all that is known of it

    def compare_and_set(
        self,
        key: str,
        expected: object,
        value: V,
        ttl: object = _UNSET,
        *,
        tags: Iterable[str] | None = None,
    ) -> bool:
        """Sets a key if it holds what is expected. Returns whether it was set.

        Args:
            expected: compared with `==`, outside of the lock; MISSING for no such key.
            ttl: as in `set`; left out, the key keeps its own.
            tags: as in `set`; left out, the key keeps its own.

        Raises:
            WrongTypeError: if the key holds a container.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache["state"] = "new"
            >>> cache.compare_and_set("state", "new", "done")
            True
            >>> cache.compare_and_set("state", "new", "done")
            False
        """
        key = exact_key(key)
        names = None if tags is None else checked_tags(tags)
        if expected is _MISSING:
            return self.add(key, value, ttl, tags=names or ())
        kind = kind_of(value)
        held = self._box(value)
        lasting = Lasting(ttl)
        while True:
            before = self._entry(key)
            if before is None:
                return False
            if before.type not in ("string", "object"):
                raise WrongTypeError()
            # `==` may run a user's code, and so the lock is not held
            if not (before.value is expected or before.value == expected):
                return False
            if self._replace(key, before.version, held, kind, lasting, names):
                return True

    def _replace(
        self,
        key: str,
        version: int,
        held: object,
        kind: u8,
        lasting: Lasting,
        tags: list[str] | None,
    ) -> bool:
        """Writes to a key that is still at a version; time to live and tags stay by default."""
        space = enter(self)
        try:
            entry = space.find(key)
            if entry is None or int(entry.version) != version:
                return False
            lasting.begin("set", space, space.shared.now_ms())
            deadline = lasting.deadline_ms
            idle = lasting.idle
            if lasting.is_default:
                deadline = entry.expires_at_ms
                idle = space.idle_of(entry)
            kept = tag_names_of(entry) if tags is None else tags
            space.put(key, held, kind, deadline, kept, idle)
            return True
        finally:
            self._leave()

    def entry(self, key: str) -> EntryInfo[V] | None:
        """All that is known of a key at one moment; None for a missing one. No access.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.set("k", 1, tags=["numbers"])
            True
            >>> entry = cache.entry("k")
            >>> entry.value, entry.type, entry.ttl, entry.tags
            (1, 'string', None, ('numbers',))
        """
        return self._entry(exact_key(key))

    def _entry(self, key: str) -> EntryInfo[V] | None:
        wanted: list[Demoted] = []
        space = self._enter_to_see([key], wanted)
        try:
            entry = space.peek(key)
            if entry is None:
                return None
            value = seen(space, entry, _MISSING) if is_whole(entry) else None
            if value is _MISSING:
                return None
            ttl: float | None = None
            if entry.expires_at_ms != 0:
                ttl = int(entry.expires_at_ms - space.shared.now_ms()) / 1000
            idle = space.idle_of(entry)
            info: EntryInfo[V] = EntryInfo(
                key,
                kind_name(entry),
                cast("V | None", value),
                ttl,
                tuple(tag_names_of(entry)),
                int(entry.version),
                int(space.charge_of(entry)),
                None if idle is None else int(idle.idle_ms) / 1000,
            )
        finally:
            self._leave_seen(wanted)
        if self._forms is not None:
            return info._replace(value=cast("V | None", self._give(info.value, None)))
        return info

    def _read(self, key: str) -> tuple[str, object, int, tuple[str, ...], int] | None:
        """What an endpoint answers a read of a key with, in one step: a hit, or a miss.

        A container is no hit: the command that then reads it is one.

        Returns:
            Its type, its value as it is stored (None for a container), the milliseconds that
            it has left (-1 for no end), its tags and its version; None for a missing key.
        """
        space = enter(self)
        try:
            entry = space.peek(key)
            if entry is not None and not is_whole(entry):
                value: object = None
            else:
                entry = space.find(key)
                if entry is None:
                    return None
                value = whole(space, entry)
            left_ms = -1
            if entry.expires_at_ms != 0:
                left_ms = int(entry.expires_at_ms - space.shared.now_ms())
            tags = () if entry.tags is None else tuple(tag_names_of(entry))
            return kind_name(entry), value, left_ms, tags, int(entry.version)
        finally:
            self._leave()

    # -- as what is closed

    def close(self) -> None:
        """Ends what this cache holds outside of its memory: its data directory, and its tiers.

        All is written, and the directories can be opened by another cache. The keys stay whose
        values are in memory, and the cache can be used afterwards, but nothing is on disk then.
        """
        directory = self._store.directory
        if directory is not None:
            from cachestorm.durability.directory import DataDirectory

            self._store.directory = None
            cast(DataDirectory, directory).close(self._store)
        tiering = self._store.tiering
        if tiering is not None:
            from cachestorm.tiers.tiers import Tiers

            cast(Tiers, tiering).close(self._store)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
