"""A session: one client's conversation. Bytes in, bytes out; sans-IO.

Called by the connection that carries the bytes, or by a test that has none. It calls the
reader, the registry's plans and the encoder, and knows no command.

1. One call of `receive` answers every whole request in the bytes it was given, in order, in one
   piece. When the replies grow beyond `REPLY_CHUNK_BYTES` it stops early and says so
   (`backlog`): the carrier of the bytes calls again when the client has taken some.
2. A command's refusal is a reply. Anything else a command raises is logged, answered with
   `ERR internal error`, and the session lives on.
3. A plan answers to the session's cache, or, when it is declared as bound to a connection,
   to the session itself.
4. A command that works in slices does one of them a call: a long command is then on its way,
   which is a backlog too. Other sessions are served between the slices; of this one nothing
   more is answered before the long command's reply. One that sleeps is not a backlog: the
   session is blocked, takes what comes, and goes on when the long command is woken.
5. A client may be told something unasked (`push`): after the reply of the command that is
   being answered, and never within a reply. From other threads it is `Endpoint.post`.
6. What a user may not do is refused before it is run; who may do everything pays for one test.
7. What is rare costs one test of one flag, `guarded`, and is done in `_answer_guarded`: a
   client that has not authenticated, is in a transaction or has subscribed, one that is shown
   what others ask, replies that are switched off, and a script that keeps all waiting.
"""

from __future__ import annotations

import logging
from time import perf_counter_ns
from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from cachestorm.cache import Cache
from cachestorm.channels import Message
from cachestorm.commands.watch_list import WatchList
from cachestorm.declare.plan import Plan
from cachestorm.declare.wire_values import QUEUED
from cachestorm.errors import ArityError, CacheStormError
from cachestorm.hooks import Call
from cachestorm.operations.long_command import Unfinished
from cachestorm_server.acl.enforcement import check_guarded
from cachestorm_server.acl.user import User
from cachestorm_server.admission import NEVER_QUEUED, SpeaksHttp, check_allowed, refuse_http
from cachestorm_server.cluster.gate import Gate
from cachestorm_server.endpoint import WAKE, Endpoint
from cachestorm_server.fetching import Fetching, fetch
from cachestorm_server.long_runner import LongRunner
from cachestorm_server.monitoring import is_shown_first, set_monitor, show
from cachestorm_server.pause import Postponed
from cachestorm_server.plugin_calls import admit, admit_guarded, answer_told, asked_from, finish
from cachestorm_server.replies import write_bulk, write_error, write_reply
from cachestorm_server.reply_mode import AFTER, REPLIES_ON
from cachestorm_server.requests import LARGE_BYTES, ProtocolError, RequestReader
from cachestorm_server.statistics import CommandStatistics
from cachestorm_server.subscriptions import encoded
from cachestorm_server.tracking import Invalidation, Tracked
from cachestorm_server.transaction import ExecAbortError, Transaction

REPLY_CHUNK_BYTES: Final = 1024 * 1024
# a writer that has once grown beyond this is not kept for the next replies
WRITER_KEEP_BYTES: Final = 128 * 1024

_QUEUED_LINE: Final = b"+QUEUED\r\n"

_log = logging.getLogger("cachestorm.resp")


class Session(LongRunner):
    """One client.

    Attributes:
        cache: the namespace the client is in.
        backlog: `receive` is to be called again, though nothing has come: requests wait for
            the client to take its replies, or the long command has more to do.
        user: who the client is.
        limits: the same, if it may not do everything; else None.
        transaction: what has been queued since MULTI; None outside of a transaction.
        watched: the keys that WATCH named; None when there are none.
        tracked: how the client is told of keys that change; None if it is not.
        is_asking: it has said ASKING, which is good for its next request.
        is_typed: its values come and go in envelopes.
        reads_replicas: it has said READONLY: a replica of a cluster may answer what reads.
        runs_script: what it asks is what a script asks for it.
        slot_within: of the keys of the script that it runs; -1 for none so far.
        call, calls_within: what plugins are to be told of, once it is answered.
    """

    def __init__(self, endpoint: Endpoint, address: str = "", local_address: str = "") -> None:
        endpoint.connections += 1
        super().__init__(endpoint)
        self.address: Final = address
        self.local_address: Final = local_address
        self.opened_tick: Final = int(endpoint.tick)
        self.seen_tick: i64 = endpoint.tick
        self.reader: Final = RequestReader(endpoint.settings.max_bulk_bytes)
        self.backlog: bool = False
        self.plan: Plan | None = None
        self._plan_name: object = None
        # of the plan: it answers to the cache, with values that are in no envelopes
        self._is_plain: bool = False
        self._gate: Gate | None = None
        # the user's permissions and plugins are asked of calls of so many words and more
        self._asked_from: i64 = 0
        self._statistics: CommandStatistics = endpoint.statistics.nobody
        # in a transaction, and nothing else is unusual
        self._only_queues: bool = False
        self.transaction: Transaction | None = None
        self.watched: WatchList | None = None
        self.tracked: Tracked | None = None
        self.is_asking: bool = False
        self.runs_script: bool = False
        self.slot_within: int = -1
        self.call: Call | None = None
        self.calls_within: list[Call] = []
        self.start_over()
        endpoint.sessions[self.id] = self

    def start_over(self) -> None:
        """Makes the session what it was when the client came."""
        self._end_all()
        self.cache: Cache = self.endpoint.cache
        self.resp3 = False
        self.reads_replicas: bool = False
        self.name: str = ""
        self.library_name: str = ""
        self.library_version: str = ""
        self.no_evict: bool = False
        self.no_touch: bool = False
        self.is_typed: bool = False
        self.reply_mode: i64 = REPLIES_ON
        self.user: User = self.endpoint.users.default
        self.authenticated: bool = self.user.is_open()
        self.watch_over()

    def watch_over(self) -> None:
        """Works out `guarded`; to be called when what it is made of has changed."""
        is_unusual = (
            self.reply_mode != REPLIES_ON
            or not self.authenticated
            or self.is_subscribed()
            or self.endpoint.is_unusual()
        )
        self.limits: User | None = None if self.user.is_free else self.user
        endpoint = self.endpoint
        self._gate = endpoint.cluster
        is_asked = self.limits is not None or endpoint.asks() or self._gate is not None
        is_queueing = self.transaction is not None
        is_told = bool(self._pushes) or self.tracked is not None
        self.guarded = is_unusual or is_queueing or is_told
        self._only_queues = is_queueing and not is_unusual and not is_asked
        if self.plan is not None:
            self._asked_from = asked_from(self, self.plan)
        self.reader.unauthenticated = not self.authenticated

    def close(self) -> None:
        """Forgets the session; its connection has gone."""
        self.closing = True
        self.abandon()
        self._end_all()
        self.carrier = None
        self._pushes = []
        # whatever still refers to this session is to keep no namespace
        self.cache = self.endpoint.cache
        self.endpoint.sessions.pop(self.id, None)

    def disconnect(self) -> None:
        """Ends the session now, and its connection once what it was sent has gone.

        From here on it is not listed, and a message has one receiver less: who asked for the
        end does not see the client again. Not for the session that is being answered.
        """
        carrier = self.carrier
        self.close()
        if carrier is not None:
            carrier.disconnect()

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
                        endpoint.too_large += 1
                        _log.warning("client %d sent too large a request", self.id)
                        self.closing = True
                    break
                count += 1
                self._answer(args, out)
                if len(out) > REPLY_CHUNK_BYTES or self.backlog:
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
        if data:
            endpoint.reads += 1
            endpoint.net_in_bytes += len(data)
        size: i64 = len(out)
        if size != 0:
            endpoint.sendings += 1
            endpoint.net_out_bytes += size
        if size > WRITER_KEEP_BYTES:
            endpoint.out = BytesWriter()
        return out.getvalue()

    def _answer(self, args: list[object] | None, out: BytesWriter) -> None:
        """Answers a request, or with None goes on with the long command."""
        mark: i64 = len(out)
        began_ns: i64 = 0
        try:
            if args is None:
                began_ns = perf_counter_ns() - self.long_command_ns
                reply = self._go_on()
            else:
                plan = self.plan
                name = args[0]
                # compiled, a name is the same object every time; interpreted, an equal one
                if plan is None or (name is not self._plan_name and name != self._plan_name):
                    plan = self._find(args)
                if self.guarded:
                    if self._only_queues and self._queue(plan, args):
                        out.write(_QUEUED_LINE)
                        return
                    began_ns = self._statistics.begin(args)
                    mark = self._catch_up(out)
                    reply = self._answer_guarded(plan, args)
                    if reply is QUEUED:
                        # it is counted when it is run
                        self._statistics.calls -= 1
                        began_ns = 0
                else:
                    began_ns = self._statistics.begin(args)
                    size: i64 = len(args)
                    gate = self._gate
                    if size >= self._asked_from:
                        admit(self, plan, args)
                    elif gate is not None and not gate.serves(self, plan, args):
                        gate.router.check(self, plan, args)
                    if self._is_plain:
                        reply = plan.answer(self.cache, args)
                    else:
                        reply = self._answered(plan, args)
            if isinstance(reply, bytes) and len(reply) >= LARGE_BYTES:
                self._write_large(out, reply)
            else:
                write_reply(out, reply, self.resp3)
        except Unfinished as unfinished:
            if args is not None:
                self.long_command_plan = self.plan
                self.long_command_args = args
            self.long_command_ns = perf_counter_ns() - began_ns if began_ns else 0
            self.carry(unfinished.long_command)
            return
        except SpeaksHttp:
            _log.warning("client %d speaks HTTP: closed", self.id)
            self.closing = True
        except ArityError as error:
            # whatever is wrong with an EXEC, it is the transaction that is refused
            is_exec = self.plan is not None and self.plan.name == "EXEC"
            text = ExecAbortError(f": {error}").resp if is_exec else error.resp
            self.refuse(text, mark, out, True)
        except CacheStormError as error:
            self.refuse(error.resp, mark, out, False)
        except Exception:
            _log.exception("command %r failed", self._plan_name if args is None else args[0])
            self.refuse("ERR internal error", mark, out, False)
        if began_ns != 0:
            if args is None:
                args, self.long_command_args = self.long_command_args, []
            self._time(self._statistics, began_ns, args)
            if self.call is not None:
                finish(self, perf_counter_ns() - began_ns)
        if self.guarded:
            self._settle(mark, out)

    def _write_large(self, out: BytesWriter, payload: bytes) -> None:
        """Writes a large reply, and if nothing speaks against it hands it over as it is.

        A copy would take new memory of that size, and hold everybody up. Replies wait for the
        journal where there is one, and for what is said between them in a guarded session.
        """
        carrier = self.carrier
        if self.guarded or carrier is None or self.endpoint.journal is not None:
            write_bulk(out, payload)
            return
        out.write(b"$%d\r\n" % len(payload))
        header = out.getvalue()
        carrier.send(header)
        carrier.send(payload)
        out.truncate(0)
        out.write(b"\r\n")
        self.endpoint.sendings += 2
        self.endpoint.net_out_bytes += len(header) + len(payload)
        # the client is to take it before it is answered more
        self.backlog = True

    def _answer_guarded(self, plan: Plan, args: list[object]) -> object:
        """The reply to a request of a session of which something unusual is to be kept.

        Raises:
            CacheStormError: what the request is refused with.
        """
        transaction = self.transaction
        try:
            plan.check_size(args)
            monitors = self.id in self.endpoint.monitors
            check_allowed(
                plan,
                self.authenticated,
                self.is_restricted(),
                transaction is not None,
                monitors,
            )
            if self.limits is not None:
                check_guarded(self, plan, args)
            self.endpoint.check_free(plan, self.id)
            if self.endpoint.availability.is_limited:
                is_routed = self.endpoint.cluster is not None
                self.endpoint.availability.check(plan, transaction, is_routed)
        except CacheStormError as error:
            if transaction is not None:
                transaction.refuse()
            if plan.name == "EXEC":
                self.end_transaction()
                raise ExecAbortError(f": {error}") from error
            raise
        if self.endpoint.pause.is_on and self.endpoint.pause.holds_in(plan, transaction):
            raise Unfinished(Postponed(self.cache._space, self.endpoint.pause))
        if self.endpoint.cluster is not None:
            self._route(self.endpoint.cluster, plan, args)
        admit_guarded(self, plan, args)
        if self._queue(plan, args):
            return QUEUED
        if plan.name == "PING" and self.is_restricted():
            return [b"pong", args[1] if len(args) > 1 else b""]
        fetch(self, plan, args)
        reply = self.run(plan, args)
        if self.tracked is not None and self.transaction is None:
            # CLIENT CACHING is said of the next command, or of the next transaction
            self.tracked.is_announced &= plan.declaration.container == "CLIENT"
        return reply

    def _route(self, cluster: Gate, plan: Plan, args: list[object]) -> None:
        """Refuses what is not to be answered here; a transaction is refused as a whole.

        Raises:
            CacheStormError: with Redis' text.
        """
        try:
            if not cluster.serves(self, plan, args):
                cluster.router.check(self, plan, args)
        except CacheStormError:
            if plan.name == "EXEC":
                self.end_transaction()
            elif self.transaction is not None:
                self.transaction.refuse()
            raise

    def _queue(self, plan: Plan, args: list[object]) -> bool:
        """Keeps a request until EXEC, if it is one that waits for that."""
        transaction = self.transaction
        if (
            transaction is None
            or plan.no_multi
            or plan.name in NEVER_QUEUED
            or not plan.has_size(args)
        ):
            return False
        transaction.queue(plan, args)
        if transaction.size_bytes > self.endpoint.settings.max_query_bytes:
            _log.warning("client %d queued too much in a transaction", self.id)
            self.closing = True
        return True

    def run(self, plan: Plan, args: list[object]) -> object:
        """The reply to a request that may be run now."""
        if self.tracked is None and not self.endpoint.monitors:
            return self._answered(plan, args)
        tracking = self.endpoint.tracking
        is_own = self.tracked is not None and tracking.begin(
            self.tracked, self.cache, plan, args
        )
        shown_first = is_shown_first(plan)
        if shown_first:
            show(self, plan, args)
        try:
            return self._answered(plan, args)
        finally:
            if is_own:
                tracking.end()
            if not shown_first:
                show(self, plan, args)

    def _answered(self, plan: Plan, args: list[object]) -> object:
        if plan.declaration.connection:
            return plan.answer(self, args)
        return (plan.typed() if self.is_typed else plan).answer(self.cache, args)

    def answer_within(self, plan: Plan, args: list[object]) -> object:
        """The reply to a request of a transaction or a script: counted and noted as others are.

        Raises:
            CacheStormError: what it is refused with.
        """
        hooks = self.endpoint.hooks
        if hooks is not None:
            reply = answer_told(hooks, self, plan, args)
        else:
            reply = self.answer_counted(plan, args)
        cluster = self.endpoint.cluster
        if cluster is not None:
            cluster.router.tell_within(self.cache, plan, args)
        return reply

    def answer_counted(self, plan: Plan, args: list[object]) -> object:
        """As `answer_within`, without the hooks of plugins."""
        statistics = self.endpoint.statistics.of(plan)
        self.endpoint.commands += 1
        began_ns = statistics.begin(args)
        try:
            if self.endpoint.availability.is_limited:
                self.endpoint.availability.check(plan)
            reply = self.run(plan, args)
        except CacheStormError as error:
            self._count_refusal(statistics, error.resp, isinstance(error, ArityError))
            if began_ns != 0:
                self._time(statistics, began_ns, args)
            raise
        if began_ns != 0:
            self._time(statistics, began_ns, args)
        return reply

    def refuse(self, text: str, mark: i64, out: BytesWriter, is_not_run: bool) -> None:
        """Replies with an error, in the place of what was written of the reply."""
        if self.call is not None:
            self.call.error = text
        out.truncate(mark)
        write_error(out, text)
        self._count_refusal(self._statistics, text, is_not_run)

    def _count_refusal(
        self, statistics: CommandStatistics, text: str, is_not_run: bool
    ) -> None:
        self.endpoint.errors += 1
        self.endpoint.statistics.refused(statistics, text, is_not_run)

    def _time(self, statistics: CommandStatistics, began_ns: i64, args: list[object]) -> None:
        self.endpoint.statistics.took(
            statistics, perf_counter_ns() - began_ns, args, self.address, self.name
        )

    def _catch_up(self, out: BytesWriter) -> i64:
        """Tells a guarded session what was posted to it, before and after it is answered.

        Returns:
            Where its next reply begins.
        """
        self.endpoint.deliver_to(self)
        if self._pushes:
            self.write_pushes(out)
        return len(out)

    def _settle(self, mark: i64, out: BytesWriter) -> None:
        """Ends a reply of a guarded session: drops it if it is not wanted, adds pushes."""
        if self.reply_mode != REPLIES_ON:
            out.truncate(mark)
            self.reply_mode = AFTER[self.reply_mode]
        self._catch_up(out)
        self.watch_over()

    def end_transaction(self) -> None:
        """Forgets what was queued, and ends all watches."""
        self.transaction = None
        self.unwatch()
        self.watch_over()

    def unwatch(self) -> None:
        """Ends all watches."""
        if self.watched is not None:
            self.watched.end()
            self.watched = None

    # -- subscriptions, and what others ask

    def _end_all(self) -> None:
        """Ends what must not outlive the client, or its RESET."""
        self.transaction = None
        self.unwatch()
        self.endpoint.tracking.choose(self, None)
        if self.subscriptions is not None:
            self.subscriptions.close()
        if self.id in self.endpoint.monitors:
            set_monitor(self, False)

    # -- what happens unasked, and the long command

    def take(self, posted: object) -> None:
        """What was posted to this session: a push, or that its long command is awake."""
        if isinstance(posted, Message):
            self.push_bytes(encoded(posted, self.resp3))
        elif isinstance(posted, Invalidation):
            message = posted.encoded(self.resp3, self.is_subscribed())
            if message:
                self.push_bytes(message)
        elif posted is not WAKE:
            try:
                self.push(posted)
            except Exception:
                _log.exception("client %d cannot be told of %r", self.id, posted)
        elif self.carrier is not None and self.long_command is not None:
            self.carrier.resume()

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
        plan = self.long_command_plan
        assert plan is not None
        args = self.long_command_args
        if isinstance(long_command, Postponed):
            if self.endpoint.pause.holds_in(plan, self.transaction):
                # the pause was prolonged; it keeps its place among those who wait
                long_command.hold()
                raise Unfinished(long_command)
            long_command.abandon()
            return self._answer_guarded(plan, args)
        if isinstance(long_command, Fetching):
            return long_command.run(self, plan, args)
        if not long_command.step():
            raise Unfinished(long_command)
        if self.is_typed:
            plan = plan.typed()
        return plan.reply(long_command.result(), args)

    def _find(self, args: list[object]) -> Plan:
        """The plan of a request; remembered, because the next one often is the same."""
        name = args[0]
        assert isinstance(name, bytes)
        # what is refused here is put down to no command
        self.plan = None
        self._statistics = self.endpoint.statistics.nobody
        plan = self.endpoint.registry.find(name)
        if plan is None:
            refuse_http(name)
            # a subcommand has its container's name: not to be remembered by it
            try:
                plan = self.endpoint.registry.resolve(args)
            except CacheStormError:
                if self.transaction is not None:
                    self.transaction.refuse()
                raise
            self._plan_name = None
        else:
            self._plan_name = name
        self.plan = plan
        self._statistics = self.endpoint.statistics.of(plan)
        self._is_plain = not (plan.declaration.connection or self.is_typed)
        self._asked_from = asked_from(self, plan)
        return plan
