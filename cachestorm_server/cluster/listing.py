"""The listing: how a walk goes over all nodes, whichever is asked for the next page. Pure.

Called by the fan-out. The nodes are walked in the order of their ids, one after the other; a
cursor says which one it is at, and where that node is:

    the cursor of that node    the first 8 digits of its id
    -----------------------    ----------------------------
    above                      the lowest 32 bits

1. A walk whose node has left goes on with the next one. What moves from a node that is not
   walked yet to one that was may be missing.
2. What several nodes have is given several times, as a walk may.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_MARK_BITS: Final = 32
_MARK_DIGITS: Final = 8


def _mark_of(node_id: str) -> int:
    return int(node_id[:_MARK_DIGITS], 16)


def begin(cursor: int, node_ids: Iterable[str]) -> tuple[str, int]:
    """Whom a page is asked of, and with which cursor; nobody if there is no node left."""
    local, mark = divmod(cursor, 1 << _MARK_BITS)
    for node_id in sorted(node_ids):
        if cursor == 0 or _mark_of(node_id) > mark:
            return node_id, 0
        if _mark_of(node_id) == mark:
            return node_id, local
    return "", 0


def follow(node_id: str, local: int, node_ids: Iterable[str]) -> int:
    """The cursor after a page of a node, which gave this one of its own; 0 at the end."""
    if local:
        return local << _MARK_BITS | _mark_of(node_id)
    return next((_mark_of(each) for each in sorted(node_ids) if each > node_id), 0)
