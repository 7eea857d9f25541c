"""The list value: elements in order, cheap at both ends.

Made and changed by the list commands and by SORT's STORE. One Python list with vacant slots
before the first element: a push to the left fills one of them, a pop from the left leaves one.

1. The element at `i` is `slots[head + i]`; the slots before `head` hold None.
2. Where the vacant slots run out, a quarter as many as there are elements are made; where they
   are more than half as many, they are taken out. Either moves pointers, once, as the growth of
   any list does, and touches no element: O(1) amortised, and a millisecond at a million.

Rejected: two lists back to back, the front one reversed: a pop from an empty half has to carry
half of the elements over, and touch them. `collections.deque`, whose middle is O(n) away, and
which compiled code cannot call natively.
"""

from __future__ import annotations

from bisect import bisect_left
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
# So many vacant slots are not worth a look.
VACANT: Final = 64
# So many elements are taken out one by one, and more by making the list anew.
FEW: Final = 4


class ListValue(Container):
    """A list of values.

    Indices count from 0 at the left; a method takes them normalised and in range, the
    commands do the folding of negative ones. Complexities are worst cases over n elements.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = LIST_BYTES
        self._slots: list[object] = []
        self._head: i64 = 0
        self._boxes: i64 = 0

    def __len__(self) -> int:
        return len(self._slots) - self._head

    def push(self, held: object, left: bool) -> None:
        """Adds an element before the first or after the last. O(1) amortised."""
        if not left:
            self._slots.append(held)
        else:
            if self._head == 0:
                vacant = (len(self._slots) >> 2) + 4
                self._slots[:0] = [None] * vacant
                self._head = vacant
            self._head -= 1
            self._slots[self._head] = held
        self._admit(held)

    def take(self, left: bool) -> object:
        """Removes the first or the last element; gives it as it was held. O(1) amortised.

        Raises:
            IndexError: when the list is empty.
        """
        if len(self) == 0:
            raise IndexError("an empty list")
        if left:
            held = self._slots[self._head]
            self._slots[self._head] = None
            self._head += 1
        else:
            held = self._slots.pop()
        self._close_up()
        if isinstance(held, Boxed):
            self._boxes -= 1
        self.size_bytes -= weigh(held) + SLOT_BYTES
        return held

    def _close_up(self) -> None:
        """Takes the vacant slots out where there are too many."""
        if self._head > VACANT and self._head > i64(len(self)) >> 1:
            del self._slots[: self._head]
            self._head = 0

    def end(self, left: bool) -> object:
        """The first or the last element of a list that has one, as it is held. O(1)."""
        return self._slots[self._head] if left else self._slots[-1]

    def at(self, index: i64) -> object:
        """The element at an index in range. O(1)."""
        return unbox(self._slots[self._head + index])

    def replace(self, index: i64, held: object) -> None:
        """Puts another element in the place of the one at an index in range. O(1)."""
        place = self._head + index
        former = self._slots[place]
        self._slots[place] = held
        self._expel(former)
        self._admit(held)

    def insert(self, index: i64, held: object) -> None:
        """Puts an element before the one at `index`, which may be the length. O(n)."""
        self._slots.insert(self._head + index, held)
        self._admit(held)

    def slice(self, start: i64, stop: i64) -> list[object]:
        """The elements from `start` up to but not including `stop`. O(stop - start)."""
        held = self._slice(start, stop)
        if self._boxes == 0:
            return held
        return [unbox(each) for each in held]

    def keep(self, start: i64, stop: i64) -> None:
        """Removes all but the elements from `start` up to `stop`. O(removed)."""
        slots = self._slots
        first = self._head + start
        last = i64(len(slots))
        end = self._head + max(stop, start)
        while last > end:
            last -= 1
            self._expel(slots.pop())
        while self._head < first:
            self._expel(slots[self._head])
            slots[self._head] = None
            self._head += 1
        self._close_up()

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
        if len(places) <= FEW:
            self.pluck(places)
            return len(places)
        places.sort(reverse=True)
        kept: list[object] = []
        at: i64 = 0
        for element in self._slice(0, i64(len(self))):
            if places and places[-1] == at:
                places.pop()
                self._expel(element)
            else:
                kept.append(element)
            at += 1
        self._slots = kept
        self._head = 0
        return at - i64(len(kept))

    def pluck(self, places: list[int]) -> None:
        """Removes the elements at a few indices. O(n) each, to move pointers."""
        # from the back to the front, so that the places yet to come stay true
        for place in sorted(places, reverse=True):
            self._expel(self._slots.pop(place + self._head))
        self._close_up()

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
        slots = self._slots
        head = self._head
        looked: i64 = 0
        while looked < looks:
            index = length - 1 - looked if backwards else looked
            if _spells(slots[head + index], wire):
                if rank > 1:
                    rank -= 1
                else:
                    found.append(index)
                    if len(found) == wanted:
                        break
            looked += 1
        return found

    def places_within(self, wire: bytes, start: i64, stop: i64) -> list[int]:
        """Indices, in order, of the elements of a part whose wire bytes equal `wire`."""
        found: list[int] = []
        place: i64 = start
        for held in self._slice(start, stop):
            if _spells(held, wire):
                found.append(place)
            place += 1
        return found

    def copy_without(self, twin: ListValue, start: i64, stop: i64, places: list[int]) -> None:
        """As `copy_some`, but leaves out the elements at some indices, which are in order."""
        out = bisect_left(places, start)
        place: i64 = start
        for held in self._slice(start, stop):
            if out < len(places) and places[out] == place:
                out += 1
            else:
                twin.push(held, False)
            place += 1

    def encoding(self) -> str:
        return "listpack" if self.size_bytes - LIST_BYTES < LISTPACK_BYTES else "quicklist"

    def take_apart(self) -> list[object]:
        parts: list[object] = [self._slots]
        self._slots = []
        self._head = 0
        self._boxes = 0
        self.size_bytes = LIST_BYTES
        return parts

    def copy(self) -> Container:
        twin = ListValue()
        twin._slots = self._slice(0, i64(len(self)))
        twin._boxes = self._boxes
        twin.size_bytes = self.size_bytes
        return twin

    def twin(self) -> Container:
        return ListValue()

    def copy_some(self, twin: Container, start: i64, stop: i64) -> None:
        assert isinstance(twin, ListValue)
        for held in self._slice(start, stop):
            twin.push(held, False)

    def exchange(self, other: ListValue) -> None:
        """Exchanges all elements with those of another list. O(1)."""
        self._slots, other._slots = other._slots, self._slots
        self._head, other._head = other._head, self._head
        self._boxes, other._boxes = other._boxes, self._boxes
        self.size_bytes, other.size_bytes = other.size_bytes, self.size_bytes

    def _slice(self, start: i64, stop: i64) -> list[object]:
        return self._slots[self._head + start : self._head + stop]

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
        assert all(self._slots[place] is None for place in range(self._head))
        assert self._head <= max(VACANT, len(self) >> 1)
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
