"""MIGRATE and RESTORE-ASKING: keys that move to another server.

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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from cachestorm.codec import bytes_of
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.wire_values import OK, Status
from cachestorm.entry import HASH
from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm.events import Cause
from cachestorm.keyspace.expiry import Idle
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import DEFAULT, Store
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.operations.containers import entry_of
from cachestorm.operations.long_command import LongCommand, Unfinished
from cachestorm.payload.dumps import dumped
from cachestorm.payload.entry_snapshot import EntrySnapshot, snapshot_of
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="generic", connection=True)

_DELETED: Final = Cause.DELETED
# how often a key is sent that somebody writes to all the time
MOST_ROUNDS: Final = 100
# what is sent, and read, at a time
PIECE_BYTES: Final = 64 * 1024
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


@dataclass(frozen=True, slots=True)
class _Copy:
    """A key of one namespace, as it is sent."""

    space: Keyspace
    key: str
    version: int
    ttl_ms: int
    snapshot: EntrySnapshot
    idle: Idle | None


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
        self._replies: list[bytes] = []
        self._failure: CacheStormError | None = None
        self._followers: Final[list[Callable[[], None]]] = []

    def _work(self) -> Iterator[None]:
        left = list(dict.fromkeys(self._names))
        replaces = self._replaces
        is_first = True
        while (other := self._ahead_of(left)) is not None:
            other._followers.append(self.wake)
            self._sleep()
            yield
        for _ in range(MOST_ROUNDS):
            copies = {name: self._copies_of(name) for name in left}
            if is_first:
                copies = {name: of_name for name, of_name in copies.items() if of_name}
                if not copies:
                    self._value = Status("NOKEY")
                    return
                _under_way.update({(id(self._space.shared), name): self for name in copies})
            requests, of_name = self._requests(copies, replaces)
            self._begin_sending(requests)
            while self._task is not None:
                self._sleep()
                yield
            left = self._taken_away(copies, of_name)
            if self._failure is not None:
                raise self._failure
            if not left:
                self._value = OK
                return
            is_first, replaces = False, True
        raise MigrationError("a key is written to faster than it can be sent")

    def _ahead_of(self, names: list[str]) -> Migration | None:
        """Another one that has one of these names on its way."""
        shared = id(self._space.shared)
        return next(
            (_under_way[shared, name] for name in names if (shared, name) in _under_way), None
        )

    def _release(self, names: Iterable[str]) -> None:
        """Names that are not on their way any more."""
        for name in names:
            key = id(self._space.shared), name
            if _under_way.get(key) is self:
                del _under_way[key]

    def _copies_of(self, name: str) -> list[_Copy]:
        found = []
        for space in self._spaces:
            entry = space.peek(name)
            if entry is not None and entry.kind == HASH:
                # not a field that is due
                entry = entry_of(space, name, HASH)
            if entry is None:
                continue
            ttl_ms = 0
            if entry.expires_at_ms:
                ttl_ms = max(1, int(entry.expires_at_ms - space.shared.now_ms()))
            snapshot = snapshot_of(entry.kind, space.value(entry), 0, tag_names_of(entry))
            idle = space.idle_of(entry)
            found.append(_Copy(space, name, int(entry.version), ttl_ms, snapshot, idle))
        return found

    def _requests(
        self, copies: dict[str, list[_Copy]], replaces: bool
    ) -> tuple[list[list[bytes]], list[str]]:
        """What is to be sent, and the name that each request is about; empty for none."""
        target = self._target
        requests: list[list[bytes]] = []
        about: list[str] = []

        def add(name: str, *words: bytes) -> None:
            requests.append(list(words))
            about.append(name)

        if target.auth:
            add("", b"AUTH", *map(bytes_of, target.auth))
        if target.database:
            add("", b"SELECT", b"%d" % target.database)
        current = DEFAULT
        seen = self._seen()
        for name, of_name in copies.items():
            if not of_name:
                # it was deleted while it was on its way
                for space in self._spaces:
                    if space.name != current and len(self._spaces) > 1:
                        add("", b"NAMESPACE", bytes_of(space.name))
                        current = space.name
                    if self._restores_by != b"RESTORE":
                        add("", b"ASKING")
                    add(name, b"DEL", bytes_of(name))
            for copy in of_name:
                if copy.space.name != current and len(self._spaces) > 1:
                    add("", b"NAMESPACE", bytes_of(copy.space.name))
                    current = copy.space.name
                words = [bytes_of(name), b"%d" % copy.ttl_ms, dumped(copy.snapshot)]
                if replaces:
                    words.append(b"REPLACE")
                if seen:
                    words += [b"SEEN", bytes_of(seen)]
                if copy.idle is not None and self._restores_by != b"RESTORE":
                    words += [b"IDLE", *_idle_words(copy.space, copy.idle)]
                add(name, self._restores_by, *words)
        return requests, about

    def _begin_sending(self, requests: list[list[bytes]]) -> None:
        self._replies = []
        self._failure = None
        self._task = asyncio.get_running_loop().create_task(self._send(requests))
        self._task.add_done_callback(self._sent)

    async def _send(self, requests: list[list[bytes]]) -> None:
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
                for words in requests:
                    parts.append(_spelled(words))
                    size += len(parts[-1])
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

    def _taken_away(self, copies: dict[str, list[_Copy]], about: list[str]) -> list[str]:
        """Removes the names that the other server has; those that it is to be sent again."""
        refused = {
            name
            for name, reply in zip(about, self._replies, strict=False)
            if reply.startswith(b"-")
        }
        refused.update(about[len(self._replies) :])
        for reply in self._replies:
            if reply.startswith(b"-") and self._failure is None:
                words = reply[1:].decode("utf-8", "replace")
                self._failure = ArgumentError(f"Target instance replied with error: {words}")
        again = []
        for name, of_name in copies.items():
            if name in refused or "" in refused or self._copies:
                continue
            sent = {(copy.space.name, copy.version) for copy in of_name}
            present = [
                (space, entry)
                for space in self._spaces
                if (entry := space.peek(name)) is not None
            ]
            if {(space.name, int(entry.version)) for space, entry in present} != sent:
                again.append(name)
                continue
            for space, entry in present:
                space.remove(entry, _DELETED)
        self._release(copies.keys() - set(again))
        return again

    def _drop(self) -> None:
        self._release(self._names)
        for wake in self._followers:
            wake()
        self._followers.clear()
        task = self._task
        self._task = None
        if task is not None:
            task.cancel()
        super()._drop()


def _idle_words(space: Keyspace, idle: Idle) -> list[bytes]:
    """How long a key outlives a hit, and how much longer it may live at all; 0 for ever."""
    ends_in_ms = 0
    if idle.ends_at_ms:
        ends_in_ms = max(1, int(idle.ends_at_ms - space.shared.now_ms()))
    return [b"%d" % idle.idle_ms, b"%d" % ends_in_ms]


def _spelled(words: list[bytes]) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    parts.extend(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    return b"".join(parts)


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


@command(
    "RESTORE-ASKING key:ow-update ttl:integer serialized-value:blob [REPLACE] [ABSTTL] "
    "[IDLETIME idletime:idle-time] [FREQ frequency:hit-frequency] [SEEN seen:string] "
    "[IDLE idle:integer ends-in:integer]",
    complexity="O(N) in the size of the value",
    group="server",
    grows=True,
    reply="ok",
    flags="asking @dangerous @keyspace",
    summary="Create a key of a slot that is being imported; sent by nodes.",
)
def restore_asking(
    session: Session,
    key: str,
    ttl: int,
    serialized_value: bytes,
    *,
    replace: bool = False,
    absttl: bool = False,
    idletime: int | None = None,
    frequency: int | None = None,
    seen: str = "",
    idle: tuple[int, int] | None = None,
) -> None:
    """Does what RESTORE does, as if the client had said ASKING before.

    Args:
        seen: which invalidations the other node had done when it copied the key; those that
            this one has done beyond them take the key away at once.
        idle: of a key that ends when nobody asks for it: how many milliseconds it outlives a
            hit, and how many it may live at all; 0 for ever.
    """
    session.cache.restore(
        key,
        ttl,
        serialized_value,
        replace=replace,
        absttl=absttl,
        idletime=idletime,
        frequency=frequency,
    )
    if idle is not None:
        _keep_idle(session.cache._space, key, *idle)
    gate = session.endpoint.cluster
    if gate is not None and seen:
        gate.router.catch_escaped(session, key, seen)


def _keep_idle(space: Keyspace, key: str, idle_ms: int, ends_in_ms: int) -> None:
    """Has a key that has arrived with a deadline end when nobody asks for it."""
    shared = space.shared
    shared.enter()
    try:
        entry = space.peek(key)
        if entry is not None and entry.expires_at_ms and idle_ms > 0:
            ends_at_ms = shared.now_ms() + ends_in_ms if ends_in_ms > 0 else 0
            space.set_idle(key, Idle(idle_ms, ends_at_ms, entry.expires_at_ms - idle_ms))
    finally:
        shared.leave()
