"""A server whose disk fails: writes are refused, reads go on, and it recovers by itself."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from cachestorm import Cache, ManualClock
from cachestorm.declare.registry import REGISTRY
from cachestorm.durability.disk import Disk
from cachestorm.errors import DurabilityError
from cachestorm_server.app import Application
from cachestorm_server.config import load

FULL = b"-MISCONF Errors writing to the AOF file: No space left on device"


class Failing:
    """A disk that fails while it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes = self.syncs = 0
        write, sync = Disk.write, Disk.sync

        def failing_write(disk: Disk, file: int, data: Any, offset: int) -> int:
            if self.writes:
                raise OSError(self.writes, os.strerror(self.writes))
            return write(disk, file, data, offset)

        def failing_sync(disk: Disk, file: int) -> None:
            if self.syncs:
                raise OSError(self.syncs, os.strerror(self.syncs))
            sync(disk, file)

        monkeypatch.setattr(Disk, "write", failing_write)
        monkeypatch.setattr(Disk, "sync", failing_sync)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    return Failing(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def application(folder: Path, **more: object) -> Application:
    given: dict[str, object] = {
        "server.port": 0,
        "plugins.metrics.port": 0,
        "persistence.enabled": True,
        "persistence.data_dir": str(folder),
    }
    given |= {name.replace("__", "."): value for name, value in more.items()}
    return Application(load(None, {}, {name: ("test", each) for name, each in given.items()}))


class Client:
    """One connection, a line of a reply at a time."""

    @classmethod
    async def of(cls, served: Application) -> Client:
        client = cls()
        streams = await asyncio.open_connection("127.0.0.1", served.resp.port)
        client.reader, client.writer = streams
        return client

    async def ask(self, *requests: bytes) -> list[bytes]:
        replies = []
        for request in requests:
            self.writer.write(request + b"\r\n")
            line = await self.reader.readline()
            if line.startswith(b"$") and line != b"$-1\r\n":
                line = await self.reader.readline()
            replies.append(line.strip())
        return replies


async def post(served: Application, command: list[str]) -> dict[str, Any]:
    assert served.http is not None
    body = json.dumps({"command": command}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.http.port)
    writer.write(
        b"POST /v1/commands HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    answer = (await reader.read()).partition(b"\r\n\r\n")[2]
    writer.close()
    return dict(json.loads(answer))


def test_a_full_disk_refuses_every_write_and_no_read(folder: Path, failing: Failing) -> None:
    async def main() -> None:
        async with application(folder) as served:
            client, other = await Client.of(served), await Client.of(served)
            await client.ask(b"SET a 1", b"RPUSH l x")
            failing.writes = errno.ENOSPC
            # in memory it is there, and it is written once that works
            assert await client.ask(b"SET b 2") == [b"+OK"]
            writes = [b"SET c 3", b"DEL a", b"LPOP l", b"EXPIRE a 1", b"FLUSHALL", b"PING"]
            writes += [b"INVALIDATE t", b"RENAME a b", b"GETDEL a", b"EVAL return(1) 0"]
            assert (await client.ask(*writes))[:-1] == [FULL] * (len(writes) - 1)
            assert await other.ask(b"SET c 3") == [FULL]
            queued = await other.ask(b"MULTI", b"DEL a", b"EXEC")
            assert queued[:2] == [b"+OK", FULL]
            assert queued[2].startswith(b"-EXECABORT")
            script = b"EVAL \"return redis.call('set','x','1')\" 0"
            assert (await client.ask(script))[0].startswith(b"-MISCONF")
            reads = [b"GET a", b"GET b", b"LLEN l", b"DBSIZE", b"CLIENT ID"]
            assert (await client.ask(*reads))[:4] == [b"1", b"2", b":1", b":3"]
            assert (await post(served, ["DEL", "a"]))["error"]["code"] == "MISCONF"
            assert (await post(served, ["GET", "a"]))["result"] == "1"
            assert served.resp.endpoint.availability.is_limited
            failing.writes = 0
            directory = served.cache._directory()
            assert directory is not None
            directory.look()
            served.resp.endpoint.look_at_disk()
            assert await client.ask(b"PING", b"DEL a") == [b"+PONG", b":1"]
            assert await other.ask(b"SET c 3") == [b"+OK"]

    asyncio.run(main())
    cache: Cache[Any] = Cache(data_dir=folder)
    assert (cache.get("b"), cache.get("c"), cache.lrange("l", 0, -1)) == (b"2", b"3", [b"x"])
    assert cache.get("a") is None
    cache.close()


def test_every_command_that_writes_is_refused(folder: Path, failing: Failing) -> None:
    writing = [
        each
        for each in REGISTRY
        if each.writes and not each.connection and each.name not in ("EVAL", "EVALSHA")
    ]
    assert len(writing) > 90

    async def main() -> None:
        async with application(folder, http__enabled=False) as served:
            client = await Client.of(served)
            failing.writes = errno.EIO
            await client.ask(b"SET b 2")
            served.resp.endpoint.look_at_disk()
            from cachestorm_server.session import Session

            session = Session(served.resp.endpoint)
            for each in writing:
                plan = REGISTRY.find(each.name.encode())
                if plan is None:
                    continue
                words = [each.name.encode(), *[b"1"] * (abs(plan.arity) - 1)]
                request = b"*%d\r\n" % len(words)
                request += b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
                assert session.receive(request).startswith(b"-MISCONF"), each.name
            session.close()
            failing.writes = 0

    asyncio.run(main())


def test_under_always_nobody_is_told_that_a_write_is_safe_when_it_is_not(
    folder: Path, failing: Failing
) -> None:
    async def main() -> None:
        async with application(folder, persistence__aof_sync="always") as served:
            client, reader = await Client.of(served), await Client.of(served)
            await client.ask(b"SET a 1 PX 5")
            failing.syncs = errno.EIO
            assert await client.ask(b"SET b 2") == [b""]
            # a read that removes what is due is nobody's write
            await asyncio.sleep(0.01)
            assert await reader.ask(b"GET a", b"GET b") == [b"$-1", b"2"]
            refused = b"-MISCONF Errors writing to the AOF file: Input/output error"
            assert await reader.ask(b"DEL b") == [refused]
            failing.syncs = 0
            directory = served.cache._directory()
            assert directory is not None
            directory.look()
            served.resp.endpoint.look_at_disk()
            assert await reader.ask(b"DEL b") == [b":1"]

    asyncio.run(main())


def test_in_process_reads_go_on_while_the_disk_fails(folder: Path, failing: Failing) -> None:
    clock = ManualClock()
    cache: Cache[Any] = Cache(data_dir=folder, clock=clock)
    cache.set("a", 1, ttl=1)
    cache.set("b", 2)
    failing.writes = errno.EIO
    with pytest.raises(DurabilityError, match="What was changed is in memory"):
        cache.delete("b")
    clock.advance(2)
    assert cache.get("a") is None
    assert cache.get("b") is None
    cache.reap()
    with pytest.raises(DurabilityError, match="cannot be written: Input/output error"):
        cache.set("c", 3)
    failing.writes = 0
    cache.sync()
    cache.set("c", 4)
    cache.close()
    cache = Cache(data_dir=folder)
    assert sorted(cache.items()) == [("c", 4)]
    cache.close()


def test_what_a_failed_fsync_may_have_lost_is_written_again(
    folder: Path, failing: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache: Cache[Any] = Cache(data_dir=folder)
    cache.sync()
    cache.set("a", 1)
    cache.set("b", 2)
    (journal,) = folder.glob("*.journal")
    whole = journal.read_bytes()
    failing.syncs = errno.EIO
    with pytest.raises(DurabilityError):
        cache.sync()
    with pytest.raises(DurabilityError):
        cache.set("c", 3)
    # as a disk may leave it that has lost what it was given
    journal.write_bytes(b"\0" * len(whole))
    failing.syncs = 0
    cache.sync()
    assert journal.read_bytes()[16:] == whole[16:]
    cache.set("c", 4)
    cache._directory().journal.let_go()  # type: ignore[union-attr]


def test_without_a_journal_a_snapshot_that_fails_refuses_writes(
    folder: Path, failing: Failing
) -> None:
    async def main() -> None:
        async with application(folder, persistence__aof=False, http__enabled=False) as served:
            client = await Client.of(served)
            await client.ask(b"SET a 1")
            failing.writes = errno.ENOSPC
            assert (await client.ask(b"SAVE"))[0].startswith(b"-MISCONF")
            served.resp.endpoint.look_at_disk()
            assert (await client.ask(b"SET a 2"))[0].startswith(
                b"-MISCONF Redis is configured to save RDB snapshots"
            )
            assert await client.ask(b"GET a") == [b"1"]
            failing.writes = 0
            assert await client.ask(b"SAVE") == [b"+OK"]
            served.resp.endpoint.look_at_disk()
            assert await client.ask(b"SET a 2") == [b"+OK"]

    asyncio.run(main())
