"""Commands given to a session of ours and to a real server, and the replies compared.

Ours goes through the whole RESP endpoint but for the socket, so that what is compared are the
bytes of a reply, parsed back to a tree. Where the order of a reply means nothing, it is
sorted on both sides; where a reply depends on the hour, a minute more or less is the same.
"""

from __future__ import annotations

import io
import re
import socket
import time
from collections.abc import Iterator
from typing import BinaryIO, Final

from real_servers import HOST, RealServer

import cachestorm_server.server  # noqa: F401  declares the commands of a connection
from cachestorm import Cache, CacheStormError, ManualClock
from cachestorm.codec import text_of
from cachestorm.declare.registry import REGISTRY
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings


def replying(*converters: str) -> set[bytes]:
    """The commands whose declaration names one of these converters for its reply."""
    return {each.name.encode() for each in REGISTRY if each.reply in converters}


# commands whose reply is in no order; those whose reply is flat pairs in no order
UNORDERED: Final = {b"HKEYS", b"HVALS", b"KEYS"} | replying("members")
# all of what there is, in whatever order it was drawn
DRAWN: Final = {b"ZRANDMEMBER"} | replying("picked", "fields")
UNORDERED_PAIRS: Final = replying("mapping")
SCANS_OF_PAIRS: Final = replying("scan_pairs", "scan_scores")
UNORDERED_SCANS: Final = replying("scan") | SCANS_OF_PAIRS
# commands whose reply goes with the clock, and milliseconds in their unit
CLOCKED: Final = {
    **dict.fromkeys(replying("ttl"), 1000),
    **dict.fromkeys(replying("pttl"), 1),
    b"HTTL": 1000,
    b"HEXPIRETIME": 1000,
    b"HPTTL": 1,
    b"HPEXPIRETIME": 1,
}
LATITUDE_MS: Final = 60_000


class Reply:
    """A parsed reply: the mark of its type, and what it holds."""

    def __init__(self, mark: str, value: bytes | list[Reply]) -> None:
        self.mark = mark
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reply) and repr(self) == repr(other)

    def __repr__(self) -> str:
        return f"{self.mark}{self.value!r}"

    @property
    def text(self) -> str:
        """Mark and value of a reply of one line; empty for an array."""
        return self.mark + self.value.decode("latin-1") if isinstance(self.value, bytes) else ""


class Theirs:
    """A connection to a real server, emptied first."""

    def __init__(self, server: RealServer, resp3: bool) -> None:
        self.server = server
        self._socket = socket.create_connection((HOST, server.port))
        self._file = self._socket.makefile("rb")
        self._lacks: dict[bytes, bool] = {}
        self.run([[b"HELLO", b"3" if resp3 else b"2"], [b"FLUSHALL"]])

    def lacks(self, argv: list[bytes]) -> bool:
        """Whether the server has no such command, or not its WITHSCORE, NOSCORES."""
        name = argv[0].upper()
        if name == b"ZSCAN" and b"NOSCORES" in [arg.upper() for arg in argv]:
            return self.server.is_older
        if name in (b"ZRANK", b"ZREVRANK") and len(argv) > 3:
            return self.server.is_older
        if name not in self._lacks:
            answer = self.run([[b"COMMAND", b"COUNT"], [b"COMMAND", b"INFO", name]])[1].value
            assert isinstance(answer, list)
            self._lacks[name] = answer[0].mark in "_$" or answer[0].value == b"-1"
        return self._lacks[name]

    def run(self, commands: list[list[bytes]]) -> list[Reply]:
        """The replies to commands that are sent all at once."""
        self._socket.sendall(request(commands))
        return [parsed(self._file) for _ in commands]

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class Ours:
    """A session on a cache of its own, whose time stands still."""

    def __init__(self, resp3: bool) -> None:
        self.clock = ManualClock(int(time.time() * 1000))
        self.cache = Cache(clock=self.clock)
        self._session = Session(Endpoint(self.cache, REGISTRY, Settings()))
        self.run([[b"HELLO", b"3" if resp3 else b"2"]])

    @property
    def here(self) -> Cache:
        """The namespace that the session is in."""
        return self._session.cache

    def run(self, commands: list[list[bytes]]) -> list[Reply]:
        """The replies to commands that are sent all at once."""
        taken = self._session.receive(request(commands))
        while self._session.backlog:
            taken += self._session.receive(b"")
        stream = io.BytesIO(taken)
        replies = [parsed(stream) for _ in commands]
        assert not stream.read()
        return replies


def request(commands: list[list[bytes]]) -> bytes:
    """Commands as RESP carries them."""
    parts = []
    for argv in commands:
        parts.append(b"*%d\r\n" % len(argv))
        parts += [b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in argv]
    return b"".join(parts)


def parsed(stream: BinaryIO) -> Reply:
    """The reply that comes next."""
    line = stream.readline()
    mark, rest = chr(line[0]), line[1:-2]
    if mark in "$=" and rest != b"-1":
        return Reply(mark, stream.read(int(rest) + 2)[:-2])
    if mark in "*~>" and rest != b"-1":
        return Reply(mark, [parsed(stream) for _ in range(int(rest))])
    if mark == "%":
        return Reply(mark, [parsed(stream) for _ in range(2 * int(rest))])
    return Reply(mark, rest)


def alike(argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
    """Whether two replies to a command say the same."""
    unit_ms = CLOCKED.get(argv[0].upper())
    if unit_ms is not None and theirs.mark == ours.mark == ":":
        assert isinstance(theirs.value, bytes) and isinstance(ours.value, bytes)
        one, other = int(theirs.value), int(ours.value)
        return one == other or (
            min(one, other) > 0 and abs(one - other) * unit_ms < LATITUDE_MS
        )
    if unit_ms is not None and isinstance(theirs.value, list) and isinstance(ours.value, list):
        return len(theirs.value) == len(ours.value) and all(
            alike(argv, one, other) for one, other in zip(theirs.value, ours.value, strict=True)
        )
    return settled(argv, theirs) == settled(argv, ours)


def is_undefined(argv: list[bytes], ours: Ours) -> bool:
    """Whether a range by names is asked for where scores differ, which Redis leaves open."""
    name = argv[0].upper()
    if b"LEX" not in name and b"BYLEX" not in [arg.upper() for arg in argv]:
        return False
    for arg in argv[1:]:
        try:
            rows = ours.here.zrange(text_of(arg), 0, -1, withscores=True)
        except CacheStormError:
            continue
        if len({score for _, score in rows}) > 1:
            return True
    return False


def settled(argv: list[bytes], reply: Reply) -> Reply:
    """The reply with what has no order put into one."""
    name = argv[0].upper()
    if not isinstance(reply.value, list):
        return reply
    if name in UNORDERED or (name == b"SPOP" and len(argv) > 2):
        return Reply(reply.mark, sorted(reply.value, key=repr))
    if name in DRAWN:
        is_flat = len(argv) > 3 and not any(isinstance(row.value, list) for row in reply.value)
        items = _sorted_pairs(reply.value) if is_flat else sorted(reply.value, key=repr)
        return Reply(reply.mark, items)
    if name in UNORDERED_PAIRS:
        return Reply(reply.mark, _sorted_pairs(reply.value))
    if name in UNORDERED_SCANS and len(reply.value) == 2:
        cursor, rows = reply.value
        assert isinstance(rows.value, list)
        by_pairs = name in SCANS_OF_PAIRS and not {b"NOVALUES", b"NOSCORES"} & {
            arg.partition(b"\0")[0].upper() for arg in argv
        }
        items = _sorted_pairs(rows.value) if by_pairs else sorted(rows.value, key=repr)
        return Reply(reply.mark, [cursor, Reply(rows.mark, items)])
    return reply


def _sorted_pairs(flat: list[Reply]) -> list[Reply]:
    pairs = sorted(zip(flat[::2], flat[1::2], strict=True), key=repr)
    return [item for pair in pairs for item in pair]


def lines_of(text: str) -> Iterator[list[bytes]]:
    r"""Commands, one a line, words separated by blanks; an empty word is written ''.

    A byte may be written `\x00`; a line that begins with `#` and a blank is for people.
    """
    for line in text.strip().splitlines():
        if line.strip() and not line.startswith("# "):
            yield [b"" if arg == "''" else _word(arg) for arg in line.split()]


def _word(text: str) -> bytes:
    return re.sub(rb"\\x(..)", lambda found: bytes.fromhex(found[1].decode()), text.encode())
