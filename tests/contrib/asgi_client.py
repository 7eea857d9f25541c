"""An ASGI application that says what it is told to, and a client that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from cachestorm import Cache, ManualClock
from cachestorm.contrib.asgi import CacheMiddleware

Pairs = list[tuple[str, str]]


@dataclass
class Reply:
    """What a client has received."""

    status: int
    headers: Pairs
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        return next((text for key, text in self.headers if key == name), None)


@dataclass
class Origin:
    """An application that counts how often it is asked."""

    headers: Pairs = field(default_factory=lambda: [("cache-control", "max-age=60")])
    status: int = 200
    body: Callable[[dict[str, Any]], bytes] | None = None
    asked: list[str] = field(default_factory=list)
    before: Callable[[dict[str, Any]], Awaitable[None]] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.asked.append(scope["method"])
        number = len(self.asked)
        if self.before is not None:
            await self.before(scope)
        headers = [(name.encode(), text.encode()) for name, text in self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = b"page %d" % number if self.body is None else self.body(scope)
        await send({"type": "http.response.body", "body": body})


class Site:
    """An application behind the middleware, with a clock of its own."""

    def __init__(self, origin: Any = None, **options: Any) -> None:
        self.clock = ManualClock()
        self.cache: Cache[Any] = Cache(clock=self.clock)
        self.origin = origin or Origin()
        self.app = CacheMiddleware(self.origin, self.cache, **options)

    async def ask(self, path: str = "/", method: str = "GET", **headers: str) -> Reply:
        """The reply to a request; `_` in a header's name stands for `-`."""
        path, _, query = path.partition("?")
        pairs = [(b"host", b"site.test")]
        pairs += [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]
        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": pairs,
        }
        reply = Reply(0, [], b"")

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = [(n.decode(), v.decode()) for n, v in message["headers"]]
            else:
                reply.body += message.get("body", b"")

        await self.app(scope, receive, send)
        return reply


async def settled() -> None:
    """Lets what runs in the background come to its end."""
    for _turn in range(50):
        await asyncio.sleep(0)
