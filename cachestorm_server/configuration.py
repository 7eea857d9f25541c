"""CONFIG: the parameters of a running server that clients and tools ask for.

Declared like all commands, with a session in the place of the cache. Called by plans. A
parameter is one line of `PARAMETERS`: how it is read, and how a new value is checked and
set if it can be; or it means nothing here, see `idle_parameters.py`.

1. CONFIG SET checks all of its values before it sets the first.

Source: https://redis.io/docs/latest/commands/config-set/, texts as `config.c` of Redis 7.2.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from cachestorm.cache import Cache
from cachestorm.codec import bytes_of, format_float, parse_float
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.facts import help_of
from cachestorm.declare.registry import REGISTRY
from cachestorm.errors import ArgumentError, NotAFloatError
from cachestorm.eviction.policies import POLICIES
from cachestorm.eviction.sampled import MOST_SAMPLES
from cachestorm.patterns import matches
from cachestorm.persistence import EVERYSEC
from cachestorm_server.descriptors import make_room
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.idle_parameters import DEFAULTS, FIXED, checked
from cachestorm_server.log_lines import LEVELS_OF_REDIS, log_from
from cachestorm_server.notifications import normalize
from cachestorm_server.output_limits import parse_limits, parse_memory, spell_limits
from cachestorm_server.parameter_kinds import (
    INT32_MOST,
    INT64_MOST,
    Read,
    Write,
    setting,
    whole,
    whole_number,
)
from cachestorm_server.replication import parameters as replication
from cachestorm_server.requests import MAX_BULK_BYTES
from cachestorm_server.seen_parameters import SEEN, yes_or_no
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

_log = logging.getLogger("cachestorm.resp")

command: Final = partial(Declaration, group="server", connection=True)

Dotted = tuple[str, ...]


def _always(text: str) -> Read:
    return lambda endpoint: text


def _set_password(endpoint: Endpoint, text: str, check_only: bool) -> None:
    if not check_only:
        endpoint.users.set_password(text)


def _set_protected_mode(endpoint: Endpoint, text: str, check_only: bool) -> None:
    if text.lower() not in ("yes", "no"):
        raise ArgumentError("argument must be 'yes' or 'no'")
    if not check_only:
        endpoint.settings.protected_mode = text.lower() == "yes"


def _set_max_clients(endpoint: Endpoint, text: str, check_only: bool) -> None:
    number = whole_number(text, 1, 2**32 - 1)
    fit, _ = make_room(number, endpoint.settings.max_http_clients)
    if fit < number:
        raise ArgumentError(
            "The operating system is not able to handle the specified number of clients, "
            f"try with {fit}"
        )
    if not check_only:
        endpoint.settings.max_clients = number


def _set_max_memory(endpoint: Endpoint, text: str, check_only: bool) -> None:
    size = parse_memory(text)
    if not check_only:
        endpoint.cache.max_memory = size


def _set_notifications(endpoint: Endpoint, text: str, check_only: bool) -> None:
    if check_only:
        normalize(text)
    else:
        endpoint.notifications.set(text)


def _set_output_limits(endpoint: Endpoint, text: str, check_only: bool) -> None:
    limits = parse_limits(text)
    if not check_only:
        endpoint.settings.output_limits.update(limits)


def _set_policy(endpoint: Endpoint, text: str, check_only: bool) -> None:
    name = text.lower()
    if name not in POLICIES:
        raise ArgumentError(f"argument(s) must be one of the following: {', '.join(POLICIES)}")
    if not check_only:
        endpoint.cache.policy = name


def _set_query_limit(endpoint: Endpoint, text: str, check_only: bool) -> None:
    size = parse_memory(text)
    if size < 1024 * 1024:
        raise ArgumentError(
            "argument must be between 1048576 and 9223372036854775807 inclusive"
        )
    if not check_only:
        endpoint.settings.max_query_bytes = size


def _set_longest(endpoint: Endpoint, text: str, check_only: bool) -> None:
    size = parse_memory(text)
    if not 1024 * 1024 <= size <= MAX_BULK_BYTES:
        raise ArgumentError(f"argument must be between 1048576 and {MAX_BULK_BYTES} inclusive")
    if check_only:
        return
    endpoint.settings.max_bulk_bytes = size
    for session in endpoint.sessions.values():
        session.reader.max_bulk_bytes = size


def _track_keys(endpoint: Endpoint, number: int) -> None:
    endpoint.tracking.most_keys = number
    endpoint.tracking.look()


def _choose_samples(endpoint: Endpoint, number: int) -> None:
    endpoint.cache.sample_size = number


def _set_log_level(endpoint: Endpoint, text: str, check_only: bool) -> None:
    level = text.lower()
    if level not in LEVELS_OF_REDIS:
        levels = ", ".join(LEVELS_OF_REDIS)
        raise ArgumentError(f"argument(s) must be one of the following: {levels}")
    if not check_only:
        endpoint.settings.log_level = LEVELS_OF_REDIS[level]
        log_from(LEVELS_OF_REDIS[level])


def _set_percentiles(endpoint: Endpoint, text: str, check_only: bool) -> None:
    try:
        percentiles = [parse_float(word) for word in text.split()]
    except NotAFloatError as error:
        raise ArgumentError("Invalid latency-tracking-info-percentiles parameters") from error
    if not all(0 <= percentile <= 100 for percentile in percentiles):
        raise ArgumentError(
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
        )
    if not check_only:
        endpoint.statistics.percentiles = percentiles


def _directory_sync(endpoint: Endpoint) -> str:
    directory = endpoint.availability.directory
    return "" if directory is None else directory.sync


def _sync_of(endpoint: Endpoint) -> str:
    config = endpoint.settings.config
    said = EVERYSEC if config is None else config.persistence.aof_sync
    return _directory_sync(endpoint) or endpoint.settings.idle.get("appendfsync", said)


def _set_sync(endpoint: Endpoint, text: str, check_only: bool) -> None:
    sync = text.lower()
    if sync not in _SYNCS:
        raise ArgumentError(f"argument(s) must be one of the following: {', '.join(_SYNCS)}")
    if check_only:
        return
    endpoint.settings.idle["appendfsync"] = sync
    directory = endpoint.availability.directory
    if directory is not None:
        directory.force_by(sync)


def _save_points(endpoint: Endpoint) -> str:
    """A snapshot is taken when anything has changed for so many seconds."""
    directory = endpoint.availability.directory
    if directory is None or directory.interval_s == 0:
        return ""
    return f"{max(round(directory.interval_s), 1)} 1"


_REDIS_LEVELS: Final = {ours: name for name, ours in LEVELS_OF_REDIS.items()}
_SYNCS: Final = ("everysec", "always", "no")
# of the fixed ones: Redis would change them, and to what they are they may be set
FOREVER: Final = frozenset({"appendonly", "save", "replicaof", "slaveof", *FIXED, *SEEN})

# never shown to anybody who does not ask by CONFIG GET
SECRETS: Final = frozenset({"requirepass", "masterauth"})
HIDDEN: Final = "(not shown)"

# `None`: cannot be changed while the server runs.
PARAMETERS: Final[dict[str, tuple[Read, Write | None]]] = {
    "acllog-max-len": (
        lambda endpoint: str(endpoint.users.log.most),
        whole(0, INT32_MOST, lambda endpoint, number: endpoint.users.log.keep(number)),
    ),
    "appendfsync": (_sync_of, _set_sync),
    "appendonly": (lambda endpoint: yes_or_no(_directory_sync(endpoint) != ""), None),
    "busy-reply-threshold": (
        lambda endpoint: str(endpoint.settings.busy_reply_ms),
        setting("busy_reply_ms", INT64_MOST),
    ),
    "client-output-buffer-limit": (
        lambda endpoint: spell_limits(endpoint.settings.output_limits),
        _set_output_limits,
    ),
    "client-query-buffer-limit": (
        lambda endpoint: str(endpoint.settings.max_query_bytes),
        _set_query_limit,
    ),
    "latency-monitor-threshold": (
        lambda endpoint: str(endpoint.statistics.threshold_ms),
        whole(0, 2**62, lambda endpoint, ms: endpoint.statistics.monitor_above(ms)),
    ),
    "latency-tracking-info-percentiles": (
        lambda endpoint: b" ".join(map(format_float, endpoint.statistics.percentiles)).decode(),
        _set_percentiles,
    ),
    "loglevel": (lambda endpoint: _REDIS_LEVELS[endpoint.settings.log_level], _set_log_level),
    # its name before Redis 7
    "lua-time-limit": (
        lambda endpoint: str(endpoint.settings.busy_reply_ms),
        setting("busy_reply_ms", INT64_MOST),
    ),
    "maxclients": (lambda endpoint: str(endpoint.settings.max_clients), _set_max_clients),
    "maxmemory": (lambda endpoint: str(endpoint.cache.max_memory or 0), _set_max_memory),
    "maxmemory-policy": (lambda endpoint: endpoint.cache.policy, _set_policy),
    "maxmemory-samples": (
        lambda endpoint: str(endpoint.cache.sample_size),
        whole(1, MOST_SAMPLES, _choose_samples),
    ),
    "notify-keyspace-events": (
        lambda endpoint: endpoint.notifications.letters,
        _set_notifications,
    ),
    "proto-max-bulk-len": (
        lambda endpoint: str(endpoint.settings.max_bulk_bytes),
        _set_longest,
    ),
    "protected-mode": (
        lambda endpoint: yes_or_no(endpoint.settings.protected_mode),
        _set_protected_mode,
    ),
    "requirepass": (lambda endpoint: endpoint.users.password, _set_password),
    "save": (_save_points, None),
    "slowlog-log-slower-than": (
        lambda endpoint: str(endpoint.statistics.slower_than_us),
        whole(-1, 2**62, lambda endpoint, us: endpoint.statistics.log_slower_than(us)),
    ),
    "slowlog-max-len": (
        lambda endpoint: str(endpoint.statistics.slow_log.maxlen),
        whole(0, INT32_MOST, lambda endpoint, most: endpoint.statistics.keep_slow(most)),
    ),
    "tcp-keepalive": (
        lambda endpoint: str(endpoint.settings.keepalive_s),
        setting("keepalive_s", INT32_MOST),
    ),
    "timeout": (
        lambda endpoint: str(endpoint.settings.timeout_s),
        setting("timeout_s", INT32_MOST),
    ),
    "tracking-table-max-keys": (
        lambda endpoint: str(endpoint.tracking.most_keys),
        whole(0, INT64_MOST, _track_keys),
    ),
    **replication.PARAMETERS,
    **{name: (read, None) for name, read in SEEN.items()},
    **{name: (_always(text), None) for name, text in FIXED.items()},
}


# Of a parameter that has a setting: what the setting would say.
SETTINGS_OF: Final[dict[str, Callable[[str], dict[Dotted, object]]]] = {
    "appendfsync": lambda text: {("persistence", "aof_sync"): text},
    "loglevel": lambda text: {("logging", "level"): LEVELS_OF_REDIS[text]},
    "maxclients": lambda text: {("server", "max_connections"): int(text)},
    "maxmemory": lambda text: {("memory", "max_memory"): int(text)},
    "maxmemory-policy": lambda text: {("memory", "eviction_policy"): text},
    "maxmemory-samples": lambda text: {("memory", "eviction_sample_size"): int(text)},
    "protected-mode": lambda text: {("server", "protected_mode"): text == "yes"},
    "requirepass": lambda text: (
        {("plugins", "auth", "enabled"): True, ("plugins", "auth", "password"): text}
        if text
        else {("plugins", "auth", "enabled"): False}
    ),
    "slowlog-log-slower-than": lambda text: (
        {
            ("plugins", "slowlog", "enabled"): True,
            ("plugins", "slowlog", "threshold"): int(text),
        }
        if int(text) >= 0
        else {("plugins", "slowlog", "enabled"): False}
    ),
    "slowlog-max-len": lambda text: {("plugins", "slowlog", "max_entries"): int(text)},
    "tcp-keepalive": lambda text: {("server", "tcp_keepalive"): int(text)},
    "timeout": lambda text: {("server", "timeout"): int(text)},
    **replication.SETTINGS_OF,
}
# Those that can be changed and have none: the section `parameters` of a file sets them.
OWN_PARAMETERS: Final = frozenset(
    name for name, (_, write) in PARAMETERS.items() if write is not None
).difference(SETTINGS_OF)


@command(
    "CONFIG GET parameter:pattern [parameter ...]",
    complexity="O(N) in the parameters",
    flags="admin noscript loading stale",
    summary="Return the parameters whose names match.",
)
def config_get(session: Session, *parameter: str) -> dict[str, str]:
    """The parameters that any of the glob patterns matches, and their values."""
    patterns = [bytes_of(pattern.lower()) for pattern in parameter]
    found = {}
    for name in sorted((*PARAMETERS, *DEFAULTS)):
        if not any(matches(pattern, bytes_of(name)) for pattern in patterns):
            continue
        if name in PARAMETERS:
            found[name] = PARAMETERS[name][0](session.endpoint)
        else:
            found[name] = session.endpoint.settings.idle.get(name, DEFAULTS[name])
    return found


@command(
    "CONFIG SET parameter:string value:string [parameter value ...]",
    complexity="O(N) in the parameters",
    reply="ok",
    flags="admin noscript loading stale",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Change parameters of the running server.",
)
def config_set(session: Session, *rows: tuple[str, str]) -> None:
    """Sets all of the parameters, or none.

    Raises:
        ArgumentError: for a parameter that is unknown, fixed or given twice, or a value
            it cannot have.
    """
    for name, value in _set(session.endpoint, rows):
        shown = HIDDEN if name in SECRETS else value
        _log.warning("%s set %s to %s", session.address or "a client", name, shown)


def why_not_set(name: str, text: str) -> str:
    """Why the section `parameters` of a file cannot have a parameter; empty if it can."""
    if name in SETTINGS_OF:
        settings = " and ".join(".".join(path) for path in SETTINGS_OF[name]("0"))
        return f"has a setting of its own: {settings}"
    if name not in PARAMETERS and name not in DEFAULTS:
        return "no such parameter"
    endpoint = Endpoint(Cache(), REGISTRY, Settings())
    try:
        _set(endpoint, ((name, text),))
    except ArgumentError as error:
        return f"{text!r} is refused: {str(error).rpartition(' - ')[2]}"
    return ""


def set_parameters(endpoint: Endpoint, texts: Mapping[str, str]) -> None:
    """Gives parameters that have no setting the values of a file; the others their defaults."""
    fresh = Endpoint(Cache(), endpoint.registry, Settings())
    rows = {name: PARAMETERS[name][0](fresh) for name in sorted(OWN_PARAMETERS)}
    endpoint.settings.idle.clear()
    _set(endpoint, tuple({**rows, **texts}.items()))


def _set(endpoint: Endpoint, rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sets all of the parameters, or none.

    Returns:
        Those that mean something here.

    Raises:
        ArgumentError: as `config_set`.
    """
    writes: dict[str, tuple[Write, str]] = {}
    idle: list[tuple[str, str]] = []
    for given, value in rows:
        name = given.lower()
        if name in DEFAULTS:
            idle.append((name, value))
            continue
        if name not in PARAMETERS:
            raise ArgumentError(
                f"Unknown option or number of arguments for CONFIG SET - '{given}'"
            )
        read, write = PARAMETERS[name]
        if write is None:
            if name in FOREVER and read(endpoint) in (value, value.lower()):
                continue
            raise _refusal(name, "can't set immutable config")
        if name in writes:
            raise _refusal(name, "duplicate parameter")
        writes[name] = (write, value)
    for name, value in idle:
        try:
            checked(name, value)
        except ArgumentError as error:
            raise _refusal(name, str(error)) from error
    for check_only in (True, False):
        for name, (write, value) in writes.items():
            try:
                write(endpoint, value, check_only)
            except ArgumentError as error:
                raise _refusal(name, str(error)) from error
    for name, value in idle:
        endpoint.settings.idle[name] = checked(name, value)
    return [(name, value) for name, (_, value) in writes.items()]


@command(
    "CONFIG RESETSTAT",
    complexity="O(1)",
    reply="ok",
    flags="admin noscript loading stale",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Set the server's counters back to zero.",
)
def config_resetstat(session: Session) -> None:
    """Sets the totals of this endpoint back to zero; those of the cache stay."""
    session.endpoint.reset_stats()


@command(
    "CONFIG HELP",
    complexity="O(1)",
    reply="statuses",
    flags="loading stale",
    summary="Print this help.",
)
def config_help(session: Session) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("CONFIG")


def _refusal(name: str, reason: str) -> ArgumentError:
    return ArgumentError(
        f"CONFIG SET failed (possibly related to argument '{name}') - {reason}"
    )
