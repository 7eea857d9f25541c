"""S3-FIFO: a small queue that filters, a main queue, and a ghost of what left the small one.

The small queue has a tenth of the capacity (1 at least), the ghost remembers as many keys as
the main queue holds. `threshold` is how many hits in the small queue lead to the main one: 2 in
the paper, 1 in many implementations. A key that moves to the main queue begins there with no
hits, as in the authors' own simulator, libCacheSim; the pseudo-code leaves that open.

Source: J. Yang, Y. Zhang, Z. Qiu, Y. Yue, K. V. Rashmi, "FIFO Queues are All You Need for Cache
Eviction", SOSP 2023, algorithm 1.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MOST_HITS: Final = 3


class S3Fifo:
    """Both queues hold a count of hits by key, the oldest first."""

    def __init__(self, capacity: int, threshold: int) -> None:
        self._capacity = capacity
        self._small_size = max(1, capacity // 10)
        self._threshold = threshold
        self._small: OrderedDict[int, int] = OrderedDict()
        self._main: OrderedDict[int, int] = OrderedDict()
        self._ghost: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def request(self, key: int) -> bool:
        for queue in (self._small, self._main):
            hits = queue.get(key)
            if hits is not None:
                if hits < MOST_HITS:
                    queue[key] = hits + 1
                return True
        if len(self._small) + len(self._main) >= self._capacity:
            self._evict()
        if key in self._ghost:
            del self._ghost[key]
            self._main[key] = 0
        else:
            self._small[key] = 0
        return False

    def _evict(self) -> None:
        size = len(self)
        while len(self) == size:
            if len(self._small) >= self._small_size:
                self._evict_from_small()
            else:
                self._evict_from_main()

    def _evict_from_small(self) -> None:
        """Takes the oldest key: to the main queue, or out and into the ghost."""
        key, hits = self._small.popitem(last=False)
        if hits >= self._threshold:
            self._main[key] = 0
            return
        self._ghost[key] = None
        if len(self._ghost) > self._capacity - self._small_size:
            self._ghost.popitem(last=False)

    def _evict_from_main(self) -> None:
        """Takes the oldest key: back to the head for one hit, or out."""
        key, hits = self._main.popitem(last=False)
        if hits:
            self._main[key] = hits - 1
