"""What clients of a cluster are told: which node answers, and what CLUSTER says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from cachestorm import Cache
from cachestorm.declare.registry import REGISTRY
from cachestorm_server import bound_commands as bound_commands
from cachestorm_server.cluster.membership import Membership
from cachestorm_server.cluster.messages import MEET, PING, Member, Message
from cachestorm_server.cluster.node import Node
from cachestorm_server.cluster.node_state import restored
from cachestorm_server.cluster.slot_map import Run
from cachestorm_server.cluster.state_file import StateFile
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.session import Session
from cachestorm_server.settings import Settings

ME = "a" * 40
OTHER = "b" * 40
THIRD = "c" * 40
Ask = Callable[..., bytes]


def member(node_id: str, number: int) -> Member:
    return Member(node_id, "", "127.0.0.1", 17100 + number, 27100 + number, 0, 0, str(number))


class Scene:
    """A node of two that share the slots, its clock, and a client."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = 1_000_000
        self.folder = folder
        self.cache = Cache()
        self.endpoint = Endpoint(self.cache, REGISTRY, Settings())
        node = Node(member(ME, 1), Random(1), 5000)
        self.node = node
        node.assign(range(8192), ME)
        self.other = member(OTHER, 2)
        self.hear(kind=MEET, runs=(Run(8192, 16383, 1, OTHER),), members=(member(THIRD, 3),))
        self.membership = Membership(
            self.endpoint, node, StateFile(str(folder)), 2000, lambda: self.now_ms
        )
        self.session = self.client()

    def hear(self, **parts: object) -> None:
        """What the other node says."""
        message = Message(
            PING, 1, tuple(self.node.clusters), self.other, 1, self.node.slots.digest
        )
        self.node.receive(replace(message, **parts), self.now_ms)  # type: ignore[arg-type]

    def client(self) -> Session:
        return Session(self.endpoint)

    def ask(self, line: str, session: Session | None = None) -> bytes:
        """The reply to a line, whose words are parted by blanks."""
        wire = line.encode() + b"\r\n"
        return (session or self.session).receive(wire)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


CROSSSLOT = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
TRYAGAIN = b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"
MOVED = b"-MOVED 12182 127.0.0.1:17102\r\n"


def test_a_key_of_another_node_is_moved(scene: Scene) -> None:
    assert scene.ask("GET foo") == MOVED
    assert scene.ask("SET foo v") == MOVED
    assert scene.ask("SET bar v") == b"+OK\r\n"
    assert scene.ask("GET bar") == b"$1\r\nv\r\n"


@pytest.mark.parametrize(
    "line",
    [
        "MGET a b",
        "MSET a 1 b 2",
        "DEL a b",
        "EXISTS a b",
        "RENAME a b",
        "SMOVE a b m",
        "SINTERSTORE a b c",
        "ZUNIONSTORE a 2 b c",
        "RPOPLPUSH a b",
        "LMPOP 2 a b LEFT",
        "EVAL 0 2 a b",
        "SORT a STORE b",
        "COPY a b",
        "WATCH a b",
        "SSUBSCRIBE a b",
    ],
)
def test_keys_of_several_slots_are_refused(scene: Scene, line: str) -> None:
    assert scene.ask(line) == CROSSSLOT


def test_what_names_no_key_is_answered_anywhere(scene: Scene) -> None:
    assert scene.ask("PING") == b"+PONG\r\n"
    assert scene.ask("DBSIZE") == b":0\r\n"
    assert scene.ask("PUBLISH foo x") == b":0\r\n"
    assert scene.ask("SPUBLISH foo x") == MOVED


def test_words_that_are_wrong_are_refused_as_without_a_cluster(scene: Scene) -> None:
    assert scene.ask("GET") == b"-ERR wrong number of arguments for 'get' command\r\n"
    assert scene.ask("NOPE foo").startswith(b"-ERR unknown command 'NOPE'")


def test_a_slot_that_nobody_has_is_down(scene: Scene) -> None:
    scene.ask("CLUSTER DELSLOTS 5061")
    assert scene.ask("GET bar") == b"-CLUSTERDOWN Hash slot not served\r\n"
    assert b"cluster_state:fail" in scene.ask("CLUSTER INFO")


def test_the_slots_of_a_dead_node_are_down_and_the_others_are_served(scene: Scene) -> None:
    # a majority of two is both: the third node owns a slot, and misses the other as well
    scene.ask(f"CLUSTER SETSLOT 5 NODE {THIRD}")
    scene.now_ms += 6000
    third = scene.node.members[THIRD]
    scene.hear(sender=third, suspects=(OTHER,))
    assert scene.ask("GET foo") == b"-CLUSTERDOWN Hash slot not served\r\n"
    assert scene.ask("SET bar v") == b"+OK\r\n"
    assert b",fail - " in scene.ask("CLUSTER NODES")
    assert scene.ask(f"CLUSTER COUNT-FAILURE-REPORTS {OTHER}") == b":1\r\n"
    scene.hear()
    assert scene.ask("GET foo") == MOVED


def test_of_a_migrating_slot_what_is_here_is_answered_and_else_asked_for(scene: Scene) -> None:
    scene.ask("MSET {bar}1 a {bar}2 b")
    assert scene.ask(f"CLUSTER SETSLOT 5061 MIGRATING {OTHER}") == b"+OK\r\n"
    ask = b"-ASK 5061 127.0.0.1:17102\r\n"
    assert scene.ask("GET {bar}1") == b"$1\r\na\r\n"
    assert scene.ask("SET {bar}3 v") == ask
    assert scene.ask("GET {bar}3") == ask
    assert scene.ask("MGET {bar}3 {bar}4") == ask
    assert scene.ask("MGET {bar}1 {bar}2") == b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"
    assert scene.ask("MGET {bar}1 {bar}3") == TRYAGAIN
    scene.ask("CLUSTER SETSLOT 5061 STABLE")
    assert scene.ask("SET {bar}3 v") == b"+OK\r\n"


def test_a_range_of_slots_is_set_in_one_step_or_not_at_all(scene: Scene) -> None:
    scene.ask("SET bar v")
    assert scene.ask(f"CLUSTER SETSLOT 5060-5061 MIGRATING {OTHER}") == b"+OK\r\n"
    assert f"[5060->-{OTHER}] [5061->-{OTHER}]".encode() in scene.ask("CLUSTER NODES")
    refused = scene.ask(f"CLUSTER SETSLOT 8191-8192 MIGRATING {OTHER}")
    assert refused == b"-ERR I'm not the owner of hash slot 8192\r\n"
    assert b"[8191" not in scene.ask("CLUSTER NODES")
    refused = scene.ask(f"CLUSTER SETSLOT 5060-5061 NODE {OTHER}")
    assert refused.startswith(b"-ERR Can't assign hashslot 5061 to a different node")
    assert scene.ask("CLUSTER SETSLOT 5060-5061 STABLE") == b"+OK\r\n"
    assert b"->-" not in scene.ask("CLUSTER NODES")
    scene.ask("DEL bar")
    assert scene.ask(f"CLUSTER SETSLOT 5060-5061 NODE {OTHER}") == b"+OK\r\n"
    assert scene.ask("GET bar") == b"-MOVED 5061 127.0.0.1:17102\r\n"
    assert scene.ask(f"CLUSTER SETSLOT 5059-5061 NODE {OTHER}") == b"+OK\r\n"
    assert len({scene.node.slots.owners[slot] for slot in (5059, 5060, 5061)}) == 1


@pytest.mark.parametrize(
    ("slots", "text"),
    [
        ("-1", "Invalid or out of range slot"),
        ("5-", "Invalid or out of range slot"),
        ("5-16384", "Invalid or out of range slot"),
        ("6-5", "start slot number 6 is greater than end slot number 5"),
    ],
)
def test_slots_that_are_none_are_refused(scene: Scene, slots: str, text: str) -> None:
    assert scene.ask(f"CLUSTER SETSLOT {slots} STABLE") == f"-ERR {text}\r\n".encode()


def test_a_name_that_another_namespace_has_is_still_here(scene: Scene) -> None:
    scene.cache.namespace("n").set("bar", "v")
    scene.ask(f"CLUSTER SETSLOT 5061 MIGRATING {OTHER}")
    assert scene.ask("GET bar") == b"$-1\r\n"


def test_of_an_importing_slot_only_who_says_asking_is_answered_and_once(scene: Scene) -> None:
    assert scene.ask(f"CLUSTER SETSLOT 12182 IMPORTING {OTHER}") == b"+OK\r\n"
    assert scene.ask("GET foo") == MOVED
    assert scene.ask("ASKING") == b"+OK\r\n"
    assert scene.ask("SET foo v") == b"+OK\r\n"
    assert scene.ask("GET foo") == MOVED
    scene.ask("ASKING")
    scene.ask("PING")
    assert scene.ask("GET foo") == MOVED
    scene.ask("ASKING")
    assert scene.ask("MGET foo {foo}2") == TRYAGAIN


def test_a_queued_request_that_is_moved_ends_the_transaction(scene: Scene) -> None:
    scene.ask("MULTI")
    assert scene.ask("SET bar v") == b"+QUEUED\r\n"
    assert scene.ask("GET foo") == MOVED
    assert scene.ask("EXEC").startswith(b"-EXECABORT")
    assert scene.ask("GET bar") == b"$-1\r\n"


def test_a_transaction_is_one_slots(scene: Scene) -> None:
    scene.ask("MULTI")
    scene.ask("SET bar v")
    scene.ask("SET hello v")
    assert scene.ask("EXEC") == CROSSSLOT
    assert scene.ask("EXEC") == b"-ERR EXEC without MULTI\r\n"
    assert scene.ask("GET bar") == b"$-1\r\n"


def test_a_transaction_whose_slot_has_moved_by_exec_is_moved(scene: Scene) -> None:
    scene.ask("MULTI")
    scene.ask("SET bar v")
    scene.ask(f"CLUSTER SETSLOT 5061 NODE {OTHER}", scene.client())
    assert scene.ask("EXEC") == b"-MOVED 5061 127.0.0.1:17102\r\n"


def test_who_waits_for_a_key_is_moved_when_its_slot_has_gone(scene: Scene) -> None:
    popping, moving, staying = scene.client(), scene.client(), scene.client()
    assert scene.ask("BLPOP bar 0", popping) == b""
    assert scene.ask("BRPOPLPUSH {bar}1 {bar}2 0", moving) == b""
    assert scene.ask("BZPOPMIN hello 0", staying) == b""
    scene.ask(f"CLUSTER SETSLOT 5061 MIGRATING {OTHER}")
    assert popping.receive(b"") == b""
    scene.ask(f"CLUSTER SETSLOT 5061 NODE {OTHER}")
    moved = b"-MOVED 5061 127.0.0.1:17102\r\n"
    assert [client.receive(b"") for client in (popping, moving, staying)] == [moved, moved, b""]
    assert scene.ask("ZADD hello 1 m") == b":1\r\n"
    assert staying.receive(b"") == b"*3\r\n$5\r\nhello\r\n$1\r\nm\r\n$1\r\n1\r\n"


def test_who_waits_is_told_when_the_node_stops_serving(scene: Scene) -> None:
    waiting = scene.client()
    assert scene.ask("BLPOP bar 0", waiting) == b""
    scene.node.is_double = True
    scene.membership.settle([])
    assert waiting.receive(b"") == b"-CLUSTERDOWN The cluster is down\r\n"


def test_a_script_reaches_the_keys_of_its_slot_and_no_others(scene: Scene) -> None:
    pytest.importorskip("lupa")
    script = b"return redis.call('SET', ARGV[1], 'v')"

    def run(argument: bytes, *keys: bytes) -> bytes:
        words = [b"EVAL", script, b"%d" % len(keys), *keys, argument]
        wire = b"*%d\r\n" % len(words)
        return scene.session.receive(
            wire + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        )

    assert run(b"bar", b"bar") == b"+OK\r\n"
    assert run(b"x", b"foo") == MOVED
    assert b"access a non local key in a cluster node" in run(b"foo", b"bar")
    assert b"access keys that do not hash to the same slot" in run(b"hello", b"bar")
    assert run(b"hello") == b"+OK\r\n"


def test_what_is_lost_is_dropped_at_once(scene: Scene) -> None:
    scene.ask("SET bar v")
    scene.hear(runs=(Run(5061, 5061, 9, OTHER),))
    scene.membership.settle([])
    assert scene.ask("GET bar") == b"-MOVED 5061 127.0.0.1:17102\r\n"
    assert scene.ask("DBSIZE") == b":0\r\n"


def test_an_owner_with_keys_does_not_give_a_slot_away(scene: Scene) -> None:
    scene.ask("SET bar v")
    assert scene.ask(f"CLUSTER SETSLOT 5061 NODE {OTHER}") == (
        b"-ERR Can't assign hashslot 5061 to a different node while I still hold keys "
        b"for this hash slot.\r\n"
    )


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("MYID", b"$40\r\n" + ME.encode() + b"\r\n"),
        ("KEYSLOT {a}b", b":15495\r\n"),
        ("COUNTKEYSINSLOT 0", b":0\r\n"),
        ("GETKEYSINSLOT 0 1", b"*0\r\n"),
        ("SETSLOT 0 MIGRATING x", b"-ERR I don't know about node x\r\n"),
        ("SETSLOT 9000 MIGRATING x", b"-ERR I'm not the owner of hash slot 9000\r\n"),
        ("SETSLOT 0 IMPORTING x", b"-ERR I'm already the owner of hash slot 0\r\n"),
        ("SETSLOT 0 NODE x", b"-ERR Unknown node x\r\n"),
        ("SETSLOT 16384 STABLE", b"-ERR Invalid or out of range slot\r\n"),
        ("NOPE", b"-ERR unknown subcommand 'NOPE'. Try CLUSTER HELP.\r\n"),
        ("ADDSLOTS 1", b"-ERR Slot 1 is already busy\r\n"),
        ("ADDSLOTS x", b"-ERR Invalid or out of range slot\r\n"),
        ("DELSLOTS 1 1", b"-ERR Slot 1 specified multiple times\r\n"),
        (
            "ADDSLOTSRANGE 5 4",
            b"-ERR start slot number 5 is greater than end slot number 4\r\n",
        ),
        (f"FORGET {ME}", b"-ERR I tried hard but I can't forget myself...\r\n"),
        ("FORGET x", b"-ERR Unknown node x\r\n"),
        ("MEET nowhere 1", b"-ERR Invalid node address specified: nowhere:1\r\n"),
        (
            "SET-CONFIG-EPOCH 3",
            b"-ERR The user can assign a config epoch only when the node does not know any "
            b"other node.\r\n",
        ),
        ("BUMPEPOCH", b"+BUMPED 2\r\n"),
        ("FAILOVER", b"-ERR You should send CLUSTER FAILOVER to a replica\r\n"),
        (f"REPLICAS {OTHER}", b"*0\r\n"),
        ("SAVECONFIG", b"+OK\r\n"),
    ],
)
def test_subcommands_answer_as_redis_does(scene: Scene, line: str, reply: bytes) -> None:
    assert scene.ask(f"CLUSTER {line}") == reply


def test_slots_and_shards_have_the_shape_of_each_protocol(scene: Scene) -> None:
    start = b"*2\r\n*3\r\n:0\r\n:8191\r\n*4\r\n$9\r\n127.0.0.1\r\n:17101\r\n$40\r\n"
    assert scene.ask("CLUSTER SLOTS").startswith(start + ME.encode() + b"\r\n*0\r\n*3\r\n:8192")
    flat = scene.ask("CLUSTER SHARDS")
    assert flat.startswith(b"*3\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:8191\r\n$5\r\nnodes\r\n")
    scene.ask("HELLO 3")
    assert scene.ask("CLUSTER SLOTS").startswith(start + ME.encode() + b"\r\n%0\r\n*3\r\n:8192")
    assert scene.ask("CLUSTER SHARDS").startswith(
        b"*3\r\n%2\r\n$5\r\nslots\r\n*2\r\n:0\r\n:8191\r\n$5\r\nnodes\r\n*1\r\n%7\r\n$2\r\nid\r\n"
    )


def test_nodes_says_where_slots_are_and_where_they_go(scene: Scene) -> None:
    scene.ask(f"CLUSTER SETSLOT 42 MIGRATING {OTHER}")
    scene.ask(f"CLUSTER SETSLOT 9000 IMPORTING {OTHER}")
    lines = scene.ask("CLUSTER NODES").decode().split("\n")[1:]
    assert lines[0] == (
        f"{ME} 127.0.0.1:17101@27101 myself,master - 0 0 0 connected 0-8191 "
        f"[42->-{OTHER}] [9000-<-{OTHER}]"
    )
    assert lines[1].startswith(f"{OTHER} 127.0.0.1:17102@27102 master - 0 ")
    assert lines[1].endswith(" 0 connected 8192-16383")


def test_the_server_says_that_it_is_of_a_cluster(scene: Scene) -> None:
    assert b"mode\r\n$7\r\ncluster\r\n" in scene.ask("HELLO 2")
    info = scene.ask("INFO everything")
    assert b"cluster_enabled:1\r\n" in info
    assert b"redis_mode:cluster\r\n" in info
    assert scene.ask("SELECT 1") == b"-ERR SELECT is not allowed in cluster mode\r\n"
    refused = b"-ERR REPLICAOF not allowed in cluster mode.\r\n"
    for line in ("REPLICAOF h 1", "REPLICAOF NO ONE", "SLAVEOF h 1"):
        assert scene.ask(line) == refused
    assert scene.ask("SELECT 0") == b"+OK\r\n"


def test_what_was_decided_is_on_disk_when_it_is_answered(scene: Scene) -> None:
    scene.ask(f"CLUSTER SETSLOT 42 MIGRATING {OTHER}")
    kept = json.loads((scene.folder / "cluster.json").read_bytes())
    assert kept["migrating"] == [[42, OTHER]]
    again = restored(kept, member(THIRD, 1), Random(2), 5000, 0)
    assert again.me.id == ME
    assert again.slots.runs() == scene.node.slots.runs()
    assert again.migrating == {42: OTHER}


def test_nothing_is_said_that_cannot_be_saved(scene: Scene) -> None:
    said: list[object] = []
    scene.membership.send = said.append
    (scene.folder / "cluster.json").unlink()
    scene.folder.rename(scene.folder.with_name("gone"))
    scene.folder.write_text("no folder")
    assert b"cannot be written" in scene.ask("CLUSTER DELSLOTS 42")
    assert said == []
