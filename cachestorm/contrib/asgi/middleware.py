"""The middleware: who is answered from the cache, and what is loaded, kept and invalidated.

1. Only GET and HEAD are answered; what a response says in Cache-Control, Expires and Vary
   decides whether it is stored, or what the application gives by `cache_for`.
2. All who ask for one thing at once share one run of the application, if its response may be
   shared; if not, each gets a run of his own, and those who come later do not wait. Nor does
   anybody fail because the client, for whom the application ran, has left.
3. A response that is invalidated while it is made is not stored: `loading` sees to that.
4. POST, PUT, PATCH and DELETE that succeed invalidate what is stored for their address, and for
   the addresses in Location and Content-Location on the same host.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from cachestorm.cache import Cache
from cachestorm.cache_like import CacheLike
from cachestorm.contrib.asgi import freshness
from cachestorm.contrib.asgi.freshness import Headers, Verdict
from cachestorm.contrib.asgi.responses import (
    Abandoned,
    App,
    Capture,
    Client,
    Failed,
    Message,
    Receive,
    Scope,
    Send,
    Stored,
    Terms,
    opened,
    selection,
)
from cachestorm.errors import ConfigError
from cachestorm.loading import LoadContext
from cachestorm.markers import MISSING

NAME = "CacheStorm"
# what follows an address where it is kept which headers its responses vary on
VARY = " vary"
# what follows a key for which a response could not be shared: those who are logged in are told
# apart, since for them less may be
PASSED = " passed"
PASSED_LOGGED_IN = " passed, logged in"
# for how long nobody waits for a response that could not be shared
PASSED_S = 10
# bytes; the address is a tag, which cannot be longer
LONGEST_NAME = 1024
# what the middleware answers itself, from a whole response
CONDITIONS = frozenset([b"if-none-match", b"if-modified-since"])
SAFE = frozenset(["GET", "HEAD", "OPTIONS", "TRACE"])


class CacheMiddleware:
    """A shared HTTP cache in front of an application.

    Args:
        app: the application.
        cache: where responses are kept, among whatever else is there: a `Cache`, or what
            `cachestorm.connect` gives, on a server that knows tags.
        max_body: bytes; larger responses pass through.
        tag_headers: headers of the response whose words are tags; they are not sent on.
        prefix: what the keys begin with.
        max_stale: seconds for which stale responses are kept at most, whatever they say.

    Raises:
        ConfigError: for what is no cache.
    """

    def __init__(
        self,
        app: App,
        cache: CacheLike[Any],
        *,
        max_body: int = 1_048_576,
        tag_headers: Iterable[str] = ("surrogate-key", "cache-tag"),
        prefix: str = "http:",
        max_stale: float = 86_400,
    ) -> None:
        if not isinstance(cache, CacheLike):
            raise ConfigError(
                "CacheMiddleware keeps responses in a cache, such as Cache(max_memory='256mb') "
                f"or connect('redis://host:6380'), not in a {type(cache).__name__}"
            )
        self._app = app
        self._cache = cache
        self._aio = cache.aio
        # values of a server travel as bytes
        self._packs = not isinstance(cache, Cache)
        self._prefix = prefix
        self._max_stale = max_stale
        names = tuple(name.lower().encode("latin-1") for name in tag_headers)
        self._terms = Terms(max_body, names, self._now)

    def _now(self) -> float:
        if isinstance(self._cache, Cache):
            return self._cache._store.clock.now_ms() / 1000
        return time.time()

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
            and freshness.seconds(asked, "max-age") != 0
            and freshness.value(headers, b"range") is None
        )

    def _name(self, address: str) -> str:
        """What the responses of an address are kept by, and invalidated."""
        name = self._prefix + address
        raw = name.encode()
        return (
            name if len(raw) <= LONGEST_NAME else self._prefix + hashlib.sha256(raw).hexdigest()
        )

    # -- reading

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = self._name(_address(scope))
        vary = tuple(await self._aio.get(address + VARY, ()))
        request = scope["headers"]
        key = address + _suffix(selection(vary, request))
        asked = freshness.directives(request)
        found = opened(await self._aio.get(key))
        if found is None and vary:
            # the first response was made before it was known what it depends on
            found = opened(await self._aio.get(address))
        if found is not None and found.is_for(request):
            age = self._now() - found.since
            longest = freshness.seconds(asked, "max-age")
            if longest is not None and age > longest:
                await self._app(scope, receive, send)
            else:
                await found.send(scope, send, age, self._hit(found, age))
        elif "only-if-cached" in asked:
            await send({"type": "http.response.start", "status": 504, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        elif await self._aio.exists(key + _passed(request)):
            await self._app(scope, receive, send)
        else:
            await self._load(scope, receive, send, address, key)

    @staticmethod
    def _hit(found: Stored, age: float) -> str:
        return f"{NAME}; hit; ttl={math.ceil(found.lasts.fresh - age)}"

    async def _load(
        self, scope: Scope, receive: Receive, send: Send, address: str, key: str
    ) -> None:
        caller = asyncio.current_task()
        request = scope["headers"]
        own: list[asyncio.Task[None]] = []
        made: list[Stored | bytes] = []

        async def load(context: LoadContext) -> Stored | bytes | None:
            # A GET is stored, and answers HEAD as well. A reload in the background has no
            # client: whoever asked has a stale response.
            is_asked_here = asyncio.current_task() is caller
            is_mine = is_asked_here and scope["method"] == "GET"
            whole = [pair for pair in request if pair[0] not in CONDITIONS]
            of_app = {**scope, "method": "GET", "headers": whole, "cachestorm.tags": []}
            of_app.pop("cachestorm.lasts", None)
            holds = context.stale_value is not MISSING
            client = Client(receive, send, request) if is_mine else None
            capture = Capture(of_app, client, self._terms, holds)
            task = asyncio.create_task(capture.run(self._app))
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
                    await self._pass_others(address, request, capture.vary)
                return None
            kept = stored.packed() if self._packs else stored
            if is_asked_here:
                made.append(kept)
            lasts = stored.lasts
            context.ttl = lasts.fresh
            context.limit_stale(lasts.stale, lasts.stale_if_error)
            context.add_tags(*stored.tags, address)
            longest = lasts.fresh + max(lasts.stale, lasts.stale_if_error)
            await self._aio.set(address + VARY, stored.vary, longest)
            return kept

        span = self._max_stale
        given: Stored | bytes | None
        try:
            given = await self._cache.aget_or_set(
                key, load, propagate=False, stale=span, stale_if_error=span
            )
        except Failed:
            # there was no stale response after all
            given = None
            own.clear()
        except Abandoned as left:
            # nobody else fails for that
            given = None
            if own:
                raise left.args[0] from None
        stored = opened(given)
        if stored is not None and stored.is_for(request):
            age = self._now() - stored.since
            is_new = any(given is each for each in made)
            note = f"{NAME}; fwd=miss; stored" if is_new else self._hit(stored, age)
            await stored.send(scope, send, age, note)
        elif not own:
            await self._app(scope, receive, send)
        if own:
            # what passes through takes as long as it takes; and after a response there may be
            # work in the background
            await own[0]

    async def _pass_others(self, address: str, request: Headers, vary: tuple[str, ...]) -> None:
        """For a while nobody waits for what depends on the same as this response."""
        await self._aio.add(address + VARY, vary, PASSED_S)
        known = tuple(await self._aio.get(address + VARY, ()))
        key = address + _suffix(selection(known, request))
        await self._aio.set(key + _passed(request), True, PASSED_S)

    # -- writing

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watching(message: Message) -> None:
            if message["type"] == "http.response.start" and 200 <= message["status"] < 400:
                await self._invalidate(scope, message)
            await send(message)

        await self._app(scope, receive, watching)

    async def _invalidate(self, scope: Scope, message: Message) -> None:
        headers = [(bytes(name).lower(), text) for name, text in message["headers"]]
        own = _address(scope)
        addresses = {own}
        for name in (b"location", b"content-location"):
            for place in freshness.values(headers, name):
                try:
                    other = urljoin(own, place)
                    is_here = urlsplit(other).netloc == urlsplit(own).netloc
                except ValueError:
                    # no address: the client's matter, not that of who sends the response
                    continue
                if is_here:
                    addresses.add(other)
        await self._aio.invalidate(*map(self._name, addresses))


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
    # a client may write anything into Host: it must not become a part of the path
    return f"{scope.get('scheme', 'http')}://{quote(host.lower(), safe=':[]')}{path}"


def _suffix(selected: tuple[tuple[str, str], ...]) -> str:
    return f" {selected!r}" if selected else ""


def _passed(request: Headers) -> str:
    is_logged_in = freshness.value(request, b"authorization") is not None
    return PASSED_LOGGED_IN if is_logged_in else PASSED
