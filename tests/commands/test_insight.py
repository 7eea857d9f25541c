"""HOTKEYS and WHY."""

from __future__ import annotations

import random
from collections import Counter
from itertools import accumulate

import pytest

from cachestorm import Cache, Cause, ManualClock
from cachestorm.errors import NotAnIntegerError
from cachestorm.keyspace.hot_keys import CAPACITY, HALF_LIFE_MS, HotKeys
from cachestorm.keyspace.tag_nodes import MOST_TOLD


def zipf(keys: int, exponent: float, length: int, seed: int) -> list[int]:
    """Ranks from 0, drawn with probability 1 / (rank + 1) ** exponent."""
    weights = list(accumulate((rank + 1) ** -exponent for rank in range(keys)))
    return random.Random(seed).choices(range(keys), cum_weights=weights, k=length)


class TestHotKeys:
    def test_the_hottest_of_a_skewed_stream_come_first(self) -> None:
        cache = Cache(clock=ManualClock())
        stream = zipf(1_000_000, 0.9, 200_000, 1)
        for number in stream:
            key = f"k{number}"
            if cache.get(key) is None:
                cache.set(key, number)
        true = Counter(stream).most_common(10)
        assert [key for key, _ in cache.hotkeys()] == [f"k{number}" for number, _ in true]
        for (_, estimate), (_, hits) in zip(cache.hotkeys(), true, strict=True):
            # the first request of a key was a miss
            assert abs(estimate - hits) <= 1

    def test_counts_decay(self) -> None:
        clock = ManualClock()
        cache = Cache(clock=clock)
        for key, hits in (("old", 1000), ("new", 400)):
            cache.set(key, 1)
            for _ in range(hits):
                cache.get(key)
            clock.advance(HALF_LIFE_MS / 1000)
        (first, much), (second, less) = cache.hotkeys()
        assert (first, second) == ("old", "new")
        assert much == pytest.approx(250, abs=100) and less == pytest.approx(200, abs=100)
        clock.advance(60 * HALF_LIFE_MS / 1000)
        assert all(count <= 128 for _, count in cache.hotkeys())

    def test_a_key_that_left_is_not_hot(self) -> None:
        cache = Cache()
        for key in "ab":
            cache.set(key, 1)
            for _ in range(50):
                cache.get(key)
        cache.delete("a")
        assert [key for key, _ in cache.hotkeys()] == ["b"]
        cache.flushdb()
        assert cache.hotkeys() == []

    def test_asking_is_no_access(self) -> None:
        cache = Cache()
        cache.set("a", 1, tags=["t"])
        for _ in range(50):
            cache.get("a")
        before = cache.hotkeys()
        for _ in range(50):
            cache.exists("a"), cache.ttl("a"), cache.type("a"), cache.tags("a"), cache.hotkeys()
        assert cache.hotkeys() == before

    def test_each_namespace_has_its_own(self) -> None:
        cache = Cache()
        other = cache.namespace("other")
        other.set("a", 1)
        for _ in range(50):
            other.get("a")
        assert cache.hotkeys() == [] and len(other.hotkeys()) == 1

    def test_count_is_up_to_a_hundred(self) -> None:
        cache = Cache()
        for number in range(150):
            cache.set(f"k{number}", 1)
            for _ in range(20):
                cache.get(f"k{number}")
        assert [len(cache.hotkeys(count)) for count in (0, 7, 100, 101)] == [0, 7, 100, 100]
        assert len(cache.hotkeys()) == 10
        with pytest.raises(NotAnIntegerError):
            cache.hotkeys(-1)

    def test_it_can_be_off(self) -> None:
        cache = Cache(hot_keys=False)
        cache.set("a", 1)
        for _ in range(1000):
            cache.get("a")
        assert cache.hotkeys() == []

    @pytest.mark.parametrize("seed", range(5))
    def test_no_count_is_further_off_than_is_said(self, seed: int) -> None:
        hot = HotKeys(0)
        stream = zipf(20_000, 0.5 + seed / 10, 50_000, seed)
        for number in stream:
            hot.note(str(number), 1, 0)
        true = Counter(str(number) for number in stream)
        top = hot.top(CAPACITY, 0)
        assert len(top) <= CAPACITY
        for key, count in top:
            assert true[key] - len(stream) / (CAPACITY / 2) <= count <= true[key]


class TestWhy:
    def test_it_names_cause_time_and_tag(self) -> None:
        clock = ManualClock()
        cache = Cache(clock=clock)
        cache.set("a", 1, tags=["t"])
        assert cache.why("a") is None
        cache.invalidate("t")
        at = clock.now_ms()
        clock.advance(5)
        assert cache.why("a") == {
            "cause": Cause.INVALIDATED,
            "at_ms": at,
            "tag": "t",
            "path": ["t"],
        }
        cache.set("a", 1)
        assert cache.why("a") is None
        assert cache.why("never") is None

    @pytest.mark.parametrize("soft", [False, True])
    def test_it_names_the_way_by_which_a_cascade_came(self, soft: bool) -> None:
        cache = Cache()
        cache.taglink("shop", "shoes")
        cache.taglink("shop", "hats")
        cache.taglink("shoes", "boots")
        cache.taglink("unrelated", "boots")
        cache.set("page", 1, tags=["home", "boots"])
        cache.set("other", 1, tags=["hats"])
        cache.invalidate("shop", cascade=True, soft=soft)
        assert cache.get("page") is None
        assert cache.why("page")["tag"] == "boots"
        assert cache.why("page")["path"] == ["shop", "shoes", "boots"]
        assert cache.why("other")["path"] == ["shop", "hats"]
        # what happens to the same tags later is another story
        cache.set("page", 1, tags=["boots"])
        cache.invalidate("boots", soft=soft)
        assert cache.why("page")["path"] == ["boots"]
        assert cache.why("other")["path"] == ["shop", "hats"]
        cache._check()

    def test_a_key_that_left_by_itself_has_no_path(self) -> None:
        cache = Cache()
        cache.set("a", 1, tags=["t"])
        cache.delete("a")
        assert (cache.why("a")["tag"], cache.why("a")["path"]) == (None, None)

    def test_a_cascade_over_very_many_tags_is_told_by_its_last_one(self) -> None:
        cache = Cache()
        for number in range(MOST_TOLD):
            cache.taglink(f"t{number}", f"t{number + 1}")
        cache.set("a", 1, tags=[f"t{MOST_TOLD}"])
        cache.invalidate("t0", cascade=True)
        assert cache.why("a")["path"] == [f"t{MOST_TOLD}"]
        cache.set("a", 1, tags=[f"t{MOST_TOLD}"])
        cache.invalidate("t1", cascade=True)
        path = cache.why("a")["path"]
        assert (len(path), path[0], path[-1]) == (MOST_TOLD, "t1", f"t{MOST_TOLD}")
