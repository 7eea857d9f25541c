"""Walks under mutation, deadlines in great numbers, limits, namespaces, deep tags."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachestorm import MISSING, Cache, CacheStormError, Cause, ManualClock
from cachestorm.errors import (
    CommandSyntaxError,
    ConfigError,
    InvalidKeyError,
    InvalidTtlError,
    NamespaceError,
    OutOfMemoryError,
)
from cachestorm.keyspace.removals import REAP_STEP

# what a short word can cost in a container, with the room that it keeps for more
MOST_A_WORD = 600
# each lets the container of a key grow by some words
GROWING: dict[str, Callable[[Cache, str, list[str]], object]] = {
    "hash": lambda cache, key, argv: cache.hset(key, mapping=dict.fromkeys(argv, b"v" * 50)),
    "list": lambda cache, key, argv: cache.rpush(key, *argv),
    "set": lambda cache, key, argv: cache.sadd(key, *argv),
    "sorted set": lambda cache, key, argv: cache.zadd(key, dict.fromkeys(argv, 1.5)),
}


def reap_all(cache: Cache) -> int:
    turns = 0
    while cache.reap():
        turns += 1
    return turns


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


class TestDeadlines:
    @pytest.mark.parametrize(
        ("ttl", "seconds"),
        [
            (5, 5.0),
            (0.5, 0.5),
            (timedelta(minutes=1), 60.0),
            ("5m", 300.0),
            ("10ms", 0.01),
            ("7d", 604800.0),
        ],
    )
    def test_a_time_to_live_has_many_spellings(self, ttl: object, seconds: float) -> None:
        cache = Cache(clock=ManualClock())
        cache.set("k", 1, ttl)
        assert cache.ttl("k") == seconds

    @pytest.mark.parametrize(
        "ttl", [0, -1, 0.0, float("nan"), float("inf"), "soon", "5 weeks", 1 << 70]
    )
    def test_one_that_is_not_positive_is_refused_and_changes_nothing(self, ttl: object) -> None:
        cache = Cache()
        cache.set("k", 1, tags=["t"])
        with pytest.raises(InvalidTtlError):
            cache.set("k", 2, ttl)
        with pytest.raises(InvalidTtlError):
            cache.expire("k", ttl)
        assert cache.get("k") == 1
        assert cache.tags("k") == ["t"]
        cache._check()

    def test_a_hundred_thousand_keys_due_at_once_are_reaped_in_small_steps(self) -> None:
        clock = ManualClock()
        cache = Cache(clock=clock)
        for n in range(100_000):
            cache.set(f"k{n}", n, ttl=2000)
        clock.advance(2005)
        assert cache.get("k7", MISSING) is MISSING
        assert cache.keys() == []
        assert reap_all(cache) > 300
        assert len(cache) == 0
        assert cache.store_stats().expired == 100_000
        cache._check()

    def test_each_step_that_reaps_is_a_short_one(self) -> None:
        clock = ManualClock()
        cache = Cache(clock=clock)
        for n in range(20_000):
            cache.set(f"k{n}", n, ttl=2000, tags=["t"])
        cache.set("other", 1)
        clock.advance(2005)
        while len(cache) > 1:
            before = len(cache)
            cache.set("other", 2)
            cache.get(f"k{before}")
            cache.reap()
            # a step by the reaper, and one key that is met
            assert before - len(cache) <= REAP_STEP + 1
        cache._check()

    def test_writes_reap_what_is_due_by_themselves(self) -> None:
        clock = ManualClock()
        cache = Cache(clock=clock)
        for n in range(1000):
            cache.set(f"old{n}", n, ttl=1)
        clock.advance(10)
        for n in range(1000):
            cache.set(f"new{n}", n)
        assert len(cache) == 1000

    def test_a_namespace_has_a_default_time_to_live_for_keys_written_without_one(self) -> None:
        cache = Cache(default_ttl=60, clock=ManualClock())
        cache.set("a", 1)
        cache.set("b", 1, ttl=None)
        cache.incr("c")
        cache.mset({"d": 1})
        cache.settag("e", 1, "tag")
        assert [cache.ttl(key) for key in "abcde"] == [60.0, None, 60.0, 60.0, 60.0]
        made: dict[str, Callable[[str], object]] = {
            "append": lambda key: cache.append(key, "x"),
            "incrbyfloat": lambda key: cache.incrbyfloat(key, 1.5),
            "setbit": lambda key: cache.setbit(key, 7, 1),
            "setnx": lambda key: cache.setnx(key, 1),
            "hset": lambda key: cache.hset(key, "f", 1),
            "rpush": lambda key: cache.rpush(key, 1),
            "sunionstore": lambda key: cache.sadd("s", 1) and cache.sunionstore(key, "s"),
        }
        for key, make in made.items():
            make(key)
            assert cache.ttl(key) == 60.0


class TestLimits:
    def test_the_memory_limit_holds_at_every_moment(self) -> None:
        cache = Cache(max_memory="50kb")
        for n in range(3000):
            cache.set(f"k{n % 700}", b"x" * (n * 37 % 1500), tags=[f"t{n % 5}"])
            assert cache.store_stats().used_memory <= 51_200
        assert cache.store_stats().evicted > 0
        cache._check()

    def test_the_limit_on_keys_holds(self) -> None:
        cache = Cache(max_entries=50)
        for n in range(500):
            cache.set(f"k{n}", n)
            assert len(cache) <= 50
        cache._check()

    def test_keys_that_are_used_stay(self) -> None:
        cache = Cache(max_entries=200)
        hits = 0
        for n in range(5000):
            cache.set(f"cold{n}", n)
            for turn in range(5):
                hot = f"hot{(5 * n + turn) % 100}"
                hits += hot in cache
                if cache.get(hot) is None:
                    cache.set(hot, 1)
        assert hits / 25_000 > 0.97

    def test_without_eviction_a_write_is_refused_and_changes_nothing(self) -> None:
        cache = Cache(max_memory="2kb", policy="noeviction")
        cache.set("k", b"x", tags=["t"])
        with pytest.raises(OutOfMemoryError, match="command not allowed"):
            for n in range(100):
                cache.set(f"k{n}", b"x" * 100)
        with pytest.raises(OutOfMemoryError):
            cache.append("k", b"x" * 5000)
        assert cache.get("k") == b"x"
        assert cache.tags("k") == ["t"]
        cache._check()

    def test_a_value_larger_than_the_limit_is_refused_and_evicts_nobody(self) -> None:
        cache = Cache(max_memory="10kb")
        cache.set("k", 1)
        with pytest.raises(OutOfMemoryError):
            cache.set("big", b"x" * 20_000)
        assert cache.get("k") == 1

    @pytest.mark.parametrize("policy", ["adaptive", "allkeys-lru", "noeviction"])
    @pytest.mark.parametrize("kind", GROWING)
    def test_a_container_passes_the_limit_by_one_command_at_the_most(
        self, kind: str, policy: str
    ) -> None:
        limit = 100_000
        cache = Cache(max_memory=limit, policy=policy)
        refused = 0
        for turn in range(400):
            before = cache.store_stats().used_memory
            try:
                GROWING[kind](cache, f"c{turn % 7}", [f"{turn}:{n}" for n in range(20)])
            except OutOfMemoryError:
                refused += 1
                assert before == cache.store_stats().used_memory
            assert cache.store_stats().used_memory <= limit + 20 * MOST_A_WORD
            if policy != "noeviction":
                cache.set(f"small{turn}", turn)
                assert cache.store_stats().used_memory <= limit
        assert refused if policy == "noeviction" else cache.store_stats().evicted
        cache._check()

    def test_a_quota_evicts_inside_its_namespace(self) -> None:
        cache = Cache()
        cache.set("k", 1)
        small = cache.namespace("small", max_memory="5kb")
        for n in range(200):
            small.set(f"k{n}", b"x" * 100)
        assert 5 < len(small) < 30
        assert cache.get("k") == 1
        cache._check()

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"max_memory": "many"}, "write bytes, or 64kb"),
            ({"max_memory": -1}, "not negative"),
            ({"max_entries": 0}, "positive"),
            ({"policy": "fifo"}, "one of adaptive, noeviction, allkeys-lru"),
            ({"default_ttl": -1}, "positive"),
        ],
    )
    def test_what_makes_no_sense_is_refused_loudly(
        self, arguments: dict[str, object], text: str
    ) -> None:
        with pytest.raises(ConfigError, match=text):
            Cache(**arguments)  # type: ignore[arg-type]


class TestLimitsThatChange:
    @pytest.mark.parametrize("size", [10, 5000])
    def test_a_lower_limit_evicts_what_is_beyond_it(self, size: int) -> None:
        cache = Cache()
        for n in range(size):
            cache.set(f"k{n}", b"x" * 100)
        half = cache.store_stats().used_memory // 2
        cache.max_memory = half
        assert cache.max_memory == half
        assert 0 < cache.store_stats().used_memory <= half
        cache.max_entries = 3
        assert len(cache) == 3
        cache.max_memory = cache.max_entries = None
        cache.set("one more", 1)
        assert (len(cache), cache.max_memory, cache.max_entries) == (4, None, None)
        cache._check()

    def test_other_threads_are_let_in_between_slices(self) -> None:
        cache = Cache()
        for n in range(5000):
            cache.set(f"k{n}", n)
        seen: list[int] = []
        cache.listen(lambda effect: seen.append(cache._store.latch.locked()))
        cache.max_entries = 1
        # listeners are told outside of the lock, slice by slice
        assert len(seen) == 4999 and not any(seen)

    def test_without_victims_writes_are_refused_until_there_is_room(self) -> None:
        cache = Cache(policy="noeviction")
        cache.set("a", 1)
        cache.set("b", 1)
        cache.max_entries = 1
        assert len(cache) == 2
        with pytest.raises(OutOfMemoryError):
            cache.set("c", 1)
        cache.max_entries = 3
        assert cache.set("c", 1)

    @pytest.mark.parametrize("limit", ["much", -1, True])
    def test_what_is_no_limit_changes_nothing(self, limit: object) -> None:
        cache = Cache(max_memory="1mb", max_entries=7)
        with pytest.raises(ConfigError):
            cache.max_memory = limit  # type: ignore[assignment]
        # compiled, a wrong type is refused before it gets there
        with pytest.raises((ConfigError, TypeError)):
            cache.max_entries = limit  # type: ignore[assignment]
        assert (cache.max_memory, cache.max_entries) == (1 << 20, 7)


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
        reap_all(cache)
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


@pytest.mark.parametrize("size", [1, 1000])
def test_used_memory_falls_back_to_nothing_with_the_last_key(size: int) -> None:
    # on a slow machine the first keys would be due before the last one is set
    cache = Cache(clock=ManualClock())
    for n in range(size):
        cache.set(f"k{n}", b"x" * n, ttl=n + 1, tags=[f"t{n % 3}", "all"])
        cache.rpush(f"l{n}", n)
        cache.sadd(f"s{n}", n)
        cache.zadd(f"z{n}", {"m": n})
        cache.hset(f"h{n}", "f", n)
    assert cache.store_stats().used_memory > 0
    cache.delete(*cache.keys())
    assert cache.store_stats().used_memory == 0


def test_many_keys_are_set_all_or_none() -> None:
    cache = Cache(max_memory="2kb", policy="noeviction")
    cache.set("a", b"x")
    with pytest.raises(OutOfMemoryError):
        cache.mset({f"k{n}": b"x" * 100 for n in range(100)})
    assert cache.keys() == ["a"]
    cache.mset({"a": b"y", "b": b"z"})
    assert cache.mget("a", "b") == [b"y", b"z"]
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


def test_methods_of_milliseconds_take_bare_numbers_in_them_as_redis_py_does() -> None:
    clock = ManualClock()
    cache = Cache(clock=clock)
    cache.execute("PSETEX", "k", 1500, "v")
    assert cache.pttl("k") == 1500
    assert cache.pexpire("k", 2500) is True
    assert cache.ttl("k") == 2.5
    assert cache.pexpire("k", timedelta(seconds=1)) is True
    assert cache.ttl("k") == 1.0
    assert cache.pexpireat("k", clock.now_ms() + 700) is True
    assert cache.pttl("k") == 700
    with pytest.raises(InvalidTtlError):
        cache.pexpire("k", 0)
    with pytest.raises(InvalidTtlError):
        cache.execute("PSETEX", "k", -5, "v")
    assert cache.pttl("k") == 700


class TestFieldsThatAreDue:
    def made(self, count: int, clock: ManualClock) -> Cache:
        cache = Cache(clock=clock)
        for number in range(count):
            cache.set(f"k{number}", b"v")
            cache.hset(f"h{number}", mapping={"f": 1, "g": 2})
            cache.hexpire(f"h{number}", 1, "f", "g")
        cache.hset("half", mapping={f"f{number}": 1 for number in range(2000)})
        cache.hexpire("half", 1, *[f"f{number}" for number in range(1000)])
        return cache

    def test_hashes_that_nobody_asks_for_are_reaped_when_all_their_fields_are_due(self) -> None:
        clock = ManualClock()
        cache = self.made(1500, clock)
        assert cache.reap() == 0
        clock.advance(2)
        steps = 0
        while cache.dbsize() > 1501:
            before = cache.dbsize()
            cache.reap()
            assert before - cache.dbsize() <= REAP_STEP
            steps += 1
            assert steps < 40
        while len(cache._space.value(cache._space.entries["half"])) > 1000:  # type: ignore[arg-type]
            cache.reap()
            steps += 1
            assert steps < 60
        assert cache.hlen("half") == 1000
        cache._check()

    def test_one_that_was_moved_is_met_all_the_same(self) -> None:
        clock = ManualClock()
        cache = self.made(10, clock)
        cache.rename("h1", "renamed")
        cache.copy("h2", "copied")
        cache.move("h3", 1)
        cache.swapdb(0, 2)
        clock.advance(2)
        for _ in range(10):
            cache.reap()
        assert cache.database(1).dbsize() == 0
        assert cache.database(2).dbsize() == 11
        cache._check()

    def test_the_walk_ends_when_no_field_has_a_deadline(self) -> None:
        clock = ManualClock()
        cache = self.made(10, clock)
        clock.advance(2)
        for _ in range(10):
            cache.reap()
        assert cache._space._field_rounds == 0
        cache.hexpire("half", 1, "f1500")
        assert cache._space._field_rounds != 0
