"""The HTTP cache and its clients: who leaves, who asks on conditions, who is logged in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgi_client import Origin, Reply, Site, settled
from test_asgi import awaited

FRESH = [(b"cache-control", b"max-age=60, stale-while-revalidate=60")]


async def answer(send: Any, body: bytes = b"page", headers: Any = FRESH) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def ask(site: Site, receive: Any, **scope: Any) -> Reply:
    """A request whose client does what `receive` says."""
    reply = Reply(0, [], b"")

    async def send(message: Any) -> None:
        reply.status = message.get("status", reply.status)
        reply.body += message.get("body", b"")

    asked = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"site.test")],
    }
    await site.app({**asked, **scope}, receive, send)
    return reply


async def stays() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def leaves() -> dict[str, Any]:
    return {"type": "http.disconnect"}


# -- the application, when nobody waits for it


async def listening(scope: Any, receive: Any, send: Any) -> None:
    """Answers while it listens for its client's end, as Starlette's streams do."""
    heard: list[int] = []

    async def listen() -> None:
        while len(heard) < 100 and (await receive())["type"] != "http.disconnect":
            heard.append(1)

    task = asyncio.create_task(listen())
    await asyncio.sleep(0)
    task.cancel()
    await answer(send, b"heard %d" % len(heard))


@awaited
async def test_an_application_that_has_no_client_waits_for_more_than_one_message() -> None:
    site = Site(listening)
    await site.ask("/", "HEAD")
    assert (await site.ask("/")).body == b"heard 1"


@awaited
async def test_a_stream_that_nobody_waits_for_ends() -> None:
    sent = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while scope["method"] == "GET":
            sent.append(1)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})

    await Site(endless).ask("/", "HEAD")
    await settled()
    assert len(sent) == 1


@awaited
async def test_work_after_a_stored_response_is_done_before_the_request_ends() -> None:
    done = []

    async def working(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)
        await asyncio.sleep(0)
        done.append(1)
        raise ValueError("the work failed")

    with pytest.raises(ValueError, match="the work failed"):
        await Site(working).ask()
    assert done == [1]


# -- clients that leave


@awaited
async def test_nobody_fails_because_the_client_that_was_first_has_left() -> None:
    asked = []

    async def reading(scope: Any, receive: Any, send: Any) -> None:
        asked.append(1)
        await settled()
        if (await receive())["type"] == "http.disconnect":
            raise ConnectionError("the client has left")
        await answer(send)

    site = Site(reading)
    first = asyncio.create_task(ask(site, leaves))
    await asyncio.sleep(0)
    others = [asyncio.create_task(ask(site, stays)) for _ in range(3)]
    with pytest.raises(ConnectionError):
        await first
    assert [reply.body for reply in await asyncio.gather(*others)] == [b"page"] * 3


# -- conditions


class Conditional(Origin):
    """An application that answers conditions itself."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if (b"if-none-match", b'"x"') in scope["headers"]:
            self.asked.append("on conditions")
            await send({"type": "http.response.start", "status": 304, "headers": FRESH})
            await send({"type": "http.response.body", "body": b""})
        else:
            await super().__call__(scope, receive, send)


STALE = ("cache-control", "max-age=60, stale-while-revalidate=60")


@awaited
async def test_a_client_on_conditions_has_the_whole_response_stored() -> None:
    site = Site(Conditional(headers=[STALE, ("etag", '"x"')]))
    assert (await site.ask(if_none_match='"x"')).status == 304
    assert (await site.ask())["cache-status"] == "CacheStorm; hit; ttl=60"
    site.clock.advance(70)
    await site.ask(if_none_match='"x"')
    await settled()
    assert (await site.ask())["cache-status"] == "CacheStorm; hit; ttl=60"
    assert site.origin.asked == ["GET", "GET"]


@awaited
async def test_what_passes_through_is_304_for_a_client_that_has_it() -> None:
    headers = [("etag", '"x"'), ("content-length", "6"), ("set-cookie", "id=1")]
    site = Site(Conditional(headers=headers))
    reply = await site.ask(if_none_match='"x"')
    assert (reply.status, reply.body, reply["content-length"]) == (304, b"", None)
    assert reply["set-cookie"] == "id=1"


@awaited
async def test_a_client_may_demand_what_was_made_in_this_moment() -> None:
    site = Site()
    await site.ask()
    assert (await site.ask(cache_control="max-age=0")).body == b"page 2"


# -- whose response it is


@awaited
async def test_who_is_logged_in_does_not_keep_others_from_the_cache() -> None:
    site = Site()
    await site.ask(authorization="Basic YQ==")
    bodies = [(await site.ask()).body for _ in range(2)]
    assert bodies == [b"page 2", b"page 2"]


@awaited
async def test_a_private_response_keeps_only_those_from_the_cache_it_depends_on() -> None:
    class Personal(Origin):
        async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
            mine = b"cookie" in dict(scope["headers"])
            rule = "private" if mine else "max-age=60"
            self.headers = [("cache-control", rule), ("vary", "Cookie")]
            await super().__call__(scope, receive, send)

    site = Site(Personal())
    await site.ask(cookie="user=1")
    bodies = [(await site.ask()).body for _ in range(2)]
    await site.ask(cookie="user=1")
    bodies.append((await site.ask()).body)
    assert bodies == [b"page 2"] * 3


@awaited
async def test_the_first_response_that_varies_answers_the_next_request_like_it() -> None:
    site = Site(Origin(headers=[("cache-control", "max-age=60"), ("vary", "Accept-Encoding")]))
    bodies = [(await site.ask(accept_encoding="gzip")).body for _ in range(2)]
    assert bodies == [b"page 1", b"page 1"]


@awaited
async def test_a_host_cannot_stand_for_a_part_of_another_address() -> None:
    site = Site(Origin(body=lambda scope: scope["path"].encode()))
    host = [(b"host", b"site.test/login")]
    await ask(site, stays, path="/evil", raw_path=b"/evil", headers=host)
    assert (await site.ask("/login/evil")).body == b"/login/evil"


# -- what addresses and headers may hold


@awaited
async def test_a_long_address_is_stored_and_invalidated() -> None:
    site = Site()
    path = "/" + "x" * 3000
    bodies = [(await site.ask(path)).body for _ in range(2)]
    await site.ask(path, "POST")
    assert [*bodies, (await site.ask(path)).body] == [b"page 1", b"page 1", b"page 3"]


@awaited
async def test_a_location_that_is_no_address_is_sent_all_the_same() -> None:
    site = Site(Origin(headers=[("location", "http://[bad")]))
    assert (await site.ask("/", "POST")).status == 200


@awaited
async def test_the_age_of_a_response_counts_from_the_cache_it_came_from() -> None:
    site = Site(Origin(headers=[("cache-control", "max-age=60"), ("age", "20")]))
    await site.ask()
    site.clock.advance(7)
    reply = await site.ask()
    assert (reply["age"], reply["cache-status"]) == ("27", "CacheStorm; hit; ttl=33")
