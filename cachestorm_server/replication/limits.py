"""The limits of replication: what the configuration and CONFIG SET decide about it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

BACKLOG_BYTES = 1 << 20
BACKLOG_TTL_S = 3600
TIMEOUT_S = 60


@dataclass
class Limits:
    """Of one endpoint; read where they are used, so that a change has an effect at once.

    Attributes:
        backlog_bytes: what is kept for a replica that was away.
        backlog_ttl_s: for how long that is kept once no replica is there; 0: for ever.
        timeout_s: who says nothing for so long is disconnected.
        user, password: whom this server says to its primary that it is; without a password it
            says nothing.
        tls: by what the primary is trusted; None: what goes between them is not encrypted.
    """

    backlog_bytes: int = BACKLOG_BYTES
    backlog_ttl_s: int = BACKLOG_TTL_S
    timeout_s: int = TIMEOUT_S
    user: str = ""
    password: str = ""
    tls: ssl.SSLContext | None = None
