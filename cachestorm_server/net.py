"""The connection: carries bytes between a socket and a session.

Called by the event loop (uvloop or asyncio), calls the session. A connection speaks the
loop's streaming protocol without inheriting from it: the compiled class and the loop meet
at the names of the methods.

1. One read, one `receive`, one write.
2. A client that does not take its replies is not read from: while the transport's buffer
   is above its high-water mark nothing is read and no backlog is answered.
3. A session with a long command runs one slice of it a turn of the loop; the other connections
   take their turns in between. One that sleeps gets no turns: its session is read from, so
   that the end of a client is noticed, and goes on when it is woken (`resume`).
4. What a session says unasked (`send`) goes behind what was written before.
5. On `leave` nothing more is read. What was read is answered as far as the client takes it
   within `GRACE_S`, and then the connection is closed: never within a reply that is taken.
6. A client from which much has come at once, as of a large value, is not read from for one
   turn: uvloop would take up to 32 such pieces before it looked after others.
7. Where replies wait for the journal (`settling.py`), nothing else of a connection is sent
   before they are.

    transport's buffer   session has a backlog   reading
    ------------------   ---------------------   -------------------------------
    below the mark       no                      yes
    below the mark       yes                     no: the backlog is answered first
    above the mark       either                  no, but a long command goes on
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import Final

from cachestorm.operations.long_command import LongCommand
from cachestorm_server.endpoint import Carrier, Endpoint
from cachestorm_server.session import Session

# of a read buffer, which has 256 KB, so much is taken for a sign that more is there
MUCH_BYTES: Final = 128 * 1024
HIGH_WATER_BYTES: Final = 1024 * 1024
LOW_WATER_BYTES: Final = 256 * 1024
# how long a client that is being disconnected has to take its last replies
GRACE_S: Final = 5.0
_NETWORK: Final = (socket.AF_INET, socket.AF_INET6)

DENIED: Final = (
    b"-DENIED CacheStorm is running in protected mode because protected mode is enabled and "
    b"no password is set for the default user. In this mode connections are only accepted "
    b"from the loopback interface. If you want to connect from external computers you may "
    b"adopt one of the following solutions: 1) Set a password: in the environment as "
    b"CACHESTORM_AUTH_PASSWORD, or in the configuration file as plugins.auth.password with "
    b"plugins.auth.enabled: true, and restart the server. 2) Disable protected mode, but MAKE "
    b"SURE the server is not publicly accessible from internet if you do so: send the command "
    b"'CONFIG SET protected-mode no' from the host the server is running on, which lasts until "
    b"it is restarted; or restart it with the '--no-protected-mode' option, or with "
    b"server.protected_mode: false in the configuration file. NOTE: You only need to do one of "
    b"the above things in order for the server to start accepting connections from the "
    b"outside.\r\n"
)
TOO_MANY_CLIENTS: Final = b"-ERR max number of clients reached\r\n"


def spell_address(name: object) -> str:
    """A socket's name as CLIENT LIST shows it: `host:port`, `[v6]:port`, `path:0`."""
    if isinstance(name, tuple) and len(name) >= 2:
        host, port = str(name[0]), name[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"{name}:0" if name else ""


def is_this_host(name: object) -> bool:
    """Whether a peer's address is a loopback one, or no network address at all."""
    if not isinstance(name, tuple) or not name:
        return True
    host = str(name[0]).removeprefix("::ffff:")
    return host.startswith("127.") or host == "::1"


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this host only."""
    return host == "localhost" or is_this_host((host, 0))


def _keep_alive(transport: asyncio.Transport, interval_s: int) -> None:
    """Has the system notice that a client's host has gone: after two intervals of silence."""
    opened = transport.get_extra_info("socket")
    if opened is None or interval_s == 0 or opened.family not in _NETWORK:
        return
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, interval_s)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(interval_s // 3, 1))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


class Connection(Carrier):
    """One client's socket, from `connection_made` to `connection_lost`."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint: Final = endpoint
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._congested: bool = False
        self._resting: bool = False
        self._ended: bool = False
        self._has_turn: bool = False
        self._leaving: bool = False
        self._resumes: bool = False
        # replies that wait for the file, and whether what they tell has to be on the disk
        self._kept: bytes = b""
        self._is_unsettled: bool = False
        self._is_owed: bool = False
        # what ends the sleep of a long command
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Accepts the client, or tells it why not."""
        if self._session is not None:
            # it came while a script kept the loop: see meanwhile.py
            transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
            self._transport = transport
            return
        endpoint = self._endpoint
        peer = transport.get_extra_info("peername")
        settings = endpoint.settings
        if not endpoint.admit():
            transport.write(TOO_MANY_CLIENTS)
            transport.close()
        elif (
            settings.protected_mode
            and endpoint.users.default.needs_no_password
            and not is_this_host(peer)
        ):
            endpoint.rejected += 1
            endpoint.denied += 1
            transport.write(DENIED)
            transport.close()
        else:
            transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
            here = transport.get_extra_info("sockname")
            if isinstance(here, str) and here:
                # a socket of Unix: clients of it have no address of their own
                peer = here
            _keep_alive(transport, settings.keepalive_s)
            session = Session(endpoint, spell_address(peer), spell_address(here))
            session.carrier = self
            self._transport = transport
            self._session = session

    def data_received(self, data: bytes) -> None:
        """Answers every whole request in what was read."""
        session = self._session
        transport = self._transport
        if session is None or transport is None or self._leaving:
            return
        endpoint = self._endpoint
        endpoint.will_deliver = True
        try:
            if endpoint.journal is None:
                replies = session.receive(data)
            else:
                replies = self._receive(session, data)
            if replies:
                transport.write(replies)
            if session.closing or session.backlog:
                self._go_on()
            elif len(data) >= MUCH_BYTES:
                self._rest_a_turn(transport)
        finally:
            endpoint.deliver_rest()

    def _receive(self, session: Session, data: bytes) -> bytes:
        """The replies of a session; none yet if it has changed anything.

        Then they are kept for `settle`: what all clients have changed in a turn of the loop is
        written together, and under `always` forced to the disk.
        """
        endpoint = self._endpoint
        journal = endpoint.journal
        if journal is None:
            return session.receive(data)
        journal.hold()
        try:
            replies = session.receive(data)
        finally:
            journal.let_go()
        is_strict, is_owed = journal.is_strict, journal.is_owed
        # who only reads waits as well: it may have read what is not in the file yet
        if not is_owed and not endpoint.settling.waiting:
            endpoint.write(journal)
            return replies
        self._is_owed = self._is_owed or (is_strict and is_owed)
        self._keep(replies, is_strict)
        return b""

    def _keep(self, replies: bytes, is_strict: bool) -> None:
        """Has replies sent by `settle`."""
        self._kept += replies
        if not self._is_unsettled:
            self._is_unsettled = True
            self._endpoint.settling.add(self, is_strict)

    def settle(self, is_written: bool) -> None:
        kept, self._kept = self._kept, b""
        is_owed = self._is_owed
        self._is_unsettled = self._is_owed = False
        transport = self._transport
        if transport is None:
            return
        if is_owed and not is_written:
            # nobody is told that it is safe
            self.abort()
            return
        if kept and not transport.is_closing():
            transport.write(kept)
        self._go_on()

    def _go_on(self) -> None:
        """Answers a backlog as far as the client takes it, and reads or not accordingly."""
        session = self._session
        transport = self._transport
        # what is written to a transport that closes may come out in the middle of a reply
        if session is None or transport is None or transport.is_closing():
            return
        while (
            session.backlog
            and session.long_command is None
            and not self._congested
            and not self._is_unsettled
            and not session.closing
        ):
            replies = self._receive(session, b"")
            if replies:
                transport.write(replies)
        if session.backlog and session.long_command is not None:
            self._take_turn_soon()
        if self._is_unsettled:
            # it comes here again then
            return
        if session.closing or ((self._ended or self._leaving) and not session.backlog):
            if self._resumes:
                asyncio.get_running_loop().call_soon(self.disconnect)
            else:
                self.disconnect()
        elif self._congested or session.backlog:
            if not self._resting:
                self._resting = True
                transport.pause_reading()
        elif self._resting:
            self._resting = False
            transport.resume_reading()

    def _rest_a_turn(self, transport: asyncio.Transport) -> None:
        if not self._resting and not transport.is_closing():
            self._resting = True
            transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._go_on)

    def _take_turn_soon(self) -> None:
        if not self._has_turn:
            self._has_turn = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """One more slice of the session's long_command."""
        self._has_turn = False
        session = self._session
        transport = self._transport
        if session is None or transport is None or transport.is_closing():
            return
        if session.long_command is None or session.is_blocked():
            return
        # it sets another one if it sleeps again
        self._stop_timer()
        replies = self._receive(session, b"")
        if replies:
            transport.write(replies)
        self._go_on()

    def resume(self) -> None:
        # Not now: another session may be in the middle of an answer. And by then the loop has
        # seen the end of a client that went before what it waits for has come.
        self._take_turn_soon()

    def unblock_at(self, when: float, long_command: LongCommand) -> None:
        self._stop_timer()
        left_s = max(when - time.monotonic(), 0.0)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(left_s, long_command.unblock)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def send(self, data: bytes) -> None:
        transport = self._transport
        if self._is_unsettled:
            self._kept += data
        elif transport is not None and not transport.is_closing():
            transport.write(data)

    def unsent_bytes(self) -> int:
        transport = self._transport
        unsent = 0 if transport is None else transport.get_write_buffer_size()
        return unsent + len(self._kept)

    # -- while a script keeps the loop: see meanwhile.py

    def descriptor(self) -> int:
        """The number of the socket; -1 if there is none any more, or with TLS."""
        transport = self._transport
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return -1
        bound = transport.get_extra_info("socket")
        return -1 if bound is None else int(bound.fileno())

    def is_at_rest(self) -> bool:
        """Whether the client can be answered out of turn: nothing else is on its way."""
        session = self._session
        transport = self._transport
        if session is None or transport is None or transport.is_closing() or self._leaving:
            return False
        if session.closing or session.backlog or session.long_command is not None:
            return False
        occupant = self._endpoint.occupant
        if occupant is not None and occupant.session_id == session.id:
            return False
        if self._congested or self._resting or self._is_unsettled:
            return False
        return transport.get_write_buffer_size() == 0

    def answer(self, data: bytes) -> bytes:
        """The replies to what was read by others. Nothing is written by what may be asked."""
        session = self._session
        return b"" if session is None else session.receive(data)

    def go_on(self) -> None:
        """Goes on with what was begun by `answer`."""
        session = self._session
        if session is not None and (session.closing or session.backlog):
            self._go_on()

    def pause_writing(self) -> None:
        """The client takes its replies too slowly."""
        self._congested = True
        session = self._session
        if session is not None:
            session.check_output()
        self._go_on()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._congested = False
        # asyncio is in the middle of a write: closed now, it would tell of the end twice
        self._resumes = True
        self._go_on()
        self._resumes = False

    def eof_received(self) -> bool:
        """The client will send no more.

        Returns:
            Whether the socket stays open: only as long as there is a backlog to answer. Who
            is blocked waits for nothing any more.
        """
        self._ended = True
        if self._is_unsettled:
            self._endpoint.settling.settle()
        return self._session is not None and self._session.backlog and not self._is_encrypted()

    def _is_encrypted(self) -> bool:
        """Whether TLS is spoken, which closes both ways at once."""
        transport = self._transport
        return transport is not None and transport.get_extra_info("sslcontext") is not None

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket has gone."""
        self._stop_timer()
        if self._session is not None:
            self._session.close()
        self._session = None
        self._transport = None

    def leave(self) -> None:
        """Ends the connection once all that was read has been answered and taken.

        Who is blocked waits no longer.
        """
        transport = self._transport
        if transport is not None and not self._leaving and not transport.is_closing():
            self._leaving = True
            asyncio.get_running_loop().call_later(GRACE_S, self._give_up)
            self._go_on()

    def disconnect(self) -> None:
        """Ends the connection after the replies already due, or when nobody takes them."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.close()
            if transport.get_write_buffer_size() and not self._leaving:
                asyncio.get_running_loop().call_later(GRACE_S, self._give_up)

    def abort(self) -> None:
        # not now: the transport may be in the middle of a write
        asyncio.get_running_loop().call_soon(self._give_up)

    def _give_up(self) -> None:
        """Cuts off a client that has not taken its last replies in time."""
        # not once it has gone: asyncio would tell of its end again, to nobody
        if self._transport is not None:
            self._transport.abort()
