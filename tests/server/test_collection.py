"""The garbage collector of a server: all is looked at while nobody asks, and not often."""

from __future__ import annotations

import asyncio
import gc

import pytest

from cachestorm import Cache
from cachestorm_server import collection
from cachestorm_server.collection import REST, Collection
from cachestorm_server.server import RespServer
from cachestorm_server.settings import Settings


@pytest.fixture
def server() -> RespServer:
    return RespServer(Cache())


class Circle:
    """What only the collector lets go of."""

    ended = 0

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        Circle.ended += 1


def test_all_is_collected_when_nobody_has_asked_for_a_while(server: RespServer) -> None:
    collecting = Collection(server.endpoint)
    Circle()
    before = Circle.ended
    server.endpoint.commands = 5
    assert not collecting.look(1.0)
    server.endpoint.commands = 9
    assert not collecting.look(2.0)
    assert before == Circle.ended
    assert collecting.look(3.0)
    assert before + 1 == Circle.ended


def test_nothing_is_collected_twice_between_two_commands(server: RespServer) -> None:
    collecting = Collection(server.endpoint)
    server.endpoint.commands = 5
    collecting.look(1.0)
    assert collecting.look(2.0)
    assert not collecting.look(1e9)


def test_it_is_collected_for_a_small_share_of_the_time(
    server: RespServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([10.0, 10.25, 20.0, 20.25])
    monkeypatch.setattr(collection, "perf_counter", lambda: next(times))
    collecting = Collection(server.endpoint)
    server.endpoint.commands = 5
    collecting.look(1.0)
    assert collecting.look(2.0)
    server.endpoint.commands = 6
    assert not collecting.look(3.0)
    assert not collecting.look(2.0 + 0.25 * REST - 1.0)
    assert collecting.look(2.0 + 0.25 * REST)


def test_the_interpreter_gets_its_collector_back(server: RespServer) -> None:
    former = gc.get_threshold()
    frozen = gc.get_freeze_count()

    async def serve() -> tuple[int, int, int]:
        collecting = Collection(server.endpoint)
        collecting.begin()
        try:
            assert gc.get_freeze_count() > frozen
            return gc.get_threshold()
        finally:
            collecting.end()

    during = asyncio.run(serve())
    assert during[:2] == former[:2]
    assert during[2] > 1_000_000
    assert former == gc.get_threshold()
    assert gc.get_freeze_count() <= frozen


def test_a_server_collects_while_it_is_left_alone(
    server: RespServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "IDLE_S", 0.001)

    async def serve() -> None:
        collecting = Collection(server.endpoint)
        collecting.begin()
        Circle()
        before = Circle.ended
        server.endpoint.commands = 1
        try:
            while Circle.ended == before:
                await asyncio.sleep(0.001)
        finally:
            collecting.end()

    asyncio.run(asyncio.wait_for(serve(), 60))


def test_connections_and_errors_leave_nothing_to_the_collector() -> None:
    requests = b"SET a 1\r\nLPUSH a x\r\nFOO\r\nGET\r\nSET a x FOR 7\r\nCOPY a b\r\nPING\r\n"

    async def ask(port: int, last: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(requests + last)
        assert await reader.readuntil(b"+PONG\r\n")
        writer.close()

    async def serve(server: RespServer) -> None:
        async with server:
            for last in (b"", b"QUIT\r\n", b"*1\r\n\r\n"):
                await ask(server.port, last)
            while server.endpoint.sessions:
                await asyncio.sleep(0.001)

    # what is there once is there for good
    server = RespServer(Cache(), Settings(port=0))
    asyncio.run(serve(server))
    gc.collect()
    gc.disable()
    try:
        asyncio.run(serve(server))
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        names = {type(each).__module__ for each in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not [name for name in names if name.startswith("cachestorm")]
