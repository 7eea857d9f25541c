"""Progress: one line on a terminal that says which case is at which step."""

from __future__ import annotations

import sys
from time import monotonic


class Progress:
    """Writes the steps of a case to the standard error, over each other on a terminal.

    Args:
        case: name of the case.
    """

    def __init__(self, case: str) -> None:
        self._case = case
        self._start = monotonic()
        self._live = sys.stderr.isatty()

    def step(self, what: str) -> None:
        """Says what is being done now; silent where nobody watches."""
        if self._live:
            print(f"\r\033[K{self._case}: {what}", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        """Says how long the case took."""
        clear = "\r\033[K" if self._live else ""
        seconds = monotonic() - self._start
        print(f"{clear}{self._case}: {seconds:.0f} s", file=sys.stderr, flush=True)
