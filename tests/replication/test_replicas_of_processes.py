"""Three servers as processes, and what redis-py's users and tools ask them."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from processes import Running

PATIENCE_S = 60.0


def serving(primary: Running | None = None, *more: str) -> Running:
    given = () if primary is None else ("--replica-of", f"127.0.0.1:{primary.port}")
    return Running("serve", "--no-http", "--port", "0", *given, *more)


def client_of(server: Running) -> redis.Redis:
    return redis.Redis(port=int(server.port))


def until(is_so: Callable[[], bool]) -> None:
    """Waits until something is so."""
    ends_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def link(client: Any) -> str:
    return str(client.info("replication").get("master_link_status"))


@pytest.fixture
def servers() -> Iterator[list[Running]]:
    started: list[Running] = []
    yield started
    for server in started:
        if server.process.poll() is None:
            server.end()


def test_role_wait_and_info_are_as_in_redis(servers: list[Running]) -> None:
    servers.append(serving())
    primary = client_of(servers[0])
    servers += [serving(servers[0]), serving(servers[0])]
    replicas = [client_of(server) for server in servers[1:]]
    for replica in replicas:
        until(lambda replica=replica: link(replica) == "up")  # type: ignore[misc]
    primary.set("a", 1)
    assert primary.wait(2, 0) == 2
    assert [replica.get("a") for replica in replicas] == [b"1", b"1"]
    offset = primary.info("replication")["master_repl_offset"]
    kind, shown, rows = primary.role()
    assert (kind, shown) == (b"master", offset)
    ports = {server.port.encode() for server in servers[1:]}
    assert {(row[0], row[1], row[2]) for row in rows} == {
        (b"127.0.0.1", port, b"%d" % offset) for port in ports
    }
    expected = [b"slave", b"127.0.0.1", int(servers[0].port), b"connected", offset]
    assert replicas[0].role() == expected
    info = primary.info("replication")
    assert (info["role"], info["connected_slaves"]) == ("master", 2)
    assert info["slave0"]["state"] == "online"
    assert info["slave0"]["offset"] == offset
    told = replicas[0].info("replication")
    assert (told["role"], told["master_port"]) == ("slave", int(servers[0].port))
    assert told["master_replid"] == info["master_replid"]
    assert (told["slave_repl_offset"], told["slave_read_only"]) == (offset, 1)
    hello = replicas[0].execute_command("HELLO", "2")
    assert hello[hello.index(b"role") + 1] == b"replica"
    with pytest.raises(redis.ReadOnlyError):
        replicas[0].set("a", 2)
    assert {each["flags"] for each in primary.client_list(_type="replica")} == {"S"}


def test_after_a_primary_is_lost_a_replica_goes_on_with_all_that_wait_said(
    servers: list[Running],
) -> None:
    servers.append(serving())
    servers += [serving(servers[0]), serving(servers[0])]
    primary, first, second = [client_of(server) for server in servers]
    for replica in (first, second):
        until(lambda replica=replica: link(replica) == "up")  # type: ignore[misc]
    waited: dict[str, int] = {}

    def write() -> None:
        try:
            for number in range(100_000):
                primary.set(f"k{number}", number)
                if number % 10 == 0 and primary.wait(1, 0) >= 1:
                    waited.update({f"k{each}": each for each in range(number + 1)})
        except redis.RedisError:
            return

    writer = threading.Thread(target=write)
    writer.start()
    until(lambda: len(waited) > 50)
    servers[0].end(signal.SIGKILL)
    writer.join()
    offsets = [each.info("replication")["slave_repl_offset"] for each in (first, second)]
    best, other = (first, second) if offsets[0] >= offsets[1] else (second, first)
    assert best.execute_command("REPLICAOF", "NO", "ONE") == b"OK"
    assert best.mget(waited) == [b"%d" % each for each in waited.values()]
    port = best.connection_pool.connection_kwargs["port"]
    assert other.execute_command("REPLICAOF", "127.0.0.1", port) == b"OK"
    again = other.execute_command("REPLICAOF", "127.0.0.1", port)
    assert again == b"OK Already connected to specified master"
    best.set("after", 1)
    assert best.wait(1, 0) == 1
    assert other.get("after") == b"1"
    assert other.dbsize() == best.dbsize()


def test_a_replica_with_a_data_directory_starts_with_what_it_had(
    servers: list[Running], tmp_path: Path
) -> None:
    given = ("--data-dir", str(tmp_path / "data"))
    servers.append(serving())
    servers.append(serving(servers[0], *given))
    primary, replica = client_of(servers[0]), client_of(servers[1])
    until(lambda: link(replica) == "up")
    primary.execute_command("SETTAG", "a", "1", "t")
    primary.rpush("l", 1, 2)
    primary.lpush("l", 0)
    assert primary.wait(1, 0) == 1
    servers[1].end(signal.SIGKILL)
    servers.append(serving(None, *given))
    alone = client_of(servers[2])
    assert alone.execute_command("TAGKEYS", "t") == [b"a"]
    assert alone.lrange("l", 0, -1) == [b"0", b"1", b"2"]
    # it knows of no primary now, and takes writes
    assert alone.set("b", 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_replicas_that_come_and_go_end_with_the_same(servers: list[Running], seed: int) -> None:
    chance = random.Random(seed)
    servers.append(serving())
    primary = client_of(servers[0])
    for turn in range(6):
        for _ in range(chance.randrange(2000)):
            key = f"k{chance.randrange(500)}"
            chance.choice(
                [
                    lambda key=key: primary.set(key, chance.random()),
                    lambda key=key: primary.hset("h", key, chance.random()),
                    lambda key=key: primary.rpush("l", key),
                    lambda key=key: primary.delete(key),
                ]
            )()
        if turn % 2 == 0:
            servers.append(serving(servers[0]))
        else:
            servers.pop(1).end(chance.choice([signal.SIGKILL, signal.SIGTERM]))
    servers.append(serving(servers[0]))
    replica = client_of(servers[-1])
    until(lambda: link(replica) == "up")
    assert primary.wait(1, 0) >= 1
    found = [
        (client.hgetall("h"), client.lrange("l", 0, -1), sorted(client.keys()))
        for client in (primary, replica)
    ]
    assert found[0] == found[1]
