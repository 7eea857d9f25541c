"""The invalidations of a cluster: what each primary says of changes, for one near cache.

As `invalidations.py`, by a connection to each primary. A primary that is lost, or another one,
empties the near cache, and all are connected to anew.
"""

from __future__ import annotations

import select
import time
from typing import Any, Final

import redis

from cachestorm.remote import invalidations
from cachestorm.remote.cluster_wire import primaries, translated
from cachestorm.remote.invalidations import Invalidations

CHANGED: Final = "the cluster has other primaries"


class ClusterInvalidations(Invalidations):
    """What tells the near cache of a cluster."""

    def connect(self) -> Any:
        """Connects to all primaries, and asks to be told. Returns the connections as one.

        Raises:
            redis.RedisError: if one of them is not there.
        """
        client = self._client_of(socket_timeout=invalidations.HEARTBEAT_S)
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


class PrimaryConnections:
    """Connections to all primaries, read as one.

    Args:
        connections: of redis-py.

    Raises:
        redis.RedisError: if there are more primaries.
    """

    def __init__(self, connections: list[Any]) -> None:
        self._connections: Final = connections
        self._places: Final = self._asked()
        if len(self._places) != len(connections):
            raise redis.ConnectionError(CHANGED)
        self._heard_at: Final = dict.fromkeys(range(len(connections)), time.monotonic())
        self._looked_at = time.monotonic()
        self._ready: int | None = None

    def can_read(self, timeout: float) -> bool:
        """Whether one of them has something to say, within seconds.

        Raises:
            redis.RedisError: if one of them has said nothing for longer, also when it was
                asked, and if the primaries are others by now.
        """
        self._ready = None
        now = time.monotonic()
        if now - self._looked_at >= timeout:
            self._look()
            self._looked_at = now
        for index, connection in enumerate(self._connections):
            if now - self._heard_at[index] >= timeout:
                invalidations.ask_for_a_sign(connection)
                self._heard_at[index] = time.monotonic()
        for index, connection in enumerate(self._connections):
            if connection.can_read(timeout=0):
                self._ready = index
                return True
        select.select([each._sock for each in self._connections], [], [], timeout)
        # what is there is found by the next call, and silence is no reason to ask: see above
        return False

    def read_response(self, **options: Any) -> Any:
        """What there is to be read; if `can_read` found nothing, the sign of life of all."""
        if self._ready is None:
            return b""
        self._heard_at[self._ready] = time.monotonic()
        return self._connections[self._ready].read_response(push_request=True)

    def send_command(self, *words: Any) -> None:
        """Nothing: each connection was asked for a sign of life when it was due."""

    def disconnect(self) -> None:
        """Closes all of them."""
        for connection in self._connections:
            connection.disconnect()

    def _look(self) -> None:
        if self._asked() != self._places:
            raise redis.ConnectionError(CHANGED)

    def _asked(self) -> set[bytes]:
        """Where the primaries are, as the first says."""
        first = self._connections[0]
        first.send_command("CLUSTER", "SLOTS")
        return {
            b"%s:%d" % (place[0], place[1]) for _, _, place, *_ in invalidations.reply_of(first)
        }
