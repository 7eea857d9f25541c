"""Nodes and members of etcd as processes that are stopped and killed, while a client writes."""

from __future__ import annotations

import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest
import redis
from etcd_processes import ETCD, MISSING, Etcd
from node_processes import SLOTS, Node, until
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from wires import Wires

from tests.real_servers import free_port

pytest.importorskip("etcd3gw")
pytestmark = pytest.mark.skipif(ETCD is None, reason=MISSING)

LEASE_S = 4.0
KEYS = 40
# how long a client is without an answer before it gives one up
TIMEOUT_S = 3.0
# of a file: as many as this process may write
MOST_BYTES = resource.getrlimit(resource.RLIMIT_FSIZE)[1]


class Checker:
    """Clients that write ever greater numbers, and look at what they read.

    A number that was answered for may be lost with its node. What is read is the latest that
    was answered for, or one whose answer never came since; never an earlier one.
    """

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._known: dict[str, int] = {}
        self._maybe: dict[str, set[int]] = {}
        self._thread = threading.Thread(target=self._work)
        self._ends = threading.Event()
        self.answered = 0
        self.faults: list[str] = []

    def __enter__(self) -> Checker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _connected(self) -> RedisCluster:
        places = [ClusterNode("127.0.0.1", node.port) for node in self._nodes]
        return RedisCluster(startup_nodes=places, socket_timeout=TIMEOUT_S)

    def _work(self) -> None:
        random, number, client = Random(1), 0, None
        while not self._ends.is_set():
            key = f"k{random.randrange(KEYS)}"
            number += 1
            self._maybe.setdefault(key, set()).add(number)
            try:
                client = client or self._connected()
                client.set(key, number)
                self._known[key] = number
                self._maybe[key] = {number}
                self.answered += 1
                self._read(client, f"k{random.randrange(KEYS)}")
            except (redis.RedisError, RedisClusterException, OSError, AttributeError):
                # redis-py's clusters have an error that is none of its others; the last one is
                # where it has lost a node while it looked for its slots
                client = None
                self._ends.wait(0.02)

    def _read(self, client: RedisCluster, key: str) -> None:
        got = client.get(key)
        if got is not None and int(got) not in self._maybe.get(key, set()):
            self.faults.append(f"{key}: {int(got)} after {self._known.get(key)}")

    def wait(self) -> None:
        """Until something more has been answered."""
        before = self.answered
        until(lambda: self.answered > before + 5)


@pytest.fixture
def etcd() -> Iterator[Etcd]:
    etcd = Etcd(3)
    try:
        etcd.start()
        yield etcd
    finally:
        etcd.stop()


def settings(etcd: Etcd) -> dict[str, str]:
    """What nodes are told of an authority."""
    return {
        "CACHESTORM_CLUSTER_AUTHORITY": "etcd",
        "CACHESTORM_CLUSTER_ETCD_ENDPOINTS": ",".join(etcd.endpoints),
        "CACHESTORM_CLUSTER_LEASE_TTL": f"{LEASE_S * 1000:.0f}ms",
        "CACHESTORM_CLUSTER_LEASE_MARGIN": "500ms",
        # empty slots move in one step
        "CACHESTORM_CLUSTER_REBALANCE_SLOTS": str(SLOTS),
    }


@pytest.fixture
def nodes(etcd: Etcd, tmp_path: Path) -> Iterator[list[Node]]:
    nodes: list[Node] = []
    try:
        nodes += [Node(tmp_path / str(number), **settings(etcd)) for number in range(3)]
        for node in nodes:
            until(node.is_up)
        until(lambda: is_even(nodes))
        yield nodes
    finally:
        for node in nodes:
            node.process.send_signal(signal.SIGCONT)
            node.kill()


def owned(node: Node) -> list[int]:
    """How many slots each node has, as one says."""
    counts = []
    for line in str(node.ask("CLUSTER", "NODES")).splitlines():
        ranges = [each.partition("-") for each in line.split()[8:] if each[0] != "["]
        counts.append(sum(int(last or first) - int(first) + 1 for first, _, last in ranges))
    return sorted(count for count in counts if count)


def is_even(nodes: list[Node]) -> bool:
    """Whether all serve, and have as many slots as the others."""
    share = SLOTS // len(nodes)
    return all(
        node.is_ok() and len(counts := owned(node)) == len(nodes) and counts[0] >= share
        for node in nodes
    )


@pytest.mark.slow
def test_slots_of_a_node_that_is_killed_are_served_and_it_gets_some_when_it_is_back(
    etcd: Etcd, nodes: list[Node]
) -> None:
    with pytest.raises(redis.ResponseError, match="etcd decides which node has a slot"):
        nodes[0].ask("CLUSTER", "SETSLOT", 0, "NODE", nodes[1].id)
    with Checker(nodes) as checker:
        checker.wait()
        nodes[0].kill()
        etcd.members[0].kill()
        until(lambda: is_even(nodes[1:]))
        checker.wait()
        etcd.members[0].restart()
        nodes[0].restart()
        until(lambda: is_even(nodes))
        checker.wait()
    assert checker.faults == []


@pytest.mark.slow
def test_keys_of_a_node_that_is_stopped_are_on_the_others(nodes: list[Node]) -> None:
    client = RedisCluster(host="127.0.0.1", port=nodes[0].port)
    for number in range(200):
        client.execute_command("SETTAG", f"k{number}", number, "all")
    nodes[2].process.terminate()
    assert nodes[2].process.wait() == 0
    until(lambda: is_even(nodes[:2]))
    client = RedisCluster(host="127.0.0.1", port=nodes[0].port)
    values = [client.get(f"k{number}") for number in range(200)]
    assert values == [str(number).encode() for number in range(200)]


@pytest.mark.slow
def test_without_a_majority_of_etcd_nothing_is_served_until_it_is_back(
    etcd: Etcd, nodes: list[Node]
) -> None:
    before = owned(nodes[0])
    nodes[0].ask("CLUSTER", "INFO")
    for member in etcd.members[:2]:
        member.send(signal.SIGSTOP)
    until(lambda: not any(node.is_ok() for node in nodes))
    with pytest.raises(redis.RedisError, match=r"The cluster is down"):
        for node in nodes:
            node.ask("SET", "k", "v")
    for member in etcd.members[:2]:
        member.send(signal.SIGCONT)
    until(lambda: is_even(nodes))
    assert owned(nodes[0]) == before


def _limit_files(node: Node, size: int) -> None:
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (size, MOST_BYTES))


class Faults:
    """What happens to nodes and members, one thing after the other, from a seed."""

    def __init__(self, seed: int, etcd: Etcd, nodes: list[Node], wires: list[Wires]) -> None:
        self._random = Random(seed)
        self._etcd = etcd
        self._nodes = nodes
        self._wires = wires
        self._deeds = (
            *(self.kill, self.stop, self.kill_member, self.freeze_member),
            *(self.cut_off, self.fill_disk, self.mend),
        )

    def happen(self) -> None:
        self._random.choice(self._deeds)()
        self._pass_time(LEASE_S)

    def _pass_time(self, most_s: float) -> None:
        time.sleep(self._random.uniform(0, most_s))

    def _node(self) -> Node:
        return self._random.choice(self._nodes)

    def kill(self) -> None:
        node = self._node()
        node.kill()
        self._pass_time(2 * LEASE_S)
        node.restart()

    def stop(self) -> None:
        self._node().process.send_signal(signal.SIGSTOP)

    def kill_member(self) -> None:
        member = self._random.choice(self._etcd.members)
        member.kill()
        self._pass_time(LEASE_S)
        member.restart()

    def freeze_member(self) -> None:
        member = self._random.choice(self._etcd.members)
        member.send(signal.SIGSTOP)
        self._pass_time(2 * LEASE_S)
        member.send(signal.SIGCONT)

    def cut_off(self) -> None:
        """A node reaches no member any more."""
        self._random.choice(self._wires).cut_all()

    def fill_disk(self) -> None:
        """No file of a node can grow."""
        _limit_files(self._node(), 0)

    def mend(self) -> None:
        for node, wires in zip(self._nodes, self._wires, strict=True):
            node.process.send_signal(signal.SIGCONT)
            _limit_files(node, MOST_BYTES)
            wires.mend()


@pytest.fixture
def wired(etcd: Etcd, tmp_path: Path) -> Iterator[tuple[list[Node], list[Wires]]]:
    """Nodes that reach the members by wires of their own."""
    with ExitStack() as stack:
        nodes, wires = [], []
        for number in range(3):
            own = Wires()
            stack.callback(own.end)
            wires.append(own)
            ports = [free_port() for _ in etcd.members]
            for port, member in zip(ports, etcd.members, strict=True):
                own.lead(port, member.port)
            endpoints = ",".join(f"http://127.0.0.1:{port}" for port in ports)
            told = settings(etcd) | {"CACHESTORM_CLUSTER_ETCD_ENDPOINTS": endpoints}
            node = Node(tmp_path / str(number), **told)
            stack.callback(node.kill)
            nodes.append(node)
        for node in nodes:
            until(node.is_up)
        until(lambda: is_even(nodes))
        yield nodes, wires


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(23, 29))
def test_a_client_reads_nothing_old_whatever_is_stopped_killed_cut_off_and_full(
    etcd: Etcd, wired: tuple[list[Node], list[Wires]], seed: int
) -> None:
    nodes, wires = wired
    faults = Faults(seed, etcd, nodes, wires)
    with Checker(nodes) as checker:
        # so few at a time: on a busy machine a process takes its time to start
        for _ in range(6):
            faults.happen()
        faults.mend()
        until(lambda: is_even(nodes))
        checker.wait()
    assert checker.faults == []


@pytest.mark.slow
def test_slots_of_a_node_that_is_killed_are_served_within_twice_the_lease(
    nodes: list[Node],
) -> None:
    nodes[0].kill()
    began_at = time.monotonic()
    until(lambda: is_even(nodes[1:]))
    assert time.monotonic() - began_at < 2 * LEASE_S


def roles(nodes: list[Node]) -> list[str]:
    """Who is a replica, and whether it is connected."""
    said = [redis.Redis(port=node.port).info("replication") for node in nodes]
    return [f"{each['role']} {each.get('master_link_status', '')}" for each in said]


@pytest.fixture
def pair(etcd: Etcd, tmp_path: Path) -> Iterator[list[Node]]:
    """A primary with a key, and a replica that has it."""
    paired = settings(etcd) | {"CACHESTORM_CLUSTER_REPLICAS": "1"}
    nodes: list[Node] = []
    try:
        nodes += [Node(tmp_path / str(number), **paired) for number in range(2)]
        until(lambda: sorted(roles(nodes)) == ["master ", "slave up"])
        nodes.sort(key=lambda node: "slave" in str(node.ask("ROLE")))
        until(lambda: nodes[0].ask("SET", "k", "v") == "OK")
        assert nodes[0].ask("WAIT", 1, 0) == 1
        yield nodes
    finally:
        for node in nodes:
            node.kill()


@pytest.mark.slow
def test_a_replica_has_the_keys_of_a_primary_that_is_killed_and_is_followed_by_it(
    pair: list[Node],
) -> None:
    primary, replica = pair
    primary.kill()
    until(lambda: replica.ask("GET", "k") == "v")
    assert replica.ask("SET", "k", "w") == "OK"
    primary.restart()
    until(lambda: roles(pair) == ["slave up", "master "])


@pytest.mark.slow
def test_a_replica_that_asks_for_the_slots_of_its_primary_is_given_them(
    pair: list[Node],
) -> None:
    replica = pair[1]

    def has_taken_over() -> bool:
        # a primary that is too slow to hand over keeps its slots
        if roles(pair)[1].startswith("slave"):
            replica.ask("CLUSTER", "FAILOVER")
        return roles(pair) == ["slave up", "master "]

    until(has_taken_over)
    until(lambda: replica.ask("GET", "k") == "v")
    assert replica.ask("SET", "k", "w") == "OK"
