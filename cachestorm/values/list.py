"""The list value: elements in order, cheap at both ends.

Made and changed by the list commands and by SORT's STORE. Two Python lists back to back,
the front one reversed: a push or a pop at either end works on the end of one of them.

1. The element at `i` is `front[-1 - i]`, or `back[i - len(front)]` beyond the front.
2. A pop from an empty half moves half of the other one over, which makes pops O(1)
   amortised in any mixture. `collections.deque` was the other choice; its middle is O(n)
   away, and compiled code cannot call it natively.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.codec import to_wire
from cachestorm.errors import CodecError
from cachestorm.values.container import CONTAINER_BYTES, Container
from cachestorm.values.weights import Boxed, unbox, weigh

SLOT_BYTES: Final = 10
LIST_BYTES: Final = CONTAINER_BYTES + 112
# list-max-listpack-size -2: a node of the list holds up to this many bytes
LISTPACK_BYTES: Final = 8192


class ListValue(Container):
    """A list of values.

    Indices count from 0 at the left; a method takes them normalised and in range, the
    commands do the folding of negative ones. Complexities are worst cases over n elements.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = LIST_BYTES
        self._front: list[object] = []
        self._back: list[object] = []
        self._boxes: i64 = 0

    def __len__(self) -> int:
        return len(self._front) + len(self._back)

    def push(self, held: object, left: bool) -> None:
        """Adds an element before the first or after the last. O(1)."""
        if left:
            self._front.append(held)
        else:
            self._back.append(held)
        self._admit(held)

    def take(self, left: bool) -> object:
        """Removes the first or the last element; gives it as it was held. O(1) amortised.

        Raises:
            IndexError: when the list is empty.
        """
        if left:
            if not self._front:
                half = (len(self._back) + 1) // 2
                self._front = self._back[:half]
                self._front.reverse()
                del self._back[:half]
            held = self._front.pop()
        else:
            if not self._back:
                half = (len(self._front) + 1) // 2
                self._back = self._front[:half]
                self._back.reverse()
                del self._front[:half]
            held = self._back.pop()
        if isinstance(held, Boxed):
            self._boxes -= 1
        self.size_bytes -= weigh(held) + SLOT_BYTES
        return held

    def end(self, left: bool) -> object:
        """The first or the last element of a list that has one, as it is held. O(1)."""
        if left:
            return self._front[-1] if self._front else self._back[0]
        return self._back[-1] if self._back else self._front[0]

    def at(self, index: i64) -> object:
        """The element at an index in range. O(1)."""
        front = i64(len(self._front))
        if index < front:
            return unbox(self._front[front - 1 - index])
        return unbox(self._back[index - front])

    def replace(self, index: i64, held: object) -> None:
        """Puts another element in the place of the one at an index in range. O(1)."""
        front = i64(len(self._front))
        if index < front:
            former = self._front[front - 1 - index]
            self._front[front - 1 - index] = held
        else:
            former = self._back[index - front]
            self._back[index - front] = held
        self._expel(former)
        self._admit(held)

    def insert(self, index: i64, held: object) -> None:
        """Puts an element before the one at `index`, which may be the length. O(n)."""
        front = i64(len(self._front))
        if index < front:
            self._front.insert(front - index, held)
        else:
            self._back.insert(index - front, held)
        self._admit(held)

    def slice(self, start: i64, stop: i64) -> list[object]:
        """The elements from `start` up to but not including `stop`. O(stop - start)."""
        held = self._slice(start, stop)
        if self._boxes == 0:
            return held
        return [unbox(each) for each in held]

    def keep(self, start: i64, stop: i64) -> None:
        """Removes all but the elements from `start` up to `stop`. O(n)."""
        length = i64(len(self))
        for dropped in self._slice(0, start):
            self._expel(dropped)
        for dropped in self._slice(stop, length):
            self._expel(dropped)
        front = i64(len(self._front))
        if start < front:
            self._back = self._back[: max(stop - front, 0)]
            self._front = self._front[front - min(stop, front) : front - start]
        else:
            self._back = self._back[start - front : stop - front]
            self._front = []

    def remove(self, wire: bytes, count: i64) -> i64:
        """Removes elements whose wire bytes equal `wire`. O(n).

        Args:
            wire: what to compare with.
            count: at most so many from the left, or if negative from the right; 0 for all.

        Returns:
            How many were removed.
        """
        places = self.places(wire, count, 0, 1)
        if not places:
            return 0
        elements = self._slice(0, i64(len(self)))
        # from the back to the front, so that the places yet to come stay true
        places.sort(reverse=True)
        if len(places) == 1:
            self._expel(elements.pop(places[0]))
            self._front = []
            self._back = elements
            return 1
        kept: list[object] = []
        place: i64 = 0
        for element in elements:
            if places and places[-1] == place:
                places.pop()
                self._expel(element)
            else:
                kept.append(element)
            place += 1
        removed = place - i64(len(kept))
        self._front = []
        self._back = kept
        return removed

    def places(self, wire: bytes, count: i64, limit: i64, rank: i64) -> list[int]:
        """Indices of the elements whose wire bytes equal `wire`. O(n).

        Args:
            wire: what to compare with.
            count: at most so many; if negative, as many from the right; 0 for all.
            limit: compare at most so many elements; 0 for all.
            rank: leave out the first `rank - 1` matches.
        """
        found: list[int] = []
        length = i64(len(self))
        backwards = count < 0
        wanted = -count if backwards else count
        looks = length if limit == 0 or limit > length else limit
        front = i64(len(self._front))
        looked: i64 = 0
        while looked < looks:
            index = length - 1 - looked if backwards else looked
            if index < front:
                element = self._front[front - 1 - index]
            else:
                element = self._back[index - front]
            if _spells(element, wire):
                if rank > 1:
                    rank -= 1
                else:
                    found.append(index)
                    if len(found) == wanted:
                        break
            looked += 1
        return found

    def encoding(self) -> str:
        return "listpack" if self.size_bytes - LIST_BYTES < LISTPACK_BYTES else "quicklist"

    def take_apart(self) -> list[object]:
        parts: list[object] = [self._front, self._back]
        self._front = []
        self._back = []
        self._boxes = 0
        self.size_bytes = LIST_BYTES
        return parts

    def copy(self) -> Container:
        twin = ListValue()
        twin._front = self._front.copy()
        twin._back = self._back.copy()
        twin._boxes = self._boxes
        twin.size_bytes = self.size_bytes
        return twin

    def _slice(self, start: i64, stop: i64) -> list[object]:
        front = i64(len(self._front))
        if start >= front:
            return self._back[start - front : stop - front]
        held = self._front[front - min(stop, front) : front - start]
        held.reverse()
        if stop > front:
            held += self._back[: stop - front]
        return held

    def _admit(self, held: object) -> None:
        if isinstance(held, Boxed):
            self._boxes += 1
        self.size_bytes += weigh(held) + SLOT_BYTES

    def _expel(self, held: object) -> None:
        if isinstance(held, Boxed):
            self._boxes -= 1
        self.size_bytes -= self._release(held) + SLOT_BYTES

    def _check(self) -> None:
        held = self._slice(0, i64(len(self)))
        assert len(held) == len(self)
        assert self._boxes == sum(isinstance(each, Boxed) for each in held)
        weight = sum(weigh(each) + SLOT_BYTES for each in held)
        assert self.size_bytes == LIST_BYTES + weight


def _spells(element: object, wire: bytes) -> bool:
    if type(element) is bytes:
        return element == wire
    try:
        return to_wire(unbox(element)) == wire
    except CodecError:
        # what has no form in bytes is equal to no bytes
        return False
