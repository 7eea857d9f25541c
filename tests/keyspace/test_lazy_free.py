"""What is large leaves a step at a time, by whatever way it leaves."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import pytest

from cachestorm import Cache, Cause, ManualClock
from cachestorm.commands.edge import enter
from cachestorm.keyspace.lazy_free import REAPING_STEP, SMALL, STEP, Batch, count_of
from cachestorm.values.container import Container

COUNT = 25_000
NAMES = [f"name:{number}" for number in range(COUNT)]

FILLS: dict[str, Callable[[Cache, str], object]] = {
    "hash": lambda cache, key: cache.hset(key, mapping=dict.fromkeys(NAMES, b"v")),
    "list": lambda cache, key: cache.rpush(key, *NAMES),
    "set": lambda cache, key: cache.sadd(key, *NAMES),
    "zset": lambda cache, key: cache.zadd(key, {name: 1.0 for name in NAMES}),
}


def leave_by_time(cache: Cache) -> None:
    cache.expire("big", 1)
    clock = cache._store.clock
    assert isinstance(clock, ManualClock)
    clock.advance(2)
    assert cache.exists("big") == 0


def leave_by_eviction(cache: Cache) -> None:
    space = cache._space
    enter(cache)
    try:
        assert space.evict()
    finally:
        cache._leave()


def leave_by_tag(cache: Cache) -> None:
    cache.addtag("big", "t")
    assert cache.invalidate("t") == 1


def leave_by_name(cache: Cache) -> None:
    cache.set("other", b"v")
    cache.rename("other", "big")
    cache.delete("big")


WAYS: dict[str, Callable[[Cache], object]] = {
    "delete": lambda cache: cache.delete("big"),
    "overwrite": lambda cache: (cache.set("big", b"v"), cache.delete("big")),
    "store over": lambda cache: cache.sunionstore("big", ["nothing"]),
    "expiry": leave_by_time,
    "eviction": leave_by_eviction,
    "invalidation": leave_by_tag,
    "rename over": leave_by_name,
    "flush": lambda cache: cache.flushall(),
}


def steps_of(cache: Cache) -> int:
    """How many steps of reaping it takes until nothing is left."""
    steps = 0
    while cache.reap():
        steps += 1
    assert not cache._store.lazy_free.batches
    assert cache._store.lazy_free.size_bytes == 0
    return steps


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fill", FILLS)
def test_a_large_value_is_let_go_in_steps(fill: str, way: str) -> None:
    cache = Cache(clock=ManualClock())
    FILLS[fill](cache, "big")
    WAYS[way](cache)
    assert cache.dbsize() == 0
    assert cache._store.lazy_free.batches
    cache._check()
    assert cache.stats().used_memory == 0
    assert cache.reap() <= 2 * REAPING_STEP
    assert cache._store.lazy_free.batches
    steps_of(cache)
    cache._check()


def test_a_small_value_is_freed_at_once() -> None:
    cache = Cache()
    cache.sadd("small", *NAMES[:SMALL])
    cache.delete("small")
    assert not cache._store.lazy_free.batches


@pytest.mark.parametrize("fill", FILLS)
def test_a_value_that_gets_another_name_or_namespace_stays_whole(fill: str) -> None:
    cache = Cache()
    FILLS[fill](cache, "big")
    cache.rename("big", "bigger")
    assert cache.move("bigger", 1)
    assert not cache._store.lazy_free.batches
    other = cache.database(1)
    assert other.type("bigger") == fill
    cache._check()
    held = other._space.values[0]
    assert isinstance(held, Container)
    assert len(held) == COUNT
    held._check()


@pytest.mark.parametrize("fill", FILLS)
def test_what_was_taken_apart_is_empty_and_sound(fill: str) -> None:
    cache = Cache()
    FILLS[fill](cache, "big")
    held = cache._space.values[0]
    assert isinstance(held, Container)
    cache.delete("big")
    assert len(held) == 0
    held._check()


def waiting(cache: Cache) -> int:
    """How many elements of a list are still to be let go."""
    return sum(
        count_of(part) for batch in cache._store.lazy_free.batches for part in batch.parts
    )


def test_other_calls_free_lazily_a_small_step_at_a_time() -> None:
    cache = Cache()
    store = cache._store
    cache.rpush("big", *NAMES)
    cache.delete("big")
    while store.lazy_free.batches:
        # as if the step before had been long ago
        store._rest_s = 0.0
        before = waiting(cache)
        cache.exists("other")
        assert min(before, STEP) == before - waiting(cache)


def test_calls_that_follow_a_step_at_once_let_go_of_nothing() -> None:
    cache = Cache()
    store = cache._store
    cache.rpush("big", *NAMES)
    cache.delete("big")
    before = waiting(cache)
    store._swept_at = time.time()
    store._rest_s = 3600.0
    for _ in range(10):
        cache.exists("other")
    assert before == waiting(cache)
    # nor is it for ever when the clock is set back
    store._swept_at = time.time() + 7200.0
    cache.exists("other")
    assert before - STEP == waiting(cache)


def test_reaping_lets_the_calls_after_it_off() -> None:
    cache = Cache()
    store = cache._store
    cache.rpush("big", *NAMES)
    cache.delete("big")
    store._rest_s = 0.0
    cache.reap()
    assert store._rest_s > 0.0
    assert abs(time.time() - store._swept_at) < 60.0


def test_a_hash_of_which_all_fields_are_due_leaves_as_a_whole() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    FILLS["hash"](cache, "big")
    cache.execute("HEXPIRE", "big", 10, "FIELDS", COUNT, *NAMES)
    clock.advance(9)
    assert cache.hlen("big") == COUNT
    clock.advance(2)
    assert cache.hget("big", NAMES[0]) is None
    assert cache.exists("big") == 0
    assert cache._store.lazy_free.batches
    assert cache.stats().used_memory == 0
    removal = cache.why("big")
    assert removal is not None
    assert removal["cause"] is Cause.EXPIRED
    cache._check()


@pytest.mark.parametrize("change", ["persist", "later", "another"])
def test_a_hash_with_a_field_that_is_not_due_keeps_it(change: str) -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    cache.hset("h", mapping={"a": b"1", "b": b"2"})
    cache.execute("HEXPIRE", "h", 10, "FIELDS", 2, "a", "b")
    if change == "persist":
        cache.execute("HPERSIST", "h", "FIELDS", 1, "b")
    elif change == "later":
        cache.execute("HEXPIRE", "h", 20, "FIELDS", 1, "b")
    else:
        cache.hset("h", "c", b"3")
    clock.advance(11)
    assert cache.hkeys("h") == (["c"] if change == "another" else ["b"])
    cache._check()


class Finalized:
    """Counts its end, and uses the cache in it."""

    ended = 0

    def __init__(self, cache: Cache) -> None:
        self.cache = cache

    def __del__(self) -> None:
        Finalized.ended += 1
        self.cache.incr("ended")


@pytest.mark.parametrize("fill", ["hash", "list"])
def test_finalizers_run_step_by_step_and_may_use_the_cache(fill: str) -> None:
    cache = Cache()
    count = 5 * STEP
    if fill == "hash":
        cache.hset("big", mapping={str(n): Finalized(cache) for n in range(count)})
    else:
        cache.rpush("big", *[Finalized(cache) for _ in range(count)])
    gc.collect()
    Finalized.ended = 0
    cache.delete("big")
    while Finalized.ended < count:
        before = Finalized.ended
        cache.exists("other")
        assert Finalized.ended - before <= STEP
    assert cache.get("ended") == count
    steps_of(cache)
    cache._check()


def test_what_a_flush_leaves_of_tags_and_deadlines_is_let_go_in_steps() -> None:
    cache = Cache(clock=ManualClock())
    for number, name in enumerate(NAMES):
        cache.set(name, b"v", ttl=60 + number, tags=[f"tag:{number}", "all"])
    for number in range(2000):
        cache.taglink("parent", f"child:{number}")
    cache.flushall()
    assert cache.stats().tags == 0
    assert cache.stats().used_memory == 0
    # entries, dense, values, tags and deadlines, each as many as there were keys
    assert steps_of(cache) >= 5 * COUNT // REAPING_STEP
    cache._check()


def test_an_invalidation_that_is_flushed_half_way_leaves_its_rest_to_be_freed_lazily() -> None:
    cache = Cache()
    for name in NAMES:
        cache.set(name, b"v", tags=["t"])
    # a listener is told between two slices
    cache.listen(lambda effect: effect.kind == "removed" and cache.flushdb())
    # the flush reaps what is left, and it was the invalidation that killed it
    assert cache.invalidate("t") == COUNT
    steps_of(cache)
    cache._check()


def test_large_values_made_and_dropped_in_a_loop_stay_within_the_limit() -> None:
    limit = 16 << 20
    cache = Cache(max_memory=limit)
    cache.sadd("big", *NAMES)
    for _ in range(20):
        cache.copy("big", "copy", replace=True)
        waiting = cache._store.lazy_free.size_bytes
        assert cache.stats().used_memory + waiting <= limit


def test_a_step_counts_large_strings_and_objects_with_their_size() -> None:
    cache = Cache()
    cache.rpush("strings", *[bytes(1 << 20) for _ in range(SMALL + 1)])
    cache.rpush("objects", *[list(range(1000)) for _ in range(SMALL + 1)])
    waiting = cache._store.lazy_free
    for key in ("strings", "objects"):
        cache.delete(key)
        steps = 0
        while waiting.batches:
            assert waiting.sweep(STEP) <= 2 * STEP
            steps += 1
        assert steps > SMALL // 10


def test_small_values_within_a_large_one_count_with_what_they_hold() -> None:
    batch = Batch([[["x"] * 100 for _ in range(100)]], 1000)
    done = batch.shrink(1000)
    assert 1000 <= done < 1200
    assert batch.parts
    assert 850 <= batch.size_bytes <= 950


def test_large_values_of_a_flushed_cache_are_bounded_by_what_they_weigh() -> None:
    cache = Cache(max_memory="40mb")
    lazy_free = cache._store.lazy_free
    waiting: list[int] = []
    for _ in range(6):
        for number in range(6):
            FILLS["set"](cache, f"big:{number}")
        cache.flushdb()
        cache.exists("other")
        waiting.append(sum(map(_elements, lazy_free.batches)))
    # six times as much does not fit into the limit together
    assert max(waiting) < 4 * 6 * COUNT
    assert lazy_free.size_bytes <= 40 << 20
    steps_of(cache)


def _elements(part: object) -> int:
    if isinstance(part, Batch):
        return sum(map(_elements, part.parts))
    if isinstance(part, Container):
        return len(part)
    if isinstance(part, list):
        return sum(_elements(each) if isinstance(each, Container) else 1 for each in part)
    return len(part) if isinstance(part, dict) else 0
