"""The roster: a list of entries that leave it lazily, so that joining and leaving are O(1).

What a tag keeps of its entries. An entry knows no place in any roster: one that has left its
keyspace stays as a shell, until the hand comes by.

1. There are never more shells than entries, but for a few.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from cachestorm.entry import Entry
from cachestorm.values.bulk import Bulk

# Slots that the hand looks at for every entry that leaves.
SWEEP: Final = 4


class Roster(Bulk):
    """Entries that have something in common.

    Attributes:
        members: the entries, and shells of such as have left.
        size: how many of the members are not shells.
    """

    def __init__(self) -> None:
        self.members: list[Entry] = []
        self.size: i64 = 0
        self._hand: i64 = 0

    def bulk(self) -> i64:
        return len(self.members)

    def take_apart(self) -> list[object]:
        parts: list[object] = [self.members]
        self.members = []
        return parts

    def sweep(self) -> None:
        """Takes some shells out of the list. O(1)."""
        members = self.members
        hand = self._hand
        for _ in range(SWEEP):
            hand -= 1
            if hand < 0 or hand >= len(members):
                hand = len(members) - 1
                if hand < 0:
                    break
            if members[hand].index < 0:
                last = members.pop()
                if hand < len(members):
                    members[hand] = last
        self._hand = hand
