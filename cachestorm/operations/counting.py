"""The counting of stale entries: what whoever asks for a count does first.

A soft invalidation is O(1) a tag, and cannot know how many distinct keys it makes stale. They
are counted afterwards, by reaping or here, each of them once. So a count is O(1), except after
a soft invalidation that reaping has not followed up yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.shared_state import LOOK
from cachestorm.operations.long_command import LongCommand


class CountingStale(LongCommand):
    """Counts what is stale, in slices; then the counts of its namespace are exact."""

    def _work(self) -> Iterator[None]:
        while self._space.tags.count_stale(LOOK) >= LOOK:
            yield
        self._value = self._answer(self._space)

    def _answer(self, space: Keyspace) -> object:
        """The value of the command, in the same step in which the last one was counted."""
        return None


class CountingKeys(CountingStale):
    """DBSIZE."""

    def _answer(self, space: Keyspace) -> object:
        return space.key_count()


class CountingTag(CountingStale):
    """TAGCOUNT."""

    def __init__(self, space: Keyspace, tag: str) -> None:
        super().__init__(space)
        self._tag: Final = tag

    def _answer(self, space: Keyspace) -> object:
        return int(space.tags.count(self._tag))
