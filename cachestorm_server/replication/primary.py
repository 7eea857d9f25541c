"""The primary: whom it takes for a replica, and what each of them has. Pure.

Asked with what a replica said and with the time; decides, and keeps the table of replicas.

1. Who asks for what the backlog still has of this history, or of the one that it has followed
   from, goes on from there; anybody else gets all of it.
2. A circle is refused: of who asks to follow itself, and of who is followed already, at
   whatever distance.
3. A replica of an older version is refused: it could not read what it gets. A newer one reads
   all that older ones have written.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from cachestorm_server.replication.backlog import Backlog
from cachestorm_server.replication.link import VERSION


class Request(NamedTuple):
    """What a replica asks for.

    Attributes:
        version: the latest of the link that it speaks.
        node: its run id.
        history, offset: what it has; an empty history for nothing.
        meant: the node of a cluster that it means to follow; empty for none.
        member: which node of it the replica is.
    """

    version: int
    node: str
    history: str
    offset: int
    meant: str = ""
    member: str = ""


class Standing(NamedTuple):
    """What a primary is at the moment.

    Attributes:
        node: its run id.
        followed: the run ids of its own primary, of that one's, and so on.
        is_whole: whether it has all of its own primary's keys, if it follows any.
        history: of its stream.
        backlog: the end of that; None if nothing was kept so far.
        version: of the link.
        former: the history that this one goes on from, and up to which offset; as of a replica
            that has become a primary. Empty for none.
    """

    node: str
    followed: tuple[str, ...]
    is_whole: bool
    history: str
    backlog: Backlog | None
    version: int = VERSION
    former: tuple[str, int] = ("", 0)


class Answer(NamedTuple):
    """What a replica is answered.

    Attributes:
        refusal: why it may not follow; empty if it may.
        missed: what it has missed; None: it gets all of it.
    """

    refusal: str = ""
    missed: bytes | None = None


def decide(request: Request, standing: Standing) -> Answer:
    """What to answer a replica."""
    if request.version < standing.version:
        return Answer(
            f"ERR this replica speaks version {request.version} of replication, and this "
            f"primary version {standing.version}: run the newer CacheStorm on the replica first"
        )
    if request.node == standing.node:
        return Answer("ERR a server cannot be a replica of itself")
    if request.node in standing.followed:
        return Answer("ERR this server follows that one already: replicas in a circle")
    if not standing.is_whole:
        return Answer("NOMASTERLINK Can't SYNC while not connected with my master")
    former, until = standing.former
    has_some = request.history == standing.history or (
        request.history == former and request.offset <= until
    )
    if standing.backlog is None or not request.history or not has_some:
        return Answer()
    return Answer(missed=standing.backlog.since(request.offset))


class State(Enum):
    """How far a replica is, as INFO says it."""

    SYNCING = "send_bulk"
    ONLINE = "online"


class Follower:
    """A replica, as its primary knows it.

    Attributes:
        address, port: where it is, and where it listens.
        node: its run id.
        state: how far it is.
        offset: up to where it has said that it has all.
        durable: up to where it has said that all is on its disk.
        seen_s: when it said so last.
        is_fed: whether it gets what is added to the stream.
        cluster_id: which node of a cluster it is; empty for none.
    """

    def __init__(
        self, address: str, port: int, node: str, now_s: float, cluster_id: str = ""
    ) -> None:
        self.address: Final = address
        self.port: Final = port
        self.node: Final = node
        self.state = State.SYNCING
        self.offset = self.durable = 0
        self.seen_s = now_s
        self.is_fed = False
        self.cluster_id: Final = cluster_id


class Followers:
    """The replicas of a primary, by the id of their session."""

    def __init__(self) -> None:
        self.by_id: Final[dict[int, Follower]] = {}

    def acknowledge(self, session_id: int, offset: int, durable: int, now_s: float) -> None:
        """A replica has said how far it is, and how far its disk."""
        follower = self.by_id.get(session_id)
        if follower is not None:
            follower.offset = max(follower.offset, offset)
            follower.durable = max(follower.durable, durable)
            follower.seen_s = now_s

    def count_at(self, offset: int) -> int:
        """How many have all up to an offset."""
        return sum(
            each.state is State.ONLINE and each.offset >= offset for each in self.by_id.values()
        )

    def count_durable_at(self, offset: int) -> int:
        """How many have all up to an offset on their disks."""
        return sum(
            each.state is State.ONLINE and each.durable >= offset
            for each in self.by_id.values()
        )

    def silent(self, now_s: float, timeout_s: float) -> list[int]:
        """Who has said nothing for longer than that."""
        return [
            number for number, each in self.by_id.items() if now_s - each.seen_s > timeout_s
        ]
