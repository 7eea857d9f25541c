"""What a cluster of many nodes costs and how fast it is, from the simulator.

    PYTHONPATH=.:tests/cluster python tests/cluster/large_simulation.py 10 100 1000

For each size a line of the table in docs/cluster.md. Delays between nodes are 1 to 50 ms, as in
all simulations; bytes are those of frames as the bus writes them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from simulation import Host, Simulation

from cachestorm_server.cluster.node import Node, Outgoing
from cachestorm_server.cluster.wire import Wire

# `suspicion_mult` times `probe_interval` and `probe_timeout`, as they come
TIMEOUT_MS = 4_500
PROBE_MS = 1_000
SLOTS = 16_384
# how many frames are written, to know how long they are
SAMPLE = 500
STEP_MS = 10
WAIT_MS = 60_000
# with more, it takes too long to play the seconds until one is missed
MOST_TO_FAIL = 300


class LargeSimulation(Simulation):
    """Hosts that know each other from the start.

    Attributes:
        frames, frame_bytes: a sample of what was sent.
    """

    timeout_ms = TIMEOUT_MS
    tick_ms = PROBE_MS

    def __init__(self, seed: int, size: int) -> None:
        self.wire = Wire("secret")
        self.frames = self.frame_bytes = 0
        self.every = 1
        super().__init__(seed, size)
        self.by_host = {host.host: host for host in self.hosts}
        nodes = self.nodes()
        members = {node.me.id: node.me for node in nodes}
        share = SLOTS // size + 1
        for index, node in enumerate(nodes):
            node.epoch = 1
            for slot in range(index * share, min((index + 1) * share, SLOTS)):
                self.decided.assign(slot, 1, node.me.id)
        runs = self.decided.runs()
        for host, node in zip(self.hosts, nodes, strict=True):
            node.clusters = list(nodes[0].clusters)
            node.slots.merge(runs)
            for member in members.values():
                if member.id != node.me.id:
                    node.members[member.id] = member
                    # as if it had been so for long
                    ago_ms = self.random.randrange(TIMEOUT_MS // 2 + PROBE_MS)
                    node.suspicion.hear_from(member.id, self.time_of(host) - ago_ms)

    def settle(self, host: Host, outgoing: list[Outgoing], fails: bool = False) -> None:
        node = host.node
        assert node is not None
        for operation in node.due:
            host.ever_done.add(operation)
        node.due.clear()
        node.touched.clear()
        # nobody is started again here
        node.is_dirty = False
        for each in outgoing:
            self._send(host, each)

    def _send(self, sender: Host, outgoing: Outgoing) -> None:
        super()._send(sender, outgoing)
        if self.sent % self.every == 0:
            self.frames += 1
            self.frame_bytes += len(self.wire.written(outgoing.message, 1_800_000_000_000))

    def _at(self, address: tuple[str, int]) -> Host | None:
        return self.by_host.get(address[0])

    def until(self, holds: Callable[[], bool]) -> int:
        """How many milliseconds pass until something is so."""
        began_ms = self.now_ms
        while not holds():
            assert self.now_ms - began_ms < WAIT_MS, "it never came to be"
            self.run(STEP_MS)
        return self.now_ms - began_ms


def line(size: int) -> str:
    """What is told of one size."""
    simulation = LargeSimulation(1, size)
    simulation.run(PROBE_MS)
    before, began_ms = simulation.sent, simulation.now_ms
    simulation.every = max(1, simulation.sent // SAMPLE)
    simulation.frames = simulation.frame_bytes = 0
    simulation.run(PROBE_MS)
    seconds = (simulation.now_ms - began_ms) / 1000
    messages = (simulation.sent - before) / seconds / size
    kilobytes = messages * simulation.frame_bytes / max(simulation.frames, 1) / 1000
    first, second, *_ = simulation.hosts
    nodes = simulation.nodes()

    node = first.node
    assert node is not None
    node.assign([0], second.id)
    simulation.settle(first, node.take_outbox())
    agreed_ms = simulation.until(
        lambda: all(each.slots.owners[0] == second.id for each in nodes)
    )

    operation = node.publish("default", ("INVALIDATE", "t"), simulation.time_of(first))
    simulation.settle(first, node.take_outbox())
    others = [host for host in simulation.hosts if host is not first]
    invalidated_ms = simulation.until(
        lambda: all(node.log.has_done(host.id, operation) for host in others)
    )

    told = f"| {size:,} | {messages:,.0f} | {kilobytes:,.0f} | {agreed_ms} | {invalidated_ms} |"
    if size > MOST_TO_FAIL:
        return f"{told} - |"
    gone = simulation.hosts[-1]
    simulation.crash(gone)
    left = [host for host in simulation.hosts if host.node is not None]

    def is_failed() -> bool:
        return all(
            host.node.has_failed(gone.id, simulation.time_of(host))
            for host in left
            if isinstance(host.node, Node)
        )

    failed_ms = simulation.until(is_failed)
    return f"{told} {failed_ms / 1000:.1f} |"


def main() -> None:
    print("| nodes | messages/s a node | kB/s a node | agree ms | invalidate ms | fail s |")
    for size in map(int, sys.argv[1:]):
        print(line(size), flush=True)


if __name__ == "__main__":
    main()
