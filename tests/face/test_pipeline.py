"""`cache.pipeline`: calls that are queued, and run in one step."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from cachestorm import Cache
from cachestorm.errors import (
    ArgumentError,
    CacheStormError,
    InvalidKeyError,
    OutOfMemoryError,
    WatchError,
    WrongTypeError,
)
from cachestorm.pipeline import queued_names


def elsewhere(function: Any) -> None:
    """Runs a function in another thread."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(60)


def test_the_results_come_as_a_list_in_the_order_of_the_calls() -> None:
    cache = Cache()
    cache.set("n", 1)
    with cache.pipeline() as pipe:
        pipe.incr("n")
        pipe.hset("h", "a", 1).get("n").get("none")
        assert (len(pipe), cache.get("n")) == (4, 1)
        assert pipe.execute() == [2, 1, 2, None]
        assert (len(pipe), pipe.execute()) == (0, [])
    cache._check()


def test_a_pipeline_without_a_block_runs_too() -> None:
    cache = Cache()
    assert cache.pipeline().set("k", 1).incr("k").execute() == [True, 2]


def test_what_is_not_executed_is_dropped_at_the_end_of_the_block() -> None:
    cache = Cache()
    with cache.pipeline(watch=["k"]) as pipe:
        pipe.set("k", 1)
    assert (len(pipe), cache.exists("k"), cache._space.watches) == (0, 0, None)
    pipe.set("k", 1).reset()
    assert len(pipe) == 0


def test_every_command_of_a_cache_can_be_queued() -> None:
    names = set(queued_names(Cache))
    assert {"set", "get", "invalidate", "zadd", "publish", "pop", "blpop", "flushall"} <= names
    assert names.isdisjoint({"modify", "namespace", "listen", "get_or_set", "execute", "items"})
    pipe: Any = Cache().pipeline()
    assert [name for name in names if not callable(getattr(pipe, name))] == []
    assert pipe.get.__doc__ == Cache.get.__doc__


def test_methods_of_a_subclass_can_be_queued_too() -> None:
    class Mine(Cache):
        def double(self, key: str) -> Any:
            return self.incr(key, 2)

    assert Mine().pipeline().double("k").double("k").execute() == [2, 4]


def test_a_call_with_wrong_arguments_is_refused_when_it_is_queued() -> None:
    pipe = Cache().pipeline()
    with pytest.raises(TypeError):
        pipe.set("k")
    with pytest.raises(TypeError):
        pipe.get("k", nope=1)
    assert len(pipe) == 0


def test_a_call_that_fails_fails_alone_and_is_raised_behind_the_others() -> None:
    cache = Cache()
    cache.rpush("list", "a")
    pipe = cache.pipeline().set("a", 1).incr("list").set("b", 2)
    with pytest.raises(WrongTypeError) as caught:
        pipe.execute()
    assert caught.value.__notes__ == ["in call 2 of the pipeline: incr()"]
    assert cache.mget("a", "b") == [1, 2]


def test_errors_are_results_when_that_is_asked_for() -> None:
    cache = Cache()
    cache.rpush("list", "a")
    results = cache.pipeline().set("a", 1).incr("list").get("a").execute(raise_on_error=False)
    assert [results[0], type(results[1]), results[2]] == [True, WrongTypeError, 1]


def test_a_write_that_finds_no_memory_fails_alone() -> None:
    cache = Cache(max_memory=20_000, policy="noeviction")
    pipe = cache.pipeline().set("a", "x").set("b", b"x" * 50_000).set("c", "x")
    results = pipe.execute(raise_on_error=False)
    assert [results[0], type(results[1]), results[2]] == [True, OutOfMemoryError, True]
    assert sorted(cache.keys()) == ["a", "c"]
    cache._check()


def test_nobody_sees_half_of_a_pipeline() -> None:
    cache = Cache()
    cache.mset({"a": 0, "b": 0})
    stop = threading.Event()
    torn: list[object] = []

    def look() -> None:
        while not stop.is_set():
            a, b = cache.mget("a", "b")
            if a != b:
                torn.append((a, b))

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(500):
        cache.pipeline().incr("a").incr("b").execute()
    stop.set()
    thread.join()
    assert (torn, cache.mget("a", "b")) == ([], [500, 500])


def test_a_long_command_runs_to_its_end_inside() -> None:
    cache = Cache()
    cache.sadd("a", *[f"m{number}" for number in range(20_000)])
    assert cache.pipeline().sunionstore("b", "a").scard("b").execute() == [20_000, 20_000]


def test_a_command_that_waits_does_not_wait_in_a_pipeline() -> None:
    cache = Cache()
    pipe = cache.pipeline().blpop("jobs").rpush("jobs", "a").blpop("jobs")
    assert pipe.execute() == [None, 1, ("jobs", "a")]
    cache._check()


def test_a_generator_among_the_arguments_runs_outside_of_the_lock() -> None:
    cache = Cache()

    def keys() -> Iterator[str]:
        cache.set("seen", 1)
        yield "seen"

    assert cache.pipeline().get_many(keys()).execute() == [{"seen": 1}]


@pytest.mark.parametrize(
    "touch",
    [
        lambda cache: cache.set("k", 1),
        lambda cache: cache.delete("k"),
        lambda cache: cache.flushall(),
        lambda cache: cache.invalidate("t"),
        lambda cache: cache.expire("k", 100),
    ],
    ids=["write", "delete", "flush", "invalidate", "expire"],
)
def test_nothing_is_run_when_a_watched_key_was_touched(touch: Any) -> None:
    cache = Cache()
    cache.set("k", 1, tags=["t"])
    with cache.pipeline(watch=["k"]) as pipe:
        elsewhere(lambda: touch(cache))
        pipe.set("done", 1)
        with pytest.raises(WatchError):
            pipe.execute()
        assert (cache.exists("done"), len(pipe)) == (0, 0)
        # the watches have ended
        assert pipe.set("done", 2).execute() == [True]
    assert cache._space.watches is None


def test_a_read_touches_nothing_and_neither_does_another_key() -> None:
    cache = Cache()
    cache.set("k", 1)
    with cache.pipeline(watch=["k"]) as pipe:
        cache.get("k")
        cache.set("other", 1)
        assert pipe.incr("k").execute() == [2]


def test_keys_can_be_watched_later_in_the_block() -> None:
    cache = Cache()
    with cache.pipeline() as pipe:
        pipe.watch("a", "b")
        cache.set("b", 1)
        with pytest.raises(WatchError):
            pipe.execute()


def test_keys_are_watched_inside_of_a_block_only() -> None:
    cache = Cache()
    pipe = cache.pipeline(watch=["k"])
    with pytest.raises(ArgumentError):
        pipe.set("k", 1).execute()
    with pytest.raises(ArgumentError):
        pipe.watch("k")
    assert (cache.exists("k"), len(pipe)) == (0, 1)


def test_keys_that_are_none_are_refused() -> None:
    cache = Cache()
    with pytest.raises(TypeError):
        cache.pipeline(watch="k")
    with pytest.raises(InvalidKeyError):
        cache.pipeline(watch=["\ud800"])


def test_a_watch_error_says_what_it_is_everywhere() -> None:
    error = WatchError()
    assert isinstance(error, CacheStormError)
    assert (str(error), error.http_status) == (
        "a watched key was touched: nothing was run",
        409,
    )


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_tasks_await_a_pipeline(run: Any) -> None:
    cache = Cache()

    async def main() -> list[Any]:
        async with cache.aio.pipeline(watch=["n"]) as pipe:
            pipe.incr("n").incr("n")
            results = await pipe.execute()
            cache.incr("other")
            pipe.watch("n")
            cache.incr("n")
            with pytest.raises(WatchError):
                await pipe.incr("n").execute()
        return results

    assert (run(main) if run is trio.run else run(main())) == [1, 2]
    assert (cache.get("n"), cache._space.watches) == (3, None)
