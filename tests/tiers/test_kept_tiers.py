"""Tiers of a cache with a data directory: a restart finds the values where they were."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from broken_stores import flush, tiers_of

from cachestorm import Cache, ManualClock
from cachestorm.errors import DurabilityError
from cachestorm.tiers.blob_store import ROCKSDB, SQLITE

KB = b"0123456789abcdef" * 64
FILE = "file"
KINDS = (ROCKSDB, SQLITE, FILE)


def value(number: int) -> bytes:
    return b"%d:" % number + KB


def settings(folder: Path, kind: str = SQLITE, **others: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"max_memory": "256kb", "data_dir": folder / "data", **others}
    if kind == FILE:
        pytest.importorskip("obstore")
        found["cold"] = f"file://{folder}/cold"
    else:
        pytest.importorskip("rocksdict" if kind == ROCKSDB else "sqlite3")
        found["warm"] = {"path": folder / "warm", "engine": kind}
    return found


def filled(folder: Path, kind: str = SQLITE, count: int = 600, **others: Any) -> Cache[Any]:
    """A cache of 256 KiB that has been given more than that, and has it all in its files."""
    cache: Cache[Any] = Cache(**settings(folder, kind, **others))
    for number in range(count):
        cache.set(f"k{number}", value(number))
        if kind == FILE and number % 50 == 0:
            flush(cache)
    flush(cache)
    return cache


def crashed(folder: Path) -> Path:
    """What a process would leave behind that was killed now."""
    left = folder.with_name(folder.name + "-left")
    if left.exists():
        shutil.rmtree(left)
    shutil.copytree(
        folder, left, ignore=lambda _, names: [each for each in names if each == "LOCK"]
    )
    return left


def levels(cache: Cache[Any]) -> Any:
    return tiers_of(cache).levels[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("aof", [True, False])
def test_a_restart_reads_no_value_that_is_in_a_tier(
    kind: str, aof: bool, tmp_path: Path
) -> None:
    with filled(tmp_path, kind, aof=aof) as cache:
        cache.save()
        away = [
            f"k{number}" for number in range(600) if cache.object_tier(f"k{number}") != "memory"
        ]
        assert len(away) > 350
    with Cache(**settings(tmp_path, kind, aof=aof)) as again:
        (told,) = again.tier_stats().values()
        assert (told.reads, told.writes, told.losses) == (0, 0, 0)
        assert all(again.object_tier(key) != "memory" for key in away)
        assert again.mget(*[f"k{number}" for number in range(600)]) == [*map(value, range(600))]
        again._check()


@pytest.mark.parametrize("kind", KINDS)
def test_a_close_names_what_has_gone_to_a_tier_since_the_last_snapshot(
    kind: str, tmp_path: Path
) -> None:
    with filled(tmp_path, kind) as cache:
        (before,) = cache.tier_stats().values()
    with Cache(**settings(tmp_path, kind)) as again:
        (told,) = again.tier_stats().values()
        assert (told.values, told.used, told.reads) == (before.values, before.used, 0)
        assert again.mget(*[f"k{number}" for number in range(600)]) == [*map(value, range(600))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_loses_no_value_that_has_come_back_to_memory(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with filled(folder, kind) as cache:
        cache.save()
        for _ in range(2):
            for number in range(100):
                assert cache.get(f"k{number}") == value(number)
        # which drives others out, and writes over some
        for number in range(300, 400):
            cache.set(f"k{number}", b"new")
        flush(cache)
        left = crashed(folder)
    with Cache(**settings(left, kind)) as again:
        expected = [b"new" if 300 <= each < 400 else value(each) for each in range(600)]
        assert again.mget(*[f"k{number}" for number in range(600)]) == expected
        assert [told.losses for told in again.tier_stats().values()] == [0]
        again._check()


@pytest.mark.parametrize("kind", KINDS)
def test_what_files_name_is_kept_until_there_are_others(kind: str, tmp_path: Path) -> None:
    with filled(tmp_path, kind) as cache:
        cache.save()
        level = levels(cache)
        cache.delete(*[f"k{number}" for number in range(100)])
        flush(cache)
        assert len(level.held) == 100 and level.released == []
        cache.save()
        flush(cache)
        assert len(level.held) == 0 and level.released == []
        # nothing names these
        cache.set("x", KB)
        cache.demote("x")
        flush(cache)
        cache.delete("x")
        assert len(level.held) == 0


def test_much_that_is_only_held_has_files_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cachestorm.tiers.keeping.HELD_BYTES", 10_000)
    with filled(tmp_path) as cache:
        cache.save()
        tiers = tiers_of(cache)
        assert not tiers.wants_naming()
        cache.delete(*[f"k{number}" for number in range(300)])
        assert tiers.wants_naming()
        directory = cache._directory()
        assert directory is not None
        directory.look()
        directory.wait()
        assert not tiers.wants_naming() and directory.saves == 2


@pytest.mark.parametrize("kind", KINDS)
def test_orphans_of_a_crash_are_deleted(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with filled(folder, kind, 300) as cache:
        cache.save()
        for number in range(300, 600):
            cache.set(f"k{number}", value(number))
        flush(cache)
        tiers_of(cache).sync()
        left = crashed(folder)
    with Cache(**settings(left, kind)) as again:
        thread = tiers_of(again)._keeping._discarding
        assert thread is not None
        thread.join()
        level = levels(again)
        named = {int(each.place) >> 2 for each in level.here()}
        if kind == FILE:
            objects = {each.name for each in (left / "cold").glob("kept-*/*")} - {"alive"}
            assert objects == {f"{number:012x}" for number in level.blobs._segments}
        else:
            assert [*level.blobs.discard_others(sorted(named))] in ([], [0])
        assert again.mget(*[f"k{number}" for number in range(600)]) == [*map(value, range(600))]
    assert not level.has_others


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_happens_to_a_named_value_happens_again(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    clock = ManualClock()
    with filled(folder, kind, 0, clock=clock) as cache:
        for number in range(12):
            cache.set(f"k{number}", value(number), ttl=1000, tags=["t", f"n{number}"])
            cache.demote(f"k{number}")
        for kept in ("l", "h"):
            cache.rpush("l", *range(100)) if kept == "l" else cache.hset("h", mapping={"f": KB})
            cache.demote(kept)
        flush(cache)
        cache.save()
        cache.rename("k0", "renamed")
        cache.append("k1", b"more")
        cache.delete("k2")
        cache.expire("k3", 5)
        cache.persist("k4")
        cache.set("k5", "new")
        cache.addtag("k6", "added")
        cache.invalidate("n7")
        cache.rpush("l", "one more")
        cache.hset("h", "g", 1)
        cache.copy("k8", "copied")
        cache.setrange("k9", 0, b"ab")
        cache.invalidate("n10", soft=True)
        left = crashed(folder)
    clock.advance(6)
    with Cache(**settings(left, kind, clock=clock)) as again:
        gone = ("k0", "k2", "k3", "k7", "k10")
        assert again.exists(*gone) == 0
        assert again.get("renamed") == value(0) and again.tags("renamed") == ["t", "n0"]
        assert again.get("k1") == value(1) + b"more" and again.ttl("k1") == 994
        assert again.ttl("k4") is None and again.get("k4") == value(4)
        assert again.get("k5") == "new"
        assert again.tags("k6") == ["t", "n6", "added"] and again.get("k6") == value(6)
        assert again.lrange("l", 98, -1) == [98, 99, "one more"]
        assert again.hgetall("h") == {"f": KB, "g": 1}
        assert again.get("copied") == again.get("k8") == value(8)
        assert again.get("k9") == b"ab" + value(9)[2:]
        assert again.object_tier("k11") != "memory"
        assert [told.losses for told in again.tier_stats().values()] == [0]
        again._check()


def test_namespaces_that_are_exchanged_or_flushed_take_their_values_along(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "a"
    with filled(folder, count=300) as cache:
        cache.database(1).set("other", KB)
        cache.database(2).set("gone", KB)
        cache.database(1).demote("other"), cache.database(2).demote("gone")
        flush(cache)
        cache.save()
        cache.swapdb(0, 1)
        cache.database(2).flushdb()
        left = crashed(folder)
    with Cache(**settings(left)) as again:
        assert [again.dbsize(), again.database(1).dbsize(), again.database(2).dbsize()] == [
            1,
            300,
            0,
        ]
        assert again.get("other") == KB and again.database(1).get("k7") == value(7)
        again._check()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_random_actions_with_crashes_and_restarts_agree_with_a_dict(
    kind: str, seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    folder = tmp_path / "a"
    model: dict[str, object] = {}
    cache: Cache[Any] = Cache(**settings(folder, kind))
    for step in range(600):
        key, draw = f"k{chance.randrange(300)}", chance.random()
        if draw < 0.45:
            model[key] = value(step)
            cache.set(key, model[key])
        elif draw < 0.55:
            cache.delete(key)
            model.pop(key, None)
        elif draw < 0.6 and key in model:
            other = f"k{chance.randrange(300)}"
            if other != key:
                cache.rename(key, other)
                model[other] = model.pop(key)
        elif draw < 0.63 and key in model:
            cache.append(key, b"x")
            model[key] = bytes(model[key]) + b"x"  # type: ignore[call-overload]
        elif draw < 0.7:
            cache.demote(key)
        elif draw < 0.99:
            assert cache.get(key) == model.get(key)
        elif draw < 0.993:
            cache.save()
        elif draw < 0.995:
            flush(cache)
        elif draw < 0.998:
            if chance.random() < 0.5:
                left = crashed(folder)
                cache.close()
                folder = left
            else:
                cache.close()
            cache = Cache(**settings(folder, kind))
        if step % 200 == 0:
            cache._check()
    assert {key: cache.get(key) for key in model} == model
    assert len(cache) == len(model)
    assert [told.losses for told in cache.tier_stats().values()] == [0]
    cache._check()
    cache.close()


def test_a_snapshot_in_a_file_has_all_values(tmp_path: Path) -> None:
    with filled(tmp_path) as cache:
        cache.save()
        cache.save(tmp_path / "copy")
        directory = cache._directory()
        # what is read through at a start does not stay
        assert directory is not None and directory.is_scheduled
    loaded: Cache[Any] = Cache.load(tmp_path / "copy")
    assert loaded.mget(*[f"k{number}" for number in range(600)]) == [*map(value, range(600))]


def test_values_that_are_gone_are_misses_that_are_counted(tmp_path: Path) -> None:
    with filled(tmp_path) as cache:
        cache.save()
    shutil.rmtree(tmp_path / "warm")
    with Cache(**settings(tmp_path)) as again:
        found = [again.get(f"k{number}") for number in range(600)]
        lost = found.count(None)
        assert 350 < lost < 600 and len(again) == 600 - lost
        assert again.tier_stats()["warm"].losses == lost
        again._check()


@pytest.mark.parametrize("kind", [SQLITE, FILE])
def test_a_cache_without_the_tier_that_files_name_is_refused(kind: str, tmp_path: Path) -> None:
    with filled(tmp_path, kind) as cache:
        cache.save()
    name = "cold" if kind == FILE else "warm"
    with pytest.raises(DurabilityError, match=f"names values in a {name} tier, and this cache"):
        Cache(data_dir=tmp_path / "data")
    with Cache(**settings(tmp_path, kind)) as again:
        assert again.get("k0") == value(0)


def test_an_engine_that_is_another_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("rocksdict")
    with filled(tmp_path) as cache:
        cache.save()
    with pytest.raises(DurabilityError, match="written by the engine sqlite, not by rocksdb"):
        Cache(**settings(tmp_path, ROCKSDB))
    warm = {"path": tmp_path / "warm"}
    with Cache(max_memory="256kb", data_dir=tmp_path / "data", warm=warm) as again:
        assert again.get("k0") == value(0)


def test_others_leave_alone_what_a_data_directory_keeps(tmp_path: Path) -> None:
    with filled(tmp_path) as cache:
        cache.save()
    with Cache(warm={"path": tmp_path / "warm", "engine": "sqlite"}) as other:
        other.set("k", KB)
    with Cache(**settings(tmp_path, data_dir=tmp_path / "other")) as other:
        assert len(other) == 0
    with Cache(**settings(tmp_path)) as again:
        assert again.mget(*[f"k{number}" for number in range(600)]) == [*map(value, range(600))]


def test_places_are_never_given_again(tmp_path: Path) -> None:
    last = 0
    for _ in range(3):
        with filled(tmp_path, count=300) as cache:
            first = min(int(each.place) >> 2 for each in levels(cache).queue)
            assert first > last
            last = max(int(each.place) >> 2 for each in levels(cache).queue)
            cache.flushall()


def test_values_of_rocksdb_that_nothing_names_any_more_keep_it_from_starting(
    tmp_path: Path,
) -> None:
    with filled(tmp_path, ROCKSDB):
        pass
    (folder,) = (tmp_path / "warm").glob("kept-*-rocksdb")
    current = (folder / "CURRENT").read_bytes()
    (folder / "CURRENT").unlink()
    for _ in range(2):
        with pytest.raises(DurabilityError, match=r"CURRENT is missing.* put it back.*delete"):
            Cache(**settings(tmp_path, ROCKSDB))
    (folder / "CURRENT").write_bytes(current)
    with Cache(**settings(tmp_path, ROCKSDB)) as again:
        assert again.mget(*[f"k{number}" for number in range(600)]) == [*map(value, range(600))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_data_directory_made_anew_keeps_the_name_of_its_tiers(
    kind: str, tmp_path: Path
) -> None:
    with filled(tmp_path, kind) as cache:
        shutil.rmtree(tmp_path / "data")
        (tmp_path / "data").mkdir()
        cache.save()
    with Cache(**settings(tmp_path, kind)) as again:
        (told,) = again.tier_stats().values()
        assert told.values > 0 and told.losses == 0
        assert again.mget(*[f"k{number}" for number in range(600)]) == [*map(value, range(600))]
