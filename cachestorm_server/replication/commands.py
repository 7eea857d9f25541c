"""The commands of replication: ROLE, WAIT, REPLICAOF, and FOLLOW, which replicas send.

Declared like all commands, with a session in the place of the cache.

Source: https://redis.io/docs/latest/commands/?group=server, texts as in Redis 7.2.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from cachestorm.declare.declaration import Declaration
from cachestorm.declare.facts import help_of
from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.long_command import LongCommand
from cachestorm_server.replication.primary import Request
from cachestorm_server.replication.replication import Replication, refuse_replica
from cachestorm_server.replication.stream import Stream
from cachestorm_server.replies import Several
from cachestorm_server.session import Session

HIGHEST_PORT: Final = 65535

command: Final = partial(Declaration, group="server", connection=True)


def _replication(session: Session) -> Replication:
    found = session.endpoint.replication
    if found is None:
        raise CacheStormError(
            "there is no replication here: the program that serves this cache owns it"
        )
    return found


@command(
    "ROLE",
    complexity="O(1)",
    fast=True,
    flags="noscript loading stale @admin @dangerous",
    summary="Return the role of the server in replication.",
)
def role(session: Session) -> list[object]:
    """What this server is: a master with its replicas, or a slave of another one."""
    found = session.endpoint.replication
    if found is None:
        return ["master", 0, []]
    if found.following is not None:
        host, port = found.following.primary[:2]
        follower = found.following.follower
        return ["slave", host, port, follower.state.value, follower.offset]
    replicas = [[each.address, str(each.port), str(each.offset)] for each in found.followers()]
    return ["master", found.stream.offset, replicas]


class WaitingForReplicas(LongCommand):
    """WAIT: sleeps until enough replicas have what was written, or its time is up."""

    def __init__(self, space: Keyspace, stream: Stream, wanted: int, ends_at: float) -> None:
        super().__init__(space)
        self._stream: Final = stream
        self._wanted: Final = wanted
        self._ends_at: Final = ends_at
        self._offset: Final = stream.flush()

    def _work(self) -> Iterator[None]:
        stream = self._stream
        if self._count() < self._wanted:
            stream.ask_all()
        while not self.is_unblocked and self._count() < self._wanted:
            stream.waiting.append(self.wake)
            self._sleep(self._ends_at)
            yield
        self._value = self._count()

    def _count(self) -> int:
        return self._stream.followers.count_at(self._offset)


@command(
    "WAIT numreplicas:integer timeout:pause",
    group="generic",
    complexity="O(1)",
    flags="blocking @connection",
    tips="request_policy:all_shards response_policy:agg_min",
    summary="Wait until replicas have what was written.",
)
def wait(session: Session, numreplicas: int, timeout: int) -> object:
    """How many replicas have all that was written before, by this connection and by others.

    Args:
        timeout: milliseconds; 0: for ever.

    Raises:
        ArgumentError: for a timeout below zero, and at a replica.
    """
    if timeout < 0:
        raise ArgumentError("timeout is negative")
    found = session.endpoint.replication
    if found is None:
        return 0
    refuse_replica(found, "WAIT")
    ends_at = time.monotonic() + timeout / 1000 if timeout else 0.0
    space = session.cache._space
    waiting = WaitingForReplicas(space, found.stream, numreplicas, ends_at)
    return session.cache._run(waiting)


@command(
    "REPLICAOF host:string port:string",
    complexity="O(1)",
    reply="status",
    flags="admin noscript stale no_async_loading",
    summary="Become a replica of another server, or with NO ONE a primary.",
)
def replicaof(session: Session, host: str, port: str) -> str:
    """Becomes a replica of another CacheStorm, or a primary, with all that it has.

    Raises:
        ArgumentError: for a port that is none, and at a node of a cluster.
        CacheStormError: where the cache belongs to a program.
    """
    return _follow(session, host, port)


@command(
    "SLAVEOF host:string port:string",
    complexity="O(1)",
    reply="status",
    flags="admin noscript stale no_async_loading",
    deprecated="5.0.0",
    instead="`REPLICAOF`",
    summary="Become a replica, or a primary; an older name of REPLICAOF.",
)
def slaveof(session: Session, host: str, port: str) -> str:
    """As REPLICAOF.

    Raises:
        ArgumentError: for a port that is none.
        CacheStormError: where the cache belongs to a program.
    """
    return _follow(session, host, port)


def _follow(session: Session, host: str, port: str) -> str:
    if session.endpoint.cluster is not None:
        raise ArgumentError("REPLICAOF not allowed in cluster mode.")
    if (host.upper(), port.upper()) == ("NO", "ONE"):
        if session.endpoint.replication is not None:
            session.endpoint.replication.promote()
        return "OK"
    if not (port.isascii() and port.isdecimal() and int(port) <= HIGHEST_PORT):
        raise ArgumentError("Invalid master port")
    if session.is_replica:
        raise ArgumentError("Command is not valid when client is a replica.")
    if not _replication(session).follow(host, int(port)):
        return "OK Already connected to specified master"
    return "OK"


@command(
    "FOLLOW FROM version:integer node:string history:string offset:integer port:integer "
    "[meant:string [member:string]]",
    own=True,
    complexity="O(N) in the keys, or in what was missed",
    reply="status",
    flags="admin noscript no_multi @dangerous",
    summary="Become a replica; sent by replicas.",
)
def follow_from(
    session: Session,
    version: int,
    node: str,
    history: str,
    offset: int,
    port: int,
    meant: str = "",
    member: str = "",
) -> str:
    """From the reply on messages come as `replication/link.py` says.

    Args:
        version: the latest of the link that the replica speaks.
        node: its run id.
        history: the stream that it has something of; `?` for none.
        offset: how much of it.
        port: where it listens itself.
        meant, member: in a cluster, the node that it means to follow, and which one it is.

    Raises:
        CacheStormError: if it may not follow.
    """
    if session.is_replica:
        raise ArgumentError("this connection is a replica's already")
    known = "" if history == "?" else history
    request = Request(version, node, known, offset, meant, member)
    _replication(session).accept(session, request, port)
    return "FOLLOW"


@command(
    "FOLLOW ACK offset:integer durable:integer",
    own=True,
    complexity="O(1)",
    fast=True,
    flags="admin noscript no_multi loading stale @dangerous",
    summary="Report how far a replica is; sent by replicas.",
)
def follow_ack(session: Session, offset: int, durable: int) -> Several:
    """Has no reply.

    Args:
        offset: up to where the replica has all.
        durable: up to where all is on its disk.

    Raises:
        ArgumentError: for a client that is no replica.
    """
    if not session.is_replica:
        raise ArgumentError("this connection is no replica's: FOLLOW FROM comes first")
    _replication(session).stream.acknowledge(session.id, offset, durable)
    return Several([])


@command(
    "FOLLOW TAKEOVER",
    own=True,
    complexity="O(N) in the slots",
    flags="admin noscript no_multi @dangerous",
    summary="Ask a primary for its slots; sent by replicas.",
)
def follow_takeover(session: Session) -> Several:
    """Has no reply: the slots are given, once the replica has all that the primary has.

    Raises:
        ArgumentError: for a client that is no replica.
    """
    if not session.is_replica:
        raise ArgumentError("this connection is no replica's: FOLLOW FROM comes first")
    _replication(session).hand_over(session)
    return Several([])


@command(
    "FOLLOW HELP",
    own=True,
    complexity="O(1)",
    reply="statuses",
    flags="loading stale",
    summary="Print this help.",
)
def follow_help(session: Session) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("FOLLOW")
