"""File descriptors: how many this process may have open, and whether any is left.

Called by the application as it starts, by CONFIG SET and by the server's timer. Where the
platform has no such limit (Windows), all clients are admitted.

Source: `adjustOpenFilesLimit` in `server.c` of Redis.
"""

from __future__ import annotations

import errno
import os
from typing import Final

# kept from clients of RESP, for listeners, the log, the event loop and a few of HTTP
RESERVED: Final = 32
# what is asked for beside clients of RESP: nothing else limits those of HTTP
WANTED_BESIDE: Final = 1024


def make_room(clients: int) -> int:
    """Raises the limit of this process, as far as it may, until so many clients fit.

    Returns:
        How many fit: `clients`, or less; at least 1.
    """
    try:
        import resource
    except ImportError:
        return clients
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + WANTED_BESIDE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return clients
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    # a system may have a limit of its own beneath the hard one
    while most > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            break
        except (OSError, ValueError):
            most -= RESERVED
    return min(clients, max(1, max(most, soft) - RESERVED))


def run_out() -> bool:
    """Whether no descriptor can be opened any more."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
