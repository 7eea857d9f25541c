"""The handle: what every live view of one key can do, whatever its type.

The base class of the others in this package; made by `Cache.as_hash` and similar methods. A
handle refers to a cache and a key and stores no data.

1. A handle reads and writes the key itself at every call. Several handles of one key, flat
   methods and wire clients see each other's writes at once.
2. Each method is one step for everybody else. Iterating goes over a snapshot.
3. Writes keep the key's time to live and tags. What was given when the handle was made is
   applied when a write through it creates the key, in the same step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachestorm.markers import MISSING, UNSET, Missing
from cachestorm.operations.lifetimes import named_span
from cachestorm.operations.names import checked_tags, exact_key

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from cachestorm.cache import Cache


class Handle:
    """A live view of one key.

    Attributes:
        key: which key.
    """

    __slots__ = ("_cache", "_creates_with", "_tags", "_ttl", "key")

    def __init__(
        self, cache: Cache, key: str, ttl: object = UNSET, tags: Iterable[str] = ()
    ) -> None:
        self._cache = cache
        self.key = exact_key(key)
        # read here: a user's own class of durations must not run while the lock is held
        self._ttl = ttl if ttl is UNSET or ttl is None else named_span(ttl, "ttl")
        self._tags = tuple(checked_tags(tags))
        # whether creating the key takes more than the write itself
        self._creates_with = ttl is not UNSET or bool(self._tags)

    @property
    def ttl(self) -> float | Missing | None:
        """Seconds left to live, None without an end, MISSING without a key."""
        left = self._cache.ttl(self.key, MISSING)
        assert left is None or isinstance(left, (float, Missing))
        return left

    def expire(self, ttl: object) -> bool:
        """Gives the key a time to live. Returns whether there is such a key.

        Args:
            ttl: seconds, a `timedelta` or `"5m"`; None for never.
        """
        if ttl is None:
            with self._cache.transaction():
                self._cache.persist(self.key)
                return self.exists()
        return self._cache.expire(self.key, ttl)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the key in the order of tagging."""
        return tuple(self._cache.tags(self.key))

    def add_tags(self, *tags: str) -> int:
        """Adds tags to the key. Returns how many were new; 0 without a key."""
        return self._cache.addtag(self.key, *tags)

    def remove_tags(self, *tags: str) -> int:
        """Takes tags from the key. Returns how many it bore."""
        return self._cache.remtag(self.key, *tags)

    def exists(self) -> bool:
        """Whether the key is there. A container without elements is not."""
        return self._cache.exists(self.key) == 1

    def delete(self) -> bool:
        """Deletes the key. Returns whether it was there."""
        return self._cache.delete(self.key) == 1

    def _step(self) -> _Step:
        """A block that is one step, at the end of which a key that is new gets its extras."""
        return _Step(self)

    def _content(self) -> object:
        """All that the key holds, as a value of Python's own."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{self._name()}: {self._content()!r}>"

    def _repr_html_(self) -> str:
        from cachestorm.notebooks import content_table

        return content_table(self._name(), self._content())

    def _name(self) -> str:
        return f"{type(self).__name__} {self.key!r} in {self._cache.name!r}"

    def __reduce__(self) -> str:
        raise TypeError("a handle belongs to a cache in this process and cannot be pickled")

    def __copy__(self) -> Self:
        # a shallow copy of a view is a view of the same
        return self

    def __deepcopy__(self, memo: object) -> Self:
        raise TypeError("a handle is a live view: copy its content, as in dict(handle)")


class _Step:
    """One step on the key of a handle: a transaction that finishes a creation."""

    __slots__ = ("_handle", "_is_new", "_transaction")

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._is_new = False
        self._transaction = handle._cache.transaction()

    def __enter__(self) -> None:
        self._transaction.__enter__()
        handle = self._handle
        self._is_new = handle._creates_with and not handle.exists()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        handle = self._handle
        is_made = False
        try:
            if self._is_new and kind is None and handle.exists():
                if handle._ttl is not UNSET:
                    handle.expire(handle._ttl)
                if handle._tags:
                    handle.add_tags(*handle._tags)
            is_made = kind is None
        finally:
            try:
                if self._is_new and not is_made:
                    # without its extras, for which there may be no room, it must not be there
                    handle._cache.delete(handle.key)
            finally:
                self._transaction.__exit__(kind, error, traceback)
