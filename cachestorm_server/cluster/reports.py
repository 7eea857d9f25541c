"""The reports: what CLUSTER INFO, NODES, SLOTS, SHARDS and LINKS say of a node. Pure.

Called by the commands; a node and the time make a wire value.

Source: https://redis.io/docs/latest/commands/cluster-nodes/ and those beside it; the bytes are
those of Redis 7.0 and Valkey 9.1.
"""

from __future__ import annotations

from hashlib import sha1

from cachestorm.keyspace.slot_index import SLOTS
from cachestorm_server.cluster.messages import Member
from cachestorm_server.cluster.node import Node
from cachestorm_server.cluster.roles import replicas_of


def nodes_text(node: Node, now_ms: int, wall_ms: int) -> str:
    """A line for each node, this one first.

    Args:
        wall_ms: what is added to the node's time to make it time since 1970.
    """
    slots: dict[str, list[str]] = {}
    for first, last, owner in node.slots.ranges():
        text = str(first) if first == last else f"{first}-{last}"
        slots.setdefault(owner, []).append(text)
    for slot, other in sorted(node.migrating.items()):
        slots.setdefault(node.me.id, []).append(f"[{slot}->-{other}]")
    for slot, other in sorted(node.importing.items()):
        slots.setdefault(node.me.id, []).append(f"[{slot}-<-{other}]")
    return "".join(
        _line(node, member, now_ms, wall_ms, slots.get(member.id, [])) + "\n"
        for member in (node.me, *node.members.values())
    )


def replica_lines(node: Node, node_id: str, now_ms: int, wall_ms: int) -> list[object]:
    """What CLUSTER REPLICAS says: a line for each."""
    return [_line(node, member, now_ms, wall_ms, []) for member in replicas_of(node, node_id)]


def _line(node: Node, member: Member, now_ms: int, wall_ms: int, slots: list[str]) -> str:
    is_me = member is node.me
    role = "slave" if member.primary else "master"
    flags = f"myself,{role}" if is_me else role + _health(node, member.id, now_ms)
    sent_ms = node.suspicion.asked_ms.get(member.id, 0)
    heard_ms = node.suspicion.heard_ms.get(member.id, 0)
    is_up = is_me or not node.is_suspected(member.id, now_ms)
    parts = [
        member.id,
        f"{member.host}:{member.port}@{member.bus_port}",
        flags,
        member.primary or "-",
        str(sent_ms + wall_ms if sent_ms else 0),
        str(heard_ms + wall_ms if heard_ms else 0),
        str(member.config_epoch),
        "connected" if is_up else "disconnected",
        *slots,
    ]
    return " ".join(parts)


def _health(node: Node, node_id: str, now_ms: int) -> str:
    if node.has_failed(node_id, now_ms):
        return ",fail"
    return ",fail?" if node.is_suspected(node_id, now_ms) else ""


def is_ok(node: Node, now_ms: int) -> bool:
    """Whether every slot has an owner that answers for it, as far as this node knows."""
    return (
        node.may_serve(now_ms)
        and sum(node.slots.counts.get(owner, 0) for owner in node.owners()) == SLOTS
        and not any(node.has_failed(owner, now_ms) for owner in node.owners())
    )


def info_text(node: Node, now_ms: int, traffic: dict[str, int]) -> str:
    """What CLUSTER INFO says.

    Args:
        traffic: what the bus has carried, by name.
    """
    known = {owner: node.slots.counts[owner] for owner in node.owners()}
    failed = sum(count for owner, count in known.items() if node.has_failed(owner, now_ms))
    suspected = sum(count for owner, count in known.items() if node.is_suspected(owner, now_ms))
    assigned = sum(known.values())
    fields = {
        "cluster_state": "ok" if is_ok(node, now_ms) else "fail",
        "cluster_slots_assigned": assigned,
        "cluster_slots_ok": assigned - suspected,
        "cluster_slots_pfail": suspected - failed,
        "cluster_slots_fail": failed,
        "cluster_known_nodes": len(node.members) + 1,
        "cluster_size": len(known),
        "cluster_current_epoch": node.epoch,
        "cluster_my_epoch": node.me.config_epoch,
        "cluster_pending_operations": len(node.log.pending(node.members)),
        **traffic,
        "total_cluster_links_buffer_limit_exceeded": 0,
    }
    return "".join(f"{name}:{value}\r\n" for name, value in fields.items())


def _reached(node: Node) -> dict[str, Member]:
    return {node.me.id: node.me, **node.members}


def slots_reply(node: Node, now_ms: int) -> list[object]:
    """What CLUSTER SLOTS says: ranges, each with who has it and who has a copy."""
    members = _reached(node)
    places: dict[str, list[object]] = {}
    for member in members.values():
        if member.primary and not node.is_suspected(member.id, now_ms):
            places.setdefault(member.primary, []).append(_place(member))
    return [
        [first, last, _place(members[owner]), *places.get(owner, [])]
        for first, last, owner in node.slots.ranges()
        if owner in members
    ]


def _place(member: Member) -> list[object]:
    return [member.host, member.port, member.id, {}]


def shards_reply(node: Node, now_ms: int) -> list[object]:
    """What CLUSTER SHARDS says: each node that is no replica, with its replicas."""
    ranges: dict[str, list[int]] = {}
    for first, last, owner in node.slots.ranges():
        ranges.setdefault(owner, []).extend((first, last))
    members = _reached(node)
    return [
        {
            "slots": list(ranges.get(member.id, [])),
            "nodes": [
                _in_shard(node, each, now_ms)
                for each in (member, *replicas_of(node, member.id))
            ],
        }
        for member in members.values()
        if member.primary not in members
    ]


def _in_shard(node: Node, member: Member, now_ms: int) -> dict[str, object]:
    health = "fail" if node.has_failed(member.id, now_ms) else "online"
    if member is node.me and member.primary and not node.copies.copied[0]:
        health = "loading"
    return {
        "id": member.id,
        "port": member.port,
        "ip": member.host,
        "endpoint": member.host,
        "role": "replica" if member.primary else "master",
        "replication-offset": node.copies.offset_of(member.id),
        "health": health,
    }


def shard_id(node: Node) -> str:
    """What CLUSTER MYSHARDID says. A replica is of the shard of its primary."""
    return sha1((node.me.primary or node.me.id).encode() + b" shard").hexdigest()
