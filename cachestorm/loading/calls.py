"""The calls of a user: `get_or_set` and its variants, from arguments to courses of the engine.

Called by `cachestorm/face.py`. A hit without options that judge it is two calls and no course.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cachestorm.errors import ArgumentError
from cachestorm.loading.context import running
from cachestorm.loading.drivers import adapted, aload, aload_many, load, load_many
from cachestorm.loading.engine import is_far
from cachestorm.loading.options import Options, options_by_name, options_of
from cachestorm.markers import MISSING, UNSET
from cachestorm.operations.names import exact_key

if TYPE_CHECKING:
    from cachestorm.cache import Cache

_JUDGING = frozenset({"early", "eager"})


def get_or_set(
    cache: Cache,
    key: str,
    loader: Callable[..., Any],
    ttl: object,
    tags: Any,
    options: dict[str, Any],
) -> Any:
    """See `Face.get_or_set`."""
    if running.get() is None and _JUDGING.isdisjoint(options):
        found = cache.get(key, MISSING)
        if found is not MISSING:
            return found
    return load(cache, exact_key(key), adapted(loader), _read(ttl, tags, options))


async def aget_or_set(
    cache: Cache,
    key: str,
    loader: Callable[..., Any],
    ttl: object,
    tags: Any,
    options: dict[str, Any],
) -> Any:
    """See `Face.aget_or_set`."""
    if running.get() is None and _JUDGING.isdisjoint(options) and not is_far(cache):
        found = cache.get(key, MISSING)
        if found is not MISSING:
            return found
    return await aload(cache, exact_key(key), adapted(loader), _read(ttl, tags, options))


def get_or_set_many(
    cache: Cache,
    keys: Iterable[str],
    loader: Callable[..., Any],
    ttl: object,
    tags: Any,
    options: dict[str, Any],
) -> dict[str, Any]:
    """See `Face.get_or_set_many`."""
    return load_many(cache, keys, loader, _for_many(_read(ttl, tags, options)))


async def aget_or_set_many(
    cache: Cache,
    keys: Iterable[str],
    loader: Callable[..., Any],
    ttl: object,
    tags: Any,
    options: dict[str, Any],
) -> dict[str, Any]:
    """See `Face.aget_or_set_many`."""
    return await aload_many(cache, keys, loader, _for_many(_read(ttl, tags, options)))


def _read(ttl: object, tags: Any, options: dict[str, Any]) -> Options:
    if not options and ttl is UNSET and tags == ():
        return _PLAIN
    return options_by_name(ttl, tags, options)


def _for_many(options: Options) -> Options:
    if options.is_detached:
        raise ArgumentError("a load of many keys takes neither timeout nor soft_timeout")
    return options


_PLAIN = options_of()
