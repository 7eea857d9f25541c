"""The middleware: who is answered from the cache, and what is loaded, kept and invalidated.

1. Only GET and HEAD are answered; what a response says in Cache-Control, Expires and Vary
   decides whether it is stored, or what the application gives by `cache_for`.
2. All who ask for one thing at once share one run of the application, if its response may be
   shared; if not, each gets a run of his own, and those who come later do not wait.
3. A response that is invalidated while it is made is not stored: `loading` sees to that.
4. POST, PUT, PATCH and DELETE that succeed invalidate what is stored for their address, and for
   the addresses in Location and Content-Location on the same host.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from typing import Any
from urllib.parse import urljoin, urlsplit

from cachestorm.cache import Cache
from cachestorm.contrib.asgi import freshness
from cachestorm.contrib.asgi.freshness import Verdict
from cachestorm.contrib.asgi.responses import (
    App,
    Capture,
    Failed,
    Message,
    Receive,
    Scope,
    Send,
    Stored,
    Terms,
    selection,
)
from cachestorm.loading import LoadContext
from cachestorm.markers import MISSING

NAME = "CacheStorm"
# what follows an address where it is kept which headers its responses vary on
VARY = " vary"
# for how long nobody waits for a response that could not be shared
PASSED_S = 10
SAFE = frozenset(["GET", "HEAD", "OPTIONS", "TRACE"])


class CacheMiddleware:
    """A shared HTTP cache in front of an application.

    Args:
        app: the application.
        cache: where responses are kept, among whatever else is there.
        max_body: bytes; larger responses pass through.
        tag_headers: headers of the response whose words are tags; they are not sent on.
        prefix: what the keys begin with.
        max_stale: seconds for which stale responses are kept at most, whatever they say.
    """

    def __init__(
        self,
        app: App,
        cache: Cache,
        *,
        max_body: int = 1_048_576,
        tag_headers: Iterable[str] = ("surrogate-key", "cache-tag"),
        prefix: str = "http:",
        max_stale: float = 86_400,
    ) -> None:
        self._app = app
        self._cache = cache
        self._prefix = prefix
        self._max_stale = max_stale
        names = tuple(name.lower().encode("latin-1") for name in tag_headers)
        self._terms = Terms(max_body, names, self._now)

    def _now(self) -> float:
        return self._cache._store.clock.now_ms() / 1000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or has the application do it."""
        scope["cachestorm.cache"] = self._cache
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] not in SAFE:
            await self._write(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD") and self._may_answer(scope):
            await self._read(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    @staticmethod
    def _may_answer(scope: Scope) -> bool:
        headers = scope["headers"]
        asked = freshness.directives(headers)
        return (
            not {"no-cache", "no-store"} & asked.keys()
            and (asked or freshness.value(headers, b"pragma") != "no-cache")
            and freshness.value(headers, b"range") is None
        )

    # -- reading

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = self._prefix + _address(scope)
        vary: Any = self._cache.get(address + VARY, ())
        if vary is None:
            # what was asked for last could not be shared
            await self._app(scope, receive, send)
            return
        request = scope["headers"]
        key = address + _suffix(selection(vary, request))
        asked = freshness.directives(request)
        found = self._cache.get(key)
        if isinstance(found, Stored) and found.is_for(request):
            age = self._now() - found.since
            longest = freshness.seconds(asked, "max-age")
            if longest is not None and age > longest:
                await self._app(scope, receive, send)
            else:
                await found.send(scope, send, age, self._hit(found, age))
        elif "only-if-cached" in asked:
            await send({"type": "http.response.start", "status": 504, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._load(scope, receive, send, address, key)

    @staticmethod
    def _hit(found: Stored, age: float) -> str:
        return f"{NAME}; hit; ttl={math.ceil(found.lasts.fresh - age)}"

    async def _load(
        self, scope: Scope, receive: Receive, send: Send, address: str, key: str
    ) -> None:
        caller = asyncio.current_task()
        own: list[asyncio.Task[None]] = []

        async def load(context: LoadContext) -> Stored | None:
            # A GET is stored, and answers HEAD as well. A reload in the background has no
            # client: whoever asked has a stale response.
            is_mine = asyncio.current_task() is caller and scope["method"] == "GET"
            of_app = {**scope, "method": "GET", "cachestorm.tags": []}
            of_app.pop("cachestorm.lasts", None)
            holds = context.stale_value is not MISSING
            capture = Capture(of_app, send if is_mine else None, self._terms, holds)
            task = asyncio.create_task(capture.run(self._app, _reader(receive, is_mine)))
            if is_mine:
                own.append(task)
            try:
                stored = await asyncio.shield(capture.decided)
            except asyncio.CancelledError:
                task.cancel()
                raise
            if stored is None:
                context.keep = False
                if capture.status not in freshness.FAILURES:
                    self._cache.set(address + VARY, None, PASSED_S)
                return None
            lasts = stored.lasts
            context.ttl = lasts.fresh
            context.limit_stale(lasts.stale, lasts.stale_if_error)
            context.add_tags(*stored.tags, address)
            whole = lasts.fresh + max(lasts.stale, lasts.stale_if_error)
            self._cache.set(address + VARY, stored.vary, whole)
            return stored

        span = self._max_stale
        stored: Stored | None
        try:
            stored = await self._cache.aget_or_set(
                key, load, propagate=False, stale=span, stale_if_error=span
            )
        except Failed:
            # there was no stale response after all
            stored = None
            own.clear()
        if stored is None and own:
            # it passes through, and takes as long as it takes
            await own[0]
        elif stored is None or not stored.is_for(scope["headers"]):
            await self._app(scope, receive, send)
        else:
            age = self._now() - stored.since
            note = f"{NAME}; fwd=miss; stored" if own else self._hit(stored, age)
            await stored.send(scope, send, age, note)

    # -- writing

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watching(message: Message) -> None:
            if message["type"] == "http.response.start" and 200 <= message["status"] < 400:
                self._invalidate(scope, message)
            await send(message)

        await self._app(scope, receive, watching)

    def _invalidate(self, scope: Scope, message: Message) -> None:
        headers = [(bytes(name).lower(), text) for name, text in message["headers"]]
        own = _address(scope)
        addresses = {own}
        for name in (b"location", b"content-location"):
            for place in freshness.values(headers, name):
                other = urljoin(own, place)
                if urlsplit(other).netloc == urlsplit(own).netloc:
                    addresses.add(other)
        self._cache.invalidate(*(self._prefix + address for address in addresses))


def add_tags(request: Any, *tags: str) -> None:
    """Gives tags to the response that is being made.

    Args:
        request: a request of Starlette or FastAPI, or a scope of ASGI.
    """
    _scope(request).setdefault("cachestorm.tags", []).extend(tags)


def cache_for(
    request: Any, ttl: float, *tags: str, stale: float = 0, stale_if_error: float = 0
) -> None:
    """Has the response that is being made stored for so many seconds, with tags.

    It is stored even if it says nothing of it to browsers. What forbids storing it, such as
    `private` or a cookie, still does.

    Args:
        request: a request of Starlette or FastAPI, or a scope of ASGI.
        ttl: seconds for which it is fresh.
        stale: seconds afterwards during which it is served while it is reloaded.
        stale_if_error: seconds afterwards during which it stands for an error.

    Raises:
        ValueError: for a time that is negative, or a `ttl` of 0.
    """
    if ttl <= 0:
        raise ValueError(f"ttl must be a number of seconds above 0, not {ttl!r}")
    if stale < 0 or stale_if_error < 0:
        raise ValueError("stale and stale_if_error must be numbers of seconds, 0 or more")
    _scope(request)["cachestorm.lasts"] = Verdict(ttl, stale, stale_if_error)
    add_tags(request, *tags)


def _scope(request: Any) -> Any:
    return request if isinstance(request, dict) else request.scope


def _address(scope: Scope) -> str:
    host = freshness.value(scope["headers"], b"host") or ":".join(
        map(str, scope.get("server") or ("",))
    )
    raw = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string", b"")
    path = (raw + (b"?" + query if query else b"")).decode("latin-1")
    return f"{scope.get('scheme', 'http')}://{host.lower()}{path}"


def _suffix(selected: tuple[tuple[str, str], ...]) -> str:
    return f" {selected!r}" if selected else ""


def _reader(receive: Receive, is_mine: bool) -> Receive:
    """What an application reads for a request that has no client of its own: no body."""
    if is_mine:
        return receive

    async def nothing() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    return nothing
