"""The endpoint: what all sessions of one RESP server share, and how they are reached.

Made by the server, or by a test; sessions add themselves to it. Belongs to one event loop:
other threads call `post`, and nothing else.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from librt.strings import BytesWriter
from librt.time import time as wall_time
from mypy_extensions import i64, mypyc_attr

from cachestorm.cache import Cache
from cachestorm.declare.plan import Plan
from cachestorm.declare.registry import Registry
from cachestorm.errors import DurabilityError
from cachestorm.hooks import Hook
from cachestorm.keyspace.recorder import Recorder
from cachestorm.keyspace.store import rss_bytes
from cachestorm.operations.long_command import LongCommand
from cachestorm_server.acl.users import Users
from cachestorm_server.admission import BusyError, Occupant, has_flag
from cachestorm_server.availability import Availability
from cachestorm_server.handshakes import Handshakes
from cachestorm_server.notifications import Notifications
from cachestorm_server.pause import Pause
from cachestorm_server.settings import Settings
from cachestorm_server.settling import Settling
from cachestorm_server.statistics import Statistics
from cachestorm_server.tracking import Tracking

if TYPE_CHECKING:
    from cachestorm.durability.directory import DataDirectory
    from cachestorm_server.cluster.gate import Gate
    from cachestorm_server.plugin_calls import CommandHooks
    from cachestorm_server.replication.replication import Replication
    from cachestorm_server.session import Session
    from cachestorm_server.speaker import Speaker


class Wake:
    """What is posted to a blocked session when its long command has been woken."""


WAKE: Final = Wake()


@mypyc_attr(allow_interpreted_subclasses=True)
class Carrier:
    """What carries the bytes of one session: a connection, or a test."""

    def send(self, data: bytes) -> None:
        """Sends bytes behind those that were sent before."""

    def unsent_bytes(self) -> int:
        """How much the client has not taken yet."""
        return 0

    def resume(self) -> None:
        """Goes on with a session whose long command has been woken: soon, but not now."""

    def unblock_at(self, when: float, long_command: LongCommand) -> None:
        """Unblocks the session's long command at a time, as `time.monotonic` counts."""

    def disconnect(self) -> None:
        """Ends the connection, once the client has taken what was sent."""

    def leave(self) -> None:
        """Ends the connection, once all that was asked has been answered."""

    def abort(self) -> None:
        """Ends the connection, now; what was not taken is dropped."""

    def settle(self, is_written: bool) -> None:
        """Goes on once what its session has changed is as safe as was promised, or is not."""


class Endpoint:
    """What all sessions of one RESP endpoint share. Belongs to one event loop.

    Attributes:
        cache: the default namespace.
        has_tiers: whether values may be elsewhere than in memory.
        journal: what is written before a reply goes; None without a data directory.
        broker: of the channels that clients listen to.
        notifications: what is published of what happens to keys and tags.
        pause: what CLIENT PAUSE holds back.
        availability: what is refused while data is loaded, or the disk fails.
        statistics: of the commands, and what was slow.
        tracking: which clients keep which keys.
        sessions: the open ones, by id.
        started_at: seconds since 1970.
        event_loop: which library carries the bytes.
        tick: seconds since the start, as the listener's timer counts them.
        last_id: of the latest session.
        connections, commands, errors, rejected, net_in_bytes, net_out_bytes: totals.
        reads, sendings: how often something has come, or was sent, over RESP.
        handshakes, http_handshakes: clients of TLS that have come and are no session yet.
        http_connections: those of HTTP that are open.
        http_rejected, http_timed_out: those refused as there were too many, and those closed
            without a whole header in time: totals.
        too_many, http_too_many, denied: refused clients that have not been logged yet.
        wrong_passwords: so many were given, at any protocol, that have not been logged yet.
        last_guesser: the address that the last of them came from.
        cut_off: clients disconnected for too much unsent output.
        too_large: and those for too large a request.
        wake: has the event loop call `deliver`; any thread may call it.
        shut_down: stops the server; None where it is not for clients to do so.
        executing: the session that is being answered while pushes are delivered.
        is_delivering: what is pushed is sent when all that was posted has been.
        told: the sessions that something was pushed to in the delivery.
        will_deliver: the event loop's thread calls `deliver_rest` soon, so nobody calls `wake`.
        monitors: the sessions that are shown what others ask, by id.
        engine: runs the scripts that clients send; made by the first who does.
        occupant: what keeps all clients but its own from being answered; None mostly.
        meanwhile: serves them for a moment while there is one, or with False ends to do so;
            None where there are no others.
        users: who may do what.
        reaped_for_s: how long it took to free what had expired, between writes.
        settling: the carriers whose replies wait for the disk.
        is_reaping: what has expired is freed between writes, too.
        replication: whom it follows, and who follows it; None where a program owns the cache.
        hooks: of plugins, around commands; None if there are none.
        plugin_hooks: these and those of the store.
        cluster: knows what other nodes answer; None without a cluster.
    """

    def __init__(
        self,
        cache: Cache,
        registry: Registry,
        settings: Settings,
        notifications: Notifications | None = None,
        users: Users | None = None,
    ) -> None:
        self.cache: Final = cache.serving_others()
        self.broker: Final = self.cache._store.broker
        tiering = self.cache._store.tiering
        self.has_tiers: Final = tiering is not None
        if tiering is not None:
            tiering.is_background = True
        self.availability: Final = Availability()
        self.journal: Recorder | None = None
        if notifications is None:
            self.be_kept(self.cache._directory())
        self.notifications: Final = notifications or Notifications(self.cache)
        self.pause: Final = Pause(self.cache)
        self.tracking: Final = Tracking(self)
        self.registry: Final = registry
        self.settings: Final = settings
        self.users: Final = users or Users(registry, settings.password, settings.acl_file)
        self.statistics: Final = Statistics(settings)
        self.sessions: Final[dict[int, Session]] = {}
        self.run_id: Final = os.urandom(20).hex()
        self.started_at: float = wall_time()
        cache._store.startup_bytes = rss_bytes()
        self.out: BytesWriter = BytesWriter()
        self.event_loop: str = ""
        self.tick: i64 = 0
        self.last_id: i64 = 0
        self.connections: i64 = 0
        self.commands: i64 = 0
        self.errors: i64 = 0
        self.rejected: i64 = 0
        self.too_many: i64 = 0
        self.handshakes: Final = Handshakes()
        self.http_handshakes: Final = Handshakes()
        self.http_connections: i64 = 0
        self.http_rejected: i64 = 0
        self.http_timed_out: i64 = 0
        self.http_too_many: i64 = 0
        self.denied: i64 = 0
        self.wrong_passwords: i64 = 0
        self.last_guesser: str = ""
        self.net_in_bytes: i64 = 0
        self.net_out_bytes: i64 = 0
        self.reads: i64 = 0
        self.sendings: i64 = 0
        self.ops_per_s: i64 = 0
        self.in_bytes_per_s: i64 = 0
        self.out_bytes_per_s: i64 = 0
        self.cut_off: i64 = 0
        self.too_large: i64 = 0
        self.wake: Callable[[], None] | None = None
        self.shut_down: Callable[[], object] | None = None
        self.executing: Session | None = None
        self.is_delivering: bool = False
        self.told: list[Speaker] = []
        self.will_deliver: bool = False
        self.monitors: Final[dict[int, Session]] = {}
        self.engine: object = None
        self.occupant: Occupant | None = None
        self.meanwhile: Callable[[bool], object] | None = None
        self.is_reaping: bool = True
        self.reaped_for_s: float = 0.0
        self.replication: Replication | None = None
        self.hooks: CommandHooks | None = None
        self.plugin_hooks: list[Hook] = []
        self.cluster: Gate | None = None
        self.settling: Final = Settling(self._write_all)
        self._posts: Final[deque[tuple[int, object]]] = deque()
        self._is_awake: bool = False

    def admit(self) -> bool:
        """Whether one more client may come; who may not is counted."""
        if len(self.sessions) + self.handshakes.count() < self.settings.max_clients:
            return True
        self.rejected += 1
        self.too_many += 1
        return False

    def admit_http(self) -> bool:
        """As `admit`, of HTTP."""
        if (
            self.http_connections + self.http_handshakes.count()
            < self.settings.max_http_clients
        ):
            return True
        self.http_rejected += 1
        self.http_too_many += 1
        return False

    def be_kept(self, directory: DataDirectory | None) -> None:
        """Answers from now on when what was written is in the journal of a directory."""
        self.availability.directory = directory
        self.journal = self.cache._store.recorder

    def _write_all(self) -> bool:
        """Writes what was held back. Returns whether it is as safe as was promised."""
        journal = self.journal
        return journal is None or self.write(journal)

    def write(self, journal: Recorder) -> bool:
        """Writes what was held back. Returns whether it is as safe as was promised."""
        is_written = True
        try:
            journal.flush()
        except DurabilityError:
            is_written = False
        if journal.failure != "" and not is_written:
            self.look_at_disk()
        return is_written

    def watch_over_all(self) -> None:
        """Has all sessions look anew what is refused."""
        for session in self.sessions.values():
            session.watch_over()

    def look_at_disk(self) -> None:
        """Refuses writes if the disk fails, and takes them again once it works."""
        if self.availability.look():
            self.watch_over_all()

    def post(self, session_id: int, value: object) -> None:
        """Pushes a value to a session, from any thread; to nobody if it has gone.

        What is posted arrives in the order in which it was posted.
        """
        if session_id not in self.sessions:
            return
        self._posts.append((session_id, value))
        wake = self.wake
        # both set back before the queue is looked at: what is added meanwhile is seen, or wakes
        if wake is not None and not self._is_awake and not self.will_deliver:
            self._is_awake = True
            wake()

    def deliver_rest(self) -> None:
        """Pushes what was posted while `will_deliver` was set, which it ends."""
        self.will_deliver = False
        if self._posts:
            self.deliver()

    def deliver_to(self, executing: Session) -> None:
        """Pushes what was posted, on behalf of a session that is being answered."""
        if self._posts:
            self.executing = executing
            try:
                self.deliver()
            finally:
                self.executing = None

    def deliver(self) -> None:
        """Pushes what was posted. Called by the event loop."""
        self._is_awake = False
        posts = self._posts
        self.is_delivering = True
        try:
            # no more than there are now: threads that post all the time must not hold the loop
            for _ in range(len(posts)):
                session_id, value = posts.popleft()
                session = self.sessions.get(session_id)
                if session is not None:
                    session.take(value)
        finally:
            self.is_delivering = False
            told = self.told
            self.told = []
            for speaker in told:
                speaker.send_told()
        if posts and self.wake is not None and not self._is_awake:
            self._is_awake = True
            self.wake()

    def asks(self) -> bool:
        """Whether something is to be done before each command, whoever sends it."""
        return self.hooks is not None or self.has_tiers

    def is_unusual(self) -> bool:
        """Whether something is going on that all sessions have to look after."""
        return (
            bool(self.monitors)
            or self.pause.is_on
            or self.availability.is_limited
            or self.occupant is not None
        )

    def check_free(self, plan: Plan, session_id: int) -> None:
        """Refuses a request while a script keeps the endpoint for itself.

        Raises:
            BusyError: with Redis' text.
        """
        occupant = self.occupant
        if occupant is None or occupant.session_id == session_id:
            return
        if not has_flag(plan, "allow_busy"):
            raise BusyError(occupant.refusal)

    def serve_others(self, occupant: Occupant) -> None:
        """Answers other clients for a moment: almost all that they ask is refused.

        Called in the midst of a command, by what takes long.
        """
        if self.occupant is None:
            self.occupant = occupant
            self._guard_all()
        meanwhile = self.meanwhile
        if meanwhile is not None:
            out = self.out
            # what is being answered is not to be written over
            self.out = BytesWriter()
            try:
                meanwhile(True)
            finally:
                self.out = out

    def set_free(self) -> None:
        """What has kept the endpoint for itself has come to its end."""
        self.occupant = None
        self._guard_all()
        if self.meanwhile is not None:
            self.meanwhile(False)

    def _guard_all(self) -> None:
        for session in list(self.sessions.values()):
            session.watch_over()

    def reset_stats(self) -> None:
        """Sets the totals back to zero."""
        self.connections = 0
        self.commands = 0
        self.errors = 0
        self.rejected = 0
        self.http_rejected = 0
        self.http_timed_out = 0
        self.net_in_bytes = 0
        self.net_out_bytes = 0
        self.reads = 0
        self.sendings = 0
        self.cut_off = 0
        self.too_large = 0
        self.reaped_for_s = 0.0
        self.statistics.reset()
