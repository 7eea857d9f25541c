"""The state of a node as it is kept: lists, texts and numbers, and the node that comes of them.

Called by what drives a node: `persisted` before anything is said that depends on what has
changed, `restored` at the start. `state_file.py` has it on disk.

1. What was kept is looked at as closely as what other nodes send.
"""

from __future__ import annotations

from dataclasses import astuple, replace
from random import Random

from cachestorm_server.cluster.authority import Authority
from cachestorm_server.cluster.messages import (
    PONG,
    Member,
    MessageError,
    from_plain,
    operation_of,
    operation_plain,
)
from cachestorm_server.cluster.node import Node


def persisted(node: Node) -> dict[str, object]:
    """What is to be on disk before anything that depends on it is said."""
    return {
        "format": 1,
        "me": list(astuple(node.me)),
        "clusters": node.clusters,
        "epoch": node.epoch,
        "members": [list(astuple(member)) for member in node.members.values()],
        "slots": [list(run) for run in node.slots.runs()],
        "migrating": sorted(node.migrating.items()),
        "importing": sorted(node.importing.items()),
        "links": [list(each) for each in node.links.all()],
        "pending": [operation_plain(each) for each in node.log.pending(node.members)],
        "done": [list(each) for each in node.log.all_done().items()],
    }


def added(node: Node) -> list[tuple[str, object]]:
    """What is to be added to lists of what was kept; asked for once."""
    links, operations = node.take_added()
    lines: list[tuple[str, object]] = [("links", list(each)) for each in links]
    lines += [("pending", operation_plain(each)) for each in operations]
    return lines


def restored(
    kept: dict[str, object],
    me: Member,
    random: Random,
    timeout_ms: int,
    now_ms: int,
    authority: Authority | None = None,
) -> Node:
    """The node that `persisted` has described, in a new life.

    Args:
        me: as it is now; id, version and config epoch are those that were kept.

    Raises:
        MessageError: if this is not what `persisted` gives.
    """
    if kept.get("format") != 1:
        raise MessageError(f"format {kept.get('format')!r} is not known")
    migrating, importing = _moves(kept, "migrating"), _moves(kept, "importing")
    # all parts of a message, and checked as those are
    was = from_plain(
        [
            PONG,
            0,
            kept.get("clusters"),
            kept.get("me"),
            kept.get("epoch"),
            0,
            kept.get("members"),
            [],
            kept.get("slots"),
            kept.get("done"),
            *([], [], []),
            0,
            kept.get("links"),
            [],
            False,
        ]
    )
    pending = kept.get("pending")
    if not isinstance(pending, list):
        raise MessageError("no operations that are pending")
    former = was.sender
    me = replace(
        me,
        id=former.id,
        version=former.version,
        config_epoch=former.config_epoch,
        primary=former.primary,
    )
    node = Node(me, random, timeout_ms, was.clusters, authority)
    node.resume(was, migrating, importing, map(operation_of, pending), now_ms)
    return node


def _moves(kept: dict[str, object], name: str) -> dict[int, str]:
    pairs = kept.get(name)
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and type(pair[0]) is int
        and isinstance(pair[1], str)
        for pair in pairs
    ):
        raise MessageError(f"no slots that are {name}")
    return {int(slot): str(node) for slot, node in pairs}
