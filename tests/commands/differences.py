"""Where a reply of ours is meant to differ from that of a real server, and why.

The one list of such cases: the tests against real servers allow these and no others, and
`docs/differences.md` shows it. A `*` in a reply stands for any text, and alone for an array.
"""

from __future__ import annotations

from typing import Final

from comparison import Reply
from differences_of_data import OF_DATA
from differences_of_servers import OF_SERVERS

DIFFERENCES: Final = [*OF_DATA, *OF_SERVERS]


def why_different(server: str, argv: list[bytes], theirs: Reply, ours: Reply) -> str | None:
    """The reason that two replies are meant to differ; None if they are not."""
    for difference in DIFFERENCES:
        if difference.covers(server, argv, theirs, ours):
            return difference.why
    return None


def may_have_changed(theirs: Reply, ours: Reply) -> bool:
    """Whether one of two servers may have changed a key that the other has not."""
    return theirs.mark != "-" or ours.mark != "-"


def as_table() -> str:
    """The rows as `docs/differences.md` shows them."""
    head = [
        "| Command | Beside | They answer | CacheStorm answers | Why |",
        "|---|---|---|---|---|",
    ]
    return "\n".join(head + [difference.as_row() for difference in DIFFERENCES])
