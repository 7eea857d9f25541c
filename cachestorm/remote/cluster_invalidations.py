"""The invalidations of a cluster: what each primary says of changes, for one near cache.

As `invalidations.py`, by a connection to each primary. A primary that is lost, or another one,
empties the near cache, and all are connected to anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import redis

from cachestorm.remote import invalidations
from cachestorm.remote.arguments import Words
from cachestorm.remote.cluster_wire import primaries, translated
from cachestorm.remote.invalidations import Invalidations, Telling, reply_of

CHANGED: Final = "the cluster has other primaries"
_WHERE: Final[Words] = ["CLUSTER", "SLOTS"]


class ClusterInvalidations(Invalidations):
    """What tells the near cache of a cluster."""

    def connect(self) -> Telling:
        """Connects to all primaries, and asks to be told. Returns the connections as one.

        Raises:
            redis.RedisError: if one of them is not there.
        """
        client = self._client_of(socket_timeout=invalidations.HEARTBEAT_S / 2)
        translated(lambda: client.nodes_manager.initialize())
        nodes, _ = primaries(client)
        found: list[Any] = []
        try:
            for node in nodes:
                pool = client.get_redis_connection(node).connection_pool
                found.append(self.tracking(pool.make_connection()))
        except BaseException:
            for connection in found:
                connection.disconnect()
            raise
        return PrimaryConnections(found)


class PrimaryConnections(Telling):
    """Connections to all primaries, of which the first says where they are.

    Args:
        connections: of redis-py.

    Raises:
        redis.RedisError: if there are more primaries.
    """

    def __init__(self, connections: Sequence[Any]) -> None:
        super().__init__(connections, _WHERE)
        connections[0].send_command(*_WHERE)
        self._places: Final = _places_in(reply_of(connections[0]))
        if len(self._places) != len(connections):
            raise redis.ConnectionError(CHANGED)

    def answered(self, index: int, reply: Any) -> None:
        """See `Telling`.

        Raises:
            redis.RedisError: if the primaries are others by now.
        """
        if index == 0 and _places_in(reply) != self._places:
            raise redis.ConnectionError(CHANGED)


def _places_in(reply: Any) -> set[bytes]:
    return {b"%s:%d" % (place[0], place[1]) for _, _, place, *_ in reply}
