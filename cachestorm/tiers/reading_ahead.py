"""Reading ahead: values are read for commands that have not taken the lock yet.

Made by `tiers.py`, and asked by it in the name of the commands. It calls back to read one.

1. What was read is kept until the command has run, or was given up: `forget`.
2. Whoever calls `fetch` goes on at once: a few threads read. Those of a cold tier are others,
   as it may not answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import count
from typing import Final

from cachestorm.keyspace.tiering import COLD, Demoted, Held, tier_of
from cachestorm.tiers.waiting import Fetched

# How many threads read for a server, and from a cold tier.
READERS: Final = 4
COLD_READERS: Final = 16


class ReadingAhead:
    """What has been read ahead.

    Args:
        read: reads one, without the latch.
    """

    def __init__(self, read: Callable[[Demoted], Held | None]) -> None:
        self._read: Final = read
        # by the id of what stands for it
        self.fetched: Final[dict[int, Fetched]] = {}
        self._lock: threading.Lock = threading.Lock()
        self._readers: ThreadPoolExecutor | None = None
        self._cold_readers: ThreadPoolExecutor | None = None

    def fetch(self, wanted: list[Demoted], done: Callable[[], object]) -> None:
        """See `Tiering.fetch`."""
        cold = [each for each in wanted if tier_of(each.place) == COLD]
        warm = [each for each in wanted if tier_of(each.place) != COLD]
        # each read of a cold tier takes as long as all of them together
        parts = [*([each] for each in cold), *([warm] if warm else ())]
        left = count(len(parts) - 1, -1)

        def read(part: list[Demoted]) -> None:
            try:
                for demoted in part:
                    self._read_one(demoted, wanted)
            finally:
                if next(left) == 0:
                    done()

        for part in parts:
            try:
                self._pool(part is not warm).submit(read, part)
            except RuntimeError:
                # the interpreter ends, or the tiers have been closed: the command reads it
                if next(left) == 0:
                    done()

    def _pool(self, is_cold: bool) -> ThreadPoolExecutor:
        if is_cold:
            if self._cold_readers is None:
                self._cold_readers = ThreadPoolExecutor(COLD_READERS, "cachestorm-cold-reader")
            return self._cold_readers
        if self._readers is None:
            self._readers = ThreadPoolExecutor(READERS, "cachestorm-tier-reader")
        return self._readers

    def read_ahead(self, wanted: list[Demoted]) -> None:
        """See `Tiering.read_ahead`."""
        cold = [each for each in wanted if tier_of(each.place) == COLD]
        for demoted in list(wanted):
            if len(cold) < 2 or demoted not in cold:
                self._read_one(demoted, wanted)
        if len(cold) >= 2:
            # each takes as long as all of them together
            pool = self._pool(True)
            wait([pool.submit(self._read_one, each, wanted) for each in cold])

    def _read_one(self, demoted: Demoted, wanted: list[Demoted]) -> None:
        place = demoted.place
        found = self._read(demoted)
        with self._lock:
            # else the command has been given up
            if wanted:
                self.fetched[id(demoted)] = Fetched(demoted, place, found)

    def forget(self, wanted: list[Demoted]) -> None:
        """See `Tiering.forget`."""
        with self._lock:
            for demoted in wanted:
                self.fetched.pop(id(demoted), None)
            wanted.clear()

    def forked(self) -> None:
        """In a child process, which has none of the threads."""
        self._lock = threading.Lock()
        self._readers = self._cold_readers = None

    def close(self) -> None:
        """Returns when nothing is being read."""
        for pool in (self._readers, self._cold_readers):
            if pool is not None:
                pool.shutdown()
