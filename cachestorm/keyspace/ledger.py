"""The ledger: a bounded memory of removals, so that a miss can be explained.

One for all namespaces of a cache, each of which has a book of its own in it. Written by the
keyspace's one way out, read by `why`.

1. Bounded by count: the oldest removal of all namespaces is forgotten first. So is the path of
   the oldest cascade.
2. A value that was replaced did not leave and is not here, nor is a key longer than
   LONGEST_KEY. So what the ledger holds is a few hundred kilobytes, with the longest names
   some megabytes, however many namespaces there are; it is charged to none of them.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from mypy_extensions import i64, mypyc_attr

from cachestorm.events import Cause
from cachestorm.keyspace.tag_nodes import MOST_TOLD, Invalidation, TagMark

# a power of two
CAPACITY: Final = 4096
LONGEST_KEY: Final = 256
# How many tags the ways of all cascades lead over that are remembered.
MOST_TOLD_IN_ALL: Final = 2 * MOST_TOLD


@mypyc_attr(acyclic=True)
class Removal:
    """One removal. The ledger writes it anew when its place in the ring comes round.

    Attributes:
        book: of which namespace.
        key: what left.
        cause: why.
        at_ms: when, wall-clock milliseconds.
        tag: the invalidated tag that took it along, or None.
    """

    def __init__(self, book: i64, key: str, cause: Cause, at_ms: i64) -> None:
        self.book: i64 = book
        self.key: str = key
        self.cause: Cause = cause
        self.at_ms: i64 = at_ms
        self.tag: str | None = None
        self._job: Invalidation | None = None

    def blame(self, mark: TagMark | None) -> None:
        """Notes the tag that took the key along, if one did, and its invalidation."""
        if mark is None:
            self.tag = None
            self._job = None
        else:
            self.tag = mark.name
            self._job = mark.softening if mark.job is None else mark.job

    def path(self) -> list[str] | None:
        """The tags from the one that was invalidated down to `tag`; None without a tag."""
        if self.tag is None or self._job is None:
            return None
        return self._job.path(self.tag)


class Ledger:
    """The last `CAPACITY` removals of a cache."""

    def __init__(self) -> None:
        self._ring: Final[list[Removal]] = []
        self._next: i64 = 0
        self._books: i64 = 0
        # the cascades whose way is remembered, the oldest first, and their tags in all
        self._told: Final[deque[Invalidation]] = deque()
        self._told_tags: i64 = 0

    def open_book(self) -> i64:
        """A number for a namespace, under which nothing is written yet."""
        self._books += 1
        return self._books

    def remember(self, job: Invalidation, descent: dict[str, str]) -> None:
        """Keeps how a cascade went, so that `why` can tell.

        Args:
            descent: the tags that it reached, and the parent of each by which it did.
        """
        # a single tag has no path
        if not 1 < len(descent) <= MOST_TOLD:
            return
        job.descent = descent
        self._told.append(job)
        self._told_tags += len(descent)
        while self._told_tags > MOST_TOLD_IN_ALL:
            oldest = self._told.popleft()
            self._told_tags -= len(oldest.descent)
            oldest.descent = {}

    def record(
        self, book: i64, key: str, cause: Cause, at_ms: i64, mark: TagMark | None
    ) -> None:
        """Notes a removal. O(1)."""
        if len(key) > LONGEST_KEY:
            return
        ring = self._ring
        if len(ring) < CAPACITY:
            removal = Removal(book, key, cause, at_ms)
            ring.append(removal)
        else:
            removal = ring[self._next]
            removal.book = book
            removal.key = key
            removal.cause = cause
            removal.at_ms = at_ms
            self._next = (self._next + 1) & (CAPACITY - 1)
        if mark is not None or removal.tag is not None:
            removal.blame(mark)

    def latest(self, book: i64, key: str) -> Removal | None:
        """The last removal of a key of a namespace that is still remembered. O(CAPACITY).

        It stays as it is until the next removal.
        """
        size = len(self._ring)
        for age in range(1, size + 1):
            removal = self._ring[(self._next - age) % size]
            if removal.book == book and removal.key == key:
                return removal
        return None

    def latest_causes(self, keys: set[str]) -> dict[tuple[int, str], str]:
        """Why some keys left the last time, by book and key. O(CAPACITY) for all together."""
        found: dict[tuple[int, str], str] = {}
        size = len(self._ring)
        # the oldest first, over which later ones are written
        for age in range(size, 0, -1):
            removal = self._ring[(self._next - age) % size]
            if removal.key in keys:
                found[int(removal.book), removal.key] = str(removal.cause.value)
        return found

    def _check(self) -> None:
        """Asserts all invariants."""
        assert len(self._ring) <= CAPACITY
        assert all(0 < removal.book <= self._books for removal in self._ring)
        assert self._told_tags == sum(len(job.descent) for job in self._told)
        assert self._told_tags <= MOST_TOLD_IN_ALL
