"""The caches that pass the contract: in process, shared, on our server, on Redis, on Valkey."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from real_servers import HOST
from servers import our_server

from cachestorm import connect
from cachestorm.remote.owners import peer_of

WITH_TAGS = ("memory", "local", "cachestorm")
SERVERS = ("local", "cachestorm", "redis", "valkey")
PLACES = ("memory", *SERVERS)


@contextmanager
def owners_folder() -> Iterator[Path]:
    """A folder for sockets, of a short path as theirs must be; owners are ended with it."""
    with tempfile.TemporaryDirectory(prefix="cs-", ignore_cleanup_errors=True) as folder:
        try:
            yield Path(folder)
        finally:
            for path in Path(folder).glob("cachestorm/*.sock"):
                kill_owner(path)


def kill_owner(path: Path) -> int | None:
    """Ends the owner that listens there, at once. Returns its process id."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return None
        pid, _ = peer_of(probe)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with suppress(ConnectionResetError):
            # until it has ended
            while probe.recv(1):
                pass
        return pid


def address(place: str, request: pytest.FixtureRequest) -> str:
    """The address of a real server."""
    server = request.getfixturevalue("redis_server" if place == "redis" else "valkey")
    return f"redis://{HOST}:{server.port}"


@contextmanager
def cache_at(place: str, request: pytest.FixtureRequest, **options: Any) -> Iterator[Any]:
    """An empty cache there."""
    if place == "memory":
        yield connect("memory://")
        return
    if place == "local":
        # one owner for all of these tests
        with connect("local://contract", **options) as cache:
            cache.flushall()
            yield cache
        return
    if place != "cachestorm":
        with connect(address(place, request), **options) as cache:
            cache.flushall()
            yield cache
        return
    with our_server() as server, connect(f"redis://{HOST}:{server.port}", **options) as cache:
        yield cache
