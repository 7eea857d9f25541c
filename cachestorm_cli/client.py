"""The client: one connection to a RESP server, a request and a reply at a time.

Called by the command `cli`; calls a socket. It keeps apart what a person wants told apart:
a status from a string, an error with its code, a map from a list. Client libraries hide
that, which is why none is used here.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import BinaryIO, Final

from cachestorm.codec import bytes_of, text_of
from cachestorm.declare.wire_values import Members, Pairs, Status, Verbatim
from cachestorm.errors import CacheStormError

CONNECT_WITHIN_S: Final = 5.0


class ConnectError(CacheStormError):
    """There is no server, or it disconnected."""


class ServerError(CacheStormError):
    """A refusal by the server; its whole text, code first."""


class Client:
    """One connection; made on the first request, and again when it was lost.

    Args:
        host, port: where the server listens.
        password: what AUTH is given; empty: no AUTH.
        namespace: where to go at once; empty: where the server puts everybody.
        resp3: whether to speak RESP3.
    """

    def __init__(
        self, host: str, port: int, password: str = "", namespace: str = "", resp3: bool = False
    ) -> None:
        self.host: Final = host
        self.port: Final = port
        self._greetings: Final[list[list[bytes]]] = []
        if password:
            self._greetings.append([b"AUTH", bytes_of(password)])
        if resp3:
            self._greetings.append([b"HELLO", b"3"])
        if namespace:
            self._greetings.append([b"NAMESPACE", bytes_of(namespace)])
        self._socket: socket.socket | None = None
        self._replies: BinaryIO | None = None

    def ask(self, argv: Sequence[bytes]) -> object:
        """Sends a command. Returns its reply, a `ServerError` among the possible ones.

        Raises:
            ConnectError: when there is no server, or the connection is lost.
            ServerError: when the password or the namespace is refused.
        """
        try:
            return self._ask(argv)
        except OSError as error:
            self.close()
            reason = error.strerror or str(error) or "it disconnected"
            raise ConnectError(f"{self.host}:{self.port}: {reason}") from error

    def close(self) -> None:
        """Disconnects."""
        if self._replies is not None:
            self._replies.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._replies = None

    def _ask(self, argv: Sequence[bytes]) -> object:
        if self._socket is None or self._replies is None:
            self._connect()
        assert self._socket is not None and self._replies is not None
        self._socket.sendall(spell(argv))
        return read_reply(self._replies)

    def _connect(self) -> None:
        self._socket = socket.create_connection((self.host, self.port), CONNECT_WITHIN_S)
        self._socket.settimeout(None)
        self._replies = self._socket.makefile("rb")
        for argv in self._greetings:
            self._socket.sendall(spell(argv))
            reply = read_reply(self._replies)
            if isinstance(reply, ServerError):
                self.close()
                raise reply


def spell(argv: Sequence[bytes]) -> bytes:
    r"""A request in RESP.

    Example:
        >>> spell([b"GET", b"k"])
        b'*2\r\n$3\r\nGET\r\n$1\r\nk\r\n'
    """
    bulks = [b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in argv]
    return b"*%d\r\n" % len(argv) + b"".join(bulks)


def read_reply(replies: BinaryIO) -> object:
    """The next reply, as a wire value; pushes and attributes are passed over.

    Raises:
        ConnectionError: when the bytes end, or are not RESP.
    """
    while True:
        line = replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server disconnected")
        kind, rest = line[:1], line[1:-2]
        if kind not in b">|":
            return _read_kind(kind, rest, replies)
        for _ in range(int(rest) * (2 if kind == b"|" else 1)):
            read_reply(replies)


def _read_kind(kind: bytes, rest: bytes, replies: BinaryIO) -> object:
    text = text_of(rest)
    if kind == b"+":
        return Status(text)
    if kind == b"-":
        return ServerError(text)
    if kind in b":(":
        return int(rest)
    if kind == b",":
        return float(rest)
    if kind == b"#":
        return rest == b"t"
    if kind == b"_" or rest == b"-1":
        return None
    if kind in b"$!=":
        blob = _read_exactly(replies, int(rest) + 2)[:-2]
        if kind == b"!":
            return ServerError(text_of(blob))
        return Verbatim(text_of(blob[4:])) if kind == b"=" else blob
    if kind in b"*~":
        items = [read_reply(replies) for _ in range(int(rest))]
        return Members(items) if kind == b"~" else items
    if kind == b"%":
        return Pairs([(read_reply(replies), read_reply(replies)) for _ in range(int(rest))])
    raise ConnectionError(f"that is not RESP: {kind!r}")


def _read_exactly(replies: BinaryIO, size: int) -> bytes:
    blob = replies.read(size)
    if len(blob) < size:
        raise ConnectionError("the server disconnected")
    return blob
