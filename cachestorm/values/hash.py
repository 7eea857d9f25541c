"""The hash: fields with values, each field with a time to live of its own if wanted.

Made and changed by the hash commands. Each field has its place in two dense lists, fields and
values: any field can be drawn in O(1), removal moves the last one into the gap.

1. `fields[place(f)] == f` for every field, and `values` is parallel to `fields`.
2. A field only ever moves towards the beginning, which is what HSCAN's walk from the end
   to the beginning relies on.
3. The keyspace calls `purge` when `next_due_ms` has come, before it returns a hash, and removes
   one that `is_spent`: so a field that is due is never seen, and no reader needs to look at a
   deadline.
4. Deadlines also lie in a heap, where one that was changed or withdrawn stays until it
   comes up or until the heap holds twice as much as needed.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final, cast

from mypy_extensions import i64

from cachestorm.codec import INT64_MAX
from cachestorm.values.container import CONTAINER_BYTES, Container
from cachestorm.values.diary import DROP, DUE, PUT, Record
from cachestorm.values.placed import Placed
from cachestorm.values.weights import Boxed, unbox, weigh

SLOT_BYTES: Final = 88
DEADLINE_BYTES: Final = 200
HASH_BYTES: Final = CONTAINER_BYTES + 192
# no greater: compiled, a number beyond 2**62 is an object, which each use would convert
NEVER: Final = (1 << 62) - 1
LISTPACK_ENTRIES: Final = 512
LISTPACK_VALUE: Final = 64


class Hash(Placed):
    """A map from `str` fields to values.

    Attributes:
        next_due_ms: no field is due before this; NEVER when no field has a deadline.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = HASH_BYTES
        self.next_due_ms: i64 = NEVER
        self._fields: list[str] = []
        self._values: list[object] = []
        self._boxes: i64 = 0
        self._deadlines: dict[str, int] | None = None
        self._heap: list[tuple[int, str]] | None = None
        # no deadline is later
        self._last_due_ms: i64 = 0

    def __len__(self) -> int:
        return len(self._fields)

    def put(self, field: str, held: object) -> bool:
        """Sets a field, which loses its deadline; whether it was new. O(1)."""
        if self._deadlines is not None:
            self._persist(field)
        return self.change(field, held)

    def change(self, field: str, held: object) -> bool:
        """Sets a field and keeps its deadline; whether it was new. O(1)."""
        if self.diary is not None:
            self.diary.append((PUT, field, held, self.deadline_ms(field)))
        place = self._place(field)
        if isinstance(held, Boxed):
            self._boxes += 1
        if place < 0:
            self._put_place(field, len(self._fields))
            self._fields.append(field)
            self._values.append(held)
            self.size_bytes += weigh(field) + weigh(held) + SLOT_BYTES
            return True
        if self._followers is not None:
            self._touch(field)
        former = self._values[place]
        self._values[place] = held
        if isinstance(former, Boxed):
            self._boxes -= 1
        self.size_bytes += weigh(held) - self._release(former)
        return False

    def get(self, field: str, default: object = None) -> object:
        """The value of a field. O(1)."""
        place = self._place(field)
        if place < 0:
            return default
        return unbox(self._values[place])

    def remove(self, field: str) -> bool:
        """Removes a field; whether it was there. O(1)."""
        if self._deadlines is not None:
            self._persist(field)
        return self._remove(field)

    def field_at(self, place: i64) -> str:
        """The field at a place from 0 to the length; how one is drawn at random. O(1)."""
        return self._fields[place]

    def value_at(self, place: i64) -> object:
        """The value of the field at a place. O(1)."""
        return unbox(self._values[place])

    def fields(self) -> list[str]:
        """All fields, as a list of its own, in Redis' order where they are few. O(n)."""
        return list(self._near) if self._is_mixed() else self._fields.copy()

    def values(self) -> list[object]:
        """All values, parallel to `fields`. O(n)."""
        if self._is_mixed():
            return [unbox(self._values[place]) for place in self._near.values()]
        if self._boxes == 0:
            return self._values.copy()
        return [unbox(held) for held in self._values]

    def is_told_whole(self) -> bool:
        """Whether Redis tells all of it in one step of a scan."""
        return self.encoding() == "listpack"

    def items(self) -> dict[str, object]:
        """All fields with their values, as a dict of its own. O(n)."""
        return dict(zip(self.fields(), self.values()))

    def deadline_ms(self, field: str) -> int:
        """When a field is due; 0 for never, or when there is no such field. O(1)."""
        if self._deadlines is None:
            return 0
        return self._deadlines.get(field, 0)

    def deadlines(self) -> dict[str, int] | None:
        """When which field is due, as a dict of its own; None when none has a deadline."""
        return None if self._deadlines is None else self._deadlines.copy()

    def expire(self, field: str, at_ms: int) -> None:
        """Gives a field that is there a deadline, later than now. O(log n)."""
        if self.diary is not None:
            self.diary.append((DUE, field, at_ms))
        if self._deadlines is None or self._heap is None:
            self._deadlines = {}
            self._heap = []
        if self._followers is not None:
            self._touch(field)
        if field not in self._deadlines:
            self.size_bytes += DEADLINE_BYTES
        self._deadlines[field] = at_ms
        if len(self._heap) > 2 * len(self._deadlines) + 16:
            self._heap = [(due, name) for name, due in self._deadlines.items()]
            heapify(self._heap)
        else:
            heappush(self._heap, (at_ms, field))
        self.next_due_ms = min(self.next_due_ms, at_ms)
        self._last_due_ms = max(self._last_due_ms, at_ms)

    def persist(self, field: str) -> bool:
        """Takes a field's deadline away; whether it had one. O(1)."""
        if not self._persist(field):
            return False
        if self.diary is not None:
            self.diary.append((DUE, field, 0))
        return True

    def is_spent(self, now_ms: i64) -> bool:
        """Whether all fields are due. O(1); O(n) if most are, and one was the latest."""
        deadlines = self._deadlines
        if now_ms < self.next_due_ms or deadlines is None:
            return False
        if len(deadlines) < len(self._fields):
            return False
        if self._last_due_ms > now_ms:
            for due_ms in deadlines.values():
                if due_ms > now_ms:
                    return False
        return True

    def purge(self, now_ms: int, limit: i64 = INT64_MAX) -> i64:
        """Removes fields that are due; costs one comparison when none is.

        Args:
            now_ms: the time.
            limit: at most so many. Only with fewer than this many removed may the hash be
                read afterwards.

        Returns:
            How many were removed. O(log n) each.
        """
        removed: i64 = 0
        while now_ms >= self.next_due_ms and removed < limit:
            deadlines = self._deadlines
            heap = self._heap
            if deadlines is None or heap is None:
                self.next_due_ms = NEVER
                break
            due_ms, field = heap[0]
            if due_ms > now_ms:
                self.next_due_ms = due_ms
                break
            heappop(heap)
            # a deadline that was changed or withdrawn since has left this one behind
            if deadlines.get(field, 0) == due_ms:
                self._persist(field)
                self._remove(field)
                removed += 1
        return removed

    def encoding(self) -> str:
        if len(self._fields) > LISTPACK_ENTRIES:
            return "hashtable"
        for held in self.values():
            if isinstance(held, (bytes, str)) and len(held) > LISTPACK_VALUE:
                return "hashtable"
        if any(len(field) > LISTPACK_VALUE for field in self._fields):
            return "hashtable"
        return "listpack"

    def take_apart(self) -> list[object]:
        parts = [*self._take_places(), self._values, self._fields]
        if self._deadlines is not None and self._heap is not None:
            parts += [self._deadlines, self._heap]
        self._fields = []
        self._values = []
        self._boxes = 0
        self._deadlines = None
        self._heap = None
        self.next_due_ms = NEVER
        self._last_due_ms = 0
        self.size_bytes = HASH_BYTES
        return parts

    def copy(self) -> Container:
        twin = Hash()
        self._copy_places(twin)
        twin._fields = self._fields.copy()
        twin._values = self._values.copy()
        twin._boxes = self._boxes
        if self._deadlines is not None and self._heap is not None:
            twin._deadlines = self._deadlines.copy()
            twin._heap = self._heap.copy()
            twin.next_due_ms = self.next_due_ms
            twin._last_due_ms = self._last_due_ms
        twin.size_bytes = self.size_bytes
        return twin

    def twin(self) -> Container:
        return Hash()

    def records_of(self, start: i64, stop: i64) -> list[object]:
        found: list[object] = []
        place = start
        for field in self._fields[start:stop]:
            found.append((PUT, field, self._values[place], self.deadline_ms(field)))
            place += 1
        return found

    def copy_some(self, twin: Container, start: i64, stop: i64) -> None:
        assert isinstance(twin, Hash)
        place = start
        for field in self._fields[start:stop]:
            twin.change(field, self._values[place])
            place += 1
            due_ms = self.deadline_ms(field)
            if due_ms != 0:
                twin.expire(field, due_ms)

    def revise(self, twin: Container, name: str) -> None:
        """Makes a name in a twin what it is here, or takes it out there."""
        assert isinstance(twin, Hash)
        place = self._place(name)
        if place < 0:
            twin.remove(name)
            return
        twin.put(name, self._values[place])
        due_ms = self.deadline_ms(name)
        if due_ms != 0:
            twin.expire(name, due_ms)

    def apply(self, record: Record) -> None:
        field = cast(str, record[1])
        if record[0] == DROP:
            self.remove(field)
            return
        if record[0] == PUT:
            self.change(field, record[2])
        due_ms = cast(int, record[-1])
        if due_ms == 0:
            self.persist(field)
        elif field in self:
            self.expire(field, due_ms)

    def _persist(self, field: str) -> bool:
        if self._deadlines is None or self._deadlines.pop(field, 0) == 0:
            return False
        if self._followers is not None:
            self._touch(field)
        self.size_bytes -= DEADLINE_BYTES
        if not self._deadlines:
            self._deadlines = None
            self._heap = None
            self.next_due_ms = NEVER
            self._last_due_ms = 0
        return True

    def _remove(self, field: str) -> bool:
        place = self._pop_place(field)
        if place < 0:
            return False
        if self.diary is not None:
            self.diary.append((DROP, field))
        held = self._values[place]
        last = self._fields.pop()
        last_held = self._values.pop()
        if place < len(self._fields):
            self._fields[place] = last
            self._values[place] = last_held
            self._move_place(last, place)
        if isinstance(held, Boxed):
            self._boxes -= 1
        self.size_bytes -= weigh(field) + self._release(held) + SLOT_BYTES
        return True

    def _check(self) -> None:
        assert len(self._fields) == len(self._values)
        self._check_places(self._fields)
        assert self._boxes == sum(isinstance(held, Boxed) for held in self._values)
        weight = sum(weigh(field) + SLOT_BYTES for field in self._fields)
        weight += sum(weigh(held) for held in self._values)
        if self._deadlines is None or self._heap is None:
            assert self._deadlines is None and self._heap is None
            assert self.next_due_ms == NEVER
            assert self._last_due_ms == 0
        else:
            assert self._deadlines
            weight += DEADLINE_BYTES * len(self._deadlines)
            assert self.next_due_ms <= min(self._deadlines.values())
            assert self._last_due_ms >= max(self._deadlines.values())
            for field, due_ms in self._deadlines.items():
                assert field in self
                assert (due_ms, field) in self._heap
            for place in range(1, len(self._heap)):
                assert self._heap[(place - 1) // 2] <= self._heap[place]
        assert self.size_bytes == HASH_BYTES + weight
