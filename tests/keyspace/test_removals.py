"""Listeners to removals: each told once, in order, outside of the lock."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from cachestorm import Cache, Cause, Interest, ManualClock

Told = list[tuple[str, object, Cause]]


def heard(cache: Cache, causes: set[Cause] | None = None) -> Told:
    """What a listener to this cache is told, as it comes."""
    told: Told = []
    cache.on_removed(lambda key, value, cause: told.append((key, value, cause)), causes)
    return told


def test_every_cause_is_told_with_key_and_value() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock, max_entries=3)
    told = heard(cache)
    cache.set("a", {"an": "object"})
    cache.set("a", 2)
    cache.delete("a")
    cache.set("b", 3, ttl=1)
    clock.advance(2)
    assert cache.exists("b") == 0
    cache.set("c", 4, tags=["t"])
    cache.invalidate("t")
    cache.rpush("d", 1)
    cache.lpop("d")
    cache.set("e", 5)
    cache.rename("e", "f")
    cache.flushdb()
    assert told == [
        ("a", {"an": "object"}, Cause.REPLACED),
        ("a", 2, Cause.DELETED),
        ("b", 3, Cause.EXPIRED),
        ("c", 4, Cause.INVALIDATED),
        ("d", None, Cause.EMPTIED),
        ("f", 5, Cause.FLUSHED),
    ]
    for number in range(5):
        cache.set(f"k{number}", number)
    assert len(told) == 8 and told[-1][2] is Cause.EVICTED


def test_only_the_causes_and_the_namespace_that_were_asked_for() -> None:
    cache = Cache()
    other = cache.namespace("other")
    told = heard(other, {Cause.DELETED, Cause.INVALIDATED})
    for each in (cache, other):
        each.set("a", 1)
        each.set("a", 2, tags=["t"])
        each.invalidate("t")
        each.set("b", 3)
        each.delete("b")
        each.set("c", 4)
        each.flushdb()
    assert told == [("a", 2, Cause.INVALIDATED), ("b", 3, Cause.DELETED)]
    assert other._space.interest & Interest.FLUSHED == 0


def test_a_dead_key_is_flushed_for_what_it_died_of() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    told = heard(cache)
    cache.set("a", 1, ttl=1)
    cache.set("b", 2)
    clock.advance(2)
    cache.flushdb()
    assert sorted(told) == [("a", 1, Cause.EXPIRED), ("b", 2, Cause.FLUSHED)]


def test_a_listener_may_use_the_cache_and_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache()
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)

    @cache.on_removed
    def listener(key: str, value: object, cause: Cause) -> None:
        cache.set("last", key)
        raise RuntimeError("no")

    told = heard(cache)
    cache.set("a", 1)
    cache.delete("a")
    assert cache.get("last") == "a"
    assert told == [("a", 1, Cause.DELETED)]
    assert len(reported) == 1
    cache.unlisten(listener)
    cache.delete("last")
    assert len(reported) == 1
    cache._check()


def test_the_interpreters_own_hook_is_not_harmed_by_a_listener_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    cache = Cache()

    @cache.on_removed
    def listener(key: str, value: object, cause: Cause) -> None:
        raise RuntimeError("no such luck")

    told = heard(cache)
    cache.set("a", 1)
    assert cache.delete("a") == 1
    assert told == [("a", 1, Cause.DELETED)]
    assert "no such luck" in capsys.readouterr().err


def test_a_hook_that_raises_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def hook(unraisable: object) -> None:
        raise RuntimeError("the hook as well")

    monkeypatch.setattr(sys, "unraisablehook", hook)
    cache = Cache()
    cache.on_removed(lambda key, value, cause: 1 // 0)
    told = heard(cache)
    cache.set("a", 1)
    assert cache.delete("a") == 1
    assert told == [("a", 1, Cause.DELETED)]


def test_a_bound_method_is_taken_away_again() -> None:
    class Teller:
        def __init__(self) -> None:
            self.told: list[str] = []

        def tell(self, key: str, value: object, cause: Cause) -> None:
            self.told.append(key)

    cache = Cache()
    one, other = Teller(), Teller()
    cache.on_removed(one.tell)
    cache.on_removed(other.tell)
    cache.unlisten(one.tell)
    cache.set("a", 1)
    cache.delete("a")
    assert one.told == []
    assert other.told == ["a"]


def test_a_listener_is_given_no_container_and_no_box_of_the_store() -> None:
    cache = Cache()
    told: list[object] = []
    cache.listen(lambda effect: told.append((effect.kind, effect.value)))
    cache.rpush("list", "a")
    cache.rpush("list", "b")
    cache.hset("hash", "f", "v")
    cache.set("object", {"name": "Ada"})
    cache.set("text", "t")
    assert [
        *[("put", None), ("changed", None), ("put", None)],
        *[("put", {"name": "Ada"}), ("put", "t")],
    ] == told
