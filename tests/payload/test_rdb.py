"""Payloads of real servers: what their DUMP gives, RESTORE reads.

Random values of all sizes on redis-server and Valkey, so that every encoding occurs that
they still write; and what they no longer write (ziplists, linked lists), made here, given
to the real server and to ours.

CACHESTORM_NIGHTLY=1 draws more.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator

import pytest
from entries import sealed_as_redis
from real_servers import RealServer

from cachestorm import Cache
from cachestorm.errors import PayloadError
from cachestorm.payload.crc64 import crc64
from cachestorm.payload.lzf import unpacked
from cachestorm.payload.rdb import is_sound

redis = pytest.importorskip("redis")

ROUNDS = 60 if os.environ.get("CACHESTORM_NIGHTLY") else 4
SIZES = [1, 2, 5, 60, 127, 128, 129, 300, 513, 1100]
LENGTHS = [0, 1, 11, 12, 13, 20, 63, 64, 65, 100, 4094, 4097, 17_000]
EDGES = [0, 12, 13, 127, 128, 4095, 4096, 2**15, 2**23, 2**31, 2**39, 2**63 - 1]
# what a payload begins with, of what these servers write; Valkey has packed sets and
# deadlines of fields, which 7.0 lacks
WRITTEN = {0, 2, 4, 5, 11, 16, 17, 18}
WRITTEN_BY = {"redis": WRITTEN, "valkey": WRITTEN | {20, 22}}


@pytest.fixture
def client(real_server: RealServer) -> Iterator[object]:
    connection = redis.Redis(port=real_server.port)
    connection.flushall()
    yield connection
    connection.flushall()
    connection.close()


class Chance:
    """Draws strings of every length, numbers of every width, and what packs well or not."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def string(self, most: int = 20_000) -> bytes:
        size = self.random.choice([length for length in LENGTHS if length <= most])
        match self.random.randrange(4):
            case 0:
                return self.integer()
            case 1:
                return self.random.randbytes(size)
            case 2:
                return (self.random.randbytes(self.random.randint(1, 40)) * size)[:size]
        return self.random.choice(b"xyz").to_bytes() * size

    def integer(self) -> bytes:
        edge = self.random.choice(EDGES) + self.random.choice([-2, -1, 0, 0, 1])
        return b"%d" % max(-(2**63), min(2**63 - 1, edge * self.random.choice([-1, 1])))

    def strings(self) -> list[bytes]:
        count = self.random.choice(SIZES)
        most = self.random.choice([20, 64, 20_000])
        if count > 200:
            most = 64
        if self.random.random() < 0.3:
            return [self.integer() for _ in range(count)]
        return [self.string(most) for _ in range(count)]

    def score(self) -> float:
        edges = [0.1, -1.5, float("inf"), float("-inf"), 1e300, -5e-324, 3.0]
        return self.random.choice([*edges, float(self.integer()), self.random.gauss(0, 1)])


def fill(client, key: str, chance: Chance) -> str:
    """Gives a key a random value of a random type. Returns the type."""
    drawn = chance.strings()
    kind = chance.random.choice(["string", "list", "set", "hash", "zset"])
    match kind:
        case "string":
            client.set(key, chance.string())
        case "list":
            client.rpush(key, *drawn)
        case "set":
            client.sadd(key, *drawn)
        case "hash":
            client.hset(key, mapping={field: chance.string(64) for field in drawn})
        case "zset":
            client.zadd(key, {member: chance.score() for member in drawn})
    return kind


def told_by_server(client, key: str, kind: str) -> object:
    match kind:
        case "string":
            return client.get(key)
        case "list":
            return client.lrange(key, 0, -1)
        case "set":
            return client.smembers(key)
        case "hash":
            return client.hgetall(key)
    return client.zrange(key, 0, -1, withscores=True)


def told_by_cache(cache: Cache, key: str) -> object:
    match cache.type(key):
        case "string":
            return cache.get(key)
        case "list":
            return cache.lrange(key, 0, -1)
        case "set":
            return {raw(member) for member in cache.smembers(key)}
        case "hash":
            return {raw(field): value for field, value in cache.hgetall(key).items()}
    rows = cache.zrange(key, 0, -1, withscores=True)
    return [(raw(member), score) for member, score in rows]


def raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def test_what_a_real_server_dumps_is_read(client, real_server: RealServer) -> None:
    met = set()
    cache = Cache()
    for seed in range(ROUNDS * 60):
        client.flushall()
        kind = fill(client, "k", Chance(seed))
        payload = client.dump("k")
        met.add(payload[0])
        assert cache.restore("k", 0, payload, replace=True), seed
        assert told_by_server(client, "k", kind) == told_by_cache(cache, "k"), seed
        if seed % 20 == 0:
            cache._check()
    assert WRITTEN_BY[real_server.name] - {22} == met


def test_deadlines_of_fields_come_from_valkey(valkey: RealServer) -> None:
    client = redis.Redis(port=valkey.port)
    client.flushall()
    client.hset("k", mapping={"f": "v", "g": "w"})
    client.execute_command("HPEXPIREAT", "k", 4_000_000_000_123, "FIELDS", 1, "g")
    payload = client.dump("k")
    assert payload[0] == 22
    cache = Cache()
    cache.restore("k", 0, payload)
    assert cache.hpexpiretime("k", "f", "g") == [-1, 4_000_000_000_123]
    cache._check()
    client.close()


def test_a_payload_of_one_server_that_is_cut_or_flipped_is_refused(client) -> None:
    client.rpush("k", "a", "b" * 100, 1)
    payload = client.dump("k")
    cache = Cache()
    for size in range(len(payload)):
        for damaged in (payload[:size], payload[:size] + b"\xfe" + payload[size + 1 :]):
            if damaged == payload:
                continue
            with pytest.raises(
                PayloadError, match="DUMP payload version or checksum are wrong"
            ):
                cache.restore("k", 0, damaged)
    assert len(cache) == 0


# -- layouts that no server writes any more


def length(number: int) -> bytes:
    """A length in the shortest spelling."""
    if number < 64:
        return bytes([number])
    if number < 16384:
        return bytes([0x40 | number >> 8, number & 255])
    return b"\x80" + number.to_bytes(4, "big")


def string(text: bytes) -> bytes:
    return length(len(text)) + text


def ziplist(elements: list[bytes]) -> bytes:
    """A ziplist, in which numbers are packed as Redis packed them."""
    body = b""
    tail = 10
    previous = 0
    for element in elements:
        tail = 10 + len(body)
        head = bytes([previous]) if previous < 254 else b"\xfe" + struct.pack("<I", previous)
        entry = head + packed_number(element)
        if len(entry) == len(head):
            entry += ziplist_length(len(element)) + element
        body += entry
        previous = len(entry)
    size = 10 + len(body) + 1
    return struct.pack("<IIH", size, tail, len(elements)) + body + b"\xff"


def ziplist_length(size: int) -> bytes:
    if size < 64:
        return bytes([size])
    if size < 16384:
        return bytes([0x40 | size >> 8, size & 255])
    return b"\x80" + struct.pack(">I", size)


def packed_number(element: bytes) -> bytes:
    digits = element.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 18 or b"%d" % int(element) != element:
        return b""
    number = int(element)
    if 0 <= number <= 12:
        return bytes([0xF1 + number])
    for mark, size in ((0xFE, 1), (0xC0, 2), (0xF0, 3), (0xD0, 4), (0xE0, 8)):
        if -(1 << 8 * size - 1) <= number < 1 << 8 * size - 1:
            return bytes([mark]) + number.to_bytes(size, "little", signed=True)
    return b""


def digits_of(score: float) -> bytes:
    if score in (float("inf"), float("-inf")):
        return b"\xfe" if score > 0 else b"\xff"
    spelled = b"%.17g" % score
    return bytes([len(spelled)]) + spelled


def older(chance: Chance) -> bytes:
    """A value in a layout that servers only read."""
    drawn = chance.strings()[:120]
    # in order, as their scores will be: a packed sorted set lies in its order
    distinct = sorted(set(drawn))
    scores = sorted(chance.score() for _ in distinct)
    rows = [part for pair in zip(distinct, drawn, strict=False) for part in pair]
    scored = [
        part
        for member, score in zip(distinct, scores, strict=True)
        for part in (member, b"%.17g" % score)
    ]
    match chance.random.choice([1, 3, 10, 12, 13, 14]):
        case 1:
            return b"\x01" + length(len(drawn)) + b"".join(map(string, drawn))
        case 3:
            pairs = zip(distinct, scores, strict=True)
            body = b"".join(string(member) + digits_of(score) for member, score in pairs)
            return b"\x03" + length(len(distinct)) + body
        case 10:
            return b"\x0a" + string(ziplist(drawn))
        case 12:
            return b"\x0c" + string(ziplist(scored))
        case 13:
            return b"\x0d" + string(ziplist(rows))
    halves = [half for half in (drawn[::2], drawn[1::2]) if half]
    body = b"".join(string(ziplist(half)) for half in halves)
    return b"\x0e" + length(len(halves)) + body


def test_older_layouts_are_read_as_the_real_server_reads_them(client) -> None:
    cache = Cache()
    met = set()
    for seed in range(ROUNDS * 25):
        body = older(Chance(seed))
        payload = sealed_as_redis(body, 9)
        met.add(payload[0])
        client.restore("k", 0, payload, replace=True)
        kind = client.type("k").decode()
        cache.restore("k", 0, payload, replace=True)
        assert told_by_server(client, "k", kind) == told_by_cache(cache, "k"), seed
    assert met == {1, 3, 10, 12, 13, 14}


@pytest.mark.parametrize(
    "body",
    [
        b"\x00",
        b"\x00\xc4",
        b"\x00\x82\x00",
        b"\x01\x00",
        b"\x02\x02\x01a\x01a",
        b"\x03\x01\x01a\xfd",
        b"\x03\x01\x01a\x01x",
        b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f",
        b"\x0b" + string(struct.pack("<IIh", 2, 2, 1)),
        b"\x0b" + string(struct.pack("<IIh", 3, 1, 1)),
        b"\x0a" + string(ziplist([b"a"])[:-1]),
        b"\x0a" + string(ziplist([b"a"]) + b"x"),
        b"\x0c" + string(ziplist([b"a"])),
        b"\x0d" + string(ziplist([b"a"])),
        b"\x12\x01\x03\x01a",
        b"\x12\x01\x02" + string(b"\x07\0\0\0\0\0\xff"),
        b"\x06\x00",
        b"\x0f\x00",
        b"\xff",
    ],
)
def test_what_is_no_value_is_refused_as_by_the_real_server(client, body: bytes) -> None:
    payload = sealed_as_redis(body)
    assert is_sound(payload)
    with pytest.raises(redis.ResponseError, match="Bad data format"):
        client.restore("k", 0, payload)
    with pytest.raises(PayloadError, match="Bad data format"):
        Cache().restore("k", 0, payload)


@pytest.mark.parametrize(
    "body",
    [
        b"\x00\xc0",  # they read on in the footer
        b"\x00\x05abc",
        b"\x00\x03abcd",  # and leave unread what they do not need
        b"\x12\x01\x02" + string(b"\x08\0\0\0\1\0\xf5\xff"),  # or look at later
        b"\x10" + string(b"\x0d\0\0\0\4\0" + b"\1\1" * 4 + b"\xff"),  # a field twice
    ],
)
def test_what_real_servers_let_pass_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadError, match="Bad data format"):
        Cache().restore("k", 0, sealed_as_redis(body))


def test_the_check_sum_is_that_of_redis() -> None:
    assert crc64(b"123456789", 9) & (2**64 - 1) == 0xE9C6D914C4B8D9CA
    assert crc64(b"", 0) == 0


@pytest.mark.parametrize(
    "packed",
    [
        b"\x00",  # a run that is cut off
        b"\x20\x00",  # refers to before the beginning
        b"\x00x\x20",  # a reference that is cut off
        b"\x00x\xe0",
        b"\x00x\xe0\x01",
        b"\x00x\x20\x00" * 2,  # longer than it was said to be
    ],
)
def test_what_is_no_lzf_is_refused(packed: bytes) -> None:
    with pytest.raises(PayloadError):
        unpacked(packed, 4)
    assert unpacked(b"\x00x\x20\x00", 4) == b"xxxx"
