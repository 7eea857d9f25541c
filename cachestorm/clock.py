"""The clock: where every deadline of a cache is measured.

Given to a store when it is made, asked by nobody else. Deadlines are wall-clock
milliseconds since 1970, as Redis' are: they survive restarts and travel between hosts.

1. `now_ms` never goes back, even when the system's clock does: what was once expired
   stays expired.
2. Nor does it stand still until the system's clock has caught up: meanwhile it goes on from
   the latest time by the steady clock, so that what is new expires when it should.
3. While it is ahead of the system's clock, points in time that come from outside, or go
   there, are told apart by `ahead_ms`: a deadline in a minute by the system's clock is one
   in a minute, although this clock may be hours beyond it.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

from librt.time import time as wall_time
from mypy_extensions import i64

from cachestorm.errors import ArgumentError

# By how much it may be ahead without a word: a system's clock is slewed by less.
SLEWED_MS: Final = 50


class Clock:
    """The system's wall clock, kept from running backwards."""

    def __init__(self) -> None:
        self._latest_ms: i64 = 0
        # by how much this clock is before the steady one, and what it last said by it
        self._lead_ms: i64 = 0
        self._led_to_ms: i64 = 0
        self._ahead_ms: i64 = 0

    def now_ms(self) -> i64:
        """Milliseconds since 1970."""
        now: i64 = int(wall_time() * 1000.0)
        if now < self._latest_ms:
            return self._go_on()
        self._latest_ms = now
        return now

    def ahead_ms(self) -> i64:
        """How far it is ahead of the system's clock: 0 unless that was set back.

        The same from call to call, but for another jump: it does not tremble with the clocks.
        """
        ahead = self.now_ms() - i64(wall_time() * 1000.0)
        if ahead <= 0:
            self._ahead_ms = 0
        elif not -SLEWED_MS <= ahead - self._ahead_ms <= SLEWED_MS:
            self._ahead_ms = ahead
        return self._ahead_ms

    def _go_on(self) -> i64:
        """The time while the system's clock is behind what it has said."""
        steady: i64 = int(monotonic() * 1000.0)
        if self._latest_ms != self._led_to_ms:
            # it has gone by the system's clock since: this is another jump
            self._lead_ms = self._latest_ms - steady
        now = self._lead_ms + steady
        if now > self._latest_ms:
            self._latest_ms = now
        self._led_to_ms = self._latest_ms
        return self._latest_ms


class ManualClock(Clock):
    """A clock that stands still until a test moves it.

    Examples:
        >>> clock = ManualClock(1_000)
        >>> clock.advance(2.5)
        >>> clock.now_ms()
        3500
    """

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        super().__init__()
        self._latest_ms = now_ms

    def now_ms(self) -> i64:
        return self._latest_ms

    def ahead_ms(self) -> i64:
        return 0

    def advance(self, seconds: float) -> None:
        """Moves the clock forward.

        Args:
            seconds: how far; zero or more.

        Raises:
            ArgumentError: for what would turn it back, or is not finite.
        """
        if seconds < 0.0 or seconds - seconds != 0.0:
            raise ArgumentError(f"a clock moves forward, not by {seconds!r}")
        self._latest_ms += round(seconds * 1000.0)
