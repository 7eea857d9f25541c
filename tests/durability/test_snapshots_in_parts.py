"""Large containers, recorded in parts while others go on changing them, moving them, or die."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from contents import contents

from cachestorm import Cache, ManualClock
from cachestorm.durability import parts, snapshot
from cachestorm.durability.segments import Segment
from cachestorm.errors import CacheStormError

KEYS = ("hash", "list", "set", "zset")


@pytest.fixture(autouse=True)
def _parts_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "SLICE_BYTES", 2000)
    monkeypatch.setattr(parts, "PART", 3)


class Meanwhile:
    """Does something between two slices of a walk over the store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.do: Any = lambda: None
        self.count = 0
        monkeypatch.setattr(
            snapshot, "time", SimpleNamespace(sleep=self._sleep, monotonic=time.monotonic)
        )

    def _sleep(self, _seconds: float) -> None:
        self.count += 1
        self.do()


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    return Meanwhile(monkeypatch)


def fill(cache: Cache[Any]) -> None:
    cache.hset("hash", mapping={f"f{number}": number for number in range(60)})
    cache.hpexpire("hash", 50_000, "f1", "f30", "f59")
    cache.rpush("list", *range(100))
    cache.sadd("set", *(f"m{number}" for number in range(60)))
    cache.zadd("zset", {f"m{number}": number for number in range(60)})
    for key in KEYS:
        cache.addtag(key, "all", key)
        cache.expire(key, 5000)


def change(cache: Cache[Any], clock: ManualClock, chance: random.Random) -> None:
    """One change of one of them."""
    number = chance.randrange(80)
    left, right = chance.randrange(4), -1 - chance.randrange(4)
    steps = [
        lambda: cache.hset("hash", f"f{number}", chance.randrange(99)),
        lambda: cache.hdel("hash", f"f{number}", f"f{number + 1}"),
        lambda: cache.hpexpire("hash", chance.choice([20, 90_000]), f"f{number}"),
        lambda: cache.sadd("set", f"m{number}"),
        lambda: cache.srem("set", f"m{number}", f"m{number + 2}"),
        lambda: cache.zadd("zset", {f"m{number}": chance.randrange(99)}),
        lambda: cache.zrem("zset", f"m{number}"),
        lambda: cache.execute("ZREMRANGEBYRANK", "zset", left, left + 3),
        lambda: cache.rpush("list", "right", chance.randrange(99)),
        lambda: cache.lpush("list", "left", chance.randrange(99)),
        lambda: cache.rpop("list"),
        lambda: cache.lpop("list"),
        lambda: cache.lset("list", number, chance.randrange(99)),
        lambda: cache.ltrim("list", left, right),
        lambda: clock.advance(0.01),
        lambda: cache.remtag(chance.choice(KEYS), "all"),
        lambda: cache.persist(chance.choice(KEYS)),
        lambda: cache.expire(chance.choice(KEYS), 4000),
        # what comes now is rare
        lambda: cache.linsert("list", "BEFORE", number, "inserted"),
        lambda: cache.lrem("list", 1, number),
        lambda: cache.rename(chance.choice(KEYS), chance.choice(["other", "again"])),
        lambda: cache.rename("other", chance.choice(KEYS)),
        lambda: cache.delete(chance.choice(KEYS)),
        lambda: cache.execute("SWAPDB", 0, 1),
        lambda: cache.invalidate(chance.choice(["all", "list"])),
        lambda: fill(cache),
    ]
    step = steps[chance.randrange(18)] if chance.random() < 0.97 else chance.choice(steps[18:])
    try:
        step()
    except CacheStormError:
        pass


def live_through(tmp_path: Path, meanwhile: Meanwhile, seed: int) -> None:
    """Snapshots, with changes and crashes between any two of their slices."""
    chance, clock = random.Random(seed), ManualClock()
    cache: Cache[Any] = Cache(data_dir=tmp_path / "data", aof_sync="no", clock=clock)
    fill(cache)
    crashes: list[tuple[Path, dict[str, object], int]] = []

    def do() -> None:
        for _ in range(3):
            change(cache, clock, chance)
        if chance.random() < 0.05:
            folder = tmp_path / f"crash{len(crashes)}"
            shutil.copytree(tmp_path / "data", folder)
            crashes.append((folder, contents(cache), clock.now_ms()))

    meanwhile.do = do
    for _ in range(2):
        cache.save()
    # a hash of sixty fields alone is twenty parts
    assert meanwhile.count > 100
    cache.save(tmp_path / "copy.snapshot")
    copied = contents(cache)
    cache.close()
    assert crashes != []
    for folder, expected, at_ms in [*crashes, (tmp_path / "data", copied, clock.now_ms())]:
        cache = Cache(data_dir=folder, clock=ManualClock(at_ms))
        assert contents(cache) == expected
        cache._check()
        cache.close()
    cache = Cache.load(tmp_path / "copy.snapshot", clock=clock)
    assert contents(cache) == copied
    cache._check()


@pytest.mark.parametrize("seed", range(2))
def test_what_is_changed_meanwhile_is_right_after_a_restart_and_after_a_crash(
    tmp_path: Path, meanwhile: Meanwhile, seed: int
) -> None:
    live_through(tmp_path, meanwhile, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 60))
def test_very_many_changes_meanwhile_are_right_as_well(
    tmp_path: Path, meanwhile: Meanwhile, seed: int
) -> None:
    live_through(tmp_path, meanwhile, seed)


def test_no_frame_of_a_snapshot_has_more_than_a_part_of_a_large_container(
    tmp_path: Path,
) -> None:
    cache: Cache[Any] = Cache()
    fill(cache)
    cache.save(tmp_path / "copy.snapshot")
    segment = Segment(str(tmp_path / "copy.snapshot"), 0, False)
    sizes = [len(body) for body in segment.bodies()]
    # twenty of each of three, and thirty-four of the list
    assert len(sizes) > 3 * 20 + 34
    assert max(sizes) < 300
