"""The slot map: which node owns which hash slot, as one node knows it. Pure.

Part of a node's state; merged with what other nodes say.

1. A slot has an owner, or none, and the epoch in which that was decided. Of two decisions the
   one of the higher epoch holds; in the same epoch, the one with the greater owner. So merging
   is commutative, associative and idempotent: nodes that have heard the same agree.
2. `digest` is equal for equal maps, and kept up to date with each change: two nodes compare
   that before they send anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final, NamedTuple

from cachestorm.keyspace.slot_index import SLOTS

NOBODY: Final = ""


class Run(NamedTuple):
    """Neighbouring slots of which the same was decided.

    Attributes:
        first, last: the slots; both belong to it.
        owner: the id of a node; empty for none.
    """

    first: int
    last: int
    epoch: int
    owner: str


class SlotMap:
    """Owners and epochs of all slots."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self.owners: Final[list[str]] = [NOBODY] * SLOTS
        self.epochs: Final[list[int]] = [0] * SLOTS
        self.digest = 0
        self.counts: Final[dict[str, int]] = {}
        self._decided: Final[set[int]] = set()
        self._runs: list[Run] | None = None
        self.merge(runs)

    def assign(self, slot: int, epoch: int, owner: str) -> bool:
        """Takes a decision in, if it holds against what is known. Returns whether it does."""
        if (epoch, owner) <= (self.epochs[slot], self.owners[slot]):
            return False
        self.replace(slot, epoch, owner)
        return True

    def replace(self, slot: int, epoch: int, owner: str) -> None:
        """Takes a decision in, whatever is known."""
        former = self.owners[slot]
        if former != owner:
            self._count(former, -1)
            self._count(owner, 1)
        self.digest ^= _digest(slot, self.epochs[slot], former) ^ _digest(slot, epoch, owner)
        self.owners[slot] = owner
        self.epochs[slot] = epoch
        if epoch:
            self._decided.add(slot)
        else:
            self._decided.discard(slot)
        self._runs = None

    def _count(self, owner: str, change: int) -> None:
        if owner != NOBODY:
            count = self.counts.get(owner, 0) + change
            if count:
                self.counts[owner] = count
            else:
                del self.counts[owner]

    def merge(self, runs: Iterable[Run]) -> list[int]:
        """Takes in what another node knows. Returns the slots that were decided anew."""
        return [
            slot
            for run in runs
            for slot in range(run.first, run.last + 1)
            if self.assign(slot, run.epoch, run.owner)
        ]

    def runs(self) -> list[Run]:
        """All that is known, in ascending order."""
        if self._runs is None:
            self._runs = self.runs_of(sorted(self._decided))
        return self._runs

    def runs_of(self, slots: Iterable[int]) -> list[Run]:
        """What is known of some slots that were decided, in ascending order."""
        found: list[Run] = []
        first, last, epoch, owner = -1, -2, 0, NOBODY
        for slot in slots:
            if slot == last + 1 and self.epochs[slot] == epoch and self.owners[slot] == owner:
                last = slot
                continue
            if first >= 0:
                found.append(Run(first, last, epoch, owner))
            first, last, epoch, owner = slot, slot, self.epochs[slot], self.owners[slot]
        if first >= 0:
            found.append(Run(first, last, epoch, owner))
        return found

    def slots_of(self, owner: str) -> list[int]:
        """The slots of a node."""
        return [slot for slot, each in enumerate(self.owners) if each == owner]

    def ranges(self) -> list[tuple[int, int, str]]:
        """First slot, last slot and owner of all neighbours of the same owner, ascending."""
        found: list[tuple[int, int, str]] = []
        for slot, owner in enumerate(self.owners):
            if owner == NOBODY:
                continue
            if found and found[-1][1:] == (slot - 1, owner):
                found[-1] = (found[-1][0], slot, owner)
            else:
                found.append((slot, slot, owner))
        return found

    def conflicts_with(self, runs: Iterable[Run]) -> bool:
        """Whether both know an owner of some slot, and not the same one."""
        return any(
            NOBODY not in (run.owner, self.owners[slot]) and run.owner != self.owners[slot]
            for run in runs
            for slot in range(run.first, run.last + 1)
        )


def _digest(slot: int, epoch: int, owner: str) -> int:
    if epoch == 0:
        return 0
    decision = b"%d %d %s" % (slot, epoch, owner.encode())
    return int.from_bytes(blake2b(decision, digest_size=7).digest(), "big")


def ranges_of(slots: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last of the neighbours among ascending slots."""
    first = last = -1
    for slot in slots:
        if slot != last + 1 or first < 0:
            if first >= 0:
                yield first, last
            first = slot
        last = slot
    if first >= 0:
        yield first, last
