"""The API server, as the reconciling sees it: plain objects, by kind and name.

Called by the reconciling; calls lightkube, whose errors end here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, Final, cast

import httpx2
from lightkube import ApiError, AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.core.resource_registry import resource_registry
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import PatchType

from cachestorm.errors import CacheStormError
from cachestorm_server.kube.access import RIGHTS
from cachestorm_server.kube.facts import Ref
from cachestorm_server.kube.objects import BUDGETS, OPTIONAL, SERVICE_MONITORS
from cachestorm_server.kube.resource import GROUP, KIND, PLURAL, VERSION

Object = Mapping[str, object]

# what a resource is made of, beside its pods
OWNED: Final = (
    ("v1", "Secret"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    (BUDGETS, OPTIONAL[BUDGETS]),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "ServiceAccount"),
    (f"{RIGHTS}/v1", "RoleBinding"),
    ("apps/v1", "StatefulSet"),
    (SERVICE_MONITORS, OPTIONAL[SERVICE_MONITORS]),
)
_RESOURCE: Final = create_namespaced_resource(GROUP, VERSION, KIND, PLURAL)
_GROUP, _, _VERSION = SERVICE_MONITORS.partition("/")
_MONITOR: Final = create_namespaced_resource(
    _GROUP, _VERSION, OPTIONAL[SERVICE_MONITORS], "servicemonitors"
)


class KubeError(CacheStormError):
    """The API server was not reached, or has refused.

    Attributes:
        status: of HTTP; 0 if it was not reached.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status: Final = status


def _class(api_version: str, kind: str) -> Any:
    if api_version == SERVICE_MONITORS:
        return _MONITOR
    return resource_registry.load(api_version, kind)


class Api:
    """One namespace at a time, through one client."""

    def __init__(self, config: KubeConfig | None = None) -> None:
        self._client: Final = AsyncClient(config)

    async def close(self) -> None:
        await self._client.close()

    async def get(self, namespace: str, ref: Ref) -> Object | None:
        """An object; None if there is none."""
        try:
            found = await self._client.get(
                _class(ref.api_version, ref.kind), ref.name, namespace=namespace
            )
        except (ApiError, httpx2.HTTPError) as error:
            if _status(error) == 404:
                return None
            raise _refused(error) from error
        return _plain(found, ref.api_version, ref.kind)

    async def list(
        self, namespace: str, api_version: str, kind: str, labels: Mapping[str, str]
    ) -> list[Object] | None:
        """The objects with some labels; None if there is no such kind."""
        found = []
        try:
            async for each in self._client.list(
                _class(api_version, kind), namespace=namespace, labels=cast(Any, labels)
            ):
                found.append(_plain(each, api_version, kind))
        except (ApiError, httpx2.HTTPError) as error:
            if _status(error) == 404:
                return None
            raise _refused(error) from error
        return [each for each in found if labels.items() <= labels_of(each).items()]

    async def create(self, namespace: str, manifest: Object) -> None:
        ref = Ref.of(manifest)
        made = _class(ref.api_version, ref.kind).from_dict(dict(manifest))
        try:
            await cast(Any, self._client).create(made, namespace=namespace)
        except (ApiError, httpx2.HTTPError) as error:
            raise _refused(error) from error

    async def patch(self, namespace: str, ref: Ref, change: Object) -> None:
        try:
            await self._client.patch(
                _class(ref.api_version, ref.kind),
                ref.name,
                dict(change),
                namespace=namespace,
                patch_type=PatchType.MERGE,
            )
        except (ApiError, httpx2.HTTPError) as error:
            raise _refused(error) from error

    async def delete(self, namespace: str, ref: Ref, grace_s: int | None = None) -> None:
        try:
            await self._client.delete(
                _class(ref.api_version, ref.kind),
                ref.name,
                namespace=namespace,
                grace_period=grace_s,
            )
        except (ApiError, httpx2.HTTPError) as error:
            if _status(error) != 404:
                raise _refused(error) from error

    async def patch_status(self, namespace: str, name: str, status: Object) -> None:
        try:
            await self._client.patch(
                _RESOURCE.Status,
                name,
                {"status": dict(status)},
                namespace=namespace,
                patch_type=PatchType.MERGE,
            )
        except (ApiError, httpx2.HTTPError) as error:
            raise _refused(error) from error

    async def groups(self, namespace: str) -> frozenset[str]:
        """Which of the optional groups there are."""
        return frozenset(
            [
                group
                for group, kind in OPTIONAL.items()
                if await self.list(namespace, group, kind, {}) is not None
            ]
        )

    async def owned(
        self, namespace: str, labels: Mapping[str, str], uid: str, groups: Set[str]
    ) -> dict[Ref, Object]:
        """The objects that were made for a resource.

        Args:
            groups: of the optional ones, those that there are.
        """
        absent = OPTIONAL.keys() - groups
        found = {}
        for api_version, kind in OWNED:
            if api_version in absent:
                continue
            for each in await self.list(namespace, api_version, kind, labels) or []:
                owners = cast("Iterable[Object]", _metadata(each).get("ownerReferences") or [])
                if any(owner.get("uid") == uid for owner in owners):
                    found[Ref.of(each)] = each
        return found


def _metadata(each: Object) -> Object:
    return cast(Object, each.get("metadata") or {})


def labels_of(each: Object) -> dict[str, str]:
    return cast("dict[str, str]", _metadata(each).get("labels") or {})


def _plain(found: Any, api_version: str, kind: str) -> Object:
    return {**found.to_dict(), "apiVersion": api_version, "kind": kind}


def _status(error: Exception) -> int:
    response = getattr(error, "response", None)
    return int(response.status_code) if response is not None else 0


def _refused(error: Exception) -> KubeError:
    status = _status(error)
    return KubeError(f"the API server: {str(error) or type(error).__name__}", status)
