"""The reserve: room that a list is given before it needs it.

Called by the keyspace, whose dense arrays grow side by side.

1. Nothing is in the room, and nothing writes to its pages: what is not used takes address
   space alone.
2. A list grows by an eighth, and what it leaves behind in the C library's heap is too small for
   its next size, and for the other list's. A block of this size is the operating system's own
   mapping instead, which grows in place, or moves and leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Never, TypeVar

from mypy_extensions import i64

T = TypeVar("T")

# From so many places on a list's block is as large as the C library maps one by itself.
LEAST_RESERVED: Final = 16_384


class _Room:
    """Nothing, which says of itself that it is so much: a list makes room for it."""

    def __init__(self, places: i64) -> None:
        self._places: Final[i64] = places

    def __iter__(self) -> Iterator[Never]:
        return iter(())

    def __length_hint__(self) -> int:
        return int(self._places)


def reserve(items: list[T], places: i64) -> None:
    """Gives a list room for so many items in all, if it has less than twice as many then."""
    more = places - len(items)
    if more > 0:
        # not `extend`, which compiled code on Python 3.11 and 3.12 makes of a list of the items
        items += _Room(more)
