"""The calls of hooks around commands: who is asked before, and who is told after. Sans-IO.

Called by the session and by the HTTP endpoint, only where plugins have such hooks; calls the
hooks, never while the cache is locked.

1. What a plugin refuses is the reply; nothing of the command has happened.
2. A command that is queued is asked about as it is queued. It is told of after EXEC, as are the
   commands of a script after the script.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from cachestorm.declare.plan import Plan
from cachestorm.errors import CacheStormError
from cachestorm.hooks import Call, Hook
from cachestorm_server.acl.enforcement import check
from cachestorm_server.acl.selector import NEVER
from cachestorm_server.admission import NEVER_QUEUED
from cachestorm_server.fetching import fetch
from cachestorm_server.transaction import ExecAbortError

if TYPE_CHECKING:
    from cachestorm_server.session import Session


class CommandHooks:
    """The hooks around commands, in the order of their calls.

    Attributes:
        before: those that may refuse.
        after: those that are told of what was answered.
    """

    def __init__(self, before: list[Hook], after: list[Hook]) -> None:
        self.before: Final = before
        self.after: Final = after

    def ask(self, call: Call) -> None:
        """Asks all until one refuses.

        Raises:
            CacheStormError: what it refuses with.
        """
        for hook in self.before:
            hook.ask(call)

    def tell(self, call: Call, time_ns: i64, error: str) -> None:
        """Tells all of a command that was answered."""
        call.duration_us = int(time_ns // 1000)
        call.error = error
        for hook in self.after:
            hook.tell(call)


def _call_of(session: Session, plan: Plan, args: list[object]) -> Call:
    space, user = session.cache.name, session.user.name
    return Call(plan, args, space, session.id, session.address, user)


def asked_from(session: Session, plan: Plan) -> i64:
    """Of how many words on a call of a command is to be asked about by `admit`."""
    if session.endpoint.asks():
        return 0
    limits = session.limits
    return NEVER if limits is None else limits.asked_from(plan)


def admit(session: Session, plan: Plan, args: list[object]) -> None:
    """Refuses what the user may not do, another node is to answer, or a plugin refuses.

    And has values fetched that are in a colder tier.

    Raises:
        CacheStormError: what it is refused with.
        Unfinished: where values are in a colder tier: it is to be run when they are there.
    """
    if session.limits is not None:
        check(session, plan, args)
    cluster = session.endpoint.cluster
    if cluster is not None and not cluster.serves(session, plan, args):
        cluster.router.check(session, plan, args)
    hooks = session.endpoint.hooks
    if hooks is not None:
        call = _call_of(session, plan, args)
        hooks.ask(call)
        if hooks.after:
            session.call = call
    fetch(session, plan, args)


def admit_guarded(session: Session, plan: Plan, args: list[object]) -> None:
    """Asks the hooks about a request that is going to be run, or queued.

    Raises:
        CacheStormError: what it is refused with; a transaction is refused as a whole.
    """
    hooks = session.endpoint.hooks
    if hooks is None:
        return
    call = _call_of(session, plan, args)
    transaction = session.transaction
    try:
        hooks.ask(call)
    except CacheStormError as error:
        if transaction is not None:
            transaction.refuse()
        if plan.name == "EXEC":
            session.end_transaction()
            raise ExecAbortError(f": {error}") from error
        raise
    is_queued = transaction is not None and plan.name not in NEVER_QUEUED
    if hooks.after and not is_queued:
        session.call = call


def answer_told(
    hooks: CommandHooks, session: Session, plan: Plan, args: list[object]
) -> object:
    """The reply to a request of a transaction or a script, of which the hooks are to be told.

    Raises:
        CacheStormError: what it is refused with.
    """
    call = _call_of(session, plan, args)
    began_ns: i64 = perf_counter_ns()
    try:
        return session.answer_counted(plan, args)
    except CacheStormError as error:
        call.error = error.resp
        raise
    except Exception:
        call.error = "ERR internal error"
        raise
    finally:
        call.duration_us = (perf_counter_ns() - began_ns) // 1000
        if hooks.after:
            session.calls_within.append(call)


def finish(session: Session, time_ns: i64) -> None:
    """Tells the hooks of the command that was answered, and of those within it."""
    hooks = session.endpoint.hooks
    call = session.call
    session.call = None
    within, session.calls_within = session.calls_within, []
    if hooks is None or call is None:
        return
    for each in within:
        hooks.tell(each, each.duration_us * 1000, each.error)
    hooks.tell(call, time_ns, call.error)
