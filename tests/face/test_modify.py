"""`cache.modify`: a value made from the one before, whatever others do meanwhile."""

from __future__ import annotations

import threading

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.errors import WrongTypeError


def add_one(value: int | None) -> int:
    return (value or 0) + 1


def test_a_missing_key_is_given_as_none() -> None:
    cache = Cache()
    assert cache.modify("k", add_one) == 1
    assert cache.get("k") == 1


def test_a_coroutine_function_is_refused_and_nothing_is_changed() -> None:
    cache = Cache()
    cache.set("k", 1)

    async def add_later(value: int | None) -> int:
        return add_one(value)

    with pytest.raises(TypeError, match=r"is for aio\.modify"):
        cache.modify("k", add_later)
    assert cache.get("k") == 1
    assert cache._space.watches is None


def test_the_time_to_live_and_the_tags_stay_unless_given() -> None:
    cache = Cache(clock=ManualClock(1_000_000))
    cache.set("k", 1, ttl=100, tags=["a", "b"])
    cache.modify("k", add_one)
    assert (cache.ttl("k"), cache.tags("k")) == (100, ["a", "b"])
    cache.modify("k", add_one, ttl=50, tags=["c"])
    assert (cache.ttl("k"), cache.tags("k")) == (50, ["c"])


def test_no_modification_by_two_threads_is_lost() -> None:
    cache = Cache()

    def work() -> None:
        for _ in range(300):
            cache.modify("k", add_one)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("k") == 600
    cache._check()


@pytest.mark.parametrize("then", ["write", "delete", "flush"])
def test_the_function_runs_again_when_the_key_was_touched(then: str) -> None:
    cache = Cache()
    cache.set("k", 1)
    given = []

    def function(value: int | None) -> int:
        given.append(value)
        if len(given) == 1:
            change = {
                "write": lambda: cache.set("k", 7),
                "delete": lambda: cache.delete("k"),
                "flush": cache.flushdb,
            }[then]
            other = threading.Thread(target=change)
            other.start()
            other.join()
        return add_one(value)

    expected = 8 if then == "write" else 1
    assert cache.modify("k", function) == expected
    assert given == [1, 7 if then == "write" else None]
    assert cache.get("k") == expected


def test_nothing_changes_when_the_function_raises() -> None:
    cache = Cache()
    cache.set("k", 1)
    with pytest.raises(ZeroDivisionError):
        cache.modify("k", lambda value: value / 0)
    assert cache.get("k") == 1
    assert cache._space.watches is None


def test_a_container_is_refused() -> None:
    cache = Cache()
    cache.rpush("k", "a")
    with pytest.raises(WrongTypeError):
        cache.modify("k", add_one)
    assert cache._space.watches is None
