"""What a cache with a warm tier does with values that do not fit, and what nobody notices."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from broken_stores import flush, on_memory
from overfull import KB, filled, tiers, value

from cachestorm import Cache, Cause, ManualClock
from cachestorm.errors import OutOfMemoryError, WrongTypeError
from cachestorm.eviction.policies import POLICIES

# -- moving


def test_eviction_keeps_all_that_is_there(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    assert len(cache) == 600
    assert cache.stats().evicted == 0
    assert cache.store_stats().used_memory <= 256 << 10
    assert [cache.get(f"k{number}") for number in range(600)] == [*map(value, range(600))]
    cache._check()


def test_the_second_hit_brings_a_value_back(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    assert cache.object_tier("k0") == "warm"
    places = []
    for _ in range(2):
        assert cache.get("k0") == value(0)
        places.append(cache.object_tier("k0"))
    assert places == ["warm", "memory"]
    assert cache.tier_stats()["warm"].promotions == 1
    cache._check()


def test_values_that_come_back_are_deleted_many_at_a_time(tmp_path: Path) -> None:
    with filled(tmp_path) as cache:
        level = cache._store.tiering.warm
        before = level.blobs.writes
        for number in range(200):
            cache.get(f"k{number}")
            cache.get(f"k{number}")
        assert level.promotions == 200
        # as many values go as come, in batches of 128 or 256 KiB
        assert 0 < level.blobs.writes - before <= 4
        flush(cache)
        assert level.released == []
        cache._check()


def test_a_value_that_is_changed_is_in_memory_first(tmp_path: Path) -> None:
    cache: Cache[Any] = Cache(max_memory="1mb", warm=tmp_path)
    cache.rpush("l", *[f"element {number}" for number in range(50)])
    cache.hset("h", mapping={f"field {number}": number for number in range(50)})
    for key in ("l", "h"):
        assert cache.demote(key)
    cache.rpush("l", "one more")
    assert (cache.object_tier("l"), cache.llen("l")) == ("memory", 51)
    assert cache.hincrby("h", "field 3", 10) == 13
    cache._check()


def test_what_fits_into_memory_stays_there(tmp_path: Path) -> None:
    cache = filled(tmp_path, 150)
    assert set(tiers(cache, 150)) == {"memory"}


def test_a_value_that_is_too_small_to_gain_anything_is_evicted(tmp_path: Path) -> None:
    cache: Cache[Any] = Cache(max_memory=100_000, warm=tmp_path)
    for number in range(600):
        cache.set(f"k{number}", number)
    assert not cache.demote("k599")
    assert cache.tier_stats()["warm"].demotions == 0
    assert cache.stats().evicted > 0
    cache._check()


def test_what_stands_for_values_takes_half_of_the_memory_at_most(tmp_path: Path) -> None:
    cache = filled(tmp_path, 2500)
    kept = len(cache)
    assert 500 < kept < 2500
    assert cache.stats().evicted == 2500 - kept
    in_memory = sum(place == "memory" for place in tiers(cache, 2500))
    assert in_memory > 75
    cache._check()


def test_a_key_without_its_value_takes_260_bytes_at_most(tmp_path: Path) -> None:
    cache: Cache[Any] = Cache(max_memory="1mb", warm=tmp_path)
    before = cache.store_stats().used_memory
    cache.set("user:123456", KB)
    assert cache.demote("user:123456")
    assert cache.store_stats().used_memory - before <= 260


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_finds_its_victims_among_the_values_in_memory(
    policy: str, tmp_path: Path
) -> None:
    cache: Cache[Any] = Cache(
        max_memory="128kb", warm={"path": tmp_path, "engine": "sqlite"}, policy=policy
    )
    chance = random.Random(7)
    model: dict[str, bytes] = {}
    refused = 0
    for step in range(1500):
        key = f"k{int(500 * chance.random() ** 2)}"
        if chance.random() < 0.4:
            model[key] = value(step)
            try:
                cache.set(key, model[key], ttl=3600)
            except OutOfMemoryError:
                refused += 1
                model = {key: found for key in model if (found := cache.get(key)) is not None}
        else:
            assert cache.get(key) in (None, model.get(key))
        if step % 200 == 0:
            cache._check()
            assert cache.store_stats().used_memory <= 128 << 10
    cache._check()
    assert (refused > 0) == (policy == "noeviction")
    assert (cache.tier_stats()["warm"].hits > 0) == (policy != "noeviction")


def test_noeviction_evicts_nothing_that_was_demoted_by_hand(tmp_path: Path) -> None:
    cache: Cache[Any] = Cache(max_memory="64kb", policy="noeviction", warm=tmp_path)
    kept = []
    for number in range(400):
        try:
            cache.set(f"k{number}", value(number))
        except OutOfMemoryError:
            break
        assert cache.demote(f"k{number}")
        kept.append(number)
    assert len(kept) > 200
    assert [cache.get(f"k{number}") for number in kept] == [*map(value, kept)]


def test_a_policy_can_be_changed_while_values_are_elsewhere(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    for policy in ("allkeys-lru", "volatile-ttl", "allkeys-lfu", "adaptive"):
        cache.policy = policy
        cache._check()
        cache.get("k5"), cache.get("k599")
    for number in range(600, 800):
        cache.set(f"k{number}", value(number))
    cache._check()


def test_a_limit_of_keys_evicts_the_key_whose_value_left_first(tmp_path: Path) -> None:
    cache: Cache[Any] = Cache(max_entries=100, warm=tmp_path)
    for number in range(100):
        cache.set(f"k{number}", value(number))
    cache.demote("k42")
    cache.demote("k41")
    cache.set("one", "more")
    cache.set("two", "more")
    assert len(cache) == 100
    assert (cache.exists("k42"), cache.exists("k41")) == (0, 0)
    cache._check()


def test_a_tier_keeps_to_its_size(tmp_path: Path) -> None:
    cache: Cache[Any] = Cache(max_memory="256kb", warm={"path": tmp_path, "max_size": "200kb"})
    noise = random.Random(3)
    for number in range(600):
        cache.set(f"k{number}", noise.randbytes(1000))
    stats = cache.tier_stats()["warm"]
    assert 150_000 < stats.used <= 200 << 10
    assert cache.stats().evicted > 0
    assert [cache.object_tier(f"k{number}") for number in (0, 599)] == [None, "memory"]
    cache._check()


def test_a_full_tier_keeps_what_was_asked_for_and_not_what_nobody_asked_for(
    tmp_path: Path,
) -> None:
    warm = {"path": tmp_path, "max_size": "200kb", "engine": "sqlite"}
    cache: Cache[Any] = Cache(max_memory="256kb", warm=warm)
    noise = random.Random(3)
    asked, unasked = ([f"k{number}" for number in range(at, at + 50)] for at in (0, 50))
    for number in range(1500):
        cache.set(f"k{number}", noise.randbytes(1000))
        # once a round of the tier, as a hit there; the second one would bring it to memory
        if number % 100 == 0:
            for key in asked:
                if cache.object_tier(key) == "warm":
                    cache.get(key)
    stats = cache.tier_stats()["warm"]
    assert stats.passed_over > 0
    # one that has come back to memory is known by counts that age: one may be forgotten
    assert cache.exists(*asked) > 40
    assert cache.exists(*unasked) == 0
    assert stats.used <= 200 << 10
    cache._check()


def test_setting_a_lower_limit_moves_what_is_beyond_it(tmp_path: Path) -> None:
    cache = filled(tmp_path, 150)
    cache.max_memory = "100kb"
    assert len(cache) == 150
    assert cache.store_stats().used_memory <= 100 << 10
    assert [cache.get(f"k{number}") for number in range(150)] == [*map(value, range(150))]
    cache._check()


def test_a_quota_moves_the_values_of_its_namespace(tmp_path: Path) -> None:
    cache: Cache[Any] = Cache(warm=tmp_path)
    pages = cache.namespace("pages", max_memory="100kb")
    for number in range(200):
        pages.set(f"k{number}", value(number))
    assert len(pages) == 200
    assert pages.stats().used_memory <= 100 << 10
    cache._check()


# -- what no disk is asked for


def test_what_is_known_of_a_key_is_known_without_its_value(tmp_path: Path) -> None:
    clock = ManualClock()
    cache, tier, store = on_memory(tmp_path, clock=clock)
    for number in range(10):
        cache.set(f"k{number}", value(number), ttl=60 + number, tags=["all", f"t{number % 2}"])
        cache.demote(f"k{number}")
    flush(cache)
    store.is_unreadable = True
    assert cache.exists("k0") == 1 and cache.type("k0") == "string" and cache.ttl("k0") == 60
    assert cache.tags("k1") == ["all", "t1"] and "k1" in cache
    assert sorted(cache.tagkeys("t1")) == ["k1", "k3", "k5", "k7", "k9"]
    assert len(cache) == cache.dbsize() == 10 and len(cache.keys()) == 10
    assert len(cache.scan(0, count=100)[1]) == 10
    assert cache.expire("k0", 5) and cache.persist("k1") and cache.addtag("k2", "more") == 1
    assert cache.remtag("k2", "all") == 1 and cache.memory_usage("k3") > 0
    assert cache.delete("k3") == 1 and cache.execute("UNLINK", "k4") == 1
    clock.advance(6)
    assert cache.exists("k0") == 0
    assert cache.invalidate("t1") == 4
    assert sorted(cache.keys()) == ["k2", "k6", "k8"]
    cache.set("k6", "short")
    cache.database(1).set("x", 1)
    cache.swapdb(0, 1)
    assert cache.get("x") == 1 and cache.database(1).dbsize() == 3
    cache.flushall()
    assert store.reads == 0
    cache._check()
    flush(cache)
    assert store.blobs == {} and tier.used_bytes == 0


def test_what_nobody_names_any_more_is_deleted_from_the_disk(tmp_path: Path) -> None:
    cache, tier, store = on_memory(tmp_path)
    keys = [f"k{number}" for number in range(20)]
    for number, key in enumerate(keys):
        cache.set(key, value(number), tags=["t"] if number % 2 else ())
        cache.demote(key)
    flush(cache)
    assert len(store.blobs) == 20
    cache.set("k0", "new")
    cache.delete("k2")
    cache.append("k4", "x")
    cache.expireat("k6", 1)
    cache.invalidate("t")
    cache.rename("k8", "k10")
    cache.reap()
    flush(cache)
    left = [key for key in keys if cache.object_tier(key) == "warm"]
    assert left == ["k12", "k14", "k16", "k18"]
    assert len(store.blobs) == 4 == tier.stats().values
    cache._check()


def test_moving_a_value_is_no_change_of_its_key(tmp_path: Path) -> None:
    cache, _, _ = on_memory(tmp_path)
    cache.set("k", value(1), ttl=100, tags=["t"])
    version = cache.version()
    before = cache.entry("k")
    told: list[object] = []
    cache.on_removed(lambda *facts: told.append(facts))
    with cache.pipeline(watch=["k"]) as pipe:
        assert cache.demote("k")
        flush(cache)
        assert cache.get("k") == cache.get("k") == value(1)
        pipe.set("done", 1).execute()
    after = cache.entry("k")
    assert before is not None and after is not None
    assert (after.version, after.tags, after.value) == (before.version, before.tags, value(1))
    assert told == []
    assert cache.set("k", "new", if_unchanged=version)


def test_what_has_left_the_tier_is_told_without_its_value(tmp_path: Path) -> None:
    cache, _, store = on_memory(tmp_path)
    told: list[object] = []
    cache.on_removed(lambda key, held, cause: told.append((key, held, cause)))
    cache.set("k", value(1))
    cache.demote("k")
    cache.delete("k")
    assert told == [("k", None, Cause.DELETED)]
    assert store.reads == 0


# -- what values come back as


def test_objects_that_json_carries_come_back_as_they_were(tmp_path: Path) -> None:
    cache, _, _ = on_memory(tmp_path)
    user = {"name": "Ada", "scores": [1, 2.5, None, True], "text": "x" * 200}
    cache.set("k", user)
    assert cache.demote("k")
    flush(cache)
    assert cache.get("k") == user and cache.type("k") == "object"
    cache._check()


def test_other_objects_need_a_codec_and_are_evicted_without_one(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [{}, {"codec": "pickle"}]
    found = []
    for number, setting in enumerate(settings):
        cache, tier, _ = on_memory(tmp_path / str(number), **setting)
        cache.set("k", (Fraction(1, 3), "x" * 300))
        assert cache.demote("k")
        flush(cache)
        found.append((cache.get("k"), tier.unfit, cache.exists("k")))
        cache._check()
    assert found == [(None, 1, 0), ((Fraction(1, 3), "x" * 300), 0, 1)]


def test_a_hash_with_deadlines_of_fields_stays_in_memory(tmp_path: Path) -> None:
    cache, _, _ = on_memory(tmp_path)
    cache.hset("h", mapping={f"f{number}": number for number in range(100)})
    cache.hexpire("h", 100, "f1")
    assert not cache.demote("h")


def test_a_wrong_type_is_refused_without_a_look_at_the_disk(tmp_path: Path) -> None:
    cache, _, store = on_memory(tmp_path)
    cache.rpush("l", *range(100))
    cache.demote("l")
    flush(cache)
    with pytest.raises(WrongTypeError):
        cache.get("l")
    assert store.reads == 0


def test_a_walk_over_all_values_leaves_them_where_they_are(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    before = tiers(cache, 600)
    assert dict(cache.items()) == {f"k{number}": value(number) for number in range(600)}
    assert tiers(cache, 600) == before
