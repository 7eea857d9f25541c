"""The leases: an authority that nodes share, as a state that answers and time change. Pure.

Asked by the node whether it may serve. Driven by `governing.py`, or by the simulator of the
tests: `next` gives what is to be asked of the store, `hear` takes the answer in. The store
keeps a record for each node, its lease, and one with the assignment of slots.

1. A node holds its lease for `ttl_ms` from when it *asked* for it last and was given it, less
   `margin_ms`, by its own clock. It serves nothing beyond that.
2. A lease ends when another node has seen it unchanged for `ttl_ms` of its own clock, and has
   removed it. The store does so only if it has not been renewed meanwhile, so it has ended for
   whoever held it. Clocks need not agree on what time it is. As long as none of them gains or
   loses `margin_ms / 2` in `ttl_ms`, it has stopped serving by then.
3. A lease that has ended never begins again: the next one is another term. A node serves only
   once its term is registered in the assignment, and slots are taken only from a term that has
   ended, by replacing the assignment that named it. So nobody can have registered in between.
4. What it is not known of whether it has happened is looked at before anything else is tried.
5. The node of the lowest id of those that live evens out what all have. Slots of the dead are
   given away by whoever is first; all others look again.
6. A replica follows its primary only while both hold their leases. Once that of the primary has
   ended, each replica that lives stops following and says in its own lease what it has; nobody
   gives the slots away before all have. So nothing comes to any of them that the others do not
   know of, and the one that has most is given the slots.
7. A node that has been started anew, and has replicas that live, has forgotten what they know:
   it waits until its slots have been given to one of them, and gives the lease back that it has
   got meanwhile.
8. A node hands its slots over only to a replica that still holds the lease that it held as it
   asked, and within `ttl_ms` of that. Otherwise it serves on, once the assignment has been
   replaced: so what it has asked for before cannot happen any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final

from cachestorm.keyspace.slot_index import SLOTS
from cachestorm_server.cluster.assignment import Assignment, Registered
from cachestorm_server.cluster.lease import (
    LEASE_PREFIX,
    NOTHING,
    Copied,
    Seen,
    Timing,
    lease_bytes,
    lease_name,
    lease_of,
)
from cachestorm_server.cluster.messages import MessageError
from cachestorm_server.cluster.node import Node
from cachestorm_server.cluster.records import (
    ABSENT,
    Answer,
    Look,
    Put,
    Record,
    Remove,
    Request,
)
from cachestorm_server.cluster.roles import become
from cachestorm_server.cluster.succession import Handover, heirs_of, may_succeed

SLOTS_RECORD: Final = "slots"
# the least time between two looks, whatever there is to hear of
SHORTEST_LOOK_MS: Final = 50


class Leases:
    """The authority of one node.

    Args:
        name: of what keeps the records, as `cluster.authority` has it.
        size: how many slots an assignment has that this node is the first to make.

    Attributes:
        term: of the lease that is held, or asked for; empty for none.
        held_until_ms: when it ends for this node.
        is_registered: the assignment knows of the term.
        moved: slots that are to be handed over and have no keys here any more.
        leaves: this node wants to have no slots.
        assignment: as it was read last.
        wants_look: somebody has said that there is something to see.
        problem: why the records cannot be read; or empty.
        notifier: called when there is something to see.
        is_cut_off: the store did not answer when it was looked at last.
        handover: of all slots of this node, which has stopped serving for it.
    """

    is_sole = True

    def __init__(self, name: str, timing: Timing, random: Random, size: int = SLOTS) -> None:
        self.name: Final = name
        self.timing: Final = timing
        self._random: Final = random
        self._size: Final = size
        self._node: Node | None = None
        self.term = ""
        self.held_until_ms = 0
        self.is_registered = False
        self.moved: Final[set[int]] = set()
        self.leaves = False
        self.assignment: Assignment | None = None
        self.wants_look = True
        self.problem = ""
        self.is_cut_off = False
        self.notifier: Callable[[], None] | None = None
        self._version = ABSENT
        # of the own lease; ABSENT: it is not held
        self._lease = ABSENT
        self._renews_at_ms = 0
        self._registered_ms = 0
        self._looked_ms: int | None = None
        self._seen: Final[dict[str, Seen]] = {}
        # what the node has taken in: a version of the assignment
        self._adopted = ABSENT
        # for which version and whom nothing was to be planned
        self._planned: object = None
        # the assignment that was asked for
        self._proposal: Assignment | None = None
        self._hands_over = False
        self.handover: Final = Handover()
        # what is known to be in the own lease, and what was asked to be
        self._said = self._saying = NOTHING
        # until when a node that was started anew lets its replicas have its slots
        self._yields_until_ms = 0
        # no term of this process has been registered yet
        self._is_fresh = True

    def bind(self, node: Node) -> None:
        """Decides for this node from now on."""
        self._node = node

    @property
    def node(self) -> Node:
        """For whom it decides."""
        assert self._node is not None
        return self._node

    # -- what the node asks

    def may_serve(self, now_ms: int) -> bool:
        return self.is_registered and now_ms < self.held_until_ms and not self.handover.heir

    def refusal(self, slot: int, owner: str) -> str:
        return f"{self.name} decides which node has a slot, and moves slots by itself"

    def hear_of_news(self) -> None:
        self.wants_look = True
        if self.notifier is not None:
            self.notifier()

    def end(self) -> Request | None:
        """Serves no more. Returns what is to be asked of the store so that others know."""
        lease = self._lease
        self._lease = ABSENT
        self._lose()
        return None if lease == ABSENT else Remove(lease_name(self.node.me.id), lease)

    def has_somebody_else(self) -> bool:
        """Whether another node lives that would take this one's slots."""
        if self.assignment is None:
            return False
        me, nodes = self.node.me.id, self.assignment.nodes
        return any(
            each != me and not nodes[each].leaves and not nodes[each].primary
            for each in self._living()
        )

    def refuses_replica(self, member: str, history: str) -> str:
        assignment, me = self.assignment, self.node.me.id
        mine = self._registered()
        if not self.is_registered or assignment is None or mine is None:
            return f"ERR this node has no lease of {self.name}"
        if member not in assignment.replicas_of(me):
            return f"ERR {self.name} knows of no such replica of this node"
        if mine.history != history:
            return f"ERR {self.name} does not know of this history yet"
        return ""

    @property
    def is_handing_over(self) -> bool:
        return bool(self.handover.heir)

    def hand_over(self, heir: str, now_ms: int) -> bool:
        assignment = self.assignment
        if assignment is None or not self.is_registered:
            return False
        if heir in assignment.replicas_of(self.node.me.id):
            term = assignment.nodes[heir].term
            self.handover.begin(heir, term, now_ms + self.timing.ttl_ms)
            self.hear_of_news()
        return False

    def _may_hand_over(self, now_ms: int) -> bool:
        assert self.assignment is not None
        return self.handover.may_be(self.node.me.id, self.assignment, self._living(), now_ms)

    def _registered(self) -> Registered | None:
        return None if self.assignment is None else self.assignment.nodes.get(self.node.me.id)

    # -- what drives it

    def wakes_at(self, now_ms: int) -> int:
        """When `next` is to be asked again, if nothing else happens."""
        if self._looked_ms is None:
            return now_ms
        at = self._looked_ms + self._wait_ms()
        if self._lease != ABSENT:
            at = min(at, self._renews_at_ms)
            if self.may_serve(now_ms):
                at = min(at, self.held_until_ms)
        return at

    def _wait_ms(self) -> int:
        if self.wants_look and not self.is_cut_off:
            return SHORTEST_LOOK_MS
        return self.timing.look_ms

    def next(self, now_ms: int) -> Request | None:
        """What is to be asked of the store now; one thing at a time."""
        if self._looked_ms is None:
            return Look()
        if self._lease != ABSENT and now_ms >= self._renews_at_ms:
            return self._own_lease()
        if now_ms - self._looked_ms >= self._wait_ms():
            return Look()
        if self.wants_look or self.is_cut_off or self.problem:
            return None
        return self._wanted(now_ms)

    def hear(self, request: Request, answer: Answer | None, sent_ms: int, now_ms: int) -> None:
        """Takes in what the store has answered.

        Args:
            answer: None if it is not known what has happened.
            sent_ms: when it was asked.
        """
        if answer is None:
            self.wants_look = True
            if isinstance(request, Look):
                self._looked_ms = now_ms
                self.is_cut_off = True
            elif isinstance(request, Put) and request.name == lease_name(self.node.me.id):
                self._renews_at_ms = now_ms + self.timing.look_ms
        elif isinstance(request, Look) and isinstance(answer, dict):
            self._take_in(answer, now_ms)
        elif isinstance(request, Put) and isinstance(answer, str):
            self._hear_of_put(request, answer, sent_ms, now_ms)
        elif isinstance(request, Remove):
            self.wants_look = True
            if answer:
                self._seen.pop(request.name, None)

    def _hear_of_put(self, put: Put, version: str, sent_ms: int, now_ms: int) -> None:
        if version == ABSENT:
            # somebody else was first, or an earlier request of this node that had been given up
            self.wants_look = True
            self._said = NOTHING
            self._renews_at_ms = now_ms + self.timing.look_ms
            return
        if put.name == SLOTS_RECORD:
            assert self._proposal is not None
            self._read(self._proposal, version, now_ms)
            self.node.spread()
            if self._hands_over:
                # whoever has the slots now is to hear of it first: until then this node sends
                # clients there with ASK, which is right in any case
                self.wants_look = True
                self._looked_ms = now_ms + SHORTEST_LOOK_MS
            else:
                self._adopt(now_ms)
        else:
            self._lease = version
            self._said = self._saying
            self._renews_at_ms = sent_ms + self.timing.renew_ms
            self.held_until_ms = sent_ms + self.timing.ttl_ms - self.timing.margin_ms

    def _lose(self) -> None:
        """The term has ended; what is served next is served in another one."""
        self.term = ""
        self.held_until_ms = 0
        self.is_registered = False
        self._adopted = ABSENT
        self.moved.clear()
        self.handover.end()
        self._see_primary()

    # -- what is seen

    def _take_in(self, records: dict[str, Record], now_ms: int) -> None:
        self._looked_ms = now_ms
        if self.is_cut_off:
            # nor could the others renew what they hold, maybe
            self._seen.clear()
        self.wants_look = self.is_cut_off = False
        self.problem = ""
        for name, record in records.items():
            if name.startswith(LEASE_PREFIX):
                known = self._seen.get(name)
                if known is None or known.version != record.version:
                    lease = lease_of(record.value, self.timing.ttl_ms)
                    self._seen[name] = Seen(record.version, now_ms, *lease)
        for name in self._seen.keys() - records.keys():
            del self._seen[name]
        self._see_own_lease()
        kept = records.get(SLOTS_RECORD)
        if kept is None:
            self.assignment, self._version = None, ABSENT
            self.is_registered = False
        elif kept.version != self._version or self.assignment is None:
            try:
                assignment = Assignment.from_bytes(kept.value)
            except MessageError as error:
                self.problem = str(error)
                self.is_registered = False
                return
            self._read(assignment, kept.version, now_ms)
        self._adopt(now_ms)
        self._see_primary()
        self._know_each_other(now_ms)

    def _see_primary(self) -> None:
        """Has a replica follow, or stop to, as the lease of its primary does."""
        node = self.node
        node.follows = (
            bool(node.me.primary) and self.is_registered and (node.me.primary in self._living())
        )

    def _know_each_other(self, now_ms: int) -> None:
        """Has the node speak with those that have a part in the cluster, and with no others."""
        node, assignment = self.node, self.assignment
        if assignment is None or not self.is_registered:
            return
        for node_id, registered in assignment.nodes.items():
            address = (registered.host, registered.bus_port)
            if node.known(node_id) is None and address not in node.meetings:
                node.meet(address, now_ms)
        for node_id in list(node.members):
            if node_id not in assignment.nodes and node.is_suspected(node_id, now_ms):
                node.forget(node_id, now_ms)

    def _see_own_lease(self) -> None:
        own = self._seen.get(lease_name(self.node.me.id))
        if self.term and own is not None and own.term == self.term:
            # also if it was not known that it was given
            self._lease = own.version
        elif self._lease != ABSENT:
            self._lease = ABSENT
            self._lose()

    def _read(self, assignment: Assignment, version: str, now_ms: int) -> None:
        self.assignment, self._version = assignment, version
        mine = assignment.nodes.get(self.node.me.id)
        was_registered = self.is_registered
        self.is_registered = (
            self._lease != ABSENT and mine is not None and mine.term == self.term
        )
        if self.is_registered and not was_registered:
            self._registered_ms = now_ms
            self._is_fresh = False

    def _adopt(self, now_ms: int) -> None:
        """Has the node go by what was read, once it has a part in it."""
        assignment = self.assignment
        if assignment is None or not self.is_registered or self._adopted == self._version:
            return
        is_new = self._adopted == ABSENT
        self._adopted = self._version
        mine = assignment.nodes[self.node.me.id]
        # it is a replica's history only until it says its own
        is_heir = bool(mine.history) and mine.history == self.node.copies.copied[0]
        self.node.adopt(
            assignment.epoch, assignment.owners, assignment.epochs, assignment.moves, is_new
        )
        become(self.node, mine.primary, is_heir)
        if mine.primary or not self._may_hand_over(now_ms):
            self.handover.end()
        self.moved.intersection_update(self.node.migrating)

    # -- what is wanted

    def _wanted(self, now_ms: int) -> Request | None:
        name = lease_name(self.node.me.id)
        if self._lease == ABSENT:
            own = self._seen.get(name)
            if self._yields(now_ms):
                if own is not None and now_ms - own.since_ms >= own.ttl_ms:
                    return Remove(name, own.version)
                return None
            if own is None or now_ms - own.since_ms >= own.ttl_ms:
                self.term = self.term or f"{self._random.getrandbits(64):016x}"
                return self._own_lease(ABSENT if own is None else own.version)
            return None
        if self._yields(now_ms):
            # it has been given them since it asked for the lease
            return Remove(name, self._lease)
        for other, seen in self._seen.items():
            patience_ms = seen.ttl_ms + self.timing.grace_ms
            if other != name and now_ms - seen.since_ms >= patience_ms:
                return Remove(other, seen.version)
        if self.is_registered and self._copied() != self._said:
            return self._own_lease()
        proposal = self._proposed(now_ms)
        if proposal is None:
            return None
        self._proposal = proposal
        self._hands_over = self.is_registered and bool(self.moved)
        return Put(SLOTS_RECORD, proposal.to_bytes(), self._version)

    def _own_lease(self, version: str | None = None) -> Put:
        self._saying = self._copied()
        salt = self._random.getrandbits(32)
        value = lease_bytes(self.term, self.timing.ttl_ms, salt, self._saying)
        return Put(
            lease_name(self.node.me.id), value, self._lease if version is None else version
        )

    def _copied(self) -> Copied:
        """What is to be said of a primary whose lease has ended."""
        node, assignment = self.node, self.assignment
        primary = None if assignment is None else assignment.nodes.get(node.me.primary)
        if primary is None or node.follows or node.copies.is_following:
            return NOTHING
        return Copied(primary.term, *node.copies.copied)

    def _yields(self, now_ms: int) -> bool:
        """Whether replicas of this node are to have its slots, as it has been started anew."""
        known, me = self.assignment, self.node.me.id
        if not self._is_fresh or known is None or me not in known.owners:
            return False
        living = self._living()
        replicas = [each for each in known.replicas_of(me) if each in living]
        if not any(may_succeed(known, self._seen, me, each) for each in replicas):
            return False
        self._yields_until_ms = self._yields_until_ms or now_ms + 3 * self.timing.ttl_ms
        return now_ms < self._yields_until_ms

    def _proposed(self, now_ms: int) -> Assignment | None:
        """An assignment that is to be in the place of the one that was read."""
        me = self.node.me
        known = self.assignment
        was = None if known is None else known.nodes.get(me.id)
        primary = "" if known is None or was is None else was.primary
        if known is not None and primary not in known.nodes:
            # it is gone, and so is all that was copied of it
            primary = ""
        history = self.node.copies.history
        mine = Registered(self.term, me.host, me.bus_port, self.leaves, primary, history)
        if known is None or known.nodes.get(me.id) != mine:
            # epochs of an assignment that was lost are not to come again
            new = Assignment(self._random.getrandbits(40) + 1, self._size)
            proposal = new if known is None else known.copy()
            proposal.register(me.id, mine, self._is_fresh)
            return proposal
        if self.moved:
            proposal = known.copy()
            proposal.hand_over(me.id, self.moved)
            return proposal
        if heir := self.handover.heir:
            proposal = known.copy()
            if not self._may_hand_over(now_ms):
                proposal.epoch += 1
                return proposal
            proposal.succeed(me.id, heir)
            # also if it leaves: should the heir have died, this one has the keys
            proposal.nodes[me.id] = replace(mine, primary=heir)
            return proposal
        living = self._living()
        dead = [] if self._is_too_new(now_ms) else self._dead()
        heirs, dead = heirs_of(dead, known, self._seen, living)
        if not dead and min(living, default="") != me.id:
            return None
        if self._planned == (self._version, living, dead, heirs):
            return None
        proposal = known.copy()
        timing = self.timing
        if proposal.plan(living, dead, timing.most_moves, timing.replicas, heirs):
            return proposal
        self._planned = (self._version, living, dead, heirs)
        return None

    def _living(self) -> list[str]:
        """Nodes whose registered term lasts, as far as it was seen."""
        if self.assignment is None:
            return []
        return [
            node_id
            for node_id, registered in sorted(self.assignment.nodes.items())
            if (seen := self._seen.get(lease_name(node_id))) is not None
            and seen.term == registered.term
        ]

    def _dead(self) -> list[str]:
        """Nodes without a lease. One that has another term is about to register."""
        assert self.assignment is not None
        return [
            node_id
            for node_id in sorted(self.assignment.nodes)
            if lease_name(node_id) not in self._seen
        ]

    def _is_too_new(self, now_ms: int) -> bool:
        """Whether others may just be starting, as this node has: all after a loss of power."""
        assert self.assignment is not None
        return now_ms - self._registered_ms < self.timing.ttl_ms and any(self.assignment.owners)
