"""DEBUG: what test suites ask of a server; off unless `enable-debug-command` lets them.

Declared like all commands, with a session in the place of the cache. Called by plans. The
subcommands are one table, from which HELP is drawn. What would end the server, lose data or
tell of the insides of Redis is known, and refused with the reason.

Source: `debug.c` of Redis 7.2.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable
from functools import partial
from math import isfinite
from typing import Final, NamedTuple

from cachestorm.declare.declaration import Declaration
from cachestorm.declare.wire_values import OK, Status
from cachestorm.errors import ArgumentError, CacheStormError, NoSuchKeyError, NotAnIntegerError
from cachestorm_server.output_limits import parse_memory
from cachestorm_server.replies import Encoded
from cachestorm_server.session import Session

command: Final = partial(Declaration, group="server", connection=True)

LONGEST_SLEEP_S: Final = 86_400.0
_MOST_PACKED_BYTES: Final = (1 << 32) - (1 << 20)
_BIG: Final = b"1234567999999999999999999999999999999"
_AFTER_ATTRIBUTE: Final = b"$39\r\nSome real reply following the attribute\r\n"

_log = logging.getLogger("cachestorm.resp")

# In RESP2 and in RESP3; None: RESP2 has no such thing.
_OF_PROTOCOL: Final[dict[str, tuple[bytes | None, bytes]]] = {
    "string": (b"$11\r\nHello World\r\n", b"$11\r\nHello World\r\n"),
    "integer": (b":12345\r\n", b":12345\r\n"),
    "double": (b"$5\r\n3.141\r\n", b",3.141\r\n"),
    "bignum": (b"$%d\r\n%s\r\n" % (len(_BIG), _BIG), b"(%s\r\n" % _BIG),
    "null": (b"$-1\r\n", b"_\r\n"),
    "array": (b"*3\r\n:0\r\n:1\r\n:2\r\n", b"*3\r\n:0\r\n:1\r\n:2\r\n"),
    "set": (b"*3\r\n:0\r\n:1\r\n:2\r\n", b"~3\r\n:0\r\n:1\r\n:2\r\n"),
    "map": (
        b"*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n",
        b"%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n",
    ),
    "attrib": (
        _AFTER_ATTRIBUTE,
        b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n" + _AFTER_ATTRIBUTE,
    ),
    "push": (
        None,
        b">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n"
        b"$40\r\nSome real reply following the push reply\r\n",
    ),
    "verbatim": (
        b"$25\r\nThis is a verbatim\nstring\r\n",
        b"=29\r\ntxt:This is a verbatim\nstring\r\n",
    ),
    "true": (b":1\r\n", b"#t\r\n"),
    "false": (b":0\r\n", b"#f\r\n"),
}


class _Simulated(CacheStormError):
    """An error that a client has asked for: its text is all of the reply."""

    @property
    def resp(self) -> str:
        return str(self)


class _Subcommand(NamedTuple):
    """One that is there.

    Attributes:
        spec: the arguments, as HELP shows them.
        least, most: how many of them.
        summary: what it does, for HELP.
        run: does it.
    """

    spec: str
    least: int
    most: int
    summary: str
    run: Callable[[Session, list[str]], object]


def _object(session: Session, args: list[str]) -> object:
    # no access: neither a hit nor a miss, nor does a key outlive its idle time by it
    encoding = session.cache.object_encoding(args[0])
    size = session.cache._serialized_bytes(args[0])
    if encoding is None or size is None:
        raise NoSuchKeyError()
    return Status(
        f"Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{size} "
        "lru:0 lru_seconds_idle:0"
    )


def _sleep(session: Session, args: list[str]) -> object:
    try:
        seconds = float(args[0])
    except ValueError:
        seconds = float("nan")
    if not isfinite(seconds) or seconds > LONGEST_SLEEP_S:
        raise ArgumentError(f"value is not a number of seconds up to {LONGEST_SLEEP_S:.0f}")
    time.sleep(max(seconds, 0.0))
    return OK


def _error(session: Session, args: list[str]) -> object:
    raise _Simulated(args[0])


def _log_message(session: Session, args: list[str]) -> object:
    _log.warning("DEBUG LOG: %s", args[0])
    return OK


def _protocol(session: Session, args: list[str]) -> object:
    found = _OF_PROTOCOL.get(args[0].lower())
    if found is None:
        raise ArgumentError(
            "Wrong protocol type name. Please use one of the following: "
            + "|".join(_OF_PROTOCOL)
        )
    reply = found[1] if session.resp3 else found[0]
    if reply is None:
        raise ArgumentError("RESP2 is not supported by this command")
    return Encoded(reply)


def _populate(session: Session, args: list[str]) -> object:
    count = _positive(args[0])
    prefix = args[1] if len(args) > 1 else "key"
    size = _positive(args[2]) if len(args) > 2 else 0
    if size > session.endpoint.settings.max_bulk_bytes:
        raise ArgumentError("value is out of range, must be less than proto-max-bulk-len")
    for number in range(count):
        value = f"value:{number}"
        if size:
            value = value[:size].ljust(size, "\0")
        session.cache.set(f"{prefix}:{number}", value, nx=True)
    return OK


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NotAnIntegerError("value is out of range, must be positive")
    return int(text)


def _set_active_expire(session: Session, args: list[str]) -> object:
    if args[0] not in ("0", "1"):
        raise ArgumentError("value must be 0 or 1")
    session.endpoint.is_reaping = args[0] == "1"
    return OK


def _packed_threshold(session: Session, args: list[str]) -> object:
    try:
        size = parse_memory(args[0])
    except ArgumentError:
        size = _MOST_PACKED_BYTES + 1
    if size > _MOST_PACKED_BYTES:
        raise ArgumentError(
            "argument must be a memory value bigger than 1 and smaller than 4gb"
        )
    return OK


def _nothing(session: Session, args: list[str]) -> object:
    return OK


def _help(session: Session, args: list[str]) -> object:
    lines: list[object] = [
        Status("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
    ]
    for name, each in _SUBCOMMANDS.items():
        lines.append(Status(f"{name} {each.spec}".strip()))
        lines.append(Status(f"    {each.summary}"))
    return lines


_SUBCOMMANDS: Final[dict[str, _Subcommand]] = {
    "CHANGE-REPL-ID": _Subcommand("", 0, 0, "Do nothing: there is no replication.", _nothing),
    "ERROR": _Subcommand("<string>", 1, 1, "Reply with an error of this text.", _error),
    "LOG": _Subcommand("<message>", 1, 1, "Write to the server's log.", _log_message),
    "OBJECT": _Subcommand("<key>", 1, 1, "Show facts about a value.", _object),
    "POPULATE": _Subcommand(
        "<count> [<prefix>] [<size>]",
        1,
        3,
        "Create the keys <prefix>:<number> that are missing.",
        _populate,
    ),
    "PROTOCOL": _Subcommand(
        "<type>", 1, 1, f"Reply with a value: {', '.join(_OF_PROTOCOL)}.", _protocol
    ),
    "QUICKLIST-PACKED-THRESHOLD": _Subcommand(
        "<size>", 1, 1, "Do nothing: lists have no nodes.", _packed_threshold
    ),
    "SET-ACTIVE-EXPIRE": _Subcommand(
        "<0|1>",
        1,
        1,
        "With 0, free what has expired only as writes come; with 1, between them too.",
        _set_active_expire,
    ),
    "SLEEP": _Subcommand("<seconds>", 1, 1, "Stop the server for some time.", _sleep),
    "HELP": _Subcommand("", 0, 0, "Print this help.", _help),
}

_ENDS: Final = "it would end the server"
_LOSES: Final = "it would lose data"
_INSIDES: Final = "it is about the insides of Redis"
_REFUSED: Final = {
    **dict.fromkeys(("ASSERT", "CRASH-AND-RECOVER", "OOM", "PANIC", "RESTART"), _ENDS),
    **dict.fromkeys(("SEGFAULT", "LEAK"), _ENDS),
    **dict.fromkeys(("LOADAOF", "RELOAD", "REPLICATE", "FLUSHALL"), _LOSES),
    **dict.fromkeys(("AOF-FLUSH-SLEEP", "CLIENT-EVICTION", "CLUSTERLINK", "DIGEST"), _INSIDES),
    **dict.fromkeys(("CONFIG-REWRITE-FORCE-ALL", "DIGEST-VALUE", "HTSTATS"), _INSIDES),
    **dict.fromkeys(("DROP-CLUSTER-PACKET-FILTER", "HTSTATS-KEY", "LISTPACK"), _INSIDES),
    **dict.fromkeys(("MALLCTL", "MALLCTL-STR", "PAUSE-CRON", "QUICKLIST"), _INSIDES),
    **dict.fromkeys(("REPLYBUFFER", "SDSLEN", "STRINGMATCH-TEST", "STRUCTSIZE"), _INSIDES),
    **dict.fromkeys(("DICT-RESIZING", "SET-DISABLE-DENY-SCRIPTS", "ZIPLIST"), _INSIDES),
    **dict.fromkeys(("SET-SKIP-CHECKSUM-VALIDATION", "STRINGMATCH-LEN"), _INSIDES),
}


@command(
    "DEBUG subcommand:string [argument:string [argument ...]]",
    complexity="as the subcommand",
    flags="admin noscript loading stale",
    summary="Do what test suites need, if `enable-debug-command` allows it.",
)
def debug(session: Session, subcommand: str, *argument: str) -> object:
    """What a subcommand gives; DEBUG HELP tells which there are.

    Raises:
        CacheStormError: unless the server was started with `enable-debug-command`, and by
            `local` for a client of another host.
        ArgumentError: for a subcommand that is unknown, refused or called with other
            arguments than it takes.
    """
    allowed = session.endpoint.settings.debug_command
    if not (allowed == "yes" or (allowed == "local" and is_local(session.address))):
        raise CacheStormError(
            "DEBUG command not allowed. If the enable-debug-command option is set to "
            '"local", you can run it from a local connection, otherwise you need to set this '
            "option in the configuration file, and then restart the server."
        )
    name = subcommand.upper()
    why = _REFUSED.get(name)
    if why is not None:
        raise ArgumentError(f"DEBUG {name} is refused: {why}. Try DEBUG HELP.")
    found = _SUBCOMMANDS.get(name)
    if found is None or not found.least <= len(argument) <= found.most:
        raise ArgumentError(
            f"unknown subcommand or wrong number of arguments for '{subcommand[:128]}'. "
            "Try DEBUG HELP."
        )
    return found.run(session, list(argument))


def is_local(address: str) -> bool:
    """Whether a client's address is a loopback one, or no network address at all."""
    host = address.rpartition(":")[0].strip("[]").removeprefix("::ffff:")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
