"""The bus: what carries the messages of nodes, over TCP.

Made and started by the application; gives what comes in to the node, and is given what is to
be sent by the membership. Belongs to one event loop.

1. There is one connection to each address, made when something is to be sent, on which messages
   go out only; what others send comes in on connections of theirs. So a node is answered at the
   address that it says it has, and nowhere else.
2. Whatever cannot be sent is dropped after a moment: the node says it again as time passes.
3. Who sends what is no message is disconnected, and the log says why, not more than once a
   minute for each host.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from cachestorm_server.cluster.membership import Membership
from cachestorm_server.cluster.messages import Address, MessageError
from cachestorm_server.cluster.node import Outgoing
from cachestorm_server.cluster.state_file import ClusterStateError
from cachestorm_server.cluster.wire import HEAD_BYTES, Wire

if TYPE_CHECKING:
    from cachestorm_server.tls import TlsFiles

# how many frames wait for a connection
MOST_WAITING: Final = 64
CONNECT_TIMEOUT_S: Final = 2.0
# a connection on which nothing goes out for so long is closed
IDLE_S: Final = 60.0
TELL_EVERY_S: Final = 60.0
MOST_INCOMING: Final = 4096

_log = logging.getLogger("cachestorm.cluster")


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def bus_contexts(files: TlsFiles) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For what comes in and for what goes out: both sides show a certificate.

    Whom it is made out to is not looked at: nodes have addresses that change, and who knows the
    secret is one of them.
    """
    contexts = []
    for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(protocol)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(files.cert_file, files.key_file)
        context.load_verify_locations(files.ca_file)
        contexts.append(context)
    return contexts[0], contexts[1]


class _Line:
    """The way to one address."""

    def __init__(self, address: Address) -> None:
        self.address: Final = address
        self.queue: Final[asyncio.Queue[bytes]] = asyncio.Queue(MOST_WAITING)
        self.since_ms = _wall_ms()
        self.node_id = ""
        self.task: asyncio.Task[None] | None = None


class Bus:
    """Of one node.

    Args:
        tick_s: how often the node is told that time has passed.
        tls: for what comes in and for what goes out; None: it is not encrypted.
    """

    def __init__(
        self,
        membership: Membership,
        secret: str,
        tick_s: float,
        tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
    ) -> None:
        self._membership: Final = membership
        self._wire: Final = Wire(secret)
        self._tick_s: Final = tick_s
        self._tls_in: Final = None if tls is None else tls[0]
        self._tls_out: Final = None if tls is None else tls[1]
        self._lines: Final[dict[Address, _Line]] = {}
        self._server: asyncio.Server | None = None
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._told: Final[dict[str, float]] = {}
        self._counts: Final[dict[str, int]] = {}
        membership.send = self.send
        membership.traffic = self.traffic
        membership.links = self.links

    async def start(self, host: str, port: int) -> None:
        """Listens, and begins to speak.

        Raises:
            OSError: if the address cannot be bound.
        """
        self._membership.do_soon(asyncio.get_running_loop().call_soon)
        self._server = await asyncio.start_server(self._incoming, host, port, ssl=self._tls_in)
        self._begin(self._keep_time())

    async def stop(self) -> None:
        """Ends all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lines.clear()

    def _begin(self, coroutine: object) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(coroutine)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- what goes out

    def send(self, outgoing: Outgoing) -> None:
        """Sends a message as soon as it can be; never waits."""
        line = self._lines.get(outgoing.address)
        if line is None:
            line = self._lines[outgoing.address] = _Line(outgoing.address)
            line.task = self._begin(self._speak(line))
        line.node_id = outgoing.to or line.node_id
        if line.queue.full():
            # the oldest is the least true
            line.queue.get_nowait()
        line.queue.put_nowait(self._wire.written(outgoing.message, _wall_ms()))
        self._count(outgoing.message.kind, "sent")

    async def _speak(self, line: _Line) -> None:
        try:
            # not `wait_for`, which loses a cancellation that comes with a result
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(*line.address, ssl=self._tls_out)
            with closing(writer):
                while not writer.is_closing():
                    async with asyncio.timeout(IDLE_S):
                        frame = await line.queue.get()
                    writer.write(frame)
                    async with asyncio.timeout(CONNECT_TIMEOUT_S):
                        await writer.drain()
        except (OSError, TimeoutError):
            return
        finally:
            if self._lines.get(line.address) is line:
                del self._lines[line.address]

    async def _keep_time(self) -> None:
        membership = self._membership
        while True:
            self._settle(membership.node.tick(membership.clock()))
            await asyncio.sleep(self._tick_s)

    def _settle(self, outgoing: list[Outgoing]) -> None:
        try:
            self._membership.settle(outgoing)
        except ClusterStateError as error:
            self._tell("", f"nothing is said to other nodes: {error}")
        except Exception:
            _log.exception("a step of the cluster failed")

    # -- what comes in

    async def _incoming(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is None or len(self._tasks) > MOST_INCOMING:
            writer.close()
            return
        self._tasks.add(task)
        peer = writer.get_extra_info("peername")
        host = str(peer[0]) if peer else ""
        membership = self._membership
        try:
            while True:
                length = self._wire.length(await reader.readexactly(HEAD_BYTES))
                message = self._wire.read(await reader.readexactly(length), _wall_ms())
                self._count(message.kind, "received")
                before = len(membership.node.refused)
                self._settle(membership.node.receive(message, membership.clock()))
                if len(membership.node.refused) > before:
                    self._tell(host, f"{host} is a node of another cluster: refused")
        except MessageError as error:
            self._tell(host, f"{host} sends what is not taken: {error}")
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # whoever cancels this has nothing else to stop: asyncio would log it as an error
            pass
        finally:
            self._tasks.discard(task)
            with suppress(OSError):
                writer.close()

    # -- what is told

    def _tell(self, host: str, text: str) -> None:
        now_s = time.monotonic()
        if now_s - self._told.get(host, -TELL_EVERY_S) >= TELL_EVERY_S:
            if len(self._told) >= MOST_INCOMING:
                self._told.clear()
            self._told[host] = now_s
            _log.warning("%s", text)

    def _count(self, kind: str, way: str) -> None:
        for name in (f"cluster_stats_messages_{kind}_{way}", f"cluster_stats_messages_{way}"):
            self._counts[name] = self._counts.get(name, 0) + 1

    def traffic(self) -> dict[str, int]:
        """What has been sent and received, by kind."""
        return {
            f"cluster_stats_messages_{kind}{way}": self._counts.get(
                f"cluster_stats_messages_{kind}{way}", 0
            )
            for way in ("sent", "received")
            for kind in ("ping_", "pong_", "meet_", "")
            if kind == "" or f"cluster_stats_messages_{kind}{way}" in self._counts
        }

    def links(self) -> list[object]:
        """What CLUSTER LINKS says: those on which this node sends."""
        return [
            {
                "direction": "to",
                "node": line.node_id,
                "create-time": line.since_ms,
                "events": "rw",
                "send-buffer-allocated": 0,
                "send-buffer-used": 0,
            }
            for line in self._lines.values()
            if line.node_id
        ]
