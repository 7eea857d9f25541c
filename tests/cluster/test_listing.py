"""The walk over all nodes: every node once, also when some come and go."""

from __future__ import annotations

from cachestorm_server.cluster.listing import begin, follow

NODES = [f"{digit * 40}" for digit in "0a5f"]


def steps(node_ids: list[str], cursor: int = 0) -> list[str]:
    """Whom a walk asks that ends with each at once."""
    found = []
    while not found or cursor:
        node_id, local = begin(cursor, node_ids)
        assert local == 0
        found.append(node_id)
        cursor = follow(node_id, 0, node_ids)
    return found


def test_a_walk_meets_each_node_once_in_the_order_of_their_ids() -> None:
    assert steps(NODES) == sorted(NODES)


def test_a_page_in_the_midst_of_a_node_is_asked_of_that_node_with_its_cursor() -> None:
    cursor = follow(NODES[2], 70_000, NODES)
    assert begin(cursor, NODES) == (NODES[2], 70_000)


def test_a_walk_goes_on_after_a_node_that_has_left() -> None:
    cursor = follow("5" * 40, 7, NODES)
    left = ["0" * 40, "a" * 40]
    assert begin(cursor, left) == ("a" * 40, 0)
    assert begin(cursor, ["0" * 40]) == ("", 0)
