"""The wire to a cluster: see `wire.py`.

Which node has which slot, and what follows from its changes (MOVED, ASK, a failover), is left
to redis-py's cluster client.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import redis
from redis.exceptions import NoScriptError, RedisClusterException, TryAgainError

from cachestorm.remote.address import Address
from cachestorm.remote.cluster_dialect import (
    PATIENCE_S,
    PAUSE_S,
    AtNode,
    ClusterDialect,
    Everywhere,
    Part,
    Pause,
)
from cachestorm.remote.dialect import LOADING, Dialect
from cachestorm.remote.forks import tell_of_forks
from cachestorm.remote.refusals import BusySlotError
from cachestorm.remote.slots import marks
from cachestorm.remote.steps import Ask, Step, Watch
from cachestorm.remote.tag_script import RESERVED
from cachestorm.remote.wire import Wire, checked


class Unconnected:
    """Stands for a client of a cluster, which would connect when it is made."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._client: Any = None
        tell_of_forks(self)

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
        return getattr(self._client, name)

    def forked(self) -> None:
        """In the child of a fork: another thread may have had this lock, or the client's."""
        self._lock = threading.Lock()
        self._client = None

    def close(self) -> None:
        """Closes what has been opened; it connects anew when it is used again."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


class ClusterWire(Wire):
    """The connections of threads to the nodes of one cluster."""

    def __init__(
        self, address: Address, namespace: str | None, max_pending: int, keeps_refused: bool
    ) -> None:
        super().__init__(address, namespace, max_pending, keeps_refused)
        # no cluster has namespaces
        self.space = self.named
        home = RESERVED if self.space is None else self.space.home
        self.dialect = self.cluster = ClusterDialect(home)

    def made(self, **options: Any) -> Any:
        """A client that connects when it is first used."""

        def connect() -> Any:
            client = translated(lambda: self.address.cluster_client(protocol=3, **options))
            _leave_all_replies(client)
            return client

        return Unconnected(connect)

    def send(self, *words: Any) -> Any:
        """See `Wire.send`."""
        return translated(lambda: super(ClusterWire, self).send(*words))

    def _said(self, dialect: Dialect, step: Step, pinned: Any) -> list[Any]:
        assert isinstance(dialect, ClusterDialect)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._spread(dialect, step, pinned)
            except NoScriptError:
                self._part(Everywhere(lambda _: LOADING), None)
                if pinned is not None and isinstance(step, Ask):
                    raise redis.WatchError from None
            except (TryAgainError, redis.exceptions.ClusterError) as error:
                refuse_late(error, deadline)
                self._part(Pause(PAUSE_S), None)

    def _spread(self, dialect: ClusterDialect, step: Step, pinned: Any) -> list[Any]:
        course = dialect.spread(step)
        try:
            part = next(course)
            while True:
                part = course.send(self._part(part, pinned))
        except StopIteration as end:
            found: list[Any] = end.value
            return found

    def _part(self, part: Part, pinned: Any) -> list[Any]:
        if isinstance(part, (Ask, Watch)):
            replies: list[Any] = translated(lambda: self._sent(part, pinned))
            return replies
        client = self.client
        if isinstance(part, Pause):
            time.sleep(part.seconds)
            translated(client.nodes_manager.initialize)
            return []
        nodes, slots = primaries(client)
        if isinstance(part, AtNode):
            node = nodes[part.index % len(nodes)]
            reply = translated(lambda: client.execute_command(*part.words, target_nodes=node))
            return [reply, len(nodes)]
        pairs = [(node, part.words_of(slots[node.name])) for node in nodes]
        return _side_by_side(client, [(node, words) for node, words in pairs if words])


def _side_by_side(client: Any, pairs: list[tuple[Any, list[Any]]]) -> list[Any]:
    """Sends each node its command, then reads the replies: the nodes work side by side."""
    pools = [client.get_redis_connection(node).connection_pool for node, _ in pairs]
    held: list[Any] = []
    is_over = False
    try:
        for pool, (_, words) in zip(pools, pairs):
            held.append(pool.get_connection())
            held[-1].send_command(*words)
        found = [_reply(connection) for connection in held]
        is_over = True
    finally:
        for pool, connection in zip(pools, held):
            if not is_over:
                # a reply may be on its way
                connection.disconnect()
            pool.release(connection)
    return checked(found)


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def translated(call: Callable[[], Any]) -> Any:
    """What a call of the cluster client gives, its own errors as those of redis-py.

    Raises:
        redis.RedisError: for all of them.
    """
    try:
        return call()
    except RedisClusterException as error:
        raise plain_error(error) from error


def plain_error(error: RedisClusterException) -> redis.RedisError:
    """What redis-py would have raised of one server in the place of an error of its cluster."""
    reason = error.__cause__
    if isinstance(reason, RedisClusterException):
        # which takes any refusal of CLUSTER SLOTS for that of a server without a cluster
        reason = reason.__context__
    if isinstance(reason, redis.AuthenticationError):
        return reason
    if isinstance(reason, redis.ResponseError) and str(reason).startswith(("NOAUTH", "NOPERM")):
        return reason
    return redis.ConnectionError(str(error))


def refuse_late(error: Exception, deadline: float) -> None:
    """Refuses to try again after the deadline.

    Raises:
        BusySlotError: with what the server said.
    """
    if time.monotonic() >= deadline:
        raise BusySlotError(
            f"a slot is on its way to another node, and did not arrive within {PATIENCE_S:g} s:"
            f" {error}"
        ) from error


def primaries(client: Any) -> tuple[list[Any], dict[str, list[bytes]]]:
    """The primaries in the order of their names, and by name the marks of their slots."""
    by_name: dict[str, list[bytes]] = {}
    nodes = {}
    names = marks()
    for slot, owners in client.nodes_manager.slots_cache.items():
        node = owners[0]
        nodes[node.name] = node
        by_name.setdefault(node.name, []).append(names[slot])
    return [nodes[name] for name in sorted(nodes)], by_name


def leave_replies(callbacks: Any) -> None:
    """Has replies come as they are: they are read by the declarations."""
    for name in [name for name in callbacks if name != "COMMAND"]:
        # which redis-py itself needs to be read, and nobody else asks for
        del callbacks[name]


def _leave_all_replies(client: Any) -> None:
    client.cluster_response_callbacks.clear()
    client.result_callbacks.clear()
    manager = client.nodes_manager
    make = manager.create_redis_node

    def made(*args: Any, **options: Any) -> Any:
        node = make(*args, **options)
        leave_replies(node.response_callbacks)
        return node

    manager.create_redis_node = made
    for node in client.get_nodes():
        if node.redis_connection is not None:
            leave_replies(node.redis_connection.response_callbacks)
