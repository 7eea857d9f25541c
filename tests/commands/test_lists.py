"""The list commands in process: what Python sees, and what no server could compare."""

from __future__ import annotations

import pytest

from cachestorm import Cache
from cachestorm.errors import ArgumentError, CommandSyntaxError, NoSuchKeyError, WrongTypeError


@pytest.fixture
def cache() -> Cache:
    return Cache()


def test_elements_are_kept_as_they_were_given(cache: Cache) -> None:
    elements = [1, "two", b"three", 4.5, None, {"five": 6}]
    cache.rpush("l", *elements)
    assert elements == cache.lrange("l")
    assert elements[5] is cache.lindex("l", -1)
    cache._check()


def test_elements_are_compared_by_their_wire_bytes(cache: Cache) -> None:
    cache.rpush("l", 1, "1", b"1", 2, [1])
    assert [0, 1, 2] == cache.lpos("l", 1, count=0)
    assert 4 == cache.lpos("l", "[1]")
    assert 3 == cache.lrem("l", 0, "1")
    assert [2, [1]] == cache.lrange("l")


def test_an_element_that_has_no_bytes_equals_nothing(cache: Cache) -> None:
    cache.rpush("l", object(), b"x")
    assert 1 == cache.lrem("l", 0, b"x")
    assert 1 == cache.llen("l")


def test_a_missing_element_gives_the_default(cache: Cache) -> None:
    cache.rpush("l", None)
    assert None is cache.lindex("l", 0, "default")
    assert "default" == cache.lindex("l", 1, "default")
    assert None is cache.lpop("l", default="default")
    assert "default" == cache.lpop("l", default="default")
    assert None is cache.rpop("l")


def test_a_list_that_is_popped_empty_is_gone(cache: Cache) -> None:
    cache.rpush("l", 1, 2)
    assert [1, 2] == cache.lpop("l", 5)
    assert not cache.exists("l")
    cache._check()


def test_lmpop_pops_from_the_first_list_there_is(cache: Cache) -> None:
    cache.rpush("b", 1, 2, 3)
    assert ("b", [3, 2]) == cache.lmpop(["a", "b"], "RIGHT", 2)
    assert None is cache.lmpop(["a", "c"])
    with pytest.raises(CommandSyntaxError):
        cache.lmpop(["b"], "MIDDLE")


def test_lmove_turns_a_list_around(cache: Cache) -> None:
    cache.rpush("l", 1, 2, 3)
    assert 1 == cache.lmove("l", "l", "LEFT", "RIGHT")
    assert 1 == cache.rpoplpush("l", "new")
    assert [2, 3] == cache.lrange("l")
    assert [1] == cache.lrange("new")
    cache._check()


def test_lmove_of_the_last_element_removes_the_source(cache: Cache) -> None:
    cache.rpush("l", 1)
    cache.lmove("l", "m")
    assert not cache.exists("l")
    assert [1] == cache.lrange("m")


def test_lmove_into_another_kind_moves_nothing(cache: Cache) -> None:
    cache.rpush("l", 1)
    cache.set("s", "text")
    with pytest.raises(WrongTypeError):
        cache.lmove("l", "s")
    assert [1] == cache.lrange("l")


def test_lmove_may_evict_its_own_source_to_make_room() -> None:
    cache = Cache(max_entries=1)
    cache.rpush("l", 1, 2)
    assert 1 == cache.lmove("l", "m")
    assert [1] == cache.lrange("m")
    cache._check()


def test_lset_beyond_the_end_is_refused(cache: Cache) -> None:
    cache.rpush("l", 1)
    with pytest.raises(ArgumentError, match="index out of range"):
        cache.lset("l", 1, 2)
    with pytest.raises(NoSuchKeyError, match="no such key"):
        cache.lset("nokey", 0, 2)
    assert [1] == cache.lrange("l")


@pytest.mark.parametrize("index", [2**63 - 1, -(2**63), 2**200, -(2**200)])
def test_an_index_far_out_finds_nothing(cache: Cache, index: int) -> None:
    cache.rpush("l", 1, 2, 3)
    assert None is cache.lindex("l", index)
    assert ([1, 2, 3] if index > 0 else []) == cache.lrange("l", 0, index)
    assert ([] if index > 0 else [1, 2, 3]) == cache.lrange("l", index, -1)


def test_an_object_that_grows_in_a_list_leaves_the_accounts_right(cache: Cache) -> None:
    value: list[int] = []
    cache.rpush("l", value, 1)
    value.extend(range(10_000))
    cache._check()
    assert value is cache.lpop("l")
    cache._check()


def test_a_finalizer_in_a_list_may_enter_the_cache(cache: Cache) -> None:
    class Nosy:
        def __del__(self) -> None:
            seen.append(cache.llen("l"))

    seen: list[int] = []
    cache.rpush("l", Nosy(), Nosy(), 1)
    cache.lset("l", 0, 2)
    cache.ltrim("l", 2, 2)
    assert [3, 1] == seen


def test_a_queue_of_a_hundred_thousand_comes_out_in_order(cache: Cache) -> None:
    cache.rpush("l", *range(100_000))
    assert list(range(100_000)) == cache.lpop("l", 100_000)


def test_a_limit_far_out_is_no_limit(cache: Cache) -> None:
    cache.rpush("l", "a", "b", "a")
    assert [0, 2] == cache.lpos("l", "a", count=2**200, maxlen=2**200)
    assert ["a", "b", "a"] == cache.lpop("l", 2**200)
