"""Three servers as processes, and the tools and clients that people have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from tests.real_servers import free_port

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
REDIS_CLI = shutil.which("redis-cli")

pytestmark = pytest.mark.skipif(REDIS_CLI is None, reason="redis-cli is not installed")


class Node:
    """A server process of the cluster."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._bus_port = free_port()
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        settings = {
            "CACHESTORM_CLUSTER_ENABLED": "true",
            "CACHESTORM_CLUSTER_BIND_PORT": str(self._bus_port),
            "CACHESTORM_CLUSTER_PROBE_INTERVAL": "200ms",
            "CACHESTORM_PERSISTENCE_DATA_DIR": str(self._folder),
        }
        program = "import sys; from cachestorm_cli.app import main; sys.exit(main())"
        return subprocess.Popen(
            [sys.executable, "-c", program, "serve", "--no-http", "--port", str(self.port)],
            env={**os.environ, **settings},
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.process = self._started()


def until(holds) -> None:
    gives_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < gives_up_at:
        try:
            if holds():
                return
        except redis.RedisError:
            pass
        time.sleep(0.05)
    raise AssertionError("it never came to be")


def manage(*words: object) -> str:
    """What `redis-cli --cluster` prints; it ends well."""
    assert REDIS_CLI is not None
    done = subprocess.run(
        [REDIS_CLI, "--cluster", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Node]]:
    nodes = [Node(tmp_path / str(number)) for number in range(3)]
    try:
        for node in nodes:
            until(lambda node=node: node.client().ping())
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        manage("create", *addresses, "--cluster-yes")
        for node in nodes:
            until(lambda node=node: b"cluster_state:ok" in info_of(node))
        yield nodes
    finally:
        for node in nodes:
            node.stop()


def info_of(node: Node) -> bytes:
    connection = redis.Connection(port=node.port)
    connection.send_command("CLUSTER", "INFO")
    return connection.read_response()


def test_a_cluster_serves_reshards_and_takes_a_node_back_that_was_killed(
    nodes: list[Node],
) -> None:
    one, two, three = nodes
    assert "[OK] All 16384 slots covered." in manage("check", f"127.0.0.1:{two.port}")
    cluster = RedisCluster(host="127.0.0.1", port=one.port)
    for number in range(60):
        cluster.execute_command("SETTAG", f"k{number}", number, "all", f"t{number % 3}")
    assert three.client().execute_command("TAGCOUNT", "all") == 60
    ids = [node.client().execute_command("CLUSTER MYID").decode() for node in nodes]
    moved = ["--cluster-from", ids[0], "--cluster-to", ids[1], "--cluster-slots", 8]
    manage("reshard", f"127.0.0.1:{one.port}", *moved, "--cluster-yes")
    assert [cluster.get(f"k{number}") for number in range(60)] == [
        str(number).encode() for number in range(60)
    ]
    assert three.client().execute_command("INVALIDATE", "t1") == 20
    three.stop()
    with pytest.raises(redis.ResponseError, match="PARTIAL 2 of 3 nodes answered"):
        one.client().execute_command("INVALIDATE", "t2")
    three.restart()
    until(lambda: b"cluster_pending_operations:0" in info_of(one))
    until(lambda: b"cluster_state:ok" in info_of(three))
    assert three.client().execute_command("CLUSTER MYID").decode() == ids[2]
