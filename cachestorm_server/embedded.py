"""The embedded client: redis-py on a cache of the same process, without a socket.

Found by the core as a provider (`Cache.redis`, `cache.aio.redis`). A connection of redis-py is
given something that looks like a socket, or like a pair of streams, behind which a session
answers in the thread, or in the task, that asks.

1. Each connection has an endpoint of its own, and shares nothing with others but the cache,
   the channels and the settings. So no thread waits for another one, except for the latch; and
   CLIENT LIST shows one client.
2. What is pushed from other threads (messages, the end of a wait) is posted to that endpoint,
   and delivered when somebody reads.
3. Nothing runs by itself: what is due is reaped by writes, as everywhere in process.
"""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, Final, cast

import redis
import redis.asyncio
import redis.asyncio.connection
import redis.connection

from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import ReentrancyError
from cachestorm.operations.long_command import LongCommand
from cachestorm_server.acl.users import Users
from cachestorm_server.endpoint import Carrier, Endpoint
from cachestorm_server.notifications import Notifications
from cachestorm_server.scripting.engine import Engine
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

# imported for what it declares
from cachestorm_server import bound_commands as bound_commands  # isort: skip

_WHERE: Final = "in process"


class Host:
    """What the connections of one client share."""

    def __init__(self, cache: Cache) -> None:
        self._cache: Final = cache
        self._settings: Final = Settings()
        self._notifications: Final = Notifications(cache)
        self._ids: Final = count()
        self._ended: Final[deque[Session]] = deque()
        self._engine: Final = Engine()
        self._users: Final = Users(REGISTRY)

    def session(self, carrier: Carrier) -> Session:
        """A new session, alone at its endpoint."""
        endpoint = Endpoint(
            self._cache, REGISTRY, self._settings, self._notifications, self._users
        )
        endpoint.last_id = next(self._ids)
        endpoint.engine = self._engine
        session = Session(endpoint, _WHERE, _WHERE)
        session.carrier = carrier
        self._close_all()
        return session

    def end(self, session: Session) -> None:
        """Closes a session: now, or when the thread is not in the middle of a command."""
        self._ended.append(session)
        self._close_all()

    def _close_all(self) -> None:
        while self._ended:
            try:
                session = self._ended.popleft()
            except IndexError:
                return  # another thread has closed it
            try:
                session.close()
            except ReentrancyError:
                # a finalizer has met a connection that nobody needs
                self._ended.append(session)
                return


class Line(Carrier):
    """What looks like a socket: what is sent is answered at once, and read from here."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host: Final = host
        self._session: Final = host.session(self)
        self._endpoint: Final = self._session.endpoint
        self._endpoint.wake = self._ring
        # a subscriber may read in one thread and subscribe in another
        self._lock: Final = threading.RLock()
        self._is_busy = False
        self._inbox = bytearray()
        self._timeout_s: float | None = None
        self._is_open = True
        self._resumes = False
        self._timer: tuple[float, LongCommand] | None = None
        # rung for a thread that waits; a lock would not do, in a finalizer or under the latch
        self._waits = False
        self._bell: Final[SimpleQueue[None]] = SimpleQueue()

    # -- what redis-py asks of a socket

    def settimeout(self, timeout: float | None) -> None:
        """How long a read waits, in seconds; None for as long as it takes."""
        self._timeout_s = timeout

    def gettimeout(self) -> float | None:
        """What `settimeout` was told."""
        return self._timeout_s

    def sendall(self, data: bytes) -> None:
        """Answers what was asked.

        Raises:
            BrokenPipeError: if the session has ended.
        """
        if not self._is_open:
            raise BrokenPipeError(errno.EPIPE, "the connection is closed")
        self._turn(bytes(data))
        # another thread may be waiting for what is there now
        self._ring()

    def recv(self, size: int) -> bytes:
        """The next bytes of a reply, at most `size`; none at the end.

        Raises:
            BlockingIOError: if there are none and the timeout is 0.
            TimeoutError: if none came in time.
        """
        self._await_bytes()
        with self._lock:
            data = bytes(self._inbox[:size])
            del self._inbox[:size]
        return data

    def recv_into(self, buffer: Any) -> int:
        """As `recv`, into a buffer. Returns how many bytes."""
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def has_bytes(self, timeout: float | None) -> bool:
        """Whether there is something to read, in time.

        Raises:
            redis.ConnectionError: if the session has ended, and nothing is left.
        """
        found = self._wait(timeout)
        if found and not self._inbox:
            raise redis.ConnectionError("the connection is closed")
        return found

    def shutdown(self, how: int) -> None:
        """Ends the connection: see `close`."""
        self.close()

    def close(self) -> None:
        """Ends the session; what others post to it is dropped."""
        self._is_open = False
        self._host.end(self._session)

    # -- what the session asks of its carrier

    def send(self, data: bytes) -> None:
        self._inbox += data

    def unsent_bytes(self) -> int:
        return len(self._inbox)

    def resume(self) -> None:
        self._resumes = True

    def unblock_at(self, when: float, long_command: LongCommand) -> None:
        self._timer = (when, long_command)

    def disconnect(self) -> None:
        self._is_open = False
        self._ring()

    def leave(self) -> None:
        self.disconnect()

    def abort(self) -> None:
        self._inbox.clear()
        self.disconnect()

    # -- how it works

    def _turn(self, data: bytes) -> None:
        """Delivers what was posted, and answers."""
        with self._lock:
            if self._is_busy:
                raise ReentrancyError()
            self._is_busy = True
            try:
                self._answer(data)
            finally:
                self._is_busy = False

    def _answer(self, data: bytes) -> None:
        session = self._session
        self._endpoint.deliver()
        if self._resumes:
            self._resumes = False
            self._timer = None
            if not data:
                self._inbox += session.receive(b"")
        if data:
            self._inbox += session.receive(data)
        while session.backlog and not session.closing:
            self._inbox += session.receive(b"")
        if session.closing:
            self._is_open = False

    def _await_bytes(self) -> None:
        timeout = self._timeout_s
        if not self._wait(timeout):
            if timeout == 0:
                raise BlockingIOError(errno.EAGAIN, "nothing to read yet")
            raise TimeoutError("timed out")

    def _wait(self, timeout: float | None) -> bool:
        ends_at = None if timeout is None else time.monotonic() + timeout
        if self._inbox:
            return True
        self._waits = True
        try:
            while True:
                self._turn(b"")
                if self._inbox or not self._is_open:
                    return True
                if not self._nap(ends_at):
                    return False
        finally:
            self._waits = False
            while not self._bell.empty():
                self._bell.get_nowait()

    def _nap(self, ends_at: float | None) -> bool:
        """Sleeps until something may have come. Returns False when the time is up."""
        now = time.monotonic()
        timer = self._timer
        if timer is not None and timer[0] <= now:
            self._timer = None
            timer[1].unblock()
            return True
        if ends_at is not None and ends_at <= now:
            return False
        ends = [end for end in (ends_at, timer[0] if timer else None) if end is not None]
        with suppress(Empty):
            self._bell.get(timeout=min(ends) - now if ends else None)
        return True

    def _ring(self) -> None:
        if self._waits:
            self._bell.put(None)


class EmbeddedConnection(redis.connection.AbstractConnection):
    """A connection of redis-py to a cache of this process."""

    def __init__(self, host: Host, **settings: Any) -> None:
        super().__init__(**settings)
        self._host: Final = host
        self.socket_timeout: float | None = settings.get("socket_timeout")

    def repr_pieces(self) -> list[tuple[str, Any]]:
        """What `repr` shows."""
        return [("host", _WHERE), ("db", self.db)]

    def _connect(self) -> Line:
        line = Line(self._host)
        line.settimeout(self.socket_timeout)
        return line

    def _host_error(self) -> str:
        return _WHERE

    def can_read(self, timeout: float | None = 0) -> bool:
        """Whether there is something to read, or comes in time."""
        line = self._sock
        reader = getattr(self._parser, "_reader", None)
        # hiredis' parser would ask the system, which knows nothing of it
        if isinstance(line, Line) and reader is not None:
            return bool(reader.has_data()) or line.has_bytes(timeout)
        return bool(super().can_read(timeout or 0))


class Streams(Carrier):
    """What looks like the pair of streams of a connection, in one event loop."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host: Final = host
        self.reader: Final = asyncio.StreamReader()
        self._loop: Final = asyncio.get_running_loop()
        self._session: Final = host.session(self)
        self._endpoint: Final = self._session.endpoint
        self._endpoint.wake = self._wake
        self._timer: asyncio.TimerHandle | None = None
        self._has_turn = False
        self._is_open = True

    # -- what redis-py asks of a writer

    def write(self, data: bytes) -> None:
        """Answers what was asked.

        Raises:
            BrokenPipeError: if the session has ended.
        """
        if not self._is_open:
            raise BrokenPipeError(errno.EPIPE, "the connection is closed")
        self._endpoint.deliver()
        self.send(self._session.receive(bytes(data)))
        self._look()

    def writelines(self, data: Iterable[bytes]) -> None:
        """As `write`, of all of it."""
        self.write(b"".join(data))

    async def drain(self) -> None:
        """Nothing: there is nothing on its way."""

    def is_closing(self) -> bool:
        """Whether it has ended."""
        return not self._is_open

    def close(self) -> None:
        """Ends the session; what others post to it is dropped."""
        self._stop_timer()
        if self._is_open:
            self._is_open = False
            self.reader.feed_eof()
        self._host.end(self._session)

    async def wait_closed(self) -> None:
        """Nothing: it is."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Nothing is known beside."""
        return default

    # -- what the session asks of its carrier

    def send(self, data: bytes) -> None:
        if data and self._is_open:
            self.reader.feed_data(data)

    def unsent_bytes(self) -> int:
        return len(self.reader._buffer)  # type: ignore[attr-defined]

    def resume(self) -> None:
        self._take_turn_soon()

    def _take_turn_soon(self) -> None:
        if not self._has_turn:
            self._has_turn = True
            self._loop.call_soon(self._take_turn)

    def unblock_at(self, when: float, long_command: LongCommand) -> None:
        self._stop_timer()
        left_s = max(when - time.monotonic(), 0.0)
        self._timer = self._loop.call_later(left_s, long_command.unblock)

    def disconnect(self) -> None:
        self._loop.call_soon(self.close)

    def leave(self) -> None:
        self.disconnect()

    def abort(self) -> None:
        self.disconnect()

    # -- how it works

    def _take_turn(self) -> None:
        """One more slice of the long command."""
        self._has_turn = False
        session = self._session
        if self._is_open and session.long_command is not None and not session.is_blocked():
            self._stop_timer()
            self.send(session.receive(b""))
            self._look()
        elif session.backlog:
            self.send(session.receive(b""))
            self._look()

    def _look(self) -> None:
        if self._session.closing:
            self.disconnect()
        elif self._session.backlog:
            self._take_turn_soon()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        # a loop that is closed reads no more
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._endpoint.deliver)


class AsyncEmbeddedConnection(redis.asyncio.connection.AbstractConnection):
    """A connection of redis.asyncio to a cache of this process."""

    def __init__(self, *, host: Host, **settings: Any) -> None:
        super().__init__(**settings)
        self._host: Final = host

    def repr_pieces(self) -> list[tuple[str, Any]]:
        """What `repr` shows."""
        return [("host", _WHERE), ("db", self.db)]

    async def _connect(self) -> None:
        streams = Streams(self._host)
        self._reader = streams.reader
        self._writer = cast(asyncio.StreamWriter, streams)

    def _host_error(self) -> str:
        return _WHERE


def client(cache: Cache, **settings: Any) -> redis.Redis:
    """A client of redis-py: see `Cache.redis`."""
    # there is no network that could be waited for too long
    settings.setdefault("socket_timeout", None)
    pool = redis.ConnectionPool(EmbeddedConnection, host=Host(cache), **settings)
    return redis.Redis.from_pool(pool)


def async_client(cache: Cache, **settings: Any) -> redis.asyncio.Redis:
    """A client of redis.asyncio: see `AsyncCache.redis`."""
    settings.setdefault("socket_timeout", None)
    pool = redis.asyncio.ConnectionPool(AsyncEmbeddedConnection, host=Host(cache), **settings)
    return redis.asyncio.Redis.from_pool(pool)
