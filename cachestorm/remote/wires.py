"""Which wire leads to an address."""

from __future__ import annotations

from cachestorm.remote.address import Address
from cachestorm.remote.async_cluster_wire import AsyncClusterWire
from cachestorm.remote.async_wire import AsyncWire
from cachestorm.remote.cluster_wire import ClusterWire
from cachestorm.remote.wire import Wire


def wire_to(
    address: Address, namespace: str | None, max_pending: int, keeps_refused: bool
) -> Wire:
    """The wire for threads.

    Args:
        max_pending, keeps_refused: see `Recovery`.
    """
    if address.nodes:
        return ClusterWire(address, namespace, max_pending, keeps_refused)
    return Wire(address, namespace, max_pending, keeps_refused)


def async_wire_to(wire: Wire) -> AsyncWire:
    """The wire for tasks, beside one for threads."""
    if wire.cluster is not None:
        return AsyncClusterWire(wire, wire.cluster)
    return AsyncWire(wire)
