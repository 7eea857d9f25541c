"""LRU: evicts what was not asked for the longest."""

from __future__ import annotations

from collections import OrderedDict


class Lru:
    """The keys in the order of their last requests, the oldest first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._keys: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._keys)

    def request(self, key: int) -> bool:
        keys = self._keys
        if key in keys:
            keys.move_to_end(key)
            return True
        if len(keys) >= self._capacity:
            keys.popitem(last=False)
        keys[key] = None
        return False
