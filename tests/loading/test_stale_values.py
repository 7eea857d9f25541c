"""Values beyond their time: served stale, refreshed early, and in place of an error."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from scenes import Caller, Source, settled, until, waiting

from cachestorm import MISSING, Cache, ManualClock
from cachestorm.errors import InvalidTtlError
from cachestorm.loading import LoadTimeoutError, current_load
from cachestorm.loading.engine import loading_of


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock=clock)


async def _await(awaitable: Any) -> Any:
    return await awaitable


def test_a_stale_value_is_served_while_one_load_runs_in_the_background(
    cache: Cache, clock: ManualClock
) -> None:
    cache.get_or_set("k", lambda: "old", ttl=10, stale=60)
    clock.advance(20)
    source = Source("new")
    got = [cache.get_or_set("k", source, ttl=10, stale=60) for _ in range(5)]
    assert got == ["old"] * 5
    assert cache.get("k", MISSING) is MISSING
    source.let_go()
    until(lambda: cache.get("k") == "new")
    assert source.calls == 1
    settled(cache)


def test_a_stale_value_is_not_served_beyond_its_time(cache: Cache, clock: ManualClock) -> None:
    cache.get_or_set("k", lambda: "old", ttl=10, stale=60)
    clock.advance(70)
    assert cache.get_or_set("k", lambda: "new", ttl=10, stale=60) == "new"


def test_only_whoever_allows_stale_values_gets_one(cache: Cache, clock: ManualClock) -> None:
    cache.get_or_set("k", lambda: "old", ttl=10, stale=60)
    clock.advance(20)
    assert cache.get_or_set("k", lambda: "new") == "new"


@pytest.mark.parametrize("is_expired", [False, True])
@pytest.mark.parametrize(
    "event",
    [
        lambda cache: cache.delete("k"),
        lambda cache: cache.invalidate("t"),
        lambda cache: cache.flushdb(),
        lambda cache: cache.set("k", "x") and cache.delete("k"),
    ],
)
def test_what_was_deleted_or_invalidated_is_not_served_stale(
    cache: Cache, clock: ManualClock, event: Any, is_expired: bool
) -> None:
    cache.get_or_set("k", lambda: "old", ttl=10, stale=60, tags=["t"])
    if is_expired:
        clock.advance(20)
        cache.reap()
    event(cache)
    assert cache.get_or_set("k", lambda: "new", ttl=10, stale=60, tags=["t"]) == "new"
    settled(cache)


def test_a_soft_invalidation_leaves_a_value_to_serve(cache: Cache, clock: ManualClock) -> None:
    cache.get_or_set("k", lambda: "old", ttl=10, stale=60, tags=["t"])
    cache.invalidate("t", soft=True)
    assert cache.get("k", MISSING) is MISSING
    source = Source("new")
    assert cache.get_or_set("k", source, ttl=10, stale=60, tags=["t"]) == "old"
    source.let_go()
    until(lambda: cache.get("k") == "new")
    cache.invalidate("t", soft=True)
    clock.advance(70)
    assert cache.get_or_set("k", lambda: "newest", ttl=10, stale=60, tags=["t"]) == "newest"


def test_a_stale_value_stands_in_for_an_error(cache: Cache, clock: ManualClock) -> None:
    def fail() -> str:
        raise ValueError

    options: dict[str, Any] = {"ttl": 10, "stale_if_error": 60}
    cache.get_or_set("k", lambda: "old", **options)
    clock.advance(20)
    assert cache.get_or_set("k", fail, **options) == "old"
    clock.advance(60)
    with pytest.raises(ValueError):
        cache.get_or_set("k", fail, **options)
    settled(cache)


def test_all_who_wait_for_a_load_that_fails_get_the_stale_value(
    cache: Cache, clock: ManualClock
) -> None:
    options: dict[str, Any] = {"ttl": 10, "stale_if_error": 60}
    cache.get_or_set("k", lambda: "old", **options)
    clock.advance(20)
    source = Source(ValueError())
    callers = [Caller(lambda: cache.get_or_set("k", source, **options)) for _ in range(4)]
    plain = Caller(lambda: cache.get_or_set("k", source))
    until(lambda: waiting(cache, "k") == 4)
    source.let_go()
    got = [caller.error() for caller in callers]
    # whoever leads may be the one that allows no stale value: he alone hears of the error
    assert [error for error in got if error is not None] == []
    assert type(plain.error()) is ValueError


def test_a_source_that_fails_is_not_asked_again_before_the_throttle_has_passed(
    cache: Cache, clock: ManualClock
) -> None:
    source = Source(ValueError(), ValueError(), "new", is_open=True)
    options: dict[str, Any] = {"ttl": 10, "stale_if_error": 600, "throttle": 30}
    cache.get_or_set("k", lambda: "old", **options)
    clock.advance(20)
    got = [cache.get_or_set("k", source, **options) for _ in range(5)]
    assert (got, source.calls) == (["old"] * 5, 1)
    clock.advance(30)
    assert (cache.get_or_set("k", source, **options), source.calls) == ("old", 2)
    clock.advance(30)
    assert (cache.get_or_set("k", source, **options), source.calls) == ("new", 3)


def test_a_background_load_that_fails_is_throttled_too(
    cache: Cache, clock: ManualClock
) -> None:
    source = Source(ValueError(), is_open=True)
    options: dict[str, Any] = {"ttl": 10, "stale": 600, "throttle": 30}
    cache.get_or_set("k", lambda: "old", **options)
    clock.advance(20)
    for _ in range(3):
        assert cache.get_or_set("k", source, **options) == "old"
        settled(cache)
    assert source.calls == 1


def test_after_a_soft_timeout_the_stale_value_is_served_and_the_load_goes_on(
    cache: Cache, clock: ManualClock
) -> None:
    options: dict[str, Any] = {"ttl": 10, "stale_if_error": 60, "soft_timeout": 0.01}
    cache.get_or_set("k", lambda: "old", **options)
    clock.advance(20)
    source = Source("new")
    assert cache.get_or_set("k", source, **options) == "old"
    source.let_go()
    until(lambda: cache.get("k") == "new")
    settled(cache)


def test_without_a_stale_value_a_soft_timeout_waits(cache: Cache) -> None:
    source = Source("new")
    caller = Caller(lambda: cache.get_or_set("k", source, stale=60, soft_timeout=0.001))
    source.has_begun()
    until(lambda: waiting(cache, "k") == 1)
    source.let_go()
    assert caller.result() == "new"


def test_a_hard_timeout_serves_the_stale_value_before_it_raises(
    cache: Cache, clock: ManualClock
) -> None:
    options: dict[str, Any] = {"ttl": 10, "stale_if_error": 60, "timeout": 0.01}
    cache.get_or_set("k", lambda: "old", **options)
    clock.advance(20)
    source = Source("new")
    assert cache.get_or_set("k", source, **options) == "old"
    clock.advance(60)
    with pytest.raises(LoadTimeoutError):
        cache.get_or_set("k", source, **options)
    source.let_go()
    settled(cache)


def test_tasks_are_served_stale_while_a_task_loads_in_the_background(
    cache: Cache, clock: ManualClock
) -> None:
    async def main() -> list[Any]:
        go = asyncio.Event()

        async def load() -> str:
            await go.wait()
            return "new"

        options: dict[str, Any] = {"ttl": 10, "stale": 60}
        await cache.aget_or_set("k", lambda: "old", **options)
        clock.advance(20)
        got = [await cache.aget_or_set("k", load, **options) for _ in range(3)]
        go.set()
        while not cache.exists("k"):
            await asyncio.sleep(0)
        return [*got, cache.get("k")]

    assert asyncio.run(main()) == ["old", "old", "old", "new"]


def test_the_nearer_the_end_the_likelier_a_value_is_loaded_anew(
    cache: Cache, clock: ManualClock
) -> None:
    options: dict[str, Any] = {"ttl": 10, "early": 1.0}

    def slow() -> str:
        return "old"

    cache.get_or_set("k", slow, **options)
    loading = loading_of(cache)
    note = loading.notes.get("k")
    assert note is not None
    note.load_ms = 1000.0
    # ln(1/0.05) is about 3: three loads before the end
    loading.random = lambda: 0.95
    source = Source("new", is_open=True)
    clock.advance(6.9)
    assert cache.get_or_set("k", source, **options) == "old"
    assert source.calls == 0
    clock.advance(0.2)
    assert cache.get_or_set("k", source, **options) == "old"
    until(lambda: cache.get("k") == "new")
    assert source.calls == 1


def test_after_its_share_of_the_time_to_live_a_value_is_loaded_anew(
    cache: Cache, clock: ManualClock
) -> None:
    source = Source("new", is_open=True)
    options: dict[str, Any] = {"ttl": 10, "eager": 0.8}
    cache.get_or_set("k", lambda: "old", **options)
    clock.advance(7.9)
    assert (cache.get_or_set("k", source, **options), source.calls) == ("old", 0)
    clock.advance(0.2)
    assert cache.get_or_set("k", source, **options) == "old"
    until(lambda: cache.get("k") == "new")


def test_none_may_have_a_time_to_live_of_its_own(cache: Cache, clock: ManualClock) -> None:
    cache.get_or_set("k", lambda: None, ttl=60, negative_ttl=5)
    cache.get_or_set("l", lambda: 1, ttl=60, negative_ttl=5)
    assert (cache.ttl("k"), cache.ttl("l")) == (5.0, 60.0)


def test_an_error_may_be_kept_for_a_while(cache: Cache, clock: ManualClock) -> None:
    source = Source(KeyError("x"), "found", is_open=True)
    options: dict[str, Any] = {"cache_errors": KeyError, "negative_ttl": 5}
    for _ in range(3):
        with pytest.raises(KeyError):
            cache.get_or_set("k", source, **options)
    assert source.calls == 1
    clock.advance(5)
    assert cache.get_or_set("k", source, **options) == "found"


def test_an_error_that_is_kept_ends_when_the_key_is_deleted(cache: Cache) -> None:
    source = Source(KeyError("x"), "found", is_open=True)
    options: dict[str, Any] = {"cache_errors": [KeyError], "negative_ttl": None}
    with pytest.raises(KeyError):
        cache.get_or_set("k", source, **options)
    cache.delete("k")
    assert cache.get_or_set("k", source, **options) == "found"


@pytest.mark.parametrize(
    "name", ["ttl", "stale", "stale_if_error", "negative_ttl", "timeout", "soft_timeout"]
)
def test_a_span_that_is_none_is_refused_by_its_name(cache: Cache, name: str) -> None:
    options: dict[str, Any] = {"stale_if_error": 1, name: 0}
    with pytest.raises(InvalidTtlError, match=f"^{name} is a positive time, or None, not 0$"):
        cache.get_or_set("k", lambda: 1, **options)


def test_a_tag_given_later_takes_the_stale_value_along(
    cache: Cache, clock: ManualClock
) -> None:
    for key in ("k", "l"):
        cache.get_or_set(key, lambda: "old", ttl=10, tags=["first"], stale=60)
    cache.addtag("k", "late")
    cache.remtag("l", "first")
    cache.invalidate("late", "first")
    clock.advance(20)
    got = [cache.get_or_set(key, lambda: "new", ttl=10, stale=60) for key in ("k", "l")]
    assert got == ["new", "old"]
    until(lambda: cache.get("l") == "new")
    settled(cache)


def test_a_stale_value_is_not_shared_with_the_loader_where_values_are_copied(
    clock: ManualClock,
) -> None:
    cache = Cache(clock=clock, copy=True)
    made = ["old"]
    cache.get_or_set("k", lambda: made, ttl=10, stale=60)
    made.append("changed since")
    clock.advance(20)
    assert cache.get_or_set("k", lambda: ["new"], ttl=10, stale=60) == ["old"]
    until(lambda: cache.get("k") == ["new"])
    settled(cache)


def test_the_traceback_of_an_error_that_is_kept_does_not_grow() -> None:
    cache = Cache()

    def fail() -> None:
        raise KeyError("k")

    def depth() -> int:
        with pytest.raises(KeyError) as raised:
            cache.get_or_set("k", fail, cache_errors=KeyError, negative_ttl=60)
        return len(raised.traceback)

    depth()
    assert depth() == depth()


def test_an_error_of_another_class_is_not_kept(cache: Cache) -> None:
    source = Source(ValueError(), "found", is_open=True)
    with pytest.raises(ValueError):
        cache.get_or_set("k", source, cache_errors=KeyError, negative_ttl=5)
    assert cache.get_or_set("k", source, cache_errors=KeyError, negative_ttl=5) == "found"


def test_a_condition_says_what_is_kept(cache: Cache) -> None:
    assert cache.get_or_set("k", lambda: 0, cache_if=bool) == 0
    assert cache.get_or_set("l", lambda: 1, cache_if=bool) == 1
    assert cache.keys() == ["l"]


def test_a_condition_that_raises_reaches_all_and_leaves_nothing(cache: Cache) -> None:
    with pytest.raises(ZeroDivisionError):
        cache.get_or_set("k", lambda: 0, cache_if=lambda value: 1 // value > 0)
    assert cache.keys() == []
    settled(cache)


def test_a_loader_finds_what_it_has_marked_and_may_say_unchanged(
    cache: Cache, clock: ManualClock
) -> None:
    seen: list[Any] = []

    def load(context: Any) -> Any:
        seen.append((context.etag, context.stale_value))
        if context.etag == "v1":
            return context.unchanged()
        context.etag = "v1"
        context.add_tags("t")
        return "body"

    assert cache.get_or_set("k", load, ttl=10) == "body"
    clock.advance(15)
    assert cache.get_or_set("k", load, ttl=10) == "body"
    assert seen == [(None, MISSING), ("v1", "body")]
    assert (cache.ttl("k"), cache.tags("k")) == (10.0, ["t"])


def test_nothing_can_be_unchanged_before_the_first_load(cache: Cache) -> None:
    with pytest.raises(ValueError, match="no stale value"):
        cache.get_or_set("k", lambda context: context.unchanged())


def test_a_background_load_is_part_of_no_other(cache: Cache, clock: ManualClock) -> None:
    parents: list[Any] = []

    def load() -> str:
        context = current_load()
        assert context is not None
        parents.append(context.parent)
        return "part"

    cache.get_or_set("part", load, ttl=10, stale=60)
    clock.advance(20)
    cache.get_or_set("page", lambda: cache.get_or_set("part", load, ttl=10, stale=60))
    until(lambda: len(parents) == 2)
    assert parents == [None, None]


def test_notes_are_let_go_when_they_are_spent(cache: Cache, clock: ManualClock) -> None:
    for number in range(100):
        cache.get_or_set(f"k{number}", lambda: "v", ttl=10, stale=10, tags=["t"])
    assert len(loading_of(cache).notes) == 100
    clock.advance(30)
    for number in range(60):
        cache.get_or_set(f"l{number}", lambda: "v", ttl=10, stale=10)
    assert len(loading_of(cache).notes) == 60
    cache.flushdb()
    # what has happened is looked at when it matters
    loading_of(cache)._hear_all()
    assert len(loading_of(cache).notes) == 0
    cache.get_or_set("k", lambda: "v")
    settled(cache)


def test_what_is_evicted_is_not_served_stale() -> None:
    clock = ManualClock()
    cache = Cache(max_entries=5, clock=clock)
    for number in range(50):
        cache.get_or_set(f"k{number}", lambda: "v", ttl=10, stale=10)
    assert len(loading_of(cache).notes) == 5
    cache._check()


def test_a_refresh_that_finds_no_thread_leaves_the_stale_value(
    cache: Cache, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    cache.get_or_set("k", lambda: "old", ttl=10, stale=60)
    clock.advance(20)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert cache.get_or_set("k", lambda: "new", ttl=10, stale=60) == "old"
    assert cache.get_or_set("l", lambda: "mine", timeout=1) == "mine"
    settled(cache)
