"""The algebra of sorted sets: union, intersection and difference, returned or stored.

A trait of its own beneath `SortedSets`. The computation is in `rankings`. Sets take part like
sorted sets whose members all score 1; a missing key is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final, Literal, cast, overload

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import INT64_MAX, parse_float
from cachestorm.commands.edge import Edge
from cachestorm.declare.declaration import Declaration
from cachestorm.errors import ArgumentError, CommandSyntaxError
from cachestorm.operations.names import exact_int, exact_key, keys_of
from cachestorm.operations.rankings import (
    Combination,
    CountingScores,
    ReturningScores,
    StoringScores,
)
from cachestorm.operations.rows import Scored

command: Final = partial(Declaration, group="sorted-set")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class SortedSetAlgebra(Edge):
    """ZUNION, ZINTER, ZDIFF, their STOREs and ZINTERCARD."""

    @overload
    def zunion(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: Literal[False] = False,
    ) -> list[str]: ...
    @overload
    def zunion(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: Literal[True],
    ) -> Scored: ...
    @overload
    def zunion(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: bool,
    ) -> list[str] | Scored: ...
    @command(
        "ZUNION numkeys:input-keys key [key ...] [WEIGHTS weight [weight ...]] "
        "[AGGREGATE aggregate:<SUM | MIN | MAX>] [WITHSCORES]",
        complexity="O(N + M*log M) for N members in all and M in the result",
        reply="scored",
        summary="Return the union of many sorted sets.",
    )
    def zunion(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: bool = False,
    ) -> list[str] | Scored:
        """The members that are in any of the sorted sets.

        Args:
            keys: a list; or a mapping of keys to weights.
            weights: what the scores of each are multiplied by.
            aggregate: "SUM", "MIN" or "MAX" of what a member scores.
            withscores: pairs of member and score instead of members.
        """
        combination = _combination("zunion", keys, weights, aggregate)
        return self._combine_scores(combination, withscores)

    @command(
        "ZUNIONSTORE destination:ow-update numkeys:input-keys key [key ...] [WEIGHTS weight "
        "[weight ...]] [AGGREGATE aggregate:<SUM | MIN | MAX>]",
        complexity="O(N + M*log M) for N members in all and M in the result",
        grows=True,
        summary="Store the union of many sorted sets at a key.",
    )
    def zunionstore(
        self,
        destination: str,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
    ) -> int:
        """Stores what `zunion` returns in place of whatever is there; how many members."""
        combination = _combination("zunionstore", keys, weights, aggregate)
        return self._store_combined_scores(destination, combination)

    @overload
    def zinter(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: Literal[False] = False,
    ) -> list[str]: ...
    @overload
    def zinter(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: Literal[True],
    ) -> Scored: ...
    @overload
    def zinter(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: bool,
    ) -> list[str] | Scored: ...
    @command(
        "ZINTER numkeys:input-keys key [key ...] [WEIGHTS weight [weight ...]] "
        "[AGGREGATE aggregate:<SUM | MIN | MAX>] [WITHSCORES]",
        complexity="O(N*K + M*log M) for the smallest of K with N members and M in the result",
        reply="scored",
        summary="Return the intersection of many sorted sets.",
    )
    def zinter(
        self,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
        *,
        withscores: bool = False,
    ) -> list[str] | Scored:
        """The members that are in all of the sorted sets.

        Args:
            keys: a list; or a mapping of keys to weights.
            weights: what the scores of each are multiplied by.
            aggregate: "SUM", "MIN" or "MAX" of what a member scores.
            withscores: pairs of member and score instead of members.
        """
        combination = _combination("zinter", keys, weights, aggregate)
        return self._combine_scores(combination, withscores)

    @command(
        "ZINTERSTORE destination:ow-update numkeys:input-keys key [key ...] [WEIGHTS weight "
        "[weight ...]] [AGGREGATE aggregate:<SUM | MIN | MAX>]",
        complexity="O(N*K + M*log M) for the smallest of K with N members and M in the result",
        grows=True,
        summary="Store the intersection of many sorted sets at a key.",
    )
    def zinterstore(
        self,
        destination: str,
        keys: object,
        weights: list[float] | None = None,
        aggregate: str = "SUM",
    ) -> int:
        """Stores what `zinter` returns in place of whatever is there; how many members."""
        combination = _combination("zinterstore", keys, weights, aggregate)
        return self._store_combined_scores(destination, combination)

    @overload
    def zdiff(self, keys: object, *, withscores: Literal[False] = False) -> list[str]: ...
    @overload
    def zdiff(self, keys: object, *, withscores: Literal[True]) -> Scored: ...
    @overload
    def zdiff(self, keys: object, *, withscores: bool) -> list[str] | Scored: ...
    @command(
        "ZDIFF numkeys:input-keys key [key ...] [WITHSCORES]",
        complexity="O(N*K + M*log M) for the first of K with N members and M in the result",
        reply="scored",
        summary="Return the difference of many sorted sets.",
    )
    def zdiff(self, keys: object, *, withscores: bool = False) -> list[str] | Scored:
        """The members of the first sorted set that are in none of the others.

        Args:
            withscores: pairs of member and score instead of members.
        """
        return self._combine_scores(_combination("zdiff", keys, None, "SUM"), withscores)

    @command(
        "ZDIFFSTORE destination:ow-update numkeys:input-keys key [key ...]",
        complexity="O(N*K + M*log M) for the first of K with N members and M in the result",
        grows=True,
        summary="Store the difference of many sorted sets at a key.",
    )
    def zdiffstore(self, destination: str, keys: object) -> int:
        """Stores what `zdiff` returns in place of whatever is there; how many members."""
        combination = _combination("zdiffstore", keys, None, "SUM")
        return self._store_combined_scores(destination, combination)

    @command(
        "ZINTERCARD numkeys:input-keys key [key ...] [LIMIT limit]",
        complexity="O(N*K) for the smallest of K sorted sets with N members",
        summary="Return the number of members of the intersection of many sorted sets.",
    )
    def zintercard(self, keys: object, limit: int = 0) -> int:
        """How many members are in all of the sorted sets.

        Args:
            limit: stop counting there; 0 for no limit.
        """
        limit = exact_int(limit)
        if limit < 0:
            raise ArgumentError("LIMIT can't be negative")
        combination = _combination("zintercard", keys, None, "SUM")
        counting = CountingScores(self._space, combination, limit or INT64_MAX)
        return cast(int, self._run_on(combination.keys, counting))

    def _combine_scores(self, combination: Combination, withscores: bool) -> list[str] | Scored:
        returning = ReturningScores(self._space, combination, withscores)
        return cast("list[str] | Scored", self._run_on(combination.keys, returning))

    def _store_combined_scores(self, destination: str, combination: Combination) -> int:
        destination = exact_key(destination)
        return cast(
            int,
            self._run_on(
                combination.keys, StoringScores(self._space, combination, destination)
            ),
        )


def _combination(name: str, keys: object, weights: object, aggregate: str) -> Combination:
    """What ZUNION and the others are to work out.

    Raises:
        ArgumentError: without a key.
        CommandSyntaxError: for another number of weights than keys, or an unknown word.
        NotAFloatError: for a weight that is not a number.
        TypeError: for weights that are not a list, and a lone `str` as keys.
    """
    if isinstance(keys, Mapping):
        names = keys_of(keys)
        weights = list(keys.values())
    else:
        names = keys_of(cast("Iterable[object]", keys))
    if not names:
        raise ArgumentError(f"at least 1 input key is needed for '{name}' command")
    numbers: list[float] | None = None
    if weights is not None:
        if not isinstance(weights, (list, tuple)):
            raise TypeError(f"weights is a list, one for each key, not {weights!r}")
        numbers = [parse_float(weight, "weight value is not a float") for weight in weights]
        if len(numbers) != len(names):
            raise CommandSyntaxError()
    return Combination(name[1:6], names, numbers, aggregate.upper())
