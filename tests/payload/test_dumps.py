"""DUMP and RESTORE: all that a key is comes back, and no bytes do harm.

CACHESTORM_NIGHTLY=1 draws more of the random ones.
"""

from __future__ import annotations

import os
import tracemalloc

import pytest
from entries import names, objects, scores, sealed, sealed_as_redis, tags, told, values
from hypothesis import given, settings
from hypothesis import strategies as st
from librt.strings import BytesWriter

from cachestorm import Cache, CacheStormError, ManualClock
from cachestorm.entry import HASH
from cachestorm.errors import (
    ArgumentError,
    BusyKeyError,
    CodecError,
    CommandSyntaxError,
    InvalidTtlError,
    OutOfMemoryError,
    PayloadError,
)
from cachestorm.payload.entry_snapshot import snapshot_of
from cachestorm.payload.reader import Reader
from cachestorm.payload.records import read_value, write_value

BROKEN_SEAL = "DUMP payload version or checksum are wrong"
BAD_DATA = "Bad data format"
NIGHTLY = bool(os.environ.get("CACHESTORM_NIGHTLY"))
MANY = settings(max_examples=2000 if NIGHTLY else 60, deadline=None)
HARMFUL = settings(max_examples=20_000 if NIGHTLY else 400, deadline=None)
SAMPLES = ["number", "text", "object", "hash", "list", "set", "zset"]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    cache = Cache(clock=clock)
    cache.set("number", 7, tags=["a", "é"])
    cache.set("text", "é" * 100)
    cache.set("object", {"a": [1, None, {"b": "c"}]}, tags=["a"])
    cache.hset("hash", mapping={"f": b"v", "g": 2**70, "h": ["x"]})
    cache.hexpire("hash", 60, "g")
    cache.rpush("list", b"a", "b", 1, 2.5, None, True, {"k": []})
    cache.sadd("set", "a", "é", "\udcff", "")
    cache.zadd("zset", {"a": 1, "é": float("-inf"), "": 0.1})
    return cache


def comes_back(cache: Cache, key: str) -> None:
    """Asserts that a key restored under another name tells the same."""
    payload = cache.dump(key)
    assert payload is not None
    assert cache.restore("again", 0, payload, replace=True)
    assert told(cache, key) == told(cache, "again")
    cache._check()


@pytest.mark.parametrize("key", SAMPLES)
def test_all_of_a_key_comes_back(cache: Cache, key: str) -> None:
    comes_back(cache, key)


@MANY
@given(values, tags)
def test_every_value_comes_back_with_its_tags(value: object, tags: list[str]) -> None:
    cache = Cache()
    cache.set("k", value, tags=tags)
    comes_back(cache, "k")


@MANY
@given(st.dictionaries(names, st.tuples(values, st.none() | st.integers(1, 10**9)), min_size=1))
def test_every_hash_comes_back(fields: dict[str, tuple[object, int | None]]) -> None:
    cache = Cache(clock=ManualClock())
    for field, (value, ttl) in fields.items():
        cache.hset("k", field, value)
        if ttl is not None:
            cache.hexpire("k", ttl, field)
    comes_back(cache, "k")


@MANY
@given(st.lists(values, min_size=1))
def test_every_list_comes_back(elements: list[object]) -> None:
    cache = Cache()
    cache.rpush("k", *elements)
    comes_back(cache, "k")


@MANY
@given(st.dictionaries(names, scores, min_size=1))
def test_every_set_and_sorted_set_comes_back(members: dict[str, float]) -> None:
    cache = Cache()
    cache.sadd("s", *members)
    cache.zadd("z", members)
    comes_back(cache, "s")
    comes_back(cache, "z")


@MANY
@given(objects, tags, st.integers(0, 2**62))
def test_entries_with_their_deadlines_are_read_as_they_were_written(
    value: object, tags: list[str], deadline: int
) -> None:
    cache = Cache()
    cache.hset("h", "field", value)
    space = cache._space
    snapshot = snapshot_of(HASH, space.value(space.entries["h"]), deadline, tags)
    out = BytesWriter()
    for _ in range(2):
        write_value(out, snapshot)
    raw = out.getvalue()
    reader = Reader(raw, 0, len(raw))
    for _ in range(2):
        entry = read_value(reader)
        assert (deadline, tags or None) == (entry.expires_at_ms, entry.tags)
        assert repr({"field": value}) == repr(entry.value.items())
    assert reader.is_done()


def test_a_payload_of_version_1_is_read_for_ever(cache: Cache) -> None:
    """These bytes lie in files by now: they may not change their meaning."""
    kept = {
        "5": (b"\x20\x02\x01x\x01y\x02\x0a", ["x", "y"]),
        "{'a': 1}": (b'\x00\x08\x07{"a":1}', []),
        "[1, 'é', b'\\xff', -1, 1.5, None, True, False]": (
            b"\x03\x08\x02\x02\x01\x02\xc3\xa9\x00\x01\xff\x03\x01\xff"
            b"\x04\0\0\0\0\0\0\xf8\x3f\x05\x06\x07",
            [],
        ),
        "({'f': 'v', 'g': 'w'}, [-1, 4000000000000])": (
            b"\x42\x02\x01f\x01\x01v\x01g\x01\x01w\x01\x01\x00\x40\x94\x52\xa3\x03\x00\x00",
            [],
        ),
        "{'a'}": (b"\x04\x01\x01a", []),
        "[('a', 2.0)]": (b"\x05\x01\x01a\0\0\0\0\0\0\0\x40", []),
    }
    for expected, (body, borne) in kept.items():
        cache.restore("k", 0, sealed(body), replace=True)
        assert (expected, borne) == told(cache, "k")[1:]


# -- what RESTORE is told


def test_a_key_that_is_there_is_kept_unless_it_is_to_be_replaced(cache: Cache) -> None:
    payload = cache.dump("hash")
    before = told(cache, "number")
    with pytest.raises(BusyKeyError, match="Target key name already exists"):
        cache.restore("number", 0, payload)
    assert before == told(cache, "number")
    assert cache.restore("number", 0, payload, replace=True)
    assert told(cache, "hash") == told(cache, "number")
    assert cache.tagkeys("a") == ["object"]
    cache._check()


def test_a_time_to_live_is_in_milliseconds_and_zero_is_for_ever(cache: Cache) -> None:
    payload = cache.dump("text")
    cache.expire("number", 60)
    cache.restore("number", 0, payload, replace=True)
    assert cache.ttl("number") is None
    cache.restore("number", 1500, payload, replace=True)
    assert cache.pttl("number") == 1500
    cache.restore("number", "5m", payload, replace=True)
    assert cache.ttl("number") == 300.0
    cache.restore("number", 1_700_000_001_000, payload, replace=True, absttl=True)
    assert cache.pexpiretime("number") == 1_700_000_001_000


def test_a_deadline_in_the_past_makes_no_key_and_takes_the_old_one(cache: Cache) -> None:
    payload = cache.dump("text")
    assert cache.restore("new", 1, payload, absttl=True)
    assert cache.restore("number", 1, payload, absttl=True, replace=True)
    assert cache.exists("new", "number") == 0
    cache._check()


def test_a_time_that_cannot_be_is_refused(cache: Cache) -> None:
    payload = cache.dump("text")
    for ttl in (-1, 2**63 - 1):
        with pytest.raises(CacheStormError, match="Invalid TTL value, must be >= 0"):
            cache.restore("new", ttl, payload)
    with pytest.raises(ArgumentError):
        cache.restore("new", -1, payload, absttl=True)
    for absttl in (False, True):
        with pytest.raises(InvalidTtlError, match="Invalid TTL value, must be >= 0"):
            cache.restore("new", "9999999999999999d", payload, absttl=absttl)
    with pytest.raises(CommandSyntaxError):
        cache.restore("new", 0, payload, idletime=1, frequency=1)
    with pytest.raises(ArgumentError, match="Invalid IDLETIME value, must be >= 0"):
        cache.restore("new", 0, payload, idletime=-1)
    for frequency in (-1, 256):
        with pytest.raises(ArgumentError, match="Invalid FREQ value, must be >= 0 and <= 255"):
            cache.restore("new", 0, payload, frequency=frequency)
    assert cache.restore("new", 0, payload, idletime=1)
    assert cache.restore("new", 0, payload, frequency=255, replace=True)
    with pytest.raises(TypeError):
        cache.restore("other", 0, "no bytes")


def test_fields_that_are_due_are_left_out(cache: Cache, clock: ManualClock) -> None:
    payload = cache.dump("hash")
    clock.advance(61)
    assert cache.restore("again", 0, payload)
    assert cache.hgetall("again") == {"f": b"v", "h": ["x"]}
    assert cache.hgetall("hash") == {"f": b"v", "h": ["x"]}
    assert cache.dump("hash") != payload
    cache.hset("short", "f", 1)
    cache.hexpire("short", 1, "f")
    payload = cache.dump("short")
    clock.advance(1)
    assert cache.dump("short") is None
    assert cache.restore("short", 0, payload)
    assert not cache.exists("short")
    cache._check()


def test_a_missing_key_has_no_payload(cache: Cache) -> None:
    assert cache.dump("missing") is None


def test_an_object_without_a_form_in_json_is_refused(cache: Cache) -> None:
    cache.set("odd", object())
    with pytest.raises(CodecError):
        cache.dump("odd")
    cache.set("pair", (1, 2))
    comes = cache.dump("pair")
    cache.restore("again", 0, comes)
    assert cache.get("again") == [1, 2]


def test_a_value_that_finds_no_room_changes_nothing(cache: Cache) -> None:
    cache.set("large", b"x" * 4000)
    payload = cache.dump("large")
    small = Cache(max_memory=2048, policy="noeviction")
    small.set("k", 1, tags=["t"])
    with pytest.raises(OutOfMemoryError):
        small.restore("k", 0, payload, replace=True)
    assert (small.get("k"), small.tags("k")) == (1, ["t"])
    small._check()


def test_a_payload_may_be_restored_while_it_is_in_other_namespaces(cache: Cache) -> None:
    cache.database(1).restore("k", 0, cache.dump("object"))
    assert cache.database(1).tags("k") == ["a"]
    assert cache.database(1).get("k") == {"a": [1, None, {"b": "c"}]}


# -- bytes that do harm


def refused(payload: bytes) -> str:
    """Why a payload is refused; empty if it is not. Nothing changes either way but `k`."""
    cache = Cache()
    cache.set("other", 1)
    cache.set("k", "former", tags=["t"])
    before = told(cache, "k")
    try:
        cache.restore("k", 0, payload, replace=True)
    except PayloadError as error:
        assert before == told(cache, "k")
        assert [cache.get("other"), len(cache)] == [1, 2]
        cache._check()
        return str(error)
    assert cache.get("other") == 1
    told(cache, "k")
    cache._check()
    return ""


@pytest.mark.parametrize("key", SAMPLES)
def test_a_payload_that_is_cut_or_flipped_is_refused(cache: Cache, key: str) -> None:
    payload = cache.dump(key)
    for size in range(len(payload)):
        assert refused(payload[:size]) == BROKEN_SEAL
        for bit in (1, 16, 128):
            flipped = payload[:size] + bytes([payload[size] ^ bit]) + payload[size + 1 :]
            assert refused(flipped) == BROKEN_SEAL
    assert refused(payload + b"\0") == BROKEN_SEAL


@HARMFUL
@given(st.binary(max_size=60))
def test_any_bytes_with_a_good_seal_are_a_value_or_bad_data(body: bytes) -> None:
    assert refused(sealed(body)) in ("", BAD_DATA)


@HARMFUL
@given(st.sampled_from(SAMPLES), st.data())
def test_a_damaged_value_with_a_good_seal_is_a_value_or_bad_data(
    key: str, data: st.DataObject
) -> None:
    source = Cache()
    source.set("number", 2**60, tags=["a", "b"])
    source.set("text", "é" * 9)
    source.set("object", {"a": [1, None]})
    source.hset("hash", mapping={"f": 1, "g": "x"})
    source.hexpire("hash", 60, "g")
    source.rpush("list", 1, 2.5, b"x", {"k": []})
    source.sadd("set", "a", "b", "c")
    source.zadd("zset", {"a": 1, "b": 2})
    body = bytearray(source.dump(key)[4:-4])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        match data.draw(st.sampled_from(["set", "cut", "double"])):
            case "set":
                body[at] = data.draw(st.integers(0, 255))
            case "cut" if len(body) > 1:
                del body[at:]
                body = body or bytearray(b"\0")
            case _:
                body[at:at] = body[at : at + 4]
    assert refused(sealed(bytes(body))) in ("", BAD_DATA)


@HARMFUL
@given(
    st.sampled_from([0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 16, 17, 18, 20, 22, 15, 255]),
    st.binary(max_size=60),
    st.sampled_from([6, 10, 80]),
)
def test_any_bytes_with_the_seal_of_redis_are_a_value_or_bad_data(
    kind: int, body: bytes, version: int
) -> None:
    assert refused(sealed_as_redis(bytes([kind]) + body, version)) in ("", BAD_DATA)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x01\x02\x0a",  # a form that there is none of
        b"\x80\x02\x0a",  # a flag that there is none of
        b"\x44\x01\x01a",  # deadlines of fields of a set
        b"\x03\x00",  # an empty list
        b"\x04\x02\x01a\x01a",  # a member twice
        b"\x02\x02\x01f\x05\x01f\x05",  # a field twice
        b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f",  # a score that is NaN
        b"\x42\x01\x01f\x05\x01\x01" + b"\x01" * 8,  # a deadline of a field beyond the last
        b"\x42\x01\x01f\x05\x01\x00" + b"\0" * 8,  # a deadline of zero
        b"\x42\x01\x01f\x05\x01\x00" + b"\xff" * 8,  # a negative one
        b"\x20\x01\x00\x05",  # an empty tag
        b"\x20\x01\x81\x08" + b"x" * 1025 + b"\x05",  # a long tag
        b"\x00\x09",  # a type that there is none of
        b"\x00\x08\x0112",  # JSON, and more
        b"\x00\x08\x031.5",  # what the codec makes no JSON of
        b"\x00\x08\x01{",
        b"\x00\x01\x01\xff",  # no UTF-8
        b"\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # a length of 63 bits
        b"\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # and of 64
        b"\x03\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x05\x05",  # a count of 63 bits
        b"\x00\x05\x05",  # something behind the end
    ],
)
def test_what_is_no_value_is_bad_data(body: bytes) -> None:
    assert refused(sealed(body)) == BAD_DATA


def test_a_later_version_is_refused_by_its_seal(cache: Cache) -> None:
    assert refused(sealed(b"\x00\x05", version=2)) == BROKEN_SEAL
    for version in (13, 79, 81, 65535):
        assert refused(sealed_as_redis(b"\x00\x01a", version)) == BROKEN_SEAL
    assert refused(sealed_as_redis(b"\x00\x01a", 80)) == ""


def test_json_nested_deeply_is_bad_data() -> None:
    for text in (b"[" * 200_000, b"[" * 200_000 + b"]" * 200_000, b'{"a":' * 100_000):
        size = bytearray()
        length = len(text)
        while length >= 128:
            size.append(length & 127 | 128)
            length >>= 7
        size.append(length)
        assert refused(sealed(b"\x00\x08" + bytes(size) + text)) == BAD_DATA


@pytest.mark.parametrize(
    "payload",
    [
        sealed(b"\x03\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + b"\x05" * 1000),
        sealed(b"\x00\x00\x80\x80\x80\x80\x80\x40" + b"x" * 1000),
        # a compressed string of 2**55 bytes; one of 511 MiB that is not; two that are too much
        sealed_as_redis(b"\x00\xc3\x05\x81\x00\x80\0\0\0\0\0\0\x00x\xe0\xff\x00"),
        sealed_as_redis(b"\x00\xc3\x05\x80\x1f\xf0\0\0\x00x\xe0\xff\x00"),
        sealed_as_redis(b"\x01\x02" + b"\xc3\x05\x80\x1f\xf0\0\0\x00x\xe0\xff\x00" * 2),
        sealed_as_redis(b"\x02\x81\x00\x80\0\0\0\0\0\0\x01a"),
        sealed_as_redis(b"\x0b\x0c\x08\0\0\0\xff\xff\xff\xff\0\0\0\0"),
    ],
)
def test_a_length_that_lies_takes_no_memory(payload: bytes) -> None:
    refused(payload)
    tracemalloc.start()
    try:
        assert refused(payload) == BAD_DATA
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
