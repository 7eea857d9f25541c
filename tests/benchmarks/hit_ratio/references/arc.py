"""ARC: two LRU lists, of keys seen once and more than once, whose shares adapt by two ghosts.

Source: N. Megiddo, D. S. Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST
2003, figure 4; names and cases are those of the figure.
"""

from __future__ import annotations

from collections import OrderedDict


class Arc:
    """T1 and T2 are in the cache, B1 and B2 remember what left them; oldest keys first."""

    def __init__(self, capacity: int) -> None:
        self._c = capacity
        self._p = 0.0
        self._t1: OrderedDict[int, None] = OrderedDict()
        self._t2: OrderedDict[int, None] = OrderedDict()
        self._b1: OrderedDict[int, None] = OrderedDict()
        self._b2: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._t1) + len(self._t2)

    def request(self, key: int) -> bool:
        t1, t2, b1, b2 = self._t1, self._t2, self._b1, self._b2
        # case I
        if key in t2:
            t2.move_to_end(key)
            return True
        if key in t1:
            del t1[key]
            t2[key] = None
            return True
        # case II
        if key in b1:
            self._p = min(self._c, self._p + max(1, len(b2) / len(b1)))
            self._replace(False)
            del b1[key]
            t2[key] = None
            return False
        # case III
        if key in b2:
            self._p = max(0, self._p - max(1, len(b1) / len(b2)))
            self._replace(True)
            del b2[key]
            t2[key] = None
            return False
        # case IV
        recent = len(t1) + len(b1)
        if recent == self._c:
            if len(t1) < self._c:
                b1.popitem(last=False)
                self._replace(False)
            else:
                t1.popitem(last=False)
        else:
            total = recent + len(t2) + len(b2)
            if total >= self._c:
                if total == 2 * self._c:
                    b2.popitem(last=False)
                self._replace(False)
        t1[key] = None
        return False

    def _replace(self, was_in_b2: bool) -> None:
        size = len(self._t1)
        if size and (size > self._p or (was_in_b2 and size == self._p)):
            self._b1[self._t1.popitem(last=False)[0]] = None
        else:
            self._b2[self._t2.popitem(last=False)[0]] = None
