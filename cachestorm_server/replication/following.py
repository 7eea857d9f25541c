"""Following: the replica's end of the link, a task on the server's event loop.

Made by `replication.py`. Does what `follower.py` decides: opens the connection, puts what
comes into the store, and says how far it is.

1. What comes is done again as a journal is at a start: in transactions, at the time at which
   it happened. A slice ends after SLICE_S, and others are served.
2. Nothing expires here by itself, and nothing is evicted: the primary says what has gone. What
   is due is hidden from readers.
3. From FULL until COMPLETE there is only a part of all keys, and clients are told LOADING.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from cachestorm.channels import SHARD
from cachestorm.durability.replay import Replay, settle
from cachestorm.errors import CacheStormError, CodecError, DurabilityError, PayloadError
from cachestorm.keyspace.store import Store
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.net import spell_address
from cachestorm_server.replication import link
from cachestorm_server.replication.backlog import Backlog
from cachestorm_server.replication.follower import Deed, Follower, LinkError, State
from cachestorm_server.replication.functions import take_libraries
from cachestorm_server.replication.limits import Limits

SLICE_S: Final = 0.002
READ_BYTES: Final = 1 << 18
CONNECT_S: Final = 5.0
# a line of RESP is no longer than that
LINE_BYTES: Final = 4096

_log = logging.getLogger("cachestorm")


class Primary(NamedTuple):
    """Whom to follow.

    Attributes:
        host, port: where it listens.
        user, password: whom to say we are; without a password nothing is said.
        meant, member: the ids of that node of a cluster, and of this one; empty for none.
    """

    host: str
    port: int
    user: str = ""
    password: str = ""
    meant: str = ""
    member: str = ""

    def __str__(self) -> str:
        return spell_address((self.host, self.port))


class Following:
    """A task that follows one primary until it is cancelled.

    Args:
        changed: called when what clients may ask has changed.

    Attributes:
        primary: whom it follows.
        follower: how far it is.
        backlog: what came last, for replicas of this server once it is a primary.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        primary: Primary,
        limits: Limits,
        changed: Callable[[], object],
    ) -> None:
        self.primary: Final = primary
        self.follower: Final = Follower(endpoint.run_id, time.monotonic(), limits.timeout_s)
        self._endpoint: Final = endpoint
        self._store: Final[Store] = endpoint.cache._store
        self._changed: Final = changed
        self._limits: Final = limits
        self._writer: asyncio.StreamWriter | None = None
        self._replay: Replay | None = None
        self.backlog = Backlog(limits.backlog_bytes)
        # what is being applied, until all of it is
        self._underway: tuple[link.Message, Iterator[bytes]] | None = None
        # up to where all is on the disk
        self._durable = 0
        self._store.rest()

    def has(self, history: str, backlog: Backlog) -> None:
        """Says that the store holds all of a history, up to the end of this."""
        self.follower.history, self.follower.offset = history, backlog.offset
        self.backlog = backlog

    def finish(self) -> None:
        """Applies what has come in part."""
        if self._underway is not None:
            message, bodies = self._underway
            try:
                while self._slice(bodies):
                    pass
            except CacheStormError as error:
                _log.error("what came of %s is not all applied: %s", self.primary, error)
                self.follower.history = ""
            self._applied(message)

    def end(self) -> None:
        """Makes the store one that changes by itself again. What was copied in part goes."""
        store = self._store
        self.drop_part()
        store.begin()
        try:
            for space in store.spaces():
                space.resume_limits()
            settle(store, store.clock.now_ms())
        finally:
            store.end()
        store.end_rest()

    def let_go(self) -> None:
        """Has nothing more come, once the task has been cancelled."""
        self.finish()
        self._failed("")

    def ask_to_take_over(self) -> None:
        """Has the primary hand over what it has."""
        if self._writer is not None:
            self._writer.write(link.request(["FOLLOW", "TAKEOVER"]))

    def drop_part(self) -> None:
        """Has nothing left of a copy that is not complete."""
        if self.follower.state is State.SYNC:
            self._clear()

    # -- the connection

    async def run(self) -> None:
        """Follows, and connects anew whenever the connection has gone."""
        follower = self.follower
        while True:
            await asyncio.sleep(max(follower.next_s - time.monotonic(), 0.0))
            follower.connecting()
            why = ""
            try:
                await self._follow()
                why = "the connection has gone"
            except (OSError, EOFError) as error:
                why = str(error) or type(error).__name__
            except PayloadError:
                why = "what came is damaged"
            except CacheStormError as error:
                why = str(error)
            self._failed(why)

    def _failed(self, why: str) -> None:
        follower = self.follower
        if why not in ("", follower.why):
            _log.warning("replica of %s: %s", self.primary, why)
        if self._underway is not None:
            # a part of it is there
            self._underway = None
            follower.history = ""
        self.drop_part()
        follower.failed(why, time.monotonic())
        self._replay = None
        self._changed()

    async def _follow(self) -> None:
        primary, follower = self.primary, self.follower
        async with asyncio.timeout(CONNECT_S):
            # nodes of a cluster tell each other a port without TLS
            tls = None if primary.meant else self._limits.tls
            reader, writer = await asyncio.open_connection(
                primary.host, primary.port, limit=LINE_BYTES, ssl=tls
            )
        self._writer = writer
        try:
            follower.connected(time.monotonic())
            async with asyncio.timeout(CONNECT_S):
                await self._shake_hands(reader, writer)
            parser = link.Parser()
            while data := await reader.read(READ_BYTES):
                for message in parser.feed(data):
                    await self._take(message)
        finally:
            self._writer = None
            writer.transport.abort()

    async def _shake_hands(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        follower, primary = self.follower, self.primary
        if primary.password:
            words = ["AUTH", *([primary.user] if primary.user else []), primary.password]
            await self._say(reader, writer, words)
        port = self._endpoint.settings.port
        words = ["FOLLOW", "FROM", str(link.VERSION), follower.node]
        words += [follower.history or "?", str(follower.offset), str(port)]
        if primary.meant:
            words += [primary.meant, primary.member]
        await self._say(reader, writer, words)

    async def _say(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, words: list[str]
    ) -> None:
        writer.write(link.request(words))
        try:
            line = await reader.readuntil(b"\r\n")
        except asyncio.LimitOverrunError as error:
            raise LinkError("it does not speak RESP") from error
        if not line.startswith(b"+"):
            raise LinkError(f"refused: {line[1:-2].decode('utf-8', 'replace')}")

    def look(self) -> None:
        """What is to be done once a second."""
        writer = self._writer
        if writer is None:
            return
        self.follower.timeout_s = self._limits.timeout_s
        if self.follower.is_late(time.monotonic()):
            writer.transport.abort()
        else:
            self._acknowledge()

    def _acknowledge(self) -> None:
        if self._writer is not None and self.follower.state in (State.SYNC, State.CONNECTED):
            words = ["FOLLOW", "ACK", str(self.follower.offset), str(self._durable)]
            self._writer.write(link.request(words))

    def _force(self) -> None:
        """Has what came so far forced to the disk, and says so then."""
        directory = self._endpoint.availability.directory
        if directory is not None and directory.journal is not None:
            follower = self.follower
            said = partial(self._forced, follower.history, follower.offset)
            directory.when_forced(partial(_tell, asyncio.get_running_loop(), said))

    def _forced(self, history: str, offset: int) -> None:
        if history == self.follower.history:
            self._durable = offset
            self._acknowledge()

    # -- what comes

    async def _take(self, message: link.Message) -> None:
        deed = self.follower.hear(message, time.monotonic())
        if deed is Deed.CLEAR:
            self._durable = 0
            self.backlog = Backlog(self._limits.backlog_bytes, self.follower.offset)
            _log.info("replica of %s: all keys are copied", self.primary)
            self._clear()
            self._changed()
        elif deed is Deed.APPLY:
            await self._apply(message)
        elif deed is Deed.OPEN:
            self._complete()
        elif deed is Deed.TELL:
            self._acknowledge()
            if message.body:
                self._force()
        elif deed is Deed.PUBLISH:
            self._publish(*link.read_published(message.body))
        elif deed is Deed.LOAD:
            take_libraries(self._endpoint, message.body)

    def _publish(self, kind: int, channel: bytes, data: bytes) -> None:
        """Sends a message to who listens here, and to the replicas of this one."""
        broker = self._endpoint.broker
        if kind == SHARD:
            broker.publish_to_shard(channel, data)
        else:
            broker.publish(channel, data)

    def _complete(self) -> None:
        _log.info("replica of %s: connected", self.primary)
        self._changed()
        self._acknowledge()

    def _clear(self) -> None:
        store = self._store
        store.begin()
        try:
            for space in store.spaces():
                space.flush()
                space.configure(0, 0)
        finally:
            self._end(store)

    async def _apply(self, message: link.Message) -> None:
        bodies = link.bodies(message.body)
        self._underway = (message, bodies)
        while self._slice(bodies):
            await asyncio.sleep(0)
        self._applied(message)

    def _applied(self, message: link.Message) -> None:
        self._underway = None
        self.follower.applied(message)
        if message.kind == link.FRAMES:
            self.backlog.add(message.body)

    def _slice(self, bodies: Iterator[bytes]) -> bool:
        """Does again what some frames say. Returns whether there may be more."""
        store, replay = self._store, self._replay
        if replay is None:
            replay = self._replay = Replay(store, self._endpoint.cache._forms, True)
        ends_at = time.monotonic() + SLICE_S
        store.begin()
        try:
            for body in bodies:
                replay.apply(body)
                if time.monotonic() >= ends_at:
                    return True
            return False
        except CodecError as error:
            raise LinkError(f"a value cannot be read here: {error}") from error
        finally:
            self._end(store)

    def _end(self, store: Store) -> None:
        # what its own journal cannot write is kept, and written when that works
        with suppress(DurabilityError):
            store.end()


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    # a loop that has ended is told nothing
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
