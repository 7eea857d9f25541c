"""A value that has ended is served while it is loaded anew, or if that fails: near and far."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from caches import cache_at
from test_loading import PATIENCE_S, Caller, Gate, never, until

from cachestorm import MISSING, connect
from cachestorm.loading import LoadTimeoutError

FAR = ("local", "cachestorm", "redis")


@pytest.fixture(params=["memory", *FAR])
def cache(request: pytest.FixtureRequest) -> Any:
    with cache_at(request.param, request) as cache:
        yield cache


@pytest.fixture(params=FAR)
def two(request: pytest.FixtureRequest) -> Any:
    """Two connected caches, as two processes have them."""
    with cache_at(request.param, request) as one, connect(one.address.url) as other:
        yield one, other


def failing() -> Any:
    """A loader whose source is offline."""
    raise OSError("offline")


def ended(cache: Any, **options: Any) -> None:
    """Loads a value, and waits until it has ended."""
    assert cache.get_or_set("k", lambda: "old", ttl=0.05, **options) == "old"
    until(lambda: cache.get("k") is None)


def test_a_stale_value_is_served_while_one_load_runs(cache: Any) -> None:
    ended(cache, stale=60)
    gate = Gate("new")
    assert cache.get_or_set("k", gate, ttl=60, stale=60) == "old"
    assert gate.began.wait(PATIENCE_S)
    assert cache.get_or_set("k", never, ttl=60, stale=60) == "old"
    # to all commands it is absent
    assert cache.get("k") is None and list(cache.keys()) == []
    gate.may_end.set()
    until(lambda: cache.get("k") == "new")
    assert cache.get_or_set("k", never, ttl=60, stale=60) == "new"


def test_another_process_serves_it_too(two: Any) -> None:
    one, other = two
    ended(one, stale=60)
    gate = Gate("new")
    assert other.get_or_set("k", gate, ttl=60, stale=60) == "old"
    assert one.get_or_set("k", never, ttl=60, stale=60) == "old"
    assert gate.began.wait(PATIENCE_S)
    gate.may_end.set()
    until(lambda: one.get("k") == "new")


def test_a_stale_value_stands_for_an_error(cache: Any) -> None:
    ended(cache, stale_if_error=60)
    assert cache.get_or_set("k", failing, ttl=60, stale_if_error=60) == "old"
    with pytest.raises(OSError, match="offline"):
        cache.get_or_set("k", failing, ttl=60)
    assert cache.get_or_set("k", lambda: "new", ttl=60, stale_if_error=60, throttle=1) in (
        "old",
        "new",
    )


def test_a_source_that_has_failed_is_left_alone_by_all(two: Any) -> None:
    one, other = two
    ended(one, stale_if_error=60)
    options = {"ttl": 60, "stale_if_error": 60, "throttle": 60}
    assert one.get_or_set("k", failing, **options) == "old"
    until(lambda: one._wire.send("GET", "cachestorm:lease:k") == b"failed")
    assert other.get_or_set("k", never, **options) == "old"
    assert one.get_or_set("k", never, **options) == "old"
    # who has nothing to serve meanwhile asks it
    assert other.get_or_set("k", lambda: "new", ttl=60) == "new"


def test_a_value_is_served_stale_for_no_longer_than_was_said(cache: Any) -> None:
    ended(cache, stale_if_error=60)
    time.sleep(0.01)
    with pytest.raises(OSError, match="offline"):
        cache.get_or_set("k", failing, stale_if_error=0.001)
    cache.delete("k")
    ended(cache, stale=0.05)
    time.sleep(0.06)
    assert cache.get_or_set("k", lambda: "new", ttl=60, stale=60) == "new"


@pytest.mark.parametrize("outdate", ["delete", "invalidate", "flushdb"])
@pytest.mark.parametrize("place", ["memory", "local", "cachestorm"])
def test_what_is_outdated_is_not_served(
    place: str, outdate: str, request: pytest.FixtureRequest
) -> None:
    with cache_at(place, request) as cache:
        ended(cache, stale=60, tags=["t"])
        {
            "delete": lambda: cache.delete("k"),
            "invalidate": lambda: cache.invalidate("t"),
            "flushdb": cache.flushdb,
        }[outdate]()
        assert cache.get_or_set("k", lambda: "new", ttl=60, stale=60) == "new"


def test_a_caller_who_has_waited_takes_the_stale_value(two: Any) -> None:
    one, other = two
    ended(one, stale_if_error=60)
    gate = Gate("new")
    options = {"ttl": 60, "stale_if_error": 60, "soft_timeout": 0.05}
    assert one.get_or_set("k", gate, **options) == "old"
    assert one.get_or_set("k", never, **options) == "old"
    assert other.get_or_set("k", never, **options) == "old"
    with pytest.raises(LoadTimeoutError):
        other.get_or_set("k", never, timeout=0.05)
    gate.may_end.set()
    until(lambda: one.get("k") == "new")


@pytest.mark.parametrize("options", [{"eager": 0.000001}, {"early": 1000.0}], ids=str)
def test_a_value_is_loaded_anew_before_its_end(two: Any, options: dict[str, float]) -> None:
    one, other = two
    one.loading.random = other.loading.random = lambda: 1 - 1e-9
    # the longer a load takes, the earlier is the next
    slow = Gate("old")
    caller = Caller(lambda: one.get_or_set("k", slow, ttl=60, **options))
    assert slow.began.wait(PATIENCE_S)
    time.sleep(0.05)
    slow.may_end.set()
    assert caller.end() == "old"
    # those who are told nothing of it serve it
    assert other.get_or_set("k", never, ttl=60) == "old"
    assert other.get_or_set("k", lambda: "new", ttl=60, **options) == "old"
    until(lambda: one.get("k") == "new")
    other.loading.random = lambda: 0.0
    if "early" in options:
        assert other.get_or_set("k", never, ttl=60, **options) == "new"


def test_a_loader_finds_the_last_value(cache: Any) -> None:
    ended(cache, stale_if_error=60)
    found = []

    def loader(context: Any) -> Any:
        found.append(context.stale_value)
        return context.unchanged()

    assert cache.get_or_set("k", loader, ttl=60, stale_if_error=60) == "old"
    assert (found, cache.get("k")) == (["old"], "old")
    cache.delete("k")

    def first(context: Any) -> Any:
        return "new" if context.stale_value is MISSING else "old"

    assert cache.get_or_set("k", first, ttl=60, stale_if_error=60) == "new"


def test_tasks_are_served_too(cache: Any) -> None:
    async def course() -> list[Any]:
        await cache.aio.get_or_set("k", lambda: "old", ttl=0.05, stale=60)
        while await cache.aio.get("k") is not None:
            await asyncio.sleep(0.01)

        async def loader() -> str:
            return "new"

        found = [await cache.aio.get_or_set("k", loader, ttl=60, stale=60)]
        while await cache.aio.get("k") is None:
            await asyncio.sleep(0.01)
        found.append(await cache.aio.get_or_set("k", failing, ttl=60, stale=60))
        await cache.aio.close()
        return found

    assert asyncio.run(course()) == ["old", "new"]


def test_a_memoized_function_is_served_stale(two: Any) -> None:
    one, _ = two
    calls = []

    def load(number: int) -> str:
        calls.append(number)
        return f"value {len(calls)}"

    here, there = (each.memoize(key="load:{number}", ttl=0.05, stale=60)(load) for each in two)
    assert here(1) == "value 1"
    until(lambda: one.get("load:1") is None)
    assert there(1) == "value 1"
    until(lambda: len(calls) == 2)
