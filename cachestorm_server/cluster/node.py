"""The node: one member of a cluster, as a state that messages and time change. Pure, sans-IO.

Driven by the bus, or by the simulator of the tests: each `receive` and `tick` gives what is to
be sent. What it knows of slots is in `slot_holder.py`, of whom it hears in `suspicion.py`, of
what all are to do in `op_log.py` and `link_map.py`.

1. What has changed is on disk before it is spoken of: before a driver sends anything it saves
   what `node_state.persisted` gives, if it finds `is_dirty`, and what `take_added` gives else.
2. Gossip spreads members, slots and suspicion. It never moves a slot: a map changes by
   `assign`, which an operator or an authority calls, and else by what others have assigned.
3. Two clusters stay two. A message of another cluster is refused, whoever sends it; only MEET,
   which an operator or a seed asks for, joins two, and only as long as they have not given the
   same slot to different nodes.
4. A member is itself wherever it comes back: its id is on disk, its address is what its latest
   record says. A second process of the same id is found out, and the younger one of the two
   stops serving.
5. Who has been silent for `timeout_ms` is suspected; who is suspected by a majority of those
   that own slots has failed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from cachestorm_server.cluster import roles
from cachestorm_server.cluster.authority import Authority, Static
from cachestorm_server.cluster.link_map import Link, LinkMap
from cachestorm_server.cluster.messages import (
    MEET,
    PING,
    PONG,
    Address,
    Member,
    Message,
    Query,
    Result,
    parts_of,
)
from cachestorm_server.cluster.op_log import Operation, OpLog, Share
from cachestorm_server.cluster.slot_holder import SlotHolder
from cachestorm_server.cluster.slot_map import NOBODY
from cachestorm_server.cluster.suspicion import Suspicion

# for how long gossip brings nobody back who was forgotten
FORGOTTEN_MS: Final = 60_000
# for how long a MEET is tried
MEETING_MS: Final = 30_000
# how many others a message tells of, beside a tenth of them
FEW_MEMBERS: Final = 3
# how many are asked at a time for no other reason than that it is time
FEW_ASKED: Final = 3


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message and where it goes.

    Attributes:
        to: the id of the node that is meant; empty for whoever is there.
    """

    address: Address
    to: str
    message: Message


@dataclass(slots=True)
class Meeting:
    """A node to be met, of which only the address is known."""

    nonce: int
    until_ms: int


def new_id(random: Random) -> str:
    """An id of a node or a cluster."""
    return hashlib.sha1(random.randbytes(32)).hexdigest()


class Node(SlotHolder):
    """One member.

    Args:
        me: what others are to know of it; its version is that of its last life, or 0.
        clusters: the ids of its cluster; empty for a node that begins one of its own.
        timeout_ms: after how much silence another is suspected.

    Attributes:
        members: the others, by id.
        suspicion: of which of them nothing is heard.
        refused: of which clusters messages came.
        log: the operations that all nodes are to do.
        links: between tags.
        linked: what others have decided about them that the driver has not seen yet.
        due: operations that the driver is to do now; queries that it is to answer, each with
            who asks; results of its own, each with whose they are.
        is_double: another process has the same id, and is to go on alone.
        copies: what it has of its primary, and its replicas of it.
        follows: whether it is to follow its primary now, if it is a replica.
    """

    def __init__(
        self,
        me: Member,
        random: Random,
        timeout_ms: int,
        clusters: Iterable[str] = (),
        authority: Authority | None = None,
    ) -> None:
        super().__init__(replace(me, version=me.version + 1), authority or Static())
        self._random: Final = random
        self.timeout_ms: Final = timeout_ms
        self.clusters: list[str] = list(clusters) or [new_id(random)]
        self.members: Final[dict[str, Member]] = {}
        self.suspicion: Final = Suspicion(timeout_ms)
        self.forgotten: Final[dict[str, int]] = {}
        self.meetings: Final[dict[Address, Meeting]] = {}
        self.refused: Final[set[str]] = set()
        self.log: Final = OpLog(self.me.instance)
        self.links: Final = LinkMap()
        self.linked: Final[list[Link]] = []
        # operations that are to be on disk before anything is said
        self._kept: list[Operation] = []
        # who was suspected at the last tick: it is not told of operations until it speaks
        self._silent: frozenset[str] = frozenset()
        self.due: Final[list[Operation]] = []
        self.queries: Final[list[tuple[Query, Member]]] = []
        self.results: Final[list[tuple[Result, str]]] = []
        self._caught_up: Final[set[str]] = set()
        self._caught_up_by_ms = 0
        # whether it has heard, in this life, what all were to do while it was away
        self._has_caught_up = True
        self.is_double = False
        # of other instances with this id, the version that their record was outbid with
        self._rivals: Final[dict[str, int]] = {}
        self._outbox: list[Outgoing] = []
        self.copies: roles.Copies = roles.NoCopies()
        self.follows = True
        self._heirs: Final = roles.Heirs()

    def resume(
        self,
        was: Message,
        migrating: dict[int, str],
        importing: dict[int, str],
        pending: Iterable[Operation],
        now_ms: int,
    ) -> None:
        """Takes up what it knew in an earlier life.

        Args:
            was: that, as it would have told others.
            pending: operations that some others had not done.
        """
        self.epoch = was.epoch
        for member in was.members:
            self.members[member.id] = member
            self.suspicion.hear_from(member.id, now_ms)
        self.slots.merge(was.runs)
        self.links.merge(was.links)
        self.log.restore(pending, dict(was.done), now_ms)
        self._caught_up_by_ms = now_ms + self.timeout_ms
        self._has_caught_up = not self.members
        self.migrating.update(migrating)
        self.importing.update(importing)

    # -- what is asked

    @property
    def is_alone(self) -> bool:
        """Whether it knows nobody else."""
        return not self.members

    def known(self, node_id: str) -> Member | None:
        """A member by its id, this one included."""
        return self.me if node_id == self.me.id else self.members.get(node_id)

    def owners(self) -> set[str]:
        """Who owns slots, as far as it is known who that is."""
        return {owner for owner in self.slots.counts if self.known(owner) is not None}

    def is_suspected(self, node_id: str, now_ms: int) -> bool:
        """Whether a member has been silent for too long, as seen from here."""
        return node_id != self.me.id and self.suspicion.is_silent(node_id, now_ms)

    def is_given_up(self, node_id: str, now_ms: int) -> bool:
        """Whether nobody waits for the answer of a member any more, as seen from here."""
        return self.suspicion.is_given_up(node_id, now_ms)

    def has_failed(self, node_id: str, now_ms: int) -> bool:
        """Whether a majority of the owners of slots suspects a member, this node among them."""
        if not self.is_suspected(node_id, now_ms):
            return False
        owners = self.owners()
        votes = (self.me.id in owners) + sum(
            owner in owners for owner in self.suspicion.reporting(node_id, now_ms)
        )
        return votes > len(owners) // 2

    def may_serve(self, now_ms: int) -> bool:
        """Whether it may answer for its slots at all, at this moment."""
        return not self.is_double and self.authority.may_serve(now_ms) and self._has_caught_up

    def hear_epoch(self, epoch: int) -> None:
        """Has what is decided here from now on count more than what another has decided."""
        if epoch > self.epoch:
            self.epoch = epoch
            self.is_dirty = True

    # -- what all are to do

    def publish(self, namespace: str, words: tuple[str, ...], now_ms: int) -> Operation:
        """Has all others do what the caller does at once."""
        operation = self.log.append(namespace, words, now_ms)
        for member in self.members.values():
            self._send(member, self._message(PING, self._nonce()))
        return operation

    def keep(self, operation: Operation) -> None:
        """Has an operation on disk before anything is said."""
        self._kept.append(operation)

    def take_added(self) -> tuple[list[Link], list[Operation]]:
        """What has come to links and operations; it is to be on disk before more is said."""
        added = self.links.news, self._kept
        self.links.news, self._kept = [], []
        return added

    def link(self, links: Iterable[Link]) -> None:
        """Takes in what another node has decided about links between tags."""
        self.linked.extend(self.links.merge(links))

    def ask(self, members: Iterable[Member], namespace: str, words: tuple[str, ...]) -> str:
        """Has others answer a command of their own keys. Returns the key of the results."""
        query = Query(f"{self.me.instance}?{self._nonce()}", namespace, words)
        for member in members:
            message = self._message(PING, self._nonce())
            self._send(member, replace(message, queries=(query,)))
        return query.key

    def answer(self, member: Member, result: Result) -> None:
        """Tells another what its operation or query has come to here."""
        for part in parts_of(result):
            message = self._message(PONG, self._nonce())
            self._send(member, replace(message, results=(part,)))

    # -- what an operator, or an authority, decides

    def spread(self) -> None:
        """Has others look at what they know of slots."""
        for member in self.members.values():
            self._send(member, replace(self._message(PONG, 0), digest=0))

    def change_me(self, **changes: object) -> None:
        """Changes what others know of this node."""
        self.me = replace(self.me, version=self.me.version + 1, **changes)  # type: ignore[arg-type]
        self.epoch = max(self.epoch, self.me.config_epoch)
        self.is_dirty = True

    def meet(self, address: Address, now_ms: int) -> None:
        """Joins the cluster of the node at an address, or has it join; tried for a while."""
        self.meetings[address] = Meeting(self._nonce(), now_ms + MEETING_MS)
        self._ask_for(address)

    def forget(self, node_id: str, now_ms: int) -> None:
        """Knows a member no more, for as long as others need to forget it as well."""
        self._drop(node_id)
        self.forgotten[node_id] = now_ms + FORGOTTEN_MS
        self.is_dirty = True

    def reset(self, hard: bool) -> None:
        """Leaves the cluster, and knows nobody and no slots. Nobody is told."""
        for node_id in list(self.members):
            self._drop(node_id)
        self.drop_slots()
        self.forgotten.clear()
        self.meetings.clear()
        self.clusters = [new_id(self._random)]
        roles.become(self, "")
        if hard:
            self.epoch = 0
            self.change_me(id=new_id(self._random), config_epoch=0)
        self.is_dirty = True

    def _drop(self, node_id: str) -> None:
        self.members.pop(node_id, None)
        self.suspicion.forget(node_id)
        self.log.forget(node_id)

    # -- what drives it

    def take_outbox(self) -> list[Outgoing]:
        """What is to be sent, once what is dirty has been saved. News go to everybody."""
        runs = self.take_news()
        if runs:
            for member in self.members.values():
                self._send(member, replace(self._message(PONG, 0), runs=runs))
        outbox = self._outbox
        self._outbox = []
        return outbox

    def tick(self, now_ms: int) -> list[Outgoing]:
        """What is to be sent as time has passed. Called a few times in `timeout_ms`."""
        if self.suspicion.pass_time(now_ms):
            self._caught_up_by_ms = now_ms + self.timeout_ms
        # of those that are silent it waits for nobody, for longer than it takes to suspect them
        if now_ms >= self._caught_up_by_ms or self.members.keys() <= self._caught_up:
            self._has_caught_up = True
        for address, meeting in list(self.meetings.items()):
            if now_ms > meeting.until_ms:
                del self.meetings[address]
            else:
                self._ask_for(address)
        for node_id, until_ms in list(self.forgotten.items()):
            if now_ms > until_ms:
                del self.forgotten[node_id]
        self.log.prune(self.members, now_ms)
        lives = [member.instance for member in self.members.values()]
        if self.log.end(self.members, lives, now_ms):
            self.is_dirty = True
        suspects = tuple(id_ for id_ in self.members if self.is_suspected(id_, now_ms))
        asked = {
            node_id
            for node_id in self.members
            if self.suspicion.is_to_be_asked(node_id, now_ms)
        }
        self._silent = frozenset(suspects)
        others = sorted(self.members)
        asked.update(self._random.sample(others, min(FEW_ASKED, len(others))))
        for node_id in sorted(asked):
            self.suspicion.asked_ms[node_id] = now_ms
            message = self._message(PING, self._nonce(), suspects)
            self._send(self.members[node_id], message)
        return self.take_outbox()

    def receive(self, message: Message, now_ms: int) -> list[Outgoing]:
        """Takes a message in. Returns what is to be sent."""
        sender = message.sender
        if sender.id == self.me.id:
            self._met_myself(sender)
            if message.kind == PONG:
                self._end_meeting(message.nonce)
            return self.take_outbox()
        was_asked = message.kind == PONG and self._end_meeting(message.nonce)
        is_meeting = was_asked or message.kind == MEET
        if sender.id in self.forgotten and not is_meeting:
            return self.take_outbox()
        if (
            message.kind == MEET
            and not message.members
            and tuple(self.clusters) != message.clusters
        ):
            # it is alone, and will come as a member once it has heard what it joins
            self._send(sender, self._answer(message, now_ms))
            return self.take_outbox()
        if not self._joins(message, is_meeting):
            self.refused.add(message.clusters[0] if message.clusters else "")
            if message.kind == MEET:
                self._send(sender, self._answer(message, now_ms))
            return self.take_outbox()
        self.forgotten.pop(sender.id, None)
        self._heirs.note(self)
        self._learn(sender, now_ms)
        self.suspicion.hear_from(sender.id, now_ms)
        was_silent = sender.id in self._silent
        self._silent -= {sender.id}
        self.hear_epoch(message.epoch)
        for member in message.members:
            if member.id == self.me.id:
                self._met_myself(member)
            elif member.id not in self.forgotten:
                self._learn(member, now_ms)
        self.suspicion.hear_of(self.members, message.suspects, sender.id, now_ms)
        if not self.authority.is_sole:
            self.merge(message.runs)
            roles.settle(self, self._heirs)
        elif message.digest != self.slots.digest:
            self.authority.hear_of_news()
        self.link(message.links)
        if self.members[sender.id].version == sender.version:
            # else it speaks of an earlier life
            self.log.hear(sender.id, dict(message.done), message.ended)
        self.due.extend(self.log.take(message.shares, now_ms))
        self.queries.extend((each, sender) for each in message.queries)
        self.results.extend((each, sender.id) for each in message.results)
        if message.kind != PONG:
            self._send(sender, self._answer(message, now_ms))
        elif not message.is_cut:
            self._caught_up.add(sender.id)
            if self.members.keys() <= self._caught_up:
                self._has_caught_up = True
        if message.is_cut or (
            message.kind == PONG and (message.shares or was_silent or self._knows_more(message))
        ):
            self._send(sender, self._answer(message, now_ms, PING))
        return self.take_outbox()

    def _answer(self, message: Message, now_ms: int, kind: str = PONG) -> Message:
        suspects = tuple(id_ for id_ in self.members if self.is_suspected(id_, now_ms))
        nonce = message.nonce if kind == PONG else self._nonce()
        answer = self._message(kind, nonce, suspects)
        if message.digest != self.slots.digest:
            answer = replace(answer, runs=tuple(self.slots.runs()))
        if message.link_digest != self.links.digest:
            answer = replace(answer, links=tuple(self.links.all()))
        return answer

    def _knows_more(self, message: Message) -> bool:
        """Whether a node that has just told nothing new may lack what is known here."""
        return (message.digest != self.slots.digest and not message.runs) or (
            message.link_digest != self.links.digest and not message.links
        )

    # -- what a message brings

    def _joins(self, message: Message, is_meeting: bool) -> bool:
        """Whether a message is one of this cluster, or its cluster and this one become one.

        Who is alone joins the other: nobody but itself knows what its cluster was called. Of
        two that are, the one that has asked does.
        """
        theirs = message.clusters
        if not theirs:
            return False
        if self.clusters[0] == theirs[0] and len(self.clusters) == len(theirs):
            return True
        decides = not self.authority.is_sole
        if is_meeting and decides and self.slots.conflicts_with(message.runs):
            return False
        if not (is_meeting or self.clusters[0] in theirs or theirs[0] in self.clusters):
            return False
        if is_meeting and self.is_alone:
            merged = set(theirs)
        else:
            merged = {*self.clusters, *theirs}
        self.clusters = sorted(merged)
        self.is_dirty = True
        return True

    def _learn(self, member: Member, now_ms: int) -> None:
        known = self.members.get(member.id)
        if known is not None and known.version >= member.version:
            return
        self.members[member.id] = member
        if known is None:
            self.suspicion.hear_from(member.id, now_ms)
        self.is_dirty = True

    def _met_myself(self, record: Member) -> None:
        """A record of this id: of a former life, or of a second process that has it too."""
        if record.instance == self.me.instance or record.version < self.me.version:
            return
        outbid = self._rivals.get(record.instance)
        if (
            outbid is not None
            and record.version > outbid
            and self.me.instance > record.instance
        ):
            # it has answered, so it is alive, and was there first
            self.is_double = True
            return
        self.me = replace(self.me, version=record.version)
        self.change_me()
        self._rivals[record.instance] = self.me.version

    # -- what it says

    def _nonce(self) -> int:
        return self._random.getrandbits(53)

    def _message(self, kind: str, nonce: int, suspects: tuple[str, ...] = ()) -> Message:
        others = list(self.members.values())
        count = min(len(others), max(FEW_MEMBERS, len(others) // 10))
        return Message(
            kind,
            nonce,
            tuple(self.clusters),
            self.me,
            self.epoch,
            self.slots.digest,
            tuple(self._random.sample(others, count)),
            suspects,
        )

    def _send(self, member: Member, message: Message) -> None:
        shares: tuple[Share, ...] = ()
        is_cut = False
        if member.id in self.members and member.id not in self._silent:
            shares, is_cut = self.log.shares_for(member.id)
        message = replace(
            message,
            done=tuple(self.log.done.items()),
            ended=self.log.ended,
            link_digest=self.links.digest,
            shares=shares,
            is_cut=is_cut,
        )
        self._outbox.append(Outgoing(member.address, member.id, message))

    def _ask_for(self, address: Address) -> None:
        message = self._message(MEET, self.meetings[address].nonce)
        runs = tuple(self.slots.runs())
        self._outbox.append(Outgoing(address, NOBODY, replace(message, runs=runs)))

    def _end_meeting(self, nonce: int) -> bool:
        for address, meeting in self.meetings.items():
            if meeting.nonce == nonce:
                del self.meetings[address]
                return True
        return False
