"""Our server for tests, and a client that speaks plain bytes."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from real_servers import HOST

from cachestorm.cache import Cache
from cachestorm_server.server import RespServer, run
from cachestorm_server.settings import Settings


class RunningServer(RespServer):
    """A RespServer that another thread can stop."""

    async def start(self) -> None:
        await super().start()
        self._loop = asyncio.get_running_loop()
        self.over = asyncio.Event()

    def stop_soon(self) -> None:
        """Begins to stop, if it has not already."""
        self._loop.call_soon_threadsafe(self.over.set)


@contextmanager
def our_server(
    settings: Settings | None = None, cache: Cache | None = None
) -> Iterator[RunningServer]:
    """A RespServer in a thread of its own."""
    settings = settings or Settings(port=0)
    server = RunningServer(cache or Cache(), settings)
    ready = threading.Event()

    async def serve() -> None:
        async with server:
            ready.set()
            await server.over.wait()

    thread = threading.Thread(target=lambda: run(serve()))
    thread.start()
    try:
        assert ready.wait(60)
        yield server
    finally:
        with suppress(RuntimeError):  # stopped already: its loop is closed
            server.stop_soon()
        thread.join(60)
        assert not thread.is_alive()


class Client:
    """A socket that sends bytes and reads bytes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), 60)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def ask(self, wire: bytes, size: int) -> bytes:
        """Sends, then reads `size` bytes, or less if the server hangs up."""
        self.socket.sendall(wire)
        return self.read(size)

    def read(self, size: int) -> bytes:
        """Reads `size` bytes, or less if the server hangs up."""
        taken = bytearray()
        while len(taken) < size:
            try:
                piece = self.socket.recv(size - len(taken))
            except ConnectionResetError:
                break
            if not piece:
                break
            taken += piece
        return bytes(taken)

    def read_until_closed(self) -> bytes:
        """Reads until the server hangs up."""
        return self.read(1 << 30)


def conversation(port: int, wire: bytes) -> bytes:
    """Everything a server says to these bytes; the last word is ours.

    The client ends its side; a server that does not hang up by itself then does.
    """
    with Client(port) as client:
        with suppress(OSError):  # it may have disconnected already
            client.socket.sendall(wire)
            client.socket.shutdown(socket.SHUT_WR)
        return client.read_until_closed()
