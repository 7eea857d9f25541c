"""The quick way: one command by a pool of redis-py, without what its client does around it.

Called by `Wire` for what is asked most. The pool, the connections and their timeouts and health
checks are redis-py's own, and so is the outcome; what is left out are retries, which nobody has
asked for where this is taken, and measurements, while nobody measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from cachestorm.remote.address import Address

try:
    from redis.observability import recorder as _recorder
except ImportError:
    _recorder = None  # type: ignore[assignment]

# a redis-py that has all that is used here
_IS_KNOWN: Final = hasattr(_recorder, "_metrics_collector")


def is_quick(address: Address) -> bool:
    """Whether commands may go that way: nobody has asked redis-py to try again."""
    asked: Mapping[str, Any] = {
        **dict(parse_qsl(urlsplit(address.url).query)),
        **address.options,
    }
    return _IS_KNOWN and not any(name.startswith("retry") for name in asked)


def asked(client: Any, words: Any, gone: tuple[type[Exception], ...]) -> Any:
    """The reply to one command.

    Args:
        gone: errors after which it is sent again, as the client does it.

    Raises:
        redis.RedisError: as the client.
    """
    if _recorder._metrics_collector is not None:
        return client.execute_command(*words)
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_command(*words)
        return connection.read_response()
    except gone:
        pass
    finally:
        pool.release(connection)
    return client.execute_command(*words)
