"""Killed at any moment: programs with threads and tasks, servers asked by RESP and by HTTP."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import killed_program
import pytest
import redis
from real_servers import redis_binary, running
from redis_contents import of_server
from vocabulary import random_command

from cachestorm import Cache

sys.path.append(str(Path(__file__).parent.parent / "cli"))
from processes import Running, environment

COMMANDS = 300
# what a sketch of one is in bytes another one spells otherwise
OTHERWISE = {"PFADD", "PFMERGE", "PFCOUNT"}


def kill_and_look(folder: Path, sync: str, chance: random.Random) -> None:
    program = subprocess.Popen(
        [sys.executable, killed_program.__file__, str(folder), sync],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert program.stdout is not None
    first = program.stdout.readline()
    time.sleep(chance.uniform(0, 0.5))
    program.kill()
    said = dict(line.split() for line in [first, *program.stdout])
    program.wait()
    cache: Cache[Any] = Cache(data_dir=folder)
    cache._check()
    for name, count in said.items():
        found = cache.get(name) if name != "totals" else int(count)
        # written once more, and not said yet; or invalidated since
        assert found in (int(count), int(count) + 1) or (found is None and int(count) % 40 == 0)
    totals = cache.hgetall("totals")
    for number in range(killed_program.THREADS):
        assert totals.get(f"w{number}:a") == totals.get(f"w{number}:b")
        elements = cache.lrange(f"w{number}:l", 0, -1)
        assert elements == sorted(elements)
        assert len(elements) <= 11
    cache.flushall()
    cache.close()


@pytest.mark.parametrize("sync", ["always", "everysec"])
def test_a_program_that_is_killed_has_lost_nothing_that_had_returned(
    tmp_path: Path, sync: str
) -> None:
    chance = random.Random(18)
    for _ in range(2):
        kill_and_look(tmp_path / "data", sync, chance)


def test_a_server_that_is_killed_has_all_that_was_put_by_http(tmp_path: Path) -> None:
    folder = str(tmp_path / "data")
    ports = ("--port", "0", "--http-port", "0")
    server = Running("serve", *ports, "--data-dir", folder, "--aof-sync", "always")
    acknowledged: dict[str, bytes] = {}

    def put(number: int) -> None:
        connection = HTTPConnection("127.0.0.1", int(server.http_port))
        count = 0
        while True:
            count += 1
            value = os.urandom(9)
            try:
                path = f"/v1/namespaces/default/keys/k{number}:{count}?tags=t"
                connection.request("PUT", path, value)
                answer = connection.getresponse()
                answer.read()
            except (OSError, HTTPException):
                return
            assert answer.status == 201
            acknowledged[f"k{number}:{count}"] = value

    threads = [threading.Thread(target=put, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while len(acknowledged) < 30:
        time.sleep(0.01)
    server.end(signal.SIGKILL)
    for thread in threads:
        thread.join()
    cache: Cache[Any] = Cache(data_dir=folder)
    cache._check()
    assert cache.mget(*acknowledged) == [*acknowledged.values()]
    assert {*cache.tagkeys("t")} >= {*acknowledged}
    cache.close()


def without_times(found: dict[bytes, Any]) -> dict[bytes, object]:
    """With deadlines that were counted from now as whether there is one."""
    return {key: (kind, value, deadline > 0) for key, (kind, value, deadline) in found.items()}


def post(connection: HTTPConnection, argv: list[bytes]) -> None:
    """Sends a command as JSON; an error is an answer as well."""
    body = json.dumps({"command": [each.decode() for each in argv]})
    connection.request("POST", "/v1/commands", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status < 500, text


def goes_by_http(argv: list[bytes]) -> bool:
    """Whether it is text, and means the same in a request of its own."""
    try:
        return b" ".join(argv).decode().upper().split()[0] != "SELECT"
    except UnicodeDecodeError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "seed"), [("resp", 0), ("resp", 1), ("http", 2)])
def test_after_a_kill_there_is_what_the_aof_of_a_real_server_has(
    tmp_path: Path, protocol: str, seed: int
) -> None:
    chance = random.Random(seed)
    # under everysec Redis keeps what it has acknowledged to itself while it waits for the disk
    given = ("--dir", str(tmp_path), "--appendonly", "yes", "--appendfsync", "always")
    folder = str(tmp_path / "data")
    options = ("serve", "--http-port", "0", "--port", "0", "--data-dir", folder)
    with running("redis", redis_binary(), *given) as theirs:
        server = Running(*options)
        http = HTTPConnection("127.0.0.1", int(server.http_port))
        clients = [redis.Redis(port=int(port)) for port in (theirs.port, server.port)]
        known = {name.upper() for name in clients[0].command()} - OTHERWISE
        count = 0
        while count < COMMANDS:
            argv = random_command(chance)
            if argv[0].decode("latin-1").upper() not in known:
                continue
            if protocol == "http" and not goes_by_http(argv):
                continue
            count += 1
            if count == COMMANDS // 2:
                for client in clients:
                    client.bgrewriteaof()
            for client in clients[:1] if protocol == "http" else clients:
                with suppress(redis.ResponseError):
                    client.execute_command(*argv)
            if protocol == "http":
                post(http, argv)
        before = without_times(of_server(clients[0]))
        server.end(signal.SIGKILL)
        os.kill(theirs.pid, signal.SIGKILL)
    server = Running(*options)
    with running("redis", redis_binary(), *given) as theirs:
        clients = [redis.Redis(port=int(port)) for port in (theirs.port, server.port)]
        found = [without_times(of_server(client)) for client in clients]
        assert found[1] == found[0] == before
        server.end()
    cache: Cache[Any] = Cache(data_dir=folder)
    cache._check()
    cache.close()
