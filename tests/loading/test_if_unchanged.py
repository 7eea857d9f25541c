"""A write with `if_unchanged` writes nothing that was outdated since its version was taken."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
from test_invalidation_beats_load import EVENTS, OTHERS

from cachestorm import MISSING, Cache, ManualClock
from cachestorm.errors import ArgumentError, ExcludingOptionsError, TagError
from cachestorm.loading import flight_log
from cachestorm.loading.engine import loading_of


def prepared() -> Cache:
    cache = Cache()
    cache.taglink("p", "t")
    return cache


def is_listening(cache: Cache) -> bool:
    return loading_of(cache).log.is_listening


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize("tags", [["t"], []], ids=["tags known", "tags of the value"])
@pytest.mark.parametrize("is_there", [True, False], ids=["key there", "key missing"])
def test_what_happens_to_the_key_or_its_tags_meanwhile_refuses_the_write(
    event: Callable[[Cache], Any], tags: list[str], is_there: bool
) -> None:
    cache = prepared()
    if is_there and event is not EVENTS["another type"]:
        cache.set("k", "before", tags=["t"])
    version = cache.version(tags=tags)
    event(cache)
    after = cache.get("k", MISSING) if cache.type("k") != "list" else "a list"
    assert cache.set("k", "old", tags=["t"], if_unchanged=version) is False
    if cache.type("k") != "list":
        assert cache.get("k", MISSING) == after
    cache._store._check()


@pytest.mark.parametrize("event", OTHERS.values(), ids=OTHERS)
def test_what_happens_elsewhere_refuses_nothing(event: Callable[[Cache], Any]) -> None:
    cache = prepared()
    version = cache.version(tags=["t"])
    event(cache)
    assert cache.set("k", "new", tags=["t"], if_unchanged=version) is True
    assert cache.get("k") == "new"
    assert cache.tags("k") == ["t"]


def test_deleting_a_namespace_refuses_the_write() -> None:
    cache = Cache()
    view = cache.namespace("n")
    view.set("other", 1)
    version = view.version()
    cache.namespacedel("n")
    assert view.set("k", "old", if_unchanged=version) is False


def test_an_invalidation_of_a_tag_without_keys_refuses_the_write() -> None:
    cache = Cache()
    version = cache.version()
    assert cache.invalidate("t") == 0
    assert cache.set("k", "old", tags=["t"], if_unchanged=version) is False
    assert cache.set("k", "old", tags=["u"], if_unchanged=version) is True


def test_expiry_of_the_former_value_is_no_change() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    cache.set("k", "before", ttl=1)
    version = cache.version()
    clock.advance(2)
    assert cache.get("k") is None
    assert cache.set("k", "new", if_unchanged=version) is True


@pytest.mark.parametrize("argv", [("EXPIRE", "k", -1), ("PEXPIREAT", "k", 1)], ids=str)
def test_a_deadline_in_the_past_is_a_deletion(argv: tuple[object, ...]) -> None:
    cache = Cache()
    cache.set("k", "before")
    version = cache.version()
    cache.execute(*argv)
    assert cache.set("k", "old", if_unchanged=version) is False


@pytest.mark.parametrize(
    "event",
    [
        lambda cache: cache.rename("k", "x"),
        lambda cache: cache.move("k", 1),
        lambda cache: cache.copy("other", "k", replace=True),
        lambda cache: cache.append("k", b"x"),
    ],
    ids=["rename", "move", "copy", "append"],
)
def test_so_is_whatever_puts_another_value_or_none_in_its_place(
    event: Callable[[Cache], Any],
) -> None:
    cache = Cache()
    cache.mset({"k": b"before", "other": 1})
    version = cache.version()
    event(cache)
    assert cache.set("k", "old", if_unchanged=version) is False


@pytest.mark.parametrize(
    "event",
    [
        lambda cache: cache.get("k"),
        lambda cache: cache.expire("k", 10),
        lambda cache: cache.addtag("k", "u"),
        lambda cache: cache.invalidate("t", dry_run=True),
    ],
    ids=["get", "expire", "addtag", "dry run"],
)
def test_what_leaves_the_value_as_it_is_refuses_nothing(event: Callable[[Cache], Any]) -> None:
    cache = Cache()
    cache.set("k", b"before", tags=["t"])
    version = cache.version(tags=["t"])
    event(cache)
    assert cache.set("k", "new", if_unchanged=version) is True


def test_a_version_is_good_for_many_keys_and_one_write_to_each() -> None:
    cache = Cache()
    version = cache.version()
    assert cache.set("a", 1, if_unchanged=version) is True
    assert cache.set("b", 1, if_unchanged=version) is True
    assert cache.set("a", 2, if_unchanged=version) is False
    assert cache.mget(["a", "b"]) == [1, 1]


def test_the_other_options_of_set_hold_as_well() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    cache.set("k", "before", ttl=50)
    assert cache.set("k", "new", nx=True, if_unchanged=cache.version()) is False
    assert cache.set("x", "new", xx=True, if_unchanged=cache.version()) is False
    assert cache.set("k", "new", keepttl=True, if_unchanged=cache.version()) is True
    assert cache.ttl("k") == 50
    assert cache.set("k", {"a": 1}, ttl=7, if_unchanged=cache.version()) is True
    assert (cache.get("k"), cache.ttl("k")) == ({"a": 1}, 7)
    with pytest.raises(ExcludingOptionsError, match="get=True and if_unchanged"):
        cache.set("k", "new", get=True, if_unchanged=cache.version())


def test_so_it_is_awaited() -> None:
    async def overtaken() -> list[object]:
        cache = Cache().aio
        done = []
        for is_invalidated in (False, True):
            version = await cache.version(tags=["t"])
            if is_invalidated:
                await cache.invalidate("t")
            done.append(await cache.set("k", is_invalidated, if_unchanged=version))
        return [*done, await cache.get("k")]

    assert asyncio.run(overtaken()) == [True, False, False]


def test_only_a_version_of_the_same_namespace_will_do() -> None:
    cache = Cache()
    with pytest.raises(ArgumentError, match=r"another cache or namespace \('n'\)"):
        cache.set("k", 1, if_unchanged=cache.namespace("n").version())
    with pytest.raises(ArgumentError, match="another cache"):
        cache.set("k", 1, if_unchanged=Cache().version())
    with pytest.raises(TypeError, match=r"what version\(\) has given, not 7"):
        cache.set("k", 1, if_unchanged=7)
    with pytest.raises(TagError):
        cache.version(tags=[""])
    assert cache.exists("k") == 0
    assert not is_listening(cache)


def test_nothing_is_noted_once_no_version_is_left() -> None:
    cache = Cache()
    version = cache.version()
    other = cache.version()
    assert is_listening(cache)
    del version
    gc.collect()
    assert is_listening(cache)
    del other
    gc.collect()
    assert not is_listening(cache)
    assert cache._space.interest == 0


def test_more_changes_than_are_noted_refuse_the_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight_log, "MOST_EVENTS", 10)
    cache = Cache()
    early = cache.version()
    for number in range(11):
        cache.set(f"other:{number}", 1)
    late = cache.version()
    assert cache.set("k", "old", if_unchanged=early) is False
    assert cache.set("k", "new", if_unchanged=late) is True


def test_a_version_taken_just_after_the_log_was_put_to_rest_misses_nothing() -> None:
    cache = Cache()
    version = cache.version()
    log = loading_of(cache).log
    # as another thread does whose flight was the last, between two steps of this one
    cache._store.untap(log._tap)
    log._is_listening = False
    assert cache.set("k", "fine", if_unchanged=version) is True
    assert cache.set("l", "old", if_unchanged=version) is False


def test_a_version_is_neither_copied_nor_pickled() -> None:
    version = Cache().version()
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            attempt(version)
    assert repr(version) == "<version 0 of namespace 'default'>"


def test_threads_that_read_by_hand_leave_nothing_outdated_behind() -> None:
    cache = Cache()
    source = 0
    is_over = threading.Event()

    def read_through() -> None:
        while not is_over.is_set():
            version = cache.version(tags=["t"])
            value = source
            cache.set("k", value, tags=["t"], if_unchanged=version)

    threads = [threading.Thread(target=read_through) for _ in range(3)]
    for thread in threads:
        thread.start()
    found = []
    for number in range(1, 300):
        source = number
        cache.invalidate("t")
        seen = cache.get("k")
        found.append(seen is None or seen == number)
    is_over.set()
    for thread in threads:
        thread.join()
    assert all(found)
    cache._store._check()
