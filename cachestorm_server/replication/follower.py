"""The follower: what a replica does next, as a function of what has happened and when. Pure.

Told of each event by whoever has the socket, with the time; answers with what to do. It keeps
what the replica has (history and offset), and waits longer after each failure in a row.

    state        what has happened                       next
    -----        -----------------                       ----
    CONNECT      its time has come                       CONNECTING: open a connection
    CONNECTING   the connection is there                 HANDSHAKE: say who we are, and FOLLOW
                 an error                                CONNECT, later
    HANDSHAKE    FULL                                    SYNC: drop all keys
                 CONTINUE                                CONNECTED
                 a refusal                               CONNECT, later
    SYNC         IMAGES, FRAMES                          apply them
                 PUBLISHED, LIBRARIES                    do as it says
                 COMPLETE                                CONNECTED
                 the connection has gone                 CONNECT: the part that is there goes
    CONNECTED    FRAMES                                  apply them
                 PUBLISHED, LIBRARIES                    do as it says
                 the connection has gone                 CONNECT: the offset is kept
    any of them  nothing was heard for too long          as if the connection had gone
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from cachestorm.errors import CacheStormError
from cachestorm_server.replication.link import (
    ASK,
    BEAT,
    COMPLETE,
    CONTINUE,
    FRAMES,
    FULL,
    IMAGES,
    LIBRARIES,
    PUBLISHED,
    Message,
    read_beat,
    read_place,
)

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0


class LinkError(CacheStormError):
    """A connection to a primary that is of no use."""


class State(Enum):
    """How far a replica is, as ROLE says it."""

    CONNECT = "connect"
    CONNECTING = "connecting"
    HANDSHAKE = "handshake"
    SYNC = "sync"
    CONNECTED = "connected"


class Deed(Enum):
    """What is to be done about a message."""

    NOTHING = "nothing"
    TELL = "tell"
    CLEAR = "clear"
    APPLY = "apply"
    OPEN = "open"
    PUBLISH = "publish"
    LOAD = "load"


# what comes beside the keys
_ALONGSIDE: Final = {PUBLISHED: Deed.PUBLISH, LIBRARIES: Deed.LOAD}


class Follower:
    """A replica of one primary.

    Args:
        node: our own run id.
        now_s: the time, by a clock that is never set.

    Attributes:
        state: how far it is.
        history, offset: what it has; an empty history for nothing that is of use.
        primary_offset: how far its primary was by its last word.
        followed: the run ids of its primary, and of whom that one follows.
        heard_s: when it last heard of its primary.
        next_s: when it is to connect.
        failures: how many attempts have failed in a row.
        why: the reason of the last failure; empty for none.
        down_since_s: since when there is no connection.
    """

    def __init__(self, node: str, now_s: float, timeout_s: float) -> None:
        self.node: Final = node
        self.timeout_s = timeout_s
        self.state = State.CONNECT
        self.history = ""
        self.offset = 0
        self.primary_offset = 0
        self.followed: tuple[str, ...] = ()
        self.heard_s = self.next_s = self.down_since_s = now_s
        self.failures = 0
        self.why = ""

    @property
    def is_whole(self) -> bool:
        """Whether it has all that its primary had at some time."""
        return self.history != "" and self.state is not State.SYNC

    def connecting(self) -> None:
        """A connection is being opened."""
        self.state = State.CONNECTING

    def connected(self, now_s: float) -> None:
        """It is there."""
        self.state = State.HANDSHAKE
        self.heard_s = now_s

    def failed(self, why: str, now_s: float) -> None:
        """It has gone, or did not come, or we were refused."""
        if self.state is State.CONNECTED:
            self.down_since_s = now_s
        if self.state is State.SYNC:
            self.history, self.offset = "", 0
        self.state = State.CONNECT
        self.followed = ()
        self.why = why
        pause_s = min(FIRST_PAUSE_S * 2 ** min(self.failures, 16), LONGEST_PAUSE_S)
        self.failures += 1
        self.next_s = now_s + pause_s

    def is_late(self, now_s: float) -> bool:
        """Whether nothing was heard for too long."""
        return self.state is not State.CONNECT and now_s - self.heard_s > self.timeout_s

    def hear(self, message: Message, now_s: float) -> Deed:
        """A message has come.

        Raises:
            LinkError: if it cannot come now, or says that there is a circle.
            PayloadError: if it is none.
        """
        self.heard_s = now_s
        if message.kind == BEAT:
            self.primary_offset, self.followed = read_beat(message.body)
            if self.node in self.followed:
                raise LinkError("it follows this server: replicas in a circle")
            return Deed.NOTHING
        if message.kind == ASK:
            return Deed.TELL
        if self.state is State.HANDSHAKE:
            return self._begin(message)
        if message.kind == FRAMES and self.state in (State.SYNC, State.CONNECTED):
            return Deed.APPLY
        if message.kind in _ALONGSIDE and self.state in (State.SYNC, State.CONNECTED):
            return _ALONGSIDE[message.kind]
        if self.state is State.SYNC and message.kind == IMAGES:
            return Deed.APPLY
        if self.state is State.SYNC and message.kind == COMPLETE:
            self._go_on()
            return Deed.OPEN
        raise LinkError(f"message {message.kind} has come in state {self.state.value}")

    def _begin(self, message: Message) -> Deed:
        if message.kind == FULL:
            self.history, self.offset = read_place(message.body)
            self.primary_offset = self.offset
            self.state = State.SYNC
            return Deed.CLEAR
        if message.kind == CONTINUE:
            history, offset = read_place(message.body)
            if self.history and offset == self.offset:
                # by another name, if what it follows has been a replica of the same primary
                self.history = history
                self._go_on()
                return Deed.OPEN
        raise LinkError("it goes on from another place than this replica has")

    def _go_on(self) -> None:
        self.state = State.CONNECTED
        self.failures = 0
        self.why = ""

    def applied(self, message: Message) -> None:
        """What was in a message is in the store."""
        if message.kind == FRAMES:
            self.offset += len(message.body)
            self.primary_offset = max(self.primary_offset, self.offset)
