"""Three of the references where the limit is in bytes: each evicts until the newcomer fits.

LRU and SIEVE are as without sizes. The small queue of S3-FIFO has a tenth of the bytes, and
its ghost remembers as many bytes of keys as the main queue holds. The others of the eight are
left out: their papers count pages of one size, and what they would do is a choice of ours.

Source: as in `lru.py`, `sieve.py` and `s3_fifo.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

MOST_HITS: Final = 3


class Sized(Protocol):
    """A simulated cache of keys that have sizes."""

    def request(self, key: int, size: int) -> bool:
        """Asks for a key and keeps it as the policy wants; whether it was there."""


class Lru:
    """The sizes of the keys, the oldest first."""

    def __init__(self, capacity: int) -> None:
        self._room = capacity
        self._sizes: OrderedDict[int, int] = OrderedDict()

    def request(self, key: int, size: int) -> bool:
        if key in self._sizes:
            self._sizes.move_to_end(key)
            return True
        self._room -= size
        while self._room < 0:
            self._room += self._sizes.popitem(last=False)[1]
        self._sizes[key] = size
        return False


class Sieve:
    """Keys in the order in which they came; a hand that goes from the oldest to the newest."""

    def __init__(self, capacity: int) -> None:
        self._room = capacity
        self._sizes: dict[int, int] = {}
        self._visited: dict[int, bool] = {}
        # those that the hand has passed by in this round, in their order
        self._ahead: OrderedDict[int, None] = OrderedDict()
        self._passed: OrderedDict[int, None] = OrderedDict()

    def request(self, key: int, size: int) -> bool:
        if key in self._sizes:
            self._visited[key] = True
            return True
        self._room -= size
        while self._room < 0:
            self._evict()
        self._sizes[key] = size
        self._visited[key] = False
        self._ahead[key] = None
        return False

    def _evict(self) -> None:
        is_found = False
        while not is_found:
            key, _ = self._ahead.popitem(last=False)
            is_found = not self._visited[key]
            if not is_found:
                self._visited[key] = False
                self._passed[key] = None
            if not self._ahead:
                # before a newcomer stands ahead: the hand begins with the oldest
                self._ahead, self._passed = self._passed, self._ahead
        del self._visited[key]
        self._room += self._sizes.pop(key)


class S3Fifo:
    """Hits and sizes by key in both queues, the oldest first."""

    def __init__(self, capacity: int, threshold: int) -> None:
        self._room = capacity
        self._small_size = capacity // 10
        self._ghost_size = capacity - self._small_size
        self._threshold = threshold
        self._sizes: dict[int, int] = {}
        self._small: OrderedDict[int, int] = OrderedDict()
        self._main: OrderedDict[int, int] = OrderedDict()
        self._ghost: OrderedDict[int, int] = OrderedDict()
        self._in_small = 0
        self._in_ghost = 0

    def request(self, key: int, size: int) -> bool:
        for queue in (self._small, self._main):
            hits = queue.get(key)
            if hits is not None:
                queue[key] = min(hits + 1, MOST_HITS)
                return True
        self._room -= size
        while self._room < 0:
            if self._in_small >= self._small_size or not self._main:
                self._evict_from_small()
            else:
                self._evict_from_main()
        self._sizes[key] = size
        if key in self._ghost:
            self._in_ghost -= self._ghost.pop(key)
            self._main[key] = 0
        else:
            self._small[key] = 0
            self._in_small += size
        return False

    def _evict_from_small(self) -> None:
        key, hits = self._small.popitem(last=False)
        size = self._sizes[key]
        self._in_small -= size
        if hits >= self._threshold:
            self._main[key] = 0
            return
        self._room += self._sizes.pop(key)
        self._ghost[key] = size
        self._in_ghost += size
        while self._in_ghost > self._ghost_size:
            self._in_ghost -= self._ghost.popitem(last=False)[1]

    def _evict_from_main(self) -> None:
        key, hits = self._main.popitem(last=False)
        if hits:
            self._main[key] = hits - 1
        else:
            self._room += self._sizes.pop(key)


BY_BYTES: Final[dict[str, Callable[[int], Sized]]] = {
    "LRU": Lru,
    "SIEVE": Sieve,
    "S3-FIFO 1": partial(S3Fifo, threshold=1),
    "S3-FIFO 2": partial(S3Fifo, threshold=2),
}
