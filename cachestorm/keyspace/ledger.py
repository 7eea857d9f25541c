"""The ledger: a bounded memory of removals, so that a miss can be explained.

Written by the keyspace's one way out, read by `why`. Bounded by count: the oldest
removal is forgotten first. A value that was replaced did not leave and is not here, nor is
a key longer than LONGEST_KEY, so that what the ledger holds is a few hundred kilobytes.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from cachestorm.events import Cause
from cachestorm.keyspace.tag_index import Invalidation, TagMark

# a power of two
CAPACITY: Final = 4096
LONGEST_KEY: Final = 256


@mypyc_attr(acyclic=True)
class Removal:
    """One removal. The ledger writes it anew when its place in the ring comes round.

    Attributes:
        key: what left.
        cause: why.
        at_ms: when, wall-clock milliseconds.
        tag: the invalidated tag that took it along, or None.
    """

    def __init__(self, key: str, cause: Cause, at_ms: i64) -> None:
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
    """The last `CAPACITY` removals of a keyspace."""

    def __init__(self) -> None:
        self._ring: Final[list[Removal]] = []
        self._next: i64 = 0

    def record(self, key: str, cause: Cause, at_ms: i64, mark: TagMark | None) -> None:
        """Notes a removal. O(1)."""
        if len(key) > LONGEST_KEY:
            return
        ring = self._ring
        if len(ring) < CAPACITY:
            removal = Removal(key, cause, at_ms)
            ring.append(removal)
        else:
            removal = ring[self._next]
            removal.key = key
            removal.cause = cause
            removal.at_ms = at_ms
            self._next = (self._next + 1) & (CAPACITY - 1)
        removal.blame(mark)

    def clear(self) -> None:
        """Forgets all."""
        self._ring.clear()
        self._next = 0

    def latest(self, key: str) -> Removal | None:
        """The last removal of a key that is still remembered. O(CAPACITY).

        It stays as it is until the next removal.
        """
        size = len(self._ring)
        for age in range(1, size + 1):
            removal = self._ring[(self._next - age) % size]
            if removal.key == key:
                return removal
        return None
