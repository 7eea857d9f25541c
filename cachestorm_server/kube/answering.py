"""The answering: the status of a resource, from what was seen and planned. Pure.

Called by the reconciling, which writes it; read by people, `kubectl wait` and autoscalers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, cast

from cachestorm_server.kube import resource
from cachestorm_server.kube.facts import Desired, Observed, Plan
from cachestorm_server.kube.owner import Owner
from cachestorm_server.kube.resource import Condition, MigrationStatus, NodeStatus, Status

Object = Mapping[str, object]

READY: Final = "Ready"
ACCEPTED: Final = "Accepted"
REACHABLE: Final = "Reconciled"


def status_of(
    owner: Owner,
    observed: Observed,
    desired: Desired,
    plan: Plan,
    before: Object,
    generation: int,
    now: str,
) -> Status:
    """What there is, and what is awaited.

    Args:
        before: the status that is there.
        now: the time, as Kubernetes writes it.
    """
    nodes = tuple(
        _node(pod.name, observed, desired)
        for pod in sorted(observed.pods, key=lambda p: p.ordinal)
    )
    seen = list(observed.nodes.values())
    is_cluster = desired.spec.is_cluster and bool(seen)
    slots = len(set().union(*(node.own for node in seen))) if seen else 0
    is_ready = not plan.message
    ready = sum(node.ready for node in nodes)
    conditions = [
        Condition(ACCEPTED, "True", "Valid", "the manifest can be done"),
        Condition(REACHABLE, "True", "Done", "the last step of the operator succeeded"),
        Condition(READY, str(is_ready), plan.reason, plan.message or _served(desired, slots)),
    ]
    return Status(
        phase=plan.phase,
        replicas=observed.replicas or 0,
        ready_replicas=ready,
        selector=owner.selector,
        cluster_status=("ok" if all(n.is_ok for n in seen) else "fail")
        if is_cluster
        else "none",
        slots_assigned=slots,
        nodes=nodes,
        migration=_migration(before, plan),
        conditions=_dated(conditions, before, generation, now),
        observed_generation=generation,
        accepted=cast(Object, resource.plain(desired.spec)),
    )


def refused(before: Object, problems: Iterable[str], generation: int, now: str) -> Object:
    """The status of a manifest that cannot be done; what ran before goes on running."""
    condition = Condition(ACCEPTED, "False", "Refused", "; ".join(problems))
    phase = before.get("phase")
    return {
        "phase": phase if phase and before.get("accepted") else "Failed",
        "observedGeneration": generation,
        "conditions": resource.plain(_dated([condition], before, generation, now)),
    }


def troubled(before: Object, text: str, generation: int, now: str) -> Object:
    """The status after a step that failed; it is tried again."""
    condition = Condition(REACHABLE, "False", "Retrying", text)
    return {"conditions": resource.plain(_dated([condition], before, generation, now))}


def counted(before: Object, slots: int, keys: int) -> Object:
    """The status with a batch of slots counted that has moved; so a kill loses no count."""
    was = _migration_before(before)
    now = replace(
        was,
        slots_moved=was.slots_moved + slots,
        keys_moved=was.keys_moved + keys,
        slots_left=max(was.slots_left - slots, 0),
    )
    return {"migration": resource.plain(now)}


def _served(desired: Desired, slots: int) -> str:
    return f"all {slots} slots are served" if desired.spec.is_cluster else "the server answers"


def _node(pod_name: str, observed: Observed, desired: Desired) -> NodeStatus:
    pod = next(pod for pod in observed.pods if pod.name == pod_name)
    node = observed.nodes.get(pod_name)
    if pod.is_leaving or pod.ordinal >= desired.spec.replicas:
        phase = "Leaving"
    elif node is None:
        phase = "Awaited"
    else:
        phase = "Serving" if pod.revision == desired.revision else "Outdated"
    is_ready = pod.is_ready and node is not None
    if node is None:
        return NodeStatus(pod_name, pod.address, ready=is_ready, phase=phase)
    return NodeStatus(pod_name, pod.address, node.id, len(node.own), is_ready, phase)


def _migration_before(before: Object) -> MigrationStatus:
    was = cast("dict[str, object]", before.get("migration") or {})
    known = {resource.camel(name): name for name, _, _ in resource.declared(MigrationStatus)}
    values = {known[name]: value for name, value in was.items() if name in known}
    return MigrationStatus(**cast("dict[str, int]", values))  # type: ignore[arg-type]


def _migration(before: Object, plan: Plan) -> MigrationStatus:
    was = _migration_before(before)
    if not plan.slots_left:
        return replace(was, phase="Idle", slots_left=0, message="")
    if was.phase == "Idle":
        # another move begins
        was = MigrationStatus()
    return replace(was, phase="Moving", slots_left=plan.slots_left, message=plan.message)


def _dated(
    conditions: list[Condition], before: Object, generation: int, now: str
) -> tuple[Condition, ...]:
    """Conditions, each with the time since which it holds; others stay as they were."""
    was = {
        str(each["type"]): each
        for each in cast("list[dict[str, str]]", before.get("conditions") or [])
    }
    found = []
    for each in conditions:
        old = was.pop(each.type, {})
        is_same = old.get("status") == each.status
        since = str(old.get("lastTransitionTime") or now) if is_same else now
        found.append(replace(each, last_transition_time=since, observed_generation=generation))
    for old in was.values():
        found.append(
            Condition(
                old["type"],
                old["status"],
                old.get("reason", ""),
                old.get("message", ""),
                old.get("lastTransitionTime", now),
                int(old.get("observedGeneration", 0)),
            )
        )
    return tuple(sorted(found, key=lambda each: each.type))
