"""The HTTP endpoint: commands as JSON, six admin paths, and who may come in.

Called by the application; calls aiohttp, and for commands `json_commands`. One server
belongs to one running loop.

    POST /v1/commands   one command, a pipeline or a transaction, see `json_commands`
    GET  /health        that it is up; always open, so that a probe needs no password
    GET  /info          version, uptime, keys, memory
    GET  /keys          names, a page at a time: ?limit= &cursor= &match= &namespace=
    GET  /tags          names and counts, likewise
    GET  /memory        what the cache is charged at
    GET  /metrics       counters for Prometheus

1. Every answer but the metrics is JSON, refusals too: `{"error": {"code", "message"}}`.
2. With a password, all but /health ask for `Authorization: Bearer <password>`.
3. Without one, in protected mode, only this host is let in, and only by a name that no
   page of a browser can have been loaded from: an address, localhost, or one of `hosts`.
4. A POST is JSON by its Content-Type, which a page of another origin may not send unasked.
5. No GET changes anything.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from ssl import SSLContext
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from librt.time import time as wall_time

from cachestorm import COMPILED, __version__
from cachestorm.cache import Cache
from cachestorm.codec import bytes_of
from cachestorm.declare.wire_values import to_json
from cachestorm.errors import ArgumentError, CacheStormError, ConfigError, NamespaceError
from cachestorm.keyspace.store import rss_bytes
from cachestorm_server import metrics
from cachestorm_server.admission import NotAuthenticatedError
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.http_wire import (
    LARGEST_ANSWER,
    TURN_S,
    Handler,
    HttpError,
    JsonServer,
    body_of,
    client_of,
    dumped,
    joined,
    json_response,
    query_of,
    refusal,
    refuse_expectations,
)
from cachestorm_server.json_commands import (
    BadJsonError,
    Held,
    JsonCommands,
    Pending,
    count_values,
    error_document,
    read_document,
)
from cachestorm_server.json_transactions import WATCH_S, Batch, JsonTransactions, read_batch
from cachestorm_server.listening import BACKLOG, bound_sockets
from cachestorm_server.net import is_this_host
from cachestorm_server.settings import (
    COMMANDS_PATH,
    HEALTH_PATH,
    HTTP_PATHS,
    INFO_PATH,
    KEYS_PATH,
    MEMORY_PATH,
    TAGS_PATH,
)
from cachestorm_server.turns import end_of, next_turn

NAMESPACE_HEADER: Final = "X-CacheStorm-Namespace"

PAGE: Final = 100
LARGEST_PAGE: Final = 10_000
LONGEST_PIPELINE: Final = 10_000
GRACE_S: Final = 2.0

_log = logging.getLogger("cachestorm.http")


class DeniedError(CacheStormError):
    """A client from elsewhere, or by an unknown name, where there is no password."""

    code = "DENIED"
    http_status = 403


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How one HTTP endpoint behaves.

    Attributes:
        port: 0: any free one.
        max_body_bytes: the largest request.
        hosts: names that the endpoint may be called by without a password.
        metrics_path: empty: no metrics.
        tls: what HTTPS is spoken with; None: HTTP.
    """

    bind: tuple[str, ...] = ("127.0.0.1",)
    port: int = 9090
    max_body_bytes: int = 16 * 1024 * 1024
    hosts: tuple[str, ...] = ()
    metrics_path: str = "/metrics"
    tls: SSLContext | None = None


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
        self._commands: Final = JsonCommands(endpoint.cache, endpoint.registry, endpoint.pause)
        self._transactions: Final = JsonTransactions(endpoint.cache, self._commands)
        self._runner: web.ServerRunner | None = None
        self._port = self.settings.port
        self._handlers: Final = self._routes()

    @property
    def port(self) -> int:
        """The TCP port; the real one once started on port 0."""
        return self._port

    async def start(self) -> None:
        """Listens.

        Raises:
            OSError: when an address cannot be bound; nothing is left open.
        """
        server = JsonServer(self._serve, self.settings.max_body_bytes)
        runner = web.ServerRunner(server, shutdown_timeout=GRACE_S)
        await runner.setup()
        try:
            for bound in await bound_sockets(self.settings.bind, self._port):
                await web.SockSite(
                    runner, bound, backlog=BACKLOG, ssl_context=self.settings.tls
                ).start()
            self._port = runner.addresses[0][1]
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        _log.debug("HTTP on %s port %d", ", ".join(self.settings.bind), self._port)

    async def stop(self) -> None:
        """Stops listening; answers under way have a moment to finish."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
        self._transactions.end_all()

    async def __aenter__(self) -> HttpServer:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def _routes(self) -> dict[str, tuple[str, Handler]]:
        """What is answered: a method and who does it, by path."""
        routes: dict[str, tuple[str, Handler]] = {
            HEALTH_PATH: ("GET", self._health),
            INFO_PATH: ("GET", self._info),
            KEYS_PATH: ("GET", self._keys),
            TAGS_PATH: ("GET", self._tags),
            MEMORY_PATH: ("GET", self._memory),
            COMMANDS_PATH: ("POST", self._run),
        }
        metrics_path = self.settings.metrics_path
        if metrics_path in HTTP_PATHS:
            raise ConfigError(
                f"plugins.metrics.path: {metrics_path} is taken by the HTTP endpoint"
            )
        if metrics_path:
            routes[metrics_path] = ("GET", self._metrics)
        return routes

    # -- the guard

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Lets a request in, and turns whatever goes wrong into JSON."""
        try:
            self._admit(request)
            refuse_expectations(request)
            method, handler = self._handlers.get(request.path, ("", self._health))
            if not method:
                raise HttpError(404, f"Not Found: {request.method} {request.path}")
            if request.method != method and (request.method, method) != ("HEAD", "GET"):
                refused = HttpError(405, f"Method Not Allowed: {request.method} {request.path}")
                allowed = "GET, HEAD" if method == "GET" else method
                return refusal(refused.status, refused, Allow=allowed)
            return await handler(request)
        except HttpError as error:
            return refusal(error.status, error)
        except NotAuthenticatedError as error:
            self._endpoint.wrong_passwords += 1
            self._endpoint.last_guesser = request.remote or ""
            challenge = {"WWW-Authenticate": 'Bearer realm="cachestorm"'}
            return refusal(error.http_status, error, **challenge)
        except CacheStormError as error:
            return refusal(error.http_status, error)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return refusal(500, CacheStormError("internal error"))

    def _admit(self, request: web.BaseRequest) -> None:
        """Refuses whom the rules at the top of this file keep out.

        Raises:
            NotAuthenticatedError: for a wrong or missing password.
            DeniedError: without a password, for a client or a name from elsewhere.
        """
        if request.path == HEALTH_PATH:
            return
        access = self._endpoint.settings
        if access.password:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            given = bytes_of(token.strip()) if scheme.lower() == "bearer" else b""
            if not hmac.compare_digest(given, bytes_of(access.password)):
                raise NotAuthenticatedError()
            return
        peer = _peer_of(request)
        if access.protected_mode and not is_this_host(peer):
            raise DeniedError(
                "no password is set, so only clients of this host are let in; set "
                "plugins.auth, or server.protected_mode: false"
            )
        on_loopback = all(_is_loopback(host) for host in self.settings.bind)
        if access.protected_mode or on_loopback:
            name = request.headers.get("Host")
            if name is not None and not _is_safe_name(name, self.settings.hosts):
                raise DeniedError(
                    f"the Host header names {name!r}: without a password this endpoint is "
                    "called by an address, by localhost, or by a name in http.hosts"
                )

    # -- commands

    async def _run(self, request: web.BaseRequest) -> web.Response:
        if request.content_type != "application/json":
            raise HttpError(415, "the Content-Type of a command is application/json")
        body = await body_of(request, self.settings.max_body_bytes)
        for _ in count_values(body):
            await asyncio.sleep(0)
        document = read_document(body)
        namespace = request.headers.get(NAMESPACE_HEADER)
        if isinstance(document, list):
            return json_response(await self._pipeline(document, namespace, request))
        if isinstance(document, dict) and "commands" in document:
            return json_response(await self._batch(document, namespace, request))
        status, answer = await self._answer(document, namespace, request)
        return _json(answer, status)

    async def _batch(
        self, document: dict[str, object], namespace: str | None, request: web.BaseRequest
    ) -> bytes:
        """Runs many commands, in one step if that is asked for."""
        batch = read_batch(document, namespace)
        _check_length(batch.commands)
        token = self._transactions.watch(batch)
        if batch.is_atomic:
            answers = await joined(await self._run_batch(batch))
        else:
            answers = await self._pipeline(batch.commands, batch.namespace, request)
        if not token:
            return b'{"results":%b}' % answers
        asyncio.get_running_loop().call_later(WATCH_S, self._transactions.end_due)
        return b'{"results":%b,"watch":%b}' % (answers, dumped(token))

    async def _run_batch(self, batch: Batch) -> list[dict[str, object]]:
        """Runs commands in one step, when they are not held back any more."""
        while True:
            try:
                return self._transactions.run(batch)
            except Held:
                await end_of(self._endpoint.pause)

    async def _pipeline(
        self, commands: list[object], namespace: str | None, request: web.BaseRequest
    ) -> bytes:
        """Runs commands one after the other."""
        _check_length(commands)
        answers: list[bytes] = []
        size = 0
        turn_ends = perf_counter() + TURN_S
        for command in commands:
            if size > LARGEST_ANSWER:
                answers.append(_NOT_RUN)
                continue
            answers.append(dumped((await self._answer(command, namespace, request))[1]))
            size += len(answers[-1])
            if perf_counter() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = perf_counter() + TURN_S
        return b"[" + b",".join(answers) + b"]"

    async def _answer(
        self, command: object, namespace: str | None, request: web.BaseRequest
    ) -> tuple[int, dict[str, object]]:
        """Runs one command; other clients are served between the slices of a long one."""
        while True:
            try:
                return self._commands.answer(command, namespace)
            except Held:
                await end_of(self._endpoint.pause)
            except Pending as unfinished:
                pending = unfinished
                break
        client = client_of(request)
        client.carry(pending.long_command)
        try:
            while True:
                await next_turn(pending.long_command)
                answer = self._commands.go_on(pending)
                if answer is not None:
                    return answer
        except BaseException:
            pending.long_command.abandon()
            raise
        finally:
            client.waiting = None

    # -- the admin paths

    async def _health(self, request: web.BaseRequest) -> web.Response:
        return _json({"status": "ok", "uptime": go_duration(self._uptime_s())})

    async def _info(self, request: web.BaseRequest) -> web.Response:
        stats = self._endpoint.cache.store_stats()
        started = datetime.fromtimestamp(self._endpoint.started_at, UTC)
        return _json(
            {
                "server": {
                    "version": __version__,
                    "mode": "compiled" if COMPILED else "pure",
                    "uptime": go_duration(self._uptime_s()),
                    "keys": stats.keys,
                    "memory": stats.used_memory,
                    "started_at": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
                },
                "store": {
                    # one store under one lock; CacheStorm in Go counts its shards here
                    "shards": 1,
                    "keys": stats.keys,
                    "mem_used": stats.used_memory,
                    "max_memory": stats.max_memory,
                    "eviction_policy": self._endpoint.cache.policy,
                    # of the default namespace, by factor of its present capacity
                    "hit_ratios": {
                        f"{factor:g}": round(ratio, 4)
                        for factor, ratio in self._endpoint.cache.hit_ratios().items()
                    },
                    "namespaces": stats.namespaces,
                },
            }
        )

    async def _keys(self, request: web.BaseRequest) -> web.Response:
        query = query_of(request, ("limit", "cursor", "match", "namespace"))
        cache = self._namespace(request, query)
        cursor, names = cache.scan(_cursor_of(query), query.get("match"), _limit_of(query))
        return _json(
            {
                "count": cache.namespace_stats()["keys"],
                "keys": to_json(names),
                "cursor": str(cursor) if cursor else None,
            }
        )

    async def _tags(self, request: web.BaseRequest) -> web.Response:
        query = query_of(request, ("limit", "cursor", "namespace"))
        cache = self._namespace(request, query)
        count = cache.namespace_stats()["tags"]
        cursor, names = cache.tag_scan(_cursor_of(query), _limit_of(query))
        rows = [{"name": to_json(name), "count": cache.tagcount(name)} for name in names]
        return _json(
            {
                "count": count,
                "tags": [row for row in rows if row["count"]],
                "cursor": str(cursor) if cursor else None,
            }
        )

    async def _memory(self, request: web.BaseRequest) -> web.Response:
        stats = self._endpoint.cache.store_stats()
        used, keys = stats.used_memory, stats.keys
        return _json(
            {
                "used": used,
                "keys": keys,
                "avg_size": used // keys if keys else 0,
                "peak": stats.peak_memory,
                "max_memory": stats.max_memory,
                "rss": rss_bytes(),
            }
        )

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        body = metrics.exposition(self._endpoint, self._commands.commands)
        return web.Response(body=body, headers={"Content-Type": metrics.CONTENT_TYPE})

    def _uptime_s(self) -> float:
        return max(0.0, wall_time() - self._endpoint.started_at)

    def _namespace(self, request: web.BaseRequest, query: dict[str, str]) -> Cache:
        """The namespace asked about, by query or header; a command's is made on demand."""
        cache = self._endpoint.cache
        name = query.get("namespace", request.headers.get(NAMESPACE_HEADER, cache.name))
        if name not in cache.namespaces():
            raise NamespaceError("namespace not found")
        return cache.namespace(name)


def go_duration(seconds: float) -> str:
    """A duration as Go prints it, which readers of /health know.

    Example:
        >>> go_duration(9015.4), go_duration(61), go_duration(0)
        ('2h30m15s', '1m1s', '0s')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes}m{rest}s" if hours or minutes else f"{rest}s"
    return f"{hours}h{text}" if hours else text


def _check_length(commands: list[object]) -> None:
    if len(commands) > LONGEST_PIPELINE:
        raise BadJsonError(f"a pipeline has at most {LONGEST_PIPELINE} commands")


def _json(document: object, status: int = 200) -> web.Response:
    return json_response(dumped(document), status)


def _peer_of(request: web.BaseRequest) -> object:
    """The address of the client, as a socket tells it."""
    return request.transport.get_extra_info("peername") if request.transport else None


def _cursor_of(query: dict[str, str]) -> int:
    digits = query.get("cursor", "0")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise ArgumentError("invalid cursor")
    return int(digits)


def _limit_of(query: dict[str, str]) -> int:
    digits = query.get("limit", str(PAGE))
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 9
    if is_number and 1 <= int(digits) <= LARGEST_PAGE:
        return int(digits)
    raise ArgumentError(f"limit is a number from 1 to {LARGEST_PAGE}")


def _is_loopback(host: str) -> bool:
    return host == "localhost" or is_this_host((host, 0))


def _is_safe_name(host: str, known: tuple[str, ...]) -> bool:
    """Whether a Host header cannot come from a page under somebody else's name."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost") or name in known:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


_NOT_RUN: Final = dumped(
    error_document(
        ArgumentError("not run: the answers before it are too large; ask for less at once")
    )
)
