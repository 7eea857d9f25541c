"""Bits against the plainest way to do the same: a string of ones and zeros."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestorm.values.bits import (
    AND,
    BLOCK,
    FAIL,
    NOT,
    OR,
    SAT,
    WRAP,
    XOR,
    combine,
    count_bits,
    field_of,
    find_bit,
    fitted,
    put_field,
)


def spelled(raw: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in raw)


RAW = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.binary(max_size=3).map(lambda end: b"\0" * 9 + end),
    st.binary(max_size=3).map(lambda end: b"\xff" * 9 + end),
)


@given(RAW, st.integers(0, 95), st.integers(0, 95), st.integers(0, 1))
def test_bits_are_counted_and_found_in_any_range(
    raw: bytes, first: int, last: int, bit: int
) -> None:
    first, last = sorted(min(place, len(raw) * 8 - 1) for place in (first, last))
    row = spelled(raw)
    assert row[first : last + 1].count("1") == count_bits(raw, first, last)
    assert row.find(str(bit), first, last + 1) == find_bit(raw, bit, first, last)


@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 5])
@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
def test_a_bit_is_found_wherever_it_is_among_blocks(size: int, filler: bytes) -> None:
    bit = 1 if filler == b"\0" else 0
    odd = b"\x10" if bit else b"\xef"
    last = size * 8 - 1
    plain = filler * size
    assert find_bit(plain, bit, 0, last) == -1
    for at in {0, 1, BLOCK - 1, BLOCK, BLOCK + 1, size // 2, size - 2, size - 1}:
        if at < size:
            raw = plain[:at] + odd + plain[at + 1 :]
            assert at * 8 + 3 == find_bit(raw, bit, 0, last)
            assert at * 8 + 3 == find_bit(raw, bit, at * 8 + 3, last)
            assert find_bit(raw, bit, 0, at * 8 + 2) == -1
            assert find_bit(raw, bit, at * 8 + 4, last) == -1 or at == size - 1
            expected = size * 8 - 1 if bit == 0 else 1
            assert count_bits(raw, 0, last) == expected


@given(st.lists(RAW, min_size=1, max_size=4))
def test_strings_are_combined_as_if_they_were_equally_long(parts: list[bytes]) -> None:
    width = max(map(len, parts))
    rows = [part.ljust(width, b"\0") for part in parts]
    columns = list(zip(*rows, strict=True))
    for operation, expected in [
        (AND, bytes(min_bits(column) for column in columns)),
        (OR, bytes(any_bits(column) for column in columns)),
        (XOR, bytes(odd_bits(column) for column in columns)),
    ]:
        assert combine(operation, parts) == expected
    assert bytes(255 - byte for byte in parts[0]) == combine(NOT, parts)


def min_bits(column: tuple[int, ...]) -> int:
    result = 255
    for byte in column:
        result &= byte
    return result


def any_bits(column: tuple[int, ...]) -> int:
    result = 0
    for byte in column:
        result |= byte
    return result


def odd_bits(column: tuple[int, ...]) -> int:
    result = 0
    for byte in column:
        result ^= byte
    return result


def test_long_strings_are_combined_across_blocks() -> None:
    chance = random.Random(1)
    one, other = chance.randbytes(3 * BLOCK + 7), chance.randbytes(BLOCK + 3)
    expected = int.from_bytes(one, "big") ^ int.from_bytes(other.ljust(len(one), b"\0"), "big")
    assert expected.to_bytes(len(one), "big") == combine(XOR, [one, other])


@given(RAW, st.integers(0, 60), st.integers(1, 64), st.booleans(), st.integers())
def test_a_field_is_what_was_written_and_its_neighbours_stay(
    raw: bytes, offset: int, bits: int, signed: bool, number: int
) -> None:
    data = bytearray(raw.ljust(16, b"\0"))
    before = spelled(bytes(data))
    settled = fitted(number, bits, signed, WRAP)
    assert settled is not None
    put_field(data, offset, bits, settled)
    after = spelled(bytes(data))
    assert settled == field_of(data, offset, bits, signed)
    assert settled % (1 << bits) == number % (1 << bits)
    assert before[:offset] == after[:offset]
    assert before[offset + bits :] == after[offset + bits :]


def test_a_field_beyond_the_end_is_clear() -> None:
    assert field_of(b"\xff", 0, 16, False) == 0xFF00
    assert field_of(b"\xff", 1000, 64, True) == 0


@given(st.integers(), st.integers(1, 64), st.booleans())
def test_what_does_not_fit_is_the_nearest_that_does_or_nothing(
    number: int, bits: int, signed: bool
) -> None:
    least = -(1 << (bits - 1)) if signed else 0
    most = least + (1 << bits) - 1
    assert sorted([least, number, most])[1] == fitted(number, bits, signed, SAT)
    fits = least <= number <= most
    assert (number if fits else None) == fitted(number, bits, signed, FAIL)
