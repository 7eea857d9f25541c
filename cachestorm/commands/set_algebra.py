"""The algebra of sets: union, intersection and difference, returned or stored.

A trait of its own beneath `Sets`. A missing key is an empty set; a key that holds another
kind is refused even where the result is certain before.
"""

from __future__ import annotations

from functools import partial
from typing import Final, cast

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import INT64_MAX
from cachestorm.commands.edge import Edge
from cachestorm.declare.declaration import Declaration
from cachestorm.errors import ArgumentError, ArityError
from cachestorm.operations.names import exact_int, exact_key, keys_of
from cachestorm.operations.set_combinations import (
    DIFFERENCE,
    INTERSECTION,
    UNION,
    CountingSets,
    OrderedSets,
    ReturningSets,
    StoringSets,
)

command: Final = partial(Declaration, group="set")


def _union_in_order(cache: SetAlgebra, *keys: str) -> list[str]:
    return _in_order(cache, keys, UNION)


def _inter_in_order(cache: SetAlgebra, *keys: str) -> list[str]:
    return _in_order(cache, keys, INTERSECTION)


def _diff_in_order(cache: SetAlgebra, *keys: str) -> list[str]:
    return _in_order(cache, keys, DIFFERENCE)


def _in_order(cache: SetAlgebra, keys: tuple[object, ...], how: str) -> list[str]:
    return cast("list[str]", cache._run(OrderedSets(cache._space, _sources(keys, how), how)))


def _sources(keys: tuple[object, ...], how: str) -> list[str]:
    names = keys_of(keys)
    if not names:
        raise ArityError(f"s{how}")
    return names


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class SetAlgebra(Edge):
    """SUNION, SINTER, SDIFF, their STOREs and SINTERCARD."""

    @command(
        "SUNION key [key ...]",
        complexity="O(N) in all members of all sets",
        reply="members",
        ordered=_union_in_order,
        tips="nondeterministic_output_order",
        summary="Return the union of many sets.",
    )
    def sunion(self, *keys: str) -> set[str]:
        """The members that are in any of the sets."""
        return self._combine_sets(keys, UNION)

    @command(
        "SINTER key [key ...]",
        complexity="O(N*M) for the smallest set of N and M sets",
        reply="members",
        ordered=_inter_in_order,
        tips="nondeterministic_output_order",
        summary="Return the intersection of many sets.",
    )
    def sinter(self, *keys: str) -> set[str]:
        """The members that are in all of the sets."""
        return self._combine_sets(keys, INTERSECTION)

    @command(
        "SDIFF key [key ...]",
        complexity="O(N*M) for the first set of N and M sets",
        reply="members",
        ordered=_diff_in_order,
        tips="nondeterministic_output_order",
        summary="Return the difference of many sets.",
    )
    def sdiff(self, *keys: str) -> set[str]:
        """The members of the first set that are in none of the others."""
        return self._combine_sets(keys, DIFFERENCE)

    def _combine_sets(self, keys: tuple[object, ...], how: str) -> set[str]:
        combination = ReturningSets(self._space, _sources(keys, how), how)
        return cast("set[str]", self._run(combination))

    @command(
        "SINTERCARD numkeys:card-keys key [key ...] [LIMIT limit]",
        complexity="O(N*M) for the smallest set of N and M sets",
        summary="Return the number of members of the intersection of many sets.",
    )
    def sintercard(self, keys: list[str], limit: int = 0) -> int:
        """How many members are in all of the sets.

        Args:
            limit: stop counting there; 0 for no limit.
        """
        limit = exact_int(limit)
        names = keys_of(keys)
        if not names:
            raise ArityError("sintercard")
        if limit < 0:
            raise ArgumentError("LIMIT can't be negative")
        return cast(int, self._run(CountingSets(self._space, names, limit or INT64_MAX)))

    @command(
        "SUNIONSTORE destination:ow-update key [key ...]",
        complexity="O(N) in all members of all sets",
        grows=True,
        summary="Store the union of many sets at a key.",
    )
    def sunionstore(self, destination: str, *keys: str) -> int:
        """Stores what `sunion` returns in place of whatever is there; how many members."""
        return self._store_combined_sets(destination, keys, UNION, "sunionstore")

    @command(
        "SINTERSTORE destination:ow-update key [key ...]",
        complexity="O(N*M) for the smallest set of N and M sets",
        grows=True,
        summary="Store the intersection of many sets at a key.",
    )
    def sinterstore(self, destination: str, *keys: str) -> int:
        """Stores what `sinter` returns in place of whatever is there; how many members."""
        return self._store_combined_sets(destination, keys, INTERSECTION, "sinterstore")

    @command(
        "SDIFFSTORE destination:ow-update key [key ...]",
        complexity="O(N*M) for the first set of N and M sets",
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
        return cast(int, self._run(StoringSets(self._space, names, how, destination)))
