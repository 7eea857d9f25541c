"""The sample sort: a long list put in order a piece at a time, where `list.sort` is one step.

Made by the long commands that sort. What is to be sorted is dealt out to ranges between items
drawn from it, these again, until a range is so short that it is sorted at once.

Source: W. D. Frazer and A. C. McKellar, "Samplesort: A Sampling Approach to Minimal Storage
Tree Sorting", 1970.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from librt.random import randrange
from mypy_extensions import i64

# What is no longer is sorted at once.
SHORT: Final = 1000
# A list is dealt out to at most so many ranges, by a sample of so many items for each.
_RANGES: Final = 64
_DRAWN: Final = 8
# How many items are dealt out between two looks at the clock.
_DEALT: Final = 256

Item = TypeVar("Item", bound=tuple[object, ...])


class SampleSort(Generic[Item]):
    """A list on its way into order.

    Args:
        items: no two of them equal. The list is taken, and is empty at the end.

    Attributes:
        parts: all items in order, when `run` has come to its end: short lists, none empty.
        waiting: lists that are still to be sorted, the first at the end.
    """

    def __init__(self, items: list[Item]) -> None:
        self.parts: Final[list[list[Item]]] = []
        self.waiting: Final[list[list[Item]]] = [items]

    def run(self) -> Iterator[None]:
        """Sorts, and yields after each piece of work."""
        while self.waiting:
            items = self.waiting.pop()
            if len(items) <= SHORT:
                if items:
                    items.sort()
                    self.parts.append(items)
                yield
                continue
            borders = _borders(items)
            ranges: list[list[Item]] = [[] for _ in range(len(borders) + 1)]
            # while they are dealt out they still hang on what is known to be here
            self.waiting.append(items)
            self.waiting.extend(reversed(ranges))
            while items:
                _deal(items, borders, ranges)
                yield
            del self.waiting[-len(ranges) - 1]


def _borders(items: list[Item]) -> list[Item]:
    count = i64(len(items))
    ranges: i64 = count // SHORT + 1
    if ranges > _RANGES:
        ranges = _RANGES
    drawn = [items[randrange(count)] for _ in range(ranges * _DRAWN)]
    drawn.sort()
    return drawn[_DRAWN::_DRAWN]


def _deal(items: list[Item], borders: list[Item], ranges: list[list[Item]]) -> None:
    """Takes a few items off the end and puts each into its range."""
    dealt = items[-_DEALT:]
    del items[-_DEALT:]
    for item in dealt:
        ranges[bisect_right(borders, item)].append(item)
