"""The HTTP cache in front of an ASGI application, rule by rule of RFC 9111 and RFC 5861."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import pytest
from asgi_client import Origin, Site, settled

from cachestorm.contrib.asgi import add_tags, cache_for


def awaited(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs a test on a loop."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))  # type: ignore[arg-type]

    return run


# -- what is stored


@awaited
async def test_a_fresh_response_is_served_from_the_cache_with_its_age() -> None:
    site = Site()
    first = await site.ask()
    site.clock.advance(7)
    second = await site.ask()
    assert (first.body, second.body) == (b"page 1", b"page 1")
    assert (first["cache-status"], first["age"]) == ("CacheStorm; fwd=miss; stored", "0")
    assert (second["cache-status"], second["age"]) == ("CacheStorm; hit; ttl=53", "7")


@awaited
async def test_a_response_is_asked_for_again_when_it_is_no_longer_fresh() -> None:
    site = Site()
    await site.ask()
    site.clock.advance(61)
    assert (await site.ask()).body == b"page 2"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("cache-control", "no-store, max-age=60")],
        [("cache-control", "private, max-age=60")],
        [("cache-control", "no-cache, max-age=60")],
        [("cache-control", "max-age=0")],
        [("cache-control", "max-age=sixty")],
        [("cache-control", "max-age=60"), ("set-cookie", "id=1")],
        [("cache-control", "max-age=60"), ("vary", "*")],
        [("cache-control", "max-age=60"), ("age", "60")],
        [("cache-control", "max-age=60, s-maxage=0")],
        [("expires", "0")],
        [("cache-control", "max-age=60"), ("content-type", "text/event-stream")],
    ],
)
@awaited
async def test_a_response_that_may_not_be_shared_passes_through(headers: Any) -> None:
    site = Site(Origin(headers=headers))
    bodies = [(await site.ask()).body for _ in range(2)]
    assert bodies == [b"page 1", b"page 2"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("cache-control", "s-maxage=30, max-age=600")], 30),
        ([("cache-control", "max-age=60"), ("age", "20")], 40),
        (
            [
                ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("expires", "Sun, 06 Nov 1994 08:49:47 GMT"),
            ],
            10,
        ),
    ],
)
@awaited
async def test_freshness_comes_from_the_first_rule_that_applies(
    headers: Any, seconds: int
) -> None:
    site = Site(Origin(headers=headers))
    await site.ask()
    site.clock.advance(seconds - 1)
    assert (await site.ask()).body == b"page 1"
    site.clock.advance(2)
    assert (await site.ask()).body == b"page 2"


@awaited
async def test_what_a_user_logged_in_for_is_shared_only_if_that_is_allowed() -> None:
    site = Site()
    await site.ask(authorization="Basic x")
    assert (await site.ask(authorization="Basic x")).body == b"page 2"
    public = Site(Origin(headers=[("cache-control", "public, max-age=60")]))
    await public.ask(authorization="Basic x")
    assert (await public.ask(authorization="Basic y")).body == b"page 1"


@awaited
async def test_a_response_larger_than_allowed_passes_through_whole() -> None:
    site = Site(Origin(body=lambda scope: b"x" * 101), max_body=100)
    replies = [await site.ask() for _ in range(2)]
    assert [reply.body for reply in replies] == [b"x" * 101] * 2
    assert len(site.origin.asked) == 2


@awaited
async def test_an_application_may_have_stored_what_says_nothing_of_it() -> None:
    async def mark(scope: dict[str, Any]) -> None:
        cache_for(scope, 30, "front")

    site = Site(Origin(headers=[], before=mark))
    await site.ask()
    assert (await site.ask()).body == b"page 1"
    assert site.cache.invalidate("front") == 1
    assert (await site.ask()).body == b"page 2"


# -- for whom


@awaited
async def test_responses_are_told_apart_by_what_they_vary_on() -> None:
    def body(scope: dict[str, Any]) -> bytes:
        return dict(scope["headers"]).get(b"accept-language", b"none")

    headers = [("cache-control", "max-age=60"), ("vary", "Accept-Language")]
    site = Site(Origin(headers=headers, body=body))
    wanted = ["de", "en", "de", "en", "fr"]
    got = [(await site.ask(accept_language=each)).body.decode() for each in wanted]
    assert got == wanted
    asked = len(site.origin.asked)
    assert [(await site.ask(accept_language=each)).body.decode() for each in ["de", "en"]]
    assert len(site.origin.asked) == asked


@awaited
async def test_hosts_and_queries_are_different_addresses() -> None:
    site = Site()
    bodies = [(await site.ask(path)).body for path in ("/a", "/a?x=1", "/a?x=2", "/a")]
    assert bodies == [b"page 1", b"page 2", b"page 3", b"page 1"]


@awaited
async def test_head_is_answered_by_what_get_has_stored_without_its_body() -> None:
    site = Site()
    await site.ask()
    reply = await site.ask(method="HEAD")
    assert (reply.status, reply.body, site.origin.asked) == (200, b"", ["GET"])


# -- what a client may demand


@pytest.mark.parametrize(
    "demand",
    [
        {"cache_control": "no-cache"},
        {"cache_control": "no-store"},
        {"cache_control": "max-age=5"},
        {"pragma": "no-cache"},
        {"range": "bytes=0-1"},
    ],
)
@awaited
async def test_a_client_may_demand_the_application(demand: dict[str, str]) -> None:
    site = Site()
    await site.ask()
    site.clock.advance(6)
    assert (await site.ask(**demand)).body == b"page 2"


@awaited
async def test_a_client_that_wants_only_what_is_cached_gets_504_otherwise() -> None:
    site = Site()
    assert (await site.ask(cache_control="only-if-cached")).status == 504
    await site.ask()
    assert (await site.ask(cache_control="only-if-cached")).body == b"page 1"


@awaited
async def test_a_client_that_has_it_already_gets_304() -> None:
    site = Site()
    etag = (await site.ask())["etag"]
    assert etag is not None
    reply = await site.ask(if_none_match=f'"other", W/{etag}')
    assert (reply.status, reply.body, reply["etag"]) == (304, b"", etag)
    assert (await site.ask(if_none_match='"other"')).status == 200


@awaited
async def test_last_modified_is_compared_where_there_is_no_etag_to_compare() -> None:
    modified = "Sun, 06 Nov 1994 08:49:37 GMT"
    site = Site(Origin(headers=[("cache-control", "max-age=9"), ("last-modified", modified)]))
    await site.ask()
    assert (await site.ask(if_modified_since=modified)).status == 304
    before = "Sat, 05 Nov 1994 08:49:37 GMT"
    assert (await site.ask(if_modified_since=before)).status == 200


# -- stale responses


@awaited
async def test_a_stale_response_is_served_while_it_is_reloaded() -> None:
    site = Site(Origin(headers=[("cache-control", "max-age=60, stale-while-revalidate=30")]))
    await site.ask()
    site.clock.advance(70)
    assert (await site.ask()).body == b"page 1"
    await settled()
    assert site.origin.asked == ["GET", "GET"]
    assert (await site.ask()).body == b"page 2"


@awaited
async def test_a_stale_response_is_not_served_beyond_its_time() -> None:
    site = Site(Origin(headers=[("cache-control", "max-age=60, stale-while-revalidate=30")]))
    await site.ask()
    site.clock.advance(91)
    assert (await site.ask()).body == b"page 2"


@awaited
async def test_a_stale_response_stands_for_an_error_of_the_application() -> None:
    site = Site(Origin(headers=[("cache-control", "max-age=60, stale-if-error=30")]))
    await site.ask()
    site.clock.advance(70)
    site.origin.status = 503
    assert (await site.ask()).body == b"page 1"
    site.clock.advance(30)
    assert (await site.ask()).status == 503


@awaited
async def test_must_revalidate_forbids_what_is_stale() -> None:
    headers = [("cache-control", "max-age=60, stale-while-revalidate=30, must-revalidate")]
    site = Site(Origin(headers=headers))
    await site.ask()
    site.clock.advance(70)
    assert (await site.ask()).body == b"page 2"


# -- many at once


@awaited
async def test_all_who_ask_at_once_share_one_run() -> None:
    async def slow(scope: dict[str, Any]) -> None:
        await asyncio.sleep(0)

    site = Site(Origin(before=slow))
    replies = await asyncio.gather(*(site.ask() for _ in range(20)))
    assert {reply.body for reply in replies} == {b"page 1"}


@awaited
async def test_nobody_gets_what_was_made_for_another() -> None:
    async def slow(scope: dict[str, Any]) -> None:
        await asyncio.sleep(0)

    def body(scope: dict[str, Any]) -> bytes:
        return dict(scope["headers"])[b"cookie"]

    site = Site(Origin(headers=[("cache-control", "private")], before=slow, body=body))
    names = [f"user={number}" for number in range(20)]
    replies = await asyncio.gather(*(site.ask(cookie=name) for name in names))
    assert [reply.body.decode() for reply in replies] == names


@awaited
async def test_a_stream_that_is_not_stored_is_not_kept_back() -> None:
    until = asyncio.Event()
    seen: list[bytes] = []

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await until.wait()
        await send({"type": "http.response.body", "body": b"two"})

    site = Site(stream)

    async def send(message: Any) -> None:
        seen.append(message.get("body", b""))

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    task = asyncio.create_task(site.app(scope, lambda: None, send))  # type: ignore[arg-type]
    await settled()
    assert seen == [b"", b"one"]
    # who comes meanwhile does not wait for its end
    other = asyncio.create_task(site.ask())
    until.set()
    await task
    assert (await other).body == b"onetwo"


@awaited
async def test_an_error_of_the_application_is_raised_and_not_stored() -> None:
    async def fail(scope: dict[str, Any]) -> None:
        raise KeyError("broken")

    site = Site(Origin(before=fail))
    with pytest.raises(KeyError):
        await site.ask()
    site.origin.before = None
    assert (await site.ask()).body == b"page 2"


# -- invalidation


@awaited
async def test_words_of_tag_headers_are_tags_and_are_not_sent_on() -> None:
    headers = [("cache-control", "max-age=60"), ("surrogate-key", "posts post:1")]
    site = Site(Origin(headers=headers))
    reply = await site.ask()
    assert reply["surrogate-key"] is None
    assert site.cache.invalidate("post:1") == 1
    assert (await site.ask()).body == b"page 2"


@awaited
async def test_a_response_invalidated_while_it_is_made_is_not_stored() -> None:
    async def invalidate(scope: dict[str, Any]) -> None:
        add_tags(scope, "posts")
        site.cache.invalidate("posts")

    site = Site(Origin(before=invalidate))
    await site.ask()
    site.origin.before = None
    assert (await site.ask()).body == b"page 2"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@awaited
async def test_a_write_that_succeeds_invalidates_its_address(method: str) -> None:
    site = Site()
    await site.ask("/a")
    await site.ask("/b")
    site.origin.headers = [("location", "/b")]
    site.origin.status = 500
    await site.ask("/a", method)
    assert (await site.ask("/a")).body == b"page 1"
    site.origin.status = 303
    await site.ask("/a", method)
    asked = len(site.origin.asked)
    await site.ask("/a")
    await site.ask("/b")
    assert len(site.origin.asked) == asked + 2


@awaited
async def test_other_protocols_pass_through() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await Site(application).app({"type": "lifespan"}, lambda: None, send)  # type: ignore[arg-type]
    assert sent == [{"type": "lifespan.startup.complete"}]


def test_a_time_to_live_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="above 0"):
        cache_for({}, 0)
