"""The commands of client-side caching: CLIENT TRACKING and what belongs to it.

Declared like all commands, with a session in the place of the cache. Called by plans.

Source: https://redis.io/docs/latest/commands/client-tracking/, and `networking.c` and
`tracking.c` of Redis 7.2 for the texts.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from cachestorm.declare.declaration import Declaration
from cachestorm.declare.wire_values import Members
from cachestorm.errors import ArgumentError
from cachestorm_server.session import Session
from cachestorm_server.tracking import Tracked

command: Final = partial(Declaration, group="connection", connection=True)

_OTHER_MODE: Final = (
    "before disabling tracking for this client, and then re-enabling it with a different mode."
)
_OVERLAP: Final = "Prefixes for a single client must not overlap."


@command(
    "CLIENT TRACKING status:<ON | OFF> [REDIRECT client-id:integer] "
    "[PREFIX prefix:string [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
    complexity="O(1)",
    reply="ok",
    flags="noscript loading stale",
    summary="Be told when keys that were read have changed.",
)
def client_tracking(
    session: Session,
    status: str,
    client_id: int | None = None,
    prefix: list[str] | None = None,
    bcast: bool = False,
    optin: bool = False,
    optout: bool = False,
    noloop: bool = False,
) -> None:
    """Switches tracking on or off.

    Raises:
        ArgumentError: for options that exclude each other, prefixes that overlap, another mode
            than the client tracks in, and a client to redirect to that is not there.
    """
    if client_id is not None and client_id not in session.endpoint.sessions:
        raise ArgumentError("The client ID you want redirect to does not exist")
    if status == "OFF":
        session.endpoint.tracking.choose(session, None)
        return
    if prefix and not bcast:
        raise ArgumentError("PREFIX option requires BCAST mode to be enabled")
    before = session.tracked
    if before is not None and before.broadcasts != bcast:
        raise ArgumentError(f"You can't switch BCAST mode on/off {_OTHER_MODE}")
    if bcast and (optin or optout):
        raise ArgumentError("OPTIN and OPTOUT are not compatible with BCAST")
    if optin and optout:
        raise ArgumentError("You can't specify both OPTIN mode and OPTOUT mode")
    if before is not None and ((optin and before.opt_out) or (optout and before.opt_in)):
        raise ArgumentError(f"You can't switch OPTIN/OPTOUT mode {_OTHER_MODE}")
    prefixes = None
    if bcast:
        known = [] if before is None else before.prefixes
        _check_prefixes(prefix or [], known)
        # all keys have the empty prefix
        prefixes = [*known, *(one for one in prefix or [""] if one not in known)]
    tracked = Tracked(session.id, client_id or 0, prefixes, optin, optout, noloop)
    session.endpoint.tracking.choose(session, tracked)


def _check_prefixes(prefixes: list[str], known: list[str]) -> None:
    for at, one in enumerate(prefixes):
        for other in sorted(known):
            if one.startswith(other) or other.startswith(one):
                raise ArgumentError(
                    f"Prefix '{one}' overlaps with an existing prefix '{other}'. {_OVERLAP}"
                )
        for other in prefixes[at + 1 :]:
            if one.startswith(other) or other.startswith(one):
                raise ArgumentError(
                    f"Prefix '{one}' overlaps with another provided prefix '{other}'. "
                    f"{_OVERLAP}"
                )


@command(
    "CLIENT CACHING mode:<YES | NO>",
    complexity="O(1)",
    reply="ok",
    flags="noscript loading stale",
    summary="Track the keys of the next command, or do not.",
)
def client_caching(session: Session, mode: str) -> None:
    """Says of the next command whether its keys are kept, against what holds otherwise.

    Raises:
        ArgumentError: in another mode than OPTIN for YES, and OPTOUT for NO.
    """
    tracked = session.tracked
    if tracked is None:
        raise ArgumentError(
            "CLIENT CACHING can be called only when the client is in tracking mode with "
            "OPTIN or OPTOUT mode enabled"
        )
    if mode == "YES" and not tracked.opt_in:
        raise ArgumentError(
            "CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
        )
    if mode == "NO" and not tracked.opt_out:
        raise ArgumentError(
            "CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
        )
    tracked.is_announced = True


@command(
    "CLIENT GETREDIR",
    complexity="O(1)",
    flags="noscript loading stale",
    summary="Return the connection to which invalidations are sent; -1 without tracking.",
)
def client_getredir(session: Session) -> int:
    """Its id; 0 for this one."""
    return -1 if session.tracked is None else session.tracked.redirect


@command(
    "CLIENT TRACKINGINFO",
    complexity="O(1)",
    flags="noscript loading stale",
    summary="Describe the tracking of this connection.",
)
def client_trackinginfo(session: Session) -> dict[str, object]:
    """Its flags, the connection that is told instead, and its prefixes."""
    tracked = session.tracked
    flags = ["off"] if tracked is None else tracked.flags()
    prefixes = [] if tracked is None else sorted(tracked.prefixes)
    return {
        "flags": Members(list[object](flags)),
        "redirect": client_getredir(session),
        "prefixes": prefixes,
    }
