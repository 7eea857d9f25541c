"""The sections of the configuration that concern clusters: see `config_sections.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from cachestorm_server.config_spec import Spec
from cachestorm_server.setting_kinds import (
    COUNT,
    DURATION_MS,
    FILE,
    LIMIT,
    NAME,
    PORT,
    SECRET,
    SWITCH,
    TEXT,
    WORDS,
    one_of,
)


@dataclass(frozen=True, slots=True)
class EtcdConfig:
    """The etcd of `cluster.authority: etcd`."""

    endpoints: Annotated[
        tuple[str, ...], Spec(WORDS, "URLs of the etcd members, http or https")
    ] = ("http://127.0.0.1:2379",)
    prefix: Annotated[str, Spec(NAME, "prefix of the keys of this cluster in etcd")] = (
        "cachestorm"
    )
    ca_file: Annotated[str, Spec(FILE, "the CA that signed etcd's certificates, in PEM")] = ""
    cert_file: Annotated[str, Spec(FILE, "the client certificate for etcd")] = ""
    key_file: Annotated[str, Spec(FILE, "the private key of that certificate")] = ""
    user: Annotated[str, Spec(TEXT, "user name at etcd; empty: none")] = ""
    password: Annotated[str, Spec(SECRET, "password of that user")] = field(
        default="", repr=False
    )
    password_file: Annotated[str, Spec(TEXT, "a file that holds it instead")] = ""


@dataclass(frozen=True, slots=True)
class KubernetesConfig:
    """The Lease objects of `cluster.authority: kubernetes`."""

    name: Annotated[str, Spec(NAME, "name of the cluster, and prefix of its objects")] = (
        "cachestorm"
    )
    namespace: Annotated[str, Spec(TEXT, "namespace of its objects; empty: the pod's")] = ""


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """A cluster of several nodes. Without `enabled` nothing here has an effect."""

    enabled: Annotated[bool, Spec(SWITCH, "makes the server a node of a cluster")] = False
    node_name: Annotated[str, Spec(TEXT, "name of this node")] = ""
    bind_addr: Annotated[str, Spec(TEXT, "address at which other nodes connect")] = "127.0.0.1"
    bind_port: Annotated[int, Spec(PORT, "port at which other nodes connect")] = 7946
    advertise_addr: Annotated[str, Spec(TEXT, "address told to others; empty: `bind_addr`")] = (
        ""
    )
    advertise_port: Annotated[int, Spec(PORT, "port told to others; 0: `bind_port`")] = 0
    seeds: Annotated[tuple[str, ...], Spec(WORDS, "addresses of nodes to join")] = ()
    secret: Annotated[str, Spec(SECRET, "shared by all nodes, to sign messages")] = field(
        default="", repr=False
    )
    secret_file: Annotated[str, Spec(TEXT, "a file that holds it instead")] = ""
    tls: Annotated[bool, Spec(SWITCH, "TLS between nodes, with the files of `tls`")] = False
    authority: Annotated[
        str,
        Spec(
            one_of(("static", "etcd", "kubernetes")),
            "who decides which node has a slot: `static`, `etcd` or `kubernetes`",
        ),
    ] = "static"
    etcd: EtcdConfig = field(default_factory=EtcdConfig)
    kubernetes: KubernetesConfig = field(default_factory=KubernetesConfig)
    lease_ttl: Annotated[
        int, Spec(DURATION_MS, "a node that is silent for longer loses its slots")
    ] = 10_000
    lease_margin: Annotated[
        int,
        Spec(
            DURATION_MS,
            "how much earlier a node stops by itself: the drift of clocks that is allowed",
        ),
    ] = 1000
    drain_timeout: Annotated[
        int,
        Spec(DURATION_MS, "time to hand over slots when a node stops; 0: it does not"),
    ] = 20_000
    rebalance_slots: Annotated[int, Spec(COUNT, "how many slots move at a time")] = 1024
    replicas: Annotated[
        int,
        Spec(LIMIT, "replicas of each node with slots, under `etcd` and `kubernetes`"),
    ] = 0
    replication_backlog: Annotated[
        int, Spec(LIMIT, "without effect: see `replication.backlog_size`")
    ] = 10_000
    migration_batch_size: Annotated[int, Spec(COUNT, "keys sent at a time when slots move")] = (
        100
    )
    gossip_interval: Annotated[int, Spec(DURATION_MS, "without effect so far")] = 200
    probe_interval: Annotated[int, Spec(DURATION_MS, "time between probes of a node")] = 1000
    probe_timeout: Annotated[int, Spec(DURATION_MS, "time for the answer to a probe")] = 500
    answer_timeout: Annotated[
        int, Spec(DURATION_MS, "time that a command on tags waits for other nodes")
    ] = 2000
    suspicion_mult: Annotated[int, Spec(COUNT, "probe intervals that a node may be silent")] = 4
