"""The algebra of sets: union, intersection and difference, returned or stored.

A trait of its own beneath `Sets`. A missing key is an empty set; a key that holds another
kind is refused even where the result is certain before.
"""

from __future__ import annotations

from typing import Final, cast

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import INT64_MAX
from cachestorm.commands.containers import entry_of, keys_of, replace
from cachestorm.commands.edge import Edge, exact_key
from cachestorm.declare.declaration import command
from cachestorm.entry import SET, Entry
from cachestorm.errors import ArgumentError, ArityError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.values.set import SetValue

UNION: Final = "union"
INTERSECTION: Final = "intersection"
DIFFERENCE: Final = "difference"


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class SetAlgebra(Edge):
    """SUNION, SINTER, SDIFF, their STOREs and SINTERCARD."""

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
            made = set_of(_combined(space, names, how, INT64_MAX))
            replace(space, destination, made, SET)
            return len(made)
        finally:
            self._leave()


def set_at(space: Keyspace, entry: Entry) -> SetValue:
    """The set that an entry holds."""
    return cast(SetValue, space.values[i64(entry.index)])


def set_of(members: list[str]) -> SetValue:
    """A new set of these members."""
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
        sets.append(SetValue() if entry is None else set_at(space, entry))
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
