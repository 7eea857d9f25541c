"""The commands of `docs/kubernetes.md`, by `kubectl` and on a real API server."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from fake_cluster import until
from fake_kubelet import cachestorm, free_shared_port
from operating import cluster_running, operator_running
from real_api import ADMIN, RealCluster, kubeconfig

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("KUBE_API") != "real", reason="`make test-kube` has a real API server"
    ),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl"),
]

MANIFESTS = Path(__file__).resolve().parents[3] / "deploy" / "k8s"
# of one command, on a busy machine
PATIENCE_S = 300


def of_free_ports(manifest: Path, **others: object) -> str:
    """A manifest, with ports that nobody has on the machine of the tests."""
    found = yaml.safe_load(manifest.read_text())
    ports = {name: free_shared_port() for name in ("port", "httpPort", "clusterPort")}
    found["spec"] |= {**ports, **others}
    return yaml.safe_dump(found)


def test_kubectl_applies_waits_shows_explains_scales_and_deletes(tmp_path: Path) -> None:
    async def story() -> None:
        async with cluster_running(cachestorm) as cluster, operator_running(cluster):
            assert isinstance(cluster, RealCluster)
            config = kubeconfig(tmp_path, cluster.url, ADMIN)

            async def kubectl(*words: str, given: str = "") -> str:
                done = await asyncio.to_thread(
                    subprocess.run,
                    ["kubectl", f"--kubeconfig={config}", *words],
                    input=given,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE_S,
                )
                assert done.returncode == 0, done.stderr
                return str(done.stdout)

            given = of_free_ports(MANIFESTS / "cluster.yaml", replicas=1)
            told = await kubectl("apply", "-f", "-", given=given)
            assert told == "cachestorm.cachestorm.dev/cache created\n"
            wait = ("wait", "cachestorm/cache", "--for=condition=Ready")
            await kubectl(*wait, f"--timeout={PATIENCE_S}s")
            titles, line = (
                each.split() for each in (await kubectl("get", "storm")).splitlines()
            )
            assert titles == ["NAME", "REPLICAS", "READY", "PHASE", "CLUSTER", "MOVING", "AGE"]
            assert line[:-1] == ["cache", "1", "1", "Running", "ok", "0"]
            await kubectl("scale", "storm/cache", "--replicas=2")
            await until(lambda: cluster.is_ready("cache"), cluster, "cache")
            assert sorted(cluster.pods) == ["cache-0", "cache-1"]
            secret = await kubectl(
                "get", "secret", "cache-auth", "-o", "jsonpath={.data.password}"
            )
            assert secret
            assert "Serving" in await kubectl("describe", "storm", "cache")
            await kubectl("delete", "storm/cache", f"--timeout={PATIENCE_S}s")
            await until(lambda: not cluster.pods, cluster, "cache")

    asyncio.run(story())


def test_kubectl_explains_every_field(tmp_path: Path) -> None:
    async def story() -> None:
        async with cluster_running(cachestorm) as cluster:
            config = kubeconfig(tmp_path, cluster.url, ADMIN)

            def explained() -> bool:
                words = ["kubectl", f"--kubeconfig={config}", "explain", "--recursive"]
                done = subprocess.run(
                    [*words, "cachestorm.spec"], capture_output=True, text=True
                )
                return all(
                    name in done.stdout for name in ("maxMemoryPolicy", "reclaim", "rotation")
                )

            # the API server describes a new kind after a while
            await until(explained, cluster)

    asyncio.run(story())
