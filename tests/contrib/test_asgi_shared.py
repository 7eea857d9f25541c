"""The HTTP cache of several processes: responses are kept by a server, and shared."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from asgi_client import Origin, Site
from real_servers import HOST, free_port
from servers import our_server

from cachestorm import connect
from cachestorm.contrib.asgi import CacheMiddleware
from cachestorm.contrib.asgi.responses import MARK, opened
from cachestorm.errors import ConfigError


class SharedSite(Site):
    """A process whose middleware has a cache that is elsewhere."""

    def __init__(self, cache: Any, origin: Origin) -> None:
        super().__init__(origin)
        self.far = cache
        self.app = CacheMiddleware(origin, cache)

    async def __aenter__(self) -> SharedSite:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.far.aio.close()


@pytest.fixture
def url() -> Iterator[str]:
    with our_server() as server:
        yield f"redis://{HOST}:{server.port}"


def test_a_response_is_made_once_for_all_processes(url: str) -> None:
    async def course() -> list[Any]:
        origin = Origin([("cache-control", "max-age=60"), ("x-page", "ü"), ("vary", "accept")])
        async with (
            SharedSite(connect(url), origin) as one,
            SharedSite(connect(url, near=True), origin) as other,
        ):
            first = await one.ask("/p", accept="text/html")
            found = [first.body, first["cache-status"]]
            for site in (other, one):
                reply = await site.ask("/p", accept="text/html")
                found += [reply.body, reply["x-page"], str(reply["cache-status"])[:15]]
            found.append((await other.ask("/p", accept="text/plain")).body)
            found.append((await other.ask("/p", accept="text/html", method="HEAD")).body)
            # who writes there, for all
            await one.ask("/p", method="POST")
            reply = await other.ask("/p", accept="text/html")
            while reply.body == b"page 1":
                # its near cache has still to be told
                await asyncio.sleep(0.01)
                reply = await other.ask("/p", accept="text/html")
            return [*found, reply.body]

    hit = [b"page 1", "ü", "CacheStorm; hit"]
    assert asyncio.run(course()) == [
        *(b"page 1", "CacheStorm; fwd=miss; stored"),
        *hit,
        *hit,
        *(b"page 2", b"", b"page 4"),
    ]


def test_tags_and_stale_responses_are_shared_too(url: str) -> None:
    async def course() -> list[Any]:
        headers = [
            ("cache-control", "max-age=1, stale-while-revalidate=60, stale-if-error=60"),
            ("surrogate-key", "news"),
        ]
        origin = Origin(headers)
        async with (
            SharedSite(connect(url), origin) as one,
            SharedSite(connect(url), origin) as other,
        ):
            found = [(await one.ask("/p")).body]
            while await one.far.aio.exists("http:http://site.test/p"):
                await asyncio.sleep(0.02)
            origin.status = 503
            found.append((await other.ask("/p")).body)
            origin.status = 200
            assert await one.far.aio.invalidate("news") >= 1
            found.append((await other.ask("/p")).status)
            return found

    first, stale, status = asyncio.run(course())
    assert (first, stale, status) == (b"page 1", b"page 1", 200)


def test_a_server_that_is_away_is_done_without() -> None:
    async def course() -> list[bytes]:
        far = connect(f"redis://{HOST}:{free_port()}", on_error="miss", retry=None)
        async with SharedSite(far, Origin()) as site:
            found = [(await site.ask("/p")).body for _ in range(2)]
            await site.ask("/p", method="POST")
            return found

    assert asyncio.run(course()) == [b"page 1", b"page 2"]


def test_what_is_no_cache_is_refused() -> None:
    with pytest.raises(ConfigError, match="not in a dict"):
        CacheMiddleware(Origin(), {})  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", [None, 5, b"bytes", MARK + b"{}\nbody", MARK + b"\xff"])
def test_what_is_no_response_is_none(kept: Any) -> None:
    assert opened(kept) is None
