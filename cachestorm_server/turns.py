"""Turns: what a task does between two slices of its work, and while there is a pause.

Called by the HTTP endpoint; a RESP connection has no task, and does the same by callbacks.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Final

from cachestorm.operations.long_command import LongCommand
from cachestorm_server.pause import Pause

# how long a task may keep the loop from its other clients
TURN_S: Final = 0.002


class Turn:
    """The time that a task has for its work until others are served.

    Attributes:
        length_s: how long that is.
    """

    def __init__(self, length_s: float = TURN_S) -> None:
        self.length_s: Final = length_s
        self._ends = time.perf_counter() + length_s

    async def end_if_due(self) -> None:
        """Serves others, and begins another turn, once this one has lasted long enough."""
        if time.perf_counter() >= self._ends:
            await asyncio.sleep(0)
            self._ends = time.perf_counter() + self.length_s


async def next_turn(command: LongCommand) -> None:
    """Lets others have a turn; if it sleeps, waits until it is woken or its time is up."""
    if not command.sleeps:
        await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    command.notifier = partial(loop.call_soon_threadsafe, woken.set)
    timer: asyncio.TimerHandle | None = None
    if command.wakes_at != 0.0:
        timer = loop.call_later(command.wakes_at - time.monotonic(), command.unblock)
    try:
        # it may have been woken before there was anybody to tell
        if command.sleeps:
            await woken.wait()
    finally:
        command.notifier = None
        if timer is not None:
            timer.cancel()


async def end_of(pause: Pause) -> None:
    """Waits until a pause is over, or may be."""
    over = asyncio.Event()
    pause.waiting[over] = over.set
    try:
        async with asyncio.timeout(max(pause.ends_at - time.monotonic(), 0.0)):
            await over.wait()
    except TimeoutError:
        pause.end_if_due()
    finally:
        pause.waiting.pop(over, None)
