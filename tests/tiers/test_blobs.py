"""Values in the bytes that a tier keeps."""

from __future__ import annotations

from collections import OrderedDict
from fractions import Fraction

import pytest

from cachestorm import Cache
from cachestorm.entry import OBJECT, STRING
from cachestorm.errors import PayloadError
from cachestorm.payload.entry_snapshot import EntrySnapshot, snapshot_of
from cachestorm.tiers.blobs import HEADER, PLAIN, ZSTD, body_of, sealed, value_of
from cachestorm.values.weights import box, unbox


def snapshot(value: object, kind: int = OBJECT) -> EntrySnapshot:
    return snapshot_of(kind, box(value), 0, [])


def blob_of(place: int, held: EntrySnapshot) -> bytes | None:
    body = body_of(held)
    return None if body is None else sealed(place, body)


def round_trip(value: object) -> object:
    blob = blob_of(7, snapshot(value))
    assert blob is not None
    return unbox(value_of(7, blob, None).value)


@pytest.mark.parametrize(
    "value",
    [b"", b"raw", "text", "\ud800", 0, -1, 1 << 200, 2.5, float("inf"), True, None],
    ids=repr,
)
def test_a_scalar_comes_back_with_its_type(value: object) -> None:
    found = round_trip(value)
    assert (type(found), found) == (type(value), value)


def test_what_json_is_made_of_comes_back_as_it_was() -> None:
    value = {"a": [1, 2.5, None, True, "x"], "b": {"c": {}}}
    assert round_trip(value) == value


@pytest.mark.parametrize(
    "value",
    [(1, 2), {1: 2}, [(1,)], {"a": b"raw"}, Fraction(1, 3), OrderedDict(a=1), {1, 2}],
    ids=repr,
)
def test_what_would_come_back_as_something_else_has_no_blob(value: object) -> None:
    assert blob_of(7, snapshot(value)) is None


def test_what_is_nested_without_end_has_no_blob() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert blob_of(7, snapshot(endless)) is None


def test_objects_of_a_codec_come_back_as_the_codec_made_them() -> None:
    cache = Cache(codec="pickle")
    held = cache._box((1, {2: Fraction(1, 3)}))
    blob = blob_of(7, snapshot_of(OBJECT, held, 0, []))
    assert blob is not None
    found = value_of(7, blob, cache._forms)
    assert cache._give(unbox(found.value), None) == (1, {2: Fraction(1, 3)})


def test_a_long_value_is_compressed_where_that_pays() -> None:
    pytest.importorskip("zstandard")
    repeated = blob_of(7, snapshot(b"abc" * 1000, STRING))
    assert repeated is not None and repeated[0] == ZSTD and len(repeated) < 200
    import random

    noise = random.Random(5).randbytes(3000)
    kept = blob_of(7, snapshot(noise, STRING))
    assert kept is not None and kept[0] == PLAIN


@pytest.mark.parametrize("value", [b"short", b"abc" * 1000], ids=["plain", "compressed"])
def test_each_flipped_bit_is_noticed(value: bytes) -> None:
    blob = blob_of(7, snapshot(value, STRING))
    assert blob is not None
    for place in range(len(blob)):
        for bit in range(8):
            damaged = bytearray(blob)
            damaged[place] ^= 1 << bit
            with pytest.raises(PayloadError):
                value_of(7, bytes(damaged), None)


def test_each_cut_is_noticed() -> None:
    blob = blob_of(7, snapshot({"a": [1, 2, 3]}))
    assert blob is not None and len(blob) > HEADER
    for size in range(len(blob)):
        with pytest.raises(PayloadError):
            value_of(7, blob[:size], None)


def test_a_blob_that_is_found_at_another_place_is_damaged() -> None:
    blob = blob_of(7, snapshot("value"))
    assert blob is not None
    with pytest.raises(PayloadError):
        value_of(8, blob, None)
