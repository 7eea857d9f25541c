"""Progress: a bar with rate and time left, and what a later run goes on from.

Called by export and import.

1. The bar is on the error output, and only where that is a terminal; it is text, and fits
   into 20 columns.
2. The state is a small file beside the exported or imported one. It is written whole under
   another name first, so that a crash leaves the old or the new one.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from cachestorm.errors import CacheStormError
from cachestorm_cli.output import bar, count_shown, seconds_shown

_SUFFIX: Final = ".progress"
_EVERY_S: Final = 0.1


class Progress:
    """A line that tells how far something is.

    Args:
        total: how many there are; 0: not known.
    """

    def __init__(self, total: int) -> None:
        self._total: Final = total
        self._started: Final = time.monotonic()
        self._shown_at = 0.0
        self._done = 0
        self._is_on: Final = sys.stderr.isatty()

    def add(self, count: int) -> None:
        """Counts, and shows it now and then."""
        self._done += count
        now = time.monotonic()
        if self._is_on and now - self._shown_at >= _EVERY_S:
            self._shown_at = now
            self._show()

    def end(self) -> None:
        """Shows the end."""
        if self._is_on:
            self._show()
            print(file=sys.stderr)

    @property
    def rate(self) -> float:
        """A second, from the start."""
        return self._done / max(1e-9, time.monotonic() - self._started)

    def _show(self) -> None:
        width = shutil.get_terminal_size().columns - 1
        line = progress_line(self._done, self._total, self.rate, width)
        print(f"\r{line:<{width}}", end="", file=sys.stderr, flush=True)


def progress_line(done: int, total: int, rate: float, width: int) -> str:
    """A line of at most so many characters; what matters most comes first.

    Examples:
        >>> progress_line(500, 1000, 100.0, 80)
        '50 % [##########..........] 500 of 1,000, 100/s, 00:00:05 left'
        >>> progress_line(500, 1000, 100.0, 20)
        '50 % 500 of 1,000'
    """
    share = min(1.0, done / total) if total else 0.0
    head = f"{share:.0%}".replace("%", " %") + " " if total else ""
    counted = f"{count_shown(done)} of {count_shown(total)}" if total else count_shown(done)
    left = f", {seconds_shown((total - done) / rate)} left" if total > done and rate else ""
    choices = (
        f"{head}[{bar(share, 20)}] {counted}, {count_shown(rate)}/s{left}" if total else "",
        f"{head}{counted}, {count_shown(rate)}/s{left}",
        f"{head}{counted}, {count_shown(rate)}/s",
        f"{head}{counted}",
        head.strip() or str(done),
    )
    for line in choices:
        if line and len(line) <= width:
            return line
    return choices[-1][:width]


class State:
    """What a run that was interrupted goes on from.

    Args:
        path: of the file that is exported or imported.
    """

    def __init__(self, path: str) -> None:
        self._path: Final = Path(path + _SUFFIX)

    @property
    def path(self) -> str:
        """Of the file with the state."""
        return str(self._path)

    def read(self) -> dict[str, object]:
        """What was kept.

        Raises:
            CacheStormError: when there is nothing to go on from.
        """
        try:
            kept = json.loads(self._path.read_text())
        except (OSError, ValueError) as error:
            raise CacheStormError(
                f"{self._path} does not say where to go on ({error}): leave out --resume to "
                "begin anew"
            ) from error
        if not isinstance(kept, dict):
            raise CacheStormError(f"{self._path} does not say where to go on")
        return kept

    def write(self, **facts: object) -> None:
        """Keeps it."""
        new = self._path.with_name(self._path.name + ".new")
        new.write_text(json.dumps(facts))
        os.replace(new, self._path)

    def remove(self) -> None:
        """Forgets it, at the end."""
        self._path.unlink(missing_ok=True)
