"""A Kubernetes of our own: kmock as its API server, and a kubelet that starts processes.

Each pod of a StatefulSet is a process at an address of its own within 127.0.0.0/8, so all pods
have the same port, as in a real cluster. What a pod is given, it gets: variables, the files
of ConfigMaps and Secrets, what it is to run before it ends, and time for that. A process that
has died starts again in its pod; a pod that is gone is made again, elsewhere and empty.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import environment, installed

START = "import sys; from cachestorm_cli.app import main; sys.exit(main())"
NAMESPACE = "default"
FINALIZER = "fake/kubelet"
TICK_S = 0.05
# the longest that tests wait for a state: a few thousand slots move on two busy cores
PATIENCE_S = 600
NUMBERS = itertools.count()
RESOURCES = (
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

Start = Callable[["FakePod"], "subprocess.Popen[bytes]"]


def free_shared_port() -> int:
    """A port that is free at every address."""
    with socket.socket() as each:
        each.bind(("0.0.0.0", 0))
        return int(each.getsockname()[1])


class FakePod:
    """A pod and its process.

    Attributes:
        environment: its variables.
        folder: its file system; paths of mounts are folders in it.
    """

    def __init__(self, name: str, address: str, manifest: dict[str, Any], folder: Path) -> None:
        self.name = name
        self.address = address
        self.manifest = manifest
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.pre_stop: subprocess.Popen[bytes] | None = None
        self.is_ready = False
        self.left_at: float | None = None
        # whether it had no slots when it ended
        self.was_waited_for = False


class FakeCluster:
    """The API server's objects, and what controllers and the kubelet make of them."""

    def __init__(self, kmock: Any, url: str, start: Start, folder: Path) -> None:
        self.kmock = kmock
        self.url = url
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
        self._volumes: dict[str, Path] = {}

    # -- objects

    def get(self, resource: str, name: str) -> dict[str, Any] | None:
        try:
            found = self.kmock.objects[resource, NAMESPACE, name]
        except KeyError:
            return None
        return None if found.deleted else dict(found.raw)

    def all(self, resource: str) -> list[dict[str, Any]]:
        plural = resource.rpartition("/")[2]
        return [
            dict(found.raw)
            for (kind, _, _), found in list(self.kmock.objects.items())
            if kind.plural == plural and not found.deleted
        ]

    async def send(self, method: str, path: str, body: Any = None) -> None:
        client = self.kmock.clients[0]
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = await client.request(
            method, self.url + path, json=body, headers={"Content-Type": kind}
        )
        text = await answer.text()
        assert answer.status < 300 or answer.status == 404, text

    async def create(self, name: str, spec: Mapping[str, object]) -> None:
        """A CacheStorm, as `kubectl apply` makes it."""
        metadata = {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        body = {
            "apiVersion": "cachestorm.dev/v1",
            "kind": "CacheStorm",
            "metadata": metadata,
            "spec": dict(spec),
        }
        await self.send("POST", self.path_of("cachestorm.dev/v1", "cachestorms"), body)

    async def change(self, name: str, spec: Mapping[str, object]) -> None:
        generation = self.resource(name)["metadata"]["generation"] + 1
        change = {"spec": dict(spec), "metadata": {"generation": generation}}
        path = self.path_of("cachestorm.dev/v1", "cachestorms", name)
        await self.send("PATCH", path, change)

    async def remove(self, name: str) -> None:
        await self.send("DELETE", self.path_of("cachestorm.dev/v1", "cachestorms", name))

    def resource(self, name: str) -> dict[str, Any]:
        found = self.get("cachestorm.dev/v1/cachestorms", name)
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

    @staticmethod
    def path_of(api: str, plural: str, name: str = "") -> str:
        root = f"/apis/{api}" if "/" in api else f"/api/{api}"
        return f"{root}/namespaces/{NAMESPACE}/{plural}" + (f"/{name}" if name else "")

    # -- controllers

    async def run(self) -> None:
        while not self.is_over:
            await self._control()
            await self._keep()
            await asyncio.sleep(TICK_S)

    async def _control(self) -> None:
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
        metadata["uid"] = f"uid-{name}"
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": template["spec"],
        }
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folder))
        pod = FakePod(name, next(self._addresses), manifest, folder)
        self._mount(pod)
        pod.environment = self._variables(pod)
        self.pods[name] = pod
        await self.send("POST", self.path_of("v1", "pods"), manifest)
        pod.process = self._start(pod)
        await self._report(pod)

    def _mount(self, pod: FakePod) -> None:
        spec = pod.manifest["spec"]
        volumes = {each["name"]: each for each in spec["volumes"]}
        for mount in spec["containers"][0]["volumeMounts"]:
            place = pod.folder / mount["mountPath"].lstrip("/")
            volume = volumes.get(mount["name"])
            if volume is None:
                # of a claim: it stays when the pod goes
                kept = self._folder / f"volume-{mount['name']}-{pod.name}"
                kept.mkdir(exist_ok=True)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(kept)
                continue
            place.mkdir(parents=True, exist_ok=True)
            if "configMap" in volume:
                found = self.get("v1/configmaps", volume["configMap"]["name"]) or {}
                files = found.get("data", {})
            elif "secret" in volume:
                files = self.secret(volume["secret"]["secretName"])
            else:
                files = {}
            for name, text in files.items():
                (place / name).write_text(text)

    def _variables(self, pod: FakePod) -> dict[str, str]:
        found = {}
        if "serviceAccountName" in pod.manifest["spec"]:
            found["KUBECONFIG"] = self.kubeconfig
        facts = {"metadata.name": pod.name, "status.podIP": pod.address}
        for each in pod.manifest["spec"]["containers"][0]["env"]:
            source = each.get("valueFrom", {})
            if "fieldRef" in source:
                text = facts[source["fieldRef"]["fieldPath"]]
            elif "secretKeyRef" in source:
                text = self.secret(source["secretKeyRef"]["name"])[
                    source["secretKeyRef"]["key"]
                ]
            else:
                text = each["value"]
                if text.startswith("/"):
                    text = str(pod.folder / text.lstrip("/"))
            found[each["name"]] = text
        return found

    # -- the kubelet

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        for name, pod in list(self.pods.items()):
            live = self.get("v1/pods", name)
            if live is None or live["metadata"].get("deletionTimestamp"):
                if pod.left_at is None:
                    pod.left_at = loop.time()
                    pod.pre_stop = pre_stop(pod) if pod.is_ready else None
                pod.was_waited_for = pod.pre_stop is not None and pod.pre_stop.poll() == 0
                grace_s = pod.manifest["spec"]["terminationGracePeriodSeconds"]
                if (
                    pod.pre_stop is None
                    or pod.was_waited_for
                    or loop.time() > pod.left_at + grace_s
                ):
                    await self._end(pod, is_there=live is not None)
                continue
            if pod.process is not None and pod.process.poll() is not None:
                pod.process = self._start(pod)
            is_ready = await _answers(pod)
            if is_ready != pod.is_ready:
                pod.is_ready = is_ready
                await self._report(pod)

    async def _report(self, pod: FakePod) -> None:
        condition = {"type": "Ready", "status": "True" if pod.is_ready else "False"}
        status = {"podIP": pod.address, "conditions": [condition]}
        await self.send("PATCH", self.path_of("v1", "pods", pod.name), {"status": status})

    async def _end(self, pod: FakePod, is_there: bool) -> None:
        stop(pod.pre_stop)
        stop(pod.process)
        del self.pods[pod.name]
        self.former.append(pod)
        if is_there:
            change = {"metadata": {"finalizers": []}}
            await self.send("PATCH", self.path_of("v1", "pods", pod.name), change)
        shutil.rmtree(pod.folder)

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


def stop(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def port_of(pod: FakePod) -> int:
    ports = pod.manifest["spec"]["containers"][0]["ports"]
    return next(each["containerPort"] for each in ports if each["name"] == "resp")


async def _answers(pod: FakePod) -> bool:
    try:
        reader, writer = await asyncio.open_connection(pod.address, port_of(pod))
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        async with asyncio.timeout(5):
            return (await reader.readline())[:7] in (b"+PONG\r\n", b"-NOAUTH")
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()


def cachestorm(pod: FakePod) -> subprocess.Popen[bytes]:
    """What the image runs, from this source, at the pod's address."""
    of_image = {
        "CACHESTORM_BIND": pod.address,
        "CACHESTORM_PROTECTED_MODE": "false",
        "CACHESTORM_PERSISTENCE_DATA_DIR": str(pod.folder / "data"),
    }
    if "CACHESTORM_CLUSTER_ADVERTISE_ADDR" in pod.environment:
        of_image["CACHESTORM_CLUSTER_BIND_ADDR"] = pod.address
    log = (pod.folder / "log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-c", START, "serve"],
        env={**environment(), **of_image, **pod.environment},
        stdout=log,
        stderr=log,
    )


def valkey(binary: str) -> Start:
    """Another server that speaks Redis Cluster, with what a pod says of ports and password."""

    def start(pod: FakePod) -> subprocess.Popen[bytes]:
        ports = {
            each["name"]: str(each["containerPort"])
            for each in pod.manifest["spec"]["containers"][0]["ports"]
        }
        argv = [binary, "--port", ports["resp"], "--cluster-port", ports["cluster"]]
        argv += ["--bind", pod.address, "--save", "", "--dir", str(pod.folder / "data")]
        argv += ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]
        # a node without slots stays what it is
        argv += ["--cluster-allow-replica-migration", "no"]
        argv += ["--bind-source-addr", pod.address, "--cluster-announce-ip", pod.address]
        password = pod.environment.get("CACHESTORM_AUTH_PASSWORD_FILE")
        if password:
            argv += ["--requirepass", Path(password).read_text()]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet)

    return start


def pre_stop(pod: FakePod) -> subprocess.Popen[bytes] | None:
    """What the pod is to run before it ends, with a `cachestorm` that looks at its address."""
    hook = pod.manifest["spec"]["containers"][0].get("lifecycle", {}).get("preStop")
    if hook is None:
        return None
    place = pod.folder / "bin" / "cachestorm"
    place.parent.mkdir()
    python = f"{shlex.quote(sys.executable)} -c {shlex.quote(START)}"
    # the command begins with `cli`
    place.write_text(f'#!/bin/sh\nshift\nexec {python} cli -h {pod.address} "$@"\n')
    place.chmod(0o755)
    path = f"{place.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        hook["exec"]["command"],
        env={**environment(), **pod.environment, "PATH": path},
        stdin=subprocess.DEVNULL,
    )


def emulator(library: Any) -> Any:
    """kmock's, which also makes names where only their beginning is given, as of events.

    It forgets former requests, which it would look through for each new one.
    """

    class Emulator(library.KubernetesEmulator):  # type: ignore[misc]
        async def _handle(self, request: Any) -> Any:
            del self._requests[:-50]
            if request.action == library.action.CREATE:
                metadata = request.data.setdefault("metadata", {})
                if "name" not in metadata:
                    metadata["name"] = f"{metadata.get('generateName', '')}{next(NUMBERS)}"
            return await super()._handle(request)

    return Emulator


@asynccontextmanager
async def cluster_running(start: Start) -> AsyncIterator[FakeCluster]:
    """A cluster for as long as the block lasts."""
    folder = str(installed("kmock"))
    if folder not in sys.path:
        # last: what it needs itself is in the environment already
        sys.path.append(folder)
    import kmock as library

    with tempfile.TemporaryDirectory(prefix="cachestorm-kube-") as place:
        async with emulator(library)() as kmock, library.Server(kmock) as server:
            verbs = {"list", "watch", "get", "create", "update", "patch", "delete"}
            for group, version, plural, kind in RESOURCES:
                kmock.resources[library.resource(group, version, plural)] = (
                    library.ResourceInfo(
                        kind=kind, namespaced=True, verbs=verbs, subresources={"status"}
                    )
                )
            cluster = FakeCluster(kmock, str(server.url).rstrip("/"), start, Path(place))
            cluster.task = task = asyncio.create_task(cluster.run())
            try:
                yield cluster
            finally:
                cluster.is_over = True
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                for pod in cluster.pods.values():
                    stop(pod.pre_stop)
                    stop(pod.process)


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
        pytest.fail(f"{cluster.get('cachestorm.dev/v1/cachestorms', name)}\n{logs}")
