"""Monitoring: who is shown what others ask, and how it looks. Sans-IO.

Called by the session that answers a request, and by MONITOR; calls the sessions that are shown
it.

1. Passwords are not shown.
2. What a script asks for is shown after the command that runs it.

Source: `replicationFeedMonitors` and `sdscatrepr` of Redis.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from librt.time import time as wall_time

from cachestorm.declare.plan import Plan
from cachestorm_server.admission import has_flag
from cachestorm_server.databases import database_of

if TYPE_CHECKING:
    from cachestorm_server.session import Session

_REDACTED: Final = b"(redacted)"
# parameters of CONFIG SET whose values Redis shows nobody
_SECRET: Final = frozenset(
    {
        b"requirepass",
        b"masterauth",
        b"masteruser",
        b"tls-key-file-pass",
        b"tls-client-key-file-pass",
    }
)
# what is shown in the place of an address
_OF_SCRIPTS: Final = "lua"
_ESCAPES: Final = {
    34: '\\"',
    92: "\\\\",
    10: "\\n",
    13: "\\r",
    9: "\\t",
    7: "\\a",
    8: "\\b",
}


def set_monitor(session: Session, shown: bool) -> None:
    """Has a client shown what others ask, or no longer."""
    endpoint = session.endpoint
    if shown:
        endpoint.monitors[session.id] = session
    else:
        endpoint.monitors.pop(session.id, None)
    for each in endpoint.sessions.values():
        each.watch_over()


def is_shown_first(plan: Plan) -> bool:
    """Whether a command is shown before it is run, and not after: one that runs a script."""
    return has_flag(plan, "skip_monitor")


def show(session: Session, plan: Plan, args: list[object]) -> None:
    """Shows a session's request to those who monitor."""
    if not session.endpoint.monitors or has_flag(plan, "admin"):
        return
    address = _OF_SCRIPTS if session.runs_script else session.address
    line = monitor_line(wall_time(), max(database_of(session.cache.name), 0), address, args)
    for other in list(session.endpoint.monitors.values()):
        if other is session:
            other.push_bytes_later(line)
        else:
            other.push_bytes(line)


def monitor_line(time_s: float, database: int, address: str, argv: list[object]) -> bytes:
    r"""A request as a line of RESP.

    Args:
        time_s: seconds since 1970.
        database: the number of the namespace.
        address: the client's.
        argv: the request.

    Examples:
        >>> monitor_line(1.5, 0, "127.0.0.1:1", [b"SET", b'a"', b"\x01\n"])
        b'+1.500000 [0 127.0.0.1:1] "SET" "a\\"" "\\x01\\n"\r\n'
    """
    words = " ".join([_quoted(arg) for arg in without_passwords(argv)])
    line = f"+{time_s:.6f} [{database} {address}] {words}\r\n"
    return line.encode("ascii", "backslashreplace")


def without_passwords(argv: list[object]) -> list[object]:
    """A request with its passwords replaced; the same list if there are none."""
    names = [arg.lower() if isinstance(arg, bytes) else b"" for arg in argv]
    if names[0] == b"auth":
        return [argv[0], *[_REDACTED] * (len(argv) - 1)]
    if names[0] == b"hello" and b"auth" in names[2:]:
        at = names.index(b"auth", 2) + 1
        return [*argv[:at], *[_REDACTED] * len(argv[at : at + 2]), *argv[at + 2 :]]
    if names[0] == b"acl" and names[1:2] in ([b"setuser"], [b"deluser"], [b"getuser"]):
        return [*argv[:2], *[_REDACTED] * (len(argv) - 2)]
    if names[:2] == [b"config", b"set"]:
        return _redacted(
            argv, {at for at in range(3, len(argv), 2) if names[at - 1] in _SECRET}
        )
    if names[0] == b"migrate":
        return _redacted(argv, set(_of_migrate(names)))
    return argv


def _redacted(argv: list[object], places: set[int]) -> list[object]:
    if not places:
        return argv
    return [_REDACTED if at in places else arg for at, arg in enumerate(argv)]


def _of_migrate(names: list[bytes]) -> Iterator[int]:
    """Where MIGRATE has a password, and the name of a user."""
    # behind KEYS there are only keys
    options = names[: names.index(b"keys", 6)] if b"keys" in names[6:] else names
    for at, name in enumerate(options[6:], 7):
        yield from range(at, at + {b"auth": 1, b"auth2": 2}.get(name, 0))


def _quoted(arg: object) -> str:
    assert isinstance(arg, bytes)
    letters = [
        _ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
        for byte in arg
    ]
    return f'"{"".join(letters)}"'
