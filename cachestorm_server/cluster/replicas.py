"""The replicas: has a server follow whom its node says, and hands slots over to a replica.

Made by the membership; asked by the node for what has been copied. Calls the replication of
the server.

1. A node is a replica as long as its record says so, connected or not: it refuses writes.
2. A primary gives its slots to a replica of its own accord, once that has all it has: no write
   comes in between, as writes are held back, and the one step that finds both to be equal is
   the one that gives the slots away.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from cachestorm.errors import CacheStormError
from cachestorm_server.cluster.roles import succeed
from cachestorm_server.replication.follower import State

if TYPE_CHECKING:
    from cachestorm_server.cluster.membership import Membership
    from cachestorm_server.replication.primary import Follower
    from cachestorm_server.replication.replication import Replication

# for how long writes are held back for a replica that takes over
SWITCH_S: Final = 5.0
LOOK_S: Final = 0.002
MASTER_IS_DOWN: Final = "Master is down or failed, please use CLUSTER FAILOVER FORCE"

_log = logging.getLogger("cachestorm.cluster")


class Replicas:
    """Of one node."""

    def __init__(self, membership: Membership) -> None:
        self._membership: Final = membership
        self._switch: asyncio.Task[None] | None = None
        if membership.endpoint.replication is not None:
            membership.endpoint.replication.director = self

    @property
    def _replication(self) -> Replication | None:
        return self._membership.endpoint.replication

    # -- what the node asks

    @property
    def history(self) -> str:
        found = self._replication
        return "" if found is None or found.stream.backlog is None else found.stream.history

    @property
    def copied(self) -> tuple[str, int]:
        found = self._replication
        if found is None or found.following is None or not found.following.follower.is_whole:
            return "", 0
        follower = found.following.follower
        return follower.history, follower.offset

    @property
    def is_following(self) -> bool:
        found = self._replication
        return found is not None and found.is_connecting

    def offset_of(self, node_id: str) -> int:
        found, node = self._replication, self._membership.node
        if found is None:
            return 0
        following = found.following
        if following is not None and node_id in (node.me.id, node.me.primary):
            follower = following.follower
            return follower.offset if node_id == node.me.id else follower.primary_offset
        if node_id == node.me.id:
            return found.stream.offset
        return max(
            (each.offset for each in found.followers() if each.cluster_id == node_id), default=0
        )

    # -- a replica

    def settle(self) -> None:
        """Follows whom the record of this node says, or nobody."""
        found, node = self._replication, self._membership.node
        if found is None:
            return
        primary = node.me.primary
        if not primary:
            found.place = None
            found.promote()
            return
        member = node.members.get(primary)
        may = node.follows and node.authority.may_serve(self._membership.clock())
        if member is not None and may:
            found.follow(member.host, member.port, (member.id, node.me.id))
        else:
            found.follow_nobody()

    def ask_to_take_over(self) -> None:
        """Has the primary hand its slots over to this node.

        Raises:
            CacheStormError: if it is not there.
        """
        found = self._replication
        following = None if found is None else found.following
        if following is None or following.follower.state is not State.CONNECTED:
            raise CacheStormError(MASTER_IS_DOWN)
        following.ask_to_take_over()

    # -- a primary

    def refusal(self, meant: str, member: str, history: str) -> str:
        """Why a node may not follow this one now; empty if it may.

        Args:
            meant: the id of the node that it means to follow; empty for a server of no cluster.
            member: its own id.
        """
        node = self._membership.node
        if meant and meant != node.me.id:
            return f"ERR this is node {node.me.id}, and not {meant}"
        if meant and node.me.primary:
            return "ERR this node is a replica itself"
        return node.authority.refuses_replica(member, history)

    def hand_over(self, follower: Follower) -> None:
        """Begins to give all slots to a replica that has asked for it."""
        # that it is a replica of this node it has said as it came; gossip may be later
        if follower.cluster_id not in self._membership.node.members:
            _log.warning("a server that is no node of this cluster is not given any slots")
        elif self._switch is None or self._switch.done():
            loop = asyncio.get_running_loop()
            self._switch = loop.create_task(self._hand_over(follower))

    async def _hand_over(self, follower: Follower) -> None:
        endpoint, found = self._membership.endpoint, self._replication
        assert found is not None
        ends_at = time.monotonic() + SWITCH_S
        endpoint.pause.begin(SWITCH_S, False)
        endpoint.watch_over_all()
        try:
            while time.monotonic() < ends_at and follower in found.followers():
                offset = found.stream.flush()
                if follower.offset >= offset:
                    await self._give_away(follower.cluster_id)
                    return
                found.stream.ask_all()
                await asyncio.sleep(LOOK_S)
            _log.warning("replica %s does not catch up: it gets no slots", follower.cluster_id)
        finally:
            endpoint.pause.end()
            endpoint.watch_over_all()

    async def _give_away(self, heir: str) -> None:
        """Gives all slots to a replica that has all there is, in one step."""
        membership, node = self._membership, self._membership.node
        _log.info("replica %s takes over from this node", heir)
        if node.authority.hand_over(heir, membership.clock()):
            succeed(node, heir)
        membership.settle(node.take_outbox())
        while node.authority.is_handing_over:
            await asyncio.sleep(LOOK_S)

    async def stop(self) -> None:
        """Ends what is under way."""
        task, self._switch = self._switch, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
