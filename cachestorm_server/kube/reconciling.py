"""The reconciling: looks, plans, does, and tells, until a resource is as it is wanted.

Called by the operator for one resource at a time; calls the API server and the nodes. It
decides nothing: that is the planning's.

1. Nothing is kept between two rounds, but what Kubernetes and the nodes keep.
2. A step that fails is told of and tried again; none is skipped.
3. Passwords and secrets are in the Secret alone: no status, event or log has them.
"""

from __future__ import annotations

import secrets
from base64 import b64decode
from collections.abc import Callable, Mapping, Set
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol, cast

from cachestorm_server.kube import answering, facts, objects, resource
from cachestorm_server.kube.access import NODE_ROLE
from cachestorm_server.kube.api import Api, KubeError, labels_of
from cachestorm_server.kube.facts import Action, Desired, Observed, Pod, Ref
from cachestorm_server.kube.nodes import NodeError, Nodes
from cachestorm_server.kube.objects import CLUSTER_SECRET, PASSWORD, PREVIOUS
from cachestorm_server.kube.owner import Owner
from cachestorm_server.kube.planning import plan
from cachestorm_server.kube.resource import API_VERSION, KIND, Spec, SpecError

Object = Mapping[str, object]

# in the Secret: when the password was replaced, and for which `auth.rotation` it was made
ROTATED_AT: Final = "rotated-at"
ROTATION: Final = "rotation"
# for what is on its way to the disk
RESTART_GRACE_S: Final = 30
NO_BUDGET: Final = (
    f"this Kubernetes has no {objects.BUDGETS}, which PodDisruptionBudgets are of: "
    "nothing keeps whoever empties machines from ending several pods at once"
)

Check = Callable[[Owner, Spec], None]


class Tell(Protocol):
    """Makes an event that people see in `kubectl describe`."""

    def __call__(self, body: Object, kind: str, reason: str, message: str, /) -> None: ...


Say = Callable[[str, str, str], None]


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to.

    Attributes:
        is_done: all is as it is wanted.
        is_refused: the manifest cannot be done; only another one changes that.
        has_moved: slots have moved, and more may at once; what else was done takes its time.
    """

    is_done: bool = False
    is_refused: bool = False
    has_moved: bool = False


def now_text() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Reconciler:
    """Keeps resources as they are wanted.

    Args:
        check: refuses what a server would refuse.
        now: seconds since 1970.
        node_role: the ClusterRole that lets nodes have Leases.
    """

    def __init__(
        self,
        api: Api,
        check: Check = objects.check,
        now: Callable[[], float] = lambda: datetime.now(UTC).timestamp(),
        node_role: str = NODE_ROLE,
    ) -> None:
        self._api: Final = api
        self._check: Final = check
        self._now: Final = now
        self._node_role: Final = node_role

    async def round(self, namespace: str, name: str, tell: Tell) -> Round:
        """Brings a resource one step further."""
        try:
            body = await self._api.get(namespace, Ref(API_VERSION, KIND, name))
        except KubeError:
            return Round()
        if body is None or cast(Object, body["metadata"]).get("deletionTimestamp"):
            return Round(is_done=True)
        metadata = cast("dict[str, str]", body["metadata"])
        owner = Owner(name, namespace, metadata["uid"])
        say = partial(tell, body)
        generation = int(metadata.get("generation") or 0)
        before = cast(Object, body.get("status") or {})
        try:
            spec = self._read(owner, cast(Object, body.get("spec") or {}), before)
        except SpecError as error:
            status = answering.refused(before, error.problems, generation, now_text())
            if await self._answer(owner, before, status):
                say("Warning", "Refused", str(error))
            return Round(is_refused=True)
        try:
            return await self._step(owner, spec, before, generation, say)
        except (KubeError, NodeError) as error:
            text = str(error)
            status = answering.troubled(before, text, generation, now_text())
            if await self._answer(owner, before, status):
                say("Warning", "Retrying", text)
            return Round()

    def _read(self, owner: Owner, given: Object, before: Object) -> Spec:
        accepted = cast(Object, before.get("accepted") or None)
        spec = resource.read(given, accepted)
        self._check(owner, spec)
        return spec

    async def _step(
        self, owner: Owner, spec: Spec, before: Object, generation: int, say: Say
    ) -> Round:
        held = await self._held(owner)
        wanted = await self._wanted(owner, spec, held)
        groups = await self._api.groups(owner.namespace)
        nodes, observed = await self._look(owner, spec, held, groups)
        async with aclosing(nodes):
            retires = PREVIOUS in held and self._now() >= (
                float(held.get(ROTATED_AT) or 0) + spec.auth.grace_seconds
            )
            manifests = objects.all_of(
                owner, spec, spec.replicas, wanted, groups, self._node_role
            )
            *others, stateful_set = manifests
            template = cast("dict[str, Object]", stateful_set["spec"])["template"]
            desired = Desired(
                spec, tuple(others), stateful_set, objects.revision_of(template), retires
            )
            todo = plan(observed, desired)
            status = answering.status_of(
                owner, observed, desired, todo, before, generation, now_text()
            )
            told = cast(Object, resource.plain(status))
            if observed.replicas is None and objects.BUDGETS not in groups:
                say("Warning", "NoBudget", NO_BUDGET)
            if await self._answer(owner, before, told):
                say("Normal", todo.reason, todo.message or "all is as it is wanted")
            for action in todo.actions:
                told = await self._do(owner, action, nodes, told)
            retired = [each for each in todo.actions if isinstance(each, facts.RetirePassword)]
            if retired:
                await self._write_secret(owner, _without_previous(wanted))
        is_done = not todo.actions and not todo.message and PREVIOUS not in held
        has_moved = any(isinstance(each, facts.Move) for each in todo.actions)
        return Round(is_done=is_done, has_moved=has_moved)

    # -- secrets

    async def _held(self, owner: Owner) -> dict[str, str]:
        """What our Secret holds; empty if there is none."""
        return _decoded(await self._api.get(owner.namespace, Ref("v1", "Secret", owner.secret)))

    async def _wanted(self, owner: Owner, spec: Spec, held: dict[str, str]) -> dict[str, str]:
        """What our Secret is to hold."""
        kept: tuple[str, ...] = (PREVIOUS, ROTATED_AT)
        found = {name: held[name] for name in kept if name in held}
        if spec.is_cluster:
            found[CLUSTER_SECRET] = held.get(CLUSTER_SECRET) or secrets.token_hex(32)
        if not spec.auth.enabled:
            return found
        found[ROTATION] = spec.auth.rotation
        old = held.get(PASSWORD, "")
        new = await self._password(owner, spec, held)
        found[PASSWORD] = new
        if old and new != old:
            # one at a time: a third would leave nodes that know the first one alone
            if PREVIOUS in held:
                return {**found, PASSWORD: old, ROTATION: held.get(ROTATION, "")}
            found[PREVIOUS] = old
            found[ROTATED_AT] = str(int(self._now()))
        return found

    async def _password(self, owner: Owner, spec: Spec, held: dict[str, str]) -> str:
        if not spec.auth.password_secret:
            is_new = held.get(ROTATION, "") != spec.auth.rotation
            return (not is_new and held.get(PASSWORD)) or secrets.token_hex(24)
        name, key = spec.auth.password_secret, spec.auth.password_key
        given = _decoded(await self._api.get(owner.namespace, Ref("v1", "Secret", name)))
        password = given.get(key, "").removesuffix("\n")
        if not password:
            raise KubeError(f"spec.auth.passwordSecret: there is no key {key} in Secret {name}")
        return password

    async def _write_secret(self, owner: Owner, values: Mapping[str, str]) -> None:
        ref = Ref("v1", "Secret", owner.secret)
        data = cast("dict[str, object]", objects.secret(owner, values)["data"])
        await self._api.patch(
            owner.namespace, ref, {"data": {PREVIOUS: None, ROTATED_AT: None, **data}}
        )

    # -- what is seen

    async def _look(
        self, owner: Owner, spec: Spec, held: Mapping[str, str], groups: Set[str]
    ) -> tuple[Nodes, Observed]:
        namespace = owner.namespace
        live = await self._api.owned(namespace, owner.labels, owner.uid, groups)
        pods = [
            pod
            for each in await self._api.list(namespace, "v1", "Pod", owner.labels) or []
            if (pod := pod_of(owner, each)) is not None
        ]
        addresses = {pod.name: pod.address for pod in pods if pod.address}
        nodes = Nodes(
            addresses,
            spec.port,
            spec.cluster_port,
            held.get(PASSWORD, "") if spec.auth.enabled else "",
            held.get(PREVIOUS, "") if spec.auth.enabled else "",
        )
        seen = {}
        for pod in pods:
            node = await nodes.look(pod.name, spec.is_cluster) if pod.address else None
            if node is not None:
                seen[pod.name] = node
        stateful_set = live.get(Ref("apps/v1", "StatefulSet", owner.name))
        replicas = None
        if stateful_set is not None:
            replicas = int(cast("dict[str, int]", stateful_set["spec"]).get("replicas", 1))
        return nodes, Observed(live, replicas, tuple(pods), seen)

    # -- what is done

    async def _do(self, owner: Owner, action: Action, nodes: Nodes, told: Object) -> Object:
        """Does one action. Gives the status, with what has moved counted in it."""
        api, namespace = self._api, owner.namespace
        answered = nodes.answering
        match action:
            case facts.Create(manifest):
                await api.create(namespace, manifest)
            case facts.Patch(ref, change):
                await api.patch(namespace, ref, change)
            case facts.Delete(ref):
                await api.delete(namespace, ref)
            case facts.RestartPod(pod, keeps_slots):
                grace_s = RESTART_GRACE_S if keeps_slots else None
                await api.delete(namespace, Ref("v1", "Pod", pod), grace_s)
            case facts.Meet(pod, other):
                await nodes.meet(pod, other)
            case facts.Assign(pod, slots):
                await nodes.assign(pod, slots)
            case facts.Forget(node_id):
                await nodes.forget(node_id, answered)
            case facts.Settle(pod, slots):
                await nodes.settle(pod, slots)
            case facts.AdmitPassword(pod):
                await nodes.admit_password(pod)
            case facts.RetirePassword(pod):
                await nodes.retire_password(pod)
            case facts.Move(transfer):
                keys = await nodes.move(transfer)
                change = answering.counted(told, len(transfer.slots), keys)
                await api.patch_status(namespace, owner.name, change)
                return {**told, **change}
        return told

    async def _answer(self, owner: Owner, before: Object, status: Object) -> bool:
        """Writes the status, where it says something new."""
        if all(before.get(name) == value for name, value in status.items()):
            return False
        try:
            await self._api.patch_status(owner.namespace, owner.name, status)
        except KubeError as error:
            # it was deleted meanwhile
            if error.status != 404:
                raise
        return _gist(before) != _gist({**before, **status})

    async def farewell(self, body: Object) -> None:
        """Removes what a resource does not own, and pods that would wait for their slots."""
        metadata = cast("dict[str, str]", body["metadata"])
        owner = Owner(metadata["name"], metadata["namespace"], metadata["uid"])
        accepted = cast(Object, cast(Object, body.get("status") or {}).get("accepted") or {})
        await self._api.delete(owner.namespace, Ref("apps/v1", "StatefulSet", owner.name))
        for pod in await self._api.list(owner.namespace, "v1", "Pod", owner.labels) or []:
            # it waits for its slots to be moved, which nobody does any more
            await self._api.delete(owner.namespace, Ref.of(pod), grace_s=5)
        if cast(Object, accepted.get("storage") or {}).get("reclaim") == "Delete":
            claims = await self._api.list(
                owner.namespace, "v1", "PersistentVolumeClaim", owner.labels
            )
            for claim in claims or []:
                await self._api.delete(owner.namespace, Ref.of(claim))


def _gist(status: Object) -> list[tuple[object, ...]]:
    conditions = cast("list[Object]", status.get("conditions") or [])
    return [(each["type"], each["status"], each.get("reason")) for each in conditions]


def _without_previous(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in (PREVIOUS, ROTATED_AT)}


def _decoded(secret: Object | None) -> dict[str, str]:
    if secret is None:
        return {}
    data = cast("dict[str, str]", secret.get("data") or {})
    plain = cast("dict[str, str]", secret.get("stringData") or {})
    return {**{name: b64decode(value).decode() for name, value in data.items()}, **plain}


def pod_of(owner: Owner, each: Object) -> Pod | None:
    """A pod of the StatefulSet; None for one that only looks like it."""
    metadata = cast("dict[str, object]", each["metadata"])
    name = str(metadata["name"])
    stem, _, ordinal = name.rpartition("-")
    if (
        stem != owner.name
        or not ordinal.isdecimal()
        or not owner.labels.items() <= labels_of(each).items()
    ):
        return None
    status = cast("dict[str, object]", each.get("status") or {})
    conditions = cast("list[dict[str, str]]", status.get("conditions") or [])
    ready = next((c for c in conditions if c["type"] == "Ready"), {})
    return Pod(
        name,
        int(ordinal),
        str(status.get("podIP") or ""),
        ready.get("status") == "True",
        objects.revision_of(each),
        bool(metadata.get("deletionTimestamp")),
        _trouble(status, conditions),
    )


def _trouble(status: Object, conditions: list[dict[str, str]]) -> str:
    """What a pod waits for, in Kubernetes' words."""
    containers = cast(
        "list[dict[str, dict[str, dict[str, str]]]]", status.get("containerStatuses") or []
    )
    for container in containers:
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            return f"{waiting.get('reason', '')} {waiting.get('message', '')}".strip()
    for condition in conditions:
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            return condition.get("message", "")
    return ""
