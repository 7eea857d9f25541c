"""The lag of the event loop: by how much what is due comes late.

Begun and ended by the endpoint, read by the metrics. One timer, every `EVERY_S`.
"""

from __future__ import annotations

import asyncio
from typing import Final

EVERY_S: Final = 0.25
# a reading is of so many of them: ten seconds
_REMEMBERED: Final = 40


class LoopLag:
    """Measures one loop."""

    def __init__(self) -> None:
        self._late_s: Final[list[float]] = [0.0] * _REMEMBERED
        self._turn = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Begins to measure. Within a running loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(loop.time() + EVERY_S, self._look, loop.time() + EVERY_S)

    def end(self) -> None:
        """Measures no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def most_s(self) -> float:
        """The most it was late by in the last ten seconds."""
        return max(self._late_s)

    def _look(self, due_s: float) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._late_s[self._turn % _REMEMBERED] = max(now_s - due_s, 0.0)
        self._turn += 1
        self._timer = loop.call_at(now_s + EVERY_S, self._look, now_s + EVERY_S)
