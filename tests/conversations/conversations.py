"""Conversations of several clients, with a real server and with ours, step by step.

A step is what one client says; after it each client has heard something or nothing. Ours
needs no socket; a real server is asked by a further client until it must have sent
everything.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Protocol

from real_servers import HOST, RealServer

from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm_server import server as declares_commands
from cachestorm_server.endpoint import Carrier, Endpoint
from cachestorm_server.requests import split_inline
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

assert declares_commands

Heard = dict[str, list[bytes]]


class Side(Protocol):
    """A server that clients speak with."""

    def say(self, client: str, line: str) -> Heard:
        """One client says something; what each of them hears, one RESP value after another."""

    def close(self) -> None:
        """Ends all clients."""


def encode(line: str) -> bytes:
    """A line that somebody types, as a request."""
    argv = split_inline(line.encode())
    parts = [b"*%d\r\n" % len(argv)]
    for arg in argv:
        assert isinstance(arg, bytes)
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(parts)


def with_ids(line: str, id_of: Callable[[str], int]) -> str:
    """A line with the ids of the clients that it names: `@a` is that of a."""
    return re.sub(r"@([a-z])", lambda name: str(id_of(name[1])), line)


def split_values(data: bytes) -> list[bytes]:
    """The RESP values, one after the other."""
    values = []
    while data:
        end = _end(data, 0)
        values.append(data[:end])
        data = data[end:]
    return values


def _end(data: bytes, at: int) -> int:
    stop = data.index(b"\r\n", at)
    mark, rest, at = data[at : at + 1], data[at + 1 : stop], stop + 2
    if mark in b"+-:_,#(":
        return at
    size = int(rest)
    if mark in b"$=":
        return at if size < 0 else at + size + 2
    assert mark in b"*~>%", data
    for _ in range(size * 2 if mark == b"%" else size):
        at = _end(data, at)
    return at


class Ours:
    """Our sessions, without sockets."""

    def __init__(self, resp3: bool, cache: Cache | None = None) -> None:
        self.cache = cache or Cache()
        self.endpoint = Endpoint(self.cache, REGISTRY, Settings())
        self.endpoint.wake = self._wake
        self._has_posts = False
        self._resp3 = resp3
        self.sessions: dict[str, Session] = {}
        self._inboxes: dict[str, Inbox] = {}

    def session(self, client: str) -> Session:
        """The session of a client, which comes when it is first needed."""
        if client not in self.sessions:
            session = Session(self.endpoint, "127.0.0.1:1")
            session.carrier = self._inboxes[client] = Inbox(session)
            self.sessions[client] = session
            if self._resp3:
                session.receive(b"HELLO 3\r\n")
        return self.sessions[client]

    def say(self, client: str, line: str) -> Heard:
        session = self.session(client)
        inbox = self._inboxes[client]
        inbox.data += session.receive(encode(with_ids(line, self._id)))
        while session.backlog:
            inbox.data += session.receive(b"")
        while self._has_posts:
            self._has_posts = False
            self.endpoint.deliver()
        heard = {}
        for name, inbox in self._inboxes.items():
            if inbox.data:
                heard[name] = split_values(inbox.data)
                inbox.data = b""
        return heard

    def _wake(self) -> None:
        self._has_posts = True

    def _id(self, client: str) -> int:
        return self.session(client).id

    def leave(self, client: str) -> None:
        """The client's connection ends."""
        self.sessions.pop(client).close()
        del self._inboxes[client]

    def close(self) -> None:
        for client in list(self.sessions):
            self.leave(client)


class Inbox(Carrier):
    """What a client of ours has heard."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.data = b""
        self._session = session

    def resume(self) -> None:
        self.data += self._session.receive(b"")

    def send(self, data: bytes) -> None:
        self.data += data


class Theirs:
    """Clients of a real server."""

    def __init__(self, server: RealServer, resp3: bool) -> None:
        self._server = server
        self._resp3 = resp3
        self._sockets: dict[str, socket.socket] = {}
        self._ids: dict[str, int] = {}
        self._asker = socket.create_connection((HOST, server.port), 60)
        self._ask(b"FLUSHALL\r\n", b"+OK\r\n")

    def _ask(self, wire: bytes, expected: bytes) -> None:
        self._asker.sendall(wire)
        assert self._asker.recv(100) == expected

    def _socket(self, client: str) -> socket.socket:
        if client not in self._sockets:
            made = socket.create_connection((HOST, self._server.port), 60)
            self._sockets[client] = made
            made.sendall(b"CLIENT ID\r\n")
            self._ids[client] = int(made.recv(100)[1:])
            if self._resp3:
                made.sendall(b"HELLO 3\r\n")
                said = b""
                while not said.endswith(b"*0\r\n"):
                    said += made.recv(1 << 16)
        return self._sockets[client]

    def say(self, client: str, line: str) -> Heard:
        said = with_ids(line, self._id)
        self._socket(client).sendall(encode(said))
        # the first may be read in the same turn as what was said, the second comes after it
        for _ in range(2):
            self._ask(b"PING\r\n", b"+PONG\r\n")
        heard = {}
        for name, sock in self._sockets.items():
            sock.setblocking(False)
            try:
                heard[name] = split_values(sock.recv(1 << 20))
            except BlockingIOError:
                continue
            finally:
                sock.settimeout(60)
        return heard

    def _id(self, client: str) -> int:
        self._socket(client)
        return self._ids[client]

    def leave(self, client: str) -> None:
        """The client's connection ends."""
        self._sockets.pop(client).close()
        self._ask(b"PING\r\n", b"+PONG\r\n")

    def close(self) -> None:
        for sock in (*self._sockets.values(), self._asker):
            sock.close()


def settled(heard: Heard) -> Heard:
    """What was heard, without what is not determined.

    The messages of a step come in the order in which a table of patterns happens to be. With
    Redis 7.0 who publishes to itself is told before the reply, with others after it.
    """
    return {
        client: [value for value in values if not _is_message(value)]
        + sorted(value for value in values if _is_message(value))
        for client, values in heard.items()
    }


def _is_message(value: bytes) -> bool:
    return b"message\r\n" in value[:20]
