"""The family of MEMORY: what keys cost.

The answers are those of the accounts, which every limit and every eviction go by. Looking
is no access: it does not warm the key.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.edge import Edge, exact_key
from cachestorm.declare.declaration import command
from cachestorm.declare.facts import help_of


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Memory(Edge):
    """MEMORY USAGE and its kin."""

    @command(
        "MEMORY USAGE key [SAMPLES count:sample-count]",
        group="server",
        since="0.1",
        complexity="O(T) in the tags of the key",
        summary="Return the bytes that a key is charged at, with its value and its tags.",
    )
    def memory_usage(self, key: str, samples: int | None = None) -> int | None:
        """The bytes that a key is charged at, None for a missing key.

        They are what its removal would refund: for key, value, deadline, links to tags,
        and the tags that no other key bears.

        Args:
            samples: how many elements Redis would weigh; here all of them always count.
        """
        key = exact_key(key)
        space = self._enter()
        try:
            entry = space.peek(key)
            return None if entry is None else int(space.charge_of(entry))
        finally:
            self._leave()

    @command(
        "MEMORY HELP",
        group="server",
        since="0.1",
        complexity="O(1)",
        reply="statuses",
        flags="loading stale",
        summary="Print this help.",
    )
    def memory_help(self) -> list[str]:
        """What there is to ask, a line each."""
        return help_of("MEMORY")
