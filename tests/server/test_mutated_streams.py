"""Whole connections, sent what no client sends: mutations of valid streams, cut anywhere."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Sequence

import pytest
from fake_transport import FakeTransport
from hypothesis import example, given
from hypothesis import strategies as st

from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm_server import server as declares_commands
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.net import Connection
from cachestorm_server.settings import Settings

assert declares_commands

# a command in the midst of slices goes on for no more turns of the loop than this
MOST_TURNS = 1000
MEMORY_BYTES = 1024 * 1024

CALLS = [
    b"PING",
    b"ECHO hello",
    b"SET k v EX 100 TAGS t u",
    b"GET k",
    b"MSET a 1 b 2 c 3",
    b"INCR a",
    b"APPEND k xyz",
    b"SETRANGE k 3 abc",
    b"HSET h f 1 g 2",
    b"HGETALL h",
    b"RPUSH l 1 2 3",
    b"LRANGE l 0 -1",
    b"BLPOP l nothing 0",
    b"BLMOVE l m LEFT RIGHT 0.001",
    b"SADD s 1 2 3",
    b"ZADD z 1 a 2 b",
    b"ZRANGE z 0 -1 WITHSCORES",
    b"SORT l LIMIT 0 2",
    b"SCAN 0 MATCH * COUNT 10",
    b"MULTI",
    b"EXEC",
    b"DISCARD",
    b"WATCH k a",
    b"SUBSCRIBE one two",
    b"PSUBSCRIBE o*",
    b"UNSUBSCRIBE",
    b"PUBLISH one hello",
    b"CLIENT TRACKING ON",
    b"CLIENT REPLY SKIP",
    b"CLIENT REPLY ON",
    b"CLIENT LIST",
    b"MONITOR",
    b"HELLO 2",
    b"HELLO 3",
    b"RESET",
    b"AUTH default x",
    b"ACL WHOAMI",
    b"INFO",
    b"COMMAND DOCS get",
    b"CONFIG GET max*",
    b"OBJECT ENCODING k",
    b"DUMP k",
    b"EVAL return(1) 0",
    b"INVALIDATE t",
    b"FLUSHALL",
    b"QUIT",
]
LIES = [b"-1", b"-2", b"-9999999999", b"0", b"1", b"7", b"1048576", b"536870912"]
LIES += [b"536870913", b"2147483648", b"99999999999999999999", b"1x", b"", b" 1", b"+1", b"1e3"]


def spelled(call: bytes) -> bytes:
    argv = call.split()
    return b"*%d\r\n" % len(argv) + b"".join(b"$%d\r\n%s\r\n" % (len(arg), arg) for arg in argv)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Valid requests in both forms, and then up to six things that are wrong with them."""
    stream = bytearray(draw(st.sampled_from([b"", spelled(b"HELLO 2"), spelled(b"HELLO 3")])))
    for call in draw(st.lists(st.sampled_from(CALLS), min_size=1, max_size=12)):
        stream += draw(st.sampled_from([spelled(call), call + b"\r\n", call + b"\n"]))
    for _ in range(draw(st.integers(0, 6))):
        where = draw(st.integers(0, len(stream)))
        match draw(st.sampled_from(["cut", "put", "twice", "length", "end"])):
            case "cut":
                del stream[where : where + draw(st.integers(1, 8))]
            case "put":
                stream[where:where] = draw(st.binary(max_size=8))
            case "twice":
                stream[where:where] = stream[where : where + draw(st.integers(1, 40))]
            case "length":
                mark = max(stream.find(b"$", where), stream.find(b"*", where))
                end = stream.find(b"\r", mark)
                if 0 <= mark < end:
                    stream[mark + 1 : end] = draw(st.sampled_from(LIES))
            case "end":
                del stream[where:]
    return bytes(stream)


def pieces_of(stream: bytes, sizes: Sequence[int]) -> list[bytes]:
    """A stream in pieces of these sizes, over and over."""
    pieces = []
    start = turn = 0
    while start < len(stream):
        size = sizes[turn % len(sizes)]
        pieces.append(stream[start : start + size])
        start += size
        turn += 1
    return pieces


def an_endpoint(**settings: str) -> Endpoint:
    return Endpoint(Cache(), REGISTRY, Settings(**settings))


def come(endpoint: Endpoint) -> tuple[Connection, FakeTransport]:
    transport = FakeTransport()
    connection = transport.protocol = Connection(endpoint)
    connection.connection_made(transport)  # type: ignore[arg-type]
    return connection, transport


async def settle(connection: Connection) -> None:
    """Turns of the loop until a client has all that it is going to get."""
    for _ in range(MOST_TURNS):
        await asyncio.sleep(0)
        session = connection._session
        if session is None or not session.backlog or session.is_blocked() or session.closing:
            return
    raise AssertionError("it goes on and on")


async def converse(endpoint: Endpoint, pieces: Sequence[bytes]) -> bytes:
    """Sends pieces as a socket would, and goes away. Returns what was said to that."""
    failures: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context))
    endpoint.wake = lambda: loop.call_soon(endpoint.deliver)
    connection, transport = come(endpoint)
    for piece in pieces:
        if transport.closing:
            break
        connection.data_received(piece)
        # what is not read waits in the socket
        if not transport.reading:
            await settle(connection)
    await settle(connection)
    connection.eof_received()
    await settle(connection)
    connection.connection_lost(None)
    await asyncio.sleep(0)
    assert failures == []
    return bytes(transport.sent)


@given(streams(), st.lists(st.integers(1, 40), min_size=1, max_size=5))
@example(b"*1000000\r\n" * 3, [1])
@example(spelled(b"MULTI") + b"*1\r\n$-1\r\n" + spelled(b"EXEC"), [1])
def test_no_stream_breaks_a_connection_or_the_cache(stream: bytes, sizes: list[int]) -> None:
    endpoint = an_endpoint()

    async def both() -> tuple[bytes, bytes]:
        said = await converse(endpoint, pieces_of(stream, sizes))
        return said, await converse(endpoint, [spelled(b"PING")])

    said, next_said = asyncio.run(both())
    assert b"internal error" not in said
    # nobody else is harmed
    assert next_said == b"+PONG\r\n"
    assert not endpoint.sessions
    endpoint.cache._check()


@given(streams())
def test_pieces_of_one_byte_are_answered_as_the_whole_is(stream: bytes) -> None:
    # these tell of time, of the connection, or of when they were asked
    if any(name in stream.upper() for name in (b"INFO", b"CLIENT", b"HELLO", b"MONITOR")):
        return
    whole = asyncio.run(converse(an_endpoint(), [stream]))
    assert asyncio.run(converse(an_endpoint(), pieces_of(stream, [1]))) == whole


@pytest.mark.parametrize("hello", [b"", spelled(b"HELLO 3")])
@pytest.mark.parametrize(
    "lie",
    [
        b"*1000000\r\n",
        b"*1048576\r\n$1\r\n",
        b"*2\r\n$3\r\nGET\r\n$536870912\r\n",
        b"*1000000\r\n$536870912\r\nx",
    ],
)
def test_a_promise_alone_takes_no_memory(hello: bytes, lie: bytes) -> None:
    endpoint = an_endpoint()
    clients = [come(endpoint) for _ in range(20)]
    for connection, _ in clients:
        connection.data_received(hello)
    tracemalloc.start()
    try:
        for connection, _ in clients:
            for piece in pieces_of(lie, [1]):
                connection.data_received(piece)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
    finally:
        tracemalloc.stop()
    assert [transport.closing for _, transport in clients] == [False] * 20
    for connection, _ in clients:
        connection.connection_lost(None)
    endpoint.cache._check()


@given(streams(), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_who_has_no_password_gets_nowhere(stream: bytes, sizes: list[int]) -> None:
    endpoint = an_endpoint(password="sesame")
    said = asyncio.run(converse(endpoint, pieces_of(stream, sizes)))
    assert b"internal error" not in said
    assert len(endpoint.cache) == 0
    endpoint.cache._check()
