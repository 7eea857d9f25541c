"""The reaper: frees what is due while nobody writes, in a thread or a task.

Made by `Cache.reaper`. Nothing is ever visible after its deadline, reaper or not, and
every write reaps a little; what a cache that is only read holds on to until the next
write is memory, and that is what this is for.

1. It keeps no cache alive: when the cache has gone, the thread or task ends.
2. A step holds the lock for well under a millisecond; between two of them others run.
3. A thread does not survive a fork: a child that wants a reaper starts its own.
"""

from __future__ import annotations

import time
import weakref
from _thread import get_ident
from typing import TYPE_CHECKING, Final, cast

from cachestorm.errors import ConfigError
from cachestorm.keyspace.forks import Keeper
from cachestorm.keyspace.shared_state import PAUSE_S
from cachestorm.keyspace.store import Store

if TYPE_CHECKING:
    import asyncio
    import threading
    from types import TracebackType

# so many steps follow each other at most before the reaper rests
STEPS_A_TURN: Final = 1000
LONGEST_REST_S: Final = 366 * 86_400


class Reaper:
    """Reaps a cache every so often; a context manager, of both sorts.

    Args:
        store: what to reap.
        every: seconds between two turns.

    Raises:
        ConfigError: if `every` is not positive, or longer than a year.
    """

    def __init__(self, store: Store, every: float) -> None:
        if not 0.0 < every <= LONGEST_REST_S:
            raise ConfigError(
                f"a reaper rests for a positive number of seconds, up to a year, not {every!r}"
            )
        # a compiled object takes no weak reference, so what keeps it does
        self._keeper: Final = weakref.ref(cast(Keeper, store.latch.keeper))
        self._every: Final = every
        self._thread: threading.Thread | None = None
        self._ending: threading.Event | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> Reaper:
        """Starts a daemon thread; nothing if it runs already."""
        import threading

        if self._thread is None or not self._thread.is_alive():
            self._ending = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._ending,), name="cachestorm-reaper", daemon=True
            )
            self._thread.start()
        return self

    def stop(self) -> None:
        """Ends the thread, and waits until it has ended; nothing if there is none.

        Called by a listener in that thread, it does not wait.
        """
        thread, self._thread = self._thread, None
        if thread is not None and self._ending is not None:
            self._ending.set()
            if thread.ident != get_ident():
                thread.join()

    @property
    def is_running(self) -> bool:
        """Whether a thread or a task is at work."""
        if self._thread is not None:
            return self._thread.is_alive()
        return self._task is not None and not self._task.done()

    def __enter__(self) -> Reaper:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Reaper:
        import asyncio

        self._task = asyncio.create_task(self._keep_reaping(), name="cachestorm-reaper")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        import asyncio

        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _run(self, ending: threading.Event) -> None:
        while not ending.wait(self._every):
            for _ in range(STEPS_A_TURN):
                if ending.is_set() or not self._step():
                    break
                time.sleep(PAUSE_S)
            if self._keeper() is None:
                return

    async def _keep_reaping(self) -> None:
        import asyncio

        while self._keeper() is not None:
            for _ in range(STEPS_A_TURN):
                if not self._step():
                    break
                await asyncio.sleep(0)
            await asyncio.sleep(self._every)

    def _step(self) -> bool:
        """One step. Returns whether there may be more to do."""
        keeper = self._keeper()
        if keeper is None:
            return False
        return cast(Store, keeper.store).let_go() != 0
