"""The Helm chart, linted and rendered by Helm itself."""

from __future__ import annotations

from typing import Any

import pytest
from chart import CHART, helm, rendered

from cachestorm_server.kube import access, api, leading, resource


def rules(made: list[dict[str, Any]]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for each in made:
        for rule in each.get("rules", []):
            for group in rule["apiGroups"]:
                for name in rule["resources"]:
                    found.setdefault((group, name), set()).update(rule["verbs"])
    return found


def test_helm_finds_nothing_wrong_with_it() -> None:
    told = helm().lint(CHART, strict=True)
    assert told["errors"] == []


@pytest.mark.parametrize("version", ["1.29", "1.37"])
@pytest.mark.parametrize(
    "values",
    [{}, {"namespaces": ["a", "b"], "tolerations": [{"operator": "Exists"}], "replicas": 2}],
    ids=["defaults", "namespaces"],
)
def test_what_it_renders_is_valid(values: dict[str, object], version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    made = rendered(**values)
    for each in made:
        validate.validate(each, version, strict=True)
    kinds = [each["kind"] for each in made]
    assert kinds.count("Deployment") == 1
    assert kinds.count("ClusterRole") == 3 - bool(values.get("namespaces"))
    assert kinds.count("RoleBinding") == 1 + len(values.get("namespaces", []))


def test_its_rights_are_those_that_the_operator_uses_and_no_others() -> None:
    given = rules(rendered())
    assert not any("*" in verbs for verbs in given.values())
    plurals = {
        "Secret": "secrets",
        "ConfigMap": "configmaps",
        "Service": "services",
        "PodDisruptionBudget": "poddisruptionbudgets",
        "NetworkPolicy": "networkpolicies",
        "StatefulSet": "statefulsets",
        "ServiceAccount": "serviceaccounts",
        "RoleBinding": "rolebindings",
        "ServiceMonitor": "servicemonitors",
    }
    for version, kind in api.OWNED:
        group = version.partition("/")[0] if "/" in version else ""
        assert {"get", "list", "create", "patch", "delete"} <= given[group, plurals[kind]]
    others = {
        ("", "pods"),
        ("", "persistentvolumeclaims"),
        ("", "events"),
        ("", "namespaces"),
        (resource.GROUP, resource.PLURAL),
        (resource.GROUP, f"{resource.PLURAL}/status"),
        (resource.GROUP, f"{resource.PLURAL}/finalizers"),
        (leading.API_VERSION.partition("/")[0], "leases"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        (access.RIGHTS, "clusterroles"),
    }
    known = {(v.partition("/")[0] if "/" in v else "", plurals[k]) for v, k in api.OWNED}
    assert set(given) == known | others


def test_the_sample_is_a_resource_that_the_operator_takes() -> None:
    assert not [each for each in rendered() if each["kind"] == resource.KIND]
    (sample,) = [
        each for each in rendered(sample={"enabled": True}) if each["kind"] == resource.KIND
    ]
    assert resource.read(sample["spec"]).mode == resource.STANDALONE
    assert sample["metadata"]["name"] == "storm-sample"


def test_nodes_that_decide_by_leases_get_the_role_that_the_operator_may_give() -> None:
    made = rendered()
    (role,) = [each for each in made if each["metadata"]["name"] == "storm-nodes"]
    assert (role["kind"], role["rules"]) == (
        "ClusterRole",
        [
            {
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "verbs": ["get", "list", "create", "update"],
            }
        ],
    )
    (binds,) = [
        rule
        for each in made
        for rule in each.get("rules", [])
        if rule["resources"] == ["clusterroles"]
    ]
    assert (binds["resourceNames"], binds["verbs"]) == (["storm-nodes"], ["bind"])
    (deployment,) = [each for each in made if each["kind"] == "Deployment"]
    environment = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "CACHESTORM_NODE_ROLE", "value": "storm-nodes"} in environment
