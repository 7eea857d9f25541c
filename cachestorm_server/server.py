"""The RESP server: a listener, its connections and its timers.

Called by the application (`cachestorm serve`, or an asyncio program that serves its cache);
calls the event loop. One server belongs to one running loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from _thread import get_ident
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Final, TypeVar

from cachestorm.cache import Cache
from cachestorm.declare.registry import REGISTRY, Registry
from cachestorm.keyspace.shared_state import REST
from cachestorm_server.descriptors import run_out
from cachestorm_server.endpoint import Endpoint
from cachestorm_server.handshakes import AdmittingContext
from cachestorm_server.listening import bound_sockets, serving, unix_socket
from cachestorm_server.meanwhile import HeldSocket, Meanwhile
from cachestorm_server.memory_pressure import pressure, used_percent
from cachestorm_server.net import GRACE_S, Connection
from cachestorm_server.settings import Settings

# imported for what it declares
from cachestorm_server import bound_commands as bound_commands  # isort: skip

REAP_INTERVAL_S: Final = 0.1
# a refusal is logged at once, then no more often than this
TELL_EVERY_S: Final = 60

T = TypeVar("T")

_log = logging.getLogger("cachestorm.resp")


def run(main: Coroutine[object, object, T]) -> T:
    """Runs a coroutine on the fastest event loop the platform has, as `asyncio.run` does."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _waker(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> Callable[[], None]:
    """What has a loop call something soon, from any thread; nothing once it has ended.

    Called by the loop's thread, which the loop is running in.
    """
    thread = get_ident()

    def wake() -> None:
        if get_ident() == thread:
            # without waking up the loop, which takes a system call
            loop.call_soon(call)
        else:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(call)

    return wake


async def _connected(connection: Connection, transport: HeldSocket) -> None:
    loop = asyncio.get_running_loop()
    # a Protocol by its methods, not by descent: see net.py
    await loop.connect_accepted_socket(lambda: connection, transport.held)  # type: ignore[type-var]
    if transport.unsent:
        connection.send(transport.unsent)
    connection.go_on()


class RespServer:
    """Serves one cache over RESP.

    Examples:
        >>> async def serve_for_a_moment() -> bool:
        ...     async with RespServer(Cache(), Settings(port=0)) as server:
        ...         return server.port > 0
        >>> asyncio.run(serve_for_a_moment())
        True
    """

    def __init__(
        self, cache: Cache, settings: Settings | None = None, registry: Registry = REGISTRY
    ) -> None:
        self.settings: Final = settings or Settings()
        self.endpoint: Final = Endpoint(cache, registry, self.settings)
        self._listeners: list[asyncio.Server] = []
        # those of them without TLS
        self._plain: Final[list[asyncio.Server]] = []
        self._timers: list[asyncio.Task[None]] = []
        self._arriving: set[asyncio.Task[None]] = set()
        self._tell_from_tick = 0
        # of each client that has not taken all: how much is left, and since when
        self._unsent: dict[int, tuple[int, int]] = {}
        self._pressure = 0
        # how many refused writes the log has told of
        self._refused_told = 0

    @property
    def port(self) -> int:
        """The TCP port; the real one once started on port 0."""
        return self.settings.port

    async def start(self) -> None:
        """Listens.

        Raises:
            OSError: when an address cannot be bound; nothing is left open.
        """
        loop = asyncio.get_running_loop()
        settings = self.settings
        self.endpoint.wake = _waker(loop, self.endpoint.deliver)
        if sys.platform != "win32":
            self.endpoint.meanwhile = Meanwhile(self.endpoint, self._plain, self._take_over)
        self.endpoint.event_loop = type(loop).__module__.partition(".")[0]
        plain = settings.sockets
        if not plain and settings.bind:
            plain = await bound_sockets(settings.bind, settings.port)
        if plain:
            settings.port = plain[0].getsockname()[1]
        over_tls: list[socket.socket] = []
        try:
            if settings.tls is not None:
                over_tls = await self._bound_for_tls()
                settings.tls_port = over_tls[0].getsockname()[1]
            if settings.unix_socket:
                plain.append(unix_socket(settings.unix_socket, settings.unix_socket_mode))
        except BaseException:
            for bound in plain + over_tls:
                bound.close()
            raise
        for bound in plain:
            self._plain.append(await serving(self._connect, bound, None))
        self._listeners.extend(self._plain)
        if settings.tls is not None:
            endpoint = self.endpoint
            tls = AdmittingContext.of(settings.tls, endpoint.handshakes, endpoint.admit)
            for bound in over_tls:
                self._listeners.append(await serving(self._connect, bound, tls))
        self._timers = [loop.create_task(self._keep_time()), loop.create_task(self._reap())]
        _log.debug("RESP on %s port %d", ", ".join(settings.bind), settings.port)

    async def _bound_for_tls(self) -> list[socket.socket]:
        bind, port = self.settings.tls_bind, self.settings.tls_port
        try:
            return await bound_sockets(bind, port)
        except OSError as error:
            place = f"{', '.join(bind)} port {port} (tls.port)"
            raise OSError(error.errno, error.strerror, place) from error

    async def stop(self) -> None:
        """Stops listening; each client is left when it has the replies to what was read."""
        for timer in self._timers:
            timer.cancel()
        self._timers = []
        if not self._listeners:
            return
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        self._plain.clear()
        if self.settings.unix_socket:
            with suppress(OSError):
                os.unlink(self.settings.unix_socket)
        self.endpoint.pause.end()
        sessions = self.endpoint.sessions
        for session in list(sessions.values()):
            if session.carrier is not None:
                session.carrier.leave()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GRACE_S + 1.0
        while sessions and loop.time() < deadline:
            await asyncio.sleep(0.01)
        self.endpoint.wake = None
        self.endpoint.meanwhile = None

    async def __aenter__(self) -> RespServer:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def _connect(self) -> asyncio.Protocol:
        # a Protocol by its methods, not by descent: see net.py
        return Connection(self.endpoint)  # type: ignore[return-value]

    def _take_over(self, connection: Connection, transport: HeldSocket) -> None:
        """Gives the loop a client that has come while a script kept it."""
        task = asyncio.get_running_loop().create_task(_connected(connection, transport))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _keep_time(self) -> None:
        """Once a second: counts it, tells of refusals, disconnects who is idle or too slow."""
        endpoint = self.endpoint
        before = endpoint.commands
        came, went = endpoint.net_in_bytes, endpoint.net_out_bytes
        while True:
            await asyncio.sleep(1.0)
            endpoint.tick += 1
            endpoint.ops_per_s = endpoint.commands - before
            before = endpoint.commands
            endpoint.in_bytes_per_s = endpoint.net_in_bytes - came
            endpoint.out_bytes_per_s = endpoint.net_out_bytes - went
            came, went = endpoint.net_in_bytes, endpoint.net_out_bytes
            self._tell_of_refusals()
            self._tell_of_pressure()
            self._cut_off_stuck()
            endpoint.look_at_disk()
            timeout_s = self.settings.timeout_s
            for session in list(endpoint.sessions.values()):
                session.check_output()
                idle_s = endpoint.tick - session.seen_tick
                carrier = session.carrier
                is_waiting = session.is_blocked() or session.is_subscribed()
                if carrier is None or not timeout_s or is_waiting:
                    continue
                if idle_s > timeout_s:
                    carrier.disconnect()

    def _cut_off_stuck(self) -> None:
        """Ends the connections of clients that take nothing of their replies for too long."""
        timeout_s, tick = self.settings.write_timeout_s, int(self.endpoint.tick)
        before, self._unsent = self._unsent, {}
        if not timeout_s:
            return
        for session in list(self.endpoint.sessions.values()):
            carrier = session.carrier
            unsent = 0 if carrier is None else carrier.unsent_bytes()
            if carrier is None or not unsent:
                continue
            then, since = before.get(session.id, (0, tick))
            if unsent < then:
                since = tick
            if tick - since >= timeout_s:
                _log.warning("client %d takes no replies: cut off", session.id)
                carrier.abort()
            else:
                self._unsent[session.id] = (unsent, since)

    def _tell_of_pressure(self) -> None:
        """Says in the log that memory gets full, each time that it does."""
        level = pressure(self.endpoint)
        if level > self._pressure:
            _log.warning(
                "memory is at %d%% of its limit (memory.pressure_%s)",
                used_percent(self.endpoint),
                ("", "warning", "critical")[level],
            )
        self._pressure = level

    def _tell_of_refusals(self) -> None:
        """Says in the log who was not let in; rarely, with their number."""
        endpoint = self.endpoint
        if endpoint.tick < self._tell_from_tick:
            return
        # the loop disconnects whom it has no descriptor for, and tells nobody
        has_run_out = run_out()
        no_room = int(endpoint.cache._store.refused) - self._refused_told
        if not (
            endpoint.too_many
            or endpoint.http_too_many
            or endpoint.denied
            or endpoint.wrong_passwords
            or no_room > 0
            or has_run_out
        ):
            return
        self._tell_from_tick = int(endpoint.tick) + TELL_EVERY_S
        if endpoint.too_many:
            _log.warning(
                "clients refused: %d; there is room for %d (server.max_connections)",
                endpoint.too_many,
                self.settings.max_clients,
            )
        if endpoint.http_too_many:
            _log.warning(
                "HTTP clients refused: %d; there is room for %d (http.max_connections)",
                endpoint.http_too_many,
                self.settings.max_http_clients,
            )
        if endpoint.denied:
            _log.warning(
                "clients of other hosts refused: %d; there is no password, and protected "
                "mode is on",
                endpoint.denied,
            )
        if endpoint.wrong_passwords:
            _log.warning(
                "wrong or missing passwords: %d, the last from %s",
                endpoint.wrong_passwords,
                endpoint.last_guesser,
            )
        if no_room > 0:
            _log.warning(
                "writes refused: %d; memory is full, and the policy %s has no victim",
                no_room,
                endpoint.cache.policy,
            )
            self._refused_told += no_room
        if has_run_out:
            _log.warning(
                "no file descriptor is left: new connections are closed without a reply; "
                "raise the limit of open files (ulimit -n)"
            )
        endpoint.too_many = endpoint.http_too_many = 0
        endpoint.denied = endpoint.wrong_passwords = 0

    async def _reap(self) -> None:
        """Lets go of what is due, step by step; clients are served between the steps.

        While they ask for something, a share of the time goes into it, as in what they ask.
        """
        cache = self.endpoint.cache
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(REAP_INTERVAL_S)
            try:
                self.endpoint.pause.end_if_due()
                served = self.endpoint.commands
                began_s = loop.time()
                while self.endpoint.is_reaping and cache.reap():
                    spent_s = loop.time() - began_s
                    self.endpoint.reaped_for_s += spent_s
                    await asyncio.sleep(0)
                    if self.endpoint.commands != served:
                        await asyncio.sleep(spent_s * REST)
                    served = self.endpoint.commands
                    began_s = loop.time()
            except Exception:
                _log.exception("reaping failed; it is tried again")
