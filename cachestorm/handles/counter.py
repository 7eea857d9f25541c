"""The counter: a key that holds an integer. What `Cache.counter` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachestorm.errors import NotAnIntegerError
from cachestorm.handles.handle import Handle
from cachestorm.markers import UNSET

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from cachestorm.cache import Cache


class Counter(Handle):
    """A live integer, 0 while the key is missing.

    Examples:
        >>> from cachestorm import Cache
        >>> visits = Cache().counter("visits", ttl="1d")
        >>> visits.incr()
        1
        >>> visits += 4
        >>> int(visits)
        5
    """

    __slots__ = ("_get", "_incr")

    def __init__(
        self, cache: Cache, key: str, ttl: object = UNSET, tags: Iterable[str] = ()
    ) -> None:
        super().__init__(cache, key, ttl, tags)
        self._get = cache.get
        self._incr = cache.incr

    @property
    def value(self) -> int:
        """The number, 0 while the key is missing.

        Raises:
            NotAnIntegerError: if the key holds something else.
        """
        found = self._get(self.key, 0)
        if type(found) is int:
            return found
        try:
            # what the wire wrote arrives as bytes
            return int(found) if isinstance(found, (bytes, str)) else _refuse()
        except ValueError:
            return _refuse()

    def incr(self, amount: int = 1) -> int:
        """Adds; the sum."""
        if self._creates_with:
            with self._step():
                return self._incr(self.key, amount)
        return self._incr(self.key, amount)

    def decr(self, amount: int = 1) -> int:
        """Subtracts; the difference."""
        return self.incr(-amount)

    def set(self, value: int) -> None:
        """Sets the number; time to live and tags are kept."""
        with self._step():
            self.incr(value - self.value)

    def reset(self) -> int:
        """Deletes the key; what it held."""
        with self._cache.transaction():
            held = self.value
            self.delete()
            return held

    def __int__(self) -> int:
        return self.value

    __index__ = __int__

    def __iadd__(self, amount: int) -> Self:
        self.incr(amount)
        return self

    def __isub__(self, amount: int) -> Self:
        self.decr(amount)
        return self

    def __bool__(self) -> bool:
        return self.value != 0

    def _content(self) -> int:
        return self.value


def _refuse() -> int:
    raise NotAnIntegerError
