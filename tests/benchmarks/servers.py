"""The servers that the wire cases measure: one handle for Redis, Valkey and both of ours."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType

from tests.benchmarks.builds import Build

START_WITHIN_S = 15.0
# the last answer of what is sent in one piece
_DONE = b"pipeline-done"
# what a server without persistence is started with, Redis and Valkey alike
IN_MEMORY = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1")


class Server:
    """A server process on a free port of this host; a context manager that ends it.

    Args:
        command: starts it; the port is appended.
        environment: of the process; None for this one's.

    Raises:
        OSError: when it does not answer in time.
    """

    def __init__(
        self, command: Sequence[str], environment: dict[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [*command, str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=self._folder.name,
        )
        try:
            self._socket = self._connect()
        except OSError:
            self.close()
            raise

    @classmethod
    def of_redis(cls, path: Path) -> Server:
        """A redis-server or valkey-server."""
        return cls([str(path), *IN_MEMORY, "--port"])

    @classmethod
    def of_cachestorm(
        cls, build: Build, *options: str, settings: dict[str, str] | None = None
    ) -> Server:
        """`cachestorm serve` of this build.

        Args:
            settings: more of its environment.
        """
        start = "import sys; from cachestorm_cli.app import main; sys.exit(main())"
        command = [sys.executable, "-c", start, "serve", "--no-http", *options, "--port"]
        return cls(command, build.environment() | (settings or {}))

    @property
    def process_id(self) -> int:
        """Of the server."""
        return self._process.pid

    def pipeline(self, commands: Sequence[tuple[bytes, ...]]) -> None:
        """Sends commands in one piece and waits until the last is answered."""
        pipe_to_all([self], [commands])

    def send(self, requests: bytes) -> None:
        """Sends requests, the last of which `wait` waits for, and does not wait itself."""
        self._socket.sendall(requests)

    def wait(self) -> None:
        """Waits until the last of what was sent is answered."""
        tail = b""
        while not tail.endswith(_DONE + b"\r\n"):
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("the server disconnected")
            tail = (tail + received)[-64:]

    def close(self) -> None:
        """Ends the server."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
        self.close()

    def _connect(self) -> socket.socket:
        deadline = monotonic() + START_WITHIN_S
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=60)
            except OSError:
                if monotonic() > deadline or self._process.poll() is not None:
                    raise
                sleep(0.05)


def free_port() -> int:
    """A TCP port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pipe_to_all(
    servers: Sequence[Server], batches: Iterable[Sequence[tuple[bytes, ...]]]
) -> None:
    """Sends the same commands to servers, which work at the same time; waits for all of them.

    Args:
        batches: each is sent in one piece, when the one before is answered.
    """
    is_waited_for = False
    for batch in batches:
        requests = spelled([*batch, (b"ECHO", _DONE)])
        for server in servers:
            if is_waited_for:
                server.wait()
            server.send(requests)
        is_waited_for = True
    for server in servers:
        server.wait()


def spelled(commands: Sequence[tuple[bytes, ...]]) -> bytes:
    """Commands as a client sends them; arrays of strings in replies look the same."""
    parts = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        parts += [b"$%d\r\n%s\r\n" % (len(argument), argument) for argument in command]
    return b"".join(parts)
