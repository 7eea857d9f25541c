"""MIGRATE: keys that move to another server, where RESTORE-ASKING takes them.

Declared like all commands, with a session in the place of the cache. Called by plans.

1. A key leaves here once the other server has said that it has it, and only as it was then: one
   that is written to meanwhile is sent again. So no write that was answered is lost, and at
   every moment one of the two answers for the key.
2. In a cluster a name moves in all namespaces that have it, and leaves here in one step.
3. An invalidation that the other node has done and this one has not yet would miss a key that
   is on its way: the other one takes it away as it arrives, by what this one says it has done.
4. Other clients are served while the keys are on their way. A name counts as being here until
   all that is to be sent of it has arrived, also if its key is deleted meanwhile: else a client
   would be sent to where the old copy is yet to be deleted.
5. A name is on one way at a time: a second MIGRATE of it waits for the first.

Source: https://redis.io/docs/latest/commands/migrate/, and `migrateCommand` in `cluster.c` of
Redis 7.2, whose texts these are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from cachestorm.codec import bytes_of
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.wire_values import OK, Status
from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import DEFAULT, Store
from cachestorm.operations.long_command import LongCommand, Unfinished
from cachestorm_server.cluster.parcels import Parcel, packed, spelled, take_away
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="generic", connection=True)

# how often a key is sent that somebody writes to all the time
MOST_ROUNDS: Final = 100
# what is sent, and read, at a time
PIECE_BYTES: Final = 64 * 1024
# how many names are packed, or removed, before others may be served
PIECE: Final = 16
_OK: Final = b"+OK"
# where the client says 0
DEFAULT_TIMEOUT_MS: Final = 1000


# by store and name, what has it on its way
_under_way: Final[dict[tuple[int, str], Migration]] = {}


def is_under_way(store: Store, name: str) -> bool:
    """Whether a key is being sent, or its removal."""
    return bool(_under_way) and (id(store), name) in _under_way


class MigrationError(CacheStormError):
    """The other server was not reached, or did not answer in time."""

    code = "IOERR"
    http_status = 502


@dataclass(frozen=True, slots=True)
class Target:
    """The other server, and how it is spoken to."""

    host: str
    port: int
    database: int
    timeout_ms: int
    auth: tuple[str, ...]


class Migration(LongCommand):
    """Keys on their way to another server."""

    def __init__(
        self,
        space: Keyspace,
        spaces: list[Keyspace],
        names: list[str],
        target: Target,
        restores_by: bytes,
        copies: bool,
        replaces: bool,
        seen: Callable[[], str],
    ) -> None:
        super().__init__(space)
        self._spaces: Final = spaces
        self._names: Final = names
        self._target: Final = target
        self._restores_by: Final = restores_by
        self._copies: Final = copies
        self._replaces: Final = replaces
        self._seen: Final = seen
        self._task: asyncio.Task[None] | None = None
        # the names that it has on their way
        self._held: Final[set[str]] = set()
        # by name, as it was packed; what is to be sent, and the name that each request is about
        self._parcels: dict[str, list[Parcel]] = {}
        self._requests: list[bytes] = []
        self._about: list[str] = []
        # the namespace that the requests so far end in
        self._entered = DEFAULT
        self._replies: list[bytes] = []
        self._failure: CacheStormError | None = None
        self._followers: Final[list[Callable[[], None]]] = []

    def _work(self) -> Iterator[None]:
        left = list(dict.fromkeys(self._names))
        replaces = self._replaces
        while (other := self._ahead_of(left)) is not None:
            other._followers.append(self.wake)
            self._sleep()
            yield
        left = [name for name in left if self._has(name)]
        if not left:
            self._value = Status("NOKEY")
            return
        self._held.update(left)
        _under_way.update({(id(self._space.shared), name): self for name in left})
        for number in range(MOST_ROUNDS):
            yield from self._pack(left, replaces, is_again=number > 0)
            self._begin_sending()
            while self._task is not None:
                self._sleep()
                yield
            left = yield from self._take_away()
            if self._failure is not None:
                raise self._failure
            if not left:
                self._value = OK
                return
            replaces = True
        raise MigrationError("a key is written to faster than it can be sent")

    def _has(self, name: str) -> bool:
        return any(space.peek(name) is not None for space in self._spaces)

    def _ahead_of(self, names: list[str]) -> Migration | None:
        """Another one that has one of these names on its way."""
        shared = id(self._space.shared)
        return next(
            (_under_way[shared, name] for name in names if (shared, name) in _under_way), None
        )

    def _release(self, name: str) -> None:
        """A name is not on its way any more."""
        del _under_way[id(self._space.shared), name]
        self._held.discard(name)

    def _pack(self, names: list[str], replaces: bool, is_again: bool) -> Iterator[None]:
        """Works out what is to be sent of these names, also of those that are none any more."""
        # first: what is invalidated in between, a key that is packed later has not escaped
        seen = self._seen()
        is_node = self._restores_by != b"RESTORE"
        options = [b"REPLACE"] if replaces else []
        if seen:
            options += [b"SEEN", bytes_of(seen)]
        self._parcels, self._requests, self._about = {}, [], []
        self._entered = DEFAULT
        target = self._target
        if target.auth:
            self._ask("", b"AUTH", *map(bytes_of, target.auth))
        if target.database:
            self._ask("", b"SELECT", b"%d" % target.database)
        for number, name in enumerate(names, 1):
            parcels = self._parcels[name] = packed(self._spaces, name)
            for parcel in parcels:
                self._enter(parcel.space)
                self._requests.append(parcel.restore(self._restores_by, options, is_node))
                self._about.append(name)
            if is_again and not parcels:
                self._delete(name, is_node)
            if number % PIECE == 0:
                yield

    def _ask(self, name: str, *words: bytes) -> None:
        """Has a request sent that is about a name."""
        self._requests.append(spelled(words))
        self._about.append(name)

    def _enter(self, space: Keyspace) -> None:
        """Has what follows done in a namespace."""
        if space.name != self._entered and len(self._spaces) > 1:
            self._ask("", b"NAMESPACE", bytes_of(space.name))
            self._entered = space.name

    def _delete(self, name: str, is_node: bool) -> None:
        """Has a name deleted, which was deleted here while it was on its way."""
        for space in self._spaces:
            self._enter(space)
            if is_node:
                self._ask("", b"ASKING")
            self._ask(name, b"DEL", bytes_of(name))

    def _begin_sending(self) -> None:
        self._replies = []
        self._failure = None
        self._task = asyncio.get_running_loop().create_task(self._send(self._requests))
        self._task.add_done_callback(self._sent)

    async def _send(self, requests: list[bytes]) -> None:
        target = self._target
        timeout_s = max(target.timeout_ms, 1) / 1000
        text = "error or timeout connecting to the client"
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(target.host, target.port)
        except (OSError, TimeoutError) as error:
            raise MigrationError(text) from error
        try:
            async with asyncio.timeout(timeout_s):
                text = "error or timeout writing to target instance"
                parts: list[bytes] = []
                size = 0
                for request in requests:
                    parts.append(request)
                    size += len(request)
                    if size >= PIECE_BYTES:
                        writer.write(b"".join(parts))
                        parts, size = [], 0
                        await writer.drain()
                writer.write(b"".join(parts))
                await writer.drain()
                text = "error or timeout reading from target instance"
                begun = b""
                while len(self._replies) < len(requests):
                    data = await reader.read(PIECE_BYTES)
                    if not data:
                        raise ConnectionError("the other server has ended")
                    *lines, begun = (begun + data).split(b"\r\n")
                    self._replies += lines
        except (OSError, TimeoutError) as error:
            raise MigrationError(text) from error
        finally:
            writer.close()

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, CacheStormError):
            self._failure = error
        elif error is not None:
            self._failure = MigrationError(f"error writing to target instance: {error}")
        self.wake()

    def _take_away(self) -> Generator[None, None, list[str]]:
        """Removes the names that the other server has; those that it is to be sent again."""
        refused = self._refused()
        again: list[str] = []
        for number, (name, parcels) in enumerate(self._parcels.items(), 1):
            is_refused = name in refused or "" in refused
            if self._copies or is_refused or take_away(self._spaces, name, parcels):
                self._release(name)
            else:
                again.append(name)
            if number % PIECE == 0:
                yield
        return again

    def _refused(self) -> set[str]:
        """The names that the other server has not taken; notes the first reason."""
        replies, about = self._replies, self._about
        if replies.count(_OK) == len(about):
            return set()
        refused = set(about[len(replies) :])
        for name, reply in zip(about, replies, strict=False):
            if reply.startswith(b"-"):
                refused.add(name)
                if self._failure is None:
                    words = reply[1:].decode("utf-8", "replace")
                    text = f"Target instance replied with error: {words}"
                    self._failure = ArgumentError(text)
        return refused

    def _drop(self) -> None:
        for name in list(self._held):
            self._release(name)
        for wake in self._followers:
            wake()
        self._followers.clear()
        task = self._task
        self._task = None
        if task is not None:
            task.cancel()
        super()._drop()


@command(
    "MIGRATE host:string port:string key:rw-access-delete destination-db:integer "
    "timeout:integer [COPY] [REPLACE] [AUTH password:string | AUTH2 username:string "
    "password:string] [KEYS keys:rw-access-delete [keys:rw-access-delete ...]]",
    complexity="O(N) in the size of the values, here and on the other server",
    writes=True,
    flags="no_multi noscript @keyspace @dangerous",
    tips="nondeterministic_output",
    summary="Move keys to another server, with their tags.",
)
def migrate(
    session: Session,
    host: str,
    port: str,
    key: str,
    destination_db: int,
    timeout: int,
    *keys: str,
    copy: bool = False,
    replace: bool = False,
    password: str = "",
    auth2: tuple[str, str] | None = None,
) -> object:
    """Moves one key, or with an empty one those of KEYS.

    Returns:
        OK, or NOKEY where there is none of them.

    Raises:
        ArgumentError: for both a key and KEYS, another database than 0 in a cluster, and what
            the other server refuses.
        MigrationError: if it is not reached in time; what it has not taken has stayed.
    """
    if keys and key:
        raise ArgumentError(
            "When using MIGRATE KEYS option, the key argument must be set to the empty string"
        )
    gate = session.endpoint.cluster
    is_node = gate is not None
    if is_node and destination_db != 0:
        raise ArgumentError("Target DB is not 0 in cluster mode")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise MigrationError("error or timeout connecting to the client")
    auth = auth2 or ((password,) if password else ())
    timeout_ms = timeout if timeout > 0 else DEFAULT_TIMEOUT_MS
    target = Target(host, int(port), destination_db, timeout_ms, auth)
    space = session.cache._space
    migration = Migration(
        space,
        session.cache._store.spaces() if is_node else [space],
        list(keys) if keys else [key],
        target,
        b"RESTORE-ASKING" if is_node else b"RESTORE",
        copy,
        replace,
        gate.router.seen if gate is not None else str,
    )
    if migration.step():
        return migration.result()
    raise Unfinished(migration)
