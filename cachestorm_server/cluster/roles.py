"""The roles: which node of a cluster is a replica of which, and when that changes. Pure.

Called by the node with what it hears, by the leases with what was decided, and by commands.

1. A replica has no slots. Whoever is given slots is one no longer; whoever loses all of its own
   to one of its replicas follows that one, and so do its other replicas.
2. What a node has copied it keeps if it takes the slots of its primary over. In any other case
   the keys of slots that are not its own go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from cachestorm.keyspace.slot_index import SLOTS

if TYPE_CHECKING:
    from cachestorm_server.cluster.messages import Member
    from cachestorm_server.cluster.node import Node


class Copies(Protocol):
    """What a node has of its primary, and its replicas of it.

    Attributes:
        history: by which its replicas know what they have; empty for none.
        copied: history and offset of what it has of its primary; an empty history for nothing
            that is of use.
        is_following: whether anything is still to come of that.
    """

    @property
    def history(self) -> str: ...

    @property
    def copied(self) -> tuple[str, int]: ...

    @property
    def is_following(self) -> bool: ...

    def offset_of(self, node_id: str) -> int:
        """How much this node has said, or has; or a replica of it, as far as is known."""
        ...


class NoCopies:
    """Those of a node that has no replicas, and is none."""

    history = ""
    copied = ("", 0)
    is_following = False

    def offset_of(self, node_id: str) -> int:
        return 0


def primary_of(node: Node, node_id: str) -> str:
    """Whose replica a node is; empty for none."""
    member = node.known(node_id)
    return "" if member is None else member.primary


def replicas_of(node: Node, node_id: str) -> list[Member]:
    """The replicas of a node, by their ids."""
    found = [each for each in (node.me, *node.members.values()) if each.primary == node_id]
    return sorted(found, key=lambda each: each.id)


def become(node: Node, primary: str, is_heir: bool = False) -> None:
    """Makes this node a replica, or with an empty name none.

    Args:
        is_heir: it keeps what it has copied.
    """
    former = node.me.primary
    if primary == former:
        return
    node.change_me(primary=primary)
    node.touched.update(node.importing)
    # others are to hear of it before it is their turn
    node.spread()
    if not primary:
        me, owners = node.me.id, node.slots.owners
        node.lost.update(slot for slot in range(SLOTS) if not is_heir or owners[slot] != me)


def succeed(node: Node, heir: str) -> None:
    """Gives all slots of this node to a replica of it, and follows that."""
    node.assign(node.slots.slots_of(node.me.id), heir)
    become(node, heir)


def take_over(node: Node) -> None:
    """Takes the slots of the primary of this node, which is not asked."""
    primary = node.me.primary
    become(node, "", is_heir=True)
    node.assign(node.slots.slots_of(primary), node.me.id)


class Heirs:
    """Who may take over from this node, or from the one that it follows.

    Whoever takes over says that it is a replica no longer, and that it has the slots, in
    different messages: so who was a replica is one of them until the slots have gone.

    Attributes:
        lead: whose heirs they are; empty if that has no slots.
        ids: theirs.
    """

    def __init__(self) -> None:
        self.lead = ""
        self.ids: Final[set[str]] = set()

    def note(self, node: Node) -> None:
        """Takes in what a node knows, before it hears of more."""
        lead = node.me.primary or node.me.id
        if not node.slots.counts.get(lead, 0):
            lead = ""
        if lead != self.lead:
            self.lead = lead
            self.ids.clear()
        if lead:
            self.ids.update(each.id for each in replicas_of(node, lead))


def settle(node: Node, heirs: Heirs) -> None:
    """Sees to what has changed as an operator has had a replica take over.

    Args:
        heirs: as they were before slots changed hands.
    """
    me, counts = node.me, node.slots.counts
    if me.primary and counts.get(me.id, 0):
        become(node, "", is_heir=True)
        return
    lead = me.primary or me.id
    if lead == heirs.lead and not counts.get(lead, 0):
        takers = [each for each in heirs.ids if counts.get(each, 0) and each != me.id]
        if len(takers) == 1:
            become(node, takers[0])
            return
    above = primary_of(node, me.primary)
    if above and above != me.id:
        # its primary is a replica by now
        become(node, above)
