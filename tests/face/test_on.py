"""`Cache.on`: a function that is told of one event."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cachestorm import Cache, CacheStormError, Interest, ManualClock
from cachestorm.events import NAMED, READS


@pytest.fixture
def cache() -> Cache:
    return Cache(clock=ManualClock())


def told_of(cache: Cache, event: str) -> list[Any]:
    told: list[Any] = []
    cache.on(event, lambda *args: told.append(args))
    return told


def test_hits_and_misses_are_told_by_key(cache: Cache) -> None:
    hits, misses = told_of(cache, "hit"), told_of(cache, "miss")
    cache.set("k", 1)
    cache.get("k")
    cache.get("none")
    cache.mget("k", "none")
    assert hits == [("k",), ("k",)]
    assert misses == [("none",), ("none",)]


def test_a_write_is_told_with_its_value(cache: Cache) -> None:
    told = told_of(cache, "set")
    cache.set("k", [1])
    cache.set("k", [2], tags=["t"])
    cache.rpush("l", "a")
    cache.rpush("l", "b")
    assert told == [("k", [1]), ("k", [2]), ("l", None)]


def test_a_removal_is_told_as_on_removed_tells_it(cache: Cache) -> None:
    told = told_of(cache, "removed")
    others: list[Any] = []
    cache.on_removed(lambda *args: others.append(args))
    cache.set("a", 1)
    cache.set("a", 2)
    cache.delete("a")
    cache.set("b", 3, tags=["t"])
    cache.invalidate("t")
    assert [(key, value, cause.value) for key, value, cause in told] == [
        ("a", 1, "replaced"), ("a", 2, "deleted"), ("b", 3, "invalidated"),
    ]  # fmt: skip
    assert others == told


def test_an_invalidation_is_told_by_tag_once_for_each_tag_that_it_reaches(
    cache: Cache,
) -> None:
    told = told_of(cache, "invalidated")
    cache.taglink("site", "home")
    cache.set("k", 1, tags=["home"])
    cache.invalidate("site", cascade=True)
    cache.set("k", 1, tags=["home"])
    cache.invalidate("home", soft=True)
    cache.tagunlink("site", "home")
    assert sorted(told[:2]) == [("home",), ("site",)]
    assert told[2:] == [("home",)]


def test_a_load_is_told_if_its_result_is_kept(cache: Cache) -> None:
    told = told_of(cache, "loaded")
    cache.get_or_set("k", lambda: [1])
    cache.get_or_set("k", lambda: [2])
    cache.get_or_set("not kept", lambda: 3, cache_if=lambda value: False)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_set("failed", lambda: 1 / 0)
    cache.get_or_set_many(["a", "b"], lambda keys: {key: key for key in keys})

    @cache.memoize(key="square:{x}")
    def square(x: int) -> int:
        return x * x

    square(3)
    square(3)
    assert told == [("k", [1]), ("a", "a"), ("b", "b"), ("square:3", 9)]


def test_other_namespaces_are_not_told(cache: Cache) -> None:
    told = [told_of(cache, event) for event in NAMED]
    other = cache.namespace("other")
    other.set("k", 1, tags=["t"])
    other.get("k")
    other.get("none")
    other.get_or_set("loaded", lambda: 1)
    other.invalidate("t")
    assert told == [[] for _ in NAMED]


def test_it_is_a_decorator_whose_function_can_be_called_and_closed(cache: Cache) -> None:
    told: list[str] = []

    @cache.on("miss")
    def note(key: str) -> str:
        told.append(key)
        return key

    cache.get("a")
    assert note("by hand") == "by hand"
    note.close()
    note.close()
    cache.get("b")
    assert (told, note.is_open) == (["a", "by hand"], False)


def test_it_ends_with_its_block_and_leaves_others_of_the_same_function(cache: Cache) -> None:
    told: list[str] = []
    with cache.on("miss", told.append), cache.on("hit", told.append) as hits:
        hits.close()
        cache.set("k", 1)
        cache.get("k")
        cache.get("a")
    cache.get("b")
    assert told == ["a"]
    assert cache._store.effects.listenings == []


def test_unlisten_takes_the_function(cache: Cache) -> None:
    told: list[str] = []
    listener = cache.on("miss", told.append)
    cache.unlisten(listener.function)
    cache.get("a")
    assert told == []


def test_reads_take_the_lock_only_while_somebody_hears_of_them(cache: Cache) -> None:
    def state() -> tuple[bool, bool]:
        return cache._store.guarded, cache._space.interest & READS != 0

    before = state()
    listener = cache.on("hit", print)
    assert state() == (True, True)
    listener.close()
    cache.on("removed", print)
    cache.on("set", print)
    assert state() == before


def test_an_error_in_a_listener_reaches_nobody(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", seen.append)
    cache.on("set", lambda key: None)
    assert cache.set("k", 1) is True
    assert [type(each.exc_value) for each in seen] == [TypeError]


@pytest.mark.parametrize("event", ["put", "HIT", "", None, 3])
def test_another_event_is_refused_with_those_that_there_are(cache: Cache, event: Any) -> None:
    with pytest.raises(CacheStormError, match="hit, miss, set, removed, invalidated, loaded"):
        cache.on(event, print)
    with pytest.raises(CacheStormError, match="hit, miss, set, removed, invalidated, loaded"):
        cache.on(event)


def test_what_cannot_be_called_is_refused(cache: Cache) -> None:
    with pytest.raises(TypeError, match="a listener is called"):
        cache.on("hit", 3)  # type: ignore[call-overload]


def test_the_repr_says_of_what_and_whether_still(cache: Cache) -> None:
    listener = cache.on("hit", print)
    assert repr(listener) == "<EventListener of 'hit' in 'default': print, open>"
    listener.close()
    assert repr(listener) == "<EventListener of 'hit' in 'default': print, closed>"


def test_in_aio_events_are_iterated(cache: Cache) -> None:
    async def main() -> list[tuple[str, str, object]]:
        told = []
        async with cache.aio.on("set", "removed", "invalidated") as events:
            await cache.aio.set("k", 1, tags=["t"])
            await cache.aio.get("k")
            await cache.aio.taglink("a", "t")
            await cache.aio.invalidate("t")
            cache.namespace("other").set("k", 2)
            async for effect in events:
                told.append((effect.event, effect.key, effect.value))
                if len(told) == 3:
                    break
        assert cache._store.effects.listenings == []
        return told

    assert asyncio.run(main()) == [
        ("set", "k", 1), ("invalidated", "t", None), ("invalidated", "k", 1),
    ]  # fmt: skip


def test_in_aio_no_event_or_another_is_refused(cache: Cache) -> None:
    with pytest.raises(CacheStormError, match="one event or more"):
        cache.aio.on()
    with pytest.raises(CacheStormError, match="not 'put'"):
        cache.aio.on("put")


def test_loads_can_be_listened_to_as_effects(cache: Cache) -> None:
    kinds: list[tuple[str, str]] = []
    cache.listen(lambda effect: kinds.append((effect.kind, effect.event)), Interest.LOADED)
    cache.get_or_set("k", lambda: 1)
    assert kinds == [("loaded", "loaded")]
