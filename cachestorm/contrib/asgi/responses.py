"""Responses as they are stored, and how one is taken from a running application."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from cachestorm.contrib.asgi import freshness
from cachestorm.contrib.asgi.freshness import Headers, Verdict

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

# what a packed response begins with
MARK = b"cachestorm response 1\n"
# what a 304 repeats of the response that it stands for (RFC 9110, 15.4.5)
OF_304 = frozenset(
    b"age cache-control cache-status content-location date etag expires vary".split()
)

# what a 304 must not say, or need not, since it has no body
OF_BODY = frozenset([b"content-length", b"content-type", b"content-encoding"])


@dataclass(frozen=True)
class Stored:
    """A complete response.

    Attributes:
        status, headers, body: as the application sent them, and an ETag.
        tags: what it can be invalidated by.
        lasts: how long it may be used.
        since: when it was made, by the clock of the cache, in seconds.
        selected_by: the request's headers that it depends on, with what they were.
    """

    status: int
    headers: RawHeaders
    body: bytes
    tags: tuple[str, ...]
    lasts: Verdict
    since: float
    selected_by: tuple[tuple[str, str], ...]

    def is_for(self, request: Headers) -> bool:
        """Whether it may answer a request with these headers (RFC 9111, 4.1)."""
        return self.selected_by == selection(self.vary, request)

    @property
    def vary(self) -> tuple[str, ...]:
        """The names of the request's headers that it depends on."""
        return tuple(name for name, _ in self.selected_by)

    def packed(self) -> bytes:
        """The response as a server keeps it: what is not the body as JSON, and the body."""
        facts = {
            "status": self.status,
            "headers": [
                [name.decode("latin-1"), text.decode("latin-1")] for name, text in self.headers
            ],
            "tags": self.tags,
            "lasts": [self.lasts.fresh, self.lasts.stale, self.lasts.stale_if_error],
            "since": self.since,
            "selected_by": self.selected_by,
        }
        return MARK + json.dumps(facts).encode() + b"\n" + self.body

    @classmethod
    def unpacked(cls, raw: bytes) -> Stored:
        """The response again.

        Raises:
            ValueError: for what is none.
        """
        header, _, body = raw.removeprefix(MARK).partition(b"\n")
        try:
            facts = json.loads(header)
            return cls(
                facts["status"],
                [
                    (name.encode("latin-1"), text.encode("latin-1"))
                    for name, text in facts["headers"]
                ],
                body,
                tuple(facts["tags"]),
                Verdict(*facts["lasts"]),
                facts["since"],
                tuple((name, text) for name, text in facts["selected_by"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a stored response: {error}") from error

    async def send(self, scope: Scope, send: Send, age: float, note: str) -> None:
        """Answers a request, by 304 if the client has it already."""
        request = scope["headers"]
        headers = [
            *((name, text) for name, text in self.headers if name not in (b"age",)),
            (b"age", b"%d" % max(0, int(age) + freshness.age_of(self.headers))),
            (b"cache-status", note.encode("latin-1")),
        ]
        status, body = self.status, self.body
        if status == 200 and freshness.is_known(request, self.headers):
            status, body = 304, b""
            headers = [pair for pair in headers if pair[0] in OF_304]
        elif scope["method"] == "HEAD":
            body = b""
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body})


def opened(kept: object) -> Stored | None:
    """The response that is kept; None for none, and for what is something else."""
    if isinstance(kept, bytes) and kept.startswith(MARK):
        try:
            return Stored.unpacked(kept)
        except ValueError:
            # by another version: it is made anew
            return None
    return kept if isinstance(kept, Stored) else None


def selection(names: tuple[str, ...], request: Headers) -> tuple[tuple[str, str], ...]:
    """What a request has in some of its headers."""
    return tuple(
        (name, ", ".join(freshness.values(request, name.encode("latin-1")))) for name in names
    )


@dataclass(frozen=True)
class Terms:
    """On what terms responses are stored.

    Attributes:
        max_body: bytes; what is larger passes through.
        tag_headers: whose values are tags; they are not sent on.
        now: the clock of the cache, in seconds.
    """

    max_body: int
    tag_headers: tuple[bytes, ...]
    now: Callable[[], float]


class Failed(Exception):
    """The application answered with an error for which a stale response may stand."""


class Abandoned(Exception):
    """The application has ended without a whole response: its client has left."""


@dataclass(frozen=True)
class Client:
    """Who is waiting for a response: the server's two functions, and the request's headers."""

    receive: Receive
    send: Send
    headers: Headers


class Capture:
    """Takes the response from a running application, or lets it through.

    It passes through from the first byte if it may not be stored, and from the byte at which
    it is found too large. Until then it is kept back.

    Args:
        client: None if there is none: nothing passes through, and the application is told that
            the client has left as soon as it is known that the response is of no use.
        holds_failures: whether a failure of the application is an error, and no response.

    Attributes:
        decided: done as soon as it is known: with a `Stored`, or None if it passes through.
        status, vary: of the response; 0 and nothing before it begins.
    """

    def __init__(
        self, scope: Scope, client: Client | None, terms: Terms, holds_failures: bool
    ) -> None:
        self.decided: asyncio.Future[Stored | None] = asyncio.get_running_loop().create_future()
        self._holds_failures = holds_failures
        self._is_dropped = False
        self.status = 0
        self.vary: tuple[str, ...] = ()
        self._scope = scope
        self._client = client
        self._is_asked = False
        self._has_left = False
        self._terms = terms
        self._start: Message = {}
        self._body = bytearray()
        self._lasts: Verdict | None = None
        self._passes = False

    async def run(self, app: App) -> None:
        """Runs the application to its end; its error is the decision, if there is none yet."""
        try:
            await app(self._scope, self._receive, self.take)
        except asyncio.CancelledError:
            self.decided.cancel()
            raise
        except Exception as error:
            if self.decided.done() and not (self._client is None and self._has_left):
                raise
            self._ended_by(error)
        else:
            self._ended_by(RuntimeError("the application sent no whole response"))

    def _ended_by(self, error: Exception) -> None:
        if not self.decided.done():
            self.decided.set_exception(Abandoned(error) if self._has_left else error)

    async def _receive(self) -> Message:
        """The `receive` that the application gets: without a client there is no body."""
        if self._client is not None:
            message = await self._client.receive()
            self._has_left = self._has_left or message["type"] == "http.disconnect"
            return message
        if not self._is_asked:
            self._is_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.wait([self.decided])
        self._has_left = True
        return {"type": "http.disconnect"}

    async def take(self, message: Message) -> None:
        """The `send` that the application gets."""
        if self._is_dropped:
            return
        if self._passes:
            await self._let_through(message)
        elif message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] == "http.response.body":
            await self._go_on(message)
        else:
            # trailers, pushes: nothing that could be stored
            await self._pass()
            await self._let_through(message)

    async def _begin(self, message: Message) -> None:
        headers = [(bytes(name).lower(), bytes(text)) for name, text in message["headers"]]
        status = self.status = message["status"]
        self.vary = tuple(name for name in freshness.vary_of(headers) if name != "*")
        if self._holds_failures and status in freshness.FAILURES:
            self._is_dropped = True
            self.decided.set_exception(Failed(status))
            return
        self._start = {**message, "headers": headers}
        given = self._scope.get("cachestorm.lasts")
        self._lasts = freshness.verdict(self._scope["headers"], status, headers, given)
        if self._lasts is None:
            await self._pass()

    async def _go_on(self, message: Message) -> None:
        self._body += message.get("body", b"")
        if len(self._body) > self._terms.max_body:
            await self._pass()
        elif not message.get("more_body", False):
            self.decided.set_result(self._stored())
            self._is_dropped = True
        if self._passes and not self._is_dropped:
            body = {"type": "http.response.body", "body": bytes(self._body)}
            self._body.clear()
            await self._let_through({**body, "more_body": message.get("more_body", False)})

    async def _pass(self) -> None:
        """From here on all goes to the client."""
        self._passes = True
        if not self.decided.done():
            self.decided.set_result(None)
        if not self._start:
            return
        headers = self._without_tags(self._start["headers"])
        headers.append((b"cache-status", b"CacheStorm; fwd=miss"))
        if self._is_known(headers):
            self._is_dropped = True
            headers = [pair for pair in headers if pair[0] not in OF_BODY]
            await self._let_through({**self._start, "status": 304, "headers": headers})
            await self._let_through({"type": "http.response.body", "body": b""})
        else:
            await self._let_through({**self._start, "headers": headers})

    def _is_known(self, headers: RawHeaders) -> bool:
        client = self._client
        return (
            client is not None
            and self.status == 200
            and freshness.is_known(client.headers, headers)
        )

    async def _let_through(self, message: Message) -> None:
        if self._client is not None:
            await self._client.send(message)
        elif message.get("more_body", False):
            self._has_left = True
            raise OSError("nobody waits for the rest of this response")

    def _without_tags(self, headers: RawHeaders) -> RawHeaders:
        return [pair for pair in headers if pair[0] not in self._terms.tag_headers]

    def _stored(self) -> Stored:
        given: RawHeaders = self._start["headers"]
        named = (text for name in self._terms.tag_headers for text in _words(given, name))
        tags = dict.fromkeys([*named, *self._scope.get("cachestorm.tags", ())])
        headers = self._without_tags(given)
        body = bytes(self._body)
        status = self._start["status"]
        if status == 200 and freshness.value(headers, b"etag") is None:
            headers.append((b"etag", b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()))
        assert self._lasts is not None
        return Stored(
            status,
            headers,
            body,
            tuple(tags),
            self._lasts,
            self._terms.now(),
            selection(freshness.vary_of(headers), self._scope["headers"]),
        )


def _words(headers: Headers, name: bytes) -> list[str]:
    return ",".join(freshness.values(headers, name)).replace(",", " ").split()
