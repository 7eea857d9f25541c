"""The family of namespaces, and what a cache tells of its memory.

Here namespaces are listed, described and deleted. Switching a connection to another one is a
command of the connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from heapq import nlargest
from time import perf_counter
from typing import Final, cast

from mypy_extensions import mypyc_attr, trait

from cachestorm.codec import bytes_of
from cachestorm.commands.edge import Edge, enter
from cachestorm.declare.declaration import Declaration
from cachestorm.errors import NamespaceError
from cachestorm.keyspace.keyspace import Keyspace
from cachestorm.keyspace.store import counted, database_name, rss_bytes
from cachestorm.operations.counting import CountingStale
from cachestorm.operations.long_command import SLICE_S, LongCommand, finish
from cachestorm.operations.names import exact_namespace
from cachestorm.stats import Stats, StoreStats

command: Final = partial(Declaration, group="namespaces", own=True)


class Swapping(LongCommand):
    """SWAPDB: what invalidations have left is reaped first, in slices; then all is swapped.

    An invalidation counts what it reaps, and would look for it in the other namespace.
    """

    def __init__(self, one: Keyspace, other: Keyspace) -> None:
        super().__init__(one)
        self._other: Final = other

    def _work(self) -> Iterator[None]:
        one = self._space
        other = self._other
        self._value = True
        if one is other:
            return
        killed_by = one.shared.sequence
        while not (one.reap_doomed(killed_by) and other.reap_doomed(killed_by)):
            yield
            killed_by = one.shared.sequence
        one.swap(other)


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Namespaces(Edge):
    """NAMESPACES, NAMESPACEINFO, NAMESPACEDEL and MEMINFO."""

    @command(
        "NAMESPACES",
        complexity="O(N log N) in the namespaces",
        summary="Return the names of all namespaces, sorted.",
    )
    def namespaces(self) -> list[str]:
        """The names of all namespaces, in the order of their bytes."""
        enter(self)
        try:
            return sorted((space.name for space in self._store.listed()), key=bytes_of)
        finally:
            self._leave()

    @command(
        "NAMESPACEDEL name:namespace",
        complexity="O(1) for the caller",
        writes=True,
        reply="ok",
        summary="Delete a namespace with all its keys, tags and links.",
    )
    def namespacedel(self, name: str) -> bool:
        """Deletes a namespace, its quota and its default time to live with it.

        Clients that still use it see it empty and without limits, also where a server's
        configuration gave it some: these are given when the server starts.

        Raises:
            NamespaceError: if there is none of that name, or it is the default.
        """
        name = exact_namespace(name)
        enter(self)
        try:
            self._store.drop(name)
            return True
        finally:
            self._leave()

    def namespace_stats(self, name: str | None = None) -> dict[str, int]:
        """Counts of one namespace, by default this one.

        Returns:
            `keys`, `memory` (bytes), `tags`, `expires` (keys with a deadline),
            `default_ttl` (whole seconds; 0 for none), `max_memory` (the quota in bytes; 0
            for none), `hits` and `misses`.

        Raises:
            NamespaceError: if there is none of that name.
        """
        known = None if name is None else exact_namespace(name)
        enter(self)
        try:
            space = self._found(known)
        finally:
            self._leave()
        _count_stale(space, self._serves_others)
        enter(self)
        try:
            return _counts(space)
        finally:
            self._leave()

    def _found(self, name: str | None) -> Keyspace:
        return self._space if name is None else self._store.found(name)

    def largest_namespaces(self, count: int = 100) -> list[str]:
        """The names of the namespaces that are charged most, the largest first.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.namespace("pages").set("k", "x" * 1000)
            True
            >>> cache.largest_namespaces(1)
            ['pages']
        """
        enter(self)
        try:
            spaces = self._store.listed()
            # numbers alone at first: a tuple for each would have the garbage collected
            largest = nlargest(count, [int(space.used_bytes) for space in spaces])
            if not largest:
                return []
            least = largest[-1]
            sizes = [
                (-int(space.used_bytes), space.name)
                for space in spaces
                if space.used_bytes >= least
            ]
        finally:
            self._leave()
        sizes.sort()
        return [name for _, name in sizes[:count]]

    def namespace_counts(self, names: list[str]) -> list[tuple[object, ...]]:
        """What some namespaces have counted, a row for each that there is.

        For metrics. Unlike `namespace_stats` it does not count what is stale first: O(1) for
        each.

        Returns:
            Rows of name, keys, keys with a deadline, tags, bytes, hits, misses, expired,
            evicted, invalidated.
        """
        rows: list[tuple[object, ...]] = []
        enter(self)
        try:
            for name in names:
                try:
                    space = self._store.found(name)
                except NamespaceError:
                    continue
                rows.append(
                    (
                        space.name,
                        space.key_count(),
                        space.volatile_count(),
                        space.tag_count(),
                        int(space.used_bytes),
                        int(space.hits),
                        int(space.misses),
                        int(space.expired),
                        int(space.evicted),
                        int(space.invalidated),
                    )
                )
        finally:
            self._leave()
        return rows

    def hit_ratios(self, name: str | None = None) -> dict[float, float]:
        """About the hit ratio of one namespace, by default this one, were its limit another.

        Returns:
            Ratios from 0 to 1 by factor of the present capacity: 0.5, 1 and 2. Empty
            without pressure, by a policy other than `adaptive`, and until enough is known.

        Raises:
            NamespaceError: if there is none of that name.

        Examples:
            >>> from cachestorm import Cache
            >>> Cache(max_entries=1000).hit_ratios()
            {}
        """
        known = None if name is None else exact_namespace(name)
        enter(self)
        try:
            return self._found(known).policy.hit_ratios()
        finally:
            self._leave()

    @command(
        "SWAPDB index1:first-index index2:second-index",
        group="server",
        own=False,
        complexity="O(1)",
        writes=True,
        fast=True,
        reply="ok",
        flags="@keyspace @dangerous",
        summary="Swap two namespaces.",
    )
    def swapdb(self, index1: int, index2: int) -> bool:
        """Swaps all that two namespaces hold, for everyone at once.

        A client of one of them stays in the same name, and sees the keys of the
        other, with their tags, links and statistics. Quotas and default times to live stay
        with the names.

        Args:
            index1, index2: the numbers of the namespaces `db<n>`; 0 is `default`.

        Raises:
            ArgumentError: for a number that is not a database.
        """
        store = self._store
        first = database_name(index1)
        second = database_name(index2)
        enter(self)
        try:
            one = store.space(first)
            other = store.space(second)
        finally:
            self._leave()
        return cast(bool, self._run(Swapping(one, other)))

    def stats(self) -> Stats:
        """Counts of this namespace, since it was made; `store_stats` has those of all.

        Examples:
            >>> from cachestorm import Cache
            >>> cache = Cache()
            >>> cache.set("k", 1)
            True
            >>> cache.stats().keys, cache.stats().hit_ratio
            (1, 0.0)
        """
        _count_stale(self._space, self._serves_others)
        space = enter(self)
        try:
            counts: dict[str, int] = {
                "keys": space.key_count(),
                "expires": space.volatile_count(),
                "tags": space.tag_count(),
                **counted(space),
                "used_memory": int(space.used_bytes),
                "max_memory": int(space.max_bytes),
            }
        finally:
            self._leave()
        return Stats(**counts)

    def store_stats(self) -> StoreStats:
        """Counts over all namespaces, since the cache was made."""
        enter(self)
        try:
            behind = self._store.uncounted()
        finally:
            self._leave()
        serves_others = self._serves_others
        ends = perf_counter() + SLICE_S
        for space in behind:
            _count_stale(space, serves_others)
            if serves_others and perf_counter() >= ends:
                break
        enter(self)
        try:
            counts = self._store.stats()
        finally:
            self._leave()
        return StoreStats(**counts)


@command(
    "NAMESPACEINFO [name:namespace]",
    complexity="O(1)",
    reply="verbatim",
    summary="Describe a namespace.",
)
def namespaceinfo(cache: Namespaces, name: str | None = None) -> str:
    """The facts of a namespace, by default this one, a line each.

    Raises:
        NamespaceError: if there is none of that name.
    """
    facts: dict[str, object] = {"name": cache._space.name if name is None else name}
    facts.update(cache.namespace_stats(name))
    return _section("Namespace", facts)


@command(
    "MEMINFO",
    group="server",
    complexity="O(N) in the namespaces",
    reply="verbatim",
    summary="Describe the memory of the cache.",
)
def meminfo(cache: Namespaces) -> str:
    """The facts of the cache's memory, a line each."""
    stats = cache.store_stats()
    used = stats.used_memory
    keys = stats.keys
    rss = rss_bytes()
    return _section(
        "Memory",
        {
            "used_memory": used,
            "keys": keys,
            "avg_entry_size": used // keys if keys else 0,
            "tags": stats.tags,
            "max_memory": stats.max_memory,
            "evicted_keys": stats.evicted,
            "fragmentation_ratio": f"{rss / used:.2f}" if used else "0.00",
            "rss": rss,
        },
    )


def _count_stale(space: Keyspace, serves_others: bool) -> None:
    """Brings the counts of a namespace up to date.

    Args:
        serves_others: for one slice at most. What it leaves is counted by reaping, and until
            then among the keys that there are.
    """
    if not space.tags.uncounted:
        return
    long_command = CountingStale(space)
    if long_command.step():
        return
    if serves_others:
        long_command.abandon()
    else:
        finish(long_command)


def _counts(space: Keyspace) -> dict[str, int]:
    return {
        "keys": space.key_count(),
        "memory": int(space.used_bytes),
        "tags": space.tag_count(),
        "expires": space.volatile_count(),
        "default_ttl": int(space.default_ttl_ms // 1000),
        "max_memory": int(space.max_bytes),
        "hits": int(space.hits),
        "misses": int(space.misses),
    }


def _section(title: str, facts: dict[str, object]) -> str:
    lines = [f"# {title}", *(f"{name}:{fact}" for name, fact in facts.items())]
    return "\r\n".join(lines) + "\r\n"
