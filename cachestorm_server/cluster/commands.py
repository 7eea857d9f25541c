"""The subcommands of CLUSTER.

Called by the membership, which saves and sends what they have changed. Each takes the arguments
that follow its name, and gives a wire value.

Source: `clusterCommand` in `cluster.c` of Redis 7.2, whose texts these are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cachestorm.codec import bytes_of
from cachestorm.declare.wire_values import OK, Status
from cachestorm.errors import ArityError, CacheStormError
from cachestorm.keyspace.slot_index import SLOTS, slot_of
from cachestorm.keyspace.slot_keys import count_keys, keys_in
from cachestorm_server.cluster import reports, roles
from cachestorm_server.cluster.messages import Member
from cachestorm_server.cluster.replicas import MASTER_IS_DOWN
from cachestorm_server.cluster.slot_map import NOBODY

if TYPE_CHECKING:
    from cachestorm_server.cluster.membership import Membership

_HELP: Final = """\
CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
ADDSLOTS <slot> [<slot> ...]
    Assign slots to current node.
ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]
    Assign slots which are between <start-slot> and <end-slot> to current node.
BUMPEPOCH
    Advance the cluster config epoch.
COUNT-FAILURE-REPORTS <node-id>
    Return number of failure reports for <node-id>.
COUNTKEYSINSLOT <slot>
    Return the number of keys in <slot>.
DELSLOTS <slot> [<slot> ...]
    Delete slots information from all nodes.
DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]
    Delete slots information which are between <start-slot> and <end-slot> from all nodes.
FORGET <node-id>
    Remove a node from the cluster.
GETKEYSINSLOT <slot> <count>
    Return key names stored by current node in a slot.
FAILOVER [FORCE|TAKEOVER]
    Promote current replica node to being a master.
FLUSHSLOTS
    Delete current node own slots information.
INFO
    Return information about the cluster.
KEYSLOT <key>
    Return the hash slot for <key>.
MEET <ip> <port> [<bus-port>]
    Connect nodes into a working cluster.
MYID
    Return the node id.
MYSHARDID
    Return the node's shard id.
NODES
    Return cluster configuration seen by node.
RESET [HARD|SOFT]
    Reset current node (default: soft).
SETSLOT <slot>[-<end slot>] (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)
    Set slot state, of a range of slots in one step.
REPLICAS <node-id>
    Return <node-id> replicas.
REPLICATE <node-id>
    Configure current node as replica to <node-id>.
SAVECONFIG
    Force saving cluster configuration on disk.
SET-CONFIG-EPOCH <epoch>
    Set config epoch of current node.
SLOTS
    Return information about slots range mappings.
SHARDS
    Return information about slot range mappings and the nodes associated with them.
LINKS
    Return information about all network links between this node and its peers.
HELP
    Print this help."""


def _number(text: str) -> int | None:
    try:
        return int(text) if text.strip("-0123456789") == "" else None
    except ValueError:
        return None


def _slot(text: str) -> int:
    slot = _number(text)
    if slot is None or not 0 <= slot < SLOTS:
        raise CacheStormError("Invalid or out of range slot")
    return slot


def _slots(text: str) -> list[int]:
    """One slot, or those of a range: both ends belong to it."""
    first, dash, last = text.partition("-")
    return _in_ranges("setslot", [first, last]) if first and dash else [_slot(text)]


def _known(membership: Membership, node_id: str, text: str = "Unknown node {}") -> Member:
    member = membership.node.known(node_id)
    if member is None:
        raise CacheStormError(text.format(node_id))
    return member


def _each_once(slots: list[int]) -> list[int]:
    seen: set[int] = set()
    for slot in slots:
        if slot in seen:
            raise CacheStormError(f"Slot {slot} specified multiple times")
        seen.add(slot)
    return slots


def _in_ranges(name: str, arguments: list[str]) -> list[int]:
    if len(arguments) % 2:
        raise ArityError(f"cluster|{name}")
    slots: list[int] = []
    for at in range(0, len(arguments), 2):
        first, last = _slot(arguments[at]), _slot(arguments[at + 1])
        if first > last:
            raise CacheStormError(
                f"start slot number {first} is greater than end slot number {last}"
            )
        slots.extend(range(first, last + 1))
    return slots


def _add(membership: Membership, slots: list[int]) -> object:
    node = membership.node
    for slot in slots:
        owner = node.slots.owners[slot]
        if owner != NOBODY and node.known(owner) is not None:
            raise CacheStormError(f"Slot {slot} is already busy")
    return _give(membership, _each_once(slots), node.me.id)


def _delete(membership: Membership, slots: list[int]) -> object:
    for slot in slots:
        if membership.node.slots.owners[slot] == NOBODY:
            raise CacheStormError(f"Slot {slot} is already unassigned")
    return _give(membership, _each_once(slots), NOBODY)


def _give(membership: Membership, slots: list[int], owner: str) -> object:
    node = membership.node
    for slot in slots:
        reason = node.authority.refusal(slot, owner)
        if reason:
            raise CacheStormError(reason)
    node.assign(slots, owner)
    return OK


def addslots(membership: Membership, arguments: list[str]) -> object:
    return _add(membership, [_slot(text) for text in arguments])


def addslotsrange(membership: Membership, arguments: list[str]) -> object:
    return _add(membership, _in_ranges("addslotsrange", arguments))


def delslots(membership: Membership, arguments: list[str]) -> object:
    return _delete(membership, [_slot(text) for text in arguments])


def delslotsrange(membership: Membership, arguments: list[str]) -> object:
    return _delete(membership, _in_ranges("delslotsrange", arguments))


def flushslots(membership: Membership, arguments: list[str]) -> object:
    if len(membership.endpoint.cache):
        raise CacheStormError("DB must be empty to perform CLUSTER FLUSHSLOTS.")
    node = membership.node
    return _give(membership, node.slots.slots_of(node.me.id), NOBODY)


def setslot(membership: Membership, arguments: list[str]) -> object:
    node = membership.node
    if node.me.primary:
        raise CacheStormError("You can use SETSLOT only with masters.")
    slots = _slots(arguments[0])
    action = arguments[1].upper()
    for slot in slots:
        reason = node.authority.refusal(slot, arguments[-1])
        if reason:
            raise CacheStormError(reason)
    if action == "STABLE" and len(arguments) == 2:
        for slot in slots:
            node.stabilize(slot)
        return OK
    if len(arguments) != 3 or action not in ("MIGRATING", "IMPORTING", "NODE"):
        raise CacheStormError(
            "Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP"
        )
    other = arguments[2]
    mine = {slot for slot in slots if node.slots.owners[slot] == node.me.id}
    if action == "NODE":
        if _known(membership, other).primary:
            raise CacheStormError("Target node is not a master")
        for slot in sorted(mine):
            if other != node.me.id and _count(membership, slot):
                raise CacheStormError(
                    f"Can't assign hashslot {slot} to a different node while I still hold keys "
                    "for this hash slot."
                )
        theirs = {slot for slot in slots if node.slots.owners[slot] == other}
        for slot in theirs:
            node.stabilize(slot)
        if len(theirs) == len(slots):
            return OK
        return _give(membership, [slot for slot in slots if slot not in theirs], other)
    for slot in slots:
        if action == "MIGRATING" and slot not in mine:
            raise CacheStormError(f"I'm not the owner of hash slot {slot}")
        if action == "IMPORTING" and slot in mine:
            raise CacheStormError(f"I'm already the owner of hash slot {slot}")
    _known(membership, other, "I don't know about node {}")
    for slot in slots:
        if action == "MIGRATING":
            node.migrate(slot, other)
        else:
            node.import_from(slot, other)
    return OK


def _count(membership: Membership, slot: int) -> int:
    """The keys of a slot that are alive; those that are due are removed."""
    store = membership.store
    store.enter()
    try:
        return count_keys(store, slot) and len(keys_in(store, slot, 1))
    finally:
        store.leave()


def countkeysinslot(membership: Membership, arguments: list[str]) -> object:
    slot = _number(arguments[0])
    if slot is None or not 0 <= slot < SLOTS:
        raise CacheStormError("Invalid slot")
    store = membership.store
    store.enter()
    try:
        return count_keys(store, slot)
    finally:
        store.leave()


def getkeysinslot(membership: Membership, arguments: list[str]) -> object:
    slot, count = _number(arguments[0]), _number(arguments[1])
    if slot is None or count is None:
        raise CacheStormError("value is not an integer or out of range")
    if not 0 <= slot < SLOTS or count < 0:
        raise CacheStormError("Invalid slot or number of keys")
    store = membership.store
    store.enter()
    try:
        return keys_in(store, slot, count)
    finally:
        store.leave()


def keyslot(membership: Membership, arguments: list[str]) -> object:
    return slot_of(bytes_of(arguments[0]))


def info(membership: Membership, arguments: list[str]) -> object:
    node = membership.node
    return reports.info_text(node, membership.clock(), membership.traffic())


def nodes(membership: Membership, arguments: list[str]) -> object:
    return reports.nodes_text(membership.node, membership.clock(), membership.wall_ms)


def slots(membership: Membership, arguments: list[str]) -> object:
    return reports.slots_reply(membership.node, membership.clock())


def shards(membership: Membership, arguments: list[str]) -> object:
    return reports.shards_reply(membership.node, membership.clock())


def links(membership: Membership, arguments: list[str]) -> object:
    return membership.links()


def myid(membership: Membership, arguments: list[str]) -> object:
    return membership.node.me.id


def myshardid(membership: Membership, arguments: list[str]) -> object:
    return reports.shard_id(membership.node)


def meet(membership: Membership, arguments: list[str]) -> object:
    if len(arguments) > 3:
        raise ArityError("cluster|meet")
    host, port = arguments[0], _number(arguments[1])
    bus = _number(arguments[2]) if len(arguments) == 3 else membership.bus_port_of(host, port)
    if port is None:
        raise CacheStormError(f"Invalid base port specified: {arguments[1]}")
    if bus is None:
        raise CacheStormError(f"Invalid bus port specified: {arguments[2]}")
    try:
        ipaddress.ip_address(host)
        is_valid = 0 < port < 65536 and 0 < bus < 65536
    except ValueError:
        is_valid = False
    if not is_valid:
        raise CacheStormError(f"Invalid node address specified: {host}:{arguments[1]}")
    membership.node.meet((host, bus), membership.clock())
    return OK


def forget(membership: Membership, arguments: list[str]) -> object:
    node = membership.node
    if arguments[0] == node.me.id:
        raise CacheStormError("I tried hard but I can't forget myself...")
    _known(membership, arguments[0])
    if arguments[0] == node.me.primary:
        raise CacheStormError("Can't forget my master!")
    node.forget(arguments[0], membership.clock())
    return OK


def reset(membership: Membership, arguments: list[str]) -> object:
    how = arguments[0].upper() if arguments else "SOFT"
    if how not in ("SOFT", "HARD") or len(arguments) > 1:
        raise CacheStormError("syntax error")
    reason = membership.node.authority.refusal(0, NOBODY)
    if reason:
        raise CacheStormError(reason)
    if not membership.node.me.primary and any(
        len(space.dense) for space in membership.store.spaces()
    ):
        raise CacheStormError("CLUSTER RESET can't be called with master nodes containing keys")
    membership.node.reset(how == "HARD")
    return OK


def replicate(membership: Membership, arguments: list[str]) -> object:
    node = membership.node
    primary = _known(membership, arguments[0])
    if primary is node.me:
        raise CacheStormError("Can't replicate myself")
    if primary.primary:
        raise CacheStormError("I can only replicate a master, not a replica.")
    reason = node.authority.refusal(0, NOBODY)
    if reason:
        raise CacheStormError(reason)
    has_keys = any(len(space.dense) for space in membership.store.spaces())
    if not node.me.primary and (has_keys or node.slots.counts.get(node.me.id, 0)):
        raise CacheStormError(
            "To set a master the node must be empty and without assigned slots."
        )
    roles.become(node, primary.id)
    return OK


def replicas(membership: Membership, arguments: list[str]) -> object:
    if _known(membership, arguments[0]).primary:
        raise CacheStormError("The specified node is not a master")
    now_ms, wall_ms = membership.clock(), membership.wall_ms
    return reports.replica_lines(membership.node, arguments[0], now_ms, wall_ms)


def failover(membership: Membership, arguments: list[str]) -> object:
    node = membership.node
    how = arguments[0].upper() if arguments else ""
    if how not in ("", "FORCE", "TAKEOVER") or len(arguments) > 1:
        raise CacheStormError("syntax error")
    if not node.me.primary:
        raise CacheStormError("You should send CLUSTER FAILOVER to a replica")
    primary = node.known(node.me.primary)
    if primary is None:
        raise CacheStormError("I'm a replica but my master is unknown to me")
    if not how:
        if node.has_failed(primary.id, membership.clock()):
            raise CacheStormError(MASTER_IS_DOWN)
        membership.replicas.ask_to_take_over()
        return OK
    reason = node.authority.refusal(0, NOBODY)
    if reason:
        raise CacheStormError(f"{reason}; CLUSTER FAILOVER asks the primary that lives")
    if how == "FORCE" and not node.has_failed(primary.id, membership.clock()):
        raise CacheStormError(
            "the other nodes do not agree that the master is down; TAKEOVER does not ask them"
        )
    if not node.copies.copied[0]:
        raise CacheStormError("this replica has only a part of the keys of its master")
    roles.take_over(node)
    return OK


def count_failure_reports(membership: Membership, arguments: list[str]) -> object:
    _known(membership, arguments[0])
    return len(membership.node.suspicion.reporting(arguments[0], membership.clock()))


def set_config_epoch(membership: Membership, arguments: list[str]) -> object:
    node = membership.node
    epoch = _number(arguments[0])
    if epoch is None or epoch < 0:
        raise CacheStormError(f"Invalid config epoch specified: {arguments[0]}")
    if not node.is_alone:
        raise CacheStormError(
            "The user can assign a config epoch only when the node does not know any other "
            "node."
        )
    if node.me.config_epoch:
        raise CacheStormError("Node config epoch is already non-zero")
    node.change_me(config_epoch=epoch)
    return OK


def bumpepoch(membership: Membership, arguments: list[str]) -> object:
    node = membership.node
    if node.me.config_epoch == node.epoch != 0:
        return Status(f"STILL {node.epoch}")
    node.change_me(config_epoch=node.epoch + 1)
    return Status(f"BUMPED {node.epoch}")


def saveconfig(membership: Membership, arguments: list[str]) -> object:
    membership.node.is_dirty = True
    return OK


def help_(membership: Membership, arguments: list[str]) -> object:
    return [Status(line) for line in _HELP.split("\n")]


TABLE: Final[dict[str, Callable[[Membership, list[str]], object]]] = {
    "ADDSLOTS": addslots,
    "ADDSLOTSRANGE": addslotsrange,
    "BUMPEPOCH": bumpepoch,
    "COUNT-FAILURE-REPORTS": count_failure_reports,
    "COUNTKEYSINSLOT": countkeysinslot,
    "DELSLOTS": delslots,
    "DELSLOTSRANGE": delslotsrange,
    "FAILOVER": failover,
    "FLUSHSLOTS": flushslots,
    "FORGET": forget,
    "GETKEYSINSLOT": getkeysinslot,
    "HELP": help_,
    "INFO": info,
    "KEYSLOT": keyslot,
    "LINKS": links,
    "MEET": meet,
    "MYID": myid,
    "MYSHARDID": myshardid,
    "NODES": nodes,
    "REPLICAS": replicas,
    "REPLICATE": replicate,
    "RESET": reset,
    "SAVECONFIG": saveconfig,
    "SET-CONFIG-EPOCH": set_config_epoch,
    "SETSLOT": setslot,
    "SHARDS": shards,
    "SLAVES": replicas,
    "SLOTS": slots,
}
