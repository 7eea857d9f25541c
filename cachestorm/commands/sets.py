"""The set family: members without order at one key, and the algebra of sets.

A member is a `str`; `bytes` and numbers are spelled as on the wire. A missing key is an
empty set. Every method raises WrongTypeError for a key that holds another kind.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import INT64_MAX, bytes_of
from cachestorm.commands.containers import (
    SCAN_COUNT,
    admit,
    drawn,
    drawn_places,
    entry_of,
    keys_of,
    name_of,
    names_of,
    replace,
    settle,
    walk_start,
    walk_stop,
)
from cachestorm.commands.edge import Edge, exact_key
from cachestorm.declare.declaration import command
from cachestorm.declare.kinds import UNEVEN
from cachestorm.entry import SET, Entry
from cachestorm.errors import ArgumentError, ArityError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.patterns import matches
from cachestorm.values.set import SetValue

UNION: Final = "union"
INTERSECTION: Final = "intersection"
DIFFERENCE: Final = "difference"


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Sets(Edge):
    """Members without order."""

    @command(
        "SADD key member [member ...]",
        group="set",
        since="0.1",
        complexity="O(N) in the given members",
        writes=True,
        grows=True,
        fast=True,
        summary="Add members to a set.",
    )
    def sadd(self, key: str, *members: object) -> int:
        """Adds members. Returns how many are new."""
        if type(key) is not str:
            key = exact_key(key)
        names = names_of(members)
        space = self._enter()
        try:
            space.make_room_for_growth()
            entry = entry_of(space, key, SET)
            if entry is None:
                if not names:
                    return 0
                made = _set_of(names)
                admit(space, key, made, SET)
                return len(made)
            found = _set(space, entry)
            before = found.size_bytes
            added = 0
            for name in names:
                if found.add(name):
                    added += 1
            if added:
                settle(space, entry, found, before)
            return added
        finally:
            self._leave()

    @command(
        "SREM key member [member ...]",
        group="set",
        since="0.1",
        complexity="O(N) in the given members",
        writes=True,
        fast=True,
        summary="Remove members from a set, and the set when none is left.",
    )
    def srem(self, key: str, *members: object) -> int:
        """Removes members. Returns how many there were."""
        key = exact_key(key)
        names = names_of(members)
        space = self._enter()
        try:
            entry = entry_of(space, key, SET)
            if entry is None:
                return 0
            found = _set(space, entry)
            before = found.size_bytes
            removed = 0
            for name in names:
                if found.remove(name):
                    removed += 1
            if removed:
                settle(space, entry, found, before)
            return removed
        finally:
            self._leave()

    @command(
        "SMEMBERS key",
        group="set",
        since="0.1",
        complexity="O(N) in the size of the set",
        reply="members",
        summary="Return all members of a set.",
    )
    def smembers(self, key: str) -> set[str]:
        """All members, as a Python set of their own."""
        key = exact_key(key)
        space = self._enter()
        try:
            entry = entry_of(space, key, SET)
            return set() if entry is None else set(_set(space, entry).members())
        finally:
            self._leave()

    @command(
        "SISMEMBER key member",
        group="set",
        since="0.1",
        complexity="O(1)",
        fast=True,
        summary="Tell whether a set has a member.",
    )
    def sismember(self, key: str, member: object) -> bool:
        """Whether there is such a member."""
        if type(key) is not str:
            key = exact_key(key)
        name = name_of(member)
        space = self._enter()
        try:
            entry = entry_of(space, key, SET)
            return entry is not None and name in _set(space, entry)
        finally:
            self._leave()

    @command(
        "SMISMEMBER key member [member ...]",
        group="set",
        since="0.1",
        complexity="O(N) in the given members",
        fast=True,
        summary="Tell of each of many members whether a set has it.",
    )
    def smismember(self, key: str, *members: object) -> list[bool]:
        """Whether there is such a member, for each of them."""
        key = exact_key(key)
        names = names_of(members)
        space = self._enter()
        try:
            entry = entry_of(space, key, SET)
            if entry is None:
                return [False] * len(names)
            found = _set(space, entry)
            return [name in found for name in names]
        finally:
            self._leave()

    @command(
        "SCARD key",
        group="set",
        since="0.1",
        complexity="O(1)",
        fast=True,
        summary="Return the number of members of a set.",
    )
    def scard(self, key: str) -> int:
        """How many members there are."""
        key = exact_key(key)
        space = self._enter()
        try:
            entry = entry_of(space, key, SET)
            return 0 if entry is None else len(_set(space, entry))
        finally:
            self._leave()

    @command(
        "SPOP key [count:positive]",
        group="set",
        since="0.1",
        complexity="O(N) in the returned members",
        writes=True,
        fast=True,
        reply="drawn",
        summary="Return members of a set drawn at random after removing them.",
    )
    def spop(self, key: str, count: int | None = None) -> str | list[str] | None:
        """Removes members drawn at random.

        Args:
            count: at most so many.

        Returns:
            Without a count one member, None for a missing key; with one a list.
        """
        key = exact_key(key)
        if count is not None and count < 0:
            raise ArgumentError("value is out of range, must be positive")
        space = self._enter()
        try:
            entry = entry_of(space, key, SET)
            if entry is None:
                return None if count is None else []
            found = _set(space, entry)
            before = found.size_bytes
            wanted = min(1 if count is None else count, len(found))
            popped: list[str] = []
            while len(popped) < wanted:
                member = found.member_at(drawn(i64(len(found))))
                found.remove(member)
                popped.append(member)
            if popped:
                settle(space, entry, found, before)
            return popped[0] if count is None else popped
        finally:
            self._leave()

    @command(
        "SRANDMEMBER key [count]",
        group="set",
        since="0.1",
        complexity="O(N) in the returned members",
        reply="picked",
        summary="Return members of a set drawn at random.",
    )
    def srandmember(self, key: str, count: int | None = None) -> str | list[str] | None:
        """Members drawn at random.

        Args:
            count: how many different ones; if negative, as many, each drawn by itself.

        Returns:
            Without a count one member, None for a missing key; with one a list.
        """
        key = exact_key(key)
        if count is not None and abs(count) > INT64_MAX:
            raise ArgumentError(UNEVEN)
        space = self._enter()
        try:
            entry = entry_of(space, key, SET)
            if entry is None:
                return None if count is None else []
            found = _set(space, entry)
            length = i64(len(found))
            if count is None:
                return found.member_at(drawn(length))
            return [found.member_at(at) for at in drawn_places(count, length)]
        finally:
            self._leave()

    @command(
        "SMOVE source destination member",
        group="set",
        since="0.1",
        complexity="O(1)",
        writes=True,
        fast=True,
        summary="Move a member from one set to another.",
    )
    def smove(self, source: str, destination: str, member: object) -> bool:
        """Moves a member to another set. Returns whether it was there."""
        source = exact_key(source)
        destination = exact_key(destination)
        name = name_of(member)
        space = self._enter()
        try:
            entry = entry_of(space, source, SET)
            if entry is None:
                return False
            target = entry_of(space, destination, SET)
            if name not in _set(space, entry):
                return False
            if target is entry:
                return True
            # into the destination first: if there is no room, nothing has changed, and
            # room may be made at the expense of the source
            if target is None:
                admit(space, destination, _set_of([name]), SET)
            else:
                other = _set(space, target)
                grown = other.size_bytes
                if other.add(name):
                    settle(space, target, other, grown)
            if entry.index >= 0:
                found = _set(space, entry)
                before = found.size_bytes
                found.remove(name)
                settle(space, entry, found, before)
            return True
        finally:
            self._leave()

    # -- algebra

    @command(
        "SUNION key [key ...]",
        group="set",
        since="0.1",
        complexity="O(N) in all members of all sets",
        reply="members",
        summary="Return the union of many sets.",
    )
    def sunion(self, *keys: str) -> set[str]:
        """The members that are in any of the sets."""
        return set(self._combine_sets(keys, UNION, "sunion"))

    @command(
        "SINTER key [key ...]",
        group="set",
        since="0.1",
        complexity="O(N*M) for the smallest set of N and M sets",
        reply="members",
        summary="Return the intersection of many sets.",
    )
    def sinter(self, *keys: str) -> set[str]:
        """The members that are in all of the sets."""
        return set(self._combine_sets(keys, INTERSECTION, "sinter"))

    @command(
        "SDIFF key [key ...]",
        group="set",
        since="0.1",
        complexity="O(N*M) for the first set of N and M sets",
        reply="members",
        summary="Return the difference of many sets.",
    )
    def sdiff(self, *keys: str) -> set[str]:
        """The members of the first set that are in none of the others."""
        return set(self._combine_sets(keys, DIFFERENCE, "sdiff"))

    def _combine_sets(self, keys: tuple[object, ...], how: str, name: str) -> list[str]:
        names = keys_of(keys)
        if not names:
            raise ArityError(name)
        space = self._enter()
        try:
            return _combined(space, names, how, INT64_MAX)
        finally:
            self._leave()

    @command(
        "SINTERCARD numkeys:card-keys key [key ...] [LIMIT limit]",
        group="set",
        since="0.1",
        complexity="O(N*M) for the smallest set of N and M sets",
        summary="Return the number of members of the intersection of many sets.",
    )
    def sintercard(self, keys: list[str], limit: int = 0) -> int:
        """How many members are in all of the sets.

        Args:
            limit: stop counting there; 0 for no limit.
        """
        names = keys_of(keys)
        if not names:
            raise ArityError("sintercard")
        if limit < 0:
            raise ArgumentError("LIMIT can't be negative")
        space = self._enter()
        try:
            return len(_combined(space, names, INTERSECTION, limit or INT64_MAX))
        finally:
            self._leave()

    @command(
        "SUNIONSTORE destination key [key ...]",
        group="set",
        since="0.1",
        complexity="O(N) in all members of all sets",
        writes=True,
        grows=True,
        summary="Store the union of many sets at a key.",
    )
    def sunionstore(self, destination: str, *keys: str) -> int:
        """Stores what `sunion` returns in place of whatever is there; how many members."""
        return self._store_combined_sets(destination, keys, UNION, "sunionstore")

    @command(
        "SINTERSTORE destination key [key ...]",
        group="set",
        since="0.1",
        complexity="O(N*M) for the smallest set of N and M sets",
        writes=True,
        grows=True,
        summary="Store the intersection of many sets at a key.",
    )
    def sinterstore(self, destination: str, *keys: str) -> int:
        """Stores what `sinter` returns in place of whatever is there; how many members."""
        return self._store_combined_sets(destination, keys, INTERSECTION, "sinterstore")

    @command(
        "SDIFFSTORE destination key [key ...]",
        group="set",
        since="0.1",
        complexity="O(N*M) for the first set of N and M sets",
        writes=True,
        grows=True,
        summary="Store the difference of many sets at a key.",
    )
    def sdiffstore(self, destination: str, *keys: str) -> int:
        """Stores what `sdiff` returns in place of whatever is there; how many members."""
        return self._store_combined_sets(destination, keys, DIFFERENCE, "sdiffstore")

    def _store_combined_sets(
        self, destination: str, keys: tuple[object, ...], how: str, name: str
    ) -> int:
        destination = exact_key(destination)
        names = keys_of(keys)
        if not names:
            raise ArityError(name)
        space = self._enter()
        try:
            made = _set_of(_combined(space, names, how, INT64_MAX))
            replace(space, destination, made, SET)
            return len(made)
        finally:
            self._leave()

    @command(
        "SSCAN key cursor [MATCH match:pattern] [COUNT count:scan-count]",
        group="set",
        since="0.1",
        complexity="O(1) a step, O(N) for a whole iteration",
        reply="scan",
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
        key = exact_key(key)
        glob = None if match is None else bytes_of(match)
        members: list[str] = []
        stop: i64 = 0
        space = self._enter()
        try:
            entry = entry_of(space, key, SET)
            if entry is not None:
                found = _set(space, entry)
                length = i64(len(found))
                place = walk_start(cursor, length, count)
                stop = walk_stop(place, count, length)
                while place > stop:
                    place -= 1
                    member = found.member_at(place)
                    if glob is None or matches(glob, bytes_of(member)):
                        members.append(member)
        finally:
            self._leave()
        return stop, members


def _set(space: Keyspace, entry: Entry) -> SetValue:
    return cast(SetValue, space.values[i64(entry.index)])


def _set_of(members: list[str]) -> SetValue:
    made = SetValue()
    for member in members:
        made.add(member)
    return made


def _combined(space: Keyspace, keys: list[str], how: str, limit: int) -> list[str]:
    """The members of a union, intersection or difference of sets.

    Raises:
        WrongTypeError: if any of the keys holds another kind, even where the result is
            certain before.
    """
    sets: list[SetValue] = []
    for key in keys:
        entry = entry_of(space, key, SET)
        sets.append(SetValue() if entry is None else _set(space, entry))
    if how == UNION:
        return _united(sets)
    if how == INTERSECTION:
        return _shared(sets, limit)
    return _left_over(sets)


def _united(sets: list[SetValue]) -> list[str]:
    union: dict[str, None] = {}
    for each in sets:
        for member in each.members():
            union[member] = None
    return list(union)


def _shared(sets: list[SetValue], limit: int) -> list[str]:
    smallest = sets[0]
    for each in sets:
        if len(each) < len(smallest):
            smallest = each
    shared: list[str] = []
    for member in smallest.members():
        if len(shared) >= limit:
            break
        for each in sets:
            if each is not smallest and member not in each:
                break
        else:
            shared.append(member)
    return shared


def _left_over(sets: list[SetValue]) -> list[str]:
    left: list[str] = []
    for member in sets[0].members():
        for each in sets[1:]:
            if member in each:
                break
        else:
            left.append(member)
    return left
