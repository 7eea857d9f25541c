"""Replicas of a cluster whose slots move by command: CLUSTER REPLICATE, FAILOVER, READONLY."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from node_processes import HOST, SLOTS, Node, join, started, until
from redis.cluster import RedisCluster

# the same on one event loop is in tests/replication
pytestmark = pytest.mark.slow


def line_of(asked: Node, node_id: str) -> list[str]:
    """What CLUSTER NODES of one node says of another."""
    lines = str(asked.ask("CLUSTER", "NODES")).splitlines()
    return next(line.split() for line in lines if line.startswith(node_id))


def is_up_to_date(primary: Node, replica: Node) -> bool:
    here = redis.Redis(port=primary.port).info("replication")
    there = redis.Redis(port=replica.port).info("replication")
    return (
        there["role"] == "slave"
        and there["master_link_status"] == "up"
        and here["master_repl_offset"] == there["slave_repl_offset"]
    )


def link_of(replica: Node) -> str:
    return str(redis.Redis(port=replica.port).info("replication")["master_link_status"])


class Shards:
    """Two primaries, and replicas of the first one."""

    def __init__(self, nodes: list[Node]) -> None:
        self.one, self.other, *self.replicas = nodes
        self.all = nodes


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    with started(tmp_path_factory.mktemp("shards"), 4) as nodes:
        join(nodes[:2])
        for replica in nodes[2:]:
            nodes[0].ask("CLUSTER", "MEET", HOST, replica.port, replica.bus_port)
        for node in nodes:
            until(lambda node=node: node.facts()["cluster_known_nodes"] == "4")
        for replica in nodes[2:]:
            assert replica.ask("CLUSTER", "REPLICATE", nodes[0].id) == "OK"
            until(lambda replica=replica: is_up_to_date(nodes[0], replica))
        yield Shards(nodes)


def test_a_replica_is_shown_as_redis_shows_one(shards: Shards) -> None:
    one, (replica, second) = shards.one, shards.replicas
    until(lambda: line_of(shards.other, replica.id)[2:4] == ["slave", one.id])
    assert line_of(replica, replica.id)[2:4] == ["myself,slave", one.id]
    until(lambda: len(one.ask("CLUSTER", "REPLICAS", one.id)) == 2)
    assert {str(line).split()[0] for line in one.ask("CLUSTER", "REPLICAS", one.id)} == {
        replica.id,
        second.id,
    }
    ranges = one.ask("CLUSTER", "SLOTS")
    first = next(each for each in ranges if each[2][2] == one.id)
    assert {each[2] for each in first[3:]} == {replica.id, second.id}
    shards_said = redis.Redis(port=one.port, protocol=3).execute_command("CLUSTER", "SHARDS")
    assert len(shards_said) == 2
    assert one.facts()["cluster_size"] == "2"
    assert replica.ask("CLUSTER", "MYSHARDID") == one.ask("CLUSTER", "MYSHARDID")


def key_of(shards: Shards) -> str:
    """A key of the first primary, which has the lower slots."""
    return next(
        key
        for key in map("key{}".format, range(99))
        if int(str(shards.one.ask("CLUSTER", "KEYSLOT", key))) < SLOTS // 2
    )


def test_a_replica_answers_reads_of_those_who_have_said_readonly(shards: Shards) -> None:
    replica, key = shards.replicas[0], key_of(shards)
    shards.one.ask("SET", key, "v")
    until(lambda: is_up_to_date(shards.one, replica))
    slot = shards.one.ask("CLUSTER", "KEYSLOT", key)
    moved = f"{slot} {shards.one.address}"
    with pytest.raises(redis.RedisError, match=moved):
        replica.ask("GET", key)
    client = redis.Connection(port=replica.port, decode_responses=True)
    said = []
    for words in (
        ("READONLY",),
        ("GET", key),
        ("SET", key, "w"),
        ("EVAL", "return redis.call('GET', KEYS[1])", 1, key),
        ("FLUSHALL",),
        ("READWRITE",),
        ("GET", key),
    ):
        client.send_command(*words)
        try:
            said.append(client.read_response())
        except redis.RedisError as error:
            said.append(str(error))
    client.disconnect()
    read_only = "You can't write against a read only replica."
    assert said == ["OK", "v", moved, "v", read_only, "OK", moved]


def test_an_invalidation_counts_each_key_once_whichever_node_is_asked(shards: Shards) -> None:
    client = RedisCluster(host=HOST, port=shards.one.port)
    for asked in (shards.replicas[0], shards.one):
        for number in range(40):
            client.execute_command("SETTAG", f"t{number}", "v", "all")
        until(lambda: is_up_to_date(shards.one, shards.replicas[0]))
        assert asked.ask("TAGCOUNT", "all") == 40
        assert asked.ask("INVALIDATE", "all") == 40
        assert shards.other.ask("TAGCOUNT", "all") == 0
    client.close()


def test_commands_that_make_no_sense_are_refused_with_the_words_of_redis(
    shards: Shards,
) -> None:
    one, replica = shards.one, shards.replicas[0]
    for node, words, why in (
        (one, ("REPLICATE", one.id), "Can't replicate myself"),
        (one, ("REPLICATE", "0" * 40), "Unknown node"),
        (shards.other, ("REPLICATE", replica.id), "I can only replicate a master"),
        (shards.other, ("REPLICATE", one.id), "To set a master the node must be empty"),
        (one, ("REPLICAS", replica.id), "The specified node is not a master"),
        (one, ("FAILOVER",), "You should send CLUSTER FAILOVER to a replica"),
        (replica, ("FAILOVER", "NOW"), "syntax error"),
        (replica, ("FAILOVER", "FORCE"), "the other nodes do not agree"),
        (replica, ("FORGET", one.id), "Can't forget my master!"),
        (replica, ("SETSLOT", 1, "NODE", one.id), "You can use SETSLOT only with masters"),
        (shards.other, ("SETSLOT", 16000, "NODE", replica.id), "Target node is not a master"),
    ):
        with pytest.raises(redis.RedisError, match=why):
            node.ask("CLUSTER", *words)


def has_taken_over(heir: Node, shards: Shards) -> bool:
    return all(
        line_of(node, heir.id)[2].endswith("master")
        and line_of(node, heir.id)[8:] == [f"0-{SLOTS // 2}"]
        for node in shards.all
        if node.process.poll() is None
    )


def test_a_failover_that_a_replica_asks_for_loses_no_write_and_turns_the_roles(
    shards: Shards,
) -> None:
    one, (replica, second) = shards.one, shards.replicas
    client = RedisCluster(host=HOST, port=one.port)
    written = {}
    for number in range(600):
        client.set(f"w{number % 97}", number)
        written[f"w{number % 97}"] = number
        if number == 200:
            until(lambda: replica.ask("CLUSTER", "FAILOVER") == "OK")
    until(lambda: has_taken_over(replica, shards))
    until(lambda: line_of(shards.other, one.id)[2:4] == ["slave", replica.id])
    until(lambda: line_of(shards.other, second.id)[2:4] == ["slave", replica.id])
    assert {key: int(client.get(key) or -1) for key in written} == written
    for follower in (one, second):
        until(lambda follower=follower: is_up_to_date(replica, follower))
        # it went on with what it had
        assert redis.Redis(port=follower.port).info("stats")["sync_full"] == 0
    client.close()
    shards.one, shards.replicas = replica, [one, second]


def test_a_replica_takes_over_from_a_primary_that_has_failed_which_then_follows_it(
    shards: Shards,
) -> None:
    one, (replica, second), key = shards.one, shards.replicas, key_of(shards)
    one.ask("SET", key, "kept")
    assert one.ask("WAIT", 2, 0) == 2
    one.kill()
    until(lambda: link_of(replica) == "down")
    with pytest.raises(redis.RedisError, match="please use CLUSTER FAILOVER FORCE"):
        replica.ask("CLUSTER", "FAILOVER")
    # of two that have slots the one that is left is no majority
    with pytest.raises(redis.RedisError, match="the other nodes do not agree"):
        replica.ask("CLUSTER", "FAILOVER", "FORCE")
    assert replica.ask("CLUSTER", "FAILOVER", "TAKEOVER") == "OK"
    assert replica.ask("GET", key) == "kept"
    replica.ask("SET", key, "later")
    until(lambda: has_taken_over(replica, shards))
    until(lambda: line_of(shards.other, second.id)[2:4] == ["slave", replica.id])
    one.restart()
    until(lambda: line_of(shards.other, one.id)[2:4] == ["slave", replica.id])
    until(lambda: is_up_to_date(replica, one))
    assert line_of(one, one.id)[8:] == []
