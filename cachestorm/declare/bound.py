"""Bound: the arguments of one call on their way from argv to Python values.

Made by a plan, filled by matchers, looked at by reply converters.
"""

from __future__ import annotations

from cachestorm.declare.kinds import FoundName, Kind


class Slots:
    """What all calls of one command share: its slots, and how errors spell its name.

    Attributes:
        command: `set`, `object|encoding`.
        by_name: the slot of each parameter of the method, in order.
        no_values, no_kinds: as many Nones as there are slots, to be copied.
    """

    def __init__(self, command: str, names: list[str]) -> None:
        self.command = command
        self.by_name = {name: slot for slot, name in enumerate(names)}
        self.no_values: list[object] = [None for _ in names]
        self.no_kinds: list[Kind | None] = [None for _ in names]


class Bound:
    """One slot for each parameter of the method, and which of them were given.

    Attributes:
        values: raw words until `convert`, then what the method takes.
        kinds: how each raw word is read.
        mask: bit n is set when slot n was given.
        count: what `numkeys` said; 0 before it did.
        names_only: nothing is read, as nothing but names is asked for.
    """

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.values = slots.no_values.copy()
        self.kinds = slots.no_kinds.copy()
        self.mask = 0
        self.count = 0
        self.names_only = False

    def put(self, slot: int, raw: object, kind: Kind) -> None:
        """Fills a slot; the last one to fill it wins, as in Redis."""
        self.values[slot] = raw
        self.kinds[slot] = kind
        self.mask |= 1 << slot

    def convert(self) -> None:
        """Reads all raw words, in declared order.

        Raises:
            CacheStormError: the refusal of the first kind that cannot read its word.
        """
        for slot in range(len(self.values)):
            kind = self.kinds[slot]
            if kind is not None:
                self.values[slot] = kind.read(self.values[slot])

    def find_names(self) -> list[FoundName]:
        """What the raw words name, in declared order."""
        found: list[FoundName] = []
        for slot in range(len(self.values)):
            kind = self.kinds[slot]
            if kind is not None:
                kind.find_names(self.values[slot], found)
        return found

    def given(self, name: str) -> bool:
        """Whether an option was given; not for parameters that every call has."""
        slot = self.slots.by_name.get(name)
        return slot is not None and self.mask & (1 << slot) != 0
