"""What becomes of an error of the server: raised with a hint, or counted and logged."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from cachestorm.errors import CacheStormError, TagError
from cachestorm.remote.refusals import is_denial
from cachestorm.remote.requests import Request

logger = logging.getLogger("cachestorm.remote")


class Failures:
    """How the errors of one server are dealt with.

    Attributes:
        ignored: how many were ignored so far.
    """

    def __init__(self, shown: str, ignore: bool) -> None:
        self._shown = shown
        self._ignore = ignore
        self._lock = threading.Lock()
        self.ignored = 0

    @contextmanager
    def handled(self, request: Request) -> Iterator[None]:
        """Ignores an error of the server or of the connection, if that is wanted.

        Raises:
            TagError: for tags that the server does not know, which is none of ours.
            redis.RedisError: for any other, unless errors are ignored; for a wrong password,
                and what the user may not do, also then.
        """
        try:
            yield
        except redis.RedisError as error:
            self._met(error, request)
        except CacheStormError as error:
            # which a wire makes of it
            if not isinstance(error.__cause__, redis.RedisError):
                raise
            self._met(error.__cause__, request)

    def _met(self, error: redis.RedisError, request: Request) -> None:
        is_refusal = isinstance(error, redis.ResponseError)
        if is_refusal and _uses_tags(request) and _is_unknown(str(error)):
            raise TagError(
                f"{self._shown} has no tags: they need a CacheStorm server, or Redis or Valkey "
                "from 6.2 on that runs scripts and has no allkeys policy"
            ) from error
        self._ignored(error)

    def _ignored(self, error: redis.RedisError) -> None:
        if not self._ignore or is_denial(error):
            raise error
        with self._lock:
            self.ignored += 1
        logger.warning("%s: ignored %s: %s", self._shown, type(error).__name__, error)


OF_TAGS = frozenset(["TAGS", "TAGKEYS", "INVALIDATE"])


def _uses_tags(request: Request) -> bool:
    return any(word in OF_TAGS for command in request.commands for word in command)


def _is_unknown(message: str) -> bool:
    return "syntax error" in message or "unknown command" in message
