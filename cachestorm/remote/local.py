"""The addresses `local://name`: one cache for the processes of a user on this machine.

Made by `cachestorm.connect` and by the framework backends: connections of redis-py to an owner
(`owners.py`), which the first who connects starts.

1. An owner that has died is replaced by the next who connects: empty, and the log says so.
2. A command that was under way when the owner died is sent to the next one. It cannot be done
   twice, as what it may have done has died too.
3. A connection that ends while its owner lives is an error, as it is elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import redis
import redis.asyncio
import redis.asyncio.connection
import redis.asyncio.retry
import redis.connection
import redis.retry
from redis.backoff import NoBackoff

from cachestorm.cache import Cache
from cachestorm.errors import CacheStormError, ConfigError
from cachestorm.operations.lifetimes import milliseconds_of
from cachestorm.remote.address import LOCAL, Address, cache_settings, connection_options
from cachestorm.remote.owners import NOBODY, Owner
from cachestorm.remote.refusals import UnreachableError

LINGER_S: Final = 60.0
# how many owners may die during one command
_RETRIES: Final = 3
# of `Cache`, and what makes sense in one process only, or after its end
_REFUSED: Final = ("data_dir", "aof", "aof_sync", "plugins", "clock")
# the owner opens what they name, which nobody else may have open
_OF_TIERS: Final = frozenset({"cold", "warm"})


class OwnerGoneError(redis.ConnectionError):
    """The owner has ended, with its values."""


class LocalConnection(redis.connection.UnixDomainSocketConnection):
    """A connection of redis-py to an owner, which it starts where there is none."""

    def __init__(self, owner: Owner, **settings: Any) -> None:
        super().__init__(**settings)  # type: ignore[no-untyped-call]
        self._owner: Final = owner
        self._owner_pid: int | None = None

    def _connect(self) -> Any:
        self.path = self._owner.place()
        try:
            made = super()._connect()  # type: ignore[no-untyped-call]
        except NOBODY:
            self._owner.ensure()
            made = super()._connect()  # type: ignore[no-untyped-call]
        try:
            self._owner_pid = self._owner.attached(made)
        except BaseException:
            made.close()
            raise
        return made

    def _error_message(self, exception: BaseException) -> str:
        # redis-py would put its own words around what says it all
        if isinstance(exception, UnreachableError):
            return str(exception)
        said: str = super()._error_message(exception)  # type: ignore[no-untyped-call]
        return said

    def send_packed_command(self, *args: Any, **options: Any) -> None:
        """See redis-py.

        Raises:
            OwnerGoneError: if the owner has ended.
        """
        try:
            super().send_packed_command(*args, **options)  # type: ignore[no-untyped-call]
        except redis.ConnectionError as error:
            raise _told(error, self._owner, self._owner_pid) from error

    def read_response(self, *args: Any, **options: Any) -> Any:
        """See redis-py.

        Raises:
            OwnerGoneError: if the owner has ended.
        """
        try:
            return super().read_response(*args, **options)
        except redis.ConnectionError as error:
            raise _told(error, self._owner, self._owner_pid) from error


class AsyncLocalConnection(redis.asyncio.connection.UnixDomainSocketConnection):
    """The same for tasks; an owner is started in a thread, as that takes its time."""

    def __init__(self, *, owner: Owner, **settings: Any) -> None:
        super().__init__(**settings)
        self._owner: Final = owner
        self._owner_pid: int | None = None

    async def _connect(self) -> None:
        self.path = self._owner.place()
        try:
            await super()._connect()  # type: ignore[no-untyped-call]
        except NOBODY:
            await asyncio.to_thread(self._owner.ensure)
            await super()._connect()  # type: ignore[no-untyped-call]

    async def on_connect(self) -> None:
        """See redis-py. Checks who answers, before anything is said.

        Raises:
            UnreachableError: if it is a process of another user.
        """
        writer = self._writer
        if writer is not None:
            self._owner_pid = self._owner.attached(writer.get_extra_info("socket"))
        await super().on_connect()

    def _error_message(self, exception: BaseException) -> str:
        # redis-py would put its own words around what says it all
        if isinstance(exception, UnreachableError):
            return str(exception)
        return str(super()._error_message(exception))

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        """See redis-py.

        Raises:
            OwnerGoneError: if the owner has ended.
        """
        try:
            await super().send_packed_command(*args, **options)
        except redis.ConnectionError as error:
            raise await asyncio.to_thread(_told, error, self._owner, self._owner_pid) from error

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """See redis-py.

        Raises:
            OwnerGoneError: if the owner has ended.
        """
        try:
            return await super().read_response(*args, **options)
        except redis.ConnectionError as error:
            raise await asyncio.to_thread(_told, error, self._owner, self._owner_pid) from error


def _told(error: redis.ConnectionError, owner: Owner, pid: int | None) -> redis.ConnectionError:
    """An OwnerGoneError if that is why a connection ended, else the error as it was."""
    if isinstance(error, OwnerGoneError) or not owner.is_gone(pid):
        return error
    return OwnerGoneError(*error.args)


def local_address(url: str, options: Mapping[str, Any]) -> Address:
    """The address of an owner.

    Args:
        url: `local://name`.
        options: settings of its `Cache`, those of redis-py's connections, and `linger`: how
            long it stays without a client, as a time to live.

    Raises:
        ConfigError: for what is wrong with them.
    """
    given = dict(options)
    linger = given.pop("linger", None)
    linger_s = LINGER_S if linger is None else _seconds(linger)
    settings = {each: given.pop(each) for each in sorted(cache_settings() & given.keys())}
    if "warm" in settings:
        settings["warm"] = _from_anywhere(settings["warm"])
    _check_settings(url, settings)
    owner = Owner(url.removeprefix(f"{LOCAL}://"), linger_s, settings)
    plain = Address.parse(f"unix://{quote(owner.path)}", given)
    retrying: dict[str, Any] = {}
    awaited: dict[str, Any] = {}
    gone: tuple[type[Exception], ...] = ()
    if "retry" not in given:
        # with redis-py's defaults, a client that is made of a URL does not try again
        gone = (OwnerGoneError,)
        retrying["retry"] = redis.retry.Retry(NoBackoff(), _RETRIES, gone)
        awaited["retry"] = redis.asyncio.retry.Retry(NoBackoff(), _RETRIES, gone)
        if "retry_on_error" not in given:
            # what redis-py 5 asks for beside
            retrying["retry_on_error"] = awaited["retry_on_error"] = list(gone)
    return Address(
        plain.url,
        url,
        plain.options,
        {**retrying, "connection_class": LocalConnection, "owner": owner},
        {
            **awaited,
            "connection_class": AsyncLocalConnection,
            "owner": owner,
            "path": owner.path,
        },
        gone=gone,
    )


def local_options() -> frozenset[str]:
    """What `local_address` takes as options."""
    return (cache_settings() - {*_REFUSED}) | connection_options() | {"linger"}


def _from_anywhere(warm: Any) -> Any:
    """A warm tier's setting with its path as any process finds it: the owner runs elsewhere."""
    if isinstance(warm, (str, os.PathLike)):
        return os.path.abspath(warm)
    if isinstance(warm, Mapping) and isinstance(warm.get("path"), (str, os.PathLike)):
        return {**warm, "path": os.path.abspath(warm["path"])}
    return warm


def _seconds(linger: object) -> float:
    try:
        seconds = milliseconds_of(linger) / 1000
    except (CacheStormError, TypeError):
        seconds = 0
    if seconds <= 0:
        raise ConfigError(f'linger must be a time above zero, such as "60s", not {linger!r}')
    return seconds


def _check_settings(url: str, settings: dict[str, Any]) -> None:
    refused = [each for each in _REFUSED if each in settings]
    if refused:
        raise ConfigError(
            f"{url} has no setting {', '.join(refused)}: its values last as long as somebody "
            "uses them; run a server for more, and use redis://host:6380"
        )
    try:
        json.dumps(settings)
    except TypeError as error:
        raise ConfigError(f"{url}: settings travel to another process: {error}") from None
    own = {each: value for each, value in settings.items() if each not in _OF_TIERS}
    if own:
        # what is wrong with them is to be said here, not there
        Cache(**own)
