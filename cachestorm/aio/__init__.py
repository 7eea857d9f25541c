"""The cache for coroutines: every method awaitable, on asyncio and on trio."""

from cachestorm.aio.async_cache import AsyncCache
from cachestorm.aio.effects import EffectStream

__all__ = ["AsyncCache", "EffectStream"]
