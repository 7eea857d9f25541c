"""The slot holder: what a node knows of slots, and what it does when one changes hands. Pure.

The base of `node.py`, which says the news of it to others. Called by the commands of operators
and by what decides for them (`leases.py`); read by the redirects and the reports.

1. A decision is one of an operator (`assign`), of the authority (`adopt`) or of another node
   (`merge`). Whatever it is, the driver finds what it means here in `touched` and `lost`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cachestorm.keyspace.slot_index import SLOTS
from cachestorm_server.cluster.authority import Authority
from cachestorm_server.cluster.messages import Member
from cachestorm_server.cluster.slot_map import Run, SlotMap


class SlotHolder:
    """What one node knows.

    Attributes:
        me: what others are to know of it.
        authority: who decides about slots.
        slots: who owns what.
        migrating, importing: slots that are on their way to another node, and from it.
        epoch: the highest that is known.
        is_dirty: something has changed that is to be on disk.
        touched: slots of which something has changed that the driver has not seen yet.
        lost: slots that were this node's, and are another's now: their keys are to go.
    """

    def __init__(self, me: Member, authority: Authority) -> None:
        self.me = me
        self.authority: Final = authority
        self.slots = SlotMap()
        self.migrating: Final[dict[int, str]] = {}
        self.importing: Final[dict[int, str]] = {}
        self.epoch = 0
        self.is_dirty = True
        self.touched: Final[set[int]] = set(range(SLOTS))
        self.lost: Final[set[int]] = set()
        # to be told to all
        self._news: Final[set[int]] = set()

    @property
    def is_alone(self) -> bool:
        """Whether it knows nobody else."""
        raise NotImplementedError

    def must_hand_over(self, slot: int) -> bool:
        """Whether a slot goes to another node, whoever that is: it has been decided."""
        return self.authority.is_sole and slot in self.migrating

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
            gone = known.keys() - now.keys()
            for slot in gone:
                self.stabilize(slot)
            if known is self.importing:
                # what has come of a slot that stays away after all is not to be found again
                self.lost.update(slot for slot in gone if owners[slot] != me)
            if known.keys() != now.keys():
                self.is_dirty = True
            self.touched.update(now.keys() - known.keys())
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
        self.touched.add(slot)
        self.is_dirty = True

    def stabilize(self, slot: int) -> None:
        """Ends what `migrate` and `import_from` began."""
        self.migrating.pop(slot, None)
        self.importing.pop(slot, None)
        self.touched.add(slot)
        self.is_dirty = True

    def merge(self, runs: Iterable[Run]) -> None:
        """Takes in what others have decided."""
        for run in runs:
            for slot in range(run.first, run.last + 1):
                former = self.slots.owners[slot]
                if self.slots.assign(slot, run.epoch, run.owner):
                    if run.epoch > self.epoch:
                        self.epoch = run.epoch
                    self._moved(slot, former)

    def take_news(self) -> tuple[Run, ...]:
        """What has been decided here since, which others are to hear of."""
        runs = tuple(self.slots.runs_of(sorted(self._news)))
        self._news.clear()
        return runs

    def drop_slots(self) -> None:
        """Knows nothing of slots any more."""
        self.lost.update(self.slots.slots_of(self.me.id))
        self.touched.update(range(SLOTS))
        self.slots = SlotMap()
        self.migrating.clear()
        self.importing.clear()
        self._news.clear()
