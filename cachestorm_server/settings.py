"""Settings: how one endpoint behaves; made by the application, changed by CONFIG SET.

Read by sessions and the listeners. Knows no file and no environment: the program that starts
the server reads those. The paths of the HTTP endpoint are here as well, where they can be
read without the endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cachestorm_server.output_limits import OutputLimit, default_limits
from cachestorm_server.replication.limits import Limits
from cachestorm_server.requests import MAX_BULK_BYTES

if TYPE_CHECKING:
    import socket

    from cachestorm_server.config_sections import Config
    from cachestorm_server.tls import ServerContext

DEFAULT_PORT: Final = 6380
MAX_HTTP_CLIENTS: Final = 1000
HTTP_HEADER_TIMEOUT_S: Final = 10
HTTP_KEEPALIVE_TIMEOUT_S: Final = 75
# whether a client is asked for a certificate
CLIENT_AUTH: Final = ("none", "optional", "required")
# who may use DEBUG
DEBUG_COMMAND: Final = ("no", "local", "yes")

COMMANDS_PATH: Final = "/v1/commands"
HEALTH_PATH: Final = "/health"
# what the HTTP endpoint shows beside them, and beside the metrics
INFO_PATH: Final = "/info"
KEYS_PATH: Final = "/keys"
TAGS_PATH: Final = "/tags"
MEMORY_PATH: Final = "/memory"
READY_PATH: Final = "/ready"
DOCS_PATH: Final = "/docs"
OPENAPI_PATH: Final = "/openapi.json"
HTTP_PATHS: Final = (
    COMMANDS_PATH,
    HEALTH_PATH,
    INFO_PATH,
    KEYS_PATH,
    TAGS_PATH,
    MEMORY_PATH,
    READY_PATH,
    DOCS_PATH,
    OPENAPI_PATH,
    "/",
    "/v1/clients",
    "/v1/config",
    "/v1/events",
    "/v1/hot-keys",
    "/v1/namespaces",
    "/v1/slow-log",
    "/v1/stats",
    "/v1/tags",
)


class Settings:
    """What an operator decides about a RESP endpoint, and who is served over HTTP.

    Attributes:
        bind: addresses to listen on.
        port: TCP port; 0: any free one.
        unix_socket: the path of a socket of Unix to listen on as well; or empty.
        unix_socket_mode: its permissions.
        tls: what is spoken on a port of its own; None: nothing.
        tls_port: that port; 0: any free one.
        tls_bind: addresses to listen on for TLS; empty: `bind`.
        password: of the default user at first; empty: it needs none.
        acl_file: the path of the file of users; or empty.
        protected_mode: without a password, only clients of this host are let in.
        max_clients: how many connections at a time.
        timeout_s: a client idle for longer is disconnected; 0: never.
        write_timeout_s: so is one that takes nothing of its replies for longer; 0: never.
        keepalive_s: how often the system asks a silent client's host; 0: never.
        pressure_warning, pressure_critical: percent of the limit of memory that the log tells
            of; 0: none.
        max_http_clients: how many connections of HTTP at a time.
        http_header_timeout_s: one is closed that has no whole header by then, since it is there
            or has begun it; 0: never.
        http_keepalive_timeout_s: one without another request for so long after an answer;
            0: never.
        max_bulk_bytes: the longest argument.
        max_query_bytes: the largest request; a client that sends more is disconnected.
        output_limits: how much may wait for a client, by class.
        replication: what is decided about replicas.
        busy_reply_ms: others are answered while a script runs for longer than this, and where
            there are none it is ended; 0 for as long as it takes.
        slow_log_slower_than_us: what the slow log takes at first; negative for nothing.
        slow_log_max_len: how many calls it keeps at first.
        log_level: what is logged, as `logging.level` says it.
        debug_command: who may use DEBUG: no (nobody), local (clients of this host) or yes.
        config: what all of this was made from; None where a program decides.
        sockets: that listen already, and are used instead of `bind` and `port`.
    """

    def __init__(
        self,
        bind: tuple[str, ...] = ("127.0.0.1",),
        port: int = DEFAULT_PORT,
        unix_socket: str = "",
        unix_socket_mode: int = 0o700,
        tls: ServerContext | None = None,
        tls_port: int = 0,
        password: str = "",
        acl_file: str = "",
        protected_mode: bool = True,
        max_clients: int = 10_000,
        timeout_s: int = 0,
        max_bulk_bytes: int = MAX_BULK_BYTES,
        max_query_bytes: int = 1024 * 1024 * 1024,
        slow_log_slower_than_us: int = 10_000,
        slow_log_max_len: int = 128,
        write_timeout_s: int = 0,
        keepalive_s: int = 300,
        pressure_warning: int = 0,
        pressure_critical: int = 0,
        max_http_clients: int = MAX_HTTP_CLIENTS,
        http_header_timeout_s: int = HTTP_HEADER_TIMEOUT_S,
        http_keepalive_timeout_s: int = HTTP_KEEPALIVE_TIMEOUT_S,
        tls_bind: tuple[str, ...] = (),
    ) -> None:
        self.bind = bind
        self.port = port
        self.unix_socket: Final = unix_socket
        self.unix_socket_mode: Final = unix_socket_mode
        self.tls: Final = tls
        self.tls_port = tls_port
        self.tls_bind: Final = tls_bind or bind
        self.password: Final = password
        self.acl_file: Final = acl_file
        self.protected_mode = protected_mode
        self.max_clients = max_clients
        self.timeout_s = timeout_s
        self.write_timeout_s = write_timeout_s
        self.keepalive_s = keepalive_s
        self.pressure_warning = pressure_warning
        self.pressure_critical = pressure_critical
        self.max_http_clients = max_http_clients
        self.http_header_timeout_s = http_header_timeout_s
        self.http_keepalive_timeout_s = http_keepalive_timeout_s
        self.max_bulk_bytes = max_bulk_bytes
        self.max_query_bytes = max_query_bytes
        self.busy_reply_ms = 5000
        self.slow_log_slower_than_us: Final = slow_log_slower_than_us
        self.slow_log_max_len: Final = slow_log_max_len
        self.log_level = "info"
        self.debug_command = DEBUG_COMMAND[0]
        self.config: Config | None = None
        self.sockets: list[socket.socket] = []
        # parameters of Redis that mean nothing here, as somebody has set them
        self.idle: Final[dict[str, str]] = {}
        self.output_limits: dict[str, OutputLimit] = default_limits()
        self.replication: Final = Limits()
