"""Bits: byte strings looked at, searched and combined as rows of bits.

Called by the bitmap commands. Pure functions of `bytes`; bit 0 is the highest of byte 0.

1. Long strings go through what Python does in C (big integers, `translate`,
   `startswith`), a block at a time, so that neither a copy of the whole nor an integer as
   long as the whole is ever made.
"""

from __future__ import annotations

from typing import Final

AND: Final = "AND"
OR: Final = "OR"
XOR: Final = "XOR"
NOT: Final = "NOT"
WRAP: Final = "WRAP"
SAT: Final = "SAT"
FAIL: Final = "FAIL"

# Fits into a first-level cache twice over; longer ones gain nothing.
BLOCK: Final = 16384
_CLEAR: Final = bytes(BLOCK)
_SET: Final = b"\xff" * BLOCK
_INVERSE: Final = bytes(range(255, -1, -1))


def count_bits(raw: bytes, first: int, last: int) -> int:
    """How many bits are set from bit `first` to bit `last`, both inside of the string.

    Examples:
        >>> count_bits(b"foobar", 0, 47), count_bits(b"foobar", 5, 30)
        (26, 17)
    """
    start = first >> 3
    stop = (last >> 3) + 1
    count = 0
    at = start
    while at < stop:
        end = min(at + BLOCK, stop)
        count += int.from_bytes(raw[at:end], "big").bit_count()
        at = end
    count -= (raw[start] >> (8 - (first & 7))).bit_count()
    count -= (raw[stop - 1] & (127 >> (last & 7))).bit_count()
    return count


def find_bit(raw: bytes, bit: int, first: int, last: int) -> int:
    r"""The first bit of that value from bit `first` to bit `last`; -1 if there is none.

    Examples:
        >>> find_bit(b"\x00\x0f", 1, 0, 15), find_bit(b"\xff", 0, 0, 7)
        (12, -1)
    """
    at = first >> 3
    stop = (last >> 3) + 1
    # what is looked for is a set bit, in the byte or in its inverse
    inverter = 0 if bit else 255
    byte = (raw[at] ^ inverter) & (255 >> (first & 7))
    if byte == 0:
        at = _skip(raw, bit, at + 1, stop)
        if at == stop:
            return -1
        byte = raw[at] ^ inverter
    found = at * 8 + 8 - byte.bit_length()
    return found if found <= last else -1


def _skip(raw: bytes, bit: int, at: int, stop: int) -> int:
    """The first byte from `at` on that has a bit of that value; `stop` if none has."""
    block = _CLEAR if bit else _SET
    while at + BLOCK <= stop and raw.startswith(block, at):
        at += BLOCK
    if at == stop:
        return stop
    end = min(at + BLOCK, stop)
    return end - len(raw[at:end].lstrip(block[:1]))


def combine(operation: str, parts: list[bytes]) -> bytes:
    """The parts, at least one, combined bit by bit; shorter ones end in clear bits.

    Args:
        operation: AND, OR, XOR, or NOT, which looks at the first part only.
    """
    if operation == NOT:
        return parts[0].translate(_INVERSE)
    width = max([len(part) for part in parts])
    blocks: list[bytes] = []
    at = 0
    while at < width:
        size = min(BLOCK, width - at)
        row = int.from_bytes(parts[0][at : at + size], "little")
        for index in range(1, len(parts)):
            other = int.from_bytes(parts[index][at : at + size], "little")
            if operation == AND:
                row &= other
            elif operation == OR:
                row |= other
            else:
                row ^= other
        blocks.append(row.to_bytes(size, "little"))
        at += size
    return b"".join(blocks)


def field_of(raw: bytes | bytearray, offset: int, bits: int, signed: bool) -> int:
    """The integer in `bits` bits from bit `offset` on; clear bits follow the string."""
    start = offset >> 3
    stop = (offset + bits + 7) >> 3
    piece = bytes(raw[start:stop]).ljust(stop - start, b"\0")
    number = int.from_bytes(piece, "big") >> (stop * 8 - offset - bits)
    number &= (1 << bits) - 1
    return number - (1 << bits) if signed and number >> (bits - 1) else number


def put_field(data: bytearray, offset: int, bits: int, number: int) -> None:
    """Writes an integer into `bits` bits from bit `offset` on; they are all there."""
    start = offset >> 3
    stop = (offset + bits + 7) >> 3
    shift = stop * 8 - offset - bits
    mask = (1 << bits) - 1
    row = int.from_bytes(data[start:stop], "big")
    row = (row & ~(mask << shift)) | ((number & mask) << shift)
    data[start:stop] = row.to_bytes(stop - start, "big")


def fitted(number: int, bits: int, signed: bool, overflow: str) -> int | None:
    """The number as it fits into that many bits.

    Args:
        overflow: what becomes of one that does not fit: WRAP takes its low bits, SAT the
            nearest that fits, FAIL nothing: None.

    Examples:
        >>> [fitted(130, 8, True, how) for how in (WRAP, SAT, FAIL)]
        [-126, 127, None]
    """
    most = (1 << (bits - 1 if signed else bits)) - 1
    least = -most - 1 if signed else 0
    if least <= number <= most:
        return number
    if overflow == FAIL:
        return None
    if overflow == SAT:
        return most if number > most else least
    number &= (1 << bits) - 1
    return number - (1 << bits) if number > most else number
