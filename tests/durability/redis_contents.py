"""What a server that speaks Redis' protocol holds, to be compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def of_server(
    client: Any, deadline_of: Callable[[bytes], int] | None = None
) -> dict[bytes, object]:
    """All of the default database, as a client reads it.

    Args:
        deadline_of: when a key ends, for a server without PEXPIRETIME.
    """
    deadline = deadline_of or client.pexpiretime
    found: dict[bytes, object] = {}
    for key in client.scan_iter():
        kind = client.type(key)
        if kind == b"hash":
            value: object = client.hgetall(key)
        elif kind == b"list":
            value = client.lrange(key, 0, -1)
        elif kind == b"set":
            value = sorted(client.smembers(key))
        elif kind == b"zset":
            value = client.zrange(key, 0, -1, withscores=True)
        else:
            value = client.get(key)
        found[key] = (kind, value, deadline(key))
    return found
