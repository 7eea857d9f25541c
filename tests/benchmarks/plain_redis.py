"""Connected: what `connect` costs beside redis-py's own client, on the same server.

Goals: a get and a set over `connect` take no longer than over redis-py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns, process_time_ns
from typing import Any

import redis

from tests.benchmarks.machine import redis_server, valkey_server
from tests.benchmarks.page import Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample
from tests.benchmarks.servers import Server

VALUE = b"x" * 100
TTL_S = 60
CALLS, QUICK_CALLS = 1000, 100
ROUNDS, QUICK_ROUNDS = 15, 3
OWN, OURS = "redis-py", "connect"

METHOD = f"""
One connection of this process to a server on this machine, one call after the other, by
redis-py itself and by `connect`, which uses redis-py; uncompiled, for the time is redis-py's.
Values of 100 bytes with a time to live of {TTL_S} seconds, over {CALLS:,} keys; passes take
turns. *set with a tag* is a set with one of a hundred tags, of other keys; redis-py has none,
so it is compared with its plain set. *client CPU* is processor time of this process a call,
which a busy machine lengthens less.
"""

Operation = Callable[[int], object]


def operations(server: Server) -> dict[str, dict[str, Operation]]:
    """What is measured, by operation and by client."""
    from cachestorm import connect

    own = redis.Redis(port=server.port, protocol=3)
    ours: Any = connect(f"redis://127.0.0.1:{server.port}")
    keys = [f"key:{number:05d}" for number in range(CALLS)]
    tagged = [f"tagged:{number:05d}" for number in range(CALLS)]
    tags = [[f"tag:{number % 100}"] for number in range(CALLS)]
    milliseconds = TTL_S * 1000
    return {
        "get": {
            OWN: lambda place: own.get(keys[place]),
            OURS: lambda place: ours.get(keys[place]),
        },
        "set": {
            OWN: lambda place: own.set(keys[place], VALUE, px=milliseconds),
            OURS: lambda place: ours.set(keys[place], VALUE, TTL_S),
        },
        "set with a tag": {
            OWN: lambda place: own.set(keys[place], VALUE, px=milliseconds),
            OURS: lambda place: ours.set(tagged[place], VALUE, TTL_S, tags=tags[place]),
        },
    }


def timed(operation: Operation, calls: int) -> tuple[float, float]:
    """Microseconds a call, and of these on this processor."""
    start, cpu = perf_counter_ns(), process_time_ns()
    for place in range(calls):
        operation(place)
    spent, on_cpu = perf_counter_ns() - start, process_time_ns() - cpu
    return spent / calls / 1000, on_cpu / calls / 1000


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer and shorter rounds.
        progress: told of each step.
    """
    rounds, calls = (QUICK_ROUNDS, QUICK_CALLS) if quick else (ROUNDS, CALLS)
    page = Page("plain-redis", "connect beside redis-py", METHOD)
    paths: dict[str, Path | None] = {"redis-server": redis_server(), "Valkey": valkey_server()}
    for name, path in paths.items():
        if path is None:
            page.missing.append(f"{name}: it is not installed")
            continue
        with Server.of_redis(path) as server:
            measured = measured_on(server, name, rounds, calls, progress)
        add(page, name, measured)
    return page


Measured = dict[str, dict[str, tuple[Sample, Sample]]]


def measured_on(
    server: Server, name: str, rounds: int, calls: int, progress: Progress
) -> Measured:
    """Samples of time and of client CPU, by operation and by client."""
    subjects = operations(server)
    found: Measured = {
        operation: {client: (Sample(), Sample()) for client in clients}
        for operation, clients in subjects.items()
    }
    # in the order of the names, so that all keys are there when they are read
    timed(subjects["set"][OURS], calls)
    for turn in range(rounds):
        progress.step(f"{name}, round {turn + 1} of {rounds}")
        for operation, clients in subjects.items():
            for client, call in clients.items():
                spent, on_cpu = timed(call, calls)
                found[operation][client][0].add(spent)
                found[operation][client][1].add(on_cpu)
    return found


def add(page: Page, name: str, measured: Measured) -> None:
    """Adds the tables and verdicts of one server."""
    for index, what in enumerate(("µs a call", "client CPU, µs a call")):
        table = Table([f"{name}: {what}", *measured])
        for client in (OWN, OURS):
            table.add(client, *(spread(by[client][index]) for by in measured.values()))
        ratios = [by[OURS][index].median / by[OWN][index].median for by in measured.values()]
        table.add(f"{OURS} / {OWN}", *map(number, ratios))
        page.tables.append(table)
    for operation in ("get", "set"):
        ours, own = (measured[operation][client][0].median for client in (OURS, OWN))
        goal = f"{operation} on {name}: no longer than {OWN}"
        page.verdicts.append(Verdict(goal, f"{number(ours / own)} of its time", ours <= own))
