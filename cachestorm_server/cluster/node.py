"""The node: one member of a cluster, as a state that messages and time change. Pure, sans-IO.

Driven by the bus, or by the simulator of the tests: each `receive` and `tick` gives what is to
be sent. Everything that a node decides about others is decided here and in `slot_map.py`.

1. What has changed is on disk before it is spoken of: a driver that finds `is_dirty` saves
   `persisted()` before it sends anything.
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
from dataclasses import astuple, dataclass, replace
from random import Random
from typing import Final

from cachestorm.keyspace.slot_index import SLOTS
from cachestorm_server.cluster.authority import Authority, Static
from cachestorm_server.cluster.link_map import Link, LinkMap
from cachestorm_server.cluster.messages import (
    MEET,
    PING,
    PONG,
    Address,
    Member,
    Message,
    MessageError,
    Query,
    Result,
    from_plain,
    operation_of,
    operation_plain,
)
from cachestorm_server.cluster.op_log import Operation, OpLog
from cachestorm_server.cluster.slot_map import NOBODY, Run, SlotMap

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


class Node:
    """One member.

    Args:
        me: what others are to know of it; its version is that of its last life, or 0.
        clusters: the ids of its cluster; empty for a node that begins one of its own.
        timeout_ms: after how much silence another is suspected.

    Attributes:
        members: the others, by id.
        slots: who owns what.
        migrating, importing: slots that are on their way to another node, and from it.
        epoch: the highest that is known.
        heard_ms: when each of the others was heard of last, by itself.
        asked_ms: when each was asked last and has not answered since; 0: never.
        is_dirty: something has changed that is to be on disk.
        touched: slots of which something has changed that the driver has not seen yet.
        lost: slots that were this node's, and are another's now: their keys are to go.
        refused: of which clusters messages came.
        log: the operations that all nodes are to do.
        links: between tags.
        linked: what others have decided about them that the driver has not seen yet.
        due: operations that the driver is to do now, each with who has told of it; queries
            that it is to answer, likewise; results of its own, each with whose they are.
        is_double: another process has the same id, and is to go on alone.
    """

    def __init__(
        self,
        me: Member,
        random: Random,
        timeout_ms: int,
        clusters: Iterable[str] = (),
        authority: Authority | None = None,
    ) -> None:
        self._random: Final = random
        self.me = replace(me, version=me.version + 1)
        self.authority: Final = authority or Static()
        self.timeout_ms: Final = timeout_ms
        self.clusters: list[str] = list(clusters) or [new_id(random)]
        self.members: Final[dict[str, Member]] = {}
        self.slots = SlotMap()
        self.migrating: Final[dict[int, str]] = {}
        self.importing: Final[dict[int, str]] = {}
        self.epoch = 0
        self.heard_ms: Final[dict[str, int]] = {}
        self.asked_ms: Final[dict[str, int]] = {}
        self.reports: Final[dict[str, dict[str, int]]] = {}
        self.forgotten: Final[dict[str, int]] = {}
        self.meetings: Final[dict[Address, Meeting]] = {}
        self.is_dirty = True
        self.touched: Final[set[int]] = set(range(SLOTS))
        self.lost: Final[set[int]] = set()
        self.refused: Final[set[str]] = set()
        self.log: Final = OpLog(self.me.instance)
        self.links: Final = LinkMap()
        self.linked: Final[list[Link]] = []
        self._saved_links = 0
        self.due: Final[list[tuple[Operation, Member]]] = []
        self.queries: Final[list[tuple[Query, Member]]] = []
        self.results: Final[list[tuple[Result, str]]] = []
        self._caught_up: Final[set[str]] = set()
        self._caught_up_by_ms = 0
        self.is_double = False
        # of other instances with this id, the version that their record was outbid with
        self._rivals: Final[dict[str, int]] = {}
        self._outbox: list[Outgoing] = []
        # to be told to all
        self._news: set[int] = set()

    # -- what is kept

    def persisted(self) -> dict[str, object]:
        """What is to be on disk before anything that depends on it is said."""
        return {
            "format": 1,
            "me": list(astuple(self.me)),
            "clusters": self.clusters,
            "epoch": self.epoch,
            "members": [list(astuple(member)) for member in self.members.values()],
            "slots": [list(run) for run in self.slots.runs()],
            "migrating": sorted(self.migrating.items()),
            "importing": sorted(self.importing.items()),
            "links": [list(each) for each in self.links.all()],
            "pending": [operation_plain(each) for each in self.log.pending(self.members)],
        }

    @classmethod
    def restored(
        cls,
        kept: dict[str, object],
        me: Member,
        random: Random,
        timeout_ms: int,
        now_ms: int,
        authority: Authority | None = None,
    ) -> Node:
        """The node that `persisted` has described, in a new life.

        Args:
            me: as it is now; id, version and config epoch are those that were kept.

        Raises:
            MessageError: if this is not what `persisted` gives.
        """
        if kept.get("format") != 1:
            raise MessageError(f"format {kept.get('format')!r} is not known")
        moves = []
        for name in ("migrating", "importing"):
            pairs = kept.get(name)
            if not isinstance(pairs, list) or not all(
                isinstance(pair, list | tuple)
                and len(pair) == 2
                and type(pair[0]) is int
                and isinstance(pair[1], str)
                for pair in pairs
            ):
                raise MessageError(f"no slots that are {name}")
            moves.append({int(slot): str(node) for slot, node in pairs})
        # all parts of a message, and checked as those are
        was = from_plain(
            [
                PONG,
                0,
                kept.get("clusters"),
                kept.get("me"),
                kept.get("epoch"),
                0,
                kept.get("members"),
                [],
                kept.get("slots"),
                *([], [], [], []),
                0,
                kept.get("links"),
            ]
        )
        pending = kept.get("pending")
        if not isinstance(pending, list):
            raise MessageError("no operations that are pending")
        former = was.sender
        me = replace(me, id=former.id, version=former.version, config_epoch=former.config_epoch)
        node = cls(me, random, timeout_ms, was.clusters, authority)
        node.epoch = was.epoch
        for member in was.members:
            node.members[member.id] = member
            node.heard_ms[member.id] = now_ms
        node.slots.merge(was.runs)
        node.links.merge(was.links)
        node.log.restore(map(operation_of, pending), now_ms)
        node._caught_up_by_ms = now_ms + timeout_ms
        node.migrating.update(moves[0])
        node.importing.update(moves[1])
        return node

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
        if node_id == self.me.id:
            return False
        return now_ms - self.heard_ms.get(node_id, 0) > self.timeout_ms

    def has_failed(self, node_id: str, now_ms: int) -> bool:
        """Whether a majority of the owners of slots suspects a member, this node among them."""
        if not self.is_suspected(node_id, now_ms):
            return False
        owners = self.owners()
        votes = (self.me.id in owners) + sum(
            owner in owners for owner in self.reporting(node_id, now_ms)
        )
        return votes > len(owners) // 2

    def reporting(self, node_id: str, now_ms: int) -> list[str]:
        """Which other members suspect one, as they said not long ago."""
        reports = self.reports.get(node_id, {})
        return [by for by, at in reports.items() if now_ms - at <= 2 * self.timeout_ms]

    def may_serve(self, now_ms: int) -> bool:
        """Whether it may answer for its slots at all, at this moment."""
        return (
            not self.is_double
            and self.authority.may_serve(now_ms)
            and self.has_caught_up(now_ms)
        )

    def must_hand_over(self, slot: int) -> bool:
        """Whether a slot goes to another node, whoever that is: it has been decided."""
        return self.authority.is_sole and slot in self.migrating

    def has_caught_up(self, now_ms: int) -> bool:
        """Whether it has heard, in this life, what all were to do while it was away.

        Of those that are silent it waits for nobody, for longer than it takes to suspect them.
        """
        if not self._caught_up_by_ms:
            return True
        if now_ms >= self._caught_up_by_ms or self.members.keys() <= self._caught_up:
            self._caught_up_by_ms = 0
            return True
        return False

    # -- what all are to do

    def publish(self, namespace: str, words: tuple[str, ...], now_ms: int) -> Operation:
        """Has all others do what the caller does at once."""
        operation = self.log.append(namespace, words, now_ms)
        for member in self.members.values():
            self._send(member, self._message(PING, self._nonce()))
        return operation

    def link(self, links: Iterable[Link]) -> None:
        """Takes in what another node has decided about links between tags."""
        self.linked.extend(self.links.merge(links))

    def ask_all(self, namespace: str, words: tuple[str, ...]) -> str:
        """Has all others answer a command of their own keys. Returns the key of the results."""
        query = Query(f"{self.me.instance}?{self._nonce()}", namespace, words)
        for member in self.members.values():
            message = self._message(PING, self._nonce())
            self._send(member, replace(message, queries=(query,)))
        return query.key

    def answer(self, member: Member, result: Result) -> None:
        """Tells another what its operation or query has come to here."""
        message = self._message(PONG, self._nonce())
        self._send(member, replace(message, results=(result,)))

    # -- what an operator, or an authority, decides

    def assign(self, slots: Iterable[int], owner: str) -> None:
        """Gives slots to a node, or to nobody; all others hear of it."""
        self.epoch += 1
        for slot in slots:
            former = self.slots.owners[slot]
            if self.slots.assign(slot, self.epoch, owner):
                self._moved(slot, former)
                self._news.add(slot)
        self.is_dirty = True

    def adopt(
        self,
        epoch: int,
        owners: list[str],
        epochs: list[int],
        moves: dict[int, str],
        is_new: bool,
    ) -> None:
        """Takes in all that its authority has decided, whatever was known.

        Args:
            moves: slots that their owners are to hand over, and to whom.
            is_new: it has not held what it holds since it heard of it last.
        """
        slots, me = self.slots, self.me.id
        self.epoch = max(epoch, self.epoch if self.is_alone else 0)
        for slot, owner in enumerate(owners):
            former = slots.owners[slot]
            if slots.epochs[slot] != epochs[slot] or former != owner:
                slots.replace(slot, epochs[slot], owner)
                self._moved(slot, former)
                if former == me == owner:
                    # another may have had it in between
                    self.lost.add(slot)
        leaving = {slot: to for slot, to in moves.items() if owners[slot] == me}
        coming = {slot: owners[slot] for slot, to in moves.items() if to == me}
        for known, now in ((self.migrating, leaving), (self.importing, coming)):
            for slot in known.keys() - now.keys():
                self.stabilize(slot)
            if known.keys() != now.keys():
                self.is_dirty = True
            self.touched.update(now.keys() - known.keys())
            if known is self.importing:
                # what has come of a slot that stays away after all is not to be found again
                gone = known.keys() - now.keys()
                self.lost.update(slot for slot in gone if owners[slot] != me)
            known.update(now)
        if is_new:
            self.lost.update(slot for slot, owner in enumerate(owners) if owner != me)

    def _moved(self, slot: int, former: str) -> None:
        """Sees to what depends on the owner of a slot."""
        owner = self.slots.owners[slot]
        self.is_dirty = True
        self.touched.add(slot)
        me = self.me.id
        if former == me != owner:
            self.lost.add(slot)
        elif owner == me:
            self.lost.discard(slot)
        if owner != me or former != me:
            # what was on its way has arrived, or somebody else has decided
            self.migrating.pop(slot, None)
            self.importing.pop(slot, None)

    def migrate(self, slot: int, to: str) -> None:
        """Answers ASK for the keys of a slot that are not here any more."""
        self.migrating[slot] = to
        self.touched.add(slot)
        self.is_dirty = True

    def import_from(self, slot: int, source: str) -> None:
        """Answers clients that say ASKING for a slot that is on its way here."""
        self.importing[slot] = source
        self.is_dirty = True

    def spread(self) -> None:
        """Has others look at what they know of slots."""
        for member in self.members.values():
            self._send(member, replace(self._message(PONG, 0), digest=0))

    def stabilize(self, slot: int) -> None:
        """Ends what `migrate` and `import_from` began."""
        self.migrating.pop(slot, None)
        self.importing.pop(slot, None)
        self.touched.add(slot)
        self.is_dirty = True

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
        self.lost.update(self.slots.slots_of(self.me.id))
        self.touched.update(range(SLOTS))
        self.slots = SlotMap()
        self.migrating.clear()
        self.importing.clear()
        self.forgotten.clear()
        self.meetings.clear()
        self.clusters = [new_id(self._random)]
        self._news.clear()
        if hard:
            self.epoch = 0
            self.change_me(id=new_id(self._random), config_epoch=0)
        self.is_dirty = True

    def _drop(self, node_id: str) -> None:
        self.members.pop(node_id, None)
        self.heard_ms.pop(node_id, None)
        self.asked_ms.pop(node_id, None)
        self.reports.pop(node_id, None)
        self.log.forget(node_id)
        for reports in self.reports.values():
            reports.pop(node_id, None)

    # -- what drives it

    def take_outbox(self) -> list[Outgoing]:
        """What is to be sent, once what is dirty has been saved. News go to everybody."""
        if self._news:
            runs = tuple(self.slots.runs_of(sorted(self._news)))
            self._news.clear()
            for member in self.members.values():
                self._send(member, replace(self._message(PONG, 0), runs=runs))
        outbox = self._outbox
        self._outbox = []
        return outbox

    def tick(self, now_ms: int) -> list[Outgoing]:
        """What is to be sent as time has passed. Called a few times in `timeout_ms`."""
        for address, meeting in list(self.meetings.items()):
            if now_ms > meeting.until_ms:
                del self.meetings[address]
            else:
                self._ask_for(address)
        for node_id, until_ms in list(self.forgotten.items()):
            if now_ms > until_ms:
                del self.forgotten[node_id]
        self.log.prune(self.members, now_ms)
        if self.links.digest != self._saved_links:
            # not with each of them: what is lost with this node, the others have
            self._saved_links = self.links.digest
            self.is_dirty = True
        suspects = tuple(id_ for id_ in self.members if self.is_suspected(id_, now_ms))
        asked = {
            node_id
            for node_id in self.members
            if now_ms - max(self.heard_ms.get(node_id, 0), self.asked_ms.get(node_id, 0))
            > self.timeout_ms // 2
        }
        others = sorted(self.members)
        asked.update(self._random.sample(others, min(FEW_ASKED, len(others))))
        for node_id in sorted(asked):
            self.asked_ms[node_id] = now_ms
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
        self._learn(sender, now_ms)
        self.heard_ms[sender.id] = now_ms
        self.asked_ms.pop(sender.id, None)
        if message.epoch > self.epoch:
            self.epoch = message.epoch
            self.is_dirty = True
        for member in message.members:
            if member.id == self.me.id:
                self._met_myself(member)
            elif member.id not in self.forgotten:
                self._learn(member, now_ms)
        self._hear_of_suspects(message, now_ms)
        if not self.authority.is_sole:
            self._merge(message.runs)
        elif message.digest != self.slots.digest:
            self.authority.hear_of_news()
        self.link(message.links)
        if self.members[sender.id].version == sender.version:
            # else it speaks of an earlier life
            self.log.hear(sender.id, dict(message.done))
        self.due.extend((each, sender) for each in self.log.take(message.shares, now_ms))
        self.queries.extend((each, sender) for each in message.queries)
        self.results.extend((each, sender.id) for each in message.results)
        if message.kind == PONG:
            self._caught_up.add(sender.id)
        if message.kind != PONG:
            self._send(sender, self._answer(message, now_ms))
        elif message.shares or self._knows_more(message):
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
            self.heard_ms[member.id] = now_ms
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

    def _hear_of_suspects(self, message: Message, now_ms: int) -> None:
        by = message.sender.id
        suspects = set(message.suspects)
        for node_id in self.members:
            if node_id in suspects:
                self.reports.setdefault(node_id, {})[by] = now_ms
            elif node_id in self.reports:
                self.reports[node_id].pop(by, None)

    def _merge(self, runs: Iterable[Run]) -> None:
        for run in runs:
            for slot in range(run.first, run.last + 1):
                former = self.slots.owners[slot]
                if self.slots.assign(slot, run.epoch, run.owner):
                    if run.epoch > self.epoch:
                        self.epoch = run.epoch
                    self._moved(slot, former)

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
        message = replace(
            message,
            done=tuple(self.log.done.items()),
            link_digest=self.links.digest,
            shares=self.log.shares_for(member.id) if member.id in self.members else (),
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
