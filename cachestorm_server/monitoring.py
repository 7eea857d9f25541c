"""Monitoring: a request as MONITOR shows it. Sans-IO.

Called by the session that answers the request; calls nobody.

1. Passwords are not shown.

Source: `replicationFeedMonitors` and `sdscatrepr` of Redis.
"""

from __future__ import annotations

from typing import Final

_REDACTED: Final = b"(redacted)"
_ESCAPES: Final = {
    34: '\\"',
    92: "\\\\",
    10: "\\n",
    13: "\\r",
    9: "\\t",
    7: "\\a",
    8: "\\b",
}


def monitor_line(time_s: float, database: int, address: str, argv: list[object]) -> bytes:
    r"""A request as a line of RESP.

    Args:
        time_s: seconds since 1970.
        database: the number of the namespace.
        address: the client's.
        argv: the request.

    Example:
        >>> monitor_line(1.5, 0, "127.0.0.1:1", [b"SET", b'a"', b"\x01\n"])
        b'+1.500000 [0 127.0.0.1:1] "SET" "a\\"" "\\x01\\n"\r\n'
    """
    words = " ".join([_quoted(arg) for arg in _without_passwords(argv)])
    line = f"+{time_s:.6f} [{database} {address}] {words}\r\n"
    return line.encode("ascii", "backslashreplace")


def _without_passwords(argv: list[object]) -> list[object]:
    names = [arg.lower() if isinstance(arg, bytes) else b"" for arg in argv]
    if names[0] == b"auth":
        return [argv[0], *[_REDACTED] * (len(argv) - 1)]
    if names[0] == b"hello" and b"auth" in names[2:]:
        at = names.index(b"auth", 2) + 1
        return [*argv[:at], *[_REDACTED] * len(argv[at : at + 2]), *argv[at + 2 :]]
    return argv


def _quoted(arg: object) -> str:
    assert isinstance(arg, bytes)
    letters = [
        _ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
        for byte in arg
    ]
    return f'"{"".join(letters)}"'
