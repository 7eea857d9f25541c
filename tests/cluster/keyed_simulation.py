"""A simulated cluster with keys: clients that write, read and invalidate while slots move.

What a node answers for is said by `redirect.refusal`, which invalidations a key has escaped by
`OpLog.unseen_by`; the steps of a migration are those of MIGRATE and of `redis-cli --cluster
reshard`, with a delay before each, and the end of either node in between.

1. Keys are on the disk of their host, as with a journal that is written at once.
2. Clients reach every host that is up. Each of their requests is over at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulation import FEW_SLOTS, TICK_MS, TIMEOUT_MS, Host, Simulation

from cachestorm_server.cluster.op_log import Operation
from cachestorm_server.cluster.redirect import AskError, MovedError, refusal

# a tag that is never invalidated: its keys may not be lost
KEPT = "kept"
TAGS = (KEPT, "t1", "t2")
NAMES_A_SLOT = 3
KEYED_DEEDS = (
    *("write",) * 8,
    *("read",) * 6,
    *("invalidate",) * 2,
    *("move slot",) * 2,
    *("crash", "start", "island", "join", "loss", "address"),
)


@dataclass
class Value:
    """What a key holds: the number of the write, which counts up, and its tag."""

    number: int
    tag: str


# how often the source was started, which host the target is, and how often that was
Lives = tuple[int, int, int]


@dataclass
class Move:
    """A slot on its way, and what the operator is about to do."""

    slot: int
    source: Host
    target: Host
    replaces: bool = False


class KeyedSimulation(Simulation):
    """Hosts with keys.

    Attributes:
        model: by key, the last write that was answered.
        invalidated: by tag, the number up to which writes are gone everywhere, as a client was
            told.
        moves: by slot.
        arrived, escaped: how many keys were sent, and how many of these an invalidation had
            to be told of when they arrived.
    """

    def __init__(self, seed: int, size: int) -> None:
        self.keys: dict[int, dict[tuple[int, int], Value]] = {n: {} for n in range(size)}
        self.model: dict[tuple[int, int], Value] = {}
        self.invalidated: dict[str, int] = dict.fromkeys(TAGS, 0)
        self.moves: dict[int, Move] = {}
        # the numbers of what an invalidation has taken away somewhere
        self.taken_away: set[int] = set()
        # by host, the keys that it has on their way, and for which lives of the two
        self.under_way: dict[int, dict[tuple[int, int], Lives]] = {n: {} for n in range(size)}
        self.arrived = self.escaped = self.moved = self.redirected = 0
        self._number = 0
        # of each operation: the writes before it
        self._before: dict[Operation, int] = {}
        super().__init__(seed, size)

    def next_number(self) -> int:
        self._number += 1
        return self._number

    # -- what nodes do

    def does(self, host: Host, operation: Operation) -> None:
        keys = self.keys[host.number]
        for key in [key for key, value in keys.items() if value.tag == operation.words[1]]:
            self.taken_away.add(keys.pop(key).number)

    def settle(self, host: Host, outgoing: list, fails: bool = False) -> None:
        super().settle(host, outgoing, fails)
        node = host.node
        if node is not None and node.lost:
            # what another node has by now is dropped, as a server does
            keys = self.keys[host.number]
            for key in [key for key in keys if key[0] in node.lost]:
                del keys[key]
            node.lost.clear()

    def answerer(self, key: tuple[int, int]) -> Host | None:
        """The host that answers for a key, as a client finds it; None if none does."""
        up = [host for host in self.hosts if host.node is not None]
        host, asking = self.random.choice(up) if up else None, False
        for _ in range(8):
            if host is None or host.node is None:
                return None
            here = int(key in self.keys[host.number] or self.is_under_way(host, key))
            refused = refusal(host.node, key[0], here, 1 - here, asking, self.time_of(host))
            if refused is None:
                return host
            if not isinstance(refused, MovedError | AskError):
                return None
            self.redirected += 1
            asking = isinstance(refused, AskError)
            address = str(refused).split()[1].rpartition(":")[0]
            host = self._at((address, 0))
        return None

    # -- what clients do

    def write(self) -> None:
        key = (self.random.randrange(FEW_SLOTS), self.random.randrange(NAMES_A_SLOT))
        host = self.answerer(key)
        if host is not None:
            value = Value(self.next_number(), TAGS[key[1] % len(TAGS)])
            self.keys[host.number][key] = value
            self.model[key] = value

    def read(self, key: tuple[int, int] | None = None) -> bool:
        """Reads a key, and compares. Returns whether anybody answered."""
        if key is None:
            key = (self.random.randrange(FEW_SLOTS), self.random.randrange(NAMES_A_SLOT))
        host = self.answerer(key)
        if host is None:
            return False
        found, expected = self.keys[host.number].get(key), self.model.get(key)
        if found is None:
            is_gone = expected is None or expected.number in self.taken_away
            assert is_gone, f"{key} is lost"
        else:
            assert found.number > self.invalidated[found.tag], f"{key} was invalidated"
            assert found == expected, f"{key} is not what was written last"
        return True

    def invalidate(self) -> None:
        """Has a tag invalidated by any node; who asks is told when all have done it."""
        up = [host for host in self.hosts if host.node is not None]
        if not up:
            return
        host = self.random.choice(up)
        assert host.node is not None
        tag = self.random.choice(TAGS[1:])
        operation = host.node.publish("default", ("INVALIDATE", tag), self.time_of(host))
        before = self.next_number()
        self._before[operation] = before
        host.done.append(operation)
        host.ever_done.add(operation)
        self.does(host, operation)
        self.published.append(operation)
        host.node.is_dirty = True
        self.settle(host, host.node.take_outbox())
        self._push(2 * self.slowest_ms, host, lambda: self.is_told(host, operation))

    def is_told(self, host: Host, operation: Operation) -> None:
        """The reply to an invalidation: without a word of PARTIAL, if all have done it."""
        node = host.node
        assert node is not None
        if all(node.log.has_done(member, operation) for member in node.members):
            tag = operation.words[1]
            before = self._before[operation]
            self.invalidated[tag] = max(self.invalidated[tag], before)

    # -- what the operator does

    def move_slot(self) -> None:
        slot = self.random.randrange(FEW_SLOTS)
        if slot in self.moves:
            return
        up = [host for host in self.hosts if host.node is not None]
        source = next((h for h in up if h.node.slots.owners[slot] == h.node.me.id), None)
        others = [host for host in up if host is not source]
        if source is None or not others:
            return
        target = self.random.choice(others)
        # nobody moves slots of a cluster that does not agree
        if any(h.node.slots.owners[slot] != source.node.me.id for h in up):
            return
        self.moves[slot] = Move(slot, source, target)
        self.begin(self.moves[slot])

    def later(self, host: Host, deed: object) -> None:
        self._push(self.random.randrange(1, 400), host, deed)

    def begin(self, move: Move) -> None:
        """IMPORTING, MIGRATING, and the first keys; again after either node has ended."""
        source, target = move.source.node, move.target.node
        if source is None or target is None:
            return
        target.import_from(move.slot, source.me.id)
        self.settle(move.target, target.take_outbox())
        source.migrate(move.slot, target.me.id)
        self.settle(move.source, source.take_outbox())
        self.later(move.source, lambda: self.send(move))

    def is_under_way(self, host: Host, key: tuple[int, int]) -> bool:
        """Whether a host is sending a key, or its removal, and neither node has ended since."""
        if key not in self.under_way[host.number]:
            return False
        lives, number, other_lives = self.under_way[host.number][key]
        other = self.hosts[number]
        return other.node is not None and (host.lives, other.lives) == (lives, other_lives)

    def send(self, move: Move) -> None:
        """MIGRATE: of some keys, when none of them is on its way already."""
        keys = self.keys[move.source.number]
        if any(
            self.is_under_way(move.source, (move.slot, name)) for name in range(NAMES_A_SLOT)
        ):
            self.later(move.source, lambda: self.send(move))
            return
        names = [key for key in keys if key[0] == move.slot][: self.random.randrange(1, 4)]
        if names:
            self.send_these(move, names)
        else:
            self.finish(move)

    def send_these(self, move: Move, names: list[tuple[int, int]]) -> None:
        """Copies, or removals, and what the source has done of all operations."""
        source, number = move.source.node, move.source.number
        assert source is not None
        copies = {key: self.keys[number].get(key) for key in names}
        lives = move.source.lives, move.target.number, move.target.lives
        self.under_way[number].update(dict.fromkeys(names, lives))
        done, epoch = dict(source.log.done), source.epoch
        # the connection is that of this life of the target
        self.later(move.target, lambda: self.restore(move, copies, done, epoch))

    def restore(
        self,
        move: Move,
        copies: dict[tuple[int, int], Value | None],
        done: dict[str, int],
        epoch: int,
    ) -> None:
        """RESTORE-ASKING, and what an invalidation has missed; DEL of what has gone."""
        target = move.target.node
        assert target is not None
        taken: dict[tuple[int, int], Value | None] = {}
        keys = self.keys[move.target.number]
        for key, copy in copies.items():
            here = int(key in keys)
            now_ms = self.time_of(move.target)
            if refusal(target, move.slot, here, 1 - here, True, now_ms) is not None:
                continue
            if copy is None:
                keys.pop(key, None)
            elif here and not move.replaces:
                # BUSYKEY: the operator says REPLACE the next time
                move.replaces = True
                continue
            else:
                keys[key] = copy
                self.arrived += 1
                target.hear_epoch(epoch)
                for operation in target.log.unseen_by(done):
                    if operation.words[1] == copy.tag:
                        self.escaped += 1
                        self.taken_away.add(keys.pop(key).number)
                        break
            taken[key] = copy
        if move.source.node is not None:
            names = list(copies)
            lives = {key: self.under_way[move.source.number].get(key) for key in names}
            self.later(move.source, lambda: self.taken(move, names, taken, lives))

    def taken(
        self,
        move: Move,
        names: list[tuple[int, int]],
        copies: dict[tuple[int, int], Value | None],
        lives: dict[tuple[int, int], Lives | None],
    ) -> None:
        """The source deletes what the target has, if it is still what was sent."""
        under_way = self.under_way[move.source.number]
        if any(
            under_way.get(key) != lives[key] or not self.is_under_way(move.source, key)
            for key in names
        ):
            # the target has ended, and the connection with it: the request has failed
            return
        keys = self.keys[move.source.number]
        again = []
        for key in names:
            if key in copies and keys.get(key) is not copies[key]:
                # written to, or gone by now
                again.append(key)
                continue
            if key in copies:
                keys.pop(key, None)
            self.under_way[move.source.number].pop(key, None)
        if again:
            move.replaces = True
            self.send_these(move, again)
        else:
            self.later(move.source, lambda: self.send(move))

    def finish(self, move: Move) -> None:
        """SETSLOT NODE, at the target first, and at the source if it has no keys left."""
        source, target = move.source.node, move.target.node
        assert source is not None
        if target is None:
            return
        for host, node in ((move.target, target), (move.source, source)):
            if node.slots.owners[move.slot] != target.me.id:
                node.assign([move.slot], target.me.id)
                self.settle(host, node.take_outbox())
        self.moves.pop(move.slot, None)
        self.moved += 1

    # -- what goes wrong

    def disturb(self) -> None:
        deed = self.random.choice(KEYED_DEEDS)
        host = self.random.choice(self.hosts)
        if deed == "write":
            self.write()
        elif deed == "read":
            self.read()
        elif deed == "invalidate":
            self.invalidate()
        elif deed == "move slot":
            self.move_slot()
        elif deed == "island":
            self.islands[host.number] = self.random.randrange(2)
        elif deed == "join":
            self.islands.clear()
        elif deed == "loss":
            self.loss = self.random.choice((0, 0, 10, 40))
        elif deed == "start" and host.node is None:
            self.start(host)
        elif deed == "crash" and host.node is not None:
            self.crash(host)
        elif deed == "address" and host.node is not None:
            self.crash(host)
            host.host = f"10.1.{host.number}.{host.lives}"
            self.start(host)

    def fix(self) -> None:
        """`redis-cli --cluster fix`: what was cut off is gone on with."""
        for move in list(self.moves.values()):
            move.replaces = True
            self.begin(move)


def play_with_keys(seed: int, size: int, deeds: int) -> KeyedSimulation:
    """Clients and an operator in a cluster that is disturbed; all that is read is checked."""
    simulation = KeyedSimulation(seed, size)
    simulation.come_together()
    for _ in range(2 * FEW_SLOTS * NAMES_A_SLOT):
        simulation.write()
    for _ in range(deeds):
        simulation.disturb()
        simulation.run(simulation.random.randrange(TICK_MS))
    simulation.heal()
    simulation.settle_down()
    simulation.fix()
    ends_at_ms = simulation.now_ms + 12 * TIMEOUT_MS
    while simulation.moves and simulation.now_ms < ends_at_ms:
        simulation.run(TICK_MS)
    assert simulation.moves == {}
    simulation.settle_down()
    for slot in range(FEW_SLOTS // size * size):
        for name in range(NAMES_A_SLOT):
            assert simulation.read((slot, name)), "nobody answers"
    return simulation
