"""The view: keys with one prefix as a mapping to values of one type. `Cache.view` makes it.

1. A view stores nothing. Its keys are keys of the cache, with the prefix before them; other
   views, flat methods and wire clients see them.
2. Values go in as they are, and only if they are of the type. They are stored as the cache
   stores any value.
3. On the way out a value of the type is given as it is. Anything else, such as JSON that the
   wire wrote or a dict, is converted; what cannot be is a ValidationError. It stays as it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from cachestorm.markers import MISSING, UNSET
from cachestorm.notebooks import MOST_ROWS, table
from cachestorm.operations.names import exact_key
from cachestorm.views.schemas import schema_of

if TYPE_CHECKING:
    from cachestorm.cache import Cache

T = TypeVar("T")
D = TypeVar("D")

# what a glob pattern gives a meaning of its own
_ESCAPES: Final = str.maketrans({letter: f"\\{letter}" for letter in "\\*?[]^-"})
# how many values a walk fetches at a time
_PAGE: Final = 256


class View(MutableMapping[str, T]):
    """Some keys of a cache, with values of one type.

    Attributes:
        kind: the type.
        prefix: what stands before its keys in the cache.

    Examples:
        >>> from dataclasses import dataclass
        >>> from cachestorm import Cache
        >>> @dataclass
        ... class User:
        ...     name: str
        >>> cache = Cache()
        >>> users = cache.view(User, prefix="user:")
        >>> users["1"] = User("Ada")
        >>> users["1"].name
        'Ada'
        >>> cache.execute("SET", "user:2", b'{"name": "Grace"}')
        True
        >>> users["2"]
        User(name='Grace')
    """

    def __init__(self, cache: Cache, kind: Any, prefix: str) -> None:
        self.kind: Final = kind
        self.prefix: Final = exact_key(prefix)
        self._cache: Final = cache
        self._schema: Final = schema_of(kind)

    def _name(self, key: str) -> str:
        if not isinstance(key, str):
            # the same words as for a key of the cache
            return exact_key(key)
        return self.prefix + key

    def _read(self, key: str, value: Any) -> T:
        found: T = self._schema.read(self.prefix + key, value)
        return found

    # -- one value

    @overload
    def get(self, key: str, default: None = None) -> T | None: ...
    @overload
    def get(self, key: str, default: D) -> T | D: ...
    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key.

        Args:
            default: what to give for a missing key.

        Raises:
            ValidationError: for a value that is not of the type.
            WrongTypeError: if the key holds a container.
        """
        value = self._cache.get(self._name(key), MISSING)
        return default if value is MISSING else self._read(key, value)

    def set(
        self,
        key: str,
        value: T,
        ttl: object = UNSET,
        *,
        tags: Iterable[str] = (),
        **options: Any,
    ) -> bool:
        """Sets a key. Returns whether it was set.

        Args:
            options: `nx`, `xx`, `keepttl`, `idle`, `ttl_jitter`, `if_unchanged`, as in
                `Cache.set`.

        Raises:
            TypeError: for a value that is not of the type; nothing has changed.
        """
        if options.get("get"):
            raise TypeError("a view has no set(get=True)")
        checked = self._schema.checked(value)
        return bool(self._cache.set(self._name(key), checked, ttl, tags=tags, **options))

    def add(self, key: str, value: T, ttl: object = UNSET, *, tags: Iterable[str] = ()) -> bool:
        """Sets a key only if it is missing. Returns whether it was set."""
        return self._cache.add(self._name(key), self._schema.checked(value), ttl, tags=tags)

    def get_or_set(
        self,
        key: str,
        loader: Callable[..., T],
        ttl: object = UNSET,
        *,
        tags: Any = (),
        **options: Any,
    ) -> T:
        """The value of a key; if it is missing, the loader makes it: see `Cache.get_or_set`.

        Raises:
            ValidationError: for a value that is not of the type. What the loader gives is
                not kept then.
        """
        found = self._cache.get_or_set(
            self._name(key), loader, ttl, tags=tags, **self._keeping(options)
        )
        return self._read(key, found)

    async def aget_or_set(
        self,
        key: str,
        loader: Callable[..., Awaitable[T] | T],
        ttl: object = UNSET,
        *,
        tags: Any = (),
        **options: Any,
    ) -> T:
        """As `get_or_set`, to be awaited; the loader may be a coroutine function."""
        found = await self._cache.aget_or_set(
            self._name(key), loader, ttl, tags=tags, **self._keeping(options)
        )
        return self._read(key, found)

    def _keeping(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options of a load, with which nothing of another type is kept."""
        keep_if = options.get("cache_if")
        fits = self._schema.fits

        def is_kept(value: Any) -> bool:
            return fits(value) and (keep_if is None or bool(keep_if(value)))

        return {**options, "cache_if": is_kept}

    def modify(
        self,
        key: str,
        function: Callable[[T | None], T],
        *,
        ttl: object = UNSET,
        tags: Any = UNSET,
    ) -> T:
        """Sets a key to what a function makes of its value, as if in one step.

        See `Cache.modify`.
        """

        def changed(value: Any) -> Any:
            return self._schema.checked(
                function(None if value is None else self._read(key, value))
            )

        made: T = self._cache.modify(self._name(key), changed, ttl=ttl, tags=tags)
        return made

    def delete(self, *keys: str) -> int:
        """Deletes keys. Returns how many were there."""
        return self._cache.delete(*[self._name(key) for key in keys]) if keys else 0

    @overload
    def pop(self, key: str) -> T: ...
    @overload
    def pop(self, key: str, default: D) -> T | D: ...
    def pop(self, key: str, default: Any = MISSING) -> Any:
        """Deletes a key and gives back its value.

        Raises:
            KeyError: for a missing key without a default.
            ValidationError: for a value that is not of the type; it is deleted all the same.
        """
        value = self._cache.getdel(self._name(key), MISSING)
        if value is not MISSING:
            return self._read(key, value)
        if default is MISSING:
            raise KeyError(key)
        return default

    def ttl(self, key: str) -> float | None:
        """Seconds that a key has left; None for no end, and for a missing key."""
        left = self._cache.ttl(self._name(key))
        return left if isinstance(left, float) else None

    def expire(self, key: str, ttl: object) -> bool:
        """Gives a key a time to live. Returns whether it is there."""
        return self._cache.expire(self._name(key), ttl)

    # -- as a mapping

    def __getitem__(self, key: str) -> T:
        value = self._cache.get(self._name(key), MISSING)
        if value is MISSING:
            raise KeyError(key)
        return self._read(key, value)

    def __setitem__(self, key: str, value: T) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        if self.delete(key) == 0:
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.prefix + key in self._cache

    def __iter__(self) -> Iterator[str]:
        size = len(self.prefix)
        return iter([name[size:] for name in self._names()])

    def _names(self) -> list[str]:
        return self._cache.keys(f"{self.prefix.translate(_ESCAPES)}*")

    def __len__(self) -> int:
        """How many keys there are. O(N) in those of the namespace, if there is a prefix."""
        return len(self._names()) if self.prefix else len(self._cache)

    def __bool__(self) -> bool:
        # an empty view is still a view: `view or default` must not replace it
        return True

    def items(self) -> Iterator[tuple[str, T]]:  # type: ignore[override]
        """The keys with their values, a page at a time; no access.

        Raises:
            ValidationError: at a value that is not of the type.
        """
        size = len(self.prefix)
        names = self._names()
        for start in range(0, len(names), _PAGE):
            for name, value in self._cache._page(names[start : start + _PAGE]):
                yield name[size:], self._read(name[size:], value)

    def values(self) -> Iterator[T]:  # type: ignore[override]
        """The values of the keys, a page at a time; no access."""
        for _, value in self.items():
            yield value

    def update(self, other: Any = (), /, **values: T) -> None:
        """Sets many keys in one step, as `dict.update` does."""
        self.set_many(dict(other, **values))

    def clear(self) -> None:
        """Deletes the keys of this view, and no others. O(N) in those of the namespace."""
        if self.prefix:
            self._cache.delete_many(self._names())
        else:
            self._cache.clear()

    # -- many values

    def get_many(self, keys: Iterable[str]) -> dict[str, T]:
        """The values of many keys, by key; a missing one is left out."""
        names = {self._name(key): key for key in keys}
        found = self._cache.get_many(names)
        return {names[name]: self._read(names[name], value) for name, value in found.items()}

    def set_many(
        self,
        mapping: Mapping[str, T] | Iterable[tuple[str, T]],
        ttl: object = UNSET,
        *,
        tags: Iterable[str] = (),
    ) -> bool:
        """Sets many keys in one step: see `Cache.set_many`.

        Raises:
            TypeError: for a value that is not of the type; nothing has changed.
        """
        checked = self._schema.checked
        named = {self._name(key): checked(value) for key, value in dict(mapping).items()}
        return self._cache.set_many(named, ttl, tags=tags)

    # -- as an object

    def __eq__(self, other: object) -> bool:
        # a view of a cache, and no dict: two are equal if they show the same keys
        if not isinstance(other, View):
            return NotImplemented
        return self._cache._store is other._cache._store and (
            self._cache.name,
            self.prefix,
            self.kind,
        ) == (other._cache.name, other.prefix, other.kind)

    def __hash__(self) -> int:
        return hash((self._cache.name, self.prefix))

    def __reduce__(self) -> str:
        raise TypeError("a view belongs to a cache in this process and cannot be pickled")

    def __repr__(self) -> str:
        return (
            f"<View of {self._schema.shown} at {self.prefix + '*'!r} in "
            f"{self._cache.name!r}: {len(self)} keys>"
        )

    def _repr_html_(self) -> str:
        names = self._names()
        rows = [
            (name[len(self.prefix) :], repr(value))
            for name, value in self._cache._page(names[:MOST_ROWS])
        ]
        title = repr(self).strip("<>")
        return table(title, ("key", "value"), rows, max(len(names) - MOST_ROWS, 0))
