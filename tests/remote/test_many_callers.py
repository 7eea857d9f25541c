"""As many callers at once as a program has, on one connected cache."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from real_servers import HOST
from servers import our_server

from cachestorm import connect
from cachestorm.remote.address import Address

CALLERS = 150


def test_tasks_are_served_however_many_there_are() -> None:
    async def scene(url: str) -> list[object]:
        with connect(url, socket_timeout=60) as cache:
            answers = [cache.aio.set(f"k{each}", each) for each in range(CALLERS)]
            return list(await asyncio.gather(*answers))

    with our_server() as server:
        assert asyncio.run(scene(f"redis://{HOST}:{server.port}")) == [True] * CALLERS


def test_threads_are_served_however_many_there_are() -> None:
    begin = Barrier(CALLERS)
    with our_server() as server:
        cache = connect(f"redis://{HOST}:{server.port}", socket_timeout=60)

        def call(number: int) -> object:
            begin.wait()
            return cache.set(f"k{number}", number)

        with cache, ThreadPoolExecutor(CALLERS) as pool:
            assert list(pool.map(call, range(CALLERS))) == [True] * CALLERS


def test_a_limit_of_connections_can_be_set() -> None:
    for address in (
        Address.read("redis://h:1", {"max_connections": 7}),
        Address.read("redis://h:1?max_connections=7"),
    ):
        assert address.client().connection_pool.max_connections == 7
        assert address.async_client().connection_pool.max_connections == 7
