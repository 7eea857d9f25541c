"""The HTTP cache in a FastAPI application, asked by FastAPI's own client."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request, Response
from fastapi.testclient import TestClient

from cachestorm import Cache, ManualClock
from cachestorm.contrib.fastapi import CacheMiddleware, add_tags, cache_of, cached
from cachestorm.errors import ConfigError


class Shop:
    """A small application, which counts what it computes."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.cache: Cache[Any] = Cache(clock=self.clock)
        self.computed: list[str] = []
        app = FastAPI()
        app.add_middleware(CacheMiddleware, cache=self.cache)
        once = Depends(cached(60, tags=["items", "item:{number}"], stale=30))

        @app.get("/items/{number}", dependencies=[once])
        async def item(number: int) -> dict[str, int]:
            self.computed.append(f"item {number}")
            return {"number": number, "of": len(self.computed)}

        @app.get("/plain")
        def plain() -> dict[str, int]:
            self.computed.append("plain")
            return {"of": len(self.computed)}

        @app.put("/prices/{number}")
        def price(number: int, cache: Annotated[Cache[Any], Depends(cache_of)]) -> int:
            return cache.invalidate(f"item:{number}")

        self.client = TestClient(app)
        self.app = app


def test_a_route_says_that_its_responses_are_stored() -> None:
    shop = Shop()
    replies = [shop.client.get("/items/7").json() for _ in range(2)]
    assert replies == [{"number": 7, "of": 1}] * 2
    assert [shop.client.get("/plain").json() for _ in range(2)] == [{"of": 2}, {"of": 3}]


def test_a_route_invalidates_what_another_has_stored() -> None:
    shop = Shop()
    shop.client.get("/items/7")
    shop.client.get("/items/8")
    assert shop.client.put("/prices/7").json() == 1
    shop.client.get("/items/7")
    shop.client.get("/items/8")
    assert shop.computed == ["item 7", "item 8", "item 7"]


def test_a_client_with_the_etag_gets_no_body() -> None:
    shop = Shop()
    etag = shop.client.get("/items/7").headers["etag"]
    reply = shop.client.get("/items/7", headers={"If-None-Match": etag})
    assert (reply.status_code, reply.content) == (304, b"")


def test_a_route_with_impossible_times_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="above 0"):
        cached(0)
    with pytest.raises(TypeError, match="list of names"):
        cached(5, tags="items")


def test_without_the_middleware_there_is_no_cache_to_depend_on() -> None:
    app = FastAPI()

    @app.get("/")
    def look(cache: Annotated[Any, Depends(cache_of)]) -> None: ...

    with pytest.raises(RuntimeError, match="add_middleware"):
        TestClient(app).get("/")


def test_a_view_may_add_tags_by_what_it_finds() -> None:
    shop = Shop()

    @shop.app.get("/found")
    def found(request: Request, response: Response) -> str:
        add_tags(request, "author:3")
        response.headers["cache-control"] = "max-age=60"
        return "by Ada"

    shop.client.get("/found")
    assert shop.cache.invalidate("author:3") == 1


@pytest.mark.parametrize("given", ["redis://127.0.0.1", None])
def test_what_is_no_cache_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="keeps responses in a cache, such as Cache"):
        CacheMiddleware(FastAPI(), given)
