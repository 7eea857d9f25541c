"""The authorities by name: what `cluster.authority` stands for.

Called by the joining. What an authority needs is imported here, and only if it is configured.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from cachestorm_server.cluster.lease import Timing
from cachestorm_server.cluster.leases import Leases
from cachestorm_server.cluster.records import RecordStore
from cachestorm_server.cluster.state_file import ClusterStateError

if TYPE_CHECKING:
    from cachestorm_server.config_cluster import ClusterConfig

# the longest time between two looks at the records
LONGEST_LOOK_MS: Final = 500
# the longest time that an answer of a store is waited for
LONGEST_ANSWER_S: Final = 2.0


class Chosen(NamedTuple):
    """An authority with leases, and how its store is connected to."""

    leases: Leases
    make_store: Callable[[], RecordStore]


def timing_of(config: ClusterConfig) -> Timing:
    """How patient the nodes are."""
    look_ms = min(config.lease_ttl // 10, LONGEST_LOOK_MS)
    moves, replicas = config.rebalance_slots, config.replicas
    return Timing(config.lease_ttl, config.lease_margin, look_ms, moves, replicas)


def choose(config: ClusterConfig, random: Random) -> Chosen | None:
    """The authority that is configured; None for `static`.

    Raises:
        ClusterStateError: if what it needs is not installed.
    """
    name = config.authority
    if name == "static":
        return None
    # several answers that do not come fit into a lease
    timeout_s = min(config.lease_ttl / 6000, LONGEST_ANSWER_S)
    try:
        make_store = _STORES[name](config, timeout_s)
    except ImportError as error:
        raise ClusterStateError(
            f"cluster.authority: {name} needs {error.name}: pip install 'cachestorm[{name}]'"
        ) from error
    return Chosen(Leases(name, timing_of(config), random), make_store)


def _etcd(config: ClusterConfig, timeout_s: float) -> Callable[[], RecordStore]:
    from cachestorm_server.cluster.etcd_store import EtcdStore

    etcd = config.etcd
    files = (etcd.ca_file, etcd.cert_file, etcd.key_file)
    login = (etcd.user, etcd.password)
    return lambda: EtcdStore(etcd.endpoints, etcd.prefix, timeout_s, *files, *login)


def _kubernetes(config: ClusterConfig, timeout_s: float) -> Callable[[], RecordStore]:
    from cachestorm_server.cluster.kubernetes_store import KubernetesStore

    where = config.kubernetes
    return lambda: KubernetesStore(where.name, where.namespace, timeout_s)


_STORES: Final = {"etcd": _etcd, "kubernetes": _kubernetes}
