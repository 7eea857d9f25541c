"""The parameters of CONFIG that are about replication, by Redis' names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cachestorm.errors import ArgumentError
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.output_limits import parse_memory
from cachestorm_server.parameter_kinds import INT32_MOST, Read, Write, whole


def _limit(endpoint: Endpoint, name: str, value: object) -> None:
    setattr(endpoint.settings.replication, name, value)


def _text(name: str) -> Write:
    """A text that is a limit of replication."""

    def write(endpoint: Endpoint, text: str, check_only: bool) -> None:
        if not check_only:
            _limit(endpoint, name, text)

    return write


def _set_backlog(endpoint: Endpoint, text: str, check_only: bool) -> None:
    size = parse_memory(text)
    if size < 1:
        raise ArgumentError("argument must be between 1 and 9223372036854775807 inclusive")
    if not check_only:
        _limit(endpoint, "backlog_bytes", size)


def _primary_of(endpoint: Endpoint) -> str:
    found = endpoint.replication
    if found is None or found.following is None:
        return ""
    return f"{found.following.primary.host} {found.following.primary.port}"


# as `configuration.PARAMETERS` and `SETTINGS_OF`, of which they are a part
PARAMETERS: Final[dict[str, tuple[Read, Write | None]]] = {
    "masterauth": (lambda endpoint: endpoint.settings.replication.password, _text("password")),
    "masteruser": (lambda endpoint: endpoint.settings.replication.user, _text("user")),
    "repl-backlog-size": (
        lambda endpoint: str(endpoint.settings.replication.backlog_bytes),
        _set_backlog,
    ),
    "repl-backlog-ttl": (
        lambda endpoint: str(endpoint.settings.replication.backlog_ttl_s),
        whole(0, INT32_MOST, lambda endpoint, s: _limit(endpoint, "backlog_ttl_s", s)),
    ),
    "repl-timeout": (
        lambda endpoint: str(endpoint.settings.replication.timeout_s),
        whole(1, INT32_MOST, lambda endpoint, s: _limit(endpoint, "timeout_s", s)),
    ),
    "replicaof": (_primary_of, None),
    # its name before Redis 5
    "slaveof": (_primary_of, None),
}
SETTINGS_OF: Final[dict[str, Callable[[str], dict[tuple[str, ...], object]]]] = {
    "masterauth": lambda text: {("replication", "primary_password"): text},
    "masteruser": lambda text: {("replication", "primary_user"): text},
    "repl-backlog-size": lambda text: {("replication", "backlog_size"): int(text)},
    "repl-backlog-ttl": lambda text: {("replication", "backlog_ttl"): int(text)},
    "repl-timeout": lambda text: {("replication", "timeout"): int(text)},
}
