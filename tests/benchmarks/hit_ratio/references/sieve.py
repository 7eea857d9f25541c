"""SIEVE: a queue in which hits move nothing, and a hand that evicts what was not visited.

Source: Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson, K. V. Rashmi, "SIEVE is Simpler than LRU: an
Efficient Turn-Key Eviction Algorithm for Web Caches", NSDI 2024, algorithm 1.
"""

from __future__ import annotations


class Node:
    """A key in the queue; `newer` leads to the head, `older` to the tail."""

    __slots__ = ("key", "newer", "older", "visited")

    def __init__(self, key: int) -> None:
        self.key = key
        self.visited = False
        self.newer: Node | None = None
        self.older: Node | None = None


class Sieve:
    """New keys enter at the head; the hand walks from the tail to the head, and around."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._nodes: dict[int, Node] = {}
        self._head: Node | None = None
        self._tail: Node | None = None
        self._hand: Node | None = None

    def __len__(self) -> int:
        return len(self._nodes)

    def request(self, key: int) -> bool:
        node = self._nodes.get(key)
        if node is not None:
            node.visited = True
            return True
        if len(self._nodes) >= self._capacity:
            self._evict()
        node = self._nodes[key] = Node(key)
        node.older = self._head
        if self._head is None:
            self._tail = node
        else:
            self._head.newer = node
        self._head = node
        return False

    def _evict(self) -> None:
        node = self._hand or self._tail
        assert node is not None
        while node.visited:
            node.visited = False
            node = node.newer or self._tail
            assert node is not None
        self._hand = node.newer
        if node.newer is None:
            self._head = node.older
        else:
            node.newer.older = node.older
        if node.older is None:
            self._tail = node.newer
        else:
            node.older.newer = node.newer
        del self._nodes[node.key]
