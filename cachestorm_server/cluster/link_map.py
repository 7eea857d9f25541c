"""The link map: which tag is a child of which, as all nodes of a cluster come to agree. Pure.

Part of a node's state; merged with what other nodes say, so that a node which comes late, or
comes back, has the links that the others have.

1. Of two decisions about a link the one of the higher stamp holds; of equal ones that of the
   greater node. A stamp is higher than all that its node knew. So merging is commutative,
   associative and idempotent, as with the slot map.
2. A link that was taken away stays known: else a node that was away would bring it back.
3. Links that were made on two nodes at once may close a cycle. `present` is in the order of the
   decisions, and whoever adds them in that order and leaves out what closes a cycle has the
   same ones as everybody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from operator import attrgetter
from typing import Final, NamedTuple

from cachestorm.codec import bytes_of


class Link(NamedTuple):
    """One decision.

    Attributes:
        stamp: the higher one holds.
        by: the id of the node that was asked.
        is_there: whether the tag is a child from then on, or is none.
    """

    namespace: str
    parent: str
    child: str
    stamp: int
    by: str
    is_there: bool


_in_order: Final = attrgetter("stamp", "by")


class LinkMap:
    """The latest decision about each link of all namespaces.

    Attributes:
        digest: equal for equal maps.
        news: decisions that are to be on disk before anything is said.
    """

    def __init__(self) -> None:
        self.digest = 0
        self.news: list[Link] = []
        self._stamp = 0
        self._links: Final[dict[tuple[str, str, str], Link]] = {}

    def decide(self, namespace: str, parent: str, child: str, is_there: bool, by: str) -> Link:
        """A new decision, which holds against all that are known here."""
        link = Link(namespace, parent, child, self._stamp + 1, by, is_there)
        self._take(link)
        return link

    def _take(self, link: Link) -> bool:
        former = self._links.get(link[:3])
        if former is not None and (former.stamp, former.by) >= (link.stamp, link.by):
            return False
        if former is not None:
            self.digest ^= _digest(former)
        self.digest ^= _digest(link)
        self._links[link[:3]] = link
        self.news.append(link)
        self._stamp = max(self._stamp, link.stamp)
        return True

    def merge(self, links: Iterable[Link]) -> list[Link]:
        """Takes in what another node knows. Returns what is new."""
        return [link for link in links if self._take(link)]

    def knows(self, namespace: str, parent: str, child: str) -> bool:
        """Whether anything was ever decided about a link."""
        return (namespace, parent, child) in self._links

    def all(self) -> list[Link]:
        """All decisions."""
        return list(self._links.values())

    def present(self, namespace: str) -> list[tuple[str, str]]:
        """Parent and child of the links of a namespace, in the order of the decisions."""
        found = [
            link
            for link in self._links.values()
            if link.is_there and link.namespace == namespace
        ]
        return [(link.parent, link.child) for link in sorted(found, key=_in_order)]


def _digest(link: Link) -> int:
    words = (bytes_of(str(part)) for part in link)
    text = b"".join(b"%d:%s" % (len(word), word) for word in words)
    return int.from_bytes(blake2b(text, digest_size=7).digest(), "big")
