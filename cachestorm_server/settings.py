"""Settings: how one RESP endpoint behaves; made by the application, changed by CONFIG SET.

Read by sessions and the listener. Knows no file and no environment: the program that starts the
server reads those. The paths of the HTTP endpoint are here as well, where they can be read
without the endpoint.
"""

from __future__ import annotations

from typing import Final

from cachestorm_server.output_limits import OutputLimit, default_limits
from cachestorm_server.requests import MAX_BULK_BYTES

DEFAULT_PORT: Final = 6380

COMMANDS_PATH: Final = "/v1/commands"
HEALTH_PATH: Final = "/health"
# what the HTTP endpoint shows beside them, and beside the metrics
INFO_PATH: Final = "/info"
KEYS_PATH: Final = "/keys"
TAGS_PATH: Final = "/tags"
MEMORY_PATH: Final = "/memory"
HTTP_PATHS: Final = (
    COMMANDS_PATH,
    HEALTH_PATH,
    INFO_PATH,
    KEYS_PATH,
    TAGS_PATH,
    MEMORY_PATH,
)


class Settings:
    """What an operator decides about a RESP endpoint.

    Attributes:
        bind: addresses to listen on.
        port: TCP port; 0: any free one.
        password: what AUTH asks for; empty: nothing is asked.
        protected_mode: without a password, only clients of this host are let in.
        max_clients: how many connections at a time.
        timeout_s: a client idle for longer is disconnected; 0: never.
        max_bulk_bytes: the longest argument.
        max_query_bytes: the largest request; a client that sends more is disconnected.
        output_limits: how much may wait for a client, by class.
        busy_reply_ms: others are answered while a script runs for longer than this, and where
            there are none it is ended; 0 for as long as it takes.
        slow_log_slower_than_us: what the slow log takes at first; negative for nothing.
        slow_log_max_len: how many calls it keeps at first.
    """

    def __init__(
        self,
        bind: tuple[str, ...] = ("127.0.0.1",),
        port: int = DEFAULT_PORT,
        password: str = "",
        protected_mode: bool = True,
        max_clients: int = 10_000,
        timeout_s: int = 0,
        max_bulk_bytes: int = MAX_BULK_BYTES,
        max_query_bytes: int = 1024 * 1024 * 1024,
        slow_log_slower_than_us: int = 10_000,
        slow_log_max_len: int = 128,
    ) -> None:
        self.bind = bind
        self.port = port
        self.password = password
        self.protected_mode = protected_mode
        self.max_clients = max_clients
        self.timeout_s = timeout_s
        self.max_bulk_bytes = max_bulk_bytes
        self.max_query_bytes = max_query_bytes
        self.busy_reply_ms = 5000
        self.slow_log_slower_than_us: Final = slow_log_slower_than_us
        self.slow_log_max_len: Final = slow_log_max_len
        # parameters of Redis that mean nothing here, as somebody has set them
        self.idle: Final[dict[str, str]] = {}
        self.output_limits: dict[str, OutputLimit] = default_limits()
