"""The hash as a `MutableMapping`: what `Cache.as_hash` returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from cachestorm.errors import InvalidKeyError
from cachestorm.handles.mapping_handle import MappingHandle
from cachestorm.markers import MISSING, UNSET

if TYPE_CHECKING:
    from cachestorm.cache import Cache


class HashHandle(MappingHandle[Any]):
    """A live mapping of fields to values.

    Fields are `str`; a number stands for its decimal digits, as in the commands. A hash
    without fields is a key that is not there.

    Examples:
        >>> from cachestorm import Cache
        >>> user = Cache().as_hash("user:1", ttl=60)
        >>> user["name"] = "Ada"
        >>> user.update(visits=1)
        >>> user.incr("visits")
        2
        >>> dict(user)
        {'name': 'Ada', 'visits': 2}
    """

    __slots__ = ("_hget", "_hset")

    def __init__(
        self, cache: Cache, key: str, ttl: object = UNSET, tags: Iterable[str] = ()
    ) -> None:
        super().__init__(cache, key, ttl, tags)
        self._hget = cache.hget
        self._hset = cache.hset

    def __getitem__(self, field: str) -> Any:
        value = self._hget(self.key, field, MISSING)
        if value is MISSING:
            raise KeyError(field)
        return value

    def __setitem__(self, field: str, value: Any) -> None:
        if self._creates_with:
            with self._step():
                self._hset(self.key, field, value)
        else:
            self._hset(self.key, field, value)

    def __delitem__(self, field: str) -> None:
        if self._cache.hdel(self.key, (field,)) == 0:
            raise KeyError(field)

    def __contains__(self, field: object) -> bool:
        try:
            return self._cache.hexists(self.key, field)
        except (InvalidKeyError, TypeError) as error:
            if isinstance(error, InvalidKeyError) or not isinstance(field, (str, bytes, int)):
                # no field that there could be
                return _must_be_hash(self._cache, self.key)
            raise

    def __iter__(self) -> Iterator[str]:
        return iter(self._cache.hkeys(self.key))

    def __len__(self) -> int:
        return self._cache.hlen(self.key)

    def copy(self) -> dict[str, Any]:
        """All fields and values, in one step."""
        return self._cache.hgetall(self.key)

    def get(self, field: str, default: Any = None) -> Any:
        """The value of a field, or the default."""
        return self._hget(self.key, field, default)

    def get_many(self, *fields: str, default: Any = None) -> list[Any]:
        """The values of fields in order, in one step."""
        return self._cache.hmget(self.key, *fields, default=default)

    def update(self, other: Any = (), /, **fields: Any) -> None:
        """Sets all fields of a mapping, of pairs and of keywords in one step."""
        given = dict(other, **fields)
        if given:
            with self._step():
                self._cache.hset(self.key, mapping=given)

    def setdefault(self, field: str, default: Any = None) -> Any:
        """The value of a field, which is set to the default if it is missing."""
        with self._step():
            self._cache.hsetnx(self.key, field, default)
            return self._hget(self.key, field)

    def pop(self, field: str, default: Any = MISSING) -> Any:
        """Takes a field away and gives back its value.

        Raises:
            KeyError: for a missing field without a default.
        """
        with self._cache.transaction():
            value = self._hget(self.key, field, MISSING)
            if value is not MISSING:
                self._cache.hdel(self.key, field)
                return value
        if default is MISSING:
            raise KeyError(field)
        return default

    def popitem(self) -> tuple[str, Any]:
        """Takes some field away.

        Raises:
            KeyError: if there is none.
        """
        with self._cache.transaction():
            field = self._cache.hrandfield(self.key)
            if field is None:
                raise KeyError("popitem(): the hash is empty")
            return field, self.pop(field)

    def incr(self, field: str, amount: int = 1) -> int:
        """Adds to the number at a field, which counts as 0 while missing; the sum."""
        with self._step():
            return self._cache.hincrby(self.key, field, amount)


def _must_be_hash(cache: Cache, key: str) -> bool:
    """False, unless the key holds something else, which raises."""
    cache.hlen(key)
    return False
