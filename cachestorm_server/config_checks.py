"""The checks of a configuration: what two settings say to each other, and to the machine.

Called by `config.py` once all is read; it calls nobody but the parts that know what they take.
Whatever is wrong is refused where it was given, and the checks go on.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

from cachestorm.cache import Cache
from cachestorm.errors import CacheStormError
from cachestorm_server.config_sections import NAMESPACES, STREAMS
from cachestorm_server.config_values import Given
from cachestorm_server.settings import HTTP_PATHS

WILDCARDS: Final = ("0.0.0.0", "::", "*")
# shorter ones are lost whenever a machine is busy
LEAST_LEASE_MS: Final = 1000


def check_whole(given: Given) -> None:
    """Refuses what does not fit together."""
    if given.value("plugins.auth.enabled") and not given.value("plugins.auth.password"):
        given.refuse(
            given.where("plugins.auth.enabled"), "needs plugins.auth.password, or a file"
        )
    _check_http(given)
    _check_pressure(given)
    _check_tls(given)
    _check_cluster(given)
    _check_disabled(given)
    _check_log(given)
    _check_parameters(given)
    _check_namespaces(given)


def _check_http(given: Given) -> None:
    port = given.value("http.port")
    taken = port == given.value("server.port") and port != 0
    if taken and given.value("http.enabled"):
        given.refuse(
            given.where("http.port"),
            f"{port} is the port of RESP: choose another, or http.enabled: false",
        )
    path = given.value("plugins.metrics.path")
    if path in HTTP_PATHS:
        given.refuse(
            given.where("plugins.metrics.path"),
            f"{path!r} is refused: the HTTP endpoint has it for itself; choose another",
        )


def _check_pressure(given: Given) -> None:
    warning = cast(int, given.value("memory.pressure_warning"))
    critical = cast(int, given.value("memory.pressure_critical"))
    if warning >= critical:
        is_said = ("memory", "pressure_warning") in given.origins
        given.refuse(
            given.where(f"memory.pressure_{'warning' if is_said else 'critical'}"),
            f"the warning, at {warning}, comes before what is critical, at {critical}",
        )


def _check_log(given: Given) -> None:
    output = cast(str, given.value("logging.output"))
    reason = "" if output in STREAMS else _why_not_written(Path(output))
    if reason:
        given.refuse(
            given.where("logging.output"),
            f"{output!r} is refused: {reason}; name a file that can be written, "
            f"or {' or '.join(STREAMS)}",
        )


def _check_namespaces(given: Given) -> None:
    scratch = Cache()
    for dotted, origin in given.origins.items():
        if dotted[0] == NAMESPACES:
            try:
                scratch.namespace(dotted[1])
            except CacheStormError as error:
                given.refuse(f"{origin}: {NAMESPACES}.{dotted[1]}", str(error))


def _check_disabled(given: Given) -> None:
    names = cast(tuple[str, ...], given.value("acl.disabled_commands"))
    if not names:
        return
    from cachestorm.declare.declaration import DECLARATIONS
    from cachestorm_server import bound_commands as bound_commands

    for name in DECLARATIONS.unknown(names):
        given.refuse(
            given.where("acl.disabled_commands"), f"there is no command {name!r} anyway"
        )


def _check_cluster(given: Given) -> None:
    if not given.value("cluster.enabled"):
        return
    if given.value("replication.replica_of"):
        given.refuse(
            given.where("replication.replica_of"), "a node of a cluster follows no server"
        )
    bind = cast(str, given.value("cluster.bind_addr"))
    advertised = cast(str, given.value("cluster.advertise_addr"))
    if bind in WILDCARDS and advertised in ("", *WILDCARDS):
        given.refuse(
            given.where("cluster.bind_addr"),
            f"{bind!r} is no address that other nodes could reach: give cluster.advertise_addr",
        )
    if not _is_loopback(bind) and not given.value("cluster.secret"):
        given.refuse(
            given.where("cluster.bind_addr"),
            f"{bind!r} is reached from elsewhere, so cluster.secret is needed",
        )
    port = given.value("cluster.bind_port")
    for other in ("server.port", "http.port"):
        if port and port == given.value(other):
            given.refuse(given.where("cluster.bind_port"), f"{port} is taken by {other}")
    _check_authority(given)
    for seed in cast(tuple[str, ...], given.value("cluster.seeds")):
        _, _, digits = seed.rpartition(":")
        if ":" in seed and not (digits.isdecimal() and 0 < int(digits) < 65536):
            given.refuse(given.where("cluster.seeds"), f"{seed!r} is refused: write host:port")


def _check_authority(given: Given) -> None:
    authority = given.value("cluster.authority")
    if authority == "static":
        return
    ttl_ms = cast(int, given.value("cluster.lease_ttl"))
    margin_ms = cast(int, given.value("cluster.lease_margin"))
    if ttl_ms < LEAST_LEASE_MS:
        given.refuse(
            given.where("cluster.lease_ttl"), f"is too short: {LEAST_LEASE_MS} ms or more"
        )
    if not 0 < margin_ms <= ttl_ms // 2:
        given.refuse(
            given.where("cluster.lease_margin"),
            f"more than 0, and at most half of cluster.lease_ttl: {ttl_ms // 2} ms",
        )
    if authority != "etcd":
        return
    endpoints = cast(tuple[str, ...], given.value("cluster.etcd.endpoints"))
    where = given.where("cluster.etcd.endpoints")
    if not endpoints:
        given.refuse(where, "name a member at least: http://127.0.0.1:2379")
    for endpoint in endpoints:
        if not _is_endpoint(endpoint):
            given.refuse(where, f"{endpoint!r} is refused: write http://host:port, or https")
    for name in ("ca_file", "cert_file", "key_file"):
        file = cast(str, given.value(f"cluster.etcd.{name}"))
        if file and not Path(file).is_file():
            given.refuse(given.where(f"cluster.etcd.{name}"), f"there is no file {file!r}")
    pairs = (("cert_file", "key_file"), ("user", "password"))
    for one, other in (*pairs, *(pair[::-1] for pair in pairs)):
        if given.value(f"cluster.etcd.{one}") and not given.value(f"cluster.etcd.{other}"):
            given.refuse(given.where(f"cluster.etcd.{one}"), f"needs cluster.etcd.{other}")


def _check_tls(given: Given) -> None:
    port = given.value("tls.port")
    is_between_nodes = given.value("cluster.enabled") and given.value("cluster.tls")
    if not (port or given.value("tls.http") or is_between_nodes):
        return
    for other in ("server.port", "http.port"):
        if port and port == given.value(other):
            given.refuse(given.where("tls.port"), f"{port} is taken by {other}")
    from cachestorm_server.tls import TlsFiles

    files = TlsFiles(
        *[
            cast(str, given.value(f"tls.{name}"))
            for name in ("cert_file", "key_file", "ca_file", "client_auth")
        ]
    )
    if is_between_nodes:
        # nodes show each other certificates
        files = replace(files, client_auth="required")
    for attribute, why in files.problems():
        given.refuse(given.where(f"tls.{attribute}"), why)


def _check_parameters(given: Given) -> None:
    texts = cast("Mapping[str, str]", given.value("parameters"))
    if texts:
        # which imports the server
        from cachestorm_server.configuration import why_not_set

        for name, text in texts.items():
            reason = why_not_set(name, text)
            if reason:
                given.refuse(given.where(f"parameters.{name}"), reason)


def _is_endpoint(text: str) -> bool:
    """Whether a text is the URL of a server, and of nothing on it."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    named = (url.path in ("", "/"), not url.query, not url.username, port != 0)
    return url.scheme in ("http", "https") and bool(url.hostname) and all(named)


def _why_not_written(file: Path) -> str:
    """Why a file cannot be appended to; empty if it can. Makes none: it may not be wanted."""
    if file.is_dir():
        return os.strerror(errno.EISDIR)
    if not file.parent.is_dir():
        return os.strerror(errno.ENOENT)
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        return os.strerror(errno.EACCES)
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
