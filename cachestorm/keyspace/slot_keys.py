"""The keys of a hash slot, over all namespaces of a store.

Called by a server that is a node of a cluster, under the latch. A name is one key, in however
many namespaces it is: a slot moves with all of them.
"""

from __future__ import annotations

from typing import Final

from cachestorm.entry import Entry
from cachestorm.events import Cause
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.slot_index import SlotIndex
from cachestorm.keyspace.store import Store

_DELETED: Final = Cause.DELETED


def keep_slots(store: Store) -> None:
    """Has a store know from now on which keys are in which slot. O(N) once."""
    store.keeps_slots = True
    for space in store.spaces():
        if space.slots is None:
            index = SlotIndex()
            for entry in space.dense:
                index.add(entry)
            space.slots = index


def count_keys(store: Store, slot: int) -> int:
    """How many names a slot has, those included that are due and not yet reaped.

    O(1), and O(N) in the keys of the slot where several namespaces have some.
    """
    holders = _holders(store, slot)
    if len(holders) == 1:
        return int(holders[0][1].count(slot))
    return len(
        {entry.key for space, index in holders for entry in _entries(space, index, slot)}
    )


def keys_in(store: Store, slot: int, most: int) -> list[str]:
    """Some live keys of a slot, in no order. O(most). What is dead is removed on the way."""
    found: dict[str, None] = {}
    for space, index in _holders(store, slot):
        while len(found) < most:
            entries = index.entries(slot, space.dense, most)
            before = index.count(slot)
            for entry in entries:
                key = entry.key
                # removing one that is dead may run nobody's code, but takes others along
                if key and space.peek(key) is not None:
                    found[key] = None
            if index.count(slot) == before:
                break
    return list(found)[:most]


def empty(store: Store, slot: int) -> int:
    """Removes all keys of a slot: another node has them. Returns how many names there were."""
    names: set[str] = set()
    for space, index in _holders(store, slot):
        for entry in _entries(space, index, slot):
            if entry.index >= 0:
                names.add(entry.key)
                space.remove(entry, _DELETED)
    return len(names)


def _entries(space: Keyspace, index: SlotIndex, slot: int) -> list[Entry]:
    """All that a namespace has in a slot, live or not."""
    return index.entries(slot, space.dense, index.count(slot))


def _holders(store: Store, slot: int) -> list[tuple[Keyspace, SlotIndex]]:
    """The namespaces that have entries in a slot."""
    return [
        (space, space.slots)
        for space in store.spaces()
        if space.slots is not None and space.slots.count(slot) != 0
    ]
