"""The client: one connection to a RESP server.

Made by `connecting`; calls a socket. It keeps apart what a person wants told apart:
a status from a string, an error with its code, a map from a list. Client libraries hide
that, which is why none is used here.

1. It connects on the first request, and again when the connection was lost.
2. Whatever goes wrong with the connection is a `ConnectError` that names the server.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Final, Protocol, cast

from cachestorm.codec import bytes_of, text_of
from cachestorm.declare.wire_values import OK, Members, Pairs, Status, Verbatim
from cachestorm.errors import CacheStormError
from cachestorm_cli.addresses import Address

CONNECT_WITHIN_S: Final = 5.0
_OK_LINE: Final = b"+OK\r\n"
# a kernel's buffer is smaller: what is sent in one piece while replies are not read may block
_BUFFER_BYTES: Final = 256 * 1024


class ConnectError(CacheStormError):
    """There is no server, or it disconnected."""


class ServerError(CacheStormError):
    """A refusal by the server; its whole text, code first."""


class Client(Protocol):
    """What all commands of the command line need of a server, over any protocol."""

    @property
    def address(self) -> Address:
        """Where it is."""

    def ask(self, argv: Sequence[bytes]) -> object:
        """Sends a command. Returns its reply, a `ServerError` among the possible ones."""

    def ask_many(self, commands: Sequence[Sequence[bytes]]) -> list[object]:
        """Sends commands at once. Returns their replies, likewise."""

    def close(self) -> None:
        """Disconnects."""


class RespClient:
    """One connection by RESP.

    Args:
        address: of a RESP server.
        resp3: whether to speak RESP3.
    """

    def __init__(self, address: Address, resp3: bool = False) -> None:
        self.address: Final = address
        self._greetings: Final[list[list[bytes]]] = []
        if address.password:
            login = [address.username, address.password]
            self._greetings.append([b"AUTH", *(bytes_of(part) for part in login if part)])
        if resp3:
            self._greetings.append([b"HELLO", b"3"])
        if address.namespace:
            self._greetings.append([b"NAMESPACE", bytes_of(address.namespace)])
        elif address.database:
            self._greetings.append([b"SELECT", b"%d" % address.database])
        self._socket: socket.socket | None = None
        self._replies: BinaryIO | None = None

    def ask(self, argv: Sequence[bytes]) -> object:
        """Sends a command. Returns its reply, a `ServerError` among the possible ones.

        Raises:
            ConnectError: when there is no server, or the connection is lost.
            ServerError: when the password or the namespace is refused.
        """
        self.send(spell(argv))
        return self.read()

    def ask_many(self, commands: Sequence[Sequence[bytes]]) -> list[object]:
        """Sends commands at once. Returns their replies, errors among them.

        Raises:
            ConnectError: when there is no server, or the connection is lost.
            ServerError: when the password or the namespace is refused.
        """
        replies: list[object] = []
        batch: list[bytes] = []
        size = 0
        for argv in commands:
            batch.append(spell(argv))
            size += len(batch[-1])
            if size > _BUFFER_BYTES:
                self.send(b"".join(batch))
                replies.extend(self.read_many(len(batch)))
                batch, size = [], 0
        if batch:
            self.send(b"".join(batch))
            replies.extend(self.read_many(len(batch)))
        return replies

    def send(self, raw: bytes) -> None:
        """Sends requests as they are.

        Raises:
            ConnectError: when there is no server, or the connection is lost.
            ServerError: when the password or the namespace is refused.
        """
        with self._named():
            self._connected()[0].sendall(raw)

    def read(self, with_pushes: bool = False) -> object:
        """The next reply, a `ServerError` among the possible ones.

        Args:
            with_pushes: messages of RESP3 count as replies.

        Raises:
            ConnectError: when the connection is lost.
        """
        with self._named():
            return read_reply(self._connected()[1], with_pushes)

    def read_many(self, count: int) -> list[object]:
        """The next replies. Quick where they are OK, as those of most writes are.

        Raises:
            ConnectError: when the connection is lost.
        """
        with self._named():
            replies = self._connected()[1]
            found: list[object] = []
            while len(found) < count:
                line = replies.readline()
                if line == _OK_LINE:
                    found.append(OK)
                elif line[:1] in (b">", b"|"):
                    _read_skipped(line, replies)
                else:
                    found.append(_read_line(line, replies))
            return found

    def read_until_late(self, wait_s: float) -> object:
        """The next reply, or None when none has begun after so many seconds.

        Raises:
            ConnectError: when the connection is lost.
        """
        with self._named():
            connection, replies = self._connected()
            connection.settimeout(wait_s)
            try:
                if not replies.peek(1):  # type: ignore[attr-defined]  # of BufferedReader
                    raise ConnectionError("the server disconnected")
            except TimeoutError:
                # a file object is of no use after a timeout
                replies.close()
                self._replies = _reader(connection)
                return None
            finally:
                connection.settimeout(None)
            return read_reply(replies)

    def connected_socket(self) -> socket.socket:
        """The socket, logged in, for whoever reads replies by themselves.

        Raises:
            ConnectError: when there is no server.
            ServerError: when the password or the namespace is refused.
        """
        with self._named():
            return self._connected()[0]

    def close(self) -> None:
        """Disconnects."""
        if self._replies is not None:
            self._replies.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._replies = None

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turns what goes wrong with the connection into an error that names the server."""
        try:
            yield
        except OSError as error:
            self.close()
            reason = error.strerror or str(error) or "it disconnected"
            if "WRONG_VERSION_NUMBER" in reason:
                reason = "that port does not speak TLS: use redis://, or the port that does"
            raise ConnectError(f"{self.address.shown}: {reason}") from error

    def _connected(self) -> tuple[socket.socket, BinaryIO]:
        if self._socket is None or self._replies is None:
            self._socket = self._opened()
            self._socket.settimeout(None)
            self._replies = _reader(self._socket)
            for argv in self._greetings:
                self._socket.sendall(spell(argv))
                reply = read_reply(self._replies)
                if isinstance(reply, ServerError):
                    self.close()
                    raise reply
        return self._socket, self._replies

    def _opened(self) -> socket.socket:
        address = self.address
        if address.path:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(CONNECT_WITHIN_S)
                connection.connect(address.path)
            except BaseException:
                connection.close()
                raise
            return connection
        connection = socket.create_connection((address.host, address.port), CONNECT_WITHIN_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.scheme != "rediss":
            return connection
        from cachestorm_cli.tls import context_for

        try:
            return context_for(address).wrap_socket(connection, server_hostname=address.host)
        except BaseException:
            connection.close()
            raise


def _reader(connection: socket.socket) -> BinaryIO:
    return cast(BinaryIO, connection.makefile("rb", _BUFFER_BYTES))


def spell(argv: Iterable[bytes]) -> bytes:
    r"""A request in RESP.

    Examples:
        >>> spell([b"GET", b"k"])
        b'*2\r\n$3\r\nGET\r\n$1\r\nk\r\n'
    """
    bulks = [b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in argv]
    return b"*%d\r\n" % len(bulks) + b"".join(bulks)


def read_reply(replies: BinaryIO, with_pushes: bool = False) -> object:
    """The next reply, as a wire value; attributes are passed over, and pushes by default.

    Raises:
        ConnectionError: when the bytes end, or are not RESP.
    """
    while True:
        line = replies.readline()
        if line[:1] not in (b">", b"|"):
            return _read_line(line, replies)
        items = _read_skipped(line, replies)
        if line[:1] == b">" and with_pushes:
            return items


def _read_line(line: bytes, replies: BinaryIO) -> object:
    """A reply whose first line was read."""
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the server disconnected")
    return _read_kind(line[:1], line[1:-2], replies)


def _read_skipped(line: bytes, replies: BinaryIO) -> list[object]:
    """The elements of a push or an attribute whose first line was read."""
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the server disconnected")
    count = int(line[1:-2]) * (2 if line[:1] == b"|" else 1)
    return [read_reply(replies) for _ in range(count)]


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
    if kind == b"H" and rest.startswith(b"TTP/"):
        raise ConnectionError(
            "that port speaks HTTP: use http://, or the port of RESP, 6380 unless set otherwise"
        )
    raise ConnectionError(f"that is not RESP: {kind!r}")


def _read_exactly(replies: BinaryIO, size: int) -> bytes:
    blob = replies.read(size)
    if len(blob) < size:
        raise ConnectionError("the server disconnected")
    return blob
