"""What a node holds of slots, as an authority decides about them."""

from __future__ import annotations

from random import Random

from cachestorm_server.cluster.authority import Static
from cachestorm_server.cluster.messages import Member
from cachestorm_server.cluster.node import Node

ME, OTHER, THIRD = "1" * 40, "2" * 40, "3" * 40


class Sole(Static):
    """An authority that alone decides."""

    is_sole = True


def test_keys_of_a_slot_that_does_not_come_after_all_are_dropped() -> None:
    node = Node(Member(ME, "", "h", 1, 1, 0, 0, "life"), Random(1), 5000, authority=Sole())
    owners, epochs = [OTHER] * 16384, [1] * 16384
    node.adopt(1, owners, epochs, {5: ME, 6: ME}, is_new=False)
    assert sorted(node.importing) == [5, 6]
    node.lost.clear()
    owners[6], epochs[6] = ME, 2
    node.adopt(2, owners, epochs, {5: THIRD}, is_new=False)
    assert (node.importing, node.lost) == ({}, {5})
