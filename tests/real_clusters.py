"""Real clusters for tests: three primaries of Valkey, or of redis-server, on this machine."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import redis
from real_servers import HOST, PORTS_TRIED, START_TIMEOUT_S, answering, free_port, stop

SLOTS = 16384
PRIMARIES = 3


class RealCluster:
    """A running cluster.

    Attributes:
        ports: of its nodes.
    """

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports

    @property
    def url(self) -> str:
        """Its address."""
        return "cluster://" + ",".join(f"{HOST}:{port}" for port in self.ports[:2])

    def node(self, index: int) -> redis.Redis:
        """A client of one node."""
        return redis.Redis(port=self.ports[index], decode_responses=True)


@contextmanager
def node_running(binary: str) -> Iterator[int]:
    """A node that is alone as yet. Gives its port."""
    for _ in range(PORTS_TRIED):
        with tempfile.TemporaryDirectory(prefix="cachestorm-") as folder:
            port, bus = free_port(), free_port()
            argv = [binary, "--port", str(port), "--cluster-port", str(bus), "--bind", HOST]
            argv += ["--save", "", "--dir", folder, "--cluster-enabled", "yes"]
            # slots may move while some of them belong to nobody that answers
            argv += ["--cluster-require-full-coverage", "no", "--enable-debug-command", "yes"]
            quiet = subprocess.DEVNULL
            process = subprocess.Popen(
                argv, stdin=quiet, stdout=quiet, stderr=quiet, env={**os.environ, "LC_ALL": "C"}
            )
            try:
                if answering(process, port) is not None:
                    yield port
                    return
            finally:
                stop(process)
    raise AssertionError(f"{binary} did not start on any of {PORTS_TRIED} ports")


def joined(ports: list[int]) -> None:
    """Has nodes know each other, and waits until they do."""
    first = redis.Redis(port=ports[0], decode_responses=True)
    for port in ports[1:]:
        bus = redis.Redis(port=port, decode_responses=True).config_get("cluster-port")
        first.execute_command("CLUSTER MEET", HOST, port, bus["cluster-port"])
    deadline = time.monotonic() + START_TIMEOUT_S
    for port in ports:
        node = redis.Redis(port=port, decode_responses=True)
        while True:
            facts = node.execute_command("CLUSTER INFO")
            known = [facts["cluster_state"], facts["cluster_known_nodes"]]
            if [*known, facts["cluster_slots_ok"]] == ["ok", str(len(ports)), str(SLOTS)]:
                break
            assert time.monotonic() < deadline, facts
            time.sleep(0.02)


@contextmanager
def cluster_running(binary: str) -> Iterator[RealCluster]:
    """A cluster of three primaries, with all slots among them."""
    with ExitStack() as stack:
        ports = [stack.enter_context(node_running(binary)) for _ in range(PRIMARIES)]
        share = SLOTS // PRIMARIES + 1
        for index, port in enumerate(ports):
            start, end = index * share, min((index + 1) * share, SLOTS) - 1
            node = redis.Redis(port=port)
            node.execute_command("CLUSTER ADDSLOTSRANGE", start, end)
            node.execute_command("CLUSTER SET-CONFIG-EPOCH", index + 1)
        joined(ports)
        yield RealCluster(ports)
