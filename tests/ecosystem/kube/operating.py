"""An operator of ours against a fake cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import kopf
from fake_cluster import FakeCluster
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster, User

from cachestorm_server.kube import objects
from cachestorm_server.kube.leading import Lease
from cachestorm_server.kube.objects import Owner
from cachestorm_server.kube.operator import Operator, Pace, run
from cachestorm_server.kube.reconciling import Check
from cachestorm_server.kube.resource import Spec

FAST = Pace(idle_s=0.5, waiting_s=0.1)


def anything_goes(owner: Owner, spec: Spec) -> None:
    """For servers that are none of ours."""


@asynccontextmanager
async def operator_running(
    cluster: FakeCluster, check: Check = objects.check, lease: Lease | None = None
) -> AsyncIterator[asyncio.Event]:
    """An operator for as long as the block lasts."""
    config = KubeConfig.from_one(
        cluster=Cluster(server=cluster.url), user=User(), context_name="fake"
    )
    operator = Operator(config, FAST, lease, check)
    registry = operator.registry()

    @kopf.on.login(registry=registry)
    def login(**_: object) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=cluster.url)

    operator.registry = lambda: registry  # type: ignore[method-assign]
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(run(operator, stop=stop, ready=ready))
    try:
        yield ready
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)
