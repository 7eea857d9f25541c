"""The commands of transactions: requests that are queued, and run in one step.

Declared like all commands, with a session in the place of the cache. Called by plans. The
session queues requests between MULTI and EXEC.

1. EXEC holds the lock of the store, so that nobody sees half of it, on the wire or in the
   process; a command that works in slices runs to its end in one.
2. A request that fails fails alone: the others run all the same. One that could not be queued
   lets EXEC refuse all of them.
3. Replies are written one after the other, each in the protocol that is spoken by then.

Source: https://redis.io/docs/latest/develop/using-commands/transactions/, and `multi.c`.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from cachestorm.commands.watch_list import WatchList
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.plan import Plan
from cachestorm.declare.wire_values import NULL_ARRAY
from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm_server.acl.enforcement import check_queued
from cachestorm_server.replies import Several, write_array, write_error, write_reply
from cachestorm_server.session import Session
from cachestorm_server.transaction import ExecAbortError, Transaction

_log = logging.getLogger("cachestorm.resp")

command: Final = partial(Declaration, group="transactions", connection=True)


@command(
    "MULTI",
    complexity="O(1)",
    fast=True,
    reply="ok",
    flags="noscript loading stale allow_busy",
    summary="Begin a transaction: commands are queued until EXEC.",
)
def multi(session: Session) -> None:
    """Begins to queue.

    Raises:
        ArgumentError: inside a transaction.
    """
    if session.transaction is not None:
        raise ArgumentError("MULTI calls can not be nested")
    session.transaction = Transaction()
    session.watch_over()


@command(
    "EXEC",
    complexity="O(N) in the commands that were queued, besides what each of them takes",
    flags="noscript loading stale skip_slowlog",
    summary="Run the commands that were queued since MULTI in one step.",
)
def exec_(session: Session) -> object:
    """Runs the transaction, and ends all watches.

    Returns:
        The replies; null when a watched key was touched.

    Raises:
        ArgumentError: outside of a transaction.
        ExecAbortError: if a request could not be queued; none was run.
    """
    transaction = session.transaction
    if transaction is None:
        raise ArgumentError("EXEC without MULTI")
    session.transaction = None
    session.watch_over()
    watched = session.watched
    session.watched = None
    if transaction.is_refused:
        if watched is not None:
            watched.end()
        raise ExecAbortError()
    out = session.endpoint.out
    with session.cache.transaction():
        if watched is not None and watched.end():
            return NULL_ARRAY
        write_array(out, len(transaction.requests))
        for plan, args in transaction.requests:
            _answer(session, plan, args, out)
    return Several([])


def _answer(session: Session, plan: Plan, args: list[object], out: BytesWriter) -> None:
    """Answers a request of a transaction that is being run."""
    mark: i64 = len(out)
    try:
        if session.limits is not None:
            check_queued(session, plan, args)
        reply = session.answer_within(plan, args)
        if reply is NULL_ARRAY and plan.declaration.reply == "moved":
            # nothing to move where nothing waits is no element, not the end of a wait
            reply = None
        write_reply(out, reply, session.resp3)
    except CacheStormError as error:
        out.truncate(mark)
        write_error(out, error.resp)
    except Exception:
        _log.exception("command %r failed", args[0])
        session.refuse("ERR internal error", mark, out, False)


@command(
    "DISCARD",
    complexity="O(N) in the commands that were queued",
    fast=True,
    reply="ok",
    flags="noscript loading stale allow_busy",
    summary="Drop the commands that were queued since MULTI.",
)
def discard(session: Session) -> None:
    """Ends the transaction and all watches.

    Raises:
        ArgumentError: outside of a transaction.
    """
    if session.transaction is None:
        raise ArgumentError("DISCARD without MULTI")
    session.end_transaction()


@command(
    "WATCH key:ro [key ...]",
    complexity="O(1) for each key",
    fast=True,
    reply="ok",
    flags="noscript loading stale allow_busy",
    summary="Make EXEC run nothing if one of these keys is touched before it.",
)
def watch(session: Session, *key: str) -> None:
    """Watches keys of the namespace, besides those that are watched already.

    Raises:
        ArgumentError: inside a transaction.
    """
    if session.transaction is not None:
        raise ArgumentError("WATCH inside MULTI is not allowed")
    if session.watched is None:
        session.watched = WatchList()
    session.watched.add(session.cache, key)


@command(
    "UNWATCH",
    complexity="O(N) in the keys that are watched",
    fast=True,
    reply="ok",
    flags="noscript loading stale allow_busy",
    summary="Stop watching all keys.",
)
def unwatch(session: Session) -> None:
    """Ends all watches."""
    session.unwatch()
