"""A cache on a cluster: what is exact there, and what happens while slots move."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import redis
from real_clusters import RealCluster, cluster_running, node_running
from real_servers import HOST, free_port, redis_binary

from cachestorm import connect
from cachestorm.errors import ConfigError, InvalidKeyError
from cachestorm.remote import async_cluster_wire, cluster_dialect, cluster_wire
from cachestorm.remote.cluster_invalidations import PrimaryConnections
from cachestorm.remote.refusals import (
    BusySlotError,
    DeniedError,
    UnreachableError,
    UnsupportedError,
)
from cachestorm.remote.slots import marks, slot_of

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def redis_cluster() -> Iterator[RealCluster]:
    """Three nodes of redis-server."""
    with cluster_running(redis_binary()) as cluster:
        yield cluster


@pytest.fixture(params=["valkey", "redis"])
def cluster(request: pytest.FixtureRequest) -> RealCluster:
    """Three nodes of each."""
    found: RealCluster = request.getfixturevalue(f"{request.param}_cluster")
    return found


@pytest.fixture
def cache(cluster: RealCluster) -> Iterator[Any]:
    """An empty cache there."""
    with connect(cluster.url) as cache:
        cache.flushall()
        yield cache


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"foo", 12182),
        (b"{user1000}.following", 3443),
        (b"foo{}{bar}", 8363),
        (b"foo{{bar}}zap", 4015),
        (b"foo{bar", 15278),
        (b"{}foo", 9500),
    ],
)
def test_a_key_lies_where_a_cluster_keeps_it(key: bytes, slot: int) -> None:
    assert slot_of(key) == slot


def test_the_mark_of_a_slot_lies_in_it() -> None:
    assert [slot_of(b"cachestorm:tags:{" + mark + b"}:keys") for mark in marks()] == list(
        range(16384)
    )


def test_keys_of_all_slots_are_one_cache(cache: Any) -> None:
    values = {f"k{number}": number for number in range(200)}
    assert cache.set_many(values, tags=["t"]) is True
    assert cache.get_many(values) == values
    assert (len(cache), sorted(cache.keys())) == (200, sorted(values))
    assert sorted(cache.scan_iter()) == sorted(values)
    assert dict(cache.items()) == values
    assert cache.randomkey() in values
    assert cache.exists(*values) == 200
    assert (cache.delete("k0", "k1", "none"), cache.mset({"k0": 1, "k1": 2})) == (2, True)
    assert (cache.tagcount("t"), len(cache.tagkeys("t"))) == (198, 198)
    assert (cache.invalidate("t"), sorted(cache.keys())) == (198, ["k0", "k1"])


def test_an_invalidation_asks_each_node_once(cache: Any, cluster: RealCluster) -> None:
    cache.set_many({f"k{number}": number for number in range(50)}, tags=["t", "u"])
    cache.taglink("above", "t")
    before = [calls_of_scripts(cluster.node(index)) for index in range(3)]
    assert cache.invalidate("t", dry_run=True) == 50
    assert cache.invalidate("t", "u", "none") == 50
    after = [calls_of_scripts(cluster.node(index)) for index in range(3)]
    assert [late - early for early, late in zip(before, after)] == [2, 2, 2]
    assert (cache.invalidate("above", cascade=True), len(cache)) == (0, 0)


def calls_of_scripts(node: Any) -> int:
    """How many scripts a node was asked to run."""
    return int(node.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


def test_a_key_keeps_its_tags_within_its_slot(cache: Any) -> None:
    cache.set("{a}1", 1, tags=["t"])
    assert cache.rename("{a}1", "{a}2") is True
    assert (cache.tagkeys("t"), cache.copy("{a}2", "{a}3")) == (["{a}2"], True)
    assert cache.invalidate("t") == 2
    with pytest.raises(UnsupportedError, match="several slots of the cluster: put a part"):
        cache.rename("a", "b")
    with pytest.raises(InvalidKeyError, match="hold the tags"):
        cache.set("cachestorm:tags:x", 1)


def test_several_keys_of_one_slot_are_one_step(cache: Any) -> None:
    assert cache.set_many({"{a}1": 1, "{a}2": 2}, tags=["t"]) is True
    assert cache.msetnx({"{a}1": 1, "{a}3": 2}) is False
    assert cache.mget("{a}1", "{a}2") == [1, 2]


def test_modified_and_loaded_as_on_one_server(cache: Any) -> None:
    def many() -> None:
        for _ in range(5):
            cache.modify("n", lambda number: (number or 0) + 1)

    threads = [threading.Thread(target=many) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("n") == 15
    assert cache.get_or_set("{x}y", lambda: 5, tags=["t"]) == 5
    with cache.lock("lock"):
        assert cache.lock("lock").acquire(False) is False
    assert cache.invalidate("t") == 1


def test_tasks_find_what_threads_have_written(cache: Any) -> None:
    async def course() -> list[Any]:
        async with cache.aio as tasks:
            return [
                await tasks.get_many([f"k{number}" for number in range(5)]),
                await tasks.set("new", "v", 60, tags=["t"]),
                await tasks.compare_and_set("new", "v", "w"),
                await tasks.tagcount("t"),
                await tasks.get_or_set("loaded", lambda: 1, tags=["t"]),
                await tasks.invalidate("t"),
                sorted([key async for key in tasks.scan_iter()]),
            ]

    cache.set_many({f"k{number}": number for number in range(5)})
    assert asyncio.run(course()) == [
        {f"k{number}": number for number in range(5)},
        True,
        True,
        1,
        1,
        2,
        [f"k{number}" for number in range(5)],
    ]


def test_a_node_that_forgot_the_script_is_told_again(cache: Any, cluster: RealCluster) -> None:
    cache.set_many({f"k{number}": number for number in range(20)}, tags=["t"])
    for index in range(3):
        cluster.node(index).script_flush()
    assert cache.set("k0", 1, tags=["t"]) is True
    for index in range(3):
        cluster.node(index).script_flush()
    assert cache.invalidate("t") == 20


def moving(cluster: RealCluster, key: bytes) -> tuple[int, Any, Any]:
    """Begins to move the slot of a key: which, from where, and to where."""
    slot = slot_of(key)
    nodes = [cluster.node(index) for index in range(3)]
    ids = [node.execute_command("CLUSTER MYID") for node in nodes]
    source = next(index for index, node in enumerate(nodes) if owns(node, slot))
    target = (source + 1) % 3
    nodes[target].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
    nodes[source].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
    return slot, nodes[source], nodes[target]


def owns(node: Any, slot: int) -> bool:
    """Whether a node answers for a slot."""
    try:
        node.execute_command("CLUSTER COUNTKEYSINSLOT", slot)
        return node.execute_command("EXISTS", "{" + marks()[slot].decode() + "}") == 0
    except redis.exceptions.MovedError:
        return False


def migrated(source: Any, target: Any, *keys: str) -> None:
    """Moves keys, as redis-cli does it."""
    port = target.connection_pool.connection_kwargs["port"]
    source.execute_command("MIGRATE", HOST, port, "", 0, 5000, "KEYS", *keys)


def moved(cluster: RealCluster, slot: int, source: Any, target: Any) -> None:
    """Ends the move of a slot."""
    while keys := source.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
        migrated(source, target, *keys)
    owner = target.execute_command("CLUSTER MYID")
    for node in [target, source, *[cluster.node(index) for index in range(3)]]:
        node.execute_command("CLUSTER SETSLOT", slot, "NODE", owner)


@pytest.mark.parametrize("first", ["key", "index"])
def test_an_invalidation_during_a_move_waits_until_it_is_exact(
    cache: Any, cluster: RealCluster, first: str
) -> None:
    cache.set_many({"{m}1": 1, "{m}2": 2, "other": 3}, tags=["t"])
    slot, source, target = moving(cluster, b"{m}1")
    ours = [
        key for key in source.execute_command("CLUSTER GETKEYSINSLOT", slot, 9) if "tags" in key
    ]
    migrated(source, target, *(["{m}1"] if first == "key" else ours))
    timer = threading.Timer(0.3, lambda: moved(cluster, slot, source, target))
    timer.start()
    assert cache.invalidate("t") == 3
    timer.join()
    assert (cache.keys(), cache.tagcount("t")) == ([], 0)
    cache.set("{m}1", 1, tags=["t"])
    assert cache.invalidate("t") == 1


def test_what_cannot_be_exact_during_a_move_says_so(
    cache: Any, cluster: RealCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (cluster_dialect, cluster_wire, async_cluster_wire):
        monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    cache.set_many({"{w}1": 1, "{w}2": 2, "other": 3}, tags=["t"])
    slot, source, target = moving(cluster, b"{w}1")
    migrated(source, target, "{w}1")
    try:
        with pytest.raises(BusySlotError, match="1 slots are on their way"):
            cache.invalidate("t")
        # its slot did not move
        assert cache.get("other") is None
        with pytest.raises(BusySlotError, match="did not arrive"):
            cache.set("{w}new", 1, tags=["t"])
        with pytest.raises(BusySlotError, match="on their way"):
            asyncio.run(cache.aio.invalidate("t"))
    finally:
        moved(cluster, slot, source, target)
    assert (cache.invalidate("t") > 0, cache.keys()) == (True, [])


def test_keys_that_move_are_found(cache: Any, cluster: RealCluster) -> None:
    cache.set_many({"{f}1": 1, "{f}2": 2}, tags=["t"])
    slot, source, target = moving(cluster, b"{f}1")
    migrated(source, target, "{f}1")
    found = [cache.get("{f}1"), cache.get("{f}2"), cache.get("{f}none")]
    moved(cluster, slot, source, target)
    assert found == [1, 2, None]
    assert (cache.tags("{f}1"), cache.invalidate("t")) == (["t"], 2)


def test_another_process_uses_the_same_cluster(cache: Any, cluster: RealCluster) -> None:
    code = (
        "from cachestorm import connect\n"
        f"cache = connect({cluster.url!r})\n"
        "cache.set('k', {'a': 1}, tags=['t'])\n"
        "print(cache.capabilities.cluster, cache.capabilities.tags)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True True\n", "")
    assert (cache.get("k"), cache.invalidate("t")) == ({"a": 1}, 1)


def test_a_primary_that_nobody_listens_to_is_noticed(valkey_cluster: RealCluster) -> None:
    pools = [redis.Redis(port=port).connection_pool for port in valkey_cluster.ports]
    heard = [pool.make_connection() for pool in pools]
    for connection in heard:
        connection.connect()
    try:
        PrimaryConnections(heard).hear()
        with pytest.raises(redis.ConnectionError, match="other primaries"):
            PrimaryConnections(heard[:2])
    finally:
        for connection in heard:
            connection.disconnect()


@pytest.mark.parametrize("on_error", ["raise", "miss"])
def test_a_node_that_is_away_at_first_tells_nothing_of_tags(
    cluster: RealCluster, on_error: Literal["raise", "miss"], monkeypatch: pytest.MonkeyPatch
) -> None:
    # the node that is asked what the servers are is another one
    monkeypatch.setattr("random.randrange", lambda _: 0)
    last = max(range(len(cluster.ports)), key=lambda index: f"{HOST}:{cluster.ports[index]}")
    process = int(cluster.node(last).info("server")["process_id"])
    with connect(cluster.url, socket_timeout=0.5, on_error=on_error) as cache:
        os.kill(process, signal.SIGSTOP)
        try:
            if on_error == "raise":
                with pytest.raises(UnreachableError):
                    cache.invalidate("t")
            else:
                assert cache.invalidate("t") == 0
        finally:
            os.kill(process, signal.SIGCONT)
        assert cache.capabilities.tags
        assert cache.set("foo", 1, tags=["t"])
        assert cache.invalidate("t") == 1


def test_a_node_that_is_away_holds_back_only_what_its_keys_concern(
    valkey_cluster: RealCluster,
) -> None:
    cluster = valkey_cluster
    slots = {slot_of(key.encode()) * 3 // 16384: key for key in map(str, range(100))}
    lost, kept = slots[2], slots[0]
    last = max(range(3), key=lambda index: _first_slot(cluster, index))
    process = int(cluster.node(last).info("server")["process_id"])
    with connect(cluster.url, socket_timeout=0.3) as cache:
        cache.flushall()
        cache.set(lost, "old", tags=["t"])
        cache.set(kept, 1, tags=["t"])
        os.kill(process, signal.SIGSTOP)
        try:
            with pytest.raises(UnreachableError):
                cache.set(lost, "new")
            assert cache.stats().pending == 1
            assert cache.get(kept) == asyncio.run(cache.aio.get(kept)) == 1
            assert cache.set(kept, 2)
            assert asyncio.run(cache.aio.hset(f"{{{kept}}}:hash", "f", 1)) == 1
            with pytest.raises(UnreachableError):
                cache.get(lost)
            with pytest.raises(UnreachableError):
                cache.invalidate("t")
            # which may take any key along: now all wait for the node
            with pytest.raises(UnreachableError):
                cache.get(kept)
        finally:
            os.kill(process, signal.SIGCONT)
        deadline = time.monotonic() + PATIENCE_S
        while cache.stats().pending and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (cache.get(kept), cache.get(lost)) == (2, None)


def _first_slot(cluster: RealCluster, index: int) -> int:
    mine = cluster.node(index).execute_command("CLUSTER MYID")
    shards = cluster.node(index).execute_command("CLUSTER SLOTS")
    return min(int(each[0]) for each in shards if each[2][2] == mine)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("cluster://", "is no node"),
        ("cluster://host", "'host' is no node: use cluster://host:6379,host:6379"),
        ("cluster://host:6379,other:port", "'other:port' is no node"),
        ("cluster://host:0", "is no node"),
    ],
)
def test_a_wrong_address_of_a_cluster_is_refused(url: str, part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        connect(url)


def test_an_option_that_connections_do_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="colour: not an option of a connection to cluster"):
        connect("cluster://host:6379", colour="red")
    connect("cluster://host:6379", socket_timeout=1.0, ssl=True, health_check_interval=5)


def test_a_cluster_that_is_not_there_is_named_without_its_password() -> None:
    cache: Any = connect(f"cluster://user:secret@{HOST}:{free_port()}")
    with pytest.raises(UnreachableError) as caught:
        cache.get("k")
    assert HOST in str(caught.value) and "secret" not in str(caught.value)
    with pytest.raises(UnreachableError):
        asyncio.run(cache.aio.get("k"))
    cache.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_the_child_of_a_fork_does_not_wait_for_what_another_thread_had_in_hand(
    cache: Any,
) -> None:
    cache.set("k", 1)
    read, write = os.pipe()
    held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        client = cache._wire.client
        with client._lock, client._client.nodes_manager._lock, client._client._lock:
            held.set()
            is_over.wait(PATIENCE_S)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(PATIENCE_S)
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(round(PATIENCE_S))
            os.write(write, b"%d" % cache.get("k"))
        finally:
            os._exit(0)
    is_over.set()
    thread.join()
    os.waitpid(child, 0)
    os.close(write)
    assert os.read(read, 10) == b"1"
    os.close(read)
    assert cache.get("k") == 1


@pytest.mark.parametrize("who", ["", ":wrong@"])
@pytest.mark.parametrize("on_error", ["raise", "miss"])
def test_who_is_not_let_into_a_cluster_is_told_so(
    who: str, on_error: Literal["raise", "miss"]
) -> None:
    with node_running(redis_binary()) as port, redis.Redis(port=port) as node:
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        node.config_set("requirepass", "secret")
        with connect(f"cluster://{who}{HOST}:{port}", on_error=on_error) as cache:
            with pytest.raises(DeniedError):
                cache.get("x")
            with pytest.raises(DeniedError):
                asyncio.run(cache.aio.set("x", 1))
