"""The leading: which of several operators acts, by a Lease of Kubernetes.

Called by the operator. The holder renews; another takes over a lease that was not renewed in
time. Who loses it stops acting at once, and ends.

Source: `leaderelection` of Kubernetes' Go client, whose times these are.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, cast

from cachestorm_server.kube.api import Api, KubeError
from cachestorm_server.kube.facts import Ref

LEASE_S: Final = 15
RETRY_S: Final = 2.0
API_VERSION: Final = "coordination.k8s.io/v1"


class Lease:
    """One operator's claim.

    Args:
        identity: of this operator: the name of its pod.
        lost: called when another operator has the lease.

    Attributes:
        is_held: it is this operator that acts.
    """

    def __init__(
        self,
        namespace: str,
        identity: str,
        name: str = "cachestorm-operator",
        lost: Callable[[], None] = lambda: None,
        lease_s: float = LEASE_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._namespace: Final = namespace
        self._identity: Final = identity
        self._ref: Final = Ref(API_VERSION, "Lease", name)
        self._lost: Final = lost
        self._lease_s: Final = lease_s
        self._retry_s: Final = retry_s
        self._renewed_at = 0.0
        # what was seen of another's, and when: clocks of machines differ, ours does not
        self._seen: tuple[str, float] = ("", 0.0)
        self._task: asyncio.Task[None] | None = None

    @property
    def is_held(self) -> bool:
        return time.monotonic() < self._renewed_at + self._lease_s

    async def acquire(self, api: Api) -> None:
        """Waits until it is this operator's turn, and renews from then on."""
        while not await self.tried(api):
            await asyncio.sleep(self._retry_s)
        self._task = asyncio.create_task(self._renewed(api))

    async def release(self, api: Api) -> None:
        """Lets the next one begin at once."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self.is_held:
            self._renewed_at = 0.0
            with contextlib.suppress(KubeError):
                change = {"spec": {"holderIdentity": ""}}
                await api.patch(self._namespace, self._ref, change)

    async def tried(self, api: Api) -> bool:
        """Takes or renews it, unless another has it. Says whether this operator has it."""
        began = time.monotonic()
        try:
            live = await api.get(self._namespace, self._ref)
            spec = {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": max(int(self._lease_s), 1),
                "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            }
            if live is None:
                metadata = {"name": self._ref.name, "namespace": self._namespace}
                await api.create(
                    self._namespace,
                    {
                        "apiVersion": API_VERSION,
                        "kind": "Lease",
                        "metadata": metadata,
                        "spec": spec,
                    },
                )
            elif not self._may_take(live):
                return False
            else:
                # the version has Kubernetes refuse all but one of those who try
                version = cast("Mapping[str, object]", live["metadata"]).get("resourceVersion")
                change = {"metadata": {"resourceVersion": version}, "spec": spec}
                await api.patch(self._namespace, self._ref, change)
        except KubeError:
            return False
        self._renewed_at = began
        return True

    def _may_take(self, live: Mapping[str, object]) -> bool:
        spec = cast("Mapping[str, object]", live.get("spec") or {})
        holder = spec.get("holderIdentity")
        if not holder or holder == self._identity:
            return True
        told = f"{holder} {spec.get('renewTime')}"
        now = time.monotonic()
        if told != self._seen[0]:
            self._seen = (told, now)
        duration = float(cast(float, spec.get("leaseDurationSeconds") or self._lease_s))
        return now >= self._seen[1] + duration

    async def _renewed(self, api: Api) -> None:
        while await self.tried(api) or self.is_held:
            await asyncio.sleep(self._retry_s)
        self._lost()
