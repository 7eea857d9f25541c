"""One command given to a cache in process and to a real server, and the replies compared.

Ours goes through the plan and the reply encoder, so that what is compared are the very
bytes of a reply, parsed back to a tree. Where the order of a reply means nothing, it is
sorted on both sides.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from typing import Final

from librt.strings import BytesWriter

from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import CacheStormError
from cachestorm_server.resp import write_reply

# commands whose reply is in no order; those whose reply is flat pairs in no order
UNORDERED: Final = {"HKEYS", "HVALS", "SMEMBERS", "SUNION", "SINTER", "SDIFF", "KEYS"}
UNORDERED_PAIRS: Final = {"HGETALL"}
UNORDERED_SCANS: Final = {"HSCAN", "SSCAN", "ZSCAN"}


class Reply:
    """A parsed reply: the mark of its type, and what it holds."""

    def __init__(self, mark: str, value: object) -> None:
        self.mark = mark
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reply) and repr(self) == repr(other)

    def __repr__(self) -> str:
        return f"{self.mark}{self.value!r}"


class RealServer:
    """A connection to a real server that speaks plain RESP."""

    def __init__(self, port: int, resp3: bool) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rb")
        self.resp3 = resp3
        if resp3:
            self.run([b"HELLO", b"3"])
        self.run([b"FLUSHALL"])
        self._lacks: dict[bytes, bool] = {}
        self.is_older = b"redis_version:7.0" in bytes(str(self.run([b"INFO"])), "latin-1")

    def lacks(self, name: bytes) -> bool:
        """Whether the server has no such command."""
        if name not in self._lacks:
            answer = self.run([b"COMMAND", b"INFO", name])
            assert isinstance(answer.value, list)
            self._lacks[name] = answer.value[0].mark in "_$" or answer.value[0].value == b"-1"
        return self._lacks[name]

    def run(self, words: list[bytes]) -> Reply:
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self._socket.sendall(b"".join(parts))
        return parse(self._file.readline, self._file.read)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def parse(readline: object, read: object) -> Reply:
    """The reply that comes next."""
    line = readline()  # type: ignore[operator]
    mark, rest = chr(line[0]), line[1:-2]
    if mark in "$=" and rest != b"-1":
        return Reply(mark, read(int(rest) + 2)[:-2])  # type: ignore[operator]
    if mark in "*~>" and rest != b"-1":
        return Reply(mark, [parse(readline, read) for _ in range(int(rest))])
    if mark == "%":
        return Reply(mark, [parse(readline, read) for _ in range(2 * int(rest))])
    return Reply(mark, rest)


def encoded(wire: object, resp3: bool) -> Reply:
    """A wire value, encoded and parsed back."""
    out = BytesWriter()
    write_reply(out, wire, resp3)
    stream = io.BytesIO(out.getvalue())
    reply = parse(stream.readline, stream.read)
    assert not stream.read()
    return reply


def run_ours(cache: object, words: list[bytes], resp3: bool) -> Reply:
    """What our plan answers, encoded and parsed back."""
    arguments: list[object] = list(words)
    try:
        wire = REGISTRY.resolve(arguments).answer(cache, arguments)
    except CacheStormError as error:
        return Reply("-", error.resp.encode())
    return encoded(wire, resp3)


def settled(words: list[bytes], reply: Reply) -> Reply:
    """The reply with what has no order put into one."""
    name = words[0].decode().upper()
    if not isinstance(reply.value, list):
        return reply
    if name in UNORDERED or (name == "SPOP" and len(words) > 2):
        return Reply(reply.mark, sorted(reply.value, key=repr))
    if name in UNORDERED_PAIRS:
        return Reply(reply.mark, _sorted_pairs(reply.value))
    if name in UNORDERED_SCANS and len(reply.value) == 2:
        cursor, rows = reply.value
        by_pairs = name != "SSCAN" and b"NOVALUES" not in [word.upper() for word in words]
        items = _sorted_pairs(rows.value) if by_pairs else sorted(rows.value, key=repr)
        return Reply(reply.mark, [cursor, Reply(rows.mark, items)])
    return reply


def _sorted_pairs(flat: list[Reply]) -> list[Reply]:
    pairs = sorted(zip(flat[::2], flat[1::2], strict=True), key=repr)
    return [item for pair in pairs for item in pair]


def lines_of(text: str) -> Iterator[list[bytes]]:
    """Commands, one a line, words separated by blanks; an empty word is written ''."""
    for line in text.strip().splitlines():
        if line.strip():
            yield [b"" if word == "''" else word.encode() for word in line.split()]
