"""Replication: whether a server is a primary or a replica, and who follows whom.

One for each endpoint, made by the application; asked by the commands and by INFO. Calls the
stream (to the replicas) and the following (of a primary).

1. A replica refuses writes of its clients; it goes on to serve its own replicas, by a stream of
   its own.
2. What it becomes by REPLICAOF lasts until the end of the process; a start goes by the
   configuration.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final, Protocol

from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.replication import primary
from cachestorm_server.replication.backlog import Backlog
from cachestorm_server.replication.follower import State
from cachestorm_server.replication.following import Following, Primary
from cachestorm_server.replication.kept_place import Place
from cachestorm_server.replication.limits import Limits
from cachestorm_server.replication.stream import Stream
from cachestorm_server.session import Session

LOOK_S: Final = 1.0
NOBODY: Final = Primary("", 0)

_log = logging.getLogger("cachestorm")


class Director(Protocol):
    """What decides in a cluster who follows whom."""

    def refusal(self, meant: str, member: str, history: str) -> str:
        """Why a node may not follow this one in this history; empty if it may."""
        ...

    def hand_over(self, follower: primary.Follower) -> None:
        """A replica asks to take over."""
        ...


class Replication:
    """That of one endpoint.

    Attributes:
        limits: as they are set.
        director: decides who follows whom; None where operators do.
        place: as the server starts, what is loaded of a primary's stream; once it has been
            stopped, what is there; None for nothing.
        stream: to the replicas.
        following: of a primary; None of a primary itself.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.limits: Final[Limits] = endpoint.settings.replication
        self.stream: Final = Stream(endpoint)
        self.following: Following | None = None
        self.director: Director | None = None
        self.place: Place | None = None
        self._endpoint: Final = endpoint
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.Task[None] | None = None

    def start(self, address: str) -> None:
        """Begins to look after the replicas. Within a running loop.

        Args:
            address: of the primary, with its port; empty for none.
        """
        self._timer = asyncio.get_running_loop().create_task(self._keep_looking())
        if address:
            host, _, port = address.rpartition(":")
            self.follow(host.strip("[]"), int(port))

    async def stop(self) -> None:
        """Follows nobody, and has nobody follow any more."""
        tasks = [each for each in (self._task, self._timer) if each is not None]
        self._task = self._timer = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        following = self.following
        if following is not None:
            following.finish()
            following.drop_part()
            if following.follower.is_whole:
                self.place = Place(following.follower.history, following.follower.offset)
        self.stream.end()

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                self.stream.look()
                if self.following is not None:
                    self.following.look()
                    self.stream.followed = self.following.follower.followed
            except Exception:
                _log.exception("replication is not looked after")

    # -- a replica

    @property
    def is_connecting(self) -> bool:
        """Whether anything may come of a primary."""
        return self._task is not None

    def follow(self, host: str, port: int, ids: tuple[str, str] = ("", "")) -> bool:
        """Becomes a replica. Returns whether it was none of that server already.

        Args:
            ids: of the node of a cluster that is followed, and of this one.
        """
        limits = self.limits
        wanted = Primary(host, port, limits.user, limits.password, *ids)
        following = self.following
        if following is not None and following.primary[:2] == wanted[:2]:
            if self._task is not None:
                return False
            self._task = asyncio.get_running_loop().create_task(following.run())
            return True
        self._begin(wanted, self._leave())
        self._task = asyncio.get_running_loop().create_task(self._followed().run())
        return True

    def follow_nobody(self) -> None:
        """Is a replica that gets nothing more, until it follows again."""
        if self.following is None:
            self._begin(NOBODY, None)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            self._followed().let_go()

    def _followed(self) -> Following:
        assert self.following is not None
        return self.following

    def _begin(self, wanted: Primary, former: Following | None) -> None:
        _log.info("replica of %s from now on", wanted)
        following = Following(self._endpoint, wanted, self.limits, self._look_at_following)
        self.following = following
        stream = self.stream
        if former is not None:
            if former.follower.is_whole:
                following.has(former.follower.history, former.backlog)
        elif stream.backlog is not None:
            # who takes over from this server may have just what it has
            following.has(stream.history, Backlog(stream.backlog.size, stream.flush()))
        elif self.place is not None:
            # nothing has changed since it was loaded
            backlog = Backlog(self.limits.backlog_bytes, self.place.offset)
            following.has(self.place.history, backlog)
        self.place = None
        self._look_at_following()

    def promote(self) -> bool:
        """Becomes a primary. Returns whether it was none."""
        if self.following is None:
            return False
        former = self._leave()
        if former is not None and former.follower.is_whole:
            # before anything changes here: other replicas of its primary can go on with it
            self.stream.begin(former.follower.history, former.backlog)
        _log.info("no replica any more: writes are taken")
        self._look_at_following()
        return True

    def _leave(self) -> Following | None:
        """Follows nobody any more. Returns what was followed."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        following, self.following = self.following, None
        if following is not None:
            following.finish()
            following.end()
        self.stream.followed = ()
        return following

    def _look_at_following(self) -> None:
        """Has clients refused what a replica does not do."""
        availability = self._endpoint.availability
        following = self.following
        availability.follow(
            following is not None,
            following is not None and following.follower.state is State.SYNC,
        )
        self._endpoint.watch_over_all()

    # -- a primary

    def accept(self, session: Session, request: primary.Request, port: int) -> None:
        """Takes a client for a replica.

        Raises:
            CacheStormError: if it may not be one.
        """
        stream, following = self.stream, self.following
        if self.director is not None:
            stream.begin()
            refusal = self.director.refusal(request.meant, request.member, stream.history)
            if refusal:
                raise ReplicaRefusedError(refusal)
        standing = primary.Standing(
            self._endpoint.run_id,
            () if following is None else following.follower.followed,
            following is None or following.follower.state is State.CONNECTED,
            stream.history,
            stream.backlog,
            former=stream.former,
        )
        # what was changed so far is in the backlog by then
        stream.flush()
        answer = primary.decide(request, standing)
        if answer.refusal:
            raise ReplicaRefusedError(answer.refusal)
        address = session.address.rpartition(":")[0]
        node, member = request.node, request.member
        follower = primary.Follower(address, port, node, time.monotonic(), member)
        what = "all keys" if answer.missed is None else f"{len(answer.missed)} bytes"
        _log.info("replica %s:%d: it gets %s", address, port, what)
        session.is_replica = True
        stream.accept(session, follower, answer.missed)

    def hand_over(self, session: Session) -> None:
        """A replica asks to take over."""
        follower = self.stream.followers.by_id.get(session.id)
        if follower is not None and self.director is not None:
            self.director.hand_over(follower)

    def followers(self) -> list[primary.Follower]:
        """The replicas that are there."""
        self.stream.forget_gone()
        return list(self.stream.followers.by_id.values())


def refuse_replica(replication: Replication | None, name: str) -> None:
    """Refuses a command that waits for replicas, at one.

    Raises:
        ArgumentError: with Redis' text.
    """
    if replication is not None and replication.following is not None:
        raise ArgumentError(
            f"{name} cannot be used with replica instances. Please also note that since Redis "
            "4.0 if a replica is configured to be writable (which is not the default) writes "
            "to replicas are just local and are not propagated."
        )


class ReplicaRefusedError(CacheStormError):
    """A client that may not be a replica."""

    @property
    def resp(self) -> str:
        return str(self)
