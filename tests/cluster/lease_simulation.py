"""A cluster under an authority in one thread: nodes, drifting clocks and a store, from a seed.

The nodes and their leases are those of the server. Simulated are the store, which is slow, cut
off and gone, the network, the clocks, the keys, and clients that follow redirects.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from random import Random

from lease_hosts import (
    DEEDS,
    DRIFT,
    FEED_MS,
    KEYS,
    LAGS_MS,
    LATEST_MS,
    REQUEST_TIMEOUT_MS,
    SIZE,
    SOON_MS,
    TIMEOUT_MS,
    TIMING,
    Host,
    Key,
    MemoryStore,
)

from cachestorm_server.cluster.assignment import Assignment
from cachestorm_server.cluster.lease import lease_name
from cachestorm_server.cluster.leases import SLOTS_RECORD, Leases
from cachestorm_server.cluster.node import Node, Outgoing
from cachestorm_server.cluster.node_state import persisted, restored
from cachestorm_server.cluster.records import Answer, Record, Remove, Request, do
from cachestorm_server.cluster.redirect import refusal


class Simulation:
    """Hosts, the store, and clients.

    Attributes:
        written: by key, what its owner holds; after a replica has taken over, what that does.
        waited: what WAIT has said: that those replicas, in those lives, have so much of a
            history.
        warm: how often a replica has taken over.
    """

    def __init__(self, seed: int, hosts: int, drift: float = DRIFT, replicas: int = 0) -> None:
        self.timing = replace(TIMING, replicas=replicas)
        self.waited: list[tuple[str, int, frozenset[tuple[str, int]]]] = []
        self.warm = 0
        self.has_clients = True
        self.random = Random(seed)
        self.now = 1_000.0
        self.store = MemoryStore()
        self.cut: set[int] = set()
        self.is_gone = False
        self.slowest_ms = 40
        self.hosts = [Host(number, self.random, drift) for number in range(hosts)]
        self.written: dict[Key, int | None] = {}
        self.accepted = 0
        self.refused = 0
        self._numbers = count(1)
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        for host in self.hosts:
            self.start(host)
        self._later(10, self._client)

    # -- processes

    def time_of(self, host: Host) -> int:
        return int(host.offset + self.now * host.rate)

    def start(self, host: Host) -> None:
        host.lives += 1
        host.said, host.copied, host.acknowledged = [], ("", 0), {}
        host.terms = set()
        host.reigns, host.is_primary, host.is_following = 0, False, False
        host.link += 1
        host.lag_ms = self.random.choice(LAGS_MS)
        leases = Leases("etcd", self.timing, self.random, SIZE)
        if host.disk is None:
            node = Node(host.member(), self.random, TIMEOUT_MS, (), leases)
        else:
            node = restored(
                host.disk, host.member(), self.random, TIMEOUT_MS, self.time_of(host), leases
            )
        leases.bind(node)
        node.copies = host
        host.node, host.leases, host.is_asking = node, leases, False
        life = host.lives
        self.settle(host)
        self._later(self.random.randrange(200), lambda: self._turn(host, life))
        self._later(self.random.randrange(500), lambda: self._tick(host, life))
        if self.timing.replicas:
            self._later(self.random.randrange(FEED_MS), lambda: self._feed(host, life))

    def crash(self, host: Host) -> None:
        host.node = host.leases = None
        host.paused_until, host.crashed_at = 0, self.now
        host.is_following = False
        if self.random.randrange(2):
            # what was in memory only
            host.keys.clear()

    def settle(self, host: Host, outgoing: list[Outgoing] | None = None) -> None:
        node = host.node
        assert node is not None
        follows = node.follows and node.authority.may_serve(self.time_of(host))
        is_following = bool(node.me.primary) and follows
        if host.is_following != is_following:
            host.is_following = is_following
            host.link += 1
        host.settle_role(not node.me.primary)
        if not node.me.primary:
            for key in list(host.keys):
                if key[0] in node.lost:
                    host.put(key, None)
        node.lost.clear()
        node.touched.clear()
        if node.is_dirty:
            host.disk = persisted(node)
            node.is_dirty = False
        for each in [*(outgoing or []), *node.take_outbox()]:
            self._send(host, each)

    # -- time

    def _later(self, ms: float, deed: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + ms, next(self._order), deed))

    def _when_awake(self, host: Host, life: int, deed: Callable[[], None]) -> None:
        """Does it once the process is not stopped, if it is the same one."""
        if host.node is None or host.lives != life:
            return
        if host.paused_until > self.now:
            wait = host.paused_until - self.now
            self._later(wait, lambda: self._when_awake(host, life, deed))
            return
        deed()

    def run(self, ms: float) -> None:
        until = self.now + ms
        while self._events and self._events[0][0] <= until:
            self.now, _, deed = heapq.heappop(self._events)
            deed()
        self.now = until

    def _tick(self, host: Host, life: int) -> None:
        def deed() -> None:
            assert host.node is not None
            self.settle(host, host.node.tick(self.time_of(host)))
            self._later(500, lambda: self._tick(host, life))

        self._when_awake(host, life, deed)

    def _send(self, sender: Host, outgoing: Outgoing) -> None:
        receiver = self.hosts[int(outgoing.address[0].rpartition(".")[2])]
        if receiver.island != sender.island:
            return
        life = receiver.lives

        def deed() -> None:
            assert receiver.node is not None
            message = outgoing.message
            self.settle(receiver, receiver.node.receive(message, self.time_of(receiver)))

        self._later(
            self.random.randrange(1, 20), lambda: self._when_awake(receiver, life, deed)
        )

    # -- the leases

    def _turn(self, host: Host, life: int) -> None:
        def deed() -> None:
            leases = host.leases
            assert leases is not None and host.node is not None
            if not host.is_asking:
                now_ms = self.time_of(host)
                request = leases.next(now_ms)
                if request is not None:
                    self._ask(host, life, leases, request)
                else:
                    wait = 50 if host.node.migrating else leases.wakes_at(now_ms) - now_ms
                    self._later(max(wait, 10), lambda: self._turn(host, life))
            self._move_keys(host)

        self._when_awake(host, life, deed)

    def _ask(self, host: Host, life: int, leases: Leases, request: Request) -> None:
        host.terms.add(leases.term)
        sent_ms = self.time_of(host)
        there, back = (self.random.uniform(1, self.slowest_ms) for _ in range(2))
        host.is_asking = True
        is_open = True

        def hear(answer: Answer | None) -> None:
            nonlocal is_open
            if is_open:
                is_open = False
                host.is_asking = False
                leases.hear(request, answer, sent_ms, self.time_of(host))
                self.settle(host)
                self._turn(host, life)

        def arrive() -> None:
            if self.is_gone or (host.number in self.cut and self.random.randrange(2)):
                return
            before = self.store.records.get(SLOTS_RECORD)
            answer = do(self.store, request)
            if getattr(request, "name", "") == SLOTS_RECORD and answer:
                self._check_heirs(before)
            if isinstance(request, Remove) or getattr(request, "name", "") == SLOTS_RECORD:
                self.check()
            if host.number not in self.cut:
                self._later(back, lambda: self._when_awake(host, life, lambda: hear(answer)))

        self._later(there, arrive)
        self._later(
            REQUEST_TIMEOUT_MS, lambda: self._when_awake(host, life, lambda: hear(None))
        )

    # -- replicas

    def _feed(self, host: Host, life: int) -> None:
        """A replica asks its primary for what it has not, and gets it a while later."""

        def deed() -> None:
            assert host.node is not None
            self.settle(host)
            self._later(self.random.randrange(1, FEED_MS), lambda: self._feed(host, life))
            if not host.is_following:
                return
            primary = self._host(host.node.me.primary)
            if self._is_reached(host, primary) and primary.leases is not None:
                if primary.leases.refuses_replica(host.id, primary.history):
                    return
                said = tuple(primary.said)
                keys = dict(primary.keys)
                arrival = (host, host.link, primary, primary.history, said, keys)
                lag = self.random.randrange(1, host.lag_ms)
                self._later(lag, lambda: self._when_awake(host, life, lambda: fed(*arrival)))

        def fed(
            host: Host,
            link: int,
            primary: Host,
            history: str,
            said: tuple[tuple[Key, int | None], ...],
            keys: dict[Key, int],
        ) -> None:
            if host.link != link or not host.is_following:
                return
            if host.copied[0] != history:
                host.keys, host.copied = keys, (history, len(said))
            elif host.copied[1] < len(said):
                upto = self.random.randint(host.copied[1], len(said))
                for key, value in said[host.copied[1] : upto]:
                    if value is None:
                        host.keys.pop(key, None)
                    else:
                        host.keys[key] = value
                host.copied = (history, upto)
            offset = host.copied[1]
            lag = self.random.randrange(1, SOON_MS)
            self._later(lag, lambda: acknowledged(primary, history, offset))

        def acknowledged(primary: Host, history: str, offset: int) -> None:
            if primary.node is not None and primary.history == history:
                known = primary.acknowledged.get((host.id, life), 0)
                primary.acknowledged[host.id, life] = max(known, offset)
                has = [each for each, at in primary.acknowledged.items() if at >= offset]
                self.waited.append((history, offset, frozenset(has)))

        self._when_awake(host, life, deed)

    def _is_reached(self, host: Host, other: Host) -> bool:
        is_up = other.node is not None and other.paused_until <= self.now
        return is_up and other.island == host.island

    def _check_heirs(self, before: Record | None) -> None:
        """Who has just been given slots of its primary has all that WAIT has promised of it."""
        if before is None:
            return
        was = Assignment.from_bytes(before.value)
        now = Assignment.from_bytes(self.store.records[SLOTS_RECORD].value)
        for slot, (former, owner) in enumerate(zip(was.owners, now.owners)):
            if former not in was.nodes or owner not in was.replicas_of(former):
                continue
            heir = self._host(owner)
            assert not now.nodes[owner].primary
            if heir.node is None or was.nodes[owner].term not in heir.terms:
                # it has died since it asked: who hands its slots over has all of them still
                if self._has_lease(former, was) and not now.nodes[former].leaves:
                    assert now.nodes[former].primary == owner
                    assert self.now - heir.crashed_at < LATEST_MS, "it has died long ago"
                continue
            # one that was started anew has nothing of what it has said
            living = {
                (each, self._host(each).lives)
                for each in was.replicas_of(former)
                if self._has_lease(each, was)
            }
            history = was.nodes[former].history
            assert heir.copied[0] == history
            for of, offset, by in self.waited:
                if of == history and by & living:
                    assert heir.copied[1] >= offset, f"{offset} of {of} is lost"
            self.warm += 1
            for key in KEYS:
                if key[0] == slot:
                    self.written[key] = heir.keys.get(key)

    def _has_lease(self, node_id: str, assignment: Assignment) -> bool:
        """Whether the term of a node that is registered lasts."""
        kept = self.store.records.get(lease_name(node_id))
        return kept is not None and assignment.nodes[node_id].term.encode() in kept.value

    def _host(self, node_id: str) -> Host:
        return next(host for host in self.hosts if host.id == node_id)

    def _move_keys(self, host: Host) -> None:
        node, leases = host.node, host.leases
        assert node is not None and leases is not None
        for slot, to in node.migrating.items():
            key = next((key for key in host.keys if key[0] == slot), None)
            if key is None:
                leases.moved.add(slot)
                continue
            other = self._host(to)
            if node.known(to) is None:
                continue
            if (
                other.node is None
                or other.paused_until > self.now
                or other.island != host.island
                or not node.may_serve(self.time_of(host))
            ):
                continue
            present = key in other.keys
            if refusal(other.node, slot, present, not present, True, self.time_of(other)):
                continue
            if key not in other.keys:
                other.put(key, host.keys[key])
            host.put(key, None)

    # -- clients

    def _client(self) -> None:
        if not self.has_clients:
            return
        self._request(self.random.choice(KEYS), bool(self.random.randrange(2)))
        self._later(self.random.randrange(20, 120), self._client)

    def _request(self, key: tuple[int, str], writes: bool) -> None:
        host, asking = self.random.choice(self.hosts), False
        for _ in range(6):
            if host.node is None or host.paused_until > self.now:
                break
            present = key in host.keys
            refused = refusal(
                host.node, key[0], present, not present, asking, self.time_of(host)
            )
            if refused is None:
                self._answer(host, key, writes)
                return
            if refused.code not in ("MOVED", "ASK"):
                break
            address = str(refused).split()[-1]
            host = self.hosts[int(address.rpartition(":")[0].rpartition(".")[2])]
            asking = refused.code == "ASK"
        self.refused += 1

    def _answer(self, host: Host, key: tuple[int, str], writes: bool) -> None:
        self.accepted += 1
        self.check([key])
        if writes:
            number = self.written[key] = next(self._numbers)
            host.put(key, number)
        else:
            got = host.keys.get(key)
            assert got in (None, self.written.get(key)), f"{key} is answered as it was before"

    # -- what must hold

    def serving(self) -> list[Host]:
        return [
            host
            for host in self.hosts
            if host.node is not None and host.node.may_serve(self.time_of(host))
        ]

    def check(self, keys: Iterable[tuple[int, str]] = KEYS) -> None:
        """No key is answered for by two, and nobody serves whose lease is not there."""
        serving = self.serving()
        for host in serving:
            kept = self.store.records.get(lease_name(host.id))
            assert host.leases is not None
            assert kept is not None, f"{host.number} serves after its lease"
            assert host.leases.term.encode() in kept.value, f"{host.number} serves in no term"
        for key in keys:
            by = set()
            for host in serving:
                assert host.node is not None
                present = key in host.keys
                at = self.time_of(host)
                refused = refusal(host.node, key[0], present, not present, False, at)
                if refused is None:
                    by.add(host.number)
                elif refused.code == "ASK":
                    other = self._host(host.node.migrating[key[0]])
                    there = key in other.keys
                    if other in serving and other.node is not None:
                        at = self.time_of(other)
                        if not refusal(other.node, key[0], there, not there, True, at):
                            by.add(other.number)
            assert len(by) <= 1, f"{key} is written to on {sorted(by)}"

    def disturb(self) -> None:
        """One thing that goes wrong, or that an operator does."""
        random = self.random
        host = random.choice(self.hosts)
        deed = random.choice((*DEEDS, "switch") if self.timing.replicas else DEEDS)
        if deed == "start":
            if host.node is None:
                self.start(host)
        elif deed == "crash":
            if host.node is not None:
                self.crash(host)
        elif deed == "pause":
            host.paused_until = self.now + random.randrange(2 * TIMING.ttl_ms)
        elif deed == "cut":
            self.cut.add(host.number)
        elif deed == "join":
            self.cut.clear()
            self.is_gone = False
            for each in self.hosts:
                each.island = 0
        elif deed == "gone":
            self.is_gone = not self.is_gone
        elif deed == "slow":
            self.slowest_ms = random.choice((10, 40, 300, 900))
        elif deed == "island":
            host.island = random.randrange(3)
        elif deed == "leave" and host.leases is not None:
            host.leases.leaves = True
        elif deed == "switch" and host.is_following:
            assert host.node is not None
            primary = self._host(host.node.me.primary)
            has_all = host.copied == (primary.history, len(primary.said))
            if has_all and self._is_reached(host, primary) and primary.leases is not None:
                primary.leases.hand_over(host.id, self.time_of(primary))

    def heal(self) -> None:
        self.cut.clear()
        self.is_gone = False
        self.slowest_ms = 40
        for host in self.hosts:
            host.island = 0
            if host.node is None:
                self.start(host)
            elif host.leases is not None:
                host.leases.leaves = False

    def check_agreement(self) -> None:
        """All serve, agree on every slot, and have as many as the others."""
        kept = Assignment.from_bytes(self.store.records[SLOTS_RECORD].value)
        assert kept.nodes.keys() == {host.id for host in self.hosts}
        assert kept.moves == {}
        assert self.serving() == self.hosts
        for host in self.hosts:
            assert host.node is not None
            primary = kept.nodes[host.id].primary
            assert host.node.me.primary == primary
            if primary:
                assert not kept.nodes[primary].primary
                assert host.copied[0] == self._host(primary).history
        counts = [
            kept.owners.count(host.id) for host in self.hosts if not kept.nodes[host.id].primary
        ]
        assert sum(counts) == SIZE
        assert max(counts) - min(counts) <= 1
        for host in self.hosts:
            assert host.node is not None
            assert host.node.slots.owners[:SIZE] == kept.owners
            assert host.node.slots.epochs[:SIZE] == kept.epochs
            assert len(host.node.members) == len(self.hosts) - 1

    def check_copies(self) -> None:
        """Replicas have what their primaries have, once nobody writes."""
        self.has_clients = False
        self.run(4 * max(LAGS_MS))
        for host in self.hosts:
            if host.is_following:
                assert host.node is not None
                assert host.keys == self._host(host.node.me.primary).keys


def play(
    seed: int, hosts: int, deeds: int, drift: float = DRIFT, replicas: int = 0
) -> Simulation:
    """A cluster that is disturbed so many times, and then left in peace."""
    simulation = Simulation(seed, hosts, drift, replicas)
    simulation.run(TIMING.ttl_ms)
    for _ in range(deeds):
        simulation.disturb()
        simulation.run(simulation.random.randrange(TIMING.ttl_ms))
        simulation.check()
    simulation.heal()
    for _ in range(11):
        simulation.run(TIMING.ttl_ms)
        try:
            simulation.check_agreement()
        except AssertionError:
            continue
        break
    simulation.check_agreement()
    simulation.check_copies()
    return simulation
