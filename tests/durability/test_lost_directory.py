"""A data directory that is deleted or moved while it is open: an error, until it is back."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from test_failing_disk import Client, application

from cachestorm import Cache
from cachestorm.errors import DurabilityError
from cachestorm_server.web.reports import unready

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="no file is deleted there while it is open"
)

GONE = b"-MISCONF Errors writing to the AOF file: No such file or directory"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def look(cache: Cache[Any]) -> None:
    directory = cache._directory()
    assert directory is not None
    directory.look()


@pytest.mark.parametrize("sync", ["everysec", "always", "no"])
def test_a_server_refuses_writes_while_its_directory_is_away(
    folder: Path, sync: str, caplog: pytest.LogCaptureFixture
) -> None:
    away = folder.with_name("away")

    async def main() -> None:
        async with application(folder, persistence__aof_sync=sync) as served:
            client = await Client.of(served)
            assert await client.ask(b"SET a 1") == [b"+OK"]
            os.rename(folder, away)
            look(served.cache)
            served.resp.endpoint.look_at_disk()
            assert await client.ask(b"SET b 2", b"GET a") == [GONE, b"1"]
            assert unready(served.resp.endpoint) == ["what is written cannot be kept on disk"]
            # what the server itself writes hides nothing
            look(served.cache)
            served.resp.endpoint.look_at_disk()
            assert await client.ask(b"SET b 2") == [GONE]
            os.rename(away, folder)
            look(served.cache)
            served.resp.endpoint.look_at_disk()
            assert await client.ask(b"SET b 2") == [b"+OK"]

    asyncio.run(main())
    assert [each.message for each in caplog.records if "cannot be written" in each.message] == [
        f"{folder}/00000001.journal cannot be written: No such file or directory"
    ]
    with Cache[Any](data_dir=folder) as again:
        assert again.mget("a", "b") == [b"1", b"2"]


def test_under_always_a_write_to_a_deleted_file_is_no_success(folder: Path) -> None:
    with Cache[Any](data_dir=folder, aof_sync="always") as cache:
        cache.set("a", 1)
        shutil.rmtree(folder)
        with pytest.raises(DurabilityError, match="No such file or directory"):
            cache.set("b", 2)
        os.mkdir(folder)
        cache.save()
        cache.set("c", 3)
    with Cache[Any](data_dir=folder) as again:
        assert again.mget("a", "b", "c") == [1, 2, 3]


def test_a_directory_made_anew_gets_all_from_memory_and_is_locked(folder: Path) -> None:
    cache: Cache[Any] = Cache(data_dir=folder)
    cache.set("a", 1)
    shutil.rmtree(folder)
    look(cache)
    with pytest.raises(DurabilityError, match="No such file or directory"):
        cache.save()
    os.mkdir(folder)
    cache.save()
    cache.set("b", 2)
    look(cache)
    with pytest.raises(DurabilityError, match="is open in another cache"):
        Cache(data_dir=folder)
    cache.close()
    with Cache[Any](data_dir=folder) as again:
        assert again.mget("a", "b") == [1, 2]


def test_a_directory_that_another_process_has_taken_is_not_written_to(folder: Path) -> None:
    cache: Cache[Any] = Cache(data_dir=folder)
    cache.set("a", 1)
    shutil.rmtree(folder)
    with Cache[Any](data_dir=folder) as other:
        other.set("b", 2)
        look(cache)
        with pytest.raises(DurabilityError, match="is open in another cache"):
            cache.save()
    with pytest.raises(DurabilityError):
        cache.close()
    with Cache[Any](data_dir=folder) as again:
        assert again.mget("a", "b") == [None, 2]
