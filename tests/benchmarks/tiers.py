"""Tiers: a data set five times as large as memory, beside what others keep on a disk.

Goals: of 100 reads of the SSD 99 take less than 200 microseconds; a reader of what is in memory
waits no longer than 10 ms while 100,000 values go to the SSD; a key without its value takes 260
bytes at most.
"""

from __future__ import annotations

import importlib
import sqlite3
import tempfile
from collections.abc import Callable
from random import Random
from statistics import quantiles
from time import perf_counter, perf_counter_ns
from typing import Any, Final

from cachestorm.replay import zipf_trace
from tests.benchmarks.builds import Build
from tests.benchmarks.page import NOTHING, Page, Table, Verdict, number
from tests.benchmarks.progress import Progress
from tests.benchmarks.stalls import Watcher
from tests.benchmarks.worker import Worker, WorkerError, check_build

VALUE_BYTES: Final = 4096
KEYS, QUICK_KEYS = 50_000, 10_000
# reads for each key
READS: Final = 4
TIMES_MEMORY: Final = 5
ALPHA: Final = 0.9
MOVED, QUICK_MOVED = 100_000, 20_000
MOVED_BYTES: Final = 1024
WARM_GOAL_US: Final = 200.0
WAIT_GOAL_MS: Final = 10.0
KEY_GOAL_BYTES: Final = 260

NO_TIER, ROCKSDB, SQLITE = "memory only", "RocksDB", "sqlite"
OWN: Final = (NO_TIER, ROCKSDB, SQLITE)
DISKCACHE, PLAIN = "diskcache", "sqlite3 alone"

METHOD = f"""
Values of {VALUE_BYTES:,} random bytes, which no compression makes smaller, {TIMES_MEMORY} times
as many as fit into `max_memory`; all are written once and then asked for by a zipf distribution
with alpha {ALPHA}, {READS} reads a key in all. A miss is written again, as a program would that
has loaded it anew, which costs nothing here. *gets* counts the reads of the whole run, misses
and what they write included; *hits* are those that found something. *memory* and *warm* are the
times of single hits there, half of them and 99 of 100; of the peers, all of whose values are in
a file, all hits are under *warm*. `diskcache` has its default settings but for its limit, which
is that nothing is evicted; *sqlite3 alone* is one table, one connection, a write-ahead log and
no waiting for the disk.

*moved*: a cache is filled with {MOVED:,} values of {MOVED_BYTES:,} bytes, nearly all of which
go to the SSD meanwhile, while a second thread looks up a key that is in memory; the longest
time from one look to the next is shown. *a key* is what a key is charged whose value is on the
SSD, with a name of 11 letters.
"""


def _values(count: int) -> list[bytes]:
    chance = Random(7)
    return [chance.randbytes(VALUE_BYTES) for _ in range(min(count, 997))]


def _percentiles_us(times_ns: list[int]) -> list[float]:
    """Half of them, and 99 of 100."""
    if len(times_ns) < 100:
        return []
    cuts = quantiles(times_ns, n=100)
    return [cuts[49] / 1e3, cuts[98] / 1e3]


class Measurer:
    """One contestant, in a worker."""

    def __init__(self, name: str) -> None:
        check_build()
        self._name = name
        self._folder = tempfile.TemporaryDirectory()

    def _cache(self, max_memory: int) -> Any:
        from cachestorm import Cache

        if self._name == NO_TIER:
            return Cache(max_memory)
        engine = "rocksdb" if self._name == ROCKSDB else "sqlite"
        return Cache(max_memory, warm={"path": self._folder.name, "engine": engine})

    def _methods(self, max_memory: int) -> tuple[Callable[[str], Any], Callable[..., Any], Any]:
        """How to get, how to set, and the cache if it is ours."""
        if self._name in OWN:
            cache = self._cache(max_memory)
            return cache.get, cache.set, cache
        if self._name == DISKCACHE:
            peer = importlib.import_module("diskcache").Cache(
                self._folder.name, eviction_policy="none"
            )
            return peer.get, peer.set, None
        made = sqlite3.connect(f"{self._folder.name}/peer", isolation_level=None)
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("PRAGMA synchronous=OFF")
        made.execute("CREATE TABLE held (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")

        def get(key: str) -> bytes | None:
            row = made.execute("SELECT value FROM held WHERE key = ?", (key,)).fetchone()
            return None if row is None else row[0]

        def put(key: str, value: bytes) -> None:
            made.execute("INSERT OR REPLACE INTO held VALUES (?, ?)", (key, value))

        return get, put, None

    def measure(self, keys: int = 0, moved: int = 0) -> dict[str, Any]:
        """What `_read` or, if `moved` is given, `_move` finds."""
        return self._move(moved) if moved else self._read(keys)

    def _read(self, keys: int) -> dict[str, Any]:
        """Reads by a zipf distribution."""
        get, put, ours = self._methods(keys * VALUE_BYTES // TIMES_MEMORY)
        values = _values(keys)
        names = [f"key:{each:07d}" for each in range(keys)]
        for place, name in enumerate(names):
            put(name, values[place % len(values)])
        asked = zipf_trace(READS * keys, keys, skew=ALPHA)
        memory: list[int] = []
        warm: list[int] = []
        hits = 0
        began = perf_counter()
        told_of = 0.0
        for place, each in enumerate(asked):
            name = names[each]
            # one in eight is timed: to ask where it is takes longer than to read it
            if place & 7 == 0:
                asking = perf_counter()
                tier = "warm" if ours is None else ours.object_tier(name)
                told_of += perf_counter() - asking
                start = perf_counter_ns()
                found = get(name)
                took = perf_counter_ns() - start
                if found is not None:
                    (memory if tier == "memory" else warm).append(took)
            else:
                found = get(name)
            if found is None:
                put(name, values[each % len(values)])
            else:
                hits += 1
        took_s = perf_counter() - began - told_of
        return {
            "gets": len(asked) / took_s,
            "hits": hits / len(asked),
            "memory": _percentiles_us(memory),
            "warm": _percentiles_us(warm),
        }

    def _move(self, count: int) -> dict[str, Any]:
        """The longest wait of a reader while values go to the SSD, and what a key takes."""
        cache = self._cache(count * MOVED_BYTES // 2)
        cache.set("other", b"value")
        value = Random(3).randbytes(MOVED_BYTES)
        with Watcher(lambda: cache.exists("other")) as watcher:
            for each in range(count):
                cache.set(f"key:{each:07d}", value)
            wait_ms = watcher.longest_ms()
        moved = cache.tier_stats()["warm"].demotions
        lone = type(cache)(1 << 20, warm=tempfile.mkdtemp(dir=self._folder.name))
        before = lone.store_stats().used_memory
        lone.set("key:0000000", value)
        lone.demote("key:0000000")
        key_bytes = lone.store_stats().used_memory - before
        lone.close()
        cache.close()
        return {"wait_ms": wait_ms, "moved": float(moved), "key_bytes": float(key_bytes)}


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer keys.
        progress: told of each step.
    """
    keys = QUICK_KEYS if quick else KEYS
    page = Page("tiers", f"{keys:,} values, {TIMES_MEMORY} times what fits in memory", METHOD)
    build = Build.COMPILED if Build.COMPILED.is_there else Build.PURE
    table = Table(["", "gets a second", "hits", "memory, µs", "warm, µs", "warm, 99 of 100"])
    found: dict[str, dict[str, Any]] = {}
    for name in (*OWN, DISKCACHE, PLAIN):
        progress.step(name)
        try:
            with Worker("tiers", build, name=name) as worker:
                found[name] = worker.measure(keys=keys)
        except WorkerError:
            page.missing.append(f"{name}: it is not installed")
            continue
        row = found[name]
        table.add(
            name,
            f"{row['gets']:,.0f}",
            f"{row['hits']:.1%}",
            *(number(row[where][0]) if row[where] else NOTHING for where in ("memory", "warm")),
            number(row["warm"][1]) if row["warm"] else NOTHING,
        )
    page.tables.append(table)
    ours = next((name for name in (ROCKSDB, SQLITE) if name in found), SQLITE)
    progress.step("values that move")
    with Worker("tiers", build, name=ours) as worker:
        moved = worker.measure(moved=QUICK_MOVED if quick else MOVED)
    moving = Table(["", "moved", "longest wait, ms", "a key, bytes"])
    moving.add(
        ours,
        f"{moved['moved']:,.0f}",
        f"{moved['wait_ms']:.1f}",
        f"{moved['key_bytes']:.0f}",
    )
    page.tables.append(moving)
    slowest = found[ours]["warm"][1] if found.get(ours, {}).get("warm") else None
    page.verdicts += [
        Verdict(
            f"99 of 100 reads of the SSD take at most {WARM_GOAL_US:.0f} µs",
            "not measured" if slowest is None else f"{slowest:.0f} µs",
            slowest is not None and slowest <= WARM_GOAL_US,
        ),
        Verdict(
            f"a reader waits no longer than {WAIT_GOAL_MS:.0f} ms while values move",
            f"{moved['wait_ms']:.1f} ms",
            moved["wait_ms"] <= WAIT_GOAL_MS,
        ),
        Verdict(
            f"a key without its value takes at most {KEY_GOAL_BYTES} bytes",
            f"{moved['key_bytes']:.0f} bytes",
            moved["key_bytes"] <= KEY_GOAL_BYTES,
        ),
    ]
    return page
