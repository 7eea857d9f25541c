"""Effects: what a listener is told, and what it costs whoever did not ask."""

from __future__ import annotations

import gc

import pytest

from cachestorm import Cache, Cause, Effect, Interest, ManualClock
from cachestorm.keyspace.latch import COMPILED

Told = list[tuple[str, str, str]]


def heard(cache: Cache, interest: int = Interest.CHANGES) -> Told:
    """What a listener of all namespaces is told, as it comes: kind, event and key."""
    told: Told = []
    cache.listen(lambda effect: told.append((effect.kind, effect.event, effect.key)), interest)
    return told


def effects(cache: Cache, interest: int) -> list[Effect]:
    told: list[Effect] = []
    cache.listen(told.append, interest)
    return told


def test_how_the_state_changed_and_what_it_is_called() -> None:
    cache = Cache()
    told = heard(cache)
    cache.rpush("list", 1)
    cache.rpush("list", 2)
    cache.lpop("list", 2)
    cache.set("k", 1, ttl=5)
    cache.persist("k")
    cache.addtag("k", "t")
    cache.taglink("t", "below")
    cache.invalidate("t")
    cache.flushdb()
    assert told == [
        ("put", "rpush", "list"),
        ("changed", "rpush", "list"),
        ("changed", "lpop", "list"),
        ("removed", "del", "list"),
        ("put", "set", "k"),
        ("expiry", "expire", "k"),
        ("expiry", "persist", "k"),
        ("tags", "tags", "k"),
        ("tag", "linked", "t"),
        ("tag", "invalidated", "t"),
        ("removed", "invalidated", "k"),
        ("space", "flushed", ""),
    ]


def test_an_effect_has_the_version_of_the_entry_that_it_is_about() -> None:
    cache = Cache()
    told = effects(cache, Interest.PUT | Interest.CHANGED | Interest.EXPIRY | Interest.TAGS)
    for work in (
        lambda: cache.set("k", 1),
        lambda: cache.set("k", 2, ttl=5),
        lambda: cache.incr("k"),
        lambda: cache.expire("k", 9),
        lambda: cache.addtag("k", "t"),
        lambda: cache.remtag("k", "t"),
    ):
        told.clear()
        work()
        assert told[-1].version == cache._space.entries["k"].version


def test_an_effect_tells_deadline_and_tags_and_is_readable() -> None:
    clock = ManualClock(1_000)
    cache = Cache(clock=clock)
    told = effects(cache, Interest.PUT | Interest.VALUES)
    cache.set("k", "v", ttl=5, tags=["a", "b"])
    assert (told[0].expires_at_ms, told[0].tags, told[0].value) == (6_000, ("a", "b"), "v")
    assert repr(told[0]) == (
        f"<Effect {told[0].version} put set default:'k' value='v' expires_at_ms=6000 "
        "tags=('a', 'b')>"
    )


def test_nothing_is_recorded_that_nobody_asked_for() -> None:
    cache = Cache()
    other = cache.namespace("other")
    told = heard(other, Interest.DELETED)
    other.on_removed(lambda key, value, cause: None, [Cause.EXPIRED])
    assert cache._space.interest == Interest.DELETED
    cache.set("k", 1)
    cache.incr("k")
    cache.expire("k", 5)
    cache.set("k", 1, tags=["t"])
    cache.invalidate("t")
    cache.get("k")
    assert cache._store.effects._queued_bytes == 0
    cache.set("k", 1)
    cache.delete("k")
    assert told == [("removed", "del", "k")]


def test_a_listener_of_one_namespace_costs_the_others_nothing() -> None:
    cache = Cache()
    other = cache.namespace("other")
    told: list[str] = []
    cache.listen(lambda effect: told.append(effect.key), namespace="later")
    later = cache.namespace("later")
    later.set("k", 1)
    cache.set("not told", 1)
    assert told == ["k"]
    assert (cache._space.interest, other._space.interest) == (0, 0)


def test_values_are_copied_for_those_only_who_asked_for_them() -> None:
    cache = Cache()
    cache.set("k", bytes(10_000))
    cache.setbit("k", 0, 1)
    without = effects(cache, Interest.CHANGED)
    cache.on_removed(lambda key, value, cause: None)
    cache.setbit("k", 1, 1)
    assert [(effect.event, effect.value) for effect in without] == [("setbit", None)]
    with_values = effects(cache, Interest.CHANGED | Interest.VALUES)
    cache.setbit("k", 2, 1)
    assert [effect.value for effect in with_values] == [b"\xe0" + bytes(9_999)]


def test_hits_misses_and_new_keys_are_told_when_asked_for() -> None:
    cache = Cache()
    told = heard(cache, Interest.READS | Interest.NEW)
    cache.get("k")
    cache.set("k", 1)
    cache.get("k")
    cache.set("k", 2)
    cache.exists("k")
    cache.strlen("k")
    assert told == [
        ("miss", "keymiss", "k"),
        ("new", "new", "k"),
        ("hit", "hit", "k"),
        ("hit", "hit", "k"),
    ]


def test_what_leaves_tells_its_cause_and_a_rename_leaves_its_value() -> None:
    cache = Cache()
    value = object()
    gone: list[tuple[str, Cause]] = []
    every: list[tuple[str, Cause]] = []
    cache.on_removed(lambda key, value, cause: gone.append((key, cause)))
    cache.on_removed(lambda key, value, cause: every.append((key, cause)), list(Cause))
    cache.set("k", value)
    cache.set("k", value)
    cache.rename("k", "other")
    cache.set("other", object())
    assert gone == [("other", Cause.REPLACED)]
    assert every == [("k", Cause.RENAMED), ("other", Cause.REPLACED)]


def test_settings_of_a_namespace_are_told() -> None:
    cache = Cache()
    told = effects(cache, Interest.SPACE)
    cache.namespace("n", default_ttl=5, max_memory="1mb")
    cache.namespace("n", default_ttl=5)
    cache.namespacedel("n")
    settings = [(effect.event, effect.namespace, effect.value) for effect in told]
    assert settings == [
        ("settings", "n", {"default_ttl_ms": 5000, "max_memory": 1 << 20}),
        ("flushed", "n", None),
        ("settings", "n", {"default_ttl_ms": 0, "max_memory": 0}),
    ]


def test_a_flush_is_told_once_unless_each_key_is_asked_for() -> None:
    cache = Cache()
    once = heard(cache)
    cache.mset({"a": 1, "b": 2})
    del once[:]
    cache.flushdb()
    assert once == [("space", "flushed", "")]
    each = heard(cache, Interest.FLUSHED)
    cache.mset({"a": 1, "b": 2})
    cache.flushdb()
    assert sorted(each) == [("removed", "flushed", "a"), ("removed", "flushed", "b")]


def test_an_effect_is_not_tracked_by_the_garbage_collector() -> None:
    cache = Cache()
    told = effects(cache, Interest.CHANGES | Interest.VALUES)
    cache.set("k", 1)
    assert gc.is_tracked(told[0]) is not COMPILED


def test_what_is_no_listener_is_refused() -> None:
    with pytest.raises(TypeError, match="a listener is called"):
        Cache().listen(3)  # type: ignore[arg-type]


def test_each_kind_that_a_listener_may_ask_for_is_told_by_something() -> None:
    cache, told = Cache(), set[int]()
    everything = ~Interest(0)
    cache.listen(lambda effect: told.add(effect.interest), everything)
    cache.get("missing")
    cache.delete("missing")
    cache.get_or_set("key", lambda: 1)
    cache.get("key")
    cache.expire("key", 60)
    cache.addtag("key", "tag")
    cache.incr("key")
    cache.invalidate("tag")
    cache.flushall()
    # these two say what an effect holds
    kinds = everything & ~(Interest.REMOVED | Interest.VALUES | Interest.DELTAS)
    assert [kind.name for kind in kinds if kind not in told] == []
