"""Random entries and payloads, and what a cache tells of a key, for the tests here."""

from __future__ import annotations

from binascii import crc32
from typing import Final

from hypothesis import strategies as st

from cachestorm import Cache
from cachestorm.codec import checked_text
from cachestorm.errors import InvalidKeyError
from cachestorm.payload.crc64 import crc64
from cachestorm.payload.dumps import MARK

names: Final = st.one_of(
    st.text(max_size=12).filter(lambda text: is_name(text)),
    st.binary(max_size=70).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
)
json_values: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text("ab\0é")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abé"), inner),
    max_leaves=8,
)
objects: Final = json_values.filter(lambda value: isinstance(value, (list, dict)))
values: Final = st.one_of(
    st.binary(max_size=70),
    st.text(st.characters(), max_size=8),
    st.integers(),
    st.sampled_from([2**48, -(2**48), 2**48 - 1, 2**63, -(2**63), 255, -256, 10**400]),
    st.floats(allow_nan=False),
    st.none(),
    st.booleans(),
    objects,
)
scores: Final = st.floats(allow_nan=False)
tags: Final = st.lists(st.text("abcé", min_size=1, max_size=5), max_size=4, unique=True)


def is_name(text: str) -> bool:
    """Whether a text may be a key, a field or a member."""
    try:
        return checked_text(text) == text
    except InvalidKeyError:
        return False


def told(cache: Cache, key: str) -> tuple[str, str, list[str]]:
    """All that a cache tells of a key but its time to live."""
    kind = cache.type(key)
    match kind:
        case "string" | "object":
            found: object = cache.get(key)
        case "list":
            found = cache.lrange(key, 0, -1)
        case "hash":
            fields = cache.hgetall(key)
            found = fields, cache.hpexpiretime(key, *fields)
        case "set":
            found = cache.smembers(key)
        case "zset":
            found = cache.zrange(key, 0, -1, withscores=True)
        case _:
            found = None
    # an int is told from a float and a bool by how it is spelled
    return kind, repr(found), cache.tags(key)


def sealed(body: bytes, version: int = 1) -> bytes:
    """A payload of ours with a good check sum, whatever it holds."""
    whole = MARK + bytes([version]) + body
    return whole + crc32(whole).to_bytes(4, "little")


def sealed_as_redis(body: bytes, version: int = 10) -> bytes:
    """A payload of Redis with a good check sum, whatever it holds."""
    whole = body + version.to_bytes(2, "little")
    return whole + crc64(whole, len(whole)).to_bytes(8, "little", signed=True)
