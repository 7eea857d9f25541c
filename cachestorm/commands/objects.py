"""The family of OBJECT: what is known of a value beside the value.

Looking inside is no access: it does not warm the key.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import INT64_MAX, INT64_MIN, to_wire
from cachestorm.commands.edge import Edge, exact_key
from cachestorm.declare.declaration import command
from cachestorm.entry import STRING, Entry
from cachestorm.errors import ArgumentError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.values.container import Container

LONGEST_EMBEDDED: Final = 44


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Objects(Edge):
    """OBJECT ENCODING and its kin."""

    @command(
        "OBJECT ENCODING key",
        group="generic",
        since="0.1",
        complexity="O(1)",
        reply="native",
        summary="Return how Redis would encode the value.",
    )
    def object_encoding(self, key: str) -> str | None:
        """What Redis calls the encoding of such a value; None for a missing key."""
        key = exact_key(key)
        space = self._enter()
        try:
            entry = space.peek(key)
            return None if entry is None else _encoding(space, entry)
        finally:
            self._leave()

    @command(
        "OBJECT REFCOUNT key",
        group="generic",
        since="0.1",
        complexity="O(1)",
        summary="Return 1 for a key that exists.",
    )
    def object_refcount(self, key: str) -> int | None:
        """1, as values are not shared between keys; None for a missing key."""
        return 1 if self.exists(key) else None


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
