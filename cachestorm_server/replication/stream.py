"""The stream: all that changes in a store, on its way to its replicas.

Fed by the journal, from any thread; everything else belongs to the event loop. Calls the
sessions of the replicas, and the journal for copies of all keys.

1. A replica gets what all get, in the order in which it happened, and its offset counts that.
   Images of keys for one that has nothing yet come in between, for it alone: each where the
   store was as it says.
2. There is a stream once there was a replica. Without a journal on disk one without a file
   feeds it. It ends, with its history, when no replica has been there for a while.
3. Messages and libraries of functions go to the replicas that are there, each where the store
   was as it says. They are in no offset: who was away gets all libraries as it comes, and what
   was published meanwhile never.
4. A copy does not run ahead of the replica: no more than MOST_UNSENT_BYTES wait for that, and a
   slice holds the latch as that of a snapshot does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from _thread import get_ident
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from cachestorm.durability.journal import Journal
from cachestorm.durability.recording import Aside
from cachestorm.durability.snapshot import walk
from cachestorm.errors import CacheStormError, DurabilityError
from cachestorm.keyspace.store import Store
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.replication import link
from cachestorm_server.replication.backlog import Backlog
from cachestorm_server.replication.functions import dumped_libraries
from cachestorm_server.replication.limits import Limits
from cachestorm_server.replication.primary import Follower, Followers, State
from cachestorm_server.session import Session

# of what is fed beside the frames, that it is for all replicas; no session has that number
_ALL: Final = -1
MOST_UNSENT_BYTES: Final = 4 << 20
# a copy looks that often whether the replica has taken enough
LOOK_S: Final = 0.002

_log = logging.getLogger("cachestorm")


def new_history() -> str:
    """A name that no other stream has."""
    return os.urandom(link.ID_LETTERS // 2).hex()


class Stream:
    """That of one endpoint.

    Attributes:
        history: its name; another one each time it begins.
        former: the history that it goes on from, and up to which offset; empty for none.
        backlog: its end; None while there is no stream.
        followers: the replicas.
        waiting: called when a replica has said how far it is.
        last_follower_s: when one was there last.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._limits: Final[Limits] = endpoint.settings.replication
        self.history = new_history()
        self.former = ("", 0)
        self.backlog: Backlog | None = None
        self.followers: Final = Followers()
        self.waiting: list[Callable[[], object]] = []
        self.last_follower_s = 0.0
        # whom the server follows itself, the nearest first
        self.followed: tuple[str, ...] = ()
        self._endpoint: Final = endpoint
        self._store: Final[Store] = endpoint.cache._store
        self._journal: Journal | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # the thread that it runs in
        self._thread = 0
        # what the journal has fed: for one session, with 0 a frame for all, with _ALL all else
        self._fed: Final[deque[tuple[int, int, bytes]]] = deque()
        self._is_woken = False
        self._copies: Final[dict[int, asyncio.Task[None]]] = {}

    # -- begin and end

    def begin(self, former: str = "", backlog: Backlog | None = None) -> None:
        """Has all that changes fed from now on.

        Args:
            former: the history that what the store holds is of, up to the end of the backlog;
                empty for none.
            backlog: the end of that.
        """
        if self.backlog is not None:
            return
        self._loop, self._thread = asyncio.get_running_loop(), get_ident()
        store = self._store
        store.enter()
        try:
            journal = store.recorder
            if journal is None:
                journal = Journal("", 0, "no")
                store.record_by(journal)
            assert isinstance(journal, Journal)
            # what was changed before is written by then, and not fed
            journal.append(Aside(0, [], partial(self._begin_feed, journal)))
        finally:
            store.leave()
        self._journal = self._endpoint.journal = journal
        self.history = new_history()
        self.former = (former, backlog.offset) if former and backlog is not None else ("", 0)
        self.backlog = backlog or Backlog(self._limits.backlog_bytes)
        self.last_follower_s = time.monotonic()
        self._endpoint.broker.relay = self._relay
        with suppress(DurabilityError):
            journal.flush()

    def _begin_feed(self, journal: Journal, _: bytes) -> None:
        journal.feed = self._feed_all

    def end(self) -> None:
        """Feeds nobody any more."""
        journal, self._journal = self._journal, None
        if journal is None:
            return
        self.backlog = None
        self._endpoint.broker.relay = None
        store = self._store
        store.enter()
        try:
            journal.feed = None
            if not journal.path and store.recorder is journal:
                store.record_by(None)
        finally:
            store.leave()
        self._endpoint.journal = store.recorder
        self._fed.clear()

    # -- from the journal, in any thread

    def _feed_all(self, frame: bytes) -> None:
        self._feed(0, link.FRAMES, frame)

    def _feed(self, session_id: int, kind: int, data: bytes) -> None:
        self._fed.append((session_id, kind, data))
        loop = self._loop
        # set back before the queue is looked at: what is added meanwhile is seen, or wakes
        if not self._is_woken and loop is not None:
            self._is_woken = True
            # mostly it is the loop's own thread, which need not wake it
            is_own = self._thread == get_ident()
            call = loop.call_soon if is_own else loop.call_soon_threadsafe
            # a loop that has ended sends nothing
            with suppress(RuntimeError):
                call(self.drain)

    # -- beside the keys

    def _relay(self, kind: int, channel: bytes, data: bytes) -> None:
        """Has replicas sent what was published. Called by any thread."""
        self._say(link.PUBLISHED, link.published(kind, channel, data))

    def tell_libraries(self) -> None:
        """Has replicas sent the libraries of functions that there are by now."""
        self._say(link.LIBRARIES, dumped_libraries(self._endpoint))

    def _libraries(self) -> bytes:
        return link.message(link.LIBRARIES, dumped_libraries(self._endpoint))

    def _say(self, kind: int, data: bytes) -> None:
        journal, store = self._journal, self._store
        if journal is None or not self.followers.by_id:
            return
        store.enter()
        try:
            journal.call_behind(lambda _: self._feed(_ALL, kind, data))
        finally:
            store.leave()

    # -- to the replicas

    def drain(self) -> None:
        """Sends what was fed."""
        self._is_woken = False
        fed = self._fed
        frames: list[bytes] = []
        # no more than there is now: threads that write all the time must not hold the loop
        for _ in range(len(fed)):
            session_id, kind, data = fed.popleft()
            if session_id == 0:
                frames.append(data)
                continue
            self._send_frames(frames)
            frames = []
            if session_id == _ALL:
                self._send_to_all(link.message(kind, data))
            else:
                self._send_aside(session_id, kind, data)
        self._send_frames(frames)

    def _send_frames(self, frames: list[bytes]) -> None:
        backlog = self.backlog
        if not frames or backlog is None:
            return
        piece = b"".join(frames)
        backlog.add(piece)
        self._send_to_all(link.message(link.FRAMES, piece))

    def _send_to_all(self, data: bytes) -> None:
        for number, follower in list(self.followers.by_id.items()):
            if follower.is_fed:
                self._send(number, data)

    def _send_aside(self, session_id: int, kind: int, data: bytes) -> None:
        follower = self.followers.by_id.get(session_id)
        if follower is None or self.backlog is None:
            return
        if kind == link.FULL:
            follower.is_fed = True
            data = link.place(self.history, self.backlog.offset)
        elif kind == link.COMPLETE:
            follower.state = State.ONLINE
            _log.info("replica %s:%d has a copy of all keys", follower.address, follower.port)
        self._send(session_id, link.message(kind, data))
        if kind == link.FULL:
            self._send(session_id, self._beat() + self._libraries())

    def _send(self, session_id: int, data: bytes) -> None:
        session = self._endpoint.sessions.get(session_id)
        if session is not None:
            session.push_bytes(data)

    def _beat(self) -> bytes:
        followed = (self._endpoint.run_id, *self.followed)
        return link.message(link.BEAT, link.beat(self.offset, followed))

    @property
    def offset(self) -> int:
        """How much has been said in this history."""
        return 0 if self.backlog is None else self.backlog.offset

    # -- replicas

    def accept(self, session: Session, follower: Follower, missed: bytes | None) -> None:
        """Feeds one more replica.

        Args:
            missed: what it lacks; None: it gets all there is.
        """
        self.begin()
        self.followers.by_id[session.id] = follower
        if missed is None:
            copy = asyncio.get_running_loop().create_task(self._copy(session))
            self._copies[session.id] = copy
            copy.add_done_callback(lambda _: self._copies.pop(session.id, None))
            return
        follower.is_fed = True
        follower.state = State.ONLINE
        follower.offset = self.offset - len(missed)
        place = link.place(self.history, follower.offset)
        # behind the reply that is being made
        session.push_bytes_later(
            link.message(link.CONTINUE, place) + self._beat() + self._libraries()
        )
        if missed:
            session.push_bytes_later(link.message(link.FRAMES, missed))

    def acknowledge(self, session_id: int, offset: int, durable: int) -> None:
        """A replica has said how far it is, and how far its disk."""
        self.followers.acknowledge(session_id, offset, durable, time.monotonic())
        waiting, self.waiting = self.waiting, []
        for wake in waiting:
            wake()

    def ask_all(self, forces: bool = False) -> None:
        """Has the replicas say at once how far they are; or once that is on their disks."""
        for number, follower in self.followers.by_id.items():
            if follower.state is State.ONLINE:
                self._send(number, link.message(link.ASK, b"\x01" if forces else b""))

    def flush(self) -> int:
        """Has all fed that was changed so far. Returns how much that is."""
        journal = self._journal
        if journal is not None:
            with suppress(DurabilityError):
                journal.flush()
            self.drain()
        return self.offset

    def look(self) -> None:
        """What is to be done once a second."""
        now_s, limits = time.monotonic(), self._limits
        if self.backlog is not None and self.backlog.size != limits.backlog_bytes:
            self.backlog.resize(limits.backlog_bytes)
        self.forget_gone()
        for number in self.followers.silent(now_s, limits.timeout_s):
            _log.warning("replica of session %d says nothing: disconnected", number)
            session = self._endpoint.sessions.get(number)
            if session is not None and session.carrier is not None:
                session.carrier.abort()
        beat = self._beat()
        for number, follower in self.followers.by_id.items():
            if follower.is_fed:
                self._send(number, beat)
        if self.followers.by_id:
            self.last_follower_s = now_s
        elif self.backlog is not None and (
            0 < limits.backlog_ttl_s <= now_s - self.last_follower_s
        ):
            self.end()

    def forget_gone(self) -> None:
        """Forgets the replicas whose connections have gone."""
        sessions = self._endpoint.sessions
        for number in [each for each in self.followers.by_id if each not in sessions]:
            del self.followers.by_id[number]
            copy = self._copies.pop(number, None)
            if copy is not None:
                copy.cancel()

    # -- a copy of all keys

    async def _copy(self, session: Session) -> None:
        journal = self._journal
        if journal is None:
            return
        feed = partial(self._feed, session.id)
        self._mark(journal, partial(feed, link.FULL), 1)
        try:
            for _ in walk(self._store, journal, partial(feed, link.IMAGES)):
                await asyncio.sleep(0)
                while self._unsent_bytes(session) > MOST_UNSENT_BYTES:
                    await asyncio.sleep(LOOK_S)
                if session.id not in self._endpoint.sessions:
                    return
        except CacheStormError as error:
            _log.error("a replica gets no copy of all keys: %s", error)
            if session.carrier is not None:
                session.carrier.abort()
        else:
            self._mark(journal, partial(feed, link.COMPLETE), 0)
        finally:
            self._mark(journal, None, -1)

    def _unsent_bytes(self, session: Session) -> int:
        carrier = session.carrier
        return 0 if carrier is None else carrier.unsent_bytes()

    def _mark(
        self, journal: Journal, take: Callable[[bytes], object] | None, walkers: int
    ) -> None:
        """Has something called where all before it was fed, and nothing after it."""
        store = self._store
        store.enter()
        try:
            journal.walkers += walkers
            if take is not None:
                journal.append(Aside(0, [], take))
        finally:
            store.leave()
        if take is not None:
            with suppress(DurabilityError):
                journal.flush()
