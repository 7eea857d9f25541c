"""What a client may ask about what is kept on disk: SAVE, BGSAVE, WAITAOF and their like.

Declared like all commands, with a session in the place of the cache. Calls the data directory.

1. The journal begins with a snapshot: to save, and to rewrite the journal, is the same.
2. Who waits for the disk has it forced at once, by the thread of the data directory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from cachestorm.declare.declaration import Declaration
from cachestorm.durability.directory import DataDirectory
from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.long_command import LongCommand
from cachestorm_server.persistence_info import last_save
from cachestorm_server.replication.replication import refuse_replica
from cachestorm_server.replication.stream import Stream
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="server", connection=True)


def _directory(session: Session) -> DataDirectory:
    directory = session.endpoint.cache._directory()
    if directory is None:
        raise CacheStormError("nothing is kept on disk: start the server with --data-dir")
    return directory


@command(
    "SAVE",
    complexity="O(N) in the keys",
    reply="status",
    flags="admin noscript no_async_loading no_multi",
    summary="Write a snapshot of all keys, and wait for its end.",
)
def save(session: Session) -> str:
    """Begins the journal anew with a snapshot; other clients wait meanwhile.

    Raises:
        CacheStormError: without a data directory, while it is being done, or if it cannot be
            written.
    """
    directory = _directory(session)
    if directory.is_rewriting:
        raise CacheStormError("Background save already in progress")
    directory.rewrite()
    return "OK"


@command(
    "BGSAVE [SCHEDULE]",
    complexity="O(1)",
    reply="status",
    flags="admin noscript no_async_loading",
    summary="Write a snapshot of all keys in the background.",
)
def bgsave(session: Session, schedule: bool = False) -> str:
    """Begins the journal anew with a snapshot, while all clients are served.

    Args:
        schedule: if one is being written, another one is to be after it.

    Raises:
        CacheStormError: without a data directory, or while it is being done.
    """
    directory = _directory(session)
    if directory.is_rewriting and schedule:
        directory.is_scheduled = True
        return "Background saving scheduled"
    if directory.is_rewriting:
        raise CacheStormError("Background save already in progress")
    directory.rewrite_soon()
    return "Background saving started"


@command(
    "BGREWRITEAOF",
    complexity="O(1)",
    reply="status",
    flags="admin noscript no_async_loading",
    summary="Rewrite the journal in the background.",
)
def bgrewriteaof(session: Session) -> str:
    """Does what BGSAVE does.

    Raises:
        CacheStormError: without a data directory, or while it is being done.
    """
    directory = _directory(session)
    if directory.is_rewriting:
        raise CacheStormError("Background append only file rewriting already in progress")
    directory.rewrite_soon()
    return "Background append only file rewriting started"


@command(
    "LASTSAVE",
    complexity="O(1)",
    fast=True,
    flags="loading stale @admin @dangerous",
    tips="nondeterministic_output",
    summary="Return when the last snapshot was written.",
)
def lastsave(session: Session) -> int:
    """Seconds since 1970; the start of the server if none was written since."""
    return last_save(session.endpoint)


class WaitingForDisk(LongCommand):
    """WAITAOF: sleeps until all that was written before is on the disks, or its time is up.

    Args:
        directory: of this server; None without a journal.
        wants_disk: whether it is waited for.
        stream: to the replicas; None if there are none.
        replicas: how many of them are waited for.
    """

    def __init__(
        self,
        space: Keyspace,
        directory: DataDirectory | None,
        wants_disk: bool,
        stream: Stream | None,
        replicas: int,
        ends_at: float,
    ) -> None:
        super().__init__(space)
        self._directory: Final = directory
        self._wants_disk: Final = wants_disk
        self._stream: Final = stream
        self._replicas: Final = replicas
        self._ends_at: Final = ends_at
        self._offset: Final = 0 if stream is None else stream.flush()
        self._is_forced = directory is not None and directory.is_forced()

    def _work(self) -> Iterator[None]:
        if self._directory is not None and self._wants_disk and not self._is_forced:
            self._directory.when_forced(self._end)
        if self._stream is not None and self._count() < self._replicas:
            self._stream.ask_all(True)
        while not self.is_unblocked and self._is_short():
            if self._stream is not None:
                self._stream.waiting.append(self.wake)
            self._sleep(self._ends_at)
            yield
        self._value = [int(self._is_forced), self._count()]

    def _is_short(self) -> bool:
        is_awaited = self._wants_disk and not self._is_forced
        return is_awaited or self._count() < self._replicas

    def _count(self) -> int:
        stream = self._stream
        return 0 if stream is None else stream.followers.count_durable_at(self._offset)

    def _end(self) -> None:
        self._is_forced = True
        self.wake()


@command(
    "WAITAOF numlocal numreplicas:positive timeout:pause",
    group="generic",
    complexity="O(1)",
    flags="blocking @connection",
    tips="request_policy:all_shards response_policy:agg_min",
    summary="Wait until what this connection has written is on the disk.",
)
def waitaof(session: Session, numlocal: int, numreplicas: int, timeout: int) -> object:
    """Whether this server has it on disk, 1 or 0, and how many of its replicas have.

    Args:
        timeout: milliseconds; 0: for ever.

    Raises:
        ArgumentError: for `numlocal` where there is no journal, and at a replica.
    """
    replication = session.endpoint.replication
    refuse_replica(replication, "WAITAOF")
    directory = session.endpoint.availability.directory
    if directory is not None and directory.journal is None:
        directory = None
    if numlocal and directory is None:
        raise ArgumentError(
            "WAITAOF cannot be used when numlocal is set but appendonly is disabled."
        )
    ends_at = time.monotonic() + timeout / 1000 if timeout else 0.0
    space = session.cache._space
    stream = None if replication is None else replication.stream
    waiting = WaitingForDisk(space, directory, numlocal > 0, stream, numreplicas, ends_at)
    return session.cache._run(waiting)
