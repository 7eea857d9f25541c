"""The HyperLogLog: how many different elements were added, in at most 12 KiB.

Called by the HyperLogLog commands. A sketch is a plain byte string in the format of
Redis, so that GET, SET and APPEND work on it and another server can read it.

1. A header of 16 bytes: `HYLL`, the encoding, three unused bytes, and the last estimate,
   little-endian, whose highest bit says that it is out of date.
2. Dense: 16384 registers of 6 bits, the lowest bits first.
3. Sparse: opcodes, each for a run of registers. `00nnnnnn`: n+1 zeros. `01nnnnnn nnnnnnnn`:
   the same, of 14 bits. `1vvvvvnn`: n+1 registers of value v+1. It becomes dense where a
   register exceeds 32 or the string 3000 bytes, and never goes back.
4. The same additions in the same order make the same bytes as in Redis: opcodes are split
   and joined as there, although others could say the same.
5. Registers in bulk are a `bytes` of one byte each, worked on by what Python does in C.

Source: S. Heule et al., "HyperLogLog in practice" (2013); the format and the choices of
opcodes are those of Redis; the estimate is that of O. Ertl, "New cardinality estimation
algorithms for HyperLogLog sketches", arXiv:1702.01284 (2017).
"""

from __future__ import annotations

from math import sqrt
from typing import Final

from mypy_extensions import i64

from cachestorm.errors import CorruptedSketchError

COMPILED: Final = not __file__.endswith(".py")

REGISTERS: Final = 16384
HEADER: Final = 16
ENCODING_AT: Final = 4
ESTIMATE_AT: Final = 8
FLAG_AT: Final = 15
DENSE: Final = 0
SPARSE: Final = 1
DENSE_SIZE: Final = HEADER + REGISTERS * 6 // 8
MOST_SPARSE_BYTES: Final = 3000
# a register in an opcode of its own, and that the longest one
LONGEST: Final = HEADER + 2 * REGISTERS
MOST_SPARSE_VALUE: Final = 32
LONGEST_VALUE_RUN: Final = 4
LONGEST_SHORT_ZEROS: Final = 64
JOINED: Final = 5

# What is left of a hash when the 14 bits that name the register are gone.
_RANK_BITS: Final = 50
_RANK_MASK: Final = (1 << 50) - 1
_RANK_END: Final = 1 << 50
_ALPHA: Final = 0.721347520444481703680  # 1 / (2 ln 2)
# What an integer of 64 bits does not hold, nor the place of the last estimate.
_TOO_MANY: Final = 9223372036854775808.0
_SEED: Final = 0xADC83B19
_MULTIPLIER: Final = -4132994306676758123  # 0xc6a4a7935bd1e995, signed

NEW: Final = b"HYLL\x01\0\0\0" + bytes(8) + b"\x7f\xff"
_ZEROS: Final = bytes(REGISTERS)


def _table(shift: int, mask: int) -> bytes:
    """A table for `bytes.translate`: shifted left (right if negative), then masked."""
    if shift < 0:
        return bytes([(byte >> -shift) & mask for byte in range(256)])
    return bytes([(byte << shift) & mask for byte in range(256)])


_LOW_6: Final = _table(0, 63)
_UP_2: Final = _table(2, 63)
_UP_4: Final = _table(4, 63)
_DOWN_2: Final = _table(-2, 63)
_DOWN_4: Final = _table(-4, 63)
_DOWN_6: Final = _table(-6, 63)
_BYTE_UP_2: Final = _table(2, 255)
_BYTE_UP_4: Final = _table(4, 255)
_BYTE_UP_6: Final = _table(6, 255)


def is_sketch(raw: bytes) -> bool:
    """Whether a string has the header and, if dense, the length of a sketch."""
    if len(raw) < HEADER or not raw.startswith(b"HYLL"):
        return False
    if raw[ENCODING_AT] == DENSE:
        return len(raw) == DENSE_SIZE
    return raw[ENCODING_AT] == SPARSE


def known_estimate(raw: bytes) -> int:
    """The estimate that a sketch remembers; -1 if it is out of date."""
    if raw[FLAG_AT] & 128:
        return -1
    return int.from_bytes(raw[ESTIMATE_AT:HEADER], "little")


def with_estimate(raw: bytes, estimate: int) -> bytes:
    """The sketch, remembering an estimate."""
    return raw[:ESTIMATE_AT] + estimate.to_bytes(8, "little") + raw[HEADER:]


def without_estimate(raw: bytes) -> bytes:
    """The sketch, its estimate marked as out of date."""
    return raw[:FLAG_AT] + bytes([raw[FLAG_AT] | 128]) + raw[HEADER:]


def registers_of(raw: bytes) -> bytes:
    """The registers of a sketch, a byte each.

    Raises:
        CorruptedSketchError: if its opcodes do not make 16384 registers.
    """
    if raw[ENCODING_AT] == DENSE:
        return _unpacked(raw)
    parts: list[bytes] = []
    end: i64 = len(raw)
    at: i64 = HEADER
    total: i64 = 0
    while at < end and total <= REGISTERS:
        op: i64 = raw[at]
        value: i64 = 0
        run: i64 = op & 63
        at += 1
        if op & 128:
            value = ((op >> 2) & 31) + 1
            run = op & 3
        elif op & 64:
            if at == end:
                raise CorruptedSketchError()
            run = (run << 8) | raw[at]
            at += 1
        run += 1
        total += run
        parts.append(_ZEROS[:run] if value == 0 else bytes([value]) * run)
    if total != REGISTERS:
        raise CorruptedSketchError()
    return b"".join(parts)


def opcodes_of(raw: bytes) -> str:
    """The opcodes of a sparse sketch as PFDEBUG DECODE spells them.

    `z` and `Z` are short and long runs of zeros, `v` a value and its run.

    Raises:
        CorruptedSketchError: if they do not make 16384 registers.
    """
    registers_of(raw)
    parts: list[str] = []
    at: i64 = HEADER
    while at < len(raw):
        op: i64 = raw[at]
        at += 1
        if op & 128:
            parts.append(f"v:{((op >> 2) & 31) + 1},{(op & 3) + 1}")
        elif op & 64:
            parts.append(f"Z:{(((op & 63) << 8) | raw[at]) + 1}")
            at += 1
        else:
            parts.append(f"z:{(op & 63) + 1}")
    return " ".join(parts)


def _unpacked(raw: bytes) -> bytes:
    # four registers lie in three bytes; the first bytes of all threes are one string, the
    # second ones another, and so are the registers at last
    one = raw[HEADER::3]
    two = raw[HEADER + 1 :: 3]
    three = raw[HEADER + 2 :: 3]
    registers = bytearray(REGISTERS)
    registers[0::4] = one.translate(_LOW_6)
    registers[1::4] = _either(one.translate(_DOWN_6), two.translate(_UP_2))
    registers[2::4] = _either(two.translate(_DOWN_4), three.translate(_UP_4))
    registers[3::4] = three.translate(_DOWN_2)
    return bytes(registers)


def packed(header: bytes, registers: bytes) -> bytes:
    """The dense sketch of registers, with a header as given but for the encoding."""
    one = registers[0::4]
    two = registers[1::4]
    three = registers[2::4]
    four = registers[3::4]
    body = bytearray(DENSE_SIZE - HEADER)
    body[0::3] = _either(one, two.translate(_BYTE_UP_6))
    body[1::3] = _either(two.translate(_DOWN_2), three.translate(_BYTE_UP_4))
    body[2::3] = _either(three.translate(_DOWN_4), four.translate(_BYTE_UP_2))
    return header[:ENCODING_AT] + bytes([DENSE]) + header[ENCODING_AT + 1 : HEADER] + body


def _either(first: bytes, second: bytes) -> bytes:
    union = int.from_bytes(first, "little") | int.from_bytes(second, "little")
    return union.to_bytes(len(first), "little")


_HIGH: Final = int.from_bytes(b"\x80" * REGISTERS, "little")


def greater(first: bytes, second: bytes) -> bytes:
    """Of two rows of registers the greater one at each place.

    One subtraction of long integers compares all of them: a register is less than 128, so
    that with its highest bit set it lends to no neighbour.
    """
    one = int.from_bytes(first, "little")
    other = int.from_bytes(second, "little")
    wins = ((one | _HIGH) - other) & _HIGH
    chosen = wins - (wins >> 7)
    return ((one & chosen) | (other & ~chosen)).to_bytes(REGISTERS, "little")


def estimate_of(registers: bytes) -> int:
    """How many different elements the registers stand for; off by 0.81 % as a rule.

    Raises:
        CorruptedSketchError: if there are not as many hashes as would leave such registers.
    """
    counts = [0] * 64
    left = registers
    for value in range(64):
        rest = left.translate(None, bytes([value]))
        counts[value] = len(left) - len(rest)
        left = rest
        if not left:
            break
    size = float(REGISTERS)
    total = size * _tau((size - counts[_RANK_BITS + 1]) / size)
    for rank in range(_RANK_BITS, 0, -1):
        total += counts[rank]
        total *= 0.5
    total += size * _sigma(counts[0] / size)
    estimate = _ALPHA * size * size / total if total != 0.0 else _TOO_MANY
    if estimate >= _TOO_MANY:
        raise CorruptedSketchError()
    whole = int(estimate)
    return whole + 1 if estimate - whole >= 0.5 else whole


def _sigma(share: float) -> float:
    if share == 1.0:
        return float("inf")
    factor = 1.0
    total = share
    while True:
        share *= share
        former = total
        total += share * factor
        factor += factor
        if former == total:
            return total


def _tau(share: float) -> float:
    if share == 0.0 or share == 1.0:
        return 0.0
    factor = 1.0
    total = 1.0 - share
    while True:
        share = sqrt(share)
        former = total
        factor *= 0.5
        total -= (1.0 - share) * (1.0 - share) * factor
        if former == total:
            return total / 3.0


class Sketch:
    """A sketch being added to.

    Attributes:
        raw: its bytes, of which the estimate may be out of date without saying so.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw: bytes = raw
        # Where a search in the opcodes may begin, and the register that is first there:
        # two opcodes before the one found last, so that no joining has moved it.
        self._near_at: i64 = HEADER
        self._near_first: i64 = 0
        self._last_index: i64 = -1

    def is_dense(self) -> bool:
        """Whether it has become dense."""
        return self.raw[ENCODING_AT] == DENSE

    def add(self, element: bytes) -> bool:
        """Adds an element. Returns whether a register was raised."""
        mixed = murmur(element)
        index = mixed & (REGISTERS - 1)
        rest: i64 = ((mixed >> 14) & _RANK_MASK) | _RANK_END
        rank: i64 = 1
        while rest & 1 == 0:
            rest >>= 1
            rank += 1
        return self.raise_register(index, rank)

    def raise_register(self, index: i64, rank: i64) -> bool:
        """Gives a register a value unless it has a greater one. Returns whether it did.

        O(opcodes) while sparse; in order of their indexes all registers take O(opcodes)
        together.

        Raises:
            CorruptedSketchError: if its opcodes do not reach that register.
        """
        if self.is_dense():
            return self._raise_dense(index, rank)
        if rank > MOST_SPARSE_VALUE:
            return self._promote(index, rank)
        return self._raise_sparse(index, rank)

    def _raise_dense(self, index: i64, rank: i64) -> bool:
        raw = self.raw
        at = HEADER + (index * 6 >> 3)
        shift = index * 6 & 7
        low: i64 = raw[at]
        if shift <= 2:
            if (low >> shift) & 63 >= rank:
                return False
            low = (low & ~(63 << shift)) | (rank << shift)
            self.raw = raw[:at] + bytes([low]) + raw[at + 1 :]
            return True
        high: i64 = raw[at + 1]
        both = low | (high << 8)
        if (both >> shift) & 63 >= rank:
            return False
        both = (both & ~(63 << shift)) | (rank << shift)
        self.raw = raw[:at] + bytes([both & 255, both >> 8]) + raw[at + 2 :]
        return True

    def _promote(self, index: i64, rank: i64) -> bool:
        self.raw = packed(self.raw, registers_of(self.raw))
        return self._raise_dense(index, rank)

    def _raise_sparse(self, index: i64, rank: i64) -> bool:
        raw = self.raw
        end: i64 = len(raw)
        if index <= self._last_index:
            self._near_at = HEADER
            self._near_first = 0
        self._last_index = index
        at = self._near_at
        first = self._near_first
        before: i64 = -1
        before_first: i64 = 0
        earlier: i64 = -1
        earlier_first: i64 = 0
        op: i64 = 0
        run: i64 = 0
        size: i64 = 1
        while at < end:
            op = raw[at]
            size = 1
            if op & 128:
                run = (op & 3) + 1
            elif op & 64:
                if at + 1 == end:
                    raise CorruptedSketchError()
                run = (((op & 63) << 8) | raw[at + 1]) + 1
                size = 2
            else:
                run = (op & 63) + 1
            if index < first + run:
                break
            earlier = before
            earlier_first = before_first
            before = at
            before_first = first
            at += size
            first += run
        if at >= end:
            raise CorruptedSketchError()
        if earlier != -1:
            self._near_at = earlier
            self._near_first = earlier_first
        else:
            self._near_at = HEADER
            self._near_first = 0
        value: i64 = ((op >> 2) & 31) + 1 if op & 128 else 0
        if value >= rank:
            return False
        inserted = (
            _run_of(value, index - first)
            + _run_of(rank, 1)
            + _run_of(value, first + run - 1 - index)
        )
        growth: i64 = len(inserted)
        growth -= size
        if growth > 0 and end + growth > MOST_SPARSE_BYTES:
            return self._promote(index, rank)
        raw = raw[:at] + inserted + raw[at + size :]
        self.raw = _joined(raw, before if before != -1 else HEADER)
        return True


def _run_of(value: i64, run: i64) -> bytes:
    """The opcode for a run of registers; of none, nothing."""
    if run == 0:
        return b""
    run -= 1
    if value != 0:
        return bytes([128 | ((value - 1) << 2) | run])
    if run < LONGEST_SHORT_ZEROS:
        return bytes([run])
    return bytes([64 | (run >> 8), run & 255])


def _joined(raw: bytes, at: i64) -> bytes:
    """The opcodes with neighbours of one value joined, in five steps from `at` on."""
    end: i64 = len(raw)
    steps: i64 = 0
    while at < end and steps < JOINED:
        steps += 1
        op: i64 = raw[at]
        if not op & 128:
            at += 2 if op & 64 else 1
            continue
        if at + 1 < end:
            other: i64 = raw[at + 1]
            run = (op & 3) + (other & 3) + 2
            if other & 128 and (op ^ other) & 124 == 0 and run <= LONGEST_VALUE_RUN:
                raw = raw[:at] + bytes([(op & 252) | (run - 1)]) + raw[at + 2 :]
                end -= 1
                continue
        at += 1
    return raw


def merged(raw: bytes, registers: bytes, dense: bool) -> bytes:
    """A sketch with its registers raised to those given, its estimate out of date.

    Args:
        registers: at no place less than its own.
        dense: it becomes dense whether it needs to or not.

    Raises:
        CorruptedSketchError: if the sketch is.
    """
    sketch = Sketch(raw)
    if not dense and not sketch.is_dense():
        index: i64 = 0
        while index < REGISTERS:
            rank: i64 = registers[index]
            if rank != 0:
                sketch.raise_register(index, rank)
                if sketch.is_dense():
                    break
            index += 1
        else:
            return without_estimate(sketch.raw)
    return without_estimate(packed(sketch.raw, registers))


def murmur(data: bytes) -> i64:
    """MurmurHash64A with the seed of Redis, as a signed integer.

    Source: A. Appleby, https://github.com/aappleby/smhasher

    Examples:
        >>> murmur(b"")
        -2819277119954315470
    """
    size: i64 = len(data)
    mixed = _SEED ^ _times(size, _MULTIPLIER)
    at: i64 = 0
    while at + 8 <= size:
        block: i64 = int.from_bytes(data[at : at + 8], "little", signed=True)
        block = _times(block, _MULTIPLIER)
        block ^= (block >> 47) & 0x1FFFF
        mixed = _times(mixed ^ _times(block, _MULTIPLIER), _MULTIPLIER)
        at += 8
    if at < size:
        tail: i64 = int.from_bytes(data[at:], "little")
        mixed = _times(mixed ^ tail, _MULTIPLIER)
    mixed ^= (mixed >> 47) & 0x1FFFF
    mixed = _times(mixed, _MULTIPLIER)
    return mixed ^ ((mixed >> 47) & 0x1FFFF)


def _times(one: i64, other: i64) -> i64:
    """The low 64 bits of a product, signed: what compiled code computes by itself."""
    if COMPILED:
        return one * other
    return _signed(one * other)


def _signed(number: int) -> int:
    number &= 0xFFFFFFFFFFFFFFFF
    return number - (1 << 64) if number >> 63 else number
