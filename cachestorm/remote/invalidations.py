"""The invalidations: a thread that is told by a server what changes, and tells a near cache.

It has a connection of its own, which tracks all keys (`CLIENT TRACKING ON BCAST`), so that the
connections of the pool need not be read to hear of a change.

1. A connection is asked for a sign of life HEARTBEAT_S / 4 after the last, however much it
   tells: the answer comes behind what was told before. One that has given none after 3/4 more
   is lost, silent or only behind. So what has changed may be read near for HEARTBEAT_S at most.
2. It connects again by itself, and waits longer after each failure.
3. It begins with the first read, also in the child of a fork.
"""

from __future__ import annotations

import selectors
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import redis
from redis._parsers import _HiredisParser

from cachestorm.codec import text_of
from cachestorm.errors import ConfigError
from cachestorm.remote.address import Address
from cachestorm.remote.arguments import Words
from cachestorm.remote.forks import tell_of_forks
from cachestorm.remote.near import Near

HEARTBEAT_S: Final = 2.0
SIGN: Final[Words] = ["PING"]
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


def refuse_old_protocol(address: Address) -> None:
    """Refuses RESP2, in which a server promises to tell what changes, and does not.

    Raises:
        ConfigError: if it was asked for.
    """
    asked = dict(parse_qsl(urlsplit(address.url).query))
    if str(asked.get("protocol", address.options.get("protocol", 3))) != "3":
        raise ConfigError(
            f"near=True needs protocol=3 of {address.shown}, which is what it has by default"
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

    def connect(self) -> Telling:
        """Connects, and asks to be told. Returns the connection.

        Raises:
            redis.RedisError: if there is no server, or one that does not tell.
        """
        client = self._client_of(socket_timeout=HEARTBEAT_S / 2)
        return Telling([self.tracking(client.connection_pool.make_connection())])

    def tracking(self, connection: Any) -> Any:
        """Connects, and asks for all that changes. Returns the connection."""
        connection.connect()
        prefix = self._prefix_of()
        # of the near cache alone: nothing that is used up may be kept alive from here
        hear = partial(_hear, self._near, prefix)
        connection._parser.set_invalidation_push_handler(hear)
        limit = ["PREFIX", prefix] if prefix else []
        connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", *limit)
        reply_of(connection)
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


class Telling:
    """Connections that tell what changes, heard as one.

    Args:
        connections: of redis-py.
        question: which the first is asked for a sign of life, if not the same as the others.
        now, wait: the clock, and what waits for sockets to be readable.
    """

    def __init__(
        self,
        connections: Sequence[Any],
        question: Words = SIGN,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[Sequence[Any], float], object] | None = None,
    ) -> None:
        self._connections: Final = list(connections)
        self._questions: Final = [question, *[SIGN] * (len(connections) - 1)]
        self._now: Final = now
        self._wait: Final = wait or _wait
        # whether each was asked, and when it must have answered, or is asked next
        self._is_asked: Final = [False] * len(connections)
        self._due_at: Final = [now() + HEARTBEAT_S / 4] * len(connections)

    def hear(self) -> None:
        """Hears what there is, or waits until there may be something.

        Raises:
            redis.RedisError: if one of them is lost.
        """
        now = self._now()
        for index, connection in enumerate(self._connections):
            if now < self._due_at[index]:
                continue
            if self._is_asked[index]:
                raise redis.TimeoutError("what changes was not told in time")
            self._is_asked[index] = True
            self._due_at[index] = now + HEARTBEAT_S * 3 / 4
            connection.send_command(*self._questions[index])
        is_silent = True
        for index, connection in enumerate(self._connections):
            if connection.can_read(timeout=0):
                is_silent = False
                reply = connection.read_response(push_request=True)
                # what `_hear` gives for a message
                if reply is not None:
                    self._is_asked[index] = False
                    self._due_at[index] = max(now, self._due_at[index] - HEARTBEAT_S / 2)
                    self.answered(index, reply)
        if is_silent:
            self._wait([each._sock for each in self._connections], min(self._due_at) - now)

    def answered(self, index: int, reply: Any) -> None:
        """One of them has given a sign of life."""

    def disconnect(self) -> None:
        """Closes all of them."""
        for connection in self._connections:
            connection.disconnect()


def _wait(sockets: Sequence[Any], timeout_s: float) -> None:
    # not by `select`, which knows no descriptor beyond 1023
    with selectors.DefaultSelector() as selector:
        for each in sockets:
            selector.register(each, selectors.EVENT_READ)
        selector.select(timeout_s)


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
                connection.hear()
        except Exception:
            # whatever it is: what it would have told is lost, and it is connected to anew
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


def reply_of(connection: Any) -> Any:
    """The reply to a command, behind whatever is told before it.

    redis-py would go one deeper into the stack for each message.
    """
    while True:
        reply = connection.read_response(push_request=True)
        # what `_hear` gives for a message
        if reply is not None:
            return reply
