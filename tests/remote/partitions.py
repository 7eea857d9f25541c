"""A proxy in front of a server, which a test can have lose what passes through it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from real_servers import HOST

OPEN, LOST, MUTE, SILENT = "open", "lost", "mute", "silent"


class Partition:
    """A proxy for one server.

    Attributes:
        port: where it listens.
        state: OPEN; LOST, when a request does not pass, and its connection ends; MUTE, when
            it passes, and the reply does not; SILENT, when nothing does, and nobody is told.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.state = OPEN
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((HOST, self._target))
            self._sockets += [client, server]
            for source, sink, ends in ((client, server, LOST), (server, client, MUTE)):
                thread = threading.Thread(target=self._pump, args=(source, sink, ends))
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket, ends: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self.state == ends:
                    break
                if self.state != SILENT:
                    sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self, state: str) -> None:
        """Begins to lose what passes."""
        self.state = state

    def mend(self) -> None:
        """Lets pass what is sent from now on; what was lost stays lost."""
        self._drop()
        self.state = OPEN

    def _drop(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(60)  # first, or it adds a connection that nobody drops
        self._listener.close()
        self._drop()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        for each in self._sockets:
            each.close()


@contextlib.contextmanager
def partition(target: int) -> Iterator[Partition]:
    """A proxy for as long as the block lasts."""
    made = Partition(target)
    try:
        yield made
    finally:
        made.close()
