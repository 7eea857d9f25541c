"""What no emulated API server does: it fills in, refuses, scales, collects what is owned."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack

import pytest
from fake_cluster import NAMESPACE, FakeCluster, until
from fake_kubelet import cachestorm, free_shared_port
from operating import cluster_running, operator_running
from real_api import RealCluster

from cachestorm_server.kube import resource
from cachestorm_server.kube.leading import API_VERSION, Lease
from cachestorm_server.kube.resource import Spec

pytestmark = pytest.mark.skipif(
    os.environ.get("KUBE_API") != "real", reason="`make test-kube` has a real API server"
)

OWNED = (
    "v1/secrets",
    "v1/configmaps",
    "v1/services",
    "networking.k8s.io/v1/networkpolicies",
    "apps/v1/statefulsets",
)


def spec(**others: object) -> dict[str, object]:
    ports = {name: free_shared_port() for name in ("port", "httpPort", "clusterPort")}
    return {"replicas": 1, **ports, **others}


def ready(cluster: FakeCluster, pods: int) -> bool:
    return cluster.is_ready("demo") and len(cluster.pods) == pods


def of_ours(cluster: FakeCluster, *resources: str) -> list[str]:
    """What there is that was made for our resource."""
    return [
        f"{each} {found['metadata']['name']}"
        for each in resources
        for found in cluster.all(each)
        if found["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == "demo"
    ]


def test_what_is_not_said_is_filled_in_and_what_cannot_be_is_refused() -> None:
    async def story() -> None:
        async with cluster_running(cachestorm) as cluster:
            await cluster.create("demo", {"replicas": 2, "storage": {"enabled": True}})
            wanted = Spec(replicas=2, storage=resource.Storage(enabled=True))
            assert cluster.resource("demo")["spec"] == resource.plain(wanted)
            refused: tuple[tuple[Mapping[str, object], str], ...] = (
                ({"replicas": 0}, r"spec\.replicas: .*greater than or equal to 1"),
                ({"mode": "both"}, r"spec\.mode: Unsupported value"),
                ({"config": {"maxMemory": "much"}}, r"spec\.config\.maxMemory: .*should match"),
                ({"port": "6380"}, r"spec\.port: .*must be of type integer"),
            )
            for change, message in refused:
                with pytest.raises(AssertionError, match=message):
                    await cluster.change("demo", change)

    asyncio.run(story())


def test_it_scales_by_its_subresource_as_autoscalers_do() -> None:
    async def story() -> None:
        async with cluster_running(cachestorm) as cluster, operator_running(cluster):
            await cluster.create("demo", spec())
            await until(lambda: ready(cluster, 1), cluster)
            scale = cluster.path_of("cachestorm.dev/v1", "cachestorms", "demo") + "/scale"
            await cluster.send("PATCH", scale, {"spec": {"replicas": 2}})
            await until(lambda: ready(cluster, 2), cluster)
            found = cluster.get("cachestorm.dev/v1/cachestorms", "demo/scale")
            assert found is not None
            labels = "app.kubernetes.io/instance=demo,app.kubernetes.io/name=cachestorm"
            assert found["status"] == {"replicas": 2, "selector": labels}

    asyncio.run(story())


@pytest.mark.parametrize("reclaim", ["Retain", "Delete"])
def test_all_that_was_made_for_it_goes_with_it(reclaim: str) -> None:
    async def story() -> None:
        claims = "v1/persistentvolumeclaims"
        async with cluster_running(cachestorm) as cluster, operator_running(cluster):
            storage = {"enabled": True, "reclaim": reclaim}
            await cluster.create("demo", spec(storage=storage))
            await until(lambda: ready(cluster, 1), cluster)
            assert {each.split()[0] for each in of_ours(cluster, *OWNED)} == set(OWNED)
            (claim,) = of_ours(cluster, claims)
            await cluster.remove("demo")
            kept = [claim] if reclaim == "Retain" else []
            await until(
                lambda: (
                    not cluster.pods
                    and not of_ours(cluster, *OWNED)
                    and of_ours(cluster, claims) == kept
                ),
                cluster,
            )

    asyncio.run(story())


def test_when_one_of_two_operators_ends_the_other_one_goes_on() -> None:
    async def story() -> None:
        async with cluster_running(cachestorm) as cluster:
            first = Lease(NAMESPACE, "first", lease_s=60, retry_s=0.1)
            second = Lease(NAMESPACE, "second", lease_s=60, retry_s=0.1)

            def holder() -> str:
                found = cluster.get(f"{API_VERSION}/leases", "cachestorm-operator") or {}
                return str(found.get("spec", {}).get("holderIdentity"))

            async with AsyncExitStack() as stack:
                await stack.enter_async_context(operator_running(cluster, lease=first))
                await until(lambda: holder() == "first", cluster)
                async with operator_running(cluster, lease=second):
                    await cluster.create("demo", spec())
                    await until(lambda: ready(cluster, 1), cluster)
                    assert holder() == "first"
                    await stack.aclose()
                    await until(lambda: holder() == "second", cluster)
                    await cluster.send("DELETE", cluster.path_of("v1", "services", "demo"))
                    found = "v1/services", "demo"
                    await until(lambda: cluster.get(*found) is not None, cluster)

    asyncio.run(story())


@pytest.mark.parametrize("program", ["kube-apiserver", "etcd"])
def test_a_restart_of_the_control_plane_is_waited_for(program: str) -> None:
    async def story() -> None:
        async with cluster_running(cachestorm) as cluster, operator_running(cluster):
            assert isinstance(cluster, RealCluster)
            await cluster.create("demo", spec())
            await until(lambda: ready(cluster, 1), cluster)
            pod = cluster.pods["demo-0"]
            for _ in range(3):
                cluster.programs.restart(program)
                await cluster.wait_for("/readyz")
            assert cluster.pods["demo-0"] is pod
            await cluster.change("demo", {"replicas": 2})
            await until(lambda: ready(cluster, 2), cluster)

    asyncio.run(story())
