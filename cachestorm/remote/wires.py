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


def async_wire_to(address: Address, wire: Wire) -> AsyncWire:
    """The wire for tasks, beside one for threads."""
    if isinstance(wire.dialect, ClusterDialect):
        return AsyncClusterWire(address, wire.dialect)
    return AsyncWire(address, wire.namespace)
