"""List ends: what is pushed to, popped from and moved between the ends of lists.

Called by the list commands and by those that wait, with the latch held. Elements are as the
store holds them.
"""

from __future__ import annotations

from cachestorm.entry import LIST, Entry
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.containers import admit, entry_of, list_at, settle
from cachestorm.operations.names import word_of
from cachestorm.values.list import ListValue


def push_held(
    space: Keyspace, key: str, held: list[object], left: bool, create: bool = True
) -> int:
    """Pushes elements one after the other. Returns the new length.

    Args:
        create: make the list if there is none; else 0 is returned.

    Raises:
        WrongTypeError: for a key that holds another kind.
        OutOfMemoryError: if there is no room and no victim.
    """
    entry = entry_of(space, key, LIST)
    if entry is None:
        if not create or not held:
            return 0
        made = ListValue()
        _push_all(made, held, left)
        admit(space, key, made, LIST, _push_event(left))
        return len(made)
    found = list_at(space, entry)
    before = found.size_bytes
    _push_all(found, held, left)
    settle(space, entry, found, before, _push_event(left))
    return len(found)


def pop_held(space: Keyspace, entry: Entry, count: int, left: bool) -> list[object]:
    """Pops elements, at most so many."""
    elements = list_at(space, entry)
    before = elements.size_bytes
    left_over = min(count, len(elements))
    popped: list[object] = []
    while left_over > 0:
        popped.append(elements.take(left))
        left_over -= 1
    if popped:
        settle(space, entry, elements, before, _pop_event(left))
    return popped


def pop_one(space: Keyspace, entry: Entry, left: bool) -> object:
    """Pops the element at an end."""
    elements = list_at(space, entry)
    before = elements.size_bytes
    held = elements.take(left)
    settle(space, entry, elements, before, _pop_event(left))
    return held


def move_held(
    space: Keyspace, entry: Entry, destination: str, from_left: bool, to_left: bool
) -> object:
    """Moves an element of a list to another one, or to the other end. Returns it.

    Raises:
        WrongTypeError: if the destination holds another kind; nothing has changed.
        OutOfMemoryError: if there is no room and no victim; nothing has changed.
    """
    found = list_at(space, entry)
    target = entry if entry.key == destination else entry_of(space, destination, LIST)
    if target is None:
        # the element is in both lists for a moment: what has no room is refused before the
        # source changes, and room may be made at the source's expense
        held = found.end(from_left)
        made = ListValue()
        made.push(held, to_left)
        admit(space, destination, made, LIST, _push_event(to_left))
        if space.is_here(entry):
            pop_held(space, entry, 1, from_left)
        return held
    before = found.size_bytes
    held = found.take(from_left)
    if target is entry:
        found.push(held, to_left)
        # one list, but two events, as in Redis
        space.changed(entry, 0, _push_event(to_left))
    else:
        other = list_at(space, target)
        grown = other.size_bytes
        other.push(held, to_left)
        settle(space, target, other, grown, _push_event(to_left))
    settle(space, entry, found, before, _pop_event(from_left))
    return held


def is_left(where: str) -> bool:
    """Whether an end is the left one.

    Raises:
        CommandSyntaxError: for what is neither LEFT nor RIGHT.
    """
    return word_of(where, ("LEFT", "RIGHT"), "an end of a list") == "LEFT"


def _push_event(left: bool) -> str:
    return "lpush" if left else "rpush"


def _pop_event(left: bool) -> str:
    return "lpop" if left else "rpop"


def _push_all(elements: ListValue, held: list[object], left: bool) -> None:
    for each in held:
        elements.push(each, left)
