"""The directory of a warm tier, and its settings."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from overfull import filled, tiers, value

from cachestorm import Cache
from cachestorm.errors import ConfigError, DurabilityError

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
