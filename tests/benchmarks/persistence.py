"""Persistence: what a journal costs a server, and how fast a snapshot is loaded.

Goals, compiled, each beside redis-server in the same run: under `everysec` no larger share of
the throughput at -P 16 is lost than there; under `always` at least as many requests a second;
a snapshot is loaded at a million keys a second, or at 0.8 of what redis-server loads its RDB
file at. While a snapshot is written no client waits for more than 10 ms, and memory does not
grow by more than a twentieth. Without a data directory a write takes the test of a flag more.
"""

from __future__ import annotations

import csv
import io
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from time import perf_counter, sleep

import redis

from tests.benchmarks.builds import Build
from tests.benchmarks.machine import redis_benchmark, redis_server, resident_bytes
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.servers import Server, pipe_to_all
from tests.benchmarks.stalls import Asker, Watcher
from tests.benchmarks.worker import Worker, check_build

DEPTH, CLIENTS, KEYS, VALUE_BYTES = 16, 50, 10_000, 100
OFF, EVERYSEC, ALWAYS = "off", "everysec", "always"
SYNCS = (OFF, EVERYSEC, ALWAYS)
OURS, THEIRS = Build.COMPILED.subject, "redis-server"
REQUESTS = {OFF: 400_000, EVERYSEC: 400_000, ALWAYS: 100_000}
QUICK_REQUESTS = {OFF: 50_000, EVERYSEC: 50_000, ALWAYS: 10_000}

LOADED_KEYS, QUICK_LOADED_KEYS = 1_000_000, 50_000
BATCH = 1000
LOADED_A_SECOND, LOADED_SHARE = 1_000_000, 0.8
LONGEST_WAIT_MS, MOST_GROWTH = 10.0, 0.05

METHOD = f"""
*Writes*: `redis-benchmark -c {CLIENTS} -r {KEYS} -d {VALUE_BYTES} -t set -P {DEPTH}`, requests
a second, of servers without persistence, with a journal that is forced to the disk every
second, and with one that is forced before each reply. All run at the same time, each with a
directory of its own on the same disk, and are measured in turn. Both begin their journals anew
by themselves when these have grown to 64 MB and twice their size. The share is that of the
medians of a server with a journal and the same one without.

*Loads*: a snapshot of {LOADED_KEYS:,} keys of {VALUE_BYTES} random bytes each, its file in the
operating system's cache, read by `Cache.load` in a fresh process; and the RDB file of the same
keys by redis-server as it starts, by the time that its log tells.

*Snapshots*: `BGSAVE` of a server with these keys, while another client asks for one key again
and again: the longest that it waits, and by how much the process grows meanwhile. The same
client, as long without a snapshot, says what the machine itself does.
"""


def requests_a_second(tool: Path, server: Server, requests: int) -> float:
    """Of SET, by redis-benchmark.

    Raises:
        subprocess.SubprocessError: when it gives up.
    """
    command = [str(tool), "-p", str(server.port), "-c", str(CLIENTS), "-r", str(KEYS), "--csv"]
    command += ["-d", str(VALUE_BYTES), "-t", "set", "-P", str(DEPTH), "-n", str(requests)]
    output = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=600
    ).stdout
    (row,) = csv.DictReader(io.StringIO(output))
    return float(row["rps"])


def start(stack: ExitStack, redis: Path | None) -> dict[tuple[str, str], Server]:
    """A server of each kind for each setting."""
    found = {}
    for sync in SYNCS:
        options = () if sync == OFF else ("--data-dir", "data", "--aof-sync", sync)
        server = Server.of_cachestorm(Build.COMPILED, *options)
        found[OURS, sync] = stack.enter_context(server)
        if redis is not None:
            aof = ("no",) if sync == OFF else ("yes", "--appendfsync", sync)
            found[THEIRS, sync] = stack.enter_context(
                Server([str(redis), "--save", "", "--appendonly", *aof, "--port"])
            )
    return found


def measure_writes(page: Page, progress: Progress, quick: bool, rounds: int) -> None:
    """Adds what writes cost."""
    tool = redis_benchmark()
    if tool is None:
        page.missing.append("writes: redis-benchmark is not installed (package redis-tools)")
        return
    requests = QUICK_REQUESTS if quick else REQUESTS
    with ExitStack() as stack:
        servers = start(stack, redis_server())
        rates = {key: Sample() for key in servers}
        for turn in range(rounds):
            for (name, sync), server in servers.items():
                progress.step(f"round {turn + 1} of {rounds}, {name}, {sync}")
                rates[name, sync].add(requests_a_second(tool, server, requests[sync]))
    tell_writes(page, rates)


def tell_writes(page: Page, rates: dict[tuple[str, str], Sample]) -> None:
    """Draws the table of the writes and their verdicts."""
    table = Table(["SET, requests a second", *SYNCS, "share under everysec"], title="Writes")
    shares = {}
    for name in (OURS, THEIRS):
        if (name, OFF) not in rates:
            continue
        shares[name] = rates[name, EVERYSEC].median / rates[name, OFF].median
        cells = [spread(rates[name, sync]) for sync in SYNCS]
        table.add(name, *cells, f"{shares[name]:.2f}")
    page.tables.append(table)
    if THEIRS not in shares:
        page.missing.append("redis-server: not installed")
        return
    page.verdicts.append(
        Verdict(
            f"everysec, -P {DEPTH}: the share that {THEIRS} keeps, {shares[THEIRS]:.2f}",
            f"{shares[OURS]:.2f}",
            shares[OURS] >= shares[THEIRS],
        )
    )
    ratio = rates[OURS, ALWAYS].median / rates[THEIRS, ALWAYS].median
    page.verdicts.append(
        Verdict(f"always, -P {DEPTH}: as fast as {THEIRS}", f"{ratio:.2f} of it", ratio >= 1)
    )


class Measurer:
    """A process that writes a snapshot, or one that loads it."""

    def __init__(self) -> None:
        check_build()

    def measure(self, path: str, keys: int = 0) -> float:
        """How many keys a second are loaded; with `keys`, writes a snapshot of so many."""
        from cachestorm import Cache

        if keys:
            cache = Cache()
            for batch in batches(keys):
                cache.mset({key.decode(): value for _, key, value in batch})
            cache.save(path)
            return 0.0
        began = perf_counter()
        cache = Cache.load(path)
        return len(cache) / (perf_counter() - began)


def batches(keys: int) -> Iterator[list[tuple[bytes, bytes, bytes]]]:
    """SETs of so many keys, the same each time."""
    chance = Random(18)
    for start in range(0, keys, BATCH):
        yield [
            (b"SET", b"key:%d" % place, chance.randbytes(VALUE_BYTES))
            for place in range(start, start + BATCH)
        ]


def load_ours(path: Path) -> float:
    """Keys a second, in a process of its own."""
    worker = Worker("persistence", Build.COMPILED)
    try:
        return float(worker.measure(path=str(path)))
    finally:
        worker.close()


def load_theirs(redis: Path, folder: Path, keys: int) -> float:
    """Keys a second, of a redis-server that starts; without a file there, it gets one."""
    log = folder / "log"
    log.write_text("")
    options = ("--dir", str(folder), "--save", "", "--logfile", str(log))
    with Server([str(redis), *options, "--port"]) as server:
        if not (folder / "dump.rdb").exists():
            pipe_to_all([server], batches(keys))
            server.pipeline([(b"SAVE",)])
            return 0.0
        while True:
            found = re.search(r"DB loaded from disk: ([\d.]+) seconds", log.read_text())
            if found is not None:
                return keys / float(found[1])
            sleep(0.1)


def measure_loads(page: Page, progress: Progress, keys: int, rounds: int) -> None:
    """Adds how fast snapshots are loaded."""
    redis = redis_server()
    rates = {OURS: Sample()} | ({} if redis is None else {THEIRS: Sample()})
    with tempfile.TemporaryDirectory() as made:
        snapshot, folder = Path(made) / "cache.snapshot", Path(made)
        progress.step("snapshots are written")
        worker = Worker("persistence", Build.COMPILED)
        try:
            worker.measure(path=str(snapshot), keys=keys)
        finally:
            worker.close()
        if redis is not None:
            load_theirs(redis, folder, keys)
        for turn in range(rounds):
            progress.step(f"round {turn + 1} of {rounds}, loads")
            rates[OURS].add(load_ours(snapshot))
            if redis is not None:
                rates[THEIRS].add(load_theirs(redis, folder, keys))
    table = Table([f"keys a second, of {keys:,}", ""], title="Loads")
    for name, sample in rates.items():
        table.add(name, spread(sample))
    page.tables.append(table)
    ours = rates[OURS].median
    share = ours / rates[THEIRS].median if THEIRS in rates else 0.0
    page.verdicts.append(
        Verdict(
            f"load: {number(LOADED_A_SECOND)} keys a second, or {LOADED_SHARE} of {THEIRS}",
            f"{number(ours)}, {share:.2f} of it",
            ours >= LOADED_A_SECOND or share >= LOADED_SHARE,
        )
    )


def measure_snapshot(page: Page, progress: Progress, keys: int) -> None:
    """Adds what a snapshot costs those who are served meanwhile."""
    with Server.of_cachestorm(Build.COMPILED, "--data-dir", "data") as server:
        progress.step(f"{keys:,} keys are written")
        pipe_to_all([server], batches(keys))
        client = redis.Redis(port=server.port)
        asker = Asker(server.port)
        before = most = resident_bytes(server.process_id)
        progress.step("a snapshot")
        with Watcher(asker.ask) as watcher:
            began = perf_counter()
            client.bgsave()
            while client.info("persistence")["rdb_bgsave_in_progress"]:
                most = max(most, resident_bytes(server.process_id))
                sleep(0.05)
            took_s = perf_counter() - began
            longest_ms = watcher.longest_ms()
            progress.step("as long without")
            watcher.begin()
            sleep(took_s)
            alone_ms = watcher.longest_ms()
        asker.close()
        client.close()
    growth = most / before - 1
    table = Table([f"a snapshot of {keys:,} keys", ""], title="Snapshots")
    table.add("takes", f"{took_s:.1f} s")
    table.add("longest wait of a client", f"{longest_ms:.1f} ms")
    table.add("longest wait without a snapshot", f"{alone_ms:.1f} ms")
    table.add("the process grows by", f"{100 * growth:.1f} %")
    page.tables.append(table)
    page.verdicts += [
        Verdict(
            f"a snapshot: no client waits for more than {LONGEST_WAIT_MS:.0f} ms",
            f"{longest_ms:.1f} ms, {alone_ms:.1f} without",
            longest_ms <= max(LONGEST_WAIT_MS, alone_ms),
        ),
        Verdict(
            f"a snapshot: the process grows by {100 * MOST_GROWTH:.0f} % at most",
            f"{100 * growth:.1f} %",
            growth <= MOST_GROWTH,
        ),
    ]


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer requests, keys and rounds.
        progress: told of each step.
    """
    page = Page("persistence", "What is kept on disk", METHOD)
    if not Build.COMPILED.is_there:
        page.missing.append("all of it: only the compiled build has goals")
        return page
    rounds = 1 if quick else 5
    measure_writes(page, progress, quick, rounds)
    keys = QUICK_LOADED_KEYS if quick else LOADED_KEYS
    measure_loads(page, progress, keys, rounds)
    measure_snapshot(page, progress, keys)
    return page
