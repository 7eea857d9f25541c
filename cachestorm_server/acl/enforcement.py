"""Enforcement: who a session is, what it is refused, and what a change of its user means.

Called by sessions for each request of a user that is limited, by the commands that
authenticate, and by whoever has changed users.

1. A refusal is noted in the log of the users, with the client that it was told.
2. A user that has been deleted takes its clients along, and one that may no longer hear a
   channel those that listen to it. A command that waits for what it may no longer have is
   refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachestorm.channels import PATTERN
from cachestorm.codec import text_of
from cachestorm.declare.plan import Plan
from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm_server.acl.denial import ANY_KEY, REASONS, Denial, NoPermissionError
from cachestorm_server.acl.log import LUA, MULTI, TOPLEVEL
from cachestorm_server.acl.logins import host_of
from cachestorm_server.acl.users import WrongPasswordError
from cachestorm_server.admission import NEVER_QUEUED
from cachestorm_server.client_lines import describe

if TYPE_CHECKING:
    from cachestorm_server.endpoint import Endpoint
    from cachestorm_server.session import Session


def log_in(session: Session, name: str, password: str, command: str) -> None:
    """Makes the client somebody.

    Args:
        command: what it was said by.

    Raises:
        WrongPasswordError: for a user or a password that is not known.
    """
    endpoint = session.endpoint
    users = endpoint.users
    try:
        user = users.authenticate(name, password, host_of(session.address))
    except WrongPasswordError:
        endpoint.wrong_passwords += 1
        endpoint.last_guesser = session.address
        users.log.add("auth", _context(session), command, name, describe(session))
        raise
    session.user = user
    session.authenticated = True
    session.watch_over()


def check(session: Session, plan: Plan, args: list[object]) -> None:
    """Refuses a request that the user may not make.

    Raises:
        NoPermissionError: with Redis' text.
        CacheStormError: for words that the command would refuse, too.
    """
    denial = denied(session, plan, args)
    if denial is not None:
        raise refusal(session, denial, _context(session))


def check_guarded(session: Session, plan: Plan, args: list[object]) -> None:
    """As `check`; what EXEC is going to refuse for its words is not refused before.

    Raises:
        NoPermissionError: with Redis' text.
        CacheStormError: for words that the command would refuse, too.
    """
    try:
        check(session, plan, args)
    except NoPermissionError:
        raise
    except CacheStormError:
        if session.transaction is None or plan.name in NEVER_QUEUED:
            raise


def check_queued(session: Session, plan: Plan, args: list[object]) -> None:
    """Refuses what was permitted when it was queued, and is not any more.

    Raises:
        NoPermissionError: with Redis' text.
        CacheStormError: for words that the command would refuse, too.
    """
    denial = denied(session, plan, args)
    if denial is None:
        return
    if denial.code == ANY_KEY:
        raise refusal(session, denial, MULTI)
    _note(session, denial, MULTI)
    raise NoPermissionError(denial.late_text())


def check_scripted(session: Session, plan: Plan, args: list[object]) -> None:
    """Refuses what a script asks for and its user may not.

    Raises:
        CacheStormError: with Redis' text; for words that the command would refuse, too.
    """
    denial = denied(session, plan, args)
    if denial is None:
        return
    if denial.code == ANY_KEY:
        raise refusal(session, denial, LUA)
    _note(session, denial, LUA)
    raise CacheStormError(f"ACL failure in script: {denial.text(session.user.name)}")


def denied(session: Session, plan: Plan, args: list[object]) -> Denial | None:
    """What the user is denied of a call; None if all of it is permitted.

    Raises:
        CacheStormError: for words that the command would refuse, too.
    """
    limits = session.limits
    if limits is None:
        return None
    plan.check_arity(args)
    return limits.check(plan, args, session.cache.name)


def refusal(session: Session, denial: Denial, context: str) -> CacheStormError:
    """How a client is told of a denial, which is noted; a pattern is refused as by SORT."""
    if denial.code == ANY_KEY:
        return ArgumentError(denial.text(session.user.name))
    _note(session, denial, context)
    return NoPermissionError(denial.text(session.user.name))


def _note(session: Session, denial: Denial, context: str) -> None:
    session.endpoint.users.log.add(
        REASONS[denial.code],
        context,
        text_of(denial.word),
        session.user.name,
        describe(session),
    )


def _context(session: Session) -> str:
    return TOPLEVEL if session.transaction is None else MULTI


def follow_users(endpoint: Endpoint, asking: Session | None = None) -> None:
    """Has a change of users hold for the clients that are connected.

    Args:
        asking: the one that is being answered, if any; its own reply is still due.
    """
    for session in list(endpoint.sessions.values()):
        _follow(session, asking)


def _follow(session: Session, asking: Session | None) -> None:
    session.watch_over()
    user = session.user
    if user.is_deleted or not _may_listen(session):
        if session is asking:
            session.closing = True
        else:
            session.disconnect()
        return
    plan = session.long_command_plan
    waiting = session.long_command
    if waiting is None or plan is None or not waiting.sleeps:
        return
    denial = denied(session, plan, session.long_command_args)
    if denial is not None:
        waiting.unblock(refusal(session, denial, TOPLEVEL))


def _may_listen(session: Session) -> bool:
    """Whether the user may hear all that the client has subscribed to."""
    if session.limits is None or session.subscriptions is None:
        return True
    for kind, names in enumerate(session.subscriptions.names):
        for name in names:
            if not session.user.permits_channel(name, kind == PATTERN):
                return False
    return True
