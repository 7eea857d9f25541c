"""The reader: a place in bytes that nobody vouches for, and what can be read from there.

Used by the formats of this package. It is told nothing but the bytes, so that the worst they
can do is to end too early.

1. Nothing is read beyond the end, whatever a length says: PayloadError comes first. So
   nothing is allocated that the bytes themselves are too few for.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_f64_le, read_i64_le
from mypy_extensions import i64

from cachestorm.errors import PayloadError
from cachestorm.values.forms import Forms

# of a count, 7 bits a byte: as many as fit into 63 bits
LONGEST_COUNT: Final = 9


class Reader:
    """Reads forward from a place up to an end.

    Every method raises PayloadError when there is less left than it needs.

    Attributes:
        forms: what a cache does with objects that are read for it; None for nothing.
    """

    def __init__(self, data: bytes, at: i64, end: i64) -> None:
        self.data: Final = data
        self.at: i64 = at
        self.end: Final[i64] = end
        self.forms: Forms | None = None

    def is_done(self) -> bool:
        """Whether all has been read."""
        return self.at == self.end

    def byte(self) -> i64:
        """The next byte, 0 to 255."""
        at = self.at
        if at >= self.end:
            raise PayloadError()
        self.at = at + 1
        return self.data[at]

    def take(self, size: i64) -> bytes:
        """The next bytes."""
        at = self.at
        if size < 0 or size > self.end - at:
            raise PayloadError()
        self.at = at + size
        return self.data[at : at + size]

    def skip(self, size: i64) -> None:
        """Goes on without a look."""
        if size < 0 or size > self.end - self.at:
            raise PayloadError()
        self.at += size

    def count(self) -> i64:
        """A number of 63 bits, seven to a byte, low ones first; the last byte is below 128."""
        found: i64 = 0
        shift: i64 = 0
        data = self.data
        at = self.at
        end = self.end
        while at < end and shift < 7 * LONGEST_COUNT:
            byte: i64 = data[at]
            at += 1
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                self.at = at
                return found
            shift += 7
        raise PayloadError()

    def little(self, size: i64) -> i64:
        """An unsigned number of 1 to 7 bytes, the low one first."""
        if size > self.end - self.at:
            raise PayloadError()
        found: i64 = 0
        shift: i64 = 0
        while size > 0:
            byte: i64 = self.data[self.at]
            self.at += 1
            found |= byte << shift
            shift += 8
            size -= 1
        return found

    def signed(self, size: i64) -> i64:
        """A number of 1 to 7 bytes in two's complement, the low one first."""
        found = self.little(size)
        half: i64 = 1
        half <<= 8 * size - 1
        return found - half - half if found >= half else found

    def big(self, size: i64) -> i64:
        """An unsigned number of 1 to 7 bytes, the high one first."""
        if size > self.end - self.at:
            raise PayloadError()
        found: i64 = 0
        while size > 0:
            byte: i64 = self.data[self.at]
            self.at += 1
            found = (found << 8) | byte
            size -= 1
        return found

    def int64(self) -> i64:
        """A number of 8 bytes in two's complement, the low one first."""
        at = self.at
        self.skip(8)
        return read_i64_le(self.data, at)

    def double(self) -> float:
        """A double of 8 bytes, the low one first."""
        at = self.at
        self.skip(8)
        return read_f64_le(self.data, at)
