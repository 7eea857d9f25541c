"""Keys, namespaces and deep tags: which names there are, and walks while others write."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachestorm import MISSING, Cache, CacheStormError, Cause, ManualClock
from cachestorm.errors import (
    CommandSyntaxError,
    InvalidKeyError,
    NamespaceError,
)


class TestScan:
    @settings(max_examples=200, deadline=None)
    @given(data=st.data(), size=st.integers(0, 60), count=st.integers(1, 20))
    def test_a_key_that_stays_is_never_missed(
        self, data: st.DataObject, size: int, count: int
    ) -> None:
        cache = Cache()
        names = [f"k{n}" for n in range(size)]
        for name in names:
            cache.set(name, 1)
        stays = set(data.draw(st.sets(st.sampled_from(names)) if names else st.just(set())))
        seen: set[str] = set()
        cursor, calls = 0, 0
        while True:
            cursor, page = cache.scan(cursor, count=count)
            seen.update(page)
            calls += 1
            if cursor == 0:
                break
            assert calls < 1000, "the walk does not end"
            for _ in range(data.draw(st.integers(0, 6))):
                victim = data.draw(st.sampled_from(names))
                if victim in stays:
                    cache.set(f"new{random.random()}", 1)
                else:
                    cache.delete(victim)
        assert stays <= seen

    def test_pages_can_be_picked_by_pattern_and_type(self) -> None:
        cache = Cache()
        cache.mset({"a1": 1, "a2": 2, "b1": 3})
        cache.rpush("a3", 1)
        assert sorted(cache.scan(0, "a*", 100)[1]) == ["a1", "a2", "a3"]
        assert cache.scan(0, "a*", 100, "list") == (0, ["a3"])


class TestNamespaces:
    def test_counts_are_those_of_one_namespace(self) -> None:
        cache = Cache()
        other = cache.namespace("other", default_ttl=90, max_memory="1mb")
        other.set("a", b"1", tags=["t", "u"])
        other.get("a")
        other.get("b")
        counts = cache.namespace_stats("other")
        assert counts == other.namespace_stats() != cache.namespace_stats()
        assert counts.pop("memory") == cache.store_stats().used_memory > 0
        assert counts == {
            "keys": 1,
            "tags": 2,
            "expires": 1,
            "default_ttl": 90,
            "max_memory": 1 << 20,
            "hits": 1,
            "misses": 1,
        }
        with pytest.raises(NamespaceError):
            cache.namespace_stats("none")

    def test_a_walk_over_the_tags_misses_none_that_stays(self) -> None:
        cache = Cache()
        for n in range(1000):
            cache.set(f"k{n}", n, tags=[f"t{n}"])
        cursor, found = cache.tag_scan(0, 10)
        while cursor:
            # some leave that have been seen and some that have not, and new ones come
            cache.invalidate(f"t{cursor - 1}")
            cache.delete(f"k{cursor + 2}")
            cache.set("new", 1, tags=[f"new{cursor}"])
            cursor, names = cache.tag_scan(cursor, 10)
            assert len(names) <= 10
            found += names
            cache._check()
        assert {f"t{n}" for n in range(1000) if f"k{n}" in cache} <= set(found)
        assert cache.tag_scan(1 << 70) == cache.tag_scan()
        with pytest.raises(CommandSyntaxError):
            cache.tag_scan(0, 0)

    def test_a_walk_over_the_keys_of_a_tag_misses_none_that_stays(self) -> None:
        cache = Cache()
        for n in range(1000):
            cache.set(f"k{n}", n, tags=["t"])
        cursor, found = cache.tag_key_scan("t", 0, 10)
        while cursor:
            cache.delete(f"k{cursor - 1}", f"k{cursor + 2}")
            cache.set(f"new{cursor}", 1, tags=["t"])
            cursor, keys = cache.tag_key_scan("t", cursor, 10)
            assert len(keys) <= 10
            found += keys
            cache._check()
        assert {f"k{n}" for n in range(1000) if f"k{n}" in cache} <= set(found)
        assert cache.tag_key_scan("none") == (0, [])
        with pytest.raises(CommandSyntaxError):
            cache.tag_key_scan("t", 0, 0)

    def test_links_are_sorted_and_each_namespace_has_its_own(self) -> None:
        cache = Cache()
        for parent, child in [("b", "c"), ("a", "c"), ("a", "b")]:
            cache.taglink(parent, child)
        assert cache.tag_links() == [("a", "b"), ("a", "c"), ("b", "c")]
        assert cache.namespace("other").tag_links() == []

    def test_each_has_its_own_keys_tags_and_counts(self) -> None:
        cache = Cache()
        other = cache.namespace("other")
        cache.set("k", 1, tags=["t"])
        other.set("k", 2, tags=["t"])
        assert other.invalidate("t") == 1
        assert cache.get("k") == 1
        assert cache.namespaces() == ["default", "other"]

    def test_a_deleted_one_is_seen_empty_and_comes_back_with_the_next_write(self) -> None:
        cache = Cache()
        other = cache.namespace("other")
        other.set("k", 1, tags=["t"])
        assert cache.namespacedel("other") is True
        assert other.get("k") is None
        assert cache.namespaces() == ["default"]
        with pytest.raises(NamespaceError, match="namespace not found"):
            cache.namespacedel("other")
        other.set("k", 2)
        assert cache.namespaces() == ["default", "other"]
        cache._check()

    def test_the_default_one_cannot_be_deleted(self) -> None:
        with pytest.raises(NamespaceError, match="cannot delete default namespace"):
            Cache().namespacedel("default")

    @pytest.mark.parametrize("name", ["", "a b", "x" * 129, "a\n", "\x00"])
    def test_a_name_is_printable(self, name: str) -> None:
        with pytest.raises(NamespaceError):
            Cache().namespace(name)


class TestHierarchy:
    @pytest.mark.parametrize("from_the_top", [True, False])
    def test_a_chain_of_a_hundred_thousand_tags_works(self, from_the_top: bool) -> None:
        cache = Cache()
        depth = 100_000
        order = range(depth) if from_the_top else reversed(range(depth))
        for n in order:
            cache.taglink(f"t{n}", f"t{n + 1}")
        cache.set("k", 1, tags=[f"t{depth}"])
        with pytest.raises(CacheStormError, match="cycle"):
            cache.taglink(f"t{depth}", "t0")
        assert cache.invalidate("t0", cascade=True) == 1


class TestKeys:
    def test_a_subclass_of_str_is_a_key_like_its_text(self) -> None:
        class Odd(str):
            def __hash__(self) -> int:
                raise RuntimeError("hashed")

            def __eq__(self, other: object) -> bool:
                raise RuntimeError("compared")

        cache = Cache()
        cache.set(Odd("k"), 1, tags=[Odd("t")])
        assert cache.get("k") == 1
        assert cache.get(Odd("k")) == 1
        assert [type(key) for key in cache.keys() + cache.tagkeys("t")] == [str, str]

    @pytest.mark.parametrize("key", ["\ud800", "\udcc3\udca9"])
    def test_text_that_has_no_bytes_of_its_own_is_refused(self, key: str) -> None:
        cache = Cache()
        with pytest.raises(InvalidKeyError):
            cache.set(key, 1)
        with pytest.raises(InvalidKeyError):
            cache.set("k", 1, tags=[key])
        assert cache.get(key) is None
        assert len(cache) == 0

    @pytest.mark.parametrize("key", [b"k", 1, None])
    def test_anything_but_text_is_no_key(self, key: object) -> None:
        cache = Cache()
        for use in (cache.get, cache.exists, cache.ttl, lambda k: cache.set(k, 1)):
            with pytest.raises(TypeError):
                use(key)  # type: ignore[operator]

    def test_a_lone_text_is_no_list_of_tags(self) -> None:
        with pytest.raises(TypeError, match="tags is an iterable"):
            Cache().set("k", 1, tags="users")

    def test_a_cache_behaves_like_a_container_of_its_keys(self) -> None:
        cache = Cache()
        cache["a"] = 1
        assert "a" in cache
        assert list(cache) == ["a"]
        assert cache["a"] == 1
        del cache["a"]
        with pytest.raises(KeyError):
            cache["a"]
        with pytest.raises(KeyError):
            del cache["a"]
        assert bool(cache)
        assert len(cache) == 0

    def test_none_is_a_value_and_is_told_from_missing(self) -> None:
        cache = Cache()
        cache.set("k", None)
        assert cache.get("k", "default") is None
        assert cache.get("other", MISSING) is MISSING

    def test_the_ledger_says_why_a_key_is_missing(self) -> None:
        clock = ManualClock()
        cache = Cache(clock=clock)
        cache.set("a", 1, tags=["t"])
        cache.set("b", 1, ttl=1)
        cache.set("c", 1)
        cache.invalidate("t")
        clock.advance(2)
        cache.get("b")
        while cache.reap():
            pass
        cache.delete("c")
        reasons = {key: cache.why(key) for key in "abc"}
        assert reasons["a"] == {
            "cause": Cause.INVALIDATED,
            "at_ms": clock.now_ms() - 2000,
            "tag": "t",
            "path": ["t"],
        }
        assert reasons["b"] is not None
        assert reasons["b"]["cause"] is Cause.EXPIRED
        assert reasons["c"] is not None
        assert reasons["c"]["cause"] is Cause.DELETED
        assert cache.why("never") is None


def test_integers_grow_up_to_64_bits_and_not_beyond() -> None:
    cache = Cache()
    cache.set("k", (1 << 63) - 2)
    assert cache.incr("k") == (1 << 63) - 1
    with pytest.raises(CacheStormError, match="increment or decrement would overflow"):
        cache.incr("k")
    assert cache.get("k") == (1 << 63) - 1
    cache.set("big", 1 << 70)
    with pytest.raises(CacheStormError, match="not an integer or out of range"):
        cache.incr("big")
    assert cache.get("big") == 1 << 70
    cache._check()


@pytest.mark.parametrize("read", [False, True])
def test_the_ledger_knows_of_what_is_dead_but_not_yet_reaped(read: bool) -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    cache.set("a", 1, ttl=1)
    cache.set("b", 1, tags=["t"])
    clock.advance(1.5)
    cache.invalidate("t", soft=True)
    if read:
        assert cache.get("a") is None
        assert cache.get("b") is None
    causes = [(cache.why(key) or {}).get("cause") for key in "ab"]
    assert causes == [Cause.EXPIRED, Cause.INVALIDATED]
