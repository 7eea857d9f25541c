"""Turns: what a task does between two slices of a long command.

Called by the HTTP endpoint; a RESP connection has no task, and does the same by callbacks.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from cachestorm.operations.long_command import LongCommand


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
