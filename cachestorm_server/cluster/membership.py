"""The membership: one server's part in a cluster, between its node, its keys and the bus.

Made by the application; asked by the gate and by the command CLUSTER. It calls the node, which
decides, the state file, which keeps what was decided, the bus, which carries what is said, and
the store, whose keys it counts, lists and drops.

1. `settle` is the only way from a change to the bus: what has changed is saved, then what the
   gate knows is brought up to date, then others are told. What cannot be saved is not said, and
   the command that would have changed it is refused.
2. The keys of a slot that is another's by now are dropped at once.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cachestorm.codec import bytes_of, text_of
from cachestorm.declare.kinds import CHANNEL, KEY, Key
from cachestorm.declare.plan import Plan
from cachestorm.errors import CacheStormError
from cachestorm.keyspace.slot_index import SLOTS, slot_of
from cachestorm.keyspace.slot_keys import empty, keep_slots
from cachestorm.operations.long_command import LongCommand
from cachestorm_server.admission import has_flag
from cachestorm_server.availability import writes
from cachestorm_server.cluster import commands
from cachestorm_server.cluster.clock import monotonic_ms
from cachestorm_server.cluster.fan_out import OPERATIONS, named_by
from cachestorm_server.cluster.gate import IMPORTED, ROUTED, SERVED, Gate, Router
from cachestorm_server.cluster.migration import is_under_way
from cachestorm_server.cluster.node import Node, Outgoing
from cachestorm_server.cluster.node_state import added, persisted
from cachestorm_server.cluster.op_log import FORGET_ALL
from cachestorm_server.cluster.over_nodes import OverNodes
from cachestorm_server.cluster.redirect import CrossSlotError, refusal, refusal_of_waiting
from cachestorm_server.cluster.replicas import Replicas
from cachestorm_server.cluster.reports import info_text
from cachestorm_server.cluster.shared_links import SharedLinks
from cachestorm_server.cluster.state_file import MOST_LINES, ClusterStateError, StateFile

if TYPE_CHECKING:
    from cachestorm.cache import Cache
    from cachestorm.keyspace.store import Store
    from cachestorm_server.endpoint import Endpoint
    from cachestorm_server.session import Session

_log = logging.getLogger("cachestorm.cluster")

# in what a source has seen, its epoch: no node is called that
_EPOCH: Final = ""
MOST_EPOCH: Final = 1 << 48
# where Redis has the bus, as seen from the port of clients
BUS_OFFSET: Final = 10_000
_NOT_LOCAL: Final = "Script attempted to access a non local key in a cluster node"
_SEVERAL_SLOTS: Final = "Script attempted to access keys that do not hash to the same slot"


class Membership(Router):
    """Of one server.

    Args:
        patience_ms: how long a command on tags waits for other nodes.

    Attributes:
        send: what carries messages to other nodes.
        traffic: how much was carried, for CLUSTER INFO.
        links: what CLUSTER LINKS says.
        replicas: what sees to it that this server follows whom its node says.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        node: Node,
        file: StateFile,
        patience_ms: int,
        clock: Callable[[], int] = monotonic_ms,
    ) -> None:
        self.endpoint: Final = endpoint
        self.node: Final = node
        self.clock: Final = clock
        self.store: Final[Store] = endpoint.cache._store
        self.send: Callable[[Outgoing], object] | None = None
        self.traffic: Callable[[], dict[str, int]] = dict
        self.links: Callable[[], list[object]] = list
        self._file: Final = file
        self._gate: Final = Gate(self)
        self._links: Final = SharedLinks(node, endpoint.cache)
        self._over_nodes: Final = OverNodes(
            endpoint, node, self._links, clock, self.settle, patience_ms
        )
        self._was_serving = False
        # what a source had seen, by which no key could have escaped, after so many changes
        self._all_seen, self._changes = "", 0
        self.replicas: Final = Replicas(self)
        node.copies = self.replicas
        self.store.enter()
        try:
            keep_slots(self.store)
        finally:
            self.store.leave()
        self._save()
        self._open_all()
        endpoint.cluster = self._gate
        endpoint.watch_over_all()

    @property
    def wall_ms(self) -> int:
        """What is added to the time of the node to make it time since 1970."""
        return time.time_ns() // 1_000_000 - self.clock()

    def bus_port_of(self, host: str, port: int | None) -> int:
        """Where a node is likely to take in others, if only its clients' port is known."""
        me = self.node.me
        if port is None or me.bus_port != me.port + BUS_OFFSET:
            return me.bus_port
        return port + BUS_OFFSET

    def do_soon(self, soon: Callable[[Callable[[], object]], object]) -> None:
        """Has long operations of other nodes done in slices from now on.

        Args:
            soon: has something done once others have had a turn.
        """
        self._over_nodes.soon = soon

    # -- what changes

    def settle(self, outgoing: list[Outgoing]) -> None:
        """Saves what has changed, and sends what is to be said.

        Raises:
            ClusterStateError: if it cannot be saved. Nothing was sent.
        """
        node = self.node
        if node.linked:
            self._links.settle()
        if node.due or node.queries:
            self._over_nodes.do_due()
            outgoing = [*outgoing, *node.take_outbox()]
        self._over_nodes.take_results()
        self._save_news()
        self.replicas.settle()
        self._gate.held_until_ms = node.authority.held_until_ms
        if node.touched or node.may_serve(self.clock()) != self._was_serving:
            self._open_all()
        if node.lost:
            self._drop_lost()
        if self.send is not None:
            for each in outgoing:
                self.send(each)

    def _save_news(self) -> None:
        node = self.node
        if not node.is_dirty:
            lines = added(node)
            if not lines:
                return
            # unless it can be appended
            node.is_dirty = True
            if self._file.lines < MOST_LINES:
                self._file.append(lines)
                node.is_dirty = False
        if node.is_dirty:
            self._save()

    def _save(self) -> None:
        self._file.save(persisted(self.node))
        self.node.take_added()
        self.node.is_dirty = False

    def _open_all(self) -> None:
        """Tells the gate which slots are answered for here, whatever the key."""
        node, gate = self.node, self._gate
        is_serving = node.may_serve(self.clock())
        slots = range(SLOTS) if is_serving != self._was_serving else node.touched
        for slot in slots:
            state = ROUTED
            if is_serving and node.slots.owners[slot] != node.me.id:
                # a replica takes nothing but from its primary
                is_taken = slot in node.importing and not node.me.primary
                state = IMPORTED if is_taken else ROUTED
            elif is_serving and slot not in node.migrating:
                state = SERVED
            gate.set_state(slot, state)
        self._was_serving = is_serving
        node.touched.clear()
        self._redirect_waiting()

    def _redirect_waiting(self) -> None:
        """Tells those who wait for a key of a slot that has gone where it is."""
        node, now_ms = self.node, self.clock()

        def refusal_of(key: str) -> CacheStormError | None:
            return refusal_of_waiting(node, slot_of(bytes_of(key)), now_ms)

        self.store.enter()
        try:
            for space in self.store.spaces():
                if space.waiting is not None:
                    space.waiting.refuse(refusal_of)
        finally:
            self.store.leave()

    def drop_foreign(self) -> None:
        """Drops what was loaded and is another node's: it was lost in an earlier life."""
        node = self.node
        mine = {"", node.me.id}
        node.lost.update(
            slot
            for slot, owner in enumerate(node.slots.owners)
            if owner not in mine and slot not in node.importing
        )
        self._drop_lost()
        self._links.hold()

    def _drop_lost(self) -> None:
        node, store = self.node, self.store
        # a replica has what its primary has
        slots = [] if node.me.primary else sorted(node.lost)
        node.lost.clear()
        dropped = 0
        for slot in slots:
            store.enter()
            try:
                dropped += empty(store, slot)
            finally:
                store.leave()
        if dropped:
            _log.warning("%d keys dropped: their slots are another node's by now", dropped)

    # -- what clients ask

    def check(self, session: Session, plan: Plan, args: list[object]) -> None:
        asking = session.is_asking or has_flag(plan, "asking")
        session.is_asking = False
        keys = self._keys_of(session, plan, args)
        session.slot_within = -1
        if keys:
            reads = session.reads_replicas and not writes(plan, session.transaction)
            session.slot_within = self._check_keys(plan, keys, asking, reads)
        if self.node.me.primary and plan.name not in OPERATIONS:
            self.endpoint.availability.check(plan, session.transaction)
        if not keys and session.transaction is None:
            self._over_nodes.fan_out(session.cache, plan, args)

    def check_visitor(self, cache: Cache, plan: Plan, args: list[object]) -> None:
        keys = _keys_of(plan, args)
        if keys:
            self._check_keys(plan, keys, False)
        else:
            self._over_nodes.fan_out(cache, plan, args)

    def check_visitors(self, requests: list[tuple[Cache, Plan, list[object]]]) -> None:
        keys = [key for _, plan, args in requests for key in _keys_of(plan, args)]
        if keys:
            self._check_keys(requests[0][1], keys, False)

    def _check_keys(
        self, plan: Plan, keys: list[bytes], asking: bool, reads: bool = False
    ) -> int:
        """Refuses what is asked of keys that are not all here. Returns their slot."""
        slots = {slot_of(key) for key in keys}
        if len(slots) > 1:
            raise CrossSlotError()
        slot = slots.pop()
        is_on_its_way = slot in self.node.migrating or slot in self.node.importing
        if plan.name != "MIGRATE" or not is_on_its_way:
            refused = self._refusal(slot, keys, asking, reads)
            if refused is not None:
                raise refused
        return slot

    def page(
        self, cache: Cache, name: str, cursor: int, options: tuple[str, ...]
    ) -> LongCommand:
        return self._over_nodes.page(cache, name, cursor, options)

    def everywhere(self, cache: Cache, words: tuple[str, ...]) -> LongCommand:
        return self._over_nodes.everywhere(cache, words)

    def tell_within(self, cache: Cache, plan: Plan, args: list[object]) -> None:
        self._over_nodes.tell_within(cache, plan, args)

    def seen(self) -> str:
        said = {**self.node.log.done, _EPOCH: self.node.epoch}
        return json.dumps(said, separators=(",", ":"))

    def catch_escaped(self, session: Session, key: str, seen: str) -> None:
        log = self.node.log
        if seen == self._all_seen and log.changes == self._changes:
            # as it was for the key before
            return
        done = _read_seen(seen)
        # who is given the slot of this key is not to be outdone by how the source got it
        self.node.hear_epoch(min(done.get(_EPOCH, 0), MOST_EPOCH))
        unseen = log.unseen_by(done)
        if not unseen:
            self._all_seen, self._changes = seen, log.changes
            return
        cache = session.cache
        tags = set(cache.tags(key))
        hierarchy = cache._space.tags.hierarchy
        for operation in unseen:
            words = operation.words
            if words[0] == FORGET_ALL and tags:
                cache.delete(key)
                return
            if words[0].upper() != "INVALIDATE" or operation.namespace != cache.name:
                continue
            named, options = named_by(words)
            if "CASCADE" in options:
                named = list(hierarchy.descent(named))
            if not tags.isdisjoint(named):
                cache.delete(key)
                return

    def check_scripted(self, session: Session, plan: Plan, args: list[object]) -> None:
        keys = _keys_of(plan, args)
        if not keys:
            return
        slots = {slot_of(key) for key in keys}
        slot = slots.pop()
        reads = session.reads_replicas and not plan.declaration.writes
        if slots or self._refusal(slot, keys, False, reads) is not None:
            raise CacheStormError(_NOT_LOCAL)
        if session.slot_within not in (-1, slot):
            raise CacheStormError(_SEVERAL_SLOTS)
        session.slot_within = slot

    def _keys_of(self, session: Session, plan: Plan, args: list[object]) -> list[bytes]:
        """The keys of a request; of EXEC, those of all that was queued."""
        if plan.name == "EXEC" and session.transaction is not None:
            return [
                key
                for queued, words in session.transaction.requests
                for key in _keys_of(queued, words)
            ]
        return _keys_of(plan, args)

    def _refusal(
        self, slot: int, keys: list[bytes], asking: bool, reads: bool
    ) -> CacheStormError | None:
        node = self.node
        present = missing = 0
        if slot in node.migrating or slot in node.importing:
            for key in keys:
                if self.has_key(key):
                    present += 1
                else:
                    missing += 1
        return refusal(node, slot, present, missing, asking, self.clock(), reads)

    def has_key(self, key: bytes) -> bool:
        """Whether there is a key of this name, in whichever namespace, or it is being sent."""
        name = text_of(key)
        if is_under_way(self.store, name):
            return True
        self.store.enter()
        try:
            return any(space.peek(name) is not None for space in self.store.spaces())
        finally:
            self.store.leave()

    def command(self, session: Session, subcommand: str, arguments: list[str]) -> object:
        """The reply to CLUSTER.

        Raises:
            CacheStormError: with Redis' text.
        """
        reply = commands.TABLE[subcommand](self, arguments)
        try:
            self.settle(self.node.take_outbox())
        except ClusterStateError as error:
            _log.error("%s", error)
            raise
        return reply

    def lines(self) -> list[str]:
        return info_text(self.node, self.clock(), self.traffic()).splitlines()


@lru_cache(maxsize=8)
def _read_seen(seen: str) -> dict[str, int]:
    """What another node has seen, by origin; all keys of a MIGRATE come with the same."""
    try:
        said = json.loads(seen)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return {}
    return {origin: each for origin, each in said.items() if type(each) is int}


def _keys_of(plan: Plan, args: list[object]) -> list[bytes]:
    """The keys and shard channels of a request; none if its words are wrong."""
    try:
        named = plan.names(args)
    except CacheStormError:
        return []
    return [
        raw if isinstance(raw, bytes) else bytes_of(raw)
        for raw, kind in named
        if isinstance(raw, bytes | str)
        and isinstance(kind, Key)
        and kind.names in (KEY, CHANNEL)
        # the key of MIGRATE is empty if others are named behind KEYS
        and (raw or plan.name != "MIGRATE")
    ]
