"""The invalidations: a thread that is told by a server what changes, and tells a near cache.

It has a connection of its own, which tracks all keys (`CLIENT TRACKING ON BCAST`), so that the
connections of the pool need not be read to hear of a change.

1. A silent connection is asked for a sign of life. One that gives none is lost, which the near
   cache learns after two HEARTBEAT_S at most: what has changed meanwhile may be read near for
   as long, and no longer.
2. It connects again by itself, and waits longer after each failure.
3. It begins with the first read, also in the child of a fork.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import redis
from redis._parsers import _HiredisParser

from cachestorm.codec import text_of
from cachestorm.errors import ConfigError
from cachestorm.remote.forks import tell_of_forks
from cachestorm.remote.near import Near

HEARTBEAT_S: Final = 1.0
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0


def refuse_old_client() -> None:
    """Refuses a redis-py that would not tell.

    Raises:
        ConfigError: before some 6.x, whose parser by hiredis has no way to.
    """
    if not hasattr(_HiredisParser, "set_invalidation_push_handler"):
        raise ConfigError(
            f"near=True needs redis-py 6.4 or newer, this is {redis.__version__}: "
            f"pip install --upgrade redis"
        )


class Invalidations:
    """What tells one near cache.

    Args:
        near: the near cache.
        client_of: makes a client of redis-py with more options than usual.
        prefix_of: tells what the keys begin with on the server, if with anything.
    """

    def __init__(
        self, near: Near, client_of: Callable[..., Any], prefix_of: Callable[[], bytes]
    ) -> None:
        self._near: Final = near
        self._client_of: Final = client_of
        self._prefix_of: Final = prefix_of
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.is_running = False
        tell_of_forks(self)

    def start(self) -> None:
        """Begins, unless it has begun."""
        with self._lock:
            if self.is_running:
                return
            self.is_running = True
            self._stopped = threading.Event()
        # it must not keep alive what nobody needs, nor the process
        mine = weakref.ref(self)
        threading.Thread(
            target=_follow, args=(mine, self._stopped), name="cachestorm-near", daemon=True
        ).start()

    def stop(self) -> None:
        """Ends; the near cache is empty then, and its thread ends within HEARTBEAT_S."""
        with self._lock:
            self.is_running = False
            self._stopped.set()
        self._near.lost()

    def forked(self) -> None:
        """In the child of a fork, where the thread is not."""
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.is_running = False
        self._near.forked()

    def __del__(self) -> None:
        self._stopped.set()

    # -- in its thread

    def connect(self) -> Any:
        """Connects, and asks to be told. Returns the connection.

        Raises:
            redis.RedisError: if there is no server, or one that does not tell.
        """
        client = self._client_of(socket_timeout=HEARTBEAT_S)
        return self.tracking(client.connection_pool.make_connection())

    def tracking(self, connection: Any) -> Any:
        """Connects, and asks for all that changes. Returns the connection."""
        connection.connect()
        prefix = self._prefix_of()
        # of the near cache alone: nothing that is used up may be kept alive from here
        hear = partial(_hear, self._near, prefix)
        connection._parser.set_invalidation_push_handler(hear)
        limit = ["PREFIX", prefix] if prefix else []
        connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", *limit)
        connection.read_response()
        return connection

    def ready(self, stopped: threading.Event) -> None:
        """Tells the near cache that it may keep what it reads, unless it was stopped."""
        with self._lock:
            if not stopped.is_set():
                self._near.ready()

    def lost(self, stopped: threading.Event) -> None:
        """Empties the near cache, unless another thread feeds it by now."""
        with self._lock:
            if not stopped.is_set():
                self._near.lost()


def _hear(near: Near, prefix: bytes, message: list[Any]) -> None:
    keys = message[1]
    start = len(prefix)
    near.forget(None if keys is None else [text_of(bytes(key[start:])) for key in keys])


def _follow(mine: weakref.ref[Invalidations], stopped: threading.Event) -> None:
    pause_s = _FIRST_PAUSE_S
    while not stopped.is_set():
        connection: Any = None
        try:
            followed = mine()
            if followed is None:
                return
            connection = followed.connect()
            followed.ready(stopped)
            pause_s = _FIRST_PAUSE_S
            del followed
            while not stopped.is_set():
                _listen(connection)
        except (redis.RedisError, OSError):
            pass
        finally:
            followed = mine()
            if followed is not None:
                followed.lost(stopped)
            if connection is not None:
                connection.disconnect()
            del followed
        stopped.wait(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _listen(connection: Any) -> None:
    """Waits for one message, or for a sign of life.

    Raises:
        redis.RedisError: if the connection is lost.
    """
    if connection.can_read(timeout=HEARTBEAT_S):
        connection.read_response(push_request=True)
        return
    connection.send_command("PING")
    connection.read_response()
