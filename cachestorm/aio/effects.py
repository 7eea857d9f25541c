"""Effects as an async iterator: what `AsyncCache.effects` returns."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from cachestorm.errors import CacheStormError
from cachestorm.loading.waiters import AsyncioWaiter, TrioWaiter, task_waiter

if TYPE_CHECKING:
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

    def __init__(self, cache: Cache, limit: int) -> None:
        self._cache: Final = cache
        self._limit: Final = limit
        self._effects: Final[deque[Effect]] = deque()
        self._waiter: AsyncioWaiter | TrioWaiter | None = None
        self._fell_behind = False

    async def __aenter__(self) -> EffectStream:
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
