"""The operator: which resources there are, and when each is looked after.

Called by `cachestorm operator run`; calls kopf, which watches, and the reconciling.

1. One daemon looks after one resource, so no two plans for it are ever made at once. Events
   only wake it up: what has happened is read anew.
2. Only the holder of the lease does anything, where several operators run.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import kopf
from lightkube.config.kubeconfig import KubeConfig

from cachestorm_server.kube import objects
from cachestorm_server.kube.access import NODE_ROLE
from cachestorm_server.kube.api import Api
from cachestorm_server.kube.leading import Lease
from cachestorm_server.kube.reconciling import Check, Reconciler
from cachestorm_server.kube.resource import GROUP, PLURAL, VERSION

FINALIZER: Final = f"{GROUP}/operator"
# after which a resource is looked at, whatever has happened
IDLE_S: Final = 30.0
WAITING_S: Final = 5.0
STOPPING_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a resource is looked at.

    Attributes:
        idle_s: when all is as it is wanted.
        waiting_s: when something is awaited, or has failed.
    """

    idle_s: float = IDLE_S
    waiting_s: float = WAITING_S


class Operator:
    """What kopf calls.

    Args:
        config: how the API server is reached; None: as in a pod, or by the user's own file.
        lease: which of several operators acts; None: this one.
        check: refuses what a server would refuse.
        node_role: the ClusterRole that lets nodes have Leases.
    """

    def __init__(
        self,
        config: KubeConfig | None = None,
        pace: Pace | None = None,
        lease: Lease | None = None,
        check: Check = objects.check,
        node_role: str = NODE_ROLE,
    ) -> None:
        self._api: Final = Api(config)
        self._pace: Final = pace or Pace()
        self._lease: Final = lease
        self._reconciler: Final = Reconciler(self._api, check, node_role=node_role)
        self._is_closed = False
        self._leading: asyncio.Task[None] | None = None
        self._woken: Final[defaultdict[tuple[str, str], asyncio.Event]] = defaultdict(
            asyncio.Event
        )

    @property
    def _acts(self) -> bool:
        return self._lease is None or self._lease.is_held

    def registry(self) -> kopf.OperatorRegistry:
        """What kopf is to call when."""
        registry = kopf.OperatorRegistry()
        here = (GROUP, VERSION, PLURAL)
        kopf.on.startup(registry=registry)(self._configured)
        kopf.on.cleanup(registry=registry)(self._closed)
        # a step is finished before the end, if it can be
        gently = kopf.daemon(
            *here,
            registry=registry,
            cancellation_backoff=STOPPING_S,
            cancellation_timeout=STOPPING_S,
            cancellation_polling=1.0,
            backoff=self._pace.waiting_s,
        )
        gently(self._kept)
        kopf.on.delete(*here, registry=registry)(self._deleted)
        kopf.on.event(*here, registry=registry)(self._changed)
        labels = {"app.kubernetes.io/managed-by": "cachestorm-operator"}
        kopf.on.event("apps", "v1", "statefulsets", labels=labels, registry=registry)(
            self._changed_part
        )
        pods = {"app.kubernetes.io/name": "cachestorm"}
        kopf.on.event("", "v1", "pods", labels=pods, registry=registry)(self._changed_part)
        return registry

    async def _configured(self, settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.persistence.finalizer = FINALIZER
        settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
        settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
        # an event is for people; the log has what is beneath
        settings.posting.loggers = False
        if self._lease is not None:
            # meanwhile it watches, and says that it is alive
            self._leading = asyncio.create_task(self._lease.acquire(self._api))

    async def _closed(self, **_: Any) -> None:
        # daemons that kopf has not stopped
        self._is_closed = True
        for woken in self._woken.values():
            woken.set()
        if self._lease is not None and self._leading is not None:
            self._leading.cancel()
            await self._lease.release(self._api)
        await self._api.close()

    async def _kept(
        self, stopped: kopf.DaemonStopped, name: str, namespace: str | None, **_: Any
    ) -> None:
        """Looks after one resource for as long as there is one."""
        key = (namespace or "", name)
        woken = self._woken[key]
        while not stopped and not self._is_closed:
            woken.clear()
            pause = self._pace.waiting_s
            if self._acts:
                done = await self._reconciler.round(*key, _tell)
                if done.has_moved:
                    continue
                if done.is_done or done.is_refused:
                    pause = self._pace.idle_s
            await _first(woken.wait(), _until(stopped, pause))
        self._woken.pop(key, None)

    async def _deleted(self, body: kopf.Body, **_: Any) -> None:
        if not self._acts:
            raise kopf.TemporaryError("another operator acts", delay=self._pace.waiting_s)
        await self._reconciler.farewell({name: body[name] for name in body})

    async def _changed(self, name: str, namespace: str | None, **_: Any) -> None:
        self._wake(namespace, name)

    async def _changed_part(
        self, namespace: str | None, labels: Mapping[str, str], **_: Any
    ) -> None:
        self._wake(namespace, labels.get("app.kubernetes.io/instance", ""))

    def _wake(self, namespace: str | None, name: str) -> None:
        woken = self._woken.get((namespace or "", name))
        if woken is not None:
            woken.set()


def _tell(body: Mapping[str, object], kind: str, reason: str, message: str) -> None:
    kopf.event(cast(kopf.Body, body), type=kind, reason=reason, message=message[:1000])


async def _until(stopped: kopf.DaemonStopped, seconds: float) -> None:
    await stopped.wait(seconds)


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Waits for one of them, and gives the others up."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in tasks:
            each.cancel()


async def run(
    operator: Operator,
    namespaces: tuple[str, ...] = (),
    liveness: str | None = None,
    stop: asyncio.Event | None = None,
    ready: asyncio.Event | None = None,
) -> None:
    """Runs until it is stopped.

    Args:
        namespaces: which are watched; none: all.
        liveness: where it says that it is alive: `http://0.0.0.0:8080/healthz`.
    """
    await kopf.operator(
        registry=operator.registry(),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        liveness_endpoint=liveness,
        stop_flag=stop,
        ready_flag=ready,
    )
