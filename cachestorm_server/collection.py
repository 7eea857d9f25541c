"""The collection: when Python's garbage collector runs in a process that is a server's own.

Begun by `cachestorm serve`; a program that runs a server on a loop of its own keeps its own
settings. What the store frees needs no collector, which is there for objects that refer to each
other in a circle: a few, of connections, requests and errors.

1. What is young is collected as ever, in well under a millisecond.
2. All there is, which takes some tens of milliseconds for each million elements that are
   stored, is looked at only after `IDLE_S` in which nobody asked for anything, and only if
   somebody has since the last time. It is not again before `REST` times as long as it took.
3. What the program itself is made of is not looked at again.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from time import perf_counter
from typing import Final

from cachestorm_server.endpoint import Endpoint

IDLE_S: Final = 1.0
REST: Final = 1000.0
# no number of collections of the young leads to one of all
_NEVER: Final = 1 << 30

_log = logging.getLogger("cachestorm")


class Collection:
    """Collects for one server.

    Args:
        endpoint: tells whether somebody asks for something.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint: Final = endpoint
        self._former: tuple[int, int, int] | None = None
        self._task: asyncio.Task[None] | None = None
        # how many commands there had been by the last look, and the last collection
        self._seen = 0
        self._collected = 0
        self._not_before_s = 0.0

    def begin(self) -> None:
        """Takes the collector over from the interpreter. Within a running loop."""
        self._former = gc.get_threshold()
        gc.set_threshold(self._former[0], self._former[1], _NEVER)
        gc.collect()
        gc.freeze()
        self._task = asyncio.get_running_loop().create_task(self._keep_looking())

    def end(self) -> None:
        """Gives it back."""
        if self._task is not None:
            self._task.cancel()
        if self._former is not None:
            gc.unfreeze()
            gc.set_threshold(*self._former)

    def look(self, now_s: float) -> bool:
        """Collects, if now is a time for it; to be called every `IDLE_S`.

        Returns:
            Whether it did.
        """
        commands = int(self._endpoint.commands)
        is_idle = commands == self._seen
        self._seen = commands
        if not is_idle or commands == self._collected or now_s < self._not_before_s:
            return False
        self._collected = commands
        began_s = perf_counter()
        found = gc.collect()
        took_s = perf_counter() - began_s
        self._not_before_s = now_s + took_s * REST
        _log.debug("collected %d objects in %.1f ms", found, took_s * 1e3)
        return True

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(IDLE_S)
            self.look(loop.time())
