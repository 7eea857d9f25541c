"""The family of OBJECT: what is known about a value beside the value itself.

Asking is not an access: it does not change the access count of a key.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import INT64_MAX, INT64_MIN, to_wire
from cachestorm.commands.edge import Edge, enter, enter_for
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.facts import help_of
from cachestorm.entry import STRING, Entry
from cachestorm.errors import ArgumentError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.operations.names import exact_key
from cachestorm.values.container import Container

command: Final = partial(Declaration, group="generic")

LONGEST_EMBEDDED: Final = 44
_NO_FREQUENCY: Final = (
    "An LFU maxmemory policy is not selected, access frequency not tracked. Please note "
    "that when switching between policies at runtime LRU and LFU data will take some time "
    "to adjust."
)
_FREQUENCY: Final = (
    "An LFU maxmemory policy is selected, idle time not tracked. Please note that when "
    "switching between policies at runtime LRU and LFU data will take some time to adjust."
)
_NO_IDLE_TIME: Final = "idle time is not tracked: recency is a count of accesses, not a time"


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Objects(Edge):
    """OBJECT ENCODING and related commands."""

    @command(
        "OBJECT ENCODING key:ro",
        complexity="O(1)",
        tips="nondeterministic_output",
        summary="Return how Redis would encode the value.",
    )
    def object_encoding(self, key: str) -> str | None:
        """What Redis calls the encoding of such a value; None for a missing key."""
        key = exact_key(key)
        space = enter_for(self, key)
        try:
            entry = space.peek_value(key)
            return None if entry is None else _encoding(space, entry)
        finally:
            self._leave()

    @command(
        "OBJECT TIER key:ro",
        complexity="O(1)",
        own=True,
        summary="Return where the value of a key is: memory, or a colder tier.",
    )
    def object_tier(self, key: str) -> str | None:
        """Where a value is, `memory`, `warm` or `cold`; None for a missing key."""
        key = exact_key(key)
        space = enter(self)
        try:
            entry = space.peek(key)
            return None if entry is None else space.tier_of(entry)
        finally:
            self._leave()

    @command(
        "OBJECT FREQ key:ro",
        complexity="O(1)",
        tips="nondeterministic_output",
        summary="Return how often a key is accessed, where the eviction policy counts it.",
    )
    def object_freq(self, key: str) -> int | None:
        """How often a key is accessed; None for a missing key.

        Raises:
            ArgumentError: unless an LFU policy is at work, which counts it.
        """
        key = exact_key(key)
        space = enter(self)
        try:
            entry = space.peek(key)
            if entry is None:
                return None
            frequency = space.policy.frequency(entry)
        finally:
            self._leave()
        if frequency < 0:
            raise ArgumentError(_NO_FREQUENCY)
        return int(frequency)

    @command(
        "OBJECT IDLETIME key:ro",
        complexity="O(1)",
        tips="nondeterministic_output",
        summary="Return the seconds since the last access, where they are tracked.",
    )
    def object_idletime(self, key: str) -> int | None:
        """Seconds since the last access of a key with an idle time; None for a missing key.

        Raises:
            ArgumentError: for another key, as its recency is kept as a count of accesses,
                not as a time; or not at all, by an LFU policy.
        """
        key = exact_key(key)
        space = enter(self)
        try:
            entry = space.peek(key)
            if entry is None:
                return None
            idle = space.idle_of(entry)
            if idle is not None:
                return int((space.shared.now_ms() - idle.hit_at_ms) // 1000)
            is_counted = space.policy.frequency(entry) >= 0
        finally:
            self._leave()
        raise ArgumentError(_FREQUENCY if is_counted else _NO_IDLE_TIME)

    def _is_missing(self, key: str) -> bool:
        key = exact_key(key)
        space = enter(self)
        try:
            return space.peek(key) is None
        finally:
            self._leave()


@command(
    "OBJECT REFCOUNT key:ro",
    complexity="O(1)",
    tips="nondeterministic_output",
    summary="Return 1 for a key that exists.",
)
def object_refcount(cache: Objects, key: str) -> int | None:
    """1, as values are not shared between keys; None for a missing key."""
    return None if cache._is_missing(key) else 1


@command(
    "OBJECT HELP",
    complexity="O(1)",
    reply="statuses",
    flags="loading stale",
    summary="Print this help.",
)
def object_help(cache: Objects) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("OBJECT")


def _encoding(space: Keyspace, entry: Entry) -> str:
    value = space.value(entry)
    if isinstance(value, Container):
        return value.encoding()
    if entry.kind != STRING:
        return "object"
    raw = to_wire(value)
    if isinstance(value, int) or _reads_as_integer(raw):
        return "int"
    return "embstr" if len(raw) <= LONGEST_EMBEDDED else "raw"


def _reads_as_integer(raw: bytes) -> bool:
    if not 0 < len(raw) <= 20 or not raw.removeprefix(b"-").isdigit():
        return False
    number = int(raw)
    return b"%d" % number == raw and INT64_MIN <= number <= INT64_MAX
