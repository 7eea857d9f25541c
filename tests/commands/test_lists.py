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
    assert cache.lpos("l", 1, count=0) == [0, 1, 2]
    assert cache.lpos("l", "[1]") == 4
    assert cache.lrem("l", 0, "1") == 3
    assert cache.lrange("l") == [2, [1]]


def test_an_element_that_has_no_bytes_equals_nothing(cache: Cache) -> None:
    cache.rpush("l", object(), b"x")
    assert cache.lrem("l", 0, b"x") == 1
    assert cache.llen("l") == 1


def test_a_missing_element_gives_the_default(cache: Cache) -> None:
    cache.rpush("l", None)
    assert cache.lindex("l", 0, "default") is None
    assert cache.lindex("l", 1, "default") == "default"
    assert cache.lpop("l", default="default") is None
    assert cache.lpop("l", default="default") == "default"
    assert cache.rpop("l") is None


def test_a_list_that_is_popped_empty_is_gone(cache: Cache) -> None:
    cache.rpush("l", 1, 2)
    assert cache.lpop("l", 5) == [1, 2]
    assert not cache.exists("l")
    cache._check()


def test_lmpop_pops_from_the_first_list_there_is(cache: Cache) -> None:
    cache.rpush("b", 1, 2, 3)
    assert cache.lmpop(["a", "b"], "RIGHT", 2) == ("b", [3, 2])
    assert cache.lmpop(["a", "c"]) is None
    with pytest.raises(CommandSyntaxError):
        cache.lmpop(["b"], "MIDDLE")


def test_lmove_turns_a_list_around(cache: Cache) -> None:
    cache.rpush("l", 1, 2, 3)
    assert cache.lmove("l", "l", "LEFT", "RIGHT") == 1
    assert cache.rpoplpush("l", "new") == 1
    assert cache.lrange("l") == [2, 3]
    assert cache.lrange("new") == [1]
    cache._check()


def test_lmove_of_the_last_element_removes_the_source(cache: Cache) -> None:
    cache.rpush("l", 1)
    cache.lmove("l", "m")
    assert not cache.exists("l")
    assert cache.lrange("m") == [1]


def test_lmove_into_another_kind_moves_nothing(cache: Cache) -> None:
    cache.rpush("l", 1)
    cache.set("s", "text")
    with pytest.raises(WrongTypeError):
        cache.lmove("l", "s")
    assert cache.lrange("l") == [1]


def test_lmove_may_evict_its_own_source_to_make_room() -> None:
    cache = Cache(max_entries=1)
    cache.rpush("l", 1, 2)
    assert cache.lmove("l", "m") == 1
    assert cache.lrange("m") == [1]
    cache._check()


def test_lset_beyond_the_end_is_refused(cache: Cache) -> None:
    cache.rpush("l", 1)
    with pytest.raises(ArgumentError, match="index out of range"):
        cache.lset("l", 1, 2)
    with pytest.raises(NoSuchKeyError, match="no such key"):
        cache.lset("nokey", 0, 2)
    assert cache.lrange("l") == [1]


@pytest.mark.parametrize("index", [2**63 - 1, -(2**63), 2**200, -(2**200)])
def test_an_index_far_out_finds_nothing(cache: Cache, index: int) -> None:
    cache.rpush("l", 1, 2, 3)
    assert cache.lindex("l", index) is None
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
    assert seen == [3, 1]


def test_a_queue_of_a_hundred_thousand_comes_out_in_order(cache: Cache) -> None:
    cache.rpush("l", *range(100_000))
    assert list(range(100_000)) == cache.lpop("l", 100_000)


def test_a_limit_far_out_is_no_limit(cache: Cache) -> None:
    cache.rpush("l", "a", "b", "a")
    assert cache.lpos("l", "a", count=2**200, maxlen=2**200) == [0, 2]
    assert cache.lpop("l", 2**200) == ["a", "b", "a"]
