"""What a cache with a warm tier does with values that do not fit, and what nobody notices."""

from __future__ import annotations

import gc
import os
import random
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from broken_stores import flush, on_memory, tiers_of

from cachestorm import Cache, Cause, ManualClock
from cachestorm.errors import ConfigError, DurabilityError, OutOfMemoryError, WrongTypeError
from cachestorm.eviction.policies import POLICIES

KB = b"0123456789abcdef" * 64


def value(number: int) -> bytes:
    return b"%d:" % number + KB


def filled(folder: Path, count: int = 600, **settings: Any) -> Cache[Any]:
    """A cache of 256 KiB that has been given more than that."""
    settings.setdefault("max_memory", "256kb")
    cache: Cache[Any] = Cache(warm={"path": folder, "engine": "sqlite"}, **settings)
    for number in range(count):
        cache.set(f"k{number}", value(number))
    return cache


def tiers(cache: Cache[Any], count: int) -> list[str | None]:
    return [cache.object_tier(f"k{number}") for number in range(count)]


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


# -- faults


@pytest.mark.parametrize("read", ["get", "strlen", "getdel", "entry"])
def test_a_damaged_value_is_a_miss_that_is_counted(read: str, tmp_path: Path) -> None:
    cache, tier, store = on_memory(tmp_path)
    cache.set("k", value(1), tags=["t"])
    cache.demote("k")
    flush(cache)
    store.damage = lambda blob: blob[:-1] + bytes([blob[-1] ^ 1])
    assert getattr(cache, read)("k") in (None, 0)
    assert (cache.exists("k"), tier.losses, cache.tagkeys("t")) == (0, 1, [])
    cache._check()


def test_a_disk_that_does_not_answer_costs_the_value_and_nothing_else(tmp_path: Path) -> None:
    cache, tier, store = on_memory(tmp_path)
    cache.set("k", value(1))
    cache.demote("k")
    flush(cache)
    store.is_unreadable = True
    assert cache.incr("k") == 1
    assert tier.losses == 1
    cache._check()


def test_a_disk_that_refuses_makes_eviction_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, tier, store = on_memory(tmp_path, max_memory="256kb")
    store.refuses = True
    for number in range(1000):
        cache.set(f"k{number}", value(number))
    cache._check()
    assert tier.failures == 1 and cache.stats().evicted > 700
    assert cache.get("k999") == value(999)
    # some time later it takes values again
    store.refuses = False
    tier.retry_at = 1e-9
    for number in range(1000, 1500):
        cache.set(f"k{number}", value(number))
    assert len(store.blobs) > 200
    cache._check()


def test_a_key_may_be_written_while_its_value_is_on_its_way(tmp_path: Path) -> None:
    cache, _, store = on_memory(tmp_path)
    for key in "abc":
        cache.set(key, value(1))
        cache.demote(key)
    cache.rpush("l", *range(100))
    cache.demote("l")

    def meddle() -> None:
        store.on_write = int
        cache.set("a", "new")
        cache.delete("b")
        cache.rpush("l", "more")

    store.on_write = meddle
    flush(cache)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("new", None, value(1))
    assert cache.lrange("l", -2, -1) == [99, "more"] and cache.llen("l") == 101
    cache._check()
    flush(cache)
    assert len(store.blobs) == 1


def test_a_codec_that_uses_the_cache_is_no_deadlock(tmp_path: Path) -> None:
    class Codec:
        cache: Cache[Any] | None = None

        def encode(self, given: object) -> bytes:
            return repr(given).encode()

        def decode(self, raw: bytes) -> object:
            if self.cache is not None:
                self.cache.set("decoded", 1)
            return eval(raw)

    codec = Codec()
    cache, _, _ = on_memory(tmp_path, codec=codec)
    codec.cache = cache
    cache.set("k", [1] * 100)
    cache.demote("k")
    flush(cache)
    assert cache.get("k") == [1] * 100


# -- threads, transactions, forks


def test_threads_read_what_was_written_last(tmp_path: Path) -> None:
    cache: Cache[Any] = Cache(max_memory="256kb", warm=tmp_path)
    wrong: list[object] = []

    def work(name: int) -> None:
        chance = random.Random(name)
        own: dict[str, bytes] = {}
        for step in range(600):
            key = f"{name}:{chance.randrange(150)}"
            draw = chance.random()
            if draw < 0.4:
                own[key] = value(step)
                cache.set(key, own[key])
            elif draw < 0.45:
                own.pop(key, None)
                cache.delete(key)
            else:
                found = cache.get(key)
                if found is not None and found != own.get(key):
                    wrong.append((key, found, own.get(key)))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.tier_stats()["warm"].losses == 0
    cache._check()


@pytest.mark.parametrize("codec", [None, "json"])
def test_nobody_waits_for_the_disk_that_a_get_reads(codec: str | None, tmp_path: Path) -> None:
    cache, _, store = on_memory(tmp_path, codec=codec)
    cache.set("k", ["x" * 300])
    cache.set("other", ["y" * 300])
    cache.demote("k")
    flush(cache)
    store.gate.clear()
    found: list[object] = []
    reader = threading.Thread(target=lambda: found.append(cache.get("k")))
    reader.start()
    while store.reads == 0:
        reader.join(0.001)
    # under the lock these would wait for ever
    assert cache.get("other") == ["y" * 300]
    assert cache.set("k2", 1) and cache.hset("h", "f", 1) == 1
    store.gate.set()
    reader.join()
    assert found == [["x" * 300]]
    assert (store.reads, tiers_of(cache).ahead.fetched) == (1, {})
    cache._check()


def test_a_transaction_sees_what_is_on_the_disk(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    with cache.transaction():
        assert [cache.get(f"k{number}") for number in range(50)] == [*map(value, range(50))]
        for number in range(600, 900):
            cache.set(f"k{number}", value(number))
    assert cache.store_stats().used_memory <= 256 << 10
    assert cache.get("k750") == value(750)
    cache._check()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_without_the_disk(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert cache.get("k0") is None
            assert cache.get("k599") == value(599)
            for number in range(1000):
                cache.set(f"c{number}", value(number))
            cache._check()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [cache.get(f"k{number}") for number in range(600)] == [*map(value, range(600))]
    cache.close()


# -- the directory


def test_closing_gives_the_directory_back_and_keeps_what_is_in_memory(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    kept = tiers(cache, 600).count("memory")
    cache.close()
    cache.close()
    assert len(cache) == kept
    cache._check()
    cache.set("k", value(1))
    assert not cache.demote("k") and cache.tier_stats() == {}
    assert [each.name for each in tmp_path.iterdir()] == ["lock"]
    with filled(tmp_path, 10) as other:
        assert other.get("k1") == value(1)


def test_what_a_crash_has_left_is_neither_read_nor_kept(tmp_path: Path) -> None:
    left = tmp_path / "values-0123"
    left.mkdir()
    (left / "000012.sst").write_bytes(b"old")
    (tmp_path / "mine").write_text("a file of somebody else")
    with filled(tmp_path, 10):
        names = {each.name for each in tmp_path.iterdir()}
    assert not left.exists()
    assert "mine" in names


def test_one_directory_is_for_one_cache(tmp_path: Path) -> None:
    with filled(tmp_path, 10), pytest.raises(DurabilityError, match="open in another cache"):
        Cache(warm=tmp_path)
    with Cache(warm=tmp_path):
        pass


def test_a_cache_that_is_dropped_gives_its_directory_back(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    del cache
    gc.collect()
    with Cache(warm=tmp_path):
        pass


def test_a_directory_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DurabilityError, match="cannot be used as a warm tier"):
        Cache(warm=tmp_path / "file")


def test_all_that_is_wrong_with_the_settings_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        Cache(warm={"paht": "x", "max_size": "much", "engine": "paper"})
    assert str(refused.value) == (
        "warm takes path, max_size, engine, not 'paht'; "
        "the path of warm is that of a directory, not None; "
        "the max_size of warm: 'much' is not a size: write bytes, or 64kb, 256mb, 2gb, 1tb; "
        "the engine of warm is one of rocksdb, sqlite, not 'paper'"
    )
    with pytest.raises(TypeError, match="warm is a path"):
        Cache(warm=7)  # type: ignore[arg-type]


# -- with a data directory


def test_a_restart_finds_what_was_on_the_disk(tmp_path: Path) -> None:
    for aof in (True, False):
        where = {"data_dir": tmp_path / f"data{aof}", "aof": aof}
        with filled(tmp_path / "warm", **where) as cache:
            cache.rename("k3", "renamed")
            cache.demote("renamed")
            cache.set("k5", "new")
            cache.delete("k6")
            cache.save()
            cache.rpush("l", *range(100))
            cache.demote("l")
            cache.rpush("l", "more")
        with Cache(max_memory="256kb", warm=tmp_path / "warm", **where) as again:  # type: ignore[arg-type]
            assert len(again) == 600
            assert again.lrange("l", 98, -1) == [98, 99, "more"]
            assert again.get("renamed") == value(3) and again.get("k5") == "new"
            assert again.get("k432") == value(432) and again.get("k6") is None
            again._check()
