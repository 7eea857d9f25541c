"""Meanwhile: serves the other clients of a server while a script keeps the event loop.

Called by the endpoint, now and then, from within the script: the loop itself is stuck. It reads
the sockets of the clients by itself, and has their sessions answer, which refuse almost all.

1. All happens in the thread of the event loop, in the middle of a callback of it, and nothing
   waits. When the script has ended, the loop goes on as if it had not been away: what was not
   read is still there, and what cannot be sent is left to it.
2. A client is served if nothing is on its way to it or from it: not that of the script.
3. A client that comes meanwhile is let in, and handed to the loop afterwards.
4. Who waits: clients with TLS, and all on Windows, whose loop is neither a selector's nor
   uvloop's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import selectors
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from cachestorm_server.endpoint import Endpoint
from cachestorm_server.net import Connection

_READ_BYTES: Final = 64 * 1024

_log = logging.getLogger("cachestorm.resp")


class HeldSocket(asyncio.Transport):
    """A socket that no loop has yet: what looks like its transport.

    Attributes:
        unsent: what the client has not taken.
    """

    def __init__(self, held: socket.socket) -> None:
        super().__init__()
        self.held: Final = held
        self.unsent = b""
        self._is_closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        with suppress(OSError):
            if name == "peername":
                return self.held.getpeername()
            if name == "sockname":
                return self.held.getsockname()
            if name == "socket":
                return self.held
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There are none."""

    def get_write_buffer_size(self) -> int:
        return len(self.unsent)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.unsent += bytes(data)
        self.flush()

    def flush(self) -> None:
        """Sends what the client takes now."""
        try:
            sent = self.held.send(self.unsent)
        except BlockingIOError:
            return
        except OSError:
            self._is_closing = True
            return
        self.unsent = self.unsent[sent:]

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = True

    def pause_reading(self) -> None:
        """Nothing is read unless it is asked for."""

    def resume_reading(self) -> None:
        """As `pause_reading`."""


class Meanwhile:
    """Serves clients in the midst of a script.

    Args:
        listeners: what new clients come by without TLS.
        hand_over: gives a client that has come meanwhile to the loop, with what it has not
            taken.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        listeners: Iterable[asyncio.Server],
        hand_over: Callable[[Connection, HeldSocket], object],
    ) -> None:
        self._endpoint: Final = endpoint
        self._listeners: Final = listeners
        self._hand_over: Final = hand_over
        self._selector: selectors.BaseSelector | None = None
        self._accepting: list[socket.socket] = []
        # the clients that came meanwhile
        self._held: dict[Connection, HeldSocket] = {}
        self._served: set[Connection] = set()

    def __call__(self, goes_on: bool) -> None:
        """Serves clients for a moment, or ends to do so."""
        try:
            if goes_on:
                self._serve()
            else:
                self._end()
        except Exception:
            _log.exception("clients cannot be served while a script runs")

    def _serve(self) -> None:
        selector = self._selector
        if selector is None:
            selector = self._selector = selectors.DefaultSelector()
            self._look_around(selector)
        for transport in self._held.values():
            if transport.unsent:
                transport.flush()
        for key, _ in selector.select(0):
            key.data()

    def _look_around(self, selector: selectors.BaseSelector) -> None:
        """Notes who is there."""
        for listener in self._listeners:
            for given in listener.sockets:
                # an object of its own, for the loop's does not accept
                bound = socket.fromfd(given.fileno(), given.family, given.type)
                bound.setblocking(False)
                self._accepting.append(bound)
                selector.register(bound, selectors.EVENT_READ, partial(self._accept, bound))
        for session in list(self._endpoint.sessions.values()):
            carrier = session.carrier
            if isinstance(carrier, Connection) and carrier.descriptor() >= 0:
                self._listen_to(selector, carrier)

    def _listen_to(self, selector: selectors.BaseSelector, connection: Connection) -> None:
        number = connection.descriptor()
        answer = partial(self._answer, selector, connection, number)
        selector.register(number, selectors.EVENT_READ, answer)

    def _accept(self, bound: socket.socket) -> None:
        try:
            client, _ = bound.accept()
        except OSError:
            return  # it has gone again
        client.setblocking(False)
        connection = Connection(self._endpoint)
        transport = HeldSocket(client)
        connection.connection_made(transport)
        if transport.is_closing():
            client.close()
        elif self._selector is not None:
            self._held[connection] = transport
            self._listen_to(self._selector, connection)

    def _answer(
        self, selector: selectors.BaseSelector, connection: Connection, number: int
    ) -> None:
        """Answers what a client has asked."""
        if not connection.is_at_rest():
            return
        try:
            data = os.read(number, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # it has gone; the loop will see that too
            selector.unregister(number)
            return
        self._served.add(connection)
        replies = connection.answer(data)
        sent = 0
        if replies:
            with suppress(OSError):
                sent = os.write(number, replies)
        if sent < len(replies):
            connection.send(replies[sent:])

    def _end(self) -> None:
        if self._selector is None:
            return
        self._selector.close()
        self._selector = None
        for bound in self._accepting:
            bound.close()
        for connection, transport in self._held.items():
            self._hand_over(connection, transport)
        loop = asyncio.get_running_loop()
        for connection in self._served:
            if connection not in self._held:
                # not now: the script's own client is in the middle of an answer
                loop.call_soon(connection.go_on)
        self._accepting = []
        self._held = {}
        self._served = set()
