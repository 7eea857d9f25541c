"""What every eviction policy owes, and what each of them is for."""

from __future__ import annotations

import random
from typing import ClassVar

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.cache import DEFAULT_POLICY
from cachestorm.errors import ArgumentError, ConfigError, OutOfMemoryError
from cachestorm.eviction.adaptive import ARMS, STEP, Adaptive
from cachestorm.eviction.policies import POLICIES, make_policy
from cachestorm.eviction.table import PART

NEVER_ASKED = ("noeviction",)


def fill(cache: Cache, count: int, *, first: int = 0, ttl: object = 1000) -> None:
    for number in range(first, first + count):
        cache.set(f"key:{number}", b"x" * 50, ttl)


class PolicyContract:
    """All that holds for every policy that evicts; its tests give each key a deadline."""

    policy: ClassVar[str]

    def cache(self, **limits: object) -> Cache:
        return Cache(policy=self.policy, clock=ManualClock(), **limits)  # type: ignore[arg-type]

    @pytest.mark.parametrize("size", [1, 2, 3, 20, 63, 64, 65, 300, 1000])
    def test_the_number_of_keys_is_held_exactly(self, size: int) -> None:
        cache = self.cache(max_entries=size)
        for number in range(3 * size):
            cache.set(f"key:{number}", number, 1000)
            assert min(number + 1, size) == len(cache)
        assert 2 * size == cache.store_stats().evicted
        cache._check()

    def test_the_newest_key_is_there_after_its_write(self) -> None:
        cache = self.cache(max_entries=50)
        for number in range(500):
            cache.set(f"key:{number}", number, 1000)
            assert number == cache.get(f"key:{number}")

    def test_memory_is_held_with_values_of_any_size(self) -> None:
        cache = self.cache(max_memory="64kb")
        draw = random.Random(1)
        for number in range(3000):
            cache.set(f"key:{draw.randrange(900)}", b"x" * draw.randrange(2000), 1000)
            assert 64 * 1024 >= cache.store_stats().used_memory, number
        assert cache.store_stats().evicted > 1000
        cache._check()

    def test_a_key_that_grows_does_not_evict_itself(self) -> None:
        cache = self.cache(max_memory=4096)
        cache.set("growing", "", 1000)
        for number in range(300):
            cache.append("growing", "x" * 10)
            cache.set(f"other:{number % 20}", "y" * 100, 1000)
            cache.append("growing", "x")
            assert 11 * (number + 1) >= len(cache.get("growing")) > 0  # type: ignore[arg-type]
            if cache.strlen("growing") > 2500:
                break
            assert 11 * (number + 1) == cache.strlen("growing") or cache.store_stats().evicted
        cache._check()

    def test_looking_without_reading_warms_nothing(self) -> None:
        cache = self.cache(max_entries=10)
        fill(cache, 10)
        before = {entry.key: entry.access for entry in cache._space.dense}
        cache.exists("key:1", "key:2")
        cache.ttl("key:3")
        cache.type("key:4")
        cache.object_encoding("key:5")
        cache.keys()
        cache.scan(0)
        assert before == {entry.key: entry.access for entry in cache._space.dense}

    def test_what_has_expired_is_no_eviction(self) -> None:
        clock = ManualClock()
        cache = Cache(max_entries=8, policy=self.policy, clock=clock)
        fill(cache, 8, ttl=1)
        clock.advance(3)
        fill(cache, 8, first=100)
        assert cache.store_stats().evicted == 0
        assert cache.store_stats().expired == 8
        cache._check()

    def test_a_quota_evicts_inside_its_namespace(self) -> None:
        cache = self.cache()
        fill(cache, 50)
        small = cache.namespace("small", max_memory="8kb")
        fill(small, 500)
        assert len(cache) == 50
        assert 0 < len(small) < 50
        cache._check()

    def test_namespaces_share_the_limit_of_the_cache(self) -> None:
        cache = self.cache(max_entries=100)
        other = cache.namespace("other")
        for number in range(1000):
            (cache if number % 2 else other).set(f"key:{number}", 1, 1000)
        assert len(cache) + len(other) == 100
        assert len(cache) > 10 < len(other)
        cache._check()

    def test_namespaces_that_are_swapped_take_their_order_along(self) -> None:
        cache = self.cache(max_entries=300)
        other = cache.database(1)
        for number in range(900):
            (cache if number % 3 else other).set(f"key:{number}", 1, 1000)
            if number % 50 == 0:
                cache.swapdb(0, 1)
                cache._check()
        assert len(cache) + len(other) == 300

    def test_a_cache_that_empties_can_be_filled_again(self) -> None:
        cache = self.cache(max_entries=500)
        for _ in range(3):
            fill(cache, 500)
            for number in range(500):
                cache.delete(f"key:{number}")
            for _ in range(40):
                cache.set("key", 1, 1000)
                cache.delete("key")
            assert len(cache) == 0
            cache._check()

    def test_after_a_flush_it_begins_anew(self) -> None:
        cache = self.cache(max_entries=40)
        for _ in range(5):
            fill(cache, 100)
            assert len(cache) == 40
            cache._check()
            cache.flushdb()
            assert len(cache) == 0
            cache._check()

    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize("limits", [{"max_entries": 90}, {"max_memory": "20kb"}])
    def test_any_sequence_of_commands_leaves_it_whole(
        self, seed: int, limits: dict[str, object]
    ) -> None:
        clock = ManualClock()
        cache = Cache(policy=self.policy, clock=clock, **limits)  # type: ignore[arg-type]
        draw = random.Random(seed)
        for step in range(2500):
            key = f"key:{int(draw.paretovariate(0.6)) % 400}"
            chance = draw.random()
            try:
                if chance < 0.2:
                    cache.get(key)
                elif chance < 0.45:
                    if cache.get(key) is None:
                        cache.set(key, b"x" * draw.randrange(300), draw.randrange(1, 90))
                elif chance < 0.6:
                    tags = [f"tag:{draw.randrange(8)}"] if draw.random() < 0.5 else []
                    cache.set(key, 1, draw.choice([None, 5, 500]), tags=tags)
                elif chance < 0.7:
                    cache.delete(key)
                elif chance < 0.75 and cache.exists(key):
                    cache.rename(key, f"key:{draw.randrange(400)}")
                elif chance < 0.8:
                    cache.persist(key)
                elif chance < 0.85:
                    cache.expire(key, draw.randrange(1, 50))
                elif chance < 0.9:
                    cache.append(key, "more")
                elif chance < 0.93:
                    cache.invalidate(f"tag:{draw.randrange(8)}")
                elif chance < 0.96:
                    cache.addtag(key, "tag:1")
                elif chance < 0.9985:
                    clock.advance(draw.random())
                else:
                    cache.flushdb()
            except OutOfMemoryError:
                # at the limit nothing has a deadline: only then may a policy give up
                assert self.policy.startswith("volatile-")
                cache.flushdb()
            if step % 100 == 0:
                cache._check()
            if 0.45 <= chance < 0.6 and cache.store_stats().max_memory:
                assert cache.store_stats().max_memory >= cache.store_stats().used_memory
        cache._check()


class TestAllkeysRandom(PolicyContract):
    policy = "allkeys-random"


class TestAllkeysLru(PolicyContract):
    policy = "allkeys-lru"

    def test_what_was_read_lately_stays(self) -> None:
        cache = self.cache(max_entries=200, sample_size=16)
        fill(cache, 180, first=1000)
        fill(cache, 20)
        for number in range(2000):
            cache.get(f"key:{number % 20}")
            cache.set(f"new:{number}", 1)
        assert [number for number in range(20) if not cache.exists(f"key:{number}")] == []

    def test_an_overwrite_is_a_use(self) -> None:
        cache = self.cache(max_entries=200, sample_size=16)
        fill(cache, 180, first=1000)
        fill(cache, 20)
        for number in range(2000):
            cache.set(f"key:{number % 20}", 1)
            cache.set(f"new:{number}", 1)
        assert [number for number in range(20) if not cache.exists(f"key:{number}")] == []


class TestAllkeysLfu(PolicyContract):
    policy = "allkeys-lfu"

    def test_what_was_read_often_outlives_a_scan(self) -> None:
        cache = self.cache(max_entries=100)
        fill(cache, 20)
        for _ in range(50):
            for number in range(20):
                cache.get(f"key:{number}")
        fill(cache, 150, first=1000)
        assert [number for number in range(20) if not cache.exists(f"key:{number}")] == []

    def test_what_was_read_often_long_ago_leaves_at_last(self) -> None:
        cache = self.cache(max_entries=100)
        fill(cache, 20)
        for _ in range(50):
            for number in range(20):
                cache.get(f"key:{number}")
        for number in range(5000):
            cache.set(f"new:{number}", 1)
            cache.get(f"new:{number}")
        assert sum(cache.exists(f"key:{number}") for number in range(20)) == 0

    def test_its_counts_are_what_object_freq_tells(self) -> None:
        cache = self.cache()
        cache.set("key", 1)
        for _ in range(5):
            cache.get("key")
        assert cache.object_freq("key") == 10
        assert cache.object_freq("missing") is None
        with pytest.raises(ArgumentError, match="An LFU maxmemory policy is selected"):
            cache.object_idletime("key")
        with pytest.raises(ArgumentError, match="An LFU maxmemory policy is not selected"):
            Cache.object_freq(_with_key(), "key")


def _with_key() -> Cache:
    cache = Cache(policy="allkeys-lru")
    cache.set("key", 1)
    return cache


class TestAdaptive(PolicyContract):
    policy = "adaptive"

    def policy_of(self, cache: Cache) -> Adaptive:
        policy = cache._space.policy
        assert isinstance(policy, Adaptive)
        return policy

    def read_through(self, cache: Cache, numbers: list[int]) -> float:
        hits = 0
        for number in numbers:
            if cache.get(f"key:{number}") is None:
                cache.set(f"key:{number}", 1)
            else:
                hits += 1
        return hits / len(numbers)

    def test_it_is_the_default(self) -> None:
        assert "adaptive" == Cache().policy == DEFAULT_POLICY

    def test_without_a_limit_or_pressure_it_makes_nothing(self) -> None:
        boundless, roomy = self.cache(), self.cache(max_entries=1000)
        fill(boundless, 2000)
        fill(roomy, 499)
        for cache in (boundless, roomy):
            policy = self.policy_of(cache)
            assert not policy.hears
            assert policy.arm == ""
        fill(roomy, 20, first=499)
        assert self.policy_of(roomy).hears

    def test_what_it_remembers_grows_with_the_entries_not_with_the_limit(self) -> None:
        cache = self.cache(max_entries=3 * PART)
        policy = cache._space.policy
        assert isinstance(policy, Adaptive)
        fill(cache, 3 * PART // 2 + 2)
        assert policy._queues is not None
        assert policy._queues.sketch.size() == PART
        fill(cache, 2 * PART, first=3 * PART // 2)
        assert policy._queues.sketch.size() == 3 * PART
        cache._check()

    def test_the_entries_of_a_large_cache_are_put_in_order_in_small_steps(self) -> None:
        cache = self.cache(max_entries=6 * STEP)
        policy = cache._space.policy
        assert isinstance(policy, Adaptive)
        draw = random.Random(3)
        in_order = 0
        for number in range(6 * STEP):
            cache.set(f"key:{number}", number)
            cache.get(f"key:{draw.randrange(number + 1)}")
            if draw.random() < 0.2:
                cache.delete(f"key:{draw.randrange(number + 1)}")
            if policy._queues is not None:
                former, in_order = in_order, policy._queues.count()
                assert in_order - former <= STEP
            if number % 1000 == 999 or in_order == STEP:
                cache._check()
        assert in_order == len(cache)
        fill(cache, 2 * STEP, first=6 * STEP)
        assert len(cache) == 6 * STEP
        cache._check()

    @pytest.mark.parametrize("cause", ["flush", "delete", "limit", "policy", "swap"])
    def test_what_comes_before_all_are_in_order_changes_nothing(self, cause: str) -> None:
        cache = self.cache(max_entries=8 * STEP)
        fill(cache, 4 * STEP + 10)
        policy = cache._space.policy
        assert isinstance(policy, Adaptive)
        assert policy._queues is not None and policy._queues.count() < len(cache)
        if cause == "flush":
            cache.flushdb()
        elif cause == "delete":
            cache.delete(*(f"key:{number}" for number in range(3 * STEP, 5 * STEP)))
            cache.delete(*(f"key:{number}" for number in range(STEP // 2)))
        elif cause == "limit":
            cache.max_entries = 3 * STEP
            cache.set("key:0", b"x" * 50)
            cache._check()
            cache.max_entries = 8 * STEP
        elif cause == "policy":
            cache.policy = "allkeys-lru"
            cache.policy = "adaptive"
        else:
            cache.swapdb(0, 1)
            fill(cache, 100)
            cache.swapdb(0, 1)
            cache.namespace("db1").flushdb()
        cache._check()
        fill(cache, 9 * STEP, first=5 * STEP)
        assert len(cache) == 8 * STEP
        cache._check()

    @pytest.mark.parametrize("arm", range(len(ARMS)))
    def test_after_a_flush_it_goes_on_by_any_arm(self, arm: int) -> None:
        cache = self.cache(max_entries=300)
        policy = cache._space.policy
        assert isinstance(policy, Adaptive)
        for turn in range(6):
            for number in range(400):
                if cache.get(f"key:{number}") is None:
                    cache.set(f"key:{number}", number)
                assert policy._queues is None or policy._queues.set_arm(ARMS[arm]) is None
            cache._check()
            if turn % 2:
                cache.flushdb()
                cache._check()

    def test_a_scan_takes_nothing_from_what_is_read_often(self) -> None:
        cache = self.cache(max_entries=500)
        popular = list(range(400)) * 10
        self.read_through(cache, popular)
        self.read_through(cache, list(range(10_000, 20_000)))
        # where hashes collide in the sketch, a few of them do get in; LRU would keep nothing
        assert self.read_through(cache, popular[:400]) > 0.8

    def test_a_loop_larger_than_the_cache_is_hit_in_part(self) -> None:
        cache = self.cache(max_entries=500)
        loop = list(range(1000))
        self.read_through(cache, loop * 20)
        # LRU hits nothing of it, the optimum half
        assert self.read_through(cache, loop * 5) > 0.2

    def test_what_is_new_and_popular_gets_in(self) -> None:
        cache = self.cache(max_entries=300)
        for era in range(5):
            keys = list(range(era * 1000, era * 1000 + 250))
            self.read_through(cache, keys * 40)
            assert self.read_through(cache, keys) > 0.9

    def test_it_takes_the_arm_that_suits(self) -> None:
        cache = self.cache(max_entries=1000)
        draw = random.Random(4)
        arms = set()
        for era in range(60):
            if era < 30:
                # most keys come twice within a short time, and never again
                numbers = [
                    1000 * era + max(0, step - int(draw.expovariate(0.002)))
                    for step in range(0, 3000, 1)
                ]
            else:
                numbers = [10**6 + step for step in range(1500)] * 2
            self.read_through(cache, numbers)
            arms.add(self.policy_of(cache).arm)
        assert len(arms) > 1
        cache._check()

    def test_large_newcomers_do_not_push_out_many_small_ones_in_use(self) -> None:
        cache = self.cache(max_memory="256kb")
        small = list(range(600))
        self.read_through(cache, small * 8)
        for number in range(300):
            cache.set(f"large:{number}", b"x" * 20_000)
            first = number * 60 % 600
            self.read_through(cache, small[first : first + 60])
        assert sum(cache.exists(f"key:{number}") for number in small) > 400
        cache._check()

    def test_it_tells_the_hit_ratio_of_other_capacities(self) -> None:
        draw = random.Random(8)
        numbers = [min(int(draw.paretovariate(0.5)), 4000) for _ in range(40_000)]
        ratios = {}
        for size in (200, 400, 800):
            cache = self.cache(max_entries=size)
            assert cache.hit_ratios() == {}
            self.read_through(cache, numbers[:20_000])
            ratios[size] = self.read_through(cache, numbers[20_000:])
            if size == 400:
                told = cache.hit_ratios()
        assert list(told) == [0.5, 1.0, 2.0]
        assert sorted(told.values()) == list(told.values())
        for size in (200, 400, 800):
            assert abs(told[size / 400] - ratios[size]) < 0.06, (told, ratios)

    def test_limits_and_sizes_may_change_while_it_runs(self) -> None:
        cache = self.cache(max_memory="400kb")
        draw = random.Random(2)
        for size in (10, 2000, 50, 8000, 1, 300):
            for _ in range(1500):
                cache.set(f"key:{draw.randrange(3000)}", b"x" * size)
                cache.get(f"key:{draw.randrange(3000)}")
            assert 400 * 1024 >= cache.store_stats().used_memory
            cache._check()


class VolatileContract(PolicyContract):
    """What holds for each policy that evicts only what has a deadline."""

    def test_without_a_deadline_nothing_is_evicted(self) -> None:
        cache = self.cache(max_entries=20)
        fill(cache, 20, ttl=None)
        with pytest.raises(OutOfMemoryError):
            cache.set("new", 1)
        assert len(cache) == 20
        cache.set("key:1", "overwritten")
        assert cache.get("key:1") == "overwritten"

    def test_only_keys_with_a_deadline_are_evicted(self) -> None:
        cache = self.cache(max_entries=100)
        fill(cache, 30, ttl=None)
        fill(cache, 500, first=1000)
        assert [number for number in range(30) if not cache.exists(f"key:{number}")] == []
        assert len(cache) == 100

    def test_a_deadline_that_comes_or_goes_later_counts(self) -> None:
        cache = self.cache(max_entries=2)
        cache.set("lasting", 1, 50)
        cache.set("volatile", 1)
        cache.persist("lasting")
        cache.expire("volatile", 100)
        cache.set("new", 1)
        assert (cache.exists("lasting"), cache.exists("volatile")) == (1, 0)
        with pytest.raises(OutOfMemoryError):
            cache.set("newer", 1)

    def test_a_key_that_grows_never_evicts_one_without_a_deadline(self) -> None:
        cache = self.cache(max_memory=2000)
        cache.set("lasting", b"x" * 500)
        cache.set("growing", b"y" * 100, 1000)
        with pytest.raises(OutOfMemoryError):
            cache.append("growing", "y" * 1000)
        assert (cache.strlen("lasting"), cache.strlen("growing")) == (500, 100)

    def test_another_namespace_gives_a_victim_where_this_one_has_none(self) -> None:
        cache = self.cache(max_entries=20)
        fill(cache, 10, ttl=None)
        other = cache.namespace("other")
        fill(other, 10)
        for number in range(10):
            cache.set(f"lasting:{number}", 1)
        assert (len(cache), len(other)) == (20, 0)


class TestVolatileLru(VolatileContract):
    policy = "volatile-lru"


class TestVolatileLfu(VolatileContract):
    policy = "volatile-lfu"


class TestVolatileRandom(VolatileContract):
    policy = "volatile-random"


class TestVolatileTtl(VolatileContract):
    policy = "volatile-ttl"

    def test_what_has_least_to_live_goes_first(self) -> None:
        cache = self.cache(max_entries=200, sample_size=64)
        for number in range(200):
            cache.set(f"key:{number}", 1, 1000 + number)
        for number in range(20):
            cache.set(f"new:{number}", 1)
        gone = [number for number in range(200) if not cache.exists(f"key:{number}")]
        # with 64 drawn of 200, the victim is nearly always of the 20 nearest that are left
        assert len(gone) == 20
        assert sum(gone) / len(gone) < 30


def test_each_policy_has_its_contract_run() -> None:
    run = {kind.policy for kind in _leaves(PolicyContract)}
    assert run == set(POLICIES) - set(NEVER_ASKED)


def _leaves(kind: type[PolicyContract]) -> list[type[PolicyContract]]:
    found = [] if "policy" not in vars(kind) else [kind]
    for child in kind.__subclasses__():
        found += _leaves(child)
    return found


class TestTheTable:
    def test_an_unknown_name_is_refused_with_those_that_are_known(self) -> None:
        with pytest.raises(ConfigError, match=r"'fifo': one of .*volatile-ttl"):
            make_policy("fifo")

    @pytest.mark.parametrize("size", [0, -1, 65])
    def test_a_sample_has_a_sensible_size(self, size: int) -> None:
        with pytest.raises(ConfigError, match="a sample has 1 to 64 entries"):
            Cache(sample_size=size)

    def test_a_larger_sample_finds_older_victims(self) -> None:
        def mean_age(sample_size: int) -> float:
            cache = Cache(max_entries=1000, policy="allkeys-lru", sample_size=sample_size)
            for number in range(1000):
                cache.set(f"key:{number}", 1)
            for number in range(100):
                cache.set(f"new:{number}", 1)
            gone = [number for number in range(1000) if not cache.exists(f"key:{number}")]
            return sum(gone) / len(gone)

        assert mean_age(64) < mean_age(8) < mean_age(1)
