"""File descriptors: how many this process may have open, and whether any is left.

Called by the application as it starts, by CONFIG SET and by the server's timer. Where the
platform has no such limit (Windows), all clients are admitted.

Source: `adjustOpenFilesLimit` in `server.c` of Redis.
"""

from __future__ import annotations

import errno
import os
from typing import Final

# kept from clients, for listeners, files, the log and the event loop
RESERVED: Final = 32
# where not all fit, HTTP has one of so many parts, and what RESP leaves
_PARTS: Final = 4


def make_room(clients: int, http_clients: int) -> tuple[int, int]:
    """Raises the limit of this process, as far as it may, until so many clients fit.

    Returns:
        How many fit of RESP and of HTTP: as many as given, or less; of those that are wanted at
        least 1.
    """
    try:
        import resource
    except ImportError:
        return clients, http_clients
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + http_clients + RESERVED
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return clients, http_clients
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    # a system may have a limit of its own beneath the hard one
    while most > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            break
        except (OSError, ValueError):
            most -= RESERVED
    room = max(most, soft) - RESERVED
    http_fit = min(http_clients, max(1, room - clients, room // _PARTS))
    return min(clients, max(1, room - http_fit)), http_fit


def run_out() -> bool:
    """Whether no descriptor can be opened any more."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
