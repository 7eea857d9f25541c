"""One row of the list of differences: which replies it covers, and how the page shows it."""

from __future__ import annotations

import re
from typing import Final

from comparison import Reply
from conditions import Condition, always

NOTHING: Final = "null"
ARRAY: Final = "*"
ANYTHING: Final = "anything"
EVERY: Final = "all"

# what several of them answer, and why
NUMBER: Final = "-ERR value is not an integer or out of range"
SYNTAX: Final = "-ERR syntax error"
PLACES_FIRST: Final = "syntax errors are reported before values out of range"
VALUES_FIRST: Final = "invalid values are reported before options that exclude each other"
ONE_NAMED: Final = "of several errors in a call another one is reported"
ARGUMENTS_FIRST: Final = "arguments are checked before any key is read"


class Difference:
    """One row.

    Attributes:
        commands: their names.
        theirs, ours: patterns of the replies.
        why: the reason.
        server: the one it is about, `valkey` or `redis`; empty for both.
        condition: what else must hold.
    """

    def __init__(
        self,
        commands: str,
        theirs: list[str],
        ours: list[str],
        why: str,
        server: str = "",
        condition: Condition = always,
    ) -> None:
        self.commands = commands.split()
        self.theirs = theirs
        self.ours = ours
        self.why = why
        self.server = server
        self.condition = condition

    def covers(self, server: str, argv: list[bytes], theirs: Reply, ours: Reply) -> bool:
        """Whether this is why two replies differ."""
        return (
            (self.commands == [EVERY] or argv[0].decode("latin-1").upper() in self.commands)
            and self.server in ("", server)
            and any(matches(pattern, theirs) for pattern in self.theirs)
            and any(matches(pattern, ours) for pattern in self.ours)
            and self.condition(argv, theirs, ours)
        )

    def as_row(self) -> str:
        """The row as `docs/differences.md` shows it."""
        commands = "all commands" if self.commands == [EVERY] else ", ".join(self.commands)
        return f"| {' | '.join([commands, *self.cells()])} |"

    def cells(self) -> list[str]:
        """What the row says beside the commands."""
        whose = {"": "Redis 7.0, Valkey 9.1", "valkey": "Valkey 9.1", "redis": "Redis 7.0"}
        sides = ["<br>".join(map(_cell, side)) for side in (self.theirs, self.ours)]
        return [whose[self.server], *sides, self.why]


def _cell(pattern: str) -> str:
    named = {
        NOTHING: "nil",
        ARRAY: "an array",
        ":*": "an integer",
        "$*": "a string",
        "=*": "a text",
    }
    named[ANYTHING] = ANYTHING
    return named.get(pattern) or f"`{pattern.lstrip('-')}`"


def matches(pattern: str, reply: Reply) -> bool:
    """Whether a reply is what a pattern says."""
    if pattern == NOTHING:
        return reply.mark == "_" or reply.text in ("$-1", "*-1")
    if pattern == ANYTHING:
        return True
    if pattern == ARRAY:
        return isinstance(reply.value, list)
    literal = [re.escape(part) for part in pattern.split("*")]
    return re.fullmatch(".*".join(literal), reply.text, re.DOTALL) is not None
