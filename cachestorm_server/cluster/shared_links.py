"""The links between tags of a node's keyspaces, kept as the cluster has decided.

Called by the membership. What was decided is in the node's link map; the links that INVALIDATE
with CASCADE follows are in the hierarchy of each namespace.

1. Both are equal whenever a cascade begins. A flush takes the links of one node away, and the
   cluster brings them back: a cascade that lacked one would leave what it should remove.
2. A link that the map does not know was made before there was a cluster, or in process: it is
   decided then.
3. A link that would close a cycle is left out, on every node the same one: see `link_map.py`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from cachestorm.errors import CacheStormError, TagError
from cachestorm.keyspace.tag_hierarchy import TagHierarchy
from cachestorm_server.cluster.link_map import Link
from cachestorm_server.cluster.messages import MessageError, link_of
from cachestorm_server.cluster.node import Node

if TYPE_CHECKING:
    from cachestorm.cache import Cache

LINKING: Final = frozenset({"TAGLINK", "TAGUNLINK"})

_log = logging.getLogger("cachestorm.cluster")


class SharedLinks:
    """Of one server.

    Args:
        cache: any of its namespaces.
    """

    def __init__(self, node: Node, cache: Cache) -> None:
        self._node: Final = node
        self._cache: Final = cache
        # by namespace: how many links it has, if nothing has happened to them
        self._counts: Final[dict[str, int]] = {}
        # where something was left out
        self._cyclic: Final[set[str]] = set()

    def decide(self, namespace: str, words: tuple[str, ...]) -> tuple[str, ...]:
        """Decides what TAGLINK or TAGUNLINK has just done here. Returns it for other nodes."""
        name, parent, child = words
        is_there = name.upper() == "TAGLINK"
        link = self._node.links.decide(namespace, parent, child, is_there, self._node.me.id)
        hierarchy = self._cache.namespace(namespace)._space.tags.hierarchy
        change = int(hierarchy.count) - self._counts.get(namespace, 0)
        if namespace in self._cyclic or change not in (0, 1 if is_there else -1):
            self._rebuild(namespace)
        else:
            self._counts[namespace] = int(hierarchy.count)
        return (name.upper(), parent, child, str(link.stamp), link.by)

    def take(self, namespace: str, words: tuple[str, ...]) -> None:
        """Does what another node has decided.

        Raises:
            MessageError: if it is nothing that `decide` gives.
        """
        if len(words) != 5 or not words[3].isdecimal():
            raise MessageError("no link")
        name, parent, child, stamp, by = words
        plain = [namespace, parent, child, int(stamp), by, name == "TAGLINK"]
        self._node.link([link_of(plain)])
        self.settle()

    def settle(self) -> None:
        """Does what other nodes have decided since."""
        linked = list(self._node.linked)
        self._node.linked.clear()
        for link in linked:
            self._apply(link)

    def hold(self) -> None:
        """Brings back what a flush took away, and decides what was made in process."""
        for space in self._cache._store.spaces():
            if space.tags.hierarchy.count != self._counts.get(space.name, 0):
                self._rebuild(space.name)

    def _apply(self, link: Link) -> None:
        hierarchy = self._cache.namespace(link.namespace)._space.tags.hierarchy
        is_held = hierarchy.count == self._counts.get(link.namespace, 0)
        if link.namespace in self._cyclic or not is_held:
            self._rebuild(link.namespace)
        elif self._do(link.namespace, link.parent, link.child, link.is_there):
            self._counts[link.namespace] = int(hierarchy.count)
        else:
            self._rebuild(link.namespace)

    def _do(self, namespace: str, parent: str, child: str, is_there: bool) -> bool:
        """Links two tags, or takes a link away. Returns whether that can be."""
        cache = self._cache.namespace(namespace)
        try:
            if is_there:
                cache.taglink(parent, child)
            else:
                cache.tagunlink(parent, child)
        except TagError:
            return False
        except CacheStormError as error:
            _log.error("a link between tags is missing here: %s", error)
        return True

    def _rebuild(self, namespace: str) -> None:
        """Makes the links of a namespace those that were decided. O(N) in them."""
        links, me = self._node.links, self._node.me.id
        hierarchy = self._cache.namespace(namespace)._space.tags.hierarchy
        found = set(hierarchy.links())
        for parent, child in sorted(found):
            if not links.knows(namespace, parent, child):
                links.decide(namespace, parent, child, True, me)
        wanted = TagHierarchy()
        self._cyclic.discard(namespace)
        for parent, child in links.present(namespace):
            try:
                wanted.add(parent, child)
            except TagError:
                self._cyclic.add(namespace)
        goal = wanted.links()
        for parent, child in found.difference(goal):
            self._do(namespace, parent, child, False)
        for parent, child in goal:
            if (parent, child) not in found:
                self._do(namespace, parent, child, True)
        self._counts[namespace] = int(hierarchy.count)
