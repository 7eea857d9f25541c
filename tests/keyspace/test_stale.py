"""Soft invalidation: a stale entry is absent to every command, and kept for loaders."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from cachestorm import Cache, Cause, ManualClock
from cachestorm.keyspace.removals import SOFT_KEEP_MS


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    cache = Cache(clock=clock)
    cache.set("k", "old", tags=["t"])
    cache.set("other", 1)
    cache.invalidate("t", soft=True)
    return cache


def stale(cache: Cache, key: str) -> object:
    entry = cache._space.peek_stale(key)
    return None if entry is None else cache._space.value(entry)


def test_no_command_that_reads_sees_or_destroys_a_stale_entry(cache: Cache) -> None:
    assert cache.get("k") is None
    assert cache.exists("k") == 0
    assert cache.mget("k", "other")[1] == 1
    assert cache.type("k") == "none"
    assert cache.tags("k") == cache.tagkeys("t") == []
    assert cache.tagcount("t") == 0
    assert cache.delete("k") == 0
    assert cache.keys() == ["other"]
    assert cache.randomkey() == "other"
    assert cache.expire("k", 5) is False
    assert stale(cache, "k") == "old"
    cache._check()


def test_randomkey_comes_to_an_end_where_all_is_stale(cache: Cache) -> None:
    cache.delete("other")
    assert cache.randomkey() is None


def test_a_write_begins_anew(cache: Cache) -> None:
    assert cache.setnx("k", "new") is True
    assert cache.get("k") == "new"
    assert cache.tags("k") == []
    cache.set("n", 5, tags=["t"])
    cache.invalidate("t", soft=True)
    assert cache.incr("n") == 1
    cache.rename("other", "k")
    assert cache.get("k") == 1
    cache._check()


def test_a_stale_entry_is_kept_for_an_hour_or_until_its_deadline(
    cache: Cache, clock: ManualClock
) -> None:
    cache.set("ends", 1, ttl=10, tags=["t"])
    cache.invalidate("t", soft=True)
    clock.advance(12)
    cache.reap()
    assert stale(cache, "ends") is None
    assert stale(cache, "k") == "old"
    clock.advance(SOFT_KEEP_MS / 1000)
    while cache.reap():
        pass
    assert stale(cache, "k") is None
    assert len(cache._space.dense) == 1
    cache._check()


def test_a_stale_entry_goes_before_any_victim() -> None:
    cache = Cache(max_entries=10)
    gone: list[tuple[str, Cause]] = []
    for number in range(10):
        cache.set(f"k{number}", number, tags=["t"] if number % 2 else [])
    cache.invalidate("t", soft=True)
    cache.on_removed(lambda key, value, cause: gone.append((key, cause)))
    for number in range(5):
        cache.set(f"new{number}", number)
    assert sorted(gone) == [(f"k{number}", Cause.INVALIDATED) for number in (1, 3, 5, 7, 9)]
    assert cache.exists(*[f"k{number}" for number in (0, 2, 4, 6, 8)]) == 5
    cache._check()


def test_tags_that_are_softened_again_and_again_are_noted_once(
    cache: Cache, clock: ManualClock
) -> None:
    for number in range(100):
        cache.set(f"k{number}", number, tags=["t", "u"])
        cache.invalidate("t", soft=True)
    assert len(cache._space.tags.softened) == 1
    clock.advance(SOFT_KEEP_MS / 500)
    while cache.reap():
        pass
    clock.advance(1)
    while cache.reap():
        pass
    assert len(cache._space.dense) == 1
    assert not cache._space.tags.softened
    cache._check()


def set_all(cache: Cache, keys: Iterable[object], ttl: float | None = None) -> None:
    for key in keys:
        cache.set(str(key), 1, ttl, tags=["t", "u"])


def counts(cache: Cache) -> tuple[int, ...]:
    """How many keys, keys with a deadline and tags there are, which all who count must tell."""
    keys = cache.keys()
    tags = {tag for key in keys for tag in cache.tags(key)}
    expected = (len(keys), sum(cache.ttl(key) is not None for key in keys), len(tags))
    named = cache.namespace_stats()
    assert (named["keys"], named["expires"], named["tags"]) == expected
    for stats in (cache.stats(), cache.store_stats()):
        assert (stats.keys, stats.expires, stats.tags) == expected
    assert cache.dbsize() == len(cache) == len(keys)
    assert set(cache.tag_scan(0, 10_000)[1]) == tags
    for tag in tags | {"a", "b", "c"}:
        assert cache.tagcount(tag) == len(cache.tagkeys(tag))
    return expected


def test_no_count_has_stale_keys(cache: Cache) -> None:
    assert counts(cache) == (1, 0, 0)
    cache.set("volatile", 1, ttl=50, tags=["t", "u"])
    cache.set("twice", 1, tags=["u", "t"])
    cache.set("fresh", 1, tags=["u"])
    cache.invalidate("t", soft=True)
    assert cache.tagcount("u") == 1
    assert counts(cache) == (2, 0, 1)
    cache.invalidate("u")
    assert counts(cache) == (1, 0, 0)
    cache._check()


def test_the_first_question_after_a_soft_invalidation_has_its_counts(
    clock: ManualClock,
) -> None:
    for question, expected in [
        (len, 1),
        (Cache.dbsize, 1),
        (lambda cache: cache.tagcount("u"), 1),
        (lambda cache: cache.stats().keys, 1),
        (lambda cache: cache.namespace_stats()["tags"], 1),
        (lambda cache: cache.store_stats().expires, 0),
        (lambda cache: cache.tag_scan()[1], ["u"]),
        (lambda cache: cache.execute("DBSIZE"), 1),
        (lambda cache: cache.execute("TAGCOUNT", "u"), 1),
        (lambda cache: "\r\nkeys:1\r\n" in cache.execute("NAMESPACEINFO"), True),
        (lambda cache: "\r\nkeys:1\r\n" in cache.execute("MEMINFO"), True),
        (lambda cache: cache.execute("MEMORY", "STATS")["keys.count"], 1),
    ]:
        cache = Cache(clock=clock)
        set_all(cache, range(1000), ttl=50)
        cache.set("k", 1, tags=["u"])
        cache.invalidate("t", soft=True)
        assert question(cache) == expected


def test_a_key_is_softened_by_the_first_of_its_tags_only(cache: Cache) -> None:
    set_all(cache, "ab")
    assert cache.invalidate("t", soft=True) == 2
    assert cache.invalidate("u", soft=True, dry_run=True) == 0
    assert cache.invalidate("u", soft=True) == 0
    assert counts(cache) == (1, 0, 0)


def test_tags_that_are_softened_often_are_not_walked_anew_each_time(cache: Cache) -> None:
    set_all(cache, range(20_000))
    cache.invalidate("t", soft=True)
    assert len(cache) == 1
    looked = 0
    for number in range(100):
        cache.set("new", number, tags=["t", "u"])
        cache.invalidate("t", soft=True)
        looked += int(cache._space.tags.count_stale(1 << 30))
    assert looked < 1000
    assert len(cache) == 1
    cache._check()


def test_reaping_counts_what_is_stale(cache: Cache) -> None:
    set_all(cache, range(1000))
    cache.invalidate("t", soft=True)
    assert cache._space.tags.uncounted
    while cache.reap():
        pass
    assert not cache._space.tags.uncounted
    assert cache._space.tags.stale == 1001


def test_namespaces_that_are_swapped_keep_their_counts(cache: Cache) -> None:
    set_all(cache, "ab")
    cache.invalidate("t", soft=True)
    cache.swapdb(0, 1)
    assert (len(cache), len(cache.database(1))) == (0, 1)
    cache.database(1).flushdb()
    assert counts(cache) == (0, 0, 0)
    cache._check()


def test_random_actions_keep_every_invariant(clock: ManualClock) -> None:
    chance = random.Random(7)
    cache = Cache(clock=clock, max_entries=40)
    for step in range(4000):
        key = f"k{chance.randrange(60)}"
        tags = chance.sample(["a", "b", "c"], chance.randrange(3))
        match chance.randrange(9):
            case 0:
                cache.invalidate(chance.choice("abc"), soft=True)
            case 1 if step % 5 == 0:
                cache.invalidate(chance.choice("abc"))
            case 2:
                cache.get(key), cache.exists(key), cache.randomkey()
            case 3:
                cache.remtag(key, "a"), cache.addtag(key, "b")
            case 4:
                clock.advance(chance.choice([1, 100, 2000]))
            case 5:
                cache.hset(f"h{key}", "f", 1)
                cache.addtag(f"h{key}", "c")
            case _:
                cache.set(key, step, tags=tags, ttl=chance.choice([None, 50, 5000]))
        if step % 7 == 0:
            cache._check()
            while cache.reap():
                pass
            counts(cache)
    cache._check()
