"""The records of a cluster in Kubernetes: a Lease object each.

Made by the joining; called by the governing, in a thread. It speaks to the API server by
lightkube. A record's version is the resource version of its object.

1. A record that is removed leaves an object without a value. The API server deletes what is
   named, whatever its version, if it is asked in this way: a lease that has been renewed would
   go as well.

Source: https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

import httpx2
from lightkube import Client, KubeConfig
from lightkube.core.exceptions import ApiError, LoadResourceError
from lightkube.core.exceptions import ConfigError as KubeConfigError
from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.coordination_v1 import Lease

from cachestorm_server.cluster.records import ABSENT, Record, StoreError

LABEL: Final = "cachestorm.io/cluster"
VALUE: Final = "cachestorm.io/value"

_CONFLICT: Final = 409
_MISSING: Final = 404
_T = TypeVar("_T")


class KubernetesStore:
    """Records of a cluster of this name.

    Args:
        namespace: where the objects are; empty for that of the pod, or of the kubeconfig.
        timeout_s: for one answer.
    """

    def __init__(self, name: str, namespace: str, timeout_s: float) -> None:
        self._name: Final = name
        try:
            self._client: Final = Client(
                config=KubeConfig.from_env().get(),
                namespace=namespace or None,
                timeout=httpx2.Timeout(timeout_s),
            )
        except (KubeConfigError, OSError, ValueError) as error:
            raise StoreError(f"no API server is configured: {error}") from error

    def look(self) -> dict[str, Record]:
        def ask() -> dict[str, Record]:
            found = {}
            for lease in self._client.list(Lease, labels={LABEL: self._name}):
                meta = lease.metadata
                assert meta is not None and meta.name is not None
                value = (meta.annotations or {}).get(VALUE)
                if value is not None:
                    name = meta.name.removeprefix(self._name + "-")
                    version = meta.resourceVersion or ABSENT
                    found[name] = Record(version, base64.b64decode(value))
            return found

        return self._asked(ask)

    def put(self, name: str, value: bytes, version: str) -> str:
        if version != ABSENT:
            return self._replaced(name, value, version)
        try:
            made = self._asked(lambda: self._client.create(self._object(name, value, None)))
        except _ConflictError:
            left = self._left_behind(name)
            return self._replaced(name, value, left) if left != ABSENT else ABSENT
        return _version_of(made)

    def remove(self, name: str, version: str) -> bool:
        return self._replaced(name, None, version) != ABSENT

    def close(self) -> None:
        # lightkube closes its connections with the client
        pass

    def _replaced(self, name: str, value: bytes | None, version: str) -> str:
        wanted = self._object(name, value, version)
        try:
            return _version_of(self._asked(lambda: self._client.replace(wanted)))
        except _ConflictError:
            return ABSENT

    def _left_behind(self, name: str) -> str:
        """The version of an object without a value; ABSENT if there is none."""
        try:
            lease = self._asked(lambda: self._client.get(Lease, f"{self._name}-{name}"))
        except _ConflictError:
            return ABSENT
        annotations = (lease.metadata.annotations if lease.metadata else None) or {}
        return ABSENT if VALUE in annotations else _version_of(lease)

    def _object(self, name: str, value: bytes | None, version: str | None) -> Lease:
        annotations = {} if value is None else {VALUE: base64.b64encode(value).decode()}
        return Lease(
            metadata=ObjectMeta(
                name=f"{self._name}-{name}",
                labels={LABEL: self._name},
                annotations=annotations,
                resourceVersion=version,
            ),
            # for people who look
            spec=LeaseSpec(
                holderIdentity="" if value is None else name,
                renewTime=datetime.now(UTC),
            ),
        )

    def _asked(self, ask: Callable[[], _T]) -> _T:
        try:
            return ask()
        except ApiError as error:
            if error.status.code in (_CONFLICT, _MISSING):
                raise _ConflictError(str(error)) from error
            raise StoreError(f"the API server refuses: {error}") from error
        except (httpx2.HTTPError, LoadResourceError, OSError, ValueError) as error:
            raise StoreError(f"no answer of the API server: {error}") from error


class _ConflictError(StoreError):
    """An object has another version, or is not there."""


def _version_of(lease: Lease) -> str:
    meta = lease.metadata
    return (meta.resourceVersion if meta is not None else None) or ABSENT
