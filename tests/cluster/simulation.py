"""A cluster in one thread, on a clock of its own: nodes, a network and disks, from a seed.

Whatever happens, the same seed makes it happen again. Nodes are those of the server; what is
simulated is what carries their messages, what keeps their state, and the operator.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from random import Random

from cachestorm_server.cluster.messages import Address, Member, Message
from cachestorm_server.cluster.node import Node, Outgoing, new_id
from cachestorm_server.cluster.node_state import persisted, restored
from cachestorm_server.cluster.op_log import Operation
from cachestorm_server.cluster.slot_map import SlotMap

TIMEOUT_MS = 2_000
TICK_MS = 500
# slots that are moved around: a few, so that decisions meet
FEW_SLOTS = 24
DEEDS = ("crash", "start", "island", "join", "assign", "move", "loss", "publish")


class Host:
    """A place where a process runs, or not, and its disk."""

    def __init__(self, number: int, random: Random) -> None:
        self.number = number
        self.host = f"10.0.0.{number}"
        self.id = new_id(random)
        self.node: Node | None = None
        self.disk: dict[str, object] | None = None
        self.skew_ms = random.randrange(-3_000, 3_000)
        self.lives = 0
        # what this life has done of what all are to do
        self.done: list[Operation] = []
        self.ever_done: set[Operation] = set()

    def member(self) -> Member:
        instance = f"{self.lives:08}-{self.number}"
        return Member(self.id, f"n{self.number}", self.host, 6380, 7946, 0, 0, instance)


Event = Message | Callable[[], object] | None


class Simulation:
    """Hosts, and what is on its way between them.

    Attributes:
        loss: how many of a hundred messages are lost.
        islands: hosts that reach only each other, by number of the island.
        sent, sent_bytes: totals.
        decided: all decisions on slots that have been on a disk.
        published: what all are to do.
    """

    timeout_ms = TIMEOUT_MS
    tick_ms = TICK_MS

    def __init__(self, seed: int, size: int) -> None:
        self.random = Random(seed)
        self.now_ms = 1_000_000
        self.hosts = [Host(number, self.random) for number in range(size)]
        self.loss = 0
        self.slowest_ms = 50
        self.islands: dict[int, int] = {}
        self.sent = 0
        self.decided = SlotMap()
        self.published: list[Operation] = []
        self._order = count()
        # what comes to a host: a message, None for a tick, or something that this life is to do
        self._events: list[tuple[int, int, Host, int, Event]] = []
        for host in self.hosts:
            self.start(host)

    # -- processes

    def time_of(self, host: Host) -> int:
        return self.now_ms + host.skew_ms

    def start(self, host: Host) -> None:
        """Starts the process of a host, from its disk."""
        host.lives += 1
        host.done = []
        if host.disk is None:
            host.node = Node(host.member(), self.random, self.timeout_ms)
        else:
            host.node = restored(
                host.disk, host.member(), self.random, self.timeout_ms, self.time_of(host)
            )
        self.settle(host, [])
        self._push(self.random.randrange(self.tick_ms), host, None)

    def crash(self, host: Host) -> None:
        host.node = None

    def settle(self, host: Host, outgoing: list[Outgoing], fails: bool = False) -> None:
        """Has saved and sent what a step of a node came to, or crashes in between."""
        node = host.node
        assert node is not None
        if fails:
            self.crash(host)
            return
        for operation in node.due:
            assert operation not in host.done, "it is done twice"
            host.done.append(operation)
            host.ever_done.add(operation)
            self.does(host, operation)
        node.due.clear()
        if any(node.take_added()) or node.is_dirty:
            host.disk = persisted(node)
            node.is_dirty = False
            self.decided.merge(node.slots.runs())
        for each in outgoing:
            self._send(host, each)

    def does(self, host: Host, operation: Operation) -> None:
        """What an operation does to the keys of a host; here there are none."""

    # -- the network

    def _push(self, delay_ms: int, host: Host, message: Event) -> None:
        event = (self.now_ms + delay_ms, next(self._order), host, host.lives, message)
        heapq.heappush(self._events, event)

    def _at(self, address: Address) -> Host | None:
        return next((host for host in self.hosts if host.host == address[0]), None)

    def _send(self, sender: Host, outgoing: Outgoing) -> None:
        self.sent += 1
        receiver = self._at(outgoing.address)
        if receiver is None or self.random.randrange(100) < self.loss:
            return
        if self.islands.get(sender.number, 0) != self.islands.get(receiver.number, 0):
            return
        # a connection carries what is sent to whoever is there by then
        self._push(self.random.randrange(1, self.slowest_ms), receiver, outgoing.message)

    def run(self, ms: int) -> None:
        """Lets so much time pass."""
        until_ms = self.now_ms + ms
        while self._events and self._events[0][0] <= until_ms:
            self.now_ms, _, host, life, message = heapq.heappop(self._events)
            node = host.node
            if message is None:
                if node is not None and life == host.lives:
                    self.settle(host, node.tick(self.time_of(host)))
                    self._push(self.tick_ms, host, None)
            elif not isinstance(message, Message):
                if node is not None and life == host.lives:
                    message()
            elif node is not None:
                self.settle(host, node.receive(message, self.time_of(host)))
        self.now_ms = until_ms

    # -- the operator

    def meet_all(self) -> None:
        """Joins all hosts, as `redis-cli --cluster create` does."""
        first = self.hosts[0]
        for host in self.hosts[1:]:
            assert host.node is not None
            host.node.meet((first.host, 7946), self.time_of(host))
            self.settle(host, host.node.take_outbox())

    def disturb(self) -> None:
        """One thing that goes wrong, or that an operator does."""
        random = self.random
        host = random.choice(self.hosts)
        deed = random.choice(DEEDS)
        node = host.node
        if deed == "island":
            self.islands[host.number] = random.randrange(3)
        elif deed == "join":
            self.islands.clear()
        elif deed == "loss":
            self.loss = random.choice((0, 0, 10, 40))
        elif node is None:
            if deed == "start":
                self.start(host)
        elif deed == "crash":
            self.crash(host)
        elif deed == "move":
            # it comes back somewhere else
            self.crash(host)
            host.host = f"10.1.{host.number}.{host.lives}"
            self.start(host)
        elif deed == "publish":
            operation = node.publish("default", ("INVALIDATE", "t"), self.time_of(host))
            host.done.append(operation)
            host.ever_done.add(operation)
            # a client is told that it will be done: it is on disk
            node.is_dirty = True
            self.settle(host, node.take_outbox())
            self.published.append(operation)
        elif deed == "assign":
            slots = random.sample(range(FEW_SLOTS), random.randrange(1, 4))
            owner = random.choice([*(other.id for other in self.hosts), ""])
            node.assign(slots, owner)
            self.settle(host, node.take_outbox(), fails=random.randrange(5) == 0)

    def heal(self) -> None:
        """Nothing goes wrong any more, everything is up, and asks the first host as a seed.

        Without a seed two who have both moved could never find each other.
        """
        self.islands.clear()
        self.loss = 0
        for host in self.hosts:
            if host.node is None:
                self.start(host)
        self.meet_all()

    # -- what must hold

    def nodes(self) -> list[Node]:
        return [host.node for host in self.hosts if host.node is not None]

    def check_agreement(self) -> None:
        """All know each other, and agree on every slot; no decision has been lost."""
        nodes = self.nodes()
        everybody = {node.me.id: node.me for node in nodes}
        for node in nodes:
            assert node.clusters == nodes[0].clusters
            assert {node.me.id: node.me, **node.members} == everybody
            assert node.slots.runs() == self.decided.runs()
            assert node.slots.digest == self.decided.digest
            assert not any(
                node.is_suspected(other, self.time_of(self.hosts[index]))
                for index, one in enumerate(nodes)
                if one is node
                for other in node.members
            )
            assert not node.is_double
        for host in self.hosts:
            assert host.node is not None
            assert host.node.log.pending(host.node.members) == []
            assert host.ever_done >= set(self.published), "an operation was lost"

    def settle_down(self, within_ms: int = 12 * TIMEOUT_MS) -> None:
        """Lets time pass until all agree, and fails if they do not in time."""
        ends_at_ms = self.now_ms + within_ms
        while True:
            self.run(self.tick_ms)
            try:
                self.check_agreement()
                return
            except AssertionError:
                if self.now_ms >= ends_at_ms:
                    raise

    def come_together(self) -> None:
        """Shares the slots out, has the nodes meet, and gives them time for it."""
        share = FEW_SLOTS // len(self.hosts)
        for host in self.hosts:
            assert host.node is not None
            slots = range(host.number * share, (host.number + 1) * share)
            host.node.assign(slots, host.id)
            self.settle(host, host.node.take_outbox())
        self.meet_all()
        self.run(10 * TICK_MS)


def joined(seed: int, size: int) -> Simulation:
    """A cluster that has come together, with the slots shared out before it did."""
    simulation = Simulation(seed, size)
    simulation.come_together()
    simulation.check_agreement()
    return simulation


def play(seed: int, size: int, deeds: int) -> Simulation:
    """A cluster that is disturbed so many times, and then left in peace."""
    simulation = joined(seed, size)
    for _ in range(deeds):
        simulation.disturb()
        simulation.run(simulation.random.randrange(3 * TIMEOUT_MS))
    simulation.heal()
    simulation.settle_down()
    return simulation
