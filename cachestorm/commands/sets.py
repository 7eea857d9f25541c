"""The set family: members without order at one key.

A member is a `str`; `bytes` and numbers are spelled as on the wire. A missing key is an
empty set. Every method raises WrongTypeError for a key that holds another kind.
"""

from __future__ import annotations

from functools import partial
from typing import Final, overload

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import INT64_MAX, bytes_of
from cachestorm.commands.edge import enter, enter_for, enter_for_all
from cachestorm.commands.set_algebra import SetAlgebra
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.kinds import UNEVEN
from cachestorm.entry import SET
from cachestorm.errors import ArgumentError
from cachestorm.operations.containers import (
    SCAN_COUNT,
    admit,
    check_draw,
    drawn,
    drawn_places,
    entry_of,
    set_at,
    settle,
    walk_start,
    walk_stop,
)
from cachestorm.operations.names import exact_count, exact_int, exact_key, name_of, names_of
from cachestorm.operations.set_combinations import set_of
from cachestorm.patterns import matches

command: Final = partial(Declaration, group="set")


def _members_in_order(cache: Sets, key: str) -> list[str]:
    space = enter(cache)
    try:
        entry = entry_of(space, key, SET)
        return [] if entry is None else set_at(space, entry).in_order()
    finally:
        cache._leave()


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Sets(SetAlgebra):
    """Members without order."""

    @command(
        "SADD key:rw-insert member [member ...]",
        complexity="O(N) in the given members",
        grows=True,
        fast=True,
        summary="Add members to a set.",
    )
    def sadd(self, key: str, *members: object) -> int:
        """Adds members. Returns how many are new."""
        if type(key) is not str:
            key = exact_key(key)
        names = names_of(members)
        space = enter_for(self, key)
        try:
            space.make_room_for_growth()
            entry = entry_of(space, key, SET)
            if entry is None:
                if not names:
                    return 0
                made = set_of(names)
                admit(space, key, made, SET, "sadd")
                return len(made)
            found = set_at(space, entry)
            before = found.size_bytes
            added = 0
            for name in names:
                if found.add(name):
                    added += 1
            if added:
                settle(space, entry, found, before, "sadd")
            return added
        finally:
            space.leave()

    @command(
        "SREM key:rw-delete member [member ...]",
        complexity="O(N) in the given members",
        fast=True,
        summary="Remove members from a set, and the set when none is left.",
    )
    def srem(self, key: str, *members: object) -> int:
        """Removes members. Returns how many there were."""
        key = exact_key(key)
        names = names_of(members)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, SET)
            if entry is None:
                return 0
            found = set_at(space, entry)
            before = found.size_bytes
            removed = 0
            for name in names:
                if found.remove(name):
                    removed += 1
            if removed:
                settle(space, entry, found, before, "srem")
            return removed
        finally:
            space.leave()

    @command(
        "SMEMBERS key",
        complexity="O(N) in the size of the set",
        reply="members",
        ordered=_members_in_order,
        tips="nondeterministic_output_order",
        summary="Return all members of a set.",
    )
    def smembers(self, key: str) -> set[str]:
        """All members, as a Python set of their own."""
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, SET)
            return set() if entry is None else set(set_at(space, entry).members())
        finally:
            space.leave()

    @command(
        "SISMEMBER key:ro member",
        complexity="O(1)",
        fast=True,
        summary="Tell whether a set has a member.",
    )
    def sismember(self, key: str, member: object) -> bool:
        """Whether there is such a member."""
        if type(key) is not str:
            key = exact_key(key)
        name = name_of(member)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, SET)
            return entry is not None and name in set_at(space, entry)
        finally:
            space.leave()

    @command(
        "SMISMEMBER key member [member ...]",
        complexity="O(N) in the given members",
        fast=True,
        summary="Tell for each of many members whether a set has it.",
    )
    def smismember(self, key: str, *members: object) -> list[bool]:
        """Whether there is such a member, for each of them."""
        key = exact_key(key)
        names = names_of(members)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, SET)
            if entry is None:
                return [False] * len(names)
            found = set_at(space, entry)
            return [name in found for name in names]
        finally:
            space.leave()

    @command(
        "SCARD key:ro",
        complexity="O(1)",
        fast=True,
        summary="Return the number of members of a set.",
    )
    def scard(self, key: str) -> int:
        """How many members there are."""
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, SET)
            return 0 if entry is None else len(set_at(space, entry))
        finally:
            space.leave()

    @overload
    def spop(self, key: str, count: None = None) -> str | None: ...
    @overload
    def spop(self, key: str, count: int) -> list[str]: ...
    @command(
        "SPOP key:rw-access-delete [count:positive]",
        complexity="O(N) in the returned members",
        fast=True,
        reply="drawn",
        tips="nondeterministic_output",
        summary="Return members of a set drawn at random after removing them.",
    )
    def spop(self, key: str, count: int | None = None) -> str | list[str] | None:
        """Removes members drawn at random.

        Args:
            count: at most so many.

        Returns:
            Without a count one member, None for a missing key; with one a list.
        """
        count = exact_count(count)
        key = exact_key(key)
        if count is not None and count < 0:
            raise ArgumentError("value is out of range, must be positive")
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, SET)
            if entry is None:
                return None if count is None else []
            found = set_at(space, entry)
            before = found.size_bytes
            wanted = min(1 if count is None else count, len(found))
            popped: list[str] = []
            while len(popped) < wanted:
                member = found.member_at(drawn(i64(len(found))))
                found.remove(member)
                popped.append(member)
            if popped:
                settle(space, entry, found, before, "spop")
            return popped[0] if count is None else popped
        finally:
            space.leave()

    @overload
    def srandmember(self, key: str, count: None = None) -> str | None: ...
    @overload
    def srandmember(self, key: str, count: int) -> list[str]: ...
    @command(
        "SRANDMEMBER key [count]",
        complexity="O(N) in the returned members",
        reply="picked",
        tips="nondeterministic_output",
        summary="Return members of a set drawn at random.",
    )
    def srandmember(self, key: str, count: int | None = None) -> str | list[str] | None:
        """Members drawn at random.

        Args:
            count: how many different ones; if negative, as many, each drawn by itself.

        Returns:
            Without a count one member, None for a missing key; with one a list.
        """
        count = exact_count(count)
        key = exact_key(key)
        if count is not None and abs(count) > INT64_MAX:
            raise ArgumentError(UNEVEN)
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, SET)
            if entry is None:
                return None if count is None else []
            found = set_at(space, entry)
            length = i64(len(found))
            if count is None:
                return found.member_at(drawn(length))
            check_draw(space, count, found)
            return [found.member_at(at) for at in drawn_places(count, length)]
        finally:
            space.leave()

    @command(
        "SMOVE source:rw-access-delete destination:rw-insert member",
        complexity="O(1)",
        fast=True,
        summary="Move a member from one set to another.",
    )
    def smove(self, source: str, destination: str, member: object) -> bool:
        """Moves a member to another set. Returns whether it was there."""
        source = exact_key(source)
        destination = exact_key(destination)
        name = name_of(member)
        space = enter_for_all(self, [source, destination])
        try:
            entry = entry_of(space, source, SET)
            if entry is None:
                return False
            target = entry_of(space, destination, SET)
            if name not in set_at(space, entry):
                return False
            if target is entry:
                return True
            # into the destination first: if there is no room, nothing has changed, and
            # room may be made at the expense of the source
            if target is None:
                admit(space, destination, set_of([name]), SET, "sadd")
            else:
                other = set_at(space, target)
                grown = other.size_bytes
                if other.add(name):
                    settle(space, target, other, grown, "sadd")
            if space.is_here(entry):
                found = set_at(space, entry)
                before = found.size_bytes
                found.remove(name)
                settle(space, entry, found, before, "srem")
            return True
        finally:
            space.leave()

    @command(
        "SSCAN key cursor [MATCH match:pattern] [COUNT count:scan-count]",
        complexity="O(1) a step, O(N) for a whole iteration",
        reply="scan",
        tips="nondeterministic_output",
        summary="Iterate over the members of a set.",
    )
    def sscan(
        self, key: str, cursor: int = 0, match: str | None = None, count: int = SCAN_COUNT
    ) -> tuple[int, list[str]]:
        """One step of an iteration, in which no member that stays is missed.

        Args:
            cursor: 0 at first, then what the last step returned.
            match: only members that match this glob.
            count: how many members to look at.

        Returns:
            The next cursor, 0 at the end; and what was found.
        """
        cursor = exact_int(cursor)
        count = exact_int(count)
        key = exact_key(key)
        glob = None if match is None else bytes_of(match)
        members: list[str] = []
        stop: i64 = 0
        space = enter_for(self, key)
        try:
            entry = entry_of(space, key, SET)
            if entry is not None:
                found = set_at(space, entry)
                length = i64(len(found))
                start = walk_start(cursor, length, count)
                stop = walk_stop(start, count, length)
                if start == length and found.is_told_whole():
                    stop = 0
                    members = found.in_order()
                else:
                    members = found.some(stop, start)
                    members.reverse()
                if glob is not None:
                    members = [each for each in members if matches(glob, bytes_of(each))]
        finally:
            space.leave()
        return stop, members
