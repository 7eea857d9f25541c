"""The sorted set as a mapping of members to scores: what `Cache.as_sorted_set` returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from cachestorm.errors import InvalidKeyError
from cachestorm.handles.mapping_handle import MappingHandle
from cachestorm.markers import MISSING, UNSET

if TYPE_CHECKING:
    from cachestorm.cache import Cache

    Scored = list[tuple[str, float]]


class SortedSetHandle(MappingHandle[float]):
    """A live mapping of members to scores, which iterates from the lowest score up.

    A sorted set without members is a key that is not there.

    Examples:
        >>> from cachestorm import Cache
        >>> top = Cache().as_sorted_set("top")
        >>> top.update(ada=3, bob=1)
        >>> top["cy"] = 2
        >>> list(top)
        ['bob', 'cy', 'ada']
        >>> top.range(0, 1, desc=True)
        ['ada', 'cy']
        >>> top.rank("ada")
        2
    """

    __slots__ = ("_zadd", "_zscore")

    def __init__(
        self, cache: Cache, key: str, ttl: object = UNSET, tags: Iterable[str] = ()
    ) -> None:
        super().__init__(cache, key, ttl, tags)
        self._zadd = cache.zadd
        self._zscore = cache.zscore

    def __getitem__(self, member: str) -> float:
        score = self._zscore(self.key, member)
        if score is None:
            raise KeyError(member)
        return score

    def __setitem__(self, member: str, score: float) -> None:
        if self._creates_with:
            with self._step():
                self._zadd(self.key, {member: score})
        else:
            self._zadd(self.key, {member: score})

    def __delitem__(self, member: str) -> None:
        if self._cache.zrem(self.key, member) == 0:
            raise KeyError(member)

    def __contains__(self, member: object) -> bool:
        try:
            return self._zscore(self.key, cast(str, member)) is not None
        except (InvalidKeyError, TypeError) as error:
            if isinstance(error, InvalidKeyError) or not isinstance(member, (str, bytes, int)):
                self._cache.zcard(self.key)
                return False
            raise

    def __iter__(self) -> Iterator[str]:
        return iter(self.range())

    def __reversed__(self) -> Iterator[str]:
        return iter(self.range(desc=True))

    def __len__(self) -> int:
        return self._cache.zcard(self.key)

    def copy(self) -> dict[str, float]:
        """All members and scores from the lowest score up, in one step."""
        return dict(self._cache.zrange(self.key, 0, -1, withscores=True))

    def update(self, other: Any = (), /, **scores: float) -> None:
        """Sets the scores of many members in one step."""
        given = dict(other, **scores)
        if given:
            with self._step():
                self._zadd(self.key, given)

    def setdefault(self, member: str, default: float | None = None) -> float:
        """The score of a member, which is added with the default if it is missing."""
        with self._step():
            self._zadd(self.key, {member: 0.0 if default is None else default}, nx=True)
            return self[member]

    def pop(self, member: str, default: Any = MISSING) -> Any:
        """Takes a member away and gives back its score.

        Raises:
            KeyError: for a missing member without a default.
        """
        with self._cache.transaction():
            score = self._zscore(self.key, member)
            if score is not None:
                self._cache.zrem(self.key, member)
                return score
        if default is MISSING:
            raise KeyError(member)
        return default

    def popitem(self) -> tuple[str, float]:
        """Takes the member with the highest score away.

        Raises:
            KeyError: if there is none.
        """
        return self.pop_max()

    def pop_min(self) -> tuple[str, float]:
        """Takes the member with the lowest score away.

        Raises:
            KeyError: if there is none.
        """
        return _only(self._cache.zpopmin(self.key))

    def pop_max(self) -> tuple[str, float]:
        """Takes the member with the highest score away.

        Raises:
            KeyError: if there is none.
        """
        return _only(self._cache.zpopmax(self.key))

    def incr(self, member: str, amount: float = 1.0) -> float:
        """Adds to the score of a member, which counts as 0 while missing; the new score."""
        with self._step():
            return self._cache.zincrby(self.key, amount, member)

    def rank(self, member: str, *, desc: bool = False) -> int | None:
        """The place of a member, from 0 on; None if it is missing."""
        find = self._cache.zrevrank if desc else self._cache.zrank
        return find(self.key, member)

    def range(self, start: int = 0, stop: int = -1, *, desc: bool = False) -> list[str]:
        """The members between two ranks, both included."""
        return self._cache.zrange(self.key, start, stop, rev=desc)

    def by_score(
        self, low: object = "-inf", high: object = "+inf", *, desc: bool = False
    ) -> list[tuple[str, float]]:
        """The members between two scores, both included, with their scores.

        Args:
            low, high: numbers; "(1.5" excludes the bound.
        """
        bounds = (high, low) if desc else (low, high)
        return self._cache.zrange(
            self.key, bounds[0], bounds[1], byscore=True, rev=desc, withscores=True
        )


def _only(popped: Scored) -> tuple[str, float]:
    if not popped:
        raise KeyError("the sorted set is empty")
    return popped[0]
