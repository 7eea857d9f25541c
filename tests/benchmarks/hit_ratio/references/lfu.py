"""LFU: evicts what was asked for the fewest times since it came, with ageing.

Counts belong to keys that are in the cache, begin at 1, and are forgotten with the key. Of
equal counts the one that reached its count first goes. Without ageing a key that was once
popular would stay for good: after every ten capacities of requests all counts are halved
(those of 1 stay 1), the period after which TinyLFU halves its own.

Source: K. Shah, A. Mitra, D. Matani, "An O(1) algorithm for implementing the LFU cache
eviction scheme", 2010, for the buckets; the ageing is that of G. Einziger, R. Friedman,
B. Manes, "TinyLFU", ACM Transactions on Storage 13(4), 2017, section 3.3.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

AGEING: Final = 10  # capacities of requests


class Lfu:
    """The keys in one queue for each count."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._counts: dict[int, int] = {}
        self._queues: dict[int, OrderedDict[int, None]] = {}
        self._lowest = 1
        self._requests = 0

    def __len__(self) -> int:
        return len(self._counts)

    def request(self, key: int) -> bool:
        self._requests += 1
        if self._requests >= AGEING * self._capacity:
            self._requests = 0
            self._age()
        count = self._counts.get(key)
        if count is not None:
            self._leave(key, count)
            if self._lowest == count and count not in self._queues:
                self._lowest = count + 1
            self._join(key, count + 1)
            return True
        if len(self._counts) >= self._capacity:
            victim = next(iter(self._queues[self._lowest]))
            self._leave(victim, self._lowest)
            del self._counts[victim]
        self._join(key, 1)
        self._lowest = 1
        return False

    def _join(self, key: int, count: int) -> None:
        self._counts[key] = count
        queue = self._queues.get(count)
        if queue is None:
            queue = self._queues[count] = OrderedDict()
        queue[key] = None

    def _leave(self, key: int, count: int) -> None:
        queue = self._queues[count]
        del queue[key]
        if not queue:
            del self._queues[count]

    def _age(self) -> None:
        """Halves all counts; among keys that become equal the lower count was first."""
        former, self._queues = self._queues, {}
        for count in sorted(former):
            for key in former[count]:
                self._join(key, max(1, count // 2))
        self._lowest = min(self._queues, default=1)
