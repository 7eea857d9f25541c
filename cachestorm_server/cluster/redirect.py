"""The redirects: what a client is told whose keys are not, or not all, on this node. Pure.

Asked by the router. What is decided here is the table of Redis Cluster:

    slot            keys that are here     asking    answer
    -------------   --------------------   -------   -------------------------
    several         any                    any       CROSSSLOT
    nobody's        any                    any       CLUSTERDOWN
    a dead node's   any                    any       CLUSTERDOWN
    mine            any                    any       it is answered
    migrating       all                    any       it is answered
    migrating       none                   any       ASK
    migrating       some                   any       TRYAGAIN
    importing       all, or it has one     yes       it is answered
    importing       some of several        yes       TRYAGAIN
    my primary's    any                    any       after READONLY, what reads is answered
    another's       any                    no        MOVED

Source: `getNodeByQuery` in `cluster.c` of Redis 7.2, whose texts these are.
"""

from __future__ import annotations

from cachestorm.errors import CacheStormError
from cachestorm_server.cluster.messages import Member
from cachestorm_server.cluster.node import Node


class CrossSlotError(CacheStormError):
    """Keys of several slots."""

    code = "CROSSSLOT"

    def __init__(self, text: str = "Keys in request don't hash to the same slot") -> None:
        super().__init__(text)


class ClusterDownError(CacheStormError):
    """Nobody answers for the slot now."""

    code = "CLUSTERDOWN"
    http_status = 503

    def __init__(self, text: str = "Hash slot not served") -> None:
        super().__init__(text)


class TryAgainError(CacheStormError):
    """Some of the keys have moved already."""

    code = "TRYAGAIN"
    http_status = 503

    def __init__(self, text: str = "Multiple keys request during rehashing of slot") -> None:
        super().__init__(text)


class MovedError(CacheStormError):
    """Another node has the slot."""

    code = "MOVED"
    http_status = 421


class AskError(CacheStormError):
    """Another node has the key; the slot is on its way there."""

    code = "ASK"
    http_status = 421


def refusal(
    node: Node,
    slot: int,
    present: int,
    missing: int,
    asking: bool,
    now_ms: int,
    reads: bool = False,
) -> CacheStormError | None:
    """What a request is refused with that names keys of a slot; None: it is answered here.

    Args:
        present, missing: how many of its keys are here, and are not.
        asking: the client has said ASKING.
        reads: the request changes nothing, and the client has said READONLY.
    """
    owner = node.slots.owners[slot]
    member = node.known(owner)
    if node.authority.is_handing_over:
        return TryAgainError("A replica of this node takes over")
    if not node.may_serve(now_ms):
        return ClusterDownError("The cluster is down")
    if owner == node.me.id:
        target = node.known(node.migrating.get(slot, ""))
        if not missing or (target is None and not node.must_hand_over(slot)):
            return None
        if target is None:
            return TryAgainError()
        return TryAgainError() if present else AskError(place(slot, target))
    if slot in node.importing and asking:
        return TryAgainError() if missing and present + missing > 1 else None
    if reads and owner and owner == node.me.primary:
        return None
    if member is None or node.has_failed(owner, now_ms):
        return ClusterDownError()
    return MovedError(place(slot, member))


def place(slot: int, member: Member) -> str:
    """A slot and where clients reach the node that has it."""
    return f"{slot} {member.host}:{member.port}"


def refusal_of_waiting(node: Node, slot: int, now_ms: int) -> CacheStormError | None:
    """What a client is refused with that waits for a key to come; None: it goes on waiting.

    While a slot is on its way whoever puts the key is sent to the other node, and who waits
    here waits until the slot has gone: as in Redis.
    """
    if node.may_serve(now_ms) and (
        node.slots.owners[slot] == node.me.id or slot in node.importing
    ):
        return None
    return refusal(node, slot, 0, 1, False, now_ms)
