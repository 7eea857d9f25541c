"""Large containers that go to a colder tier and come back while a snapshot is taken."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
from contents import content_of, deadline_of
from test_snapshots_in_parts import KEYS, Meanwhile, change, fill

from cachestorm import Cache, ManualClock
from cachestorm.durability import parts, snapshot
from cachestorm.errors import CacheStormError
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.tiers.tiers import Tiers
from cachestorm.values.list import ListValue


@pytest.fixture(autouse=True)
def _parts_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sqlite3")
    monkeypatch.setattr(snapshot, "SLICE_BYTES", 2000)
    monkeypatch.setattr(parts, "PART", 3)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    return Meanwhile(monkeypatch)


def opened(folder: Path, clock: ManualClock) -> Cache[Any]:
    """A cache that is kept, with a tier."""
    warm = {"path": folder / "warm", "engine": "sqlite"}
    return Cache(data_dir=folder / "data", max_memory="64mb", warm=warm, clock=clock)


def flush(cache: Cache[Any]) -> None:
    """Has all be in the tier that is on its way there."""
    cast(Tiers, cache._store.tiering).flush()


def everything(cache: Cache[Any]) -> dict[tuple[str, str], object]:
    """All that there is, wherever it is; it stays there."""
    found: dict[tuple[str, str], object] = {}
    store = cache._store
    store.begin()
    try:
        for space in store.spaces():
            for entry in [*space.dense]:
                held = space.look(entry) if space.peek(entry.key) is entry else None
                if held is None:
                    continue
                content: Any = content_of(held.value)
                if isinstance(held.value, ListValue):
                    # one that comes back has other positions
                    content = content[0]
                about = (deadline_of(space, entry), tag_names_of(entry))
                found[space.name, entry.key] = (content, about)
    finally:
        store.end()
    return found


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("key", KEYS)
def test_a_container_that_is_demoted_between_two_parts_is_kept(
    tmp_path: Path, meanwhile: Meanwhile, key: str, is_there: bool
) -> None:
    clock = ManualClock()
    cache = opened(tmp_path, clock)
    fill(cache)
    # a hash with such fields stays in memory
    cache.hpersist("hash", "f1", "f30", "f59")
    cache.delete([each for each in KEYS if each != key])
    before = everything(cache)
    demoted = []

    def do() -> None:
        # its first element is recorded by now, and the others are not
        if meanwhile.count == 2:
            demoted.append(cache.demote(key))
            if is_there:
                flush(cache)

    meanwhile.do = do
    cache.save()
    assert demoted == [True]
    assert meanwhile.count > 2
    assert everything(cache) == before
    cache.close()
    cache = opened(tmp_path, clock)
    assert everything(cache) == before
    cache._check()
    cache.close()


def live_through(tmp_path: Path, meanwhile: Meanwhile, seed: int) -> None:
    """Snapshots, with changes, moves between tiers and crashes between any two slices."""
    chance, clock = random.Random(seed), ManualClock()
    cache = opened(tmp_path / "here", clock)
    fill(cache)
    crashes: list[tuple[Path, dict[tuple[str, str], object], int]] = []

    def do() -> None:
        for _ in range(3):
            change(cache, clock, chance)
            if chance.random() < 0.3:
                try:
                    cache.demote(chance.choice(KEYS))
                except CacheStormError:
                    pass
            if chance.random() < 0.1:
                flush(cache)
        if chance.random() < 0.05:
            # what a tier has not written yet is in the journal
            flush(cache)
            folder = tmp_path / f"crash{len(crashes)}"
            shutil.copytree(tmp_path / "here", folder)
            crashes.append((folder, everything(cache), clock.now_ms()))

    meanwhile.do = do
    for _ in range(2):
        cache.save()
    cache.save(tmp_path / "copy.snapshot")
    copied = everything(cache)
    cache.close()
    for folder, expected, at_ms in [*crashes, (tmp_path / "here", copied, clock.now_ms())]:
        cache = opened(folder, ManualClock(at_ms))
        assert everything(cache) == expected
        cache._check()
        cache.close()
    cache = Cache.load(tmp_path / "copy.snapshot", clock=clock)
    assert everything(cache) == copied
    cache._check()


@pytest.mark.parametrize("seed", [1, 5])
def test_what_moves_between_tiers_meanwhile_is_right_after_a_restart_and_after_a_crash(
    tmp_path: Path, meanwhile: Meanwhile, seed: int
) -> None:
    live_through(tmp_path, meanwhile, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 40))
def test_very_many_moves_meanwhile_are_right_as_well(
    tmp_path: Path, meanwhile: Meanwhile, seed: int
) -> None:
    live_through(tmp_path, meanwhile, seed)
