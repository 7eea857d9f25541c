"""A session: one client's conversation. Bytes in, bytes out; sans-IO.

Called by the connection that carries the bytes, or by a test that has none. It calls the
reader, the registry's plans and the encoder, and knows no command.

1. One call of `receive` answers every whole request in the bytes it was given, in order,
   in one piece. When the replies grow beyond `REPLY_CHUNK_BYTES` it stops early and says
   so (`backlog`): whoever carries the bytes calls again when the client has taken some.
2. A command's refusal is a reply. Anything else a command raises is logged, answered with
   `ERR internal error`, and the session lives on.
3. A plan answers to the session's cache, or, when it is declared as bound to a connection,
   to the session itself.
4. A command that works in slices does one of them a call: a long command is then on its way,
   which is a backlog too. Other sessions are served between the slices; of this one nothing
   more is answered before the long command's reply.
5. What is rare costs one test of one flag, `guarded`: a client that has not authenticated,
   and replies that are switched off.

    reply mode   this reply   after the next command
    ----------   ----------   ----------------------
    ON           sent         ON
    OFF          dropped      OFF
    SKIP_NEXT    dropped      SKIP
    SKIP         dropped      ON
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Final

from librt.strings import BytesWriter
from librt.time import time as wall_time
from mypy_extensions import i64, mypyc_attr

from cachestorm.cache import Cache
from cachestorm.declare.plan import Plan
from cachestorm.declare.registry import Registry
from cachestorm.errors import CacheStormError
from cachestorm.keyspace.store import DATABASES, DEFAULT
from cachestorm.operations.long_command import LongCommand, Unfinished
from cachestorm_server.replies import write_error, write_reply
from cachestorm_server.requests import ProtocolError, RequestReader
from cachestorm_server.settings import Settings

REPLY_CHUNK_BYTES: Final = 1024 * 1024
# a writer that has once grown beyond this is not kept for the next replies
WRITER_KEEP_BYTES: Final = 128 * 1024

REPLIES_ON: Final = 0
REPLIES_OFF: Final = 1
REPLIES_SKIP_NEXT: Final = 2
REPLIES_SKIP: Final = 3
_AFTER: Final = (REPLIES_ON, REPLIES_OFF, REPLIES_SKIP, REPLIES_ON)

# A browser lured into sending a request here must not get further than its first line.
_HTTP_STARTS: Final = (b"post", b"host:")

_log = logging.getLogger("cachestorm.resp")


def database_of(namespace: str) -> int:
    """The number that SELECT knows a namespace by; -1 if it has none."""
    if namespace == DEFAULT:
        return 0
    digits = namespace[2:]
    if not namespace.startswith("db") or not digits.isdecimal() or digits.startswith("0"):
        return -1
    return int(digits) if len(digits) < 3 and int(digits) < DATABASES else -1


@mypyc_attr(native_class=False)
class NotAuthenticatedError(CacheStormError):
    """The client has not said yet who it is."""

    code = "NOAUTH"
    http_status = 401

    def __init__(self, text: str = "Authentication required.") -> None:
        super().__init__(text)


class _SpeaksHttp(Exception):
    """The client is a browser or something like it: closed without a word."""


class Endpoint:
    """What all sessions of one RESP endpoint share. Belongs to one event loop.

    Attributes:
        cache: the default namespace.
        sessions: the open ones, by id.
        started_at: seconds since 1970.
        event_loop: which library carries the bytes.
        tick: seconds since the start, as the listener's timer counts them.
        last_id: of the latest session.
        connections, commands, errors, rejected, net_in_bytes, net_out_bytes: totals.
        too_many, denied: clients refused that the log has not told of yet.
    """

    def __init__(self, cache: Cache, registry: Registry, settings: Settings) -> None:
        self.cache: Final = cache.serving_others()
        self.registry: Final = registry
        self.settings: Final = settings
        self.sessions: Final[dict[int, Session]] = {}
        self.run_id: Final = os.urandom(20).hex()
        self.started_at: float = wall_time()
        self.out: BytesWriter = BytesWriter()
        self.event_loop: str = ""
        self.tick: i64 = 0
        self.last_id: i64 = 0
        self.connections: i64 = 0
        self.commands: i64 = 0
        self.errors: i64 = 0
        self.rejected: i64 = 0
        self.too_many: i64 = 0
        self.denied: i64 = 0
        self.net_in_bytes: i64 = 0
        self.net_out_bytes: i64 = 0
        self.ops_per_s: i64 = 0

    def reset_stats(self) -> None:
        """Sets the totals back to zero."""
        self.connections = 0
        self.commands = 0
        self.errors = 0
        self.rejected = 0
        self.net_in_bytes = 0
        self.net_out_bytes = 0


class Session:
    """One client.

    Attributes:
        cache: the namespace the client is in.
        resp3: whether it speaks RESP3.
        closing: nothing more is read; hang up when the replies have gone.
        backlog: requests wait for the client to take its replies, or for the long command.
        long_command: the long command that is on its way; None when there is none.
        disconnect: ends the connection, now; set by whoever carries the bytes.
        leave: ends it when all that was asked has been answered; set likewise.
    """

    def __init__(self, endpoint: Endpoint, address: str = "", local_address: str = "") -> None:
        endpoint.connections += 1
        self.endpoint: Final = endpoint
        endpoint.last_id += 1
        self.id: Final = int(endpoint.last_id)
        self.address: Final = address
        self.local_address: Final = local_address
        self.opened_tick: Final = int(endpoint.tick)
        self.seen_tick: i64 = endpoint.tick
        self.disconnect: Callable[[], None] | None = None
        self.leave: Callable[[], None] | None = None
        self.reader: Final = RequestReader(endpoint.settings.max_bulk_bytes)
        self.closing: bool = False
        self.backlog: bool = False
        self.long_command: LongCommand | None = None
        # what the long command was asked by
        self._long_command_plan: Plan | None = None
        self._long_command_args: list[object] = []
        self.plan: Plan | None = None
        self._plan_name: object = None
        self.start_over()
        endpoint.sessions[self.id] = self

    def start_over(self) -> None:
        """Makes the session what it was when the client came."""
        self.cache: Cache = self.endpoint.cache
        self.resp3: bool = False
        self.name: str = ""
        self.library_name: str = ""
        self.library_version: str = ""
        self.no_evict: bool = False
        self.no_touch: bool = False
        self.reply_mode: i64 = REPLIES_ON
        self.authenticated: bool = not self.endpoint.settings.password
        self.watch_over()

    def watch_over(self) -> None:
        """Works out `guarded`; to be called when what it is made of has changed."""
        self.guarded: bool = self.reply_mode != REPLIES_ON or not self.authenticated
        self.reader.set_unauthenticated(not self.authenticated)

    def close(self) -> None:
        """Forgets the session; its connection has gone."""
        self.closing = True
        long_command = self.long_command
        if long_command is not None:
            self.long_command = None
            long_command.abandon()
        self.disconnect = None
        self.leave = None
        # whatever still refers to this session is to keep no namespace
        self.cache = self.endpoint.cache
        self.endpoint.sessions.pop(self.id, None)

    def receive(self, data: bytes) -> bytes:
        """Answers what the client sent.

        Args:
            data: bytes from the wire; empty to go on with a backlog.

        Returns:
            The replies, in RESP; empty when there are none.
        """
        endpoint = self.endpoint
        out = endpoint.out
        out.truncate(0)
        reader = self.reader
        self.seen_tick = endpoint.tick
        self.backlog = False
        count: i64 = 0
        try:
            reader.feed(data)
            if self.long_command is not None:
                self._answer(None, out)
            # not inside of the branch: there, compiled code takes the long command for given
            self.backlog = self.long_command is not None
            while not self.closing and not self.backlog:
                args = reader.next()
                if args is None:
                    if reader.pending_bytes > endpoint.settings.max_query_bytes:
                        _log.warning("client %d sent too large a request", self.id)
                        self.closing = True
                    break
                count += 1
                self._answer(args, out)
                if len(out) > REPLY_CHUNK_BYTES or self.long_command is not None:
                    self.backlog = True
                    break
                if reader.is_done():
                    break
        except ProtocolError as error:
            write_error(out, error.resp)
            self.closing = True
        endpoint.commands += count
        endpoint.net_in_bytes += len(data)
        size: i64 = len(out)
        endpoint.net_out_bytes += size
        if size > WRITER_KEEP_BYTES:
            endpoint.out = BytesWriter()
        return out.getvalue()

    def _answer(self, args: list[object] | None, out: BytesWriter) -> None:
        """Answers a request, or with None goes on with the long command."""
        mark: i64 = len(out)
        try:
            if args is None:
                reply = self._go_on()
            else:
                plan = self.plan
                name = args[0]
                # compiled, a name is the same object every time; interpreted, an equal one
                if plan is None or (name is not self._plan_name and name != self._plan_name):
                    plan = self._find(args)
                if self.guarded and not self.authenticated and not _needs_no_auth(plan):
                    raise NotAuthenticatedError()
                if plan.declaration.connection:
                    reply = plan.answer(self, args)
                else:
                    reply = plan.answer(self.cache, args)
            write_reply(out, reply, self.resp3)
        except Unfinished as unfinished:
            self.long_command = unfinished.long_command
            if args is not None:
                self._long_command_plan = self.plan
                self._long_command_args = args
            return
        except _SpeaksHttp:
            _log.warning("client %d speaks HTTP: closed", self.id)
            self.closing = True
        except CacheStormError as error:
            out.truncate(mark)
            write_error(out, error.resp)
            self.endpoint.errors += 1
        except Exception:
            _log.exception("command %r failed", self._plan_name if args is None else args[0])
            out.truncate(mark)
            write_error(out, "ERR internal error")
            self.endpoint.errors += 1
        if self.guarded and self.reply_mode != REPLIES_ON:
            out.truncate(mark)
            self.reply_mode = _AFTER[self.reply_mode]
            self.watch_over()

    def _go_on(self) -> object:
        """The reply of the long command.

        Raises:
            Unfinished: if it is still on its way after one more slice.
        """
        long_command = self.long_command
        assert long_command is not None
        self.long_command = None
        if not long_command.step():
            raise Unfinished(long_command)
        plan = self._long_command_plan
        assert plan is not None
        args = self._long_command_args
        self._long_command_args = []
        return plan.reply(long_command.result(), args)

    def _find(self, args: list[object]) -> Plan:
        """The plan of a request; remembered, because the next one often is the same."""
        name = args[0]
        assert isinstance(name, bytes)
        plan = self.endpoint.registry.find(name)
        if plan is None:
            if name.lower() in _HTTP_STARTS:
                raise _SpeaksHttp()
            # a subcommand has its container's name: not to be remembered by it
            plan = self.endpoint.registry.resolve(args)
            self._plan_name = None
        else:
            self._plan_name = name
        self.plan = plan
        return plan


def _needs_no_auth(plan: Plan) -> bool:
    return "no_auth" in plan.declaration.flags.split()
