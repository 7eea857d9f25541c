"""Waiters: how a thread or a task sleeps until a flight has landed, and is woken by any thread.

Made by the engine for each caller that joins a flight. Knows the library that runs the caller,
and imports none that the program has not imported itself.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock, get_ident
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import asyncio


class Waiter(Protocol):
    """A caller that waits for a flight."""

    def wake(self) -> None:
        """Ends the waiting, from any thread. Called once."""


class ThreadWaiter:
    """A thread that waits."""

    def __init__(self) -> None:
        self._lock: Final = allocate_lock()
        self._lock.acquire()

    def wake(self) -> None:
        self._lock.release()

    def wait(self, timeout_s: float | None) -> bool:
        """Sleeps. Returns whether it was woken, and not by the clock."""
        return self._lock.acquire(True, -1 if timeout_s is None else timeout_s)


class AsyncioWaiter:
    """A task of asyncio that waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Final = loop
        self._future: Final[asyncio.Future[None]] = loop.create_future()

    def wake(self) -> None:
        try:
            if running_loop() is self._loop:
                self._resolve()
            else:
                self._loop.call_soon_threadsafe(self._resolve)
        except RuntimeError:
            # the loop has been closed, and with it whoever waited
            return

    def is_gone(self) -> bool:
        """Whether the loop was closed with the task in it, which will never go on."""
        return self._loop.is_closed()

    def _resolve(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout_s: float | None) -> bool:
        """Sleeps. Returns whether it was woken, and not by the clock."""
        if timeout_s is None:
            await self._future
            return True
        import asyncio

        await asyncio.wait([self._future], timeout=timeout_s)
        return self._future.done()


class TrioWaiter:
    """A task of trio that waits."""

    def __init__(self, trio: Any) -> None:
        self._trio: Final = trio
        self._event: Final = trio.Event()
        self._token: Final = trio.lowlevel.current_trio_token()
        self._thread: Final = get_ident()

    def wake(self) -> None:
        if get_ident() == self._thread:
            self._event.set()
            return
        try:
            self._token.run_sync_soon(self._event.set)
        except self._trio.RunFinishedError:
            return

    def is_gone(self) -> bool:
        """Never: trio cancels its tasks before it ends."""
        return False

    async def wait(self, timeout_s: float | None) -> bool:
        """Sleeps. Returns whether it was woken, and not by the clock."""
        if timeout_s is None:
            await self._event.wait()
            return True
        with self._trio.move_on_after(timeout_s):
            await self._event.wait()
        return bool(self._event.is_set())


def running_trio() -> Any:
    """The module trio, if it runs the code at hand, or None."""
    trio = sys.modules.get("trio")
    if trio is None or not hasattr(trio, "lowlevel"):
        return None
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return None
    return trio


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop of asyncio that runs the code at hand, or None."""
    asyncio_module = sys.modules.get("asyncio")
    if asyncio_module is None:
        return None
    loop: asyncio.AbstractEventLoop | None = asyncio_module._get_running_loop()
    return loop


def task_waiter() -> AsyncioWaiter | TrioWaiter:
    """A waiter for the task at hand.

    Raises:
        RuntimeError: if neither asyncio nor trio runs it.
    """
    trio = running_trio()
    if trio is not None:
        return TrioWaiter(trio)
    loop = running_loop()
    if loop is None:
        raise RuntimeError("awaited where neither asyncio nor trio runs")
    return AsyncioWaiter(loop)


def current_owner() -> object:
    """What tells the caller from others: his task, or his thread."""
    trio = running_trio()
    if trio is not None:
        return trio.lowlevel.current_task()
    if running_loop() is not None:
        import asyncio

        return asyncio.current_task()
    return get_ident()


async def checkpoint() -> None:
    """Lets other tasks go on."""
    trio = running_trio()
    if trio is not None:
        await trio.lowlevel.checkpoint()
        return
    import asyncio

    await asyncio.sleep(0)
