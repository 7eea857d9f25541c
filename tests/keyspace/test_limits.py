"""Limits of memory and of keys: what is evicted, what is refused, what is given back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.errors import (
    ConfigError,
    OutOfMemoryError,
)

# what a short word can cost in a container, with the room that it keeps for more
MOST_A_WORD = 600


# each lets the container of a key grow by some words
GROWING: dict[str, Callable[[Cache, str, list[str]], object]] = {
    "hash": lambda cache, key, argv: cache.hset(key, mapping=dict.fromkeys(argv, b"v" * 50)),
    "list": lambda cache, key, argv: cache.rpush(key, *argv),
    "set": lambda cache, key, argv: cache.sadd(key, *argv),
    "sorted set": lambda cache, key, argv: cache.zadd(key, dict.fromkeys(argv, 1.5)),
}


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
