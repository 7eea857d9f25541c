"""The commands of a connection itself: identity, protocol and namespace.

Declared like all commands, with a session in the place of the cache. Called by plans.

Source: https://redis.io/docs/latest/commands/?group=connection
"""

from __future__ import annotations

from functools import partial
from typing import Final

from mypy_extensions import mypyc_attr

from cachestorm.declare.declaration import STRAY_IS_ARITY, STRAY_IS_NOTHING, Declaration
from cachestorm.errors import ArgumentError, CacheStormError
from cachestorm_server.acl.enforcement import log_in
from cachestorm_server.acl.users import DEFAULT
from cachestorm_server.admission import NotAuthenticatedError
from cachestorm_server.info import REDIS_VERSION
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="connection", connection=True)


@mypyc_attr(native_class=False)
class ProtocolVersionError(CacheStormError):
    """A version of RESP that is not spoken here."""

    code = "NOPROTO"

    def __init__(self) -> None:
        super().__init__("unsupported protocol version")


@command(
    "PING [message:blob]",
    complexity="O(1)",
    fast=True,
    reply="pong",
    stray=STRAY_IS_ARITY,
    tips="request_policy:all_shards response_policy:all_succeeded",
    summary="Return PONG, or the message given.",
)
def ping(session: Session, message: bytes | None = None) -> bytes | None:
    """The message, if there is one."""
    return message


@command(
    "ECHO message:blob",
    complexity="O(1)",
    fast=True,
    flags="loading stale",
    summary="Return the message given.",
)
def echo(session: Session, message: bytes) -> bytes:
    """The message."""
    return message


@command(
    "QUIT",
    complexity="O(1)",
    fast=True,
    reply="ok",
    stray=STRAY_IS_NOTHING,
    flags="no_auth allow_busy noscript loading stale",
    deprecated="7.2.0",
    instead="just closing the connection",
    summary="Close the connection.",
)
def quit_(session: Session) -> None:
    """Ends the session once the replies due have gone."""
    session.closing = True


@command(
    "RESET",
    complexity="O(1)",
    fast=True,
    reply="status",
    flags="no_auth allow_busy noscript loading stale",
    summary="Reset the connection to the state of a new one.",
)
def reset(session: Session) -> str:
    """Back to the default namespace, RESP2, no name, not authenticated."""
    session.start_over()
    return "RESET"


@command(
    "SELECT index:database",
    complexity="O(1)",
    fast=True,
    reply="ok",
    flags="loading stale",
    summary="Switch to the namespace that a number stands for.",
)
def select(session: Session, index: int) -> None:
    """Moves to namespace `default` for 0, `db<n>` for n.

    Raises:
        ArgumentError: for a number that is not a database; in a cluster, for any but 0.
    """
    if index != 0 and session.endpoint.cluster is not None:
        raise ArgumentError("SELECT is not allowed in cluster mode")
    session.cache = session.endpoint.cache.database(index)


@command(
    "NAMESPACE name:namespace",
    group="namespaces",
    own=True,
    complexity="O(1)",
    fast=True,
    reply="ok",
    summary="Switch to a namespace, which is created on demand.",
)
def namespace(session: Session, name: str) -> None:
    """Moves to a namespace.

    Raises:
        NamespaceError: for a name that is none.
    """
    session.cache = session.endpoint.cache.namespace(name)


@command(
    "AUTH [username:string] password:string",
    complexity="O(1)",
    fast=True,
    reply="ok",
    flags="no_auth noscript loading stale allow_busy",
    summary="Authenticate this connection.",
)
def auth(session: Session, password: str, username: str | None = None) -> None:
    """Authenticates the client.

    Raises:
        WrongPasswordError: for a password or a user that is not known.
        ArgumentError: for a password where none is asked for.
    """
    users = session.endpoint.users
    if username is None and users.default.needs_no_password:
        raise ArgumentError(
            "AUTH <password> called without any password configured for the default user. "
            "Are you sure your configuration is correct?"
        )
    log_in(session, DEFAULT if username is None else username, password, "AUTH")


@command(
    "HELLO [protover:protocol [AUTH username:string password:string] "
    "[SETNAME clientname:string]]",
    complexity="O(1)",
    fast=True,
    stray="Syntax error in HELLO option '{arg}'",
    flags="no_auth noscript loading stale allow_busy",
    summary="Choose the version of the protocol, and authenticate.",
)
def hello(
    session: Session,
    protover: int | None = None,
    auth: tuple[str, str] | None = None,
    clientname: str | None = None,
) -> dict[str, object]:
    """Switches the protocol.

    Returns:
        Who serves, and what.

    Raises:
        ProtocolVersionError: for another version than 2 and 3.
        WrongPasswordError: for a password or a user that is not known.
        NotAuthenticatedError: for a client that has to say who it is, and does not.
        ArgumentError: for a name that CLIENT LIST could not show.
    """
    version = 3 if session.resp3 else 2
    if protover is not None:
        version = protover
        if version not in (2, 3):
            raise ProtocolVersionError()
    if auth is not None:
        log_in(session, auth[0], auth[1], "HELLO")
    if not session.authenticated:
        raise NotAuthenticatedError(
            "HELLO must be called with the client already authenticated, otherwise the HELLO "
            "AUTH <user> <pass> option can be used to authenticate the client and select the "
            "RESP protocol version at the same time"
        )
    if clientname is not None:
        session.name = printable(clientname, "Client names")
    session.resp3 = version == 3
    return {
        "server": "redis",
        "version": REDIS_VERSION,
        "proto": version,
        "id": session.id,
        "mode": "standalone" if session.endpoint.cluster is None else "cluster",
        "role": "replica" if session.endpoint.availability.is_replica else "master",
        "modules": [],
    }


def printable(text: str, what: str) -> str:
    """A word that CLIENT LIST can show.

    Raises:
        ArgumentError: for blanks and whatever else is not printable ASCII.
    """
    for char in text:
        if not "!" <= char <= "~":
            raise ArgumentError(
                f"{what} cannot contain spaces, newlines or special characters."
            )
    return text
