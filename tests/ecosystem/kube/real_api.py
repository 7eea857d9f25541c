"""A cluster with Kubernetes' own API server and controllers, which `make test-kube` builds.

The StatefulSet controller makes the pods and the garbage collector removes what is owned; only
the kubelet is ours. The operator and the nodes have the rights that the Helm chart gives them.
Addresses, ports and certificates are of one test and go with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from chart import rendered
from fake_cluster import NAMESPACE, FakeCluster, kubelet_running
from fake_kubelet import FakePod, Start
from real_servers import free_port, stop

from cachestorm_server.kube.access import RIGHTS
from cachestorm_server.kube.schema import crd

# who calls by which token: the accounts are those of a release `cachestorm` of the chart and of
# the nodes of a resource `demo`
ADMIN, OPERATOR, NODES = "of-the-tests", "of-the-operator", "of-the-nodes"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}"
USERS = f"""\
{ADMIN},admin,admin,system:masters
{OPERATOR},{ACCOUNT}:cachestorm,operator
{NODES},{ACCOUNT}:demo-nodes,nodes
"""
MACHINE = "machine"
# of one request, and of a start, on a busy machine
PATIENCE_S = 120
# those whose work is seen by a user of the operator
CONTROLLERS = "statefulset,garbagecollector,pvc-protection,disruption"


def binary(name: str) -> str:
    """What was built, or what is installed."""
    folder = os.environ.get("KUBE_BINARIES", "build/kube")
    found = shutil.which(name, path=f"{folder}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.fail(f"there is no {name} in {folder}: make test-kube builds it")
    return found


def manifest(api_version: str, kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}


class Programs:
    """The programs of a control plane; they end with the block, the last one first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._commands: dict[str, list[str]] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Programs:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes.values()):
            stop(process)

    def start(self, name: str, **flags: object) -> None:
        argv = [f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items()]
        self._commands[name] = [binary(name), *argv]
        self._begin(name)

    def _begin(self, name: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                self._commands[name], stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        self._processes[name].kill()
        self._processes[name].wait()

    def restart(self, name: str) -> None:
        self.kill(name)
        self._begin(name)

    def told(self) -> str:
        """The ends of what they have logged."""
        logs = sorted(self._folder.glob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text()[-3000:]}" for log in logs)


class RealCluster(FakeCluster):
    """What the API server has; pods get a machine and a process."""

    unreachable = (httpx2.HTTPError,)

    def __init__(self, url: str, start: Start, folder: Path, programs: Programs) -> None:
        super().__init__(url, start, folder, OPERATOR)
        self.programs = programs
        self.kubeconfig = str(kubeconfig(folder, url, NODES))
        self._client = httpx2.Client(
            base_url=url,
            verify=False,
            headers={"Authorization": f"Bearer {ADMIN}"},
            timeout=PATIENCE_S,
        )

    def close(self) -> None:
        self._client.close()

    async def wait_for(self, path: str) -> None:
        """Waits until there is something at a path."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await asyncio.to_thread(self._is_there, path):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(self.programs.told())

    def _is_there(self, path: str) -> bool:
        try:
            return self._client.get(path).status_code == 200
        except httpx2.HTTPError:
            return False

    def _ask(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        content = None if body is None else json.dumps(body)
        answer = self._client.request(
            method, path, content=content, headers={"Content-Type": kind}
        )
        if answer.is_server_error:
            answer.raise_for_status()
        assert answer.is_success or answer.status_code == 404, answer.text
        return answer

    def _read(self, path: str) -> dict[str, Any] | None:
        answer = self._ask("GET", path)
        return dict(answer.json()) if answer.is_success else None

    def get(self, resource: str, name: str) -> dict[str, Any] | None:
        api, _, plural = resource.rpartition("/")
        return self._read(self.path_of(api, plural, name))

    def all(self, resource: str) -> list[dict[str, Any]]:
        api, _, plural = resource.rpartition("/")
        found = self._read(self.path_of(api, plural))
        return list(found["items"]) if found else []

    async def send(self, method: str, path: str, body: Any = None) -> None:
        await asyncio.to_thread(self._ask, method, path, body)

    async def control(self) -> None:
        for each in self.all("v1/pods"):
            metadata = each["metadata"]
            if metadata["name"] in self.pods or metadata.get("deletionTimestamp"):
                continue
            if "nodeName" not in each["spec"]:
                await self._bind(metadata["name"])
            await self.start(self.prepared(each))

    async def _bind(self, name: str) -> None:
        """What a scheduler does: it says on which machine a pod is to run."""
        target = {"apiVersion": "v1", "kind": "Node", "name": MACHINE}
        body = {**manifest("v1", "Binding", name), "target": target}
        await self.send("POST", self.path_of("v1", "pods", name) + "/binding", body)

    async def report(self, pod: FakePod) -> None:
        is_ready = "True" if pod.is_ready else "False"
        conditions = [
            {"type": kind, "status": is_ready} for kind in ("ContainersReady", "Ready")
        ]
        status = {
            "phase": "Running",
            "podIP": pod.address,
            "podIPs": [{"ip": pod.address}],
            "conditions": conditions,
        }
        path = self.path_of("v1", "pods", pod.name) + "/status"
        # another pod may have the name by now
        change = {"metadata": {"uid": pod.uid}, "status": status}
        await self.send("PATCH", path, change)

    async def forget(self, pod: FakePod) -> None:
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid}}
        await self.send("DELETE", self.path_of("v1", "pods", pod.name), body)


def start_storage(programs: Programs, folder: Path) -> str:
    url, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    programs.start(
        "etcd",
        data_dir=folder / "etcd",
        listen_client_urls=url,
        advertise_client_urls=url,
        listen_peer_urls=peers,
        initial_advertise_peer_urls=peers,
        initial_cluster=f"default={peers}",
        log_level="warn",
    )
    return url


def start_api_server(programs: Programs, folder: Path, storage: str) -> str:
    port = free_port()
    key = folder / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    tokens = folder / "tokens.csv"
    tokens.write_text(USERS)
    programs.start(
        "kube-apiserver",
        etcd_servers=storage,
        bind_address="127.0.0.1",
        advertise_address="127.0.0.1",
        secure_port=port,
        insecure_port=0,
        cert_dir=folder / "certificates",
        token_auth_file=tokens,
        authorization_mode="RBAC",
        service_account_issuer="https://localhost",
        service_account_key_file=key,
        service_account_signing_key_file=key,
        service_cluster_ip_range="10.0.0.0/24",
        # no controller makes the accounts that it would wait for
        disable_admission_plugins="ServiceAccount",
        endpoint_reconciler_type="none",
    )
    return f"https://127.0.0.1:{port}"


def kubeconfig(folder: Path, url: str, token: str) -> Path:
    """A file by which a program reaches the API server."""
    cluster = {"server": url, "insecure-skip-tls-verify": True}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "we", "user": {"token": token}}],
        "contexts": [{"name": "here", "context": {"cluster": "it", "user": "we"}}],
        "current-context": "here",
    }
    path = folder / f"kubeconfig-{token}"
    path.write_text(json.dumps(config))
    return path


def start_controllers(programs: Programs, folder: Path, url: str) -> None:
    programs.start(
        "kube-controller-manager",
        kubeconfig=kubeconfig(folder, url, ADMIN),
        controllers=CONTROLLERS,
        leader_elect="false",
        bind_address="127.0.0.1",
        secure_port=free_port(),
        port=0,
        cert_dir=folder / "certificates-of-controllers",
    )


async def _install(cluster: RealCluster) -> None:
    """What is there before an operator is: a machine, our kind of resources, and rights."""
    await cluster.send("POST", "/api/v1/nodes", manifest("v1", "Node", MACHINE))
    kinds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await cluster.send("POST", kinds, crd())
    for each in rendered("cachestorm", NAMESPACE):
        if each["apiVersion"] == f"{RIGHTS}/v1":
            path = cluster.path_of(each["apiVersion"], f"{each['kind'].lower()}s")
            if each["kind"].startswith("Cluster"):
                path = path.replace(f"/namespaces/{NAMESPACE}", "")
            await cluster.send("POST", path, each)
    await cluster.wait_for(cluster.path_of("cachestorm.dev/v1", "cachestorms"))


@asynccontextmanager
async def real_cluster_running(start: Start) -> AsyncIterator[FakeCluster]:
    """A cluster for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="cachestorm-kube-") as place:
        folder = Path(place)
        with Programs(folder) as programs:
            url = start_api_server(programs, folder, start_storage(programs, folder))
            cluster = RealCluster(url, start, folder, programs)
            try:
                await cluster.wait_for("/readyz")
                await cluster.wait_for(f"/api/v1/namespaces/{NAMESPACE}")
                await _install(cluster)
                start_controllers(programs, folder, url)
                async with kubelet_running(cluster):
                    yield cluster
            finally:
                cluster.close()
