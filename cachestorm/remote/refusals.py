"""Refusals: what a server or its connection says no with, as the errors of a cache.

Called wherever redis-py raises; so a program that catches WrongTypeError catches it near and
far.
"""

from __future__ import annotations

import re
from typing import Final

import redis

from cachestorm.errors import (
    ArgumentError,
    ArityError,
    BusyKeyError,
    CacheStormError,
    CommandSyntaxError,
    CorruptedSketchError,
    DurabilityError,
    InvalidTtlError,
    NamespaceError,
    NoSuchKeyError,
    NotAFloatError,
    NotAnIntegerError,
    OutOfMemoryError,
    PayloadError,
    TagError,
    UnknownCommandError,
    WatchError,
    WrongTypeError,
)


class UnreachableError(CacheStormError, ConnectionError):
    """The server cannot be reached, or hung up. A write may have happened, or not."""

    http_status = 503


class SlowServerError(UnreachableError, TimeoutError):
    """The server did not answer in time. A write may have happened, or not."""


class BusySlotError(UnreachableError):
    """Slots of a cluster are on their way to another node, for longer than was waited.

    A write was not done, unless it concerned keys of other slots, too: these are done.
    """


class DeniedError(UnreachableError):
    """The server does not take the name or the password. No error is hidden that is one."""

    http_status = 502


class UnsupportedError(UnknownCommandError, NotImplementedError):
    """What was asked for cannot be done, or not exactly, on this server."""

    http_status = 501


class RefusedError(ArgumentError):
    """A refusal by the server that has no class of its own.

    Attributes:
        status: the first word of the refusal: `ERR`, `NOPERM`.
    """

    status = "ERR"


# by the first word
_BY_CODE: Final[dict[str, type[CacheStormError]]] = {
    "WRONGTYPE": WrongTypeError,
    "OOM": OutOfMemoryError,
    "BUSYKEY": BusyKeyError,
    "INVALIDOBJ": CorruptedSketchError,
    "MISCONF": DurabilityError,
}
# what redis-py takes off the text, and does not tell before 6.x
_CODES: Final[dict[type[redis.RedisError], str]] = {
    redis.OutOfMemoryError: "OOM",
    redis.ReadOnlyError: "READONLY",
}
# of a server that is there, and can do nothing now
_AWAY: Final = frozenset(
    {"BUSY", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS", "READONLY", "TRYAGAIN"}
)
# by what the text has in it, the first that fits
_BY_TEXT: Final[tuple[tuple[str, type[CacheStormError]], ...]] = (
    ("wrong number of arguments", ArityError),
    ("unknown command", UnsupportedError),
    ("unknown subcommand", UnsupportedError),
    ("syntax error", CommandSyntaxError),
    ("is not an integer", NotAnIntegerError),
    ("not a valid float", NotAFloatError),
    ("is not a float", NotAFloatError),
    ("no such key", NoSuchKeyError),
    ("invalid expire time", InvalidTtlError),
    ("invalid tag", TagError),
    ("tag link", TagError),
    ("namespace", NamespaceError),
    ("Bad data format", PayloadError),
    ("DUMP payload", PayloadError),
)


# what a server adds to an error of a script
_IN_SCRIPT: Final = re.compile(r" script: .*on @user_script:\d+\.?$")


def refusal(error: redis.RedisError, shown: str) -> CacheStormError:
    """What a cache raises instead of an error of redis-py.

    Args:
        error: redis-py's.
        shown: the address of the server, without a password.
    """
    if isinstance(error, redis.TimeoutError):
        return SlowServerError(f"{shown} did not answer in time: {error}")
    if isinstance(error, redis.WatchError):
        return WatchError()
    if isinstance(error, redis.AuthenticationError):
        return DeniedError(
            f"{shown} does not let us in: {error}; a password belongs into the address, as in "
            "redis://:password@host or redis://user:password@host"
        )
    # those that it raises for refusals are ConnectionErrors in part
    if not isinstance(error, redis.ResponseError):
        return UnreachableError(_why_not_reached(str(error), shown))
    text = _IN_SCRIPT.sub("", str(error))
    code, _, rest = text.partition(" ")
    if not (code.isupper() and code.isalpha()):
        code = getattr(error, "status_code", None) or _CODES.get(type(error), "ERR")
        rest = text
    return _of_reply(code, rest)


def _why_not_reached(reason: str, shown: str) -> str:
    """What may be wrong with an address at which something answers, but not this."""
    if "b'HTTP/" in reason:
        return f"{shown} speaks HTTP: use the port of RESP, which is 6380 unless set otherwise"
    if "WRONG_VERSION_NUMBER" in reason:
        return f"{shown} does not speak TLS: use redis://, or the port that does"
    return f"{shown} cannot be reached: {reason}"


def is_denial(error: redis.RedisError) -> bool:
    """Whether a server says no to who asks: the configuration is at fault, and not it."""
    return isinstance(error, (redis.AuthenticationError, redis.exceptions.NoPermissionError))


def is_unknown(error: redis.ResponseError) -> bool:
    """Whether a server says that it does not know a command."""
    return "unknown command" in str(error).lower()


def is_away(error: CacheStormError) -> bool:
    """Whether the fault is with the server, and not with what it was asked for."""
    if isinstance(error, RefusedError):
        return error.status in _AWAY
    if isinstance(error, DeniedError):
        return False
    return isinstance(error, (UnreachableError, DurabilityError))


def _of_reply(code: str, text: str) -> CacheStormError:
    kind = _BY_CODE.get(code)
    if kind is None and code == "ERR":
        kind = next((each for part, each in _BY_TEXT if part in text), None)
    if kind is not None:
        return _made(kind, text)
    refused = _made(RefusedError, text if code == "ERR" else f"{code} {text}")
    if isinstance(refused, RefusedError):
        refused.status = code
    return refused


def _made(kind: type[CacheStormError], text: str) -> CacheStormError:
    """An error with a text of its own, without what its class would make of it."""
    # MemoryError's constructor makes none that is laid out as Exception
    error = Exception.__new__(kind) if issubclass(kind, MemoryError) else kind.__new__(kind)
    error.args = (text,)
    return error
