"""The HTTP server: sockets, and what happens to each request in turn.

Made by the application; calls aiohttp, and for each request `Access`, then the handler of its
route. One server belongs to one running loop.

1. Every refusal is a problem of RFC 9457, whatever was asked for.
2. What a command would wait for, such as the end of CLIENT PAUSE, a path waits for too.
3. A POST is JSON by its Content-Type, which a page of another origin may not send unasked.
   A page may that is of one of `cors_origins`; by default of none.
4. No GET changes anything.
5. Clients are as many as may be, and none is waited for that asks nothing: see wire.py.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from types import MappingProxyType
from typing import Final

from aiohttp import web

from cachestorm.errors import CacheStormError, ConfigError
from cachestorm.plugins import routes as plugins
from cachestorm_server.acl.users import WrongPasswordError
from cachestorm_server.admission import NotAuthenticatedError
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.handshakes import AdmittingContext
from cachestorm_server.listening import bound_sockets
from cachestorm_server.metrics import CONTENT_TYPE, Metrics, MetricsSettings
from cachestorm_server.request_watching import RequestWatcher
from cachestorm_server.settings import HTTP_PATHS
from cachestorm_server.turns import end_of
from cachestorm_server.web import permissions
from cachestorm_server.web.access import Access
from cachestorm_server.web.administration import Administration
from cachestorm_server.web.commands import Commands
from cachestorm_server.web.entries import Entries
from cachestorm_server.web.events import Events
from cachestorm_server.web.loop_lag import LoopLag
from cachestorm_server.web.origins import Origins
from cachestorm_server.web.overview import Overview
from cachestorm_server.web.pages import Pages
from cachestorm_server.web.plugin_routes import add_route
from cachestorm_server.web.routes import Call, Route, Routes, declared_by, read_query
from cachestorm_server.web.tags import Tags
from cachestorm_server.web.wire import (
    HttpError,
    JsonServer,
    Listener,
    client_of,
    problem,
    refuse_expectations,
)

GRACE_S: Final = 2.0
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

_log = logging.getLogger("cachestorm.http")


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How one HTTP endpoint behaves.

    Attributes:
        port: 0: any free one.
        max_body_bytes: the largest request.
        hosts: names that the endpoint may be called by without a password.
        cors_origins: pages of these may ask from a browser.
        metrics_path: empty: no metrics.
        tls: what HTTPS is spoken with; None: HTTP.
        sockets: that listen already, and are used instead of `bind` and `port`.
        metrics: what is shown there.
        routes: of plugins.
        watchers: told of each request.
    """

    bind: tuple[str, ...] = ("127.0.0.1",)
    port: int = 9090
    max_body_bytes: int = 16 * 1024 * 1024
    hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    metrics_path: str = "/metrics"
    tls: SSLContext | None = None
    sockets: tuple[socket.socket, ...] = ()
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    routes: tuple[tuple[str, plugins.Route], ...] = ()
    watchers: tuple[RequestWatcher, ...] = ()


class HttpServer:
    """Serves the cache of a RESP endpoint over HTTP.

    Args:
        endpoint: whose cache, registry, password and counters it shows.
        settings: see there.

    Raises:
        ConfigError: when the path of the metrics is one of the endpoint's own.
    """

    def __init__(self, endpoint: Endpoint, settings: HttpSettings | None = None) -> None:
        self.settings: Final = settings or HttpSettings()
        self._endpoint: Final = endpoint
        self._access: Final = Access(endpoint, self.settings.bind, self.settings.hosts)
        self._origins: Final = Origins(self.settings.cors_origins)
        self._commands: Final = Commands(endpoint, self.settings.max_body_bytes)
        self._lag: Final = LoopLag()
        self._metrics: Final = Metrics(
            endpoint,
            self.settings.metrics,
            lambda: self._commands.json.commands,
            self._lag.most_s,
        )
        self._events: Final = Events(endpoint, self._commands)
        self._routes: Final = self._collected()
        self._runner: web.ServerRunner | None = None
        self._port = self.settings.port

    @property
    def port(self) -> int:
        """The TCP port; the real one once started on port 0."""
        return self._port

    async def start(self) -> None:
        """Listens.

        Raises:
            OSError: when an address cannot be bound; nothing is left open.
        """
        # a call less for each request of all who let no origin in
        serve = self._serve if self._origins else self._answer
        if self.settings.watchers:
            serve = self._serve_watched
        server = JsonServer(serve, self.settings.max_body_bytes, self._endpoint)
        runner = web.ServerRunner(server, shutdown_timeout=GRACE_S)
        await runner.setup()
        try:
            tls = self.settings.tls
            if tls is not None:
                endpoint = self._endpoint
                tls = AdmittingContext.of(tls, endpoint.http_handshakes, endpoint.admit_http)
            inherited = list(self.settings.sockets)
            for bound in inherited or await bound_sockets(self.settings.bind, self._port):
                await Listener(runner, bound, ssl_context=tls).start()
            self._port = runner.addresses[0][1]
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self._lag.begin()
        _log.debug("HTTP on %s port %d", ", ".join(self.settings.bind), self._port)

    async def stop(self) -> None:
        """Stops listening; answers under way have a moment to finish."""
        self._events.close()
        self._lag.end()
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
        self._commands.close()

    async def __aenter__(self) -> HttpServer:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def _collected(self) -> Routes:
        """The routes of all parts."""
        routes = Routes()
        parts: list[object] = [
            self._commands,
            Overview(self._endpoint),
            Entries(self._endpoint, self._commands, self.settings.max_body_bytes),
            Tags(self._endpoint, self._commands),
            Administration(self._endpoint, self._commands),
            self._events,
            Pages(self._endpoint.registry, lambda: self._routes.all),
        ]
        for part in parts:
            for route, handler in declared_by(part):
                routes.add(route, handler)
        metrics_path = self.settings.metrics_path
        if metrics_path in HTTP_PATHS:
            raise ConfigError(
                f"plugins.metrics.path: {metrics_path} is taken by the HTTP endpoint"
            )
        for plugin_route in self.settings.routes:
            add_route(routes, plugin_route, self.settings.max_body_bytes)
        if metrics_path:
            summary = "Counters for Prometheus."
            route = Route(
                "GET", metrics_path, summary, "overview", media="text/plain", needs="INFO"
            )
            routes.add(route, self._show_metrics)
        return routes

    async def _serve_watched(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers a request, of which others are told."""
        methods, _ = self._routes.find(request.rel_url.raw_path)
        found = methods.get("GET" if request.method == "HEAD" else request.method)
        route = "" if found is None else found[0].path
        begun = [
            (each, each.begin(request.method, route, request.headers, request.remote or ""))
            for each in self.settings.watchers
        ]
        status: int | None = None
        try:
            response = await self._serve(request)
            status = response.status
            return response
        finally:
            for watcher, what in reversed(begun):
                watcher.end(what, status)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers a request, and says which origins may see that."""
        allowed = self._origins.headers(request)
        response = await self._answer(request, allowed)
        if allowed and not response.prepared:
            response.headers.update(allowed)
        return response

    async def _answer(
        self, request: web.BaseRequest, allowed: Mapping[str, str] = _NOTHING
    ) -> web.StreamResponse:
        """Lets a request in, and turns whatever goes wrong into a problem."""
        endpoint = self._endpoint
        try:
            methods, segments = self._routes.find(request.rel_url.raw_path)
            method = request.method
            if method == "OPTIONS":
                preflight = self._origins.preflight(request, methods)
                if preflight is not None:
                    return preflight
            found = methods.get("GET" if method == "HEAD" else method)
            client = client_of(request)
            visitor = self._access.admit(
                request, client, found is not None and found[0].is_open
            )
            # for what handlers run as commands
            client.visitor = visitor
            refuse_expectations(request)
            if not methods:
                raise HttpError(404, f"Not Found: {request.method} {request.path}")
            if found is None:
                refused = HttpError(405, f"Method Not Allowed: {request.method} {request.path}")
                names = [*methods, "HEAD"] if "GET" in methods else list(methods)
                return problem(refused.status, refused, {"Allow": ", ".join(sorted(names))})
            route, handler = found
            call = Call(request, segments, read_query(request, route.parameters), allowed)
            if not visitor.user.is_free:
                permissions.check(endpoint, visitor, route, call)
            if endpoint.cluster is not None and route.acts_as:
                permissions.check_place(endpoint.cluster.router, endpoint, call)
            if (endpoint.pause.is_on or endpoint.availability.is_limited) and route.acts_as:
                plan = endpoint.registry.resolve([route.acts_as])
                endpoint.availability.check(plan)
                while endpoint.pause.holds(plan):
                    await end_of(endpoint.pause)
                    # in a cluster another node may have taken over meanwhile
                    if endpoint.cluster is not None:
                        permissions.check_place(endpoint.cluster.router, endpoint, call)
                    endpoint.availability.check(plan)
            return await handler(call)
        except HttpError as error:
            return problem(error.status, error)
        except (NotAuthenticatedError, WrongPasswordError) as error:
            endpoint.wrong_passwords += 1
            endpoint.last_guesser = request.remote or ""
            challenge = {"WWW-Authenticate": 'Bearer realm="cachestorm"'}
            return problem(error.http_status, error, challenge)
        except CacheStormError as error:
            return problem(error.http_status, error)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return problem(500, CacheStormError("internal error"))

    async def _show_metrics(self, call: Call) -> web.Response:
        body = await self._metrics.exposition()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})
