"""Nodes that are killed, cut off or without a disk, as processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis
from node_processes import HOST, Node, cluster_of, join, started, until
from wires import Wires

from tests.real_servers import free_port

KEYS = [f"{{moves}}{number}" for number in range(200)]


@contextmanager
def proxied(folder: Path) -> Iterator[tuple[list[Node], Wires]]:
    """Three nodes that reach each other by proxies only."""
    wires = Wires()
    with ExitStack() as stack:
        stack.callback(wires.end)
        nodes = []
        for number in range(3):
            port = free_port()
            node = Node(folder / str(number), port, CACHESTORM_CLUSTER_ANSWER_TIMEOUT="500ms")
            stack.callback(node.kill)
            wires.lead(port, node.bus_port)
            nodes.append(node)
        for node in nodes:
            until(node.is_up)
        join(nodes)
        yield nodes, wires


def owner_of(nodes: list[Node], key: str) -> Node:
    """Which node answers for a key."""
    return next(node for node in nodes if not isinstance(said(node, "GET", key), Exception))


def said(node: Node, *words: object) -> object:
    """A reply, or the error that came in its place."""
    try:
        return node.ask(*words)
    except redis.ResponseError as error:
        return error


def test_what_is_invalidated_while_all_are_cut_off_is_gone_once_they_are_not(
    tmp_path: Path,
) -> None:
    with proxied(tmp_path) as (nodes, wires):
        names: dict[Node, str] = {}
        for number in range(100):
            node = owner_of(nodes, f"k{number}")
            if node not in names:
                names[node] = f"k{number}"
                node.ask("SETTAG", f"k{number}", "1", "t", f"of{nodes.index(node)}")
        assert len(names) == 3
        wires.cut_all()
        for node in nodes:
            # each of another one's keys
            other = nodes[(nodes.index(node) + 1) % 3]
            reply = said(node, "INVALIDATE", f"of{nodes.index(other)}")
            assert str(reply).startswith("PARTIAL 1 of 3 nodes answered, 0 keys deleted")
        # each goes on serving what it has
        assert [node.ask("GET", names[node]) for node in nodes] == ["1", "1", "1"]
        wires.mend()
        until(lambda: all(node.facts()["cluster_pending_operations"] == "0" for node in nodes))
        until(lambda: all(node.is_ok() for node in nodes))
        assert [node.ask("GET", names[node]) for node in nodes] == [None, None, None]
        until(lambda: nodes[0].ask("INVALIDATE", "t") == 0)


def killed_while_moving(folder: Path, pick: Callable[[Node, Node], Node]) -> None:
    """Kills one of two nodes at several moments of a migration; nothing answered is lost."""
    with cluster_of(folder, CACHESTORM_PERSISTENCE_ENABLED="true", **ALWAYS) as nodes:
        source = owner_of(nodes, KEYS[0])
        target = next(node for node in nodes if node is not source)
        for key in KEYS:
            assert source.ask("SETTAG", key, key, "t") == "OK"
        slot = source.ask("CLUSTER", "KEYSLOT", KEYS[0])
        source_id, target_id = source.id, target.id
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        move = ("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS")
        assert source.ask(*move, *KEYS[:80]) == "OK"
        # one is on its way when it ends: it is here, there, or on both
        ending = threading.Thread(target=quietly, args=(source, *move, *KEYS[80:160]))
        ending.start()
        pick(source, target).kill()
        ending.join()
        pick(source, target).restart()
        until(lambda: all(node.is_ok() for node in nodes))
        for _ in range(20):
            left = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 50)
            if not left:
                break
            assert source.ask(*move[:-1], "REPLACE", "KEYS", *left) == "OK"
        for node in (target, source, *nodes):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        assert [target.ask("GET", key) for key in KEYS] == KEYS
        until(lambda: str(said(source, "GET", KEYS[0])).startswith(f"{slot} {HOST}"))
        assert nodes[0].ask("INVALIDATE", "t") == len(KEYS)


# a node that comes back has what it has answered for
ALWAYS = {"CACHESTORM_PERSISTENCE_AOF_SYNC": "always"}


def quietly(node: Node, *words: object) -> None:
    try:
        node.ask(*words)
    except redis.RedisError:
        pass


@pytest.mark.slow
def test_a_source_that_is_killed_loses_nothing_that_moves(tmp_path: Path) -> None:
    killed_while_moving(tmp_path, lambda source, target: source)


@pytest.mark.slow
def test_a_target_that_is_killed_loses_nothing_that_moves(tmp_path: Path) -> None:
    killed_while_moving(tmp_path, lambda source, target: target)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_without_room_for_its_state_a_node_changes_nothing_and_says_nothing(
    tmp_path: Path,
) -> None:
    with started(tmp_path, 2) as nodes:
        join(nodes)
        one, two = nodes
        # what is replaced is written beside it first
        state = one.folder / "cluster.json"
        kept = state.read_bytes()
        os.rename(one.folder, tmp_path / "away")
        one.folder.write_bytes(b"")
        refused = said(one, "CLUSTER", "DELSLOTS", 0)
        assert "cluster.json cannot be written" in str(refused)
        assert two.facts()["cluster_slots_assigned"] == "16384"
        os.unlink(one.folder)
        os.rename(tmp_path / "away", one.folder)
        assert state.read_bytes() == kept
