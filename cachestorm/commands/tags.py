"""The family of tags: group invalidation that is always exact.

1. A tag's keys are at every moment exactly the live keys that bear it.
2. `invalidate` takes a whole group away in one step for every reader, and counts each
   key once. `soft` leaves the values for loaders that may serve stale.
3. Links between tags live apart from keys: they survive an invalidation, not a flush.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final, cast

from mypy_extensions import i64, mypyc_attr, trait

from cachestorm.codec import bytes_of, sort_by_bytes
from cachestorm.commands.edge import Edge, enter
from cachestorm.declare.declaration import Declaration
from cachestorm.entry import Entry, kind_of
from cachestorm.errors import ArityError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.tag_nodes import tag_names_of
from cachestorm.operations.containers import walk_start
from cachestorm.operations.counting import CountingStale, CountingTag
from cachestorm.operations.long_command import LongCommand
from cachestorm.operations.names import checked_tag, checked_tags, exact_int, exact_key
from cachestorm.patterns import matches

command: Final = partial(Declaration, group="tags", own=True)

_TAG_WORK: Final = "O(1) a tag"


class Invalidating(LongCommand):
    """INVALIDATE: its first slice kills all keys for every reader, each slice reaps some."""

    def __init__(self, space: Keyspace, tags: list[str], cascade: bool) -> None:
        super().__init__(space)
        self._tags: Final = tags
        self._cascade: Final = cascade

    def _work(self) -> Iterator[None]:
        space = self._space
        descent = _reached(space, self._tags, self._cascade)
        job = space.doom(list(descent))
        space.shared.ledger.remember(job, descent)
        while not space.reap_doomed(job.sequence):
            yield
        self._value = int(job.removed)


class Softening(CountingStale):
    """INVALIDATE with SOFT: one step, once what is stale by earlier ones is counted."""

    def __init__(self, space: Keyspace, tags: list[str], cascade: bool, dry_run: bool) -> None:
        super().__init__(space)
        self._tags: Final = tags
        self._cascade: Final = cascade
        self._dry_run: Final = dry_run

    def _answer(self, space: Keyspace) -> object:
        reached = _reached(space, self._tags, self._cascade)
        if self._dry_run:
            return sum([int(space.tags.count(name)) for name in reached])
        return int(space.soften(reached))


def _reached(space: Keyspace, tags: list[str], cascade: bool) -> dict[str, str]:
    """What an invalidation reaches: see `TagIndex.descent`."""
    return space.tags.hierarchy.descent(tags) if cascade else dict.fromkeys(tags, "")


def _bytes_of_both(link: tuple[str, str]) -> tuple[bytes, bytes]:
    return bytes_of(link[0]), bytes_of(link[1])


def _found(space: Keyspace, reached: Iterable[str]) -> int:
    """How many keys an invalidation of these tags would delete."""
    keys: set[str] = set()
    for name in reached:
        for entry in space.tags.entries(name):
            if space.fate(entry) is None:
                keys.add(entry.key)
    return len(keys)


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Tags(Edge):
    """SETTAG, INVALIDATE and the hierarchy of tags."""

    @command(
        "SETTAG key:ow-update value tag [tag ...]",
        complexity=_TAG_WORK,
        grows=True,
        reply="ok",
        summary="Set the value of a key and its tags; the time to live is cleared.",
    )
    def settag(self, key: str, value: object, *tags: str) -> bool:
        """Sets a key with its tags, replacing value, time to live and former tags.

        Args:
            tags: at least one.

        Raises:
            TagError: for a tag that has not 1 to 1024 bytes.
        """
        key = exact_key(key)
        names = checked_tags(tags)
        if not names:
            raise ArityError("settag")
        kind = kind_of(value)
        held = self._box(value)
        space = enter(self)
        try:
            space.put(key, held, kind, space.default_deadline(), names)
            return True
        finally:
            space.leave()

    @command(
        "TAGS key:ro",
        complexity="O(N) in the tags of the key",
        summary="Return the tags of a key, in the order of tagging.",
    )
    def tags(self, key: str) -> list[str]:
        """The tags of a key in the order of tagging; none for a missing key."""
        key = exact_key(key)
        space = enter(self)
        try:
            entry = space.peek(key)
            return [] if entry is None else tag_names_of(entry)
        finally:
            space.leave()

    @command(
        "ADDTAG key:rw-update tag [tag ...]",
        complexity="O(N) in the tags of the key",
        summary="Add tags to a key; its value and time to live stay.",
    )
    def addtag(self, key: str, *tags: str) -> int:
        """Adds tags to a key of any type. Returns how many were new; 0 without a key."""
        key = exact_key(key)
        names = checked_tags(tags)
        if not names:
            raise ArityError("addtag")
        space = enter(self)
        try:
            entry = space.peek(key)
            if entry is None:
                return 0
            present = set(tag_names_of(entry))
            added = [name for name in names if name not in present]
            if added:
                space.add_tags(entry, added)
            return len(added)
        finally:
            space.leave()

    @command(
        "REMTAG key:rw-update tag [tag ...]",
        complexity="O(N) in the tags of the key",
        summary="Remove tags from a key; its value and time to live stay.",
    )
    def remtag(self, key: str, *tags: str) -> int:
        """Removes tags from a key of any type. Returns how many it bore."""
        key = exact_key(key)
        names = checked_tags(tags)
        if not names:
            raise ArityError("remtag")
        space = enter(self)
        try:
            entry = space.peek(key)
            if entry is None:
                return 0
            present = tag_names_of(entry)
            taken = set(names)
            kept = [name for name in present if name not in taken]
            if len(kept) < len(present):
                space.keep_tags(entry, kept)
            return len(present) - len(kept)
        finally:
            space.leave()

    @command(
        "INVALIDATE tag [CASCADE] [SOFT] [DRYRUN]",
        complexity="O(1) a tag until no reader sees its keys, then O(N) in the keys",
        writes=True,
        summary="Delete every key that bears a tag, or also those of all its children.",
    )
    def invalidate(
        self,
        tag: str | Iterable[str],
        *tags: str,
        cascade: bool = False,
        soft: bool = False,
        dry_run: bool = False,
    ) -> int:
        """Deletes every key that bears a tag, or one of several.

        Nobody sees half of it: all keys are gone for every reader at once, and are
        reaped in slices between which other threads go on. Links survive.

        Args:
            tag, tags: by name, or in a list.
            cascade: also the keys of all transitive children.
            soft: mark them stale instead, in O(1) a tag: a plain read misses them, a
                loader that allows stale may still serve them.
            dry_run: change nothing, only count; O(N) in the keys, while others wait.

        Returns:
            How many distinct keys were deleted; with `soft` how many were marked, where a
            key that bears several of the tags counts with each.

        Raises:
            TagError: for a tag that has not 1 to 1024 bytes.
        """
        if isinstance(tag, (list, tuple, set, frozenset)):
            names = checked_tags([*tag, *tags])
        else:
            names = checked_tags([tag, *tags])
        if soft:
            return cast(int, self._run(Softening(self._space, names, cascade, dry_run)))
        if not dry_run:
            return cast(int, self._run(Invalidating(self._space, names, cascade)))
        space = enter(self)
        try:
            return _found(space, _reached(space, names, cascade))
        finally:
            space.leave()

    @command(
        "TAGKEYS tag",
        complexity="O(N log N) in the keys of the tag",
        summary="Return the keys that bear a tag, sorted.",
    )
    def tagkeys(self, tag: str) -> list[str]:
        """The live keys that bear a tag, in the order of their bytes."""
        name = checked_tag(tag)
        space = enter(self)
        try:
            found = [
                entry.key for entry in space.tags.entries(name) if space.fate(entry) is None
            ]
        finally:
            space.leave()
        sort_by_bytes(found)
        return found

    @command(
        "TAGCOUNT tag",
        complexity="O(1)",
        fast=True,
        summary="Count the keys that bear a tag.",
    )
    def tagcount(self, tag: str) -> int:
        """How many keys bear a tag; those that are due and not yet reaped count. O(1).

        Keys that a soft invalidation has made stale do not. Where reaping has not followed one
        up yet, they are counted first: O(1) for each of them, once.
        """
        tags = self._space.tags
        if tags.uncounted:
            return cast(int, self._run(CountingTag(self._space, checked_tag(tag))))
        if type(tag) is str:
            count = tags.count(tag)
            if count != 0:
                return count
        return int(tags.count(checked_tag(tag)))

    @command(
        "TAGSCAN cursor [MATCH match:pattern] [COUNT count:scan-count]",
        complexity="O(1) a call, O(N) for a whole walk",
        reply="scan",
        summary="Walk the tags that have keys a page at a time.",
    )
    def tag_scan(
        self, cursor: int = 0, count: int = 1000, match: str | None = None
    ) -> tuple[int, list[str]]:
        """One page of a walk over the tags that have keys, in no order. O(N) in the page.

        A tag that has keys from the start of the walk to its end is given at least once,
        and may be given twice; walk until the cursor is 0 again.

        Args:
            cursor: 0 to begin, then what the call before gave.
            count: how many tags to look at.
            match: a glob pattern.

        Returns:
            The next cursor and a page of tags.

        Raises:
            CommandSyntaxError: for a count below one.
        """
        cursor = exact_int(cursor)
        count = exact_int(count)
        names: list[str] = []
        glob = None if match is None else bytes_of(match)
        stop: i64 = 0
        space = enter(self)
        try:
            dense = space.tags.dense
            length = i64(len(dense))
            place = walk_start(cursor, length, count)
            if count < place:
                stop = place - count
            while place > stop:
                place -= 1
                node = dense[place]
                if node.fresh != 0:
                    names.append(node.mark.name)
        finally:
            space.leave()
        if glob is not None:
            names = [name for name in names if matches(glob, bytes_of(name))]
        return int(stop), names

    def tag_key_scan(
        self, tag: str, cursor: int = 0, count: int = 1000
    ) -> tuple[int, list[str]]:
        """One page of a walk over the keys that bear a tag, in no order. O(N) in the page.

        It promises what `tag_scan` does, whose arguments it takes.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.set("k", 1, tags=["t"])
            True
            >>> cache.tag_key_scan("t")
            (0, ['k'])
        """
        name = checked_tag(tag)
        cursor = exact_int(cursor)
        count = exact_int(count)
        keys: list[str] = []
        stop: i64 = 0
        space = enter(self)
        try:
            node = space.tags.nodes.get(name)
            members: list[Entry] = [] if node is None else node.members
            place = walk_start(cursor, i64(len(members)), count)
            if count < place:
                stop = place - count
            while place > stop:
                place -= 1
                entry = members[place]
                if entry.index >= 0 and space.fate(entry) is None:
                    keys.append(entry.key)
        finally:
            space.leave()
        return int(stop), keys

    def tag_links(self) -> list[tuple[str, str]]:
        """All links between tags, each as a parent and its child, sorted by their bytes.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.taglink("shop", "shop:books")
            True
            >>> cache.tag_links()
            [('shop', 'shop:books')]
        """
        space = enter(self)
        try:
            links = space.tags.hierarchy.links()
        finally:
            space.leave()
        return sorted(links, key=_bytes_of_both)

    @command(
        "TAGLINK parent:tag child:tag",
        complexity="O(N) in the links above the parent or below the child, whichever is less",
        grows=True,
        reply="ok",
        summary="Make a tag the child of another, for INVALIDATE with CASCADE.",
    )
    def taglink(self, parent: str, child: str) -> bool:
        """Links a child to a parent; idempotent. A tag may have many parents.

        Raises:
            TagError: if the link would close a cycle.
        """
        above = checked_tag(parent)
        below = checked_tag(child)
        space = enter(self)
        try:
            space.link_tags(above, below)
            return True
        finally:
            space.leave()

    @command(
        "TAGUNLINK parent:tag child:tag",
        complexity="O(1)",
        writes=True,
        reply="ok",
        summary="Remove the link between two tags.",
    )
    def tagunlink(self, parent: str, child: str) -> bool:
        """Takes a link away; it is not an error if there was none."""
        above = checked_tag(parent)
        below = checked_tag(child)
        space = enter(self)
        try:
            space.unlink_tags(above, below)
            return True
        finally:
            space.leave()

    @command(
        "TAGCHILDREN tag",
        complexity="O(N log N) in the children",
        summary="Return the direct children of a tag, sorted.",
    )
    def tagchildren(self, tag: str) -> list[str]:
        """The direct children of a tag, in the order of their bytes."""
        name = checked_tag(tag)
        space = enter(self)
        try:
            return space.tags.hierarchy.children(name)
        finally:
            space.leave()

    @command(
        "TAGLINKS",
        complexity="O(N log N) in the links",
        summary="Return all links between tags, each a parent and a child, sorted.",
    )
    def taglinks(self) -> list[list[str]]:
        """All links between tags, each a parent and a child, in the order of their bytes."""
        space = enter(self)
        try:
            links = space.tags.hierarchy.links()
        finally:
            space.leave()
        return [[parent, child] for parent, child in sorted(links, key=_bytes_of_link)]


def _bytes_of_link(link: tuple[str, str]) -> tuple[bytes, bytes]:
    return bytes_of(link[0]), bytes_of(link[1])
