"""The succession: which replica is to have all slots of a node, and whether it still may. Pure.

Asked by `leases.py`, of the assignment and of the leases as they were seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cachestorm_server.cluster.assignment import Assignment
from cachestorm_server.cluster.lease import Seen, lease_name


class Handover:
    """All slots of one node on their way to a replica that has asked for them.

    Attributes:
        heir: that replica; empty for none.
    """

    def __init__(self) -> None:
        self.heir = ""
        # of the lease that the heir held as it asked
        self._term = ""
        self._until_ms = 0

    def begin(self, heir: str, term: str, until_ms: int) -> None:
        """Promises a replica the slots, in this term and until then."""
        self.heir, self._term, self._until_ms = heir, term, until_ms

    def end(self) -> None:
        """Promises nothing any more."""
        self.heir = ""

    def may_be(
        self, giver: str, assignment: Assignment, living: Iterable[str], now_ms: int
    ) -> bool:
        """Whether the heir is still the replica that has asked."""
        known = assignment.nodes.get(self.heir)
        return (
            known is not None
            and known.primary == giver
            and known.term == self._term
            and self.heir in living
            and now_ms < self._until_ms
        )


def has_unproven_heir(assignment: Assignment | None, node_id: str, history: str) -> bool:
    """Whether who was given a node's slots has not shown yet that it has its keys.

    It does by a history of its own. Had it died, that node is given the slots back.

    Args:
        history: of the node, as it had the slots.
    """
    return assignment is not None and any(
        known.history == history != "" and each != node_id
        for each, known in assignment.nodes.items()
    )


def may_succeed(
    assignment: Assignment, seen: Mapping[str, Seen], node_id: str, replica: str
) -> bool:
    """Whether a replica has what it takes to have a node's slots, or has not said."""
    known = assignment.nodes[node_id]
    copied = seen[lease_name(replica)].copied
    return copied.term != known.term or copied.history == known.history != ""


def heirs_of(
    dead: Iterable[str], assignment: Assignment, seen: Mapping[str, Seen], living: Iterable[str]
) -> tuple[dict[str, str], list[str]]:
    """Which replica is to have the slots of which dead node, and of whom that is known.

    A dead node of which some replica that lives has not said what it has is left out.
    """
    nodes = assignment.nodes
    heirs: dict[str, str] = {}
    decided = []
    for node_id in dead:
        best = (-1, "")
        replicas = [each for each in living if nodes[each].primary == node_id]
        said = {each: seen[lease_name(each)].copied for each in replicas}
        if any(each.term != nodes[node_id].term for each in said.values()):
            continue
        decided.append(node_id)
        for each, copied in said.items():
            if copied.history and copied.history == nodes[node_id].history:
                best = max(best, (copied.offset, each))
        if best[1]:
            heirs[node_id] = best[1]
    return heirs, decided
