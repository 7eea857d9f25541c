"""A cluster whose API server is kmock, with the controllers that it does not have."""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fake_cluster import NAMESPACE, FakeCluster, kubelet_running
from fake_kubelet import FakePod, Start
from processes import installed

FINALIZER = "fake/kubelet"
NUMBERS = itertools.count()
KINDS = (
    ("", "v1", "namespaces", "Namespace"),
    ("", "v1", "pods", "Pod"),
    ("", "v1", "services", "Service"),
    ("", "v1", "secrets", "Secret"),
    ("", "v1", "configmaps", "ConfigMap"),
    ("", "v1", "events", "Event"),
    ("", "v1", "serviceaccounts", "ServiceAccount"),
    ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    ("apps", "v1", "statefulsets", "StatefulSet"),
    ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    ("coordination.k8s.io", "v1", "leases", "Lease"),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"),
    ("cachestorm.dev", "v1", "cachestorms", "CacheStorm"),
)


class EmulatedCluster(FakeCluster):
    """What kmock has, and what becomes of StatefulSets in it."""

    def __init__(self, kmock: Any, url: str, start: Start, folder: Path) -> None:
        super().__init__(url, start, folder)
        self._kmock = kmock

    def get(self, resource: str, name: str) -> dict[str, Any] | None:
        try:
            found = self._kmock.objects[resource, NAMESPACE, name]
        except KeyError:
            return None
        return None if found.deleted else dict(found.raw)

    def all(self, resource: str) -> list[dict[str, Any]]:
        plural = resource.rpartition("/")[2]
        return [
            dict(found.raw)
            for (kind, _, _), found in list(self._kmock.objects.items())
            if kind.plural == plural and not found.deleted
        ]

    async def send(self, method: str, path: str, body: Any = None) -> None:
        client = self._kmock.clients[0]
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = await client.request(
            method, self.url + path, json=body, headers={"Content-Type": kind}
        )
        text = await answer.text()
        assert answer.status < 300 or answer.status == 404, text

    async def change(self, name: str, spec: Mapping[str, object]) -> None:
        generation = self.resource(name)["metadata"]["generation"] + 1
        change = {"spec": dict(spec), "metadata": {"generation": generation}}
        path = self.path_of("cachestorm.dev/v1", "cachestorms", name)
        await self.send("PATCH", path, change)

    async def control(self) -> None:
        wanted: dict[str, dict[str, Any]] = {}
        for each in self.all("apps/v1/statefulsets"):
            spec = each["spec"]
            for ordinal in range(spec["replicas"]):
                wanted[f"{each['metadata']['name']}-{ordinal}"] = spec["template"]
        for name, template in wanted.items():
            if name not in self.pods:
                await self._make(name, template)
        for name, pod in self.pods.items():
            if name not in wanted and pod.left_at is None:
                await self.send("DELETE", self.path_of("v1", "pods", name))

    async def _make(self, name: str, template: dict[str, Any]) -> None:
        metadata = {**template["metadata"], "name": name, "namespace": NAMESPACE}
        metadata["finalizers"] = [FINALIZER]
        metadata["uid"] = f"uid-{next(NUMBERS)}"
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": template["spec"],
        }
        pod = self.prepared(manifest)
        await self.send("POST", self.path_of("v1", "pods"), manifest)
        await self.start(pod)

    async def report(self, pod: FakePod) -> None:
        condition = {"type": "Ready", "status": "True" if pod.is_ready else "False"}
        status = {"podIP": pod.address, "conditions": [condition]}
        await self.send("PATCH", self.path_of("v1", "pods", pod.name), {"status": status})

    async def forget(self, pod: FakePod) -> None:
        change = {"metadata": {"finalizers": []}}
        await self.send("PATCH", self.path_of("v1", "pods", pod.name), change)


def emulator(library: Any) -> Any:
    """kmock's, which also says of an object what every API server says of it.

    It forgets former requests, which it would look through for each new one.
    """

    class Emulator(library.KubernetesEmulator):  # type: ignore[misc]
        async def _handle(self, request: Any) -> Any:
            del self._requests[:-50]
            if request.action == library.action.CREATE:
                metadata = request.data.setdefault("metadata", {})
                number = next(NUMBERS)
                if "name" not in metadata:
                    metadata["name"] = f"{metadata.get('generateName', '')}{number}"
                if request.data.get("kind") == "CacheStorm":
                    metadata |= {
                        "uid": f"uid-{number}",
                        "resourceVersion": "1",
                        "generation": 1,
                        "creationTimestamp": "2026-01-01T00:00:00Z",
                    }
            return await super()._handle(request)

    return Emulator


@asynccontextmanager
async def emulated_cluster_running(start: Start) -> AsyncIterator[FakeCluster]:
    """A cluster for as long as the block lasts."""
    folder = str(installed("kmock"))
    if folder not in sys.path:
        # last: what it needs itself is in the environment already
        sys.path.append(folder)
    import kmock as library

    with tempfile.TemporaryDirectory(prefix="cachestorm-kube-") as place:
        async with emulator(library)() as kmock, library.Server(kmock) as server:
            verbs = {"list", "watch", "get", "create", "update", "patch", "delete"}
            for group, version, plural, kind in KINDS:
                kmock.resources[library.resource(group, version, plural)] = (
                    library.ResourceInfo(
                        kind=kind, namespaced=True, verbs=verbs, subresources={"status"}
                    )
                )
            cluster = EmulatedCluster(kmock, str(server.url).rstrip("/"), start, Path(place))
            async with kubelet_running(cluster):
                yield cluster
