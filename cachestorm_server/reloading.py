"""Reloading: what a configuration that was read again changes in the running server.

Called by the application for SIGHUP. A setting that can change while the server runs is
marked as live where it is declared, and has one line in `SETTERS`.

1. Compared are the configurations, not what the server does now: what CONFIG SET has changed
   stays as long as the file says the same as before.
2. Certificates are read again by every reload, under whatever names.
3. The ACL file is read again if it says something else than when it was last read or written.
4. What cannot change is said, and stays as it was, until the next start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cachestorm.cache import Cache
from cachestorm.errors import ArgumentError, ConfigError
from cachestorm_server.acl.enforcement import follow_users
from cachestorm_server.config_output import value_text
from cachestorm_server.config_sections import Config, Dotted, NamespaceConfig, keys, value_at
from cachestorm_server.configuration import set_parameters
from cachestorm_server.descriptors import make_room
from cachestorm_server.log_lines import set_up

if TYPE_CHECKING:
    from cachestorm_server.app import Application
    from cachestorm_server.tls import TlsFiles

_log = logging.getLogger("cachestorm")

Setter = Callable[["Application", Config], None]


def limit_clients(application: Application, config: Config) -> None:
    """Admits as many clients as were asked for, or as the system has descriptors for."""
    wanted = config.server.max_connections
    http_wanted = config.http.max_connections if config.http.enabled else 0
    fit, http_fit = make_room(wanted, http_wanted)
    for whose, has, asked, setting in (
        ("clients", fit, wanted, "server.max_connections"),
        ("HTTP clients", http_fit, http_wanted, "http.max_connections"),
    ):
        if has < asked:
            _log.warning(
                "room for %d %s instead of %d (%s): "
                "the limit of open files (ulimit -n) is too low",
                has,
                whose,
                asked,
                setting,
            )
    settings = application.resp.settings
    settings.max_clients, settings.max_http_clients = fit, http_fit


def _protect(application: Application, config: Config) -> None:
    application.resp.settings.protected_mode = config.server.protected_mode


def _time_out(application: Application, config: Config) -> None:
    settings = application.resp.settings
    settings.timeout_s = config.server.timeout
    settings.write_timeout_s = config.server.write_timeout
    settings.keepalive_s = config.server.tcp_keepalive


def _time_out_http(application: Application, config: Config) -> None:
    settings = application.resp.settings
    settings.http_header_timeout_s = config.http.header_timeout
    settings.http_keepalive_timeout_s = config.http.keepalive_timeout


def _limit_failures(application: Application, config: Config) -> None:
    application.resp.endpoint.users.logins.most = config.acl.max_failures


def _limit_memory(application: Application, config: Config) -> None:
    application.cache.max_memory = config.memory.max_memory


def _limit_entries(application: Application, config: Config) -> None:
    application.cache.max_entries = config.memory.max_entries or None


def _limit_replies(application: Application, config: Config) -> None:
    application.cache.max_reply = config.memory.max_reply or None


def _choose_policy(application: Application, config: Config) -> None:
    application.cache.policy = config.memory.eviction_policy


def _choose_sample(application: Application, config: Config) -> None:
    application.cache.sample_size = config.memory.eviction_sample_size


def _watch_memory(application: Application, config: Config) -> None:
    settings = application.resp.settings
    settings.pressure_warning = config.memory.pressure_warning
    settings.pressure_critical = config.memory.pressure_critical


def keep(application: Application, config: Config) -> None:
    """Has what is kept on disk written as often as was asked for."""
    directory = application.resp.endpoint.availability.directory
    if directory is not None:
        kept = config.persistence
        directory.most_bytes = kept.max_aof_size
        directory.interval_s = kept.snapshot_interval / 1000
        if kept.aof:
            directory.force_by(kept.aof_sync)


def follow_by(application: Application, config: Config) -> None:
    """Takes what is decided about replicas."""
    given, limits = config.replication, application.resp.settings.replication
    limits.backlog_bytes = max(given.backlog_size, 1)
    limits.backlog_ttl_s = given.backlog_ttl
    limits.timeout_s = max(given.timeout, 1)
    limits.user = given.primary_user
    limits.password = given.primary_password
    if given.tls:
        from cachestorm_server.tls import trusting

        limits.tls = trusting(tls_files(config))


def _ask_for_password(application: Application, config: Config) -> None:
    application.resp.endpoint.users.set_password(config.password)


def _count(application: Application, config: Config) -> None:
    application.resp.endpoint.statistics.count(config.plugins.stats.enabled)


def _note_slow_calls(application: Application, config: Config) -> None:
    slow_log = config.plugins.slowlog
    statistics = application.resp.endpoint.statistics
    statistics.log_slower_than(slow_log.threshold if slow_log.enabled else -1)
    statistics.keep_slow(slow_log.max_entries)


def _write_log(application: Application, config: Config) -> None:
    set_up(config.logging)
    application.resp.settings.log_level = config.logging.level


def _set_parameters(application: Application, config: Config) -> None:
    set_parameters(application.resp.endpoint, config.parameters)


def tls_files(config: Config) -> TlsFiles:
    """The files of certificates and keys."""
    from cachestorm_server.tls import TlsFiles

    tls = config.tls
    return TlsFiles(tls.cert_file, tls.key_file, tls.ca_file, tls.client_auth)


def _take_certificates(application: Application, config: Config) -> None:
    if application.tls is not None:
        application.tls.take(tls_files(config))


SETTERS: Final[dict[Dotted, Setter]] = {
    ("server", "max_connections"): limit_clients,
    ("server", "protected_mode"): _protect,
    ("server", "timeout"): _time_out,
    ("server", "write_timeout"): _time_out,
    ("server", "tcp_keepalive"): _time_out,
    ("tls", "cert_file"): _take_certificates,
    ("tls", "key_file"): _take_certificates,
    ("tls", "ca_file"): _take_certificates,
    ("tls", "client_auth"): _take_certificates,
    ("acl", "max_failures"): _limit_failures,
    ("memory", "max_memory"): _limit_memory,
    ("memory", "max_entries"): _limit_entries,
    ("memory", "max_reply"): _limit_replies,
    ("memory", "eviction_policy"): _choose_policy,
    ("memory", "pressure_warning"): _watch_memory,
    ("memory", "pressure_critical"): _watch_memory,
    ("memory", "eviction_sample_size"): _choose_sample,
    ("http", "max_connections"): limit_clients,
    ("http", "header_timeout"): _time_out_http,
    ("http", "keepalive_timeout"): _time_out_http,
    ("persistence", "aof_sync"): keep,
    ("persistence", "snapshot_interval"): keep,
    ("persistence", "max_aof_size"): keep,
    ("replication", "primary_user"): follow_by,
    ("replication", "primary_password"): follow_by,
    ("replication", "backlog_size"): follow_by,
    ("replication", "backlog_ttl"): follow_by,
    ("replication", "timeout"): follow_by,
    ("plugins", "stats", "enabled"): _count,
    ("plugins", "auth", "enabled"): _ask_for_password,
    ("plugins", "auth", "password"): _ask_for_password,
    ("plugins", "auth", "password_file"): _ask_for_password,
    ("plugins", "slowlog", "enabled"): _note_slow_calls,
    ("plugins", "slowlog", "threshold"): _note_slow_calls,
    ("plugins", "slowlog", "max_entries"): _note_slow_calls,
    ("logging", "level"): _write_log,
    ("logging", "format"): _write_log,
    ("logging", "output"): _write_log,
    ("parameters",): _set_parameters,
}


def apply(application: Application, new: Config) -> None:
    """Changes what can be changed, and says in the log what was and what cannot be.

    Raises:
        ConfigError: for certificates and an ACL file that are of no use, before anything else
            has changed, and for a log that cannot be written.
    """
    old = application.config
    changed: list[str] = []
    fixed: list[str] = []
    # files of the same names may have something new in them; and they may be refused
    setters: dict[Setter, None] = {_take_certificates: None}
    for path, spec in keys().items():
        before, after = value_at(old, path), value_at(new, path)
        if before == after:
            continue
        line = f"{'.'.join(path)}: {value_text(spec, before)} -> {value_text(spec, after)}"
        setter = SETTERS.get(path)
        if setter is None:
            fixed.append(line)
        else:
            changed.append(line)
            setters[setter] = None
    users = application.resp.endpoint.users
    try:
        read = users.read_if_changed()
    except ArgumentError as error:
        raise ConfigError(f"acl.file is refused: {error}") from error
    for setter in setters:
        setter(application, new)
    if read is not None:
        # last: with a new password, users that the file does not speak of have that one
        users.take(read)
        follow_users(application.resp.endpoint)
        count = len(read.users)
        changed.append(f"{users.file}: {'1 user' if count == 1 else f'{count} users'}")
    changed += _set_namespaces(application, old, new)
    for line in changed:
        _log.info("reloaded: %s", line)
    for line in fixed:
        _log.warning("not reloaded, takes a restart: %s", line)
    if not changed and not fixed:
        _log.info("reloaded: nothing has changed")


def _set_namespaces(application: Application, old: Config, new: Config) -> list[str]:
    """Sets the limits of namespaces that have others than before."""
    changed = []
    nothing = NamespaceConfig()
    for name in {**old.namespaces, **new.namespaces}:
        limits = new.namespaces.get(name, nothing)
        if limits != old.namespaces.get(name, nothing):
            limit_namespace(application.cache, name, limits)
            changed.append(f"namespaces.{name}")
    return changed


def limit_namespace(cache: Cache, name: str, limits: NamespaceConfig) -> None:
    """Sets the limits of a namespace."""
    cache.namespace(
        name,
        default_ttl=limits.default_ttl / 1000 if limits.default_ttl else 0,
        max_memory=limits.max_memory,
    )
