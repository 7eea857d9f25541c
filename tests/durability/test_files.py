"""The files of a data directory: damage, torn ends, full disks, and what `check` says."""

from __future__ import annotations

import errno
import os
from binascii import crc32
from pathlib import Path
from typing import Any

import pytest
from contents import contents

from cachestorm import Cache
from cachestorm.durability.check import check
from cachestorm.durability.directory import DataDirectory
from cachestorm.durability.frames import HEADER
from cachestorm.errors import DamagedFileError, DurabilityError, PayloadError
from cachestorm.payload.dumps import MARK


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def written(folder: Path) -> tuple[Path, list[int]]:
    """A journal of four writes, where it ended after each, and where once it was closed."""
    cache = Cache(data_dir=folder)
    (path,) = folder.glob("*.journal")
    ends = [path.stat().st_size]
    for number in range(4):
        cache.set(f"key{number}", b"value", tags=["tag"])
        ends.append(path.stat().st_size)
    cache.close()
    return path, [*ends, path.stat().st_size]


def test_damage_of_any_byte_is_refused_where_it_is_or_cut_at_the_end(folder: Path) -> None:
    path, ends = written(folder)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        if place >= ends[4]:
            # the last frame: nobody can tell it from a write that a crash has torn
            cache = Cache(data_dir=folder)
            assert sorted(cache) == ["key0", "key1", "key2", "key3"]
            assert path.read_bytes() == whole[: ends[4]]
            cache.close()
        else:
            offset = max([end for end in ends if end <= place], default=0)
            with pytest.raises(DurabilityError) as caught:
                Cache(data_dir=folder)
            if isinstance(caught.value, DamagedFileError):
                assert (caught.value.offset, caught.value.path) == (offset, str(path))
            else:
                assert place == len(HEADER) - 2
                assert "version" in str(caught.value)


def test_a_file_that_is_missing_between_two_is_said_and_nothing_is_cut(folder: Path) -> None:
    path, ends = written(folder)
    whole = path.read_bytes()
    files = {}
    for number, (start, end) in enumerate(
        ((len(HEADER), ends[1]), (ends[1], ends[2]), (ends[2], len(whole))), 1
    ):
        files[folder / f"{number:08}.journal"] = HEADER + whole[start:end]
    for each, content in files.items():
        each.write_bytes(content)
    assert check(str(folder), False)[1]
    first, second, third = files
    second.unlink()
    with pytest.raises(DamagedFileError, match=r"comes after frame \d+: a file between"):
        Cache(data_dir=folder)
    assert not check(str(folder), False)[1]
    assert {each: each.read_bytes() for each in (first, third)} == {
        each: files[each] for each in (first, third)
    }
    second.write_bytes(files[second])
    cache = Cache(data_dir=folder)
    assert sorted(cache) == ["key0", "key1", "key2", "key3"]
    cache.close()


def test_a_file_that_ends_at_any_byte_keeps_every_whole_write(folder: Path) -> None:
    path, ends = written(folder)
    whole = path.read_bytes()
    for size in sorted({*range(0, len(whole), 5), *ends, *(end - 1 for end in ends)}):
        path.write_bytes(whole[:size])
        cache = Cache(data_dir=folder)
        assert len(cache) == sum(end <= size for end in ends[1:5])
        cache._check()
        cache.set("more", 1)
        cache.close()
        cache = Cache(data_dir=folder)
        assert cache.get("more") == 1
        cache.close()


def kept(folder: Path) -> dict[str, int]:
    """The files that a repair has kept, and their permissions."""
    return {each.name: each.stat().st_mode & 0o777 for each in folder.glob("*.damaged*")}


def test_check_repairs_what_it_refuses(folder: Path) -> None:
    path, ends = written(folder)
    assert check(str(folder), False)[1]
    whole = path.read_bytes()
    path.write_bytes(whole[: ends[1] + 20] + b"!" + whole[ends[1] + 21 :])
    lines, is_sound = check(str(folder), False)
    assert not is_sound
    assert f"damaged at offset {ends[1]}" in lines[0]
    assert check(str(folder), True)[1]
    assert path.read_bytes() == whole[: ends[1]]
    assert check(str(folder), False)[1]
    assert kept(folder) == {f"{path.name}.damaged": 0o600}
    path.write_bytes(path.read_bytes() + b"!" * 200 + whole[ends[1] :])
    assert check(str(folder), True)[1]
    # what was cut off first is still there
    assert kept(folder) == {f"{path.name}.damaged{n}": 0o600 for n in ("", ".2")}
    cache = Cache(data_dir=folder)
    assert sorted(cache) == ["key0"]
    with pytest.raises(DurabilityError, match="is open in another cache"):
        check(str(folder), False)
    cache.close()


def test_check_keeps_what_is_left_of_a_damaged_base(folder: Path) -> None:
    cache = Cache(data_dir=folder)
    for number in range(1000):
        cache.set(f"key{number}", number)
    cache.save()
    cache.set("after", 1)
    cache.close()
    (base,) = folder.glob("*.base")
    whole = base.read_bytes()
    middle = len(whole) // 2
    base.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(DamagedFileError):
        Cache(data_dir=folder)
    lines, is_sound = check(str(folder), True)
    assert is_sound
    assert f"{base}: what is left of the snapshot is loaded, and is not all of it" in lines
    assert check(str(folder), False)[1]
    cache = Cache(data_dir=folder)
    assert 100 < len(cache) < 900
    cache._check()
    cache.close()
    assert Path(f"{base}.damaged").read_bytes()[:middle] == whole[:middle]


def test_a_first_file_that_is_missing_is_said_and_nothing_is_changed(folder: Path) -> None:
    cache = Cache(data_dir=folder)
    cache.set("a", 1)
    cache.save()
    (base,) = folder.glob("*.base")
    _begin_another(folder, cache)
    cache.close()
    base.unlink()
    files = {each: each.read_bytes() for each in folder.glob("*.journal")}
    assert len(files) == 1
    with pytest.raises(DurabilityError, match="goes on from a file that is missing"):
        Cache(data_dir=folder)
    lines, is_sound = check(str(folder), False)
    assert (len(lines), is_sound) == (1, False)
    assert {each: each.read_bytes() for each in folder.glob("*.journal")} == files
    assert check(str(folder), True)[1]
    assert list(kept(folder)) == [f"{each.name}.damaged" for each in files]
    cache = Cache(data_dir=folder)
    assert len(cache) == 0
    cache.close()


def _begin_another(folder: Path, cache: Cache[Any]) -> None:
    """Has what comes go to a file after the base, as a crash in a snapshot would have it."""
    directory = cache._directory()
    assert directory is not None
    assert directory.journal is not None
    number = directory.folder.found().last + 1
    directory.journal.switch(directory.folder.path_of(number, "journal"))
    cache.set("b", 2)


def test_what_is_left_of_a_damaged_snapshot_can_be_loaded(tmp_path: Path) -> None:
    cache = Cache()
    cache.mset({f"k{number}": number for number in range(1000)})
    path = tmp_path / "cache.snapshot"
    cache.save(path)
    whole = path.read_bytes()
    for place in (len(whole) // 2, len(HEADER) + 9):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedFileError):
            Cache.load(path)
        assert check(str(path), True)[1]
        assert check(str(path), False)[1]
        left = Cache.load(path)
        left._check()
        assert len(left) < 1000
        assert (len(left) > 100) == (place == len(whole) // 2)


def test_check_needs_to_write_nothing(folder: Path) -> None:
    written(folder)
    (folder / "lock").unlink()
    before = sorted(folder.iterdir())
    assert check(str(folder), False)[1]
    assert sorted(folder.iterdir()) == before


def test_check_is_not_content_with_nothing(tmp_path: Path) -> None:
    assert check(str(tmp_path), False) == (
        [f"{tmp_path}: no file of CacheStorm is there"],
        False,
    )
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_begun_and_empty_is_no_torn_write(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = written(folder)
    path.write_bytes(b"")
    assert check(str(folder), False) == ([f"{path}: 0 frames", "sound"], True)
    Cache(data_dir=folder).close()
    assert "torn" not in caplog.text


def test_a_file_is_no_data_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(DurabilityError, match="cannot be used as data directory: it is a file"):
        Cache(data_dir=path)


def test_a_snapshot_is_the_beginning_of_a_data_directory(tmp_path: Path, folder: Path) -> None:
    cache = Cache()
    cache.set("a", {"b": 1}, 60, tags=["t"])
    cache.save(tmp_path / "copy.snapshot")
    folder.mkdir()
    (tmp_path / "copy.snapshot").rename(folder / "00000001.base")
    for writes in (1, 2):
        cache = Cache(data_dir=folder)
        assert (cache.get("a"), cache.tagkeys("t")) == ({"b": 1}, ["a"])
        assert cache.incr("n") == writes
        cache.save()
        cache.close()


def test_check_reads_a_directory_of_any_codec(folder: Path) -> None:
    cache = Cache(data_dir=folder, codec="pickle")
    cache.set("a", (1, 2))
    cache.close()
    assert check(str(folder), False)[1]


def test_check_refuses_a_snapshot_that_load_refuses(tmp_path: Path) -> None:
    cache = Cache()
    cache.mset({f"k{number}": number for number in range(600)})
    path = tmp_path / "cache.snapshot"
    cache.save(path)
    assert check(str(path), False)[1]
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 8, 3, 0):
        path.write_bytes(whole[:size])
        lines, is_sound = check(str(path), False)
        assert (is_sound, len(lines)) == (False, 1)


def test_check_repairs_no_file_that_is_none_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Ada")
    lines, is_sound = check(str(path), True)
    assert (len(lines), is_sound) == (1, False)
    assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]
    assert path.read_text() == "Dear Ada"


def test_a_crash_before_a_snapshot_is_complete_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(data_dir=folder)
    for number in range(1000):
        cache.rpush(f"l{number % 10}", number)
    cache.rename("l1", "moved")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(DurabilityError, match="Input/output error"):
        cache.save()
    monkeypatch.undo()
    assert len(list(folder.glob("*.journal"))) == 2
    cache.rename("moved", "again")
    cache.lpush("again", "x")
    before = contents(cache)
    cache.close()
    cache = Cache(data_dir=folder)
    assert contents(cache) == before
    cache.save()
    cache.close()
    assert [each.name for each in folder.glob("*.*")] == ["00000003.base"]
    cache = Cache(data_dir=folder)
    assert contents(cache) == before
    cache.close()


class Disk:
    """A disk that takes so many bytes more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = 1 << 30
        self._write = os.pwrite
        monkeypatch.setattr(os, "pwrite", self.write)

    def write(self, file: int, data: Any, offset: int) -> int:
        size = min(len(data), self.room)
        if size == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= size
        return self._write(file, bytes(data[:size]), offset)


@pytest.mark.parametrize("room", [0, 5, 40])
def test_a_full_disk_refuses_writes_and_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    disk = Disk(monkeypatch)
    cache = Cache(data_dir=folder)
    monkeypatch.setattr(DataDirectory, "look", lambda _: None)
    cache.set("a", 1)
    disk.room = room
    with pytest.raises(DurabilityError, match=r"No space left.*What was changed is in memory"):
        cache.set("b", "x" * 100)
    with pytest.raises(DurabilityError, match="cannot be written"):
        cache.set("c", 1)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, "x" * 100, None)
    disk.room = 1 << 30
    cache.sync()
    cache.set("c", 2)
    before = contents(cache)
    cache.close()
    cache = Cache(data_dir=folder)
    assert contents(cache) == before
    cache.close()


def test_a_snapshot_that_cannot_be_written_leaves_the_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache()
    cache.set("a", 1)
    path = tmp_path / "cache.snapshot"
    cache.save(path)
    cache.set("a", 2)
    disk = Disk(monkeypatch)
    disk.room = 50
    cache.mset({f"k{number}": "x" * 100 for number in range(100)})
    with pytest.raises(DurabilityError):
        cache.save(path)
    assert Cache.load(path).get("a") == 1
    assert list(tmp_path.iterdir()) == [path]
    cache.set("a", 3)
    assert cache._store.recorder is None


def test_a_snapshot_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    cache = Cache()
    cache.hset("h", mapping={"f": 1})
    path = tmp_path / "cache.snapshot"
    cache.save(path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(DurabilityError):
            Cache.load(path)
    with pytest.raises(DurabilityError, match="No such file"):
        Cache.load(tmp_path / "none")


def test_a_payload_of_restore_never_reaches_a_codec() -> None:
    cache = Cache(codec="pickle")
    cache.set("a", {"b": 1})
    body = MARK + b"\x01\x00\x08\x02{}"
    cache.restore("b", 0, body + crc32(body).to_bytes(4, "little"))
    assert cache.get("b") == {}
    body = MARK + b"\x01\x00\x09\x02N."
    with pytest.raises(PayloadError):
        cache.restore("c", 0, body + crc32(body).to_bytes(4, "little"))
