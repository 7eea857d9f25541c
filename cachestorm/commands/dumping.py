"""DUMP and RESTORE: a key's value as bytes that can be carried elsewhere.

1. A payload carries value, tags and the deadlines of a hash's fields; the deadline of the
   key is an argument of RESTORE, as in Redis.
2. Bytes are written and read without the latch: DUMP holds it for a copy of lists, RESTORE
   for a look and for the put.

Source: https://redis.io/docs/latest/commands/restore/
"""

from __future__ import annotations

from functools import partial
from typing import Final

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import INT64_MAX, parse_int
from cachestorm.commands.edge import Edge, enter, enter_for
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.spans import Lifetime
from cachestorm.entry import HASH
from cachestorm.errors import (
    ArgumentError,
    BusyKeyError,
    CommandSyntaxError,
    InvalidTtlError,
    PayloadError,
    TagError,
)
from cachestorm.events import Cause
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.operations.containers import entry_of
from cachestorm.operations.lifetimes import by_the_clock, in_milliseconds, milliseconds_of
from cachestorm.operations.names import checked_tags, exact_key
from cachestorm.payload.dumps import dumped, restored
from cachestorm.payload.entry_snapshot import Loaded, snapshot_of

command: Final = partial(Declaration, group="generic")

_EXPIRED: Final = Cause.EXPIRED
MOST_FREQUENT: Final = 255
# the mark, the version of the format, the count of tags, the type and the checksum
FRAME_BYTES: Final = 10


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Dumping(Edge):
    """DUMP and RESTORE."""

    @command(
        "DUMP key",
        complexity="O(N) in the size of the value",
        tips="nondeterministic_output",
        summary="Return the value of a key, with its tags, as bytes for RESTORE.",
    )
    def dump(self, key: str) -> bytes | None:
        """The value of a key with its tags, in bytes that RESTORE takes.

        Returns:
            None for a missing key.

        Raises:
            CodecError: for an object that the codec has no form for.
        """
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = space.find(key)
            if entry is not None and entry.kind == HASH:
                # not a field that is due
                entry = entry_of(space, key, HASH)
            if entry is None:
                return None
            snapshot = snapshot_of(entry.kind, space.value(entry), 0, tag_names_of(entry))
        finally:
            self._leave()
        return dumped(snapshot)

    def _serialized_bytes(self, key: str) -> int | None:
        """How long a value is in the form of DUMP, without its frame; no access."""
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = space.peek_value(key)
            if entry is None:
                return None
            snapshot = snapshot_of(entry.kind, space.value(entry), 0, tag_names_of(entry))
        finally:
            self._leave()
        return len(dumped(snapshot)) - FRAME_BYTES

    @command(
        "RESTORE key:ow-update ttl:integer serialized-value:blob [REPLACE] [ABSTTL] "
        "[IDLETIME idletime:idle-time] [FREQ frequency:hit-frequency]",
        complexity="O(N) in the size of the value",
        grows=True,
        reply="ok",
        flags="@dangerous",
        summary="Create a key from the bytes of DUMP.",
    )
    def restore(
        self,
        key: str,
        ttl: object,
        serialized_value: object,
        *,
        replace: bool = False,
        absttl: bool = False,
        idletime: int | None = None,
        frequency: int | None = None,
    ) -> bool:
        """Creates a key from what `dump` gave, or DUMP of Redis 2.6 to 8 or of Valkey.

        Args:
            ttl: milliseconds; 0 or None for never. Or a `timedelta` or `"5m"`.
            serialized_value: the payload.
            replace: also if the key exists.
            absttl: `ttl` is milliseconds since 1970. One in the past makes no key.
            idletime: seconds since the last access; has no effect, as recency is a count
                of accesses here.
            frequency: 0 to 255, how often it is accessed; has no effect either.

        Returns:
            True.

        Raises:
            BusyKeyError: if the key exists, without `replace`.
            PayloadError: if the payload is none; nothing has changed.
            ArgumentError: for a negative `ttl` or `idletime`, and a `frequency` out of range.
            CommandSyntaxError: for both `idletime` and `frequency`.
            OutOfMemoryError: if there is no room and no victim; nothing has changed.
        """
        key = exact_key(key)
        _check_access(idletime, frequency)
        if not replace:
            self._refuse_busy(key)
        lifetime = _lifetime(ttl)
        if not isinstance(serialized_value, bytes):
            raise TypeError(f"a payload is bytes, not {type(serialized_value).__name__}")
        entry = restored(serialized_value)
        tags = _tags_of(entry)
        space = enter(self)
        try:
            present = space.peek(key)
            if present is not None and not replace:
                raise BusyKeyError()
            now = space.shared.now_ms()
            if absttl and lifetime != 0:
                lifetime = by_the_clock(Lifetime(lifetime, True), space).ms
            deadline: i64 = _deadline(lifetime, absttl, now)
            entry.drop_due_fields(now)
            if (deadline != 0 and deadline <= now) or entry.is_empty():
                if present is not None:
                    space.remove(present, _EXPIRED, "del")
                return True
            space.put(key, entry.value, entry.kind, deadline, tags, None, "restore", "")
            return True
        finally:
            self._leave()

    def _refuse_busy(self, key: str) -> None:
        space = enter(self)
        try:
            if space.peek(key) is not None:
                raise BusyKeyError()
        finally:
            self._leave()


def _check_access(idletime: int | None, frequency: int | None) -> None:
    if idletime is not None and idletime < 0:
        raise ArgumentError("Invalid IDLETIME value, must be >= 0")
    if frequency is not None and not 0 <= frequency <= MOST_FREQUENT:
        raise ArgumentError("Invalid FREQ value, must be >= 0 and <= 255")
    if idletime is not None and frequency is not None:
        raise CommandSyntaxError()


def _lifetime(ttl: object) -> int:
    """Milliseconds; 0 for never."""
    if ttl is None:
        return 0
    if isinstance(ttl, float):
        ttl = in_milliseconds(ttl)
    milliseconds: int = 0
    if isinstance(ttl, Lifetime):
        milliseconds = ttl.ms
    elif isinstance(ttl, (int, bytes)) and not isinstance(ttl, bool):
        milliseconds = parse_int(ttl)
    else:
        milliseconds = milliseconds_of(ttl)
    if milliseconds < 0:
        raise ArgumentError("Invalid TTL value, must be >= 0")
    return milliseconds


def _deadline(lifetime: int, absolute: bool, now_ms: int) -> int:
    """Milliseconds since 1970; 0 for never."""
    deadline = lifetime if lifetime == 0 or absolute else now_ms + lifetime
    if deadline > INT64_MAX:
        raise InvalidTtlError("Invalid TTL value, must be >= 0")
    return deadline


def _tags_of(entry: Loaded) -> list[str] | None:
    if entry.tags is None:
        return None
    try:
        return checked_tags(entry.tags)
    except TagError as error:
        raise PayloadError() from error
