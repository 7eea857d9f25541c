"""A server that is killed: what it has acknowledged is there again."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from cachestorm import Cache

sys.path.append(str(Path(__file__).parent.parent / "cli"))
from processes import Running, run


def serving(folder: Path, sync: str) -> Running:
    return Running(
        *("serve", "--no-http", "--port", "0", "--data-dir", str(folder)),
        *("--aof-sync", sync),
    )


class Writer:
    """A client that writes as long as it is answered.

    Attributes:
        acknowledged: what it was told is there.
    """

    def __init__(self, port: int, number: int) -> None:
        self.acknowledged: dict[str, bytes] = {}
        self._port = port
        self._number = number
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        client = redis.Redis(port=self._port)
        count = 0
        try:
            while True:
                count += 1
                key, value = f"k{self._number}:{count % 500}", os.urandom(20)
                # the former value may be replaced although nobody was told
                self.acknowledged.pop(key, None)
                client.execute_command("SETTAG", key, value, f"t{count % 3}")
                self.acknowledged[key] = value
                with client.pipeline(transaction=True) as pipe:
                    pipe.hincrby("totals", f"a{self._number}", 1)
                    pipe.hincrby("totals", f"b{self._number}", 1)
                    pipe.execute()
                if count % 50 == 0:
                    # it may be done although nobody is told
                    del self.acknowledged[key]
                    client.rename(key, f"moved{self._number}")
        except redis.RedisError:
            return


def kill_and_look(folder: Path, sync: str, seed: int) -> None:
    chance = random.Random(seed)
    server = serving(folder, sync)
    writers = [Writer(int(server.port), number) for number in range(3)]
    time.sleep(chance.uniform(0.05, 0.8))
    if chance.random() < 0.3:
        redis.Redis(port=int(server.port)).bgsave()
    time.sleep(chance.uniform(0, 0.05))
    server.end(signal.SIGKILL)
    for writer in writers:
        writer.thread.join(60)
    cache: Cache[Any] = Cache(data_dir=folder)
    cache._check()
    for writer in writers:
        for key, value in writer.acknowledged.items():
            assert cache.get(key) == value
    for number in range(3):
        assert cache.hget("totals", f"a{number}") == cache.hget("totals", f"b{number}")
    cache.close()


@pytest.mark.parametrize("sync", ["always", "everysec"])
def test_a_killed_server_has_lost_nothing_that_it_acknowledged(
    tmp_path: Path, sync: str
) -> None:
    for seed in range(2):
        kill_and_look(tmp_path / "data", sync, seed)


@pytest.mark.slow
@pytest.mark.parametrize("sync", ["always", "everysec", "no"])
@pytest.mark.parametrize("seed", range(100))
def test_a_server_that_is_killed_hundreds_of_times_loses_nothing(
    tmp_path: Path, sync: str, seed: int
) -> None:
    for each in range(3):
        kill_and_look(tmp_path / "data", sync, 1000 + 3 * seed + each)


def test_a_server_saves_and_tells(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    server = serving(folder, "everysec")
    client = redis.Redis(port=int(server.port))
    client.set("a", 1, ex=1000)
    assert client.info("persistence")["aof_enabled"] == 1
    assert client.save()
    assert time.time() - client.lastsave().timestamp() < 60
    assert client.bgsave()
    while client.info("persistence")["rdb_bgsave_in_progress"]:
        time.sleep(0.01)
    assert client.info("persistence")["rdb_last_bgsave_status"] == "ok"
    assert client.bgrewriteaof()
    while client.info("persistence")["aof_rewrite_in_progress"]:
        time.sleep(0.01)
    client.set("b", 2)
    refused = run("check", str(folder))
    assert refused.returncode == 1
    assert "is open in another cache" in refused.stderr
    assert server.end() == 0
    checked = run("check", str(folder))
    assert (checked.returncode, checked.stdout.splitlines()[-1]) == (0, "sound")
    server = serving(folder, "everysec")
    client = redis.Redis(port=int(server.port))
    assert (client.get("a"), client.get("b")) == (b"1", b"2")
    assert 0 < client.ttl("a") <= 1000
    server.end()


def test_a_server_without_a_data_directory_says_that_it_saves_nothing() -> None:
    server = Running("serve", "--no-http", "--port", "0")
    client = redis.Redis(port=int(server.port))
    for command in ("SAVE", "BGSAVE", "BGREWRITEAOF"):
        with pytest.raises(redis.ResponseError, match="start the server with --data-dir"):
            client.execute_command(command)
    assert client.lastsave() is not None
    server.end()
