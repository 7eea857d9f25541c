"""The facts: what the operator has seen, and what it may do about it.

Made by `observing`, read by the planning; the actions are made by the planning and done by
`acting`. Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cachestorm_server.kube.merging import Object
from cachestorm_server.kube.resource import Spec
from cachestorm_server.kube.slots import Transfer

CURRENT: Final = "current"
PREVIOUS: Final = "previous"


@dataclass(frozen=True, slots=True)
class Ref:
    """Which object: `apps/v1`, StatefulSet, its name."""

    api_version: str
    kind: str
    name: str

    @classmethod
    def of(cls, manifest: Object) -> Ref:
        metadata = manifest["metadata"]
        assert isinstance(metadata, Mapping)
        return cls(str(manifest["apiVersion"]), str(manifest["kind"]), str(metadata["name"]))

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of the StatefulSet.

    Attributes:
        address: empty until it has one.
        is_leaving: it was told to end.
        trouble: what its containers wait for, as Kubernetes puts it; or empty.
    """

    name: str
    ordinal: int
    address: str = ""
    is_ready: bool = False
    revision: str = ""
    is_leaving: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """What the server in a pod says of itself and of the others.

    Attributes:
        shares: the slots of each node, itself included, as it sees them.
        known: the ids of the others.
        reached: those of them that it hears of at the address that it knows.
        moving: slots that are to go to another node, by its id; `coming`: from it.
        is_ok: every slot is served, as far as it knows.
        login: which password it has taken.
    """

    id: str
    shares: Mapping[str, frozenset[int]] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    reached: frozenset[str] = frozenset()
    moving: Mapping[int, str] = field(default_factory=dict)
    coming: Mapping[int, str] = field(default_factory=dict)
    is_ok: bool = False
    login: str = CURRENT

    @property
    def own(self) -> frozenset[int]:
        return self.shares.get(self.id, frozenset())


@dataclass(frozen=True, slots=True)
class Observed:
    """All that was seen.

    Attributes:
        objects: those of ours that there are.
        replicas: of the StatefulSet; None if there is none.
        nodes: those that have answered, by the names of their pods.
    """

    objects: Mapping[Ref, Object] = field(default_factory=dict)
    replicas: int | None = None
    pods: tuple[Pod, ...] = ()
    nodes: Mapping[str, Node] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Desired:
    """All that is wanted.

    Attributes:
        objects: except for the StatefulSet, whose replicas the planning says.
        stateful_set: with as many replicas as are wanted in the end.
        revision: of its pods.
        retires: a replaced password is to be good no longer.
    """

    spec: Spec
    objects: tuple[Object, ...]
    stateful_set: Object
    revision: str
    retires: bool = False


@dataclass(frozen=True, slots=True)
class Create:
    manifest: Object


@dataclass(frozen=True, slots=True)
class Patch:
    ref: Ref
    change: Object


@dataclass(frozen=True, slots=True)
class Delete:
    ref: Ref


@dataclass(frozen=True, slots=True)
class RestartPod:
    """Deletes a pod; the StatefulSet makes it again, as it is to be by now.

    Attributes:
        keeps_slots: nobody is to have its slots, so it need not wait until it has none.
    """

    pod: str
    keeps_slots: bool = False


@dataclass(frozen=True, slots=True)
class Meet:
    """Has a node get to know another."""

    pod: str
    other: str


@dataclass(frozen=True, slots=True)
class Assign:
    """Gives slots that nobody has to a node."""

    pod: str
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Forget:
    """Has all nodes forget one that is gone; nobody has its slots then."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Settle:
    """Takes back that slots were to move, where they are not to move any more."""

    pod: str
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """Moves slots, with their keys."""

    transfer: Transfer


@dataclass(frozen=True, slots=True)
class AdmitPassword:
    """Has a node take the new password beside the one before."""

    pod: str


@dataclass(frozen=True, slots=True)
class RetirePassword:
    """Has a node take the new password alone."""

    pod: str


Action = (
    Create
    | Patch
    | Delete
    | RestartPod
    | Meet
    | Assign
    | Forget
    | Settle
    | Move
    | AdmitPassword
    | RetirePassword
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and what is awaited.

    Attributes:
        phase: as the status has it.
        reason, message: of the condition Ready; the message is empty when all is as wanted.
        slots_left: how many slots are to move in all, the actions' included.
    """

    actions: tuple[Action, ...]
    phase: str
    reason: str
    message: str = ""
    slots_left: int = 0
