"""Keys of memoized calls: from the arguments to a text, and to a place that is found fast.

1. Arguments that are equal are one call, as for `functools.lru_cache`: 1, 1.0 and True. With
   `typed` they are not.
2. Arguments of plain types are spelled, so that the key is the same in every process. One of
   any other type gets a number, which holds while the place is known.
3. Places are kept for what is in the cache, and about as many beyond it as there were.
4. An instance is told by identity, and not kept alive: its places go with it, and what was
   kept for it goes at the next miss.
5. A key beyond 1 KB is replaced by its hash.
"""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from cachestorm.codec import checked_text
from cachestorm.loading.engine import is_far, loading_of

if TYPE_CHECKING:
    from cachestorm.cache import Cache

LONGEST_KEY: Final = 1024
FEW_PLACES: Final = 1024

_numbers: Final = itertools.count(1)


class Places:
    """Places of a function, or of one instance of a method.

    Attributes:
        keys: arguments, as a hashable, to keys; an exact dict, as its subscription is fast.
        briefs: the same for calls that leave all defaults as they are, without these: what
            is shorter is hashed faster. Each of its keys is in `keys` too.
        sweep_at: with how many it is looked which are of no use any more.
        number: of the instance.
    """

    def __init__(self) -> None:
        self.keys: Final[dict[Any, str]] = {}
        self.briefs: Final[dict[Any, str]] = {}
        self.sweep_at = FEW_PLACES
        self.number = next(_numbers)


def shortened(key: str) -> str:
    """A key that is not too long: beyond 1 KB its beginning and its hash."""
    key = checked_text(key)
    if len(key) <= LONGEST_KEY:
        return key
    digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=20).hexdigest()
    return f"{key[:100]}#{digest}"


def spelled(value: Any, typed: bool) -> str | None:
    """A plain value as a text that only equal values have, or None for any other."""
    kind = type(value)
    if kind is str or kind is bytes:
        return repr(value)
    if value is None:
        return "None"
    if kind is int:
        return str(value) if -(1 << 64) < value < 1 << 64 else hex(value)
    if kind is bool:
        return repr(value) if typed else str(int(value))
    if kind is float:
        if value != value:
            return None
        return str(int(value)) if not typed and value.is_integer() else repr(value)
    if kind is tuple:
        parts = [spelled(each, typed) for each in value]
        if None in parts:
            return None
        return f"({', '.join(part for part in parts if part is not None)})"
    return None


class Index:
    """The places of a memoized function: arguments, as a hashable, to keys.

    Attributes:
        places: those of a function.
        of_instances: the keys of a method's places, by the identity of the instance.
        briefs_of_instances: their briefs.
    """

    def __init__(self, cache: Cache, name: str, typed: bool) -> None:
        self._cache: Final = cache
        self.name: Final = name
        self._typed: Final = typed
        self.places: Final = Places()
        self.of_instances: Final[dict[int, dict[Any, str]]] = {}
        self.briefs_of_instances: Final[dict[int, dict[Any, str]]] = {}
        self._instances: Final[dict[int, Places]] = {}
        self._references: Final[dict[int, weakref.ref[Any]]] = {}
        # keys whose instance is gone: the callback that says so must not enter the cache
        self._orphans: Final[deque[str]] = deque()

    def key_of(self, values: Iterable[Any], places: Places) -> str:
        """The key of a call without a template."""
        parts = [spelled(value, self._typed) for value in values]
        text = ", ".join(part or "" for part in parts)
        if None in parts:
            text = f"{self._scope()}{next(_numbers)}#"
        whose = "" if places is self.places else f"{self._scope()}{places.number}#"
        return shortened(f"{self.name}({whose}{text})")

    def _scope(self) -> str:
        """What stands before a number that means something in this process only."""
        return loading_of(self._cache).scope

    def keep(self, places: Places, place: Any, key: str) -> str:
        """Keeps a place; the key that another thread may have kept before."""
        if len(places.keys) >= places.sweep_at:
            # before: what is kept for the new place is not in the cache yet
            self._sweep(places)
        return places.keys.setdefault(place, key)

    def _sweep(self, places: Places) -> None:
        """Forgets the places of keys that are no longer there. O(N), once in N new ones.

        Of a cache on a server those that are oldest: to ask for each takes too long.
        """
        if is_far(self._cache):
            for known in (places.keys, places.briefs):
                for place in list(known)[: len(known) // 2]:
                    known.pop(place, None)
            return
        under_way = loading_of(self._cache).flights
        for known in (places.keys, places.briefs):
            for place, key in list(known.items()):
                # in this order: a load that ends has stored its value before it is forgotten
                if key not in under_way and not self._cache.exists(key):
                    known.pop(place, None)
        places.sweep_at = max(FEW_PLACES, 2 * len(places.keys))

    def places_of(self, owner: Any) -> Places:
        """The places of an instance, made for it if it has none.

        Raises:
            TypeError: for an instance that takes no weak reference.
        """
        number = id(owner)
        places = self._instances.get(number)
        if places is None:
            try:
                reference = weakref.ref(owner, self._forgetter(number))
            except TypeError:
                raise TypeError(
                    f"{type(owner).__name__} takes no weak reference, which a memoized method "
                    "needs: add '__weakref__' to its __slots__, or give a key"
                ) from None
            self._references[number] = reference
            places = self._instances.setdefault(number, Places())
            self.briefs_of_instances[number] = places.briefs
            self.of_instances[number] = places.keys
        return places

    def _forgetter(self, number: int) -> Callable[[object], None]:
        of_instances, references, orphans = self.of_instances, self._references, self._orphans
        instances, briefs = self._instances, self.briefs_of_instances

        def forget(reference: object) -> None:
            if references.get(number) is reference:
                del references[number]
                instances.pop(number, None)
                briefs.pop(number, None)
                orphans.extend(of_instances.pop(number, {}).values())

        return forget

    def orphans(self) -> Iterator[str]:
        """The keys of what was kept for instances that are gone; each is given once."""
        while self._orphans:
            try:
                yield self._orphans.popleft()
            except IndexError:
                return

    def keys(self) -> set[str]:
        """Every key that there may be."""
        found = set(self.places.keys.values())
        for keys in list(self.of_instances.values()):
            found.update(keys.values())
        return found

    def clear(self) -> None:
        """Forgets all places."""
        self.places.keys.clear()
        self.places.briefs.clear()
        for known in (self.of_instances, self.briefs_of_instances):
            for keys in list(known.values()):
                keys.clear()


def culprit(names: Iterable[str], values: Iterable[Any]) -> str | None:
    """The first argument that cannot be hashed, as an error names it."""
    for name, value in zip(names, values):
        try:
            hash(value)
        except TypeError:
            return f"argument {name!r} is unhashable: {type(value).__name__}"
    return None
