"""Belady's optimum: keeps the keys that will be asked for again the soonest.

No policy that has to guess can have more hits. A cache may also pass by what it was asked for,
as policies with a filter do, so the new key itself is among those that may go.

Source: L. A. Belady, "A study of replacement algorithms for a virtual-storage computer",
IBM Systems Journal 5(2), 1966; R. L. Mattson, J. Gecsei, D. R. Slutz, I. L. Traiger,
"Evaluation techniques for storage hierarchies", IBM Systems Journal 9(2), 1970, for the
proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush


class Optimum:
    """A reference that is told the whole trace before it is asked for it, in its order."""

    def __init__(self, capacity: int, trace: Sequence[int]) -> None:
        self._capacity = capacity
        self._next = next_requests(trace)
        self._position = 0
        # when a resident key will be asked for; the heap may hold stale pairs besides
        self._due: dict[int, int] = {}
        self._latest: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._due)

    def request(self, key: int) -> bool:
        due = self._next[self._position]
        self._position += 1
        hit = key in self._due
        self._due[key] = due
        heappush(self._latest, (-due, key))
        while len(self._due) > self._capacity:
            late, victim = heappop(self._latest)
            if self._due.get(victim) == -late:
                del self._due[victim]
        return hit


def next_requests(trace: Sequence[int]) -> list[int]:
    """For each request, the position of the next one for the same key.

    A key that is not asked for again gets a position behind the end, each its own.
    """
    following = [0] * len(trace)
    seen: dict[int, int] = {}
    for position in range(len(trace) - 1, -1, -1):
        key = trace[position]
        following[position] = seen.get(key, len(trace) + position)
        seen[key] = position
    return following
