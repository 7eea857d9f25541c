"""The cache on a server, for threads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from redis._parsers.helpers import parse_info

from cachestorm.envelope import Envelope
from cachestorm.remote.address import Address
from cachestorm.remote.courses import Courses
from cachestorm.remote.failures import Failures
from cachestorm.remote.lock import RemoteLock
from cachestorm.remote.requests import (
    Codec,
    Request,
    Requests,
    Unanswered,
    adding,
    asking,
)
from cachestorm.remote.wires import wire_to

_parse_info: Any = parse_info


class RemoteCache:
    """Values on a server. Threads may share it, and a fork gets connections of its own.

    Args:
        address: where the server is.
        codec: how values are stored.
        ignore_errors: whether an error of the server counts as an empty cache.

    Times to live are seconds above zero; None is for ever.
    """

    def __init__(self, address: Address, codec: Codec, *, ignore_errors: bool = False) -> None:
        self.address = address
        self.failures = Failures(address.shown, ignore_errors)
        self._requests = Requests(codec)
        self._wire: Final = wire_to(address, None, 0, False)
        self._wire.asking = Courses(Envelope(), address.shown, self._wire.cluster)

    def __repr__(self) -> str:
        return f"<RemoteCache {self.address.shown}>"

    def get(self, key: str, default: object = None) -> Any:
        """The value of a key, or the default."""
        return self._ask(self._requests.get(key, default))

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of many keys, by key; missing ones are left out."""
        return self._ask(self._requests.get_many(list(keys)))  # type: ignore[no-any-return]

    def set(
        self,
        key: str,
        value: object,
        ttl: float | None,
        *,
        tags: Iterable[str] = (),
        if_unchanged: None = None,
    ) -> bool:
        """Sets a key. Returns whether it was set."""
        return bool(self._ask(self._requests.set(key, value, ttl, tags)))

    def add(
        self, key: str, value: object, ttl: float | None, *, tags: Iterable[str] = ()
    ) -> bool:
        """Sets a key only if it is missing. Returns whether it was set."""
        return bool(self._ask(self._requests.set(key, value, ttl, tags, nx=True)))

    def set_many(
        self, mapping: Mapping[str, object], ttl: float | None, *, tags: Iterable[str] = ()
    ) -> bool:
        """Sets many keys in one step. Returns whether they were set."""
        return bool(self._ask(self._requests.set_many(mapping, ttl, tags)))

    def delete(self, *keys: str) -> int:
        """Deletes keys. Returns how many were there."""
        return int(self._ask(self._requests.delete(keys)))

    def exists(self, key: str) -> bool:
        """Whether a key is there."""
        return bool(self._ask(self._requests.exists(key)))

    def touch(self, key: str, ttl: float | None) -> bool:
        """Gives a key a new time to live. Returns whether it is there."""
        return bool(self._ask(self._requests.touch(key, ttl)))

    def incr(self, key: str, delta: int) -> int:
        """Adds to an integer, which keeps its time to live.

        Raises:
            KeyError: if the key is missing.
            redis.ResponseError: if it holds no integer.
        """
        request = Request([("INCRBY", key, delta)], lambda r: r[0], None)
        with self.failures.handled(request):
            return int(self._wire.run(adding(key, delta)))
        raise Unanswered(key)

    def clear(self) -> bool:
        """Empties the database. Returns whether that was done."""
        return bool(self._ask(self._requests.clear()))

    def invalidate(self, *tags: str, dry_run: bool = False) -> int:
        """Deletes all keys with any of the tags. Returns how many; or would.

        Raises:
            TagError: if the server has no tags, and cannot be brought any.
        """
        return int(self._ask(self._requests.invalidate(tags, dry_run)))

    def version_of(self, *tags: str) -> None:
        """None: a server does not tell what was invalidated since."""

    def info(self) -> dict[str, Any]:
        """What the server says of itself; nothing, if its errors are ignored and it is gone."""
        request = Request([("INFO",)], lambda r: _parse_info(r[0]), {})
        return dict(self._ask(request))

    def lock(self, key: str, ttl: float) -> RemoteLock:
        """A mutex among all who use the key on that server."""
        return RemoteLock(self._wire.client, key, ttl, self.failures)

    def close(self) -> None:
        """Closes the connections; they are opened again when they are needed."""
        self._wire.close()

    def _ask(self, request: Request) -> Any:
        with self.failures.handled(request):
            return request.read(self._wire.run(asking(request)))
        return request.absent
