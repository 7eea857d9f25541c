"""A server that loads: it listens, says so, and does all else once the keys are there."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cachestorm import Cache
from cachestorm.durability import snapshot
from cachestorm.durability.directory import DataDirectory
from cachestorm.durability.recovery import Progress
from cachestorm_server.app import Application
from cachestorm_server.config import load

sys.path.append(str(Path(__file__).parent.parent / "cli"))
from processes import COMMAND, environment

REFUSAL = b"-LOADING Redis is loading the dataset in memory\r\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cache = Cache(data_dir=tmp_path / "data", aof_sync="no")
    for number in range(100):
        cache.set(f"k{number}", number, tags=["t"])
    cache.namespace("shop", default_ttl=10)
    cache.close()
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


class Gate:
    """Loads that go on only while it is open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_open = False
        loading = DataDirectory.loading

        def held(directory: DataDirectory, fill: object = None) -> Iterator[Progress]:
            for progress in loading(directory):
                yield progress
                while not self.is_open:
                    yield progress

        monkeypatch.setattr(DataDirectory, "loading", held)
        monkeypatch.setattr(snapshot, "LOAD_SLICE_S", 0.0)


async def asked(port: int, *requests: bytes) -> list[bytes]:
    """The first line of the reply to each; a bulk string whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    replies = []
    for request in requests:
        writer.write(request + b"\r\n")
        line = await reader.readline()
        if line.startswith(b"$"):
            line = await reader.readexactly(int(line[1:]) + 2)
        replies.append(line)
    writer.close()
    return replies


async def http(port: int, path: str) -> tuple[int, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body)


def test_a_server_that_loads_refuses_what_needs_keys(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)

    async def main() -> None:
        served = application(folder)
        starting = asyncio.ensure_future(served.start())
        while served.http is None or served.http.port == 0:
            await asyncio.sleep(0)
        port, http_port = served.resp.port, served.http.port
        refused = [b"PING", b"GET k1", b"SET k1 x", b"DEL k1", b"DBSIZE", b"SAVE"]
        assert await asked(port, *refused) == [REFUSAL] * len(refused)
        multi = await asked(port, b"MULTI", b"SET k1 x", b"EXEC")
        assert multi[:2] == [b"+OK\r\n", REFUSAL]
        assert multi[2].startswith(b"-EXECABORT")
        hello, info, _ = await asked(port, b"CLIENT ID", b"INFO persistence", b"LASTSAVE")
        assert hello.startswith(b":")
        assert b"loading:1\r\n" in info
        for field in (b"loading_start_time:", b"loading_total_bytes:", b"loading_loaded_perc:"):
            assert field in info
        status, answer = await http(http_port, "/keys")
        assert (status, answer["error"]["code"]) == (503, "LOADING")
        # it lives, and is not to be sent anybody
        assert (await http(http_port, "/health"))[0] == 200
        assert (await http(http_port, "/ready"))[0] == 503
        waiting = asyncio.open_connection("127.0.0.1", port)
        reader, writer = await waiting
        gate.is_open = True
        await starting
        # who was there before is served as well
        writer.write(b"GET k1\r\n")
        assert await reader.readline() == b"$1\r\n"
        writer.close()
        assert (await asked(port, b"PING", b"DBSIZE")) == [b"+PONG\r\n", b":100\r\n"]
        assert (await http(http_port, "/ready"))[0] == 200
        (info,) = await asked(port, b"INFO persistence")
        assert b"loading:0\r\n" in info
        assert b"rdb_last_load_keys_loaded:100\r\n" in info
        assert await asked(port, b"SET new 1") == [b"+OK\r\n"]
        await served.stop()

    asyncio.run(main())
    cache = Cache(data_dir=folder)
    assert (cache.get("new"), cache.tagcount("t"), len(cache)) == (b"1", 100, 101)
    cache.close()


def test_a_load_that_is_given_up_changes_nothing_and_gives_the_directory_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    Gate(monkeypatch)

    async def main() -> None:
        served = application(folder, http__enabled=False)
        starting = asyncio.ensure_future(served.start())
        while served.resp.port == 0:
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(main())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    monkeypatch.undo()
    Cache(data_dir=folder).close()


def test_a_damaged_directory_ends_the_start_and_leaves_no_endpoint_open(folder: Path) -> None:
    (journal,) = folder.glob("*.journal")
    whole = journal.read_bytes()
    journal.write_bytes(whole[:100] + b"!" + whole[101:])

    async def main() -> None:
        served = application(folder, http__enabled=False)
        with pytest.raises(Exception, match="is damaged at offset"):
            await served.start()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", served.resp.port)

    asyncio.run(main())


def test_the_limits_of_the_configuration_come_before_those_that_were_kept(
    folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        f"persistence: {{enabled: true, data_dir: {folder}}}\n"
        "namespaces: {shop: {default_ttl: 5s}}\nhttp: {enabled: false}\n"
    )

    async def main() -> str:
        config = load(str(file), {}, {"server.port": ("test", 0)})
        async with Application(config) as served:
            return str(served.cache.execute("NAMESPACEINFO", "shop"))

    assert "default_ttl:5\r\n" in asyncio.run(main())


def test_the_log_tells_how_far_a_load_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from cachestorm_server import loading

    monkeypatch.setattr(snapshot, "LOAD_SLICE_S", 0.0)
    monkeypatch.setattr(loading, "TELL_EVERY_S", 0.0)
    caplog.set_level(logging.INFO, "cachestorm")

    async def main() -> None:
        async with application(folder, http__enabled=False):
            pass

    asyncio.run(main())
    assert "% of 0 MB loaded" in caplog.text
    assert "100 keys loaded in" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="there is no terminal of that kind")
def test_a_terminal_shows_a_bar(tmp_path: Path) -> None:
    cache = Cache(data_dir=tmp_path / "data", aof_sync="no")
    for number in range(18):
        cache.set(f"k{number}", b"x" * (1 << 20))
    cache.close()
    ours, theirs = pty.openpty()
    server = subprocess.Popen(
        [*COMMAND, "serve", "--no-http", "--port", "0", "--data-dir", str(tmp_path / "data")],
        stdout=theirs,
        env=environment(TERM="xterm", COLUMNS="120"),
    )
    os.close(theirs)
    shown = b""
    while b"is ready" not in shown:
        shown += os.read(ours, 65536)
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0
    os.close(ours)
    assert b"loading" in shown
    assert "━".encode() in shown
