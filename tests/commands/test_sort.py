"""SORT in process: what Python sees, and what no server could compare."""

from __future__ import annotations

import pytest

from cachestorm import Cache
from cachestorm.errors import NotAFloatError, WrongTypeError


@pytest.fixture
def cache() -> Cache:
    made = Cache()
    made.rpush("l", 3, b"1", "2")
    return made


def test_numbers_are_ordered_whatever_type_they_are_stored_as(cache: Cache) -> None:
    assert [b"1", "2", 3] == cache.sort("l")
    assert [3, "2", b"1"] == cache.sort_ro("l", order="DESC")


def test_words_need_alpha(cache: Cache) -> None:
    cache.rpush("l", "word")
    with pytest.raises(NotAFloatError, match="One or more scores can't be converted"):
        cache.sort("l", destination="d")
    assert not cache.exists("d")
    assert [b"1", "2", 3, "word"] == cache.sort("l", alpha=True)


def test_other_keys_decide_the_order_and_the_result(cache: Cache) -> None:
    cache.mset({"w_1": 30, "w_2": 20, "w_3": 10, "name_1": "one"})
    cache.hset("h_2", "name", "two")
    assert [3, "2", b"1"] == cache.sort("l", by="w_*")
    assert ["one", None, None] == cache.sort("l", get=["name_*"])
    assert [b"1", None, "2", "two", 3, None] == cache.sort("l", get=["#", "h_*->name"])


def test_a_result_is_stored_as_a_list(cache: Cache) -> None:
    cache.set("d", "text", tags=["t"])
    assert 2 == cache.sort("l", offset=1, count=5, destination="d")
    assert ["2", 3] == cache.lrange("d")
    assert [] == cache.tags("d")
    assert 0 == cache.sort("nokey", destination="d")
    assert not cache.exists("d")


def test_sets_and_sorted_sets_can_be_sorted_and_hashes_cannot(cache: Cache) -> None:
    cache.sadd("s", 10, 9, 8)
    cache.zadd("z", {"b": 1, "a": 2})
    cache.hset("h", "f", 1)
    assert ["8", "9", "10"] == cache.sort("s")
    assert ["a", "b"] == cache.sort("z", alpha=True)
    assert ["a", "b"] == cache.sort("z", by="nosort", order="DESC")
    with pytest.raises(WrongTypeError):
        cache.sort("h")


def test_a_field_that_is_due_is_not_looked_up(cache: Cache) -> None:
    cache.hset("h_1", "f", "seen")
    cache.hpexpireat("h_1", 1, "f")
    assert [None, None, None] == cache.sort("l", get=["h_*->f"])
