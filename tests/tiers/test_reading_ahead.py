"""Nobody waits for a value in a tier but who asks for it: threads, tasks, clients of HTTP."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broken_stores import MemoryStore, flush, on_memory, tiers_of
from vocabulary import KEYS, SKETCHES, random_command

from cachestorm import Cache, ManualClock
from cachestorm.errors import CacheStormError

NAMES = [
    name.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    for name in {*KEYS, *SKETCHES}
]


def test_no_command_holds_the_lock_while_it_reads_a_tier(tmp_path: Path) -> None:
    cache, _, store = on_memory(tmp_path, clock=ManualClock())
    tiers_of(cache).least_bytes = 0
    chance = random.Random(5)
    reads: dict[bool, set[bytes]] = {True: set(), False: set()}
    asked = b""

    def note(blob: bytes) -> bytes:
        reads[cache._store.latch.is_mine()].add(asked)
        return blob

    store.damage = note
    for _ in range(2500):
        argv = random_command(chance)
        for name in NAMES:
            if chance.random() < 0.7:
                cache.demote(name)
        asked = b"a write"
        if chance.random() < 0.5:
            flush(cache)
        asked = argv[0].upper() if argv else b""
        try:
            cache.execute(*argv)
        except (CacheStormError, TypeError, ValueError, OverflowError):
            pass
    assert reads[True] == set()
    assert len(reads[False]) > 80
    assert tiers_of(cache).ahead.fetched == {}
    cache._check()


def with_stopped_disk(folder: Path) -> tuple[Cache[Any], MemoryStore]:
    cache, _, store = on_memory(folder)
    cache.set("k", b"x" * 300)
    cache.hset("h", mapping={f"f{number}": number for number in range(50)})
    cache.sadd("s", *map(str, range(50)))
    for key in cache:
        assert cache.demote(key)
    flush(cache)
    cache.set("here", 1)
    store.gate.clear()
    return cache, store


@pytest.mark.parametrize(
    "ask",
    [
        lambda cache: cache.hget("h", "f7"),
        lambda cache: cache.mget("k", "none"),
        lambda cache: cache.sinter("s", "s"),
        lambda cache: cache.append("k", "y"),
    ],
    ids=["hget", "mget", "sinter", "append"],
)
def test_other_threads_go_on_while_one_reads(
    ask: Callable[[Any], object], tmp_path: Path
) -> None:
    cache, store = with_stopped_disk(tmp_path)
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.append(ask(cache)))
    reader.start()
    while store.reads == 0:
        reader.join(0.001)
    assert cache.get("here") == 1 and cache.incr("here") == 2 and cache.delete("h") in (0, 1)
    store.gate.set()
    reader.join()
    assert len(found) == 1
    assert tiers_of(cache).ahead.fetched == {}
    cache._check()


@pytest.mark.parametrize(
    ("name", "args", "wanted"),
    [
        ("get", ("k",), b"x" * 300),
        ("hget", ("h", "f7"), 7),
        ("mget", (["k", "none"],), [b"x" * 300, None]),
        ("scard", ("s",), 50),
        ("sintercard", (["s"],), 50),
        ("get_or_set", ("k", dict), b"x" * 300),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_other_tasks_go_on_while_one_reads(
    name: str, args: tuple[Any, ...], wanted: object, tmp_path: Path
) -> None:
    cache, store = with_stopped_disk(tmp_path)

    async def main() -> object:
        reader = asyncio.ensure_future(getattr(cache.aio, name)(*args))
        while store.reads == 0:
            await asyncio.sleep(0.001)
        assert await cache.aio.incr("here") == 2
        assert not reader.done()
        store.gate.set()
        return await reader

    assert asyncio.run(main()) == wanted
    assert (store.reads, tiers_of(cache).ahead.fetched) == (1, {})
    cache._check()


def test_a_task_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    cache, store = with_stopped_disk(tmp_path)

    async def main() -> None:
        reader = asyncio.ensure_future(cache.aio.hget("h", "f7"))
        while store.reads == 0:
            await asyncio.sleep(0.001)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)

    asyncio.run(main())
    store.gate.set()
    tiers_of(cache).ahead.close()
    assert tiers_of(cache).ahead.fetched == {}
    assert cache.object_tier("h") == "warm"


def test_a_value_that_is_damaged_is_missing_for_a_task(tmp_path: Path) -> None:
    cache, warm, store = on_memory(tmp_path)
    cache.hset("h", mapping={f"f{number}": number for number in range(50)})
    cache.demote("h")
    flush(cache)
    store.damage = lambda blob: blob[:-1]
    assert asyncio.run(cache.aio.hset("h", "f", 1)) == 1
    assert (warm.losses, store.reads, cache.hgetall("h")) == (1, 1, {"f": 1})
    cache._check()
