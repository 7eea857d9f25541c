"""A lock that is a key on a server, as `Cache.lock` is one in a process."""

from __future__ import annotations

import secrets
import time
from typing import Any

import redis

from cachestorm.remote.failures import Failures
from cachestorm.remote.requests import Request, milliseconds

# how long to wait between two tries
PAUSE_S = 0.05
# what its commands are for `Failures`: they use no tags
NOTHING = Request([], lambda replies: None, None)


class RemoteLock:
    """A mutex among all who use the key on that server.

    Args:
        client: redis-py's.
        key: which is held while the lock is.
        ttl: seconds after which it ends by itself, should its holder be gone.
        failures: what becomes of errors. Where they are ignored, a server that is gone keeps
            nobody out.
    """

    def __init__(self, client: Any, key: str, ttl: float, failures: Failures) -> None:
        self._client = client
        self._key = key
        self._ttl_ms = milliseconds(ttl)
        self._token: bytes | None = None
        self._failures = failures

    def acquire(self, wait: bool = True) -> bool:
        """Takes it. Returns whether it did; without waiting, at once."""
        token = secrets.token_hex(16).encode()
        with self._failures.handled(NOTHING):
            while not self._client.set(self._key, token, px=self._ttl_ms, nx=True):
                if not wait:
                    return False
                time.sleep(PAUSE_S)
            self._token = token
        return True

    def release(self) -> None:
        """Gives it back; nothing, if it has ended and another has it."""
        if self._token is None:
            return
        with self._failures.handled(NOTHING), self._client.pipeline(transaction=True) as pipe:
            while True:
                try:
                    pipe.watch(self._key)
                    if pipe.get(self._key) != self._token:
                        return
                    pipe.multi()
                    pipe.delete(self._key)
                    pipe.execute()
                    return
                except redis.WatchError:
                    continue

    def locked(self) -> bool:
        """Whether anybody holds it."""
        with self._failures.handled(NOTHING):
            return bool(self._client.exists(self._key))
        return False
