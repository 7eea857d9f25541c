"""Parameters of Redis that only tell what the server is: nothing changes them while it runs.

A part of what CONFIG knows, see `configuration.py`. Each can be set to what it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cachestorm.keyspace.store import DATABASES
from cachestorm_server.cluster.state_file import FILE_NAME
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.listening import BACKLOG
from cachestorm_server.parameter_kinds import Read

if TYPE_CHECKING:
    from cachestorm_server.config_cluster import ClusterConfig
    from cachestorm_server.tls import ServerContext

_STREAMS: Final = ("stdout", "stderr")
_PROTOCOLS: Final = "TLSv1.2 TLSv1.3"


def yes_or_no(answer: bool) -> str:
    """A switch, as Redis spells it."""
    return "yes" if answer else "no"


def _tls_file(endpoint: Endpoint, attribute: str) -> str:
    tls = endpoint.settings.tls
    return "" if tls is None else str(getattr(tls.files, attribute))


def _auth_clients(tls: ServerContext | None) -> str:
    """In Redis' words."""
    asked = "none" if tls is None else tls.files.client_auth
    return {"none": "no", "required": "yes"}.get(asked, asked)


def _cluster(endpoint: Endpoint) -> ClusterConfig | None:
    """What is configured of the cluster; None outside of one."""
    config = endpoint.settings.config
    return None if endpoint.cluster is None or config is None else config.cluster


def _cluster_port(endpoint: Endpoint) -> str:
    cluster = _cluster(endpoint)
    return "0" if cluster is None else str(cluster.bind_port)


def _announced_port(endpoint: Endpoint) -> str:
    cluster = _cluster(endpoint)
    return "0" if cluster is None else str(cluster.advertise_port)


def _announced_address(endpoint: Endpoint) -> str:
    cluster = _cluster(endpoint)
    return "" if cluster is None else cluster.advertise_addr


def _log_file(endpoint: Endpoint) -> str:
    config = endpoint.settings.config
    output = _STREAMS[0] if config is None else config.logging.output
    return "" if output in _STREAMS else output


def _directory_path(endpoint: Endpoint) -> str:
    directory = endpoint.availability.directory
    return os.getcwd() if directory is None else directory.folder.path


SEEN: Final[dict[str, Read]] = {
    "acl-pubsub-default": lambda endpoint: "resetchannels",
    "aclfile": lambda endpoint: endpoint.users.file,
    "bind": lambda endpoint: " ".join(endpoint.settings.bind),
    "cluster-announce-bus-port": _announced_port,
    "cluster-announce-ip": _announced_address,
    "cluster-config-file": lambda endpoint: FILE_NAME if _cluster(endpoint) else "",
    "cluster-enabled": lambda endpoint: yes_or_no(endpoint.cluster is not None),
    "cluster-port": _cluster_port,
    "databases": lambda endpoint: str(DATABASES),
    "dir": _directory_path,
    "enable-debug-command": lambda endpoint: endpoint.settings.debug_command,
    "logfile": _log_file,
    "port": lambda endpoint: str(endpoint.settings.port),
    "tcp-backlog": lambda endpoint: str(BACKLOG),
    "tls-auth-clients": lambda endpoint: _auth_clients(endpoint.settings.tls),
    "tls-ca-cert-file": lambda endpoint: _tls_file(endpoint, "ca_file"),
    "tls-cert-file": lambda endpoint: _tls_file(endpoint, "cert_file"),
    "tls-key-file": lambda endpoint: _tls_file(endpoint, "key_file"),
    "tls-port": lambda endpoint: str(
        endpoint.settings.tls_port if endpoint.settings.tls else 0
    ),
    "tls-protocols": lambda endpoint: "" if endpoint.settings.tls is None else _PROTOCOLS,
    "unixsocket": lambda endpoint: endpoint.settings.unix_socket,
    "unixsocketperm": lambda endpoint: f"{endpoint.settings.unix_socket_mode:o}",
}
