"""W-TinyLFU: a window of 1 %, and a segmented LRU that takes only what is asked for more often.

A key that leaves the window meets the oldest key on probation, and the one with the higher
estimate stays; of equals the one that is there. The main part is a segmented LRU of which 80 %
are protected. Estimates count up to 15; all are halved, and the count of requests with them,
when it reaches ten capacities.

They are exact here, where the paper has a sketch that at times takes one key for another:
this is the policy at its best. Caffeine's chance of 1 in 128 for a rejected key, against
attacks, is left out, and so is its window that changes its size: this is the policy with a
fixed one.

Source: G. Einziger, R. Friedman, B. Manes, "TinyLFU: A Highly Efficient Cache Admission
Policy", ACM Transactions on Storage 13(4), 2017, sections 3 and 4.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

WINDOW_SHARE: Final = 0.01
PROTECTED_SHARE: Final = 0.8
HIGHEST: Final = 15
AGEING: Final = 10  # capacities of requests


class WTinyLfu:
    """Three LRU lists, the oldest key first, and the estimates of all keys seen of late."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._window_size = max(1, int(capacity * WINDOW_SHARE))
        self._main_size = capacity - self._window_size
        self._protected_size = int(self._main_size * PROTECTED_SHARE)
        self._window: OrderedDict[int, None] = OrderedDict()
        self._probation: OrderedDict[int, None] = OrderedDict()
        self._protected: OrderedDict[int, None] = OrderedDict()
        self._estimates: dict[int, int] = {}
        self._requests = 0

    def __len__(self) -> int:
        return len(self._window) + len(self._probation) + len(self._protected)

    def request(self, key: int) -> bool:
        self._count(key)
        if key in self._protected:
            self._protected.move_to_end(key)
            return True
        if key in self._window:
            self._window.move_to_end(key)
            return True
        if key in self._probation:
            del self._probation[key]
            self._protected[key] = None
            if len(self._protected) > self._protected_size:
                demoted, _ = self._protected.popitem(last=False)
                self._probation[demoted] = None
            return True
        self._window[key] = None
        if len(self._window) > self._window_size:
            candidate, _ = self._window.popitem(last=False)
            self._contest(candidate)
        return False

    def _contest(self, candidate: int) -> None:
        """Lets a key from the window into the main part, or drops it."""
        if len(self._probation) + len(self._protected) < self._main_size:
            self._probation[candidate] = None
            return
        queue = self._probation or self._protected
        if not queue:
            return
        victim = next(iter(queue))
        if self._estimates.get(candidate, 0) > self._estimates.get(victim, 0):
            del queue[victim]
            self._probation[candidate] = None

    def _count(self, key: int) -> None:
        estimate = self._estimates.get(key, 0)
        if estimate < HIGHEST:
            self._estimates[key] = estimate + 1
        self._requests += 1
        if self._requests >= AGEING * self._capacity:
            self._requests //= 2
            self._estimates = {
                key: estimate // 2 for key, estimate in self._estimates.items() if estimate > 1
            }
