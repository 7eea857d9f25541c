"""Three servers as processes, made a cluster and managed by `redis-cli --cluster`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from node_processes import (
    HOST,
    PATIENT,
    REDIS_CLI,
    Node,
    cluster_of,
    join,
    manage,
    started,
    until,
)
from redis.cluster import RedisCluster

from tests.real_servers import redis_binary, running

pytestmark = pytest.mark.skipif(REDIS_CLI is None, reason="redis-cli is not installed")


def fill(node: Node, count: int = 60) -> RedisCluster:
    """A client of the cluster, and keys with tags on all nodes."""
    cluster = RedisCluster(host=HOST, port=node.port, decode_responses=True)
    for number in range(count):
        cluster.execute_command("SETTAG", f"k{number}", number, "all", f"t{number % 3}")
    return cluster


def test_a_cluster_is_made_resharded_and_takes_a_node_back_that_was_killed(
    tmp_path: Path,
) -> None:
    with started(tmp_path, 3) as nodes:
        one, two, three = nodes
        manage("create", *(node.address for node in nodes), "--cluster-yes")
        for node in nodes:
            until(node.is_ok)
        assert "[OK] All 16384 slots covered." in manage("check", two.address)
        cluster = fill(one)
        assert three.ask("TAGCOUNT", "all") == 60
        moved = ["--cluster-from", one.id, "--cluster-to", two.id, "--cluster-slots", 8]
        manage("reshard", one.address, *moved, "--cluster-yes")
        assert cluster.mget_nonatomic(*(f"k{number}" for number in range(60))) == [
            str(number) for number in range(60)
        ]
        assert three.ask("INVALIDATE", "t1") == 20
        former = three.id
        three.kill()
        with pytest.raises(redis.ResponseError, match="PARTIAL 2 of 3 nodes answered"):
            raise one.ask("INVALIDATE", "t2")
        three.restart()
        until(lambda: one.facts()["cluster_pending_operations"] == "0")
        until(three.is_ok)
        assert three.id == former


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    with cluster_of(tmp_path_factory.mktemp("nodes"), **PATIENT) as nodes:
        yield nodes


@pytest.fixture
def nodes(cluster: list[Node]) -> list[Node]:
    """Three nodes without keys, and with all slots among them."""
    for node in cluster:
        node.ask("FLUSHALL")
    return cluster


def test_a_node_is_added_given_its_share_and_taken_away_again(
    nodes: list[Node], tmp_path: Path
) -> None:
    cluster = fill(nodes[0])
    assert nodes[0].ask("TAGLINK", "above", "all") == "OK"
    with started(tmp_path / "more", 1) as (fourth,):
        # with the port of its bus, where that is not 10000 beyond
        nodes[0].ask("CLUSTER", "MEET", HOST, fourth.port, fourth.bus_port)
        until(lambda: fourth.facts()["cluster_known_nodes"] == "4")
        until(lambda: all(node.is_ok() for node in [*nodes, fourth]))
        # a few slots: each is moved by half a dozen commands
        weights = [f"{node.id}={1 if node is fourth else 300}" for node in [*nodes, fourth]]
        told = manage(
            *("rebalance", nodes[0].address, "--cluster-use-empty-masters"),
            *("--cluster-threshold", 0.01, "--cluster-weight", *weights),
        )
        assert "Moving" in told
        until(lambda: int(fourth.facts()["cluster_size"]) == 4)
        assert "[OK] All 16384 slots covered." in manage("check", fourth.address)
        assert fourth.ask("TAGLINKS") == [["above", "all"]]
        assert [cluster.get(f"k{number}") for number in range(60)] == [
            str(number) for number in range(60)
        ]
        assert "not empty" in manage("del-node", nodes[0].address, fourth.id, fails=True)
        back = ["--cluster-from", fourth.id, "--cluster-to", nodes[0].id]
        share = len(slots_of(fourth))
        manage("reshard", nodes[0].address, *back, "--cluster-slots", share, "--cluster-yes")
        until(lambda: "0 slots" in manage("info", nodes[0].address))
        manage("del-node", nodes[0].address, fourth.id)
        until(lambda: nodes[2].facts()["cluster_known_nodes"] == "3")
        assert nodes[1].ask("INVALIDATE", "above", "CASCADE") == 60


def test_a_command_is_called_on_all_nodes_and_slots_are_listed(nodes: list[Node]) -> None:
    fill(nodes[0])
    told = manage("call", nodes[0].address, "TAGCOUNT", "all")
    assert [line.split(": ")[-1] for line in told.splitlines() if line.startswith(HOST)] == [
        "60"
    ] * 3
    assert "[OK] 60 keys in 3 masters." in manage("info", nodes[1].address)


def test_slots_of_nobody_and_slots_half_moved_are_fixed(nodes: list[Node]) -> None:
    one, two, _ = nodes
    cluster = fill(one)
    one.ask("CLUSTER", "DELSLOTS", 1, 2)
    slot = int(str(one.ask("CLUSTER", "KEYSLOT", "k2")))
    owner = next(node for node in nodes if slot in slots_of(node))
    target = next(node for node in nodes if node is not owner)
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", owner.id)
    owner.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
    until(lambda: two.facts()["cluster_slots_assigned"] == "16382")
    assert "[ERR]" in manage("check", one.address, fails=True)
    manage("fix", one.address, "--cluster-yes")
    until(lambda: all(node.is_ok() for node in nodes))
    assert "[OK] All 16384 slots covered." in manage("check", two.address)
    assert cluster.get("k2") == "2"


def slots_of(node: Node) -> set[int]:
    ranges = node.ask("CLUSTER", "SLOTS")
    assert isinstance(ranges, list)
    return {
        slot
        for first, last, (_, port, *_) in ranges
        if port == node.port
        for slot in range(first, last + 1)
    }


def test_the_keys_of_a_server_are_imported(nodes: list[Node]) -> None:
    with running("redis", redis_binary()) as server:
        source = redis.Redis(port=server.port)
        source.mset({f"k{number}": number for number in range(20)})
        source.hset("h", "f", "v")
        manage(
            *("import", nodes[0].address, "--cluster-from", f"{HOST}:{server.port}"),
            *("--cluster-replace", "--cluster-copy"),
        )
    cluster = RedisCluster(host=HOST, port=nodes[1].port, decode_responses=True)
    assert cluster.mget_nonatomic(*(f"k{number}" for number in range(20))) == [
        str(number) for number in range(20)
    ]
    assert cluster.hgetall("h") == {"f": "v"}


def test_add_node_asks_at_the_port_of_the_bus_that_is_usual(tmp_path: Path) -> None:
    with started(tmp_path, 2) as (one, two):
        join([one])
        told = manage("add-node", two.address, one.address, fails=False)
        assert "[OK] New node added correctly." in told
