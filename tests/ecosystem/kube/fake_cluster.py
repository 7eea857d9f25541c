"""A Kubernetes to test the operator on: an API server, and a kubelet that starts processes.

The API server is emulated (`emulated_api`) or real (`real_api`); the kubelet is ours. A process
that has died starts again in its pod; a pod that is gone is made again, elsewhere and empty.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from fake_kubelet import FakePod, Start

NAMESPACE = "default"
RESOURCES = "cachestorm.dev/v1/cachestorms"
TICK_S = 0.05
# the longest that tests wait for a state: a few thousand slots move on two busy cores
PATIENCE_S = 600


class FakeCluster(ABC):
    """The API server's objects, and what controllers and the kubelet make of them.

    Args:
        url: of the API server.
        token: that it takes; empty: it takes everybody.
    """

    # what calls raise while the API server is away
    unreachable: tuple[type[Exception], ...] = ()

    def __init__(self, url: str, start: Start, folder: Path, token: str = "") -> None:
        self.url = url
        self.token = token
        self.pods: dict[str, FakePod] = {}
        self.task: asyncio.Task[None] | None = None
        # beside cancelling: what it waits for may swallow that
        self.is_over = False
        # for pods that have an account
        self.kubeconfig = ""
        # those that have ended
        self.former: list[FakePod] = []
        self._start = start
        self._folder = folder
        self._addresses = (f"127.77.{os.getpid() % 250}.{number}" for number in range(1, 250))

    # -- objects

    @abstractmethod
    def get(self, resource: str, name: str) -> dict[str, Any] | None: ...

    @abstractmethod
    def all(self, resource: str) -> list[dict[str, Any]]: ...

    @abstractmethod
    async def send(self, method: str, path: str, body: Any = None) -> None: ...

    async def create(self, name: str, spec: Mapping[str, object]) -> None:
        """A CacheStorm, as `kubectl apply` makes it."""
        body = {
            "apiVersion": "cachestorm.dev/v1",
            "kind": "CacheStorm",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": dict(spec),
        }
        await self.send("POST", self.path_of("cachestorm.dev/v1", "cachestorms"), body)

    async def change(self, name: str, spec: Mapping[str, object]) -> None:
        path = self.path_of("cachestorm.dev/v1", "cachestorms", name)
        await self.send("PATCH", path, {"spec": dict(spec)})

    async def remove(self, name: str) -> None:
        await self.send("DELETE", self.path_of("cachestorm.dev/v1", "cachestorms", name))

    def resource(self, name: str) -> dict[str, Any]:
        found = self.get(RESOURCES, name)
        assert found is not None
        return found

    def status(self, name: str) -> dict[str, Any]:
        return self.resource(name).get("status") or {}

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        conditions = self.status(name).get("conditions") or []
        return next((each for each in conditions if each["type"] == kind), {})

    def is_ready(self, name: str) -> bool:
        ready = self.condition(name, "Ready")
        generation = self.resource(name)["metadata"]["generation"]
        return ready.get("status") == "True" and ready["observedGeneration"] == generation

    def secret(self, name: str) -> dict[str, str]:
        found = self.get("v1/secrets", name) or {}
        return {
            key: base64.b64decode(value).decode()
            for key, value in found.get("data", {}).items()
        }

    def _files(self, plural: str, name: str) -> Mapping[str, str]:
        if plural == "secrets":
            return self.secret(name)
        found = self.get(f"v1/{plural}", name) or {}
        return dict(found.get("data", {}))

    @staticmethod
    def path_of(api: str, plural: str, name: str = "") -> str:
        root = f"/apis/{api}" if "/" in api else f"/api/{api}"
        return f"{root}/namespaces/{NAMESPACE}/{plural}" + (f"/{name}" if name else "")

    async def evict(self, name: str) -> None:
        await self.send("DELETE", self.path_of("v1", "pods", name))

    async def lose(self, name: str) -> FakePod:
        """Takes a pod away as if its machine had burnt."""
        pod = self.pods[name]
        assert pod.process is not None
        pod.process.kill()
        pod.process.wait()
        pod.is_ready = False
        await self.evict(name)
        return pod

    # -- what an API server has its own way with

    @abstractmethod
    async def control(self) -> None:
        """Has a process started for each pod that is to be there."""

    @abstractmethod
    async def report(self, pod: FakePod) -> None:
        """Writes the status of a pod."""

    @abstractmethod
    async def forget(self, pod: FakePod) -> None:
        """Takes a pod away whose process has ended."""

    # -- the kubelet

    async def run(self) -> None:
        while not self.is_over:
            # tried again at the next tick
            with suppress(*self.unreachable):
                await self.control()
                await self._keep()
            await asyncio.sleep(TICK_S)

    def prepared(self, manifest: dict[str, Any]) -> FakePod:
        """A pod that has all it needs to start."""
        name = manifest["metadata"]["name"]
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder))
        pod = FakePod(next(self._addresses), manifest, folder)
        pod.mount(self._files, self._folder)
        pod.set_variables(self._files, self.kubeconfig)
        self.pods[name] = pod
        return pod

    async def start(self, pod: FakePod) -> None:
        pod.process = self._start(pod)
        await self.report(pod)

    async def _keep(self) -> None:
        present = {each["metadata"]["uid"]: each for each in self.all("v1/pods")}
        for pod in list(self.pods.values()):
            live = present.get(pod.uid)
            if live is None or live["metadata"].get("deletionTimestamp"):
                await self._end(pod, live)
                continue
            if pod.process is not None and pod.process.poll() is not None:
                pod.process = self._start(pod)
            is_ready = await pod.answers()
            if is_ready != pod.is_ready:
                pod.is_ready = is_ready
                await self.report(pod)

    async def _end(self, pod: FakePod, live: dict[str, Any] | None) -> None:
        """Ends a pod that is to go, once it has nothing to wait for or has waited enough."""
        now = asyncio.get_running_loop().time()
        if pod.left_at is None:
            pod.left_at = now
            pod.begin_to_end()
        pod.was_waited_for = pod.pre_stop is not None and pod.pre_stop.poll() == 0
        metadata = live["metadata"] if live else {}
        grace_s = metadata.get(
            "deletionGracePeriodSeconds", pod.manifest["spec"]["terminationGracePeriodSeconds"]
        )
        is_waiting = pod.pre_stop is not None and not pod.was_waited_for
        if is_waiting and now <= pod.left_at + grace_s:
            return
        # another thread: a process may take its time to end
        await asyncio.to_thread(pod.stop)
        del self.pods[pod.name]
        self.former.append(pod)
        if live is not None:
            await self.forget(pod)
        shutil.rmtree(pod.folder)


@asynccontextmanager
async def kubelet_running(cluster: FakeCluster) -> AsyncIterator[None]:
    """Controllers and kubelet for as long as the block lasts."""
    cluster.task = asyncio.create_task(cluster.run())
    try:
        yield
    finally:
        cluster.is_over = True
        cluster.task.cancel()
        with suppress(asyncio.CancelledError):
            await cluster.task
        for pod in cluster.pods.values():
            pod.stop()


async def until(holds: Callable[[], bool], cluster: FakeCluster, name: str = "demo") -> None:
    """Waits for something to come true, and tells what there is if it does not."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                assert cluster.task is not None
                if cluster.task.done():
                    cluster.task.result()
                await asyncio.sleep(TICK_S)
    except TimeoutError:
        logs = [
            f"{pod.name}: {(pod.folder / 'log').read_text()}"
            for pod in cluster.pods.values()
            if (pod.folder / "log").exists()
        ]
        pytest.fail(f"{cluster.get(RESOURCES, name)}\n{logs}")
