"""Progress: one line that says which case is at which step, or now and then one more."""

from __future__ import annotations

import sys
from time import monotonic

# between two lines where they are not written over each other
QUIET_S = 10.0


class Progress:
    """Writes the steps of a case to the standard error.

    On a terminal over each other; elsewhere one every ten seconds, with the time so far.

    Args:
        case: name of the case.
    """

    def __init__(self, case: str) -> None:
        self._case = case
        self._start = monotonic()
        self._live = sys.stderr.isatty()
        self._told = self._start

    def step(self, what: str) -> None:
        """Says what is being done now."""
        now = monotonic()
        if self._live:
            print(f"\r\033[K{self._case}: {what}", end="", file=sys.stderr, flush=True)
        elif now - self._told >= QUIET_S:
            self._told = now
            print(
                f"{self._case}: {now - self._start:.0f} s: {what}", file=sys.stderr, flush=True
            )

    def done(self) -> None:
        """Says how long the case took."""
        clear = "\r\033[K" if self._live else ""
        seconds = monotonic() - self._start
        print(f"{clear}{self._case}: {seconds:.0f} s", file=sys.stderr, flush=True)
