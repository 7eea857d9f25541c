"""The longest common subsequence of two byte strings, for LCS.

Bit-parallel: one Python integer holds a whole row of the table, so that a row costs a few
operations of big integers, and the table eight times fewer bytes than it has cells.

1. Bit j of row i is clear where the length grows from `second[:j]` to `second[:j + 1]`,
   beside `first[:i]`. So the length for two prefixes is a count of clear bits.

Source: H. Hyyro, "Bit-parallel LCS-length computation revisited" (2004); which of several
longest subsequences is told is Redis' choice, by walking the table from its end.
"""

from __future__ import annotations


def table_of(first: bytes, second: bytes) -> list[int]:
    """The rows of the table: one for each prefix of `first`, the empty one included."""
    width = len(second)
    every = (1 << width) - 1
    places = _places(second, set(first))
    row = every
    rows = [row]
    for byte in first:
        met = row & places[byte]
        row = ((row + met) | (row - met)) & every
        rows.append(row)
    return rows


def _places(text: bytes, wanted: set[int]) -> dict[int, int]:
    """For each wanted byte a number that has a bit wherever the text has the byte."""
    digits = text[::-1]
    places: dict[int, int] = {}
    for byte in wanted:
        table = bytearray(b"0" * 256)
        table[byte] = 49
        places[byte] = int(b"0" + digits.translate(table), 2)
    return places


def length_at(row: int, width: int) -> int:
    """The length of the subsequence for the first `width` bytes of the second string."""
    return width - (row & ((1 << width) - 1)).bit_count()


def common_ranges(first: bytes, second: bytes, table: list[int]) -> list[tuple[int, int, int]]:
    """The stretches of the subsequence, last one first.

    Returns:
        For each, where it starts in either string, and how long it is.
    """
    found: list[tuple[int, int, int]] = []
    i = len(first)
    j = len(second)
    size = 0
    width = (len(second) + 7) // 8
    # row i, where a bit is found without a copy of all that are behind it
    row = b""
    row_at = -1
    while i > 0 and j > 0:
        if first[i - 1] == second[j - 1]:
            i -= 1
            j -= 1
            size += 1
            continue
        if size:
            found.append((i, j, size))
            size = 0
        if row_at != i:
            row = table[i].to_bytes(width, "little")
            row_at = i
        # the length is that of one neighbour or of both: where it grew beyond the one to the
        # left, it is that of the row above
        if row[(j - 1) >> 3] >> ((j - 1) & 7) & 1:
            j -= 1
        else:
            i -= 1
    if size:
        found.append((i, j, size))
    return found


def common_subsequence(first: bytes, second: bytes, table: list[int]) -> bytes:
    """The longest common subsequence.

    Examples:
        >>> common_subsequence(b"ohmytext", b"mynewtext", table_of(b"ohmytext", b"mynewtext"))
        b'mytext'
    """
    ranges = common_ranges(first, second, table)
    return b"".join([first[start : start + size] for start, _, size in reversed(ranges)])
