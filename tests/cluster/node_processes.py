"""Nodes as processes, joined as an operator would, and `redis-cli --cluster`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.real_servers import free_port

ROOT = Path(__file__).parents[2]
PATIENCE_S = 180.0
REDIS_CLI = shutil.which("redis-cli")
HOST = "127.0.0.1"
SLOTS = 16384
# of nodes none of which is to be missed
PATIENT = {
    "CACHESTORM_CLUSTER_SUSPICION_MULT": "600",
    "CACHESTORM_CLUSTER_ANSWER_TIMEOUT": "120s",
}
PROGRAM = "import sys; from cachestorm_cli.app import main; sys.exit(main())"


class Node:
    """A server process of a cluster.

    Args:
        settings: more of its environment.
        advertised: at which port other nodes are told to reach its bus, if not at its own.
    """

    def __init__(self, folder: Path, advertised: int = 0, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.bus_port = free_port()
        self.advertised = advertised or self.bus_port
        self._settings = {
            "CACHESTORM_CLUSTER_ENABLED": "true",
            "CACHESTORM_CLUSTER_BIND_PORT": str(self.bus_port),
            "CACHESTORM_CLUSTER_ADVERTISE_PORT": str(advertised),
            "CACHESTORM_CLUSTER_PROBE_INTERVAL": "100ms",
            # a node that is busy with others' work is not taken for one that is gone
            "CACHESTORM_CLUSTER_SUSPICION_MULT": "30",
            "CACHESTORM_CLUSTER_ANSWER_TIMEOUT": "10s",
            "CACHESTORM_PERSISTENCE_DATA_DIR": str(folder),
            **settings,
        }
        self.process = self._started()

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def id(self) -> str:
        return str(self.ask("CLUSTER", "MYID"))

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "serve", "--no-http", "--port", str(self.port)],
            env={**os.environ, **self._settings},
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, *words: object) -> object:
        """A reply as it is, which redis-py has not read."""
        connection = redis.Connection(
            port=self.port,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=PATIENCE_S,
        )
        try:
            connection.send_command(*words)
            return connection.read_response()
        finally:
            connection.disconnect()

    def facts(self) -> dict[str, str]:
        """What CLUSTER INFO says."""
        lines = str(self.ask("CLUSTER", "INFO")).splitlines()
        return dict(line.split(":", 1) for line in lines)

    def is_up(self) -> bool:
        return self.ask("PING") == "PONG"

    def is_ok(self) -> bool:
        return self.facts()["cluster_state"] == "ok"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.process = self._started()
        until(self.is_up)


def until(holds: Callable[[], object]) -> None:
    """Waits until something is so; a server that does not answer is asked again."""
    gives_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < gives_up_at:
        try:
            if holds():
                return
        except redis.RedisError:
            pass
        time.sleep(0.02)
    raise AssertionError("it never came to be")


def manage(*words: object, fails: bool = False) -> str:
    """What `redis-cli --cluster` prints; it ends well, if it does not fail."""
    assert REDIS_CLI is not None
    done = subprocess.run(
        [REDIS_CLI, "--cluster", *map(str, words)],
        # it asks about some things whatever it is told
        input="yes\n" * 9,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout


@contextmanager
def started(folder: Path, count: int, **settings: str) -> Iterator[list[Node]]:
    """Nodes that are alone as yet."""
    with ExitStack() as stack:
        nodes = []
        for number in range(count):
            node = Node(folder / str(number), **settings)
            stack.callback(node.kill)
            nodes.append(node)
        for node in nodes:
            until(node.is_up)
        yield nodes


def join(nodes: list[Node]) -> None:
    """Shares out the slots, has the nodes meet, and waits until all agree."""
    share = SLOTS // len(nodes) + 1
    for index, node in enumerate(nodes):
        last = min((index + 1) * share, SLOTS) - 1
        node.ask("CLUSTER", "ADDSLOTSRANGE", index * share, last)
    for node in nodes[1:]:
        nodes[0].ask("CLUSTER", "MEET", HOST, node.port, node.advertised)
    for node in nodes:
        until(lambda node=node: node.facts()["cluster_known_nodes"] == str(len(nodes)))
        until(node.is_ok)


@contextmanager
def cluster_of(folder: Path, count: int = 3, **settings: str) -> Iterator[list[Node]]:
    """Nodes that have all slots among them."""
    with started(folder, count, **settings) as nodes:
        join(nodes)
        yield nodes
