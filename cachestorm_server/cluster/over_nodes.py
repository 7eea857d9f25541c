"""Commands that concern keys of every node: what this one does, asks and answers of them.

Called by the membership: for a client, before a node would answer by itself, and for what other
nodes have told of and ask. `fan_out.py` has what waits for other nodes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from cachestorm.codec import bytes_of
from cachestorm.declare.plan import Plan
from cachestorm.errors import CacheStormError
from cachestorm.operations.long_command import LongCommand, Unfinished, finish
from cachestorm_server.cluster.fan_out import (
    KEY_COUNT,
    OPERATIONS,
    QUERIES,
    TAG_COUNTS,
    WALKS,
    FanOut,
    Gathering,
    PageFrom,
    is_query,
    named_by,
    with_descent,
    words_of,
)
from cachestorm_server.cluster.listing import begin
from cachestorm_server.cluster.messages import Member, MessageError, Result, operation_key
from cachestorm_server.cluster.node import Node, Outgoing
from cachestorm_server.cluster.op_log import FORGET_ALL
from cachestorm_server.cluster.shared_links import LINKING, SharedLinks

if TYPE_CHECKING:
    from cachestorm.cache import Cache
    from cachestorm.keyspace.keyspace import Keyspace
    from cachestorm_server.endpoint import Endpoint

_log = logging.getLogger("cachestorm.cluster")

# what a node answers another one
_ASKED: Final = OPERATIONS | QUERIES | WALKS | {KEY_COUNT}


class OverNodes:
    """Of one server.

    Args:
        settle: saves what has changed, and sends what is to be said.
        patience_ms: how long an answer of another node is waited for.

    Attributes:
        soon: has something done once others have had a turn; None where there is no loop.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        node: Node,
        links: SharedLinks,
        clock: Callable[[], int],
        settle: Callable[[list[Outgoing]], None],
        patience_ms: int,
    ) -> None:
        self.endpoint: Final = endpoint
        self.node: Final = node
        self.clock: Final = clock
        self.settle: Final = settle
        self.soon: Callable[[Callable[[], object]], object] | None = None
        self._links: Final = links
        self._patience_ms: Final = patience_ms
        # by key, who waits for results of other nodes
        self._waiting: Final[dict[str, Gathering]] = {}

    # -- for other nodes

    def do_due(self) -> None:
        """Does what others have told of, and answers what they ask."""
        node = self.node
        # whoever has told of an operation, it is the one that began it who waits
        lives = {each.instance: each for each in node.members.values()} if node.due else {}
        for operation in node.due:
            asker = lives.get(operation.origin)
            key = operation_key(operation)
            try:
                value = self._begin(operation.namespace, operation.words)
            except Unfinished as unfinished:
                if self.soon is not None:
                    self.soon(partial(self._go_on, unfinished.long_command, key, asker))
                    continue
                value = self._counted(finish(unfinished.long_command))
            if asker is not None:
                node.answer(asker, Result(key, value))
        node.due.clear()
        for query, member in node.queries:
            node.answer(member, Result(query.key, self._do(query.namespace, query.words)))
        node.queries.clear()

    def _go_on(self, long_command: LongCommand, key: str, asker: Member | None) -> None:
        """One more slice of an operation; after the last one who has asked is answered."""
        assert self.soon is not None
        if not long_command.step():
            self.soon(partial(self._go_on, long_command, key, asker))
        elif asker is not None:
            value = self._counted(long_command.result())
            self.node.answer(asker, Result(key, value))
            self.settle(self.node.take_outbox())

    def take_results(self) -> None:
        """Gives what others have answered to those who wait for it."""
        for result, member in self.node.results:
            waiting = self._waiting.get(result.key)
            if waiting is not None:
                waiting.hear(member, result.value, result.left)
        self.node.results.clear()

    def _do(self, namespace: str, words: tuple[str, ...]) -> int | tuple[str, ...]:
        """What a command of another node has come to here; 0 for one that is refused."""
        try:
            return self._begin(namespace, words)
        except Unfinished as unfinished:
            return self._counted(finish(unfinished.long_command))

    def _begin(self, namespace: str, words: tuple[str, ...]) -> int | tuple[str, ...]:
        """As `_do`, as far as it is done in one slice.

        A replica does what its primary does, and has no keys that are not counted there.

        Raises:
            Unfinished: with what is left.
        """
        value = self._done(namespace, words)
        if not isinstance(value, tuple):
            return self._counted(value)
        if not self.node.me.primary:
            return value
        if words[0] == TAG_COUNTS:
            return ("0",) * len(value)
        return ("0",) if words[0].upper() in WALKS else ()

    def _counted(self, value: object) -> int:
        """How many keys this node has removed, of those that no other one counts."""
        return value if isinstance(value, int) and not self.node.me.primary else 0

    def _done(self, namespace: str, words: tuple[str, ...]) -> int | tuple[str, ...]:
        """What all keys that are here come to; 0 for a command that is refused.

        Raises:
            Unfinished: with what is left of it.
        """
        if words == (FORGET_ALL,):
            return self._forget_all()
        if words and words[0] == TAG_COUNTS:
            return self._tag_counts(namespace, words[1:])
        argv: list[object] = [bytes_of(word) for word in words]
        plan = self.endpoint.registry.plan(words[0].upper()) if words else None
        if plan is None or plan.name not in _ASKED:
            _log.warning("another node asks for %r, which is not for nodes to ask", words[:1])
            return 0
        try:
            if plan.name in LINKING:
                self._links.take(namespace, words)
                return 0
            if plan.name == "INVALIDATE":
                value: object = self._invalidate(namespace, words)
            else:
                value = self._call(plan, namespace, argv)
        except (CacheStormError, MessageError) as error:
            _log.warning("%s of another node is refused: %s", plan.name, error)
            return 0
        if isinstance(value, tuple):
            # a page
            cursor, names = value
            return (str(cursor), *names)
        if isinstance(value, list):
            return tuple(str(each) for each in value)
        return value if isinstance(value, int) else 0

    def _forget_all(self) -> int:
        """Takes away all that has tags: it is not known any more which of it is to go."""
        _log.warning("this node was away for too long: all its keys with tags are dropped")
        count = 0
        for space in self.endpoint.cache._store.spaces():
            cache = self.endpoint.cache.namespace(space.name)
            names = cache.tag_scan(0, len(space.tags.dense) + 1)[1]
            if names:
                try:
                    count += cache.invalidate(names)
                except Unfinished as unfinished:
                    finish(unfinished.long_command)
        return count

    def _tag_counts(self, namespace: str, names: tuple[str, ...]) -> tuple[str, ...]:
        plan = self.endpoint.registry.resolve([b"TAGCOUNT"])
        return tuple(
            str(self._call(plan, namespace, [b"TAGCOUNT", bytes_of(name)])) for name in names
        )

    def _invalidate(self, namespace: str, words: tuple[str, ...]) -> object:
        """What an INVALIDATE of another node comes to, of the keys that are here.

        Raises:
            Unfinished: with what is left of it.
        """
        self._links.hold()
        tags, options = named_by(words)
        return self.endpoint.cache.namespace(namespace).invalidate(
            tags,
            cascade="CASCADE" in options,
            soft="SOFT" in options,
            dry_run="DRYRUN" in options,
        )

    def _published(self, space: Keyspace, plan: Plan, args: list[object]) -> tuple[str, ...]:
        """What other nodes are told of a command that was done here."""
        words = words_of(args)
        if plan.name in LINKING:
            return self._links.decide(space.name, words)
        if plan.name == "INVALIDATE" and "CASCADE" in named_by(words)[1]:
            return with_descent(words, space.tags.hierarchy.descent([words[1]]))
        return words

    def _call(self, plan: Plan, namespace: str, argv: list[object]) -> object:
        """The value of a command on tags, of the keys that are here."""
        self._links.hold()
        try:
            return plan.call(self.endpoint.cache.namespace(namespace), argv)
        except Unfinished as unfinished:
            return finish(unfinished.long_command)

    # -- for clients

    def fan_out(self, cache: Cache, plan: Plan, args: list[object]) -> None:
        """Has all nodes do what this one is asked to, and waits for what they say.

        Raises:
            Unfinished: with what waits; nobody else is to answer the request.
            CacheStormError: what it is refused with here. Nobody else has heard of it.
        """
        node = self.node
        if plan.name == "TAGSCAN" and not node.is_alone:
            self._walk(cache, plan, args)
        if plan.name not in OPERATIONS and plan.name not in QUERIES:
            return
        if node.is_alone and plan.name not in LINKING:
            return
        space = cache._space
        self._links.hold()
        value: object = 0
        own: LongCommand | None = None
        try:
            value = plan.call(cache, args)
        except Unfinished as unfinished:
            own = unfinished.long_command
        if node.me.primary:
            value = [] if isinstance(value, list) else 0
        now_ms = self.clock()
        words = self._published(space, plan, args)
        reads = is_query(plan, words)
        operation = None if reads else node.publish(space.name, words, now_ms)
        if operation is None:
            key = node.ask(node.members.values(), space.name, words)
        else:
            key = operation_key(operation)

        def keep() -> None:
            assert operation is not None
            node.keep(operation)
            self.settle([])

        fan_out = FanOut(
            space,
            {node.me.id: value},
            node.members,
            self._given_up(),
            self._patience(),
            partial(self._waiting.pop, key, None),
            own,
            self._counted,
            None if reads else keep,
        )
        raise Unfinished(self._awaited(key, fan_out))

    def _given_up(self) -> list[str]:
        now_ms = self.clock()
        return [each for each in self.node.members if self.node.is_given_up(each, now_ms)]

    def _patience(self) -> float:
        return time.monotonic() + self._patience_ms / 1000

    def _awaited(self, key: str, gathering: Gathering) -> Gathering:
        """Sends what was asked; what is answered is given to this one."""
        self._waiting[key] = gathering
        self.settle(self.node.take_outbox())
        return gathering

    def _walk(self, cache: Cache, plan: Plan, args: list[object]) -> None:
        """Answers a page of a walk over all nodes.

        Raises:
            Unfinished: with what waits for it.
            CacheStormError: what it is refused with.
        """
        # whatever is wrong with the words is found here
        self._call(plan, cache.name, args)
        words = words_of(args)
        raise Unfinished(self.page(cache, words[0].upper(), int(words[1]), words[2:]))

    def page(
        self, cache: Cache, name: str, cursor: int, options: tuple[str, ...]
    ) -> LongCommand:
        """A page of a walk over all nodes: the next cursor and some names."""
        node, space = self.node, cache._space
        node_ids = [node.me.id, *node.members]
        node_id, local = begin(cursor, node_ids)
        words = (name, str(local), *options)
        parts: dict[str, object] = {}
        key = ""
        member = node.members.get(node_id)
        if member is None:
            # nobody is left where the node of the cursor has gone
            parts[node_id] = self._do(space.name, words) if node_id else ("0",)
        else:
            key = node.ask([member], space.name, words)
        called = "" if member is None else f"{member.host}:{member.port}"
        end = partial(self._waiting.pop, key, None)
        page = PageFrom(
            space, parts, self._given_up(), self._patience(), end, node_id, node_ids, called
        )
        return page if member is None else self._awaited(key, page)

    def everywhere(self, cache: Cache, words: tuple[str, ...]) -> LongCommand:
        """What a command that reads comes to on each node, by the id of the node."""
        node, space = self.node, cache._space
        parts: dict[str, object] = {node.me.id: self._do(space.name, words)}
        key = node.ask(node.members.values(), space.name, words)
        end = partial(self._waiting.pop, key, None)
        gathering = Gathering(
            space, parts, node.members, self._given_up(), self._patience(), end
        )
        return self._awaited(key, gathering)

    def tell_within(self, cache: Cache, plan: Plan, args: list[object]) -> None:
        """Tells others what a transaction or a script has just done here."""
        if plan.name not in OPERATIONS:
            return
        words = self._published(cache._space, plan, args)
        if not (self.node.is_alone or is_query(plan, words)):
            # in the midst of a transaction nobody is waited for: it is on disk instead
            self.node.keep(self.node.publish(cache.name, words, self.clock()))
            self.settle(self.node.take_outbox())
