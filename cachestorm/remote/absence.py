"""The absence: what a connected cache answers when its server does not.

Called by the methods of connected caches, with the error.

1. By default the error is raised.
2. With `on_error="miss"` it is counted, and logged once for a while; the answer is that of an
   empty cache, and False for a write: nothing was set. What would be wrong to say is raised all
   the same: a lock that nobody keeps, a wait that nobody ends. So is a wrong password, and what
   the user may not do: the configuration is at fault, and waiting mends nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final

from cachestorm.cache import Cache
from cachestorm.errors import CacheStormError, ConfigError, OutOfMemoryError
from cachestorm.remote.commands import blocks
from cachestorm.remote.forks import tell_of_forks
from cachestorm.remote.refusals import is_away

logger = logging.getLogger("cachestorm.remote")

RAISE: Final = "raise"
MISS: Final = "miss"
# between two lines in the log
_QUIET_S: Final = 10.0


def is_ignorable(error: Exception) -> bool:
    """Whether an error is no fault of the caller: the server is away, or full."""
    return isinstance(error, OutOfMemoryError) or (
        isinstance(error, CacheStormError) and is_away(error)
    )


def check_on_error(on_error: object) -> None:
    """Refuses another word than these two.

    Raises:
        ConfigError: for it.
    """
    if on_error not in (RAISE, MISS):
        raise ConfigError(f"on_error is {RAISE!r} or {MISS!r}, not {on_error!r}")


class Absence:
    """How the absence of one server is dealt with.

    Args:
        on_error: `raise` or `miss`.
        shown: the address of the server, for the log.

    Attributes:
        on_error: as it was given.
        ignored: how many errors were not raised.

    Raises:
        ConfigError: for another word.
    """

    def __init__(self, on_error: object, shown: str) -> None:
        check_on_error(on_error)
        self.on_error: Final = on_error
        self.is_ignored: Final = on_error == MISS
        self._shown: Final = shown
        self._lock = threading.Lock()
        tell_of_forks(self)
        self._said_at: float | None = None
        self.ignored = 0

    def forked(self) -> None:
        """In the child of a fork: another thread may have had the lock."""
        self._lock = threading.Lock()

    def answer(
        self, error: Exception, name: str, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """What a method answers instead of an error.

        Raises:
            Exception: the error, unless it is ignored; whatever an empty cache raises.
        """
        if blocks(name) or not self.ignores(error):
            raise error
        found = getattr(Cache(), name)(*args, **options)
        return False if found is True else found

    def ignores(self, error: Exception) -> bool:
        """Whether an error is ignored, which is counted."""
        if not (self.is_ignored and is_ignorable(error)):
            return False
        now = time.monotonic()
        with self._lock:
            self.ignored += 1
            is_said = self._said_at is None or now - self._said_at >= _QUIET_S
            if is_said:
                self._said_at = now
        if is_said:
            logger.warning(
                "%s: ignored %s (%d so far): %s",
                self._shown,
                type(error).__name__,
                self.ignored,
                error,
            )
        return True
