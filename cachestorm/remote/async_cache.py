"""The cache on a server, for coroutines of asyncio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cachestorm.envelope import Envelope
from cachestorm.remote.address import Address
from cachestorm.remote.courses import Courses
from cachestorm.remote.failures import Failures
from cachestorm.remote.requests import (
    Codec,
    Request,
    Requests,
    Unanswered,
    adding,
    asking,
)
from cachestorm.remote.wires import async_wire_to, wire_to


class AsyncRemoteCache:
    """Every method of `RemoteCache`, awaitable; each event loop has connections of its own."""

    def __init__(self, address: Address, codec: Codec, failures: Failures) -> None:
        self.address = address
        self.failures = failures
        self._requests = Requests(codec)
        self._wire: Final = async_wire_to(wire_to(address, None, 0, False))
        self._wire.asking = Courses(Envelope(), address.shown, self._wire.cluster)

    def __repr__(self) -> str:
        return f"<AsyncRemoteCache {self.address.shown}>"

    async def get(self, key: str, default: object = None) -> Any:
        """The value of a key, or the default."""
        return await self._ask(self._requests.get(key, default))

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of many keys, by key; missing ones are left out."""
        return await self._ask(self._requests.get_many(list(keys)))  # type: ignore[no-any-return]

    async def set(
        self, key: str, value: object, ttl: float | None, *, tags: Iterable[str] = ()
    ) -> bool:
        """Sets a key. Returns whether it was set."""
        return bool(await self._ask(self._requests.set(key, value, ttl, tags)))

    async def add(
        self, key: str, value: object, ttl: float | None, *, tags: Iterable[str] = ()
    ) -> bool:
        """Sets a key only if it is missing. Returns whether it was set."""
        return bool(await self._ask(self._requests.set(key, value, ttl, tags, nx=True)))

    async def set_many(
        self, mapping: Mapping[str, object], ttl: float | None, *, tags: Iterable[str] = ()
    ) -> bool:
        """Sets many keys in one step. Returns whether they were set."""
        return bool(await self._ask(self._requests.set_many(mapping, ttl, tags)))

    async def delete(self, *keys: str) -> int:
        """Deletes keys. Returns how many were there."""
        return int(await self._ask(self._requests.delete(keys)))

    async def exists(self, key: str) -> bool:
        """Whether a key is there."""
        return bool(await self._ask(self._requests.exists(key)))

    async def touch(self, key: str, ttl: float | None) -> bool:
        """Gives a key a new time to live. Returns whether it is there."""
        return bool(await self._ask(self._requests.touch(key, ttl)))

    async def incr(self, key: str, delta: int) -> int:
        """Adds to an integer, which keeps its time to live.

        Raises:
            KeyError: if the key is missing.
            redis.ResponseError: if it holds no integer.
        """
        request = Request([("INCRBY", key, delta)], lambda r: r[0], None)
        with self.failures.handled(request):
            return int(await self._wire.run(adding(key, delta)))
        raise Unanswered(key)

    async def clear(self) -> bool:
        """Empties the database. Returns whether that was done."""
        return bool(await self._ask(self._requests.clear()))

    async def invalidate(self, *tags: str, dry_run: bool = False) -> int:
        """Deletes all keys with any of the tags. Returns how many; or would."""
        return int(await self._ask(self._requests.invalidate(tags, dry_run)))

    async def close(self) -> None:
        """Closes the connections of the running loop."""
        await self._wire.close()

    async def _ask(self, request: Request) -> Any:
        with self.failures.handled(request):
            return request.read(await self._wire.run(asking(request)))
        return request.absent
