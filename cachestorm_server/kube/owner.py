"""The owner: the resource that objects are made for, and how they are called after it. Pure.

Used by the objects and by the reconciling.
"""

from __future__ import annotations

from dataclasses import dataclass

from cachestorm_server.kube.resource import API_VERSION, KIND

Manifest = dict[str, object]


@dataclass(frozen=True, slots=True)
class Owner:
    """The resource that objects are made for."""

    name: str
    namespace: str
    uid: str

    @property
    def labels(self) -> dict[str, str]:
        """What selects the pods."""
        return {
            "app.kubernetes.io/name": "cachestorm",
            "app.kubernetes.io/instance": self.name,
        }

    @property
    def selector(self) -> str:
        return ",".join(f"{name}={value}" for name, value in sorted(self.labels.items()))

    @property
    def headless(self) -> str:
        return f"{self.name}-headless"

    @property
    def secret(self) -> str:
        return f"{self.name}-auth"

    @property
    def service_account(self) -> str:
        return f"{self.name}-nodes"

    def pod(self, ordinal: int) -> str:
        return f"{self.name}-{ordinal}"

    def metadata(self, name: str, **others: object) -> Manifest:
        """Of an object that goes when the resource goes."""
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels | {"app.kubernetes.io/managed-by": "cachestorm-operator"},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": self.name,
                    "uid": self.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
            **others,
        }
