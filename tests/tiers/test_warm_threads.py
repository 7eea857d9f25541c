"""A warm tier and threads, transactions and forks."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from broken_stores import MemoryStore, flush, on_memory, tiers_of
from overfull import filled, value

from cachestorm import Cache
from cachestorm.errors import DurabilityError


def test_threads_read_what_was_written_last(tmp_path: Path) -> None:
    cache: Cache[Any] = Cache(max_memory="256kb", warm=tmp_path)
    wrong: list[object] = []

    def work(name: int) -> None:
        chance = random.Random(name)
        own: dict[str, bytes] = {}
        for step in range(600):
            key = f"{name}:{chance.randrange(150)}"
            draw = chance.random()
            if draw < 0.4:
                own[key] = value(step)
                cache.set(key, own[key])
            elif draw < 0.45:
                own.pop(key, None)
                cache.delete(key)
            else:
                found = cache.get(key)
                if found is not None and found != own.get(key):
                    wrong.append((key, found, own.get(key)))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.tier_stats()["warm"].losses == 0
    cache._check()


@pytest.mark.parametrize("codec", [None, "json"])
def test_nobody_waits_for_the_disk_that_a_get_reads(codec: str | None, tmp_path: Path) -> None:
    cache, _, store = on_memory(tmp_path, codec=codec)
    cache.set("k", ["x" * 300])
    cache.set("other", ["y" * 300])
    cache.demote("k")
    flush(cache)
    store.gate.clear()
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.append(cache.get("k")))
    reader.start()
    while store.reads == 0:
        reader.join(0.001)
    # under the lock these would wait for ever
    assert cache.get("other") == ["y" * 300]
    assert cache.set("k2", 1) and cache.hset("h", "f", 1) == 1
    store.gate.set()
    reader.join()
    assert found == [["x" * 300]]
    assert (store.reads, tiers_of(cache).ahead.fetched) == (1, {})
    cache._check()


@pytest.fixture
def away(tmp_path: Path) -> tuple[Cache[Any], MemoryStore]:
    """A cache whose engine notes who reads it under the lock; ten values are in it."""
    cache, _, store = on_memory(tmp_path)
    for number in range(10):
        cache.set(f"k{number}", b"%d" % (9 - number) + b" " * 300)
        cache.hset(f"h{number}", mapping={"f": number, "rest": "x" * 300})
        cache.demote(f"k{number}"), cache.demote(f"h{number}")
    cache.rpush("l", *range(10))
    flush(cache)
    store.on_read = lambda: store.held.append(cache._store.latch.is_mine())
    return cache, store


def test_sort_reads_what_other_keys_hold_before_it_takes_the_lock(
    away: tuple[Cache[Any], MemoryStore],
) -> None:
    cache, store = away
    found = cache.sort("l", "k*", offset=2, count=3, get=["#", "h*->f"], alpha=True)
    assert found == [7, 7, 6, 6, 5, 5]
    # no more than it returns of what only GET names
    assert store.held == [False] * 13
    assert cache.sort("l", "k*", get=["h*->f"], alpha=True, destination="to") == 10
    assert store.held == [False] * 20 and cache.lrange("to", 0, 0) == [9]
    assert tiers_of(cache).ahead.fetched == {}
    cache._check()


def test_sort_in_a_task_lets_others_go_on(away: tuple[Cache[Any], MemoryStore]) -> None:
    cache, store = away
    assert asyncio.run(cache.aio.sort("l", "k*", count=1, alpha=True)) == [9]
    assert store.held == [False] * 10


def test_walks_and_entries_read_before_they_take_the_lock(
    away: tuple[Cache[Any], MemoryStore],
) -> None:
    cache, store = away
    assert len([*cache.items()]) == 10
    entry = cache.entry("k3")
    assert entry is not None and entry.value[:2] == b"6 "
    assert store.held == [False] * 11
    assert cache.object_tier("k3") == "warm"
    assert tiers_of(cache).ahead.fetched == {}


def test_a_transaction_reads_the_keys_that_it_is_told_before_it_takes_the_lock(
    away: tuple[Cache[Any], MemoryStore],
) -> None:
    cache, store = away
    with cache.transaction("k1", "h2", "missing"):
        assert cache.get("k1")[:1] == b"8" and cache.hget("h2", "f") == 2
        assert store.held == [False] * 2
        assert cache.get("k4")[:1] == b"5"
    assert store.held == [False, False, True]
    assert tiers_of(cache).ahead.fetched == {}


def test_a_transaction_sees_what_is_on_the_disk(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    with cache.transaction():
        assert [cache.get(f"k{number}") for number in range(50)] == [*map(value, range(50))]
        for number in range(600, 900):
            cache.set(f"k{number}", value(number))
    assert cache.store_stats().used_memory <= 256 << 10
    assert cache.get("k750") == value(750)
    cache._check()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_reads_what_is_in_memory_and_writes_nothing(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert cache.get("k0") is None
            assert cache.get("k599") == value(599)
            for write in (
                lambda: cache.set("c", value(1)),
                lambda: cache.incr("n"),
                lambda: cache.hset("h", "f", 1),
                lambda: cache.delete("k598"),
            ):
                with pytest.raises(DurabilityError, match="forked process does not write to"):
                    write()
            # what was refused changed nothing; a read may find what is due
            assert cache.exists("c", "n", "h") == 0
            cache._check()
            cache.close()
            cache.set("c", 1)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [cache.get(f"k{number}") for number in range(600)] == [*map(value, range(600))]
    cache.close()
