"""The list as a `MutableSequence`: what `Cache.as_list` returns.

1. Both ends are O(1), as in the commands. What changes the middle writes the list anew, O(N).
2. Elements compare as Python compares them, and never while the lock is held: a change that
   depends on a comparison is tried again if somebody else has changed the list meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSequence
from typing import TYPE_CHECKING, Any, overload

from cachestorm.errors import ArgumentError, NoSuchKeyError
from cachestorm.handles.handle import Handle
from cachestorm.markers import MISSING, UNSET

if TYPE_CHECKING:
    from typing import Self

    from cachestorm.cache import Cache


class ListHandle(Handle, MutableSequence[Any]):
    """A live sequence of elements.

    A list without elements is a key that is not there.

    Examples:
        >>> from cachestorm import Cache
        >>> jobs = Cache().as_list("jobs")
        >>> jobs.extend(["b", "c"])
        >>> jobs.appendleft("a")
        >>> jobs[1:]
        ['b', 'c']
        >>> jobs.popleft()
        'a'
    """

    __slots__ = ("_lindex", "_rpush")

    def __init__(
        self, cache: Cache, key: str, ttl: object = UNSET, tags: Iterable[str] = ()
    ) -> None:
        super().__init__(cache, key, ttl, tags)
        self._lindex = cache.lindex
        self._rpush = cache.rpush

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self.copy()[index]
        value = self._lindex(self.key, index, MISSING)
        if value is MISSING:
            raise IndexError("list index out of range")
        return value

    @overload
    def __setitem__(self, index: int, value: Any) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[Any]) -> None: ...
    def __setitem__(self, index: int | slice, value: Any) -> None:
        if isinstance(index, slice):
            given = list(value)
            self._rewrite(lambda elements: elements.__setitem__(index, given))
            return
        try:
            self._cache.lset(self.key, index, value)
        except (ArgumentError, NoSuchKeyError):
            raise IndexError("list assignment index out of range") from None

    def __delitem__(self, index: int | slice) -> None:
        self._rewrite(lambda elements: elements.__delitem__(index))

    def __len__(self) -> int:
        return self._cache.llen(self.key)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.copy())

    def __reversed__(self) -> Iterator[Any]:
        return iter(self.copy()[::-1])

    def __contains__(self, value: object) -> bool:
        return value in self.copy()

    def _content(self) -> list[Any]:
        return self.copy()

    def copy(self) -> list[Any]:
        """All elements, in one step."""
        return self._cache.lrange(self.key, 0, -1)

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Where a value is first.

        Raises:
            ValueError: if it is not there.
        """
        elements = self.copy()
        return elements.index(value, start, len(elements) if stop is None else stop)

    def count(self, value: Any) -> int:
        """How often a value is there."""
        return self.copy().count(value)

    def append(self, value: Any) -> None:
        """Adds an element at the end. O(1)."""
        if self._creates_with:
            with self._step():
                self._rpush(self.key, value)
        else:
            self._rpush(self.key, value)

    def appendleft(self, value: Any) -> None:
        """Adds an element at the beginning. O(1)."""
        with self._step():
            self._cache.lpush(self.key, value)

    def extend(self, values: Iterable[Any]) -> None:
        """Adds elements at the end, in one step."""
        given = list(values)
        if given:
            with self._step():
                self._rpush(self.key, *given)

    def extendleft(self, values: Iterable[Any]) -> None:
        """Adds elements at the beginning one after the other, as a deque does."""
        given = list(values)
        if given:
            with self._step():
                self._cache.lpush(self.key, *given)

    def insert(self, index: int, value: Any) -> None:
        """Puts an element before an index, as a `list` does."""
        self._rewrite(lambda elements: elements.insert(index, value))

    def pop(self, index: int = -1) -> Any:
        """Takes an element away and gives it back; O(1) at both ends.

        Raises:
            IndexError: if there is no such index.
        """
        if index == -1:
            return self._end(self._cache.rpop)
        if index == 0:
            return self._end(self._cache.lpop)
        return self._rewrite(lambda elements: elements.pop(index))

    def popleft(self) -> Any:
        """Takes the first element away and gives it back. O(1).

        Raises:
            IndexError: if there is none.
        """
        return self._end(self._cache.lpop)

    def _end(self, take: Callable[..., object]) -> Any:
        value = take(self.key, default=MISSING)
        if value is MISSING:
            raise IndexError("pop from empty list")
        return value

    def remove(self, value: Any) -> None:
        """Takes away the first element that equals a value.

        Raises:
            ValueError: if there is none.
        """
        while True:
            seen = self.copy()
            place = seen.index(value)
            with self._cache.transaction():
                if _is_same(self._lindex(self.key, place, MISSING), seen[place]):
                    del self[place]
                    return

    def reverse(self) -> None:
        """Turns the order round."""
        self._rewrite(lambda elements: elements.reverse())

    def clear(self) -> None:
        """Takes all elements away, and so the key."""
        self.delete()

    def trim(self, start: int, stop: int) -> None:
        """Keeps what lies between two indexes, both included, as LTRIM does."""
        self._cache.ltrim(self.key, start, stop)

    def _rewrite(self, change: Callable[[list[Any]], Any]) -> Any:
        """Changes a copy in place and writes it back, in one step."""
        with self._step():
            elements = self.copy()
            before = len(elements)
            result = change(elements)
            if elements:
                # first the new ones: a list that is never empty keeps its deadline and tags
                self._rpush(self.key, *elements)
                if before:
                    self._cache.ltrim(self.key, before, -1)
            elif before:
                self.delete()
            return result

    def __iadd__(self, values: Iterable[Any]) -> Self:  # type: ignore[misc]
        self.extend(values)
        return self

    def __add__(self, other: Any) -> list[Any]:
        if not isinstance(other, (list, ListHandle)):
            return NotImplemented
        return [*self.copy(), *other]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, ListHandle)):
            return NotImplemented
        return self.copy() == list(other)

    __hash__ = None  # type: ignore[assignment]


def _is_same(one: object, other: object) -> bool:
    """Whether two are one element; runs no code of a user."""
    if one is other:
        return True
    return type(one) is type(other) and type(one) in (bytes, str, int, float) and one == other
