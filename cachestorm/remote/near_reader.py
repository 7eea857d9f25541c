"""The reader of a near cache: reads what is at hand, for little more than a `Cache` needs.

Compiled, as `Cache` is; called in the place of `NearCache.get`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cachestorm.cache import Cache
from cachestorm.keyspace.latch import FINALIZERS_INTERRUPT
from cachestorm.markers import MISSING
from cachestorm.operations.names import exact_key

_MISSING: Final = MISSING


class NearReader:
    """Reads what is at hand.

    Args:
        values: what is.
        far: asks the server for a key, with a default.
    """

    def __init__(self, values: Cache[Any], far: Callable[[str, object], object]) -> None:
        self._values: Final[Cache[Any]] = values
        self._far: Final = far

    def get(self, key: str, default: object = None) -> object:
        """The value of a key."""
        values = self._values
        store = values._store
        # as `Cache.get` does; a declared method is looked up by name, even from here
        if (
            type(key) is not str
            or store.guarded
            or (FINALIZERS_INTERRUPT and store.latch.is_noted())
        ):
            value = values._get_locked(exact_key(key), _MISSING)
        else:
            value = values._space.read(key, _MISSING)
        if value is _MISSING:
            return self._far(key, default)
        return value
