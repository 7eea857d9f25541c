r"""Scripts, a line each, said to a real server and to ours.

In `scripts/*.txt` a line is a script, in which `\n` is a line end; `#` begins a comment. Each
is run by EVAL with the keys and arguments below, one after the other on the same data.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from real_servers import HOST

from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm_server import server as declares_commands
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

assert declares_commands

FOLDER: Final = Path(__file__).parent / "scripts"
TAIL: Final = (b"2", b"k1", b"k2", b"a1", b"10", b"")


def lines(name: str) -> list[bytes]:
    """The scripts of a file."""
    text = (FOLDER / f"{name}.txt").read_text("utf-8")
    found = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [line.replace("\\n", "\n").encode("utf-8") for line in found]


def encode(*argv: bytes) -> bytes:
    """A request."""
    return b"*%d\r\n" % len(argv) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in argv)


class Ours:
    """A session of ours, without a socket."""

    def __init__(self, cache: Cache | None = None) -> None:
        self.session = Session(Endpoint(cache or Cache(), REGISTRY, Settings()))

    def ask(self, *argv: bytes) -> bytes:
        """One request; the reply."""
        reply = self.session.receive(encode(*argv))
        while self.session.backlog:
            reply += self.session.receive(b"")
        return reply

    def eval(self, script: str | bytes, *argv: bytes) -> bytes:
        """Runs a script, with no keys unless their number is given."""
        source = script if isinstance(script, bytes) else script.encode()
        return self.ask(b"EVAL", source, *(argv or (b"0",)))


class Theirs:
    """A connection to a real server."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), 60)
        self._file = self.socket.makefile("rb")

    def ask(self, *argv: bytes) -> bytes:
        """One request; the reply."""
        self.socket.sendall(encode(*argv))
        return self._reply()

    def _reply(self) -> bytes:
        head = self._file.readline()
        mark = head[:1]
        if mark in b"$=" and not head.startswith(b"$-1"):
            return head + self._file.read(int(head[1:]) + 2)
        if mark in b"*~>%" and not head.startswith(b"*-1"):
            size = int(head[1:]) * (2 if mark == b"%" else 1)
            return head + b"".join([self._reply() for _ in range(size)])
        return head

    def close(self) -> None:
        """Ends the connection."""
        self._file.close()
        self.socket.close()
