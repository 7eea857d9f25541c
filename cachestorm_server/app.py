"""The application: one cache, its endpoints, and the tasks that keep it tidy.

Called by the command line (`cachestorm serve`); calls the endpoints. Owns what lives as long
as the server: signals, the reaper, the collector, the log.

1. What cannot be started is said in one clear line, and leaves nothing behind.
2. SIGHUP has the configuration read again.
3. The first SIGINT or SIGTERM stops gracefully: no new clients, replies due are sent,
   endpoints closed. The second one does not wait.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from cachestorm import COMPILED, __version__
from cachestorm.cache import Cache
from cachestorm.declare.declaration import DECLARATIONS
from cachestorm.declare.registry import Registry
from cachestorm.errors import CacheStormError
from cachestorm.sizes import human_bytes
from cachestorm_server import log_lines
from cachestorm_server.acl.users import Users
from cachestorm_server.collection import Collection
from cachestorm_server.config_sections import Config
from cachestorm_server.configuration import set_parameters
from cachestorm_server.net import is_loopback
from cachestorm_server.plugins import Plugins
from cachestorm_server.reloading import (
    apply,
    follow_by,
    limit_clients,
    limit_namespace,
    tls_files,
)
from cachestorm_server.replication.replication import Replication
from cachestorm_server.server import RespServer
from cachestorm_server.settings import Settings
from cachestorm_server.systemd import READY, STOPPING, inherited_sockets, notify, reloading

if TYPE_CHECKING:
    import socket

    from cachestorm.durability.directory import DataDirectory
    from cachestorm_server.cluster.joining import Joining
    from cachestorm_server.tls import ServerContext
    from cachestorm_server.web.server import HttpServer

_log = logging.getLogger("cachestorm")


class ServeError(CacheStormError):
    """A server that cannot be started where it was told to."""


def make_cache(config: Config) -> Cache:
    """The cache that a configuration describes, its namespaces with their limits."""
    memory = config.memory
    warm, cold = config.tiers.warm, config.tiers.cold
    cache = Cache(
        memory.max_memory,
        memory.max_entries or None,
        policy=memory.eviction_policy,
        sample_size=memory.eviction_sample_size,
        max_reply=memory.max_reply or None,
        warm={
            "path": warm.path,
            "max_size": warm.max_size or None,
            "engine": None if warm.engine == "auto" else warm.engine,
        }
        if warm.path
        else None,
        cold={
            "url": cold.url,
            "max_size": cold.max_size or None,
            "endpoint": cold.endpoint,
            "region": cold.region,
            "allow_http": cold.allow_http,
            "timeout": cold.timeout / 1000,
            "credentials": cold.credentials,
            "orphans_after": cold.orphans_after,
        }
        if cold.url
        else None,
    )
    set_namespaces(cache, config)
    return cache


def set_namespaces(cache: Cache, config: Config) -> None:
    """Gives namespaces the limits that a configuration says."""
    for name, limits in config.namespaces.items():
        limit_namespace(cache, name, limits)


def open_directory(cache: Cache, config: Config) -> DataDirectory | None:
    """The data directory that a configuration names, to be loaded into a cache; or None.

    Raises:
        DurabilityError: if it cannot be used.
    """
    kept = config.persistence
    if not kept.enabled:
        return None
    from cachestorm.durability.directory import DataDirectory

    directory = DataDirectory(
        cache._store, cache._forms, kept.data_dir, kept.aof_sync, kept.aof
    )
    directory.most_bytes = kept.max_aof_size
    directory.interval_s = kept.snapshot_interval / 1000
    return directory


def make_tls(config: Config) -> ServerContext | None:
    """What a configuration says about TLS; None if nothing is spoken over it.

    Raises:
        ConfigError: for files that are of no use.
    """
    tls = config.tls
    if not tls.port and not tls.http:
        return None
    # takes a while to import, and few need it
    from cachestorm_server.tls import ServerContext

    return ServerContext.of(tls_files(config))


def resp_settings(config: Config, tls: ServerContext | None = None) -> Settings:
    """What a configuration says about the RESP endpoint."""
    server = config.server
    slow_log = config.plugins.slowlog
    settings = Settings(
        bind=server.bind,
        port=server.port,
        unix_socket=server.unixsocket,
        unix_socket_mode=int(server.unixsocketperm, 8),
        tls=tls if config.tls.port else None,
        tls_port=config.tls.port,
        password=config.password,
        acl_file=config.acl.file,
        protected_mode=server.protected_mode,
        max_clients=server.max_connections,
        timeout_s=server.timeout,
        write_timeout_s=server.write_timeout,
        keepalive_s=server.tcp_keepalive,
        max_http_clients=config.http.max_connections,
        http_header_timeout_s=config.http.header_timeout,
        http_keepalive_timeout_s=config.http.keepalive_timeout,
        pressure_warning=config.memory.pressure_warning,
        pressure_critical=config.memory.pressure_critical,
        slow_log_slower_than_us=slow_log.threshold if slow_log.enabled else -1,
        slow_log_max_len=slow_log.max_entries,
    )
    settings.log_level = config.logging.level
    settings.debug_command = server.enable_debug_command
    settings.config = config
    return settings


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
                _load(users)
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
                self.replication.start(self.config.replication.replica_of)
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
        if self._directory is not None:
            # of one that was loaded the cache has done so
            self._directory.folder.give_back()

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
        hosts = (*self.config.server.bind, *(self.http.settings.bind if self.http else ()))
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
            endpoints += f", RESP over TLS on port {settings.tls_port}"
        if settings.unix_socket:
            endpoints += f", and at {settings.unix_socket}"
        return (
            f"CacheStorm {__version__} ({mode}, Python {platform.python_version()}, "
            f"{self.resp.endpoint.event_loop}) is ready: {endpoints}; memory {limit}, "
            f"{memory.eviction_policy}; process {os.getpid()}"
        )


async def run(
    config: Config,
    ready: Callable[[Application], object] | None = None,
    again: Callable[[], Config] | None = None,
    import_file: str = "",
) -> None:
    """Serves until a signal comes.

    Args:
        config: everything there is to decide.
        ready: called once the endpoints are open.
        again: reads the configuration once more, for SIGHUP; None: it is ignored.
        import_file: of Redis, to begin with; empty for none.

    Raises:
        ServeError: when an endpoint cannot be opened, or there is nothing to import.
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

    tasks: set[asyncio.Task[None]] = set()

    def reload(number: signal.Signals) -> None:
        _log.info("%s: reading the configuration again", number.name)
        task = loop.create_task(_reload(application, again))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    application = Application(config, import_file=import_file)
    inherited = inherited_sockets()
    application.resp.settings.sockets = inherited["resp"]
    application.http_sockets = tuple(inherited["http"])
    limit_clients(application, config)
    # before an endpoint is open: once anybody is answered, a signal ends it gracefully
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        # which a terminal sends that is closed, too: it must not end the server
        loop.add_signal_handler(signal.SIGHUP, reload, signal.SIGHUP)
    except (NotImplementedError, AttributeError):
        pass  # Windows: Ctrl-C cancels the task instead
    application.resp.endpoint.shut_down = stopped.set
    if not await _started(application, stopped):
        return
    collection = Collection(application.resp.endpoint)
    collection.begin()
    try:
        if config.file:
            _log.info("configured by %s", config.file)
        _log.info("%s", application.banner())
        if config.plugins.auth.password and not config.password:
            _log.warning("a password is set, but plugins.auth.enabled is off: nobody is asked")
        if application.is_open_to_all():
            _log.warning(
                "whoever reaches these ports reaches the cache: protected mode is off, and no "
                "password is set; set CACHESTORM_AUTH_PASSWORD, or open them to this host alone"
            )
        if ready is not None:
            ready(application)
        _notify(READY)
        await stopped.wait()
    finally:
        _notify(STOPPING)
        collection.end()
        await application.stop()
        _log.info("stopped")


async def _reload(application: Application, again: Callable[[], Config] | None) -> None:
    """Reads the configuration once more; whatever is wrong with it changes nothing."""
    if again is None:
        _log.info("there is none to read: a program has started this server")
        return
    _notify(*reloading())
    try:
        application.reload(await asyncio.to_thread(again))
    except CacheStormError as error:
        # a line each: within one the ends of lines are escaped
        for line in f"nothing is reloaded: {error}".splitlines():
            _log.error("%s", line)
    finally:
        _notify(READY)


def _notify(*states: str) -> None:
    try:
        notify(*states)
    except OSError as error:
        _log.warning("systemd cannot be told of %s: %s", states[0], error)


async def _started(application: Application, stopped: asyncio.Event) -> bool:
    """Starts, which may take a while. Returns False if a signal comes before the end."""
    starting = asyncio.ensure_future(application.start())
    stopping = asyncio.ensure_future(stopped.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        return False
    await starting
    return True


def serve(
    config: Config, again: Callable[[], Config] | None = None, import_file: str = ""
) -> None:
    """Runs the server on the fastest loop there is. Blocks until a signal comes.

    Args:
        config, again, import_file: as `run`.

    Raises:
        ServeError: when an endpoint cannot be opened.
        ConfigError: when the log cannot be written.
    """
    from cachestorm_server.server import run as run_on_loop

    try:
        run_on_loop(run(config, again=again, import_file=import_file))
    except KeyboardInterrupt:
        pass


def check_files(config: Config) -> None:
    """Reads the certificates and the users that a start would read.

    No plugin is made, so that it may be done beside a running server. Where there are any, of
    whose commands rules may speak, the file of users is looked at alone.

    Raises:
        ConfigError: for certificates that are of no use.
        ServeError: for a file of users that is.
    """
    make_tls(config)
    if not config.acl.file:
        return
    declarations = DECLARATIONS.without(config.acl.disabled_commands)
    users = Users(Registry(declarations), config.password, config.acl.file)
    if any(plugin.enabled for plugin in config.extensions.values()):
        _load(users, only_look=True)
    else:
        _load(users)


def _load(users: Users, only_look: bool = False) -> None:
    """Reads the ACL file.

    Args:
        only_look: whether it can be read; nothing is made of it.

    Raises:
        ServeError: with all that is wrong with it.
    """
    try:
        if only_look:
            users.look()
        else:
            users.load()
    except CacheStormError as error:
        raise ServeError(f"acl.file is refused: {error}") from error


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
