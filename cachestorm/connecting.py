"""Connecting: one way to a cache, wherever it is.

What `cachestorm.connect` is. An application that begins with `memory://` and grows changes the
address, not its code.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from cachestorm.cache import Cache
from cachestorm.errors import ConfigError
from cachestorm.suggestions import did_you_mean

if TYPE_CHECKING:
    from cachestorm.cache_like import CacheLike


def connect(
    url: str,
    *,
    codec: object = None,
    near: bool | Mapping[str, Any] = False,
    on_error: Literal["raise", "miss"] = "raise",
    max_pending: int | None = None,
    typed: bool | None = None,
    **options: Any,
) -> CacheLike[Any]:
    """A cache at an address, with the methods of `Cache`.

    Args:
        url: `memory://` for one in this process; `local://name` for one that the processes of
            this user on this machine share; `redis://host:6380`, `rediss://` or
            `unix:///path` for a CacheStorm server, Redis or Valkey;
            `cluster://host:6379,host:6379` for a Valkey or Redis Cluster, by some of its nodes.
        codec: as in `Cache`: how objects are stored; None for JSON on a server.
        near: whether what was read is kept in this process until it changes on the server; or
            settings of the `Cache` that keeps it, such as `{"max_entries": 1000}`.
        on_error: when a server cannot be reached, or is full: `"raise"` raises, and `"miss"`
            answers as an empty cache does, and counts that in `stats()`. A wrong password, and
            what the user may not do, is raised in any case.
        max_pending: how many keys and tags that were written or invalidated meanwhile are kept,
            to tell the server when it is back: 100,000 unless given, 0 for none. If there are
            more, it is emptied then.
        typed: whether a CacheStorm server, or the owner of `local://`, is to keep values as
            what they are, and not in an envelope: other clients, and the process that serves
            them, then see text, numbers and objects. Left out: it is not.
        options: in this process settings of `Cache`, on a server those of redis-py's
            connections, such as `socket_timeout`; of `local://` both, and `linger`, how long
            the values stay when nobody is connected.

    All of these can stand in the address instead, and count before those of the call:
    `memory://?max_entries=1000`, `redis://host:6380?near=true&socket_timeout=1`.

    Raises:
        ConfigError: for an address or an option that is wrong. Nothing connects before the
            first call.

    Examples:
        >>> cache = connect("memory://", max_entries=1000)
        >>> cache.set("greeting", "hello", ttl=60)
        True
        >>> cache.get("greeting")
        'hello'
    """
    from cachestorm.remote.address import MEMORY, options_in

    given = {
        "codec": codec,
        "near": near,
        "on_error": on_error,
        "max_pending": max_pending,
        "typed": typed,
    }
    place, told = options_in(url)
    make = _in_memory if place.startswith(f"{MEMORY}://") else _elsewhere
    return make(place, **{**given, **options, **told})


def _elsewhere(
    url: str,
    *,
    codec: object,
    near: Any,
    on_error: Any,
    max_pending: object,
    typed: object,
    **options: Any,
) -> CacheLike[Any]:
    from cachestorm.remote.address import Address
    from cachestorm.remote.codecs import envelope_of
    from cachestorm.remote.connected import ConnectedCache

    address = Address.read(url, options)
    if _is_typed(typed, codec):
        address = address.typed()
    envelope = envelope_of(codec)
    limit = _limit(max_pending)
    settings = _near_settings(near)
    if settings is None:
        return ConnectedCache(address, envelope, on_error=on_error, max_pending=limit)
    from cachestorm.remote.near_caches import NearCache

    return NearCache(address, envelope, settings=settings, on_error=on_error, max_pending=limit)


def _is_typed(typed: object, codec: object) -> bool:
    if typed is None:
        return False
    if not isinstance(typed, bool):
        raise ConfigError(f"typed is True or False, not {typed!r}")
    if typed and codec is not None:
        raise ConfigError(
            "typed=True has the server read objects, which it can in JSON: no codec"
        )
    return typed


def _near_settings(near: object) -> dict[str, Any] | None:
    """The settings of a near cache; None for none."""
    if isinstance(near, bool):
        return {} if near else None
    if not isinstance(near, Mapping):
        raise ConfigError(
            "near is True, False, or settings of a Cache such as {'max_entries': 1000}, not "
            f"{near!r}"
        )
    settings = dict(near)
    _refuse_unknown(settings, "near")
    return settings


def _limit(max_pending: object) -> int:
    from cachestorm.remote.recovery import LIMIT

    if max_pending is None:
        return LIMIT
    if type(max_pending) is not int or max_pending < 0:
        raise ConfigError(
            f"max_pending is a number of keys and tags, 0 for none, not {max_pending!r}"
        )
    return max_pending


def _refuse_unknown(settings: Mapping[str, Any], shown: str) -> None:
    from cachestorm.remote.address import OWN

    known = list(inspect.signature(Cache).parameters)
    unknown = sorted(settings.keys() - set(known))
    if unknown:
        raise ConfigError(
            f"{shown} has no setting {', '.join(unknown)}: use {', '.join(known)}"
            f"{did_you_mean(unknown, [*known, *OWN])}"
        )


def _in_memory(
    url: str,
    *,
    codec: object,
    near: Any,
    on_error: Any,
    max_pending: object,
    typed: object,
    **options: Any,
) -> Cache[Any]:
    from cachestorm.remote.absence import check_on_error

    if url != "memory://":
        raise ConfigError(
            f"{url}: memory:// has no name, and its settings behind a question mark: "
            "memory://?max_entries=1000"
        )
    # without a meaning here; with one when the address is another
    _limit(max_pending)
    _near_settings(near)
    check_on_error(on_error)
    _is_typed(typed, None)
    _refuse_unknown(options, url)
    return Cache(codec=codec, **options)
