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
    assert cache.sort("l") == [b"1", "2", 3]
    assert cache.execute("SORT_RO", "l", "DESC") == [3, "2", b"1"]


def test_words_need_alpha(cache: Cache) -> None:
    cache.rpush("l", "word")
    with pytest.raises(NotAFloatError, match="One or more scores can't be converted"):
        cache.sort("l", destination="d")
    assert not cache.exists("d")
    assert cache.sort("l", alpha=True) == [b"1", "2", 3, "word"]


def test_other_keys_decide_the_order_and_the_result(cache: Cache) -> None:
    cache.mset({"w_1": 30, "w_2": 20, "w_3": 10, "name_1": "one"})
    cache.hset("h_2", "name", "two")
    assert cache.sort("l", by="w_*") == [3, "2", b"1"]
    assert cache.sort("l", get=["name_*"]) == ["one", None, None]
    assert cache.sort("l", get=["#", "h_*->name"]) == [b"1", None, "2", "two", 3, None]


def test_a_result_is_stored_as_a_list(cache: Cache) -> None:
    cache.set("d", "text", tags=["t"])
    assert cache.sort("l", offset=1, count=5, destination="d") == 2
    assert cache.lrange("d") == ["2", 3]
    assert cache.tags("d") == []
    assert cache.sort("nokey", destination="d") == 0
    assert not cache.exists("d")


def test_sets_and_sorted_sets_can_be_sorted_and_hashes_cannot(cache: Cache) -> None:
    cache.sadd("s", 10, 9, 8)
    cache.zadd("z", {"b": 1, "a": 2})
    cache.hset("h", "f", 1)
    assert cache.sort("s") == ["8", "9", "10"]
    assert cache.sort("z", alpha=True) == ["a", "b"]
    assert cache.sort("z", by="nosort", order="DESC") == ["a", "b"]
    with pytest.raises(WrongTypeError):
        cache.sort("h")


def test_a_field_that_is_due_is_not_looked_up(cache: Cache) -> None:
    cache.hset("h_1", "f", "seen")
    cache.hpexpireat("h_1", 1, "f")
    assert cache.sort("l", get=["h_*->f"]) == [None, None, None]
