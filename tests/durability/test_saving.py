"""What clients ask about what is kept on disk, and a directory without a journal."""

from __future__ import annotations

import asyncio
import errno
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from contents import contents
from real_servers import RealServer
from scenes import until

from cachestorm import Cache
from cachestorm.durability import directory as directory_module
from cachestorm.durability.directory import DataDirectory
from cachestorm.durability.disk import Disk
from cachestorm.errors import ConfigError, DurabilityError
from cachestorm_server.app import Application
from cachestorm_server.config import load

sys.path.append(str(Path(__file__).parent.parent / "cli"))
from processes import Running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def serving(folder: Path, *more: str, **variables: str) -> tuple[Running, redis.Redis]:
    server = Running(
        *("serve", "--no-http", "--port", "0", "--data-dir", str(folder), *more), **variables
    )
    return server, redis.Redis(port=int(server.port), decode_responses=True)


def fields(client: Any) -> dict[str, Any]:
    return dict(client.info("persistence"))


def test_info_has_every_field_of_the_real_server(folder: Path, real_server: RealServer) -> None:
    theirs = redis.Redis(port=real_server.port, decode_responses=True)
    before = theirs.config_get("appendonly")["appendonly"]
    named = {"aof_enabled"} | set(fields(theirs))
    server, client = serving(folder)
    # those that redis_exporter and Redis Insight read are among them; one is newer than 7.2
    assert sorted(named - set(fields(client)) - {"slot_migration_fork_in_progress"}) == []
    ours = fields(client)
    for field in ("aof_current_size", "aof_base_size", "aof_pending_bio_fsync"):
        assert isinstance(ours[field], int)
    assert server.end() == 0
    assert before == "no"


def test_waitaof_answers_when_the_write_is_on_the_disk(folder: Path) -> None:
    server, client = serving(folder, "--aof-sync", "no")
    with client.pipeline(transaction=False) as pipe:
        pipe.set("a", 1)
        pipe.execute_command("WAITAOF", 1, 0, 0)
        assert pipe.execute() == [True, [1, 0]]
    assert client.execute_command("WAITAOF", 0, 0, 0) == [1, 0]
    # there is no replica to wait for
    assert client.execute_command("WAITAOF", 1, 1, 20) == [1, 0]
    with client.pipeline() as pipe:
        pipe.set("a", 2)
        pipe.execute_command("WAITAOF", 0, 1, 0)
        assert pipe.execute()[1][1] == 0
    for numbers, text in (
        ((2, 0, 0), "value is out of range, value must between 0 and 1"),
        ((1, -1, 0), "value is out of range, must be positive"),
        ((1, 0, -1), "timeout is negative"),
        ((1, 0, "x"), "timeout is not an integer or out of range"),
    ):
        with pytest.raises(redis.ResponseError, match=text):
            client.execute_command("WAITAOF", *numbers)
    assert server.end() == 0


def test_waitaof_without_a_journal_is_refused_as_by_the_real_server() -> None:
    server = Running("serve", "--no-http", "--port", "0")
    client = redis.Redis(port=int(server.port))
    with pytest.raises(redis.ResponseError, match="appendonly is disabled"):
        client.execute_command("WAITAOF", 1, 0, 0)
    assert client.execute_command("WAITAOF", 0, 0, 0) == [0, 0]
    assert server.end() == 0


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_server_begins_with_a_snapshot(folder: Path, tmp_path: Path, is_kept: bool) -> None:
    cache: Cache[Any] = Cache()
    cache.set("a", {"b": 1}, 60, tags=["t"])
    cache.rpush("l", *range(1000))
    path = tmp_path / "copy.snapshot"
    cache.save(path)
    given = ("serve", "--no-http", "--port", "0", "--import", str(path))
    server = Running(*given, *(("--data-dir", str(folder)) if is_kept else ()))
    with redis.Redis(port=int(server.port), decode_responses=True) as client:
        assert client.get("a") == '{"b":1}'
        assert client.execute_command("TAGKEYS", "t") == ["a"]
        assert client.rpush("l", "more") == 1001
    assert server.end() == 0
    if is_kept:
        server, client = serving(folder)
        assert (client.get("a"), client.llen("l")) == ('{"b":1}', 1001)
        assert server.end() == 0


class Slow:
    """Snapshots that do not end before they are let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = threading.Event()
        rewrite = DataDirectory._rewrite

        def held(directory: DataDirectory, *given: Any) -> None:
            self.go_on.wait(60)
            rewrite(directory, *given)

        monkeypatch.setattr(DataDirectory, "_rewrite", held)


async def lines(port: int, *requests: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    replies = []
    for request in requests:
        writer.write(request + b"\r\n")
        replies.append((await reader.readline()).strip())
    writer.close()
    return replies


def test_one_snapshot_is_written_at_a_time_and_another_is_scheduled(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)

    async def main() -> None:
        given = {
            "server.port": 0,
            "http.enabled": False,
            "persistence.enabled": True,
            "persistence.data_dir": str(folder),
        }
        config = load(None, {}, {name: ("test", each) for name, each in given.items()})
        async with Application(config) as served:
            port = served.resp.port
            asked = (b"SET a 1", b"BGSAVE", b"BGSAVE", b"BGREWRITEAOF", b"SAVE")
            assert await lines(port, *asked, b"BGSAVE SCHEDULE") == [
                b"+OK",
                b"+Background saving started",
                b"-ERR Background save already in progress",
                b"-ERR Background append only file rewriting already in progress",
                b"-ERR Background save already in progress",
                b"+Background saving scheduled",
            ]
            directory = served.cache._directory()
            assert directory is not None
            assert (directory.is_rewriting, directory.is_scheduled) == (True, True)
            slow.go_on.set()
            directory.wait()
            # as a thread of the directory does once a second, perhaps now
            directory.look()
            until(lambda: directory.saves == 2)
            assert not directory.is_scheduled

    asyncio.run(main())


def test_a_snapshot_in_the_background_keeps_no_second_from_being_forced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(monkeypatch)
    cache: Cache[Any] = Cache(data_dir=folder)
    directory = cache._directory()
    assert directory is not None and directory.journal is not None
    directory.rewrite_bytes = 1
    cache.set("a", 1)
    directory.look()
    assert directory.is_rewriting
    cache.set("a", 2)
    directory.look()
    assert directory.is_forced()
    slow.go_on.set()
    cache.close()


def test_what_has_changed_since_the_last_snapshot_is_counted(folder: Path) -> None:
    server, client = serving(folder)
    assert fields(client)["rdb_changes_since_last_save"] == 0
    client.set("a", 1)
    client.delete("a")
    assert fields(client)["rdb_changes_since_last_save"] == 2
    client.save()
    found = fields(client)
    assert (found["rdb_changes_since_last_save"], found["rdb_saves"]) == (0, 1)
    assert server.end() == 0


def test_config_tells_how_data_is_kept(folder: Path) -> None:
    server, client = serving(folder, "--aof-sync", "always")
    assert client.config_get("appendonly", "appendfsync", "dir", "save") == {
        "appendonly": "yes",
        "appendfsync": "always",
        "dir": str(folder),
        "save": "300 1",
    }
    client.config_set("appendfsync", "everysec")
    assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
    with pytest.raises(redis.ResponseError, match="one of the following: everysec"):
        client.config_set("appendfsync", "sometimes")
    client.set("a", 1)
    assert server.end() == 0


def test_without_a_journal_the_end_and_the_snapshots_are_kept(folder: Path) -> None:
    off = {"CACHESTORM_PERSISTENCE_AOF": "false"}
    server, client = serving(folder, **off)
    assert client.config_get("appendonly") == {"appendonly": "no"}
    assert fields(client)["aof_enabled"] == 0
    client.set("a", 1)
    assert sorted(path.name for path in folder.iterdir()) == ["lock"]
    assert client.save()
    assert sorted(path.name for path in folder.iterdir()) == ["00000001.base", "lock"]
    client.set("b", 2, ex=100)
    assert server.end() == 0
    server, client = serving(folder, **off)
    assert (client.get("a"), client.get("b")) == ("1", "2")
    client.set("c", 3)
    with pytest.raises(redis.ConnectionError):
        client.execute_command("SHUTDOWN", "NOSAVE")
    assert server.process.wait(60) == 0
    # and back to a journal, which goes on from the last snapshot
    server, client = serving(folder)
    assert client.mget("a", "b", "c") == ["1", "2", None]
    client.set("c", 4)
    assert server.end() == 0
    server, client = serving(folder)
    assert client.get("c") == "4"
    assert server.end() == 0


def test_without_a_journal_a_process_that_dies_leaves_the_last_snapshot(folder: Path) -> None:
    cache: Cache[Any] = Cache(data_dir=folder, aof=False)
    cache.set("a", 1)
    cache.sync()
    cache.set("a", 2)
    assert cache._store.recorder is None
    directory = cache._directory()
    assert directory is not None
    directory.saves_at_end = False
    cache.close()
    cache = Cache(data_dir=folder, aof=False)
    assert cache.get("a") == 1
    cache.close()


def test_a_snapshot_is_taken_by_itself_after_an_interval_if_anything_has_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache: Cache[Any] = Cache(data_dir=folder, aof=False)
    directory = cache._directory()
    assert directory is not None
    directory.interval_s = 60.0
    directory.saved_at = time.time() - 61
    directory.look()
    directory.wait()
    assert directory.saves == 0
    cache.set("a", 1)
    directory.look()
    directory.wait()
    assert directory.saves == 1
    cache.close()


@pytest.mark.parametrize("aof", [True, False])
@pytest.mark.parametrize("saves", [0, 1])
def test_a_full_data_directory_is_saved_to_another_place(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves: int, aof: bool
) -> None:
    cache: Cache[Any] = Cache(data_dir=folder, aof=aof)
    cache.set("a", "x" * 100_000, tags=["t"])
    for _ in range(saves):
        cache.save()
    cache.rpush("l", 1, 2)
    monkeypatch.setattr(directory_module.Disk, "free_bytes", lambda *_: 10)
    files = {each.name for each in folder.iterdir()}
    path = tmp_path / "copy.snapshot"
    for number in range(3):
        cache.rpush("l", number)
        cache.save(path)
        copy = Cache[Any].load(path)
        assert contents(copy) == contents(cache)
        copy._check()
    assert {each.name for each in folder.iterdir()} == files
    monkeypatch.undo()
    whole = contents(cache)
    cache.close()
    cache = Cache(data_dir=folder, aof=aof)
    assert contents(cache) == whole
    cache.close()


def test_a_copy_of_what_a_crash_has_left_is_whole(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache: Cache[Any] = Cache(data_dir=folder)
    cache.mset({f"k{number}": number for number in range(1000)})
    cache.save()
    with monkeypatch.context() as failing:
        failing.setattr(Disk, "rename", _fail)
        with pytest.raises(DurabilityError):
            cache.save()
    cache.set("after", 1)
    assert len([*folder.glob("0*")]) == 2
    monkeypatch.setattr(directory_module.Disk, "free_bytes", lambda *_: 10)
    cache.save(tmp_path / "copy.snapshot")
    copy = Cache[Any].load(tmp_path / "copy.snapshot")
    assert contents(copy) == contents(cache)
    cache.close()


def _fail(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_snapshot_that_cannot_fit_is_refused_before_it_begins(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache: Cache[Any] = Cache(data_dir=folder)
    cache.set("a", "x" * 100_000)
    monkeypatch.setattr(directory_module.Disk, "free_bytes", lambda *_: 10)
    with pytest.raises(Exception, match=r"takes up to .* bytes, and 10 are free"):
        cache.save()
    assert [path.suffix for path in sorted(folder.iterdir())] == [".journal", ""]
    cache.close()


def test_every_key_of_the_section_does_something(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        f"persistence: {{enabled: true, aof: true, aof_sync: no, snapshot_interval: 7s, "
        f"data_dir: {folder}, max_aof_size: 3mb}}\nhttp: {{enabled: false}}\n"
    )

    async def main() -> tuple[object, ...]:
        config = load(str(file), {}, {"server.port": ("test", 0)})
        async with Application(config) as served:
            found = served.cache._directory()
            assert found is not None
            return found.folder.path, found.sync, found.interval_s, found.most_bytes

    assert asyncio.run(main()) == (str(folder), "no", 7.0, 3 << 20)
    file.write_text("persistence: {enabled: maybe, aof_sync: often, aofs: 1}\n")
    with pytest.raises(ConfigError) as caught:
        load(str(file), {})
    found = re.findall(r": (persistence\.\w+): ", str(caught.value))
    assert sorted(set(found)) == [
        "persistence.aof_sync",
        "persistence.aofs",
        "persistence.enabled",
    ]


def test_the_flag_of_autocache_keeps_data(folder: Path) -> None:
    server = Running(
        "-addr", "127.0.0.1:0", "-data-dir", str(folder), CACHESTORM_HTTP_ENABLED="0"
    )
    redis.Redis(port=int(server.port)).set("a", 1)
    assert server.end() == 0
    cache: Cache[Any] = Cache(data_dir=folder)
    assert cache.get("a") == b"1"
    cache.close()


def test_under_always_all_clients_of_one_turn_wait_for_one_fsync(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    sync = Disk.sync

    def counted(disk: Disk, file: int) -> None:
        syncs.append(file)
        sync(disk, file)

    async def main() -> list[bytes]:
        given: dict[str, object] = {
            "server.port": 0,
            "http.enabled": False,
            "persistence.enabled": True,
        }
        given |= {"persistence.data_dir": str(folder), "persistence.aof_sync": "always"}
        config = load(None, {}, {name: ("test", value) for name, value in given.items()})
        async with Application(config) as served:
            streams = [
                await asyncio.open_connection("127.0.0.1", served.resp.port) for _ in range(20)
            ]
            for reader, writer in streams:
                writer.write(b"PING\r\n")
                await reader.readline()
            monkeypatch.setattr(Disk, "sync", counted)
            for number, (_, writer) in enumerate(streams):
                # who reads what another has written, and who leaves at once, wait as well
                writer.write(b"INCR a\r\nGET a\r\n" if number % 2 else b"GET a\r\nQUIT\r\n")
                if number == 3:
                    writer.write_eof()
            found = [await reader.read(3) for reader, _ in streams]
            assert len(syncs) <= 2
            for _, writer in streams:
                writer.close()
            return found

    found = asyncio.run(main())
    assert [each[:1] for each in found] == [b"$", b":"] * 10
    cache = Cache(data_dir=folder)
    assert cache.get("a") == 10
    cache.close()
