"""What a configuration describes, made: the cache, its data directory, certificates, settings.

Called by the application, and by `cachestorm config check`, which makes no server. Nothing
here is opened to anybody.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachestorm.cache import Cache
from cachestorm.declare.declaration import DECLARATIONS
from cachestorm.declare.registry import Registry
from cachestorm.errors import CacheStormError
from cachestorm_server.acl.users import Users
from cachestorm_server.config_sections import Config
from cachestorm_server.reloading import limit_namespace, tls_files
from cachestorm_server.settings import Settings

if TYPE_CHECKING:
    from cachestorm.durability.directory import DataDirectory
    from cachestorm_server.tls import ServerContext


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
        tls_bind=config.tls.bind,
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
        load_users(users, config, only_look=True)
    else:
        load_users(users, config)


def load_users(users: Users, config: Config, only_look: bool = False) -> None:
    """Reads the ACL file.

    Args:
        config: what names it.
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
        origin = config.origins.get(("acl", "file"), "")
        where = f"{origin}: " if origin else ""
        hint = "" if os.path.exists(users.file) else "; an empty file is one without users"
        raise ServeError(f"{where}acl.file is refused: {error}{hint}") from error
