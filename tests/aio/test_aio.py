"""The awaitable face: the whole API, as coroutine functions, on asyncio and on trio."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import trio

from cachestorm import Cache, ManualClock
from cachestorm.aio.async_cache import _OTHERWISE
from cachestorm.aio.effects import FellBehindError
from cachestorm.errors import WrongTypeError

EVERYWHERE = pytest.mark.parametrize(
    "run", [asyncio.run, lambda main: trio.run(_await, main)], ids=["asyncio", "trio"]
)


async def _await(awaitable: Any) -> Any:
    return await awaitable


def public(kind: type) -> set[str]:
    """The methods that users call."""
    names = [name for name in dir(kind) if not name.startswith("_")]
    return {name for name in names if callable(inspect.getattr_static(kind, name))}


def test_every_method_of_a_cache_is_a_coroutine_function() -> None:
    kind = type(Cache().aio)
    methods = public(Cache) - _OTHERWISE
    assert {
        name for name in methods if not inspect.iscoroutinefunction(getattr(kind, name))
    } == set()
    assert _OTHERWISE - public(Cache) == set()


def test_methods_keep_their_documentation() -> None:
    kind: Any = type(Cache().aio)
    assert kind.get.__doc__ == Cache.get.__doc__
    assert kind.get.__name__ == "get"


@EVERYWHERE
def test_methods_do_what_those_of_the_cache_do(run: Callable[..., Any]) -> None:
    cache = Cache()

    async def main() -> list[Any]:
        aio = cache.aio
        await aio.set("k", 1, ttl=60, tags=["t"])
        got = [await aio.get("k"), await aio.incr("k"), await aio.tags("k")]
        await aio.hset("h", "a", 1)
        with pytest.raises(WrongTypeError):
            await aio.get("h")
        return [*got, await aio.get_or_set("l", _later), cache.get("l")]

    async def _later() -> int:
        return 7

    assert run(main()) == [1, 2, ["t"], 7, 7]


@EVERYWHERE
def test_a_command_in_slices_lets_other_tasks_go_on(run: Callable[..., Any]) -> None:
    cache = Cache()
    cache.mset({f"k{number}": number for number in range(60_000)})

    async def main() -> int:
        return len(await cache.aio.keys("*"))

    assert run(main()) == 60_000


def test_namespaces_have_an_awaitable_face_too() -> None:
    cache = Cache(clock=ManualClock())
    other = cache.aio.namespace("n", default_ttl=5)

    async def main() -> Any:
        await other.set("k", 1)
        return await other.ttl("k")

    assert asyncio.run(main()) == 5.0
    assert (repr(other), other.name) == ("<AsyncCache 'n': 1 keys>", "n")


def test_methods_of_a_subclass_are_awaitable_too() -> None:
    class Mine(Cache):
        def double(self, key: str) -> Any:
            return self.incr(key, 2)

    assert asyncio.run(_await(Mine().aio.double("k"))) == 2


@EVERYWHERE
def test_effects_are_read_by_a_task(run: Callable[..., Any]) -> None:
    cache = Cache()

    async def main() -> list[Any]:
        seen = []
        async with cache.aio.effects() as effects:
            cache.set("a", 1)
            cache.delete("a")
            async for effect in effects:
                seen.append((effect.event, effect.key))
                if effect.event == "del":
                    break
        return seen

    assert run(main()) == [("set", "a"), ("del", "a")]
    assert cache._store.effects.interest_in("default") == 0


def test_a_task_that_falls_behind_is_told() -> None:
    cache = Cache()

    async def main() -> list[str]:
        seen = []
        async with cache.aio.effects(limit=2) as effects:
            for number in range(5):
                cache.set(f"k{number}", 1)
            with pytest.raises(FellBehindError):
                async for effect in effects:
                    seen.append(effect.key)
        return seen

    assert asyncio.run(main()) == ["k0", "k1"]


def test_effects_of_another_thread_wake_the_task() -> None:
    cache = Cache()

    async def main() -> str:
        async with cache.aio.effects() as effects:
            reading = asyncio.create_task(_await(anext(effects)))
            await asyncio.sleep(0)
            await asyncio.to_thread(cache.set, "k", 1)
            return str((await reading).key)

    assert asyncio.run(main()) == "k"


@EVERYWHERE
def test_a_task_modifies_a_key_by_a_function_of_either_kind(run: Callable[..., Any]) -> None:
    cache = Cache(clock=ManualClock(1_000_000))
    cache.set("k", 1, tags=["t"])
    given = []

    async def doubled(value: Any) -> Any:
        given.append(value)
        if len(given) == 1:
            # somebody else writes while this one is at work
            cache.set("k", 10, tags=["t"])
        return value * 2

    async def main() -> list[Any]:
        first = await cache.aio.modify("k", doubled)
        return [first, await cache.aio.modify("k", lambda value: value + 1, ttl=60)]

    assert run(main()) == [20, 21]
    assert (given, cache.get("k"), cache.tags("k"), cache.ttl("k")) == ([1, 10], 21, ["t"], 60)
    assert cache._space.watches is None


def test_a_modification_that_is_cancelled_changes_nothing() -> None:
    cache = Cache()
    cache.set("k", 1)

    async def never(value: Any) -> Any:
        await asyncio.sleep(3600)

    async def main() -> None:
        task = asyncio.create_task(cache.aio.modify("k", never))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (cache.get("k"), cache._space.watches) == (1, None)
