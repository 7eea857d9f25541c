"""The sockets of an endpoint, and the ports it shows."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import ExitStack, suppress

import pytest

from cachestorm.cache import Cache
from cachestorm_server import listening
from cachestorm_server.app import Application
from cachestorm_server.config import load
from cachestorm_server.listening import bound_sockets
from cachestorm_server.server import RespServer
from cachestorm_server.settings import Settings

TWO = ("127.0.0.1", "127.0.0.2")
PORTS_TRIED = 5

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only there is 127.0.0.2 local")


async def answer(host: str, port: int, asked: bytes, size: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(asked)
    reply = await reader.readexactly(size)
    writer.close()
    return reply


@on_linux
def test_all_addresses_of_a_endpoint_have_the_port_that_it_shows() -> None:
    async def main() -> None:
        given = {
            "server.bind": ("test", ",".join(TWO)),
            "server.port": ("test", 0),
            "plugins.metrics.port": ("test", 0),
        }
        async with Application(load(None, {}, given)) as application:
            assert application.http is not None
            for host in TWO:
                assert await answer(host, application.resp.port, b"PING\r\n", 7) == b"+PONG\r\n"
                health = b"GET /health HTTP/1.0\r\n\r\n"
                found = await answer(host, application.http.port, health, 15)
                assert found == b"HTTP/1.0 200 OK"

    asyncio.run(main())


def test_an_address_that_is_named_twice_is_bound_once() -> None:
    async def main() -> None:
        bind = ("127.0.0.1", "127.0.0.1")
        async with RespServer(Cache(), Settings(bind, port=0)) as server:
            assert await answer("127.0.0.1", server.port, b"PING\r\n", 7) == b"+PONG\r\n"

    asyncio.run(main())


@on_linux
def test_a_port_that_is_free_on_one_address_only_is_not_taken(monkeypatch) -> None:
    with ExitStack() as stack:
        for _ in range(PORTS_TRIED):
            taken = stack.enter_context(socket.socket())
            taken.bind((TWO[1], 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match="in use"):
                asyncio.run(bound_sockets(TWO, port))
            # nothing was left open; another program may have taken it on the first address
            with socket.socket() as probe, suppress(OSError):
                probe.bind((TWO[0], port))
                break
        else:
            pytest.fail("the first address was left open")

        # the port that the first address is given by the system is taken on the second one
        ports = iter([port, 0])
        bind = listening._bind
        monkeypatch.setattr(listening, "_bind", lambda all, _: bind(all, next(ports)))
        sockets = asyncio.run(bound_sockets(TWO, 0))
        (free,) = {bound.getsockname()[1] for bound in sockets}
        assert free != port
        for bound in sockets:
            bound.close()
