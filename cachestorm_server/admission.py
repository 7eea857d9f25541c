"""Admission: what a client may ask in the state that its session is in. Sans-IO.

Called by the session for each request of a client that has not authenticated, has subscribed,
is in a transaction or monitors. Calls nobody.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from cachestorm.declare.facts import flags_of
from cachestorm.declare.plan import Plan
from cachestorm.errors import ArgumentError, CacheStormError

# What is run at once in a transaction.
NEVER_QUEUED: Final = frozenset({"EXEC", "DISCARD", "MULTI", "WATCH", "QUIT", "RESET"})
# What a client of RESP2 may ask that has subscribed.
_ALLOWED_SUBSCRIBED: Final = frozenset(
    {
        "SUBSCRIBE",
        "PSUBSCRIBE",
        "SSUBSCRIBE",
        "UNSUBSCRIBE",
        "PUNSUBSCRIBE",
        "SUNSUBSCRIBE",
        "PING",
        "QUIT",
        "RESET",
    }
)

# A browser lured into sending a request here must not get further than its first line.
_HTTP_STARTS: Final = (b"post", b"host:")


@mypyc_attr(native_class=False)
class SpeaksHttp(Exception):
    """The client is a browser or something like it: closed without a reply."""


@mypyc_attr(native_class=False)
class NotAuthenticatedError(CacheStormError):
    """The client has not said yet who it is."""

    code = "NOAUTH"
    http_status = 401

    def __init__(self, text: str = "Authentication required.") -> None:
        super().__init__(text)


def refuse_http(name: bytes) -> None:
    """Refuses a client that speaks HTTP.

    Raises:
        SpeaksHttp: if the name of its command says so.
    """
    if name.lower() in _HTTP_STARTS:
        raise SpeaksHttp()


@mypyc_attr(native_class=False)
class BusyError(CacheStormError):
    """A script runs, and has done so for long."""

    http_status = 503

    @property
    def resp(self) -> str:
        return str(self)


@mypyc_attr(allow_interpreted_subclasses=True)
class Occupant:
    """What keeps the thread of an endpoint for itself: a script.

    Attributes:
        session_id: of the client that it is run for.
        refusal: what others are told meanwhile.
    """

    def __init__(self, session_id: int, refusal: str) -> None:
        self.session_id: Final = session_id
        self.refusal: Final = refusal

    def cut_off(self) -> None:
        """Ends it, whatever it has done: the server is going to stop."""


def check_allowed(
    plan: Plan, authenticated: bool, restricted: bool, in_transaction: bool, monitors: bool
) -> None:
    """Refuses a request that is not allowed in the state of its session.

    Args:
        restricted: the client speaks RESP2 and has subscribed.

    Raises:
        CacheStormError: with Redis' text.
    """
    if not authenticated and not has_flag(plan, "no_auth"):
        raise NotAuthenticatedError()
    if restricted and plan.name not in _ALLOWED_SUBSCRIBED:
        raise ArgumentError(
            f"Can't execute '{plan.declaration.full_name}': only (P|S)SUBSCRIBE / "
            "(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        )
    if in_transaction and plan.no_multi:
        raise ArgumentError("Command not allowed inside a transaction")
    if monitors:
        flags = flags_of(plan.declaration)
        if "write" in flags or "readonly" in flags:
            raise ArgumentError("Replica can't interact with the keyspace")


def has_flag(plan: Plan, flag: str) -> bool:
    """Whether a command is declared with a flag."""
    return flag in plan.declaration.flags.split()
