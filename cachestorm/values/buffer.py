"""The buffer: a long string that is changed in place.

A string is `bytes`, which Python copies for every change. One that is long and is written to in
part (APPEND, SETRANGE, SETBIT, BITFIELD) becomes a buffer, so that what is written is what it
costs. It is still a string for every reader: what is read are `bytes`.

1. It holds no objects, so that nothing ever leaves it.
"""

from __future__ import annotations

import sys
from typing import Final, cast

from mypy_extensions import i64

from cachestorm.values.container import CONTAINER_BYTES, Container
from cachestorm.values.diary import LENGTH, WRITE, Record

# A copy of less costs no more than a command does.
SHORTEST: Final = 4096


class Buffer(Container):
    """A string that can grow in place.

    Attributes:
        data: its bytes. They are made longer by `grow`, and a change of some is reported by
            `wrote`.
    """

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self.data: bytearray = bytearray(raw)
        self._measure()

    def __len__(self) -> int:
        return len(self.data)

    def bulk(self) -> i64:
        # one object, whatever its length: there is nothing to take apart
        return 1

    def whole(self) -> bytes:
        """All of it. O(n)."""
        return bytes(self.data)

    def part(self, start: int, stop: int) -> bytes:
        """The bytes from `start` up to but not including `stop`. O(their number)."""
        return bytes(self.data[start:stop])

    def most_growth(self, length: int) -> i64:
        """What it may cost at most to make it that long: Python allocates in advance."""
        missing = length - len(self.data)
        return missing + (length >> 3) + 32 if missing > 0 else 0

    def grow(self, length: int) -> None:
        """Makes it at least that long, with zero bytes. Amortized O(what is added)."""
        missing = length - len(self.data)
        if missing > 0:
            self.data.extend(bytes(missing))
            self._measure()
            if self.diary is not None:
                self.diary.append((LENGTH, length))

    def wrote(self, start: int, stop: int) -> None:
        """Notes that bytes from `start` up to but not including `stop` were changed."""
        if self.diary is not None:
            self.diary.append((WRITE, start, self.part(start, stop)))

    def encoding(self) -> str:
        """What OBJECT ENCODING calls a long string."""
        return "raw"

    def twin(self) -> Buffer:
        return Buffer(b"")

    def copy_some(self, twin: Container, start: i64, stop: i64) -> None:
        assert isinstance(twin, Buffer)
        twin.data += self.data[start:stop]
        twin._measure()

    def copy(self) -> Buffer:
        """A buffer of its own with the same bytes. O(n)."""
        return Buffer(self.whole())

    def apply(self, record: Record) -> None:
        if record[0] == LENGTH:
            self.grow(cast(int, record[1]))
            return
        start, raw = cast(int, record[1]), cast(bytes, record[2])
        stop = start + len(raw)
        self.grow(stop)
        self.data[start:stop] = raw
        self.wrote(start, stop)

    def _measure(self) -> None:
        held: i64 = sys.getsizeof(self.data)
        self.size_bytes = CONTAINER_BYTES + ((held + 15) & -16)

    def _check(self) -> None:
        charged = self.size_bytes
        self._measure()
        assert charged == self.size_bytes
        assert self.leaving is None
