"""The operator's whole loop: an API server, pods that are processes, clients."""

from __future__ import annotations

import asyncio

from fake_cluster import FakeCluster, until
from fake_kubelet import cachestorm, free_shared_port
from operating import cluster_running, operator_running
from redis.asyncio import Redis
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


def ready(cluster: FakeCluster) -> bool:
    return cluster.is_ready("demo")


async def answer(cluster: FakeCluster, spec: dict[str, object], *words: object) -> object:
    pod = cluster.pods["demo-0"]
    password = cluster.secret("demo-auth").get("password")
    async with Redis(host=pod.address, port=spec["port"], password=password) as client:
        return await client.execute_command(*words)


def events(cluster: FakeCluster) -> set[str]:
    return {each["reason"] for each in cluster.all("v1/events")}


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
            budgets = cluster.all("policy/v1/poddisruptionbudgets")
            await until(lambda: ("NoBudget" in events(cluster)) == (not budgets), cluster)
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
            change = {"updateStrategy": {"type": "RollingUpdate"}, "replicas": 2}
            await cluster.send("PATCH", path, {"spec": change})

            def is_put_back() -> bool:
                found = cluster.get("apps/v1/statefulsets", "demo")
                assert found is not None
                strategy = found["spec"]["updateStrategy"]["type"]
                return (strategy, found["spec"]["replicas"]) == ("OnDelete", 1)

            await until(is_put_back, cluster)
            await cluster.send("DELETE", cluster.path_of("v1", "services", "demo"))
            await until(lambda: cluster.get("v1/services", "demo") is not None, cluster)

    asyncio.run(story())
