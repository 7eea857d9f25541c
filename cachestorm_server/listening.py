"""Listening: the sockets of one endpoint, bound before anybody is served.

Called by both endpoints, which pass the sockets to the event loop; calls the system.

1. All addresses of an endpoint have one port, also when it is any free one.
2. An address that is named twice, or by two names, is bound once.
3. Clients are accepted one by one, so that each is served or refused before the next one takes
   a descriptor.
4. What cannot be bound leaves nothing open.
5. A socket of Unix that a server has left behind is replaced; one that somebody listens on, and
   a file that is none, are not touched.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable, Sequence
from ssl import SSLContext
from typing import Final

from cachestorm_server.handshakes import WITHIN_S

BACKLOG: Final = 511
# asyncio accepts as many clients as its backlog before it serves or refuses any of them, and
# tries on and on, with a traceback each, when no descriptor is left
_ACCEPTED_AT_ONCE: Final = 1
# how often another free port is tried that all addresses have
ATTEMPTS: Final = 10

_Address = tuple[socket.AddressFamily, tuple[object, ...]]


async def bound_sockets(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Sockets that listen, one for each address that the names stand for, in their order.

    Args:
        hosts: addresses or names.
        port: 0: one that is free on all of them.

    Raises:
        OSError: for a name that stands for nothing, or an address that cannot be bound.
    """
    loop = asyncio.get_running_loop()
    addresses: dict[_Address, None] = {}
    for host in hosts:
        found = await loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        addresses.update({(family, address): None for family, _, _, _, address in found})
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _bind(list(addresses), port)
        except OSError as error:
            is_taken = error.errno == errno.EADDRINUSE
            if port or len(addresses) == 1 or not is_taken or attempt == ATTEMPTS:
                raise
    raise AssertionError("not reached")


async def serving(
    factory: Callable[[], asyncio.BaseProtocol], bound: socket.socket, tls: SSLContext | None
) -> asyncio.Server:
    """Serves whoever comes to a socket that listens."""
    server = await asyncio.get_running_loop().create_server(
        factory,
        sock=bound,
        backlog=_ACCEPTED_AT_ONCE,
        ssl=tls,
        ssl_handshake_timeout=None if tls is None else WITHIN_S,
    )
    # the system, however, lets more of them wait
    bound.listen(BACKLOG)
    return server


def unix_socket(path: str, mode: int) -> socket.socket:
    """A socket of Unix that listens.

    Args:
        mode: its permissions, which it has before anybody can connect.

    Raises:
        OSError: with the path, if it cannot be bound, or if there is something that is not to
            be replaced.
    """
    try:
        return _unix_socket(path, mode)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _unix_socket(path: str, mode: int) -> socket.socket:
    if os.path.lexists(path):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(path) != errno.ECONNREFUSED:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.bind(path)
        os.chmod(path, mode)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind(addresses: list[_Address], port: int) -> list[socket.socket]:
    bound: list[socket.socket] = []
    try:
        for family, address in addresses:
            listener = socket.socket(family, socket.SOCK_STREAM)
            bound.append(listener)
            if os.name == "posix":
                # elsewhere it would let two servers have one port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # or it would take the port of IPv4 as well
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.setblocking(False)
            listener.bind((address[0], port, *address[2:]))
            # here already: of two that bind one port it may be the second to listen that fails
            listener.listen(BACKLOG)
            port = listener.getsockname()[1]
    except BaseException:
        for listener in bound:
            listener.close()
        raise
    return bound
