"""Introducing: what a connection says before anything else, of its namespace and its values.

Called by redis-py for each connection that a wire opens. What the user has redis-py do then is
done first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final

import redis

from cachestorm.remote.address import Address
from cachestorm.remote.refusals import is_unknown

_NAMESPACE: Final = "NAMESPACE"
_TYPED: Final = ("CLIENT", "TYPED", "ON")
_NO_TYPES: Final = "unknown subcommand: typed=True needs a CacheStorm server"


class Introduction:
    """What the connections of a wire say.

    Args:
        address: of the server.
        namespace: by name; None for the one that the address says.
        has_names: whether the server is not known to have no namespaces.
    """

    def __init__(
        self, address: Address, namespace: str | None, has_names: Callable[[], bool]
    ) -> None:
        self._begin: Final[Any] = address.options.get("redis_connect_func")
        self._is_typed: Final = address.is_typed
        self._namespace: Final = namespace
        self._has_names: Final = has_names

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to say that redis-py does not say by itself."""
        return self._is_typed or self._namespace is not None

    def threaded(self, connection: Any) -> None:
        """Says it on a connection of threads.

        Raises:
            redis.RedisError: for what the server refuses.
        """
        if self._begin is None:
            connection.on_connect()
        else:
            self._begin(connection)
        for words in self._words():
            connection.send_command(*words)
            try:
                connection.read_response()
            except redis.ResponseError as error:
                _check(words, error)

    async def awaited(self, connection: Any) -> None:
        """The same on one of tasks.

        Raises:
            redis.RedisError: for what the server refuses.
        """
        done = connection.on_connect() if self._begin is None else self._begin(connection)
        if inspect.isawaitable(done):
            await done
        for words in self._words():
            await connection.send_command(*words)
            try:
                await connection.read_response()
            except redis.ResponseError as error:
                _check(words, error)

    def _words(self) -> Iterator[tuple[str, ...]]:
        if self._is_typed:
            yield _TYPED
        if self._namespace is not None and self._has_names():
            yield (_NAMESPACE, self._namespace)


def _check(words: tuple[str, ...], error: redis.ResponseError) -> None:
    """Raises what the server has refused, unless it can be done without."""
    if words[0] == _NAMESPACE:
        if not is_unknown(error):
            raise error
        return
    if "unknown subcommand" in str(error).lower():
        raise redis.ResponseError(_NO_TYPES) from error
    raise error
