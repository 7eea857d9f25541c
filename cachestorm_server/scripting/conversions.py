"""Conversions: wire values into what Lua is given, and the arguments of Lua into requests.

Called by `scripts.py`. The opposite way, from what a script returns to RESP, is part of
`lua/prelude.lua`.

    reply                 in RESP2              in RESP3, after redis.setresp(3)
    -------------------   -------------------   --------------------------------
    integer, bulk         number, string        the same
    null                  false                 nil
    status, error         {ok=}, {err=}         the same
    array                 table                 the same
    double                string                {double=}
    map, set              flat table, table     {map=}, {set=}
    verbatim              string                {verbatim_string={format=, string=}}

Source: https://redis.io/docs/latest/develop/programmability/lua-api/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from cachestorm.codec import bytes_of, format_float
from cachestorm.declare.wire_values import (
    Members,
    NullArray,
    Pairs,
    Spelled,
    Status,
    Verbatim,
)
from cachestorm.errors import CacheStormError

# What makes a table in Lua of a list or a dict.
Table = Callable[[object], Any]

BAD_ARGUMENT: Final = b"ERR Lua redis lib command arguments must be strings or integers"
# Beyond this a number is written with an exponent, as Redis does.
_WHOLE: Final = 2**62


def words(request: tuple[Any, ...]) -> list[object] | None:
    """The arguments that a script gave, after the first item; None if one is of no use."""
    argv: list[object] = []
    for arg in request[1:]:
        kind = type(arg)
        if kind is bytes:
            argv.append(arg)
        elif kind is int and -_WHOLE <= arg <= _WHOLE:
            argv.append(b"%d" % arg)
        elif kind is int or kind is float:
            argv.append(b"%.17g" % arg)
        else:
            return None
    return argv


def to_lua(reply: object, resp3: bool, table: Table) -> object:
    """A wire value as a script sees it.

    Raises:
        TypeError: for what is no wire value.
    """
    kind = type(reply)
    if kind is bytes or kind is int:
        return reply
    if reply is None or isinstance(reply, NullArray):
        return None if resp3 else False
    if isinstance(reply, Status):
        return table({b"ok": bytes_of(reply.text)})
    if isinstance(reply, str):
        return bytes_of(reply)
    if isinstance(reply, (list, tuple)):
        return _array(reply, resp3, table)
    if isinstance(reply, (bool, int)):
        return int(reply)
    if isinstance(reply, bytes):
        return bytes(reply)
    if isinstance(reply, float):
        return table({b"double": float(reply)}) if resp3 else format_float(reply)
    if isinstance(reply, Spelled):
        return table({b"double": reply.number}) if resp3 else reply.text.encode("ascii")
    return _rarer(reply, resp3, table)


def _rarer(reply: object, resp3: bool, table: Table) -> object:
    if isinstance(reply, Pairs):
        if resp3:
            return _array(reply.items, resp3, table)
        return _array([item for pair in reply.items for item in pair], resp3, table)
    if isinstance(reply, dict):
        if not resp3:
            return _array([item for pair in reply.items() for item in pair], resp3, table)
        rows = {
            to_lua(key, resp3, table): to_lua(item, resp3, table) for key, item in reply.items()
        }
        return table({b"map": table(rows)})
    if isinstance(reply, Members):
        if not resp3:
            return _array(reply.items, resp3, table)
        members = {to_lua(item, resp3, table): True for item in reply.items}
        return table({b"set": table(members)})
    if isinstance(reply, Verbatim):
        text = bytes_of(reply.text)
        if not resp3:
            return text
        return table({b"verbatim_string": table({b"format": b"txt", b"string": text})})
    if isinstance(reply, CacheStormError):
        return table({b"err": bytes_of(reply.resp)})
    raise TypeError(f"a reply of type {type(reply).__name__} has no form in Lua")


def _array(items: Iterable[object], resp3: bool, table: Table) -> object:
    converted: list[object] = []
    for item in items:
        kind = type(item)
        if kind is bytes or kind is int:
            converted.append(item)
        else:
            converted.append(to_lua(item, resp3, table))
    return table(converted)
