"""What tools ask a server that has no modules and no cluster; SHUTDOWN.

Declared like all commands, with a session in the place of the cache. Called by plans. The
answers are those of a Redis that does not use these features.

Source: https://redis.io/docs/latest/commands/?group=server, texts as in Redis 7.2.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from cachestorm import __version__
from cachestorm.declare.declaration import STRAY_IS_NOTHING, Declaration
from cachestorm.declare.facts import help_of
from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm_server.admission import BusyError
from cachestorm_server.info import REDIS_VERSION
from cachestorm_server.replies import Several
from cachestorm_server.saving import save
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="server", connection=True)

_NO_CLUSTER: Final = "This instance has cluster support disabled"


@command(
    "MODULE LIST",
    complexity="O(1)",
    flags="admin noscript",
    tips="nondeterministic_output_order",
    summary="Return the modules.",
)
def module_list(session: Session) -> list[object]:
    """None."""
    return []


@command(
    "MODULE HELP",
    complexity="O(1)",
    reply="statuses",
    flags="loading stale",
    summary="Print this help.",
)
def module_help(session: Session) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("MODULE")


@command(
    "READONLY",
    group="cluster",
    complexity="O(1)",
    fast=True,
    reply="ok",
    flags="loading stale @connection",
    summary="Let a replica of a cluster answer reads.",
)
def readonly(session: Session) -> None:
    """In a cluster, a replica answers from now on what reads keys of its primary.

    Anywhere else it changes nothing: this server answers everything.
    """
    session.reads_replicas = session.endpoint.cluster is not None


@command(
    "READWRITE",
    group="cluster",
    complexity="O(1)",
    fast=True,
    reply="ok",
    flags="loading stale @connection",
    summary="Undo READONLY.",
)
def readwrite(session: Session) -> None:
    """In a cluster, a replica names its primary from now on."""
    session.reads_replicas = False


@command(
    "ASKING",
    group="cluster",
    complexity="O(1)",
    fast=True,
    reply="ok",
    flags="@connection",
    summary="Let the next request use a slot that is being imported.",
)
def asking(session: Session) -> None:
    """Has the next request answered, though its slot is still on its way here.

    Raises:
        CacheStormError: without a cluster.
    """
    if session.endpoint.cluster is None:
        raise CacheStormError(_NO_CLUSTER)
    session.is_asking = True


@command(
    "LOLWUT [VERSION version:integer]",
    complexity="O(1)",
    fast=True,
    reply="verbatim",
    stray=STRAY_IS_NOTHING,
    flags="readonly",
    summary="Return the version.",
)
def lolwut(session: Session, version: int = 0) -> str:
    """The version of Redis that is spoken, and our own."""
    return f"Redis ver. {REDIS_VERSION}, spoken by CacheStorm {__version__}\n"


@command(
    "SHUTDOWN [save-selector:<NOSAVE | SAVE>] [NOW] [FORCE] [ABORT]",
    complexity="O(N) in the connections",
    flags="admin no_multi noscript loading stale allow_busy",
    summary="Stop the server.",
)
def shutdown(
    session: Session,
    save_selector: str = "",
    now: bool = False,
    force: bool = False,
    abort: bool = False,
) -> Several:
    """Stops the server as a signal does: there is no reply.

    Raises:
        ArgumentError: for ABORT, as no stop can be undone.
        CacheStormError: where the server belongs to a program of somebody's own; for SAVE,
            without a data directory.
    """
    if abort:
        raise ArgumentError("No shutdown in progress.")
    occupant = session.endpoint.occupant
    if occupant is not None and save_selector != "NOSAVE":
        raise BusyError(occupant.refusal)
    if save_selector == "SAVE":
        save(session)
    directory = session.endpoint.availability.directory
    if save_selector == "NOSAVE" and directory is not None:
        directory.saves_at_end = False
    stop = session.endpoint.shut_down
    if stop is None:
        raise CacheStormError(
            "Errors trying to SHUTDOWN. The program that serves this cache stops it."
        )
    stop()
    if occupant is not None:
        # no client of its server is left for what it would still do
        occupant.cut_off()
    session.closing = True
    return Several([])
