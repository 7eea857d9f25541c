"""Commands as JSON: a document in, a document out. Sans-IO.

Called by the HTTP endpoint; calls the registry's plans. It knows no command, and no HTTP but
the status that an error's class carries.

    {"command": "SET", "key": "k", "value": "v", "ex": 60}    arguments by name
    {"command": ["SET", "k", "v", "EX", 60]}                  arguments by position
    [{...}, {...}]                                            a pipeline
    {"commands": [{...}], "atomic": true}                     see `json_transactions`
    {"result": "OK"}    {"error": {"code": "WRONGTYPE", "message": "..."}}

1. Any command may carry `"namespace"`, which is created on demand.
2. Bytes that are not UTF-8 are `{"base64": "..."}`, in arguments as in results. Objects of any
   other shape, lists, true, false and null are values as they are.
3. A command's refusal is an answer. Anything else it raises is logged and answered with
   `internal error`; the commands after it still run.
4. A command that is bound to a connection is refused, because there is none.
5. Python reads a document in one piece, while nobody else is served: so one of too many
   values is refused before it is read.
"""

from __future__ import annotations

import json
import logging
import re
from binascii import Error as Base64Error
from collections.abc import Iterator
from math import isinf
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, NoReturn

from cachestorm.cache import Cache
from cachestorm.declare.plan import Plan
from cachestorm.declare.registry import Registry
from cachestorm.declare.spelling import spell
from cachestorm.declare.wire_values import to_json
from cachestorm.errors import ArgumentError, CacheStormError, CommandSyntaxError
from cachestorm.hooks import Call as HookCall
from cachestorm.operations.long_command import Away, LongCommand, Unfinished
from cachestorm_server.acl.visitor import Visitor
from cachestorm_server.availability import Availability
from cachestorm_server.fetching import check_here
from cachestorm_server.pause import Pause
from cachestorm_server.plugin_calls import CommandHooks

if TYPE_CHECKING:
    from cachestorm_server.cluster.gate import Router

OK_STATUS: Final = 200
INTERNAL_STATUS: Final = 500

MOST_VALUES: Final = 262_144
# strings are passed over whole; what begins or parts values outside of them is counted
_MARKS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{,]', re.DOTALL)
_MARKS_A_SLICE: Final = 8192

_BINARY: Final = "base64"
_QUOTE: Final = ord('"')
_OWN_MEMBERS: Final = ("command", "namespace")

_log = logging.getLogger("cachestorm.http")


class BadJsonError(CacheStormError, ValueError):
    """A body that is not JSON, or not of the shape of a command."""


class TooManyValuesError(BadJsonError):
    """A body that would be read for too long."""

    http_status = 413

    def __init__(self) -> None:
        super().__init__(f"the body holds more than {MOST_VALUES} values: send it in parts")


class Held(Exception):
    """A command is not to be run before the end of a pause; nothing has happened yet."""


class Pending(Exception):
    """A command has done its first slice: `JsonCommands.go_on` does the others.

    Attributes:
        long_command: what remains; a caller that does not go on with it abandons it.
        plan, words: what it was asked by.
        call, began_ns: what plugins are to be told of.
    """

    def __init__(
        self,
        long_command: LongCommand,
        plan: Plan,
        argv: list[object],
        call: HookCall | None = None,
        began_ns: int = 0,
    ) -> None:
        super().__init__()
        self.call: Final = call
        self.began_ns: Final = began_ns
        self.long_command: Final = long_command
        self.plan: Final = plan
        self.argv: Final = argv


def count_values(body: bytes) -> Iterator[None]:
    """Makes sure that a document has no more values than can be read in a moment.

    Yields:
        Now and then, when others may be served. Most documents have too few marks to be
        looked at closely, and it yields nothing.

    Raises:
        TooManyValuesError: if there are more than `MOST_VALUES`.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") <= MOST_VALUES:
        return
    count = 0
    for seen, mark in enumerate(_MARKS.finditer(body), 1):
        # a string is not a value of its own: it comes after a mark
        count += body[mark.start()] != _QUOTE
        if count > MOST_VALUES:
            raise TooManyValuesError()
        if seen % _MARKS_A_SLICE == 0:
            yield


def read_document(body: bytes) -> object:
    """What the bytes of a request mean.

    Raises:
        BadJsonError: for anything that is not JSON (RFC 8259), such as NaN and lone surrogates,
            and for numbers that a double cannot hold, which JSON could not carry back.
    """
    try:
        document: object = json.loads(
            body.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite
        )
        # text is UTF-8 by now, so that only an escape can spell half a pair
        if b"\\u" in body:
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJsonError(f"the body is not UTF-8: {error.reason} at {error.start}") from error
    except UnicodeEncodeError as error:
        raise BadJsonError("the body holds a lone surrogate") from error
    except RecursionError as error:
        raise BadJsonError("the body is nested too deeply") from error
    except ValueError as error:
        raise BadJsonError(f"the body is not JSON: {error}") from error
    return document


def error_document(error: CacheStormError) -> dict[str, object]:
    """An error as the endpoint says it."""
    return {"error": {"code": error.code, "message": str(error)}}


class JsonCommands:
    """Answers commands for one cache.

    Args:
        pause: what is held back; nothing if it is left out.
        availability: what is refused; nothing if it is left out.

    Attributes:
        commands, errors: totals.
        hooks: of plugins, around commands; None if there are none.
        router: says what other nodes of a cluster are to answer; None without a cluster.
    """

    def __init__(
        self,
        cache: Cache,
        registry: Registry,
        pause: Pause | None = None,
        availability: Availability | None = None,
    ) -> None:
        self._cache: Final = cache
        self._registry: Final = registry
        self._pause: Final = pause or Pause(cache)
        self._availability: Final = availability or Availability()
        self.hooks: CommandHooks | None = None
        self.router: Router | None = None
        self.commands = 0
        self.errors = 0

    def answer(
        self,
        request: object,
        namespace: str | None = None,
        visitor: Visitor | None = None,
    ) -> tuple[int, dict[str, object]]:
        """Runs one command.

        Args:
            request: an object with a member `command`.
            namespace: where it runs unless it says so itself; None: the default one.
            visitor: who asks; None: somebody who may do everything.

        Returns:
            The status and the answer.

        Raises:
            Pending: if the command works in slices: `go_on` does the others.
            Held: while it is held back.
            Away: where values are in a colder tier, and have not been read ahead.
        """
        self.commands += 1
        try:
            return OK_STATUS, {"result": to_json(self._run(request, namespace, visitor))}
        except Pending:
            raise
        except (Held, Away):
            self.commands -= 1
            raise
        except Exception as error:
            return self._refusal(error)

    def go_on(self, pending: Pending) -> tuple[int, dict[str, object]] | None:
        """One more slice of a command.

        Returns:
            The status and the answer; None while it is not done.
        """
        try:
            if not pending.long_command.step():
                return None
            reply = pending.plan.reply(pending.long_command.result(), pending.argv)
            self.tell(pending.call, pending.began_ns)
            return OK_STATUS, {"result": to_json(reply)}
        except Exception as error:
            self.tell(pending.call, pending.began_ns, error)
            return self._refusal(error)

    def check_held(self, plan: Plan) -> None:
        """Raises Held if a command is to wait for the end of a pause."""
        if self._pause.holds(plan):
            raise Held()

    def check_watch(
        self, visitor: Visitor | None, keys: list[str], namespace: str | None
    ) -> None:
        """Refuses to watch keys that a visitor may not.

        Raises:
            NoPermissionError: with Redis' text.
        """
        plan = self._registry.plan("WATCH")
        if visitor is not None and plan is not None:
            visitor.check(plan, ["WATCH", *keys], namespace or self._cache.name)

    def _refusal(self, error: Exception) -> tuple[int, dict[str, object]]:
        self.errors += 1
        if isinstance(error, CacheStormError):
            return error.http_status, error_document(error)
        _log.error("a command failed", exc_info=error)
        return INTERNAL_STATUS, error_document(CacheStormError("internal error"))

    def answer_queued(self, cache: Cache, plan: Plan, argv: list[object]) -> dict[str, object]:
        """Runs a command that was read before, in a transaction: it has no slices there."""
        self.commands += 1
        try:
            reply = plan.answer(cache, argv)
            if self.router is not None:
                self.router.tell_within(cache, plan, argv)
            return {"result": to_json(reply)}
        except Exception as error:
            return self._refusal(error)[1]

    def _run(self, request: object, namespace: str | None, visitor: Visitor | None) -> object:
        cache, plan, argv = self.read(request, namespace, visitor)
        self.check_held(plan)
        check_here([(cache, plan, argv)])
        call = self.ask(cache, plan, argv, "" if visitor is None else visitor.user.name)
        began_ns = perf_counter_ns()
        try:
            if self.router is not None:
                self.router.check_visitor(cache, plan, argv)
            reply = plan.answer(cache, argv)
        except Unfinished as unfinished:
            raise Pending(unfinished.long_command, plan, argv, call, began_ns) from unfinished
        except Exception as error:
            self.tell(call, began_ns, error)
            raise
        self.tell(call, began_ns)
        return reply

    def ask(self, cache: Cache, plan: Plan, argv: list[object], user: str) -> HookCall | None:
        """Asks plugins about a command. Returns what they are to be told of, if they are.

        Raises:
            CacheStormError: what one of them refuses it with.
        """
        if self.hooks is None:
            return None
        call = HookCall(plan, argv, cache.name, 0, "", user)
        self.hooks.ask(call)
        return call if self.hooks.after else None

    def tell_of(self, call: HookCall | None, answer: dict[str, object], time_ns: int) -> None:
        """As `tell`, of an answer that has become a document."""
        error = answer.get("error")
        if call is not None and self.hooks is not None:
            text = f"{error['code']} {error['message']}" if isinstance(error, dict) else ""
            self.hooks.tell(call, time_ns, text)

    def tell(
        self, call: HookCall | None, began_ns: int, error: Exception | None = None
    ) -> None:
        """Tells plugins of a command that was answered."""
        if call is not None and self.hooks is not None:
            text = ""
            if error is not None:
                text = (
                    error.resp if isinstance(error, CacheStormError) else "ERR internal error"
                )
            self.hooks.tell(call, perf_counter_ns() - began_ns, text)

    def read(
        self, request: object, namespace: str | None, visitor: Visitor | None = None
    ) -> tuple[Cache, Plan, list[object]]:
        """Where a command runs, its plan and its words, of which only the number is checked.

        Raises:
            CacheStormError: for what MULTI would not queue, or the visitor may not do.
        """
        if not isinstance(request, dict):
            raise BadJsonError('a command is an object: {"command": "GET", "key": "k"}')
        name = request.get("command")
        if isinstance(name, list):
            plan, argv = self._by_position(name, request)
        elif isinstance(name, str):
            plan, argv = self._by_name(name, request)
        else:
            raise BadJsonError('a command has a member "command": its name, or a list of words')
        where = request.get("namespace", namespace)
        if where is not None and not isinstance(where, str):
            raise BadJsonError('"namespace" is the name of one')
        plan.check_size(argv)
        if visitor is not None:
            # before the namespace is made
            visitor.check(plan, argv, self._cache.name if where is None else where)
        if self._availability.is_limited:
            self._availability.check(plan)
        return self._cache if where is None else self._cache.namespace(where), plan, argv

    def _by_position(
        self, given: list[object], request: dict[str, object]
    ) -> tuple[Plan, list[object]]:
        for member in request:
            if member not in _OWN_MEMBERS:
                raise CommandSyntaxError(
                    f"argument '{member}' by name, but the command is a list of words"
                )
        argv = [value_of(arg) for arg in given]
        if not argv or not isinstance(argv[0], (str, bytes)):
            raise BadJsonError("a list of words begins with the name of a command")
        return self._plan(argv), argv

    def _by_name(self, name: str, request: dict[str, object]) -> tuple[Plan, list[object]]:
        plan = self._plan([*name.split()])
        named = {key: value for key, value in request.items() if key not in _OWN_MEMBERS}
        return plan, [value_of(arg) for arg in spell(plan.declaration, named)]

    def _plan(self, argv: list[object]) -> Plan:
        plan = self._registry.resolve(argv)
        plan.refuse_connection()
        return plan


def value_of(arg: object) -> object:
    """A word of JSON as the value it stands for."""
    if not isinstance(arg, dict) or list(arg) != [_BINARY]:
        return arg
    from base64 import b64decode

    text = arg[_BINARY]
    try:
        return b64decode(text, validate=True)
    except (Base64Error, TypeError, ValueError) as error:
        raise ArgumentError('{"base64": "..."} holds bytes in base64') from error


def _finite(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise ValueError(f"{digits[:20]} is beyond what a number can be")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not in JSON")
