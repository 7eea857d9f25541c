"""MSETEX and DELIFEQ from Python; `scripts/conditions.txt` has them beside real servers."""

from __future__ import annotations

import pytest
from comparison import Ours

import cachestorm_server.server  # noqa: F401  declares COMMAND
from cachestorm import Cache, CacheStormError, ManualClock
from cachestorm.errors import InvalidTtlError, OutOfMemoryError, WrongTypeError


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock)


def test_many_keys_are_set_with_one_time_to_live(cache: Cache) -> None:
    cache.set("a", "old", tags=["t"])
    assert cache.msetex({"a": 1, "b": [2]}, ttl="1m")
    assert cache.mget("a", "b") == [1, [2]]
    assert (cache.ttl("a"), cache.ttl("b"), cache.tags("a")) == (60.0, 60.0, [])
    assert cache.msetex([("b", 3), ("c", 4)])
    assert cache.ttl("b") is None
    cache._check()


def test_each_keeps_its_own_time_to_live_if_asked_for(cache: Cache) -> None:
    cache.set("a", 1, ttl=10)
    cache.set("b", 1)
    assert cache.msetex({"a": 2, "b": 2, "c": 2}, keepttl=True)
    assert (cache.ttl("a"), cache.ttl("b"), cache.ttl("c")) == (10.0, None, None)
    cache._check()


@pytest.mark.parametrize(
    ("options", "is_set"),
    [
        ({"nx": True}, False),
        ({"xx": True}, False),
        ({}, True),
    ],
)
def test_all_are_set_or_none(cache: Cache, options: dict[str, bool], is_set: bool) -> None:
    cache.set("a", 1)
    assert cache.msetex({"a": 2, "b": 2}, **options) is is_set
    assert (cache.get("a"), "b" in cache) == (2 if is_set else 1, is_set)


def test_what_is_refused_changes_nothing() -> None:
    cache = Cache(max_memory="64kb", policy="noeviction")
    cache.set("a", 1)
    with pytest.raises(OutOfMemoryError):
        cache.msetex({"a": 2, "b": b"x" * 100_000}, ttl=1)
    with pytest.raises(InvalidTtlError):
        cache.msetex({"a": 2}, ttl=0)
    with pytest.raises(CacheStormError, match="exclude each other"):
        cache.msetex({"a": 2}, ttl=5, keepttl=True)
    assert cache.get("a") == 1
    cache._check()


@pytest.mark.parametrize("stored", [b"12", "12", 12])
def test_a_key_is_deleted_if_it_holds_these_bytes(cache: Cache, stored: object) -> None:
    cache.set("k", stored)
    assert cache.delifeq("k", "13") is False
    assert cache.delifeq("k", 12) is True
    assert "k" not in cache
    assert cache.delifeq("k", 12) is False


def test_a_long_string_is_compared_as_it_stands(cache: Cache) -> None:
    cache.set("k", b"x" * 10_000)
    cache.setrange("k", 0, b"y")
    assert cache.delifeq("k", b"x" * 10_000) is False
    assert cache.delifeq("k", b"y" + b"x" * 9_999) is True


def test_what_is_no_string_is_not_compared(cache: Cache) -> None:
    cache.rpush("l", 1)
    with pytest.raises(WrongTypeError):
        cache.delifeq("l", 1)


def test_the_keys_are_every_other_word() -> None:
    argv = [b"COMMAND", b"GETKEYS", b"MSETEX", b"2", b"a", b"1", b"b", b"2", b"EX", b"10"]
    assert repr(Ours(False).run([argv])[0]) == "*[$b'a', $b'b']"
