"""The resource, its schema and its objects, as Kubernetes and people take them."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from simulated_cluster import OWNER, desired, merged

from cachestorm_server.kube import merging, objects, resource
from cachestorm_server.kube.nodes import seen
from cachestorm_server.kube.resource import Spec, SpecError
from cachestorm_server.kube.schema import crd

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
EVERYTHING = Spec(
    mode="standalone",
    replicas=1,
    image_pull_secrets=({"name": "registry"},),
    resources={"requests": {"cpu": "1", "memory": "2Gi"}},
    storage=replace(Spec().storage, enabled=True, storage_class_name="fast"),
    config=resource.ServerSettings("1Gi", "allkeys-lru", {"plugins.slowlog.threshold": "5ms"}),
    tiered_storage=replace(Spec().tiered_storage, enabled=True),
    node_selector={"disk": "ssd"},
    tolerations=({"key": "cache", "operator": "Exists"},),
    topology_spread_constraints=(
        {
            "maxSkew": 1,
            "topologyKey": "zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": OWNER.labels},
        },
    ),
    scheduler_name="other",
    priority_class_name="high",
    pod_annotations={"team": "x"},
    service_annotations={"lb": "internal"},
)
BY_LEASES = Spec(cluster=resource.Cluster("kubernetes"))
SPECS = [
    pytest.param(Spec(), id="defaults"),
    pytest.param(EVERYTHING, id="everything"),
    pytest.param(BY_LEASES, id="by leases"),
]
ALL_GROUPS = frozenset(objects.OPTIONAL)


def defaulted(schema: dict[str, object], value: dict[str, object]) -> dict[str, object]:
    """An object with the defaults of a schema, as the API server fills them in."""
    whole = dict(value)
    for name, inner in schema.get("properties", {}).items():
        if name not in whole and "default" in inner:
            whole[name] = inner["default"]
        if isinstance(whole.get(name), dict):
            whole[name] = defaulted(inner, whole[name])
    return whole


def test_an_empty_spec_is_given_the_defaults_of_the_dataclasses() -> None:
    filled = defaulted(SCHEMA, {})["spec"]
    assert resource.read(filled) == Spec() == resource.read({})


@pytest.mark.parametrize("spec", SPECS)
def test_what_is_read_is_what_was_written_and_the_schema_takes_it(spec: Spec) -> None:
    written = resource.plain(spec)
    jsonschema.validate({"spec": written}, SCHEMA)
    assert resource.plain(resource.read(written)) == written


def test_all_that_is_wrong_is_told_at_once_each_with_its_field() -> None:
    given = {
        "replicas": 0,
        "mode": "sharded",
        "storage": {"size": "many", "enabled": "yes"},
        "tolerations": {},
        "colour": "red",
    }
    with pytest.raises(SpecError) as refused:
        resource.read(given)
    assert refused.value.problems == [
        "spec.replicas: 0 is refused: a number from 1 to 1000",
        "spec.mode: 'sharded' is refused: one of cluster, standalone",
        "spec.storage.size: 'many' is refused: a size such as 10Gi",
        "spec.storage.enabled: 'yes' is not true or false",
        "spec.tolerations: {} is not a list",
        "spec.colour: there is no such field",
    ]


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        ({"replicas": 0}, False),
        ({"replicas": 1001}, False),
        ({"mode": "sharded"}, False),
        ({"storage": {"size": "many"}}, False),
        ({"config": {"maxMemory": "256Mi"}}, True),
        ({"config": {"maxMemory": ""}}, True),
        ({"config": {"maxMemoryPolicy": "random"}}, False),
        ({"upgradePolicy": "Restart"}, True),
        ({"port": 70000}, False),
    ],
)
def test_the_schema_and_the_operator_refuse_the_same(given, is_taken) -> None:
    errors = list(jsonschema.Draft202012Validator(SCHEMA).iter_errors({"spec": given}))
    assert (errors == []) is is_taken
    if is_taken:
        resource.read(given)
    else:
        with pytest.raises(SpecError):
            resource.read(given)


def test_a_rule_of_two_fields_is_in_the_schema_too() -> None:
    with pytest.raises(SpecError, match="a standalone server is one"):
        resource.read({"mode": "standalone", "replicas": 2})
    with pytest.raises(SpecError, match="a standalone server has all slots"):
        resource.read(
            {"mode": "standalone", "replicas": 1, "cluster": {"authority": "kubernetes"}}
        )
    rules = SCHEMA["properties"]["spec"]["x-kubernetes-validations"]
    assert [rule["rule"] for rule in rules] == [
        "self.mode == 'cluster' || self.replicas == 1",
        "self.mode == 'cluster' || self.cluster.authority == 'static'",
    ]


def test_what_is_fixed_cannot_change() -> None:
    with pytest.raises(SpecError) as refused:
        resource.read({"port": 7000, "image": "other"}, before={})
    assert refused.value.problems == [
        "spec.port: cannot change from 6380 to 7000; make another resource"
    ]
    fixed = SCHEMA["properties"]["spec"]["properties"]["port"]["x-kubernetes-validations"]
    assert [rule["rule"] for rule in fixed] == ["self == oldSelf"]


def test_a_setting_that_the_server_refuses_is_refused_with_its_name() -> None:
    config = resource.ServerSettings(
        custom={"plugins.slowlog.treshold": "5ms", "http.port": "x"}
    )
    with pytest.raises(SpecError) as refused:
        objects.check(OWNER, Spec(mode="standalone", replicas=1, config=config))
    text = str(refused.value)
    assert "plugins.slowlog.treshold: no such setting" in text
    assert "http.port: 'x' is refused" in text
    assert "/tmp" not in text


def test_every_setting_of_the_file_is_one_that_the_server_has() -> None:
    for spec in (EVERYTHING, Spec(), BY_LEASES):
        objects.check(OWNER, spec)
    with pytest.raises(SpecError, match=r"metadata\.name: at most 45 characters"):
        objects.check(replace(OWNER, name="n" * 46), EVERYTHING)


@pytest.mark.parametrize("version", ["1.29", "1.37"])
@pytest.mark.parametrize("spec", SPECS)
def test_the_objects_are_valid_from_the_oldest_to_the_newest_kubernetes(version, spec) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    made = objects.all_of(OWNER, spec, 3, {"password": "x"}, ALL_GROUPS)
    assert "ServiceMonitor" in [each["kind"] for each in made]
    for each in [*made, crd()]:
        if each["kind"] != "ServiceMonitor":
            validate.validate(each, version, strict=True)


@pytest.mark.parametrize("group", objects.OPTIONAL)
def test_what_an_api_server_does_not_have_is_not_made(group: str) -> None:
    def kinds(groups: frozenset[str]) -> set[str]:
        return {each["kind"] for each in objects.all_of(OWNER, Spec(), 3, {}, groups)}

    assert kinds(ALL_GROUPS) - kinds(ALL_GROUPS - {group}) == {objects.OPTIONAL[group]}


def test_a_wish_that_is_left_out_leaves_nothing_behind() -> None:
    bare = objects.all_of(
        OWNER, replace(Spec(), auth=resource.Auth(enabled=False)), 3, {}, ALL_GROUPS
    )
    text = yaml.safe_dump(bare)
    assert "nodeSelector" not in text
    assert "AUTH_PASSWORD" not in text
    (monitor,) = [each for each in bare if each["kind"] == "ServiceMonitor"]
    assert monitor["spec"]["endpoints"] == [{"port": "http", "path": "/metrics"}]


def test_pods_restart_for_what_they_read_at_their_start_alone() -> None:
    def revision(**changes: object) -> str:
        return desired(replace(Spec(), **changes)).revision

    same = revision()
    assert revision(replicas=5) == same
    assert revision(service_annotations={"a": "b"}) == same
    assert revision(image="cachestorm:2") != same
    assert revision(config=resource.ServerSettings("1Gi")) != same
    assert revision(pod_annotations={"restart": "today"}) != same


def test_nodes_that_decide_by_leases_may_ask_for_them_and_others_ask_for_nothing() -> None:
    def pod(spec: Spec) -> dict[str, Any]:
        return objects.pod_template(OWNER, spec)["spec"]

    made = objects.all_of(OWNER, BY_LEASES, 3, {}, frozenset(), "their-role")
    (binding,) = [each for each in made if each["kind"] == "RoleBinding"]
    assert binding["roleRef"]["name"] == "their-role"
    account = pod(BY_LEASES)["serviceAccountName"]
    assert [each["name"] for each in binding["subjects"]] == [account]
    assert [each["metadata"]["name"] for each in made if each["kind"] == "ServiceAccount"] == [
        account
    ]
    assert pod(BY_LEASES)["automountServiceAccountToken"] is True
    # it hands its slots over as it ends
    assert "lifecycle" not in pod(BY_LEASES)["containers"][0]
    told = objects.settings(BY_LEASES)["cluster"]
    assert (told["authority"], told["drain_timeout"]) == ("kubernetes", "290s")
    assert pod(Spec())["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod(Spec())
    kinds = {each["kind"] for each in objects.all_of(OWNER, Spec(), 3, {}, frozenset())}
    assert not kinds & {"ServiceAccount", "RoleBinding"}


def test_secrets_are_in_the_secret_alone() -> None:
    made = objects.all_of(
        OWNER, Spec(), 3, {"password": "s3cret", "cluster-secret": "t"}, ALL_GROUPS
    )
    told = yaml.safe_dump([merging.marked(each) for each in made])
    encoded = base64.b64encode(b"s3cret").decode()
    assert "s3cret" not in told
    assert told.count(encoded) == 1


def test_an_object_that_was_made_needs_no_change_also_as_a_server_gives_it_back() -> None:
    wanted = desired(EVERYTHING).stateful_set
    live = merging.marked(wanted)
    assert merging.patch(wanted, live) == {}
    # what Kubernetes adds and writes anew
    given_back = merged(live, {"status": {"replicas": 3}, "metadata": {"uid": "u"}})
    template = given_back["spec"]["template"]
    container = template["spec"]["containers"][0]
    container = {**container, "terminationMessagePath": "/dev/termination-log"}
    container["resources"] = {"requests": {"cpu": "1000m", "memory": "2048Mi"}}
    given_back = merged(
        given_back, {"spec": {"template": {"spec": {"containers": [container]}}}}
    )
    assert merging.patch(wanted, given_back) == {}


def test_what_is_not_wanted_any_more_is_taken_out_and_what_others_set_stays() -> None:
    before = {"metadata": {"name": "x"}, "spec": {"a": 1, "b": {"c": 2, "d": 3}}}
    live = merged(merging.marked(before), {"spec": {"theirs": 5}})
    wanted = {"metadata": {"name": "x"}, "spec": {"a": 1, "b": {"c": 2}}}
    change = merging.patch(wanted, live)
    assert change["spec"] == {"b": {"d": None}}
    after = merged(live, change)
    assert after["spec"] == {"a": 1, "b": {"c": 2}, "theirs": 5}
    assert merging.patch(wanted, after) == {}
    edited = merged(after, {"metadata": {"annotations": {merging.APPLIED: "what?"}}})
    assert merging.patch(wanted, merged(edited, merging.patch(wanted, edited))) == {}


def test_what_a_node_says_of_the_cluster_is_read() -> None:
    nodes = (
        "aa 10.0.0.1:6380@7946 myself,master - 0 0 1 connected 0-2 7 [2->-bb] [9-<-bb]\n"
        "bb 10.0.0.2:6380@7946 master - 0 0 2 connected 8-9\n"
        "cc :0@0 master,noaddr - 0 0 2 disconnected\n"
    )
    node = seen(nodes, "cluster_state:ok\r\ncluster_size:2\r\n")
    assert node.id == "aa"
    assert node.own == {0, 1, 2, 7}
    assert node.shares["bb"] == {8, 9}
    assert node.known == {"bb"}
    assert (node.moving, node.coming, node.is_ok) == ({2: "bb"}, {9: "bb"}, True)


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
@pytest.mark.parametrize(
    ("said", "is_empty"),
    [
        ("aa 10.0.0.1:6380@7946 myself,master - 0 0 1 connected", True),
        ("aa 10.0.0.1:6380@7946 myself,master - 0 0 1 connected 0-2", False),
        ("aa 10.0.0.1:6380@7946 myself,master - 0 0 1 connected [2->-bb]", False),
        ("bb 10.0.0.1:6380@7946 master - 0 0 1 connected", False),
    ],
)
def test_a_pod_waits_before_it_ends_until_its_node_has_said_that_it_has_no_slots(
    tmp_path, said, is_empty
) -> None:
    container = objects.pod_template(OWNER, Spec(port=7001))["spec"]["containers"][0]
    (tmp_path / "password").write_text("s3cret")
    program = tmp_path / "cachestorm"
    program.write_text(
        f'#!/bin/sh\n[ "$CACHESTORM_AUTH_PASSWORD $*" = "s3cret cli -p 7001 cluster nodes" ] '
        f"&& echo '{said}'\n"
    )
    program.chmod(0o755)
    # what it does before it looks again
    sleep = tmp_path / "sleep"
    sleep.write_text("#!/bin/sh\nkill -9 $PPID\n")
    sleep.chmod(0o755)
    done = subprocess.run(
        container["lifecycle"]["preStop"]["exec"]["command"],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "CACHESTORM_AUTH_PASSWORD_FILE": str(tmp_path / "password"),
        },
        check=False,
    )
    assert (done.returncode == 0) is is_empty
