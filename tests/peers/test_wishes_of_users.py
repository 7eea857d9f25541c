"""What users of other caches ask for: the part of `docs/peers.md` that no other test has."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scenes import Caller, Source

from cachestorm import Cache, Cause, Effect, Interest, ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock)


def test_one_decorator_serves_functions_and_coroutine_functions(cache: Cache) -> None:
    @cache.memoize(key="k")
    def function() -> str:
        return "of the function"

    @cache.memoize(key="k")
    async def coroutine() -> str:
        return "of the coroutine"

    assert asyncio.run(coroutine()) == "of the coroutine"
    assert function() == "of the coroutine"


@pytest.mark.parametrize("ttl", [1.0, 600.0])
def test_a_key_may_live_shorter_or_longer_than_the_default(
    clock: ManualClock, ttl: float
) -> None:
    cache = Cache(default_ttl=60, clock=clock)
    cache.set("k", 1, ttl=ttl)
    assert cache.ttl("k") == ttl


def test_a_function_that_calls_itself_with_the_same_arguments_does_not_hang(
    cache: Cache,
) -> None:
    depth: list[int] = []

    @cache.memoize
    def function(x: int) -> str:
        depth.append(x)
        return function(x) + "!" if len(depth) < 3 else "end"

    assert Caller(lambda: function(1)).result() == "end!!"


def test_a_value_of_none_is_a_result_and_is_kept(cache: Cache) -> None:
    source = Source(None, is_open=True)
    function = cache.memoize(lambda: source())
    assert [function(), function(), source.calls] == [None, None, 1]


def test_a_listener_hears_of_each_removal_once_and_why(
    cache: Cache, clock: ManualClock
) -> None:
    heard: list[tuple[str, Cause | None]] = []

    def listen(effect: Effect) -> None:
        heard.append((effect.key or "", effect.cause))

    cache.listen(listen, Interest.REMOVED)
    cache.set("deleted", 1)
    cache.set("replaced", 1)
    cache.set("expired", 1, ttl=1)
    cache.set("invalidated", 1, tags=["t"])
    cache.delete("deleted")
    cache.set("replaced", 2)
    cache.invalidate("t")
    clock.advance(10)
    cache.get("expired")
    cache.reap()
    assert sorted(heard) == [
        ("deleted", Cause.DELETED),
        ("expired", Cause.EXPIRED),
        ("invalidated", Cause.INVALIDATED),
        ("replaced", Cause.REPLACED),
    ]


def test_tasks_share_one_limit_of_memory() -> None:
    cache = Cache(max_memory="1mb")

    async def fill(number: int) -> None:
        for each in range(100):
            await cache.aio.set(f"{number}:{each}", bytes(1000))

    async def main() -> None:
        await asyncio.gather(*(fill(number) for number in range(20)))

    asyncio.run(main())
    assert len(cache) > 500
    assert cache.stats().used_memory <= 1 << 20


def test_tags_of_keys_that_are_gone_take_no_memory(clock: ManualClock) -> None:
    cache = Cache(clock=clock)
    for number in range(1000):
        cache.set(f"k{number}", 1, ttl=10, tags=["all", f"t{number}"])
    clock.advance(20)
    while cache.reap():
        pass
    assert (cache.tagcount("all"), cache.stats().tags) == (0, 0)
    assert cache.stats().used_memory == 0


def test_the_value_decides_what_is_kept_and_for_how_long(cache: Cache) -> None:
    options: dict[str, Any] = {"ttl": 60, "negative_ttl": 5, "cache_if": lambda v: v != []}
    for key, value in {"list": [], "none": None, "some": 1}.items():
        cache.get_or_set(key, Source(value, is_open=True), **options)
    assert {key: cache.ttl(key) for key in cache} == {"none": 5.0, "some": 60.0}


def test_keys_can_be_walked_while_others_write(cache: Cache) -> None:
    for number in range(2000):
        cache.set(f"k{number}", number)
    seen = set()
    for key in cache.scan_iter():
        seen.add(key)
        cache.set(f"new {len(seen)}", 1, ttl=1)
        if len(seen) > 3000:
            break
    assert {f"k{number}" for number in range(2000)} <= seen
