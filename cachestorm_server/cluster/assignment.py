"""The assignment: who is in a cluster, and who is to have which slot, as an authority keeps it.

One value, replaced as a whole by whoever was first. Pure: made, changed and read by
`leases.py`.

1. A slot changes hands in two ways: its owner hands it over, or it is taken from a node whose
   registered term has ended, and a term that has ended never begins again.
2. A slot that changes hands is stamped with a new epoch. So a node that finds a slot of its own
   with another epoch than it knows has not had it all the time.
3. A replica has no slots. It is one of a node until its primary's slots are given to it, or
   until it registers as none: that of a node that is gone has nothing of use.
4. Whoever is given the slots of its primary is registered with the history of that one, until
   it says what its own is. So it knows that it is to keep what it has.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from cachestorm.keyspace.slot_index import SLOTS
from cachestorm_server.cluster.messages import MessageError, is_id
from cachestorm_server.cluster.slot_map import NOBODY

FORMAT: Final = 2
_MOST_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Registered:
    """A node of the cluster.

    Attributes:
        term: of its lease; it owns slots only as long as that lasts.
        host, bus_port: where other nodes reach it.
        leaves: its slots are to go elsewhere.
        primary: whose replica it is; empty for none.
        history: by which its replicas know what they have of it; empty for none.
    """

    term: str
    host: str
    bus_port: int
    leaves: bool = False
    primary: str = ""
    history: str = ""


class Assignment:
    """What is decided.

    Args:
        epoch: that of the latest decision.
        size: how many slots there are.

    Attributes:
        nodes: by id.
        owners, epochs: of each slot.
        moves: slots that their owner is to hand over, and to whom.
    """

    def __init__(self, epoch: int, size: int = SLOTS) -> None:
        self.epoch = epoch
        self.nodes: dict[str, Registered] = {}
        self.owners: list[str] = [NOBODY] * size
        self.epochs: list[int] = [0] * size
        self.moves: dict[int, str] = {}

    def copy(self) -> Assignment:
        """One that can be changed."""
        copy = Assignment(self.epoch, 0)
        copy.nodes = dict(self.nodes)
        copy.owners = list(self.owners)
        copy.epochs = list(self.epochs)
        copy.moves = dict(self.moves)
        return copy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Assignment) and self._plain() == other._plain()

    __hash__ = None  # type: ignore[assignment]

    # -- as bytes

    def _plain(self) -> dict[str, object]:
        ids = sorted({*self.nodes, *self.owners, *self.moves.values()} - {NOBODY})
        number = {NOBODY: -1, **{node_id: at for at, node_id in enumerate(ids)}}
        runs: list[list[int]] = []
        for slot, (owner, epoch) in enumerate(zip(self.owners, self.epochs)):
            decision = [epoch, number[owner]]
            if not runs or runs[-1][1:] != decision:
                runs.append([slot, *decision])
        return {
            "format": FORMAT,
            "size": len(self.owners),
            "epoch": self.epoch,
            "ids": ids,
            "nodes": [
                [number[each], *astuple(self.nodes[each])] for each in sorted(self.nodes)
            ],
            "runs": runs,
            "moves": [[slot, number[to]] for slot, to in sorted(self.moves.items())],
        }

    def to_bytes(self) -> bytes:
        """All of it, small enough for a store of small values."""
        return zlib.compress(json.dumps(self._plain(), separators=(",", ":")).encode("ascii"))

    @classmethod
    def from_bytes(cls, value: bytes) -> Assignment:
        """The assignment that was written.

        Raises:
            MessageError: if this is none.
        """
        try:
            unpacked = zlib.decompressobj()
            plain = json.loads(unpacked.decompress(value, _MOST_BYTES))
            if not unpacked.eof:
                raise MessageError("it is not whole, or too large")
            if plain["format"] != FORMAT:
                raise MessageError(f"format {plain['format']!r} is not known")
            return cls._of(plain)
        except (zlib.error, ValueError, KeyError, TypeError, IndexError) as error:
            if isinstance(error, MessageError):
                raise
            raise MessageError(f"no assignment of slots: {error}") from error

    @classmethod
    def _of(cls, plain: Any) -> Assignment:
        ids = [str(each) for each in plain["ids"]]
        if not all(map(is_id, ids)):
            raise MessageError("no id of a node")
        by_number = dict(enumerate(ids)) | {-1: NOBODY}
        size = int(plain["size"])
        if not 0 < size <= SLOTS:
            raise MessageError(f"{size} slots are not as many as there can be")
        found = cls(int(plain["epoch"]), size)
        for number, term, host, port, leaves, primary, history in plain["nodes"]:
            found.nodes[by_number[number]] = Registered(
                str(term), str(host), int(port), bool(leaves), str(primary), str(history)
            )
        ends = [*(run[0] for run in plain["runs"][1:]), size]
        for (first, epoch, number), end in zip(plain["runs"], ends):
            for slot in range(first, end):
                found.owners[slot] = by_number[number]
                found.epochs[slot] = int(epoch)
        for slot, number in plain["moves"]:
            found.moves[int(slot)] = by_number[number]
        if not all(0 <= slot < size for slot in found.moves):
            raise MessageError("no slot")
        return found

    # -- decisions

    def register(self, node_id: str, registered: Registered, is_fresh: bool) -> None:
        """Takes a node in whose term begins.

        What was on its way to it in an earlier term is not continued: it has let go of it.

        Args:
            is_fresh: it has been started since. What was on its way to others is theirs: it
                may have forgotten what had left already.
        """
        known = self.nodes.get(node_id)
        if known is None or known.term != registered.term:
            for slot in [slot for slot, to in self.moves.items() if to == node_id]:
                del self.moves[slot]
        if is_fresh:
            mine = [slot for slot in self.moves if self.owners[slot] == node_id]
            if mine:
                self.hand_over(node_id, mine)
        self.nodes[node_id] = registered

    def hand_over(self, node_id: str, slots: Iterable[int]) -> None:
        """Gives slots of a node whose keys have all moved to those that they moved to."""
        self.epoch += 1
        for slot in slots:
            if self.owners[slot] == node_id and slot in self.moves:
                self._give(slot, self.moves.pop(slot))

    def _give(self, slot: int, owner: str) -> None:
        self.owners[slot] = owner
        self.epochs[slot] = self.epoch

    def succeed(self, node_id: str, heir: str) -> None:
        """Gives all slots of a node to a replica of it that has all its keys."""
        self.epoch += 1
        history = self.nodes[node_id].history
        self.nodes[heir] = replace(self.nodes[heir], primary="", history=history)
        for slot, owner in enumerate(self.owners):
            if owner == node_id:
                self.moves.pop(slot, None)
                self._give(slot, heir)
        for each, registered in self.nodes.items():
            if registered.primary == node_id:
                self.nodes[each] = replace(registered, primary=heir)

    def replicas_of(self, node_id: str) -> list[str]:
        """Who follows a node."""
        return [each for each, known in self.nodes.items() if known.primary == node_id]

    def plan(
        self,
        living: Collection[str],
        dead: Collection[str],
        most_moves: int,
        replicas: int = 0,
        heirs: Mapping[str, str] = MappingProxyType({}),
    ) -> bool:
        """Gives the slots of the dead to the living, and evens out what those have.

        Args:
            living: nodes whose registered term lasts.
            dead: those of which it has ended for good. Others are waited for.
            most_moves: how many slots may be on their way at a time.
            replicas: how many of them each node that has slots is to have.
            heirs: which replica is to have the slots of a dead node.

        Returns:
            Whether anything is to change.
        """
        before = (dict(self.nodes), dict(self.moves))
        self.epoch += 1
        for slot, to in list(self.moves.items()):
            if to not in living or self.owners[slot] == to:
                del self.moves[slot]
        for slot, to in list(self.moves.items()):
            if self.owners[slot] in heirs:
                # of what has arrived already there is no newer copy
                self._give(slot, to)
                del self.moves[slot]
        for node_id, heir in heirs.items():
            self.succeed(node_id, heir)
        if replicas:
            self._place_replicas(living, replicas)
        stay = sorted(
            each
            for each in living
            if not self.nodes[each].leaves and not self.nodes[each].primary
        )
        has_given = (bool(stay) and self._take_from(dead, stay)) or bool(heirs)
        if stay:
            for node_id in dead:
                self.nodes.pop(node_id, None)
            self._even_out(sorted(living), stay, most_moves)
        if not has_given and before == (self.nodes, self.moves):
            self.epoch -= 1
            return False
        return True

    def _place_replicas(self, living: Collection[str], replicas: int) -> None:
        """Has nodes without slots follow those that have too few replicas."""
        present = sorted(each for each in living if not self.nodes[each].leaves)
        busy = {*self.owners, *self.moves.values()}
        busy.update(known.primary for known in self.nodes.values())
        primaries = [each for each in present if not self.nodes[each].primary]
        settled = [each for each in primaries if each in busy]
        wanted = -(-len(present) // (1 + replicas))
        for node_id in primaries:
            if node_id in busy:
                continue
            fewest = min(settled, key=lambda each: len(self.replicas_of(each)), default="")
            if len(settled) < wanted or len(self.replicas_of(fewest)) >= replicas:
                settled.append(node_id)
            else:
                self.nodes[node_id] = replace(self.nodes[node_id], primary=fewest)

    def _loads(self, stay: list[str]) -> dict[str, int]:
        """How many slots each has, once all moves are done."""
        loads = dict.fromkeys(stay, 0)
        for slot, owner in enumerate(self.owners):
            at_last = self.moves.get(slot, owner)
            if at_last in loads:
                loads[at_last] += 1
        return loads

    def _take_from(self, dead: Collection[str], stay: list[str]) -> bool:
        gone = {NOBODY, *dead} | (set(self.owners) - self.nodes.keys())
        orphans = [slot for slot, owner in enumerate(self.owners) if owner in gone]
        if not orphans:
            return False
        loads = self._loads(stay)
        room = _shares(loads, len(self.owners))
        left = []
        for slot in orphans:
            # what has some of its keys already is the best place
            to = self.moves.pop(slot, NOBODY)
            if to:
                self._give(slot, to)
            else:
                left.append(slot)
        takers = sorted(stay, key=lambda each: loads[each] - room[each])
        at = 0
        for taker in takers:
            count = max(0, room[taker] - loads[taker])
            for slot in left[at : at + count]:
                self._give(slot, taker)
            at += count
        for slot in left[at:]:
            self._give(slot, takers[0])
        return True

    def _even_out(self, living: list[str], stay: list[str], most_moves: int) -> None:
        loads = self._loads(stay)
        shares = _shares(loads, len(self.owners))
        takers = [each for each in stay if loads[each] < shares[each]]
        may = most_moves - len(self.moves)
        for giver in living:
            if giver in loads:
                spare = loads[giver] - shares[giver]
            else:
                spare = len(self.owners)
            own = (
                slot
                for slot in reversed(range(len(self.owners)))
                if self.owners[slot] == giver and slot not in self.moves
            )
            while spare > 0 and may > 0 and takers:
                slot = next(own, -1)
                if slot < 0:
                    break
                taker = takers[0]
                self.moves[slot] = taker
                loads[taker] += 1
                spare -= 1
                may -= 1
                if loads[taker] >= shares[taker]:
                    takers.pop(0)


def _shares(loads: dict[str, int], size: int) -> dict[str, int]:
    """How many slots each is to have: as even as it can be, with as few moves."""
    share, more = divmod(size, len(loads))
    by_load = sorted(loads, key=lambda each: (-loads[each], each))
    return {each: share + (at < more) for at, each in enumerate(by_load)}
