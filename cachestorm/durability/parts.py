"""Parts: how a large container is recorded while others go on changing it.

Used by the walk over a store (`snapshot.py`), which takes the latch for each part. Calls the
journal; what it records is told in `recording.py`.

1. The places of the elements are walked over from their end down, as those of the keys are:
   an element only ever moves to a lower one.
2. Where that does not hold, all of the container is recorded at once: the positions of a list
   have changed, or its value was in a colder tier meanwhile.
"""

from __future__ import annotations

from typing import Final

from cachestorm.durability.journal import Journal
from cachestorm.entry import Entry
from cachestorm.keyspace.expiry import Idle
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.tiering import Held
from cachestorm.values.buffer import Buffer
from cachestorm.values.container import Container
from cachestorm.values.list import ListValue

# so many elements are a part, or fewer that have so many bytes
PART: Final = 2048
PART_BYTES: Final = 1 << 18


class Parts:
    """A large container that is recorded in parts, from the end of its places down.

    Attributes:
        is_done: whether all of it is recorded.
    """

    def __init__(self, key: str, held: Container) -> None:
        self.is_done = False
        self._key: Final = key
        self._held: Final = held
        self._place = int(held.end_place())
        self._generation = _generation_of(held)
        share = held.size_bytes // len(held)
        self._count: Final = max(min(PART, PART_BYTES // share), 1)

    def record(self, space: Keyspace, journal: Journal) -> None:
        """Records the next part, with the latch held."""
        self.is_done = True
        entry = space.peek(self._key)
        if entry is None:
            return
        found = space.look(entry)
        if found is None:
            return
        held = self._held
        if found.value is not held or _generation_of(held) != self._generation:
            # another one, or the same from a colder tier; or places are not what they were
            idle = None if entry.expires_at_ms == 0 else space.idle_of(entry)
            journal.image(space.name, entry, found.value, idle)
            return
        first = int(held.first_place())
        stop = min(self._place, int(held.end_place()))
        start = max(stop - self._count, first)
        if start < stop:
            journal.part(space.name, entry, held, start, stop)
        self._place = start
        self.is_done = start <= first


def begin(
    space: Keyspace, journal: Journal, entry: Entry, held: Held, idle: Idle | None
) -> Parts | None:
    """Records the beginning of a container. Returns what goes on with it; None for a buffer."""
    value = held.value
    if not isinstance(value, Container) or isinstance(value, Buffer):
        return None
    parts = Parts(entry.key, value)
    journal.begin_parts(space.name, entry, value, value.end_place() - 1, idle)
    return parts


def _generation_of(held: Container) -> int:
    return int(held.generation) if isinstance(held, ListValue) else 0
