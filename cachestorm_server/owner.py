"""The owner: a server that holds the cache which the workers of a machine share.

Started detached by `cachestorm.remote.owners`, when a program asks for `local://name` and there
is none; it listens on a socket of Unix, and nowhere else.

1. It leaves when it has had no client for some time, and takes its values along.
2. It leaves under the lock that starting one takes, and takes its socket away before it looks
   for clients a last time. So nobody connects to one that leaves.
3. It leaves at once when its socket is not there any more, or is another's: nobody new could
   find it, and there must not be two caches of one name.
4. When it listens it says so on the descriptor that it was given, once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from cachestorm.cache import Cache
from cachestorm_server.descriptors import make_room
from cachestorm_server.server import RespServer, run
from cachestorm_server.settings import Settings

LOOK_S: Final = 0.2
# how long a client that has connected may take until it is seen
_ARRIVES_S: Final = 0.05

_log = logging.getLogger("cachestorm.owner")


@dataclass(frozen=True)
class Task:
    """What an owner is started with.

    Attributes:
        path: of the socket.
        lock: of the file that is locked while an owner starts or leaves.
        linger_s: how long it stays without a client.
        settings: of the `Cache`.
        ready: the descriptor to say on that it listens.
    """

    path: str
    lock: str
    linger_s: float
    settings: dict[str, Any]
    ready: int


def main(text: str) -> int:
    """Owns a cache until nobody needs it. Returns the exit code.

    Args:
        text: a `Task` as JSON.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    run(own(Task(**json.loads(text))))
    return 0


async def own(task: Task) -> None:
    """See `main`.

    Raises:
        OSError: if the socket cannot be bound.
    """
    settings = Settings(bind=(), unix_socket=task.path, unix_socket_mode=0o600)
    settings.max_clients, _ = make_room(settings.max_clients, 0)
    server = RespServer(Cache(**task.settings), settings)
    await server.start()
    mine = _identity(task.path)
    os.write(task.ready, b"ready")
    os.close(task.ready)
    while True:
        if not await _left_alone(server, task, mine):
            _log.warning("%s is gone, and so is its owner", task.path)
            return
        held = _locked(task.lock)
        if held is None:
            # a client is on its way
            continue
        if await _nobody_comes(server, task.path):
            # the lock is held until the process has ended
            return
        os.close(held)


async def _left_alone(server: RespServer, task: Task, mine: object) -> bool:
    """Waits until there has been no client for some time; or until the socket is gone.

    Returns:
        Whether the socket is there.
    """
    left_at = time.monotonic()
    while time.monotonic() - left_at < task.linger_s:
        await asyncio.sleep(min(LOOK_S, task.linger_s))
        if _identity(task.path) != mine:
            return False
        if server.endpoint.sessions:
            left_at = time.monotonic()
    return True


async def _nobody_comes(server: RespServer, path: str) -> bool:
    """Takes the socket away, and puts it back if a client had connected before."""
    aside = f"{path}.leaving"
    os.rename(path, aside)
    await asyncio.sleep(_ARRIVES_S)
    if server.endpoint.sessions:
        os.rename(aside, path)
        return False
    with suppress(OSError):
        os.unlink(aside)
    return True


def _identity(path: str) -> tuple[int, int] | None:
    """Which file there is at a path; None if there is none."""
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _locked(path: str) -> int | None:
    """The lock, held until it is closed; None if somebody else has it."""
    import fcntl

    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        return None
    return held
