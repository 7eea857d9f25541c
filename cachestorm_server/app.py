"""The application: one cache, its endpoints, and the tasks that keep it tidy.

Called by the command line (`cachestorm serve`); calls the endpoints. Owns what lives as long
as the server: signals, the reaper, the collector, the log.

1. What cannot be started is said in one clear line, and leaves nothing behind.
2. The first signal stops gracefully: no new clients, replies due are sent, endpoints closed.
   The second one does not wait.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from cachestorm import COMPILED, __version__
from cachestorm.cache import Cache
from cachestorm.errors import CacheStormError
from cachestorm.sizes import human_bytes
from cachestorm_server import log_lines
from cachestorm_server.collection import Collection
from cachestorm_server.config import Config
from cachestorm_server.descriptors import make_room
from cachestorm_server.server import RespServer
from cachestorm_server.settings import Settings

if TYPE_CHECKING:
    from cachestorm_server.web.server import HttpServer

_log = logging.getLogger("cachestorm")


class ServeError(CacheStormError):
    """A server that cannot be started where it was told to."""


def make_cache(config: Config) -> Cache:
    """The cache that a configuration describes, its namespaces with their limits."""
    memory, kept = config.memory, config.persistence
    cache = Cache(
        memory.max_memory,
        memory.max_entries or None,
        policy=memory.eviction_policy,
        sample_size=memory.eviction_sample_size,
        max_reply=memory.max_reply or None,
        data_dir=kept.data_dir if kept.enabled else None,
        aof_sync=kept.aof_sync,
    )
    directory = cache._directory()
    if directory is not None:
        directory.most_bytes = kept.max_aof_size
        directory.interval_s = kept.snapshot_interval / 1000
    for name, limits in config.namespaces.items():
        ttl_ms = limits.default_ttl
        cache.namespace(
            name,
            default_ttl=ttl_ms / 1000 if ttl_ms else None,
            max_memory=limits.max_memory or None,
        )
    return cache


def resp_settings(config: Config) -> Settings:
    """What a configuration says about the RESP endpoint."""
    server = config.server
    slow_log = config.plugins.slowlog
    return Settings(
        bind=server.bind,
        port=server.port,
        password=config.password,
        protected_mode=server.protected_mode,
        max_clients=server.max_connections,
        timeout_s=server.read_timeout,
        slow_log_slower_than_us=slow_log.threshold * 1000 if slow_log.enabled else -1,
        slow_log_max_len=slow_log.max_entries,
    )


class Application:
    """A cache with its endpoints open, from `start` to `stop`.

    Attributes:
        cache: what is served.
        resp: the RESP endpoint.
        http: the HTTP endpoint, or None where it is switched off.
    """

    def __init__(self, config: Config, cache: Cache | None = None) -> None:
        self.config: Final = config
        self.cache: Final = make_cache(config) if cache is None else cache
        self._owns_cache: Final = cache is None
        self.resp: Final = RespServer(self.cache, resp_settings(config))
        self.http: HttpServer | None = None

    async def start(self) -> None:
        """Opens the endpoints.

        Raises:
            ServeError: when one cannot be opened; nothing is left open.
        """
        server, http = self.config.server, self.config.http
        try:
            await _open(self.resp.start, "RESP", server.bind, server.port, "--port")
            if http.enabled:
                self.http = _make_http(self)
                port = self.config.plugins.metrics.port
                bind = http.bind or server.bind
                await _open(self.http.start, "HTTP", bind, port, "--http-port or --no-http")
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Closes the endpoints, after the replies that clients wait for."""
        if self.http is not None:
            await self.http.stop()
        await self.resp.stop()
        if self._owns_cache:
            self.cache.close()

    async def __aenter__(self) -> Application:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def banner(self) -> str:
        """What runs, where, and within which limit: one line."""
        memory = self.config.memory
        mode = "compiled" if COMPILED else "pure"
        limit = human_bytes(memory.max_memory) if memory.max_memory else "no limit"
        hosts = ", ".join(self.config.server.bind)
        endpoints = f"RESP on {hosts} port {self.resp.port}"
        if self.http is not None:
            endpoints += f", HTTP on {', '.join(self.http.settings.bind)} port {self.http.port}"
        return (
            f"CacheStorm {__version__} ({mode}, Python {platform.python_version()}, "
            f"{self.resp.endpoint.event_loop}) is ready: {endpoints}; memory {limit}, "
            f"{memory.eviction_policy}; process {os.getpid()}"
        )


async def run(config: Config, ready: Callable[[Application], object] | None = None) -> None:
    """Serves until a signal comes.

    Args:
        config: everything there is to decide.
        ready: called once the endpoints are open.

    Raises:
        ServeError: when an endpoint cannot be opened.
        ConfigError: when the log cannot be written.
    """
    log_lines.set_up(config.logging)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        if stopped.is_set():
            os._exit(128 + number)
        _log.info("%s: stopping", number.name)
        stopped.set()

    def go_on(number: signal.Signals) -> None:
        _log.info("%s: ignored", number.name)

    application = Application(config)
    resp = application.resp.settings
    fit = make_room(resp.max_clients)
    if fit < resp.max_clients:
        _log.warning(
            "room for %d clients instead of %d (server.max_connections): "
            "the limit of open files (ulimit -n) is too low",
            fit,
            resp.max_clients,
        )
        resp.max_clients = fit
    # before an endpoint is open: once anybody is answered, a signal ends it gracefully
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        # as redis-server: a terminal that is closed does not end it
        loop.add_signal_handler(signal.SIGHUP, go_on, signal.SIGHUP)
    except (NotImplementedError, AttributeError):
        pass  # Windows: Ctrl-C cancels the task instead
    await application.start()
    application.resp.endpoint.shut_down = stopped.set
    collection = Collection(application.resp.endpoint)
    collection.begin()
    try:
        if config.file:
            _log.info("configured by %s", config.file)
        _log.info("%s", application.banner())
        if config.plugins.auth.password and not config.password:
            _log.warning("a password is set, but plugins.auth.enabled is off: nobody is asked")
        if ready is not None:
            ready(application)
        await stopped.wait()
    finally:
        collection.end()
        await application.stop()
        _log.info("stopped")


def serve(config: Config) -> None:
    """Runs the server on the fastest loop there is. Blocks until a signal comes.

    Raises:
        ServeError: when an endpoint cannot be opened.
        ConfigError: when the log cannot be written.
    """
    from cachestorm_server.server import run as run_on_loop

    try:
        run_on_loop(run(config))
    except KeyboardInterrupt:
        pass


async def _open(
    start: Callable[[], Awaitable[None]],
    endpoint: str,
    bind: tuple[str, ...],
    port: int,
    flag: str,
) -> None:
    try:
        await start()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise ServeError(
            f"cannot listen for {endpoint} on {', '.join(bind)} port {port}: {reason}; "
            f"choose another place with --bind, {flag}"
        ) from error


def _make_http(application: Application) -> HttpServer:
    """The HTTP endpoint; imported only here, because it takes longer than all the rest."""
    try:
        from cachestorm_server.metrics import MetricsSettings
        from cachestorm_server.web.server import HttpServer, HttpSettings
    except ImportError as error:
        raise ServeError(
            "the HTTP endpoint needs aiohttp: pip install 'cachestorm[server]', or --no-http"
        ) from error
    config = application.config
    metrics = config.plugins.metrics
    settings = HttpSettings(
        bind=config.http.bind or config.server.bind,
        port=metrics.port,
        max_body_bytes=config.http.max_body,
        hosts=config.http.hosts,
        metrics_path=metrics.path if metrics.enabled else "",
        metrics=MetricsSettings(metrics.namespaces, metrics.hot_keys),
    )
    return HttpServer(application.resp.endpoint, settings)
