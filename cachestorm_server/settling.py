"""Settling: the replies that wait for the journal, and when what they tell of is written.

Asked by the connections where a journal is kept. Has the endpoint write, and the connections
go on.

1. What all clients have changed in one turn of the loop is written together, and forced to the
   disk together where a reply goes when it is safe (`aof_sync: always`).
2. Those who were answered together mostly ask again together, but not in one turn. So where it
   is forced, as many as there were the last time are waited for, if that takes no longer than a
   share of what the disk took. Who is alone waits for nobody.

Source: `commit_siblings` and `commit_delay` of PostgreSQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cachestorm_server.endpoint import Carrier

PATIENCE: Final = 0.5


class Settling:
    """The carriers of one endpoint whose replies wait.

    Args:
        write: writes what was changed; returns whether it is as safe as was promised.
        clock: how the time that takes is measured, in seconds.

    Attributes:
        waiting: who waits.
    """

    def __init__(
        self, write: Callable[[], bool], clock: Callable[[], float] = perf_counter
    ) -> None:
        self.waiting: list[Carrier] = []
        self._write: Final = write
        self._clock: Final = clock
        self._expected = 1
        self._is_forced = False
        self._write_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, carrier: Carrier, is_forced: bool) -> None:
        """Has a carrier go on once what was changed so far is as safe as was promised.

        Args:
            is_forced: whether it is forced to the disk.
        """
        self.waiting.append(carrier)
        self._is_forced = is_forced
        count = len(self.waiting)
        if count == 1:
            asyncio.get_running_loop().call_soon(self._end_turn)
        elif self._timer is not None and count >= self._expected:
            self._stop_timer()
            asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        if not self.waiting or self._timer is not None:
            # they were settled meanwhile, and others have come since
            return
        patience_s = self._write_s * PATIENCE if self._is_forced else 0.0
        if len(self.waiting) < self._expected and patience_s > 0:
            self._timer = asyncio.get_running_loop().call_later(patience_s, self.settle)
        else:
            self.settle()

    def settle(self) -> None:
        """Writes what was changed; whoever waits for that goes on."""
        self._stop_timer()
        waiting, self.waiting = self.waiting, []
        began_s = self._clock()
        is_written = self._write()
        self._write_s = self._clock() - began_s
        self._expected = len(waiting)
        for carrier in waiting:
            carrier.settle(is_written)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
