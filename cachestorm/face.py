"""The Python face of a cache: what speaks Python's words rather than Redis'.

A trait of `Cache`. The work is done in the packages below, which are not compiled and are
imported when they are first needed: importing CacheStorm loads neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, cast

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import Edge
from cachestorm.markers import UNSET

if TYPE_CHECKING:
    from cachestorm.cache import Cache
    from cachestorm.handles import (
        Counter,
        HashHandle,
        ListHandle,
        SetHandle,
        SortedSetHandle,
        Tag,
    )

_UNSET: Final = UNSET


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Face(Edge):
    """Handles, loading, decorators, locks."""

    # -- live handles

    def as_hash(
        self, key: str, *, ttl: object = _UNSET, tags: Iterable[str] = ()
    ) -> HashHandle:
        """A key as a live mapping of fields to values.

        Args:
            ttl, tags: what a write through it gives the key when it creates it.
        """
        from cachestorm.handles.hash import HashHandle

        return HashHandle(cast("Cache", self), key, ttl, tags)

    def as_list(
        self, key: str, *, ttl: object = _UNSET, tags: Iterable[str] = ()
    ) -> ListHandle:
        """A key as a live sequence of elements; the arguments are those of `as_hash`."""
        from cachestorm.handles.list import ListHandle

        return ListHandle(cast("Cache", self), key, ttl, tags)

    def as_set(self, key: str, *, ttl: object = _UNSET, tags: Iterable[str] = ()) -> SetHandle:
        """A key as a live set of members; the arguments are those of `as_hash`."""
        from cachestorm.handles.set import SetHandle

        return SetHandle(cast("Cache", self), key, ttl, tags)

    def as_sorted_set(
        self, key: str, *, ttl: object = _UNSET, tags: Iterable[str] = ()
    ) -> SortedSetHandle:
        """A key as a live mapping of members to scores, in the order of the scores."""
        from cachestorm.handles.sorted_set import SortedSetHandle

        return SortedSetHandle(cast("Cache", self), key, ttl, tags)

    def counter(self, key: str, *, ttl: object = _UNSET, tags: Iterable[str] = ()) -> Counter:
        """A key as a live integer; the arguments are those of `as_hash`."""
        from cachestorm.handles.counter import Counter

        return Counter(cast("Cache", self), key, ttl, tags)

    def tag(self, name: str) -> Tag:
        """A tag as a live set of the keys that bear it."""
        from cachestorm.handles.tag import Tag

        return Tag(cast("Cache", self), name)
