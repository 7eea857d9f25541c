"""The access: who reaches the pods, and what the pods may ask of the API server. Pure.

Called by the objects.
"""

from __future__ import annotations

from typing import Final

from cachestorm_server.kube.owner import Manifest, Owner
from cachestorm_server.kube.resource import Spec

OPERATOR_LABELS: Final = {"app.kubernetes.io/name": "cachestorm-operator"}
RIGHTS: Final = "rbac.authorization.k8s.io"
# the ClusterRole of nodes that decide by Leases, where nothing else is said
NODE_ROLE: Final = "cachestorm-nodes"


def network_policy(owner: Owner, spec: Spec) -> Manifest:
    """Clients reach RESP and HTTP, the operator RESP, nodes each other."""
    clients = [dict(peer) for peer in spec.network_policy.peers] or [{"podSelector": {}}]
    rules: list[Manifest] = [
        {"from": clients, "ports": _ports(spec.port, spec.http_port)},
        {
            "from": [
                {"namespaceSelector": {}, "podSelector": {"matchLabels": OPERATOR_LABELS}}
            ],
            "ports": _ports(spec.port),
        },
    ]
    if spec.is_cluster:
        nodes: Manifest = {"podSelector": {"matchLabels": owner.labels}}
        # MIGRATE speaks RESP
        rules.append({"from": [nodes], "ports": _ports(spec.port, spec.cluster_port)})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": owner.metadata(owner.name),
        "spec": {
            "podSelector": {"matchLabels": owner.labels},
            "policyTypes": ["Ingress"],
            "ingress": rules,
        },
    }


def _ports(*numbers: int) -> list[Manifest]:
    return [{"port": number, "protocol": "TCP"} for number in numbers]


def rights(owner: Owner, node_role: str) -> list[Manifest]:
    """What nodes are to the API server that decide by Leases.

    Args:
        node_role: the ClusterRole that lets them have Leases.
    """
    name = owner.service_account
    account: Manifest = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": owner.metadata(name),
    }
    binding: Manifest = {
        "apiVersion": f"{RIGHTS}/v1",
        "kind": "RoleBinding",
        "metadata": owner.metadata(name),
        "roleRef": {"apiGroup": RIGHTS, "kind": "ClusterRole", "name": node_role},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": owner.namespace}],
    }
    return [account, binding]
