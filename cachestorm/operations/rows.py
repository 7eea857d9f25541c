"""Rows: what the sorted-set commands share about members and their scores.

Called by the traits of the family, with the latch held where an entry or a keyspace is
among the arguments.
"""

from __future__ import annotations

from mypy_extensions import i64

from cachestorm.entry import ZSET, Entry
from cachestorm.errors import ArgumentError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.containers import admit, entry_of, settle, sorted_set_at
from cachestorm.operations.ranges import index_range
from cachestorm.values.ranking import Row
from cachestorm.values.sorted_set import SortedSet, member_of

Scored = list[tuple[str, float]]


def members_of(rows: list[Row]) -> list[str]:
    """The members of rows."""
    return [member_of(row) for row in rows]


def scored(rows: list[Row]) -> Scored:
    """The members of rows, each with its score."""
    return [(member_of(row), row[0]) for row in rows]


def add_scores(
    space: Keyspace,
    key: str,
    rows: list[tuple[float, str]],
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
    ch: bool,
    incr: bool,
) -> int | float | None:
    """What ZADD does with scores and members, whose options it describes.

    Raises:
        ArgumentError: for a sum that is not a number.
        OutOfMemoryError: if there is no room and no victim.
    """
    space.make_room_for_growth()
    entry = entry_of(space, key, ZSET)
    if entry is None and xx:
        return None if incr else 0
    found = SortedSet() if entry is None else sorted_set_at(space, entry)
    before = found.size_bytes
    added = 0
    changed = 0
    result: float | None = None
    for score, member in rows:
        place = found.find(member)
        if place < 0:
            if xx:
                continue
            found.add(member, score)
            result = score
            added += 1
            continue
        if nx:
            continue
        former = found.row_at(place)[0]
        if incr:
            score = _sum(former, score)
        if (gt and score <= former) or (lt and score >= former):
            continue
        result = score
        if score != former:
            found.rescore(place, member, score)
            changed += 1
    if entry is None:
        admit(space, key, found, ZSET, "zincr" if incr else "zadd")
    elif added or changed:
        settle(space, entry, found, before, "zincr" if incr else "zadd")
    if incr:
        return result
    return added + changed if ch else added


def _sum(score: float, increment: float) -> float:
    total = score + increment
    if total != total:
        raise ArgumentError("resulting score is not a number (NaN)")
    return total


def remove_members(space: Keyspace, entry: Entry, members: list[str]) -> int:
    """Removes members from a sorted set; how many there were."""
    found = sorted_set_at(space, entry)
    before = found.size_bytes
    removed = 0
    for member in members:
        if found.remove(member):
            removed += 1
    if removed:
        settle(space, entry, found, before, "zrem")
    return removed


def remove_ranks(space: Keyspace, entry: Entry, start: i64, stop: i64, event: str) -> list[Row]:
    """Removes the rows of some ranks from a sorted set, and gives them."""
    found = sorted_set_at(space, entry)
    before = found.size_bytes
    gone = found.remove_slice(start, stop)
    if gone:
        settle(space, entry, found, before, event)
    return gone


def pop_scored(space: Keyspace, entry: Entry, count: int, lowest: bool) -> Scored:
    """Pops the members of the lowest or of the highest scores, these first."""
    if count == 0:
        return []
    within = index_range(0, count - 1) if lowest else index_range(0, count - 1).reversed()
    start, stop = within.limits(sorted_set_at(space, entry))
    rows = remove_ranks(space, entry, start, stop, "zpopmin" if lowest else "zpopmax")
    if not lowest:
        rows.reverse()
    return scored(rows)
