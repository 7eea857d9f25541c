"""The near caches: connected caches that keep at hand what they have read.

Made by `cachestorm.connect(url, near=True)`. `get`, `cache[key]` and `get_many` read near;
everything else asks the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from cachestorm.envelope import Envelope
from cachestorm.errors import CacheStormError
from cachestorm.markers import MISSING
from cachestorm.operations.names import exact_key, keys_of
from cachestorm.remote.absence import RAISE
from cachestorm.remote.address import Address
from cachestorm.remote.cluster_invalidations import ClusterInvalidations
from cachestorm.remote.connected import AsyncConnectedCache, ConnectedCache
from cachestorm.remote.connected_stats import ConnectedStats, stats_of
from cachestorm.remote.invalidations import (
    Invalidations,
    refuse_old_client,
    refuse_old_protocol,
)
from cachestorm.remote.near import Fill, Near
from cachestorm.remote.near_reader import NearReader
from cachestorm.remote.recovery import LIMIT
from cachestorm.remote.steps import Ask, Course

# how many entries are at hand, unless it was said
ENTRIES: Final = 10_000


class NearCache(ConnectedCache):
    """A cache on a server, with a near cache in front, for threads.

    Attributes:
        near: what is at hand.
    """

    def __init__(
        self,
        address: Address,
        envelope: Envelope,
        namespace: str | None = None,
        *,
        settings: dict[str, Any],
        on_error: object = RAISE,
        max_pending: int = LIMIT,
    ) -> None:
        refuse_old_client()
        refuse_old_protocol(address)
        super().__init__(
            address, envelope, namespace, on_error=on_error, max_pending=max_pending
        )
        self._settings: Final = settings
        self.near: Final = Near({"max_entries": ENTRIES, **settings})
        self._wire.after = self.near.after
        kind = ClusterInvalidations if address.nodes else Invalidations
        self._invalidations: Final = kind(self.near, self._wire.made, self._wire.prefix)
        self._read: Final = self.near.values.get
        # in front of the method, which is called for what is not at hand
        reader = NearReader(self.near.values, self.get)
        self.get = reader.get  # type: ignore[method-assign]

    def get(self, key: str, default: Any = None) -> Any:
        """See `Cache.get`."""
        try:
            return self._run(self.reading(key, default))
        except CacheStormError as error:
            return self._absence.answer(error, "get", (key, default), {})

    def get_many(self, keys: Iterable[str]) -> Any:
        """See `Cache.get_many`."""
        try:
            return self._run(self.reading_many(keys))
        except CacheStormError as error:
            return self._at_hand(error, keys)

    def _at_hand(self, error: CacheStormError, keys: Iterable[str]) -> dict[str, Any]:
        """What is near of many keys, where an error is ignored."""
        if not self._absence.ignores(error):
            raise error
        return self.near.values.get_many(keys)

    def stats(self) -> ConnectedStats:
        """See `ConnectedCache.stats`; `hit_ratio` is the share of reads answered near."""
        return stats_of(self.near.stats(), self._absence, self._wire.recovery)

    def _sibling(self, name: str) -> NearCache:
        return NearCache(
            self.address,
            self._envelope,
            name,
            settings=self._settings,
            on_error=self._absence.on_error,
            max_pending=self._max_pending,
        )

    def close(self) -> None:
        """Closes the connections, and forgets what is at hand."""
        self._invalidations.stop()
        super().close()

    def _make_aio(self) -> AsyncConnectedCache:
        return AsyncNearCache(self)

    # -- loads

    def reading(self, key: str, default: Any) -> Course:
        """The steps of a read that found nothing near."""
        fill = self._begin(exact_key(key))
        is_over = False
        try:
            raw, left_ms = yield Ask([["GET", key], ["PTTL", key]])
            if raw is None:
                return default
            value = self._envelope.loads(raw)
            self.near.end(fill, value, left_ms)
            is_over = True
            return value
        finally:
            if not is_over:
                self.near.give_up(fill)

    def reading_many(self, keys: Iterable[str]) -> Course:
        """The steps of a read of many keys, which asks for those that are not near."""
        names = keys_of(keys)
        found = {name: self._read(name, MISSING) for name in names}
        missing = [name for name, value in found.items() if value is MISSING]
        if missing:
            fills = [self._begin(name) for name in missing]
            try:
                replies = yield Ask([["MGET", *missing], *[["PTTL", name] for name in missing]])
                for fill, raw, left_ms in zip(fills, replies[0], replies[1:]):
                    if raw is not None:
                        found[fill.key] = self._envelope.loads(raw)
                        self.near.end(fill, found[fill.key], left_ms)
            finally:
                for fill in fills:
                    self.near.give_up(fill)
        return {name: value for name, value in found.items() if value is not MISSING}

    def _begin(self, key: str) -> Fill:
        if not self._invalidations.is_running:
            self._invalidations.start()
        return self.near.begin(key)


class AsyncNearCache(AsyncConnectedCache):
    """The same for tasks."""

    def __init__(self, cache: NearCache) -> None:
        super().__init__(cache)
        self._near_cache: Final = cache
        self._wire.after = cache.near.after

    async def get(self, key: str, default: Any = None) -> Any:
        """See `Cache.get`."""
        value = self._near_cache._read(key, MISSING)
        if value is not MISSING:
            return value
        try:
            return await self._run(self._near_cache.reading(key, default))
        except CacheStormError as error:
            return self.cache._absence.answer(error, "get", (key, default), {})

    async def get_many(self, keys: Iterable[str]) -> Any:
        """See `Cache.get_many`."""
        try:
            return await self._run(self._near_cache.reading_many(keys))
        except CacheStormError as error:
            return self._near_cache._at_hand(error, keys)
