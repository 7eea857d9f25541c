"""The tag index: at every moment the exact inverse of the live entries' tags.

Told by the keyspace of every entry that gains or loses tags; asked for the keys of a
tag, for the hierarchy, and for what an invalidation has to reap. It removes no entry
itself.

1. An entry refers to a `TagMark`, which refers to no entry (entries are invisible to the
   garbage collector). The entries of a tag are in its `TagNode`, which refers to the mark.
2. They are in a list, in no order. One that has left the keyspace stays in the list as an empty
   shell (its `index` is -1), which a hand that goes around takes out: four slots for every one
   that leaves, so that a third of the list at the most is shells, and no step is long. A set
   would cost a random access to memory for each of these; a tag costs an append.
3. So an entry never loses a tag and lives on: the keyspace puts a copy into its place.
4. Invalidating a tag takes its node out of the index and sets `mark.job`: from that step
   on every entry that bears the mark is dead for all readers, however many there are.
   The node's members are reaped later, in slices. A new entry with the same tag gets a
   new node and a new mark.
5. Soft invalidation writes the store's sequence number to `mark.stale_at`: an entry whose
   version is not above it is stale. Writing to an entry raises its version.
6. How many distinct entries are stale only a walk over the members can tell. It begins at the
   end, where the latest are, and ends when it has met as many as were fresh, so each entry is
   looked at about once. Reaping does it by and by, and whoever asks for a count before
   (`count_stale`).
7. Links between tags live apart from nodes (`tag_hierarchy.py`): a tag without keys has no
   node, but keeps its links.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from mypy_extensions import i64

from cachestorm.entry import Entry
from cachestorm.keyspace.roster import SWEEP
from cachestorm.keyspace.tag_hierarchy import HIERARCHY_BYTES, TagHierarchy
from cachestorm.keyspace.tag_nodes import (
    COUNTED,
    Doomed,
    Invalidation,
    Softening,
    TagMark,
    TagNode,
    marks_of,
    tag_names_of,
)
from cachestorm.values.bulk import Bulk

# No sequence number is beyond it.
LAST_SEQUENCE: Final = (1 << 63) - 1
# What a link between an entry and a tag, and a tag itself, cost in memory.
LINK_BYTES: Final = 16
NODE_BYTES: Final = 416


class TagIndex(Bulk):
    """The tags of one keyspace and their hierarchy.

    Attributes:
        nodes: those that have keys.
        dense: the same in a list, whose last moves into the place of one that leaves: a
            walk from its end to its start, a page at a time, misses none that stays.
        stale: how many entries are stale, of those that have been counted.
        stale_volatile: how many of these have a deadline.
        hidden: how many nodes have no fresh entry.
        uncounted: the nodes in which some that are stale may not have been counted.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, TagNode] = {}
        self.dense: list[TagNode] = []
        self.doomed: deque[Doomed] = deque()
        # those of tags that have stale entries, the oldest first
        self.softened: deque[Softening] = deque()
        self.hierarchy: TagHierarchy = TagHierarchy()
        self.stale: i64 = 0
        self.stale_volatile: i64 = 0
        self.hidden: i64 = 0
        self.uncounted: deque[TagNode] = deque()

    def bulk(self) -> i64:
        return i64(len(self.nodes)) + len(self.doomed) + self.hierarchy.count

    def take_apart(self) -> list[object]:
        parts: list[object] = [self.nodes, self.dense, self.hierarchy, list(self.doomed)]
        self.nodes = {}
        self.dense = []
        self.doomed = deque()
        self.softened = deque()
        self.hierarchy = TagHierarchy()
        self.uncounted = deque()
        return parts

    # -- entries

    def link(self, entry: Entry, names: list[str]) -> i64:
        """Gives an entry tags, behind those that it bears.

        Args:
            entry: the caller has raised its version.
            names: checked, without duplicates, at least one, and none that it bears.

        Returns:
            The bytes this costs.
        """
        marks = marks_of(entry)
        cost: i64 = 0
        for name in names:
            node = self.nodes.get(name)
            if node is None:
                node = TagNode(TagMark(name), len(self.dense))
                self.nodes[name] = node
                self.dense.append(node)
                cost += NODE_BYTES
            elif node.fresh == 0:
                self.hidden -= 1
            node.members.append(entry)
            node.size += 1
            node.fresh += 1
            marks.append(node.mark)
            cost += LINK_BYTES
        if len(marks) == 1:
            entry.tags = marks[0]
        else:
            entry.tags = tuple(marks)
        return cost

    def cost(self, names: list[str]) -> i64:
        """The bytes that `link` would charge for these tags."""
        cost: i64 = 0
        for name in names:
            cost += LINK_BYTES if name in self.nodes else LINK_BYTES + NODE_BYTES
        return cost

    def unlink(self, entry: Entry) -> i64:
        """Takes all tags from an entry that has left. Returns the bytes this frees."""
        tags = entry.tags
        if tags is None:
            return 0
        entry.tags = None
        if entry.taps == COUNTED:
            self.stale -= 1
            if entry.expires_at_ms != 0:
                self.stale_volatile -= 1
        if isinstance(tags, TagMark):
            return self._unlink(entry, tags)
        assert isinstance(tags, tuple)
        freed: i64 = 0
        for mark in tags:
            assert isinstance(mark, TagMark)
            freed += self._unlink(entry, mark)
        return freed

    def _unlink(self, entry: Entry, mark: TagMark) -> i64:
        if mark.job is not None:
            return LINK_BYTES
        node = self.nodes[mark.name]
        node.size -= 1
        if entry.taps != COUNTED:
            self._unfreshen(entry, node)
        if node.size != 0:
            node.sweep()
            return LINK_BYTES
        self._drop(mark.name)
        return LINK_BYTES + NODE_BYTES

    def _unfreshen(self, entry: Entry, node: TagNode) -> None:
        """Takes an entry out of those of a node that are fresh, or not counted."""
        if entry.version > node.mark.stale_at:
            node.fresh -= 1
            if node.fresh == 0:
                self.hidden += 1
        else:
            node.uncounted -= 1

    def _drop(self, name: str) -> TagNode | None:
        """Forgets a tag, and gives back what it was. O(1)."""
        node = self.nodes.pop(name, None)
        if node is not None:
            if node.fresh == 0:
                self.hidden -= 1
            last = self.dense.pop()
            if last is not node:
                self.dense[node.place] = last
                last.place = node.place
        return node

    def charge_of(self, entry: Entry) -> i64:
        """The bytes that `unlink` would free for an entry that is live."""
        charge: i64 = 0
        for mark in marks_of(entry):
            charge += LINK_BYTES
            if self.nodes[mark.name].size == 1:
                charge += NODE_BYTES
        return charge

    # -- life and death

    def job_of(self, entry: Entry) -> Invalidation | None:
        """The first invalidation that took one of the entry's tags, or None."""
        tags = entry.tags
        if isinstance(tags, TagMark):
            return tags.job
        first: Invalidation | None = None
        if isinstance(tags, tuple):
            for mark in tags:
                assert isinstance(mark, TagMark)
                job = mark.job
                if job is not None and (first is None or job.sequence < first.sequence):
                    first = job
        return first

    def is_stale(self, entry: Entry, before: i64 = LAST_SEQUENCE) -> bool:
        """Whether a soft invalidation hit one of the entry's tags after its last write.

        Args:
            before: only invalidations of a lower sequence number count.
        """
        tags = entry.tags
        if isinstance(tags, TagMark):
            return entry.version <= tags.stale_at < before
        if isinstance(tags, tuple):
            for mark in tags:
                assert isinstance(mark, TagMark)
                if entry.version <= mark.stale_at < before:
                    return True
        return False

    def fatal_mark(self, entry: Entry) -> TagMark | None:
        """The mark of the tag whose invalidation, hard or soft, killed an entry."""
        tags = entry.tags
        if isinstance(tags, TagMark):
            return tags
        if isinstance(tags, tuple):
            for mark in tags:
                assert isinstance(mark, TagMark)
                if mark.job is not None or entry.version <= mark.stale_at:
                    return mark
        return None

    def count_removed(self, entry: Entry) -> TagMark | None:
        """Counts an entry that leaves for the invalidation that killed it, if it was not dead.

        Returns:
            The mark of the tag that it was killed by.
        """
        tags = entry.tags
        if isinstance(tags, TagMark):
            # the common case, without a call
            killer = tags.job
            if killer is not None and not entry.version <= tags.stale_at < killer.sequence:
                killer.removed += 1
            return tags
        job = self.job_of(entry)
        if job is not None and not self.is_stale(entry, job.sequence):
            job.removed += 1
        return self.fatal_mark(entry)

    def detach(self, names: list[str], job: Invalidation) -> i64:
        """Invalidates tags in one step: O(1) a tag, whatever the number of keys.

        Returns:
            The bytes of the nodes, which are no longer charged.
        """
        freed: i64 = 0
        for name in names:
            node = self._drop(name)
            if node is not None:
                node.mark.job = job
                self.doomed.append(Doomed(job, node.members))
                freed += NODE_BYTES
        return freed

    def soften(self, names: Iterable[str], job: Invalidation) -> i64:
        """Makes the entries of tags stale. Returns how many were fresh, tag by tag."""
        softened: i64 = 0
        for name in names:
            node = self.nodes.get(name)
            if node is not None:
                node.mark.stale_at = job.sequence
                node.mark.softening = job
                softened += node.fresh
                self._count_later(node)
                if node.softening is None:
                    node.softening = Softening(node, job)
                    self.softened.append(node.softening)
        return softened

    def _count_later(self, node: TagNode) -> None:
        if node.fresh == 0:
            return
        self.hidden += 1
        node.uncounted += node.fresh
        node.fresh = 0
        if node.unseen < 0:
            self.uncounted.append(node)
        node.unseen = len(node.members)

    def count_stale(self, limit: i64) -> i64:
        """Counts stale entries that have not been counted yet.

        Args:
            limit: how many places to look at.

        Returns:
            How many were looked at; less than `limit` when all have been counted.
        """
        looked: i64 = 0
        while self.uncounted and looked < limit:
            node = self.uncounted[0]
            members = node.members
            place = node.unseen
            if place > len(members):
                place = len(members)
            while (
                place > 0 and looked < limit and node.uncounted != 0 and node.mark.job is None
            ):
                looked += 1
                place -= 1
                entry = members[place]
                if (
                    entry.index >= 0
                    and entry.version <= node.mark.stale_at
                    and entry.taps != COUNTED
                ):
                    self._count(entry)
            node.unseen = place
            if node.uncounted == 0 or node.mark.job is not None:
                node.unseen = -1
                self.uncounted.popleft()
                looked += 1
        return looked

    def _count(self, entry: Entry) -> None:
        """Counts a stale entry: from now on it is none of those that its tags have."""
        for mark in marks_of(entry):
            if mark.job is None:
                self._unfreshen(entry, self.nodes[mark.name])
        entry.taps = COUNTED
        self.stale += 1
        if entry.expires_at_ms != 0:
            self.stale_volatile += 1

    def stale_entry(self, limit: i64, before_ms: i64) -> Entry | None:
        """An entry that is stale. The caller removes it.

        Args:
            limit: how many places to look at.
            before_ms: only of a soft invalidation that was not after this.

        Returns:
            None if none was found; there may be more.
        """
        while self.softened and limit > 0:
            softening = self.softened[0]
            node = softening.node
            mark = node.mark
            if mark.job is None and softening.job.at_ms > before_ms:
                return None
            members = node.members
            if softening.place > len(members):
                softening.place = len(members)
            while softening.place > 0 and limit > 0 and mark.job is None:
                limit -= 1
                softening.place -= 1
                entry = members[softening.place]
                if entry.index >= 0 and entry.version <= softening.job.sequence:
                    return entry
            if softening.place > 0 and mark.job is None:
                return None
            limit -= 1
            self.softened.popleft()
            node.softening = None
            again = mark.softening
            if mark.job is None and again is not None and again is not softening.job:
                # softened again since: its turn comes once more
                node.softening = Softening(node, again)
                self.softened.append(node.softening)
        return None

    # -- questions

    def count(self, name: str) -> i64:
        """How many fresh entries bear a tag, once those that are stale are counted. O(1)."""
        node = self.nodes.get(name)
        # two branches: of a conditional expression compiled code makes an object
        if node is None:
            return 0
        return node.fresh

    def entries(self, name: str) -> list[Entry]:
        """The entries that bear a tag, live or not."""
        node = self.nodes.get(name)
        return [] if node is None else [entry for entry in node.members if entry.index >= 0]

    def size_bytes(self, entries: Iterable[Entry]) -> i64:
        """What nodes and links are charged at. O(entries)."""
        links = sum(len(tag_names_of(entry)) for entry in entries)
        kept = len(self.nodes) * NODE_BYTES + self.hierarchy.count * HIERARCHY_BYTES
        return kept + links * LINK_BYTES

    def _check(self, entries: dict[str, Entry]) -> None:
        bearers: dict[str, int] = {}
        waiting = [entry for doomed in self.doomed for entry in doomed.members]
        for entry in entries.values():
            marks = marks_of(entry)
            assert len({mark.name for mark in marks}) == len(marks)
            for mark in marks:
                if mark.job is not None:
                    assert any(each is entry for each in waiting)
                    continue
                assert self.nodes[mark.name].mark is mark
                bearers[mark.name] = bearers.get(mark.name, 0) + 1
        assert bearers.keys() == self.nodes.keys()
        assert len(self.dense) == len(self.nodes)
        for name, node in self.nodes.items():
            assert self.dense[node.place] is node
            live = self.entries(name)
            assert len(live) == node.size == bearers[name]
            assert len({entry.key for entry in live}) == len(live)
            assert len(node.members) <= 2 * node.size + SWEEP
            for entry in live:
                assert entries[entry.key] is entry
                assert any(mark is node.mark for mark in marks_of(entry))
            assert node.fresh == sum(
                entry.version > node.mark.stale_at and entry.taps != COUNTED for entry in live
            )
            uncounted = [
                place
                for place, entry in enumerate(node.members)
                if entry.index >= 0
                and entry.version <= node.mark.stale_at
                and entry.taps != COUNTED
            ]
            assert node.uncounted == len(uncounted)
            assert all(place < node.unseen for place in uncounted)
            assert (node.unseen >= 0) == any(each is node for each in self.uncounted)
        counted = [entry for entry in entries.values() if entry.taps == COUNTED]
        assert all(self.is_stale(entry) for entry in counted)
        assert self.stale == len(counted)
        assert self.stale_volatile == sum(entry.expires_at_ms != 0 for entry in counted)
        assert self.hidden == sum(node.fresh == 0 for node in self.nodes.values())
        self.hierarchy._check()
