"""The set as a `MutableSet`: what `Cache.as_set` returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSet, Set
from typing import TYPE_CHECKING, Any

from cachestorm.errors import InvalidKeyError
from cachestorm.handles.handle import Handle
from cachestorm.markers import UNSET

if TYPE_CHECKING:
    from typing import Self

    from cachestorm.cache import Cache


class SetHandle(Handle, MutableSet[str]):
    """A live set of members.

    Members are `str`; a number stands for its decimal digits, as in the commands. A set
    without members is a key that is not there. `|`, `&`, `-` and `^` give a `set` of Python.

    Examples:
        >>> from cachestorm import Cache
        >>> online = Cache().as_set("online")
        >>> online |= {"ada", "bob"}
        >>> online.discard("bob")
        >>> online | {"cy"} == {"ada", "cy"}
        True
    """

    __slots__ = ("_sadd", "_sismember")

    def __init__(
        self, cache: Cache, key: str, ttl: object = UNSET, tags: Iterable[str] = ()
    ) -> None:
        super().__init__(cache, key, ttl, tags)
        self._sadd = cache.sadd
        self._sismember = cache.sismember

    @classmethod
    def _from_iterable(cls, members: Iterable[Any]) -> Any:
        return set(members)

    def __contains__(self, member: object) -> bool:
        try:
            return self._sismember(self.key, member)
        except (InvalidKeyError, TypeError) as error:
            if isinstance(error, InvalidKeyError) or not isinstance(member, (str, bytes, int)):
                # no member that there could be; a key of another type still raises
                self._cache.scard(self.key)
                return False
            raise

    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def __len__(self) -> int:
        return self._cache.scard(self.key)

    def _content(self) -> list[str]:
        return sorted(self.copy())

    def copy(self) -> set[str]:
        """All members, in one step."""
        return self._cache.smembers(self.key)

    def add(self, member: str) -> None:
        """Adds a member."""
        if self._creates_with:
            with self._step():
                self._sadd(self.key, member)
        else:
            self._sadd(self.key, member)

    def discard(self, member: str) -> None:
        """Takes a member away; it is not an error if it is missing."""
        self._cache.srem(self.key, member)

    def remove(self, member: str) -> None:
        """Takes a member away.

        Raises:
            KeyError: if it is not there.
        """
        if self._cache.srem(self.key, member) == 0:
            raise KeyError(member)

    def pop(self) -> str:
        """Takes some member away and gives it back.

        Raises:
            KeyError: if there is none.
        """
        member = self._cache.spop(self.key)
        if member is None:
            raise KeyError("pop from an empty set")
        assert isinstance(member, str)
        return member

    def clear(self) -> None:
        """Takes all members away, and so the key."""
        self.delete()

    def update(self, *others: Iterable[str]) -> None:
        """Adds all members of others, in one step."""
        given = [member for other in others for member in other]
        if given:
            with self._step():
                self._sadd(self.key, *given)

    def difference_update(self, *others: Iterable[str]) -> None:
        """Takes all members of others away, in one step."""
        given = [member for other in others for member in other]
        if given:
            self._cache.srem(self.key, *given)

    def intersection_update(self, *others: Iterable[str]) -> None:
        """Keeps what is in all the others as well, in one step."""
        kept = [frozenset[object](other) for other in others]
        with self._cache.transaction():
            members = self.copy()
            self.difference_update(members.difference(members.intersection(*kept)))

    def union(self, *others: Iterable[str]) -> set[str]:
        """What is in this or in any of the others."""
        return self.copy().union(*others)

    def intersection(self, *others: Iterable[str]) -> set[str]:
        """What is in this and in all of the others."""
        return self.copy().intersection(*(frozenset[object](other) for other in others))

    def difference(self, *others: Iterable[str]) -> set[str]:
        """What is in this and in none of the others."""
        return self.copy().difference(*others)

    def __ior__(self, other: Set[Any]) -> Self:  # type: ignore[misc]
        self.update(other)
        return self

    def __isub__(self, other: Set[Any]) -> Self:
        self.difference_update(other)
        return self

    def __iand__(self, other: Set[Any]) -> Self:
        self.intersection_update(other)
        return self

    def __ixor__(self, other: Set[Any]) -> Self:  # type: ignore[misc]
        given = set(other)
        with self._step():
            both = self.copy() & given
            if given - both:
                self._sadd(self.key, *(given - both))
            if both:
                self._cache.srem(self.key, *both)
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Set):
            return NotImplemented
        return self.copy() == set(other)

    __hash__ = None  # type: ignore[assignment]
