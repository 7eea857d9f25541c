"""A cache, wherever it is: what `Cache` and what `cachestorm.connect` gives have in common.

Type checkers read `cache_like.pyi`, which is written from the source of `Cache`. Here stands
what `isinstance` needs: bases of these classes; `Cache`, a compiled one, is registered at one.
Not compiled, as that would read the other file.
"""

from __future__ import annotations

from abc import ABCMeta
from types import GenericAlias


class CacheLike(metaclass=ABCMeta):  # noqa: B024
    """A cache near or far: for signatures of functions that take one.

    Examples:
        >>> from cachestorm import Cache, CacheLike
        >>> def page(cache: CacheLike[str]) -> str:
        ...     return cache.get_or_set("page", lambda: "<html>", ttl=60)
        >>> page(Cache())
        '<html>'
    """

    __class_getitem__ = classmethod(GenericAlias)


class AsyncCacheLike(metaclass=ABCMeta):  # noqa: B024
    """The same for tasks: what `aio` of such a cache is."""

    __class_getitem__ = classmethod(GenericAlias)
