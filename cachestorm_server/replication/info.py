"""What INFO says about replication: the fields of Redis 7.2, by their names.

Source: `genRedisInfoString` in `server.c`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from cachestorm_server.endpoint import Endpoint
from cachestorm_server.replication.follower import State

if TYPE_CHECKING:
    from cachestorm_server.replication.following import Following

Fields = list[tuple[str, object]]
NONE: Final = ("", 0)


def replication(endpoint: Endpoint) -> Fields:
    """The section of INFO."""
    found = endpoint.replication
    fields: Fields = [("role", "master")]
    if found is None:
        return [*fields, ("connected_slaves", 0), *_history(endpoint.run_id, NONE, 0, 0, 0, 0)]
    if found.following is not None:
        fields = [("role", "slave"), *_following(found.following)]
    replicas = found.followers()
    fields.append(("connected_slaves", len(replicas)))
    now_s = time.monotonic()
    for number, each in enumerate(replicas):
        lag_s = int(now_s - each.seen_s)
        fields.append(
            (
                f"slave{number}",
                f"ip={each.address},port={each.port},state={each.state.value},"
                f"offset={each.offset},lag={lag_s}",
            )
        )
    history, offset, backlog = found.stream.history, found.stream.offset, found.stream.backlog
    if found.following is not None:
        # what it has of its primary's; its own, for replicas of its own, is another one
        history = found.following.follower.history or history
        offset = found.following.follower.offset
    former = found.stream.former
    if backlog is None:
        return fields + _history(history, former, offset, 0, found.limits.backlog_bytes, 0)
    first = backlog.first + 1
    return fields + _history(history, former, offset, 1, backlog.size, len(backlog), first)


def _history(
    history: str,
    former: tuple[str, int],
    offset: int,
    is_active: int,
    size: int,
    kept: int,
    first: int = 0,
) -> Fields:
    return [
        ("master_failover_state", "no-failover"),
        ("master_replid", history),
        ("master_replid2", former[0] or "0" * 40),
        ("master_repl_offset", offset),
        ("second_repl_offset", former[1] + 1 if former[0] else -1),
        ("repl_backlog_active", is_active),
        ("repl_backlog_size", size),
        ("repl_backlog_first_byte_offset", first),
        ("repl_backlog_histlen", kept),
    ]


def _following(following: Following) -> Fields:
    follower, now_s = following.follower, time.monotonic()
    is_up = follower.state is State.CONNECTED
    heard_s = -1 if follower.state is State.CONNECT else int(now_s - follower.heard_s)
    fields: Fields = [
        ("master_host", following.primary.host),
        ("master_port", following.primary.port),
        ("master_link_status", "up" if is_up else "down"),
        ("master_last_io_seconds_ago", heard_s),
        ("master_sync_in_progress", int(follower.state is State.SYNC)),
        ("slave_read_repl_offset", follower.offset),
        ("slave_repl_offset", follower.offset),
    ]
    if not is_up:
        fields.append(("master_link_down_since_seconds", int(now_s - follower.down_since_s)))
    return [*fields, ("slave_priority", 100), ("slave_read_only", 1), ("replica_announced", 1)]
