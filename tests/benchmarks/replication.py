"""Replication: what a replica costs its primary, and what a copy of all keys costs clients.

Goals, compiled: a primary with one replica keeps 0.9 of its throughput, or the share that
redis-server with its replica keeps in the same run; while a million keys are copied, no client
waits for more than 10 ms.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, sleep

import redis

from tests.benchmarks.builds import Build
from tests.benchmarks.machine import cpu_seconds, redis_benchmark, redis_server
from tests.benchmarks.page import Page, Table, Verdict, spread
from tests.benchmarks.persistence import (
    CLIENTS,
    DEPTH,
    KEYS,
    VALUE_BYTES,
    batches,
    requests_a_second,
)
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.servers import IN_MEMORY, Server, pipe_to_all
from tests.benchmarks.stalls import Asker, Watcher

OURS, THEIRS = Build.COMPILED.subject, "redis-server"
ALONE, FOLLOWED = "alone", "with a replica"
PROCESSES = (ALONE, "primary", "replica")
REQUESTS, QUICK_REQUESTS = 400_000, 50_000
SHARE = 0.9

COPIED_KEYS, QUICK_COPIED_KEYS = 1_000_000, 50_000
LONGEST_WAIT_MS = 10.0
PATIENCE_S = 600.0

METHOD = f"""
*Writes*: `redis-benchmark -c {CLIENTS} -r {KEYS} -d {VALUE_BYTES} -t set -P {DEPTH}`, requests
a second, of a server alone and of one that another of the same kind follows. All run at the
same time and are measured in turn; the replicas share the machine's cores with them. The share
is that of the medians. *Processor time* is what each process used in the same rounds.

*A copy*: {COPIED_KEYS:,} keys of {VALUE_BYTES} random bytes each go to a replica that has
nothing, while another client asks for one key again and again; how long that takes, and the
longest that it waits. The same client, as long without a copy, says what the machine itself
does.
"""


def linked(replica: Server) -> bool:
    """Whether a replica has all keys."""
    client = redis.Redis(port=replica.port)
    try:
        return bool(client.info("replication").get("master_link_status") == "up")
    except redis.RedisError:
        return False
    finally:
        client.close()


def wait_for(replica: Server) -> None:
    """Returns once it has them.

    Raises:
        TimeoutError: if that takes too long.
    """
    ends_at = perf_counter() + PATIENCE_S
    while not linked(replica):
        if perf_counter() > ends_at:
            raise TimeoutError("a replica does not come to its end")
        sleep(0.05)


def ours(primary: Server | None) -> Server:
    """A server of ours; with a primary it follows that."""
    options = () if primary is None else ("--replica-of", f"127.0.0.1:{primary.port}")
    return Server.of_cachestorm(Build.COMPILED, *options)


def theirs(path: Path, primary: Server | None) -> Server:
    """As `ours`."""
    follows = () if primary is None else ("--replicaof", "127.0.0.1", str(primary.port))
    delay = ("--repl-diskless-sync-delay", "0")
    return Server([str(path), *IN_MEMORY, *delay, *follows, "--port"])


def measure_writes(page: Page, progress: Progress, quick: bool, rounds: int) -> None:
    """Adds what a replica costs."""
    tool, path = redis_benchmark(), redis_server()
    if tool is None:
        page.missing.append("writes: redis-benchmark is not installed (package redis-tools)")
        return
    requests = QUICK_REQUESTS if quick else REQUESTS
    with ExitStack() as stack:
        servers: dict[tuple[str, str], Server] = {}
        replicas: dict[str, Server] = {}
        for name in (OURS, THEIRS):
            if name == THEIRS and path is None:
                page.missing.append("redis-server: not installed")
                continue
            for state in (ALONE, FOLLOWED):
                made = ours(None) if name == OURS or path is None else theirs(path, None)
                servers[name, state] = stack.enter_context(made)
            primary = servers[name, FOLLOWED]
            made = ours(primary) if name == OURS or path is None else theirs(path, primary)
            wait_for(stack.enter_context(made))
            replicas[name] = made
        rates = {key: Sample() for key in servers}
        spent = {(name, which): Sample() for name in replicas for which in PROCESSES}
        for turn in range(rounds):
            for (name, state), server in servers.items():
                progress.step(f"round {turn + 1} of {rounds}, {name} {state}")
                processes = [server] if state == ALONE else [server, replicas[name]]
                before = [cpu_seconds(each.process_id) for each in processes]
                rates[name, state].add(requests_a_second(tool, server, requests))
                if state == FOLLOWED:
                    wait_until_even(server)
                which = PROCESSES[:1] if state == ALONE else PROCESSES[1:]
                for each, process, began_s in zip(which, processes, before, strict=True):
                    used_s = cpu_seconds(process.process_id) - began_s
                    spent[name, each].add(used_s / requests * 1e6)
    tell_writes(page, rates)
    tell_processor_time(page, spent)


def wait_until_even(primary: Server) -> None:
    """Returns once its replica has said that it has all."""
    client = redis.Redis(port=primary.port)
    try:
        client.set("last", "")
        client.wait(1, int(PATIENCE_S * 1000))
    finally:
        client.close()


def tell_processor_time(page: Page, spent: dict[tuple[str, str], Sample]) -> None:
    """Draws the table of what a write takes of each process."""
    table = Table(["µs of CPU a SET", *PROCESSES], title="Processor time")
    for name in dict.fromkeys(name for name, _ in spent):
        table.add(name, *(spread(spent[name, which]) for which in PROCESSES))
    page.tables.append(table)


def tell_writes(page: Page, rates: dict[tuple[str, str], Sample]) -> None:
    """Draws the table of the writes and their verdicts."""
    table = Table(["SET, requests a second", ALONE, FOLLOWED, "share"], title="Writes")
    shares: dict[str, float] = {}
    for name in (OURS, THEIRS):
        if (name, ALONE) in rates:
            alone, followed = rates[name, ALONE], rates[name, FOLLOWED]
            shares[name] = followed.median / alone.median
            table.add(name, spread(alone), spread(followed), f"{shares[name]:.2f}")
    page.tables.append(table)
    goal = min(SHARE, shares.get(THEIRS, SHARE))
    page.verdicts.append(
        Verdict(
            f"with one replica: {SHARE} of the throughput, or the share of {THEIRS}",
            f"{shares[OURS]:.2f}, beside {shares.get(THEIRS, 0.0):.2f}",
            shares[OURS] >= goal,
        )
    )


@contextmanager
def watched(server: Server) -> Iterator[Watcher]:
    """A client that asks all the time."""
    asker = Asker(server.port)
    try:
        with Watcher(asker.ask) as watcher:
            yield watcher
    finally:
        asker.close()


def measure_copy(page: Page, progress: Progress, keys: int) -> None:
    """Adds what a copy costs."""
    with ExitStack() as stack:
        primary = stack.enter_context(ours(None))
        progress.step(f"{keys:,} keys are written")
        pipe_to_all([primary], batches(keys))
        progress.step("a copy")
        with watched(primary) as watcher:
            began = perf_counter()
            replica = stack.enter_context(ours(primary))
            wait_for(replica)
            took_s = perf_counter() - began
            longest_ms = watcher.longest_ms()
        progress.step("as long without")
        with watched(primary) as watcher:
            threading.Event().wait(took_s)
            alone_ms = watcher.longest_ms()
    table = Table([f"a copy of {keys:,} keys", ""], title="A copy")
    table.add("takes", f"{took_s:.1f} s")
    table.add("keys a second", f"{keys / took_s:,.0f}")
    table.add("longest wait of a client", f"{longest_ms:.1f} ms")
    table.add("longest wait without a copy", f"{alone_ms:.1f} ms")
    page.tables.append(table)
    page.verdicts.append(
        Verdict(
            f"a copy: no client waits for more than {LONGEST_WAIT_MS:.0f} ms",
            f"{longest_ms:.1f} ms, {alone_ms:.1f} without",
            longest_ms <= max(LONGEST_WAIT_MS, alone_ms),
        )
    )


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer requests, keys and rounds.
        progress: told of each step.
    """
    page = Page("replication", "Replicas", METHOD)
    if not Build.COMPILED.is_there:
        page.missing.append("all of it: only the compiled build has goals")
        return page
    measure_writes(page, progress, quick, 1 if quick else 5)
    measure_copy(page, progress, QUICK_COPIED_KEYS if quick else COPIED_KEYS)
    return page
