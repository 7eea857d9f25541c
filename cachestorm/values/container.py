"""The container: what hashes, lists, sets and sorted sets have in common.

Called by the keyspace, which charges `size_bytes` and removes what is empty; made and changed
by the commands of each family. A container knows neither its key nor the store.

1. `size_bytes` is exact by construction: what a change adds is what its removal takes off.
2. Objects that leave are not dropped here, where the lock is held and a finalizer must not run:
   they wait in `leaving` until the holder of the lock takes them out.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import i64

from cachestorm.values.bulk import Bulk
from cachestorm.values.diary import Record
from cachestorm.values.weights import Boxed, weigh

CONTAINER_BYTES: Final = 64


class Container(Bulk):
    """The base of every value that is made of many.

    Attributes:
        size_bytes: what it occupies, with all it holds.
        leaving: values that were removed and must be dropped outside of the lock; None
            when there are none.
        diary: records of what has changed since it was last taken out; None while nobody
            wants to know. A copy keeps none.
    """

    def __init__(self) -> None:
        self.size_bytes: i64 = CONTAINER_BYTES
        self.leaving: list[object] | None = None
        self.diary: list[object] | None = None

    def __len__(self) -> int:
        raise NotImplementedError

    def bulk(self) -> i64:
        return len(self)

    def encoding(self) -> str:
        """What OBJECT ENCODING calls a container of this content in Redis."""
        raise NotImplementedError

    def copy(self) -> Container:
        """An independent container of the same content; the values are shared. O(n)."""
        raise NotImplementedError

    def twin(self) -> Container:
        """An empty container of its kind, for `copy_some`. O(1)."""
        raise NotImplementedError

    def copy_some(self, twin: Container, start: i64, stop: i64) -> None:
        """Copies the elements at the places from `start` up to but not including `stop`.

        When all have been copied, in order, the twin is what `copy` gives. O(stop - start).

        Args:
            twin: of this container, which has not changed since; it holds all before `start`.
        """
        raise NotImplementedError

    def first_place(self) -> i64:
        """The place of the first element, for `records_of`."""
        return 0

    def end_place(self) -> i64:
        """The place behind the last element. An element only ever moves to a lower one."""
        return len(self)

    def records_of(self, start: i64, stop: i64) -> list[object]:
        """What a diary says when the elements at the places from `start` to `stop` are put.

        O(stop - start). Buffers have none.
        """
        raise NotImplementedError

    def replay(self, records: list[object]) -> None:
        """Does again, in order, what another container of its kind wrote in its diary."""
        for record in records:
            self.apply(cast(Record, record))

    def apply(self, record: Record) -> None:
        """Does again what one record says."""
        raise NotImplementedError

    def _release(self, held: object) -> i64:
        """Takes a value off the account of the container; returns what it weighed."""
        if isinstance(held, Boxed):
            if self.leaving is None:
                self.leaving = []
            self.leaving.append(held)
            return held.size_bytes
        return weigh(held)

    def _check(self) -> None:
        """Asserts every invariant; O(n)."""
        raise NotImplementedError
