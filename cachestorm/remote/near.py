"""The near cache: what was read from a server, kept in this process until it changes there.

Called by the near caches (`near_caches.py`); told what changes by `invalidations.py`.

1. A fill is a load: it is begun before the server is asked, and an invalidation that comes
   before its end makes it void. So a value that was overwritten while it was on its way is
   never kept.
2. It keeps nothing while nobody tells it what changes, and is emptied at once when the
   connection that does is lost.
3. What this process writes is forgotten when the server has answered, whatever it answered.
4. An entry never outlives the key on the server: its time to live counts from before the
   server was asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any, Final

from cachestorm.cache import Cache
from cachestorm.remote.arguments import Words
from cachestorm.remote.commands import written_by
from cachestorm.stats import Stats


class Fill:
    """The load of one key.

    Attributes:
        is_void: the key has changed since it began.
    """

    __slots__ = ("began_at", "is_void", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self.is_void = False
        self.began_at = time.monotonic()


class Near:
    """The values of one namespace of a server that are at hand.

    Args:
        settings: of the `Cache` that holds them.

    Attributes:
        values: that `Cache`.
        is_live: whether somebody tells what changes.
        losses: how often the connection that tells was lost.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.values: Final[Cache[Any]] = Cache(**settings)
        self.is_live = False
        self.losses = 0
        self._fills: dict[str, list[Fill]] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def begin(self, key: str) -> Fill:
        """Begins a load, before the server is asked."""
        fill = Fill(key)
        with self._lock:
            fill.is_void = not self.is_live
            self._fills.setdefault(key, []).append(fill)
        return fill

    def end(self, fill: Fill, value: Any, left_ms: int) -> None:
        """Keeps what was loaded, unless it has changed.

        Args:
            left_ms: what PTTL said: -1 for no end, -2 for no key.
        """
        with self._lock:
            self._drop(fill)
            if fill.is_void or left_ms == -2:
                return
            if left_ms == -1:
                self.values.set(fill.key, value, None)
                return
            left_s = left_ms / 1000 - (time.monotonic() - fill.began_at)
            if left_s > 0:
                self.values.set(fill.key, value, left_s)

    def give_up(self, fill: Fill) -> None:
        """Ends a load that found nothing."""
        with self._lock:
            self._drop(fill)

    def _drop(self, fill: Fill) -> None:
        fills = self._fills.get(fill.key, [])
        if fill in fills:
            fills.remove(fill)
            if not fills:
                del self._fills[fill.key]

    def forget(self, keys: Iterable[str] | None) -> None:
        """Drops keys, and makes their loads void; None for all of them."""
        with self._lock:
            if keys is None:
                self._forget_all()
                return
            for key in keys:
                self.values.delete(key)
                for fill in self._fills.get(key, ()):
                    fill.is_void = True

    def _forget_all(self) -> None:
        self.values.clear()
        for fills in self._fills.values():
            for fill in fills:
                fill.is_void = True

    def after(self, commands: Iterable[Words]) -> None:
        """Forgets what commands have written, once the server has answered or failed to."""
        for words in commands:
            is_write, keys = written_by(words)
            if is_write:
                self.forget(keys)

    def ready(self) -> None:
        """Somebody tells what changes from now on."""
        with self._changed:
            self.is_live = True
            self._changed.notify_all()

    def lost(self) -> None:
        """Nobody does any more."""
        with self._lock:
            if self.is_live:
                self.losses += 1
            self.is_live = False
            self._forget_all()

    def wait_until_live(self, timeout_s: float) -> bool:
        """Waits until somebody tells what changes. Returns whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self.is_live, timeout_s)

    def forked(self) -> None:
        """In the child of a fork: empty, and with locks of its own."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self.is_live = False
        self._fills = {}
        self.values.clear()

    def stats(self) -> Stats:
        """The counts of what is at hand; `hit_ratio` is of the reads that were asked."""
        return self.values.stats()
