"""The commands of CLIENT: what a client says of itself, and what is known of all of them.

Declared like all commands, with a session in the place of the cache. Called by plans.

Source: https://redis.io/docs/latest/commands/client/
"""

from __future__ import annotations

from functools import partial
from typing import Final

from cachestorm.codec import parse_int
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.facts import help_of
from cachestorm.declare.wire_values import OK
from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm_server.client_lines import describe
from cachestorm_server.connection import printable
from cachestorm_server.fetching import Fetching
from cachestorm_server.output_limits import NORMAL, PUBSUB, REPLICA
from cachestorm_server.pause import Postponed
from cachestorm_server.reply_mode import REPLIES_OFF, REPLIES_ON, REPLIES_SKIP_NEXT
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="connection", connection=True)

_REPLY_MODES: Final = {"ON": REPLIES_ON, "OFF": REPLIES_OFF, "SKIP": REPLIES_SKIP_NEXT}
_EXCESS: Final = (
    "unknown subcommand or wrong number of arguments for '{subcommand}'. Try CLIENT HELP."
)
# What this server follows is no client of it: nobody is a master.
_TYPES: Final = (NORMAL, "master", "replica", REPLICA, PUBSUB)


class UnblockedError(CacheStormError):
    """What a blocking command ends with when CLIENT UNBLOCK says so."""

    code = "UNBLOCKED"

    def __init__(self) -> None:
        super().__init__("client unblocked via CLIENT UNBLOCK")


@command(
    "CLIENT ID",
    complexity="O(1)",
    flags="noscript loading stale",
    summary="Return the number of this connection.",
)
def client_id(session: Session) -> int:
    """The session's id: unique and growing since the server started."""
    return session.id


@command(
    "CLIENT GETNAME",
    complexity="O(1)",
    flags="noscript loading stale",
    summary="Return the name of this connection.",
)
def client_getname(session: Session) -> str | None:
    """The name given before, or None."""
    return session.name or None


@command(
    "CLIENT SETNAME connection-name:string",
    complexity="O(1)",
    reply="ok",
    flags="noscript loading stale",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Name this connection.",
)
def client_setname(session: Session, connection_name: str) -> None:
    """Sets the name; an empty one takes it away.

    Raises:
        ArgumentError: for a name that CLIENT LIST could not show.
    """
    session.name = printable(connection_name, "Client names")


@command(
    "CLIENT SETINFO attr:string value:string",
    complexity="O(1)",
    reply="ok",
    flags="noscript loading stale",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Set the library that this client uses.",
)
def client_setinfo(session: Session, attr: str, value: str) -> None:
    """Sets LIB-NAME or LIB-VER.

    Raises:
        ArgumentError: for another attribute, or a value that CLIENT LIST could not show.
    """
    name = attr.lower()
    if name == "lib-name":
        session.library_name = printable(value, name)
    elif name == "lib-ver":
        session.library_version = printable(value, name)
    else:
        raise ArgumentError(f"Unrecognized option '{attr}'")


@command(
    "CLIENT INFO",
    complexity="O(1)",
    reply="verbatim",
    flags="noscript loading stale",
    tips="nondeterministic_output",
    summary="Describe this connection.",
)
def client_info(session: Session) -> str:
    """The line of this session in CLIENT LIST."""
    return describe(session)


@command(
    "CLIENT LIST [TYPE client-type:string] [ID client-id:value [client-id ...]]",
    complexity="O(N) in the connections",
    reply="verbatim",
    flags="admin noscript loading stale",
    tips="nondeterministic_output",
    summary="Describe all connections.",
)
def client_list(
    session: Session, client_type: str | None = None, client_id: list[object] | None = None
) -> str:
    """A line for each session, by id.

    Raises:
        ArgumentError: for a type or an id that is none.
    """
    sessions = session.endpoint.sessions
    chosen = sorted(sessions)
    if client_type is not None:
        wanted = _type_of(client_type)
        chosen = [number for number in chosen if sessions[number].output_class() == wanted]
    elif client_id is not None:
        asked = [parse_int(raw, "Invalid client ID") for raw in client_id]
        chosen = [number for number in asked if number in sessions]
    return "".join([describe(sessions[number]) for number in chosen])


@command(
    "CLIENT REPLY mode:<ON | OFF | SKIP>",
    complexity="O(1)",
    reply="ok",
    flags="no_multi noscript loading stale",
    summary="Switch replies on or off, or skip the next one.",
)
def client_reply(session: Session, mode: str) -> None:
    """Sets the reply mode; see the table in `session`."""
    session.reply_mode = _REPLY_MODES[mode]
    session.watch_over()


@command(
    "CLIENT NO-EVICT enabled:<ON | OFF>",
    complexity="O(1)",
    reply="ok",
    flags="admin noscript loading stale",
    summary="Keep this connection when memory is short.",
)
def client_no_evict(session: Session, enabled: str) -> None:
    """Notes the wish; connections are never evicted here."""
    session.no_evict = enabled == "ON"


@command(
    "CLIENT NO-TOUCH enabled:<ON | OFF>",
    complexity="O(1)",
    reply="ok",
    flags="noscript loading stale",
    summary="Do not count reads of this connection as accesses.",
)
def client_no_touch(session: Session, enabled: str) -> None:
    """Notes the wish; reads count all the same."""
    session.no_touch = enabled == "ON"


@command(
    "CLIENT TYPED enabled:<ON | OFF>",
    own=True,
    complexity="O(1)",
    reply="ok",
    flags="allow_busy noscript loading stale",
    summary="Let values of this connection say what they are, and be stored as that.",
)
def client_typed(session: Session, enabled: str) -> None:
    """From the next request on values come and go in envelopes, which tell what they are.

    `connect(url, typed=True)` sends it: [values that others can
    read](../several-workers.md#values-that-others-can-read).
    """
    session.is_typed = enabled == "ON"


@command(
    "CLIENT KILL filter:<old-format:string | "
    "new-format:<[ID client-id] | [TYPE client-type:string] | "
    "[USER username:string] | [ADDR addr:string] | [LADDR laddr:string] | "
    "[SKIPME skipme:<YES | NO>]> [new-format ...]>",
    complexity="O(N) in the connections",
    flags="admin noscript loading stale",
    summary="Close connections.",
)
def client_kill(
    session: Session,
    old_format: str | None = None,
    client_id: int | None = None,
    client_type: str | None = None,
    username: str | None = None,
    addr: str | None = None,
    laddr: str | None = None,
    skipme: str = "YES",
) -> object:
    """Disconnects every client that all of the filters fit.

    Returns:
        How many; with nothing but an address, OK.

    Raises:
        ArgumentError: for a type, an id or a user that is none, or an address alone that
            nobody has.
    """
    wanted = None if client_type is None else _type_of(client_type)
    if username is not None and session.endpoint.users.get(username) is None:
        raise ArgumentError(f"No such user '{username}'")
    chosen = [
        other
        for other in session.endpoint.sessions.values()
        if (client_id is None or other.id == client_id)
        and (wanted is None or other.output_class() == wanted)
        and (username is None or other.user.name == username)
        and (addr is None or other.address == addr)
        and (laddr is None or other.local_address == laddr)
        and (old_format is None or other.address == old_format)
        and (old_format is not None or skipme == "NO" or other is not session)
    ]
    for other in chosen:
        if other is session:
            # its own reply is still due
            session.closing = True
        else:
            other.disconnect()
    if old_format is None:
        return len(chosen)
    if not chosen:
        raise ArgumentError("No such client")
    return OK


@command(
    "CLIENT PAUSE timeout:pause [mode:<WRITE | ALL>]",
    complexity="O(N) in the connections",
    reply="ok",
    stray="CLIENT PAUSE mode must be WRITE or ALL",
    excess=_EXCESS,
    flags="admin noscript loading stale",
    summary="Hold back the commands of clients for some time.",
)
def client_pause(session: Session, timeout: int, mode: str = "ALL") -> None:
    """Holds all requests of all clients, or those that may write, for so many milliseconds."""
    session.endpoint.pause.begin(timeout / 1000.0, mode == "ALL")
    _watch_over_all(session)


@command(
    "CLIENT UNPAUSE",
    complexity="O(N) in the connections",
    reply="ok",
    flags="admin noscript loading stale",
    summary="End a pause of clients.",
)
def client_unpause(session: Session) -> None:
    """Ends a pause. One of ALL holds this command, too."""
    session.endpoint.pause.end()
    _watch_over_all(session)


def _watch_over_all(session: Session) -> None:
    for other in session.endpoint.sessions.values():
        other.watch_over()


@command(
    "CLIENT UNBLOCK client-id:integer [unblock-type:<TIMEOUT | ERROR>]",
    complexity="O(1)",
    stray="CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
    excess=_EXCESS,
    flags="admin noscript loading stale",
    summary="End the wait of a blocked connection.",
)
def client_unblock(session: Session, client_id: int, unblock_type: str = "TIMEOUT") -> int:
    """Has a blocking command end as if its time were up (TIMEOUT), or with an error (ERROR).

    Returns:
        1; 0 if there is no client of that id that is blocked.
    """
    other = session.endpoint.sessions.get(client_id)
    if other is None or not other.is_blocked():
        return 0
    waiting = other.long_command
    if waiting is None or isinstance(waiting, (Fetching, Postponed)):
        return 0
    waiting.unblock(UnblockedError() if unblock_type == "ERROR" else None)
    return 1


@command(
    "CLIENT HELP",
    complexity="O(1)",
    reply="statuses",
    flags="loading stale",
    summary="Print this help.",
)
def client_help(session: Session) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("CLIENT")


def _type_of(text: str) -> str:
    if text.lower() not in _TYPES:
        raise ArgumentError(f"Unknown client type '{text}'")
    # its name since Redis 5, and before
    return REPLICA if text.lower() == "replica" else text.lower()
