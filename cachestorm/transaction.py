"""The transaction: the lock of a cache, for many calls.

Made by `Cache.transaction`. Calls the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Final

from cachestorm.commands.edge import Edge
from cachestorm.operations.names import keys_of


class Transaction:
    """The lock of a cache, held from entering to leaving a `with` block."""

    def __init__(self, cache: Edge, keys: Sequence[str]) -> None:
        self._cache: Final = cache
        self._store: Final = cache._store
        self._keys: Final = keys_of(keys)

    def __enter__(self) -> Transaction:
        if self._keys:
            self._cache._near(self._keys)
        self._store.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._store.end()
