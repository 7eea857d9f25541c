"""Denials: what a user may not do, and how it is said.

Made by selectors; told by sessions, by HTTP and by ACL DRYRUN.

Source: `getAclErrorMessage` and `ACLCheckAllUserCommandPerm` in `acl.c` of Redis 7.2.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from cachestorm.codec import text_of
from cachestorm.errors import CacheStormError

# By relevance: of what all selectors of a user say, the highest is told.
COMMAND: Final = 1
NAMESPACE: Final = 2
KEY: Final = 3
TAG: Final = 4
CHANNEL: Final = 5
# a pattern of SORT, which may be any key
ANY_KEY: Final = 6

# What ACL LOG calls them.
REASONS: Final = {
    COMMAND: "command",
    NAMESPACE: "namespace",
    KEY: "key",
    TAG: "tag",
    CHANNEL: "channel",
    ANY_KEY: "key",
}
_CHANGED: Final = (
    "ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
    "This command is no longer allowed for the following reason: "
)
_NO_LONGER: Final = {
    COMMAND: "no permission to execute the command or subcommand",
    KEY: "no permission to touch the specified keys",
    CHANNEL: "no permission to access one of the channels used as arguments",
}


@mypyc_attr(native_class=False)
class NoPermissionError(CacheStormError):
    """The user may not do this."""

    code = "NOPERM"
    http_status = 403


class Denial:
    """What a user may not do.

    Attributes:
        code: COMMAND, KEY and so on.
        word: the name that is out of reach, as bytes; of a command, its own.
        at: how many of the names of the call were granted before it.
    """

    def __init__(self, code: int, word: bytes, at: int = 0) -> None:
        self.code: Final = code
        self.word: Final = word
        self.at: Final = at

    def outranks(self, other: Denial) -> bool:
        """Whether this one says more than that of another selector."""
        return self.code > other.code or (self.code == other.code and self.at > other.at)

    def text(self, user: str) -> str:
        """As a client is told it, without the code."""
        if self.code == COMMAND:
            return self._of_command(user)
        if self.code == ANY_KEY:
            option = text_of(self.word)
            return f"{option} option of SORT denied due to insufficient ACL permissions."
        return f"No permissions to access a {REASONS[self.code]}"

    def dry_text(self, user: str) -> str:
        """As ACL DRYRUN says it."""
        if self.code == COMMAND:
            return self._of_command(user)
        return (
            f"User {user} has no permissions to access the '{text_of(self.word)}' "
            f"{REASONS[self.code]}"
        )

    def late_text(self) -> str:
        """As EXEC says it of what was queued while it was allowed."""
        known = _NO_LONGER.get(self.code)
        return _CHANGED + (known or f"no permission to access the {REASONS[self.code]}")

    def _of_command(self, user: str) -> str:
        return f"User {user} has no permissions to run the '{text_of(self.word)}' command"
