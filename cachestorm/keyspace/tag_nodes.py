"""The parts of the tag index: marks, which entries refer to, and nodes, which refer to entries.

Made and changed by the tag index, which says how they work together; the ledger and the
keyspace refer to invalidations and marks.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr, u8

from cachestorm.entry import Entry
from cachestorm.keyspace.roster import Roster
from cachestorm.values.bulk import Bulk

# A removal that is remembered keeps the path of its cascade, if that had so many tags at most.
MOST_TOLD: Final = 4096
# What `Entry.taps` is of a stale entry that has been counted: no access counts so far.
COUNTED: Final[u8] = 255


@mypyc_attr(acyclic=True)
class Invalidation:
    """One INVALIDATE: when it happened, and how many entries it has removed so far.

    Attributes:
        descent: of a cascade, the tags that it reached and the parent of each by which it did;
            empty for a single tag, for a cascade over more than MOST_TOLD tags, and once
            the ledger has forgotten it.
    """

    def __init__(self, sequence: i64, at_ms: i64) -> None:
        self.sequence: Final = sequence
        self.at_ms: Final = at_ms
        self.removed: i64 = 0
        self.descent: dict[str, str] = {}

    def path(self, tag: str) -> list[str]:
        """The tags from the one that was invalidated down to this one."""
        found = [tag]
        while True:
            parent = self.descent.get(found[-1], "")
            if parent == "":
                break
            found.append(parent)
        found.reverse()
        return found


@mypyc_attr(acyclic=True)
class TagMark:
    """What an entry keeps of a tag.

    Attributes:
        name: the tag.
        job: the invalidation that took the tag away, or None while it is alive.
        stale_at: entries of this version or below are stale.
        softening: the soft invalidation that made them so.
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.job: Invalidation | None = None
        self.softening: Invalidation | None = None
        self.stale_at: i64 = 0


class Softening:
    """The entries of a tag that a soft invalidation has made stale, until they are removed.

    Attributes:
        node: of the tag; one that is softened again has no second one.
        job: the invalidation, the first if there were several.
        place: below which place of the members some may still be stale.
    """

    def __init__(self, node: TagNode, job: Invalidation) -> None:
        self.node: Final = node
        self.job: Final = job
        self.place: i64 = len(node.members)


class TagNode(Roster):
    """A tag that has keys.

    Attributes:
        mark: what its entries refer to.
        fresh: how many of its entries are not stale, but for such as another tag has made stale
            and nobody has counted yet.
        uncounted: how many this tag has made stale and nobody has counted yet.
        unseen: below which place of the members those are; -1 while nobody looks for them.
        place: where it stands among the tags of its index.
        softening: where the stale ones are looked for, or None where there are none.
    """

    def __init__(self, mark: TagMark, place: i64) -> None:
        super().__init__()
        self.mark: Final = mark
        self.place: i64 = place
        self.fresh: i64 = 0
        self.uncounted: i64 = 0
        self.unseen: i64 = -1
        self.softening: Softening | None = None


class Doomed(Bulk):
    """The members of an invalidated tag that wait to be reaped, and shells among them."""

    def __init__(self, job: Invalidation, members: list[Entry]) -> None:
        self.job: Final = job
        self.members: list[Entry] = members

    def bulk(self) -> i64:
        return len(self.members)

    def take_apart(self) -> list[object]:
        parts: list[object] = [self.members]
        self.members = []
        return parts


def marks_of(entry: Entry) -> list[TagMark]:
    """The marks of an entry, in the order of tagging."""
    tags = entry.tags
    if tags is None:
        return []
    if isinstance(tags, TagMark):
        return [tags]
    assert isinstance(tags, tuple)
    return list(tags)


def tag_names_of(entry: Entry) -> list[str]:
    """The tags of an entry, in the order of tagging."""
    return [mark.name for mark in marks_of(entry)]
