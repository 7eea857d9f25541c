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
   more is answered before the long command's reply. One that sleeps is no backlog: the
   session is blocked, takes what comes, and goes on when the long command is woken.
5. A client may be told something unasked (`push`): after the reply of the command that is
   being answered, and never within a reply. From other threads it is `Endpoint.post`.
6. What is rare costs one test of one flag, `guarded`, and is done in `_answer_guarded`: a
   client that has not authenticated, and replies that are switched off.

    reply mode   this reply   after the next command
    ----------   ----------   ----------------------
    ON           sent         ON
    OFF          dropped      OFF
    SKIP_NEXT    dropped      SKIP
    SKIP         dropped      ON
"""

from __future__ import annotations

import logging
from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64, mypyc_attr

from cachestorm.cache import Cache
from cachestorm.declare.plan import Plan
from cachestorm.errors import CacheStormError
from cachestorm.operations.long_command import LongCommand, Unfinished
from cachestorm_server.endpoint import WAKE, Carrier, Endpoint
from cachestorm_server.output_limits import NORMAL
from cachestorm_server.replies import write_error, write_reply
from cachestorm_server.requests import ProtocolError, RequestReader

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


@mypyc_attr(native_class=False)
class NotAuthenticatedError(CacheStormError):
    """The client has not said yet who it is."""

    code = "NOAUTH"
    http_status = 401

    def __init__(self, text: str = "Authentication required.") -> None:
        super().__init__(text)


class _SpeaksHttp(Exception):
    """The client is a browser or something like it: closed without a reply."""


class Session:
    """One client.

    Attributes:
        cache: the namespace the client is in.
        resp3: whether it speaks RESP3.
        closing: nothing more is read; to be disconnected when the replies have gone.
        backlog: `receive` is to be called again, though nothing has come: requests wait for
            the client to take its replies, or the long command has more to do.
        long_command: the long command that is on its way; None when there is none.
        carrier: whoever carries the bytes; None when there is nobody.
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
        self.carrier: Carrier | None = None
        self.reader: Final = RequestReader(endpoint.settings.max_bulk_bytes)
        self.closing: bool = False
        self.backlog: bool = False
        self.long_command: LongCommand | None = None
        # what the long command was asked by
        self._long_command_plan: Plan | None = None
        self._long_command_args: list[object] = []
        self.plan: Plan | None = None
        self._plan_name: object = None
        # pushes that wait for the reply of the command that is being answered
        self._pushes: list[bytes] = []
        # since when its output has been above the soft limit; -1 when it is not
        self._soft_since_tick: i64 = -1
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
        self.guarded: bool = (
            self.reply_mode != REPLIES_ON or not self.authenticated or bool(self._pushes)
        )
        self.reader.unauthenticated = not self.authenticated

    def close(self) -> None:
        """Forgets the session; its connection has gone."""
        self.closing = True
        long_command = self.long_command
        if long_command is not None:
            self.long_command = None
            long_command.notifier = None
            long_command.abandon()
        self.carrier = None
        self._pushes = []
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
                self._resume(out)
            while not self.closing and self.long_command is None:
                args = reader.next()
                if args is None:
                    if reader.pending_bytes > endpoint.settings.max_query_bytes:
                        _log.warning("client %d sent too large a request", self.id)
                        self.closing = True
                    break
                count += 1
                self._answer(args, out)
                if len(out) > REPLY_CHUNK_BYTES:
                    self.backlog = True
                    break
                if reader.is_done():
                    break
            if self.long_command is not None:
                self.backlog = not self.is_blocked()
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
                if self.guarded:
                    reply = self._answer_guarded(plan, args)
                elif plan.declaration.connection:
                    reply = plan.answer(self, args)
                else:
                    reply = plan.answer(self.cache, args)
            write_reply(out, reply, self.resp3)
        except Unfinished as unfinished:
            self.long_command = unfinished.long_command
            unfinished.long_command.notifier = self._wake
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
        if self.guarded:
            self._settle(mark, out)

    def _answer_guarded(self, plan: Plan, args: list[object]) -> object:
        """The reply to a request of a session of which something unusual is to be kept.

        Raises:
            CacheStormError: what the request is refused with.
        """
        if not self.authenticated and not _needs_no_auth(plan):
            raise NotAuthenticatedError()
        if plan.declaration.connection:
            return plan.answer(self, args)
        return plan.answer(self.cache, args)

    def _settle(self, mark: i64, out: BytesWriter) -> None:
        """Ends a reply of a guarded session: drops it if it is not wanted, adds pushes."""
        if self.reply_mode != REPLIES_ON:
            out.truncate(mark)
            self.reply_mode = _AFTER[self.reply_mode]
        for push in self._pushes:
            out.write(push)
        self._pushes = []
        self.watch_over()

    # -- what happens unasked

    def push(self, value: object) -> None:
        """Tells the client something unasked.

        It comes after the reply of the command that is being answered, if there is one.
        Nothing is sent to a client that is leaving, nor in RESP2 to one that would take it
        for a reply.
        """
        if self.resp3 and not self.closing:
            out = BytesWriter()
            write_reply(out, value, self.resp3)
            self.push_bytes(out.getvalue())

    def push_bytes(self, data: bytes) -> None:
        """As `push`, for what is in RESP already and known to be understood."""
        carrier = self.carrier
        if self.closing or carrier is None:
            return
        if self.endpoint.executing is self:
            self._pushes.append(data)
            self.guarded = True
            return
        self.endpoint.net_out_bytes += len(data)
        carrier.send(data)
        self.check_output()

    def take(self, posted: object) -> None:
        """What was posted to this session: a push, or that its long command is awake."""
        if posted is not WAKE:
            try:
                self.push(posted)
            except Exception:
                _log.exception("client %d cannot be told of %r", self.id, posted)
        elif self.carrier is not None and self.long_command is not None:
            self.carrier.resume()

    def is_blocked(self) -> bool:
        """Whether the long command sleeps: the session waits for others, and polls nothing."""
        long_command = self.long_command
        return long_command is not None and long_command.sleeps

    def _wake(self) -> None:
        self.endpoint.post(self.id, WAKE)

    def output_class(self) -> str:
        """By which of the output limits the client is measured."""
        return NORMAL

    def check_output(self) -> None:
        """Disconnects the client if more waits for it than the limit of its class."""
        carrier = self.carrier
        if carrier is None or self.closing:
            return
        unsent: i64 = carrier.unsent_bytes()
        endpoint = self.endpoint
        limit = endpoint.settings.output_limits[self.output_class()]
        if not limit.is_soft_exceeded(unsent):
            self._soft_since_tick = -1
        elif self._soft_since_tick < 0:
            self._soft_since_tick = endpoint.tick
        soft_for_s: i64 = 0
        if self._soft_since_tick >= 0:
            soft_for_s = endpoint.tick - self._soft_since_tick
        if limit.is_exceeded(unsent, soft_for_s):
            endpoint.cut_off += 1
            _log.warning(
                "client %d is disconnected: %d bytes of output wait for it, beyond its limit",
                self.id,
                unsent,
            )
            self.closing = True
            carrier.abort()

    # -- the long command

    def _resume(self, out: BytesWriter) -> None:
        """One more slice of the long command; of one that sleeps, a look at what has come."""
        if not self.is_blocked():
            self._answer(None, out)
        elif self.reader.pending_bytes > self.endpoint.settings.max_query_bytes:
            _log.warning("client %d sent too much while it is blocked", self.id)
            self.closing = True

    def _go_on(self) -> object:
        """The reply of the long command.

        Raises:
            Unfinished: if it is still on its way after one more slice.
        """
        long_command = self.long_command
        assert long_command is not None
        self.long_command = None
        long_command.notifier = None
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
