"""The planning: what to do next, from what was seen and what is wanted. Pure.

Called by the reconciling, again and again, until there is nothing left to do.

1. Every action may be done twice, and any of them may be the last before the operator is
   killed: the next plan begins with what is there then, and nothing else is remembered.
2. A slot is given away only by moving its keys. The exception is a node that is gone for good:
   every pod answers, and none of them is that node.
3. No pod that has slots is removed or restarted, unless it keeps its keys or has nobody to give
   them to. No more than one is restarted at a time, and only when all others serve.
4. Half-done moves are finished before anything else moves.
5. A slot moves only once the node that it goes to knows whose it is: its word that it has the
   slot is then the latest one, and no older news takes it away again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, cast

from cachestorm_server.kube import facts
from cachestorm_server.kube.facts import Action, Desired, Node, Observed, Plan, Pod, Ref
from cachestorm_server.kube.merging import Object, marked, patch
from cachestorm_server.kube.resource import DRAIN
from cachestorm_server.kube.slots import SLOTS, Transfer, drained, evened, first_shares

# that one action moves; between two of them the status is written, and a kill costs no more
BATCH: Final = 512
# in one plan: to look at everything takes longer than to move a few slots
MOST_MOVED: Final = 8 * BATCH

CREATING: Final = "Creating"
SCALING: Final = "Scaling"
UPDATING: Final = "Updating"
RUNNING: Final = "Running"


def plan(observed: Observed, desired: Desired) -> Plan:
    """What to do now."""
    actions = _object_actions(observed, desired)
    if actions:
        names = ", ".join(sorted({_named(action) for action in actions}))
        return Plan(actions, _phase(observed, desired), "Applying", f"applying {names}")
    return _Planning(observed, desired).whole()


def _named(action: Action) -> str:
    match action:
        case facts.Create(manifest):
            return str(Ref.of(manifest))
        case facts.Patch(ref) | facts.Delete(ref):
            return str(ref)
        case _:
            raise AssertionError(action)


def _phase(observed: Observed, desired: Desired) -> str:
    if observed.replicas is None or not any(node.own for node in observed.nodes.values()):
        return CREATING
    if observed.replicas != desired.spec.replicas:
        return SCALING
    if any(pod.revision != desired.revision for pod in observed.pods):
        return UPDATING
    return RUNNING


def _object_actions(observed: Observed, desired: Desired) -> tuple[Action, ...]:
    replicas = replicas_now(observed, desired)
    stateful_set = dict(desired.stateful_set)
    stateful_set["spec"] = {**cast(Object, stateful_set["spec"]), "replicas": replicas}
    found: list[Action] = []
    wanted = set()
    for manifest in (*desired.objects, stateful_set):
        ref = Ref.of(manifest)
        wanted.add(ref)
        live = observed.objects.get(ref)
        if live is None:
            found.append(facts.Create(marked(manifest)))
            continue
        change = patch(manifest, live)
        if change:
            found.append(facts.Patch(ref, change))
    found += [facts.Delete(ref) for ref in observed.objects if ref not in wanted]
    return tuple(found)


def replicas_now(observed: Observed, desired: Desired) -> int:
    """How many pods there may be at the moment.

    As many as are wanted, and all up to the last one that still has slots.
    """
    wanted = desired.spec.replicas
    if observed.replicas is None or observed.replicas <= wanted:
        return wanted
    if not desired.spec.is_cluster or desired.spec.nodes_decide:
        return wanted
    claims = _claims(observed.nodes)
    ids = {node.id for node in observed.nodes.values()}
    strangers = any(slots for owner, slots in claims.items() if owner not in ids)
    for count in range(observed.replicas, wanted, -1):
        node = observed.nodes.get(_pod_named(observed, count - 1))
        if node is None:
            # whoever has slots and does not answer may be this one
            if strangers or not observed.nodes:
                return count
        elif claims.get(node.id) or node.moving or node.coming:
            return count
    return wanted


def _pod_named(observed: Observed, ordinal: int) -> str:
    return next((pod.name for pod in observed.pods if pod.ordinal == ordinal), "")


def _claims(nodes: Mapping[str, Node]) -> dict[str, set[int]]:
    """The slots of every node that anybody has heard of, by its id.

    What a node says of itself counts; of one that does not answer, what others say, except for
    slots that another one says are its own.
    """
    found = {node.id: set(node.own) for node in nodes.values()}
    taken = set().union(*found.values()) if found else set()
    for node in nodes.values():
        for owner, slots in node.shares.items():
            if all(owner != other.id for other in nodes.values()):
                found.setdefault(owner, set()).update(slots - taken)
    return found


@dataclass(frozen=True, slots=True)
class _Planning:
    """One plan in the making."""

    observed: Observed
    desired: Desired

    @property
    def expected(self) -> int:
        return self.observed.replicas or 0

    @property
    def answering(self) -> list[Pod]:
        return [pod for pod in self.observed.pods if pod.name in self.observed.nodes]

    @property
    def staying(self) -> list[Pod]:
        wanted = self.desired.spec.replicas
        return [pod for pod in self.answering if pod.ordinal < wanted and not pod.is_leaving]

    @property
    def outdated(self) -> list[Pod]:
        """Pods of another revision that are to stay, the last one first."""
        revision, wanted = self.desired.revision, self.desired.spec.replicas
        found = [
            pod
            for pod in self.observed.pods
            if pod.revision != revision and pod.ordinal < wanted and not pod.is_leaving
        ]
        return sorted(found, key=lambda pod: -pod.ordinal)

    def node(self, pod: Pod) -> Node:
        return self.observed.nodes[pod.name]

    def whole(self) -> Plan:
        outdated = self.outdated
        stuck = [pod for pod in outdated if not pod.is_ready and pod not in self.answering]
        if stuck:
            # it serves nobody, and what it waits for may be what has changed since
            return self._restart(stuck[0])
        return self._passwords() or (
            self._clustered() if self.desired.spec.is_cluster else self._single()
        )

    def _plan(
        self, actions: Sequence[Action], reason: str, message: str, slots_left: int = 0
    ) -> Plan:
        phase = _phase(self.observed, self.desired)
        if phase == RUNNING and slots_left:
            phase = SCALING
        return Plan(tuple(actions), phase, reason, message, slots_left)

    def _restart(self, pod: Pod) -> Plan:
        node = self.observed.nodes.get(pod.name)
        keeps_slots = node is not None and bool(node.own)
        if self.desired.spec.nodes_decide:
            # it hands them over as it ends
            keeps_slots = False
        action = facts.RestartPod(pod.name, keeps_slots)
        return self._plan([action], "Upgrading", f"restarting {pod.name}")

    def _passwords(self) -> Plan | None:
        nodes = self.observed.nodes
        late: list[Action] = [
            facts.AdmitPassword(name)
            for name, node in nodes.items()
            if node.login == facts.PREVIOUS
        ]
        if late:
            return self._plan(late, "Rotating", "nodes learn the new password")
        if self.desired.retires and not self._absent():
            return self._plan(
                [facts.RetirePassword(name) for name in nodes],
                "Rotating",
                "the password before is good no longer",
            )
        return None

    def _absent(self) -> list[str]:
        """Pods that are to be there and serve, and do not."""
        pods = {pod.ordinal: pod for pod in self.observed.pods}
        found = []
        for ordinal in range(self.expected):
            pod = pods.get(ordinal)
            if pod is None:
                found.append(f"pod {ordinal} is not there yet")
            elif pod.is_leaving:
                found.append(f"{pod.name} is ending")
            elif pod.name not in self.observed.nodes:
                found.append(f"{pod.name} does not answer{pod.trouble and f': {pod.trouble}'}")
        return found

    def _unready(self) -> list[str]:
        return [
            f"{pod.name} is not ready{pod.trouble and f': {pod.trouble}'}"
            for pod in self.observed.pods
            if not pod.is_ready and not pod.is_leaving
        ]

    def _wait(self, reason: str, awaited: Iterable[str]) -> Plan:
        return self._plan((), reason, "; ".join(awaited))

    def _single(self) -> Plan:
        absent = self._absent() or self._unready()
        if absent:
            return self._wait("PodsAwaited", absent)
        if self.outdated:
            return self._restart(self.outdated[0])
        return Plan((), RUNNING, "Serving")

    def _clustered(self) -> Plan:
        absent = self._absent()
        if not self.observed.nodes:
            return self._wait("PodsAwaited", absent)
        if self.desired.spec.nodes_decide:
            return self._watched(absent)
        meets = self._meets()
        if meets:
            return self._plan(meets, "Joining", "nodes get to know each other")
        return (
            self._settled()
            or self._gone(absent)
            or self._assigned(absent)
            or self._left(absent)
            or self._ended(absent)
        )

    def _watched(self, absent: list[str]) -> Plan:
        """What is done where nodes decide by themselves: one restarts when all is well."""
        awaited = absent or self._unready()
        if awaited:
            return self._wait("PodsAwaited", awaited)
        unsure = self._unsure()
        if unsure:
            return unsure
        nodes = [self.node(pod) for pod in self.staying]
        left = sum(len(node.moving) for node in self.observed.nodes.values())
        counts = [len(node.own) for node in nodes]
        if left or max(counts) - min(counts) > 1:
            return self._plan((), "Moving", "the nodes share the slots out", max(left, 1))
        if self.outdated:
            return self._restart(self.outdated[0])
        return Plan((), RUNNING, "Serving")

    # -- one step each; None: there is nothing to do

    def _meets(self) -> list[Action]:
        pods = self.answering
        hub = max(
            pods,
            key=lambda pod: (
                len(self.node(pod).own) > 0,
                len(self.node(pod).reached),
                -pod.ordinal,
            ),
        )
        center = self.node(hub)
        return [
            facts.Meet(hub.name, pod.name)
            for pod in pods
            if pod is not hub
            and (
                self.node(pod).id not in center.reached
                or center.id not in self.node(pod).reached
            )
        ]

    def _settled(self) -> Plan | None:
        """Moves that were begun: on to their end, or taken back."""
        pods = {self.node(pod).id: pod.name for pod in self.answering}
        claims = _claims(self.observed.nodes)
        owners = {slot: owner for owner, slots in claims.items() for slot in slots}
        halves: dict[tuple[str, str], set[int]] = {}
        stale: dict[str, set[int]] = {}
        for pod in self.answering:
            node = self.node(pod)
            for slot, source in node.coming.items():
                # its owner, in whatever way it says so, is where the rest of the keys are
                if owners.get(slot) == source and source in pods:
                    halves.setdefault((pods[source], pod.name), set()).add(slot)
                else:
                    stale.setdefault(pod.name, set()).add(slot)
            for slot, target in node.moving.items():
                # the target may say already that it has it: then it has all its keys too
                if slot in node.own and target in pods:
                    halves.setdefault((pod.name, pods[target]), set()).add(slot)
                else:
                    stale.setdefault(pod.name, set()).add(slot)
        actions: list[Action] = [
            facts.Settle(name, tuple(sorted(slots))) for name, slots in sorted(stale.items())
        ]
        moves = [
            Transfer(tuple(sorted(slots)), *ends) for ends, slots in sorted(halves.items())
        ]
        return self._moving(moves, "finishing", actions) if actions or moves else None

    def _gone(self, absent: list[str]) -> Plan | None:
        """What nodes had that are gone for good."""
        claims = _claims(self.observed.nodes)
        ids = {node.id for node in self.observed.nodes.values()}
        heard_of = set().union(*(node.known for node in self.observed.nodes.values()))
        gone = sorted((heard_of | claims.keys()) - ids)
        if not gone or absent or not self.staying:
            return None
        actions: list[Action] = []
        shares = {pod.name: len(self.node(pod).own) for pod in self.staying}
        for node_id in gone:
            actions.append(facts.Forget(node_id))
            slots = claims.get(node_id)
            if slots:
                fewest = min(shares, key=lambda name: (shares[name], name))
                shares[fewest] += len(slots)
                actions.append(facts.Assign(fewest, tuple(sorted(slots))))
        return self._plan(actions, "Repairing", f"nodes that are gone: {', '.join(gone)}")

    def _assigned(self, absent: list[str]) -> Plan | None:
        """Slots that nobody has."""
        claims = _claims(self.observed.nodes)
        owned = set().union(*claims.values())
        if len(owned) == SLOTS:
            return None
        if absent:
            return self._wait("PodsAwaited", absent)
        staying = sorted(self.staying, key=lambda pod: pod.ordinal)
        if not owned:
            shares = first_shares([pod.name for pod in staying])
            actions: list[Action] = [
                facts.Assign(name, tuple(slots)) for name, slots in shares.items()
            ]
            return self._plan(actions, "Bootstrapping", "the slots are given out")
        fewest = min(staying, key=lambda pod: (len(self.node(pod).own), pod.ordinal))
        free = tuple(sorted(set(range(SLOTS)) - owned))
        return self._plan(
            [facts.Assign(fewest.name, free)],
            "Repairing",
            f"{fewest.name} takes {len(free)} slots that nobody has",
        )

    def _left(self, absent: list[str]) -> Plan | None:
        """Slots of pods that are to go."""
        staying = {pod.name for pod in self.staying}
        leaving = [
            pod.name for pod in self.answering if pod.name not in staying and self.node(pod).own
        ]
        if not leaving:
            return None
        moves = drained(leaving, self._shares(), self._targets(staying))
        if not moves:
            return self._wait("PodsAwaited", absent or ["no node that stays answers"])
        return self._moving(moves, f"draining {', '.join(leaving)}:")

    def _shares(self) -> dict[str, Set[int]]:
        return {pod.name: self.node(pod).own for pod in self.answering}

    def _targets(self, names: Set[str]) -> list[str]:
        """Those of some pods that need not be emptied soon themselves, if there are such."""
        late = {pod.name for pod in self.outdated}
        return sorted(names - late or names)

    def _ended(self, absent: list[str]) -> Plan:
        """What is done when all pods serve: upgrades, and even shares."""
        awaited = absent or self._unready()
        if awaited:
            return self._wait("PodsAwaited", awaited)
        unsure = self._unsure()
        if unsure:
            return unsure
        outdated = self.outdated
        if outdated:
            first = outdated[0]
            others = {pod.name for pod in self.staying} - {first.name}
            if self.desired.spec.upgrade_policy == DRAIN and others and self.node(first).own:
                moves = drained([first.name], self._shares(), self._targets(others))
                return self._moving(moves, f"draining {first.name} for its upgrade:")
            return self._restart(first)
        moves = evened({pod.name: self.node(pod).own for pod in self.staying})
        if moves:
            return self._moving(moves, "evening out:")
        return Plan((), RUNNING, "Serving")

    def _unsure(self) -> Plan | None:
        names = sorted(pod.name for pod in self.answering if not self.node(pod).is_ok)
        if not names:
            return None
        return self._wait("Converging", [f"{name} does not see all slots" for name in names])

    def _moving(self, moves: list[Transfer], why: str, before: Sequence[Action] = ()) -> Plan:
        left = sum(len(move.slots) for move in moves)
        actions = list(before)
        room = MOST_MOVED
        for move in moves:
            slots = self._agreed(move)[:room]
            room -= len(slots)
            for at in range(0, len(slots), BATCH):
                part = slots[at : at + BATCH]
                actions.append(facts.Move(Transfer(part, move.source, move.target)))
        ends = "; ".join(
            f"{len(move.slots)} slots from {move.source} to {move.target}" for move in moves[:3]
        )
        if not actions:
            return self._plan(
                (), "Converging", f"{why} {ends}: they do not agree yet on whose they are", left
            )
        return self._plan(actions, "Moving", f"{why} {ends}".rstrip(), left)

    def _agreed(self, move: Transfer) -> tuple[int, ...]:
        """The slots of which the target knows whose they are."""
        nodes = self.observed.nodes
        source, target = nodes[move.source], nodes[move.target]
        known = target.shares.get(source.id, frozenset()) | target.own
        return tuple(slot for slot in move.slots if slot in known)
