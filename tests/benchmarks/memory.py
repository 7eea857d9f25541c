"""Bytes a key: what the resident set grows by, and what the cache says of it.

Goal: at most 340 bytes a key, at most 420 with one tag, at most 400 where `adaptive` keeps its
order, and `used_memory` within 15 % of the resident set.
"""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Callable
from typing import Any

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.machine import redis_server, resident_bytes, valkey_server
from tests.benchmarks.page import NOTHING, Page, Table, Verdict, counted, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.servers import Server
from tests.benchmarks.subjects import PEERS, CacheStorm
from tests.benchmarks.worker import Worker, WorkerError

# A limit of so much a key: a cache with all keys is about two thirds full.
LIMIT_A_KEY = 512
# by the tags a key and the policy
LIMITS = {(0, "allkeys-lru"): 340, (1, "allkeys-lru"): 420, (0, "adaptive"): 400}
TAGS = 1_000
TOLERANCE = 0.15
BATCH = 10_000
IN_PROCESS = ("dict", "cachetools LRU", "cachetools TTL", "cachebox LRU")

METHOD = f"""
Growth of the resident set, divided by the keys: keys of 16 characters and values of 100
bytes, each its own object that only the cache refers to, in a fresh process each time, after
a full garbage collection. With one tag a key, {TAGS:,} tags take turns. *used_memory* is the
growth of what the cache says of itself, which is its content: the order that `adaptive`
keeps once a cache is half full is not in it. The limit is {LIMIT_A_KEY} bytes a key, so that it
does. The servers are filled over a socket.
"""


class Measurer:
    """One subject in a fresh worker; to be asked once.

    Args:
        subject: a name in PEERS, or the eviction policy for CacheStorm of the worker's build.
        keys: how many there will be.
    """

    def __init__(self, subject: str, keys: int) -> None:
        if subject in PEERS:
            self._subject = PEERS[subject]()
        else:
            self._subject = CacheStorm(subject, keys * LIMIT_A_KEY)

    def measure(self, keys: int, tags: int) -> dict[str, float]:
        """Bytes a key, by the operating system and by the cache itself."""
        said = self._used_memory()
        gc.collect()
        before = resident_bytes()
        self._fill(keys, tags)
        gc.collect()
        resident = (resident_bytes() - before) / keys
        return {"resident": resident, "used_memory": (self._used_memory() - said) / keys}

    def _fill(self, keys: int, tags: int) -> None:
        if tags:
            set_tagged: Callable[..., Any] = self._subject.cache.set
            names = [(f"tag:{index}",) for index in range(TAGS)]
            for index in range(keys):
                set_tagged(f"key:{index:012d}", bytes(100), tags=names[index % TAGS])
        else:
            fill = self._subject.fill
            for index in range(keys):
                fill(f"key:{index:012d}", bytes(100))

    def _used_memory(self) -> float:
        if isinstance(self._subject, CacheStorm):
            return float(self._subject.cache.store_stats().used_memory)
        return 0.0


def server_bytes_a_key(server: Server, keys: int) -> float:
    """Growth of a server's resident set while it is filled, divided by the keys."""
    before = resident_bytes(server.process_id)
    value = b"v" * 100
    for start in range(0, keys, BATCH):
        server.pipeline(
            [(b"SET", b"key:%012d" % index, value) for index in range(start, start + BATCH)]
        )
    return (resident_bytes(server.process_id) - before) / keys


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer keys, one round.
        progress: told of each step.
    """
    keys, rounds = (200_000, 1) if quick else (1_000_000, 2)
    page = Page("memory", "Bytes a key", METHOD)
    resident: dict[str, Sample] = {}
    said: dict[str, Sample] = {}

    def ask(row: str, subject: str, build: Build, tags: int) -> None:
        with Worker("memory", build, subject=subject, keys=keys) as worker:
            try:
                measured = worker.measure(keys=keys, tags=tags)
            except WorkerError as error:
                page.missing.append(f"{row}: {error}")
                return
        resident.setdefault(row, Sample()).add(measured["resident"])
        if measured["used_memory"]:
            said.setdefault(row, Sample()).add(measured["used_memory"])

    servers = {"redis-server": redis_server(), "Valkey": valkey_server()}
    for turn in range(rounds):
        for tags, policy in LIMITS:
            for build in builds():
                row = row_name(build, tags, policy)
                progress.step(f"round {turn + 1} of {rounds}, {row}")
                ask(row, policy, build, tags)
        for name in IN_PROCESS:
            progress.step(f"round {turn + 1} of {rounds}, {name}")
            ask(name, name, Build.PURE, 0)
        for name, path in servers.items():
            progress.step(f"round {turn + 1} of {rounds}, {name}")
            if path is None:
                continue
            try:
                with Server.of_redis(path) as server:
                    grown = server_bytes_a_key(server, keys)
                resident.setdefault(name, Sample()).add(grown)
            except (OSError, subprocess.SubprocessError) as error:
                page.missing.append(f"{name}: {error}")
    page.missing += [f"{name}: not installed" for name, path in servers.items() if path is None]

    table = Table(["", "bytes a key, resident", "used_memory", "used_memory / resident"])
    for name, sample in resident.items():
        ratio = f"{said[name].median / sample.median:.2f}" if name in said else NOTHING
        table.add(name, spread(sample), spread(said.get(name)), ratio)
    table.title = f"{keys:,} keys"
    page.tables.append(table)
    for (tags, policy), limit in LIMITS.items():
        row = row_name(Build.COMPILED, tags, policy)
        if row in resident:
            bytes_a_key = resident[row].median
            off = said[row].median / bytes_a_key - 1
            page.verdicts += [
                Verdict(
                    f"{counted(tags)}, `{policy}`: at most {limit} bytes a key",
                    number(bytes_a_key),
                    bytes_a_key <= limit,
                ),
                Verdict(
                    f"{counted(tags)}, `{policy}`: used_memory within {TOLERANCE:.0%} of the "
                    "resident set",
                    f"{off:+.0%}",
                    abs(off) <= TOLERANCE,
                ),
            ]
    return page


def row_name(build: Build, tags: int, policy: str) -> str:
    """What the table calls a build with so many tags a key and this policy."""
    return f"{build.subject}, {counted(tags)}, `{policy}`"
