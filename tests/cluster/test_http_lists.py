"""Lists over HTTP in a cluster: they are of all nodes, whichever is asked."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from test_bus import Running, running, until

from cachestorm_server.web.server import HttpServer, HttpSettings

Get = Callable[[str], Awaitable[tuple[int, Any]]]


def listed(folder: Path, story: Callable[[Running, Get], Awaitable[None]]) -> None:
    """Plays a story with three nodes that have keys, and what GET of the first answers."""

    async def play(cluster: Running) -> None:
        first = await cluster.add()
        seed = first.membership.node.me.bus_port
        await cluster.add(seed)
        await cluster.add(seed)
        await until(lambda: [len(node.members) for node in cluster.nodes()] == [2, 2, 2])
        for number, joining in enumerate(cluster.joinings):
            cache = joining.membership.endpoint.cache
            for key in range(10):
                cache.set(f"k{number}:{key}", 1, tags=["all", f"t{number}"])
        async with (
            HttpServer(first.membership.endpoint, HttpSettings(port=0)) as http,
            aiohttp.ClientSession(f"http://127.0.0.1:{http.port}") as client,
        ):

            async def get(path: str) -> tuple[int, Any]:
                async with client.get(path) as response:
                    return response.status, json.loads(await response.read())

            await story(cluster, get)

    running(folder, play)


async def walked(get: Get, path: str, name: str) -> list[Any]:
    """What all pages list."""
    found: list[Any] = []
    cursor = "0"
    while cursor is not None:
        _, page = await get(f"{path}?limit=4&cursor={cursor}")
        found += page[name]
        cursor = page["cursor"]
    return found


def test_keys_and_tags_of_all_nodes_are_listed(tmp_path: Path) -> None:
    async def story(cluster: Running, get: Get) -> None:
        keys = await walked(get, "/keys", "keys")
        assert sorted(keys) == sorted(f"k{n}:{key}" for n in range(3) for key in range(10))
        assert (await get("/keys?limit=1"))[1]["count"] == 30
        rows = await walked(get, "/tags", "tags")
        assert sorted((row["name"], row["count"]) for row in rows) == [
            ("all", 30),
            ("t0", 10),
            ("t1", 10),
            ("t2", 10),
        ]
        assert (await get("/tags"))[1]["count"] is None

    listed(tmp_path, story)


def test_counts_beside_links_and_of_what_would_go_are_of_all_nodes(tmp_path: Path) -> None:
    async def story(cluster: Running, get: Get) -> None:
        membership = cluster.joinings[0].membership
        membership.endpoint.cache.taglink("above", "all")
        _, graph = await get("/v1/tags")
        assert graph["tags"] == [{"name": "above", "count": 0}, {"name": "all", "count": 30}]
        _, shown = await get("/v1/tags/above")
        assert shown["children"] == [{"name": "all", "count": 30}]
        assert (await get("/v1/tags/all?limit=5"))[1]["count"] == 30

    listed(tmp_path, story)


def test_a_list_that_lacks_a_node_is_an_error(tmp_path: Path) -> None:
    async def story(cluster: Running, get: Get) -> None:
        gone = cluster.joinings[2]
        await gone.stop()
        await until(
            lambda: cluster.nodes()[0].is_suspected(
                cluster.nodes()[2].me.id, gone.membership.clock()
            )
        )
        status, problem = await get("/keys")
        assert (status, problem["error"]["code"]) == (504, "PARTIAL")
        status, problem = await get("/tags")
        assert (status, problem["error"]["code"]) == (504, "PARTIAL")

    listed(tmp_path, story)
