"""systemd: telling it how the server is, and taking the sockets it has opened.

Called by the application. Without the variables that systemd sets, nothing happens.

Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html and
.../sd_listen_fds.html; so little that no library is needed.
"""

from __future__ import annotations

import os
import socket
from time import clock_gettime_ns
from typing import Final

FIRST_DESCRIPTOR: Final = 3
READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"


def notify(*states: str) -> None:
    """Tells who started the service how it is, if it wants to know.

    Raises:
        OSError: if nobody can be told.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            # an abstract socket is written with an @
            channel.connect("\0" + address[1:] if address[0] == "@" else address)
            channel.sendall("\n".join(states).encode())


def reloading() -> tuple[str, ...]:
    """What is told when a reload begins; READY ends it."""
    clock = 1  # CLOCK_MONOTONIC, which Windows has not
    return "RELOADING=1", f"MONOTONIC_USEC={clock_gettime_ns(clock) // 1000}"


def inherited_sockets() -> dict[str, list[socket.socket]]:
    """The listening sockets that systemd has opened for this process, by endpoint.

    A socket belongs to the endpoint that its FileDescriptorName names, `resp` or `http`; to
    RESP if it names none.
    """
    found: dict[str, list[socket.socket]] = {"resp": [], "http": []}
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return found
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    for at in range(int(os.environ.get("LISTEN_FDS", "0"))):
        opened = socket.socket(fileno=FIRST_DESCRIPTOR + at)
        opened.setblocking(False)
        os.set_inheritable(opened.fileno(), False)
        name = names[at] if at < len(names) else ""
        found[name if name in found else "resp"].append(opened)
    # not for processes that this one starts
    for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(variable, None)
    return found
