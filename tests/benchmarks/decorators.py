"""The price of a decorated call that hits, of a handle, and of waiting for somebody's load.

Goals: a call of a compiled memoized function takes at most 2.5 times what one of
functools.lru_cache takes, and less than one of any other cache; a handle takes at most twice
what the flat method takes; whoever waits for a load waits no longer than it takes and 20 ms.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from time import perf_counter_ns
from typing import Any

from tests.benchmarks.builds import Build, builds
from tests.benchmarks.decorated import PEERS, cachestorm
from tests.benchmarks.page import NOTHING, Page, Table, Verdict, number, spread
from tests.benchmarks.progress import Progress
from tests.benchmarks.sample import Sample, nanoseconds_a_call
from tests.benchmarks.worker import Worker, WorkerError, check_build

KEYS = 1000
FLOOR = "functools.lru_cache"
LIMIT = 2.5  # times functools.lru_cache
HANDLE_LIMIT = 2.0  # times the flat method
LOAD_S = 0.05
LATE_LIMIT_MS = 20.0
COLUMNS = ("one argument", "a default left out", "two arguments", "a keyword", "awaited")
STAMPEDES = ("1,000 tasks", "64 threads")
HANDLES = (
    "hash: read a field",
    "hash: write a field",
    "list: read an element",
    "list: append",
    "set: add",
    "set: contains",
    "sorted set: read a score",
    "counter: incr",
)

METHOD = f"""
*Calls.* Nanoseconds a call of a decorated function that finds its result, from an interpreted
loop over {KEYS:,} `int` arguments; the loop is part of the number. *awaited* is one coroutine
that awaits a decorated coroutine function. Every subject is a process of its own, and they take
turns in every round. functools.lru_cache has no time to live, no tags and no limit in bytes,
and does not wait for a call that is under way: it is the floor, and no peer.

*Handles.* Nanoseconds a call by way of a handle, and of the flat method that does the same.

*Waiting.* Tasks, or threads, ask for one missing key at once, and its load takes
{LOAD_S * 1000:.0f} ms. How many loads ran, and how much longer than that the last of all had
to wait.
"""


class Measurer:
    """One subject, in a worker.

    Args:
        subject: a name in PEERS, or anything else for CacheStorm of the worker's build.
    """

    def __init__(self, subject: str) -> None:
        plain, awaited = PEERS.get(subject, cachestorm)()
        self._one = plain and plain(one)
        self._default = plain and plain(with_default)
        self._awaited = awaited and awaited(acall)
        self._loop = asyncio.new_event_loop()

    def measure(self, column: str, at_least_ms: float) -> Any:
        """Nanoseconds a call in this column; None where the subject has no such call."""
        if column in HANDLES:
            handle, flat = handle_and_flat(column)
            return [
                nanoseconds_a_call(lambda: time_of(handle), at_least_ms),
                nanoseconds_a_call(lambda: time_of(flat), at_least_ms),
            ]
        if column in STAMPEDES:
            return tasks_that_wait(1000) if column == STAMPEDES[0] else threads_that_wait(64)
        if column == "awaited":
            awaited = self._awaited
            return awaited and nanoseconds_a_call(
                lambda: self._loop.run_until_complete(time_awaited(awaited)), at_least_ms
            )
        timed = {
            "one argument": time_one,
            "a default left out": time_one,
            "two arguments": time_two,
            "a keyword": time_keyword,
        }[column]
        function = self._one if column == "one argument" else self._default
        return function and nanoseconds_a_call(lambda: timed(function), at_least_ms)


def one(x: int) -> int:
    return x


def with_default(x: int, y: int = 2) -> int:
    return x + y


async def acall(x: int) -> int:
    return x


def time_one(function: Callable[..., Any]) -> float:
    """Nanoseconds a call with one argument."""
    start = perf_counter_ns()
    for x in range(KEYS):
        function(x)
    return (perf_counter_ns() - start) / KEYS


def time_two(function: Callable[..., Any]) -> float:
    """Nanoseconds a call with two arguments."""
    start = perf_counter_ns()
    for x in range(KEYS):
        function(x, 3)
    return (perf_counter_ns() - start) / KEYS


def time_keyword(function: Callable[..., Any]) -> float:
    """Nanoseconds a call with one argument by name."""
    start = perf_counter_ns()
    for x in range(KEYS):
        function(x, y=3)
    return (perf_counter_ns() - start) / KEYS


async def time_awaited(function: Callable[..., Coroutine[Any, Any, Any]]) -> float:
    """Nanoseconds an awaited call."""
    start = perf_counter_ns()
    for x in range(KEYS):
        await function(x)
    return (perf_counter_ns() - start) / KEYS


def time_of(call: Callable[[], Any]) -> float:
    """Nanoseconds a call without arguments."""
    start = perf_counter_ns()
    for _ in range(KEYS):
        call()
    return (perf_counter_ns() - start) / KEYS


def handle_and_flat(name: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A call by way of a handle, and that of the flat method."""
    check_build()
    from cachestorm import Cache

    cache = Cache()
    user, jobs = cache.as_hash("user"), cache.as_list("jobs")
    seen, top, visits = cache.as_set("seen"), cache.as_sorted_set("top"), cache.counter("n")
    user["name"] = "Ada"
    jobs.append("a")
    seen.add("a")
    top["a"] = 1.0
    visits.incr()
    return {
        "hash: read a field": (lambda: user["name"], lambda: cache.hget("user", "name")),
        "hash: write a field": (
            lambda: user.__setitem__("name", "Bob"),
            lambda: cache.hset("user", "name", "Bob"),
        ),
        "list: read an element": (lambda: jobs[0], lambda: cache.lindex("jobs", 0)),
        "list: append": (lambda: jobs.append("b"), lambda: cache.rpush("jobs", "b")),
        "set: add": (lambda: seen.add("b"), lambda: cache.sadd("seen", "b")),
        "set: contains": (lambda: "a" in seen, lambda: cache.sismember("seen", "a")),
        "sorted set: read a score": (lambda: top["a"], lambda: cache.zscore("top", "a")),
        "counter: incr": (lambda: visits.incr(), lambda: cache.incr("n")),
    }[name]


def tasks_that_wait(many: int) -> list[float]:
    """How many loads there were, and the milliseconds that the last waited beyond one."""
    from cachestorm import Cache

    cache = Cache()
    loads: list[int] = []

    async def load() -> int:
        loads.append(1)
        await asyncio.sleep(LOAD_S)
        return 1

    async def ask() -> float:
        start = time.monotonic()
        await cache.aget_or_set("k", load)
        return time.monotonic() - start

    async def main() -> list[float]:
        return list(await asyncio.gather(*(ask() for _ in range(many))))

    waited = asyncio.run(main())
    return [len(loads), (max(waited) - LOAD_S) * 1000]


def threads_that_wait(many: int) -> list[float]:
    """The same for threads."""
    from cachestorm import Cache

    cache = Cache()
    loads: list[int] = []
    waited: list[float] = []
    together = threading.Barrier(many)

    def load() -> int:
        loads.append(1)
        time.sleep(LOAD_S)
        return 1

    def ask() -> None:
        together.wait()
        start = time.monotonic()
        cache.get_or_set("k", load)
        waited.append(time.monotonic() - start)

    threads = [threading.Thread(target=ask) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [len(loads), (max(waited) - LOAD_S) * 1000]


def measure(quick: bool, progress: Progress) -> Page:
    """Runs the case.

    Args:
        quick: fewer and shorter rounds.
        progress: told of each step.
    """
    rounds, at_least_ms = (3, 5.0) if quick else (15, 20.0)
    page = Page("decorators", "Decorated calls, handles, and waiting for a load", METHOD)
    workers = {
        build.subject: Worker("decorators", build, subject="CacheStorm") for build in builds()
    }
    own = list(workers)
    workers |= {name: Worker("decorators", subject=name) for name in PEERS}
    samples: dict[str, dict[str, Sample]] = {name: {} for name in workers}
    others: dict[str, dict[str, list[Sample]]] = {name: {} for name in own}
    try:
        for turn in range(rounds):
            for column in (*COLUMNS, *HANDLES, *STAMPEDES):
                progress.step(f"round {turn + 1} of {rounds}, {column}")
                for name in list(workers if column in COLUMNS else own):
                    try:
                        measured = workers[name].measure(column=column, at_least_ms=at_least_ms)
                    except WorkerError as error:
                        page.missing.append(f"{name}: {error}")
                        workers.pop(name).close()
                        own = [each for each in own if each in workers]
                        continue
                    if column not in COLUMNS:
                        pair = others[name].setdefault(column, [Sample(), Sample()])
                        for sample, each in zip(pair, measured):
                            sample.add(each)
                    elif measured is not None:
                        samples[name].setdefault(column, Sample()).add(measured)
    finally:
        for worker in workers.values():
            worker.close()
    tell_calls(page, samples)
    tell_others(page, others)
    return page


def tell_calls(page: Page, samples: dict[str, dict[str, Sample]]) -> None:
    """Draws the table of calls and its verdicts."""
    table = Table(["ns a call", *COLUMNS], title="Calls")
    for name, measured in samples.items():
        if measured:
            table.add(name, *(spread(measured.get(column)) for column in COLUMNS))
    page.tables.append(table)
    compiled, floor = samples.get(Build.COMPILED.subject, {}), samples[FLOOR]
    for column, sample in compiled.items():
        if column in floor:
            ratio = sample.median / floor[column].median
            page.verdicts.append(
                Verdict(f"{column}: at most {LIMIT} of {FLOOR}", f"{ratio:.2f}", ratio <= LIMIT)
            )
        peers = [
            (found.median, name)
            for name in PEERS
            if name != FLOOR and (found := samples[name].get(column)) is not None
        ]
        nanoseconds, best = min(peers, default=(float("inf"), "none"))
        page.verdicts.append(
            Verdict(
                f"{column}: ahead of every peer ({best}, {number(nanoseconds)} ns)",
                f"{number(sample.median)} ns",
                sample.median < nanoseconds,
            )
        )


def tell_others(page: Page, others: dict[str, dict[str, list[Sample]]]) -> None:
    """Draws the tables of handles and of those who wait, and their verdicts."""
    handles = Table(["ns a call", "handle", "flat method", "ratio"], title="Handles")
    waits = Table(["", "loads", "ms beyond the load"], title="Waiting")
    for name, measured in others.items():
        for column, (first, second) in measured.items():
            row = f"{name}, {column}"
            if column in STAMPEDES:
                waits.add(row, f"{first.high:.0f}", spread(second))
                goal = f"{column}: one load, nobody waits above it and {LATE_LIMIT_MS:.0f} ms"
                is_reached = first.high == 1 and second.median <= LATE_LIMIT_MS
                told = f"{first.high:.0f} load, {number(second.median)} ms"
            else:
                ratio = first.median / second.median if second.median else 0.0
                handles.add(row, spread(first), spread(second), f"{ratio:.2f}" or NOTHING)
                goal = f"{column}: at most {HANDLE_LIMIT:.0f} times the flat method"
                is_reached, told = ratio <= HANDLE_LIMIT, f"{ratio:.2f}"
            if name == Build.COMPILED.subject:
                page.verdicts.append(Verdict(goal, told, is_reached))
    page.tables += [handles, waits]
