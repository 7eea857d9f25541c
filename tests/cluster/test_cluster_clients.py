"""Clients that people have, as they are, with a cluster of three nodes.

ioredis and valkey-glide, which are installed elsewhere: tests/ecosystem.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from node_processes import HOST, PATIENCE_S, PATIENT, REDIS_CLI, Node, cluster_of
from redis.asyncio.cluster import RedisCluster as AsyncCluster
from redis.cluster import RedisCluster

from cachestorm import connect

KEYS = [f"k{number}" for number in range(50)]
BENCHMARK = shutil.which("redis-benchmark")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    with cluster_of(tmp_path_factory.mktemp("nodes"), **PATIENT) as nodes:
        yield nodes


@pytest.fixture(autouse=True)
def empty(nodes: list[Node]) -> None:
    for node in nodes:
        node.ask("FLUSHALL")


def test_redis_py(nodes: list[Node]) -> None:
    with RedisCluster(host=HOST, port=nodes[0].port, decode_responses=True) as cluster:
        for key in KEYS:
            cluster.execute_command("SETTAG", key, key.upper(), "t")
        assert cluster.mget_nonatomic(*KEYS) == [key.upper() for key in KEYS]
        pipeline = cluster.pipeline()
        for key in KEYS:
            pipeline.get(key)
        assert pipeline.execute() == [key.upper() for key in KEYS]
        assert cluster.eval("return redis.call('GET', KEYS[1])", 1, "k7") == "K7"
        assert sorted(cluster.keys(target_nodes=RedisCluster.ALL_NODES)) == sorted(KEYS)
        node = cluster.get_random_node()
        assert cluster.execute_command("INVALIDATE", "t", target_nodes=node) == 50
        assert cluster.dbsize() == 0


def test_redis_py_for_tasks(nodes: list[Node]) -> None:
    async def course() -> tuple[object, ...]:
        async with AsyncCluster(host=HOST, port=nodes[1].port, decode_responses=True) as tasks:
            await tasks.mset_nonatomic({key: key.upper() for key in KEYS})
            await tasks.execute_command("ADDTAG", "k3", "t")
            values = await tasks.mget_nonatomic(*KEYS)
            node = tasks.get_random_node()
            return values, await tasks.execute_command("INVALIDATE", "t", target_nodes=node)

    assert asyncio.run(course()) == ([key.upper() for key in KEYS], 1)


@pytest.mark.skipif(REDIS_CLI is None, reason="redis-cli is not installed")
def test_redis_cli(nodes: list[Node]) -> None:
    lines = [f"SETTAG {key} {key.upper()} t" for key in KEYS] + [f"GET {key}" for key in KEYS]
    done = subprocess.run(
        [REDIS_CLI, "-c", "-p", str(nodes[2].port)],
        input="\n".join([*lines, "TAGCOUNT t"]),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert [line for line in done.stdout.splitlines() if not line.startswith("->")] == [
        *["OK"] * 50,
        *[key.upper() for key in KEYS],
        "50",
    ]


@pytest.mark.skipif(BENCHMARK is None, reason="redis-benchmark is not installed")
def test_redis_benchmark(nodes: list[Node]) -> None:
    done = subprocess.run(
        f"{BENCHMARK} --cluster -p {nodes[0].port} -t set,get -n 900 -c 6 -r 100 -q".split(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "Cluster has 3 master nodes" in done.stdout
    assert sum(int(str(node.ask("DBSIZE"))) for node in nodes) > 0


def test_our_own_client_has_the_tags_of_the_servers(nodes: list[Node]) -> None:
    with connect(f"cluster://{nodes[0].address},{nodes[1].address}") as cache:
        assert (cache.capabilities.server, cache.capabilities.cluster) == ("cachestorm", True)
        assert cache.set_many(dict.fromkeys(KEYS, 1), tags=["t", "u"]) is True
        assert cache.get_many(KEYS) == dict.fromkeys(KEYS, 1)
        assert (len(cache), sorted(cache.keys())) == (50, sorted(KEYS))
        assert (cache.tagcount("t"), cache.tagkeys("t")) == (50, sorted(KEYS))
        assert cache.taglink("above", "t") is True
        assert cache.tagchildren("above") == ["t"]
        assert cache.tags("k7") == ["t", "u"]
        assert cache.invalidate("above", cascade=True, dry_run=True) == 50
        assert cache.invalidate("above", cascade=True) == 50
        assert len(cache) == 0
        cache.set("k", 1, tags=["t"])
        assert cache.invalidate("t", "u", "none") == 1
        assert cache.get_or_set("loaded", lambda: 5, tags=["t"]) == 5
        assert (cache.get("loaded"), cache.tags("loaded")) == (5, ["t"])


def test_our_own_client_for_tasks(nodes: list[Node]) -> None:
    async def course() -> tuple[object, ...]:
        with connect(f"cluster://{nodes[2].address}") as cache:
            async with cache.aio as tasks:
                await tasks.set_many(dict.fromkeys(KEYS, 1), tags=["t"])
                values = await tasks.get_many(KEYS)
                return values, await tasks.tagcount("t"), await tasks.invalidate("t")

    assert asyncio.run(course()) == (dict.fromkeys(KEYS, 1), 50, 50)
