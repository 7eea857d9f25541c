"""A value that was read before its key or one of its tags changed is not left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from scenes import PATIENCE_S, Caller, Source, settled, until, waiting

from cachestorm import MISSING, Cache
from cachestorm.loading import current_load
from cachestorm.loading.engine import loading_of

EVENTS: dict[str, Callable[[Cache], Any]] = {
    "delete": lambda cache: cache.delete("k"),
    "pop": lambda cache: cache.pop("k", None),
    "unlink": lambda cache: cache.execute("UNLINK", "k"),
    "set": lambda cache: cache.set("k", "theirs"),
    "invalidate": lambda cache: cache.invalidate("t"),
    "invalidate, soft": lambda cache: cache.invalidate("t", soft=True),
    "invalidate a parent": lambda cache: cache.invalidate("p", cascade=True),
    "flush": lambda cache: cache.flushdb(),
    "flush all": lambda cache: cache.flushall(),
    "swap": lambda cache: cache.swapdb(0, 1),
    "swap back": lambda cache: cache.swapdb(1, 0),
    "rename over it": lambda cache: (cache.set("x", "theirs"), cache.rename("x", "k")),
    "another type": lambda cache: cache.rpush("k", "theirs"),
}


def links(cache: Cache) -> None:
    cache.taglink("p", "t")


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize("tags", [["t"], lambda value: ["t"]], ids=["known", "of the value"])
def test_what_happens_to_the_key_or_its_tags_during_a_load_wins(
    event: Callable[[Cache], Any], tags: Any
) -> None:
    cache, source = Cache(), Source("old")
    links(cache)
    caller = Caller(lambda: cache.get_or_set("k", source, tags=tags))
    source.has_begun()
    event(cache)
    source.let_go()
    assert caller.result() == "old"
    assert cache.type("k") in ("none", "string", "list")
    if cache.type("k") == "string":
        assert cache.get("k") == "theirs"
    settled(cache)


OTHERS: dict[str, Callable[[Cache], Any]] = {
    "another key": lambda cache: cache.delete("other"),
    "another tag": lambda cache: cache.invalidate("u"),
    "a tag of another namespace": lambda cache: cache.namespace("n").invalidate("t"),
    "a key of another namespace": lambda cache: cache.namespace("n").set("k", 1),
    "another namespace is flushed": lambda cache: cache.namespace("n").flushdb(),
    "a parent without its children": lambda cache: cache.invalidate("p"),
    "reading": lambda cache: cache.get("k"),
}


@pytest.mark.parametrize("event", OTHERS.values(), ids=OTHERS)
def test_what_concerns_others_does_not(event: Callable[[Cache], Any]) -> None:
    cache, source = Cache(), Source("new")
    links(cache)
    caller = Caller(lambda: cache.get_or_set("k", source, tags=["t"]))
    source.has_begun()
    event(cache)
    source.let_go()
    assert (caller.result(), cache.get("k")) == ("new", "new")
    settled(cache)


def test_an_invalidation_just_before_the_load_does_not_hinder_it() -> None:
    cache = Cache()
    cache.set("k", "old", tags=["t"])
    cache.invalidate("t")
    assert cache.get_or_set("k", lambda: "new", tags=["t"]) == "new"
    assert cache.get("k") == "new"


def test_whoever_asks_after_the_invalidation_does_not_get_the_value_of_before() -> None:
    cache, source = Cache(), Source("old")
    early = Caller(lambda: cache.get_or_set("k", source, tags=["t"]))
    source.has_begun()
    cache.invalidate("t")
    assert cache.get_or_set("k", lambda: "new", tags=["t"]) == "new"
    source.let_go()
    assert (early.result(), cache.get("k")) == ("old", "new")
    settled(cache)


def test_whoever_joined_after_an_invalidation_of_a_tag_that_nobody_knew_asks_again() -> None:
    cache, source = Cache(), Source("old", "new")
    first = Caller(lambda: cache.get_or_set("k", source, tags=lambda value: ["t"]))
    source.has_begun()
    cache.invalidate("t")
    second = Caller(lambda: cache.get_or_set("k", source, tags=lambda value: ["t"]))
    until(lambda: waiting(cache, "k") == 1)
    source.let_go()
    assert (first.result(), second.result()) == ("old", "new")
    assert cache.get("k") == "new"
    settled(cache)


def test_whoever_joined_before_the_invalidation_may_get_the_value_of_before() -> None:
    cache, source = Cache(), Source("old", "new")
    first = Caller(lambda: cache.get_or_set("k", source, tags=["t"]))
    source.has_begun()
    second = Caller(lambda: cache.get_or_set("k", source, tags=["t"]))
    until(lambda: waiting(cache, "k") == 1)
    cache.invalidate("t")
    source.let_go()
    assert (first.result(), second.result(), source.calls) == ("old", "old", 1)
    assert cache.get("k", MISSING) is MISSING


def test_a_loader_that_deletes_its_own_key_or_invalidates_its_own_tag_keeps_nothing() -> None:
    cache = Cache()
    assert cache.get_or_set("k", lambda: cache.delete("k")) == 0
    assert cache.get_or_set("k", lambda: cache.invalidate("t"), tags=["t"]) == 0
    assert cache.keys() == []
    settled(cache)


def test_a_loader_that_sets_its_own_key_is_not_written_over() -> None:
    cache = Cache()
    assert cache.get_or_set("k", lambda: cache.set("k", "inner")) is True
    assert cache.get("k") == "inner"


def test_an_invalidation_that_another_thread_has_yet_to_tell_still_wins() -> None:
    cache, source = Cache(), Source("old")
    stuck, go = threading.Event(), threading.Event()

    def slow(effect: object) -> None:
        stuck.set()
        assert go.wait(PATIENCE_S)

    caller = Caller(lambda: cache.get_or_set("k", source, tags=["t"]))
    source.has_begun()
    cache.listen(slow)
    other = Caller(lambda: cache.set("unrelated", 1))
    assert stuck.wait(PATIENCE_S)
    # this one waits in the queue behind the other, whose listener does not come back
    before = cache._store.sequence
    late = Caller(lambda: cache.invalidate("t"))
    until(lambda: cache._store.sequence > before)
    source.let_go()
    assert caller.result() == "old"
    assert cache.get("k", MISSING) is MISSING
    go.set()
    other.result()
    late.result()
    cache.unlisten(slow)
    settled(cache)


def test_a_log_that_is_full_lets_no_old_load_land() -> None:
    cache, source = Cache(), Source("old")
    caller = Caller(lambda: cache.get_or_set("k", source, tags=lambda value: ["t"]))
    source.has_begun()
    cache.invalidate("t")
    for number in range(5000):
        cache.invalidate(f"other {number}")
    source.let_go()
    assert caller.result() == "old"
    assert cache.get("k", MISSING) is MISSING
    settled(cache)


def test_threads_that_load_and_invalidate_at_random_leave_nothing_outdated() -> None:
    cache, source, told = Cache(), {"v": 0}, {"v": 0}
    is_over = threading.Event()

    def ask() -> int:
        asked = 0
        while not is_over.is_set():
            before = told["v"]
            got = cache.get_or_set("k", lambda: source["v"], tags=["t"])
            assert got >= before
            asked += 1
        return asked

    callers = [Caller(ask) for _ in range(3)]
    for number in range(1, 300):
        source["v"] = number
        if number % 3:
            cache.invalidate("t")
        else:
            cache.delete("k")
        told["v"] = number
    is_over.set()
    assert all(caller.result() > 0 for caller in callers)
    assert cache.get("k", 299) == 299
    settled(cache)


# -- tags of parts


def test_tags_of_parts_reach_the_whole() -> None:
    cache = Cache()

    def fragment() -> str:
        return cache.get_or_set("fragment", lambda: "f", tags=["author"])

    def page() -> str:
        return cache.get_or_set("page", lambda: f"<{fragment()}>", tags=["page"])

    assert page() == "<f>"
    assert cache.tags("page") == ["page", "author"]
    cache.delete("page")
    # from a hit as well
    assert page() == "<f>"
    assert cache.tags("page") == ["page", "author"]
    assert cache.invalidate("author") == 2


def test_tags_of_parts_stay_behind_on_request() -> None:
    cache = Cache()

    def page() -> str:
        return cache.get_or_set("part", lambda: "f", tags=["author"], propagate=False)

    cache.get_or_set("page", page)
    cache.delete("page")
    cache.get_or_set("page", page)
    assert cache.tags("page") == []


def test_tags_of_another_namespace_stay_there() -> None:
    cache = Cache()
    other = cache.namespace("n")
    cache.get_or_set("page", lambda: other.get_or_set("part", lambda: 1, tags=["t"]))
    assert cache.tags("page") == []


def test_an_invalidation_of_a_part_during_the_load_of_the_whole_wins() -> None:
    cache, source = Cache(), Source("tail")

    def page() -> str:
        part = cache.get_or_set("part", lambda: "old", tags=["author"])
        return str(part) + source()

    caller = Caller(lambda: cache.get_or_set("page", page))
    source.has_begun()
    cache.invalidate("author")
    source.let_go()
    assert caller.result() == "oldtail"
    assert cache.exists("page", "part") == 0
    settled(cache)


def test_tags_reach_the_whole_from_a_part_that_another_thread_loads() -> None:
    cache, source = Cache(), Source("part")
    part = Caller(lambda: cache.get_or_set("part", source, tags=["author"]))
    source.has_begun()
    page = Caller(
        lambda: cache.get_or_set("page", lambda: cache.get_or_set("part", lambda: "mine"))
    )
    until(lambda: waiting(cache, "part") == 1)
    source.let_go()
    assert (part.result(), page.result()) == ("part", "part")
    assert cache.tags("page") == ["author"]


# -- what a loader may say


def test_a_loader_may_set_tags_and_time_to_live_from_what_it_finds() -> None:
    cache = Cache()

    def load(context: Any) -> str:
        context.ttl = 30
        context.add_tags("found")
        return context.key

    assert cache.get_or_set("k", load, ttl=5, tags=["given"]) == "k"
    assert cache.tags("k") == ["given", "found"]
    assert cache.pttl("k") > 5000


def test_a_loader_may_say_that_its_value_is_not_to_be_kept() -> None:
    cache = Cache()

    def load() -> str:
        context = current_load()
        assert context is not None
        context.keep = False
        return "once"

    assert cache.get_or_set("k", load) == "once"
    assert cache.keys() == []
    assert current_load() is None
    settled(cache)


def test_the_end_of_the_log_leaves_no_listener() -> None:
    cache = Cache()
    with pytest.raises(ValueError):
        cache.get_or_set("k", lambda: cache.incr("k") and int("x"))
    loading = loading_of(cache)
    assert (loading.log.is_listening, cache._store.effects.taps) == (False, [])
