"""The application: one cache and its endpoints, open from `start` to `stop`.

Called by `running`, and by programs that host a server; calls the endpoints. What cannot be
started is said in one clear line, and leaves nothing behind.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from cachestorm import COMPILED, __version__
from cachestorm.cache import Cache
from cachestorm.declare.declaration import DECLARATIONS
from cachestorm.sizes import human_bytes
from cachestorm_server.config_sections import Config
from cachestorm_server.configuration import set_parameters
from cachestorm_server.described import (
    ServeError,
    load_users,
    make_cache,
    make_tls,
    open_directory,
    resp_settings,
    set_namespaces,
)
from cachestorm_server.net import is_loopback
from cachestorm_server.plugins import Plugins
from cachestorm_server.reloading import apply, follow_by, tls_files
from cachestorm_server.replication.kept_place import Place, keep_place, take_place
from cachestorm_server.replication.replication import Replication
from cachestorm_server.server import RespServer

if TYPE_CHECKING:
    import socket

    from cachestorm.durability.directory import DataDirectory
    from cachestorm_server.cluster.joining import Joining
    from cachestorm_server.web.server import HttpServer


class Application:
    """A cache with its endpoints open, from `start` to `stop`.

    Attributes:
        cache: what is served.
        tls: the certificates of both endpoints; None where none are used.
        resp: the RESP endpoint.
        http: the HTTP endpoint, or None where it is switched off.
        joining: the part in a cluster; None without one.
        plugins: those that do not come with the server.
    """

    def __init__(
        self, config: Config, cache: Cache | None = None, import_file: str = ""
    ) -> None:
        self.config = config
        self.cache: Final = make_cache(config) if cache is None else cache
        self._owns_cache: Final = cache is None
        self.tls: Final = make_tls(config)
        declarations = DECLARATIONS.without(config.acl.disabled_commands)
        self.plugins: Final = Plugins(config, declarations)
        settings = resp_settings(config, self.tls)
        self.resp: Final = RespServer(self.cache, settings, self.plugins.registry)
        self.resp.endpoint.users.logins.most = config.acl.max_failures
        self.plugins.attach(self.cache, self.resp.endpoint)
        self.http: HttpServer | None = None
        self.joining: Joining | None = None
        # of HTTP, if they are open already
        self.http_sockets: tuple[socket.socket, ...] = ()
        if config.parameters:
            set_parameters(self.resp.endpoint, config.parameters)
        if cache is None:
            self.replication: Replication | None = Replication(self.resp.endpoint)
            self.resp.endpoint.replication = self.replication
            follow_by(self, config)
        else:
            self.replication = None
        self._import_file: Final = import_file
        self._directory = open_directory(self.cache, config) if cache is None else None

    async def start(self) -> None:
        """Opens the endpoints, and loads what is kept on disk.

        Raises:
            ServeError: when one cannot be opened; nothing is left open.
            DurabilityError: when what is on disk cannot be loaded.
        """
        endpoint, directory = self.resp.endpoint, self._directory
        if directory is not None or self._import_file:
            endpoint.availability.begin_loading(directory, time.time())
        server, http = self.config.server, self.config.http
        users = self.resp.endpoint.users
        try:
            if users.file:
                load_users(users, self.config)
            if self.config.cluster.enabled:
                # before a client is let in: it is told from the first request on where keys are
                self.joining = _make_node(self)
            await self.plugins.start(self.cache)
            await _open(self.resp.start, "RESP", server.bind, server.port, "--port")
            if http.enabled:
                self.http = _make_http(self)
                port = http.port
                bind = http.bind or server.bind
                await _open(self.http.start, "HTTP", bind, port, "--http-port or --no-http")
            if directory is not None or self._import_file:
                await self._load(directory)
            if self.replication is not None:
                self.replication.place = self._taken_place()
                self.replication.start(self.config.replication.replica_of)
                if not self.config.cluster.enabled:
                    # who is no replica changes what was loaded
                    self.replication.place = None
            if self.joining is not None:
                await self._join(self.joining)
        except BaseException:
            await self.stop()
            raise

    async def _join(self, joining: Joining) -> None:
        """Speaks with other nodes, once what was kept is loaded."""
        joining.membership.drop_foreign()
        cluster = self.config.cluster
        try:
            await joining.start(self.resp.port)
        except OSError as error:
            raise ServeError(
                f"cannot listen for other nodes on {cluster.bind_addr} port "
                f"{cluster.bind_port}: {os.strerror(error.errno or 0)}; choose another "
                "place with cluster.bind_addr, cluster.bind_port"
            ) from error

    async def _load(self, directory: DataDirectory | None) -> None:
        from cachestorm_server.loading import fill_by, importing, load

        endpoint = self.resp.endpoint
        file = self._import_file
        fill = partial(importing, self.cache, file) if file else None
        if directory is not None:
            await load(directory, self.config.logging, fill)
            self.cache._store.directory = directory
        elif fill is not None:
            await fill_by(fill)
        # what the program gives comes before what was kept
        set_namespaces(self.cache, self.config)
        endpoint.be_kept(directory)
        endpoint.availability.end_loading()
        endpoint.watch_over_all()

    async def stop(self) -> None:
        """Closes the endpoints, after the replies that clients wait for."""
        if self.joining is not None:
            await self.joining.stop()
        if self.http is not None:
            await self.http.stop()
        if self.replication is not None:
            await self.replication.stop()
        await self.resp.stop()
        await self.plugins.stop()
        if self._owns_cache:
            self.cache.close()
            self._keep_place()
        if self._directory is not None:
            # of one that was loaded the cache has done so
            self._directory.folder.give_back()

    def _taken_place(self) -> Place | None:
        """How much of a primary's stream was loaded; None if it is not known, or not all."""
        if self._directory is None:
            return None
        place = take_place(self.config.persistence.data_dir)
        return None if self.cache.stats().evicted else place

    def _keep_place(self) -> None:
        """Says beside what is on disk how much of a primary's stream it is."""
        directory, replication = self._directory, self.replication
        if directory is None or replication is None or replication.place is None:
            return
        if self.config.persistence.aof and not directory.refusal():
            keep_place(self.config.persistence.data_dir, replication.place)

    def reload(self, config: Config) -> None:
        """Changes what another configuration says otherwise, and can be changed.

        Raises:
            ConfigError: for certificates, users and a log that cannot be used.
        """
        apply(self, config)
        self.config = config
        self.resp.settings.config = config

    async def __aenter__(self) -> Application:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def is_open_to_all(self) -> bool:
        """Whether clients of other hosts are let in, and nobody is asked for a password."""
        endpoint = self.resp.endpoint
        over_http = self.http.settings.bind if self.http else ()
        hosts = (*self.config.server.bind, *self.config.tls.bind, *over_http)
        return (
            endpoint.users.default.is_open()
            and not endpoint.settings.protected_mode
            and not all(is_loopback(host) for host in hosts)
        )

    def banner(self) -> str:
        """What runs, where, and within which limit: one line."""
        memory = self.config.memory
        mode = "compiled" if COMPILED else "pure"
        limit = human_bytes(memory.max_memory) if memory.max_memory else "no limit"
        hosts = ", ".join(self.config.server.bind)
        endpoints = f"RESP on {hosts} port {self.resp.port}"
        if self.http is not None:
            scheme = "HTTP" if self.http.settings.tls is None else "HTTPS"
            endpoints += (
                f", {scheme} on {', '.join(self.http.settings.bind)} port {self.http.port}"
            )
        settings = self.resp.settings
        if settings.tls is not None:
            over_tls = ", ".join(settings.tls_bind)
            endpoints += f", RESP over TLS on {over_tls} port {settings.tls_port}"
        if settings.unix_socket:
            endpoints += f", and at {settings.unix_socket}"
        return (
            f"CacheStorm {__version__} ({mode}, Python {platform.python_version()}, "
            f"{self.resp.endpoint.event_loop}) is ready: {endpoints}; memory {limit}, "
            f"{memory.eviction_policy}; process {os.getpid()}"
        )


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
        if error.filename:
            raise ServeError(
                f"cannot listen for {endpoint} on {error.filename}: {reason}"
            ) from error
        raise ServeError(
            f"cannot listen for {endpoint} on {', '.join(bind)} port {port}: {reason}; "
            f"choose another place with --bind, {flag}"
        ) from error


def _make_node(application: Application) -> Joining:
    """The server's part in a cluster.

    Raises:
        ClusterStateError: for a state on disk that cannot be read or written.
    """
    try:
        from cachestorm_server.cluster.joining import Joining
    except ImportError as error:
        raise ServeError("a cluster needs msgpack: pip install 'cachestorm[server]'") from error
    config = application.config
    folder = config.persistence.data_dir
    files = tls_files(config) if config.cluster.tls else None
    return Joining(config.cluster, application.resp.endpoint, folder, files)


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
        port=config.http.port,
        max_body_bytes=config.http.max_body,
        hosts=config.http.hosts,
        cors_origins=config.http.cors_origins,
        metrics_path=metrics.path if metrics.enabled else "",
        tls=application.tls if config.tls.http else None,
        sockets=application.http_sockets,
        routes=application.plugins.routes(),
        watchers=application.plugins.request_watchers(),
        metrics=MetricsSettings(metrics.namespaces, metrics.hot_keys),
    )
    return HttpServer(application.resp.endpoint, settings)
