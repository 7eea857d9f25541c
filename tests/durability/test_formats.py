"""Files that released versions have written are read for ever; newer ones are refused."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from contents import contents
from make_format_files import FORMATS, at_the_time, spelled, tiered

from cachestorm import Cache
from cachestorm.durability.check import check
from cachestorm.durability.frames import HEADER, MAGIC
from cachestorm.errors import DurabilityError

sys.path.append(str(Path(__file__).parent.parent / "cli"))
from processes import run

VERSIONS = sorted(each.name for each in FORMATS.iterdir())
CODECS = {"data": None, "pickle": "pickle", "parts": None}
# how much later than the last write they are read
LATER_S = 5.0


def told(name: str, version: str) -> str:
    return (FORMATS / version / f"{name}.contents").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_the_files_of_this_version_are_checked_in() -> None:
    assert VERSIONS[-1] == str(HEADER[len(MAGIC)])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CODECS)
def test_a_directory_of_every_version_is_read_and_gone_on_with(
    version: str, name: str, folder: Path
) -> None:
    shutil.copytree(FORMATS / version / name, folder)
    given: dict[str, Any] = {"codec": CODECS[name], "clock": at_the_time(LATER_S)}
    cache: Cache[Any] = Cache(data_dir=folder, **given)
    assert spelled(cache) == told(name, version)
    cache._check()
    cache.hset("hash", "more", 1)
    cache.set("more", 1, tags=["more"])
    before = contents(cache)
    cache.close()
    cache = Cache(data_dir=folder, **given)
    assert contents(cache) == before
    cache.save()
    cache.close()
    assert [each.suffix for each in sorted(folder.iterdir())] == [".base", ""]
    cache = Cache(data_dir=folder, **given)
    assert contents(cache) == before
    cache._check()
    cache.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_tiers_of_every_version_are_read(version: str, folder: Path) -> None:
    shutil.copytree(FORMATS / version / "tiers", folder)
    clock = at_the_time(LATER_S)
    for _ in range(2):
        with tiered(folder, clock=clock) as cache:
            tiers = {key: cache.object_tier(key) for key in cache}
            assert tiers == {key: key.partition(":")[0] for key in cache}
            assert spelled(cache) == told("tiers", version)
            assert all(each.losses == 0 for each in cache.tier_stats().values())
            cache._check()
    with tiered(folder, clock=clock) as cache:
        # what changes a value brings it back
        for key in [*cache]:
            if key.endswith(":hash"):
                cache.hset(key, "more", 1)
        assert {cache.object_tier(key) for key in cache} == {"warm", "cold", "memory"}
        cache._check()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_snapshot_of_every_version_is_read(version: str) -> None:
    path = FORMATS / version / "cache.snapshot"
    cache = Cache[Any].load(path, clock=at_the_time())
    assert spelled(cache) == told("cache.snapshot", version)
    cache._check()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_torn_end_is_told_by_check_of_every_version(version: str, folder: Path) -> None:
    shutil.copytree(FORMATS / version / "data", folder)
    lines, is_sound = check(str(folder), False)
    assert is_sound
    assert "a torn write of 7 bytes at its end" in lines[-2]


def all_files(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.name != "lock"}


def of_a_newer_version(folder: Path, name: str) -> Path:
    """A directory, one of whose files is; before its base lies what a crash has left."""
    shutil.copytree(FORMATS / VERSIONS[-1] / "data", folder)
    shutil.copy(folder / "00000002.base", folder / "00000001.base")
    path = folder / name
    path.write_bytes(MAGIC + bytes([HEADER[len(MAGIC)] + 1]) + b"\n" + path.read_bytes()[8:])
    return path


@pytest.mark.parametrize("name", ["00000002.base", "00000003.journal"])
def test_a_directory_of_a_newer_version_is_refused_and_stays_as_it_is(
    name: str, folder: Path
) -> None:
    path = of_a_newer_version(folder, name)
    before = all_files(folder)
    said = f"{path} is of version {HEADER[len(MAGIC)] + 1} of the format.*does not know"
    for _ in range(2):
        with pytest.raises(DurabilityError, match=said):
            Cache(data_dir=folder)
    for repair in (False, True):
        with pytest.raises(DurabilityError, match=said):
            check(str(folder), repair)
    assert all_files(folder) == before
    started = run("serve", "--port", "0", "--no-http", "--data-dir", str(folder))
    assert started.returncode == 1
    assert f"{path} is of version" in started.stderr
    assert all_files(folder) == before


def test_a_snapshot_of_a_newer_version_is_refused(folder: Path) -> None:
    path = of_a_newer_version(folder, "00000002.base")
    with pytest.raises(DurabilityError, match=f"{path} is of version"):
        Cache.load(path)
