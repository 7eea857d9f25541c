"""The slots: which of them go where. Pure.

Called by the planning. A share is the slots of one node, by the name of its pod.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

SLOTS: Final = 16384


@dataclass(frozen=True, slots=True)
class Transfer:
    """Slots that are to go from one node to another."""

    slots: tuple[int, ...]
    source: str
    target: str


def ranges(slots: Iterable[int]) -> list[tuple[int, int]]:
    """Slots as ranges, both ends included."""
    found: list[tuple[int, int]] = []
    for slot in sorted(slots):
        if found and found[-1][1] == slot - 1:
            found[-1] = (found[-1][0], slot)
        else:
            found.append((slot, slot))
    return found


def first_shares(nodes: Collection[str]) -> dict[str, range]:
    """All slots, for nodes that begin together: as even as can be, each without gaps."""
    count = len(nodes)
    bounds = [SLOTS * number // count for number in range(count + 1)]
    return {node: range(*pair) for node, pair in zip(nodes, pairwise(bounds))}


def evened(shares: Mapping[str, Set[int]]) -> list[Transfer]:
    """What makes all shares equal, give or take one slot, with the fewest slots moved."""
    if not shares:
        return []
    total = sum(map(len, shares.values()))
    low, extra = divmod(total, len(shares))
    # who has most already keeps the odd ones
    order = sorted(shares, key=lambda node: (-len(shares[node]), node))
    goal = {node: low + (number < extra) for number, node in enumerate(order)}
    spare = [(slot, node) for node in order for slot in sorted(shares[node])[goal[node] :]]
    wanted = [node for node in order for _ in range(max(goal[node] - len(shares[node]), 0))]
    return _joined((slot, source, target) for (slot, source), target in zip(spare, wanted))


def drained(
    leaving: Collection[str], shares: Mapping[str, Set[int]], targets: Collection[str]
) -> list[Transfer]:
    """What empties some nodes, so that the targets have as even shares as can be.

    Each target gets slots that lie side by side, where there are such.
    """
    if not targets:
        return []
    counts = {node: len(shares[node]) for node in targets}
    spare = [(slot, source) for source in leaving for slot in sorted(shares[source])]
    wanted = []
    for _ in spare:
        target = min(counts, key=lambda node: (counts[node], node))
        counts[target] += 1
        wanted.append(target)
    return _joined((slot, source, to) for (slot, source), to in zip(spare, sorted(wanted)))


def _joined(moves: Iterable[tuple[int, str, str]]) -> list[Transfer]:
    found: dict[tuple[str, str], list[int]] = {}
    for slot, source, target in moves:
        found.setdefault((source, target), []).append(slot)
    return [Transfer(tuple(slots), *pair) for pair, slots in found.items()]
