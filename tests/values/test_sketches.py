"""Sketches: the estimate, and bytes that are the same whatever way leads to them.

That they are those of Redis is for the tests against real servers to say.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestorm.errors import CorruptedSketchError
from cachestorm.values.hyperloglog import (
    DENSE_SIZE,
    HEADER,
    MOST_SPARSE_BYTES,
    NEW,
    REGISTERS,
    Sketch,
    estimate_of,
    greater,
    is_sketch,
    known_estimate,
    merged,
    murmur,
    packed,
    registers_of,
    with_estimate,
    without_estimate,
)


def numbered(count: int) -> Sketch:
    sketch = Sketch(NEW)
    for number in range(count):
        sketch.add(b"%d" % number)
    return sketch


@pytest.mark.parametrize("count", [0, 1, 2, 10, 100, 1000, 20_000])
def test_an_estimate_is_near(count: int) -> None:
    estimate = estimate_of(registers_of(numbered(count).raw))
    assert abs(estimate - count) <= max(count * 0.0081 * 3, 0)


def test_registers_are_the_highest_ranks_in_either_form() -> None:
    chance = random.Random(7)
    sketch = Sketch(NEW)
    plain = bytearray(REGISTERS)
    was_sparse_for = 0
    for _ in range(4000):
        index, rank = chance.randrange(REGISTERS), chance.choice([1, 1, 1, 2, 2, 3, 9, 32])
        assert (rank > plain[index]) == sketch.raise_register(index, rank)
        plain[index] = max(plain[index], rank)
        was_sparse_for += not sketch.is_dense()
        assert sketch.is_dense() or len(sketch.raw) <= MOST_SPARSE_BYTES
        assert is_sketch(sketch.raw)
    assert bytes(plain) == registers_of(sketch.raw)
    assert 0 < was_sparse_for < 4000


def test_neighbours_are_joined() -> None:
    sketch = Sketch(NEW)
    for index in range(16):
        sketch.raise_register(index, 5)
    assert sketch.raw[HEADER : HEADER + 4] == 4 * bytes([128 | 4 << 2 | 3])


def test_a_rank_above_32_makes_it_dense() -> None:
    sketch = Sketch(NEW)
    sketch.raise_register(0, 3)
    sketch.raise_register(REGISTERS - 1, 32)
    assert not sketch.is_dense()
    assert sketch.raise_register(REGISTERS - 1, 33)
    assert sketch.is_dense()
    assert len(sketch.raw) == DENSE_SIZE
    registers = registers_of(sketch.raw)
    assert (registers[0], registers[1], registers[-1]) == (3, 0, 33)


def test_a_walk_in_order_makes_the_bytes_that_single_steps_make() -> None:
    chance = random.Random(3)
    for _ in range(30):
        start = Sketch(NEW)
        around = chance.choice([20, 200, REGISTERS])
        for _ in range(chance.randrange(100)):
            start.raise_register(chance.randrange(around), chance.randrange(1, 4))
        raised = bytearray(registers_of(start.raw))
        for _ in range(chance.randrange(200)):
            at = chance.randrange(around)
            raised[at] = max(raised[at], chance.randrange(1, 4))
        raw = start.raw
        for index in range(REGISTERS):
            if raised[index]:
                single = Sketch(raw)
                single.raise_register(index, raised[index])
                raw = single.raw
        assert without_estimate(raw) == merged(start.raw, bytes(raised), False)


def test_packing_and_unpacking_are_inverse() -> None:
    chance = random.Random(5)
    registers = bytes(chance.randrange(64) for _ in range(REGISTERS))
    assert registers == registers_of(packed(NEW, registers))


def test_the_greater_of_all_registers_at_once() -> None:
    chance = random.Random(6)
    one, other = (bytes(chance.randrange(64) for _ in range(REGISTERS)) for _ in range(2))
    expected = bytes(max(pair) for pair in zip(one, other, strict=True))
    assert greater(one, other) == expected


def test_an_estimate_is_remembered_until_it_is_not() -> None:
    raw = with_estimate(NEW, 12345678901)
    assert known_estimate(raw) == 12345678901
    assert known_estimate(without_estimate(raw)) == -1


@pytest.mark.parametrize(
    "opcodes", [b"", b"\x7f", b"\x7f\xfe", b"\x7f\xff\x00", b"\x7f\xff\x7f", b"\x80"]
)
def test_opcodes_that_make_too_few_or_many_registers_are_refused(opcodes: bytes) -> None:
    with pytest.raises(CorruptedSketchError):
        registers_of(NEW[:HEADER] + opcodes)


def test_registers_that_no_elements_leave_are_refused() -> None:
    with pytest.raises(CorruptedSketchError):
        estimate_of(b"\x3f" * REGISTERS)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (NEW, True),
        (packed(NEW, bytes(REGISTERS)), True),
        (packed(NEW, bytes(REGISTERS)) + b"\0", False),
        (NEW[:15], False),
        (b"hyll" + NEW[4:], False),
        (b"HYLL\x02" + NEW[5:], False),
        (b"", False),
    ],
)
def test_a_sketch_is_told_by_its_header_and_length(raw: bytes, expected: bool) -> None:
    assert is_sketch(raw) is expected


def plain_murmur(data: bytes) -> int:
    """MurmurHash64A as its author wrote it, in integers without a sign."""
    every, factor = (1 << 64) - 1, 0xC6A4A7935BD1E995
    mixed = 0xADC83B19 ^ (len(data) * factor & every)
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        block = int.from_bytes(data[at : at + 8], "little") * factor & every
        block ^= block >> 47
        mixed = (mixed ^ (block * factor & every)) * factor & every
    if data[whole:]:
        mixed = (mixed ^ int.from_bytes(data[whole:], "little")) * factor & every
    mixed = (mixed ^ mixed >> 47) * factor & every
    return mixed ^ mixed >> 47


@given(st.binary(max_size=40))
def test_the_hash_is_murmurs(data: bytes) -> None:
    assert plain_murmur(data) == murmur(data) % (1 << 64)
