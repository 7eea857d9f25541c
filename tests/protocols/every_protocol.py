"""One cache behind every protocol, so that one test of a command runs through all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from real_servers import HOST

import cachestorm_server.connection  # declares HELLO
import cachestorm_server.endpoint
import cachestorm_server.session
from cachestorm import Cache, CacheStormError, ManualClock, connect
from cachestorm.declare.registry import REGISTRY
from cachestorm.declare.wire_values import to_json
from cachestorm_server.json_commands import JsonCommands, read_document
from cachestorm_server.settings import Settings

PROTOCOLS: Final = ("in process", "resp2", "resp3", "http", "connect")


class Protocol:
    """A way to run a command by its words on one cache, and to compare what comes back.

    Replies are compared in the shape of JSON: text for bulk and simple strings, dicts for
    maps. RESP2 has no maps and no doubles; what is expected is flattened for it.
    """

    def __init__(self, name: str, cache: Cache, clock: ManualClock, port: int = 0) -> None:
        self.name = name
        self.clock = clock
        self.cache = cache
        self._connected = connect(f"redis://{HOST}:{port}")
        runs: dict[str, Callable[[tuple[str, ...]], object]] = {
            "in process": self._in_process,
            "resp2": self._wire,
            "resp3": self._wire,
            "http": self._http,
            "connect": self._connect,
        }
        self._run = runs[name]
        protocol = cachestorm_server.endpoint.Endpoint(self.cache, REGISTRY, Settings())
        self._session = cachestorm_server.session.Session(protocol)
        self._json = JsonCommands(self.cache, REGISTRY)
        if name == "resp3":
            self._session.receive(b"HELLO 3\r\n")

    def gives(self, expected: object, *argv: str) -> None:
        """Asserts what a command answers; an expected error is its RESP text."""
        assert self(*argv) == (flattened(expected) if self.name == "resp2" else expected)

    def __call__(self, *argv: str) -> object:
        return self._run(argv)

    def _in_process(self, argv: tuple[str, ...]) -> object:
        arguments: list[object] = list(argv)
        try:
            return to_json(REGISTRY.resolve(arguments).answer(self.cache, arguments))
        except CacheStormError as error:
            return f"-{error.resp}"

    def _wire(self, argv: tuple[str, ...]) -> object:
        raw = [arg.encode("utf-8", "surrogateescape") for arg in argv]
        request = b"*%d\r\n" % len(raw)
        request += b"".join(b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in raw)
        taken = self._session.receive(request)
        # on a busy machine a short command, too, may take more than one slice
        while self._session.backlog:
            taken += self._session.receive(b"")
        reply, rest = parsed(taken)
        assert rest == b""
        return reply

    def _http(self, argv: tuple[str, ...]) -> object:
        body = json.dumps({"command": list(argv)}).encode()
        status, answer = self._json.answer(read_document(body))
        if status == 200:
            return answer["result"]
        error = answer["error"]
        assert isinstance(error, dict)
        return f"-{error['code']} {error['message']}"

    def _connect(self, argv: tuple[str, ...]) -> object:
        raw = [arg.encode("utf-8", "surrogateescape") for arg in argv]
        try:
            return readable(self._connected._wire.send(*raw))
        except CacheStormError as error:
            return f"-{error.resp}"

    def close(self) -> None:
        """Closes what is connected."""
        self._connected.close()


def readable(reply: object) -> object:
    """A reply of redis-py in the shape of JSON."""
    match reply:
        case bytes():
            return reply.decode("utf-8", "surrogateescape")
        case list() | set():
            return [readable(item) for item in reply]
        case dict():
            return {readable(key): readable(value) for key, value in reply.items()}
    return reply


def parsed(data: bytes) -> tuple[object, bytes]:
    """The first reply in the shape of JSON, and what follows it."""
    line, _, rest = data.partition(b"\r\n")
    mark, text = line[:1], line[1:].decode()
    match mark:
        case b"+":
            return text, rest
        case b"-":
            return f"-{text}", rest
        case b":":
            return int(text), rest
        case b",":
            return float(text), rest
        case b"_":
            return None, rest
        case b"$" | b"=" if text == "-1":
            return None, rest
        case b"$" | b"=":
            size = int(text)
            skipped = 4 if mark == b"=" else 0
            return rest[skipped:size].decode("utf-8", "surrogateescape"), rest[size + 2 :]
        case b"*" if text == "-1":
            return None, rest
        case b"*" | b"~":
            items = []
            for _ in range(int(text)):
                item, rest = parsed(rest)
                items.append(item)
            return items, rest
        case b"%":
            pairs = {}
            for _ in range(int(text)):
                key, rest = parsed(rest)
                pairs[key], rest = parsed(rest)
            return pairs, rest
    raise AssertionError(f"no reply: {data!r}")


def flattened(expected: object) -> object:
    """What RESP2 makes of a reply."""
    match expected:
        case dict():
            return [flattened(item) for pair in expected.items() for item in pair]
        case list():
            return [flattened(item) for item in expected]
        case float():
            return f"{expected:g}"
    return expected
