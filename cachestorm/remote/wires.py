"""Which wire leads to an address."""

from __future__ import annotations

from cachestorm.remote.address import Address
from cachestorm.remote.async_cluster_wire import AsyncClusterWire
from cachestorm.remote.async_wire import AsyncWire
from cachestorm.remote.cluster_dialect import ClusterDialect
from cachestorm.remote.cluster_wire import ClusterWire
from cachestorm.remote.wire import Wire


def wire_to(address: Address, namespace: str | None) -> Wire:
    """The wire for threads."""
    return ClusterWire(address) if address.nodes else Wire(address, namespace)


def async_wire_to(
    address: Address, namespace: str | None, cluster: ClusterDialect | None = None
) -> AsyncWire:
    """The wire for tasks.

    Args:
        cluster: what another wire to the same cluster has learnt.
    """
    if address.nodes:
        return AsyncClusterWire(address, cluster or ClusterDialect())
    return AsyncWire(address, namespace)
