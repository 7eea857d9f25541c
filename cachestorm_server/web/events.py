"""Events: what happens in a cache, as a stream that browsers and curl can follow.

    GET /v1/events?kinds=invalidations,evictions,stats

Called by the endpoint; listens to the cache while somebody follows, and a while longer, so that
who comes back with `Last-Event-ID` misses nothing.

1. While nobody follows, no write pays anything.
2. The last `KEPT` events are kept. Who is too slow, or was away for too long, is told by an
   event `lost` how many it has missed.
3. An identifier names the process, since another one counts anew.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import suppress
from typing import Final

from aiohttp import web

from cachestorm.declare.wire_values import to_json
from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm.events import EVICTED, TAG_EVENTS, Effect, is_invalidation
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.web import reports
from cachestorm_server.web.commands import Commands
from cachestorm_server.web.overview import IN_QUERY
from cachestorm_server.web.routes import INTEGER, Call, Parameter, Route, serves

KEPT: Final = 4096
MOST_FOLLOWERS: Final = 100
# for so long events are kept for nobody
LINGER_S: Final = 60.0
BEAT_S: Final = 15.0
# how many are written at once
_AT_ONCE: Final = 256

INVALIDATIONS: Final = "invalidations"
EVICTIONS: Final = "evictions"
STATS: Final = "stats"
KINDS: Final = (INVALIDATIONS, EVICTIONS, STATS)


class TooManyFollowersError(CacheStormError):
    """As many follow as may."""

    http_status = 503


class Event:
    """One event: a number, a kind and what it tells."""

    __slots__ = ("data", "kind", "namespace", "number")

    def __init__(self, number: int, kind: str, namespace: str, data: str) -> None:
        self.number = number
        self.kind = kind
        self.namespace = namespace
        self.data = data


class Events:
    """Serves all who follow."""

    def __init__(self, endpoint: Endpoint, commands: Commands) -> None:
        self._endpoint: Final = endpoint
        self._commands: Final = commands
        self._process: Final = endpoint.run_id[:8]
        self._kept: Final[deque[Event]] = deque(maxlen=KEPT)
        self._latest = 0
        self._followers: Final[set[asyncio.Event]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_listening = False
        self._is_waking = False
        self._is_closed = False
        self._lingering: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Ends all streams, and listens no more."""
        self._is_closed = True
        for follower in self._followers:
            follower.set()
        self._stop_listening()

    @serves(
        Route(
            "GET",
            "/v1/events",
            "Streams invalidations, evictions and statistics.",
            "events",
            (
                Parameter("kinds", f"Some of {', '.join(KINDS)}, separated by commas."),
                IN_QUERY,
                Parameter(
                    "every", "Seconds between statistics.", INTEGER, least=1, most=60, default=2
                ),
                Parameter("Last-Event-ID", "Go on after this one.", header=True),
            ),
            {200: "Server-sent events."},
            media="text/event-stream",
        )
    )
    async def follow(self, call: Call) -> web.StreamResponse:
        """Streams until the client goes, or the server stops."""
        kinds = _kinds_of(call.query.text("kinds"))
        namespace = call.query.text("namespace")
        if len(self._followers) >= MOST_FOLLOWERS:
            raise TooManyFollowersError(f"{MOST_FOLLOWERS} clients follow events already")
        place, lost = self._place_after(call.query.text("Last-Event-ID"))
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                # nginx would keep them back
                "X-Accel-Buffering": "no",
                **call.headers,
            }
        )
        if call.request.method == "HEAD":
            return response
        news = asyncio.Event()
        self._followers.add(news)
        self._listen()
        try:
            await response.prepare(call.request)
            await response.write(b"retry: 2000\n\n")
            if lost:
                await response.write(_block("lost", {"events": lost}))
            with suppress(ConnectionError):
                await self._stream(response, news, kinds, namespace, place, call)
        finally:
            self._followers.discard(news)
            if not self._followers and not self._is_closed:
                loop = asyncio.get_running_loop()
                self._lingering = loop.call_later(LINGER_S, self._stop_listening)
        return response

    async def _stream(
        self,
        response: web.StreamResponse,
        news: asyncio.Event,
        kinds: tuple[str, ...],
        namespace: str | None,
        place: int,
        call: Call,
    ) -> None:
        loop = asyncio.get_running_loop()
        tells_stats = STATS in kinds
        every_s = float(call.query.number("every")) if tells_stats else BEAT_S
        due = loop.time() if tells_stats else loop.time() + every_s
        while not self._is_closed:
            news.clear()
            fresh, lost = self._since(place)
            if lost:
                await response.write(_block("lost", {"events": lost}))
            for start in range(0, len(fresh), _AT_ONCE):
                wanted = [
                    self._spelled(event)
                    for event in fresh[start : start + _AT_ONCE]
                    if event.kind in kinds and namespace in (None, event.namespace)
                ]
                if wanted:
                    await response.write(b"".join(wanted))
            if fresh:
                place = fresh[-1].number
            if loop.time() >= due:
                due = loop.time() + every_s
                if tells_stats:
                    report = reports.stats_report(self._endpoint, self._commands.json.commands)
                    await response.write(_block(STATS, report))
                else:
                    await response.write(b": still here\n\n")
            with suppress(TimeoutError):
                async with asyncio.timeout(max(due - loop.time(), 0.001)):
                    await news.wait()

    def _since(self, place: int) -> tuple[list[Event], int]:
        """What has come after an event, and how many have been dropped."""
        if self._latest == place:
            return [], 0
        kept = list(self._kept.copy())
        first = kept[0].number if kept else self._latest + 1
        fresh = kept[max(place + 1 - first, 0) :]
        return fresh, max(first - place - 1, 0)

    def _place_after(self, told: str | None) -> tuple[int, int]:
        """After which event a client begins, and how many it has missed for good.

        Raises:
            ArgumentError: for what is no identifier.
        """
        if not told:
            return self._latest, 0
        process, _, number = told.partition("-")
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise ArgumentError("Last-Event-ID is the id of an event")
        if process != self._process:
            return self._latest, 1
        return min(int(number), self._latest), 0

    def _spelled(self, event: Event) -> bytes:
        name = f"id: {self._process}-{event.number}\nevent: {event.kind}\n"
        return f"{name}data: {event.data}\n\n".encode()

    # -- listening

    def _listen(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        self._loop = asyncio.get_running_loop()
        if not self._is_listening:
            self._is_listening = True
            self._endpoint.cache.listen(self._take, TAG_EVENTS | EVICTED)

    def _stop_listening(self) -> None:
        if self._is_listening:
            self._is_listening = False
            self._endpoint.cache.unlisten(self._take)

    def _take(self, effect: Effect) -> None:
        """Keeps an effect. Called by whichever thread has written, one at a time."""
        if effect.interest == EVICTED:
            kind, data = EVICTIONS, {"key": to_json(effect.key)}
        elif is_invalidation(effect):
            kind = INVALIDATIONS
            data = {"tag": to_json(effect.key), "soft": effect.event == "softened"}
        else:
            return
        document = {"namespace": effect.namespace, **data}
        number = self._latest + 1
        self._kept.append(Event(number, kind, effect.namespace, _json(document)))
        # after it is there: the loop looks at any moment
        self._latest = number
        if not self._is_waking and self._loop is not None:
            self._is_waking = True
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._is_waking = False
        for follower in self._followers:
            follower.set()


def _kinds_of(text: str | None) -> tuple[str, ...]:
    if text is None:
        return KINDS
    kinds = tuple(text.split(","))
    for kind in kinds:
        if kind not in KINDS:
            raise ArgumentError(f"kinds are some of {', '.join(KINDS)}, separated by commas")
    return kinds


def _json(document: object) -> str:
    # ASCII, so that no separator of lines is in it
    return json.dumps(document, separators=(",", ":"))


def _block(kind: str, document: object) -> bytes:
    return f"event: {kind}\ndata: {_json(document)}\n\n".encode()
