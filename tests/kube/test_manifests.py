"""The manifests of `deploy/` and of the documentation, as Kubernetes takes them."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from cachestorm_server.config import load
from cachestorm_server.kube import objects, resource
from cachestorm_server.kube.owner import Owner
from cachestorm_server.kube.schema import crd

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "cachestorm-operator"
SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
OLDEST, NEWEST = "1.29", "1.37"
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
BLOCKS = re.findall(r"```yaml\n(apiVersion.*?)```", PAGE, re.DOTALL)


def manifests(text: str) -> list[dict[str, object]]:
    return [each for each in yaml.safe_load_all(text) if each]


SOURCES = {
    **{path.name: path.read_text() for path in sorted((DEPLOY / "k8s").glob("*.yaml"))},
    **{f"page {number}": block for number, block in enumerate(BLOCKS)},
}


def test_the_crd_of_the_chart_is_the_one_that_the_code_draws() -> None:
    written = yaml.safe_load((CHART / "crds" / "cachestorm.yaml").read_text())
    assert written == crd(), "write it anew: cachestorm operator crd"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", SOURCES)
def test_each_manifest_is_valid_from_the_oldest_to_the_newest_kubernetes(name, version) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for each in manifests(SOURCES[name]):
        if each["kind"] == resource.KIND:
            jsonschema.validate(each, SCHEMA)
            spec = resource.read(each["spec"])
            if not spec.is_cluster:
                objects.check(Owner(each["metadata"]["name"], "default", "u"), spec)
        else:
            validate.validate(each, version, strict=True)


def test_the_oldest_kubernetes_is_the_same_everywhere() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"
    assert f"Kubernetes {OLDEST} to {NEWEST}" in PAGE


def test_the_variables_of_a_manifest_are_settings(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("secret")
    text = SOURCES["without-operator.yaml"].replace(
        "/etc/cachestorm-auth/password", str(secret)
    )
    (stateful_set,) = [each for each in manifests(text) if each["kind"] == "StatefulSet"]
    container = stateful_set["spec"]["template"]["spec"]["containers"][0]
    given = {each["name"]: each["value"] for each in container["env"]}
    config = load(None, given, {})
    assert (config.password, config.memory.max_memory) == ("secret", 1 << 30)
