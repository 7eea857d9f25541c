"""Connecting: one way to a cache, wherever it is.

What `cachestorm.connect` is. An application that begins with `memory://` and grows changes the
address, not its code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cachestorm.cache import Cache
from cachestorm.errors import ConfigError

if TYPE_CHECKING:
    from cachestorm.remote.connected import ConnectedCache

MEMORY: Final = "memory"


def connect(url: str, *, codec: object = None, **options: Any) -> Cache[Any] | ConnectedCache:
    """A cache at an address, with the methods of `Cache`.

    Args:
        url: `memory://` for one in this process; `redis://host:6380`, `rediss://` or
            `unix:///path` for a CacheStorm server, Redis or Valkey.
        codec: as in `Cache`: how objects are stored; None for JSON on a server.
        options: in this process settings of `Cache`, on a server those of redis-py's
            connections, such as `socket_timeout`.

    Raises:
        ConfigError: for an address or an option that is wrong. Nothing connects before the
            first call.

    Example:
        >>> cache = connect("memory://", max_entries=1000)
        >>> cache.set("greeting", "hello", ttl=60)
        True
        >>> cache.get("greeting")
        'hello'
    """
    if urlsplit(url).scheme == MEMORY:
        return _in_memory(url, codec, options)
    from cachestorm.remote.address import Address
    from cachestorm.remote.connected import ConnectedCache
    from cachestorm.remote.envelope import envelope_of

    return ConnectedCache(Address.parse(url, options), envelope_of(codec))


def _in_memory(url: str, codec: object, options: dict[str, Any]) -> Cache[Any]:
    if url != "memory://":
        raise ConfigError(f"memory:// takes no more in its address: {url}")
    try:
        return Cache(codec=codec, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise ConfigError(f"memory://: {error}") from None
