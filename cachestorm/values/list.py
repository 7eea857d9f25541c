"""The list value: elements in order, cheap at both ends.

Made and changed by the list commands and by SORT's STORE. One Python list with vacant slots
before the first element: a push to the left fills one of them, a pop from the left leaves one.

1. The element at `i` is `slots[head + i]`; the slots before `head` hold None.
2. Where the vacant slots run out, a quarter as many as there are elements are made; where they
   are more than half as many, they are taken out. Either moves pointers, once, as the growth of
   any list does, and touches no element: O(1) amortised, and a millisecond at a million.
3. The position of the slot `i` is `origin + i`. A diary calls an element by it, because pushes
   and pops leave it as it is. What adds or removes elements in the middle moves those behind,
   and begins another generation of positions.

Rejected: two lists back to back, the front one reversed: a pop from an empty half has to carry
half of the elements over, and touch them. `collections.deque`, whose middle is O(n) away, and
which compiled code cannot call natively.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, cast

from mypy_extensions import i64

from cachestorm.codec import to_wire
from cachestorm.errors import CodecError
from cachestorm.values.container import CONTAINER_BYTES, Container
from cachestorm.values.diary import INSERT, KEEP, PLUCK, PUT, Record
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

    Attributes:
        generation: how often elements have moved to other positions.

    Indices count from 0 at the left; a method takes them normalised and in range, the
    commands do the folding of negative ones. Complexities are worst cases over n elements.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = LIST_BYTES
        self._slots: list[object] = []
        self._head: i64 = 0
        self._boxes: i64 = 0
        self._origin: i64 = 0
        self.generation: i64 = 0

    def __len__(self) -> int:
        return len(self._slots) - self._head

    def first(self) -> i64:
        """The position of the first element; in an empty list, of one to come. O(1)."""
        return self._origin + self._head

    def place_at(self, generation: i64, first: i64) -> None:
        """Gives a copy the positions that the list had whose diary it is to follow. O(1)."""
        self.generation = generation
        self._origin = first - self._head

    def push(self, held: object, left: bool) -> None:
        """Adds an element before the first or after the last. O(1) amortised."""
        if not left:
            self._slots.append(held)
        else:
            if self._head == 0:
                vacant = (len(self._slots) >> 2) + 4
                self._slots[:0] = [None] * vacant
                self._head = vacant
                self._origin -= vacant
            self._head -= 1
            self._slots[self._head] = held
        self._admit(held)
        if self.diary is not None:
            self._note_put(0 if left else i64(len(self)) - 1)

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
        if self.diary is not None:
            self._note_kept()
        self._close_up()
        if isinstance(held, Boxed):
            self._boxes -= 1
        self.size_bytes -= weigh(held) + SLOT_BYTES
        return held

    def _close_up(self) -> None:
        """Takes the vacant slots out where there are too many."""
        if self._head > VACANT and self._head > i64(len(self)) >> 1:
            del self._slots[: self._head]
            self._origin += self._head
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
        if self.diary is not None:
            self._note_put(index)

    def insert(self, index: i64, held: object) -> None:
        """Puts an element before the one at `index`, which may be the length. O(n)."""
        self._slots.insert(self._head + index, held)
        self._admit(held)
        self.generation += 1
        if self.diary is not None:
            self.diary.append((INSERT, self.generation, index, held))

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
        if self.diary is not None:
            self._note_kept()
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
        if places:
            self.pluck(places)
        return len(places)

    def pluck(self, places: list[int]) -> None:
        """Removes the elements at some indices, in any order. O(n)."""
        self._note_plucked(places)
        if len(places) <= FEW:
            # from the back to the front, so that the places yet to come stay true
            for place in sorted(places, reverse=True):
                self._expel(self._slots.pop(place + self._head))
            self._close_up()
            return
        left = sorted(places, reverse=True)
        kept: list[object] = []
        for at, element in enumerate(self._slice(0, i64(len(self)))):
            if left and left[-1] == at:
                left.pop()
                self._expel(element)
            else:
                kept.append(element)
        self._slots = kept
        self._origin += self._head
        self._head = 0

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

    def copy(self) -> ListValue:
        twin = self.twin()
        twin._slots = self._slice(0, i64(len(self)))
        twin._boxes = self._boxes
        twin.size_bytes = self.size_bytes
        return twin

    def twin(self) -> ListValue:
        twin = ListValue()
        twin._origin = self.first()
        twin.generation = self.generation
        return twin

    def first_place(self) -> i64:
        return self.first()

    def end_place(self) -> i64:
        """The position behind the last element. It is for one generation only."""
        return self.first() + len(self)

    def records_of(self, start: i64, stop: i64) -> list[object]:
        found: list[object] = []
        place = start
        first = self.first()
        for held in self._slice(start - first, stop - first):
            found.append((PUT, self.generation, place, held))
            place += 1
        return found

    def copy_some(self, twin: Container, start: i64, stop: i64) -> None:
        assert isinstance(twin, ListValue)
        for held in self._slice(start, stop):
            twin.push(held, False)

    def exchange_kept(self, other: ListValue, start: i64) -> None:
        """Does what `keep` does by an exchange with another list. O(1).

        Args:
            other: what was copied of this one, from the index `start` on.
        """
        self._exchange(other, self.first() + start)
        if self.diary is not None:
            self._note_kept()

    def exchange_plucked(self, other: ListValue, places: list[int]) -> None:
        """Does what `pluck` does by an exchange with another list. O(1).

        Args:
            other: what was copied of this one by `copy_without` these places.
        """
        self._note_plucked(places)
        self._exchange(other, self.first())

    def apply(self, record: Record) -> None:
        kind = record[0]
        generation = cast(int, record[1])
        if kind == INSERT:
            if generation > self.generation:
                self.insert(cast(int, record[2]), record[3])
        elif kind == PLUCK:
            if generation > self.generation:
                # what a part is made of, or an older copy, may be shorter
                length = len(self)
                places = cast("list[int]", record[2])
                self.pluck([place for place in places if place < length])
        elif generation == self.generation:
            index = cast(int, record[2]) - self.first()
            if kind == PUT:
                self._put(index, record[3])
            else:
                length = len(self)
                stop = cast(int, record[3]) - self.first()
                self.keep(min(max(index, 0), length), min(max(stop, 0), length))

    def _put(self, index: int, held: object) -> None:
        """Puts an element where the diary had one, which may be beyond either end."""
        if len(self) == 0:
            self._origin += index
            index = 0
        # what an older record leaves out here, a later one takes away
        while index < -1:
            self.push(None, True)
            index += 1
        while index > len(self):
            self.push(None, False)
        if 0 <= index < len(self):
            self.replace(index, held)
        else:
            self.push(held, index < 0)

    def _note_put(self, index: i64) -> None:
        assert self.diary is not None
        held = self._slots[self._head + index]
        self.diary.append((PUT, self.generation, self.first() + index, held))

    def _note_kept(self) -> None:
        assert self.diary is not None
        first = self.first()
        self.diary.append((KEEP, self.generation, first, first + len(self)))

    def _note_plucked(self, places: list[int]) -> None:
        self.generation += 1
        if self.diary is not None:
            self.diary.append((PLUCK, self.generation, places.copy()))

    def _exchange(self, other: ListValue, first: i64) -> None:
        self._slots, other._slots = other._slots, self._slots
        self._head, other._head = other._head, self._head
        self._boxes, other._boxes = other._boxes, self._boxes
        self.size_bytes, other.size_bytes = other.size_bytes, self.size_bytes
        self._origin = first - self._head

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
