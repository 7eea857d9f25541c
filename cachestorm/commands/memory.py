"""The family of MEMORY: what keys cost.

The answers come from the accounts that limits and evictions use. Asking is not an access: it
does not change the access count of a key.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from mypy_extensions import mypyc_attr, trait

from cachestorm.commands.doctor import examine, report
from cachestorm.commands.edge import Edge, enter
from cachestorm.commands.namespaces import Namespaces
from cachestorm.declare.declaration import Declaration
from cachestorm.declare.facts import help_of
from cachestorm.keyspace.store import rss_bytes
from cachestorm.operations.names import exact_key

command: Final = partial(Declaration, group="server")


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class Memory(Edge):
    """MEMORY USAGE and related commands."""

    @command(
        "MEMORY USAGE key:ro [SAMPLES count:sample-count]",
        complexity="O(T) in the tags of the key",
        summary="Return the size of a key in bytes, with its value and its tags.",
    )
    def memory_usage(self, key: str, samples: int | None = None) -> int | None:
        """The bytes that a key is charged at, None for a missing key.

        They are what its removal would refund: for key, value, deadline, links to tags,
        and the tags that no other key bears.

        Args:
            samples: how many elements Redis would weigh; here all of them always count.
        """
        key = exact_key(key)
        space = enter(self)
        try:
            entry = space.peek(key)
            return None if entry is None else int(space.charge_of(entry))
        finally:
            self._leave()

    @command(
        "MEMORY DOCTOR",
        complexity="O(N) in the namespaces; at most 2048 keys are looked at",
        reply="verbatim",
        flags="@slow",
        tips="nondeterministic_output request_policy:all_shards response_policy:special",
        summary="Return problems with memory, and what to do about them.",
    )
    def memory_doctor(self) -> str:
        """What could be better with the memory of the cache, a paragraph each, in words.

        It looks at refused writes, limits and policy, what is due or has left and is still
        there, the resident set, keys, tags and namespaces that have a great part of all, and
        what other limits would do to the hit ratio.
        """
        enter(self)
        try:
            seen = examine(self._store)
        finally:
            self._leave()
        seen.resident_bytes = rss_bytes()
        return report(seen)


@command(
    "MEMORY STATS",
    complexity="O(1)",
    flags="@slow",
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
    summary="Return statistics of memory.",
)
def memory_stats(cache: Namespaces) -> dict[str, object]:
    """Redis' names for the numbers of the memory, as far as they mean anything here."""
    stats = cache.store_stats()
    used, peak, keys = stats.used_memory, stats.peak_memory, stats.keys
    startup = int(cache._store.startup_bytes)
    accounted = used + startup
    resident = rss_bytes()
    return {
        "peak.allocated": peak,
        "total.allocated": used,
        "startup.allocated": startup,
        "keys.count": keys,
        "keys.bytes-per-key": used // keys if keys else 0,
        "dataset.bytes": used,
        "dataset.percentage": 100.0 if used else 0.0,
        "peak.percentage": used * 100 / peak if peak else 0.0,
        "fragmentation": resident / accounted if accounted else 0.0,
        "fragmentation.bytes": resident - accounted,
    }


@command(
    "MEMORY MALLOC-STATS",
    complexity="O(1)",
    reply="bulk",
    flags="loading @slow",
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
    summary="Return statistics of the allocator; there are none.",
)
def memory_malloc_stats(cache: Memory) -> str:
    """What Redis answers where its allocator tells nothing."""
    return "Stats not supported for the current allocator"


@command(
    "MEMORY PURGE",
    complexity="O(1): a step of reaping",
    reply="ok",
    flags="loading @slow",
    tips="request_policy:all_shards response_policy:all_succeeded",
    summary="Free some memory of expired and removed keys.",
)
def memory_purge(cache: Memory) -> bool:
    """One step of `reap`; Python's allocator has nothing that can be asked for more."""
    cache._store.let_go()
    return True


@command(
    "MEMORY HELP",
    complexity="O(1)",
    reply="statuses",
    flags="loading stale",
    summary="Print this help.",
)
def memory_help(cache: Memory) -> list[str]:
    """What there is to ask, a line each."""
    return help_of("MEMORY")
