"""A Kubernetes and a cluster in memory, which do what a plan says, or less.

For random histories of the planning. Time passes between two plans: controllers make pods,
nodes answer, gossip spreads. Keys are one a slot, so a slot that is lost is a key that is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from cachestorm_server.kube import facts, objects
from cachestorm_server.kube.facts import Desired, Node, Observed, Plan, Pod, Ref
from cachestorm_server.kube.owner import Owner
from cachestorm_server.kube.resource import Spec
from cachestorm_server.kube.slots import SLOTS

OWNER = Owner("demo", "default", "uid-1")


class Killed(Exception):
    """The operator has ended in the middle of an action."""


class SimulatedNode:
    """A server: its slots, whom it knows, and what is half done."""

    def __init__(self, node_id: str) -> None:
        self.id = node_id
        self.own: set[int] = set()
        self.keys: set[int] = set()
        self.known: set[str] = set()
        self.moving: dict[int, str] = {}
        self.coming: dict[int, str] = {}


class SimulatedCluster:
    """What the operator sees and changes."""

    def __init__(self, random: Random, keeps_data: bool) -> None:
        self.random = random
        self.keeps_data = keeps_data
        self.objects: dict[Ref, Mapping[str, object]] = {}
        self.pods: dict[int, Pod] = {}
        self.nodes: dict[int, SimulatedNode] = {}
        # of pods that are to come back with them
        self._kept: dict[int, SimulatedNode] = {}
        self.born = 0
        self.restarts: list[int] = []
        self.written: set[int] = set()
        # after how many steps the operator is killed
        self.fuse: int | None = None

    # -- what the operator does

    def do(self, plan: Plan) -> None:
        for action in plan.actions:
            self._step()
            self._do(action)

    def _step(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                raise Killed

    def _do(self, action: facts.Action) -> None:
        match action:
            case facts.Create(manifest):
                assert Ref.of(manifest) not in self.objects
                self.objects[Ref.of(manifest)] = manifest
            case facts.Patch(ref, change):
                self.objects[ref] = merged(self.objects[ref], change)
            case facts.Delete(ref):
                del self.objects[ref]
            case facts.RestartPod(name):
                self.restarts.append(ordinal_of(name))
                self._end(ordinal_of(name))
            case facts.Meet(name, other):
                one, two = self._node(name), self._node(other)
                one.known.add(two.id)
                two.known.add(one.id)
            case facts.Assign(name, slots):
                node = self._node(name)
                for slot in slots:
                    assert all(slot not in each.own for each in self.nodes.values())
                node.own.update(slots)
                # they come with the first client
                node.keys.update(set(slots) - self.written)
                self.written.update(slots)
            case facts.Forget(node_id):
                assert all(node.id != node_id for node in self.nodes.values())
                for node in self.nodes.values():
                    node.known.discard(node_id)
            case facts.Settle(name, slots):
                node = self._node(name)
                for slot in slots:
                    node.moving.pop(slot, None)
                    node.coming.pop(slot, None)
            case facts.Move(transfer):
                self._move(
                    transfer.slots, self._node(transfer.source), self._node(transfer.target)
                )
            case _:
                raise AssertionError(action)

    def _move(
        self, slots: tuple[int, ...], source: SimulatedNode, target: SimulatedNode
    ) -> None:
        for slot in slots:
            assert slot in source.own or slot in target.own
            if slot in target.own:
                source.own.discard(slot)
                source.moving.pop(slot, None)
                continue
            target.coming[slot] = source.id
            source.moving[slot] = target.id
        self._step()
        for slot in slots:
            if slot in source.keys:
                source.keys.discard(slot)
                target.keys.add(slot)
        self._step()
        for slot in slots:
            target.own.add(slot)
            target.coming.pop(slot, None)
        self._step()
        for slot in slots:
            source.own.discard(slot)
            source.moving.pop(slot, None)

    def _node(self, name: str) -> SimulatedNode:
        return self.nodes[ordinal_of(name)]

    # -- what happens by itself

    def pass_time(self) -> None:
        stateful_set = self.objects.get(Ref("apps/v1", "StatefulSet", "demo"))
        wanted = stateful_set["spec"]["replicas"] if stateful_set else 0
        for ordinal in sorted(self.pods):
            if ordinal >= wanted:
                self._end(ordinal, for_good=True)
        for ordinal in range(wanted):
            pod = self.pods.get(ordinal)
            if pod is None:
                revision = objects.revision_of(stateful_set["spec"]["template"])
                self.pods[ordinal] = Pod(OWNER.pod(ordinal), ordinal, revision=revision)
            elif not pod.is_ready and self.random.random() < 0.7:
                self.pods[ordinal] = Pod(pod.name, ordinal, "10.0.0.1", True, pod.revision)
                if ordinal not in self.nodes:
                    self.nodes[ordinal] = self._kept.pop(ordinal, None) or self._new()
        # the later of two owners wins
        if self.random.random() < 0.5:
            owners = {slot: n for n in self.nodes.values() for slot in n.own - n.moving.keys()}
            for node in self.nodes.values():
                for slot in [slot for slot in node.moving if slot in owners]:
                    node.own.discard(slot)
                    del node.moving[slot]
        # whoever knows somebody, hears of whom that one knows
        for _ in range(2):
            for node in self.nodes.values():
                for other in self.nodes.values():
                    if other.id in node.known:
                        node.known |= (other.known - {node.id}) & {
                            each.id for each in self.nodes.values()
                        }

    def _new(self) -> SimulatedNode:
        self.born += 1
        return SimulatedNode(f"node-{self.born}")

    def _end(self, ordinal: int, for_good: bool = False) -> None:
        self.pods.pop(ordinal)
        node = self.nodes.pop(ordinal, None)
        if node is not None and self.keeps_data and not for_good:
            self._kept[ordinal] = node

    def observed(self) -> Observed:
        stateful_set = self.objects.get(Ref("apps/v1", "StatefulSet", "demo"))
        everyone = {node.id: node for node in (*self.nodes.values(), *self._kept.values())}
        seen = {}
        for ordinal, node in self.nodes.items():
            if ordinal not in self.pods:
                continue
            shares = {node.id: frozenset(node.own)}
            for other in node.known:
                if other in everyone and everyone[other].own - node.own:
                    shares[other] = frozenset(everyone[other].own - node.own)
            owned = frozenset().union(*shares.values())
            seen[OWNER.pod(ordinal)] = Node(
                node.id,
                shares,
                frozenset(node.known),
                frozenset(node.known),
                dict(node.moving),
                dict(node.coming),
                len(owned) == SLOTS,
            )
        return Observed(
            dict(self.objects),
            stateful_set["spec"]["replicas"] if stateful_set else None,
            tuple(self.pods.values()),
            seen,
        )


def desired(spec: Spec, secret: str = "secret") -> Desired:
    """What a spec asks for."""
    *others, stateful_set = objects.all_of(
        OWNER, spec, spec.replicas, {objects.PASSWORD: secret}, frozenset({objects.BUDGETS})
    )
    template = stateful_set["spec"]["template"]
    return Desired(spec, tuple(others), stateful_set, objects.revision_of(template))


def merged(live: Mapping[str, object], change: Mapping[str, object]) -> dict[str, object]:
    """An object after a merge patch: RFC 7386."""
    whole = dict(live)
    for name, value in change.items():
        if value is None:
            whole.pop(name, None)
        elif isinstance(value, Mapping):
            inner = whole.get(name)
            whole[name] = merged(inner if isinstance(inner, Mapping) else {}, value)
        else:
            whole[name] = value
    return whole


def ordinal_of(name: str) -> int:
    return int(name.rpartition("-")[2])
