"""A cluster, and an operator of ours that looks after it.

With KUBE_API=real the API server is Kubernetes' own (`make test-kube`), else it is emulated.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import kopf
from emulated_api import emulated_cluster_running
from fake_cluster import FakeCluster
from fake_kubelet import Start
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster, User
from real_api import real_cluster_running

from cachestorm_server.kube import objects
from cachestorm_server.kube.leading import Lease
from cachestorm_server.kube.operator import Operator, Pace, run
from cachestorm_server.kube.owner import Owner
from cachestorm_server.kube.reconciling import Check
from cachestorm_server.kube.resource import Spec

FAST = Pace(idle_s=0.5, waiting_s=0.1)


def cluster_running(start: Start) -> AbstractAsyncContextManager[FakeCluster]:
    """A cluster for as long as the block lasts, with the API server that was asked for."""
    if os.environ.get("KUBE_API") == "real":
        return real_cluster_running(start)
    return emulated_cluster_running(start)


def anything_goes(owner: Owner, spec: Spec) -> None:
    """For servers that are none of ours."""


@asynccontextmanager
async def operator_running(
    cluster: FakeCluster, check: Check = objects.check, lease: Lease | None = None
) -> AsyncIterator[None]:
    """An operator for as long as the block lasts.

    In a thread with a loop of its own: at its end kopf waits for whatever runs in the loop.
    """
    config = KubeConfig.from_one(
        cluster=Cluster(server=cluster.url, insecure=True),
        user=User(token=cluster.token or None),
        context_name="fake",
    )
    is_up, is_over = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def operate() -> None:
        loops.append(asyncio.get_running_loop())
        operator = Operator(config, FAST, lease, check)
        registry = operator.registry()

        @kopf.on.login(registry=registry)
        def login(**_: object) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(
                server=cluster.url, token=cluster.token or None, insecure=True
            )

        operator.registry = lambda: registry  # type: ignore[method-assign]
        is_up.set()
        await run(operator, stop=is_over)

    task = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(operate())))
    await asyncio.to_thread(is_up.wait, 30)
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(is_over.set)
        await asyncio.wait_for(task, 60)
