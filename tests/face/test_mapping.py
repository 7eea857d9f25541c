"""A cache as a mapping, and what takes many keys."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace

import pytest

from cachestorm import MISSING, Cache, CacheStormError, ManualClock
from cachestorm.errors import OutOfMemoryError, TagError, WrongTypeError


@pytest.fixture
def cache() -> Cache:
    return Cache(clock=ManualClock())


def test_a_cache_is_a_mutable_mapping(cache: Cache) -> None:
    assert isinstance(cache, MutableMapping)
    missing = [
        name for name in dir(MutableMapping) if name[0] != "_" and not hasattr(cache, name)
    ]
    assert missing == []


def test_pop_gives_the_value_and_deletes_the_key(cache: Cache) -> None:
    cache["k"] = None
    assert cache.pop("k") is None
    assert "k" not in cache
    assert cache.pop("k", 3) == 3
    with pytest.raises(KeyError):
        cache.pop("k")


def test_pop_of_a_container_changes_nothing(cache: Cache) -> None:
    cache.rpush("l", "a")
    with pytest.raises(WrongTypeError):
        cache.pop("l", None)
    assert cache.lrange("l", 0, -1) == ["a"]


def test_popitem_takes_keys_until_there_is_none(cache: Cache) -> None:
    cache.update(a=1, b=2)
    assert sorted([cache.popitem(), cache.popitem()]) == [("a", 1), ("b", 2)]
    with pytest.raises(KeyError):
        cache.popitem()


def test_setdefault_keeps_what_is_there(cache: Cache) -> None:
    assert cache.setdefault("k", 1, 60, tags=["t"]) == 1
    assert cache.setdefault("k", 2, tags=["other"]) == 1
    assert (cache.ttl("k"), cache.tags("k")) == (60, ["t"])
    cache["none"] = None
    assert cache.setdefault("none", 2) is None


def test_add_writes_only_a_missing_key(cache: Cache) -> None:
    assert cache.add("k", 1, 60, tags=["t"]) is True
    assert cache.add("k", 2) is False
    assert (cache["k"], cache.ttl("k"), cache.tags("k")) == (1, 60, ["t"])


def test_update_takes_what_dict_takes(cache: Cache) -> None:
    cache.update({"a": 1}, b=2)
    cache.update([("c", 3)])
    assert dict(cache) == {"a": 1, "b": 2, "c": 3}


def test_walks_leave_containers_out_and_are_no_access(cache: Cache) -> None:
    cache.update({str(number): number for number in range(1000)})
    cache.rpush("l", "a")
    before = cache.stats()
    assert sorted(cache.values()) == list(range(1000))
    assert dict(cache.items()) == {str(number): number for number in range(1000)}
    assert cache.stats() == before


def test_a_walk_goes_on_while_keys_come_and_go(cache: Cache) -> None:
    cache.update({str(number): number for number in range(1000)})
    seen = []
    for key, _ in cache.items():
        seen.append(key)
        cache.delete(key)
        cache.set(f"new {key}", 0)
    assert sorted(seen) == sorted(str(number) for number in range(1000))


def test_clear_empties_one_namespace_and_flushall_all(cache: Cache) -> None:
    blog = cache.namespace("blog")
    blog["k"] = cache["k"] = 1
    blog.clear()
    assert (len(blog), len(cache)) == (0, 1)
    blog.flushall()
    assert len(cache) == 0


def test_stats_of_a_view_are_of_its_namespace(cache: Cache) -> None:
    blog = cache.namespace("blog", max_memory="1mb")
    blog.set("k", 1, ttl=60, tags=["t"])
    blog.get("k")
    cache.get("k")
    stats = blog.stats()
    assert stats.used_memory > 0
    assert replace(stats, used_memory=0).as_dict() == {
        "keys": 1,
        "expires": 1,
        "tags": 1,
        "hits": 1,
        "misses": 0,
        "sets": 1,
        "expired": 0,
        "evicted": 0,
        "invalidated": 0,
        "used_memory": 0,
        "max_memory": 1 << 20,
    }
    assert cache.stats().misses == 1
    assert (cache.store_stats().keys, cache.store_stats().misses) == (1, 1)


def test_get_many_gives_what_is_there(cache: Cache) -> None:
    cache.update(a=1, b=None)
    cache.rpush("l", "x")
    assert cache.get_many(["b", "a", "c", "l"]) == {"b": None, "a": 1}
    with pytest.raises(TypeError):
        cache.get_many("ab")


def test_set_many_gives_all_the_same_lifetime_and_tags(cache: Cache) -> None:
    assert cache.set_many({"a": 1, "b": 2}, ttl=60, tags=["t"]) is True
    assert (cache.ttl("a"), cache.ttl("b"), cache.tagkeys("t")) == (60, 60, ["a", "b"])
    cache.set_many([("a", 3)])
    assert (cache["a"], cache.ttl("a"), cache.tags("a")) == (3, None, [])
    cache._check()


def test_set_many_without_room_changes_nothing() -> None:
    cache = Cache(max_memory=4096, policy="noeviction")
    cache.set("a", 1, tags=["old"])
    before = cache.stats()
    with pytest.raises(OutOfMemoryError):
        cache.set_many({f"k{n}": n for n in range(30)}, tags=[f"t{n}" for n in range(10)])
    assert cache.stats() == before
    cache._check()


def test_set_many_with_a_wrong_argument_changes_nothing(cache: Cache) -> None:
    for call in (
        lambda: cache.set_many({"a": 1}, ttl=0),
        lambda: cache.set_many({"a": 1}, tags=[""]),
        lambda: cache.set_many({"a": 1}, tags="t"),
        lambda: cache.set_many({"a": 1, 2: 2}),
    ):
        with pytest.raises((CacheStormError, TypeError)):
            call()
    assert len(cache) == 0


def test_many_keys_are_given_one_by_one_or_in_lists(cache: Cache) -> None:
    cache.update(a=1, b=2, c=3)
    assert cache.mget(["a", "b"]) == cache.mget("a", "b") == [1, 2]
    assert cache.exists(["a", "b"], "c") == 3
    assert cache.touch({"a"}) == 1
    assert cache.delete(["a"], "b") == 2
    assert cache.delete_many(iter(["c", "d"])) == 1


def test_invalidate_takes_several_tags_and_counts_each_key_once(cache: Cache) -> None:
    for call in (
        lambda: cache.invalidate("a", "b"),
        lambda: cache.invalidate(["a", "b"]),
        lambda: cache.invalidate({"a"}, "b"),
    ):
        cache.set("1", 1, tags=["a", "b"])
        cache.set("2", 2, tags=["b"])
        cache.set("3", 3, tags=["c"])
        assert call() == 2
        assert cache.keys() == ["3"]
    assert cache.invalidate([]) == 0
    cache._check()


def test_a_dry_run_counts_what_an_invalidation_would(cache: Cache) -> None:
    cache.taglink("top", "low")
    cache.set("1", 1, tags=["top", "low"])
    cache.set("2", 2, tags=["low"])
    for options in ({}, {"cascade": True}, {"soft": True}, {"soft": True, "cascade": True}):
        told = cache.invalidate("top", dry_run=True, **options)
        assert len(cache) == 2
        other = Cache()
        other.taglink("top", "low")
        other.set("1", 1, tags=["top", "low"])
        other.set("2", 2, tags=["low"])
        assert told == other.invalidate("top", **options)
    assert cache.execute("INVALIDATE", "top", "CASCADE", "DRYRUN") == 2
    with pytest.raises(TagError):
        cache.invalidate("", dry_run=True)


def test_a_dry_run_counts_no_dead_key() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    cache.set("1", 1, ttl=1, tags=["t"])
    cache.set("2", 2, tags=["t"])
    clock.advance(2)
    assert cache.invalidate("t", dry_run=True) == 1


def test_scan_iter_gives_each_key(cache: Cache) -> None:
    cache.update({f"k{number}": number for number in range(600)})
    cache.sadd("s", "a")
    assert sorted(cache.scan_iter()) == sorted(cache.keys())
    assert sorted(cache.scan_iter("k1*", 7)) == sorted(cache.keys("k1*"))
    assert list(cache.scan_iter(type="set")) == ["s"]


def test_compare_and_set_keeps_lifetime_and_tags(cache: Cache) -> None:
    cache.set("k", {"n": 1}, ttl=60, tags=["t"])
    assert cache.compare_and_set("k", {"n": 2}, 3) is False
    assert cache.compare_and_set("k", {"n": 1}, 3) is True
    assert (cache["k"], cache.ttl("k"), cache.tags("k")) == (3, 60, ["t"])
    assert cache.compare_and_set("k", 3, 4, ttl=None, tags=["u"]) is True
    assert (cache["k"], cache.ttl("k"), cache.tags("k")) == (4, None, ["u"])
    cache._check()


def test_compare_and_set_of_a_missing_key(cache: Cache) -> None:
    assert cache.compare_and_set("k", None, 1) is False
    assert cache.compare_and_set("k", MISSING, 1) is True
    assert cache.compare_and_set("k", MISSING, 2) is False
    assert cache["k"] == 1
    cache.rpush("l", "a")
    with pytest.raises(WrongTypeError):
        cache.compare_and_set("l", "a", "b")


def test_compare_and_set_compares_anew_when_somebody_wrote_meanwhile(cache: Cache) -> None:
    class Meddler:
        def __eq__(self, other: object) -> bool:
            if cache["k"] == 1:
                cache["k"] = 2
            return other == 1

        __hash__ = None  # type: ignore[assignment]

    cache["k"] = 1
    assert cache.compare_and_set("k", Meddler(), 3) is False
    assert cache["k"] == 2


def test_an_entry_is_a_snapshot(cache: Cache) -> None:
    assert cache.entry("k") is None
    cache.rpush("k", "a")
    cache.addtag("k", "t")
    entry = cache.entry("k")
    assert entry is not None
    assert (entry.key, entry.type, entry.value, entry.ttl, entry.tags) == (
        "k",
        "list",
        None,
        None,
        ("t",),
    )
    cache.rpush("k", "b")
    later = cache.entry("k")
    assert later is not None and later.version > entry.version


def test_an_entry_tells_what_is_charged_and_the_idle_time() -> None:
    cache = Cache(clock=ManualClock())
    cache.set("k", "v", ttl=60, idle=5, tags=["a", "b"])
    entry = cache.entry("k")
    assert entry is not None
    assert (entry.value, entry.ttl, entry.idle, entry.tags) == ("v", 5.0, 5.0, ("a", "b"))
    assert entry.size == cache.memory_usage("k")
    cache.set("plain", 1)
    plain = cache.entry("plain")
    assert plain is not None and (plain.ttl, plain.idle) == (None, None)


def test_scan_tags_gives_each_tag_that_has_keys(cache: Cache) -> None:
    for number in range(50):
        cache.set(f"k{number}", 1, tags=[f"t{number}", "all"])
    cache.taglink("all", "none")
    cache.delete("k3")
    expected = {"all"} | {f"t{number}" for number in range(50) if number != 3}
    assert set(cache.scan_tags()) == set(cache.scan_tags(7)) == expected
    assert list(cache.namespace("other").scan_tags()) == []


def test_namespaces_can_be_made_with_the_cache_and_stay() -> None:
    cache = Cache(
        clock=ManualClock(),
        namespaces={"timed": {"default_ttl": 60}, "small": {"max_memory": "1mb"}, "plain": {}},
    )
    assert cache.namespaces() == ["default", "plain", "small", "timed"]
    timed = cache.namespace("timed")
    timed.set("k", 1)
    assert (timed.ttl("k"), cache.ttl("k")) == (60.0, None)
    assert cache.namespace("small").stats().max_memory == 1 << 20
    cache.namespacedel("plain")
    assert cache.namespaces() == ["default", "small", "timed"]


@pytest.mark.parametrize(
    ("namespaces", "kind", "text"),
    [
        ({"n": {"ttl": 5}}, "ConfigError", "takes default_ttl and max_memory, not 'ttl'"),
        ({"n": {"max_memory": "much"}}, "ConfigError", "much"),
        ({"n": {"default_ttl": -5}}, "ConfigError", "default_ttl is positive or None, not -5"),
        ({"a b": {}}, "NamespaceError", "printable"),
        ({"n": 5}, "TypeError", "namespace 'n' takes a dict, not 5"),
        ({5: {}}, "TypeError", ""),
        (["n"], "TypeError", "namespaces are settings by name"),
    ],
)
def test_wrong_namespaces_are_refused(namespaces: object, kind: str, text: str) -> None:
    with pytest.raises(Exception) as caught:
        Cache(namespaces=namespaces)  # type: ignore[arg-type]
    assert (type(caught.value).__name__, text in str(caught.value)) == (kind, True)


def test_a_cache_can_be_entered_and_closed(cache: Cache) -> None:
    with cache as entered:
        assert entered is cache
        cache["k"] = 1
    assert cache["k"] == 1
    cache.close()
