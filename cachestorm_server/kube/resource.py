"""The resource: what a user asks for in a `CacheStorm`, and what the operator answers.

Read by the planning and the objects; the CRD is drawn from it in `schema`. A field is one
annotated attribute below: its name in camel case is its name in the manifest, its default is
the default, its `Field` says the rest.

1. Each field does something. What cannot be had is not there.
2. Everything that is wrong with a manifest is told at once, each with its field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Final, cast, get_args, get_origin, get_type_hints

from cachestorm.errors import CacheStormError
from cachestorm.eviction.policies import POLICIES
from cachestorm_server.settings import DEFAULT_PORT

GROUP: Final = "cachestorm.dev"
VERSION: Final = "v1"
KIND: Final = "CacheStorm"
PLURAL: Final = "cachestorms"
API_VERSION: Final = f"{GROUP}/{VERSION}"

CLUSTER: Final = "cluster"
STANDALONE: Final = "standalone"
# who decides which node has a slot
STATIC: Final = "static"
KUBERNETES: Final = "kubernetes"
DRAIN: Final = "Drain"
RESTART: Final = "Restart"
_SPELLED: Final = {"ip": "IP", "id": "ID"}
MOST_REPLICAS: Final = 1000
# of the resource: those of its pods and services are longer, and Kubernetes takes 63
LONGEST_NAME: Final = 45

# as a quantity of Kubernetes is written, for bytes
QUANTITY: Final = r"^[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$"
_UNITS: Final = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate("kMGT", 1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGT", 1)},
}


class SpecError(CacheStormError):
    """A manifest asks for what cannot be.

    Attributes:
        problems: each with the field that it is about.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems: Final = problems


@dataclass(frozen=True, slots=True)
class Field:
    """What a field may be, and what it is for.

    Attributes:
        meaning: for `kubectl explain`.
        least, most: of a number.
        one_of: the texts that it may be; empty: any.
        pattern: that a text follows, if it is not empty.
        fixed: it cannot change once the resource is there.
    """

    meaning: str
    least: int | None = None
    most: int | None = None
    one_of: tuple[str, ...] = ()
    pattern: str = ""
    fixed: bool = False


Free = Mapping[str, object]


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


def _port(meaning: str) -> Field:
    return Field(meaning, least=1, most=65535, fixed=True)


@dataclass(frozen=True, slots=True)
class Storage:
    """A volume for each node, so that it comes back with its keys."""

    enabled: Annotated[bool, Field("keep keys over a restart", fixed=True)] = False
    storage_class_name: Annotated[
        str, Field("class of the volumes; empty: the default one", fixed=True)
    ] = ""
    size: Annotated[str, Field("of each volume", pattern=QUANTITY, fixed=True)] = "10Gi"
    persistence_mode: Annotated[
        str, Field("RDB: snapshots; Both: a journal as well", one_of=("RDB", "Both"))
    ] = "Both"
    reclaim: Annotated[
        str,
        Field("what becomes of the volumes with the resource", one_of=("Retain", "Delete")),
    ] = "Retain"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The settings of each server."""

    max_memory: Annotated[
        str, Field("limit of each node's cache; empty: none", pattern=QUANTITY)
    ] = ""
    max_memory_policy: Annotated[
        str, Field("what is evicted at the limit", one_of=tuple(sorted(POLICIES)))
    ] = "adaptive"
    custom: Annotated[
        Mapping[str, str], Field("any other setting, by its name: `plugins.slowlog.threshold`")
    ] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Auth:
    """The password of clients."""

    enabled: Annotated[bool, Field("ask clients for a password", fixed=True)] = True
    password_secret: Annotated[
        str, Field("Secret that holds it; empty: one is made, `<name>-auth`")
    ] = ""
    password_key: Annotated[str, Field("its key in that Secret")] = "password"
    rotation: Annotated[
        str, Field("any text: another one has the password that was made replaced")
    ] = ""
    grace_seconds: Annotated[
        int, Field("how long a replaced password is good for", least=0, most=2**31 - 1)
    ] = 600


@dataclass(frozen=True, slots=True)
class WarmTier:
    """An SSD for values that do not fit in memory."""

    capacity: Annotated[str, Field("of each node's volume", pattern=QUANTITY, fixed=True)] = (
        "10Gi"
    )
    storage_class_name: Annotated[
        str, Field("class of the volumes; empty: the default one", fixed=True)
    ] = ""


@dataclass(frozen=True, slots=True)
class TieredStorage:
    """Where values go that do not fit in memory."""

    enabled: Annotated[bool, Field("have a warm tier", fixed=True)] = False
    warm_tier: Annotated[WarmTier, Field("on an SSD")] = field(default_factory=WarmTier)


@dataclass(frozen=True, slots=True)
class Cluster:
    """How nodes share the slots."""

    authority: Annotated[
        str,
        Field(
            "static: the operator moves slots; kubernetes: nodes agree on them by Leases, also "
            "while no operator runs",
            one_of=(STATIC, KUBERNETES),
            fixed=True,
        ),
    ] = STATIC


@dataclass(frozen=True, slots=True)
class Access:
    """Who reaches the pods."""

    enabled: Annotated[bool, Field("make a NetworkPolicy")] = True
    peers: Annotated[
        tuple[Free, ...],
        Field("who may connect, as NetworkPolicy has it; empty: the same namespace"),
    ] = ()


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What Prometheus' operator is told."""

    service_monitor: Annotated[
        bool, Field("make a ServiceMonitor where there are such resources")
    ] = True
    labels: Annotated[Mapping[str, str], Field("of it, which a Prometheus may go by")] = field(
        default_factory=_nothing
    )


@dataclass(frozen=True, slots=True)
class Spec:
    """What a user asks for."""

    mode: Annotated[
        str,
        Field(
            "cluster: nodes share the slots; standalone: one server, for clients that know no "
            "cluster",
            one_of=(CLUSTER, STANDALONE),
            fixed=True,
        ),
    ] = CLUSTER
    replicas: Annotated[int, Field("how many nodes", least=1, most=MOST_REPLICAS)] = 3
    image: Annotated[str, Field("of the server", pattern=r"^\S+$")] = "cachestorm:latest"
    image_pull_policy: Annotated[
        str, Field("when it is pulled", one_of=("Always", "IfNotPresent", "Never"))
    ] = "IfNotPresent"
    image_pull_secrets: Annotated[
        tuple[Free, ...], Field("as a pod has them: `- name: registry`")
    ] = ()
    resources: Annotated[Free, Field("requests and limits of the container")] = field(
        default_factory=_nothing
    )
    port: Annotated[int, _port("of RESP")] = DEFAULT_PORT
    http_port: Annotated[int, _port("of HTTP: dashboard, metrics, health")] = 9090
    cluster_port: Annotated[int, _port("where nodes speak to each other")] = 7946
    storage: Annotated[Storage, Field("volumes for keys")] = field(default_factory=Storage)
    cluster: Annotated[Cluster, Field("how nodes share the slots")] = field(
        default_factory=Cluster
    )
    config: Annotated[ServerSettings, Field("settings of each server")] = field(
        default_factory=ServerSettings
    )
    auth: Annotated[Auth, Field("the password of clients")] = field(default_factory=Auth)
    tiered_storage: Annotated[TieredStorage, Field("values on an SSD")] = field(
        default_factory=TieredStorage
    )
    upgrade_policy: Annotated[
        str,
        Field(
            "Drain: a node gives its slots away before it restarts; Restart: it keeps them, "
            "which loses keys without storage",
            one_of=(DRAIN, RESTART),
        ),
    ] = DRAIN
    termination_grace_period_seconds: Annotated[
        int, Field("how long a node that is to go may take for its slots", least=1, most=86400)
    ] = 300
    network_policy: Annotated[Access, Field("who may connect")] = field(default_factory=Access)
    monitoring: Annotated[Monitoring, Field("for Prometheus")] = field(
        default_factory=Monitoring
    )
    affinity: Annotated[Free, Field("of the pods; empty: apart from each other")] = field(
        default_factory=_nothing
    )
    tolerations: Annotated[tuple[Free, ...], Field("of the pods")] = ()
    node_selector: Annotated[Mapping[str, str], Field("of the pods")] = field(
        default_factory=_nothing
    )
    topology_spread_constraints: Annotated[tuple[Free, ...], Field("of the pods")] = ()
    scheduler_name: Annotated[str, Field("of the pods")] = ""
    priority_class_name: Annotated[str, Field("of the pods")] = ""
    pod_annotations: Annotated[Mapping[str, str], Field("of the pods")] = field(
        default_factory=_nothing
    )
    service_annotations: Annotated[Mapping[str, str], Field("of the client Service")] = field(
        default_factory=_nothing
    )

    @property
    def is_cluster(self) -> bool:
        return self.mode == CLUSTER

    @property
    def nodes_decide(self) -> bool:
        """Whether slots move without the operator."""
        return self.cluster.authority == KUBERNETES


def _is_alone(spec: Spec) -> bool:
    return spec.is_cluster or spec.replicas == 1


def _shares_slots(spec: Spec) -> bool:
    return spec.is_cluster or not spec.nodes_decide


# what no single field can say: in CEL, in Python, and in words
RULES: Final[tuple[tuple[str, Callable[[Spec], bool], str], ...]] = (
    (
        "self.mode == 'cluster' || self.replicas == 1",
        _is_alone,
        "replicas: a standalone server is one; give 1, or mode: cluster",
    ),
    (
        "self.mode == 'cluster' || self.cluster.authority == 'static'",
        _shares_slots,
        "cluster.authority: a standalone server has all slots; leave it out, or mode: cluster",
    ),
)


def camel(name: str) -> str:
    """The name in a manifest of an attribute."""
    first, *others = name.split("_")
    return first + "".join(_SPELLED.get(word, word.capitalize()) for word in others)


def bytes_of(quantity: str) -> int:
    """A quantity of Kubernetes, in bytes."""
    number = quantity.rstrip("kMGTi")
    return int(float(number) * _UNITS[quantity[len(number) :]])


@cache
def declared(section: Any) -> tuple[tuple[str, Any, Field], ...]:
    """The attributes of a section, each with its type and what is said of it."""
    hints = get_type_hints(section, include_extras=True)
    found = []
    for each in fields(section):
        kind, told = get_args(hints[each.name])
        found.append((each.name, kind, told))
    return tuple(found)


def read(given: Mapping[str, object], before: Mapping[str, object] | None = None) -> Spec:
    """A manifest's `spec`.

    Args:
        before: what it was; what is fixed must not have changed.

    Raises:
        SpecError: for all that is wrong with it.
    """
    problems: list[str] = []
    spec = cast(Spec, _section(Spec, given, "spec", problems))
    if not problems:
        problems += [f"spec.{text}" for _, holds, text in RULES if not holds(spec)]
    if before is not None and not problems:
        was = cast(Spec, _section(Spec, before, "spec", []))
        problems += [
            f"{path}: cannot change from {old!r} to {new!r}; make another resource"
            for path, old, new in _fixed(was, spec, "spec")
            if old != new
        ]
    if problems:
        raise SpecError(problems)
    return spec


def _fixed(was: object, now: object, path: str) -> Iterator[tuple[str, object, object]]:
    section: Any = type(now)
    for name, kind, told in declared(section):
        old, new = getattr(was, name), getattr(now, name)
        inner = f"{path}.{camel(name)}"
        if is_dataclass(kind):
            yield from _fixed(old, new, inner)
        elif told.fixed:
            yield inner, old, new


def _section(section: type, given: object, path: str, problems: list[str]) -> object:
    if not isinstance(given, Mapping):
        problems.append(f"{path}: {given!r} is no object")
        return section()
    values = {}
    known = {camel(name): (name, kind, told) for name, kind, told in declared(section)}
    for written, value in given.items():
        inner = f"{path}.{written}"
        if written not in known:
            problems.append(f"{inner}: there is no such field")
        elif value is not None:
            name, kind, told = known[written]
            values[name] = _value(kind, told, value, inner, problems)
    return section(**values)


def _value(kind: Any, told: Field, value: object, path: str, problems: list[str]) -> object:
    if is_dataclass(kind):
        return _section(cast(type, kind), value, path, problems)
    expected = get_origin(kind) or kind
    plain = {tuple: list, int: int, bool: bool, str: str}.get(expected, dict)
    if not isinstance(value, Mapping if plain is dict else plain) or (
        plain is int and isinstance(value, bool)
    ):
        names = {list: "a list", int: "a number", bool: "true or false", str: "a text"}
        problems.append(f"{path}: {value!r} is not {names.get(plain, 'an object')}")
        return value
    reason = refusal(told, value)
    if reason:
        problems.append(f"{path}: {value!r} is refused: {reason}")
    if isinstance(value, list):
        return tuple(value)
    return value


def refusal(told: Field, value: object) -> str:
    """Why a value of the right type is not one that the field may have; empty: it may."""
    if isinstance(value, int):
        least, most = told.least, told.most
        if least is not None and most is not None and not least <= value <= most:
            return f"a number from {least} to {most}"
    elif isinstance(value, str):
        if told.one_of and value not in told.one_of:
            return f"one of {', '.join(told.one_of)}"
        if told.pattern and value and not re.match(told.pattern, value):
            return "a size such as 10Gi" if told.pattern == QUANTITY else "an image's name"
    return ""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that holds or does not, as `kubectl wait` knows it."""

    type: Annotated[str, Field("what it is about")]
    status: Annotated[str, Field("whether it holds", one_of=("True", "False", "Unknown"))]
    reason: Annotated[str, Field("why, in a word")]
    message: Annotated[str, Field("why, and what is awaited")]
    last_transition_time: Annotated[str, Field("since when")] = ""
    observed_generation: Annotated[int, Field("of which manifest")] = 0


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node."""

    name: Annotated[str, Field("of its pod")]
    pod_ip: Annotated[str, Field("its address")] = ""
    node_id: Annotated[str, Field("its id in the cluster")] = ""
    slots: Annotated[int, Field("how many it has")] = 0
    ready: Annotated[bool, Field("whether it serves")] = False
    phase: Annotated[str, Field("Awaited, Serving, Leaving or Outdated")] = "Awaited"


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Slots on their way, also over restarts of the operator."""

    phase: Annotated[str, Field("Idle or Moving")] = "Idle"
    slots_moved: Annotated[int, Field("since the last time that none were to move")] = 0
    slots_left: Annotated[int, Field("that are to move still")] = 0
    keys_moved: Annotated[int, Field("with them")] = 0
    message: Annotated[str, Field("where from and where to")] = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What the operator answers."""

    phase: Annotated[str, Field("Pending, Creating, Running, Updating, Scaling or Failed")] = (
        "Pending"
    )
    replicas: Annotated[int, Field("how many pods there are to be")] = 0
    ready_replicas: Annotated[int, Field("how many serve")] = 0
    selector: Annotated[str, Field("of the pods, for autoscalers")] = ""
    cluster_status: Annotated[str, Field("ok, fail or none")] = "none"
    slots_assigned: Annotated[int, Field("of 16384")] = 0
    nodes: Annotated[tuple[NodeStatus, ...], Field("the nodes")] = ()
    migration: Annotated[MigrationStatus, Field("slots on their way")] = field(
        default_factory=MigrationStatus
    )
    conditions: Annotated[tuple[Condition, ...], Field("what holds")] = ()
    observed_generation: Annotated[int, Field("of which manifest")] = 0
    accepted: Annotated[Free, Field("the last spec that could be done")] = field(
        default_factory=_nothing
    )


def plain(value: object) -> object:
    """A section as a manifest has it."""
    if is_dataclass(value):
        return {camel(each.name): plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value
