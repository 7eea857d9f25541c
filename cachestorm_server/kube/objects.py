"""The objects: what a `CacheStorm` is made of in Kubernetes. Pure.

Called by the planning, with a spec that was read; gives manifests. Who applies them knows
nothing of what is in them.

1. An object says what it owes to the spec and no more, so that fields others have set stay.
2. Pods restart when, and only when, something that they have read at their start has changed.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

import yaml

from cachestorm.errors import CacheStormError
from cachestorm_server.kube.access import NODE_ROLE, network_policy, rights
from cachestorm_server.kube.owner import Manifest, Owner
from cachestorm_server.kube.resource import GROUP, LONGEST_NAME, Spec, SpecError, bytes_of

REVISION: Final = f"{GROUP}/revision"
CONFIG_FILE: Final = "cachestorm.yaml"
PASSWORD: Final = "password"
PREVIOUS: Final = "previous-password"
CLUSTER_SECRET: Final = "cluster-secret"
# both services have the pods, and to scrape one of them is enough
_OF_NODES: Final = {"app.kubernetes.io/component": "nodes"}
SERVICE_MONITORS: Final = "monitoring.coreos.com/v1"
BUDGETS: Final = "policy/v1"
# the groups that an API server may be without, and our kind in each: one is brought by
# Prometheus' operator, the other came with Kubernetes 1.21
OPTIONAL: Final = {BUDGETS: "PodDisruptionBudget", SERVICE_MONITORS: "ServiceMonitor"}
# of the grace period: for what is not about slots
_LAST_S: Final = 10
# the user of the image
_USER: Final = 6380
_WARM: Final = "/warm"
_ZONE: Final = "topology.kubernetes.io/zone"
_HOST: Final = "kubernetes.io/hostname"


def settings(spec: Spec) -> Manifest:
    """The configuration file of each server, as an object."""
    whole: Manifest = {}

    def put(dotted: str, value: object) -> None:
        section = whole
        *path, name = dotted.split(".")
        for part in path:
            inner = section.setdefault(part, {})
            if not isinstance(inner, dict):
                raise SpecError([f"spec.config.custom.{dotted}: {part} is no section"])
            section = inner
        section[name] = value

    put("server.port", spec.port)
    put("http.port", spec.http_port)
    if spec.config.max_memory:
        put("memory.max_memory", bytes_of(spec.config.max_memory))
    put("memory.eviction_policy", spec.config.max_memory_policy)
    if spec.storage.enabled:
        put("persistence.enabled", True)
        put("persistence.aof", spec.storage.persistence_mode == "Both")
    if spec.tiered_storage.enabled:
        put("tiers.warm.path", _WARM)
        put("tiers.warm.max_size", bytes_of(spec.tiered_storage.warm_tier.capacity))
    if spec.is_cluster:
        put("cluster.enabled", True)
        put("cluster.bind_addr", "0.0.0.0")
        put("cluster.bind_port", spec.cluster_port)
        put("cluster.authority", spec.cluster.authority)
    if spec.nodes_decide:
        grace_s = spec.termination_grace_period_seconds
        put("cluster.drain_timeout", f"{max(grace_s - _LAST_S, 1)}s")
    for dotted, value in spec.config.custom.items():
        put(dotted, yaml.safe_load(value))
    return whole


def check(owner: Owner, spec: Spec) -> None:
    """Refuses what the server would refuse at its start.

    Raises:
        SpecError: for all of it.
    """
    from cachestorm_server.config import load

    problems = []
    if len(owner.name) > LONGEST_NAME:
        problems.append(f"metadata.name: at most {LONGEST_NAME} characters")
    try:
        whole = settings(spec)
    except yaml.YAMLError as error:
        raise SpecError([f"spec.config.custom: {error}"]) from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, CONFIG_FILE)
        path.write_text(yaml.safe_dump(whole))
        # what each pod is told of itself
        told = {
            str(each["name"]): owner.name
            for each in _environment(owner, spec)
            if "valueFrom" in each
        }
        try:
            load(str(path), told, {})
        except CacheStormError as error:
            lines = str(error).replace(str(path), "spec.config").splitlines()
            problems += [line.strip() for line in lines[1:] or lines]
    if problems:
        raise SpecError(problems)


def secret(owner: Owner, values: Mapping[str, str]) -> Manifest:
    """What clients and nodes know."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": owner.metadata(owner.secret),
        "type": "Opaque",
        "data": {name: b64encode(value.encode()).decode() for name, value in values.items()},
    }


def config_map(owner: Owner, spec: Spec) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": owner.metadata(f"{owner.name}-config"),
        "data": {CONFIG_FILE: yaml.safe_dump(settings(spec))},
    }


def services(owner: Owner, spec: Spec) -> list[Manifest]:
    """One for clients, and one that gives each pod a name before it is ready."""
    ports = [("resp", spec.port), ("http", spec.http_port)]
    found: list[Manifest] = []
    for name, of_nodes in ((owner.headless, True), (owner.name, False)):
        extra = [("cluster", spec.cluster_port)] if of_nodes and spec.is_cluster else []
        body: Manifest = {
            "selector": owner.labels,
            "ports": [
                {"name": port, "port": number, "targetPort": number, "protocol": "TCP"}
                for port, number in ports + extra
            ],
        }
        if of_nodes:
            body |= {"clusterIP": "None", "publishNotReadyAddresses": True}
        metadata = owner.metadata(name)
        if of_nodes:
            metadata["labels"] = cast(Manifest, metadata["labels"]) | _OF_NODES
        elif spec.service_annotations:
            metadata["annotations"] = dict(spec.service_annotations)
        found.append(
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": body}
        )
    return found


def disruption_budget(owner: Owner) -> Manifest:
    """One node at a time may be taken down by whoever empties a machine."""
    return {
        "apiVersion": BUDGETS,
        "kind": OPTIONAL[BUDGETS],
        "metadata": owner.metadata(owner.name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": owner.labels}},
    }


def service_monitor(owner: Owner, spec: Spec) -> Manifest:
    """For Prometheus' operator."""
    endpoint: Manifest = {"port": "http", "path": "/metrics"}
    if spec.auth.enabled:
        credentials = {"name": owner.secret, "key": PASSWORD}
        endpoint["authorization"] = {"credentials": credentials}
    metadata = owner.metadata(owner.name)
    metadata["labels"] = cast(Manifest, metadata["labels"]) | dict(spec.monitoring.labels)
    return {
        "apiVersion": SERVICE_MONITORS,
        "kind": OPTIONAL[SERVICE_MONITORS],
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": owner.labels | _OF_NODES},
            "endpoints": [endpoint],
        },
    }


def pod_template(owner: Owner, spec: Spec) -> Manifest:
    """Of the StatefulSet, with what tells one revision from another."""
    volumes: list[Manifest] = [
        {"name": "config", "configMap": {"name": f"{owner.name}-config"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    mounts: list[Manifest] = [
        {"name": "config", "mountPath": "/etc/cachestorm", "readOnly": True},
        {"name": "data", "mountPath": "/data"},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    if not spec.storage.enabled:
        volumes.append({"name": "data", "emptyDir": {}})
    if spec.tiered_storage.enabled:
        mounts.append({"name": "warm", "mountPath": _WARM})
    if spec.auth.enabled:
        secret_volume = {"secretName": owner.secret, "defaultMode": 0o440}
        volumes.append({"name": "auth", "secret": secret_volume})
        mounts.append({"name": "auth", "mountPath": "/etc/cachestorm-auth", "readOnly": True})
    container: Manifest = {
        "name": "cachestorm",
        "image": spec.image,
        "imagePullPolicy": spec.image_pull_policy,
        "ports": [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in _named_ports(spec)
        ],
        "env": _environment(owner, spec),
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "startupProbe": _probe(spec.http_port, periodSeconds=2, failureThreshold=300),
        "readinessProbe": _probe(spec.http_port, periodSeconds=5, failureThreshold=2),
        "livenessProbe": _probe(spec.http_port, periodSeconds=10, failureThreshold=6),
    }
    if spec.resources:
        container["resources"] = dict(spec.resources)
    if spec.is_cluster and not spec.storage.enabled and not spec.nodes_decide:
        wait = {"exec": {"command": ["sh", "-c", _until_drained(spec)]}}
        container["lifecycle"] = {"preStop": wait}
    body: Manifest = {
        "containers": [container],
        "volumes": volumes,
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
        "automountServiceAccountToken": spec.nodes_decide,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": dict(spec.affinity) or _apart(owner),
    }
    wishes: Manifest = {
        "imagePullSecrets": [dict(each) for each in spec.image_pull_secrets],
        "tolerations": [dict(each) for each in spec.tolerations],
        "nodeSelector": dict(spec.node_selector),
        "topologySpreadConstraints": [dict(each) for each in spec.topology_spread_constraints],
        "schedulerName": spec.scheduler_name,
        "priorityClassName": spec.priority_class_name,
    }
    if spec.nodes_decide:
        body["serviceAccountName"] = owner.service_account
    body |= {name: wish for name, wish in wishes.items() if wish}
    read_at_start = [body, settings(spec), dict(spec.pod_annotations)]
    text = json.dumps(read_at_start, sort_keys=True)
    revision = hashlib.sha256(text.encode()).hexdigest()[:16]
    notes = {**spec.pod_annotations, REVISION: revision}
    return {"metadata": {"labels": owner.labels, "annotations": notes}, "spec": body}


def revision_of(template: Mapping[str, object]) -> str:
    """What tells pods of this template, or a pod's own metadata, from others."""
    metadata = cast("Mapping[str, object]", template.get("metadata") or {})
    return str(
        cast("Mapping[str, object]", metadata.get("annotations") or {}).get(REVISION, "")
    )


def _named_ports(spec: Spec) -> list[tuple[str, int]]:
    ports = [("resp", spec.port), ("http", spec.http_port)]
    return [*ports, ("cluster", spec.cluster_port)] if spec.is_cluster else ports


def _environment(owner: Owner, spec: Spec) -> list[Manifest]:
    found: list[Manifest] = [
        {"name": "CACHESTORM_CONFIG", "value": f"/etc/cachestorm/{CONFIG_FILE}"}
    ]
    if spec.auth.enabled:
        place = f"/etc/cachestorm-auth/{PASSWORD}"
        found.append({"name": "CACHESTORM_AUTH_PASSWORD_FILE", "value": place})
    if spec.is_cluster:
        found += [
            _from("CACHESTORM_CLUSTER_NODE_NAME", fieldRef={"fieldPath": "metadata.name"}),
            _from("CACHESTORM_CLUSTER_ADVERTISE_ADDR", fieldRef={"fieldPath": "status.podIP"}),
            _from(
                "CACHESTORM_CLUSTER_SECRET",
                secretKeyRef={"name": owner.secret, "key": CLUSTER_SECRET},
            ),
        ]
    if spec.nodes_decide:
        # Leases of several clusters may be in one namespace
        found.append({"name": "CACHESTORM_CLUSTER_KUBERNETES_NAME", "value": owner.name})
    return found


def _until_drained(spec: Spec) -> str:
    """What a pod does before it ends: it waits until its node has no slots.

    They stand behind the last word of its line; the operator moves them away. A server that
    does not answer may have some. The grace period ends the wait when nobody takes them.
    """
    login = 'CACHESTORM_AUTH_PASSWORD="$(cat "$CACHESTORM_AUTH_PASSWORD_FILE")" '
    nodes = f"{login if spec.auth.enabled else ''}cachestorm cli -p {spec.port} cluster nodes"
    return f"until {nodes} | grep myself | grep -q 'connected$'; do sleep 1; done"


def _from(name: str, **source: object) -> Manifest:
    return {"name": name, "valueFrom": source}


def _probe(port: int, **times: object) -> Manifest:
    return {"httpGet": {"path": "/health", "port": port}, "timeoutSeconds": 5, **times}


def _apart(owner: Owner) -> Manifest:
    """On different machines, where there are such."""
    return {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": weight,
                    "podAffinityTerm": {
                        "labelSelector": {"matchLabels": owner.labels},
                        "topologyKey": key,
                    },
                }
                for weight, key in ((100, _HOST), (50, _ZONE))
            ]
        }
    }


def stateful_set(owner: Owner, spec: Spec, replicas: int) -> Manifest:
    """The pods. Which of them restarts when is for the operator to say."""
    body: Manifest = {
        "replicas": replicas,
        "serviceName": owner.headless,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        "selector": {"matchLabels": owner.labels},
        "template": pod_template(owner, spec),
    }
    claims = []
    if spec.storage.enabled:
        storage = spec.storage
        claims.append(_claim(owner, "data", storage.size, storage.storage_class_name))
    if spec.tiered_storage.enabled:
        warm = spec.tiered_storage.warm_tier
        claims.append(_claim(owner, "warm", warm.capacity, warm.storage_class_name))
    if claims:
        body["volumeClaimTemplates"] = claims
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": owner.metadata(owner.name),
        "spec": body,
    }


def _claim(owner: Owner, name: str, size: str, storage_class: str) -> Manifest:
    body: Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    }
    if storage_class:
        body["storageClassName"] = storage_class
    return {"metadata": {"name": name, "labels": owner.labels}, "spec": body}


def all_of(
    owner: Owner,
    spec: Spec,
    replicas: int,
    secrets: Mapping[str, str],
    groups: frozenset[str],
    node_role: str = NODE_ROLE,
) -> list[Manifest]:
    """Every object, in the order that they are to be made.

    Args:
        secrets: what the Secret holds.
        groups: of `OPTIONAL`, those that there are.
        node_role: the ClusterRole that lets nodes have Leases.
    """
    found = [secret(owner, secrets)] if secrets else []
    found += [config_map(owner, spec), *services(owner, spec)]
    if BUDGETS in groups:
        found.append(disruption_budget(owner))
    if spec.network_policy.enabled:
        found.append(network_policy(owner, spec))
    if spec.monitoring.service_monitor and SERVICE_MONITORS in groups:
        found.append(service_monitor(owner, spec))
    if spec.nodes_decide:
        found += rights(owner, node_role)
    return [*found, stateful_set(owner, spec, replicas)]
