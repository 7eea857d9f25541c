"""LIRS: keeps the keys whose last two requests lay close together.

A key is LIR (few other keys between its last two requests) or HIR. One hundredth of the
cache, 1 at least, is for resident HIR keys, in a queue; the stack orders keys by their last
request and remembers HIR keys that are gone. The paper lets those grow without bound; here
they are at most twice the capacity, and the one that left first is forgotten first: a bound
of ours, not of the paper.

Source: S. Jiang, X. Zhang, "LIRS: An Efficient Low Inter-reference Recency Set Replacement
Policy to Improve Buffer Cache Performance", SIGMETRICS 2002, section 3.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

HIR_SHARE: Final = 0.01
REMEMBERED: Final = 2  # capacities of keys that are gone


class Lirs:
    """The stack and the queue, both with the oldest key first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lir_size = max(1, capacity - max(1, int(capacity * HIR_SHARE)))
        self._lir: set[int] = set()
        self._stack: OrderedDict[int, None] = OrderedDict()
        self._queue: OrderedDict[int, None] = OrderedDict()
        self._gone: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._lir) + len(self._queue)

    def request(self, key: int) -> bool:
        stack = self._stack
        if key in self._lir:
            stack.move_to_end(key)
            self._prune()
            return True
        if key in self._queue:
            if key in stack:
                del self._queue[key]
                stack.move_to_end(key)
                self._promote(key)
            else:
                stack[key] = None
                self._queue.move_to_end(key)
            return True
        if len(self) >= self._capacity:
            self._evict()
        if key in self._gone:
            del self._gone[key]
            stack.move_to_end(key)
            self._promote(key)
        elif len(self._lir) < self._lir_size:
            stack[key] = None
            self._lir.add(key)
        else:
            stack[key] = None
            self._queue[key] = None
        return False

    def _evict(self) -> None:
        """The oldest of the queue goes; while the stack knows it, it is remembered."""
        if not self._queue:
            self._demote()
        victim, _ = self._queue.popitem(last=False)
        if victim in self._stack:
            self._gone[victim] = None
            if len(self._gone) > REMEMBERED * self._capacity:
                forgotten, _ = self._gone.popitem(last=False)
                del self._stack[forgotten]

    def _promote(self, key: int) -> None:
        """A HIR key becomes LIR, and the LIR key at the bottom of the stack HIR."""
        self._lir.add(key)
        if len(self._lir) > self._lir_size:
            self._demote()

    def _demote(self) -> None:
        key, _ = self._stack.popitem(last=False)
        self._lir.remove(key)
        self._queue[key] = None
        self._prune()

    def _prune(self) -> None:
        """Keeps a LIR key at the bottom of the stack."""
        stack = self._stack
        while stack:
            key = next(iter(stack))
            if key in self._lir:
                return
            del stack[key]
            self._gone.pop(key, None)
