"""What the remote caches ask a server: commands, and how to read the replies.

Called by `RemoteCache` and `AsyncRemoteCache`, which differ in how they send it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from cachestorm.errors import WatchError
from cachestorm.markers import MISSING
from cachestorm.remote.steps import Ask, Course, Watch

# One command, or several in one MULTI.
Command = tuple[Any, ...]


class Codec(Protocol):
    """Between values and what a server stores. Integers stay integers, so that INCR works."""

    def dumps(self, key: str, value: object) -> bytes | int:
        """Encodes a value for a key."""

    def loads(self, key: str, stored: bytes) -> object:
        """Decodes what is stored at a key; MISSING for what must not be used."""


class Unanswered(KeyError):
    """A key counts as missing, because an error of the server was ignored."""


class Request(NamedTuple):
    """Commands that are sent together.

    Attributes:
        commands: each with its arguments.
        read: makes the result of their replies.
        absent: the result where errors are ignored.
    """

    commands: list[Command]
    read: Callable[[list[Any]], Any]
    absent: Any


def asking(request: Request) -> Course:
    """The steps of a request, which give its replies."""
    if not request.commands:
        return []
    commands = [list(command) for command in request.commands]
    return (yield Ask(commands, atomic=len(commands) > 1))


def adding(key: str, delta: int) -> Course:
    """Adds to an integer that is there, whose new value it gives.

    Raises:
        KeyError: if it is missing.
    """
    while True:
        (found,) = yield Watch([key], [["EXISTS", key]])
        if not found:
            raise KeyError(key)
        try:
            (value,) = yield Ask([["INCRBY", key, delta]], atomic=True)
        except WatchError:
            continue
        return value


def lasting(ttl: float | None) -> Command:
    """The options of SET for a time to live in seconds; None for ever."""
    return () if ttl is None else ("PX", milliseconds(ttl))


def milliseconds(ttl: float) -> int:
    """Seconds as whole milliseconds, at least one."""
    return max(1, math.ceil(ttl * 1000))


def tagged(tags: Iterable[str]) -> Command:
    """The options of SET for tags."""
    names = tuple(tags)
    return ("TAGS", *names) if names else ()


class Requests:
    """Makes requests whose values go through a codec."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def _decoded(self, key: str, reply: bytes | None, default: object) -> object:
        if reply is None:
            return default
        value = self._codec.loads(key, reply)
        return default if value is MISSING else value

    def _set(self, key: str, value: object, ttl: float | None, tags: Iterable[str]) -> Command:
        encoded = self._codec.dumps(key, value)
        return ("SET", key, encoded, *lasting(ttl), *tagged(tags))

    def get(self, key: str, default: object) -> Request:
        """The value of a key, or the default."""
        return Request([("GET", key)], lambda r: self._decoded(key, r[0], default), default)

    def get_many(self, keys: list[str]) -> Request:
        """A dict of the values that are there."""

        def read(replies: list[Any]) -> dict[str, object]:
            pairs = (
                (key, self._decoded(key, reply, MISSING))
                for key, reply in zip(keys, replies[0])
            )
            return {key: value for key, value in pairs if value is not MISSING}

        if not keys:
            return Request([], lambda r: {}, {})
        return Request([("MGET", *keys)], read, {})

    def set(
        self, key: str, value: object, ttl: float | None, tags: Iterable[str], nx: bool = False
    ) -> Request:
        """Whether the key was set."""
        command = self._set(key, value, ttl, tags)
        if nx:
            command = (*command[:3], "NX", *command[3:])
        return Request([command], lambda r: bool(r[0]), False)

    def set_many(
        self, mapping: Mapping[str, object], ttl: float | None, tags: Iterable[str]
    ) -> Request:
        """Whether the keys were set, all in one step."""
        names = tuple(tags)
        commands = [self._set(key, value, ttl, names) for key, value in mapping.items()]
        return Request(commands, lambda r: True, False)

    def delete(self, keys: tuple[str, ...]) -> Request:
        """How many keys were there."""
        if not keys:
            return Request([], lambda r: 0, 0)
        return Request([("DEL", *keys)], lambda r: int(r[0]), 0)

    def exists(self, key: str) -> Request:
        """Whether a key is there."""
        return Request([("EXISTS", key)], lambda r: bool(r[0]), False)

    def touch(self, key: str, ttl: float | None) -> Request:
        """Whether a key is there, after its time to live was set anew."""
        if ttl is None:
            return Request([("PERSIST", key), ("EXISTS", key)], lambda r: bool(r[1]), False)
        return Request([("PEXPIRE", key, milliseconds(ttl))], lambda r: bool(int(r[0])), False)

    def clear(self) -> Request:
        """Empties the database."""
        return Request([("FLUSHDB",)], lambda r: bool(r[0]), False)

    def invalidate(self, tags: tuple[str, ...], dry_run: bool) -> Request:
        """How many keys were deleted, or would be."""
        if dry_run and len(tags) > 1:
            # a key with two of the tags counts once
            listed: list[Command] = [("TAGKEYS", tag) for tag in tags]
            return Request(listed, lambda r: len(set().union(*r)), 0)
        tail: Command = ("DRYRUN",) if dry_run else ()
        commands: list[Command] = [("INVALIDATE", tag, *tail) for tag in tags]
        return Request(commands, lambda r: sum(map(int, r)), 0)
