"""Effects as an async iterator: what `AsyncCache.effects` returns."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from cachestorm.errors import CacheStormError
from cachestorm.events import TAG_EVENTS, interest_named, is_invalidation
from cachestorm.loading.waiters import AsyncioWaiter, TrioWaiter, task_waiter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from cachestorm.cache import Cache
    from cachestorm.events import Effect


class FellBehindError(CacheStormError, RuntimeError):
    """More effects happened than a stream may hold, and some were dropped."""


class EffectStream:
    """Effects in order, from entering a block to leaving it, read by one task.

    Raises:
        FellBehindError: from the iteration, once, when effects were dropped.
    """

    def __init__(self, cache: Cache, limit: int, events: Iterable[str] = ()) -> None:
        self._cache: Final = cache
        # of which it is told, by kind; all changes in all namespaces, if none is named
        self._interest = 0
        for event in events:
            self._interest |= interest_named(event)[1]
        self._limit: Final = limit
        self._effects: Final[deque[Effect]] = deque()
        self._waiter: AsyncioWaiter | TrioWaiter | None = None
        self._fell_behind = False

    async def __aenter__(self) -> EffectStream:
        if self._interest:
            self._cache.listen(self._hear, self._interest, namespace=self._cache.name)
        else:
            self._cache.listen(self._hear)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cache.unlisten(self._hear)

    def _hear(self, effect: Effect) -> None:
        if self._interest and effect.interest == TAG_EVENTS and not is_invalidation(effect):
            return
        if len(self._effects) >= self._limit:
            self._fell_behind = True
        else:
            self._effects.append(effect)
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.wake()

    def __aiter__(self) -> EffectStream:
        return self

    async def __anext__(self) -> Effect:
        while not self._effects:
            if self._fell_behind:
                self._fell_behind = False
                raise FellBehindError(f"more than {self._limit} effects waited to be read")
            waiter = task_waiter()
            self._waiter = waiter
            # one may have come before the waiter was there to be woken
            if not self._effects:
                await waiter.wait(None)
        return self._effects.popleft()
