"""The tag hierarchy: which tag is a child of which, without a cycle.

Kept by the tag index, asked by INVALIDATE with CASCADE and by TAGCHILDREN. It knows names only:
a tag has its place here whether any key bears it or not.

1. A tag may have many parents and many children.
2. No walk recurses: a chain of any length works.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.codec import bytes_of
from cachestorm.errors import TagError
from cachestorm.values.bulk import Bulk

# What a link is charged at: two names, and a dict at either end in the worst case.
HIERARCHY_BYTES: Final = 512


class TagHierarchy(Bulk):
    """The links between the tags of one keyspace.

    Attributes:
        count: how many links there are.
    """

    def __init__(self) -> None:
        self.count: i64 = 0
        self._children: dict[str, dict[str, None]] = {}
        self._parents: dict[str, dict[str, None]] = {}

    def bulk(self) -> i64:
        return self.count

    def take_apart(self) -> list[object]:
        parts: list[object] = [self._children, self._parents]
        self.count = 0
        self._children = {}
        self._parents = {}
        return parts

    def add(self, parent: str, child: str) -> bool:
        """Makes a tag the child of another. Idempotent: returns whether it was not yet.

        Looks for a cycle from both ends at once and stops when either is exhausted, so
        a chain may be built from its top or its bottom at O(1) a link.

        Raises:
            TagError: if the link would close a cycle.
        """
        children = self._children.get(parent)
        if children is not None and child in children:
            return False
        if parent == child or self._reaches(child, parent):
            raise TagError("tag link would create a cycle")
        if children is None:
            children = {}
            self._children[parent] = children
        children[child] = None
        parents = self._parents.get(child)
        if parents is None:
            parents = {}
            self._parents[child] = parents
        parents[parent] = None
        self.count += 1
        return True

    def _reaches(self, start: str, goal: str) -> bool:
        below: dict[str, None] = {start: None}
        above: dict[str, None] = {goal: None}
        down: list[str] = [start]
        up: list[str] = [goal]
        while down and up:
            for child in self._children.get(down.pop(), {}):
                if child in above:
                    return True
                if child not in below:
                    below[child] = None
                    down.append(child)
            for parent in self._parents.get(up.pop(), {}):
                if parent in below:
                    return True
                if parent not in above:
                    above[parent] = None
                    up.append(parent)
        return False

    def remove(self, parent: str, child: str) -> bool:
        """Takes a link away. Returns whether there was one."""
        children = self._children.get(parent)
        if children is None or child not in children:
            return False
        self.count -= 1
        del children[child]
        if not children:
            del self._children[parent]
        parents = self._parents[child]
        del parents[parent]
        if not parents:
            del self._parents[child]
        return True

    def children(self, name: str) -> list[str]:
        """The direct children of a tag, in the order of their bytes."""
        return sorted(self._children.get(name, {}), key=bytes_of)

    def links(self) -> list[tuple[str, str]]:
        """All links, each as a parent and its child. O(n)."""
        return [(parent, child) for parent, below in self._children.items() for child in below]

    def descent(self, names: list[str]) -> dict[str, str]:
        """Tags and all their transitive children, each with a parent that leads to it.

        The tags themselves have none: an empty one.
        """
        seen: dict[str, str] = dict.fromkeys(names, "")
        waiting: list[str] = list(names)
        while waiting:
            parent = waiting.pop()
            for child in self._children.get(parent, {}):
                if child not in seen:
                    seen[child] = parent
                    waiting.append(child)
        return seen

    def _check(self) -> None:
        for parent, children in self._children.items():
            assert children
            for child in children:
                assert parent in self._parents[child]
                assert parent not in self.descent([child])
        assert self.count == sum(len(below) for below in self._children.values())
        for child, parents in self._parents.items():
            assert parents
            for parent in parents:
                assert child in self._children[parent]
