"""The tag as a set of the keys that bear it: what `Cache.tag` returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import TYPE_CHECKING, Any

from cachestorm.operations.names import checked_tag

if TYPE_CHECKING:
    from cachestorm.cache import Cache


class Tag(Set[str]):
    """A live set of the keys that bear a tag.

    Attributes:
        name: which tag.

    Examples:
        >>> from cachestorm import Cache
        >>> cache = Cache()
        >>> cache.set("user:1", "Ada", tags=["users"])
        True
        >>> users = cache.tag("users")
        >>> list(users)
        ['user:1']
        >>> users.invalidate()
        1
        >>> len(users)
        0
    """

    __slots__ = ("_cache", "name")

    def __init__(self, cache: Cache, name: str) -> None:
        self._cache = cache
        self.name = checked_tag(name)

    @classmethod
    def _from_iterable(cls, keys: Iterable[Any]) -> Any:
        return set(keys)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.name in self._cache.tags(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        """How many keys bear it; dead ones that are not yet reaped count. O(1)."""
        return self._cache.tagcount(self.name)

    def __repr__(self) -> str:
        return f"<Tag {self.name!r} in {self._cache.name!r}: {len(self)} keys>"

    def _repr_html_(self) -> str:
        from cachestorm.notebooks import content_table

        return content_table(repr(self).strip("<>"), self.keys())

    def keys(self) -> list[str]:
        """The live keys that bear it, sorted."""
        return self._cache.tagkeys(self.name)

    def add(self, *keys: str) -> int:
        """Gives it to keys that are there. Returns how many did not bear it before."""
        with self._cache.transaction():
            return sum(self._cache.addtag(key, self.name) for key in keys)

    def discard(self, *keys: str) -> int:
        """Takes it from keys. Returns how many bore it."""
        with self._cache.transaction():
            return sum(self._cache.remtag(key, self.name) for key in keys)

    def invalidate(self, *, cascade: bool = False, soft: bool = False) -> int:
        """Deletes every key that bears it: see `Cache.invalidate`."""
        return self._cache.invalidate(self.name, cascade=cascade, soft=soft)

    @property
    def children(self) -> tuple[Tag, ...]:
        """The tags that an invalidation with `cascade` reaches directly."""
        return tuple(Tag(self._cache, name) for name in self._cache.tagchildren(self.name))

    def link(self, child: str | Tag) -> None:
        """Makes another tag its child.

        Raises:
            TagError: if the link would close a cycle.
        """
        self._cache.taglink(self.name, _name_of(child))

    def unlink(self, child: str | Tag) -> None:
        """Takes the link to a child away; it is not an error if there was none."""
        self._cache.tagunlink(self.name, _name_of(child))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Tag):
            return self._is_same(other) or set(self) == set(other)
        return Set.__eq__(self, other)

    def _is_same(self, other: Tag) -> bool:
        return self._cache is other._cache and self.name == other.name

    __hash__ = None  # type: ignore[assignment]


def _name_of(tag: str | Tag) -> str:
    return tag.name if isinstance(tag, Tag) else tag
