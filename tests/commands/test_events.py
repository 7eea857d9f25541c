"""What a change is called: as Redis' keyspace notifications call it, in the same order.

Random commands of all families go to a real server with `notify-keyspace-events KEA` and to a
session of ours with the same, and what either tells is compared, event by event.
"""

from __future__ import annotations

import ast
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from comparison import Ours, Theirs, alike, is_undefined, lines_of, parsed, request
from real_servers import HOST, RealServer
from vocabulary import random_command

import cachestorm
import cachestorm_server.configuration  # noqa: F401  declares CONFIG
from cachestorm.codec import text_of
from cachestorm.events import CLASSES

HERE = Path(__file__).parent
FAMILIES = sorted(path.stem for path in (HERE / "scripts").glob("*.txt"))
FIRST_SEED = int(os.environ.get("CACHESTORM_SEED", "0"))
SEEDS = range(FIRST_SEED, FIRST_SEED + (200 if os.environ.get("CACHESTORM_NIGHTLY") else 12))
COMMANDS_A_SEED = 250
LETTERS = [b"CONFIG", b"SET", b"notify-keyspace-events", b"KEA"]

Told = list[tuple[str, str]]


class TheirEvents:
    """A connection that hears all keyspace events of a real server."""

    def __init__(self, server: RealServer) -> None:
        self._socket = socket.create_connection((HOST, server.port))
        self._file = self._socket.makefile("rb")
        self._socket.sendall(request([[b"PSUBSCRIBE", b"__keyevent@*__:*"]]))
        parsed(self._file)

    def told(self) -> Told:
        """What has been told since the last look: all that commands did that are answered."""
        self._socket.sendall(request([[b"PING"]]))
        found: Told = []
        while True:
            reply = parsed(self._file)
            assert isinstance(reply.value, list)
            if reply.value[0].value != b"pmessage":
                return found
            channel, key = reply.value[2].value, reply.value[3].value
            assert isinstance(channel, bytes) and isinstance(key, bytes)
            found.append((channel.partition(b":")[2].decode(), text_of(key)))

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class OurEvents:
    """A subscriber of the process that hears all keyspace events of ours."""

    def __init__(self, ours: Ours) -> None:
        self._messages = ours.cache.subscribe(patterns=["__keyevent@*__:*"])
        self._messages.open()

    def told(self) -> Told:
        """What has been told since the last look."""
        found: Told = []
        while (message := self._messages.get(0)) is not None:
            found.append((message.channel.partition(":")[2], text_of(bytes(message))))
        return found


class Both:
    """Ours and theirs, and what either tells."""

    def __init__(self, server: RealServer) -> None:
        self.theirs = Theirs(server, False)
        self.theirs.run([LETTERS])
        self.their_events = TheirEvents(server)
        self.ours = Ours(False)
        self.ours.run([LETTERS])
        self.our_events = OurEvents(self.ours)

    def compare(self, argv: list[bytes]) -> None:
        """Asserts that a command is told alike; where replies differ, its keys go."""
        if self.theirs.lacks(argv):
            return
        undefined = is_undefined(argv, self.ours)
        (expected,), (actual,) = self.theirs.run([argv]), self.ours.run([argv])
        their_told, our_told = self.their_events.told(), self.our_events.told()
        if undefined or not alike(argv, expected, actual):
            self._forget(argv)
            return
        if any(event == "expired" for event, _ in our_told):
            # a deadline that is over already: theirs is told when somebody looks for the key
            self._forget(argv)
            return
        name = argv[0].upper()
        if name == b"SMOVE":
            # Redis takes from the source first; we do not, so that a refusal changes nothing
            their_told, our_told = sorted(their_told), sorted(our_told)
        if self.theirs.server.name == "valkey":
            their_told = _as_redis_says(name, their_told)
            our_told = _as_redis_says(name, our_told)
        assert our_told == their_told, argv

    def _forget(self, argv: list[bytes]) -> None:
        forget = [[b"DEL", *argv[1:]]] if len(argv) > 1 else [[b"FLUSHALL"]]
        self.theirs.run(forget)
        self.ours.run(forget)
        self.their_events.told(), self.our_events.told()

    def close(self) -> None:
        self.theirs.run([[b"CONFIG", b"SET", b"notify-keyspace-events", b""]])
        self.theirs.close()
        self.their_events.close()


def _as_redis_says(name: bytes, told: Told) -> Told:
    """What Valkey tells, in the words of Redis 7.2, which knows no deadlines of fields."""
    if name == b"HSETEX":
        # which tells of fields that are due at once as well
        return []
    if name == b"MSETEX":
        return [row for row in told if row[0] != "expire"]
    if name == b"GETEX" or (b"EXPIRE" in name and not name.startswith(b"H")):
        return [("del" if event == "expired" else event, key) for event, key in told]
    return told


@pytest.fixture
def both(real_server: RealServer) -> Iterator[Both]:
    pair = Both(real_server)
    yield pair
    pair.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_script_of_commands_is_told_alike(family: str, both: Both) -> None:
    for argv in lines_of((HERE / "scripts" / f"{family}.txt").read_text()):
        both.compare(argv)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_commands_are_told_alike(seed: int, both: Both) -> None:
    chance = random.Random(seed)
    for _ in range(COMMANDS_A_SEED):
        both.compare(random_command(chance))


def test_every_event_is_used_and_every_event_that_is_used_has_a_class() -> None:
    used: set[str] = set()
    root = Path(str(cachestorm.__path__[0]))
    for path in root.rglob("*.py"):
        if path.name != "events.py":
            used |= _literals(path)
    # made of two parts, or by a cause
    used |= {f"s{how}store" for how in ("union", "inter", "diff")}
    used |= {f"z{how}store" for how in ("union", "inter")}
    used |= {f"zremrangeby{by}" for by in ("rank", "score", "lex")}
    used |= {"evicted", "expired", "flushed", "invalidated", "overwritten", "rename_from"}
    assert CLASSES.keys() - used == set()


def _literals(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
