"""The operator's whole loop: an API server, pods that are processes, clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fake_cluster import (
    FakeCluster,
    cachestorm,
    cluster_running,
    free_shared_port,
    has_slots,
    until,
    valkey,
)
from operating import anything_goes, operator_running
from real_servers import valkey_binary
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import RedisError

SETTINGS = {"plugins.slowlog.threshold": "7ms"}


def single(**others: object) -> dict[str, object]:
    return {
        "mode": "standalone",
        "replicas": 1,
        "port": free_shared_port(),
        "httpPort": free_shared_port(),
        **others,
    }


def clustered(replicas: int, **others: object) -> dict[str, object]:
    ports = {name: free_shared_port() for name in ("port", "httpPort", "clusterPort")}
    return {"replicas": replicas, **ports, **others}


def ready(cluster: FakeCluster) -> bool:
    return cluster.is_ready("demo")


async def answer(cluster: FakeCluster, spec: dict[str, object], *words: object) -> object:
    pod = cluster.pods["demo-0"]
    password = cluster.secret("demo-auth").get("password")
    async with Redis(host=pod.address, port=spec["port"], password=password) as client:
        return await client.execute_command(*words)


def test_a_server_is_made_changed_and_removed() -> None:
    async def story() -> None:
        async with cluster_running(cachestorm) as cluster, operator_running(cluster):
            spec = single(config={"maxMemory": "64Mi", "custom": SETTINGS})
            await cluster.create("demo", spec)
            await until(lambda: ready(cluster), cluster)
            assert cluster.status("demo")["phase"] == "Running"
            assert await answer(cluster, spec, "SETTAG", "k", "v", "t") == b"OK"
            told = await answer(cluster, spec, "CONFIG", "GET", "maxmemory")
            assert told in ([b"maxmemory", b"67108864"], {b"maxmemory": b"67108864"})
            first = cluster.pods["demo-0"]
            await cluster.change("demo", {"config": {"maxMemory": "32Mi"}})
            await until(lambda: ready(cluster) and cluster.pods["demo-0"] is not first, cluster)
            told = await answer(cluster, spec, "CONFIG", "GET", "maxmemory")
            assert told in ([b"maxmemory", b"33554432"], {b"maxmemory": b"33554432"})
            await cluster.remove("demo")
            await until(
                lambda: (
                    not cluster.pods
                    and cluster.get("cachestorm.dev/v1/cachestorms", "demo") is None
                ),
                cluster,
            )

    asyncio.run(story())


def test_what_cannot_be_is_refused_with_its_field_and_what_runs_goes_on() -> None:
    async def story() -> None:
        async with cluster_running(cachestorm) as cluster, operator_running(cluster):
            spec = single()
            await cluster.create("demo", spec)
            await until(lambda: ready(cluster), cluster)
            pod = cluster.pods["demo-0"]
            await cluster.change("demo", {"config": {"custom": {"plugins.slowlog.x": "1"}}})
            await until(
                lambda: cluster.condition("demo", "Accepted").get("status") == "False", cluster
            )
            message = cluster.condition("demo", "Accepted")["message"]
            assert "plugins.slowlog.x: no such setting" in message
            assert cluster.status("demo")["phase"] == "Running"
            assert cluster.pods["demo-0"] is pod
            await cluster.change(
                "demo", {"config": {"custom": {"plugins.slowlog.x": None}}, "port": 7000}
            )
            await until(
                lambda: (
                    "spec.port: cannot change"
                    in cluster.condition("demo", "Accepted")["message"]
                ),
                cluster,
            )
            await cluster.create("other", {"mode": "standalone", "replicas": 2})
            await until(lambda: cluster.status("other").get("phase") == "Failed", cluster)

    asyncio.run(story())


def test_a_password_is_replaced_and_both_are_good_for_a_while() -> None:
    async def story() -> None:
        async with cluster_running(cachestorm) as cluster, operator_running(cluster):
            spec = single(auth={"graceSeconds": 3600})
            await cluster.create("demo", spec)
            await until(lambda: ready(cluster), cluster)
            pod = cluster.pods["demo-0"]
            before = cluster.secret("demo-auth")["password"]
            await cluster.change("demo", {"auth": {"rotation": "in summer"}})
            await until(lambda: cluster.secret("demo-auth")["password"] != before, cluster)
            after = cluster.secret("demo-auth")["password"]

            async def takes(password: str) -> bool:
                try:
                    async with Redis(
                        host=pod.address, port=spec["port"], password=password
                    ) as client:
                        return bool(await client.ping())
                except RedisError:
                    return False

            async with asyncio.timeout(30):
                while not await takes(after):
                    await asyncio.sleep(0.05)
            assert await takes(before)
            await cluster.change("demo", {"auth": {"graceSeconds": 0}})
            await until(lambda: "previous-password" not in cluster.secret("demo-auth"), cluster)
            assert (await takes(before), await takes(after)) == (False, True)
            assert cluster.pods["demo-0"] is pod

    asyncio.run(story())


def test_what_a_user_edits_is_put_back() -> None:
    async def story() -> None:
        async with cluster_running(cachestorm) as cluster, operator_running(cluster):
            await cluster.create("demo", single())
            await until(lambda: ready(cluster), cluster)
            path = cluster.path_of("apps/v1", "statefulsets", "demo")
            await cluster.send("PATCH", path, {"spec": {"serviceName": "mine"}})
            found = "apps/v1/statefulsets", "demo"
            await until(
                lambda: cluster.get(*found)["spec"]["serviceName"] == "demo-headless", cluster
            )
            await cluster.send("DELETE", cluster.path_of("v1", "services", "demo"))
            await until(lambda: cluster.get("v1/services", "demo") is not None, cluster)

    asyncio.run(story())


class Load:
    """A client that writes counters all the time, and knows which writes were answered."""

    def __init__(self, host: str, port: int, password: str) -> None:
        self._address = {"host": host, "port": port, "password": password}
        self.client = RedisCluster(**self._address)
        self._is_over = False
        self.acknowledged: dict[str, int] = {}
        self.failed = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Load:
        self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.client.aclose()

    async def _write(self) -> None:
        number = 0
        while not self._is_over:
            number += 1
            key = f"k{number % 200}"
            try:
                await self.client.set(key, number)
            except (RedisError, OSError):
                self.failed += 1
                await asyncio.sleep(0.01)
                # it may have been done, or not
                self.acknowledged.pop(key, None)
                continue
            self.acknowledged[key] = number

    async def lost(self) -> dict[str, object]:
        """What was answered and is not there, as a client sees it that begins now."""
        assert self._task is not None
        self._is_over = True
        await self._task
        found = {}
        async with RedisCluster(**self._address) as client:
            for key, number in self.acknowledged.items():
                value = await client.get(key)
                if value != str(number).encode():
                    found[key] = (number, value)
        return found


@asynccontextmanager
async def loaded(replicas: int) -> AsyncIterator[tuple[FakeCluster, Load]]:
    """A cluster with an operator, and a client that writes all the time; nothing is lost."""
    async with cluster_running(valkey(valkey_binary())) as cluster:
        cluster.holds = has_slots
        async with operator_running(cluster, anything_goes):
            spec = clustered(replicas)
            await cluster.create("demo", spec)
            await until(lambda: ready(cluster), cluster)
            assert cluster.status("demo")["slotsAssigned"] == 16384
            password = cluster.secret("demo-auth")["password"]
            address = cluster.pods["demo-0"].address
            async with Load(address, int(spec["port"]), password) as load:
                await until(lambda: len(load.acknowledged) > 100, cluster)
                yield cluster, load
                assert await load.lost() == {}
                assert len(load.acknowledged) > 100


@pytest.mark.slow
def test_a_cluster_grows_and_shrinks_under_load_and_loses_nothing() -> None:
    async def story() -> None:
        async with loaded(3) as (cluster, _):
            await cluster.change("demo", {"replicas": 5})
            await until(lambda: ready(cluster) and len(cluster.pods) == 5, cluster)
            slots = [node["slots"] for node in cluster.status("demo")["nodes"]]
            assert (sum(slots), max(slots) - min(slots)) == (16384, 1)
            assert cluster.status("demo")["migration"]["slotsMoved"] > 6000
            await cluster.change("demo", {"replicas": 2})
            await until(lambda: ready(cluster) and len(cluster.pods) == 2, cluster)

    asyncio.run(story())


@pytest.mark.slow
def test_an_upgrade_empties_each_pod_before_it_restarts() -> None:
    async def story() -> None:
        async with loaded(2) as (cluster, _):
            before = dict(cluster.pods)
            await cluster.change("demo", {"podAnnotations": {"restart": "now"}})
            await until(
                lambda: (
                    ready(cluster)
                    and all(cluster.pods.get(name) is not pod for name, pod in before.items())
                ),
                cluster,
            )

    asyncio.run(story())


@pytest.mark.slow
def test_a_pod_that_somebody_evicts_gives_its_slots_away_first() -> None:
    async def story() -> None:
        async with loaded(3) as (cluster, _):
            evicted = cluster.pods["demo-1"]
            await cluster.evict("demo-1")
            await until(
                lambda: ready(cluster) and cluster.pods.get("demo-1") is not evicted, cluster
            )

    asyncio.run(story())
