"""The operator with a cluster of nodes that are processes, while a client writes all the time.

What a node of CacheStorm does, one of Valkey does as well: the operator says nothing to a node
that only ours would know.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fake_cluster import FakeCluster, until
from fake_kubelet import Start, cachestorm, free_shared_port, valkey
from operating import anything_goes, cluster_running, operator_running
from real_servers import valkey_binary
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from cachestorm_server.kube.objects import check
from tests.cluster.fake_api_server import FakeApiServer

SLOTS = 16384
KEYS = 300


def clustered(replicas: int, **others: object) -> dict[str, object]:
    ports = {name: free_shared_port() for name in ("port", "httpPort", "clusterPort")}
    return {"replicas": replicas, **ports, **others}


def ready(cluster: FakeCluster) -> bool:
    """Whether the operator says so, of the pods that there are by now."""
    seen = {node["podIP"] for node in cluster.status("demo").get("nodes", [])}
    return cluster.is_ready("demo") and seen == {pod.address for pod in cluster.pods.values()}


class Load:
    """A client that writes growing numbers all the time.

    Attributes:
        acknowledged: the last number of each key whose write was answered; a later one may
            have been done nevertheless.
    """

    def __init__(self, cluster: FakeCluster, port: int) -> None:
        self._cluster = cluster
        self._port = port
        self._password = cluster.secret("demo-auth")["password"]
        self._client = self._new_client()
        self._is_over = False
        self.acknowledged: dict[str, int] = {}
        self.answers = 0
        self.failures = 0
        self._task: asyncio.Task[None] | None = None

    def _new_client(self) -> RedisCluster:
        pods = sorted(self._cluster.pods.values(), key=lambda pod: not pod.is_ready)
        return RedisCluster(host=pods[0].address, port=self._port, password=self._password)

    async def __aenter__(self) -> Load:
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        # the client may swallow it that it is cancelled
        self._is_over = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._client.aclose()

    async def _write(self) -> None:
        number = 0
        while not self._is_over:
            number += 1
            key = f"k{number % KEYS}"
            try:
                await self._client.set(key, number)
            except (RedisError, OSError):
                # it may have been done, or not
                self.failures += 1
            except (RedisClusterException, AttributeError):
                # all nodes that it knew are gone, or it was sent to one that it does not know,
                # which redis-py 8 has no error of its own for: a user's would begin anew too
                self.failures += 1
                await self._begin_anew()
            else:
                self.acknowledged[key] = number
                self.answers += 1
            # most of the machine is for the nodes
            await asyncio.sleep(0.003)

    async def _begin_anew(self) -> None:
        await self._client.aclose()
        while not self._cluster.pods:
            await asyncio.sleep(0.05)
        self._client = self._new_client()

    def slot_of(self, key: str) -> int:
        return self._client.keyslot(key)

    async def lost(self) -> dict[str, object]:
        """What was answered and is not there, as a client sees it that begins now."""
        assert self._task is not None
        before = self.answers
        await until(lambda: self.answers > before, self._cluster)
        self._is_over = True
        await self._task
        print(f"{self.answers} writes answered, {self.failures} failed")
        found: dict[str, object] = {}
        async with self._new_client() as client:
            for key, number in self.acknowledged.items():
                value = await client.get(key)
                if value is None or int(value) < number:
                    found[key] = (number, value)
        return found


@asynccontextmanager
async def loaded(
    start: Start, replicas: int, kubeconfig: str = "", **others: object
) -> AsyncIterator[tuple[FakeCluster, Load]]:
    """A cluster with an operator, and a client that writes all the time."""
    spec = clustered(replicas, **others)
    what = check if start is cachestorm else anything_goes
    async with cluster_running(start) as cluster, operator_running(cluster, what):
        cluster.kubeconfig = cluster.kubeconfig or kubeconfig
        await cluster.create("demo", spec)
        await until(lambda: ready(cluster), cluster)
        assert cluster.status("demo")["slotsAssigned"] == SLOTS
        async with Load(cluster, int(str(spec["port"]))) as load:
            await until(lambda: len(load.acknowledged) == KEYS, cluster)
            yield cluster, load


@pytest.fixture(params=["cachestorm", "valkey"])
def start(request: pytest.FixtureRequest) -> Start:
    return cachestorm if request.param == "cachestorm" else valkey(valkey_binary())


def shares(cluster: FakeCluster) -> list[int]:
    return [node["slots"] for node in cluster.status("demo")["nodes"]]


@pytest.mark.slow
def test_a_cluster_grows_and_shrinks_under_load_and_loses_nothing(start: Start) -> None:
    async def story() -> None:
        async with loaded(start, 3) as (cluster, load):
            await cluster.change("demo", {"replicas": 5})
            await until(lambda: ready(cluster) and len(cluster.pods) == 5, cluster)
            assert (sum(shares(cluster)), max(shares(cluster)) - min(shares(cluster))) == (
                SLOTS,
                1,
            )
            assert cluster.status("demo")["migration"]["slotsMoved"] > 6000
            await cluster.change("demo", {"replicas": 2})
            halves = [SLOTS // 2, SLOTS // 2]
            await until(lambda: ready(cluster) and shares(cluster) == halves, cluster)
            assert sorted(cluster.pods) == ["demo-0", "demo-1"]
            assert await load.lost() == {}

    asyncio.run(story())


@pytest.mark.slow
def test_an_upgrade_empties_each_pod_before_it_restarts(start: Start) -> None:
    async def story() -> None:
        async with loaded(start, 2) as (cluster, load):
            before = dict(cluster.pods)
            await cluster.change("demo", {"podAnnotations": {"restart": "now"}})
            await until(
                lambda: (
                    ready(cluster)
                    and all(cluster.pods.get(name) is not pod for name, pod in before.items())
                ),
                cluster,
            )
            assert [pod.was_waited_for for pod in cluster.former] == [True, True]
            assert await load.lost() == {}

    asyncio.run(story())


@pytest.mark.slow
def test_a_pod_that_somebody_evicts_gives_its_slots_away_first(start: Start) -> None:
    async def story() -> None:
        async with loaded(start, 3) as (cluster, load):
            evicted = cluster.pods["demo-1"]
            await cluster.evict("demo-1")
            await until(
                lambda: ready(cluster) and cluster.pods.get("demo-1") is not evicted, cluster
            )
            assert evicted.was_waited_for
            assert await load.lost() == {}

    asyncio.run(story())


@pytest.mark.slow
def test_the_slots_of_a_pod_that_is_gone_are_taken_over_and_no_other_key_is_lost(
    start: Start,
) -> None:
    async def story() -> None:
        async with loaded(start, 3) as (cluster, load):
            # in the beginning the slots are given out in the order of the pods
            theirs = range(SLOTS // 3, 2 * SLOTS // 3)
            gone = await cluster.lose("demo-1")
            await until(
                lambda: ready(cluster) and cluster.pods.get("demo-1") is not gone, cluster
            )
            assert cluster.status("demo")["slotsAssigned"] == SLOTS
            assert all(load.slot_of(key) in theirs for key in await load.lost())

    asyncio.run(story())


@pytest.mark.slow
def test_with_storage_all_pods_may_go_at_once_and_come_back_with_their_keys() -> None:
    async def story() -> None:
        storage = {"enabled": True, "persistenceMode": "Both"}
        custom = {"persistence.aof_sync": "always"}
        async with loaded(cachestorm, 3, storage=storage, config={"custom": custom}) as (
            cluster,
            load,
        ):
            before = dict(cluster.pods)
            ids = {node["nodeID"] for node in cluster.status("demo")["nodes"]}
            for name in before:
                await cluster.lose(name)
            await until(
                lambda: (
                    ready(cluster)
                    and all(cluster.pods.get(name) is not pod for name, pod in before.items())
                ),
                cluster,
            )
            assert {node["nodeID"] for node in cluster.status("demo")["nodes"]} == ids
            assert await load.lost() == {}

    asyncio.run(story())


@pytest.mark.slow
def test_with_storage_an_upgrade_may_restart_pods_that_keep_their_slots() -> None:
    async def story() -> None:
        async with loaded(
            cachestorm, 2, storage={"enabled": True}, upgradePolicy="Restart"
        ) as (cluster, load):
            before = dict(cluster.pods)
            await cluster.change("demo", {"config": {"maxMemory": "64Mi"}})
            await until(
                lambda: (
                    ready(cluster)
                    and all(cluster.pods.get(name) is not pod for name, pod in before.items())
                ),
                cluster,
            )
            assert cluster.status("demo")["migration"]["slotsMoved"] == 0
            assert await load.lost() == {}

    asyncio.run(story())


@pytest.mark.slow
def test_nodes_that_decide_by_leases_hand_their_slots_over_themselves(tmp_path: Path) -> None:
    async def story(kubeconfig: str) -> None:
        # on a busy machine a lease is easily late
        custom = {"cluster.lease_ttl": "60s", "cluster.lease_margin": "5s"}
        async with loaded(
            cachestorm,
            2,
            kubeconfig,
            cluster={"authority": "kubernetes"},
            config={"custom": custom},
        ) as (cluster, load):
            await cluster.change("demo", {"replicas": 3})
            await until(lambda: ready(cluster) and len(cluster.pods) == 3, cluster)
            assert (sum(shares(cluster)), max(shares(cluster)) - min(shares(cluster))) == (
                SLOTS,
                1,
            )
            before = dict(cluster.pods)
            await cluster.change("demo", {"podAnnotations": {"restart": "now"}, "replicas": 2})
            halves = [SLOTS // 2, SLOTS // 2]
            await until(
                lambda: (
                    ready(cluster)
                    and shares(cluster) == halves
                    and all(cluster.pods.get(name) is not pod for name, pod in before.items())
                ),
                cluster,
            )
            assert await load.lost() == {}

    with FakeApiServer() as leases:
        asyncio.run(story(leases.kubeconfig(tmp_path)))
